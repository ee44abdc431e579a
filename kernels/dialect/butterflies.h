/* Complex numbers and the butterflies of a Fourier transform, whoever keeps them where. SPDX-License-Identifier: Apache-2.0
 *
 * fh_vf may be lanes (dialect/fft.h) or the number of a thread (block/transform.h): the same operations in the same order, and so the same
 * bits. */
#ifndef FOGHORN_KERNELS_DIALECT_BUTTERFLIES_H_
#define FOGHORN_KERNELS_DIALECT_BUTTERFLIES_H_

typedef struct fh_vc {
  fh_vf re, im;
} fh_vc;

FH_INLINE fh_vc fh_c(fh_vf re, fh_vf im) {
  fh_vc c;
  c.re = re;
  c.im = im;
  return c;
}
FH_INLINE fh_vc fh_c_add(fh_vc a, fh_vc b) { return fh_c(fh_add(a.re, b.re), fh_add(a.im, b.im)); }
FH_INLINE fh_vc fh_c_sub(fh_vc a, fh_vc b) { return fh_c(fh_sub(a.re, b.re), fh_sub(a.im, b.im)); }
FH_INLINE fh_vc fh_c_scale(fh_vc a, float by) { return fh_c(fh_mul(a.re, fh_splat(by)), fh_mul(a.im, fh_splat(by))); }
/* a - i b and a + i b */
FH_INLINE fh_vc fh_c_sub_i(fh_vc a, fh_vc b) { return fh_c(fh_add(a.re, b.im), fh_sub(a.im, b.re)); }
FH_INLINE fh_vc fh_c_add_i(fh_vc a, fh_vc b) { return fh_c(fh_sub(a.re, b.im), fh_add(a.im, b.re)); }
FH_INLINE fh_vc fh_c_times(fh_vc a, fh_vf c, fh_vf s) {
  return fh_c(fh_sub(fh_mul(a.re, c), fh_mul(a.im, s)), fh_add(fh_mul(a.re, s), fh_mul(a.im, c)));
}

/* Butterflies: of elements from + k step of x, read by fh_c_load(x, place); result k goes to `to` + k s of y, the first by fh_c_store(y,
 * place, v), the others by PUT(k, v), which twists them. */
#define FH_FFT_BUTTERFLY2(PUT)                                       \
  const fh_vc a = fh_c_load(x, from), b = fh_c_load(x, from + step); \
  fh_c_store(y, to, fh_c_add(a, b));                                 \
  PUT(1, fh_c_sub(a, b))

#define FH_FFT_BUTTERFLY3(PUT)                                                                          \
  const fh_vc a = fh_c_load(x, from), b = fh_c_load(x, from + step), c = fh_c_load(x, from + 2 * step); \
  const fh_vc sum = fh_c_add(b, c), turn = fh_c_scale(fh_c_sub(b, c), FH_FFT_SIN_60);                   \
  const fh_vc middle = fh_c_sub(a, fh_c_scale(sum, 0.5f));                                              \
  fh_c_store(y, to, fh_c_add(a, sum));                                                                  \
  PUT(1, fh_c_sub_i(middle, turn))                                                                      \
  PUT(2, fh_c_add_i(middle, turn))

#define FH_FFT_BUTTERFLY4(PUT)                                                                      \
  const fh_vc a = fh_c_load(x, from), b = fh_c_load(x, from + step);                                \
  const fh_vc c = fh_c_load(x, from + 2 * step), d = fh_c_load(x, from + 3 * step);                 \
  const fh_vc ac = fh_c_add(a, c), bd = fh_c_add(b, d), a_c = fh_c_sub(a, c), b_d = fh_c_sub(b, d); \
  fh_c_store(y, to, fh_c_add(ac, bd));                                                              \
  PUT(1, fh_c_sub_i(a_c, b_d))                                                                      \
  PUT(2, fh_c_sub(ac, bd))                                                                          \
  PUT(3, fh_c_add_i(a_c, b_d))

#define FH_FFT_BUTTERFLY5(PUT)                                                                           \
  const fh_vc a = fh_c_load(x, from), b = fh_c_load(x, from + step), c = fh_c_load(x, from + 2 * step);  \
  const fh_vc d = fh_c_load(x, from + 3 * step), e = fh_c_load(x, from + 4 * step);                      \
  const fh_vc be = fh_c_add(b, e), cd = fh_c_add(c, d), b_e = fh_c_sub(b, e), c_d = fh_c_sub(c, d);      \
  const fh_vc m1 = fh_c_add(fh_c_add(a, fh_c_scale(be, FH_FFT_COS_72)), fh_c_scale(cd, FH_FFT_COS_144)); \
  const fh_vc m2 = fh_c_add(fh_c_add(a, fh_c_scale(be, FH_FFT_COS_144)), fh_c_scale(cd, FH_FFT_COS_72)); \
  const fh_vc n1 = fh_c_add(fh_c_scale(b_e, FH_FFT_SIN_72), fh_c_scale(c_d, FH_FFT_SIN_144));            \
  const fh_vc n2 = fh_c_sub(fh_c_scale(b_e, FH_FFT_SIN_144), fh_c_scale(c_d, FH_FFT_SIN_72));            \
  fh_c_store(y, to, fh_c_add(fh_c_add(a, be), cd));                                                      \
  PUT(1, fh_c_sub_i(m1, n1))                                                                             \
  PUT(2, fh_c_sub_i(m2, n2))                                                                             \
  PUT(3, fh_c_add_i(m2, n2))                                                                             \
  PUT(4, fh_c_add_i(m1, n1))

#define FH_FFT_SIN_60 0x1.bb67aep-1f
#define FH_FFT_COS_72 0x1.3c6ef4p-2f
#define FH_FFT_COS_144 -0x1.9e377ap-1f
#define FH_FFT_SIN_72 0x1.e6f0e2p-1f
#define FH_FFT_SIN_144 0x1.2cf230p-1f

#endif /* FOGHORN_KERNELS_DIALECT_BUTTERFLIES_H_ */
