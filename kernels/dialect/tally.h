/* Counting into tables: what the texts of bincount and histogram share. SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of the data has `tables` tables of k counts for itself: no atomics between items, and no data makes one item wait for another.
 * Lane l counts in table l mod `tables`: with four, an index that repeats is a chain of a quarter of the length. */
#ifndef FOGHORN_KERNELS_DIALECT_TALLY_H_
#define FOGHORN_KERNELS_DIALECT_TALLY_H_

FH_INLINE void fh_tally_clear(fh_i32_out table, long count) {
  long i = 0;
  for (; i + 16 <= count; i += 16) fh_store_i32(table, i, 1, fh_splat_i(0));
  if (i < count) fh_store_i32_part(table, i, count, 1, fh_splat_i(0));
  fh_lanes_meet();
}

/* Item: 16 of the k counts, over all `tables` tables of all chunks. */
FH_INLINE void fh_tally_combine(fh_i32_in table, long tables, long k, long block, fh_i32_out counts, long cs) {
  const long i = 16 * block;
  fh_vi sum = fh_splat_i(0);
  for (long t = 0; t < tables; t++)
    sum = fh_add_i(sum, i + 16 <= k ? fh_load_i32(table + t * k, i, 1) : fh_load_i32_part(table + t * k, i, k, 1, 0));
  fh_store_i32_part(counts, i, k, cs, sum);
}

#endif /* FOGHORN_KERNELS_DIALECT_TALLY_H_ */
