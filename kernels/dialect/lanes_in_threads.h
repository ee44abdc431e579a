/* The dialect where a lane is a thread: 16 threads work together on one item, and a lane value is one register of each.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Read behind prelude_ptx.h, where they are threads of a warp, or prelude_cl_lanes.h, where they are work-items of a sub-group. Those say
 *
 *   FH_INLINE FH_OUTLINE FH_ENTRY         as every prelude does
 *   FH_ADD_RN FH_MUL_RN FH_DIV_RN FH_FMA_RN FH_SQRT_RN    the arithmetic of one float, each rounded once, and never joined
 *   FH_COUNT_ONE(place)                   counts one more there, also against others who do
 *   fh_lane()                             which of the 16 this thread is
 *   FH_FROM_XOR(v, mask)                  the float of lane fh_lane() ^ mask, a constant; FH_BITS_FROM_XOR of an int
 *   fh_from_first(v)                      the float of lane 0; fh_bits_from_first of an int
 *   fh_first(m) fh_lanes_meet()           dialect.h */
#define FH_UNUSED
#define FH_LANES 16
#define FH_LARGE FH_INLINE
#define FH_INFINITY as_float(0x7f800000)
#define FH_NAN as_float(0x7fc00000)

typedef __global const float *fh_f32_in;
typedef __global float *fh_f32_out;
typedef __global const uchar *fh_u8_in;
typedef __global uchar *fh_u8_out;
typedef __global const ushort *fh_u16_in;
typedef __global ushort *fh_u16_out;
typedef __global const int *fh_i32_in;
typedef __global const long *fh_i64_in;
typedef __global int *fh_i32_out;

typedef float fh_vf;
typedef int fh_vi;
typedef int fh_vm; /* 0 or 1 */

FH_INLINE fh_vf fh_splat(float a) { return a; }
FH_INLINE fh_vi fh_splat_i(int a) { return a; }

FH_INLINE fh_vf fh_add(fh_vf a, fh_vf b) { return FH_ADD_RN(a, b); }
FH_INLINE fh_vf fh_sub(fh_vf a, fh_vf b) { return FH_ADD_RN(a, -b); }
FH_INLINE fh_vf fh_mul(fh_vf a, fh_vf b) { return FH_MUL_RN(a, b); }
FH_INLINE fh_vf fh_div(fh_vf a, fh_vf b) { return FH_DIV_RN(a, b); }
FH_INLINE fh_vf fh_fma(fh_vf a, fh_vf b, fh_vf c) { return FH_FMA_RN(a, b, c); }
FH_INLINE fh_vf fh_sqrt(fh_vf a) { return FH_SQRT_RN(a); }
FH_INLINE fh_vf fh_min(fh_vf a, fh_vf b) { return a < b ? a : b; }
FH_INLINE fh_vf fh_max(fh_vf a, fh_vf b) { return a > b ? a : b; }
FH_INLINE fh_vf fh_neg(fh_vf a) { return -a; }
FH_INLINE fh_vf fh_abs(fh_vf a) { return as_float(as_int(a) & 0x7fffffff); }
FH_INLINE fh_vm fh_lt(fh_vf a, fh_vf b) { return a < b; }
FH_INLINE fh_vm fh_le(fh_vf a, fh_vf b) { return a <= b; }
FH_INLINE fh_vm fh_gt(fh_vf a, fh_vf b) { return a > b; }
FH_INLINE fh_vm fh_ge(fh_vf a, fh_vf b) { return a >= b; }
FH_INLINE fh_vm fh_eq(fh_vf a, fh_vf b) { return a == b; }
FH_INLINE fh_vm fh_and_m(fh_vm a, fh_vm b) { return a & b; }
FH_INLINE fh_vm fh_or_m(fh_vm a, fh_vm b) { return a | b; }
FH_INLINE fh_vm fh_not_m(fh_vm a) { return !a; }
FH_INLINE fh_vf fh_select(fh_vm m, fh_vf a, fh_vf b) { return m ? a : b; }
FH_INLINE fh_vi fh_select_i(fh_vm m, fh_vi a, fh_vi b) { return m ? a : b; }
FH_INLINE fh_vi fh_add_i(fh_vi a, fh_vi b) { return a + b; }
FH_INLINE fh_vi fh_sub_i(fh_vi a, fh_vi b) { return a - b; }
FH_INLINE fh_vi fh_mul_i(fh_vi a, fh_vi b) { return a * b; }
FH_INLINE fh_vi fh_and_i(fh_vi a, fh_vi b) { return a & b; }
FH_INLINE fh_vi fh_or_i(fh_vi a, fh_vi b) { return a | b; }
FH_INLINE fh_vi fh_shl_i(fh_vi a, int b) { return a << b; }
FH_INLINE fh_vi fh_sar_i(fh_vi a, int b) { return a >> b; }
FH_INLINE fh_vi fh_as_i(fh_vf a) { return as_int(a); }
FH_INLINE fh_vf fh_as_f(fh_vi a) { return as_float(a); }
FH_INLINE fh_vf fh_to_f(fh_vi a) { return (float)a; }
FH_INLINE fh_vi fh_trunc_i(fh_vf a) { return (int)a; }

FH_INLINE int fh_as_i_u(float x) { return as_int(x); }
FH_INLINE bool fh_any(fh_vm m) { return m != 0; }
FH_INLINE float fh_add_u(float a, float b) { return FH_ADD_RN(a, b); }
FH_INLINE float fh_mul_u(float a, float b) { return FH_MUL_RN(a, b); }
FH_INLINE float fh_fma_u(float a, float b, float c) { return FH_FMA_RN(a, b, c); }
FH_INLINE float fh_sqrt_u(float x) { return FH_SQRT_RN(x); }
FH_INLINE float fh_max_u(float a, float b) { return a > b ? a : b; }
FH_INLINE float fh_min_u(float a, float b) { return a < b ? a : b; }

FH_INLINE fh_vm fh_lane_below(long n) { return fh_lane() < n; }

FH_INLINE fh_vf fh_load(fh_f32_in p, long i, long s) { return p[(i + fh_lane()) * s]; }
FH_INLINE fh_vf fh_load_part(fh_f32_in p, long i, long n, long s, float fill) {
  const long e = i + fh_lane();
  return e < n ? p[e * s] : fill;
}
FH_INLINE void fh_store(fh_f32_out p, long i, long s, fh_vf v) { p[(i + fh_lane()) * s] = v; }
FH_INLINE void fh_store_part(fh_f32_out p, long i, long n, long s, fh_vf v) {
  const long e = i + fh_lane();
  if (e < n) p[e * s] = v;
}
#define FH_DEFINE_INTEGER(TYPE, ELEMENT)                                                                              \
  FH_INLINE fh_vi fh_load_##TYPE(fh_##TYPE##_in p, long i, long s) { return p[(i + fh_lane()) * s]; }                 \
  FH_INLINE fh_vi fh_load_##TYPE##_part(fh_##TYPE##_in p, long i, long n, long s, int fill) {                         \
    const long e = i + fh_lane();                                                                                     \
    return e < n ? p[e * s] : fill;                                                                                   \
  }                                                                                                                   \
  FH_INLINE void fh_store_##TYPE(fh_##TYPE##_out p, long i, long s, fh_vi v) { p[(i + fh_lane()) * s] = (ELEMENT)v; } \
  FH_INLINE void fh_store_##TYPE##_part(fh_##TYPE##_out p, long i, long n, long s, fh_vi v) {                         \
    const long e = i + fh_lane();                                                                                     \
    if (e < n) p[e * s] = (ELEMENT)v;                                                                                 \
  }
FH_DEFINE_INTEGER(i32, int)
FH_DEFINE_INTEGER(u16, ushort)
FH_DEFINE_INTEGER(u8, uchar)
FH_INLINE fh_vf fh_gather(fh_f32_in p, fh_vi v, long n, long s, float fill) { return v >= 0 && v < n ? p[v * s] : fill; }
FH_INLINE void fh_count_at(fh_i32_out p, fh_vi v, long n, int tables) {
  if (v >= 0 && v < n) FH_COUNT_ONE(&p[(fh_lane() & (tables - 1)) * n + v]);
}
FH_INLINE void fh_load_u8x3(fh_u8_in p, long i, fh_vi *a, fh_vi *b, fh_vi *c) {
  const fh_u8_in q = p + 3 * (i + fh_lane());
  *a = q[0];
  *b = q[1];
  *c = q[2];
}

/* Each lane moves its own row. */
FH_INLINE void fh_turn_in(fh_f32_in p, long s, long rows, fh_f32_out out, long step) {
  const int l = fh_lane();
  for (int e = 0; e < FH_LANES; e++) out[e * step + l] = l < rows ? p[l * s + e] : 0.0f;
}
FH_INLINE void fh_turn_in_by(fh_f32_in p, long s, long rows, fh_f32_in by, long bs, fh_f32_out out, long step) {
  const int l = fh_lane();
  for (int e = 0; e < FH_LANES; e++) out[e * step + l] = l < rows ? FH_MUL_RN(p[l * s + e], by[e * bs]) : 0.0f;
}
FH_INLINE void fh_turn_out(fh_f32_in in, long step, long rows, fh_f32_out p, long s) {
  const int l = fh_lane();
  if (l >= rows) return;
  for (int e = 0; e < FH_LANES; e++) p[l * s + e] = in[e * step + l];
}

FH_INLINE float fh_get(fh_f32_in p, long i) { return p[i]; }
FH_INLINE void fh_put(fh_f32_out p, long i, float v) {
  if (fh_lane() == 0) p[i] = v;
}
FH_INLINE int fh_get_u8(fh_u8_in p, long i) { return p[i]; }
FH_INLINE int fh_get_i8(fh_u8_in p, long i) { return (char)p[i]; }
FH_INLINE float fh_get_bf16(fh_u16_in p, long i) { return as_float((int)p[i] << 16); }
FH_INLINE int fh_get_i32(fh_i32_in p, long i) { return p[i]; }
FH_INLINE long fh_get_i64(fh_i64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_i32(fh_i32_out p, long i, int v) {
  if (fh_lane() == 0) p[i] = v;
}
FH_INLINE void fh_increment(fh_i32_out p, long i) {
  if (fh_lane() == 0) p[i]++;
}

/* ---- the values of other lanes ---- */
/* Without a barrier only the first lane may read what it wrote; the others get it from there. */
FH_INLINE float fh_get_put(fh_f32_out p, long i) { return fh_from_first(fh_lane() == 0 ? p[i] : 0.0f); }
FH_INLINE int fh_get_put_i32(fh_i32_out p, long i) { return fh_bits_from_first(fh_lane() == 0 ? p[i] : 0); }

FH_INLINE float fh_sum_of(fh_vf v) {
  v = FH_ADD_RN(v, FH_FROM_XOR(v, 8));
  v = FH_ADD_RN(v, FH_FROM_XOR(v, 4));
  v = FH_ADD_RN(v, FH_FROM_XOR(v, 2));
  return FH_ADD_RN(v, FH_FROM_XOR(v, 1));
}
/* max(a, b) and max(b, a) differ for a NaN or zeros of two signs: the first lane's view counts. */
FH_INLINE float fh_max_of(fh_vf v) {
  v = fh_max(v, FH_FROM_XOR(v, 8));
  v = fh_max(v, FH_FROM_XOR(v, 4));
  v = fh_max(v, FH_FROM_XOR(v, 2));
  return fh_from_first(fh_max(v, FH_FROM_XOR(v, 1)));
}
FH_INLINE float fh_min_of(fh_vf v) {
  v = fh_min(v, FH_FROM_XOR(v, 8));
  v = fh_min(v, FH_FROM_XOR(v, 4));
  v = fh_min(v, FH_FROM_XOR(v, 2));
  return fh_from_first(fh_min(v, FH_FROM_XOR(v, 1)));
}
#define FH_DEFINE_LANEWISE(NAME, FUNCTION) \
  FH_INLINE void NAME(fh_vf x, fh_vf *first, fh_vf *second, fh_vi *whole) { FUNCTION(x, first, second, whole); }

/* ---- stores past the caches: the hint is for CPUs ---- */
FH_INLINE long fh_stream_head(fh_f32_out p) { return -1; }
FH_INLINE void fh_store_stream(fh_f32_out p, long i, fh_vf v) { fh_store(p, i, 1, v); }

#define FH_ENTRY_STREAMING FH_ENTRY
