/* The contract of segment_sum: sums of rows between offsets. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/numbered_rows.h"
#include "kernels/segments.h"

enum { X = FH_NUMBERED_X, OFFSETS = FH_NUMBERED_BY, Y = FH_NUMBERED_Y };
enum { EVEN, WINDOW, JOIN }; /* entries */
enum { N_OPERAND = 3, SEGMENTS_OPERAND = 4, PIECE_OPERAND = 6, WIDE_OPERAND = 7, D_OPERAND = 8, MOST_OPERAND = 14 };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(n, d) or (n)", false},
    {"offsets", FH_ROLE_IN, FH_I64, "(edges)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(segments, d) or (segments)", false},
};

static fh_segments cut_of(const fh_view_desc *v) { return fh_segments_of(v[X].shape[0], v[Y].shape[0], fh_numbered_of(&v[X]).d); }

/* One row of 16 columns at a time from this many columns on; fewer are padded by lanes that do nothing. */
static bool wide(const fh_segments *s) { return s->d > 1; }
static int64_t place_floats(const fh_segments *s) { return wide(s) ? (s->d + 15) / 16 * 16 : 1; }

/* The two places of a window, which the even cut has no use for. `most`: see fh_segment_call. */
static void bind_sums(const fh_view_desc *v, const fh_segments *s, int entry, int64_t most, fh_bound *out) {
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  const int64_t items = entry == EVEN ? (s->segments - 1) / s->per + 1 : s->windows;
  fh_stage *stage = fh_add_stage(out, entry, items, 2.0 * ((double)s->n * (double)s->d + 4.0 * (double)s->segments) / (double)items);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, OFFSETS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, s->n, s->segments, s->per, s->piece, wide(s), s->d, x.row, x.column, v[OFFSETS].strides[0], y.row, y.column, most);
  fh_push(stage, fh_op_temp(0));
  fh_push(stage, fh_op_i64(place_floats(s)));
  out->temp_count = 1;
  out->temp_bytes[0] = (entry == EVEN ? 1 : 2 * (size_t)s->windows * (size_t)place_floats(s)) * sizeof(float);
}

static void bind_join(const fh_view_desc *v, const fh_segments *s, fh_bound *out) {
  const fh_numbered y = fh_numbered_of(&v[Y]);
  fh_stage *stage = fh_add_stage(out, JOIN, s->windows, 32);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, OFFSETS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, s->n, s->segments, s->piece, wide(s), s->d, place_floats(s), v[OFFSETS].strides[0], y.row, y.column);
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t terms = 0, sums = 0;
  FH_TRY(fh_check_numbered("segment_sum", params, v, &terms, &sums));
  FH_TRY(fh_check_edges("segment_sum", &params[OFFSETS], &v[OFFSETS], v[Y].shape[0], "y"));
  if (sums == 0) return FH_OK;
  const fh_segments s = cut_of(v);
  bind_sums(v, &s, EVEN, FH_SEGMENTS_UNSEEN, out);
  out->flops = (double)terms;
  out->bytes = 4.0 * ((double)terms + (double)sums) + 8.0 * (double)s.segments;
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  const fh_segments s = cut_of(v);
  fh_segment_sizes sizes;
  fh_operand *const most = &bound->stages[0].operands[MOST_OPERAND];
  if (!note && fh_offsets_plain(&v[OFFSETS], data[OFFSETS], s.n, fh_segments_even_up_to(&s))) {
    most->i = fh_segments_even_up_to(&s);
    return FH_OK;
  }
  FH_TRY(fh_check_offsets("segment_sum", &params[OFFSETS], &v[OFFSETS], data[OFFSETS], s.n, &sizes));
  most->i = sizes.longest;
  const bool split = fh_segments_want_split(&s, sizes.longest);
  fh_segments_note(&s, &sizes, split, "segment", note);
  if (!split) return FH_OK;
  bound->stage_count = 0; /* in place of the even cut */
  bind_sums(v, &s, WINDOW, sizes.longest, bound);
  bind_join(v, &s, bound);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static double sum_of(const fh_view_desc *v, void *const *data, int64_t segment, int64_t column, int64_t *out_terms, double *out_magnitude) {
  const fh_numbered x = fh_numbered_of(&v[X]);
  int64_t begin, end;
  fh_segment_terms(&v[OFFSETS], data[OFFSETS], segment, x.rows, &begin, &end);
  double sum = 0;
  *out_magnitude = 0;
  *out_terms = end - begin;
  for (int64_t e = begin; e < end; e++) {
    const double term = (double)*fh_numbered_at(&x, data[X], e, column);
    sum += term;
    *out_magnitude += fabs(term);
  }
  return sum;
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_segments s = cut_of(v);
  const fh_numbered y = fh_numbered_of(&v[Y]);
  int64_t terms;
  double magnitude;
  for (int64_t i = 0; i < s.segments; i++)
    for (int64_t j = 0; j < s.d; j++) *fh_numbered_at(&y, data[Y], i, j) = (float)sum_of(v, data, i, j, &terms, &magnitude);
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_segments s = cut_of(c->views);
  const fh_numbered y = fh_numbered_of(&c->views[Y]);
  for (int64_t i = 0; i < s.segments; i++) {
    for (int64_t j = 0; j < s.d; j++) {
      int64_t terms;
      double magnitude, exact = sum_of(c->views, want, i, j, &terms, &magnitude);
      if (!fh_segments_close((double)*fh_numbered_at(&y, got[Y], i, j), exact, magnitude, terms))
        return "a sum is off by more than m u sum |x|";
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t n, segments, d; /* d 0: rank 1 */
  fh_skew skew;
} shape;

static const shape cases[] = {
    {101, 9, 0, FH_SKEW_UNIFORM},      {0, 3, 0, FH_SKEW_UNIFORM},      {5, 0, 0, FH_SKEW_UNIFORM},      {0, 0, 2, FH_SKEW_UNIFORM},
    {1, 1, 0, FH_SKEW_UNIFORM},        {1, 1, 1, FH_SKEW_UNIFORM},      {37, 4, 3, FH_SKEW_WILD},        {300, 41, 0, FH_SKEW_WILD},
    {16, 1, 0, FH_SKEW_EQUAL},         {17, 2, 0, FH_SKEW_EQUAL},       {64, 1, 0, FH_SKEW_EQUAL},       {127, 31, 0, FH_SKEW_SORTED},
    {129, 5, 17, FH_SKEW_REVERSED},    {64, 3, 64, FH_SKEW_UNIFORM},    {50, 7, 83, FH_SKEW_HEAVY},      {1000, 300, 0, FH_SKEW_HEAVY},
    {4097, 1, 0, FH_SKEW_EQUAL},       {9000, 500, 0, FH_SKEW_ZIPF_16}, {20011, 7, 0, FH_SKEW_HEAVY},    {40000, 33, 0, FH_SKEW_EQUAL},
    {30011, 2000, 0, FH_SKEW_ZIPF_16}, {3001, 20, 5, FH_SKEW_HEAVY},    {2100, 40, 16, FH_SKEW_ZIPF_16}, {400, 3, 300, FH_SKEW_EQUAL},
    {24576, 64, 0, FH_SKEW_SORTED},
};
/* From L1 to DRAM; numbers of segments from one to many short ones. */
static const shape benches[] = {
    {10, 3, 0, FH_SKEW_UNIFORM},           {4093, 64, 0, FH_SKEW_UNIFORM},        {100003, 1009, 0, FH_SKEW_UNIFORM},
    {100003, 1009, 0, FH_SKEW_HEAVY},      {1000000, 300000, 0, FH_SKEW_UNIFORM}, {1000000, 100000, 0, FH_SKEW_ZIPF},
    {1000000, 100000, 0, FH_SKEW_ZIPF_16}, {1000000, 100000, 0, FH_SKEW_HEAVY},   {1000000, 1000, 0, FH_SKEW_SORTED},
    {1000000, 1000, 0, FH_SKEW_REVERSED},  {1000000, 1000, 0, FH_SKEW_EQUAL},     {10000000, 1000003, 0, FH_SKEW_UNIFORM},
    {10000000, 100, 0, FH_SKEW_EQUAL},     {100003, 1009, 64, FH_SKEW_UNIFORM},   {100003, 1009, 64, FH_SKEW_HEAVY},
};

static bool fill_case(const shape *s, fh_case *out) {
  *out = fh_numbered_case(s->n, FH_I64, s->segments + 1, s->segments, s->d, s->skew);
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " segments=%" PRId64 " d=%" PRId64 " %s", s->n, s->segments, s->d,
           fh_skew_names[s->skew]);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *v = c->views;
  if (index == OFFSETS)
    fh_segments_fill(c, OFFSETS, v[X].shape[0], data, seed);
  else
    fh_fill_uniform(&v[index], data, seed);
}

/* ---- blocks of threads ---- */
static fh_segment_call call_of(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  return (fh_segment_call){.n = op[N_OPERAND].i,
                           .segments = op[SEGMENTS_OPERAND].i,
                           .piece = op[PIECE_OPERAND].i,
                           .d = op[D_OPERAND].i,
                           .most = op[MOST_OPERAND].i};
}
static bool of_rows(const fh_bound *bound) { return bound->stages[0].operands[WIDE_OPERAND].i != 0; }

static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_segment_rows_shape(call_of(bound), multiprocessors, out);
}
static const char *rows_unfit(const fh_bound *bound) {
  return of_rows(bound) ? "segments of rows are summed along their columns" : fh_segment_rows_unfit(call_of(bound));
}
static void windows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_windows_shape(call_of(bound), multiprocessors, out);
}
static void chains_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_chains_shape(call_of(bound), multiprocessors, out);
}
static size_t windows_scratch(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  return fh_windows_scratch(call_of(bound));
}
static const char *windows_unfit(const fh_bound *bound) {
  return of_rows(bound) ? "segments of rows are summed along their columns" : fh_windows_unfit(call_of(bound));
}
static const char *columns_unfit(const fh_bound *bound) {
  return of_rows(bound) ? fh_windows_unfit(call_of(bound)) : "terms are single numbers";
}
static const fh_block_step chains[] = {{"segment_sum_chains", chains_shape}};

const fh_kernel_contract fh_contract_segment_sum = {
    .name = "segment_sum",
    .version = 1,
    .summary = "sums of the rows between ascending offsets; an empty segment is 0",
    .formula = "y[i,:] = sum of x[r,:] over offsets[i] <= r < offsets[i+1]; in pieces of 4096 elements, each by 16 lanes, in order",
    FH_VIEWS(params),
    FH_ENTRIES("segment_sum_even", "segment_sum_window", "segment_sum_join"),
    FH_EXACT_WITHIN(0x1p-12, 0,
                    "m u sum |x| for m terms in any order (Higham 2002, eq. 4.4), element by element in compare; bound_rel is 4096 u"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << OFFSETS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
    FH_BLOCKS({"rows", "segment_sum_rows", "segment_sum_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, rows_unfit, 0.5},
              {"windows", "segment_sum_windows", "segment_sum_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, windows_shape, windows_unfit, 0.8,
               chains, FH_LENGTH(chains), windows_scratch},
              {"columns", "segment_sum_columns", "segment_sum_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, windows_shape, columns_unfit, 0.8,
               chains, FH_LENGTH(chains), windows_scratch}),
};
