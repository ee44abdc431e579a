/* Counting in tables that the threads of a block share: the texts of bincount and histogram. SPDX-License-Identifier: Apache-2.0
 *
 * A block counts a range of up to FH_TALLY_TABLE places, in as many copies of its table as fit, a power of two up to 32. Thread t counts in
 * copy t mod copies, and the copies of a place lie side by side: with 32 of them, up to 256 places, every lane of a warp has a bank of its
 * own whatever the data; with fewer, equal values that follow one another in a thread are counted together first. What a block has found
 * it adds to the counts. More places than a table has are several ranges, and each reads all values.
 * The sums are of integers: the order does not matter.
 *
 * Grid: blocks over the values, ranges. 4 bytes a value, of which a thread asks for 64 before it waits. The limit is the memory's
 * bandwidth for one range; for more, that of the second cache. */
#ifndef FOGHORN_KERNELS_BLOCK_TALLY_H_
#define FOGHORN_KERNELS_BLOCK_TALLY_H_

/* kernels/tally.h has the first two, too. */
#define FH_TALLY_THREADS 256
#define FH_TALLY_TABLE 8192
#define FH_TALLY_COPIES 32
#define FH_TALLY_BYTES (FH_TALLY_TABLE * 4)
#define FH_TALLY_AHEAD 4 /* loads of four values each */

typedef struct fh_tally_range {
  fh_local int *table;
  long low;   /* the first place */
  int places; /* of the range */
  int copies, copy;
  long run_of; /* the place that the last values were in, and how many they were */
  int run;
} fh_tally_range;

FH_INLINE fh_tally_range fh_tally_begin(fh_local uchar *shared, long k) {
  const long places = (k + fh_blocks(1) - 1) / fh_blocks(1);
  fh_tally_range out;
  out.table = (fh_local int *)shared;
  out.low = fh_block(1) * places;
  out.places = (int)(k - out.low < places ? k - out.low : places);
  if (out.places < 0) out.places = 0;
  out.copies = FH_TALLY_COPIES;
  while (out.copies > 1 && out.copies * places > FH_TALLY_TABLE) out.copies /= 2;
  out.copy = fh_thread() & (out.copies - 1);
  out.run_of = -1;
  out.run = 0;
  for (int i = fh_thread(); i < out.places * out.copies; i += FH_TALLY_THREADS) out.table[i] = 0;
  fh_barrier();
  return out;
}

FH_INLINE void fh_tally_flush(const fh_tally_range *r) {
  const long place = r->run_of - r->low;
  if (place >= 0 && place < r->places) fh_count_shared(&r->table[(int)place * r->copies + r->copy], r->run);
}

FH_INLINE void fh_tally_add(fh_tally_range *r, long place) {
  if (place != r->run_of) {
    fh_tally_flush(r);
    r->run_of = place;
    r->run = 0;
  }
  r->run++;
}

FH_INLINE void fh_tally_end(const fh_tally_range *r, fh_i32_out counts, long cs) {
  fh_tally_flush(r);
  fh_barrier();
  for (int i = fh_thread(); i < r->places; i += FH_TALLY_THREADS) {
    int sum = 0;
    for (int c = 0; c < r->copies; c++) sum += r->table[i * r->copies + ((c + i) & (r->copies - 1))]; /* banks of its own for each thread */
    if (sum > 0) fh_count(&counts[(r->low + i) * cs], sum);
  }
}

/* All n values at p, which are numbers of 32 bits; PLACE(v) is where one is counted, given as a float with its bits, and -1 is nowhere. */
#define FH_TALLY_FOUR(v, PLACE)       \
  fh_tally_add(&range, PLACE((v).x)); \
  fh_tally_add(&range, PLACE((v).y)); \
  fh_tally_add(&range, PLACE((v).z)); \
  fh_tally_add(&range, PLACE((v).w))
#define FH_TALLY(p, n, s, PLACE, counts, cs)                                                                \
  {                                                                                                         \
    fh_tally_range range = fh_tally_begin(fh_shared, k);                                                    \
    const fh_f32_in from = (fh_f32_in)(p);                                                                  \
    const long first = fh_block(0) * FH_TALLY_THREADS + fh_thread(), all = fh_blocks(0) * FH_TALLY_THREADS; \
    const long wide = s == 1 && fh_on_boundary(from, 16) ? n / 4 : 0;                                       \
    long i = first;                                                                                         \
    for (; i + (FH_TALLY_AHEAD - 1) * all < wide; i += FH_TALLY_AHEAD * all) {                              \
      fh_f32x4 v[FH_TALLY_AHEAD];                                                                           \
      FH_UNROLL for (int a = 0; a < FH_TALLY_AHEAD; a++) v[a] = fh_fetch4(from + 4 * (i + a * all));        \
      FH_UNROLL for (int a = 0; a < FH_TALLY_AHEAD; a++) { FH_TALLY_FOUR(v[a], PLACE); }                    \
    }                                                                                                       \
    for (; i < wide; i += all) {                                                                            \
      const fh_f32x4 v = fh_fetch4(from + 4 * i);                                                           \
      FH_TALLY_FOUR(v, PLACE);                                                                              \
    }                                                                                                       \
    for (i = 4 * wide + first; i < n; i += all) fh_tally_add(&range, PLACE(from[i * s]));                   \
    fh_tally_end(&range, counts, cs);                                                                       \
  }

/* The counts, before anything is added to them. */
FH_INLINE void fh_tally_clear(fh_i32_out counts, long k, long cs) {
  const long all = fh_blocks(0) * FH_TALLY_THREADS;
  for (long j = fh_block(0) * FH_TALLY_THREADS + fh_thread(); j < k; j += all) counts[j * cs] = 0;
}

#endif /* FOGHORN_KERNELS_BLOCK_TALLY_H_ */
