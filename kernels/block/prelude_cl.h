/* Block texts in OpenCL C 1.2: a block is a work-group. Only what is portable. SPDX-License-Identifier: Apache-2.0
 * Build options: -cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt, and -DFH_CPU_DEVICE for CPUs behind the interface. */
#pragma OPENCL FP_CONTRACT OFF

#define FH_INLINE static inline
#define FH_UNUSED
#ifdef FH_CPU_DEVICE /* PoCL took 24 s for both tiles of attention with all loops unrolled, 14 s without */
#define FH_UNROLL
#define FH_UNROLL_2
#else
#define FH_UNROLL _Pragma("unroll")
#define FH_UNROLL_2 _Pragma("unroll 2")
#endif
#define FH_NO_UNROLL _Pragma("nounroll")
#define fh_local __local

typedef __global const float *fh_f32_in;
typedef __global float *fh_f32_out;
typedef __global const uchar *fh_u8_in;
typedef __global uchar *fh_u8_out;
typedef __global const ushort *fh_u16_in;
typedef __global ushort *fh_u16_out;
typedef __global const int *fh_i32_in;
typedef __global int *fh_i32_out;
typedef __global const long *fh_i64_in;
typedef float4 fh_f32x4;

FH_INLINE int fh_thread(void) { return (int)get_local_id(0); }
#define fh_thread_here fh_thread
#define fh_block(d) ((long)get_group_id(d))
#define fh_blocks(d) ((long)get_num_groups(d))
#define fh_barrier() barrier(CLK_LOCAL_MEM_FENCE)

FH_INLINE float fh_fma_u(float a, float b, float c) { return fma(a, b, c); }
FH_INLINE float fh_add_u(float a, float b) { return a + b; }
FH_INLINE float fh_mul_u(float a, float b) { return a * b; }
FH_INLINE float fh_sqrt_u(float x) { return sqrt(x); }
FH_INLINE float fh_div_u(float a, float b) { return a / b; }
FH_INLINE int fh_as_int(float x) { return as_int(x); }
FH_INLINE float fh_as_float(int x) { return as_float(x); }
#define FH_INFINITY as_float(0x7f800000)

FH_INLINE fh_f32x4 fh_load4(__local const float *p) { return *(__local const float4 *)p; }
FH_INLINE fh_f32x4 fh_fetch4(fh_f32_in p) { return *(__global const float4 *)p; }
FH_INLINE void fh_store4(fh_f32_out p, fh_f32x4 v) { *(__global float4 *)p = v; }
#define fh_fetch_long(p) (*(__global const long *)(p))
#define fh_store_long(p, v) ((void)(*(__global long *)(p) = (v)))
#define fh_on_boundary(p, n) (((ulong)(p) & ((n) - 1)) == 0)
#define fh_count(p, n) ((void)atomic_add((volatile __global int *)(p), n))
#define fh_count_shared(p, n) ((void)atomic_add((volatile __local int *)(p), n))

#define fh_hold4(v) ((void)(v))
#define FH_RESIDENT(entry, BLOCKS)

#define FH_BLOCK(entry, THREADS, BYTES)                                                                                     \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                    \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) { \
    __local uchar window[BYTES] __attribute__((aligned(128)));                                                              \
    entry##_block(window entry##_PARAMS(FH_KERNEL_ARGUMENT));                                                               \
  }                                                                                                                         \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM))
