/* Attention of few queries: blocks share out the keys, and what each found is merged in a second launch.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A block has up to 8 rows and one piece of the keys, 128 of them at a time: the grid is tiles of rows by pieces. It leaves for each row
 * the largest score of the piece, the sum of weights to that base, and the sum of values so weighted. The merge brings the pieces of a row
 * to one base, in their order. How many pieces there are depends on the device, nothing on which block comes first.
 *
 * Not the text's bits: there the base of a row only rises from key to key. The bound of attention.c holds as it stands. To come from its
 * first base to the last, a weight is multiplied by as many factors as its piece has further tiles of 128 keys, and by one more in the
 * merge: no more than the keys / 64 + 1 that the bound counts. And a sum of n terms in some order is off by at most n - 1 roundings.
 *
 * Each key and value is read once for 8 rows, so the memory is the limit: 8 rows want 4 operations for a byte, of 8 to 20 that a device
 * has. Keys come to shared memory by 16 bytes a thread, 8 threads for 128 bytes of a key and 16 KiB for a barrier; there each thread has a
 * key of its own and needs no sums across threads. Values are read only once, and go from memory to registers. 3 blocks of a
 * multiprocessor have up to 48 KiB on their way. 0.7 to 0.85 of the bandwidth is predicted for pieces of some tiles; what takes as long as
 * a launch, some MiB of keys and values, is limited by the two launches. */
#ifndef FOGHORN_KERNELS_BLOCK_ATTENTION_SPLIT_H_
#define FOGHORN_KERNELS_BLOCK_ATTENTION_SPLIT_H_

#define ATTENTION_SPLIT_THREADS 128
#define ATTENTION_SPLIT_ROWS 8   /* of attention.c */
#define ATTENTION_SPLIT_KEYS 128 /* of attention.c: a tile */
#define ATTENTION_SPLIT_PANEL 32 /* elements */
#define ATTENTION_SPLIT_LANES 16 /* threads of a row's weights */
#define ATTENTION_SPLIT_HEAD 32  /* floats at the beginning of scratch, of attention.c: the first is the number of pieces */

/* Shared memory, in floats. A key's pitch is an odd number of chunks of 16 bytes, so eight threads that read theirs have all banks; two
 * rows of weights lie 16 banks apart. Behind the last tile the sums of values lie where keys were. */
#define ATTENTION_SPLIT_PITCH (ATTENTION_SPLIT_PANEL + 4)
#define ATTENTION_SPLIT_WEIGHTS (ATTENTION_SPLIT_KEYS + 16)
#define ATTENTION_SPLIT_OF_KEYS (ATTENTION_SPLIT_KEYS * ATTENTION_SPLIT_PITCH)
#define ATTENTION_SPLIT_OF_Q (ATTENTION_SPLIT_ROWS * ATTENTION_SPLIT_PANEL)
#define ATTENTION_SPLIT_OF_WEIGHTS (ATTENTION_SPLIT_ROWS * ATTENTION_SPLIT_WEIGHTS)
#define ATTENTION_SPLIT_OF_LANES (ATTENTION_SPLIT_ROWS * ATTENTION_SPLIT_LANES)
#define ATTENTION_SPLIT_BYTES \
  (4 * (ATTENTION_SPLIT_OF_KEYS + ATTENTION_SPLIT_OF_Q + ATTENTION_SPLIT_OF_WEIGHTS + ATTENTION_SPLIT_OF_LANES + 2 * ATTENTION_SPLIT_ROWS))
#define ATTENTION_MERGE_PIECES 64 /* of attention.c */
#define ATTENTION_MERGE_BYTES (4 * 2 * ATTENTION_MERGE_PIECES)

/* What a head's operands are; k and v begin at the tile of keys at hand. */
typedef struct attention_split_operands {
  fh_f32_in k, v;
  long kj, ke, vj, ve, d, dv;
  bool whole_k, whole_v; /* lines may be read by 16 bytes */
} attention_split_operands;

typedef struct attention_split_room {
  fh_local float *keys;    /* [key][element] of a panel */
  fh_local float *q;       /* [row][element] of it */
  fh_local float *weights; /* [row][key] */
  fh_local float *lanes;   /* [row][lane] */
  fh_local float *shrink;  /* of each row: what the sums so far are multiplied by */
  fh_local int *seen;      /* of each row: keys */
} attention_split_room;

FH_INLINE attention_split_room attention_split_divide(fh_local uchar *shared) {
  attention_split_room out;
  out.keys = (fh_local float *)shared;
  out.q = out.keys + ATTENTION_SPLIT_OF_KEYS;
  out.weights = out.q + ATTENTION_SPLIT_OF_Q;
  out.lanes = out.weights + ATTENTION_SPLIT_OF_WEIGHTS;
  out.shrink = out.lanes + ATTENTION_SPLIT_OF_LANES;
  out.seen = (fh_local int *)(out.shrink + ATTENTION_SPLIT_ROWS);
  return out;
}

/* What a thread has: of weights lane t mod 16 of row t / 16, of sums of values four columns of all rows. */
typedef struct attention_split_mine {
  fh_f32_in q; /* of its row, two elements of a panel on */
  float q2[2];
  fh_f32x4 k[8]; /* of the panel on its way */
  float largest, sum;
  float y[ATTENTION_SPLIT_ROWS][4];
} attention_split_mine;

/* May all lines of an operand be read by 16 bytes? */
FH_INLINE bool attention_split_whole(fh_f32_in p, long line, long step, long elements) {
  return step == 1 && line % 4 == 0 && elements % 4 == 0 && fh_on_boundary(p, 16);
}

/* ---- panels of keys and q: what is not there is 0, and not touched ----
 * A thread has 16 bytes of each 16th key, on their way while it works on the panel before. Of operands that lie otherwise the panel comes
 * number by number, when its place is free. */
FH_INLINE void attention_split_fetch(const attention_split_operands *of, long qe, long e, int keys, attention_split_mine *mine) {
  const int t = fh_thread_here(), key = t / 8, two = t % ATTENTION_SPLIT_LANES * 2;
  const long at = e + t % 8 * 4;
  if (of->whole_k) {
    const int lines = at < of->d ? keys - key : 0;
    fh_f32_in k = of->k + key * of->kj + at;
    const fh_f32x4 none = {0.0f, 0.0f, 0.0f, 0.0f};
    FH_UNROLL for (int i = 0; i < 8; i++, k += 16 * of->kj) mine->k[i] = 16 * i < lines ? fh_fetch4(k) : none;
  }
  FH_UNROLL for (int i = 0; i < 2; i++) mine->q2[i] = e + two + i < of->d ? mine->q[(e + two + i) * qe] : 0.0f;
}
FH_INLINE void attention_split_place(const attention_split_room *room, const attention_split_operands *of, long e, int keys,
                                     const attention_split_mine *mine) {
  const int t = fh_thread_here();
  if (of->whole_k) {
    fh_local float *const to = room->keys + t / 8 * ATTENTION_SPLIT_PITCH + t % 8 * 4;
    FH_UNROLL for (int i = 0; i < 8; i++) * (fh_local fh_f32x4 *)(to + 16 * i * ATTENTION_SPLIT_PITCH) = mine->k[i];
  } else {
    const long at = e + t % ATTENTION_SPLIT_PANEL;
    FH_NO_UNROLL for (int key = t / ATTENTION_SPLIT_PANEL; key < ATTENTION_SPLIT_KEYS;
                      key += ATTENTION_SPLIT_THREADS / ATTENTION_SPLIT_PANEL)
        room->keys[key * ATTENTION_SPLIT_PITCH + t % ATTENTION_SPLIT_PANEL] =
        key < keys && at < of->d ? of->k[key * of->kj + at * of->ke] : 0.0f;
  }
  FH_UNROLL for (int i = 0; i < 2; i++) room->q[2 * t + i] = mine->q2[i];
}

/* ---- scores of the thread's key with all rows ---- */
FH_INLINE void attention_split_products(const attention_split_room *room, float s[ATTENTION_SPLIT_ROWS]) {
  const fh_local float *const key = room->keys + fh_thread_here() * ATTENTION_SPLIT_PITCH;
  FH_NO_UNROLL for (int e = 0; e < ATTENTION_SPLIT_PANEL; e += 4) {
    const fh_f32x4 k = fh_load4(key + e);
    FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) {
      const fh_f32x4 q = fh_load4(room->q + r * ATTENTION_SPLIT_PANEL + e);
      s[r] = fh_fma_u(q.w, k.w, fh_fma_u(q.z, k.z, fh_fma_u(q.y, k.y, fh_fma_u(q.x, k.x, s[r]))));
    }
  }
}

/* Of the tile, which begins at key `begin`; those of keys that a row does not see are -infinity. */
FH_INLINE void attention_split_scores(const attention_split_room *room, const attention_split_operands *of, long qe, float scale, int begin,
                                      int keys, attention_split_mine *mine) {
  const int t = fh_thread_here();
  float s[ATTENTION_SPLIT_ROWS];
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) s[r] = 0.0f;
  attention_split_fetch(of, qe, 0, keys, mine);
  for (long e = 0; e < of->d; e += ATTENTION_SPLIT_PANEL) {
    fh_barrier(); /* the panel before, or the weights, have been read */
    attention_split_place(room, of, e, keys, mine);
    fh_barrier();
    if (e + ATTENTION_SPLIT_PANEL < of->d) attention_split_fetch(of, qe, e + ATTENTION_SPLIT_PANEL, keys, mine);
    attention_split_products(room, s);
  }
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) room->weights[r * ATTENTION_SPLIT_WEIGHTS + t] =
      t < keys && begin + t < room->seen[r] ? fh_mul_u(s[r], scale) : -FH_INFINITY;
  fh_barrier();
}

/* ---- weights: a NaN is in no base, but its weight is one ---- */
FH_INLINE void attention_split_weigh(const attention_split_room *room, attention_split_mine *mine) {
  const int t = fh_thread_here(), row = t / ATTENTION_SPLIT_LANES, lane = t % ATTENTION_SPLIT_LANES;
  fh_local float *const weights = room->weights + row * ATTENTION_SPLIT_WEIGHTS + lane, *const lanes =
                                                                                            room->lanes + row * ATTENTION_SPLIT_LANES;
  float s[8], now = mine->largest;
  FH_UNROLL for (int i = 0; i < 8; i++) now = fh_max(s[i] = weights[i * ATTENTION_SPLIT_LANES], now);
  lanes[lane] = now;
  fh_barrier();
  FH_UNROLL for (int l = 0; l < ATTENTION_SPLIT_LANES; l++) now = fh_max(lanes[l], now);
  const float base = now == -FH_INFINITY ? 0.0f : now, shrink = fh_exp_negative(fh_sub(mine->largest, base));
  float sum = 0.0f;
  FH_UNROLL for (int i = 0; i < 8; i++) sum = fh_add_u(sum, weights[i * ATTENTION_SPLIT_LANES] = fh_exp_negative(fh_sub(s[i], base)));
  mine->sum = fh_fma_u(mine->sum, shrink, sum);
  mine->largest = now;
  if (lane == 0) room->shrink[row] = shrink;
  fh_barrier();
}

/* ---- weighted values: threads that have the same columns take four keys in turns ---- */

/* Columns that are there, `left` of them. */
FH_INLINE fh_f32x4 attention_split_value(fh_f32_in p, const attention_split_operands *of, int left) {
  fh_f32x4 out = {0.0f, 0.0f, 0.0f, 0.0f};
  if (of->whole_v) return fh_fetch4(p);
  out.x = p[0];
  if (left > 1) out.y = p[of->ve];
  if (left > 2) out.z = p[2 * of->ve];
  if (left > 3) out.w = p[3 * of->ve];
  return out;
}

FH_INLINE void attention_split_add(float y[4], float w, fh_f32x4 v) {
  y[0] = fh_fma_u(w, v.x, y[0]), y[1] = fh_fma_u(w, v.y, y[1]);
  y[2] = fh_fma_u(w, v.z, y[2]), y[3] = fh_fma_u(w, v.w, y[3]);
}

/* Four keys that all rows see, of lines that may be read by 16 bytes. */
FH_INLINE void attention_split_keys4(const fh_local float *weights, fh_f32_in p, long vj, attention_split_mine *mine) {
  fh_f32x4 v[4];
  FH_UNROLL for (int i = 0; i < 4; i++, p += vj) v[i] = fh_fetch4(p);
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) {
    const fh_f32x4 w = fh_load4(weights + r * ATTENTION_SPLIT_WEIGHTS);
    attention_split_add(mine->y[r], w.x, v[0]);
    attention_split_add(mine->y[r], w.y, v[1]);
    attention_split_add(mine->y[r], w.z, v[2]);
    attention_split_add(mine->y[r], w.w, v[3]);
  }
}

/* A key that some rows do not see leaves theirs as they are. Adding 0 times its value would not do, which may be a NaN. */
FH_INLINE void attention_split_key_of_some(const attention_split_room *room, const fh_local float *weights, fh_f32x4 v, int key,
                                           attention_split_mine *mine) {
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) {
    if (key < room->seen[r]) attention_split_add(mine->y[r], weights[r * ATTENTION_SPLIT_WEIGHTS], v);
  }
}

/* Up to key `least` of the tile each row sees all; some see `keys`. */
FH_INLINE void attention_split_values(int columns, const attention_split_room *room, const attention_split_operands *of, int begin,
                                      int keys, int least, attention_split_mine *mine) {
  const int t = fh_thread_here(), column = t % (columns / 4) * 4, left = (int)of->dv - column,
            step = 16 * ATTENTION_SPLIT_THREADS / columns;
  int j = t / (columns / 4) * 4;
  fh_f32_in p = of->v + j * of->vj + column * of->ve;
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) {
    FH_UNROLL for (int i = 0; i < 4; i++) mine->y[r][i] = fh_mul_u(mine->y[r][i], room->shrink[r]);
  }
  if (left <= 0) return;
  FH_NO_UNROLL for (; of->whole_v && j + 4 <= least; j += step, p += step * of->vj)
      attention_split_keys4(room->weights + j, p, of->vj, mine);
  for (; j < keys; j += step, p += step * of->vj) {
    FH_NO_UNROLL for (int i = 0; i < 4 && j + i < keys; i++)
        attention_split_key_of_some(room, room->weights + j + i, attention_split_value(p + i * of->vj, of, left), begin + j + i, mine);
  }
}

/* ---- scratch: behind its head the largest scores and the sums of weights, then sums of values, of row r of tile i and piece p at
 * (8 i + r) pieces + p; what a row has in `width` floats begins on a boundary of 16 bytes ---- */
FH_INLINE long attention_split_width(long dv) { return (dv + 3) / 4 * 4; }
FH_INLINE long attention_split_slot(long tile, int row, long pieces, long piece) {
  return (tile * ATTENTION_SPLIT_ROWS + row) * pieces + piece;
}

FH_INLINE void attention_split_store(int columns, const attention_split_room *room, int rows, long index, long tiles, long dv,
                                     fh_f32_out scratch, const attention_split_mine *mine) {
  const int t = fh_thread(), row = t / ATTENTION_SPLIT_LANES, group = t / (columns / 4), column = t % (columns / 4) * 4;
  const long pieces = fh_blocks(1), width = attention_split_width(dv), slots = tiles * ATTENTION_SPLIT_ROWS * pieces;
  const fh_f32_out largest = scratch + ATTENTION_SPLIT_HEAD, sums = largest + slots, values = sums + slots;
  fh_barrier(); /* the last keys and weights have been read */
  room->lanes[t] = mine->sum;
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) {
    fh_f32x4 four;
    four.x = mine->y[r][0], four.y = mine->y[r][1], four.z = mine->y[r][2], four.w = mine->y[r][3];
    *(fh_local fh_f32x4 *)(room->keys + (group * ATTENTION_SPLIT_ROWS + r) * columns + column) = four;
  }
  fh_barrier();
  if (t % ATTENTION_SPLIT_LANES == 0 && row < rows) {
    const long slot = attention_split_slot(index, row, pieces, fh_block(1));
    float sum = 0.0f;
    FH_UNROLL for (int l = 0; l < ATTENTION_SPLIT_LANES; l++) sum = fh_add_u(sum, room->lanes[row * ATTENTION_SPLIT_LANES + l]);
    largest[slot] = mine->largest;
    sums[slot] = sum;
  }
  for (int e = t; e < rows * (columns / 4); e += ATTENTION_SPLIT_THREADS) {
    const int r = e / (columns / 4), at = e % (columns / 4) * 4;
    const fh_local float *const from = room->keys + r * columns + at;
    fh_f32x4 sum = fh_load4(from);
    FH_UNROLL for (int g = 1; g < ATTENTION_SPLIT_THREADS * 4 / columns; g++) {
      const fh_f32x4 more = fh_load4(from + g * ATTENTION_SPLIT_ROWS * columns);
      sum.x = fh_add_u(sum.x, more.x), sum.y = fh_add_u(sum.y, more.y), sum.z = fh_add_u(sum.z, more.z), sum.w = fh_add_u(sum.w, more.w);
    }
    if (at < width) fh_store4(values + attention_split_slot(index, r, pieces, fh_block(1)) * width + at, sum);
  }
  if (fh_block(0) == 0 && fh_block(1) == 0 && t == 0) ((fh_i32_out)scratch)[0] = (int)pieces;
}

/* ---- the piece of a block ---- */
FH_INLINE long attention_fewer(long a, long b) { return a < b ? a : b; }

FH_INLINE void attention_split_begin(const attention_split_room *room, const attention_tile *tile, fh_f32_in q, long qh, long qi,
                                     long queries, long keys, long causal, attention_split_mine *mine) {
  const int t = fh_thread(), row = t / ATTENTION_SPLIT_LANES;
  const long at = tile->first + (row < tile->rows ? row : tile->rows - 1); /* a row that is not there is the last */
  mine->q = q + at / queries * qh + at % queries * qi;
  mine->largest = -FH_INFINITY;
  mine->sum = 0.0f;
  FH_UNROLL for (int r = 0; r < ATTENTION_SPLIT_ROWS; r++) { FH_UNROLL for (int i = 0; i < 4; i++) mine->y[r][i] = 0.0f; }
  if (t % ATTENTION_SPLIT_LANES == 0) room->seen[row] = row < tile->rows ? (int)attention_seen(at % queries, queries, keys, causal) : 0;
}

/* Tiles of keys are dealt out to the pieces as evenly as they go, each piece its own in a row. */
FH_INLINE void attention_split_piece(int columns, fh_local uchar *shared, const attention_tile *tile, const attention_split_operands *head,
                                     fh_f32_in q, long qh, long qi, long qe, long queries, long keys, long causal, float scale, long index,
                                     fh_f32_out scratch) {
  const attention_split_room room = attention_split_divide(shared);
  const long of_keys = (tile->most + ATTENTION_SPLIT_KEYS - 1L) / ATTENTION_SPLIT_KEYS, pieces = fh_blocks(1), piece = fh_block(1);
  const int last = (int)attention_fewer(of_keys * (piece + 1) / pieces * ATTENTION_SPLIT_KEYS, tile->most);
  attention_split_operands of = *head;
  of.whole_k = attention_split_whole(head->k, head->kj, head->ke, head->d);
  of.whole_v = attention_split_whole(head->v, head->vj, head->ve, head->dv);
  attention_split_mine mine;
  attention_split_begin(&room, tile, q, qh, qi, queries, keys, causal, &mine);
  for (int begin = (int)(of_keys * piece / pieces) * ATTENTION_SPLIT_KEYS; begin < last; begin += ATTENTION_SPLIT_KEYS) {
    const int some = (int)attention_fewer(last - begin, ATTENTION_SPLIT_KEYS), least = (int)attention_fewer(tile->least - begin, some);
    of.k = head->k + begin * head->kj;
    of.v = head->v + begin * head->vj;
    attention_split_scores(&room, &of, qe, scale, begin, some, &mine);
    attention_split_weigh(&room, &mine);
    attention_split_values(columns, &room, &of, begin, some, least, &mine);
  }
  attention_split_store(columns, &room, tile->rows, index, fh_blocks(0), head->dv, scratch, &mine);
}

/* ---- the merge of row `row` of the `all` of head `head` of all batches, which are `heads` ----
 * The factors of the pieces come from a thread each. */
FH_INLINE void attention_merge_row(fh_local float *shared, fh_f32_in scratch, long heads, long head, long all, long row, bool none, long dv,
                                   fh_f32_out y, long ye) {
  const int t = fh_thread();
  const long tiles = (all + ATTENTION_SPLIT_ROWS - 1) / ATTENTION_SPLIT_ROWS, width = attention_split_width(dv);
  const long pieces = ((fh_i32_in)scratch)[0], slots = heads * tiles * ATTENTION_SPLIT_ROWS * pieces;
  const long tile = head * tiles + tiles - 1 - row / ATTENTION_SPLIT_ROWS;
  const long slot = attention_split_slot(tile, (int)(row % ATTENTION_SPLIT_ROWS), pieces, 0);
  const fh_f32_in largest = scratch + ATTENTION_SPLIT_HEAD + slot, sums = largest + slots;
  const fh_f32_in values = scratch + ATTENTION_SPLIT_HEAD + 2 * slots + slot * width;
  fh_local float *const of_pieces = shared, *const factors = shared + ATTENTION_MERGE_PIECES;
  if (t < pieces) of_pieces[t] = largest[t];
  fh_barrier();
  float most = -FH_INFINITY, total = 0.0f;
  for (int p = 0; p < pieces; p++) most = fh_max(of_pieces[p], most);
  if (t < pieces) factors[t] = fh_exp_negative(fh_sub(of_pieces[t], most == -FH_INFINITY ? 0.0f : most));
  fh_barrier();
  for (int p = 0; p < pieces; p++) total = fh_fma_u(sums[p], factors[p], total);
  if (none) total = 1.0f;
  for (long c = t; c < dv; c += ATTENTION_SPLIT_THREADS) {
    float sum = 0.0f;
    for (int p = 0; p < pieces; p++) sum = fh_fma_u(values[p * width + c], factors[p], sum);
    y[c * ye] = fh_div_u(sum, total);
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_ATTENTION_SPLIT_H_ */
