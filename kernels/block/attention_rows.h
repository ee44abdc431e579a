/* Attention by blocks of threads: which rows a block has, and which keys they see. SPDX-License-Identifier: Apache-2.0
 *
 * Heads are those of k; the rows of one are the queries of its group of heads of q, one head behind the other. */
#ifndef FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_
#define FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_

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

#endif /* FOGHORN_KERNELS_BLOCK_ATTENTION_ROWS_H_ */
