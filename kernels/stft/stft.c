/* The contract of stft: spectra of the frames of signals. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/frames.h"
#include "kernels/transform_blocks.h"

enum { X, WINDOW, TABLE, Y };
enum { PAD_STAGE, STFT_STAGE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(channels, samples)", false},
    {"window", FH_ROLE_IN, FH_F32, "(n)", false},
    {"table", FH_ROLE_IN, FH_F32, "(2 n)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(channels, frames, n / 2 + 1, 2)", false},
};
static const fh_scalar_param scalars_of[] = {FH_FRAMES_SCALARS};

static fh_status stft_check(const fh_view_desc *v, const fh_value *scalars, fh_frames *out) {
  FH_TRY(fh_check_view("stft", &params[Y], &v[Y], 4, 4));
  FH_TRY(fh_frames_of("stft", params, v, X, WINDOW, TABLE, scalars, v[Y].shape[1], out));
  FH_TRY(fh_check_extent("stft", &params[Y], &v[Y], 0, "channels", out->channels, "x"));
  FH_TRY(fh_check_extent("stft", &params[Y], &v[Y], 2, "n / 2 + 1", fh_bins(out->n), "window"));
  FH_TRY(fh_check_extent("stft", &params[Y], &v[Y], 3, "2", 2, "a complex number"));
  int64_t count;
  return fh_check_count("stft", &params[Y], &v[Y], &count);
}

static fh_status stft_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  fh_frames f;
  FH_TRY(stft_check(v, scalars, &f));
  if (f.channels == 0 || f.frames == 0) return FH_OK;

  FH_TRY(fh_frames_add_ends("stft", &f, PAD_STAGE, out));
  fh_stage *stage = fh_frames_bind(&f, v, X, WINDOW, TABLE, Y, STFT_STAGE, 0, out);
  const int64_t *ys = v[Y].strides;
  FH_PUSH_I64(stage, ys[0], ys[1], ys[2], ys[3]);
  fh_frames_share_operands(out);
  out->bytes = 4.0 * (double)f.channels * ((double)f.samples + 2.0 * (double)f.frames * (double)fh_bins(f.n));
  return FH_OK;
}

static void stft_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  fh_frames f;
  fh_status status = stft_check(v, scalars, &f);
  if (status) abort(); /* bind has checked it */
  const int64_t *ys = v[Y].strides;
  double *turn = fh_oracle_turn(f.n), *frame = malloc((size_t)(3 * f.n + 4) * sizeof *frame);
  if (!frame) abort();
  for (int64_t c = 0; c < f.channels; c++) {
    for (int64_t i = 0; i < f.frames; i++) {
      fh_frames_frame(&f, &v[X], data[X], &v[WINDOW], data[WINDOW], c, i, frame);
      fh_transform_oracle(frame, f.n, turn, frame + f.n);
      for (int64_t k = 0; k <= f.n / 2; k++)
        for (int64_t part = 0; part < 2; part++)
          ((float *)data[Y])[c * ys[0] + i * ys[1] + k * ys[2] + part * ys[3]] = (float)frame[f.n + 2 * k + part];
    }
  }
  free(frame);
  free(turn);
}

static const char *stft_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  fh_frames f;
  fh_status status = stft_check(v, c->scalars, &f);
  if (status) abort();
  const int64_t values = 2 * fh_bins(f.n);
  for (int64_t row = 0; row < f.channels * f.frames; row++) {
    const double norm = fh_frames_frame(&f, &v[X], want[X], &v[WINDOW], want[WINDOW], row / f.frames, row % f.frames, NULL);
    const double bound = fh_transform_bound(f.n, norm);
    if (!isfinite(bound)) continue; /* a NaN or an infinity in a frame: its spectrum is not defined */
    for (int64_t i = values * row; i < values * (row + 1); i++)
      if (!(fabs((double)((const float *)got[Y])[i] - (double)((const float *)want[Y])[i]) <= bound))
        return "a bin is off by more than 10 u (log2 n + 3) sqrt(n) ||frame||";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct stft_shape {
  int64_t channels, samples, n, hop;
  fh_pad_mode pad;
  int64_t fewer; /* frames than there are */
} stft_shape;

static const stft_shape cases[] = {
    {1, 300, 40, 11, FH_PAD_MODE_REFLECT, 0}, {1, 0, 8, 2, FH_PAD_MODE_ZEROS, 0},          {0, 20, 8, 2, FH_PAD_MODE_NONE, 0},
    {1, 1, 1, 1, FH_PAD_MODE_NONE, 0},        {2, 5, 8, 3, FH_PAD_MODE_ZEROS, 0},          {1, 5, 8, 1, FH_PAD_MODE_REFLECT, 0},
    {2, 100, 16, 4, FH_PAD_MODE_NONE, 1},     {1, 100, 15, 7, FH_PAD_MODE_REFLECT, 0},     {3, 333, 32, 5, FH_PAD_MODE_REFLECT, 1},
    {1, 64, 64, 1, FH_PAD_MODE_REFLECT, 0},   {1, 1000, 50, 61, FH_PAD_MODE_ZEROS, 0},     {2, 1500, 27, 2, FH_PAD_MODE_REFLECT, 0},
    {1, 3000, 128, 33, FH_PAD_MODE_NONE, 0},  {1, 9000, 400, 160, FH_PAD_MODE_REFLECT, 1}, {2, 2050, 256, 100, FH_PAD_MODE_ZEROS, 0},
};
static const stft_shape benches[] = {
    {1, 4000, 400, 160, FH_PAD_MODE_REFLECT, 0},    {1, 480000, 400, 160, FH_PAD_MODE_REFLECT, 0},
    {1, 480000, 512, 128, FH_PAD_MODE_REFLECT, 0},  {2, 1323000, 2048, 512, FH_PAD_MODE_REFLECT, 0},
    {16, 480000, 400, 160, FH_PAD_MODE_REFLECT, 1}, {1, 479909, 480, 97, FH_PAD_MODE_NONE, 0},
};

static bool stft_case(const stft_shape *s, fh_case *out) {
  const int64_t frames = fh_frames_in(s->samples, s->n, s->hop, s->pad) - s->fewer;
  const int64_t x[] = {s->channels, s->samples}, y[] = {s->channels, frames, fh_bins(s->n), 2}, table = 2 * s->n;
  *out =
      (fh_case){.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 1, &s->n), fh_compact(FH_F32, 1, &table), fh_compact(FH_F32, 4, y)},
                .scalars = {{.i = s->hop}, {.i = s->pad}}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 " n=%" PRId64 " hop=%" PRId64 " pad=%d", s->channels, s->samples, s->n,
           s->hop, s->pad);
  return true;
}

FH_CASES_OF(stft_case, cases, benches)

static void stft_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t count = c->views[index].shape[0];
  if (index == TABLE)
    fh_fill_fft_table(count / 2, data);
  else if (index == WINDOW)
    fh_fill_hann(count, data);
  else
    fh_fill_uniform(&c->views[index], data, seed);
}

/* ---- blocks of threads ---- */
enum { N_OPERAND = 6 };
FH_FRAMES_FUNCTIONS(N_OPERAND)

const fh_kernel_contract fh_contract_stft = {
    .name = "stft",
    .version = 1,
    .summary = "short-time Fourier transform: the spectra of windowed frames of signals",
    .formula =
        "y[c,f,k] = sum over j < n of window[j] x'[c, f hop + j] exp(-2 pi i j k / n), x' = x with n / 2 samples more at both "
        "ends where pad says so (Allen and Rabiner 1977)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, 0, FH_RANK(4)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("stft_pad", "stft"),
    FH_EXACT_WITHIN(0, 0, FH_TRANSFORM_BOUND),
    .bind = stft_bind,
    .reference = stft_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = stft_fill,
    .compare = stft_compare,
    FH_BLOCKS({"frames", "stft_frames", "stft_block", FH_BLOCK_PORTABLE, false, FH_EXACT, frames_shape, frames_unfit, 0.3}),
};
