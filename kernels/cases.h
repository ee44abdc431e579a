/* How contracts write cases and their data. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_CASES_H_
#define FOGHORN_KERNELS_CASES_H_

#include "kernels/tables.h"

/* A compact view. */
static inline fh_view_desc fh_compact(fh_dtype dtype, int32_t rank, const int64_t *shape) {
  fh_view_desc v = {.dtype = dtype, .rank = rank};
  int64_t stride = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    v.shape[i] = shape[i];
    v.strides[i] = stride;
    stride *= shape[i] > 0 ? shape[i] : 1;
  }
  return v;
}

/* A compact f32 matrix, or `batch` of them; 0: one, of rank 2. */
static inline fh_view_desc fh_compact_matrices(int64_t batch, int64_t rows, int64_t columns) {
  const int64_t shape[] = {batch, rows, columns};
  return batch ? fh_compact(FH_F32, 3, shape) : fh_compact(FH_F32, 2, shape + 1);
}

/* Elements of a view of a case. */
static inline int64_t fh_elements(const fh_view_desc *v) {
  int64_t count = 1;
  for (int32_t i = 0; i < v->rank; i++) count *= v->shape[i];
  return count;
}

/* The next of a row of random numbers (Knuth's MMIX generator): the high bits are the good ones. */
static inline uint64_t fh_next_random(uint64_t *state) {
  return *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}
/* Evenly in [-1, 1), from such a number. */
static inline float fh_uniform(uint64_t random) { return (float)(random >> 40) * 0x1p-23f - 1.0f; }

/* A compact f32 operand evenly in [-1, 1): for the fill() of a contract that has other operands too. */
static inline void fh_fill_uniform(const fh_view_desc *v, float *data, uint64_t seed) {
  const int64_t count = fh_elements(v);
  for (int64_t i = 0; i < count; i++) data[i] = fh_uniform(fh_next_random(&seed));
}

/* case_at() and bench_at() of a contract whose cases are rows of two tables: `bool make(const row *, fh_case *)` writes one. */
#define FH_CASES_OF(make, cases, benches)                                                                       \
  static bool case_at(int i, fh_case *out) { return i >= 0 && i < FH_LENGTH(cases) && make(&(cases)[i], out); } \
  static bool bench_at(int i, fh_case *out) { return i >= 0 && i < FH_LENGTH(benches) && make(&(benches)[i], out); }

#endif /* FOGHORN_KERNELS_CASES_H_ */
