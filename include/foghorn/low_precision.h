/* Numbers of 8 and 16 bits: conversion and products. SPDX-License-Identifier: Apache-2.0
 *
 * Common to all: see kernels.h. bf16 is the upper half of an f32 (8 bits of significand), f16 the binary16 of IEEE 754. */
#ifndef FOGHORN_LOW_PRECISION_H_
#define FOGHORN_LOW_PRECISION_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y = x in the type of y: f32 to or from bf16 or f16; equal shapes of rank 1 to 3. EXACT: widening keeps the value, narrowing rounds to
 * nearest, ties to even (IEEE 754-2019, 4.3.1); what is too large becomes infinite, denormals are kept, a NaN stays a NaN. */
FH_API FH_MUST_USE fh_status fh_convert(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* C = A B: a (m,k) and b (k,n) bf16, c (m,n) f32, or all with one leading batch dimension; any strides, so a transpose is a view; or b
 * is packed weights (fh_weights_pack), used by every batch. Products of bf16 are exact in f32. The exact variants add them in order of k,
 * each with one rounding; bounded ones stay within gamma_k sum |a b| (Higham 2002, 3.1), and the dot instruction of AVX-512 BF16 takes
 * denormals for zero besides. */
FH_API FH_MUST_USE fh_status fh_matmul_bf16(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event);

/* The same with a and b f16, whose products are exact in f32 too. The exact variants add as fh_matmul does, with its bits for the same
 * numbers in f32; bounded ones, on tensor cores, stay within (k + 2) 2^-24 sum |a b|. */
FH_API FH_MUST_USE fh_status fh_matmul_f16(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event);

/* The same with a and b f32, each element of which is first rounded to tf32: 11 significant bits, to nearest, ties away from zero;
 * denormals to multiples of 2^-136, what is too large becomes infinite, a NaN stays a NaN. That is an error of at most 2^-11 in each
 * element and about 2^-10 sum |a b| in a result, the price of tensor cores' speed where there are some; elsewhere nothing is gained over
 * fh_matmul. Of the product of the rounded numbers the exact variants give the bits that fh_matmul would; bounded ones stay within (2 k +
 * 2) 2^-24 sum |a b|. */
FH_API FH_MUST_USE fh_status fh_matmul_tf32(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event);

/* The same as fh_matmul_bf16 with a u8, b i8 and c i32. EXACT everywhere: sums are taken modulo 2^32, which none can reach for k <= 65793;
 * nothing saturates. Quantised with zero points za and zb, sum (a - za)(b - zb) is c - za sum_l b - zb sum_l a + k za zb. */
FH_API FH_MUST_USE fh_status fh_matmul_i8(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event);

/* Weights that are multiplied many times, laid out once so that the products above read them without packing them each time: with few
 * rows of a this saves most of the work. Makes *out_packed, a buffer of the queue's context, from b (k,n) of type bf16, f16, f32 (for
 * fh_matmul_tf32) or i8 (u8 is packed too, for kernels of your own), and fills it. Element (l, j) is packed[j / 32, l / g, j % 32, l % g]
 * with g elements in 4 bytes, shape (ceil(n / 32), ceil(k / g), 32, g); past k and n it is zero. The layout is the same for every device
 * and instruction set, so the weights stay valid when a launch falls back or moves, and may be saved and wrapped again. The view is one
 * like any other: fh_view_release ends it, fh_view_retain shares it, several threads may multiply with it at once; b is not kept and may
 * change. INVALID_ARGUMENT: a rank other than 2, another type. Nothing is left in *out_packed after an error. */
FH_API FH_MUST_USE fh_status fh_weights_pack(fh_queue *queue, const fh_view *b, fh_view *out_packed);

FH_EXTERN_C_END

#endif /* FOGHORN_LOW_PRECISION_H_ */
