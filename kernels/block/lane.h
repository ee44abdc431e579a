/* The dialect's primitives on the one number of a thread, so that block texts use its functions of elements (dialect/maths.h): each lane of
 * these is by itself, and the bits are those of the dialect. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_BLOCK_LANE_H_
#define FOGHORN_KERNELS_BLOCK_LANE_H_

#define FH_OUTLINE FH_INLINE
#define FH_EXP_MAGIC 12583039.0f /* as in dialect.h */
#define FH_NAN fh_as_float(0x7fc00000)

typedef float fh_vf;
typedef int fh_vi;
typedef int fh_vm; /* 0 or 1 */

FH_INLINE fh_vf fh_splat(float a) { return a; }
FH_INLINE fh_vi fh_splat_i(int a) { return a; }

FH_INLINE fh_vf fh_add(fh_vf a, fh_vf b) { return fh_add_u(a, b); }
FH_INLINE fh_vf fh_sub(fh_vf a, fh_vf b) { return fh_add_u(a, -b); }
FH_INLINE fh_vf fh_mul(fh_vf a, fh_vf b) { return fh_mul_u(a, b); }
FH_INLINE fh_vf fh_div(fh_vf a, fh_vf b) { return fh_div_u(a, b); }
FH_INLINE fh_vf fh_fma(fh_vf a, fh_vf b, fh_vf c) { return fh_fma_u(a, b, c); }
FH_INLINE fh_vf fh_min(fh_vf a, fh_vf b) { return a < b ? a : b; }
FH_INLINE fh_vf fh_max(fh_vf a, fh_vf b) { return a > b ? a : b; }
FH_INLINE fh_vf fh_neg(fh_vf a) { return -a; }
FH_INLINE fh_vf fh_abs(fh_vf a) { return fh_as_float(fh_as_int(a) & 0x7fffffff); }
FH_INLINE fh_vm fh_lt(fh_vf a, fh_vf b) { return a < b; }
FH_INLINE fh_vm fh_ge(fh_vf a, fh_vf b) { return a >= b; }
FH_INLINE fh_vm fh_eq(fh_vf a, fh_vf b) { return a == b; }
FH_INLINE fh_vm fh_and_m(fh_vm a, fh_vm b) { return a & b; }
FH_INLINE fh_vm fh_not_m(fh_vm a) { return !a; }
FH_INLINE bool fh_any(fh_vm m) { return m != 0; }
FH_INLINE fh_vf fh_select(fh_vm m, fh_vf a, fh_vf b) { return m ? a : b; }

/* Wrapping. */
FH_INLINE fh_vi fh_add_i(fh_vi a, fh_vi b) { return (int)((uint)a + (uint)b); }
FH_INLINE fh_vi fh_sub_i(fh_vi a, fh_vi b) { return (int)((uint)a - (uint)b); }
FH_INLINE fh_vi fh_and_i(fh_vi a, fh_vi b) { return a & b; }
FH_INLINE fh_vi fh_or_i(fh_vi a, fh_vi b) { return a | b; }
FH_INLINE fh_vi fh_shl_i(fh_vi a, int n) { return (int)((uint)a << n); }
FH_INLINE fh_vi fh_sar_i(fh_vi a, int n) { return a >> n; }
FH_INLINE fh_vi fh_as_i(fh_vf a) { return fh_as_int(a); }
FH_INLINE fh_vf fh_as_f(fh_vi a) { return fh_as_float(a); }
FH_INLINE fh_vf fh_to_f(fh_vi a) { return (float)a; }

FH_INLINE int fh_as_i_u(float x) { return fh_as_int(x); }
FH_INLINE float fh_max_u(float a, float b) { return a > b ? a : b; }

/* exp(x) for x <= 0: that of dialect.h, which says how good it is. */
FH_INLINE fh_vf fh_exp_negative(fh_vf x) {
  const fh_vf log2e = 0x1.715476p+0f, t = fh_fma_u(x, log2e, FH_EXP_MAGIC), f = fh_fma_u(x, log2e, fh_add_u(FH_EXP_MAGIC, -t));
  fh_vf p = fh_fma_u(0x1.5bba14p-10f, f, 0x1.3cea88p-7f);
  p = fh_fma_u(p, f, 0x1.c6b752p-5f);
  p = fh_fma_u(p, f, 0x1.ebf9bcp-3f);
  p = fh_fma_u(p, f, 0x1.62e42ap-1f);
  p = fh_mul_u(fh_fma_u(p, f, 1.0f), fh_as_float((int)((uint)fh_as_int(t) << 23)));
  return x < -87.3f ? 0.0f : p;
}

#define FH_DEFINE_LANEWISE(NAME, FUNCTION) \
  FH_INLINE void NAME(fh_vf x, fh_vf *first, fh_vf *second, fh_vi *whole) { FUNCTION(x, first, second, whole); }

#endif /* FOGHORN_KERNELS_BLOCK_LANE_H_ */
