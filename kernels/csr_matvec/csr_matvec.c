/* The contract of csr_matvec: a sparse matrix in compressed rows times a vector. SPDX-License-Identifier: Apache-2.0
 *
 * A column outside x breaks the contract: a launch refuses it; a text that meets one reads 0 in its place. */
#include "kernels/segments.h"

#include "kernels/rows.h"

enum { VALUES, COLUMNS, OFFSETS, X, Y };
enum { EVEN, WINDOW, JOIN }; /* entries */
enum { N_OPERAND = 5, SEGMENTS_OPERAND = 6, PIECE_OPERAND = 8, MOST_OPERAND = 15 };

static const fh_view_param params[] = {
    {"values", FH_ROLE_IN, FH_F32, "(n)", false},      {"columns", FH_ROLE_IN, FH_I32, "(n), each in [0, cols)", false},
    {"offsets", FH_ROLE_IN, FH_I64, "(edges)", false}, {"x", FH_ROLE_IN, FH_F32, "(cols)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(rows)", false},
};

static fh_segments cut_of(const fh_view_desc *v) { return fh_segments_of(v[VALUES].shape[0], v[Y].shape[0], 1); }

static fh_status check(const fh_view_desc *v) {
  for (int i = VALUES; i <= Y; i++) FH_TRY(fh_check_view("csr_matvec", &params[i], &v[i], 1, 1));
  FH_TRY(fh_check_extent("csr_matvec", &params[COLUMNS], &v[COLUMNS], 0, "n", v[VALUES].shape[0], "values"));
  FH_TRY(fh_check_edges("csr_matvec", &params[OFFSETS], &v[OFFSETS], v[Y].shape[0], "y"));
  if (v[X].shape[0] > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_csr_matvec: x has %" PRId64 " elements, expected at most %d (columns are i32)", v[X].shape[0],
                     INT32_MAX);
  return FH_OK;
}

/* The two places of a window, which the even cut has no use for. `most`: see fh_segment_call. */
static void bind_sums(const fh_view_desc *v, const fh_segments *s, int entry, int64_t most, fh_bound *out) {
  const int64_t items = entry == EVEN ? (s->segments - 1) / s->per + 1 : s->windows;
  fh_stage *stage = fh_add_stage(out, entry, items, 8.0 * ((double)s->n + 2.0 * (double)s->segments) / (double)items);
  for (int i = VALUES; i <= X; i++) fh_push(stage, fh_op_view(FH_OPERAND_IN, i, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, s->n, s->segments, s->per, s->piece, v[X].shape[0]);
  for (int i = VALUES; i <= Y; i++) fh_push(stage, fh_op_i64(v[i].strides[0]));
  fh_push(stage, fh_op_i64(most));
  fh_push(stage, fh_op_temp(0));
  out->temp_count = 1;
  out->temp_bytes[0] = (entry == EVEN ? 1 : 2 * (size_t)s->windows) * sizeof(float);
}

static void bind_join(const fh_view_desc *v, const fh_segments *s, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, JOIN, s->windows, 32);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, OFFSETS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, s->n, s->segments, s->piece, v[OFFSETS].strides[0], v[Y].strides[0]);
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  FH_TRY(check(v));
  int64_t counts[Y + 1] = {0};
  for (int i = VALUES; i <= Y; i++) FH_TRY(fh_check_count("csr_matvec", &params[i], &v[i], &counts[i]));
  const fh_segments s = cut_of(v);
  if (s.segments == 0) return FH_OK;
  bind_sums(v, &s, EVEN, FH_SEGMENTS_UNSEEN, out);
  out->flops = 2.0 * (double)s.n;
  out->bytes = 8.0 * (double)s.n + 12.0 * (double)s.segments + 4.0 * (double)counts[X];
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  const fh_segments s = cut_of(v);
  fh_segment_sizes sizes;
  const bool even = !note && fh_offsets_plain(&v[OFFSETS], data[OFFSETS], s.n, fh_segments_even_up_to(&s));
  if (!even) FH_TRY(fh_check_offsets("csr_matvec", &params[OFFSETS], &v[OFFSETS], data[OFFSETS], s.n, &sizes));
  FH_TRY(fh_check_ids("csr_matvec", &params[COLUMNS], &v[COLUMNS], data[COLUMNS], v[X].shape[0], "x", NULL));
  bound->stages[0].operands[MOST_OPERAND].i = even ? fh_segments_even_up_to(&s) : sizes.longest;
  if (even) return FH_OK;
  const bool split = fh_segments_want_split(&s, sizes.longest);
  fh_segments_note(&s, &sizes, split, "row", note);
  if (!split) return FH_OK;
  bound->stage_count = 0; /* in place of the even cut */
  bind_sums(v, &s, WINDOW, sizes.longest, bound);
  bind_join(v, &s, bound);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static double row_of(const fh_view_desc *v, void *const *data, int64_t row, int64_t *out_terms, double *out_magnitude) {
  int64_t begin, end;
  fh_segment_terms(&v[OFFSETS], data[OFFSETS], row, v[VALUES].shape[0], &begin, &end);
  double sum = 0;
  *out_magnitude = 0;
  *out_terms = end - begin;
  for (int64_t e = begin; e < end; e++) {
    const int64_t column = fh_id_at(&v[COLUMNS], data[COLUMNS], e);
    const bool inside = column >= 0 && column < v[X].shape[0];
    const double x = inside ? (double)((const fh_f32_any *)data[X])[column * v[X].strides[0]] : 0;
    const double product = (double)((const fh_f32_any *)data[VALUES])[e * v[VALUES].strides[0]] * x;
    sum += product;
    *out_magnitude += fabs(product);
  }
  return sum;
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  int64_t terms;
  double magnitude;
  for (int64_t i = 0; i < v[Y].shape[0]; i++) ((fh_f32_any *)data[Y])[i * v[Y].strides[0]] = (float)row_of(v, data, i, &terms, &magnitude);
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  for (int64_t i = 0; i < v[Y].shape[0]; i++) {
    int64_t terms;
    double magnitude, exact = row_of(v, want, i, &terms, &magnitude);
    const double found = (double)((const fh_f32_any *)got[Y])[i * v[Y].strides[0]];
    if (!fh_segments_close(found, exact, magnitude, terms)) return "an element is off by more than m u sum |a||x|";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t rows, cols, n;
  fh_skew skew; /* of the lengths of rows; of the columns too, but that equal and heavy rows have uniform ones */
} shape;

static const shape cases[] = {
    {23, 17, 150, FH_SKEW_UNIFORM},     {3, 4, 0, FH_SKEW_UNIFORM},       {0, 4, 0, FH_SKEW_UNIFORM},
    {2, 0, 5, FH_SKEW_UNIFORM},         {1, 1, 1, FH_SKEW_UNIFORM},       {1, 9, 15, FH_SKEW_EQUAL},
    {1, 9, 16, FH_SKEW_EQUAL},          {1, 9, 17, FH_SKEW_EQUAL},        {5, 33, 64, FH_SKEW_EQUAL},
    {40, 30, 500, FH_SKEW_WILD},        {31, 1, 127, FH_SKEW_SORTED},     {64, 64, 1025, FH_SKEW_REVERSED},
    {100, 1000, 5000, FH_SKEW_ZIPF},    {7, 100, 4097, FH_SKEW_EQUAL},    {50, 999, 20011, FH_SKEW_HEAVY},
    {300, 257, 30000, FH_SKEW_ZIPF_16}, {9, 4099, 33000, FH_SKEW_SORTED}, {1000, 500, 8000, FH_SKEW_UNIFORM},
    {500, 300, 6007, FH_SKEW_WILD},
};
static const shape benches[] = {
    {10, 10, 30, FH_SKEW_UNIFORM},
    {500, 500, 5000, FH_SKEW_UNIFORM},
    {10007, 10007, 100003, FH_SKEW_UNIFORM},
    {100000, 100000, 1000000, FH_SKEW_UNIFORM},
    {100000, 100000, 1000000, FH_SKEW_ZIPF},
    {100000, 100000, 1000000, FH_SKEW_ZIPF_16},
    {100000, 100000, 1000000, FH_SKEW_HEAVY},
    {100000, 100000, 1000000, FH_SKEW_SORTED},
    {100000, 100000, 1000000, FH_SKEW_REVERSED},
    {100000, 100000, 1000000, FH_SKEW_EQUAL},
    {1000, 1000, 1000000, FH_SKEW_UNIFORM},
    {1000000, 1000000, 10000000, FH_SKEW_UNIFORM},
    {300007, 300007, 600011, FH_SKEW_UNIFORM},
};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t edges = s->rows + 1;
  *out = (fh_case){.views = {fh_compact(FH_F32, 1, &s->n), fh_compact(FH_I32, 1, &s->n), fh_compact(FH_I64, 1, &edges),
                             fh_compact(FH_F32, 1, &s->cols), fh_compact(FH_F32, 1, &s->rows)}};
  *fh_case_skew(out) = s->skew;
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 " n=%" PRId64 " %s", s->rows, s->cols, s->n, fh_skew_names[s->skew]);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *v = c->views;
  const fh_skew skew = fh_skew_of(c);
  if (index == OFFSETS) {
    fh_segments_fill(c, OFFSETS, v[VALUES].shape[0], data, seed);
  } else if (index == COLUMNS) {
    const fh_skew columns = skew == FH_SKEW_EQUAL || skew == FH_SKEW_HEAVY ? FH_SKEW_UNIFORM : skew;
    fh_skew_ids(columns, data, v[COLUMNS].shape[0], v[X].shape[0], seed);
  } else {
    fh_fill_uniform(&v[index], data, seed);
  }
}

/* ---- blocks of threads ---- */
static fh_segment_call call_of(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  return (fh_segment_call){
      .n = op[N_OPERAND].i, .segments = op[SEGMENTS_OPERAND].i, .piece = op[PIECE_OPERAND].i, .d = 1, .most = op[MOST_OPERAND].i};
}
static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_segment_rows_shape(call_of(bound), multiprocessors, out);
}
static const char *rows_unfit(const fh_bound *bound) { return fh_segment_rows_unfit(call_of(bound)); }
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
static const char *windows_unfit(const fh_bound *bound) { return fh_windows_unfit(call_of(bound)); }
static const fh_block_step chains[] = {{"csr_matvec_chains", chains_shape}};

const fh_kernel_contract fh_contract_csr_matvec = {
    .name = "csr_matvec",
    .version = 1,
    .summary = "a sparse matrix in compressed rows times a vector",
    .formula =
        "y[i] = sum of values[e] x[columns[e]] over offsets[i] <= e < offsets[i+1]; products rounded; up to 40 of them in "
        "order, more as segment_sum adds",
    FH_VIEWS(params),
    FH_ENTRIES("csr_matvec_even", "csr_matvec_window", "csr_matvec_join"),
    FH_EXACT_WITHIN(
        0x1p-12, 0,
        "(m + 1) u sum |a||x| for m products in any order (Higham 2002, eq. 3.5), element by element in compare; bound_rel is 4096 u"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << OFFSETS | 1u << COLUMNS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
    FH_BLOCKS({"rows", "csr_matvec_rows", "csr_matvec_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, rows_unfit, 0.5},
              {"windows", "csr_matvec_windows", "csr_matvec_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, windows_shape, windows_unfit, 0.8,
               chains, FH_LENGTH(chains), windows_scratch}),
};
