/* The nearest centroid of a row, and sums of rows by their label: the text that the k-means kernels share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DIALECT_CLUSTERS_H_
#define FOGHORN_KERNELS_DIALECT_CLUSTERS_H_

/* labels[0] = argmin_j ||x - c_j||^2, the lowest j on a tie; distances[0] = that minimum. Four centroids at a time share the loads of
 * x. A NaN distance never wins; when no distance is finite the label is 0 and the distance that of centroid 0. */
FH_INLINE void fh_nearest_strided(fh_f32_in x, long xs, fh_f32_in c, long cs1, long cs, long d, long k, fh_i32_out label,
                                  fh_f32_out distance) {
  float best = FH_INFINITY;
  long at = -1, j = 0;
  for (; j + 4 <= k; j += 4) {
    const fh_f32_in c0 = c + j * cs1, c1 = c0 + cs1, c2 = c1 + cs1, c3 = c2 + cs1;
    fh_vf s0 = fh_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;
    long i = 0;
    for (; i + 16 <= d; i += 16) {
      const fh_vf v = fh_load(x, i, xs);
      s0 = fh_add_square(s0, v, fh_load(c0, i, cs));
      s1 = fh_add_square(s1, v, fh_load(c1, i, cs));
      s2 = fh_add_square(s2, v, fh_load(c2, i, cs));
      s3 = fh_add_square(s3, v, fh_load(c3, i, cs));
    }
    if (i < d) {
      const fh_vf v = fh_load_part(x, i, d, xs, 0.0f);
      s0 = fh_add_square(s0, v, fh_load_part(c0, i, d, cs, 0.0f));
      s1 = fh_add_square(s1, v, fh_load_part(c1, i, d, cs, 0.0f));
      s2 = fh_add_square(s2, v, fh_load_part(c2, i, d, cs, 0.0f));
      s3 = fh_add_square(s3, v, fh_load_part(c3, i, d, cs, 0.0f));
    }
    const float d0 = fh_sum_of(s0), d1 = fh_sum_of(s1), d2 = fh_sum_of(s2), d3 = fh_sum_of(s3);
    if (d0 < best) best = d0, at = j;
    if (d1 < best) best = d1, at = j + 1;
    if (d2 < best) best = d2, at = j + 2;
    if (d3 < best) best = d3, at = j + 3;
  }
  for (; j < k; j++) {
    const float dj = fh_row_squares(x, xs, c + j * cs1, cs, d);
    if (dj < best) best = dj, at = j;
  }
  fh_put_i32(label, 0, at < 0 ? 0 : (int)at);
  fh_put(distance, 0, at < 0 ? fh_row_squares(x, xs, c, cs, d) : best);
}

FH_INLINE void fh_nearest(fh_f32_in x, long xs, fh_f32_in c, long cs1, long cs, long d, long k, fh_i32_out label, fh_f32_out distance) {
  if (xs == 1 && cs == 1)
    fh_nearest_strided(x, 1, c, cs1, 1, d, k, label, distance);
  else
    fh_nearest_strided(x, xs, c, cs1, cs, d, k, label, distance);
}

/* Adds elements [begin, end) of one row; blocks of 16 start at multiples of 16. */
FH_INLINE void fh_cluster_add(fh_f32_in x, long xs, fh_f32_out sum, long begin, long end, long d) {
  const long full = end < d ? end : d - d % 16;
  long i = begin;
  for (; i < full; i += 16) fh_store(sum, i, 1, fh_add(fh_load(sum, i, 1), fh_load(x, i, xs)));
  if (i < end) fh_store(sum, i, 1, fh_add(fh_load(sum, i, 1), fh_load_part(x, i, d, xs, 0.0f)));
}

/* Item: (chunk of rows, band of dimensions). It owns that band of the chunk's accumulators, k rows of `dp` floats, and adds the rows to
 * them in order. A label outside [0, k) is passed over. */
FH_INLINE void fh_cluster_partial(long item, fh_f32_in x, fh_i32_in labels, fh_f32_out partial, fh_i32_out tally, long n, long d, long dp,
                                  long k, long chunk_rows, long bands, long band, long xs1, long xs, long ls) {
  const long chunk = item / bands, begin = item % bands * band, end = begin + band < dp ? begin + band : dp;
  const long first = chunk * chunk_rows, last = first + chunk_rows < n ? first + chunk_rows : n;
  partial += chunk * k * dp;
  tally += chunk * k;
  for (long j = 0; j < k; j++) {
    for (long i = begin; i < end; i += 16) fh_store(partial + j * dp, i, 1, fh_splat(0.0f));
    if (begin == 0) fh_put_i32(tally, j, 0);
  }
  for (long row = first; row < last; row++) {
    const long j = fh_get_i32(labels, row * ls);
    if (j < 0 || j >= k) continue;
    if (xs == 1)
      fh_cluster_add(x + row * xs1, 1, partial + j * dp, begin, end, d);
    else
      fh_cluster_add(x + row * xs1, xs, partial + j * dp, begin, end, d);
    if (begin == 0) fh_increment(tally, j);
  }
}

/* Item: (cluster, 16 dimensions). It adds the chunks in order. */
FH_INLINE void fh_cluster_combine(long item, fh_f32_in partial, fh_i32_in tally, fh_f32_out sums, fh_i32_out counts, long d, long dp,
                                  long k, long chunks, long ss1, long ss, long cs) {
  const long blocks = dp / 16, j = item / blocks, i = item % blocks * 16;
  fh_vf sum = fh_splat(0.0f);
  for (long chunk = 0; chunk < chunks; chunk++) sum = fh_add(sum, fh_load(partial + (chunk * k + j) * dp, i, 1));
  fh_store_part(sums + j * ss1, i, d, ss, sum);
  if (i > 0) return;
  int count = 0;
  for (long chunk = 0; chunk < chunks; chunk++) count += fh_get_i32(tally, chunk * k + j);
  fh_put_i32(counts, j * cs, count);
}

#endif /* FOGHORN_KERNELS_DIALECT_CLUSTERS_H_ */
