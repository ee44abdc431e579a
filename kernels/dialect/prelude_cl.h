/* The dialect in OpenCL C 1.2: one work-item per item, 16 lanes are a float16. SPDX-License-Identifier: Apache-2.0
 * Build options: -cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt.
 * On GPUs the backend puts prelude_cl_lanes.h and lanes_in_threads.h in front, which take the place of this. */
#pragma OPENCL FP_CONTRACT OFF
#ifndef FH_ON_LANES

#define FH_ON_OPENCL 1 /* for headers that are not the same on all */

#define FH_INLINE static inline
#define FH_OUTLINE static
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

typedef float16 fh_vf;
typedef int16 fh_vi;
typedef int16 fh_vm; /* 0 or -1 */

FH_INLINE fh_vf fh_splat(float a) { return (float16)(a); }
FH_INLINE fh_vi fh_splat_i(int a) { return (int16)(a); }

FH_INLINE fh_vf fh_add(fh_vf a, fh_vf b) { return a + b; }
FH_INLINE fh_vf fh_sub(fh_vf a, fh_vf b) { return a - b; }
FH_INLINE fh_vf fh_mul(fh_vf a, fh_vf b) { return a * b; }
FH_INLINE fh_vf fh_div(fh_vf a, fh_vf b) { return a / b; }
FH_INLINE fh_vf fh_fma(fh_vf a, fh_vf b, fh_vf c) { return fma(a, b, c); }
FH_INLINE fh_vf fh_sqrt(fh_vf a) { return sqrt(a); }
FH_INLINE fh_vf fh_min(fh_vf a, fh_vf b) { return select(b, a, a < b); }
FH_INLINE fh_vf fh_max(fh_vf a, fh_vf b) { return select(b, a, a > b); }
FH_INLINE fh_vf fh_neg(fh_vf a) { return -a; }
FH_INLINE fh_vf fh_abs(fh_vf a) { return as_float16(as_int16(a) & 0x7fffffff); }
FH_INLINE fh_vm fh_lt(fh_vf a, fh_vf b) { return a < b; }
FH_INLINE fh_vm fh_le(fh_vf a, fh_vf b) { return a <= b; }
FH_INLINE fh_vm fh_gt(fh_vf a, fh_vf b) { return a > b; }
FH_INLINE fh_vm fh_ge(fh_vf a, fh_vf b) { return a >= b; }
FH_INLINE fh_vm fh_eq(fh_vf a, fh_vf b) { return a == b; }
FH_INLINE fh_vm fh_and_m(fh_vm a, fh_vm b) { return a & b; }
FH_INLINE fh_vm fh_or_m(fh_vm a, fh_vm b) { return a | b; }
FH_INLINE fh_vm fh_not_m(fh_vm a) { return ~a; }
FH_INLINE fh_vf fh_select(fh_vm m, fh_vf a, fh_vf b) { return select(b, a, m); }
FH_INLINE fh_vi fh_select_i(fh_vm m, fh_vi a, fh_vi b) { return select(b, a, m); }
FH_INLINE fh_vi fh_add_i(fh_vi a, fh_vi b) { return a + b; }
FH_INLINE fh_vi fh_sub_i(fh_vi a, fh_vi b) { return a - b; }
FH_INLINE fh_vi fh_mul_i(fh_vi a, fh_vi b) { return a * b; }
FH_INLINE fh_vi fh_and_i(fh_vi a, fh_vi b) { return a & b; }
FH_INLINE fh_vi fh_or_i(fh_vi a, fh_vi b) { return a | b; }
FH_INLINE fh_vi fh_shl_i(fh_vi a, int b) { return a << (int16)(b); }
FH_INLINE fh_vi fh_sar_i(fh_vi a, int b) { return a >> (int16)(b); }
FH_INLINE fh_vi fh_as_i(fh_vf a) { return as_int16(a); }
FH_INLINE fh_vf fh_as_f(fh_vi a) { return as_float16(a); }
FH_INLINE fh_vf fh_to_f(fh_vi a) { return convert_float16(a); }
FH_INLINE fh_vi fh_trunc_i(fh_vf a) { return convert_int16(a); }

FH_INLINE int fh_as_i_u(float x) { return as_int(x); }
FH_INLINE bool fh_any(fh_vm m) { return any(m); }
FH_INLINE float fh_add_u(float a, float b) { return a + b; }
FH_INLINE float fh_mul_u(float a, float b) { return a * b; }
FH_INLINE float fh_fma_u(float a, float b, float c) { return fma(a, b, c); }
FH_INLINE float fh_sqrt_u(float x) { return sqrt(x); }
FH_INLINE float fh_max_u(float a, float b) { return a > b ? a : b; }
FH_INLINE float fh_min_u(float a, float b) { return a < b ? a : b; }

FH_INLINE int fh_lanes_left(long i, long n) { return n - i < FH_LANES ? (n > i ? (int)(n - i) : 0) : FH_LANES; }
FH_INLINE fh_vm fh_lane_below(long n) {
  return (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) < (int16)(fh_lanes_left(0, n));
}

FH_INLINE fh_vf fh_load_part(fh_f32_in p, long i, long n, long s, float fill) {
  const int count = fh_lanes_left(i, n);
  float lanes[FH_LANES];
  vstore16((float16)(fill), 0, lanes);
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return vload16(0, lanes);
}
FH_INLINE void fh_store_part(fh_f32_out p, long i, long n, long s, fh_vf v) {
  const int count = fh_lanes_left(i, n);
  float lanes[FH_LANES];
  vstore16(v, 0, lanes);
  for (int l = 0; l < count; l++) p[(i + l) * s] = lanes[l];
}
FH_INLINE fh_vf fh_load(fh_f32_in p, long i, long s) { return s == 1 ? vload16(0, p + i) : fh_load_part(p, i, i + FH_LANES, s, 0.0f); }
FH_INLINE void fh_store(fh_f32_out p, long i, long s, fh_vf v) {
  if (s == 1)
    vstore16(v, 0, p + i);
  else
    fh_store_part(p, i, i + FH_LANES, s, v);
}

#define FH_DEFINE_INTEGER(TYPE, WIDEN, NARROW)                                                  \
  FH_INLINE fh_vi fh_load_##TYPE##_part(fh_##TYPE##_in p, long i, long n, long s, int fill) {   \
    const int count = fh_lanes_left(i, n);                                                      \
    int lanes[FH_LANES];                                                                        \
    vstore16((int16)(fill), 0, lanes);                                                          \
    for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];                                  \
    return vload16(0, lanes);                                                                   \
  }                                                                                             \
  FH_INLINE fh_vi fh_load_##TYPE(fh_##TYPE##_in p, long i, long s) {                            \
    return s == 1 ? WIDEN(vload16(0, p + i)) : fh_load_##TYPE##_part(p, i, i + FH_LANES, s, 0); \
  }                                                                                             \
  FH_INLINE void fh_store_##TYPE##_part(fh_##TYPE##_out p, long i, long n, long s, fh_vi v) {   \
    const int count = fh_lanes_left(i, n);                                                      \
    int lanes[FH_LANES];                                                                        \
    vstore16(v, 0, lanes);                                                                      \
    for (int l = 0; l < count; l++) p[(i + l) * s] = lanes[l];                                  \
  }                                                                                             \
  FH_INLINE void fh_store_##TYPE(fh_##TYPE##_out p, long i, long s, fh_vi v) {                  \
    if (s == 1)                                                                                 \
      vstore16(NARROW(v), 0, p + i);                                                            \
    else                                                                                        \
      fh_store_##TYPE##_part(p, i, i + FH_LANES, s, v);                                         \
  }
FH_DEFINE_INTEGER(i32, , )
FH_DEFINE_INTEGER(u16, convert_int16, convert_ushort16)
FH_DEFINE_INTEGER(u8, convert_int16, convert_uchar16)
FH_INLINE fh_vf fh_gather(fh_f32_in p, fh_vi v, long n, long s, float fill) {
  int index[FH_LANES];
  float lanes[FH_LANES];
  vstore16(v, 0, index);
  for (int l = 0; l < FH_LANES; l++) lanes[l] = index[l] >= 0 && index[l] < n ? p[index[l] * s] : fill;
  return vload16(0, lanes);
}
FH_INLINE void fh_lanes_meet(void) {}
FH_INLINE void fh_count_at(fh_i32_out p, fh_vi v, long n, int tables) {
  int index[FH_LANES];
  vstore16(v, 0, index);
  for (int l = 0; l < FH_LANES; l++)
    if (index[l] >= 0 && index[l] < n) p[(l & (tables - 1)) * n + index[l]]++;
}
FH_INLINE void fh_load_u8x3(fh_u8_in p, long i, fh_vi *a, fh_vi *b, fh_vi *c) {
  const uchar16 u = vload16(0, p + 3 * i), v = vload16(1, p + 3 * i), w = vload16(2, p + 3 * i);
  *a = convert_int16((uchar16)(u.s0369, u.scf, v.s258b, v.se, w.s147a, w.sd));
  *b = convert_int16((uchar16)(u.s147a, u.sd, v.s0369, v.scf, w.s258b, w.se));
  *c = convert_int16((uchar16)(u.s258b, u.se, v.s147a, v.sd, w.s0369, w.scf));
}

/* ---- sixteen rows at once ---- */
FH_INLINE void fh_turn_in(fh_f32_in p, long s, long rows, fh_f32_out out, long step) {
  for (int e = 0; e < FH_LANES; e++)
    for (int l = 0; l < FH_LANES; l++) out[e * step + l] = l < rows ? p[l * s + e] : 0.0f;
}
FH_INLINE void fh_turn_in_by(fh_f32_in p, long s, long rows, fh_f32_in by, long bs, fh_f32_out out, long step) {
  for (int e = 0; e < FH_LANES; e++)
    for (int l = 0; l < FH_LANES; l++) out[e * step + l] = l < rows ? p[l * s + e] * by[e * bs] : 0.0f;
}
FH_INLINE void fh_turn_out(fh_f32_in in, long step, long rows, fh_f32_out p, long s) {
  for (int l = 0; l < FH_LANES && l < rows; l++)
    for (int e = 0; e < FH_LANES; e++) p[l * s + e] = in[e * step + l];
}

FH_INLINE float fh_get(fh_f32_in p, long i) { return p[i]; }
FH_INLINE void fh_put(fh_f32_out p, long i, float v) { p[i] = v; }
FH_INLINE int fh_get_u8(fh_u8_in p, long i) { return p[i]; }
FH_INLINE int fh_get_i8(fh_u8_in p, long i) { return (char)p[i]; }
FH_INLINE float fh_get_bf16(fh_u16_in p, long i) { return as_float((int)p[i] << 16); }
FH_INLINE int fh_get_i32(fh_i32_in p, long i) { return p[i]; }
FH_INLINE long fh_get_i64(fh_i64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_i32(fh_i32_out p, long i, int v) { p[i] = v; }
FH_INLINE float fh_get_put(fh_f32_out p, long i) { return p[i]; }
FH_INLINE int fh_get_put_i32(fh_i32_out p, long i) { return p[i]; }
FH_INLINE void fh_increment(fh_i32_out p, long i) { p[i]++; }

FH_INLINE float fh_sum_of(fh_vf v) {
  const float8 e = v.lo + v.hi;
  const float4 q = e.lo + e.hi;
  const float2 d = q.lo + q.hi;
  return d.x + d.y;
}
FH_INLINE float fh_max_of(fh_vf v) {
  const float8 e = select(v.hi, v.lo, v.lo > v.hi);
  const float4 q = select(e.hi, e.lo, e.lo > e.hi);
  const float2 d = select(q.hi, q.lo, q.lo > q.hi);
  return fh_max_u(d.x, d.y);
}
FH_INLINE float fh_min_of(fh_vf v) {
  const float8 e = select(v.hi, v.lo, v.lo < v.hi);
  const float4 q = select(e.hi, e.lo, e.lo < e.hi);
  const float2 d = select(q.hi, q.lo, q.lo < q.hi);
  return fh_min_u(d.x, d.y);
}

#define FH_DEFINE_LANEWISE(NAME, FUNCTION)                                   \
  FH_INLINE void NAME(fh_vf x, fh_vf *first, fh_vf *second, fh_vi *whole) {  \
    float in[FH_LANES], a[FH_LANES], b[FH_LANES];                            \
    int i[FH_LANES];                                                         \
    vstore16(x, 0, in);                                                      \
    for (int l = 0; l < FH_LANES; l++) FUNCTION(in[l], &a[l], &b[l], &i[l]); \
    *first = vload16(0, a);                                                  \
    *second = vload16(0, b);                                                 \
    *whole = vload16(0, i);                                                  \
  }

FH_INLINE int fh_first(fh_vm m) {
  int lanes[FH_LANES], first = 0;
  vstore16(m, 0, lanes);
  while (first < FH_LANES && !lanes[first]) first++;
  return first;
}

/* ---- stores past the caches: the hint is for CPUs ---- */
FH_INLINE long fh_stream_head(fh_f32_out p) { return -1; }
FH_INLINE void fh_store_stream(fh_f32_out p, long i, fh_vf v) { fh_store(p, i, 1, v); }

#define FH_ENTRY_STREAMING FH_ENTRY
/* ---- entries ---- */
#define FH_ENTRY(entry)                                                                  \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM)); \
  __kernel void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) {                   \
    const long item = get_global_id(0);                                                  \
    if (item < fh_items) entry##_item(item, item entry##_PARAMS(FH_KERNEL_ARGUMENT));    \
  }                                                                                      \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM))
#endif /* FH_ON_LANES */
