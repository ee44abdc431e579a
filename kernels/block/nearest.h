/* The nearest of some centroids for each row: the texts that the k-means kernels share. SPDX-License-Identifier: Apache-2.0
 *
 * Many centroids: 128 rows against 128 centroids at a time. Each thread keeps the nearest of the centroids that it has seen for its 8 rows;
 * 16 threads share a row, and at the end one of them looks at what all found. A distance is a sum of squares of differences, as in the
 * text, in one chain. 2 operations for each number of each pair: the limit is arithmetic.
 *
 * Few centroids, which leave most of such a tile empty: the bits of the text. 16 threads have two rows, a lane of the text each, and keep
 * the sums of both to 16 centroids in registers; the centroids are in shared memory, 256 columns at a time. x is read once, 64 bytes of a
 * row at a time, and a thread has 32 bytes on their way. 3 operations a number and centroid, and one word of shared memory for two rows:
 * for 16 centroids the limit is shared memory, at 8 words for each 4 bytes of x; for up to 8 it is the memory's bandwidth. */
#ifndef FOGHORN_KERNELS_BLOCK_NEAREST_H_
#define FOGHORN_KERNELS_BLOCK_NEAREST_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PAIRS_H_
#include "kernels/block/simt_pairs.h"
#endif

/* ---- many ---- */
#define FH_NEAREST_FINDERS 16 /* threads that share a row */

typedef struct fh_nearest_found {
  float distance[8];
  int label[8]; /* -1: none has a distance */
} fh_nearest_found;

/* Centroids `first` and above, in rising order, so that the lowest of equals stays. What lies behind the last is none. */
FH_INLINE void fh_nearest_look(fh_nearest_found *best, float sums[8][8], long first, long k) {
  FH_UNROLL for (int j = 0; j < 8; j++) {
    const long label = first + j / 4 * 32 + j % 4;
    FH_UNROLL for (int i = 0; i < 8; i++) {
      if (label < k && sums[i][j] < best->distance[i]) best->distance[i] = sums[i][j], best->label[i] = (int)label;
    }
  }
}

/* Where thread and row put what they found: rows of a finder side by side. */
FH_INLINE int fh_nearest_place(int finder, int row) { return finder * FH_PAIRS_SIDE + row; }

FH_INLINE void fh_nearest_tell(const fh_nearest_found *best, fh_local float *distances, fh_local int *labels) {
  const int finder = fh_simt_col(FH_PAIRS_SIDE) / 64 * 8 + fh_simt_lane_col();
  FH_UNROLL for (int i = 0; i < 8; i++) {
    const int at = fh_nearest_place(finder, fh_simt_row(FH_PAIRS_SIDE) + i / 4 * 16 + i % 4);
    distances[at] = best->distance[i];
    labels[at] = best->label[i];
  }
}

FH_INLINE void fh_nearest_tiles(fh_local uchar *bytes, fh_f32_in x, fh_f32_in c, fh_i32_out labels, fh_f32_out distances, long n, long d,
                                long k, long xs1, long xs, long cs1, long cs, long ls, long ds) {
  fh_local float *const shared = (fh_local float *)bytes;
  fh_local int *const found = (fh_local int *)(shared + FH_NEAREST_FINDERS * FH_PAIRS_SIDE);
  for (long row = fh_block(0) * FH_PAIRS_SIDE; row < n; row += fh_blocks(0) * FH_PAIRS_SIDE) {
    fh_nearest_found best;
    FH_UNROLL for (int i = 0; i < 8; i++) best.distance[i] = FH_INFINITY, best.label[i] = -1;
    for (long first = 0; first < k; first += FH_PAIRS_SIDE) {
      fh_panel of_x = fh_panel_begin(x + row * xs1, xs1, xs, n - row, FH_PAIRS_SIDE, FH_PAIRS_THREADS);
      fh_panel of_c = fh_panel_begin(c + first * cs1, cs1, cs, k - first, FH_PAIRS_SIDE, FH_PAIRS_THREADS);
      fh_pair_sums sums;
      fh_pairs_sum(FH_PAIRS_SQUARES, &sums, shared, &of_x, &of_c, d);
      fh_nearest_look(&best, sums.of, first + fh_simt_col(FH_PAIRS_SIDE), k);
    }
    fh_barrier(); /* the last panels have been read */
    fh_nearest_tell(&best, shared, found);
    fh_barrier();
    const int mine = fh_thread();
    if (mine < FH_PAIRS_SIDE && row + mine < n) {
      float distance = FH_INFINITY;
      int label = -1;
      for (int f = 0; f < FH_NEAREST_FINDERS; f++) {
        const float other = shared[fh_nearest_place(f, mine)];
        const int its = found[fh_nearest_place(f, mine)];
        if (other < distance || (other == distance && its >= 0 && its < label)) distance = other, label = its;
      }
      if (label < 0) { /* the distance of centroid 0, which is no finite number */
        label = 0, distance = 0.0f;
        for (long l = 0; l < d; l++) {
          const float apart = fh_add_u(x[(row + mine) * xs1 + l * xs], -c[l * cs]);
          distance = fh_fma_u(apart, apart, distance);
        }
      }
      labels[(row + mine) * ls] = label;
      distances[(row + mine) * ds] = distance;
    }
  }
}

/* ---- few ---- */
#define FH_FEW_THREADS 256
#define FH_FEW_LANES 16
#define FH_FEW_GROUPS (FH_FEW_THREADS / FH_FEW_LANES)
#define FH_FEW_ROWS 2       /* of a group */
#define FH_FEW_CENTROIDS 16 /* at a time */
#define FH_FEW_PANEL 256    /* columns */
#define FH_FEW_AHEAD 4      /* numbers of a row that a thread reads before it needs them */
#define FH_FEW_SUMS (FH_FEW_ROWS * FH_FEW_CENTROIDS)
#define FH_FEW_PITCH (FH_FEW_LANES + 1)
#define FH_FEW_BYTES (FH_FEW_GROUPS * FH_FEW_SUMS * FH_FEW_PITCH * 4) /* more than a panel has */

/* Columns [0, width) of centroids [0, count); what a panel has beyond them is 0, as in x: it adds 0 to sums that are never -0. */
FH_INLINE void fh_few_panel(fh_local float *panel, fh_f32_in c, long cs1, long cs, int count, int width) {
  for (int e = fh_thread(); e < FH_FEW_CENTROIDS * FH_FEW_PANEL; e += FH_FEW_THREADS) {
    const int j = e / FH_FEW_PANEL, i = e % FH_FEW_PANEL;
    panel[e] = j < count && i < width ? c[j * cs1 + i * cs] : 0.0f;
  }
}

FH_INLINE float fh_few_square(float sum, float x, float c) {
  const float apart = fh_add_u(x, -c);
  return fh_add_u(sum, fh_mul_u(apart, apart));
}

/* Adds a panel's columns to the sums of two rows. */
FH_INLINE void fh_few_add(const fh_local float *panel, fh_f32_in x0, fh_f32_in x1, long xs, int width, float sums[FH_FEW_SUMS]) {
  for (int i = fh_thread() % FH_FEW_LANES; i < FH_FEW_PANEL && i / FH_FEW_LANES * FH_FEW_LANES < width; i += FH_FEW_AHEAD * FH_FEW_LANES) {
    float a[FH_FEW_AHEAD], b[FH_FEW_AHEAD];
    FH_UNROLL for (int h = 0; h < FH_FEW_AHEAD; h++) {
      const int column = i + h * FH_FEW_LANES;
      a[h] = column < width ? x0[column * xs] : 0.0f;
      b[h] = column < width ? x1[column * xs] : 0.0f;
    }
    FH_UNROLL for (int h = 0; h < FH_FEW_AHEAD; h++) {
      FH_UNROLL for (int j = 0; j < FH_FEW_CENTROIDS; j++) {
        const float number = panel[j * FH_FEW_PANEL + i + h * FH_FEW_LANES];
        sums[j] = fh_few_square(sums[j], a[h], number);
        sums[FH_FEW_CENTROIDS + j] = fh_few_square(sums[FH_FEW_CENTROIDS + j], b[h], number);
      }
    }
  }
}

/* The tree over lanes. */
FH_INLINE float fh_few_join(const fh_local float *lanes) {
  float v[FH_FEW_LANES];
  FH_UNROLL for (int i = 0; i < 16; i++) v[i] = lanes[i];
  FH_UNROLL for (int i = 0; i < 8; i++) v[i] = fh_add_u(v[i], v[i + 8]);
  FH_UNROLL for (int i = 0; i < 4; i++) v[i] = fh_add_u(v[i], v[i + 4]);
  FH_UNROLL for (int i = 0; i < 2; i++) v[i] = fh_add_u(v[i], v[i + 2]);
  return fh_add_u(v[0], v[1]);
}

/* The sums of all lanes to one: that of (row, centroid) then lies at the first of its lanes. */
FH_INLINE void fh_few_distances(fh_local float *lanes, const float sums[FH_FEW_SUMS]) {
  const int lane = fh_thread() % FH_FEW_LANES;
  fh_barrier(); /* the panel has been read */
  FH_UNROLL for (int j = 0; j < FH_FEW_SUMS; j++) lanes[j * FH_FEW_PITCH + lane] = sums[j];
  fh_barrier();
  FH_UNROLL for (int r = 0; r < FH_FEW_ROWS; r++) {
    fh_local float *const mine = lanes + (r * FH_FEW_CENTROIDS + lane) * FH_FEW_PITCH;
    *mine = fh_few_join(mine);
  }
  fh_barrier();
}

/* Of one row, in the order of centroids. */
typedef struct fh_few_found {
  float distance, first; /* the least; that of centroid 0 */
  long label;            /* -1: none has a finite distance */
} fh_few_found;

FH_INLINE void fh_few_look(fh_few_found *found, const fh_local float *distances, long first, int count) {
  for (int j = 0; j < count; j++) {
    const float distance = distances[j * FH_FEW_PITCH];
    if (first + j == 0) found->first = distance;
    if (distance < found->distance) found->distance = distance, found->label = first + j;
  }
}

/* All centroids for the two rows of each group; what a lane below FH_FEW_ROWS finds is of its own row. */
FH_INLINE void fh_few_find(fh_local uchar *bytes, fh_few_found *found, fh_f32_in x0, fh_f32_in x1, long xs, fh_f32_in c, long cs1, long cs,
                           long d, long k) {
  fh_local float *const panel = (fh_local float *)bytes;
  const int t = fh_thread(), lane = t % FH_FEW_LANES;
  fh_local float *const lanes = panel + t / FH_FEW_LANES * FH_FEW_SUMS * FH_FEW_PITCH;
  for (long first = 0; first < k; first += FH_FEW_CENTROIDS) {
    const int count = (int)fh_least(k - first, FH_FEW_CENTROIDS);
    float sums[FH_FEW_SUMS];
    FH_UNROLL for (int j = 0; j < FH_FEW_SUMS; j++) sums[j] = 0.0f;
    for (long from = 0; from < d; from += FH_FEW_PANEL) {
      const int width = (int)fh_least(d - from, FH_FEW_PANEL);
      fh_barrier(); /* what lies there has been read */
      fh_few_panel(panel, c + first * cs1 + from * cs, cs1, cs, count, width);
      fh_barrier();
      fh_few_add(panel, x0 + from * xs, x1 + from * xs, xs, width, sums);
    }
    fh_few_distances(lanes, sums);
    if (lane < FH_FEW_ROWS) fh_few_look(found, lanes + lane * FH_FEW_CENTROIDS * FH_FEW_PITCH, first, count);
  }
}

FH_INLINE void fh_nearest_few(fh_local uchar *bytes, fh_f32_in x, fh_f32_in c, fh_i32_out labels, fh_f32_out distances, long n, long d,
                              long k, long xs1, long xs, long cs1, long cs, long ls, long ds) {
  const int t = fh_thread(), lane = t % FH_FEW_LANES, group = t / FH_FEW_LANES;
  const long step = fh_blocks(0) * FH_FEW_GROUPS * FH_FEW_ROWS;
  for (long rows = fh_block(0) * FH_FEW_GROUPS * FH_FEW_ROWS; rows < n; rows += step) {
    const long row = rows + group * FH_FEW_ROWS; /* where there is none, another is read, and nothing written */
    const fh_f32_in x0 = x + (row < n ? row : rows) * xs1, x1 = x + (row + 1 < n ? row + 1 : rows) * xs1;
    fh_few_found found = {FH_INFINITY, 0.0f, -1};
    fh_few_find(bytes, &found, x0, x1, xs, c, cs1, cs, d, k);
    if (lane < FH_FEW_ROWS && row + lane < n) {
      labels[(row + lane) * ls] = found.label < 0 ? 0 : (int)found.label;
      distances[(row + lane) * ds] = found.label < 0 ? found.first : found.distance;
    }
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_NEAREST_H_ */
