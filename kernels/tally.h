/* How counting is cut: what the contracts of bincount and histogram share; dialect/tally.h has the texts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TALLY_H_
#define FOGHORN_KERNELS_TALLY_H_

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

#endif /* FOGHORN_KERNELS_TALLY_H_ */
