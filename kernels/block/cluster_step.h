/* The nearest of few centroids for each row, and the sums of rows by them, while the rows are near. SPDX-License-Identifier: Apache-2.0
 *
 * The bits of the text: a distance is 16 chains, one of each lane, and a sum has the order of dialect/clusters.h. A block has a chunk of
 * rows of kmeans_update, 32 of them at a time: 16 threads have two rows, a lane each, and all centroids of a pass. Then the labels are in
 * shared memory, and each thread adds the rows, which come from the first cache or the second, to its columns of the accumulators. So x
 * is read from memory once. Centroids and accumulators stay in shared memory for the whole chunk.
 *
 * Distances are those of block/lane_rows.h, with 32 KiB of a block on their way. For 60000 rows of 784 numbers and 10 centroids the memory
 * of an H100 wants 56 us by its data sheet, 3 operations for each number and centroid 50 us on the 125 multiprocessors that have a chunk,
 * and the accumulators another 10: 70 to 90 us are predicted, where two launches that read x once each want 112 of the memory alone. */
#ifndef FOGHORN_KERNELS_BLOCK_CLUSTER_STEP_H_
#define FOGHORN_KERNELS_BLOCK_CLUSTER_STEP_H_

#ifndef FOGHORN_KERNELS_BLOCK_NEAREST_H_
#include "kernels/block/nearest.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_LANE_ROWS_H_
#include "kernels/block/lane_rows.h"
#endif

#define FH_STEP_THREADS FH_LANE_THREADS /* of kmeans_step.c, as the classes of centroids and these */
#define FH_STEP_TILE FH_LANE_TILE
#define FH_STEP_CENTROIDS FH_LANE_LINES
#define FH_STEP_BATCH 8 /* rows that are fetched together to be added */

/* Centroids of a pass are 4, 8, 10, 12 or 16, those behind the last being zeros. */
FH_INLINE int fh_step_class(int centroids) {
  return centroids <= 4 ? 4 : centroids <= 8 ? 8 : centroids <= 10 ? 10 : centroids <= 12 ? 12 : 16;
}

typedef struct fh_step_room {
  fh_local float *c;          /* [pass][64 columns][centroid][lane][4]: columns lane, lane + 16, lane + 32, lane + 48 */
  fh_local float *sums;       /* [cluster][column], a cluster's on a boundary of 16 bytes */
  fh_local int *labels;       /* of two tiles in turns; -1: there is no row */
  fh_local int *counts;       /* [cluster] */
  int passes, of_pass, slots; /* centroids of a pass, and its class */
  int blocks, width;          /* 64 columns; floats of a cluster's sums */
} fh_step_room;

FH_INLINE fh_step_room fh_step_divide(fh_local uchar *shared, long d, long k) {
  fh_step_room out;
  out.passes = (int)((k + FH_STEP_CENTROIDS - 1) / FH_STEP_CENTROIDS);
  out.of_pass = (int)((k + out.passes - 1) / out.passes);
  out.slots = fh_step_class(out.of_pass);
  out.blocks = (int)((d + FH_LANE_COLUMNS - 1) / FH_LANE_COLUMNS);
  out.width = (int)(d + 3) / 4 * 4;
  out.c = (fh_local float *)shared;
  out.sums = out.c + out.passes * out.slots * out.blocks * FH_LANE_COLUMNS;
  out.labels = (fh_local int *)(out.sums + k * out.width);
  out.counts = out.labels + 2 * FH_STEP_TILE;
  return out;
}

/* Neighbours of a centroid come from neighbouring threads. */
FH_INLINE void fh_step_begin(const fh_step_room *room, fh_f32_in c, long cs1, long cs, long d, long k) {
  const int t = fh_thread(), columns = room->blocks * FH_LANE_COLUMNS;
  for (int at = 0; at < room->passes * room->slots; at++) {
    const int pass = at / room->slots, slot = at % room->slots;
    const long j = (long)pass * room->of_pass + slot;
    fh_local float *const to = room->c + (pass * room->blocks * room->slots + slot) * FH_LANE_COLUMNS;
    for (int i = t; i < columns; i += FH_STEP_THREADS) {
      to[fh_lane_place(room->slots, i)] = slot < room->of_pass && j < k && i < d ? c[j * cs1 + i * cs] : 0.0f;
    }
  }
  for (int i = t; i < k * room->width; i += FH_STEP_THREADS) room->sums[i] = 0.0f;
  for (int j = t; j < k; j += FH_STEP_THREADS) room->counts[j] = 0;
  fh_barrier();
}

/* ---- distances ---- */

/* The tree over lanes: each has the sum. */
FH_INLINE float fh_step_join(float sum) {
  FH_UNROLL for (int other = FH_LANE_COUNT / 2; other > 0; other /= 2) sum = fh_add_u(sum, fh_shuffle_xor(sum, other));
  return sum;
}

FH_INLINE void fh_step_look(int slots, fh_few_found found[2], const float sums[2 * FH_STEP_CENTROIDS], long first, int count) {
  FH_UNROLL for (int r = 0; r < 2; r++) {
    FH_UNROLL for (int j = 0; j < slots; j++) {
      const float distance = fh_step_join(sums[r * FH_STEP_CENTROIDS + j]);
      if (first + j == 0) found[r].first = distance;
      if (j < count && distance < found[r].distance) found[r].distance = distance, found[r].label = first + j;
    }
  }
}

FH_INLINE void fh_step_nearest_of(int slots, const fh_step_room *room, int pass, float ahead[FH_LANE_AHEAD][2][4], fh_f32_in x0,
                                  fh_f32_in x1, long d, long k, fh_few_found found[2]) {
  const long first = (long)pass * room->of_pass;
  float sums[2 * FH_STEP_CENTROIDS];
  fh_lane_pass(FH_LANE_SQUARES, slots, room->c + pass * slots * room->blocks * FH_LANE_COLUMNS, ahead, x0, x1, d, sums);
  fh_step_look(slots, found, sums, first, (int)fh_least(k - first, room->of_pass));
}

FH_INLINE void fh_step_nearest(const fh_step_room *room, int pass, float ahead[FH_LANE_AHEAD][2][4], fh_f32_in x0, fh_f32_in x1, long d,
                               long k, fh_few_found found[2]) {
  if (room->slots == 4) fh_step_nearest_of(4, room, pass, ahead, x0, x1, d, k, found);
  if (room->slots == 8) fh_step_nearest_of(8, room, pass, ahead, x0, x1, d, k, found);
  if (room->slots == 10) fh_step_nearest_of(10, room, pass, ahead, x0, x1, d, k, found);
  if (room->slots == 12) fh_step_nearest_of(12, room, pass, ahead, x0, x1, d, k, found);
  if (room->slots == 16) fh_step_nearest_of(16, room, pass, ahead, x0, x1, d, k, found);
}

/* ---- sums ---- */

/* Four columns of a row, of `left` that are there. */
FH_INLINE fh_f32x4 fh_step_columns(fh_f32_in p, long left, bool whole) {
  fh_f32x4 out = {0.0f, 0.0f, 0.0f, 0.0f};
  if (whole) return fh_fetch4(p);
  out.x = p[0];
  if (left > 1) out.y = p[1];
  if (left > 2) out.z = p[2];
  if (left > 3) out.w = p[3];
  return out;
}

FH_INLINE void fh_step_add(fh_local float *to, fh_f32x4 v) {
  fh_f32x4 sum = fh_load4(to);
  sum.x = fh_add_u(sum.x, v.x), sum.y = fh_add_u(sum.y, v.y), sum.z = fh_add_u(sum.z, v.z), sum.w = fh_add_u(sum.w, v.w);
  *(fh_local fh_f32x4 *)to = sum;
}

/* What a thread adds up: four columns, and 1024 further on again, of the clusters whose number is `first` behind the `mask`. Where rows are
 * narrow, more threads have the same columns, of other clusters: sums of one cluster wait for each other, and so does less. */
typedef struct fh_step_mine {
  int column, first, mask;
} fh_step_mine;

FH_INLINE fh_step_mine fh_step_mine_of(int width) {
  const int t = fh_thread(), threads = width / 4 < FH_STEP_THREADS ? width / 4 : FH_STEP_THREADS;
  fh_step_mine out = {t % threads * 4, t / threads, 0};
  while (threads * 2 * (out.mask + 1) <= FH_STEP_THREADS) out.mask = 2 * out.mask + 1;
  if (out.first > out.mask) out.column = width; /* left over */
  return out;
}

/* The rows of a tile, in order. */
FH_INLINE void fh_step_sum(const fh_step_room *room, const fh_step_mine *mine, const fh_local int *labels, fh_f32_in x, long xs1, int rows,
                           long d, bool whole) {
  for (int column = mine->column; column < d; column += 4 * FH_STEP_THREADS) {
    for (int row = 0; row < rows; row += FH_STEP_BATCH) {
      fh_f32x4 v[FH_STEP_BATCH];
      int label[FH_STEP_BATCH];
      FH_UNROLL for (int i = 0; i < FH_STEP_BATCH; i++) {
        label[i] = labels[row + i];
        if (label[i] < 0 || (label[i] & mine->mask) != mine->first) label[i] = -1;
        if (label[i] >= 0) v[i] = fh_step_columns(x + (row + i) * xs1 + column, d - column, whole);
      }
      FH_UNROLL for (int i = 0; i < FH_STEP_BATCH; i++) {
        if (label[i] >= 0) fh_step_add(room->sums + label[i] * room->width + column, v[i]);
      }
    }
  }
}

/* ---- a chunk ---- */

/* Tells labels and distances of the tile that begins at `row`: two threads for two rows. */
FH_INLINE void fh_step_tell(const fh_step_room *room, fh_local int *of_tile, const fh_few_found found[2], fh_i32_out labels,
                            fh_f32_out distances, long ls, long ds, long row, long last) {
  const int lane = fh_thread() % FH_LANE_COUNT, place = fh_thread() / FH_LANE_COUNT * 2 + lane;
  if (lane >= 2) return;
  const bool there = row + place < last, none = (lane ? found[1].label : found[0].label) < 0;
  const int label = none ? 0 : (int)(lane ? found[1].label : found[0].label);
  const float first = lane ? found[1].first : found[0].first, least = lane ? found[1].distance : found[0].distance;
  of_tile[place] = there ? label : -1;
  if (!there) return;
  fh_count_shared(&room->counts[label], 1);
  labels[(row + place) * ls] = label;
  distances[(row + place) * ds] = none ? first : least;
}

FH_INLINE void fh_step_end(const fh_step_room *room, fh_f32_out partial, fh_i32_out tally, long d, long dp, long k) {
  fh_barrier(); /* all columns */
  partial += fh_block(0) * k * dp;
  tally += fh_block(0) * k;
  for (int j = 0; j < k; j++) {
    for (int i = fh_thread(); i < d; i += FH_STEP_THREADS) partial[j * dp + i] = room->sums[j * room->width + i];
  }
  for (int j = fh_thread(); j < k; j += FH_STEP_THREADS) tally[j] = room->counts[j];
}

FH_INLINE void fh_step_chunk(fh_local uchar *shared, fh_f32_in x, fh_f32_in c, fh_i32_out labels, fh_f32_out distances, fh_f32_out partial,
                             fh_i32_out tally, long n, long d, long dp, long k, long chunk_rows, long xs1, long cs1, long cs, long ls,
                             long ds) {
  const fh_step_room room = fh_step_divide(shared, d, k);
  const bool whole = fh_on_boundary(x, 16) && xs1 % 4 == 0 && d % 4 == 0;
  const long begin = fh_block(0) * chunk_rows, last = fh_least(n, begin + chunk_rows);
  float ahead[FH_LANE_AHEAD][2][4];
  fh_step_begin(&room, c, cs1, cs, d, k);
  fh_lane_fetch_first(ahead, fh_lane_row(x, xs1, begin, 0, last), fh_lane_row(x, xs1, begin, 1, last), d);
  const fh_step_mine mine = fh_step_mine_of(room.width);
  fh_local int *of_tile = room.labels;
  for (long row = begin; row < last; row += FH_STEP_TILE) {
    const fh_f32_in x0 = fh_lane_row(x, xs1, row, 0, last), x1 = fh_lane_row(x, xs1, row, 1, last);
    fh_few_found found[2] = {{FH_INFINITY, 0.0f, -1}, {FH_INFINITY, 0.0f, -1}};
    for (int pass = 0; pass < room.passes; pass++) {
      const long next = pass + 1 < room.passes ? row : row + FH_STEP_TILE;
      fh_step_nearest(&room, pass, ahead, x0, x1, d, k, found);
      if (next < last) fh_lane_fetch_first(ahead, fh_lane_row(x, xs1, next, 0, last), fh_lane_row(x, xs1, next, 1, last), d);
    }
    fh_step_tell(&room, of_tile, found, labels, distances, ls, ds, row, last);
    fh_barrier(); /* one for a tile: the labels of the one before are those of the other half */
    fh_step_sum(&room, &mine, of_tile, x + row * xs1, xs1, (int)fh_least(last - row, FH_STEP_TILE), d, whole);
    of_tile = room.labels + (of_tile == room.labels ? FH_STEP_TILE : 0);
  }
  fh_step_end(&room, partial, tally, d, dp, k);
}

#endif /* FOGHORN_KERNELS_BLOCK_CLUSTER_STEP_H_ */
