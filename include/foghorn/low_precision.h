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

FH_EXTERN_C_END

#endif /* FOGHORN_LOW_PRECISION_H_ */
