/* The contract of segment_sum: sums of rows between offsets. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/segments.h"

#include "kernels/rows.h"

enum { X, OFFSETS, Y };
enum { EVEN, WINDOW, JOIN }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(n, d) or (n)", false},
    {"offsets", FH_ROLE_IN, FH_I64, "(edges)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(segments, d) or (segments)", false},
};

static fh_segments cut_of(const fh_view_desc *v) {
  return fh_segments_of(v[X].shape[0], v[Y].shape[0], v[X].rank == 2 ? v[X].shape[1] : 1);
}

static fh_status check(const fh_view_desc *v) {
  FH_TRY(fh_check_view("segment_sum", &params[X], &v[X], 1, 2));
  FH_TRY(fh_check_view("segment_sum", &params[OFFSETS], &v[OFFSETS], 1, 1));
  FH_TRY(fh_check_view("segment_sum", &params[Y], &v[Y], v[X].rank, v[X].rank));
  if (v[X].rank == 2) FH_TRY(fh_check_extent("segment_sum", &params[Y], &v[Y], 1, "d", v[X].shape[1], "x"));
  return fh_check_edges("segment_sum", &params[OFFSETS], &v[OFFSETS], v[Y].shape[0], "y");
}

static void push(fh_stage *stage, fh_operand operand) { stage->operands[stage->operand_count++] = operand; }

static void push_all(fh_stage *stage, const int64_t *values, int count) {
  for (int i = 0; i < count; i++) push(stage, fh_op_i64(values[i]));
}

/* One row of 16 columns at a time from this many columns on; fewer are padded by lanes that do nothing. */
static bool wide(const fh_view_desc *v) { return v[X].rank == 2 && v[X].shape[1] > 1; }
static int64_t place_floats(const fh_view_desc *v) { return wide(v) ? (v[X].shape[1] + 15) / 16 * 16 : 1; }

static void bind_sums(const fh_view_desc *v, const fh_segments *s, int entry, fh_stage *stage) {
  *stage = (fh_stage){.entry = entry, .items = entry == EVEN ? (s->segments - 1) / s->per + 1 : s->windows};
  stage->flops_per_item = 2.0 * ((double)s->n * (double)s->d + 4.0 * (double)s->segments) / (double)stage->items;
  push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  push(stage, fh_op_view(FH_OPERAND_IN, OFFSETS, 0));
  push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  const bool rows = v[X].rank == 2;
  const int64_t values[] = {s->n,
                            s->segments,
                            s->per,
                            s->piece,
                            wide(v),
                            s->d,
                            v[X].strides[0],
                            rows ? v[X].strides[1] : 0,
                            v[OFFSETS].strides[0],
                            v[Y].strides[0],
                            rows ? v[Y].strides[1] : 0};
  push_all(stage, values, (int)(sizeof values / sizeof *values));
  if (entry == EVEN) return;
  push(stage, fh_op_temp(0));
  push(stage, fh_op_i64(place_floats(v)));
}

static void bind_join(const fh_view_desc *v, const fh_segments *s, fh_stage *stage) {
  *stage = (fh_stage){.entry = JOIN, .items = s->windows, .flops_per_item = 32};
  push(stage, fh_op_view(FH_OPERAND_IN, OFFSETS, 0));
  push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  push(stage, fh_op_temp(0));
  const int64_t values[] = {s->n,
                            s->segments,
                            s->piece,
                            wide(v),
                            s->d,
                            place_floats(v),
                            v[OFFSETS].strides[0],
                            v[Y].strides[0],
                            v[X].rank == 2 ? v[Y].strides[1] : 0};
  push_all(stage, values, (int)(sizeof values / sizeof *values));
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  *out = (fh_bound){0};
  FH_TRY(check(v));
  int64_t terms = 0, sums = 0;
  FH_TRY(fh_check_count("segment_sum", &params[X], &v[X], &terms));
  FH_TRY(fh_check_count("segment_sum", &params[Y], &v[Y], &sums));
  if (sums == 0) return FH_OK;
  const fh_segments s = cut_of(v);
  out->stage_count = 1;
  bind_sums(v, &s, EVEN, &out->stages[0]);
  out->flops = (double)terms;
  out->bytes = 4.0 * ((double)terms + (double)sums) + 8.0 * (double)s.segments;
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  const fh_segments s = cut_of(v);
  fh_segment_sizes sizes;
  FH_TRY(fh_check_offsets("segment_sum", &params[OFFSETS], &v[OFFSETS], data[OFFSETS], s.n, &sizes));
  const bool split = fh_segments_want_split(&s, sizes.longest);
  fh_segments_note(&s, &sizes, split, "segment", note);
  if (!split) return FH_OK;
  bound->stage_count = 2;
  bind_sums(v, &s, WINDOW, &bound->stages[0]);
  bind_join(v, &s, &bound->stages[1]);
  bound->temp_count = 1;
  bound->temp_bytes[0] = 2 * (size_t)s.windows * (size_t)place_floats(v) * sizeof(float);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static double sum_of(const fh_view_desc *v, void *const *data, int64_t segment, int64_t column, int64_t *out_terms, double *out_magnitude) {
  const int64_t n = v[X].shape[0], last = v[X].rank == 2 ? v[X].strides[1] : 0;
  int64_t begin = fh_offset_at(&v[OFFSETS], data[OFFSETS], segment), end = fh_offset_at(&v[OFFSETS], data[OFFSETS], segment + 1);
  begin = begin < 0 ? 0 : begin > n ? n : begin;
  end = end < begin ? begin : end > n ? n : end;
  double sum = 0;
  *out_magnitude = 0;
  *out_terms = end - begin;
  for (int64_t e = begin; e < end; e++) {
    const double x = (double)((const fh_f32_any *)data[X])[e * v[X].strides[0] + column * last];
    sum += x;
    *out_magnitude += fabs(x);
  }
  return sum;
}

static fh_f32_any *y_at(const fh_view_desc *v, void *const *data, int64_t segment, int64_t column) {
  return (fh_f32_any *)data[Y] + segment * v[Y].strides[0] + (v[Y].rank == 2 ? column * v[Y].strides[1] : 0);
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_segments s = cut_of(v);
  int64_t terms;
  double magnitude;
  for (int64_t i = 0; i < s.segments; i++)
    for (int64_t j = 0; j < s.d; j++) *y_at(v, data, i, j) = (float)sum_of(v, data, i, j, &terms, &magnitude);
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_segments s = cut_of(c->views);
  for (int64_t i = 0; i < s.segments; i++) {
    for (int64_t j = 0; j < s.d; j++) {
      int64_t terms;
      double magnitude, exact = sum_of(c->views, want, i, j, &terms, &magnitude);
      if (!fh_segments_close((double)*y_at(c->views, got, i, j), exact, magnitude, terms)) return "a sum is off by more than m u sum |x|";
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
  const int64_t x[] = {s->n, s->d}, y[] = {s->segments, s->d}, edges = s->segments + 1;
  const int32_t rank = s->d ? 2 : 1;
  *out = (fh_case){.views = {fh_compact(FH_F32, rank, x), fh_compact(FH_I64, 1, &edges), fh_compact(FH_F32, rank, y)}};
  *fh_case_skew(out) = s->skew;
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " segments=%" PRId64 " d=%" PRId64 " %s", s->n, s->segments, s->d,
           fh_skew_names[s->skew]);
  return true;
}

static bool case_at(int i, fh_case *out) { return i >= 0 && i < (int)(sizeof cases / sizeof *cases) && fill_case(&cases[i], out); }
static bool bench_at(int i, fh_case *out) { return i >= 0 && i < (int)(sizeof benches / sizeof *benches) && fill_case(&benches[i], out); }

static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *v = c->views;
  if (index == OFFSETS) {
    fh_segments_fill(c, OFFSETS, v[X].shape[0], data, seed);
    return;
  }
  const int64_t count = v[index].shape[0] * (v[index].rank == 2 ? v[index].shape[1] : 1);
  for (int64_t i = 0; i < count; i++) ((float *)data)[i] = (float)(2 * fh_skew_unit(&seed) - 1);
}

static const char *const entries[] = {"segment_sum_even", "segment_sum_window", "segment_sum_join"};

const fh_kernel_contract fh_contract_segment_sum = {
    .name = "segment_sum",
    .version = 1,
    .summary = "sums of the rows between ascending offsets; an empty segment is 0",
    .formula = "y[i,:] = sum of x[r,:] over offsets[i] <= r < offsets[i+1]; in pieces of 4096 elements, each by 16 lanes, in order",
    .views = params,
    .view_count = 3,
    .entries = entries,
    .entry_count = 3,
    .dialect_numerics = FH_EXACT,
    .bound_rel = 0x1p-12,
    .bound_abs = 0,
    .bound_source = "m u sum |x| for m terms in any order (Higham 2002, eq. 4.4), element by element in compare; bound_rel is 4096 u",
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << OFFSETS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
};
