/* Texts for blocks of threads: what they may use, the same on every device. SPDX-License-Identifier: Apache-2.0
 *
 * A block text is the tuned form of a kernel for devices: it knows of the threads of a block, of the memory that they share and of the
 * warps of 32 that they form. <kernel>_block.k is portable: CUDA from compute capability 6.0 on, and OpenCL, where a block is a
 * work-group. <kernel>_sm80.k wants compute capability 8.0 and may use what is marked with (80). Three compilers read a text: clang's
 * OpenCL front end for PTX (prelude_ptx.h), OpenCL C 1.2 (prelude_cl.h), and C for the emulator of the tests.
 *
 * An entry: its parameters once, as in the dialect and the same as those of the kernel's first dialect entry; the threads of a block;
 * the bytes that they share. The body is that of one thread.
 *   #define matmul_tiles_PARAMS(P) P(IN, a) P(IN, b) P(OUT, c) P(I64, k)
 *   FH_BLOCK(matmul_tiles, 256, 16384) { ... }          at most 48 KiB, as much as every device has
 *   FH_BLOCK_DYNAMIC(matmul_stages, 256) { ... }        (80) as many bytes as the launch asks for
 *   FH_BLOCK_TENSORS(matmul_bf16_wgmma, 384) { ... }    (90a) the same, with two tensor maps, fh_tensor(0) and fh_tensor(1)
 * Kinds: IN, OUT, INOUT, IN_U8, OUT_U8, IN_U16, OUT_U16, IN_I32, OUT_I32, IN_I64, I64, F32, and for the kernel's own scratch TEMP
 * (bytes) and TEMP_I32. Behind them, where the variant has scratch (fh_block_variant):
 * P(TEMP, scratch), bytes of global memory, an `fh_u8_out` that a text casts to what it keeps there: fh_f32_out sums = (fh_f32_out)scratch.
 * They lie on a boundary of 128 at least, and hold at first whatever was there before.
 *
 *   fh_shared                          the bytes that the block shares: a `fh_local uchar *` on a boundary of 128
 *   fh_local                           what is pointed to is shared: fh_local float *tile = (fh_local float *)fh_shared
 *   fh_thread() fh_block(d) fh_blocks(d)      number in the block; place and extent in the grid, d = 0, 1, 2 (a constant)
 *   fh_thread_here()                   the number again, for a part of a loop that is rare: what follows from it is computed there, and is
 *                                      not kept in registers for all of the loop
 *   fh_barrier()                       all threads of the block meet; what one has written to shared memory the others then see
 *   fh_fma_u(a, b, c) fh_add_u(a, b) fh_mul_u(a, b) fh_div_u(a, b) fh_sqrt_u(a)   rounded once; FH_INFINITY
 *   fh_as_int(f) fh_as_float(i)        the same bits
 *   fh_f32x4                           .x .y .z .w; fh_load4(p) from shared, fh_fetch4(p) from and fh_store4(p, v) to global memory: p on a
 *                                      boundary of 16
 *   fh_fetch_long(p) fh_store_long(p, v)   eight bytes from and to global memory, whatever they are: p on a boundary of 8
 *   fh_count(p, n) fh_count_shared(p, n)   *p += n, of global and of shared memory, whatever other threads do: integers, whose sum does not
 *                                      depend on the order
 *   fh_on_boundary(p, n)               does a global pointer lie on a boundary of n bytes?
 *   FH_UNROLL                          before a loop whose body must see its index as a constant: arrays stay in registers
 *   FH_NO_UNROLL                       before one that is rare: its registers are better used elsewhere
 *   FH_UNROLL_2                        two rounds of the loop at a time: where all of them want more registers than there are
 *   fh_hold4(v)                        behind several fh_fetch4: they are all under way before the first of them is waited for
 *   FH_RESIDENT(entry, blocks)         before an entry: a multiprocessor is to have that many of its blocks at least, so that a thread gets
 *                                      no more registers than that leaves, and may have them all
 *   fh_shuffle_xor(v, mask) fh_shuffle_xor_i  (warp) the value of lane ^ mask; all 32 lanes call it
 *
 *   (80) Copies from global to shared memory that run on while the thread works. `size` is 4 or 16, both addresses lie on such
 *   boundaries, and of the `size` bytes the first `bytes` are copied and the rest becomes 0.
 *   fh_copy_async4(to, from, bytes) fh_copy_async16(to, from, bytes)
 *   fh_copy_commit()                   what was begun since the last one becomes a group
 *   fh_copy_wait(n)                    until all of this thread's groups but the n newest are there (a constant); others see them
 *                                      behind the next barrier
 *
 *   (80) Products of small matrices, by the 32 lanes of a warp together. Fragments as the PTX ISA numbers them (9.7.14).
 *   fh_load_matrices(out, row)         ldmatrix .x4: four matrices of 8 rows of 16 bytes; lane 8 i + r names row r of matrix i
 *   fh_load_matrices_turned(out, row)  the same, each matrix of 16-bit elements transposed
 *   fh_mma_bf16(d, a, b)               d += a b: m16n8k16, d float[4], a unsigned[4], b unsigned[2]
 *   fh_mma_f16(d, a, b)                the same with f16
 *   fh_mma_tf32(d, a, b)               m16n8k8, f32 of which the low 13 bits are not looked at
 *   fh_round_tf32(bits)                an f32 rounded to those that are: to nearest, ties away from zero; a NaN stays one
 *   fh_mma_u8s8(d, a, b)               m16n8k32, d int[4], modulo 2^32; likewise fh_mma_s8s8
 *
 * (90a) <kernel>_sm90a.k, for compute capability 9.0 alone: what runs on beside the threads. Warpgroups are 128 threads, the first of
 * which has a number that is a multiple of 128. "Copies and products" below are those of this part.
 *   fh_mbarrier                        8 bytes of shared memory that count arrivals and bytes; its phases are 0, 1, 0, ...
 *   fh_mbarrier_init(b, count)         by one thread; then fh_mbarrier_fence() by it, and fh_barrier() by all
 *   fh_mbarrier_arrive(b) fh_mbarrier_expect(b, bytes)   an arrival; with so many bytes that are to come in this phase
 *   fh_mbarrier_wait(b, parity)        until the phase of this parity is complete; at once where the one at hand has the other parity
 *   fh_tensor_copy2(to, map, b, x, y) fh_tensor_copy3(to, map, b, x, y, z)   by one thread: the box that begins there, whose bytes count
 *                                      at the mbarrier; zeros past the extents. `to` on a boundary of 1024, where a swizzle of 128 bytes
 *                                      begins: bits 4 to 6 of an address are changed by its bits 7 to 9
 *   fh_tensor_prefetch(map)            brings the map itself near
 *   fh_bulk_copy(to, from, b, bytes)   by one thread: global memory as it lies; both addresses, and bytes, are multiples of 16
 *   fh_async_fence()                   copies and products see what this thread has written to shared memory
 *   fh_matrix(p, leading, stride)      a descriptor of a matrix with that swizzle; a + 1 is 16 bytes further on (PTX ISA 9.7.15)
 *   fh_group_bf16_256(d, a, b, add, ta, tb)   by a warpgroup: d = a b, or += where `add`: m64n256k16, float d[128], its place as in the
 *                                      ISA; ta, tb: 1 where lines, not k, are contiguous. Likewise fh_group_bf16_128 with float d[64], f16;
 *                                      tf32 (k8) and, with int d, s8s8, u8s8 (k32), for which ta and tb are 0
 *   fh_group_fence()                   before the first of them that uses registers which the threads used
 *   fh_group_commit() fh_group_wait(n) what was begun becomes a group; until all but the n newest are done: before that neither d nor the
 *                                      matrices may be touched
 *   fh_group_hold_float(x) fh_group_hold_int(x)   of each number of d behind that wait: it stays where it is until then
 *   fh_group_registers_fewer(n) fh_group_registers_more(n)   of each thread of this warpgroup, n being what it has then
 *   FH_NEEDS_PTX(8.4)                  at the head of a text: a PTX newer than 8.0, which older drivers do not take
 *   fh_store2(p, x, y) fh_store2_i     two numbers, p on a boundary of 8
 *
 * The order in which a product of fragments of floats is summed, and how, the ISA does not say: what uses it for a result is bounded, never
 * exact. What uses it to find where to look is exact if it tries the device first (nearest_mma.h).
 */
#ifndef FOGHORN_KERNELS_BLOCK_BLOCK_H_
#define FOGHORN_KERNELS_BLOCK_BLOCK_H_

/* ---- parameters: types as a body sees them ---- */
#define FH_TYPE_IN fh_f32_in
#define FH_TYPE_OUT fh_f32_out
#define FH_TYPE_INOUT fh_f32_out
#define FH_TYPE_IN_U8 fh_u8_in
#define FH_TYPE_OUT_U8 fh_u8_out
#define FH_TYPE_IN_U16 fh_u16_in
#define FH_TYPE_OUT_U16 fh_u16_out
#define FH_TYPE_IN_I32 fh_i32_in
#define FH_TYPE_OUT_I32 fh_i32_out
#define FH_TYPE_TEMP fh_u8_out
#define FH_TYPE_TEMP_I32 fh_i32_out
#define FH_TYPE_IN_I64 fh_i64_in
#define FH_TYPE_I64 long
#define FH_TYPE_F32 float

#define FH_BLOCK_PARAM(kind, name) , FH_TYPE_##kind name FH_UNUSED

#endif /* FOGHORN_KERNELS_BLOCK_BLOCK_H_ */
