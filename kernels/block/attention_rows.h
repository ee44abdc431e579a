/* Attention by blocks of threads: which rows a block has, and which keys they see. SPDX-License-Identifier: Apache-2.0
 *
 * Heads are those of k; the rows of one are the queries of its group of heads of q, one head behind the other. */
#ifndef FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_
#define FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_

// clang-format off
#define ATTENTION_PARAMS(P) \
  P(IN, q) P(IN, k) P(IN, v) P(OUT, y) P(OUT, unused) P(I64, heads) P(I64, group) P(I64, queries) P(I64, keys) P(I64, d) P(I64, dv) \
  P(I64, blocks) P(I64, causal) P(I64, qb) P(I64, qh) P(I64, qi) P(I64, qe) P(I64, kb) P(I64, kh) P(I64, kj) P(I64, ke) P(I64, vb) \
  P(I64, vh) P(I64, vj) P(I64, ve) P(I64, yb) P(I64, yh) P(I64, yi) P(I64, ye) P(F32, scale)
// clang-format on

/* Keys of [0, keys) that query i sees: with `causal` the last query sees all. */
FH_INLINE long attention_seen(long i, long queries, long keys, long causal) {
  const long n = causal ? i + 1 + keys - queries : keys;
  return n < 0 ? 0 : n;
}

typedef struct attention_tile {
  long batch, head, first; /* row */
  int rows;
  int most, least; /* keys that a row sees */
} attention_tile;

/* Tile `index` of all heads' rows, `of_tile` rows each, `all` of a head. Of a head the tiles whose queries see the most come first. */
FH_INLINE attention_tile attention_find(long index, int of_tile, long heads, long all, long queries, long keys, long causal) {
  const long tiles = (all + of_tile - 1) / of_tile;
  attention_tile out;
  out.batch = index / tiles / heads;
  out.head = index / tiles % heads;
  out.first = (tiles - 1 - index % tiles) * of_tile;
  out.rows = (int)(out.first + of_tile < all ? of_tile : all - out.first);
  const long last = out.first + out.rows - 1;
  const bool crosses = out.first / queries != last / queries;
  out.most = (int)attention_seen(crosses ? queries - 1 : last % queries, queries, keys, causal);
  out.least = (int)attention_seen(crosses ? 0 : out.first % queries, queries, keys, causal);
  return out;
}

/* Four columns of a row, of `left` that are there. */
FH_INLINE void attention_store4(fh_f32_out to, long ye, int left, fh_f32x4 four) {
  if (ye == 1 && left >= 4 && fh_on_boundary(to, 16)) {
    fh_store4(to, four);
  } else {
    if (left > 0) to[0] = four.x;
    if (left > 1) to[ye] = four.y;
    if (left > 2) to[2 * ye] = four.z;
    if (left > 3) to[3 * ye] = four.w;
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_ */
