/* Element types, access modes, numerics classes and other small values.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TYPES_H_
#define FOGHORN_TYPES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <foghorn/export.h>

FH_EXTERN_C_BEGIN

/* Element types. The values are part of the ABI. */
typedef enum fh_dtype {
  FH_DTYPE_NONE = 0,
  FH_F32 = 1,
  FH_F64 = 2,
  FH_F16 = 3,
  FH_BF16 = 4,
  FH_I8 = 5,
  FH_U8 = 6,
  FH_I32 = 7,
  FH_I64 = 8,
} fh_dtype;

/* Bytes of one element; 0 for an unknown type. */
FH_API size_t fh_dtype_size(fh_dtype dtype);
/* "f32" and so on; "?" for an unknown type. Static text. */
FH_API const char *fh_dtype_name(fh_dtype dtype);

#define FH_MAX_RANK 8

/* What a kernel or caller may do with the memory of a view. */
typedef enum fh_access {
  FH_READ = 1,
  FH_WRITE = 2,
  FH_READ_WRITE = 3,
} fh_access;

/* How far the result of a kernel is fixed.
 * EXACT: bit-identical on every ISA and backend. BOUNDED: within the error bound stated in the
 * kernel's contract against the double-precision reference. */
typedef enum fh_numerics {
  FH_BOUNDED = 0,
  FH_EXACT = 1,
} fh_numerics;

/* How far apart two rows are. */
typedef enum fh_metric {
  FH_METRIC_L2 = 0,     /* the square of the Euclidean distance */
  FH_METRIC_DOT = 1,    /* the inner product: large is near */
  FH_METRIC_COSINE = 2, /* 1 - x.y / (|x||y|), in [0, 2] up to rounding; 1 where a row is zero (or its squares vanish in f32) */
} fh_metric;

/* Instruction sets of the CPU backend, weakest first within one architecture. */
typedef enum fh_isa {
  FH_ISA_SCALAR = 0, /* plain C, the base of the ABI: runs anywhere */
  FH_ISA_SSE42 = 1,
  FH_ISA_AVX2 = 2,   /* with FMA and F16C (x86-64-v3) */
  FH_ISA_AVX512 = 3, /* F, BW, CD, DQ, VL (x86-64-v4) */
  FH_ISA_NEON = 4,
  FH_ISA_COUNT = 5,
} fh_isa;

/* Extensions that single variants of kernels need beside their instruction set. */
typedef enum fh_cpu_feature {
  FH_FEATURE_AVX512_VNNI = 0,  /* dot products of bytes, 512 bits wide */
  FH_FEATURE_AVX512_BF16 = 1,  /* dot products of bf16, 512 bits wide */
  FH_FEATURE_NEON_DOTPROD = 2, /* dot products of bytes of one kind */
  FH_FEATURE_NEON_I8MM = 3,    /* of signed with unsigned bytes */
  FH_FEATURE_NEON_BF16 = 4,    /* dot products of bf16 */
  FH_FEATURE_COUNT = 5,
} fh_cpu_feature;

/* "avx512_vnni", "avx512_bf16", "asimddp", "i8mm", "bf16", as the Linux kernel writes them; "?" out of range. Static text. */
FH_API const char *fh_cpu_feature_name(fh_cpu_feature feature);

/* "scalar", "sse42", "avx2", "avx512", "neon"; "?" out of range. Static text. */
FH_API const char *fh_isa_name(fh_isa isa);
/* Finds an ISA by name. False, and *out_isa unchanged, when the name is not one of the above. */
FH_API bool fh_isa_parse(const char *name, fh_isa *out_isa);

FH_EXTERN_C_END

#endif /* FOGHORN_TYPES_H_ */
