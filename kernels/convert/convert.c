/* The contract of convert: the same numbers in another floating type. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"
#include "kernels/narrow.h"
#include "kernels/unaligned.h"

enum { X, Y };
enum { PIECE = 4096 }; /* CONVERT_PIECE of convert.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d); f32, bf16 or f16", false},
    {"y", FH_ROLE_OUT, FH_BF16, "that of x; bf16 or f16, or f32 where x is not", false},
};

static const struct {
  fh_dtype from, to;
} pairs[] = {{FH_F32, FH_BF16}, {FH_F32, FH_F16}, {FH_BF16, FH_F32}, {FH_F16, FH_F32}};
enum { PAIRS = sizeof pairs / sizeof *pairs };
static const char *const entries[] = {"bf16_from_f32", "f16_from_f32", "f32_from_bf16", "f32_from_f16"};

static int pair_of(const fh_view_desc *v) {
  int i = 0;
  while (i < PAIRS && (pairs[i].from != v[X].dtype || pairs[i].to != v[Y].dtype)) i++;
  return i;
}

static fh_status convert_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  const int pair = pair_of(views);
  if (pair == PAIRS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_convert: x has type %s and y %s, expected f32 and one of bf16 and f16, in either order",
                     fh_dtype_name(views[X].dtype), fh_dtype_name(views[Y].dtype));
  fh_view_param typed[] = {params[X], params[Y]};
  typed[X].dtype = pairs[pair].from;
  typed[Y].dtype = pairs[pair].to;
  int64_t count = 0;
  FH_TRY(fh_check_rows("convert", typed, views, Y, &count));
  if (count == 0) return FH_OK;

  fh_axis axes[FH_WALK_RANK];
  fh_walk(views, axes);
  const int64_t n = axes[FH_WALK_RANK - 1].extent, pieces = fh_divide_up(n, PIECE), items = axes[0].extent * axes[1].extent * pieces;
  fh_stage *stage = fh_add_stage(out, pair, items, 4.0 * (double)count / (double)items);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, axes[1].extent, n, pieces);
  fh_walk_operands(stage, axes, X);
  fh_walk_operands(stage, axes, Y);
  out->flops = 4.0 * (double)count;
  out->bytes = 6.0 * (double)count;
  return FH_OK;
}

static void convert_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  const int pair = pair_of(views);
  const fh_f32_any *floats = data[X];
  const fh_u16_any *halves = data[X];
  for (int64_t row = 0; row < x.rows; row++) {
    for (int64_t i = 0; i < x.d; i++) {
      const int64_t from = fh_rows_at(&x, row, i), to = fh_rows_at(&y, row, i);
      if (pair == 0) ((fh_u16_any *)data[Y])[to] = fh_bf16_from_f32(floats[from]);
      if (pair == 1) ((fh_u16_any *)data[Y])[to] = fh_f16_from_f32(floats[from]);
      if (pair == 2) ((fh_f32_any *)data[Y])[to] = fh_f32_from_bf16(halves[from]);
      if (pair == 3) ((fh_f32_any *)data[Y])[to] = fh_f32_from_f16(halves[from]);
    }
  }
}

/* Every shape of the row kernels, and one around the end of a piece, with every pair of types. */
static bool convert_case_at(int i, fh_case *out) {
  static const fh_rows_shape more[] = {{1, {2 * PIECE + 17}}};
  if (i < 0) return false;
  const int shape = i / PAIRS;
  if (!fh_rows_case(shape, out) && (!fh_rows_case(shape - 1, out) || !fh_rows_case_of(more, FH_LENGTH(more), 0, out))) return false;
  out->views[Y] = out->views[X];
  out->views[X].dtype = pairs[i % PAIRS].from;
  out->views[Y].dtype = pairs[i % PAIRS].to;
  const size_t at = strlen(out->label);
  snprintf(out->label + at, sizeof out->label - at, " %s", entries[i % PAIRS]);
  return true;
}

static bool convert_bench_at(int i, fh_case *out) {
  static const int64_t rows[] = {4, 64, 1031, 16384}; /* of 1024: from 16 KiB of f32 to 64 MiB */
  *out = (fh_case){0};
  if (i < 0 || i >= FH_LENGTH(rows) * PAIRS) return false;
  const int64_t shape[] = {rows[i / PAIRS], 1024};
  for (int v = X; v <= Y; v++) out->views[v] = fh_compact(v == X ? pairs[i % PAIRS].from : pairs[i % PAIRS].to, 2, shape);
  snprintf(out->label, sizeof out->label, "%" PRId64 "x1024 %s", shape[0], entries[i % PAIRS]);
  return true;
}

/* Any bits for the narrow types; f32 from far below the denormals of f16 to far above its largest. */
static void convert_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  (void)index;
  const int64_t count = fh_elements(&c->views[X]);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed);
    if (c->views[X].dtype == FH_F32)
      ((float *)data)[i] = ldexpf((float)(int32_t)(random >> 32), (int)(random >> 20 & 63) - 74);
    else
      ((uint16_t *)data)[i] = (uint16_t)(random >> 48);
  }
}

/* ---- blocks of threads: an entry for each pair ---- */
enum { N_OPERAND = 3, PIECES_OPERAND = 4 };

static void wide_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_wide_shape(bound->stages[0].operands[N_OPERAND].i, multiprocessors, out);
}
static const char *wide_unfit(const fh_bound *bound, int pair) {
  return bound->stages[0].entry != pair ? "it is for another pair of types" : fh_wide_unfit(bound, PIECES_OPERAND);
}
static const char *to_bf16_unfit(const fh_bound *bound) { return wide_unfit(bound, 0); }
static const char *to_f16_unfit(const fh_bound *bound) { return wide_unfit(bound, 1); }
static const char *of_bf16_unfit(const fh_bound *bound) { return wide_unfit(bound, 2); }
static const char *of_f16_unfit(const fh_bound *bound) { return wide_unfit(bound, 3); }
#define CONVERT_WIDE(name, entry, unfit) {name, entry "_wide", "convert_block", FH_BLOCK_PORTABLE, false, FH_EXACT, wide_shape, unfit, 0.9}

const fh_kernel_contract fh_contract_convert = {
    .name = "convert",
    .version = 1,
    .summary = "f32 from and to bf16 and f16",
    .formula = "y = x rounded to the type of y, to nearest, ties to even (IEEE 754-2019, 4.3.1); bf16 is the upper half of an f32",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(1) | FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2) | FH_RANK(3)),
    .entries = entries,
    .entry_count = FH_LENGTH(entries),
    FH_EXACT_WITHIN(0, 0, "one rounding: the result is fixed, but for the payload of a NaN"),
    .bind = convert_bind,
    .reference = convert_reference,
    .case_at = convert_case_at,
    .bench_at = convert_bench_at,
    .fill = convert_fill,
    FH_BLOCKS(CONVERT_WIDE("wide_to_bf16", "bf16_from_f32", to_bf16_unfit), CONVERT_WIDE("wide_to_f16", "f16_from_f32", to_f16_unfit),
              CONVERT_WIDE("wide_from_bf16", "f32_from_bf16", of_bf16_unfit), CONVERT_WIDE("wide_from_f16", "f32_from_f16", of_f16_unfit)),
};
