/* The type of a contract's real elements: f32, or f64 where FH_OF_DOUBLES is defined before. One contract's text serves both, as one text
 * of the dialect does (kernels/dialect/f64.h). SPDX-License-Identifier: Apache-2.0
 *
 * fh_wide is what the oracles calculate in. FH_UNIT is the unit roundoff u, FH_LEAST the least denormal, FH_LEAST_ROOT what the root of a
 * sum of squares loses where a square falls below that, FH_MOST the largest finite number. */
#ifndef FOGHORN_KERNELS_ELEMENT_H_
#define FOGHORN_KERNELS_ELEMENT_H_

#include <float.h>

#ifdef FH_OF_DOUBLES
#define FH_ELEMENT FH_F64
typedef double fh_element;
typedef long double fh_wide;
#define FH_UNIT 0x1p-53L
#define FH_UNIT_TEXT "2^-53"
#define FH_LEAST 0x1p-1074L
#define FH_LEAST_ROOT 0x1p-537L
#define FH_MOST DBL_MAX
#define FH_CONTRACT_OF(name) fh_contract_##name##_f64
#define FH_NAME_OF(name) name "_f64"
#define FH_ENTRY_OF(kernel, stage) kernel "_f64_" stage
#else
#define FH_ELEMENT FH_F32
typedef float fh_element;
typedef double fh_wide;
#define FH_UNIT 0x1p-24
#define FH_UNIT_TEXT "2^-24"
#define FH_LEAST 0x1p-149
#define FH_LEAST_ROOT 0x1p-75
#define FH_MOST FLT_MAX
#define FH_CONTRACT_OF(name) fh_contract_##name
#define FH_NAME_OF(name) name
#define FH_ENTRY_OF(kernel, stage) kernel "_" stage
#endif

typedef fh_element fh_element_any __attribute__((aligned(1))); /* views may start anywhere */

#endif /* FOGHORN_KERNELS_ELEMENT_H_ */
