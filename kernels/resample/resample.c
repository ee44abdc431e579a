/* The contract of resample: a signal at up / down times its rate. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/frames.h"

enum { X, TAPS, Y };
enum { DOWN, FIRST };               /* scalars */
enum { PAD_STAGE, RESAMPLE_STAGE }; /* entries */
enum { PIECE = 256, ROWS = 512 };   /* RESAMPLE_PIECE, RESAMPLE_ROWS of resample.k */
enum { LEAST_SEGMENT = 16, SEGMENT = 64 };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(channels, n)", false},
    {"taps", FH_ROLE_IN, FH_F32, "(up, k)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(channels, m)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"down", 'i', 1, "y has up / down times the samples of x, 1 to 2^31 - 1"},
    {"first", 'i', 0, "where y begins, in steps of 1 / up of a sample of x, 0 or more: half the filter centres it"},
};

typedef struct plan {
  int64_t channels, n, outputs, up, k, down, first;
  int64_t inner, right;         /* outputs [inner, right) need samples of x alone */
  int64_t left, right_at, edge; /* of kernels/dialect/frames.h */
} plan;

static int64_t sample_of(const plan *p, int64_t m) { return (p->first + m * p->down) / p->up; }
/* The first output whose newest sample is sample q. */
static int64_t output_from(const plan *p, int64_t q) {
  const int64_t position = q * p->up - p->first;
  return position <= 0 ? 0 : fh_least(p->outputs, fh_divide_up(position, p->down));
}

static fh_status resample_check(const fh_view_desc *v, const fh_value *scalars, plan *p) {
  for (int i = X; i <= Y; i++) FH_TRY(fh_check_view("resample", &params[i], &v[i], 2, 2));
  FH_TRY(fh_check_extent("resample", &params[Y], &v[Y], 0, "channels", v[X].shape[0], "x"));
  int64_t count;
  for (int i = X; i <= Y; i++) FH_TRY(fh_check_count("resample", &params[i], &v[i], &count));
  *p = (plan){.channels = v[X].shape[0],
              .n = v[X].shape[1],
              .outputs = v[Y].shape[1],
              .up = v[TAPS].shape[0],
              .k = v[TAPS].shape[1],
              .down = scalars[DOWN].i,
              .first = scalars[FIRST].i};
  if (p->up < 1 || p->k < 1 || p->up > INT32_MAX || p->k > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resample: taps has shape (%" PRId64 ", %" PRId64 "), expected 1 to 2^31 - 1 of both", p->up,
                     p->k);
  if (p->down < 1 || p->down > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resample: down is %" PRId64 ", expected 1 to 2^31 - 1", p->down);
  if (p->n > INT64_C(1) << 31 || p->outputs > INT64_C(1) << 31 || p->first < 0 || p->first > INT64_C(1) << 62)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_resample: %" PRId64 " samples, %" PRId64 " results, first = %" PRId64
                     ", expected at most 2^31, 2^31 and 0 to 2^62",
                     p->n, p->outputs, p->first);
  if (p->channels == 0 || p->outputs == 0) return FH_OK;
  if (p->n == 0) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resample: x has no samples, but y has %" PRId64, p->outputs);
  int64_t last;
  if (__builtin_add_overflow(p->first, (p->outputs - 1) * p->down, &last) || last / p->up > p->n + p->k - 2)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_resample: y has %" PRId64 " samples, the last would need x[%" PRId64 "] of %" PRId64 " and a filter of %" PRId64
                     " taps\n  expected n up / down samples at most",
                     p->outputs, last / p->up, p->n, p->k);
  return FH_OK;
}

/* Outputs of a segment: SEGMENT or more, so that the k - 1 samples before it count little, a multiple of those after which phases repeat,
 * and no more than ROWS samples allow. 0: there is none. */
static int64_t segment_of(const plan *p) {
  int64_t common = p->up;
  for (int64_t rest = p->down % p->up; rest > 0;) {
    const int64_t next = common % rest;
    common = rest;
    rest = next;
  }
  const int64_t outputs = p->up / common, samples = p->down / common; /* of one repetition */
  const int64_t most = p->k < ROWS ? (ROWS - p->k) / samples : 0;
  const int64_t segment = outputs * fh_least(most, fh_divide_up(SEGMENT, outputs));
  return segment >= LEAST_SEGMENT ? segment : 0;
}

static void plan_ends(plan *p) {
  p->inner = output_from(p, p->k - 1);
  p->right = fh_most(p->inner, output_from(p, p->n));
  if (p->inner > 0) p->left = sample_of(p, p->inner - 1) + p->k;
  p->edge = p->left;
  if (p->right == p->outputs) return;
  p->right_at = sample_of(p, p->right);
  p->edge += sample_of(p, p->outputs - 1) + p->k - p->right_at;
}

static fh_status resample_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  plan p;
  FH_TRY(resample_check(v, scalars, &p));
  if (p.channels == 0 || p.outputs == 0) return FH_OK;
  plan_ends(&p);
  /* The ends are those of a signal with k - 1 zeros more at both sides. */
  fh_frames ends = {.channels = p.channels,
                    .samples = p.n,
                    .pad = p.k - 1,
                    .mode = FH_PAD_MODE_ZEROS,
                    .left = p.left,
                    .right_at = p.right_at,
                    .edge = p.edge,
                    .pieces = fh_divide_up(p.edge, FH_FRAMES_PIECE)};
  FH_TRY(fh_frames_add_ends("resample", &ends, PAD_STAGE, out));
  out->temp_count = 1;
  const int64_t pieces = fh_divide_up(p.outputs, PIECE);
  const double work = 2.0 * (double)(p.k + 16) * (double)fh_least(p.outputs, PIECE);
  fh_stage *stage = fh_add_stage(out, RESAMPLE_STAGE, p.channels * pieces, work);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, TAPS, 0));
  fh_push(stage, fh_op_temp(FH_FRAMES_ENDS));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  const int64_t *xs = v[X].strides, *ts = v[TAPS].strides, *ys = v[Y].strides;
  FH_PUSH_I64(stage, p.outputs, pieces, p.k, p.up, p.down, p.first, p.inner, p.right, p.left, p.right_at, p.edge, xs[0], xs[1], ts[0],
              ts[1], ys[0], ys[1], segment_of(&p), ends.samples, ends.pad, ends.mode == FH_PAD_MODE_ZEROS, ends.pieces);
  fh_frames_share_operands(out);
  const double outputs = (double)p.channels * (double)p.outputs;
  out->flops = 2.0 * (double)p.k * outputs;
  out->bytes = 4.0 * ((double)p.channels * (double)p.n + outputs);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

/* Output m of a channel and the sum of the magnitudes of its products. */
static double output_at(const plan *p, const fh_view_desc *v, void *const *data, int64_t channel, int64_t m, double *out_magnitude) {
  const int64_t q = sample_of(p, m), phase = (p->first + m * p->down) % p->up;
  double sum = 0, magnitude = 0;
  for (int64_t t = 0; t < p->k; t++) {
    const int64_t i = q - p->k + 1 + t;
    const double x = i < 0 || i >= p->n ? 0 : (double)((const float *)data[X])[channel * v[X].strides[0] + i * v[X].strides[1]];
    const double product = x * (double)((const float *)data[TAPS])[phase * v[TAPS].strides[0] + t * v[TAPS].strides[1]];
    sum += product;
    magnitude += fabs(product);
  }
  *out_magnitude = magnitude;
  return sum;
}

static void resample_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  plan p;
  fh_status status = resample_check(v, scalars, &p);
  if (status) abort(); /* bind has checked it */
  double magnitude;
  for (int64_t c = 0; c < p.channels; c++)
    for (int64_t m = 0; m < p.outputs; m++)
      ((float *)data[Y])[c * v[Y].strides[0] + m * v[Y].strides[1]] = (float)output_at(&p, v, data, c, m, &magnitude);
}

/* A sum of k products in any order is within k u sum |taps| |x| / (1 - k u), u = 2^-24 (Higham 2002, eq. 3.5). */
static const char *resample_compare(const fh_case *c, void *const *got, void *const *want) {
  plan p;
  fh_status status = resample_check(c->views, c->scalars, &p);
  if (status) abort();
  for (int64_t i = 0; i < p.channels * p.outputs; i++) {
    double magnitude;
    output_at(&p, c->views, want, i / p.outputs, i % p.outputs, &magnitude);
    const double g = (double)((const float *)got[Y])[i], w = (double)((const float *)want[Y])[i];
    if (g == w || (isnan(g) && isnan(w))) continue;
    if (!(fabs(g - w) <= (double)(p.k + 2) * (0x1p-24 * magnitude + 0x1p-149))) return "a sample is off by more than k u sum |taps| |x|";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct resample_shape {
  int64_t channels, n, up, down, k, first, outputs; /* outputs -1: n up / down, rounded up */
} resample_shape;

static const resample_shape cases[] = {
    {2, 120, 3, 2, 21, 30, -1}, {0, 5, 1, 1, 3, 1, -1},           {3, 9, 1, 1, 3, 1, 0},          {1, 1, 1, 1, 1, 0, -1},
    {1, 1, 7, 3, 5, 17, -1},    {2, 4, 2, 1, 33, 32, -1},         {1, 50, 1, 3, 61, 30, -1},      {2, 300, 1, 1, 16, 8, -1},
    {1, 700, 5, 7, 32, 70, -1}, {3, 257, 160, 147, 21, 1600, -1}, {1, 2000, 16, 44, 55, 440, -1}, {1, 600, 3, 1, 17, 25, -1},
    {1, 64, 2, 3, 48, 0, 40},   {2, 700, 7, 5, 21, 70, -1},       {1, 900, 1, 3, 61, 30, -1},     {1, 400, 3, 1, 7, 10, -1},
    {1, 3000, 2, 5, 16, 7, -1},
};
static const resample_shape benches[] = {
    {1, 4410, 160, 441, 56, 4410, -1},   {1, 1323000, 160, 441, 56, 4410, -1}, {1, 1440000, 1, 3, 61, 30, -1},
    {1, 480000, 3, 1, 21, 30, -1},       {1, 480000, 2, 3, 31, 30, -1},        {8, 441000, 160, 147, 21, 1600, -1},
    {1, 480000, 441, 160, 21, 4410, -1}, {3, 100003, 7, 5, 21, 70, -1},
};

static bool resample_case(const resample_shape *s, fh_case *out) {
  const int64_t outputs = s->outputs >= 0 ? s->outputs : fh_divide_up(s->n * s->up, s->down);
  const int64_t x[] = {s->channels, s->n}, taps[] = {s->up, s->k}, y[] = {s->channels, outputs};
  *out = (fh_case){.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 2, taps), fh_compact(FH_F32, 2, y)},
                   .scalars = {{.i = s->down}, {.i = s->first}}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 " up=%" PRId64 " down=%" PRId64 " k=%" PRId64, s->channels, s->n, s->up,
           s->down, s->k);
  return true;
}

FH_CASES_OF(resample_case, cases, benches)

/* ---- blocks of threads: resample_sm60.k ---- */
enum { OUTPUTS_OPERAND = 4, K_OPERAND = 6, UP_OPERAND, DOWN_OPERAND, XS_OPERAND = 16, TP_OPERAND, TK_OPERAND, SAMPLES_OPERAND = 22 };
enum { BLOCK_THREADS = 128, BLOCK_OUTPUTS = 256 }; /* RESAMPLE_THREADS and RESAMPLE_OUTPUTS of resample_sm60.k */

static int64_t operand(const fh_bound *bound, int place) { return bound->stages[0].operands[place].i; }

/* The last stage has an item for each piece of a channel. */
static int64_t halves_blocks(const fh_bound *bound) {
  const int64_t outputs = operand(bound, OUTPUTS_OPERAND),
                channels = bound->stages[bound->stage_count - 1].items / fh_divide_up(outputs, PIECE);
  return channels * fh_divide_up(outputs, BLOCK_OUTPUTS);
}
static void halves_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)halves_blocks(bound), 1, 1}, .threads = BLOCK_THREADS};
}
static const char *halves_unfit(const fh_bound *bound) {
  if (operand(bound, XS_OPERAND) != 1 || operand(bound, TK_OPERAND) != 1) return "samples or taps do not lie side by side";
  if (operand(bound, TP_OPERAND) > INT32_MAX / operand(bound, UP_OPERAND)) return "taps are counted by 32 bits";
  /* The samples that the last outputs of a block would need, there or not. */
  const int64_t past = operand(bound, K_OPERAND) + BLOCK_OUTPUTS * (operand(bound, DOWN_OPERAND) / operand(bound, UP_OPERAND) + 1);
  if (operand(bound, SAMPLES_OPERAND) + past > INT32_MAX) return "samples are counted by 32 bits";
  return halves_blocks(bound) > INT32_MAX ? "a grid has fewer blocks" : NULL;
}

const fh_kernel_contract fh_contract_resample = {
    .name = "resample",
    .version = 1,
    .summary = "signals at another rate, up / down times theirs, by a polyphase filter",
    .formula =
        "y[c,m] = sum over t < k of taps[p,t] x[c,q-k+1+t], first + m down = q up + p, 0 <= p < up (Crochiere and Rabiner 1981); "
        "products t mod 32 are added in the order of t, then these 32 sums as a tree",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("resample_pad", "resample"),
    FH_EXACT_WITHIN(0, 0, "k u sum |taps| |x| (Higham 2002, eq. 3.5), sample by sample in compare"),
    .bind = resample_bind,
    .reference = resample_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = resample_compare,
    FH_BLOCKS({"halves", "resample_halves", "resample_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, halves_shape, halves_unfit, 0.3}),
};
