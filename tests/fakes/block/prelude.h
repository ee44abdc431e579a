/* Block texts in C, for the emulator of the tests. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_PRELUDE_H_
#define FOGHORN_TESTS_FAKES_BLOCK_PRELUDE_H_

#include <stdbool.h>
#include <stdint.h>

#include "kernels/block/block.h"
#include "kernels/contract.h"
#include "tests/fakes/block/async.h"
#include "tests/fakes/block/block.h"
#include "tests/fakes/block/emulate.h"
#include "tests/fakes/block/warp.h"

#define FH_INLINE static inline
#define FH_UNUSED __attribute__((unused))
#define FH_UNROLL
#define FH_NO_UNROLL
#define FH_UNROLL_2
#define fh_local

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
_Static_assert(sizeof(long) == 8, "a text's long has 64 bits");

/* Shared memory is read as other types than it was written. Addresses of elements must fit them, as on a device. */
typedef float fh_f32_element __attribute__((may_alias));
typedef const fh_f32_element *fh_f32_in;
typedef fh_f32_element *fh_f32_out;
typedef const uint8_t *fh_u8_in;
typedef uint8_t *fh_u8_out;
typedef const uint16_t *fh_u16_in;
typedef uint16_t *fh_u16_out;
typedef const int32_t *fh_i32_in;
typedef int32_t *fh_i32_out;
typedef const int64_t *fh_i64_in;

#define FAKE_HERE ((fake_place){__FILE__, __LINE__})

FH_INLINE FH_UNUSED int fh_thread(void) { return (int)fake_thread(); }
#define fh_thread_here fh_thread
#define fh_block(d) ((long)fake_grid_place(d))
#define fh_blocks(d) ((long)fake_grid_extent(d))
#define fh_barrier() fake_barrier(FAKE_HERE)

FH_INLINE FH_UNUSED float fh_fma_u(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FH_INLINE FH_UNUSED float fh_add_u(float a, float b) { return a + b; }
FH_INLINE FH_UNUSED float fh_mul_u(float a, float b) { return a * b; }
FH_INLINE FH_UNUSED float fh_sqrt_u(float x) { return __builtin_sqrtf(x); }
FH_INLINE FH_UNUSED float fh_div_u(float a, float b) { return a / b; }
FH_INLINE FH_UNUSED int fh_as_int(float x) {
  int bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}
FH_INLINE FH_UNUSED float fh_as_float(int x) {
  float value;
  __builtin_memcpy(&value, &x, sizeof value);
  return value;
}
#define FH_INFINITY __builtin_inff()

typedef struct fh_f32x4 {
  float x, y, z, w;
} __attribute__((aligned(16), may_alias)) fh_f32x4;
typedef long fh_any_long __attribute__((may_alias));

/* The host forgives an address off its boundary, a device does not. */
FH_INLINE FH_UNUSED void fake_align(const void *p, unsigned boundary, fake_place place) {
  if ((uintptr_t)p % boundary) fake_fail(place, "an address is not on a boundary of %u bytes", boundary);
}
FH_INLINE FH_UNUSED fh_f32x4 fake_load4(const void *p, fake_place place) {
  fake_align(p, 16, place);
  return *(const fh_f32x4 *)p;
}
FH_INLINE FH_UNUSED void fake_store4(void *p, fh_f32x4 v, fake_place place) {
  fake_align(p, 16, place);
  *(fh_f32x4 *)p = v;
}
FH_INLINE FH_UNUSED long fake_load_long(const void *p, fake_place place) {
  fake_align(p, 8, place);
  return *(const fh_any_long *)p;
}
FH_INLINE FH_UNUSED void fake_store_long(void *p, long v, fake_place place) {
  fake_align(p, 8, place);
  *(fh_any_long *)p = v;
}
#define fh_load4(p) fake_load4(p, FAKE_HERE)
#define fh_fetch4(p) fake_load4(p, FAKE_HERE)
#define fh_store4(p, v) fake_store4(p, v, FAKE_HERE)
#define fh_fetch_long(p) fake_load_long(p, FAKE_HERE)
#define fh_store_long(p, v) fake_store_long(p, v, FAKE_HERE)
FH_INLINE FH_UNUSED void fh_count(int32_t *p, int n) { *p += n; } /* one fibre runs at a time */
#define fh_count_shared fh_count
#define fh_on_boundary(p, n) (((uintptr_t)(p) & ((n) - 1)) == 0)

#define fh_shuffle_xor(v, mask) fake_shuffle_f(v, mask, FAKE_HERE)
#define fh_shuffle_xor_i(v, mask) fake_shuffle_i(v, mask, FAKE_HERE)

#define fh_copy_async4(to, from, bytes) fake_copy_async(to, from, bytes, 4, FAKE_HERE)
#define fh_copy_async16(to, from, bytes) fake_copy_async(to, from, bytes, 16, FAKE_HERE)
#define fh_copy_commit() fake_copy_commit()
#define fh_copy_wait(n) fake_copy_wait(n)

FH_INLINE FH_UNUSED unsigned fh_round_tf32(unsigned bits) {
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fffffff : (bits + 0x1000) & 0xffffe000;
}

#define fh_load_matrices(out, row) fake_load_matrices(out, row, FAKE_HERE)
#define fh_load_matrices_turned(out, row) fake_load_matrices_turned(out, row, FAKE_HERE)
#define fh_mma_bf16(d, a, b) fake_mma_f32(fake_product_bf16, d, a, b, FAKE_HERE)
#define fh_mma_f16(d, a, b) fake_mma_f32(fake_product_f16, d, a, b, FAKE_HERE)
#define fh_mma_tf32(d, a, b) fake_mma_f32(fake_product_tf32, d, a, b, FAKE_HERE)
#define fh_mma_u8s8(d, a, b) fake_mma_i32(fake_product_u8s8, d, a, b, FAKE_HERE)
#define fh_mma_s8s8(d, a, b) fake_mma_i32(fake_product_s8s8, d, a, b, FAKE_HERE)

typedef uint64_t fh_mbarrier;
#define fh_mbarrier_init(barrier, count) fake_mbarrier_init(barrier, count, FAKE_HERE)
#define fh_mbarrier_fence() fake_mbarrier_fence()
#define fh_mbarrier_arrive(barrier) fake_mbarrier_arrive(barrier, FAKE_HERE)
#define fh_mbarrier_expect(barrier, bytes) fake_mbarrier_expect(barrier, bytes, FAKE_HERE)
#define fh_mbarrier_wait(barrier, parity) fake_mbarrier_wait(barrier, parity, FAKE_HERE)
typedef const fake_tensor_map *fh_map;
#define fh_tensor_copy2(to, map, barrier, x, y) fake_tensor_copy(to, map, barrier, 2, (const int[]){x, y}, FAKE_HERE)
#define fh_tensor_copy3(to, map, barrier, x, y, z) fake_tensor_copy(to, map, barrier, 3, (const int[]){x, y, z}, FAKE_HERE)
#define fh_bulk_copy(to, from, barrier, bytes) fake_bulk_copy(to, from, barrier, bytes, FAKE_HERE)
#define fh_tensor_prefetch(map) ((void)(map))
#define fh_store2(p, x, y) ((p)[0] = (x), (p)[1] = (y))
#define fh_store2_i(p, x, y) ((p)[0] = (x), (p)[1] = (y))
#define fh_async_fence() fake_async_fence()

#define fh_group_registers_more(n) fake_group_registers(n, FAKE_HERE)
#define fh_group_registers_fewer(n) fake_group_registers(n, FAKE_HERE)
#define fh_group_fence() fake_group_fence()
#define fh_group_commit() fake_group_commit()
#define fh_group_wait(n) fake_group_wait(n, FAKE_HERE)
#define fh_group_hold_float(x) ((void)(x))
#define fh_group_hold_int(x) ((void)(x))
#define fh_matrix(p, leading, stride) fake_matrix(p, leading, stride)
#define FAKE_GROUP_MULTIPLY(kind, n, d, a, b, add, ta, tb) fake_group_multiply(d, a, b, add, (fake_group_shape){kind, n, ta, tb}, FAKE_HERE)
#define fh_group_bf16_128(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_BF16, 128, d, a, b, add, ta, tb)
#define fh_group_bf16_256(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_BF16, 256, d, a, b, add, ta, tb)
#define fh_group_f16_128(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_F16, 128, d, a, b, add, ta, tb)
#define fh_group_f16_256(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_F16, 256, d, a, b, add, ta, tb)
#define fh_group_tf32_128(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_TF32, 128, d, a, b, add, 0, 0)
#define fh_group_tf32_256(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_TF32, 256, d, a, b, add, 0, 0)
#define fh_group_s8s8_128(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_S8S8, 128, d, a, b, add, 0, 0)
#define fh_group_s8s8_256(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_S8S8, 256, d, a, b, add, 0, 0)
#define fh_group_u8s8_128(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_U8S8, 128, d, a, b, add, 0, 0)
#define fh_group_u8s8_256(d, a, b, add, ta, tb) FAKE_GROUP_MULTIPLY(FAKE_U8S8, 256, d, a, b, add, 0, 0)

/* ---- entries ---- */
#define FAKE_FETCH_IN cp
#define FAKE_FETCH_OUT p
#define FAKE_FETCH_INOUT p
#define FAKE_FETCH_IN_U8 cp
#define FAKE_FETCH_OUT_U8 p
#define FAKE_FETCH_IN_U16 cp
#define FAKE_FETCH_OUT_U16 p
#define FAKE_FETCH_IN_I32 cp
#define FAKE_FETCH_OUT_I32 p
#define FAKE_FETCH_TEMP p
#define FAKE_FETCH_TEMP_I32 p
#define FAKE_FETCH_IN_I64 cp
#define FAKE_FETCH_I64 i
#define FAKE_FETCH_F32 f

#define FAKE_KIND_IN FH_OPERAND_IN
#define FAKE_KIND_OUT FH_OPERAND_OUT
#define FAKE_KIND_INOUT FH_OPERAND_INOUT
#define FAKE_KIND_IN_U8 FH_OPERAND_IN
#define FAKE_KIND_OUT_U8 FH_OPERAND_OUT
#define FAKE_KIND_IN_U16 FH_OPERAND_IN
#define FAKE_KIND_OUT_U16 FH_OPERAND_OUT
#define FAKE_KIND_IN_I32 FH_OPERAND_IN
#define FAKE_KIND_OUT_I32 FH_OPERAND_OUT
#define FAKE_KIND_TEMP FH_OPERAND_TEMP
#define FAKE_KIND_TEMP_I32 FH_OPERAND_TEMP
#define FAKE_KIND_IN_I64 FH_OPERAND_IN
#define FAKE_KIND_I64 FH_OPERAND_I64
#define FAKE_KIND_F32 FH_OPERAND_F32
#define FAKE_FORMAL(kind, name) {#name, FAKE_KIND_##kind},
#define FAKE_LOCAL(kind, name) const FH_TYPE_##kind name = (slot++)->FAKE_FETCH_##kind;
#define FAKE_ARGUMENT(kind, name) , name

/* Operands are taken one after the other: the order in which arguments of a call are evaluated is not stated. */
#define FH_BLOCK(entry, THREADS, BYTES)                                                                                             \
  FH_INLINE void entry##_block(uchar *fh_shared entry##_PARAMS(FH_BLOCK_PARAM));                                                    \
  static void entry##_run(const fh_slot *slots, int64_t items FH_UNUSED, void *shared) {                                            \
    const fh_slot *slot = slots;                                                                                                    \
    entry##_PARAMS(FAKE_LOCAL) entry##_block(shared entry##_PARAMS(FAKE_ARGUMENT));                                                 \
  }                                                                                                                                 \
  static const fh_param entry##_formals[] = {entry##_PARAMS(FAKE_FORMAL)};                                                          \
  extern const fake_block_entry fake_block_##entry;                                                                                 \
  const fake_block_entry fake_block_##entry = {#entry,    entry##_formals, (int)(sizeof entry##_formals / sizeof *entry##_formals), \
                                               (THREADS), (BYTES),         entry##_run};                                            \
  FH_INLINE void entry##_block(uchar *fh_shared FH_UNUSED entry##_PARAMS(FH_BLOCK_PARAM))
#define FH_BLOCK_DYNAMIC(entry, THREADS) FH_BLOCK(entry, THREADS, 0)

#define FH_NEEDS_PTX(version)
#define FH_RESIDENT(entry, BLOCKS)
#define fh_hold4(v) ((void)(v))

/* Two tensor maps behind the operands. */
enum { FAKE_MAPS = 2 };
typedef struct fh_map_list {
  fh_map at[FAKE_MAPS];
} fh_map_list;
#define fh_tensor(i) (fh_maps.at[i])
#define FH_BLOCK_TENSORS(entry, THREADS)                                                                                       \
  FH_INLINE void entry##_block(uchar *fh_shared, fh_map_list fh_maps entry##_PARAMS(FH_BLOCK_PARAM));                          \
  static void entry##_run(const fh_slot *slots, int64_t items FH_UNUSED, void *shared) {                                       \
    const fh_slot *slot = slots;                                                                                               \
    entry##_PARAMS(FAKE_LOCAL) const fh_map_list maps = {{slot[0].cp, slot[1].cp}};                                            \
    entry##_block(shared, maps entry##_PARAMS(FAKE_ARGUMENT));                                                                 \
  }                                                                                                                            \
  static const fh_param entry##_formals[] = {entry##_PARAMS(FAKE_FORMAL)};                                                     \
  extern const fake_block_entry fake_block_##entry;                                                                            \
  const fake_block_entry fake_block_##entry = {                                                                                \
      #entry, entry##_formals, (int)(sizeof entry##_formals / sizeof *entry##_formals), (THREADS), 0, entry##_run, FAKE_MAPS}; \
  FH_INLINE void entry##_block(uchar *fh_shared FH_UNUSED, fh_map_list fh_maps FH_UNUSED entry##_PARAMS(FH_BLOCK_PARAM))

#endif /* FOGHORN_TESTS_FAKES_BLOCK_PRELUDE_H_ */
