/* The k best of many, by blocks of threads: entries, their order, lists in the registers of a warp. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_BLOCK_TOPK_LISTS_H_
#define FOGHORN_KERNELS_BLOCK_TOPK_LISTS_H_

#define TOPK_THREADS 256
#define TOPK_WARPS (TOPK_THREADS / 32)
#define TOPK_ENTRIES 4096     /* that a block sorts, at most; of topk.c */
#define TOPK_SLOTS 4          /* entries of a list that a thread of a warp has: 128 in all */
#define TOPK_NONE 0x80000000u /* and above: an entry without a row, behind all of its key that have one */

/* ---- entries and their order ---- */
typedef struct topk_entry {
  float key;
  uint row;
} topk_entry;

FH_INLINE bool topk_before(topk_entry a, topk_entry b) { return a.key < b.key || (a.key == b.key && a.row < b.row); }

/* Sorts `count` entries in shared memory, a power of two, by all threads of the block (Batcher's bitonic network). */
FH_INLINE void topk_sort(fh_local float *keys, fh_local int *rows, int count) {
  for (int size = 2; size <= count; size *= 2) {
    for (int hop = size / 2; hop > 0; hop /= 2) {
      fh_barrier();
      for (int pair = fh_thread(); pair < count / 2; pair += TOPK_THREADS) {
        const int i = 2 * pair - (pair & (hop - 1)), j = i + hop;
        const topk_entry a = {keys[i], (uint)rows[i]}, b = {keys[j], (uint)rows[j]};
        if (topk_before(b, a) == ((i & size) == 0)) {
          keys[i] = b.key, rows[i] = (int)b.row;
          keys[j] = a.key, rows[j] = (int)a.row;
        }
      }
    }
  }
  fh_barrier();
}

/* Entries of some lists to shared memory, in order. */
FH_INLINE void topk_gather(fh_local float *keys, fh_local int *rows, fh_f32_in from_keys, fh_i32_in from_rows, int count) {
  int all = 1;
  while (all < count) all *= 2;
  for (int i = fh_thread(); i < all; i += TOPK_THREADS) {
    keys[i] = i < count ? from_keys[i] : FH_INFINITY;
    rows[i] = i < count ? from_rows[i] : (int)TOPK_NONE;
  }
  topk_sort(keys, rows, all);
}

/* The first k of them are the result of a query. */
FH_INLINE void topk_tell(const fh_local float *keys, const fh_local int *rows, fh_f32_out values, fh_i32_out indexes, long k, long sign,
                         long vs, long is) {
  for (int i = fh_thread(); i < k; i += TOPK_THREADS) {
    values[i * vs] = sign > 0 ? keys[i] : -keys[i];
    indexes[i * is] = (uint)rows[i] < TOPK_NONE ? rows[i] : -1;
  }
}

FH_INLINE bool topk_is_near(float key) { return key < FH_INFINITY; } /* not a NaN either */

/* ---- the list of a query and chunk: a thread has every 32nd entry, in registers while rows are put in ---- */
typedef struct topk_list {
  topk_entry of[TOPK_SLOTS];
  topk_entry worst; /* of all */
} topk_list;

FH_INLINE void topk_find_worst(topk_list *list) {
  topk_entry worst = list->of[0];
  FH_UNROLL for (int s = 1; s < TOPK_SLOTS; s++) {
    if (topk_before(worst, list->of[s])) worst = list->of[s];
  }
  for (int other = 16; other > 0; other /= 2) {
    const topk_entry its = {fh_shuffle_xor(worst.key, other), (uint)fh_shuffle_xor_i((int)worst.row, other)};
    if (topk_before(worst, its)) worst = its;
  }
  list->worst = worst;
}

FH_INLINE void topk_load(topk_list *list, fh_f32_in keys, fh_i32_in rows, long k) {
  FH_UNROLL for (int s = 0; s < TOPK_SLOTS; s++) {
    const int at = fh_thread() % 32 + 32 * s;
    list->of[s].key = at < k ? keys[at] : -FH_INFINITY; /* never the worst */
    list->of[s].row = at < k ? (uint)rows[at] : 0;
  }
  topk_find_worst(list);
}
FH_INLINE void topk_save(const topk_list *list, fh_f32_out keys, fh_i32_out rows, long k) {
  FH_UNROLL for (int s = 0; s < TOPK_SLOTS; s++) {
    const int at = fh_thread() % 32 + 32 * s;
    if (at < k) keys[at] = list->of[s].key, rows[at] = (int)list->of[s].row;
  }
}
FH_INLINE void topk_put(topk_list *list, topk_entry entry) {
  if (!topk_is_near(entry.key) || !topk_before(entry, list->worst)) return;
  FH_UNROLL for (int s = 0; s < TOPK_SLOTS; s++) {
    if (list->of[s].key == list->worst.key && list->of[s].row == list->worst.row) list->of[s] = entry;
  }
  topk_find_worst(list);
}

#endif /* FOGHORN_KERNELS_BLOCK_TOPK_LISTS_H_ */
