/* FFTW, with plain C around it, as a peer of the spectra. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

static const char library[] = "libfftw3f.so.3";
enum { MEASURE = 0, PRESERVE_INPUT = 1 << 4 };

typedef void *plan_many_fn(int rank, const int *n, int howmany, float *in, const int *inembed, int istride, int idist, float (*out)[2],
                           const int *onembed, int ostride, int odist, unsigned flags);

/* Frames of signals, as log_mel and stft take them. */
typedef struct spectra {
  void (*execute)(void *plan);
  void (*destroy)(void *plan);
  void *plan;
  const float *x, *window, *weights;
  const int32_t *bands;
  float *y, *frame, (*bins)[2];
  int64_t channels, samples, n, hop, pad, frames, mels, width;
  bool reflect;
  float floor, scale;
} spectra;

static bool is_compact(const fh_view_desc *v) {
  int64_t stride = 1;
  for (int32_t i = v->rank - 1; i >= 0; i--) {
    if (v->shape[i] > 1 && v->strides[i] != stride) return false;
    stride *= v->shape[i];
  }
  return true;
}

/* Finds the library and plans `many` transforms of s->n samples from `in` to `out`. */
static const char *plan(const fh_peer_call *call, spectra *s, int64_t many, float *in, float (*out)[2]) {
  for (int i = 0; i < call->contract->view_count; i++)
    if (!is_compact(&call->c->views[i])) return "its loop here is written for compact operands";
  if (call->threads != 1) return "its loop here has one thread";
  plan_many_fn *plan_many;
  *(void **)&plan_many = fh_peer_symbol(library, "fftwf_plan_many_dft_r2c");
  *(void **)&s->execute = fh_peer_symbol(library, "fftwf_execute");
  *(void **)&s->destroy = fh_peer_symbol(library, "fftwf_destroy_plan");
  if (!plan_many || !s->execute || !s->destroy) return "libfftw3f.so.3 is not here";
  const int n = (int)s->n, bins = n / 2 + 1;
  s->plan = plan_many(1, &n, (int)many, in, NULL, 1, n, out, NULL, 1, bins, MEASURE | PRESERVE_INPUT);
  return s->plan ? NULL : "it has no plan for this length";
}

static void close_spectra(void *state) {
  spectra *s = state;
  if (s->plan) s->destroy(s->plan);
  free(s->frame);
  free(s->bins);
  free(s);
}

static const char *keep(spectra s, const char *why, void **out_state) {
  spectra *state = why ? NULL : malloc(sizeof *state);
  if (!state) {
    free(s.frame);
    free(s.bins);
    return why ? why : "no memory";
  }
  *state = s;
  *out_state = state;
  return NULL;
}

/* ---- fft ------------------------------------------------------------------------------------------ */

static void fft_run(void *state) {
  const spectra *s = state;
  s->execute(s->plan);
}

static const char *fft_open(const fh_peer_call *call, void **out_state) {
  const fh_view_desc *x = &call->c->views[0];
  spectra s = {.n = x->shape[x->rank - 1]};
  int64_t rows = 1;
  for (int32_t i = 0; i < x->rank - 1; i++) rows *= x->shape[i];
  /* Planning overwrites its arrays: the input is put back. */
  const size_t bytes = (size_t)(rows * s.n) * sizeof(float);
  float *saved = malloc(bytes);
  if (!saved) return "no memory";
  memcpy(saved, call->data[0], bytes);
  const char *why = plan(call, &s, rows, call->data[0], call->data[2]);
  memcpy(call->data[0], saved, bytes);
  free(saved);
  return keep(s, why, out_state);
}

/* ---- frames --------------------------------------------------------------------------------------- */

static void load_frame(const spectra *s, const float *x, int64_t first) {
  if (first >= 0 && first + s->n <= s->samples) {
    for (int64_t j = 0; j < s->n; j++) s->frame[j] = x[first + j] * s->window[j];
    return;
  }
  for (int64_t j = 0; j < s->n; j++) {
    int64_t at = first + j;
    const bool outside = at < 0 || at >= s->samples;
    if (outside && s->reflect) at = at < 0 ? -at : 2 * (s->samples - 1) - at;
    s->frame[j] = outside && !s->reflect ? 0 : x[at] * s->window[j];
  }
}

static void log_mel_run(void *state) {
  const spectra *s = state;
  for (int64_t c = 0; c < s->channels; c++) {
    for (int64_t f = 0; f < s->frames; f++) {
      load_frame(s, s->x + c * s->samples, f * s->hop - s->pad);
      s->execute(s->plan);
      for (int64_t k = 0; k <= s->n / 2; k++) s->frame[k] = s->bins[k][0] * s->bins[k][0] + s->bins[k][1] * s->bins[k][1];
      for (int64_t m = 0; m < s->mels; m++) {
        const int32_t first = s->bands[2 * m], count = s->bands[2 * m + 1];
        float sum = 0;
        for (int32_t k = 0; k < count; k++) sum += s->weights[m * s->width + k] * s->frame[first + k];
        s->y[(c * s->mels + m) * s->frames + f] = s->scale * log10f(sum > s->floor ? sum : s->floor);
      }
    }
  }
}

static void stft_run(void *state) {
  const spectra *s = state;
  const size_t bins = (size_t)s->n / 2 + 1;
  for (int64_t c = 0; c < s->channels; c++) {
    for (int64_t f = 0; f < s->frames; f++) {
      load_frame(s, s->x + c * s->samples, f * s->hop - s->pad);
      s->execute(s->plan);
      memcpy(s->y + (size_t)(c * s->frames + f) * 2 * bins, s->bins, bins * sizeof *s->bins);
    }
  }
}

static const char *frames_open(const fh_peer_call *call, bool mel, void **out_state) {
  const fh_view_desc *v = call->c->views;
  const fh_value *scalars = call->c->scalars;
  spectra s = {.x = call->data[0],
               .window = call->data[1],
               .channels = v[0].shape[0],
               .samples = v[0].shape[1],
               .n = v[1].shape[0],
               .hop = scalars[0].i,
               .pad = scalars[1].i ? v[1].shape[0] / 2 : 0,
               .reflect = scalars[1].i == 1};
  if (mel) {
    s.bands = call->data[3];
    s.weights = call->data[4];
    s.mels = v[5].shape[1];
    s.width = v[4].shape[1];
    s.floor = (float)scalars[2].f;
    s.scale = (float)scalars[3].f;
  }
  const int y = mel ? 5 : 3;
  s.y = call->data[y];
  s.frames = v[y].shape[mel ? 2 : 1];
  for (int64_t m = 0; m < s.mels; m++)
    if (s.bands[2 * m] < 0 || s.bands[2 * m + 1] > s.width || s.bands[2 * m] + s.bands[2 * m + 1] > s.n / 2 + 1)
      return "its loop here wants bands within the spectrum";
  s.frame = aligned_alloc(64, ((size_t)s.n * sizeof(float) + 64) / 64 * 64);
  s.bins = aligned_alloc(64, ((size_t)(s.n / 2 + 1) * sizeof *s.bins + 63) / 64 * 64);
  if (!s.frame || !s.bins) return keep(s, "no memory", out_state);
  return keep(s, plan(call, &s, 1, s.frame, s.bins), out_state);
}

static const char *log_mel_open(const fh_peer_call *call, void **out_state) { return frames_open(call, true, out_state); }
static const char *stft_open(const fh_peer_call *call, void **out_state) { return frames_open(call, false, out_state); }

const fh_peer fh_peers_fftw_signal[] = {
    {"FFTW", "fft", "libfftw3-single3", fft_open, fft_run, close_spectra, 0},
    {"FFTW and plain C", "stft", "libfftw3-single3", stft_open, stft_run, close_spectra, 0},
    {"FFTW and plain C", "log_mel", "libfftw3-single3", log_mel_open, log_mel_run, close_spectra, 0},
    FH_PEER_END,
};
