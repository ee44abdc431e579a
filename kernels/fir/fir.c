/* The contract of fir: a filter of finite response over channels. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"

enum { X, TAPS, STATE, Y };
enum { HEAD_STAGE, FIR_STAGE, STATE_STAGE }; /* entries */
enum { PIECE = 4096, BLOCK = 128 };          /* FIR_PIECE and FIR_BLOCK of fir.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(channels, n)", false},
    {"taps", FH_ROLE_IN, FH_F32, "(k), k >= 1", false},
    {"state", FH_ROLE_INOUT, FH_F32, "(channels, k - 1)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(channels, n)", false},
};

static fh_status fir_check(const fh_view_desc *v, int64_t *out_count) {
  static const int ranks[] = {2, 1, 2, 2};
  for (int i = X; i <= Y; i++) FH_TRY(fh_check_view("fir", &params[i], &v[i], ranks[i], ranks[i]));
  const int64_t taps = v[TAPS].shape[0];
  if (taps < 1) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_fir: taps is empty, expected one coefficient at least");
  FH_TRY(fh_check_extent("fir", &params[STATE], &v[STATE], 0, "channels", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("fir", &params[STATE], &v[STATE], 1, "k - 1", taps - 1, "taps"));
  FH_TRY(fh_check_extent("fir", &params[Y], &v[Y], 0, "channels", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("fir", &params[Y], &v[Y], 1, "n", v[X].shape[1], "x"));
  FH_TRY(fh_check_count("fir", &params[STATE], &v[STATE], out_count));
  return fh_check_count("fir", &params[X], &v[X], out_count);
}

static fh_status fir_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fir_check(v, &count));
  if (count == 0) return FH_OK;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1], taps = v[TAPS].shape[0], past = taps - 1;
  /* The line of a channel serves all blocks that begin before sample `past`. */
  const int64_t reach = (past + BLOCK - 1) / BLOCK * BLOCK, ahead = n < reach ? n : reach, pieces = (n + PIECE - 1) / PIECE;
  const int64_t *xs = v[X].strides, *ss = v[STATE].strides, *ys = v[Y].strides;
  out->temp_count = 1;
  FH_TRY(fh_check_scratch("fir", channels, past + ahead > 0 ? past + ahead : 1, sizeof(float), &out->temp_bytes[0]));
  if (past > 0) {
    fh_stage *head = fh_add_stage(out, HEAD_STAGE, channels, (double)(past + ahead));
    fh_push(head, fh_op_view(FH_OPERAND_INOUT, STATE, 0));
    fh_push(head, fh_op_view(FH_OPERAND_IN, X, 0));
    fh_push(head, fh_op_temp(0));
    FH_PUSH_I64(head, past, ahead, ss[0], ss[1], xs[0], xs[1]);
    fh_push(head, fh_op_view(FH_OPERAND_IN, TAPS, 0));
    fh_push(head, fh_op_view(FH_OPERAND_OUT, Y, 0));
    FH_PUSH_I64(head, n, v[TAPS].strides[0], ys[0], ys[1]);
  }
  fh_stage *stage = fh_add_stage(out, FIR_STAGE, channels * pieces, 2.0 * (double)taps * (double)(n < PIECE ? n : PIECE));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, TAPS, 0));
  fh_push(stage, fh_op_temp(0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, n, taps, ahead, pieces, xs[0], xs[1], v[TAPS].strides[0], ys[0], ys[1]);
  if (past > 0) {
    fh_stage *keep = fh_add_stage(out, STATE_STAGE, channels, (double)past);
    fh_push(keep, fh_op_view(FH_OPERAND_IN, X, 0));
    fh_push(keep, fh_op_temp(0));
    fh_push(keep, fh_op_view(FH_OPERAND_OUT, STATE, 0));
    FH_PUSH_I64(keep, n, past, ahead, xs[0], xs[1], ss[0], ss[1]);
  }
  out->flops = 2.0 * (double)count * (double)taps;
  out->bytes = 8.0 * (double)count + 8.0 * (double)channels * (double)past;
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

static float at(const fh_view_desc *v, const void *data, int64_t i, int64_t j) {
  return ((const float *)data)[i * v->strides[0] + j * v->strides[1]];
}
/* Sample i of the state and what follows it. */
static float sample(const fh_view_desc *v, void *const *data, int64_t channel, int64_t i) {
  const int64_t past = v[STATE].shape[1];
  return i < past ? at(&v[STATE], data[STATE], channel, i) : at(&v[X], data[X], channel, i - past);
}

static void fir_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1], past = v[STATE].shape[1];
  const float *h = data[TAPS];
  for (int64_t c = 0; c < channels && n > 0; c++) {
    for (int64_t i = 0; i < n; i++) {
      double sum = 0;
      for (int64_t k = 0; k <= past; k++) sum += (double)h[k * v[TAPS].strides[0]] * (double)sample(v, data, c, past + i - k);
      ((float *)data[Y])[c * v[Y].strides[0] + i * v[Y].strides[1]] = (float)sum;
    }
    for (int64_t i = 0; i < past; i++) /* upwards: what is read lies higher */
      ((float *)data[STATE])[c * v[STATE].strides[0] + i * v[STATE].strides[1]] = sample(v, data, c, n + i);
  }
}

/* A sum of k products in any order is within k u sum |h| |x| / (1 - k u), u = 2^-24 (Higham 2002, eq. 3.5). The state before the launch is
 * gone from `want`; ordinary samples of it are below 1. Samples must be kept as they are. */
static const char *fir_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1], past = v[STATE].shape[1];
  const float *h = want[TAPS], *x = want[X];
  for (int64_t i = 0; i < channels * n; i++) {
    double magnitude = 0;
    for (int64_t k = 0; k <= past; k++) magnitude += fabs((double)h[k]) * (k <= i % n ? fabs((double)x[i - k]) : 1.0);
    const double g = (double)((const float *)got[Y])[i], w = (double)((const float *)want[Y])[i];
    if (g == w || (isnan(g) && isnan(w)) || !isfinite(magnitude)) continue;
    if (!(fabs(g - w) <= (double)(past + 2) * 0x1p-24 * magnitude + (double)(past + 1) * 0x1p-149))
      return "a sample is off by more than k u sum |h| |x|";
  }
  for (int64_t i = 0; i < channels * past; i++) {
    const float g = ((const float *)got[STATE])[i], w = ((const float *)want[STATE])[i];
    if (!(g == w || (isnan(g) && isnan(w)))) return "the state is not the last samples";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct fir_shape {
  int64_t channels, n, taps;
} fir_shape;

static const fir_shape cases[] = {{2, 150, 9},   {0, 5, 3},     {3, 0, 4},    {1, 1, 1},    {1, 1, 5},    {3, 7, 20},
                                  {1, 16, 2},    {2, 17, 17},   {1, 128, 1},  {2, 129, 3},  {1, 127, 64}, {3, 300, 31},
                                  {1, 256, 129}, {2, 513, 130}, {1, 4097, 8}, {1, 900, 401}};
static const fir_shape benches[] = {{1, 2000, 33},   {1, 480000, 16},  {1, 480000, 64}, {1, 480000, 257},
                                    {8, 48000, 101}, {1, 4800000, 32}, {7, 47999, 31},  {1, 48000, 2049}};

static bool fir_case(const fir_shape *s, fh_case *out) {
  const int64_t x[] = {s->channels, s->n}, state[] = {s->channels, s->taps - 1};
  *out = (fh_case){
      .views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 1, &s->taps), fh_compact(FH_F32, 2, state), fh_compact(FH_F32, 2, x)}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 ", %" PRId64 " taps", s->channels, s->n, s->taps);
  return true;
}

FH_CASES_OF(fir_case, cases, benches)

/* ---- blocks of threads: fir_block.k ---- */
enum { PAST_OPERAND = 3, N_OPERAND = 11 }; /* of the first entry */
enum { BLOCK_THREADS = 256, TILE = 2048 }; /* FIR_THREADS and FIR_TILE of fir_block.k */

static int64_t tiles_of(const fh_bound *bound) {
  return bound->stages[0].items * fh_divide_up(bound->stages[0].operands[N_OPERAND].i, TILE); /* an item is a channel */
}
static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)tiles_of(bound), 1, 1}, .threads = BLOCK_THREADS};
}
static const char *tiles_unfit(const fh_bound *bound) {
  if (bound->stages[0].entry != HEAD_STAGE) return "a single tap needs no tile";
  if (bound->stages[0].operands[PAST_OPERAND].i > TILE) return "there are more samples before a tile than in it";
  return tiles_of(bound) > INT32_MAX ? "a grid has fewer blocks" : NULL;
}

const fh_kernel_contract fh_contract_fir = {
    .name = "fir",
    .version = 1,
    .summary = "filter of finite impulse response, with its state from call to call",
    .formula = "y[c,i] = sum over j < k of taps[j] x[c,i-j], added in the order of j; samples before x are the state, oldest first",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, FH_RANK(2), FH_RANK(2)),
    FH_ENTRIES("fir_head", "fir", "fir_state"),
    FH_EXACT_WITHIN(0, 0, "k u sum |taps| |x| (Higham 2002, eq. 3.5), sample by sample in compare"),
    .bind = fir_bind,
    .reference = fir_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = fir_compare,
    FH_BLOCKS({"tiles", "fir_tiles", "fir_block", FH_BLOCK_PORTABLE, false, FH_EXACT, tiles_shape, tiles_unfit, 0.7}),
};
