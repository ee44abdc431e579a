/* The dialect for PTX, by clang's OpenCL front end: 16 threads of a warp work on one item. lanes_in_threads.h stands behind this.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Launch: one dimension, a block size that is a multiple of 32; items are taken in a grid-stride loop, so any grid is right.
 * Both halves of a warp shuffle under their own member mask. */
#pragma OPENCL FP_CONTRACT OFF

#define FH_ON_PTX 1 /* for headers that are not the same on all */

#define FH_INLINE static inline __attribute__((always_inline))
#define FH_OUTLINE FH_INLINE

/* ---- the arithmetic of one lane ---- */
#define FH_ADD_RN(a, b) __nvvm_add_rn_f(a, b)
#define FH_MUL_RN(a, b) __nvvm_mul_rn_f(a, b)
#define FH_DIV_RN(a, b) __nvvm_div_rn_f(a, b)
#define FH_FMA_RN(a, b, c) __nvvm_fma_rn_f(a, b, c)
#define FH_SQRT_RN(a) __nvvm_sqrt_rn_f(a)
#define FH_COUNT_ONE(place) __atomic_fetch_add(place, 1, __ATOMIC_RELAXED)

/* ---- the values of other lanes: shuffles among the 16 threads; 0x101f: segments of 16 ---- */
FH_INLINE int fh_lane(void) { return __nvvm_read_ptx_sreg_tid_x() & 15; }
FH_INLINE int fh_members(void) { return 0xffff << (__nvvm_read_ptx_sreg_tid_x() & 16); }
FH_INLINE void fh_lanes_meet(void) { __nvvm_bar_warp_sync(fh_members()); }
#define FH_FROM_XOR(v, mask) __nvvm_shfl_sync_bfly_f32(fh_members(), v, mask, 0x101f)
#define FH_BITS_FROM_XOR(v, mask) __nvvm_shfl_sync_bfly_i32(fh_members(), v, mask, 0x101f)
FH_INLINE float fh_from_first(float v) { return __nvvm_shfl_sync_idx_f32(fh_members(), v, 0, 0x101f); }
FH_INLINE int fh_bits_from_first(int v) { return __nvvm_shfl_sync_idx_i32(fh_members(), v, 0, 0x101f); }
FH_INLINE int fh_first(int m) {
  const unsigned ballot = (unsigned)__nvvm_vote_ballot_sync(fh_members(), m);
  const unsigned bits = (ballot >> (__nvvm_read_ptx_sreg_tid_x() & 16) & 0xffff) | 0x10000u;
  return __builtin_ctz(bits);
}

/* ---- entries ---- */
#define FH_ENTRY(entry)                                                                                \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM));               \
  __kernel void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) {                                 \
    const long threads = __nvvm_read_ptx_sreg_ntid_x();                                                \
    const long step = threads * __nvvm_read_ptx_sreg_nctaid_x() / FH_LANES;                            \
    long item = (threads * __nvvm_read_ptx_sreg_ctaid_x() + __nvvm_read_ptx_sreg_tid_x()) / FH_LANES;  \
    for (; item < fh_items; item += step) entry##_item(item, item entry##_PARAMS(FH_KERNEL_ARGUMENT)); \
  }                                                                                                    \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM))
