/* The dialect in OpenCL C for GPUs: 16 work-items of a sub-group work on one item. lanes_in_threads.h stands behind this.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic is that of prelude_ptx.h, so are the bits. The backend puts both in front of a kernel's source, whose own prelude then
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

#define FH_INLINE static inline
#define FH_OUTLINE static

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

/* ---- the arithmetic of one lane ---- */
#define FH_ADD_RN(a, b) ((a) + (b))
#define FH_MUL_RN(a, b) ((a) * (b))
#define FH_DIV_RN(a, b) ((a) / (b))
#define FH_FMA_RN(a, b, c) fma(a, b, c)
#define FH_SQRT_RN(a) sqrt(a)
#define FH_COUNT_ONE(place) atomic_inc((volatile __global int *)(place))

/* ---- the values of other lanes ---- */
#define FH_FROM_XOR(v, mask) as_float(FH_BITS_FROM_XOR(as_int(v), mask))
FH_INLINE float fh_from_first(float v) { return as_float(fh_bits_from_first(as_int(v))); }
/* No ballot: not all that exchange values have one. */
FH_INLINE int fh_first(int m) {
  int first = m ? fh_lane() : 16;
  first = min(first, FH_BITS_FROM_XOR(first, 8));
  first = min(first, FH_BITS_FROM_XOR(first, 4));
  first = min(first, FH_BITS_FROM_XOR(first, 2));
  return min(first, FH_BITS_FROM_XOR(first, 1));
}

/* ---- entries ---- */
#define FH_ENTRY(entry)                                                                             \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM));            \
  __kernel FH_SUB_GROUP_16 void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) {              \
    const long step = (long)get_num_groups(0) * fh_teams();                                         \
    for (long item = (long)get_group_id(0) * fh_teams() + fh_team(); item < fh_items; item += step) \
      entry##_item(item, item entry##_PARAMS(FH_KERNEL_ARGUMENT));                                  \
  }                                                                                                 \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM))
