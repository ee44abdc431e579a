/* How blocks of threads sum rows by their label (block/cluster_sums.h): grids of kmeans_update and kmeans_step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_CLUSTER_BLOCKS_H_
#define FOGHORN_KERNELS_CLUSTER_BLOCKS_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"

/* As in the text. */
enum { FH_CLUSTER_THREADS = 128, FH_CLUSTER_SUMS = 9216, FH_CLUSTER_MOST = 288, FH_CLUSTER_ALIGN = 8, FH_COMBINE_THREADS = 256 };

typedef struct fh_cluster_work {
  int64_t d, k, chunks;
} fh_cluster_work;

/* Blocks along the columns: bands as even as whole sectors of memory allow, each at most a column to a thread. */
static inline int64_t fh_cluster_bands(fh_cluster_work w) { return fh_most(1, fh_divide_up(w.d, FH_CLUSTER_THREADS)); }

/* Blocks along the clusters: as many clusters in each as accumulators fit. Of narrow rows, which few threads of a block add one behind the
 * other, fewer, so that there are 1024 blocks: each looks at all labels of its chunk, but has less to add. A group of 4 clusters or more
 * that have a quarter of the rows on the whole reads more of x than of labels from 4 columns on. */
static inline int64_t fh_cluster_groups(fh_cluster_work w) {
  enum { BLOCKS = 1024, FEWEST = 4 };
  const int64_t width = FH_CLUSTER_ALIGN * fh_most(1, fh_divide_up(fh_divide_up(w.d, fh_cluster_bands(w)), FH_CLUSTER_ALIGN));
  const int64_t wanted = fh_least(BLOCKS / fh_most(1, w.chunks * fh_cluster_bands(w)), fh_least(w.k / FEWEST, w.d / FEWEST));
  return fh_most(fh_most(1, wanted), fh_divide_up(w.k, fh_least(FH_CLUSTER_MOST, FH_CLUSTER_SUMS / width)));
}

static inline void fh_cluster_sums_shape(fh_cluster_work w, fh_block_shape *out) {
  *out = (fh_block_shape){.grid = {(uint32_t)fh_most(1, w.chunks), (uint32_t)fh_cluster_bands(w), (uint32_t)fh_cluster_groups(w)},
                          .threads = FH_CLUSTER_THREADS};
}

static inline void fh_cluster_chunks_shape(fh_cluster_work w, int multiprocessors, fh_block_shape *out) {
  const int64_t most = 32 * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  const int64_t blocks = fh_least(fh_divide_up(w.k * (w.d + 1), FH_COMBINE_THREADS), most);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_most(1, blocks), 1, 1}, .threads = FH_COMBINE_THREADS};
}

/* Extents of a grid but the first are of 16 bits. */
static inline const char *fh_cluster_unfit(fh_cluster_work w) {
  return fh_cluster_bands(w) > UINT16_MAX || fh_cluster_groups(w) > UINT16_MAX ? "a grid has no more blocks than 65535 a side" : NULL;
}

#endif /* FOGHORN_KERNELS_CLUSTER_BLOCKS_H_ */
