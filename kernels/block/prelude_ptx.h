/* Block texts for PTX, by clang's OpenCL front end. SPDX-License-Identifier: Apache-2.0 */
#pragma OPENCL FP_CONTRACT OFF

#define FH_INLINE static inline __attribute__((always_inline))
#define FH_UNUSED
#define FH_UNROLL _Pragma("unroll")
#define FH_NO_UNROLL _Pragma("nounroll")
#define FH_UNROLL_2 _Pragma("unroll 2")
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

FH_INLINE int fh_thread(void) { return __nvvm_read_ptx_sreg_tid_x(); }
FH_INLINE int fh_thread_here(void) {
  int thread;
  __asm__ volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}
#define FH_BLOCK_0 __nvvm_read_ptx_sreg_ctaid_x
#define FH_BLOCK_1 __nvvm_read_ptx_sreg_ctaid_y
#define FH_BLOCK_2 __nvvm_read_ptx_sreg_ctaid_z
#define FH_BLOCKS_0 __nvvm_read_ptx_sreg_nctaid_x
#define FH_BLOCKS_1 __nvvm_read_ptx_sreg_nctaid_y
#define FH_BLOCKS_2 __nvvm_read_ptx_sreg_nctaid_z
#define fh_block(d) ((long)FH_BLOCK_##d())
#define fh_blocks(d) ((long)FH_BLOCKS_##d())
#define fh_barrier() __nvvm_bar_sync(0)

FH_INLINE float fh_fma_u(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
FH_INLINE float fh_add_u(float a, float b) { return __nvvm_add_rn_f(a, b); }
FH_INLINE float fh_mul_u(float a, float b) { return __nvvm_mul_rn_f(a, b); }
FH_INLINE float fh_sqrt_u(float x) { return __nvvm_sqrt_rn_f(x); }
FH_INLINE float fh_div_u(float a, float b) { return __nvvm_div_rn_f(a, b); }
FH_INLINE int fh_as_int(float x) { return as_int(x); }
FH_INLINE float fh_as_float(int x) { return as_float(x); }
#define FH_INFINITY as_float(0x7f800000)

FH_INLINE fh_f32x4 fh_load4(__local const float *p) { return *(__local const float4 *)p; }
FH_INLINE fh_f32x4 fh_fetch4(fh_f32_in p) { return *(__global const float4 *)p; }
FH_INLINE void fh_store4(fh_f32_out p, fh_f32x4 v) { *(__global float4 *)p = v; }
#define fh_fetch_long(p) (*(__global const long *)(p))
#define fh_store_long(p, v) ((void)(*(__global long *)(p) = (v)))
#define fh_on_boundary(p, n) (((ulong)(p) & ((n) - 1)) == 0)
#define fh_count(p, n) ((void)__atomic_fetch_add((__global int *)(p), n, __ATOMIC_RELAXED))
#define fh_count_shared(p, n) ((void)__atomic_fetch_add((__local int *)(p), n, __ATOMIC_RELAXED))

FH_INLINE float fh_shuffle_xor(float v, int mask) { return __nvvm_shfl_sync_bfly_f32(-1, v, mask, 0x1f); }
FH_INLINE int fh_shuffle_xor_i(int v, int mask) { return __nvvm_shfl_sync_bfly_i32(-1, v, mask, 0x1f); }

#if __CUDA_ARCH__ >= 800
/* An address in the window of shared memory, as instructions of inline assembly want it. */
FH_INLINE unsigned fh_shared_address(__local const void *p) { return (unsigned)(ulong)p; }

/* .cg passes by the first cache, and is for 16 bytes alone. */
FH_INLINE void fh_copy_async4(__local void *to, __global const void *from, int bytes) {
  __asm__ volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(fh_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
FH_INLINE void fh_copy_async16(__local void *to, __global const void *from, int bytes) {
  __asm__ volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(fh_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
FH_INLINE void fh_copy_commit(void) { __asm__ volatile("cp.async.commit_group;" ::: "memory"); }
#define fh_copy_wait(n) __asm__ volatile("cp.async.wait_group %0;" ::"n"(n) : "memory")

FH_INLINE void fh_load_matrices(unsigned out[4], __local const void *row) {
  __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                   : "r"(fh_shared_address(row))
                   : "memory");
}
FH_INLINE void fh_load_matrices_turned(unsigned out[4], __local const void *row) {
  __asm__ volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                   : "r"(fh_shared_address(row))
                   : "memory");
}

FH_INLINE unsigned fh_round_tf32(unsigned bits) {
  unsigned rounded;
  __asm__("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(as_float(bits)));
  return rounded;
}

#define FH_DEFINE_MMA(NAME, INSTRUCTION, NUMBER, LETTER)                                   \
  FH_INLINE void NAME(NUMBER d[4], const unsigned a[4], const unsigned b[2]) {             \
    __asm__(INSTRUCTION " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
            : "+" LETTER(d[0]), "+" LETTER(d[1]), "+" LETTER(d[2]), "+" LETTER(d[3])       \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));           \
  }
FH_DEFINE_MMA(fh_mma_bf16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", float, "f")
FH_DEFINE_MMA(fh_mma_f16, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", float, "f")
FH_DEFINE_MMA(fh_mma_tf32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", float, "f")
FH_DEFINE_MMA(fh_mma_u8s8, "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32", int, "r")
FH_DEFINE_MMA(fh_mma_s8s8, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", int, "r")

/* OpenCL C has no array of a size that the launch states. The symbol gives its place: what lies before it is the driver's. */
__asm__(".extern .shared .align 128 .b8 fh_dynamic_shared[];");
FH_INLINE __local uchar *fh_dynamic_window(void) {
  unsigned address;
  __asm__("mov.u32 %0, fh_dynamic_shared;" : "=r"(address));
  return (__local uchar *)(ulong)address;
}
#define FH_BLOCK_DYNAMIC(entry, THREADS)                                                                                    \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                    \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) { \
    entry##_block(fh_dynamic_window() entry##_PARAMS(FH_KERNEL_ARGUMENT));                                                  \
  }                                                                                                                         \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM))
#endif

#define FH_BLOCK(entry, THREADS, BYTES)                                                                                     \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                    \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) { \
    __local __attribute__((aligned(128))) uchar window[BYTES];                                                              \
    entry##_block(window entry##_PARAMS(FH_KERNEL_ARGUMENT));                                                               \
  }                                                                                                                         \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM))
