/* Frames of a signal in the dialect: frame f holds the samples f hop ... f hop + n - 1 of the padded signal.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sixteen frames that lie within the signal are read from it. The others are read from a copy of the signal's padded ends, which a stage
 * before makes: `left` samples from the beginning of the padded signal, then those from sample `right_at` on, `edge` in all per channel. */
#ifndef FOGHORN_KERNELS_DIALECT_FRAMES_H_
#define FOGHORN_KERNELS_DIALECT_FRAMES_H_

#define FH_FRAMES_PIECE 1024 /* of kernels/frames.h */

/* n samples that lie `s` apart, or zeros. */
FH_INLINE void fh_frames_copy(fh_f32_in x, long s, long n, int zeros, fh_f32_out y) {
  const fh_vf zero = fh_splat(0.0f);
  long i = 0;
  if (zeros)
    for (; i < n; i += 16) fh_store_part(y, i, n, 1, zero);
  for (; i + 16 <= n; i += 16) fh_store(y, i, 1, fh_load(x, i, s));
  if (i < n) fh_store_part(y, i, n, 1, fh_load_part(x, i, n, s, 0.0f));
}

/* Samples t ... t + n - 1 of the padded signal: mirrored at its first and last sample, or zeros beyond them. */
FH_INLINE void fh_frames_pad(fh_f32_in x, long xs, long samples, long pad, int zeros, long t, long n, fh_f32_out y) {
  while (n > 0) {
    const int before = t < pad, behind = t >= pad + samples;
    const long end = before ? pad : pad + samples, most = behind ? n : end - t, run = n < most ? n : most;
    const long from = before ? pad - t : behind ? 2 * (samples - 1) - (t - pad) : t - pad;
    const int outside = before || behind;
    fh_frames_copy(x + (outside && zeros ? 0 : from * xs), outside ? -xs : xs, run, outside && zeros, y);
    t += run;
    y += run;
    n -= run;
  }
}

/* Piece number `piece` of the ends of one channel. */
FH_INLINE void fh_frames_ends(fh_f32_in x, long xs, long samples, long pad, int zeros, long left, long right_at, long edge, long piece,
                              fh_f32_out y) {
  const long begin = piece * FH_FRAMES_PIECE, stop = begin + FH_FRAMES_PIECE < edge ? begin + FH_FRAMES_PIECE : edge;
  const long middle = stop < left ? stop : begin < left ? left : begin;
  fh_frames_pad(x, xs, samples, pad, zeros, begin, middle - begin, y + begin);
  fh_frames_pad(x, xs, samples, pad, zeros, right_at + middle - left, stop - middle, y + middle);
}

/* The entry that copies the ends; an item is one of so many pieces of a channel. It has the parameters of the kernel's other entry. */
// clang-format off
#define FH_FRAMES_PAD_ENTRY(entry, pieces)                                                                                  \
  FH_ENTRY(entry) {                                                                                                         \
    const long channel = fh_item / pieces;                                                                                  \
    fh_frames_ends(x + channel * xc, xs, samples, pad, zeros != 0, left, right_at, edge, fh_item % pieces, ends + channel * edge); \
  }

/* The parameters of an entry on frames, behind its pointers x, window, table, ..., ends, scratch; and group `group` of a channel, times
 * the window, into `work`. */
#define FH_FRAMES_PARAMS(P) \
  P(I64, n) P(I64, area) P(I64, groups) P(I64, per_item) P(I64, frames) P(I64, of_channel) P(I64, hop) P(I64, pad) P(I64, first_inner) \
  P(I64, first_right) P(I64, left) P(I64, right_at) P(I64, edge) P(I64, xc) P(I64, xs) P(I64, ws) P(I64, ts) \
  P(I64, pieces) P(I64, samples) P(I64, zeros)
#define FH_FRAMES_GATHER(channel, group, rows, work)                                                                            \
  if ((group) >= first_inner && (group) < first_right)                                                                          \
    fh_fft_gather(x + (channel) * xc + ((group) * 16 * hop - pad) * xs, hop * xs, xs, rows, n, window, ws, work);               \
  else                                                                                                                          \
    fh_fft_gather(ends + (channel) * edge + (group) * 16 * hop - ((group) < first_inner ? 0 : right_at - left), hop, 1, rows, n, \
                  window, ws, work);
// clang-format on

#endif /* FOGHORN_KERNELS_DIALECT_FRAMES_H_ */
