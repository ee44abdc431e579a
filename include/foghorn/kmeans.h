/* k-means clustering on any device. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KMEANS_H_
#define FOGHORN_KMEANS_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

typedef struct fh_kmeans_options {
  int k;              /* clusters, >= 1 */
  int max_iterations; /* 0: 300 */
  double tolerance;   /* stop when the squared centroid shift falls to tolerance * mean variance; 0: until labels stop changing */
  uint64_t seed;      /* of k-means++ */
  const float *start; /* k x d row-major start instead of k-means++; NULL */
  /* Called after each iteration; false stops (CANCELLED is not an error: the result so far stands). NULL. */
  bool (*progress)(void *user, int iteration, double inertia, double seconds);
  void *user;
} fh_kmeans_options;

typedef struct fh_kmeans_result {
  int iterations;
  bool converged;
  double inertia;            /* sum of squared distances to the final centroids, added in double in row order */
  double seconds_start;      /* k-means++ */
  double seconds_iterations; /* Lloyd, total */
  int32_t *labels;           /* n; owned by the result */
  float *centroids;          /* k x d row-major; owned by the result */
  int32_t *sizes;            /* k */
  int64_t n, d;
  int k;
  int empty_reseeded; /* times an empty cluster was given the farthest point */
} fh_kmeans_result;

/* The k-means++ start alone (Arthur and Vassilvitskii 2007): n * k distances, one pass over x per centroid. Writes k x d
 * row-major floats, rows of x. The first row is drawn evenly, each next one with a chance in proportion to its
 * squared distance to the nearest one so far; draws are u = (r >> 11) * 2^-53 with r from SplitMix64(seed), sums are in
 * double in row order, so equal distances give the same start everywhere. Errors: as fh_kmeans. */
FH_API FH_MUST_USE fh_status fh_kmeans_start(fh_queue *queue, const fh_view *x, int k, uint64_t seed, float *out_start);

/* Lloyd's algorithm (Lloyd 1982) from a k-means++ start (Arthur and Vassilvitskii 2007) that computes n * k
 * distances, never n * k^2. x f32 (n, d), any strides. A NaN or infinite row is refused: INVALID_ARGUMENT names it. k > n is
 * INVALID_ARGUMENT, a capturing queue FAILED_PRECONDITION; fewer than k distinct rows leaves empty clusters, counted by sizes. The result
 * is the same bits on every device when the context asks for FH_EXACT. Free with fh_kmeans_result_free; a failure leaves zeros. */
FH_API FH_MUST_USE fh_status fh_kmeans(fh_queue *queue, const fh_view *x, const fh_kmeans_options *options, fh_kmeans_result *out_result);
FH_API void fh_kmeans_result_free(fh_kmeans_result *result);

FH_EXTERN_C_END

#endif /* FOGHORN_KMEANS_H_ */
