/* The contract of scatter_add: rows added to places by their numbers. SPDX-License-Identifier: Apache-2.0
 *
 * An id outside y breaks the contract: a launch refuses it; a text that meets one passes the row over. */
#include "kernels/cluster_blocks.h"
#include "kernels/numbered_rows.h"

#include <stdlib.h>

enum { X = FH_NUMBERED_X, IDS = FH_NUMBERED_BY, Y = FH_NUMBERED_Y };
enum { FRESH };
enum { DIRECT, CHUNK, COMBINE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(n, d) or (n)", false},
    {"ids", FH_ROLE_IN, FH_I32, "(n), each in [0, m)", false},
    {"y", FH_ROLE_INOUT, FH_F32, "(m, d) or (m)", false},
};
static const fh_scalar_param scalars_of[] = {{"fresh", 'i', 0, "1: y starts from zero; 0: from what it holds"}};

/* How the rows are cut. A function of shape alone: it fixes the order of additions. */
typedef struct plan {
  int64_t n, m, d, dp; /* dp: d rounded up to whole blocks of 16 lanes; 1 stays 1 */
  int64_t chunks, per, tables;
  int64_t band; /* columns of an item of the direct cut */
} plan;

/* Chunks where their tables are few and small beside the rows, so that clearing and adding them up is the smaller part. */
static plan plan_of(const fh_view_desc *v) {
  enum { MOST = 128, WORTH = 1 << 14, SCRATCH = 4 << 20, SMALL = 1024, BAND = 64 };
  plan p = {.n = v[IDS].shape[0], .m = v[Y].shape[0], .d = fh_numbered_of(&v[X]).d, .band = BAND};
  p.dp = p.d == 1 ? 1 : (p.d + 15) / 16 * 16;
  p.tables = p.d == 1 && p.m <= SMALL && p.n >= 4 * p.m ? 4 : 1;
  const double table = (double)(p.tables * p.dp) * (double)p.m, rows = (double)p.n * (double)p.dp;
  const double by_work = rows / (4 * table > WORTH ? 4 * table : WORTH), by_memory = SCRATCH / (table > 0 ? table : 1);
  const double chunks = by_work < by_memory ? by_work : by_memory;
  p.chunks = chunks < 1 ? 1 : chunks > MOST ? MOST : (int64_t)chunks;
  if (p.chunks == 1) p.tables = 1;
  p.per = p.n > 0 ? (p.n - 1) / p.chunks + 1 : 1;
  p.chunks = p.n > 0 ? (p.n - 1) / p.per + 1 : 1;
  return p;
}

enum { DIRECT_RUNS = 8, CHUNK_RUNS = 9 }; /* operands that say whether runs are kept in a register */

static void bind_direct(const fh_view_desc *v, const plan *p, int64_t fresh, fh_bound *out) {
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  const double work = 8.0 * (double)p->n * (double)(p->d < p->band ? p->d : p->band);
  fh_stage *stage = fh_add_stage(out, DIRECT, (p->d - 1) / p->band + 1, work);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, IDS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_INOUT, Y, 0));
  FH_PUSH_I64(stage, p->n, p->m, p->d, p->band, fresh, 0, x.row, x.column, v[IDS].strides[0], y.row, y.column);
}

static void bind_chunks(const fh_view_desc *v, const plan *p, int64_t fresh, fh_bound *out) {
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  const int64_t all_tables = p->chunks * p->tables;
  fh_stage *chunk = fh_add_stage(out, CHUNK, p->chunks, 8.0 * (double)(p->per + p->tables * p->m) * (double)p->dp);
  fh_push(chunk, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(chunk, fh_op_view(FH_OPERAND_IN, IDS, 0));
  fh_push(chunk, fh_op_temp(0));
  FH_PUSH_I64(chunk, p->n, p->m, p->d, p->dp, p->per, p->tables, 0, x.row, x.column, v[IDS].strides[0]);

  const int64_t items = p->dp == 1 ? (p->m + 15) / 16 : p->m;
  fh_stage *combine = fh_add_stage(out, COMBINE, items, (double)(p->dp == 1 ? 16 : p->dp) * (double)all_tables);
  fh_push(combine, fh_op_temp(0));
  fh_push(combine, fh_op_view(FH_OPERAND_INOUT, Y, 0));
  FH_PUSH_I64(combine, p->m, p->d, p->dp, all_tables, fresh, y.row, y.column);
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)(p->chunks * p->tables * p->dp) * (size_t)p->m * sizeof(float);
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  const int64_t fresh = scalars[FRESH].i;
  int64_t from = 0, to = 0;
  FH_TRY(fh_check_numbered("scatter_add", params, v, &from, &to));
  FH_TRY(fh_check_extent("scatter_add", &params[IDS], &v[IDS], 0, "n", v[X].shape[0], "x"));
  FH_TRY(fh_check_ids_reach("scatter_add", params, v, Y));
  if (fresh != 0 && fresh != 1) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_scatter_add: fresh is %" PRId64 ", expected 0 or 1", fresh);
  if (to == 0 || (from == 0 && !fresh)) return FH_OK;
  const plan p = plan_of(v);
  if (p.chunks > 1)
    bind_chunks(v, &p, fresh, out);
  else
    bind_direct(v, &p, fresh, out);
  out->flops = (double)from;
  const double touched =
      scalars[FRESH].i ? (double)to : 2.0 * (double)(to < from ? to : from); /* fresh: all of y is written, none is read */
  out->bytes = 4.0 * ((double)from + (double)p.n + touched);
  return FH_OK;
}

/* Runs are worth it where most ids equal the one before: elsewhere the test for one is mispredicted. */
static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  const plan p = plan_of(v);
  int64_t repeats;
  FH_TRY(fh_check_ids("scatter_add", &params[IDS], &v[IDS], data[IDS], p.m, "y", &repeats));
  const bool runs = p.d == 1 && p.tables == 1 && repeats > p.n / 2;
  if (runs) bound->stages[0].operands[p.chunks > 1 ? CHUNK_RUNS : DIRECT_RUNS].i = 1;
  if (!note) return FH_OK;
  int used = snprintf(note, FH_NOTE, "%" PRId64 " ids, %" PRId64 " equal the one before: ", p.n, repeats);
  if (p.chunks > 1)
    snprintf(note + used, FH_NOTE - (size_t)used, "%" PRId64 " chunks with tables of their own%s", p.chunks,
             runs ? ", runs in a register" : "");
  else
    snprintf(note + used, FH_NOTE - (size_t)used, "in place, %" PRId64 " columns an item%s", p.d < p.band ? p.d : p.band,
             runs ? ", runs in a register" : "");
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

/* One column of y in double: exact sums need more than a float for each place. */
typedef struct place {
  double sum, magnitude;
  int64_t terms;
} place;

static void column_of(const fh_view_desc *v, void *const *data, bool fresh, int64_t j, place *places) {
  const fh_numbered x = fh_numbered_of(&v[X]), y = fh_numbered_of(&v[Y]);
  for (int64_t i = 0; i < y.rows; i++) {
    const double start = fresh ? 0 : (double)*fh_numbered_at(&y, data[Y], i, j);
    places[i] = (place){start, fabs(start), 1};
  }
  for (int64_t r = 0; r < v[IDS].shape[0]; r++) {
    const int64_t id = fh_id_at(&v[IDS], data[IDS], r);
    if (id < 0 || id >= y.rows) continue;
    const double term = (double)*fh_numbered_at(&x, data[X], r, j);
    places[id].sum += term;
    places[id].magnitude += fabs(term);
    places[id].terms++;
  }
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const fh_numbered y = fh_numbered_of(&v[Y]);
  place *places = calloc((size_t)(y.rows + 1), sizeof *places);
  if (!places) return; /* the outputs stay as they were, and that is seen */
  for (int64_t j = 0; j < y.d; j++) {
    column_of(v, data, scalars[FRESH].i != 0, j, places);
    for (int64_t i = 0; i < y.rows; i++) *fh_numbered_at(&y, data[Y], i, j) = (float)places[i].sum;
  }
  free(places);
}

/* A sum of m terms in any order is within (m - 1) u sum |x| of the exact one (Higham 2002, eq. 4.4). What y held before is not
 * known here: the oracle's result, which is within u of the exact sum, stands for it, and |y| <= |sum| + sum |x|. */
static bool close_to(double found, double expected, const place *p) {
  if (isnan(expected) ? isnan(found) : found == expected) return true;
  if (isinf(expected)) return fabs(found) >= 0x1.fffffp127 && signbit(found) == signbit(expected); /* rounding decides at the edge */
  return fabs(found - expected) <= (double)(p->terms + 1) * (0x1p-24 * (2 * p->magnitude + fabs(expected)) + 0x1p-149);
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_numbered y = fh_numbered_of(&c->views[Y]);
  place *places = calloc((size_t)(y.rows + 1), sizeof *places);
  if (!places) return "no memory to compare";
  bool close = true;
  for (int64_t j = 0; j < y.d && close; j++) {
    column_of(c->views, want, true, j, places);
    for (int64_t i = 0; i < y.rows && close; i++)
      close = close_to((double)*fh_numbered_at(&y, got[Y], i, j), (double)*fh_numbered_at(&y, want[Y], i, j), &places[i]);
  }
  free(places);
  return close ? NULL : "a sum is off by more than m u sum |x|";
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t n, m, d; /* d 0: rank 1 */
  int fresh;
  fh_skew skew;
} shape;

static const shape cases[] = {
    {101, 7, 0, 0, FH_SKEW_UNIFORM},  {0, 3, 2, 1, FH_SKEW_UNIFORM},        {0, 3, 2, 0, FH_SKEW_UNIFORM},
    {4, 0, 2, 1, FH_SKEW_WILD},       {3, 4, 0, 1, FH_SKEW_UNIFORM},        {1, 1, 1, 0, FH_SKEW_EQUAL},
    {15, 40, 0, 1, FH_SKEW_WILD},     {33, 5, 3, 0, FH_SKEW_WILD},          {31, 9, 16, 0, FH_SKEW_ZIPF},
    {31, 9, 17, 1, FH_SKEW_SORTED},   {20, 6, 64, 0, FH_SKEW_HEAVY},        {12, 5, 200, 1, FH_SKEW_WILD},
    {9000, 3, 0, 0, FH_SKEW_WILD},    {40000, 5, 0, 1, FH_SKEW_ZIPF},       {40001, 2000, 0, 0, FH_SKEW_EQUAL},
    {700, 1300, 0, 1, FH_SKEW_EQUAL}, {40000, 1500, 0, 1, FH_SKEW_ZIPF_16}, {6000, 4, 5, 0, FH_SKEW_REVERSED},
    {3000, 7, 33, 1, FH_SKEW_HEAVY},  {2500, 3, 20, 0, FH_SKEW_WILD},
};
static const shape benches[] = {
    {10, 10, 0, 1, FH_SKEW_UNIFORM},
    {4093, 64, 0, 1, FH_SKEW_UNIFORM},
    {1000000, 256, 0, 1, FH_SKEW_UNIFORM},
    {1000000, 256, 0, 1, FH_SKEW_ZIPF_16},
    {1000000, 256, 0, 1, FH_SKEW_EQUAL},
    {1000000, 100003, 0, 1, FH_SKEW_UNIFORM},
    {1000000, 100003, 0, 1, FH_SKEW_ZIPF},
    {1000000, 100003, 0, 1, FH_SKEW_ZIPF_16},
    {1000000, 100003, 0, 1, FH_SKEW_HEAVY},
    {1000000, 100003, 0, 1, FH_SKEW_SORTED},
    {1000000, 100003, 0, 1, FH_SKEW_REVERSED},
    {1000000, 100003, 0, 1, FH_SKEW_EQUAL},
    {10000000, 1000003, 0, 1, FH_SKEW_UNIFORM},
    {100003, 1009, 16, 0, FH_SKEW_UNIFORM},
    {100003, 1009, 64, 0, FH_SKEW_ZIPF_16},
    {4096, 50257, 768, 0, FH_SKEW_ZIPF},
};

static bool fill_case(const shape *s, fh_case *out) {
  *out = fh_numbered_case(s->n, FH_I32, s->n, s->m, s->d, s->skew);
  out->scalars[FRESH].i = s->fresh;
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " m=%" PRId64 " d=%" PRId64 "%s %s", s->n, s->m, s->d, s->fresh ? " fresh" : "",
           fh_skew_names[s->skew]);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

static void fill(int index, const fh_case *c, void *data, uint64_t seed) { fh_numbered_fill(index, c, Y, data, seed); }

/* ---- blocks of threads, for the direct cut: groups of places as clusters ---- */
enum { M_OPERAND = 4, D_OPERAND = 5 };

static void groups_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const fh_cluster_work work = {bound->stages[0].operands[D_OPERAND].i, bound->stages[0].operands[M_OPERAND].i, 1};
  *out = (fh_block_shape){.grid = {(uint32_t)fh_cluster_groups(work), (uint32_t)fh_cluster_bands(work), 1}, .threads = FH_CLUSTER_THREADS};
}
static const char *groups_unfit(const fh_bound *bound) {
  const fh_cluster_work work = {bound->stages[0].operands[D_OPERAND].i, bound->stages[0].operands[M_OPERAND].i, 1};
  return fh_cluster_bands(work) > UINT16_MAX ? "a grid has no more blocks than 65535 a side" : NULL;
}

const fh_kernel_contract fh_contract_scatter_add = {
    .name = "scatter_add",
    .version = 1,
    .summary = "rows added to the rows of y that their ids name; ids may repeat",
    .formula = "y[j,:] += sum of x[r,:] over ids[r] = j, in order of r within a chunk and of chunks, which depend on the shape alone",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("scatter_add_direct", "scatter_add_chunk", "scatter_add_combine"),
    FH_EXACT_WITHIN(0x1p-12, 0,
                    "m u sum |x| for m terms in any order (Higham 2002, eq. 4.4), element by element in compare; bound_rel is 4096 u"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << IDS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
    FH_BLOCKS({"groups", "scatter_add_groups", "scatter_add_block", FH_BLOCK_PORTABLE, false, FH_EXACT, groups_shape, groups_unfit, 0.5}),
};
