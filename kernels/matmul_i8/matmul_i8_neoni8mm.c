/* matmul_i8 for NEON with FEAT_I8MM, which sums four products of unsigned and signed bytes in 32 bits and does not saturate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_i8/matmul_i8.h"

#define FH_ELEMENT 1
#define FH_DOT_STEP "usdot %0.4s, %2.16b, %1.16b"
#define FH_DOT_STEP_BY "sudot %0.4s, %1.16b, %2.4b[0]"
#include "kernels/tile/dot_neon.h"

FH_NEON dot_weights dot_split(fh_vf raw) { return raw; }

#define FH_DOT_ENTRY fh_matmul_i8_neoni8mm
#define FH_DOT_SCRATCH fh_matmul_i8_scratch_neoni8mm
#include "kernels/tile/dot_product.h"
