/* Contracts of kernels that work element by element, and the whole of one for a function of one argument.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_ELEMENTWISE_H_
#define FOGHORN_KERNELS_ELEMENTWISE_H_

#include <stdlib.h>
#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"

/* ---- the order in which elements are visited ---- */

enum { FH_WALK_RANK = 3, FH_WALK_VIEWS = 2, FH_WALK_IN = 0, FH_WALK_OUT = 1 };

typedef struct fh_axis {
  int64_t extent, strides[FH_WALK_VIEWS];
} fh_axis;

/* The dimensions of two views of equal shape in any order: the smallest stride of the second goes innermost, and dimensions that lie one
 * behind the other in both become one. Fills exactly FH_WALK_RANK axes, outermost first. */
static inline void fh_walk(const fh_view_desc *v, fh_axis out[static FH_WALK_RANK]) {
  fh_axis sorted[FH_WALK_RANK];
  int count = 0;
  for (int32_t i = 0; i < v[FH_WALK_IN].rank; i++) {
    const fh_axis a = {v[FH_WALK_IN].shape[i], {v[FH_WALK_IN].strides[i], v[FH_WALK_OUT].strides[i]}};
    if (a.extent == 1) continue;
    int at = count++;
    for (; at > 0 && llabs(sorted[at - 1].strides[FH_WALK_OUT]) < llabs(a.strides[FH_WALK_OUT]); at--) sorted[at] = sorted[at - 1];
    sorted[at] = a;
  }
  int at = FH_WALK_RANK;
  for (int i = count - 1; i >= 0; i--) {
    const fh_axis a = sorted[i];
    const bool joins = at < FH_WALK_RANK && a.strides[FH_WALK_IN] == out[at].strides[FH_WALK_IN] * out[at].extent &&
                       a.strides[FH_WALK_OUT] == out[at].strides[FH_WALK_OUT] * out[at].extent;
    if (joins)
      out[at].extent *= a.extent;
    else
      out[--at] = a;
  }
  if (at == FH_WALK_RANK) out[--at] = (fh_axis){1, {1, 1}};
  while (at > 0) out[--at] = (fh_axis){1, {0, 0}};
}

/* The strides of view `view` as operands: outermost first. */
static inline void fh_walk_operands(fh_stage *stage, const fh_axis axes[static FH_WALK_RANK], int view) {
  for (int i = 0; i < FH_WALK_RANK; i++) fh_push(stage, fh_op_i64(axes[i].strides[view]));
}

/* ---- functions of one argument: kernels/dialect/elementwise.h ---- */

enum { FH_MAP_PIECE = 4096 }; /* as there */

static inline fh_status fh_unary_bind(const char *kernel, const fh_view_param *params, double flops, const fh_view_desc *views,
                                      fh_bound *out) {
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fh_check_rows(kernel, params, views, FH_WALK_OUT, &count));
  if (count == 0) return FH_OK;

  fh_axis axes[FH_WALK_RANK];
  fh_walk(views, axes);
  const int64_t n = axes[FH_WALK_RANK - 1].extent, pieces = (n + FH_MAP_PIECE - 1) / FH_MAP_PIECE;
  const int64_t items = axes[0].extent * axes[1].extent * pieces;
  fh_stage *stage = fh_add_stage(out, 0, items, flops * (double)count / (double)items);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, FH_WALK_IN, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, FH_WALK_OUT, 0));
  FH_PUSH_I64(stage, axes[1].extent, n, pieces, fh_rows_stream(count));
  fh_walk_operands(stage, axes, FH_WALK_IN);
  fh_walk_operands(stage, axes, FH_WALK_OUT);
  out->flops = flops * (double)count;
  out->bytes = 8.0 * (double)count;
  return FH_OK;
}

static inline void fh_unary_reference(double (*exact)(double), const fh_view_desc *views, void *const *data) {
  const fh_rows x = fh_rows_of(&views[FH_WALK_IN]), y = fh_rows_of(&views[FH_WALK_OUT]);
  for (int64_t row = 0; row < x.rows; row++)
    for (int64_t i = 0; i < x.d; i++)
      ((float *)data[FH_WALK_OUT])[fh_rows_at(&y, row, i)] =
          (float)exact((double)((const float *)data[FH_WALK_IN])[fh_rows_at(&x, row, i)]);
}

/* The shapes of the row kernels, and one around the end of a piece. */
static inline bool fh_unary_case_at(int i, fh_case *out) {
  static const fh_rows_shape more[] = {{1, {2 * FH_MAP_PIECE + 17}}};
  if (!fh_rows_case(i, out) && (i < 0 || !fh_rows_case(i - 1, out) || !fh_rows_case_of(more, FH_LENGTH(more), 0, out))) return false;
  out->views[FH_WALK_OUT] = out->views[FH_WALK_IN];
  return true;
}

/* In the first and second level of cache, an odd length, a length of the last level, and one that fits none. */
static inline bool fh_unary_bench_at(int i, fh_case *out) {
  static const fh_rows_shape all[] = {{1, {1009}}, {1, {4096}}, {1, {65536}}, {2, {63, 1025}}, {1, {1048576}}, {1, {16777259}}};
  if (!fh_rows_case_of(all, FH_LENGTH(all), i, out)) return false;
  out->views[FH_WALK_OUT] = out->views[FH_WALK_IN];
  return true;
}

/* Most evenly where the function is interesting, some with any exponent, and either sign where low is negative. */
static inline void fh_unary_fill(double low, double high, const fh_case *c, float *data, uint64_t seed) {
  const int64_t count = fh_elements(&c->views[FH_WALK_IN]);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed);
    const double unit = (double)(random >> 40) * 0x1p-24;
    uint32_t bits = (uint32_t)(random >> 32);
    if (low >= 0) bits &= 0x7fffffffu;
    if ((bits & 0x7f800000u) == 0x7f800000u) bits &= ~0x40000000u; /* finite */
    data[i] = (float)(low + (high - low) * unit);
    if (random >> 24 & 1 && random >> 25 & 1) memcpy(&data[i], &bits, sizeof bits);
  }
}

/* The block variants of such kernels (block/map.h): threads stride over n elements, eight at a time. An unknown device has one
 * multiprocessor at least. */
static inline void fh_wide_shape(int64_t n, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, PER_THREAD = 8, MOST = 64 };
  const int64_t blocks = fh_divide_up(n, THREADS * PER_THREAD);
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)(blocks < most ? blocks : most), 1, 1}, .threads = THREADS};
}

/* `pieces` is the place of that operand; the strides of x and of y are the last six. */
static inline const char *fh_wide_unfit(const fh_bound *bound, int pieces) {
  const fh_stage *stage = &bound->stages[0];
  const int last = stage->operand_count - 1;
  if (stage->items != stage->operands[pieces].i) return "it is more than one row: its elements do not lie side by side";
  if (stage->operands[last - FH_WALK_RANK].i != 1 || stage->operands[last].i != 1) return "its elements do not lie side by side";
  return NULL;
}

static inline void fh_unary_wide_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_wide_shape(bound->stages[0].operands[3].i, multiprocessors, out);
}
static inline const char *fh_unary_wide_unfit(const fh_bound *bound) { return fh_wide_unfit(bound, 4); }

/* The contract of the kernel NAME, whose entry is map_NAME: EXACT is its function in double precision, ULP the bound of its error in units
 * of the last place, and LOW to HIGH where the tests look most. */
#define FH_UNARY_KERNEL(NAME, EXACT, LOW, HIGH, FLOPS, ULP, SUMMARY, FORMULA, SOURCE)                                                \
  static const fh_view_param params[] = {                                                                                            \
      {"x", FH_ROLE_IN, FH_F32, "(...), rank 1 to 3", true},                                                                         \
      {"y", FH_ROLE_OUT, FH_F32, "that of x", false},                                                                                \
  };                                                                                                                                 \
  static fh_status bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {                                         \
    (void)scalars;                                                                                                                   \
    return fh_unary_bind(#NAME, params, FLOPS, views, out);                                                                          \
  }                                                                                                                                  \
  static void reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {                                     \
    (void)scalars;                                                                                                                   \
    fh_unary_reference(EXACT, views, data);                                                                                          \
  }                                                                                                                                  \
  static void fill(int index, const fh_case *c, void *data, uint64_t seed) {                                                         \
    (void)index;                                                                                                                     \
    fh_unary_fill(LOW, HIGH, c, data, seed);                                                                                         \
  }                                                                                                                                  \
  const fh_kernel_contract fh_contract_##NAME = {                                                                                    \
      .name = #NAME,                                                                                                                 \
      .version = 1,                                                                                                                  \
      .summary = SUMMARY ", in place allowed",                                                                                       \
      .formula = FORMULA,                                                                                                            \
      FH_VIEWS(params),                                                                                                              \
      FH_CHUNKS(FH_RANK(1) | FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2) | FH_RANK(3)),                                         \
      FH_ENTRIES("map_" #NAME),                                                                                                      \
      FH_EXACT_WITHIN(((ULP) + 0.5) * 0x1p-23, ((ULP) + 0.5) * 0x1p-149,                                                             \
                      "at most " #ULP                                                                                                \
                      " units of the last place, tried by sh tools/dev maths (docs/maths.md), and the half of the oracle; " SOURCE), \
      FH_BLOCKS({"wide", "map_" #NAME "_wide", #NAME "_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_unary_wide_shape,              \
                 fh_unary_wide_unfit, 0.9}),                                                                                         \
      .bind = bind,                                                                                                                  \
      .reference = reference,                                                                                                        \
      .case_at = fh_unary_case_at,                                                                                                   \
      .bench_at = fh_unary_bench_at,                                                                                                 \
      .fill = fill,                                                                                                                  \
  }

#endif /* FOGHORN_KERNELS_ELEMENTWISE_H_ */
