/* The contract of attention: softmax(scale q k^T) v, heads in groups, causal or not. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "kernels/rows.h"
#include "kernels/unaligned.h"

enum { Q, K, V, Y };
enum { CAUSAL, SCALE };
enum { ROWS = 64, KEYS = 64 }; /* ATTENTION_ROWS and ATTENTION_KEYS of attention.k */

static const fh_view_param params[] = {
    {"q", FH_ROLE_IN, FH_F32, "(batch, heads, queries, d), d >= 1", false},
    {"k", FH_ROLE_IN, FH_F32, "(batch, kv_heads, keys, d), heads a multiple of kv_heads", false},
    {"v", FH_ROLE_IN, FH_F32, "(batch, kv_heads, keys, dv)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(batch, heads, queries, dv)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"causal", 'i', 0, "0 every query sees all keys, 1 query i sees the keys up to i + keys - queries"},
    {"scale", 'f', 1, "of the products, finite; usually 1 / sqrt(d)"},
};

static fh_status check(const fh_view_desc *v, const fh_value *scalars) {
  for (int i = Q; i <= Y; i++) {
    int64_t count;
    FH_TRY(fh_check_view("attention", &params[i], &v[i], 4, 4));
    FH_TRY(fh_check_count("attention", &params[i], &v[i], &count));
    FH_TRY(fh_check_extent("attention", &params[i], &v[i], 0, "batch", v[Q].shape[0], "q"));
  }
  FH_TRY(fh_check_extent("attention", &params[K], &v[K], 3, "d", v[Q].shape[3], "q"));
  FH_TRY(fh_check_extent("attention", &params[V], &v[V], 1, "kv_heads", v[K].shape[1], "k"));
  FH_TRY(fh_check_extent("attention", &params[V], &v[V], 2, "keys", v[K].shape[2], "k"));
  FH_TRY(fh_check_extent("attention", &params[Y], &v[Y], 1, "heads", v[Q].shape[1], "q"));
  FH_TRY(fh_check_extent("attention", &params[Y], &v[Y], 2, "queries", v[Q].shape[2], "q"));
  FH_TRY(fh_check_extent("attention", &params[Y], &v[Y], 3, "dv", v[V].shape[3], "v"));
  const int64_t heads = v[Q].shape[1], of_k = v[K].shape[1];
  if (v[Q].shape[3] < 1) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_attention: q has d = 0, expected 1 at least");
  if (heads > 0 && (of_k == 0 || heads % of_k != 0))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_attention: q has %" PRId64 " heads and k has %" PRId64
                     ", expected a multiple\n"
                     "  each head of k and v serves equally many heads of q, one behind the other",
                     heads, of_k);
  if (scalars[CAUSAL].i != 0 && scalars[CAUSAL].i != 1)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_attention: causal is %" PRId64 ", expected 0 or 1", scalars[CAUSAL].i);
  if (!isfinite((float)scalars[SCALE].f))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_attention: scale is %g, expected a finite float", scalars[SCALE].f);
  return FH_OK;
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check(v, scalars));
  const int64_t batch = v[Q].shape[0], heads = v[Q].shape[1], queries = v[Q].shape[2], d = v[Q].shape[3], dv = v[V].shape[3];
  const int64_t keys = v[K].shape[2], of_k = v[K].shape[1];
  if (batch == 0 || heads == 0 || queries == 0 || dv == 0) return FH_OK;
  const int64_t group = heads / of_k, blocks = (group * queries + ROWS - 1) / ROWS, width = (dv + 15) / 16 * 16;
  const int64_t items = batch * of_k * blocks;
  const double pairs = (double)batch * (double)heads * (double)queries * (double)keys * (scalars[CAUSAL].i && queries > 1 ? 0.5 : 1);
  out->flops = pairs * (2.0 * (double)d + 2.0 * (double)dv + 16);
  fh_stage *stage = fh_add_stage(out, 0, items, out->flops / (double)items);
  fh_push_views(stage, params, Q, Y);
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, of_k, group, queries, keys, d, dv, blocks, scalars[CAUSAL].i);
  fh_push_strides(stage, v, Q, Y);
  fh_push(stage, fh_op_f32((float)scalars[SCALE].f));
  int64_t bytes;
  if (__builtin_mul_overflow(items, (KEYS * (d + 4) + ROWS * (width + 17)) * (int64_t)sizeof(float), &bytes))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_attention: %" PRId64 " queries of %" PRId64 " heads, more than memory holds", queries, heads);
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)bytes;
  out->bytes = 4.0 * (double)batch * ((double)heads * (double)queries + (double)of_k * (double)keys) * (double)(d + dv);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

static double at(const fh_view_desc *v, void *const *data, int view, int64_t b, int64_t h, int64_t i, int64_t e) {
  const int64_t *s = v[view].strides;
  return (double)((const fh_f32_any *)data[view])[b * s[0] + h * s[1] + i * s[2] + e * s[3]];
}

/* One query. */
typedef struct row {
  int64_t seen;   /* keys */
  double *weight; /* exp(score - largest), of each */
  double sum;
  double spread; /* between the largest and the least score */
  double off;    /* by how much a score may be off that is computed in floats */
} row;

static void weigh(const fh_view_desc *v, void *const *data, const fh_value *scalars, int64_t b, int64_t h, int64_t i, row *out) {
  const int64_t of_k = h / (v[Q].shape[1] / v[K].shape[1]), keys = v[K].shape[2], d = v[Q].shape[3];
  const int64_t seen = scalars[CAUSAL].i ? i + 1 + keys - v[Q].shape[2] : keys;
  const double scale = (double)(float)scalars[SCALE].f;
  double top = -(double)INFINITY, least = (double)INFINITY, magnitude = 0;
  *out = (row){.seen = seen < 0 ? 0 : seen, .weight = out->weight};
  for (int64_t j = 0; j < out->seen; j++) {
    double dot = 0, sizes = 0;
    for (int64_t e = 0; e < d; e++) {
      const double term = at(v, data, Q, b, h, i, e) * at(v, data, K, b, of_k, j, e);
      dot += term;
      sizes += fabs(term);
    }
    out->weight[j] = dot * scale;
    top = fmax(top, dot * scale);
    least = fmin(least, dot * scale);
    magnitude = isnan(sizes) ? sizes : fmax(magnitude, sizes * fabs(scale));
  }
  for (int64_t j = 0; j < out->seen; j++) out->sum += out->weight[j] = exp(out->weight[j] - top);
  out->spread = top - least;
  /* One rounding of each product and sum; 8 are room for tensor cores: attention_sm80.k. */
  out->off = (double)(d + 8) * 0x1p-24 * magnitude;
}

/* Column c of the result, and the same of |v|. */
static double value(const fh_view_desc *v, void *const *data, int64_t b, int64_t h, int64_t c, const row *r, double *out_magnitude) {
  const int64_t of_k = h / (v[Q].shape[1] / v[K].shape[1]);
  double sum = 0;
  *out_magnitude = 0;
  for (int64_t j = 0; j < r->seen; j++) {
    const double x = at(v, data, V, b, of_k, j, c);
    sum += r->weight[j] * x;
    *out_magnitude += r->weight[j] * fabs(x);
  }
  *out_magnitude = r->seen ? *out_magnitude / r->sum : 0;
  return r->seen ? sum / r->sum : 0;
}

static void row_new(const fh_view_desc *v, row *r) {
  r->weight = malloc((size_t)(v[K].shape[2] + 1) * sizeof *r->weight);
  if (!r->weight) abort();
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const int64_t heads = v[Q].shape[1], queries = v[Q].shape[2], *s = v[Y].strides;
  row r;
  double unused;
  row_new(v, &r);
  for (int64_t line = 0; line < v[Q].shape[0] * heads * queries; line++) {
    const int64_t b = line / queries / heads, h = line / queries % heads, i = line % queries;
    weigh(v, data, scalars, b, h, i, &r);
    for (int64_t c = 0; c < v[V].shape[3]; c++)
      ((fh_f32_any *)data[Y])[b * s[0] + h * s[1] + i * s[2] + c * s[3]] = (float)value(v, data, b, h, c, &r, &unused);
  }
  free(r.weight);
}

/* u = 2^-24. A weight is off by the factor exp(e), e = what its score is off by; the rounding of score - m and the error of exp, together
 * (4 + 5/4 spread) u; and the same for each time that m changed before it, whose differences add up to the spread: 5 u for each block of
 * keys. So the quotient of sums is off by 2 e of the mean of |v|; the sums themselves round once for each key and block, the quotient once.
 * A weight below 2^-125.9 is 0. Tensor cores (attention_sm80.k) and pieces of keys (block/attention_split.h) state what they take of it. */
static double bound(const row *r, double magnitude) {
  const double unit = 0x1p-24, keys = (double)r->seen, blocks = keys / KEYS + 1;
  const double weights = 2 * r->off + unit * (2.5 * r->spread + 10 * blocks + 8), sums = unit * (keys + keys / 16 + 4 * blocks + 12);
  return magnitude * expm1(2 * weights + sums);
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t heads = v[Q].shape[1], queries = v[Q].shape[2], dv = v[V].shape[3];
  const char *wrong = NULL;
  row r;
  row_new(v, &r);
  for (int64_t line = 0; line < v[Q].shape[0] * heads * queries && !wrong; line++) {
    const int64_t b = line / queries / heads, h = line / queries % heads, i = line % queries;
    weigh(v, want, c->scalars, b, h, i, &r);
    for (int64_t column = 0; column < dv && !wrong; column++) {
      double magnitude;
      const double exact = value(v, want, b, h, column, &r, &magnitude), g = at(v, got, Y, b, h, i, column);
      const double error = bound(&r, magnitude) + (double)r.seen * 0x1p-120;
      if (isnan(exact) && !isnan(g)) wrong = "a number where the oracle has none";
      if (isfinite(exact) && isfinite(error) && !(fabs(g - exact) <= error)) wrong = "an element is off by more than its weights may be";
    }
  }
  free(r.weight);
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t batch, heads, kv_heads, queries, keys, d, dv;
  int causal;
  double scale;
} shape;

static const shape cases[] = {
    {1, 4, 2, 7, 19, 5, 6, 1, 0.5},        {0, 1, 1, 2, 3, 4, 4, 0, 1},        {1, 2, 1, 0, 3, 4, 4, 0, 1},
    {1, 2, 1, 3, 0, 4, 4, 1, 1},           {1, 1, 1, 1, 1, 1, 1, 0, 1},        {2, 1, 1, 5, 3, 16, 16, 1, 0.25},
    {1, 2, 2, 4, 64, 16, 64, 0, 3},        {1, 1, 1, 9, 65, 17, 15, 1, -0.7},  {1, 6, 2, 1, 130, 32, 70, 1, 0.18},
    {1, 3, 1, 23, 23, 8, 33, 1, 40},       {1, 1, 1, 66, 70, 20, 17, 1, 0.22}, {2, 4, 1, 17, 129, 33, 32, 0, 0.17},
    {1, 1, 1, 130, 190, 64, 64, 1, 0.125}, {2, 4, 2, 9, 70, 8, 66, 1, 0.3},    {1, 2, 2, 70, 150, 64, 128, 1, 0.125},
};
/* Prompts of an encoder and of a decoder, heads in groups, a step. */
static const shape benches[] = {
    {1, 12, 12, 128, 128, 64, 64, 0, 0.125},  {1, 12, 12, 512, 512, 64, 64, 0, 0.125}, {1, 12, 12, 1024, 1024, 64, 64, 1, 0.125},
    {1, 16, 4, 512, 512, 128, 128, 1, 0.088}, {1, 12, 12, 1, 1024, 64, 64, 1, 0.125},  {1, 32, 8, 1, 4096, 128, 128, 1, 0.088},
    {8, 12, 12, 1, 257, 64, 64, 1, 0.125},    {3, 5, 5, 101, 103, 48, 48, 0, 0.144},
};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t q[] = {s->batch, s->heads, s->queries, s->d}, k[] = {s->batch, s->kv_heads, s->keys, s->d};
  const int64_t v[] = {s->batch, s->kv_heads, s->keys, s->dv}, y[] = {s->batch, s->heads, s->queries, s->dv};
  *out = (fh_case){.views = {fh_compact(FH_F32, 4, q), fh_compact(FH_F32, 4, k), fh_compact(FH_F32, 4, v), fh_compact(FH_F32, 4, y)}};
  out->scalars[CAUSAL].i = s->causal;
  out->scalars[SCALE].f = s->scale;
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 "/%" PRId64 ", %" PRId64 " by %" PRId64 ", d=%" PRId64 "%s", s->batch,
           s->heads, s->kv_heads, s->queries, s->keys, s->d, s->causal ? ", causal" : "");
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

/* ---- blocks of threads -------------------------------------------------------------------------------------------------- */

enum { OP_HEADS = 5, OP_GROUP, OP_QUERIES, OP_KEYS, OP_D, OP_DV };
enum { FEWEST_ROWS = 16, COLUMNS = 64, MOST_COLUMNS = 128 };
enum { MOST_KEYS = INT32_MAX - 128 }; /* the number that ends a loop over tiles of them is an int, too */

static int64_t operand(const fh_bound *bound, int i) { return bound->stages[0].operands[i].i; }

static int64_t tiles_of(const fh_bound *bound) { return bound->stages[0].items; } /* of 64 queries, as the text's */

/* Queries that share their keys. */
static int64_t rows_of(const fh_bound *bound) { return operand(bound, OP_GROUP) * operand(bound, OP_QUERIES); }

static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)tiles_of(bound), 1, 1}, .threads = 2 * ROWS};
}

/* What all variants have in common. */
static const char *block_unfit(const fh_bound *bound, bool wide) {
  if (operand(bound, OP_DV) > MOST_COLUMNS) return "v has more than 128 columns: their sums do not fit the registers";
  if (wide != (operand(bound, OP_DV) > COLUMNS)) return wide ? "v has at most 64 columns" : "v has more than 64 columns";
  return operand(bound, OP_KEYS) > MOST_KEYS ? "more keys than an int counts" : NULL;
}

static const char *tiles_unfit_of(const fh_bound *bound, bool wide) {
  const char *unfit = block_unfit(bound, wide);
  if (unfit) return unfit;
  if (rows_of(bound) < FEWEST_ROWS) return "fewer than 16 queries share their keys: most of a tile would be empty";
  return tiles_of(bound) > INT32_MAX ? "more tiles than a grid has blocks" : NULL;
}
static const char *tiles_unfit(const fh_bound *bound) { return tiles_unfit_of(bound, false); }
static const char *tiles_wide_unfit(const fh_bound *bound) { return tiles_unfit_of(bound, true); }

/* ---- tensor cores: attention_sm80.k ---- */
static bool mma_is_wide(const fh_bound *bound) { return operand(bound, OP_D) > COLUMNS || operand(bound, OP_DV) > COLUMNS; }

static void mma_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const int columns = mma_is_wide(bound) ? MOST_COLUMNS : COLUMNS, threads = 2 * ROWS;
  const int lines = ROWS + 2 * ROWS * COLUMNS / columns, tile = 48; /* of q, k and v; bytes: which tile it is */
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)tiles_of(bound), 1, 1},
                          .threads = (uint32_t)threads,
                          .shared_bytes = (uint32_t)(lines * columns + ROWS + threads) * (uint32_t)sizeof(float) + tile};
}

static const char *mma_unfit_of(const fh_bound *bound, bool wide) {
  if (operand(bound, OP_D) > MOST_COLUMNS) return "q has more than 128 elements: their tiles do not fit the shared memory";
  const char *unfit = tiles_unfit_of(bound, operand(bound, OP_DV) > COLUMNS);
  if (unfit) return unfit;
  return wide == mma_is_wide(bound) ? NULL : wide ? "q and v have at most 64 columns" : "q or v has more than 64 columns";
}
static const char *mma_unfit(const fh_bound *bound) { return mma_unfit_of(bound, false); }
static const char *mma_wide_unfit(const fh_bound *bound) { return mma_unfit_of(bound, true); }

/* ---- few queries: kernels/block/attention_split.h, and its numbers ---- */
enum {
  SPLIT_ROWS = 8,
  SPLIT_KEYS = 128,
  SPLIT_THREADS = 128,
  SPLIT_HEAD = 32,
  MOST_PIECES = 64,
  MOST_SPLIT_ROWS = 64,
  BLOCKS_EACH = 3,      /* of a multiprocessor, at a time */
  USUAL_PROCESSORS = 64 /* where nothing is known */
};

static int64_t heads_of(const fh_bound *bound) { /* of k, in all batches */
  const int64_t blocks = (rows_of(bound) + ROWS - 1) / ROWS;
  return blocks > 0 ? tiles_of(bound) / blocks : 0;
}
static int64_t split_tiles(const fh_bound *bound) { return heads_of(bound) * ((rows_of(bound) + SPLIT_ROWS - 1) / SPLIT_ROWS); }

/* As many as keep the device busy, and no more than there are tiles of keys. */
static int64_t split_pieces(const fh_bound *bound, int multiprocessors) {
  const int64_t wanted = BLOCKS_EACH * (int64_t)(multiprocessors > 0 ? multiprocessors : USUAL_PROCESSORS), tiles = split_tiles(bound);
  const int64_t of_keys = (operand(bound, OP_KEYS) + SPLIT_KEYS - 1) / SPLIT_KEYS, pieces = tiles > 0 ? (wanted + tiles - 1) / tiles : 1;
  const int64_t most = of_keys < MOST_PIECES ? of_keys : MOST_PIECES;
  return pieces < most ? pieces : most > 0 ? most : 1;
}

static void split_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const uint32_t pieces = (uint32_t)split_pieces(bound, multiprocessors);
  *out = (fh_block_shape){.grid = {(uint32_t)split_tiles(bound), pieces, 1}, .threads = SPLIT_THREADS};
}
static void merge_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)(heads_of(bound) * rows_of(bound)), 1, 1}, .threads = SPLIT_THREADS};
}
static const fh_block_step split_rest[] = {{"attention_merge", merge_shape}};

static size_t split_scratch(const fh_bound *bound, int multiprocessors) {
  const int64_t slots = split_tiles(bound) * SPLIT_ROWS * split_pieces(bound, multiprocessors), width = (operand(bound, OP_DV) + 3) / 4 * 4;
  return (size_t)(SPLIT_HEAD + slots * (2 + width)) * sizeof(float);
}

static const char *split_unfit_of(const fh_bound *bound, bool wide) {
  const char *unfit = block_unfit(bound, wide);
  if (unfit) return unfit;
  if (rows_of(bound) > MOST_SPLIT_ROWS) return "more than 64 queries share their keys: they would be read more than 8 times";
  return heads_of(bound) > INT32_MAX / MOST_SPLIT_ROWS ? "more heads than a grid has blocks" : NULL;
}
static const char *split_unfit(const fh_bound *bound) { return split_unfit_of(bound, false); }
static const char *split_wide_unfit(const fh_bound *bound) { return split_unfit_of(bound, true); }

/* The efficiency is a guess: nothing has been measured. */
#define SPLIT_ROW(NAME, ENTRY, UNFIT)   \
  {.name = NAME,                        \
   .entry = ENTRY,                      \
   .text = "attention_block",           \
   .capability = FH_BLOCK_PORTABLE,     \
   .numerics = FH_BOUNDED,              \
   .shape = split_shape,                \
   .unfit = UNFIT,                      \
   .efficiency = 0.3,                   \
   .rest = split_rest,                  \
   .rest_count = FH_LENGTH(split_rest), \
   .scratch_bytes = split_scratch}

const fh_kernel_contract fh_contract_attention = {
    .name = "attention",
    .version = 1,
    .summary = "softmax of scaled products of queries and keys, times values; heads in groups, causal or not",
    .formula =
        "y[b,h,i,:] = sum over j of w[j] v[b,g,j,:] / sum over j of w[j], w[j] = exp(scale q[b,h,i,:] k[b,g,j,:]), g = h kv_heads / "
        "heads, j over all keys, or, causal, up to i + keys - queries; without a key 0 (Vaswani et al. 2017; one pass: Dao et al. 2022)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(4), FH_RANK(4), FH_RANK(4), FH_RANK(4)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("attention"),
    FH_EXACT_WITHIN(0, 0, "what scores, weights and sums may be off by, as a part of the weighted mean of |v|: query by query in compare"),
    .bind = bind,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = compare,
    FH_BLOCKS(
        {"tiles", "attention_tiles", "attention_block", FH_BLOCK_PORTABLE, false, FH_EXACT, tiles_shape, tiles_unfit, 0.5},
        {"tiles_wide", "attention_tiles_wide", "attention_block", FH_BLOCK_PORTABLE, false, FH_EXACT, tiles_shape, tiles_wide_unfit, 0.5},
        {"mma", "attention_mma", "attention_sm80", 80, false, FH_BOUNDED, mma_shape, mma_unfit, 0.9},
        {"mma_wide", "attention_mma_wide", "attention_sm80", 80, false, FH_BOUNDED, mma_shape, mma_wide_unfit, 0.9},
        SPLIT_ROW("split", "attention_split", split_unfit), SPLIT_ROW("split_wide", "attention_split_wide", split_wide_unfit)),
};
