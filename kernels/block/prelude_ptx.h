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

/* Every number of them is in its register here: the compiler would put a fetch off until its first use, behind branches too. */
#define fh_hold4(v) __asm__ volatile("" : "+f"((v).x), "+f"((v).y), "+f"((v).z), "+f"((v).w))

/* What the front end does not write, for cmake/ptxDirectives.cmake. Of how many blocks a multiprocessor has at least, ptxas makes a bound
 * of registers; without one it puts fetches off to need fewer of them. */
#define FH_THREADS(entry, THREADS) __asm__ volatile("// fh_threads " #entry " %0" ::"n"(THREADS));
#define FH_RESIDENT(entry, BLOCKS) __asm__("// fh_resident " #entry " " #BLOCKS);

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

/* cvt.rna.tf32.f32 would make an infinity of a NaN that has no other bits than those which are cut off. */
FH_INLINE unsigned fh_round_tf32(unsigned bits) {
  const float x = as_float(bits);
  return x == x ? (bits + 0x1000) & 0xffffe000 : 0x7fffffff;
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
#if __CUDA_ARCH__ >= 900
__asm__(".extern .shared .align 1024 .b8 fh_dynamic_shared[];"); /* where a pattern of 128 bytes of swizzle begins */
#else
__asm__(".extern .shared .align 128 .b8 fh_dynamic_shared[];");
#endif
FH_INLINE __local uchar *fh_dynamic_window(void) {
  unsigned address;
  __asm__("mov.u32 %0, fh_dynamic_shared;" : "=r"(address));
  return (__local uchar *)(ulong)address;
}
#define FH_BLOCK_DYNAMIC(entry, THREADS)                                                                                    \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                    \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) { \
    FH_THREADS(entry, THREADS)                                                                                              \
    entry##_block(fh_dynamic_window() entry##_PARAMS(FH_KERNEL_ARGUMENT));                                                  \
  }                                                                                                                         \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM))
#endif

#if __CUDA_ARCH__ >= 900
/* ---- mbarriers ---- */
typedef ulong fh_mbarrier;
FH_INLINE void fh_mbarrier_init(__local fh_mbarrier *barrier, int count) {
  __asm__ volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(fh_shared_address(barrier)), "r"(count) : "memory");
}
FH_INLINE void fh_mbarrier_fence(void) {
  __asm__ volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
}
FH_INLINE void fh_mbarrier_arrive(__local fh_mbarrier *barrier) {
  __asm__ volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(fh_shared_address(barrier)) : "memory");
}
FH_INLINE void fh_mbarrier_expect(__local fh_mbarrier *barrier, int bytes) {
  __asm__ volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(fh_shared_address(barrier)), "r"(bytes) : "memory");
}
FH_INLINE void fh_mbarrier_wait(__local fh_mbarrier *barrier, int parity) {
  int over;
  do {
    __asm__ volatile("{\n\t.reg .pred over;\n\tmbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n\tselp.b32 %0, 1, 0, over;\n\t}"
                     : "=r"(over)
                     : "r"(fh_shared_address(barrier)), "r"(parity)
                     : "memory");
  } while (!over);
}

/* ---- boxes of tensors ---- */
typedef ulong fh_map; /* address of a CUtensorMap */
FH_INLINE void fh_tensor_copy2(__local void *to, fh_map map, __local fh_mbarrier *barrier, int x, int y) {
  __asm__ volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
                       fh_shared_address(to)),
                   "l"(map), "r"(fh_shared_address(barrier)), "r"(x), "r"(y)
                   : "memory");
}
FH_INLINE void fh_tensor_copy3(__local void *to, fh_map map, __local fh_mbarrier *barrier, int x, int y, int z) {
  __asm__ volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(
                       fh_shared_address(to)),
                   "l"(map), "r"(fh_shared_address(barrier)), "r"(x), "r"(y), "r"(z)
                   : "memory");
}
FH_INLINE void fh_bulk_copy(__local void *to, __global const void *from, __local fh_mbarrier *barrier, int bytes) {
  __asm__ volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(fh_shared_address(to)),
                   "l"(from), "r"(bytes), "r"(fh_shared_address(barrier))
                   : "memory");
}
FH_INLINE void fh_tensor_prefetch(fh_map map) { __asm__ volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory"); }
FH_INLINE void fh_store2(fh_f32_out p, float x, float y) { *(__global float2 *)p = (float2)(x, y); }
FH_INLINE void fh_store2_i(fh_i32_out p, int x, int y) { *(__global int2 *)p = (int2)(x, y); }
FH_INLINE void fh_async_fence(void) { __asm__ volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* ---- products of warpgroups ---- */
#define fh_group_registers_more(n) __asm__ volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(n))
#define fh_group_registers_fewer(n) __asm__ volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(n))
FH_INLINE void fh_group_fence(void) { __asm__ volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
FH_INLINE void fh_group_commit(void) { __asm__ volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
#define fh_group_wait(n) __asm__ volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(n) : "memory")
#define fh_group_hold_float(x) __asm__ volatile("" : "+f"(x)::"memory")
#define fh_group_hold_int(x) __asm__ volatile("" : "+r"(x)::"memory")
FH_INLINE ulong fh_matrix(__local const void *p, int leading, int stride) {
  return (ulong)(fh_shared_address(p) >> 4 & 0x3fff) | (ulong)(leading >> 4) << 16 | (ulong)(stride >> 4) << 32 | (ulong)1 << 62;
}

#define FH_TEN_NAMES(t) "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define FH_64_NAMES FH_TEN_NAMES() FH_TEN_NAMES(1) FH_TEN_NAMES(2) FH_TEN_NAMES(3) FH_TEN_NAMES(4) FH_TEN_NAMES(5) "%60, %61, %62, %63"
#define FH_128_NAMES \
  FH_TEN_NAMES()     \
  FH_TEN_NAMES(1)    \
  FH_TEN_NAMES(2)    \
  FH_TEN_NAMES(3)    \
  FH_TEN_NAMES(4)    \
  FH_TEN_NAMES(5)    \
  FH_TEN_NAMES(6)    \
  FH_TEN_NAMES(7) FH_TEN_NAMES(8) FH_TEN_NAMES(9) FH_TEN_NAMES(10) FH_TEN_NAMES(11) "%120, %121, %122, %123, %124, %125, %126, %127"
#define FH_8_SUMS(L, d, i)                                                                                                         \
  "+" L((d)[i]), "+" L((d)[i + 1]), "+" L((d)[i + 2]), "+" L((d)[i + 3]), "+" L((d)[i + 4]), "+" L((d)[i + 5]), "+" L((d)[i + 6]), \
      "+" L((d)[i + 7])
#define FH_32_SUMS(L, d, i) FH_8_SUMS(L, d, i), FH_8_SUMS(L, d, i + 8), FH_8_SUMS(L, d, i + 16), FH_8_SUMS(L, d, i + 24)
#define FH_64_SUMS(L, d) FH_32_SUMS(L, d, 0), FH_32_SUMS(L, d, 32)
#define FH_128_SUMS(L, d) FH_64_SUMS(L, d), FH_32_SUMS(L, d, 64), FH_32_SUMS(L, d, 96)

/* REST: what an instruction states behind the predicate that adds. */
#define FH_GROUP_MULTIPLY(NAMES, SUMS, FROM, TO, ADD, INSTRUCTION, REST, a, b, add)                                                  \
  __asm__ volatile("{\n\t.reg .pred adds;\n\tsetp.ne.b32 adds, %" ADD ", 0;\n\twgmma.mma_async.sync.aligned." INSTRUCTION " {" NAMES \
                   "}, %" FROM ", %" TO ", adds" REST ";\n\t}"                                                                       \
                   : SUMS                                                                                                            \
                   : "l"(a), "l"(b), "r"(add))
#define FH_GROUP_64(L, INSTRUCTION, REST, d, a, b, add) \
  FH_GROUP_MULTIPLY(FH_64_NAMES, FH_64_SUMS(L, d), "64", "65", "66", INSTRUCTION, REST, a, b, add)
#define FH_GROUP_128(L, INSTRUCTION, REST, d, a, b, add) \
  FH_GROUP_MULTIPLY(FH_128_NAMES, FH_128_SUMS(L, d), "128", "129", "130", INSTRUCTION, REST, a, b, add)
#define fh_group_bf16_128(d, a, b, add, ta, tb) FH_GROUP_64("f", "m64n128k16.f32.bf16.bf16", ", 1, 1, " #ta ", " #tb, d, a, b, add)
#define fh_group_bf16_256(d, a, b, add, ta, tb) FH_GROUP_128("f", "m64n256k16.f32.bf16.bf16", ", 1, 1, " #ta ", " #tb, d, a, b, add)
#define fh_group_f16_128(d, a, b, add, ta, tb) FH_GROUP_64("f", "m64n128k16.f32.f16.f16", ", 1, 1, " #ta ", " #tb, d, a, b, add)
#define fh_group_f16_256(d, a, b, add, ta, tb) FH_GROUP_128("f", "m64n256k16.f32.f16.f16", ", 1, 1, " #ta ", " #tb, d, a, b, add)
#define fh_group_tf32_128(d, a, b, add, ta, tb) FH_GROUP_64("f", "m64n128k8.f32.tf32.tf32", ", 1, 1", d, a, b, add)
#define fh_group_tf32_256(d, a, b, add, ta, tb) FH_GROUP_128("f", "m64n256k8.f32.tf32.tf32", ", 1, 1", d, a, b, add)
#define fh_group_s8s8_128(d, a, b, add, ta, tb) FH_GROUP_64("r", "m64n128k32.s32.s8.s8", "", d, a, b, add)
#define fh_group_s8s8_256(d, a, b, add, ta, tb) FH_GROUP_128("r", "m64n256k32.s32.s8.s8", "", d, a, b, add)
#define fh_group_u8s8_128(d, a, b, add, ta, tb) FH_GROUP_64("r", "m64n128k32.s32.u8.s8", "", d, a, b, add)
#define fh_group_u8s8_256(d, a, b, add, ta, tb) FH_GROUP_128("r", "m64n256k32.s32.u8.s8", "", d, a, b, add)

/* Newer than what its target is built for (cmake/ptxDirectives.cmake). */
#define FH_NEEDS_PTX(version) __asm__("// fh_version " #version);

/* ---- entries with tensor maps ----
 * They are parameters of 128 bytes behind the others, of which OpenCL C would make copies: their place is asked for by name, which counts
 * the parameters in front of them. */
typedef struct __attribute__((aligned(64))) fh_map_bytes {
  ulong words[16];
} fh_map_bytes;
typedef struct fh_map_list {
  fh_map at[2];
} fh_map_list;
#define fh_tensor(i) (fh_maps.at[i])
#define FH_PLACES_IN +2
#define FH_PLACES_OUT +2
#define FH_PLACES_INOUT +2
#define FH_PLACES_TEMP +2
#define FH_PLACES_TEMP_I32 +2
#define FH_PLACES_OUT_U16 +2
#define FH_PLACES_IN_I64 +2
#define FH_PLACES_IN_U8 +2
#define FH_PLACES_OUT_U8 +2
#define FH_PLACES_IN_U16 +2
#define FH_PLACES_IN_I32 +2
#define FH_PLACES_OUT_I32 +2
#define FH_PLACES_I64 +1
#define FH_PLACES_F32 +1
#define FH_PLACES(kind, name) FH_PLACES_##kind
#define FH_MAP_AT(entry, i) \
  __asm__("mov.b64 %0, " #entry "_param_%1;\n\tcvta.param.u64 %0, %0;" : "=l"(fh_maps.at[i]) : "n"(1 entry##_PARAMS(FH_PLACES) + (i)))

#define FH_BLOCK_TENSORS(entry, THREADS)                                                                                   \
  FH_RESIDENT(entry, 1)                                                                                                    \
  FH_INLINE void entry##_block(__local uchar *fh_shared, fh_map_list fh_maps entry##_PARAMS(FH_BLOCK_PARAM));              \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM),  \
                                                                           fh_map_bytes fh_map_0, fh_map_bytes fh_map_1) { \
    FH_THREADS(entry, THREADS)                                                                                             \
    fh_map_list fh_maps;                                                                                                   \
    FH_MAP_AT(entry, 0);                                                                                                   \
    FH_MAP_AT(entry, 1);                                                                                                   \
    entry##_block(fh_dynamic_window(), fh_maps entry##_PARAMS(FH_KERNEL_ARGUMENT));                                        \
  }                                                                                                                        \
  FH_INLINE void entry##_block(__local uchar *fh_shared, fh_map_list fh_maps entry##_PARAMS(FH_BLOCK_PARAM))
#endif

#define FH_BLOCK(entry, THREADS, BYTES)                                                                                     \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                    \
  __kernel __attribute__((reqd_work_group_size(THREADS, 1, 1))) void entry(long fh_items entry##_PARAMS(FH_KERNEL_PARAM)) { \
    FH_THREADS(entry, THREADS)                                                                                              \
    __local __attribute__((aligned(128))) uchar window[BYTES];                                                              \
    entry##_block(window entry##_PARAMS(FH_KERNEL_ARGUMENT));                                                               \
  }                                                                                                                         \
  FH_INLINE void entry##_block(__local uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM))
