/* The contract of log_mel: logarithms of the energy in mel bands, frame by frame. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/frames.h"
#include "kernels/transform_blocks.h"

enum { X, WINDOW, TABLE, BANDS, WEIGHTS, Y };
enum { HOP, PAD, FLOOR, SCALE };   /* scalars */
enum { PAD_STAGE, LOG_MEL_STAGE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(channels, samples)", false}, {"window", FH_ROLE_IN, FH_F32, "(n)", false},
    {"table", FH_ROLE_IN, FH_F32, "(2 n)", false},           {"bands", FH_ROLE_IN, FH_I32, "(mels, 2): first bin and how many", false},
    {"weights", FH_ROLE_IN, FH_F32, "(mels, width)", false}, {"y", FH_ROLE_OUT, FH_F32, "(channels, mels, frames)", false},
};
static const fh_scalar_param scalars_of[] = {
    FH_FRAMES_SCALARS,
    {"floor", 'f', 1e-10, "least energy whose logarithm is taken, 2^-126 or more"},
    {"scale", 'f', 1, "times log10: 1, 10 for decibels, ln 10 for the natural logarithm"},
};

static fh_status log_mel_check(const fh_view_desc *v, const fh_value *scalars, fh_frames *out) {
  FH_TRY(fh_check_view("log_mel", &params[Y], &v[Y], 3, 3));
  FH_TRY(fh_frames_of("log_mel", params, v, X, WINDOW, TABLE, scalars, v[Y].shape[2], out));
  FH_TRY(fh_check_view("log_mel", &params[BANDS], &v[BANDS], 2, 2));
  FH_TRY(fh_check_view("log_mel", &params[WEIGHTS], &v[WEIGHTS], 2, 2));
  FH_TRY(fh_check_extent("log_mel", &params[Y], &v[Y], 0, "channels", out->channels, "x"));
  FH_TRY(fh_check_extent("log_mel", &params[Y], &v[Y], 1, "mels", v[BANDS].shape[0], "bands"));
  FH_TRY(fh_check_extent("log_mel", &params[WEIGHTS], &v[WEIGHTS], 0, "mels", v[BANDS].shape[0], "bands"));
  FH_TRY(fh_check_extent("log_mel", &params[BANDS], &v[BANDS], 1, "2", 2, "first bin and how many"));
  if (!(scalars[FLOOR].f >= 0x1p-126 && scalars[FLOOR].f <= 0x1p126))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_log_mel: floor is %g, expected 2^-126 to 2^126", scalars[FLOOR].f);
  if (!isfinite(scalars[SCALE].f))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_log_mel: scale is %g, expected a finite number", scalars[SCALE].f);
  int64_t count;
  FH_TRY(fh_check_count("log_mel", &params[WEIGHTS], &v[WEIGHTS], &count));
  return fh_check_count("log_mel", &params[Y], &v[Y], &count);
}

static fh_status log_mel_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  fh_frames f;
  FH_TRY(log_mel_check(v, scalars, &f));
  const int64_t mels = v[Y].shape[1], width = v[WEIGHTS].shape[1];
  if (f.channels == 0 || f.frames == 0 || mels == 0) return FH_OK;

  FH_TRY(fh_frames_add_ends("log_mel", &f, PAD_STAGE, out));
  /* Neighbouring bands share their bins: about four operations a bin; and a logarithm for each band. */
  const double more = 8.0 * (double)fh_bins(f.n) + 30.0 * (double)mels;
  fh_stage *stage = fh_frames_bind(&f, v, X, WINDOW, TABLE, Y, LOG_MEL_STAGE, more, out);
  const int64_t *ys = v[Y].strides, *ws = v[WEIGHTS].strides, *bs = v[BANDS].strides;
  FH_PUSH_I64(stage, mels, width, bs[0], bs[1], ws[0], ws[1], ys[0], ys[1], ys[2]);
  fh_push(stage, fh_op_f32((float)scalars[FLOOR].f));
  fh_push(stage, fh_op_f32((float)(scalars[SCALE].f / log(10.0))));
  fh_frames_share_operands(out);
  out->bytes = 4.0 * (double)f.channels * ((double)f.samples + (double)f.frames * (double)mels);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

typedef struct band {
  int64_t begin, stop;
  const float *weights; /* of bin 0 */
  int64_t step;
} band;

static band band_at(const fh_view_desc *v, void *const *data, int64_t m) {
  const int32_t *bands = (const int32_t *)data[BANDS] + m * v[BANDS].strides[0];
  const int64_t first = bands[0], count = bands[v[BANDS].strides[1]], step = v[WEIGHTS].strides[1];
  return (band){fh_most(0, first), fh_least(first + fh_least(count, v[WEIGHTS].shape[1]), fh_bins(v[WINDOW].shape[0])),
                (const float *)data[WEIGHTS] + m * v[WEIGHTS].strides[0] - first * step, step};
}

static void log_mel_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  fh_frames f;
  fh_status status = log_mel_check(v, scalars, &f);
  if (status) abort(); /* bind has checked it */
  const int64_t *ys = v[Y].strides;
  double *turn = fh_oracle_turn(f.n), *frame = malloc((size_t)(3 * f.n + 4) * sizeof *frame);
  if (!frame) abort();
  const double *bins = frame + f.n;
  for (int64_t c = 0; c < f.channels; c++) {
    for (int64_t i = 0; i < f.frames; i++) {
      fh_frames_frame(&f, &v[X], data[X], &v[WINDOW], data[WINDOW], c, i, frame);
      fh_transform_oracle(frame, f.n, turn, frame + f.n);
      for (int64_t m = 0; m < v[Y].shape[1]; m++) {
        const band b = band_at(v, data, m);
        double sum = 0;
        for (int64_t k = b.begin; k < b.stop; k++)
          sum += (double)b.weights[k * b.step] * (bins[2 * k] * bins[2 * k] + bins[2 * k + 1] * bins[2 * k + 1]);
        const double least = (double)(float)scalars[FLOOR].f;
        ((float *)data[Y])[c * ys[0] + m * ys[1] + i * ys[2]] = (float)(scalars[SCALE].f * log10(sum < least ? least : sum));
      }
    }
  }
  free(frame);
  free(turn);
}

/* With e the bound of a bin, |X|^2 is off by 2 |X| e + e^2 and three roundings, so the energy E of a band with weights w by at most
 * 2 e sqrt(W E) + W e^2 + (bins + 3) u A, W and A the sums of |w| and of |w| |X|^2 (Cauchy and Schwarz; A is E where no weight is
 * negative, and below W times n times the norm of the frame in any case). Taking the floor does not enlarge it. The logarithm and the
 * last product are off by 3 u of their value and 2 u. */
static const char *log_mel_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  fh_frames f;
  fh_status status = log_mel_check(v, c->scalars, &f);
  if (status) abort();
  const double u = 0x1p-24, scale = c->scalars[SCALE].f;
  for (int64_t channel = 0; channel < f.channels; channel++) {
    for (int64_t i = 0; i < f.frames; i++) {
      const double norm = fh_frames_frame(&f, &v[X], want[X], &v[WINDOW], want[WINDOW], channel, i, NULL);
      const double e = fh_transform_bound(f.n, norm);
      for (int64_t m = 0; m < v[Y].shape[1]; m++) {
        const band b = band_at(v, want, m);
        double sum = 0;
        bool negative = false;
        for (int64_t k = b.begin; k < b.stop; k++) {
          sum += fabs((double)b.weights[k * b.step]);
          negative |= b.weights[k * b.step] < 0;
        }
        const int64_t at = (channel * v[Y].shape[1] + m) * f.frames + i;
        const double g = (double)((const float *)got[Y])[at], w = (double)((const float *)want[Y])[at];
        const double energy = pow(10, w / scale), all = negative ? sum * (double)f.n * norm * norm : energy;
        const double off = 2 * e * sqrt(sum * all) + sum * e * e + ((double)(b.stop - b.begin) + 3) * u * all;
        if (!isfinite(off) || !isfinite(all)) continue; /* a NaN or an infinity in the frame or the weights: not defined */
        const double rounding = log(10.0) * (3 * fabs(w / scale) + 2) * u * energy * 2;
        if (!(fabs(pow(10, g / scale) - energy) <= off + rounding)) return "an energy is off by more than its spectrum allows";
      }
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct log_mel_shape {
  int64_t channels, samples, n, hop, mels, width;
  fh_pad_mode pad;
  int64_t fewer;
} log_mel_shape;

static const log_mel_shape cases[] = {
    {1, 300, 40, 11, 6, 8, FH_PAD_MODE_REFLECT, 0},
    {1, 0, 8, 2, 3, 2, FH_PAD_MODE_ZEROS, 0},
    {1, 40, 8, 2, 0, 2, FH_PAD_MODE_NONE, 0},
    {1, 40, 8, 2, 3, 0, FH_PAD_MODE_NONE, 0},
    {1, 1, 1, 1, 1, 1, FH_PAD_MODE_NONE, 0},
    {2, 200, 15, 7, 4, 3, FH_PAD_MODE_ZEROS, 0},
    {3, 333, 32, 5, 9, 5, FH_PAD_MODE_REFLECT, 1},
    {1, 3000, 128, 33, 20, 13, FH_PAD_MODE_NONE, 0},
    {1, 9000, 400, 160, 80, 14, FH_PAD_MODE_REFLECT, 1},
    {2, 4000, 512, 129, 40, 30, FH_PAD_MODE_ZEROS, 0},
};
static const log_mel_shape benches[] = {
    {1, 4000, 400, 160, 80, 14, FH_PAD_MODE_REFLECT, 0},    {1, 480000, 400, 160, 80, 14, FH_PAD_MODE_REFLECT, 1},
    {1, 480000, 512, 160, 40, 24, FH_PAD_MODE_REFLECT, 0},  {1, 1323000, 2048, 512, 128, 60, FH_PAD_MODE_REFLECT, 0},
    {16, 480000, 400, 160, 80, 14, FH_PAD_MODE_REFLECT, 1}, {1, 479909, 480, 97, 64, 20, FH_PAD_MODE_NONE, 0},
};

static bool log_mel_case(const log_mel_shape *s, fh_case *out) {
  const int64_t frames = fh_frames_in(s->samples, s->n, s->hop, s->pad) - s->fewer, table = 2 * s->n;
  const int64_t x[] = {s->channels, s->samples}, y[] = {s->channels, s->mels, frames}, bands[] = {s->mels, 2}, w[] = {s->mels, s->width};
  *out = (fh_case){.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 1, &s->n), fh_compact(FH_F32, 1, &table),
                             fh_compact(FH_I32, 2, bands), fh_compact(FH_F32, 2, w), fh_compact(FH_F32, 3, y)},
                   .scalars = {{.i = s->hop}, {.i = s->pad}, {.f = 1e-10}, {.f = 1}}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 " %" PRId64 "/%" PRId64 "/%" PRId64 " pad=%d", s->channels, s->samples,
           s->n, s->hop, s->mels, s->pad);
  return true;
}

FH_CASES_OF(log_mel_case, cases, benches)

/* Bands spread over the spectrum; those of small cases reach beyond it at both ends, which must do no harm. */
static void log_mel_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *view = &c->views[index];
  const int64_t count = view->shape[0], width = c->views[WEIGHTS].shape[1], bins = fh_bins(c->views[WINDOW].shape[0]);
  if (index == TABLE) {
    fh_fill_fft_table(count / 2, data);
  } else if (index == WINDOW) {
    fh_fill_hann(count, data);
  } else if (index == BANDS) {
    const bool beyond = count > 0 && count < 10;
    for (int64_t m = 0; m < count; m++) {
      ((int32_t *)data)[2 * m] = (int32_t)(m * (bins - (beyond ? 0 : fh_least(width, bins))) / count) - beyond;
      ((int32_t *)data)[2 * m + 1] = (int32_t)(beyond && m == count - 1 ? INT32_MAX : width - m % 3 * (width / 4));
    }
  } else {
    fh_fill_uniform(view, data, seed);
    for (int64_t i = 0; index == WEIGHTS && i < count * width; i++) ((float *)data)[i] = fabsf(((float *)data)[i]);
  }
}

/* ---- blocks of threads ---- */
enum { N_OPERAND = 8 };
FH_FRAMES_FUNCTIONS(N_OPERAND)

const fh_kernel_contract fh_contract_log_mel = {
    .name = "log_mel",
    .version = 1,
    .summary = "logarithms of the energy in mel bands of the frames of signals",
    .formula =
        "y[c,m,f] = scale log10(max(sum over k < bands[m,1] of weights[m,k] |X[c,f,bands[m,0] + k]|^2, floor)), X as stft "
        "(Davis and Mermelstein 1980); energies are added in the order of k",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, 0, 0, 0, FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("log_mel_pad", "log_mel"),
    FH_EXACT_WITHIN(0, 0, "the spectrum's bound carried through squares, sums and logarithm, band by band in compare; " FH_TRANSFORM_BOUND),
    .bind = log_mel_bind,
    .reference = log_mel_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = log_mel_fill,
    .compare = log_mel_compare,
    FH_BLOCKS({"frames", "log_mel_frames", "log_mel_block", FH_BLOCK_PORTABLE, false, FH_EXACT, frames_shape, frames_unfit, 0.3}),
};
