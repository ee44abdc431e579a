/* Sums and counts of rows by their label: the order of additions is that of dialect/clusters.h. SPDX-License-Identifier: Apache-2.0
 *
 * The text adds the rows of a chunk in order to accumulators of the chunk's own, and then the chunks in order: it fixes what is added to
 * what for each (chunk, cluster, column), and these are independent. A block has a chunk, a band of columns and a group of clusters, whose
 * accumulators lie in shared memory, a thread to a column: no other thread looks at them. It reads the chunk's labels, makes a list of the
 * rows of its clusters, in order, and then the rows of the list, 16 at a time, before it adds them. So a row is read once, whole lines, and
 * neither many clusters nor a skew of labels costs more than another look at the labels.
 *
 * Grid: chunks, bands, groups. 4 bytes a number of x; a thread has 64 of them on their way, and 128 threads with 48 KiB of shared memory
 * fit a multiprocessor three or four times: 24 to 32 KiB, enough for the bandwidth of memory. */
#ifndef FOGHORN_KERNELS_BLOCK_CLUSTER_SUMS_H_
#define FOGHORN_KERNELS_BLOCK_CLUSTER_SUMS_H_

/* kernels/cluster_blocks.h has the first four, too. */
#define FH_CLUSTER_THREADS 128
#define FH_CLUSTER_SUMS 9216 /* accumulators of a block */
#define FH_CLUSTER_MOST 288  /* clusters of a group */
#define FH_CLUSTER_ALIGN 8   /* columns of a band are a multiple */
#define FH_CLUSTER_LOOK 8    /* labels that a thread looks at together */
#define FH_CLUSTER_STAGE (FH_CLUSTER_LOOK * FH_CLUSTER_THREADS)
#define FH_CLUSTER_AHEAD 16
#define FH_CLUSTER_GATHER 16 /* threads whose rows are counted together */
#define FH_CLUSTER_GATHERED (FH_CLUSTER_THREADS / FH_CLUSTER_GATHER)
#define FH_CLUSTER_BYTES ((FH_CLUSTER_SUMS + 2 * FH_CLUSTER_STAGE + FH_CLUSTER_MOST + FH_CLUSTER_THREADS + FH_CLUSTER_GATHERED) * 4)

typedef struct fh_cluster_shared {
  fh_local float *sums;                 /* [cluster of the group][column of the band] */
  fh_local int *rows, *clusters;        /* the list: row behind the first of the stage, cluster of the group */
  fh_local int *counts;                 /* [cluster of the group] */
  fh_local int *found, *found_together; /* rows in the list of each thread, and of 16 threads */
} fh_cluster_shared;

FH_INLINE fh_cluster_shared fh_cluster_places(fh_local uchar *shared) {
  fh_cluster_shared out;
  out.sums = (fh_local float *)shared;
  out.rows = (fh_local int *)(out.sums + FH_CLUSTER_SUMS);
  out.clusters = out.rows + FH_CLUSTER_STAGE;
  out.counts = out.clusters + FH_CLUSTER_STAGE;
  out.found = out.counts + FH_CLUSTER_MOST;
  out.found_together = out.found + FH_CLUSTER_THREADS;
  return out;
}

/* Which of `rows` labels are of the clusters [low, low + group)? All threads together; gives how many, and counts them by cluster. */
FH_INLINE int fh_cluster_list(const fh_cluster_shared *s, fh_i32_in labels, long ls, int rows, long low, int group) {
  const int t = fh_thread(), together = t / FH_CLUSTER_GATHER;
  int cluster[FH_CLUSTER_LOOK], mine = 0;
  FH_UNROLL for (int e = 0; e < FH_CLUSTER_LOOK; e++) {
    const int row = FH_CLUSTER_LOOK * t + e;
    const long place = row < rows ? labels[row * ls] - low : -1;
    cluster[e] = place >= 0 && place < group ? (int)place : -1;
    mine += cluster[e] >= 0;
  }
  s->found[t] = mine;
  fh_barrier();
  if (t < FH_CLUSTER_GATHERED) {
    int sum = 0;
    for (int i = 0; i < FH_CLUSTER_GATHER; i++) sum += s->found[FH_CLUSTER_GATHER * t + i];
    s->found_together[t] = sum;
  }
  fh_barrier();
  int at = 0, all = 0;
  for (int i = 0; i < FH_CLUSTER_GATHERED; i++) {
    if (i < together) at += s->found_together[i];
    all += s->found_together[i];
  }
  for (int i = FH_CLUSTER_GATHER * together; i < t; i++) at += s->found[i];
  FH_UNROLL for (int e = 0; e < FH_CLUSTER_LOOK; e++) {
    if (cluster[e] >= 0) {
      s->rows[at] = FH_CLUSTER_LOOK * t + e;
      s->clusters[at] = cluster[e];
      fh_count_shared(&s->counts[cluster[e]], 1);
      at++;
    }
  }
  fh_barrier();
  return all;
}

/* Adds the rows of the list, in order, to this thread's column. */
FH_INLINE void fh_cluster_add_list(const fh_cluster_shared *s, int count, fh_f32_in x, long xs1, int width) {
  const int t = fh_thread();
  for (int i = 0; i < count; i += FH_CLUSTER_AHEAD) {
    float v[FH_CLUSTER_AHEAD];
    FH_UNROLL for (int a = 0; a < FH_CLUSTER_AHEAD; a++) v[a] = i + a < count ? x[s->rows[i + a] * xs1] : 0.0f;
    FH_UNROLL for (int a = 0; a < FH_CLUSTER_AHEAD; a++) {
      if (i + a < count) {
        fh_local float *const sum = s->sums + s->clusters[i + a] * width + t;
        *sum = fh_add_u(*sum, v[a]);
      }
    }
  }
}

/* Columns of a band. */
FH_INLINE int fh_cluster_width(long d) {
  return (int)((d + fh_blocks(1) - 1) / fh_blocks(1) + FH_CLUSTER_ALIGN - 1) / FH_CLUSTER_ALIGN * FH_CLUSTER_ALIGN;
}

FH_INLINE void fh_cluster_sums(fh_local uchar *shared, fh_f32_in x, fh_i32_in labels, fh_f32_out partial, fh_i32_out tally, long n, long d,
                               long dp, long k, long chunk_rows, long xs1, long xs, long ls) {
  const fh_cluster_shared s = fh_cluster_places(shared);
  const int t = fh_thread(), group = (int)((k + fh_blocks(2) - 1) / fh_blocks(2));
  const int width = fh_cluster_width(d);
  const long chunk = fh_block(0), low = fh_block(2) * group, column = fh_block(1) * width + t;
  const long first = chunk * chunk_rows, last = n - first < chunk_rows ? n : first + chunk_rows;
  const bool mine = t < width && column < d;
  for (int i = t; i < group * width; i += FH_CLUSTER_THREADS) s.sums[i] = 0.0f;
  for (int j = t; j < group; j += FH_CLUSTER_THREADS) s.counts[j] = 0;
  fh_barrier();
  for (long row = first; row < last; row += FH_CLUSTER_STAGE) {
    const int rows = last - row < FH_CLUSTER_STAGE ? (int)(last - row) : FH_CLUSTER_STAGE;
    const int count = fh_cluster_list(&s, labels + row * ls, ls, rows, low, group);
    if (mine) fh_cluster_add_list(&s, count, x + row * xs1 + column * xs, xs1, width);
    fh_barrier(); /* before the next list */
  }
  const long there = k - low < group ? k - low : group; /* clusters; 0 or less where the groups before have them all */
  for (long j = 0; j < there && mine; j++) partial[(chunk * k + low + j) * dp + column] = s.sums[j * width + t];
  if (fh_block(1) > 0) return;
  for (long j = t; j < there; j += FH_CLUSTER_THREADS) tally[chunk * k + low + j] = s.counts[j];
}

/* ---- over the chunks: a thread to a sum, and one to a count ---- */
#define FH_COMBINE_THREADS 256
#define FH_COMBINE_AHEAD 16

FH_INLINE float fh_combine_sum(fh_f32_in from, long step, long chunks) {
  float sum = 0.0f;
  for (long chunk = 0; chunk < chunks; chunk += FH_COMBINE_AHEAD) {
    float v[FH_COMBINE_AHEAD];
    const int left = chunks - chunk < FH_COMBINE_AHEAD ? (int)(chunks - chunk) : FH_COMBINE_AHEAD;
    FH_UNROLL for (int a = 0; a < FH_COMBINE_AHEAD; a++) v[a] = a < left ? from[a * step] : 0.0f;
    FH_UNROLL for (int a = 0; a < FH_COMBINE_AHEAD; a++) {
      if (a < left) sum = fh_add_u(sum, v[a]);
    }
    from += FH_COMBINE_AHEAD * step;
  }
  return sum;
}

FH_INLINE int fh_combine_count(fh_i32_in from, long step, long chunks) {
  int sum = 0;
  for (long chunk = 0; chunk < chunks; chunk += FH_COMBINE_AHEAD) {
    const int left = chunks - chunk < FH_COMBINE_AHEAD ? (int)(chunks - chunk) : FH_COMBINE_AHEAD;
    FH_UNROLL for (int a = 0; a < FH_COMBINE_AHEAD; a++) sum += a < left ? from[a * step] : 0;
    from += FH_COMBINE_AHEAD * step;
  }
  return sum;
}

FH_INLINE void fh_cluster_combine(fh_f32_in partial, fh_i32_in tally, fh_f32_out sums, fh_i32_out counts, long d, long dp, long k,
                                  long chunks, long ss1, long ss, long cs) {
  const long all = fh_blocks(0) * FH_COMBINE_THREADS;
  for (long e = fh_block(0) * FH_COMBINE_THREADS + fh_thread(); e < k * d + k; e += all) {
    if (e < k * d) {
      const long j = e / d, i = e - j * d;
      sums[j * ss1 + i * ss] = fh_combine_sum(partial + j * dp + i, k * dp, chunks);
    } else {
      const long j = e - k * d;
      counts[j * cs] = fh_combine_count(tally + j, k, chunks);
    }
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_CLUSTER_SUMS_H_ */
