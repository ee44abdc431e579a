/* Element types at any byte address: views may start anywhere. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_UNALIGNED_H_
#define FOGHORN_KERNELS_UNALIGNED_H_

#include <stdint.h>

typedef float fh_f32_any __attribute__((aligned(1)));
typedef int32_t fh_i32_any __attribute__((aligned(1)));
typedef uint16_t fh_u16_any __attribute__((aligned(1)));
typedef int64_t fh_i64_any __attribute__((aligned(1)));

#endif /* FOGHORN_KERNELS_UNALIGNED_H_ */
