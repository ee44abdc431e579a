/* The contract of permute: a copy with the dimensions in another order. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/permute/permute.h"

#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"
#include "kernels/unaligned.h"

enum { X, Y, RANK = 4 };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(...), rank 1 to 4", false},
    {"y", FH_ROLE_OUT, FH_F32, "that of x, permuted", false},
};
static const fh_scalar_param scalars_of[] = {
    {"axis0", 'i', 0, "the dimension of x that is dimension 0 of y"},
    {"axis1", 'i', 1, "likewise"},
    {"axis2", 'i', 2, "likewise"},
    {"axis3", 'i', 3, "likewise; axes past the rank of x name themselves"},
};

static fh_status check(const fh_view_desc *v, const fh_value *axes) {
  FH_TRY(fh_check_view("permute", &params[X], &v[X], 1, RANK));
  FH_TRY(fh_check_view("permute", &params[Y], &v[Y], v[X].rank, v[X].rank));
  unsigned seen = 0;
  for (int i = 0; i < RANK; i++) {
    const bool inside = i < v[X].rank ? axes[i].i >= 0 && axes[i].i < v[X].rank : axes[i].i == i;
    if (!inside || (seen >> axes[i].i & 1))
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_permute: axis %d is %lld, expected each of 0 to %" PRId32 " once%s", i,
                       (long long)axes[i].i, v[X].rank - 1, i < v[X].rank ? "" : ", and its own number past the rank");
    seen |= 1u << axes[i].i;
  }
  for (int i = 0; i < v[X].rank; i++)
    FH_TRY(fh_check_extent("permute", &params[Y], &v[Y], i, "extent", v[X].shape[axes[i].i], "x, permuted"));
  return FH_OK;
}

/* ---- from dimensions to planes ------------------------------------------------------------------- */

typedef struct dimension {
  int64_t extent, xs, ys;
} dimension;

/* Slowest in y first; dimensions of one element are dropped. */
static int dimensions_of(const fh_view_desc *v, const fh_value *axes, dimension out[static RANK]) {
  int count = 0;
  for (int i = 0; i < v[X].rank; i++) {
    const dimension d = {v[Y].shape[i], v[X].strides[axes[i].i], v[Y].strides[i]};
    if (d.extent == 1) continue;
    int at = count++;
    for (; at > 0 && llabs(out[at - 1].ys) < llabs(d.ys); at--) out[at] = out[at - 1];
    out[at] = d;
  }
  return count;
}

/* Neighbours that follow one another in both views are one dimension. */
static int merged(dimension *d, int count) {
  int kept = 0;
  for (int i = 1; i < count; i++) {
    dimension *last = &d[kept];
    if (last->xs == d[i].xs * d[i].extent && last->ys == d[i].ys * d[i].extent)
      *last = (dimension){last->extent * d[i].extent, d[i].xs, d[i].ys};
    else
      d[++kept] = d[i];
  }
  return count > 0 ? kept + 1 : 0;
}

/* Dimensions a, b, i, j: j the fastest of y, i the fastest of x among the others. */
static void planes_of(const fh_view_desc *v, const fh_value *axes, dimension out[static RANK]) {
  dimension d[RANK];
  const int count = merged(d, dimensions_of(v, axes, d));
  for (int i = 0; i < RANK; i++) out[i] = (dimension){1, 0, 0};
  if (count == 0) return;
  out[3] = d[count - 1];
  int fastest = 0;
  for (int i = 1; i < count - 1; i++)
    if (llabs(d[i].xs) < llabs(d[fastest].xs)) fastest = i;
  int outer = 1;
  for (int i = count - 2; i >= 0; i--) {
    if (i == fastest)
      out[2] = d[i];
    else
      out[outer--] = d[i];
  }
}

/* Rows that are copied are cut by elements; planes that are turned into tiles whose lines fit the L1 cache. */
static void tile_of(const dimension *d, int64_t *out_ti, int64_t *out_tj) {
  enum { ELEMENTS = 16384, TURNED_I = 256, TURNED_J = 64 };
  const bool copied = d[3].xs == 1 && d[3].ys == 1;
  *out_tj = fh_least(d[3].extent, copied ? ELEMENTS : d[2].extent < 16 ? ELEMENTS / 16 : TURNED_J);
  *out_ti = fh_least(d[2].extent, copied ? (ELEMENTS - 1) / *out_tj + 1 : TURNED_I);
}

static fh_status bind(const fh_view_desc *v, const fh_value *axes, fh_bound *out) {
  enum { STREAM_BYTES = 24 << 20 }; /* results that no cache keeps */
  fh_bound_clear(out);
  FH_TRY(check(v, axes));
  int64_t count = 0, ti, tj;
  FH_TRY(fh_check_count("permute", &params[X], &v[X], &count));
  if (count == 0) return FH_OK;
  dimension d[RANK];
  planes_of(v, axes, d);
  tile_of(d, &ti, &tj);
  const int64_t items = d[0].extent * d[1].extent * ((d[2].extent - 1) / ti + 1) * ((d[3].extent - 1) / tj + 1);
  fh_stage *stage = fh_add_stage(out, 0, items, 2.0 * (double)count / (double)items);
  stage->operands[FH_PERMUTE_X] = fh_op_view(FH_OPERAND_IN, X, 0);
  stage->operands[FH_PERMUTE_Y] = fh_op_view(FH_OPERAND_OUT, Y, 0);
  const int64_t values[] = {d[0].extent, d[1].extent, d[2].extent, d[3].extent, ti, tj, count > STREAM_BYTES / 4};
  for (int i = 0; i < FH_PERMUTE_X_STRIDES - FH_PERMUTE_NA; i++) stage->operands[FH_PERMUTE_NA + i] = fh_op_i64(values[i]);
  for (int i = 0; i < RANK; i++) {
    stage->operands[FH_PERMUTE_X_STRIDES + i] = fh_op_i64(d[i].xs);
    stage->operands[FH_PERMUTE_Y_STRIDES + i] = fh_op_i64(d[i].ys);
  }
  stage->operand_count = FH_PERMUTE_SLOTS;
  out->bytes = 8.0 * (double)count;
  return FH_OK;
}

/* ---- the oracle and cases ------------------------------------------------------------------------ */

static void reference(const fh_view_desc *v, void *const *data, const fh_value *axes) {
  int64_t count = 1;
  for (int i = 0; i < v[Y].rank; i++) count *= v[Y].shape[i];
  for (int64_t e = 0; e < count; e++) {
    int64_t rest = e, from = 0, to = 0;
    for (int i = v[Y].rank - 1; i >= 0; i--) {
      from += rest % v[Y].shape[i] * v[X].strides[axes[i].i];
      to += rest % v[Y].shape[i] * v[Y].strides[i];
      rest /= v[Y].shape[i];
    }
    ((fh_f32_any *)data[Y])[to] = ((const fh_f32_any *)data[X])[from];
  }
}

typedef struct shape {
  int32_t rank;
  int64_t extents[RANK];
  int axes[RANK];
} shape;

static const shape cases[] = {
    {2, {19, 37}, {1, 0, 2, 3}},      {1, {7}, {0, 1, 2, 3}},
    {2, {0, 5}, {1, 0, 2, 3}},        {2, {1, 1}, {1, 0, 2, 3}},
    {2, {16, 16}, {1, 0, 2, 3}},      {2, {17, 15}, {1, 0, 2, 3}},
    {2, {5, 64}, {0, 1, 2, 3}},       {2, {129, 3}, {1, 0, 2, 3}},
    {2, {3, 129}, {1, 0, 2, 3}},      {2, {67, 4}, {1, 0, 2, 3}},
    {2, {4, 130}, {1, 0, 2, 3}},      {2, {65, 8}, {1, 0, 2, 3}},
    {2, {8, 257}, {1, 0, 2, 3}},      {2, {50, 16}, {1, 0, 2, 3}},
    {2, {16, 50}, {1, 0, 2, 3}},      {3, {3, 20, 33}, {0, 2, 1, 3}},
    {3, {5, 6, 7}, {2, 1, 0, 3}},     {3, {33, 2, 18}, {1, 2, 0, 3}},
    {3, {4, 17, 16}, {2, 0, 1, 3}},   {4, {2, 3, 17, 18}, {0, 3, 1, 2}},
    {4, {3, 5, 4, 6}, {3, 2, 1, 0}},  {4, {2, 20, 3, 19}, {1, 0, 3, 2}},
    {4, {3, 2, 33, 5}, {2, 3, 0, 1}}, {2, {300, 280}, {1, 0, 2, 3}},
    {4, {2, 7, 5, 9}, {0, 2, 1, 3}},  {4, {3, 20, 12, 40}, {0, 2, 1, 3}},
    {3, {5, 7, 700}, {1, 0, 2, 3}},   {2, {2, 1500}, {1, 0, 2, 3}},
    {2, {1300, 3}, {1, 0, 2, 3}},     {3, {3, 129, 70}, {0, 2, 1, 3}},
    {2, {1000, 20}, {1, 0, 2, 3}},    {4, {2, 20, 20, 24}, {0, 3, 1, 2}},
    {2, {20, 1000}, {1, 0, 2, 3}},
};
static const shape benches[] = {
    {2, {64, 64}, {1, 0, 2, 3}},        {2, {256, 256}, {1, 0, 2, 3}},       {2, {509, 521}, {1, 0, 2, 3}},
    {2, {1024, 1024}, {1, 0, 2, 3}},    {2, {4096, 4096}, {1, 0, 2, 3}},     {2, {4099, 4093}, {1, 0, 2, 3}},
    {2, {10007, 3}, {1, 0, 2, 3}},      {2, {3, 10007}, {1, 0, 2, 3}},       {2, {10000019, 3}, {1, 0, 2, 3}},
    {2, {3, 10000019}, {1, 0, 2, 3}},   {2, {10007, 4}, {1, 0, 2, 3}},       {2, {4, 10007}, {1, 0, 2, 3}},
    {2, {4000037, 8}, {1, 0, 2, 3}},    {2, {8, 4000037}, {1, 0, 2, 3}},     {2, {2000003, 16}, {1, 0, 2, 3}},
    {2, {16, 2000003}, {1, 0, 2, 3}},   {3, {64, 127, 129}, {0, 2, 1, 3}},   {4, {8, 128, 16, 64}, {0, 2, 1, 3}},
    {4, {8, 56, 56, 64}, {0, 3, 1, 2}}, {4, {31, 33, 35, 37}, {3, 2, 1, 0}},
};

static bool fill_case(const shape *s, fh_case *out) {
  int64_t turned[RANK] = {0};
  *out = (fh_case){0};
  size_t at = 0;
  for (int i = 0; i < RANK; i++) {
    out->scalars[i].i = s->axes[i];
    if (i >= s->rank) continue;
    turned[i] = s->extents[s->axes[i]];
    at += (size_t)snprintf(out->label + at, sizeof out->label - at, "%s%" PRId64, i ? "x" : "", s->extents[i]);
  }
  at += (size_t)snprintf(out->label + at, sizeof out->label - at, " by ");
  for (int i = 0; i < s->rank; i++) at += (size_t)snprintf(out->label + at, sizeof out->label - at, "%d", s->axes[i]);
  out->views[X] = fh_compact(FH_F32, s->rank, s->extents);
  out->views[Y] = fh_compact(FH_F32, s->rank, turned);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

/* ---- blocks of threads: tiles of up to 4096 elements, as the text cuts them --------------------------- */

enum { BLOCK_THREADS = 256, BLOCK_TILE = 4096, LEAST_PLANE = 1024 };

static bool is_copied(const fh_operand *operands) {
  const fh_operand *strides = &operands[FH_PERMUTE_X_STRIDES];
  return operands[FH_PERMUTE_NI].i == 1 || llabs(strides[3].i) <= llabs(strides[2].i);
}

/* Blocks stride over the tiles, of which narrow planes have more than are counted here. */
static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { MOST = 32 };
  const fh_operand *op = bound->stages[0].operands;
  const int64_t elements = op[FH_PERMUTE_NA].i * op[FH_PERMUTE_NB].i * op[FH_PERMUTE_NI].i * op[FH_PERMUTE_NJ].i;
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(fh_divide_up(elements, BLOCK_TILE), most), 1, 1}, .threads = BLOCK_THREADS};
}

static const char *tiles_unfit(const fh_bound *bound, bool copied) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t planes = op[FH_PERMUTE_NA].i * op[FH_PERMUTE_NB].i, plane = op[FH_PERMUTE_NI].i * op[FH_PERMUTE_NJ].i;
  if (is_copied(op) != copied) return copied ? "x is not fastest along the fastest dimension of y" : "rows are copied: nothing is turned";
  if (plane < LEAST_PLANE) return "planes of fewer than 1024 elements leave most of a tile empty";
  return planes * plane > INT32_MAX * (int64_t)(LEAST_PLANE / 2) ? "there are more tiles than 32 bits count" : NULL;
}
static const char *turn_unfit(const fh_bound *bound) { return tiles_unfit(bound, false); }
static const char *copy_unfit(const fh_bound *bound) { return tiles_unfit(bound, true); }

const fh_kernel_contract fh_contract_permute = {
    .name = "permute",
    .version = 1,
    .summary = "a copy with the dimensions in another order: transposes, fields to planes and back",
    .formula = "y[i0,i1,i2,i3] = x[j0,j1,j2,j3] with j[axis k] = i[k]",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("permute"),
    FH_EXACT_WITHIN(0, 0, "a copy"),
    .bind = bind,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    FH_BLOCKS({"turn", "permute_turn", "permute_block", FH_BLOCK_PORTABLE, false, FH_EXACT, tiles_shape, turn_unfit, 0.9},
              {"copy", "permute_copy", "permute_block", FH_BLOCK_PORTABLE, false, FH_EXACT, tiles_shape, copy_unfit, 0.9}),
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_EXACT, fh_permute_avx512, NULL, NULL, 0.9, 0},
              {"tuned", FH_ISA_AVX2, FH_EXACT, fh_permute_avx2, NULL, NULL, 0.9, 0}),
             ({"tuned", FH_ISA_NEON, FH_EXACT, fh_permute_neon, NULL, NULL, 0.9, 0})),
};
