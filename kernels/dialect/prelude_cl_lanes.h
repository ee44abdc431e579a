/* The dialect in OpenCL C for GPUs: 16 work-items of a sub-group work on one item, a lane value is one register of
 * each. SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic is that of prelude_ptx.h, so are the bits. The backend puts this in front of a kernel's source, whose own prelude then
 * stands aside, and says by FH_LANES_BY_<...> how lanes hand values to each other. What they do so with must work where the sub-group's
 * other items went another way: each of the four does.
 *
 *   KHR     cl_khr_subgroup_shuffle, in sub-groups of 16 by cl_intel_required_subgroup_size
 *   INTEL   cl_intel_subgroups, the same
 *   AMD     ds_swizzle, within the halves of 32 lanes: clang's builtins, in wavefronts of 32 or 64
 *   NVIDIA  shfl.sync, under the mask of the item's half of a warp: PTX in the text, as NVIDIA's compiler takes it
 *
 * Launch: one dimension, groups that are a multiple of the sub-group; items are taken in a stride of the grid, so any grid is right. */
#define FH_ON_LANES 1
#define FH_ON_OPENCL 1 /* for headers that are not the same on all */
#pragma OPENCL FP_CONTRACT OFF

/* ---- who exchanges: fh_lane, fh_team of fh_teams in the group; FH_BITS_FROM_XOR with a constant mask; fh_bits_from_first ---- */
#if defined(FH_LANES_BY_KHR) || defined(FH_LANES_BY_INTEL)
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#define FH_SUB_GROUP_16 __attribute__((intel_reqd_sub_group_size(16)))
/* Which work-items form a sub-group is up to the device. */
static inline int fh_lane(void) { return (int)get_sub_group_local_id(); }
static inline long fh_team(void) { return get_sub_group_id(); }
static inline long fh_teams(void) { return get_num_sub_groups(); }
static inline void fh_lanes_meet(void) { sub_group_barrier(CLK_GLOBAL_MEM_FENCE); }
#ifdef FH_LANES_BY_KHR
#define FH_BITS_FROM_XOR(v, mask) sub_group_shuffle_xor((int)(v), (uint)(mask))
static inline int fh_bits_from_first(int v) { return sub_group_shuffle(v, 0u); }
#else
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#define FH_BITS_FROM_XOR(v, mask) intel_sub_group_shuffle_xor((int)(v), (uint)(mask))
static inline int fh_bits_from_first(int v) { return intel_sub_group_shuffle(v, 0u); }
#endif

#else
/* Work-items of a group in one dimension fill wavefronts and warps in order. */
#define FH_SUB_GROUP_16
static inline int fh_lane(void) { return (int)(get_local_id(0) & 15); }
static inline long fh_team(void) { return (long)(get_local_id(0) / 16); }
static inline long fh_teams(void) { return (long)(get_local_size(0) / 16); }

#if defined(FH_LANES_BY_AMD)
/* Pattern of ds_swizzle: lane = ((this & and) | or) ^ xor, from bits 0, 5 and 10 on. */
#define FH_BITS_FROM_XOR(v, mask) __builtin_amdgcn_ds_swizzle((v), (mask) << 10 | 0x1f)
static inline int fh_bits_from_first(int v) { return __builtin_amdgcn_ds_swizzle(v, 0x10); }
static inline void fh_lanes_meet(void) {
  __builtin_amdgcn_fence(__ATOMIC_ACQ_REL, "wavefront");
  __builtin_amdgcn_wave_barrier();
}
#elif defined(FH_LANES_BY_NVIDIA)
static inline uint fh_members(void) { return 0xffffu << (get_local_id(0) & 16); }
static inline int fh_bits_from_xor(int v, int mask) {
  int other;
  __asm__ volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x101f, %3;" : "=r"(other) : "r"(v), "r"(mask), "r"(fh_members()));
  return other;
}
#define FH_BITS_FROM_XOR(v, mask) fh_bits_from_xor(v, mask)
static inline int fh_bits_from_first(int v) {
  int first;
  __asm__ volatile("shfl.sync.idx.b32 %0, %1, 0, 0x101f, %2;" : "=r"(first) : "r"(v), "r"(fh_members()));
  return first;
}
static inline void fh_lanes_meet(void) { __asm__ volatile("bar.warp.sync %0;" : : "r"(fh_members()) : "memory"); }
#endif
#endif

/* ---- 16 lanes ---- */
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

typedef float fh_vf;
typedef int fh_vi;
typedef int fh_vm; /* 0 or 1 */

FH_INLINE fh_vf fh_splat(float a) { return a; }
FH_INLINE fh_vi fh_splat_i(int a) { return a; }

FH_INLINE fh_vf fh_add(fh_vf a, fh_vf b) { return a + b; }
FH_INLINE fh_vf fh_sub(fh_vf a, fh_vf b) { return a - b; }
FH_INLINE fh_vf fh_mul(fh_vf a, fh_vf b) { return a * b; }
FH_INLINE fh_vf fh_div(fh_vf a, fh_vf b) { return a / b; }
FH_INLINE fh_vf fh_fma(fh_vf a, fh_vf b, fh_vf c) { return fma(a, b, c); }
FH_INLINE fh_vf fh_sqrt(fh_vf a) { return sqrt(a); }
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
FH_INLINE float fh_add_u(float a, float b) { return a + b; }
FH_INLINE float fh_mul_u(float a, float b) { return a * b; }
FH_INLINE float fh_fma_u(float a, float b, float c) { return fma(a, b, c); }
FH_INLINE float fh_sqrt_u(float x) { return sqrt(x); }
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
  if (v >= 0 && v < n) atomic_inc((volatile __global int *)&p[(fh_lane() & (tables - 1)) * n + v]);
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
  for (int e = 0; e < FH_LANES; e++) out[e * step + l] = l < rows ? p[l * s + e] * by[e * bs] : 0.0f;
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
FH_INLINE float fh_from_first(float v) { return as_float(fh_bits_from_first(as_int(v))); }

/* Without a barrier only the first lane may read what it wrote; the others get it from there. */
FH_INLINE float fh_get_put(fh_f32_out p, long i) { return fh_from_first(fh_lane() == 0 ? p[i] : 0.0f); }
FH_INLINE int fh_get_put_i32(fh_i32_out p, long i) { return fh_bits_from_first(fh_lane() == 0 ? p[i] : 0); }

#define FH_FROM_XOR(v, mask) as_float(FH_BITS_FROM_XOR(as_int(v), mask))
FH_INLINE float fh_sum_of(fh_vf v) {
  v = v + FH_FROM_XOR(v, 8);
  v = v + FH_FROM_XOR(v, 4);
  v = v + FH_FROM_XOR(v, 2);
  return v + FH_FROM_XOR(v, 1);
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
/* No ballot: not all that exchange values have one. */
FH_INLINE int fh_first(fh_vm m) {
  int first = m ? fh_lane() : 16;
  first = min(first, FH_BITS_FROM_XOR(first, 8));
  first = min(first, FH_BITS_FROM_XOR(first, 4));
  first = min(first, FH_BITS_FROM_XOR(first, 2));
  return min(first, FH_BITS_FROM_XOR(first, 1));
}

#define FH_DEFINE_LANEWISE(NAME, FUNCTION) \
  FH_INLINE void NAME(fh_vf x, fh_vf *first, fh_vf *second, fh_vi *whole) { FUNCTION(x, first, second, whole); }

/* ---- stores past the caches: the hint is for CPUs ---- */
FH_INLINE long fh_stream_head(fh_f32_out p) { return -1; }
FH_INLINE void fh_store_stream(fh_f32_out p, long i, fh_vf v) { fh_store(p, i, 1, v); }

#define FH_ENTRY_STREAMING FH_ENTRY
/* ---- entries ---- */
#define FH_ENTRY(entry)                                                                             \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM));            \
  __kernel FH_SUB_GROUP_16 void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) {              \
    const long step = (long)get_num_groups(0) * fh_teams();                                         \
    for (long item = (long)get_group_id(0) * fh_teams() + fh_team(); item < fh_items; item += step) \
      entry##_item(item, item entry##_PARAMS(FH_KERNEL_ARGUMENT));                                  \
  }                                                                                                 \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM))
