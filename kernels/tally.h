/* How counting is cut: what the contracts of bincount and histogram share; dialect/tally.h has the texts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TALLY_H_
#define FOGHORN_KERNELS_TALLY_H_

#include "kernels/arithmetic.h"
#include "kernels/skew.h"
#include "kernels/stage.h"

/* A chunk of `per` values counts in `tables` tables of k counts. By shape alone. */
typedef struct fh_tally {
  int64_t chunks, per, tables;
} fh_tally;

/* Chunks are worth a thread's while, their tables together stay within 16 MiB, and clearing and adding up tables stays the smaller
 * part of the work. Four tables where they stay within the L1 cache: counts that repeat overlap. */
static inline fh_tally fh_tally_of(int64_t n, int64_t k) {
  enum { MOST = 128, WORTH = 1 << 14, SCRATCH = 4 << 20, SMALL = 1024 };
  fh_tally t = {.tables = k <= SMALL && n >= 4 * k ? 4 : 1};
  const int64_t by_work = n / (4 * t.tables * k > WORTH ? 4 * t.tables * k : WORTH), by_memory = SCRATCH / (t.tables * k);
  t.chunks = by_work < by_memory ? by_work : by_memory;
  t.chunks = t.chunks < 1 ? 1 : t.chunks > MOST ? MOST : t.chunks;
  t.per = n > 0 ? (n - 1) / t.chunks + 1 : 1;
  t.chunks = n > 0 ? (n - 1) / t.per + 1 : 1;
  return t;
}

/* The stages of a count of the n values of view `values` into view `counts` of k. Returns the first: a kernel pushes what its text wants to
 * know beyond that. */
static inline fh_stage *fh_tally_bind(const fh_tally *t, int64_t n, int64_t k, int values, int counts, const fh_view_desc *v,
                                      fh_bound *out) {
  enum { CHUNK, COMBINE }; /* entries */
  fh_stage *chunk = fh_add_stage(out, CHUNK, t->chunks, 4.0 * (double)(t->per + t->tables * k));
  fh_push(chunk, fh_op_view(FH_OPERAND_IN, values, 0));
  fh_push(chunk, fh_op_temp(0));
  FH_PUSH_I64(chunk, n, k, t->per, t->tables, v[values].strides[0]);
  fh_push(chunk, fh_op_view(FH_OPERAND_OUT, counts, 0));
  fh_push(chunk, fh_op_i64(v[counts].strides[0]));
  fh_stage *combine = fh_add_stage(out, COMBINE, (k + 15) / 16, 16.0 * (double)(t->chunks * t->tables));
  fh_push(combine, fh_op_temp(0));
  fh_push(combine, fh_op_view(FH_OPERAND_OUT, counts, 0));
  FH_PUSH_I64(combine, t->chunks * t->tables, k, v[counts].strides[0]);
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)(t->chunks * t->tables) * (size_t)k * sizeof(int32_t);
  out->flops = (double)n;
  out->bytes = 4.0 * ((double)n + (double)k);
  return chunk;
}

/* Counts are i32. */
static inline fh_status fh_tally_check(const char *kernel, const fh_view_param *p, int64_t n, int64_t k) {
  if (n <= INT32_MAX && k <= INT32_MAX) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s has %" PRId64 " elements and there are %" PRId64 " counts, expected at most %d of either", kernel, p->name, n,
                   k, INT32_MAX);
}

/* ---- blocks of threads: block/tally.h ---- */

enum { FH_TALLY_THREADS = 256, FH_TALLY_TABLE = 8192, FH_TALLY_N = 2, FH_TALLY_K = 3 }; /* the last two are operands */

static inline void fh_tally_clear_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const int64_t most = 32 * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  const int64_t blocks = fh_divide_up(bound->stages[0].operands[FH_TALLY_K].i, FH_TALLY_THREADS);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, most), 1, 1}, .threads = FH_TALLY_THREADS};
}

/* What a block adds to the counts stays the smaller part of its work: it has 16 values a place of its table, 64 a thread at least. */
static inline void fh_tally_count_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { RESIDENT = 8, PER_PLACE = 16, PER_THREAD = 64 };
  const int64_t n = bound->stages[0].operands[FH_TALLY_N].i, k = bound->stages[0].operands[FH_TALLY_K].i;
  const int64_t ranges = fh_divide_up(k, FH_TALLY_TABLE), most = RESIDENT * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  const int64_t worth = fh_most(PER_PLACE * fh_least(k, FH_TALLY_TABLE), PER_THREAD * FH_TALLY_THREADS);
  const int64_t blocks = fh_most(1, fh_least(fh_divide_up(n, worth), fh_divide_up(most, ranges)));
  *out = (fh_block_shape){.grid = {(uint32_t)blocks, (uint32_t)ranges, 1}, .threads = FH_TALLY_THREADS};
}

static inline const char *fh_tally_unfit(const fh_bound *bound) {
  enum { RANGES = 16 };
  return bound->stages[0].operands[FH_TALLY_K].i > RANGES * FH_TALLY_TABLE ? "so many counts would have each value read more than 16 times"
                                                                           : NULL;
}

/* Of the kernel NAME. Its efficiency is a guess. */
#define FH_TALLY_BLOCKS(NAME)                                                                                                         \
  FH_BLOCKS({"tables", #NAME "_clear", #NAME "_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_tally_clear_shape, fh_tally_unfit, 0.7, \
             .rest = (const fh_block_step[]){{#NAME "_count", fh_tally_count_shape}}, .rest_count = 1})

#endif /* FOGHORN_KERNELS_TALLY_H_ */
