/* The contract of gather: rows by their numbers, times a factor. SPDX-License-Identifier: Apache-2.0
 *
 * An id outside x breaks the contract: a launch refuses it; a text that meets one writes a row of zeros. */
#include "kernels/arithmetic.h"
#include "kernels/numbered_rows.h"

enum { X = FH_NUMBERED_X, IDS = FH_NUMBERED_BY, Y = FH_NUMBERED_Y };
enum { ITEM_FLOATS = 4096 };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(m, d) or (m)", false},
    {"ids", FH_ROLE_IN, FH_I32, "(n), each in [0, m)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(n, d) or (n)", false},
};

static const fh_scalar_param scalars_of[] = {{"scale", 'f', 1, "what the rows are multiplied by, finite"}};

/* Results of numbers, or of rows of whole lines, that lie compactly and fit no cache. */
static int64_t stream_of(const fh_view_desc *v) {
  enum { LINE = 16 };
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  const bool numbers = x.d == 1 && x.row == 1 && y.row == 1 && v[IDS].strides[0] == 1;
  const bool lines = x.d % LINE == 0 && x.column == 1 && y.column == 1;
  return (numbers || lines) && fh_rows_stream(y.rows * y.d);
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  int64_t from = 0, count = 0;
  FH_TRY(fh_check_numbered("gather", params, v, &from, &count));
  FH_TRY(fh_check_extent("gather", &params[Y], &v[Y], 0, "n", v[IDS].shape[0], "ids"));
  FH_TRY(fh_check_ids_reach("gather", params, v, X));
  if (!isfinite((float)scalars[0].f))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_gather: scale is %g, expected a finite float", scalars[0].f);
  if (count == 0) return FH_OK;
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): y has elements, so d is not 0 */
  const int64_t n = y.rows, per = x.d >= ITEM_FLOATS ? 1 : ITEM_FLOATS / x.d, items = (n - 1) / per + 1;
  fh_stage *stage = fh_add_stage(out, 0, items, 4.0 * (double)count / (double)items);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, IDS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, n, x.rows, x.d, per, stream_of(v), x.row, x.column, v[IDS].strides[0], y.row, y.column);
  fh_push(stage, fh_op_f32((float)scalars[0].f));
  out->flops = (double)count;
  out->bytes = 4.0 * ((double)n + 2.0 * (double)count);
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  (void)bound;
  FH_TRY(fh_check_ids("gather", &params[IDS], &v[IDS], data[IDS], v[X].shape[0], "x", NULL));
  if (note) snprintf(note, FH_NOTE, "%" PRId64 " ids, all in range; their skew does not matter to reads", v[IDS].shape[0]);
  return FH_OK;
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const float scale = (float)scalars[0].f;
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  for (int64_t r = 0; r < y.rows; r++) {
    const int64_t id = fh_id_at(&v[IDS], data[IDS], r);
    const bool inside = id >= 0 && id < x.rows;
    for (int64_t j = 0; j < x.d; j++) *fh_numbered_at(&y, data[Y], r, j) = inside ? scale * *fh_numbered_at(&x, data[X], id, j) : 0.0f;
  }
}

typedef struct shape {
  int64_t m, n, d; /* d 0: rank 1 */
  fh_skew skew;
} shape;

static const shape cases[] = {
    {13, 21, 11, FH_SKEW_UNIFORM}, {5, 0, 3, FH_SKEW_UNIFORM},  {0, 4, 2, FH_SKEW_WILD},     {4, 3, 0, FH_SKEW_UNIFORM},
    {1, 1, 1, FH_SKEW_EQUAL},      {50, 15, 0, FH_SKEW_WILD},   {50, 16, 0, FH_SKEW_SORTED}, {50, 17, 0, FH_SKEW_REVERSED},
    {7, 33, 3, FH_SKEW_WILD},      {9, 130, 8, FH_SKEW_ZIPF},   {20, 70, 16, FH_SKEW_HEAVY}, {20, 31, 17, FH_SKEW_WILD},
    {6, 12, 64, FH_SKEW_UNIFORM},  {6, 65, 127, FH_SKEW_EQUAL}, {3, 5, 1031, FH_SKEW_WILD},  {1000, 9001, 0, FH_SKEW_ZIPF_16},
    {300, 700, 20, FH_SKEW_ZIPF},
};
static const shape benches[] = {
    {100, 10, 0, FH_SKEW_UNIFORM},           {1000, 4093, 0, FH_SKEW_UNIFORM},      {1000000, 1000000, 0, FH_SKEW_UNIFORM},
    {1000000, 1000000, 0, FH_SKEW_ZIPF},     {1000000, 1000000, 0, FH_SKEW_SORTED}, {1000000, 1000000, 0, FH_SKEW_EQUAL},
    {1000000, 10000000, 0, FH_SKEW_ZIPF_16}, {10007, 100003, 3, FH_SKEW_UNIFORM},   {10007, 100003, 16, FH_SKEW_UNIFORM},
    {50257, 4096, 768, FH_SKEW_ZIPF},        {50257, 8191, 768, FH_SKEW_UNIFORM},
};

static bool fill_case(const shape *s, double scale, fh_case *out) {
  *out = fh_numbered_case(s->m, FH_I32, s->n, s->n, s->d, s->skew);
  out->scalars[0].f = scale;
  snprintf(out->label, sizeof out->label, "m=%" PRId64 " n=%" PRId64 " d=%" PRId64 " %s", s->m, s->n, s->d, fh_skew_names[s->skew]);
  return true;
}

/* Factors in turn: a copy, an embedding's sqrt(512), one below 0. */
static bool case_at(int i, fh_case *out) {
  static const double scales[] = {1, 22.6274, -0.3};
  return i >= 0 && i < FH_LENGTH(cases) && fill_case(&cases[i], scales[i % 3], out);
}
static bool bench_at(int i, fh_case *out) { return i >= 0 && i < FH_LENGTH(benches) && fill_case(&benches[i], 1, out); }

static void fill(int index, const fh_case *c, void *data, uint64_t seed) { fh_numbered_fill(index, c, X, data, seed); }

/* ---- blocks of threads: a power of two of them to a row ---- */
enum { N_OPERAND = 3, D_OPERAND = 5 };

static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, ROWS = 4, MOST = 64 };
  const fh_operand *op = bound->stages[0].operands;
  int64_t side = 1;
  while (side < THREADS && side < op[D_OPERAND].i) side *= 2;
  const int64_t blocks = fh_divide_up(op[N_OPERAND].i, ROWS * (THREADS / side));
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, most), 1, 1}, .threads = THREADS};
}

const fh_kernel_contract fh_contract_gather = {
    .name = "gather",
    .version = 2,
    .summary = "rows of x by their numbers, times a factor",
    .formula = "y[r,:] = scale x[ids[r],:]",
    FH_VIEWS(params),
    FH_CHUNKS(0, FH_RANK(1), FH_RANK(1) | FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("gather"),
    FH_EXACT_WITHIN(0, 0, "one product, rounded once; with a scale of 1 a copy"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << IDS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    FH_BLOCKS({"rows", "gather_rows", "gather_block", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, NULL, 0.8}),
};
