/* Reductions over one dimension in the dialect. SPDX-License-Identifier: Apache-2.0
 *
 * A row is cut into chunks; what a chunk gives is joined by a second stage. */
#ifndef FOGHORN_KERNELS_DIALECT_REDUCE_H_
#define FOGHORN_KERNELS_DIALECT_REDUCE_H_

enum { FH_PIECE = 4096 }; /* elements of a chunk: they stay in the first level of cache for a second look */

/* The extreme of each lane's elements so far and one more: a NaN stays, a smaller index too. */
FH_INLINE fh_vm fh_replaces(int kind, fh_vf v, fh_vf m) {
  const fh_vf a = kind == FH_LARGEST_MAGNITUDE ? fh_abs(v) : v;
  const fh_vm better = kind == FH_LEAST ? fh_lt(a, m) : fh_gt(a, m);
  return fh_or_m(better, fh_and_m(fh_not_m(fh_eq(v, v)), fh_eq(m, m)));
}
FH_INLINE fh_vf fh_further(int kind, fh_vf v, fh_vf m) {
  return fh_select(fh_replaces(kind, v, m), kind == FH_LARGEST_MAGNITUDE ? fh_abs(v) : v, m);
}

/* A sum of many partial results: blocks are summed as rows, and added in order. */
FH_INLINE float fh_sum_long(int term, fh_f32_in p, long n, float about) {
  float sum = 0.0f;
  for (long i = 0; i < n; i += FH_PIECE) sum = sum + fh_sum_row(term, p + i, n - i < FH_PIECE ? n - i : FH_PIECE, 1, about);
  return sum;
}

#endif /* FOGHORN_KERNELS_DIALECT_REDUCE_H_ */
