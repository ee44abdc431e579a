/* Fourier transforms in shared memory: some of them in a block, each by as many threads as it has butterflies for.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The passes, their butterflies and the order of all arithmetic are those of dialect/fft.h, whose lanes are transforms; here threads are
 * butterflies, and a pass ends at a barrier. A transform has two halves of real and of imaginary parts, which neighbouring threads read
 * side by side; what they write is `radix` apart in the first pass, so that 2 and 4 meet in banks there. Of 400 samples about 400 accesses
 * of a warp to shared memory are the limit, a clock each: 0.25 us of a multiprocessor, where the lanes' text waits for the second cache. */
#ifndef FOGHORN_KERNELS_BLOCK_TRANSFORM_H_
#define FOGHORN_KERNELS_BLOCK_TRANSFORM_H_

#ifndef FOGHORN_KERNELS_BLOCK_LANE_H_
#include "kernels/block/lane.h"
#endif
#ifndef FOGHORN_KERNELS_DIALECT_BUTTERFLIES_H_
#include "kernels/dialect/butterflies.h"
#endif

#define FH_POINTS_THREADS 256 /* of transform_blocks.h */
#define FH_POINTS_MOST 2048   /* of transform_blocks.h: complex numbers of all transforms of a block */
#define FH_POINTS_TOGETHER 16 /* of transform_blocks.h: transforms of a block, at most */
#define FH_POINTS_BYTES (16 * (FH_POINTS_MOST + FH_POINTS_TOGETHER))

/* Complex numbers in shared memory: imaginary parts lie `part` behind the real ones. */
typedef struct fh_points {
  fh_local float *re;
  int part;
} fh_points;

FH_INLINE fh_vc fh_c_load(fh_points p, int j) { return fh_c(p.re[j], p.re[j + p.part]); }
FH_INLINE void fh_c_store(fh_points p, int j, fh_vc v) {
  p.re[j] = v.re;
  p.re[j + p.part] = v.im;
}

/* The table of all roots, as dialect/fft.h has it. */
typedef struct fh_roots {
  fh_f32_in at;
  long step;
} fh_roots;

/* a times entry j; as it is where j is 0. */
FH_INLINE fh_vc fh_points_twist(fh_vc a, fh_roots table, int j) {
  const fh_vc twisted = fh_c_times(a, table.at[2 * j * table.step], table.at[(2 * j + 1) * table.step]);
  return fh_c(j == 0 ? a.re : twisted.re, j == 0 ? a.im : twisted.im);
}

/* ---- a block's transforms ---- */
typedef struct fh_transform {
  int n, size;          /* samples; complex numbers: half as many where n is even */
  int together, number; /* transforms of the block, and this thread's */
  int thread, threads;  /* in the transform */
  fh_local float *here; /* all that it has */
  fh_points x, y;       /* its halves: they change places with each pass */
} fh_transform;

FH_INLINE int fh_points_together(int size) {
  int together = FH_POINTS_TOGETHER;
  while (together * size > FH_POINTS_MOST) together /= 2;
  return together;
}

FH_INLINE fh_transform fh_transform_begin(int n, fh_local uchar *shared) {
  fh_transform f;
  f.n = n;
  f.size = n % 2 ? n : n / 2;
  f.together = fh_points_together(f.size);
  f.threads = FH_POINTS_THREADS / f.together;
  f.number = fh_thread() / f.threads;
  f.thread = fh_thread() % f.threads;
  f.here = (fh_local float *)shared + f.number * 4 * (f.size + 1);
  f.x.re = f.here;
  f.y.re = f.here + 2 * (f.size + 1);
  f.x.part = f.y.part = f.size + 1;
  return f;
}

/* Sample j: neighbours are real and imaginary part of a number where n is even. */
FH_INLINE void fh_transform_put(fh_transform *f, int j, float v) {
  if (f->n % 2)
    fh_c_store(f->x, j, fh_c(v, 0.0f));
  else
    f->x.re[j / 2 + j % 2 * f->x.part] = v;
}

/* ---- passes: butterflies `from`, of which s lie beside each other at the same p ----
 * The quotient from / s is that of floats: half of 1 / s is far more than what both of them are off by. */
#define FH_POINTS_TWISTED(K, V) fh_c_store(y, to + (K) * s, fh_points_twist(V, table, (K) * p * t));
#define FH_POINTS_PASS(RADIX)                                                                           \
  FH_INLINE void fh_points_pass##RADIX(const fh_transform *f, int left, int s, int t, fh_roots table) { \
    const fh_points x = f->x, y = f->y;                                                                 \
    const int step = left * s;                                                                          \
    const float per = fh_div_u(1.0f, (float)s);                                                         \
    for (int from = f->thread; from < step; from += f->threads) {                                       \
      const int p = (int)fh_mul_u(fh_add_u((float)from, 0.5f), per), to = from + ((RADIX) - 1) * s * p; \
      FH_FFT_BUTTERFLY##RADIX(FH_POINTS_TWISTED)                                                        \
    }                                                                                                   \
  }
FH_POINTS_PASS(2)
FH_POINTS_PASS(3)
FH_POINTS_PASS(4)
FH_POINTS_PASS(5)

/* All passes: the result is x. Behind a barrier, and with one at its end. */
FH_INLINE void fh_transform_passes(fh_transform *f, fh_roots table) {
  const int unit = f->n % 2 ? 1 : 2;
  for (int left = f->size, s = 1; left > 1;) {
    const int radix = left % 4 == 0 ? 4 : left % 5 == 0 ? 5 : left % 3 == 0 ? 3 : 2;
    left /= radix;
    if (radix == 4)
      fh_points_pass4(f, left, s, unit * s, table);
    else if (radix == 5)
      fh_points_pass5(f, left, s, unit * s, table);
    else if (radix == 3)
      fh_points_pass3(f, left, s, unit * s, table);
    else
      fh_points_pass2(f, left, s, unit * s, table);
    fh_barrier();
    const fh_points made = f->y;
    f->y = f->x;
    f->x = made;
    s *= radix;
  }
}

/* ---- the bins of a real transform, from x to y ---- */
FH_INLINE void fh_bin_put(fh_points y, int k, fh_vc v, bool power) {
  if (power)
    y.re[k] = fh_add(fh_mul(v.re, v.re), fh_mul(v.im, v.im));
  else
    fh_c_store(y, k, v);
}

/* Bins k and m - k: e and o are twice the transforms of the even and of the odd samples, o times i. */
FH_INLINE void fh_bins_pair(const fh_transform *f, int k, fh_roots table, bool power) {
  const int m = f->size;
  const fh_vc a = fh_c_load(f->x, k), b = fh_c_load(f->x, m - k);
  const fh_vc e = fh_c(fh_add(a.re, b.re), fh_sub(a.im, b.im)), o = fh_c(fh_sub(a.re, b.re), fh_add(a.im, b.im));
  const fh_vc turned = fh_points_twist(o, table, k), low = fh_c_sub_i(e, turned), high = fh_c_add_i(e, turned);
  fh_bin_put(f->y, k, fh_c_scale(low, 0.5f), power);
  if (k != m - k) fh_bin_put(f->y, m - k, fh_c(fh_mul(high.re, 0.5f), fh_mul(high.im, -0.5f)), power);
}

/* Bins 0 to n / 2, with a barrier at the end. */
FH_INLINE void fh_transform_bins(const fh_transform *f, fh_roots table, bool power) {
  const int m = f->size;
  if (f->n % 2) {
    for (int k = f->thread; k <= m / 2; k += f->threads) fh_bin_put(f->y, k, fh_c_load(f->x, k), power);
  } else {
    for (int k = f->thread; k <= m - k; k += f->threads) {
      if (k == 0) {
        const fh_vc first = fh_c_load(f->x, 0);
        fh_bin_put(f->y, 0, fh_c(fh_add(first.re, first.im), 0.0f), power);
        fh_bin_put(f->y, m, fh_c(fh_sub(first.re, first.im), 0.0f), power);
      } else {
        fh_bins_pair(f, k, table, power);
      }
    }
  }
  fh_barrier();
}

/* Complex bins to memory, bin k at k yb, its imaginary part yp further: neighbouring threads write both parts. */
FH_INLINE void fh_transform_scatter(const fh_transform *f, fh_f32_out y, long yb, long yp) {
  for (int i = f->thread; i < 2 * (f->n / 2 + 1); i += f->threads) y[i / 2 * yb + i % 2 * yp] = f->y.re[i / 2 + i % 2 * f->y.part];
}

/* ---- frames of a signal ---- */
/* Sample t of the padded signal: mirrored at its first and last sample, or zero beyond them. */
FH_INLINE float fh_frame_sample(fh_f32_in x, long xs, long samples, bool zeros, long t) {
  const bool outside = t < 0 || t >= samples;
  const long mirrored = t < 0 ? -t : t >= samples ? 2 * (samples - 1) - t : t;
  const float v = x[(outside && zeros ? 0 : mirrored) * xs];
  return outside && zeros ? 0.0f : v;
}

/* The transform of the frame that begins at sample `first` of the padded signal x; without one, of nothing in particular. */
FH_INLINE void fh_transform_frame(fh_transform *f, bool has, fh_f32_in x, long xs, long samples, bool zeros, long first, fh_f32_in window,
                                  long ws) {
  if (!has) return;
  for (int j = f->thread; j < f->n; j += f->threads)
    fh_transform_put(f, j, fh_mul_u(fh_frame_sample(x, xs, samples, zeros, first + j), window[j * ws]));
}

#endif /* FOGHORN_KERNELS_BLOCK_TRANSFORM_H_ */
