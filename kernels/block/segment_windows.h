/* Sums over segments of any lengths side by side, in two launches. For CUDA: lanes shuffle. SPDX-License-Identifier: Apache-2.0
 *
 * The order is that of dialect/segments.h, and so are the bits: a segment is pieces of `piece` terms from its start, added in order,
 * whoever adds up which. The work is cut as for sparse products by merging (Merrill and Garland 2016): segment i begins at place offset[i]
 * + i of a line of n + segments places, and a block has the windows of `piece` places. So it has at most as many segments as terms, however
 * many are empty, and of a longer segment one piece begins in each window that it spans. What a block adds up it brings to shared memory
 * first, 8 loads of each thread on their way, whole lines. Of single numbers a thread then has a segment of up to 63 terms, a warp a
 * longer one; of rows a thread has a column of a segment. The second launch adds the pieces of long segments.
 *
 * 4 or 8 bytes a term and 12 a segment are moved: the limit is the memory's bandwidth where terms lie side by side, whatever the lengths,
 * but for the search of a window among the offsets, some microseconds of a block that others hide, and for the sum over pieces, a chain: of
 * a segment that has everything, an addition for 16 KiB, some 6 clocks, which is half of what the bandwidth takes for them on the largest
 * devices. 0.6 is predicted there, 0.8 elsewhere. */
#ifndef FOGHORN_KERNELS_BLOCK_SEGMENT_WINDOWS_H_
#define FOGHORN_KERNELS_BLOCK_SEGMENT_WINDOWS_H_

#define FH_WINDOW_THREADS 256
#define FH_WINDOW_WARPS (FH_WINDOW_THREADS / 32)
#define FH_WINDOW_TERMS 4096             /* numbers of a piece, at most: FH_SEGMENT_TERMS of kernels/segments.h */
#define FH_WINDOW_WIDTH 256              /* columns of a block: FH_WINDOW_COLUMNS of kernels/segments.h */
#define FH_WINDOW_AHEAD 8                /* loads of a thread on their way, of each operand */
#define FH_WINDOW_AT(e) ((e) + (e) / 32) /* segments that are multiples of 32 long begin in different banks */
#define FH_WINDOW_BY_THREAD 63           /* terms */
#define FH_WINDOW_SHORT_CHAIN 32         /* pieces that a thread adds up by itself */
#define FH_WINDOW_SLOTS (FH_WINDOW_THREADS / FH_WINDOW_SHORT_CHAIN)
#define FH_WINDOW_BOUNDS 6
#define FH_WINDOW_BYTES (FH_WINDOW_AT(FH_WINDOW_TERMS) * 4 + FH_WINDOW_BOUNDS * 8 + 2 * FH_WINDOW_THREADS * 4)

typedef struct fh_windows {
  fh_i64_in offsets;
  long os, segments, n, piece;
  fh_f32_out y;
  long ys1, ys;
  long d, column; /* numbers of a term; the first of this block */
  int width;      /* how many it has */
  /* Scratch, of each window: the long segment that begins there and how many pieces it has behind the first, 0 where none does; the sum of
   * its first piece; that of the piece of an earlier segment. */
  long count;
  fh_u8_out heads;
  fh_f32_out firsts, carried;
} fh_windows;

FH_INLINE fh_windows fh_windows_of(fh_i64_in offsets, long os, long segments, long n, long piece, fh_f32_out y, long ys1, long ys, long d,
                                   fh_u8_out scratch) {
  fh_windows w = {offsets, os, segments, n, piece, y, ys1, ys, d, fh_block(1) * FH_WINDOW_WIDTH, 0, (n + segments) / piece + 1,
                  scratch, 0,  0};
  w.width = d - w.column < FH_WINDOW_WIDTH ? (int)(d - w.column) : FH_WINDOW_WIDTH;
  w.firsts = (fh_f32_out)(scratch + 16 * w.count);
  w.carried = w.firsts + w.count * d;
  return w;
}

typedef struct fh_window_shared {
  fh_local float *terms;
  fh_local long *bounds; /* fh_window_bounds: read once, so that offsets that change meanwhile tell all threads the same */
  fh_local int *begins, *lengths;
} fh_window_shared;

/* Segments [first, last) begin in the window, at terms `begin` to `from`; the last of them ends at `end`. An earlier one is before
 * [earlier, begin). */
typedef struct fh_window_bounds {
  long first, last, earlier, begin, from, end;
} fh_window_bounds;

FH_INLINE fh_window_shared fh_window_places(fh_local uchar *shared) {
  fh_window_shared s;
  s.terms = (fh_local float *)shared;
  s.bounds = (fh_local long *)(s.terms + FH_WINDOW_AT(FH_WINDOW_TERMS));
  s.begins = (fh_local int *)(s.bounds + FH_WINDOW_BOUNDS);
  s.lengths = s.begins + FH_WINDOW_THREADS;
  return s;
}

FH_INLINE long fh_window_edge(const fh_windows *w, long i, long low) { return fh_segment_edge(w->offsets, w->os, i, low, w->n); }

/* By one warp: half of it looks for the first segment that begins at the window's first place or behind it, half for the next window's.
 * Each round leaves a seventeenth. */
FH_INLINE void fh_window_find(const fh_windows *w, long window, fh_local long *bounds) {
  const int lane = fh_thread() % 32, k = lane % 16;
  const long place = (window + lane / 16) * w->piece;
  long low = 0, high = w->segments;
  for (long left = w->segments; left > 0; left /= 17) {
    const long width = high - low, at = low + width * (k + 1) / 17;
    int before = width > 0 && fh_window_edge(w, at, 0) + at < place;
    for (int mask = 8; mask > 0; mask /= 2) before += fh_shuffle_xor_i(before, mask);
    high = before < 16 ? low + width * (before + 1) / 17 : high;
    low = before > 0 ? low + width * before / 17 + 1 : low;
  }
  if (k == 0) bounds[lane / 16] = low;
  if (k == 1) bounds[2 + 2 * (lane / 16)] = low > 0 ? fh_window_edge(w, low - 1, 0) : 0;
  if (k == 2) bounds[3 + 2 * (lane / 16)] = fh_window_edge(w, low, 0);
}

FH_INLINE long fh_window_less(long a, long b) { return a < b ? a : b; }
FH_INLINE long fh_window_more(long a, long b) { return a > b ? a : b; }

FH_INLINE fh_window_bounds fh_window_found(const fh_local long *bounds) {
  fh_window_bounds b = {bounds[0], bounds[1], bounds[2], bounds[3], bounds[4], bounds[5]};
  b.begin = fh_window_more(b.begin, b.earlier);
  b.from = fh_window_more(b.from, b.begin);
  b.end = fh_window_more(b.end, b.from);
  return b;
}

/* ---- to shared memory ---- */
FH_INLINE void fh_window_load(const fh_segment_terms *t, long from, int count, fh_local float *terms) {
  FH_NO_UNROLL for (int part = 0; part < count; part += FH_WINDOW_AHEAD * FH_WINDOW_THREADS) {
    fh_segment_term of[FH_WINDOW_AHEAD];
    float value[FH_WINDOW_AHEAD];
    const int e = part + fh_thread_here(); /* places of terms are not worth registers */
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      const int at = e + a * FH_WINDOW_THREADS;
      of[a] = fh_segment_read(t, from + at, at < count);
    }
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) value[a] = fh_segment_value(t, of[a]);
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      const int at = e + a * FH_WINDOW_THREADS;
      terms[FH_WINDOW_AT(at)] = value[a];
    }
  }
}

/* Rows of `width` numbers, which lie one behind the other then. */
FH_INLINE void fh_window_load_rows(fh_f32_in x, long xs1, long xs, int width, int rows, fh_local float *terms) {
  const int count = rows * width, more = FH_WINDOW_THREADS / width, rest = FH_WINDOW_THREADS % width;
  const int mine = fh_thread_here();
  int row = mine / width, column = mine % width;
  FH_NO_UNROLL for (int part = 0; part < count; part += FH_WINDOW_AHEAD * FH_WINDOW_THREADS) {
    float v[FH_WINDOW_AHEAD];
    const int e = part + mine;
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      v[a] = e + a * FH_WINDOW_THREADS < count ? x[row * xs1 + column * xs] : 0.0f;
      row += more;
      column += rest;
      if (column >= width) column -= width, row++;
    }
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      const int at = e + a * FH_WINDOW_THREADS;
      terms[FH_WINDOW_AT(at)] = v[a];
    }
  }
}

/* ---- sums from there ---- */

/* One by one: each `step` behind the last. */
FH_INLINE float fh_window_chain(const fh_local float *terms, float sum, int at, int step, int count) {
  for (int i = 0; i < count; i += FH_WINDOW_AHEAD) {
    float v[FH_WINDOW_AHEAD];
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      const int e = at + (i + a < count ? i + a : i) * step;
      v[a] = terms[FH_WINDOW_AT(e)];
    }
    FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
      if (i + a < count) sum = fh_add_u(sum, v[a]);
    }
  }
  return sum;
}

FH_INLINE float fh_window_lanes(float v[16]) {
  FH_UNROLL for (int part = 8; part > 0; part /= 2) { FH_UNROLL for (int l = 0; l < part; l++) v[l] = fh_add_u(v[l], v[l + part]); }
  return v[0];
}

/* A whole segment of up to 63 numbers: up to 16 go to the lanes as they are; of more, whole rows of 16 to the first accumulator and the
 * rest to the second. */
FH_INLINE float fh_window_elements(const fh_local float *terms, int begin, int length) {
  float v[16];
  const int whole = length / 16;
  FH_UNROLL for (int l = 0; l < 16; l++) {
    const int e = begin + l;
    v[l] = l < length ? terms[FH_WINDOW_AT(e)] : 0.0f;
  }
  if (length > 16) {
    FH_UNROLL for (int l = 0; l < 16; l++) {
      const int e = begin + l, rest = 16 * whole + l;
      v[l] = fh_add_u(v[l], 0.0f);
      if (whole > 1) v[l] = fh_add_u(v[l], terms[FH_WINDOW_AT(e + 16)]);
      if (whole > 2) v[l] = fh_add_u(v[l], terms[FH_WINDOW_AT(e + 32)]);
      if (rest < length) v[l] = fh_add_u(v[l], fh_add_u(terms[FH_WINDOW_AT(begin + rest)], 0.0f));
    }
  }
  return fh_window_lanes(v);
}

FH_INLINE float fh_window_short(bool products, const fh_local float *terms, int begin, int length) {
  if (products && length <= FH_SEGMENT_SHORT_PRODUCTS) return fh_window_chain(terms, 0.0f, begin, 1, length);
  return fh_window_elements(terms, begin, length);
}

/* A piece, by a warp: fh_segment_piece. */
FH_INLINE float fh_window_piece(const fh_local float *terms, int begin, int length) {
  const int lane = fh_thread_here() % 32, end = begin + length;
  float low = 0.0f, high = 0.0f;
  int e = begin;
  FH_UNROLL_2 for (; e + 64 <= end; e += 64) {
    low = fh_add_u(low, terms[FH_WINDOW_AT(e + lane)]);
    high = fh_add_u(high, terms[FH_WINDOW_AT(e + 32 + lane)]);
  }
  for (; e + 16 <= end; e += 16) {
    if (lane < 16) low = fh_add_u(low, terms[FH_WINDOW_AT(e + lane)]);
  }
  if (e < end && lane >= 16 && e + lane - 16 < end) low = fh_add_u(low, terms[FH_WINDOW_AT(e + lane - 16)]);
  const float first = fh_add_u(low, fh_shuffle_xor(low, 16)), second = fh_add_u(high, fh_shuffle_xor(high, 16));
  float sum = fh_add_u(first, second);
  for (int mask = 8; mask > 0; mask /= 2) sum = fh_add_u(sum, fh_shuffle_xor(sum, mask));
  return sum;
}

/* ---- a window ---- */

/* Segments [first, last), whose terms [begin, end) are there: a batch of as many as there are threads. */
FH_INLINE void fh_window_batch(bool products, const fh_windows *w, const fh_window_shared *s, long first, long last, long begin, long end) {
  const int t = fh_thread_here(), lane = t % 32, warp = t / 32;
  const long i = first + t;
  int from = 0, length = 0;
  if (i < last) {
    const long low = fh_window_less(fh_window_edge(w, i, begin), end);
    from = (int)(low - begin), length = (int)(fh_window_less(fh_window_edge(w, i + 1, low), end) - low);
    if (length <= FH_WINDOW_BY_THREAD) w->y[i * w->ys1] = fh_window_short(products, s->terms, from, length);
  }
  s->begins[t] = from;
  s->lengths[t] = length;
  fh_barrier();
  const int other = warp + FH_WINDOW_WARPS * lane, its_from = s->begins[other], its_length = s->lengths[other];
  int some = its_length > FH_WINDOW_BY_THREAD;
  for (int mask = 16; mask > 0; mask /= 2) some |= fh_shuffle_xor_i(some, mask);
  for (int one = 0; one < 32 && some; one++) {
    const int begins = fh_shuffle_xor_i(its_from, lane ^ one), has = fh_shuffle_xor_i(its_length, lane ^ one);
    if (has <= FH_WINDOW_BY_THREAD) continue;
    const float sum = fh_window_piece(s->terms, begins, has);
    if (lane == 0) w->y[(first + warp + FH_WINDOW_WARPS * one) * w->ys1] = sum;
  }
  fh_barrier();
}

/* The columns of segments [first, last). */
FH_INLINE void fh_window_columns(const fh_windows *w, const fh_local float *terms, long first, long last, long begin, long term_end) {
  const int count = (int)(last - first) * w->width;
  for (int item = fh_thread(); item < count; item += FH_WINDOW_THREADS) {
    const int segment = item / w->width, column = item % w->width;
    const long i = first + segment, from = fh_window_less(fh_window_edge(w, i, begin), term_end);
    const long end = fh_window_less(fh_window_edge(w, i + 1, from), term_end);
    const float sum = fh_window_chain(terms, 0.0f, (int)(from - begin) * w->width + column, w->width, (int)(end - from));
    w->y[i * w->ys1 + (w->column + column) * w->ys] = sum;
  }
}

FH_INLINE void fh_window_segments(bool rows, bool products, const fh_windows *w, const fh_window_shared *s, long first, long last,
                                  long begin, long end) {
  if (rows)
    fh_window_columns(w, s->terms, first, last, begin, end);
  else
    for (long i = first; i < last; i += FH_WINDOW_THREADS) fh_window_batch(products, w, s, i, last, begin, end);
}

/* Terms [from, end) to shared memory. */
FH_INLINE void fh_window_bring(bool rows, const fh_windows *w, const fh_window_shared *s, const fh_segment_terms *t, long xs, long from,
                               long end) {
  if (rows)
    fh_window_load_rows(t->x + from * t->s + w->column * xs, t->s, xs, w->width, (int)(end - from), s->terms);
  else
    fh_window_load(t, from, (int)(end - from), s->terms);
  fh_barrier();
}

/* The sum of all `length` terms that were brought. */
FH_INLINE void fh_window_sum(bool rows, const fh_windows *w, const fh_window_shared *s, int length, fh_f32_out out, long step) {
  const int mine = fh_thread();
  if (rows && mine < w->width) out[(w->column + mine) * step] = fh_window_chain(s->terms, 0.0f, mine, w->width, length);
  if (!rows && mine < 32) {
    const float sum = fh_window_piece(s->terms, 0, length);
    if (mine == 0) *out = sum;
  }
}

/* What a window has to add up, in this order: the piece of an earlier segment that begins here, which is long then; the segments that do;
 * and the last of them for itself, its first piece at most, where it ends behind what is brought for the others. */
enum { FH_WINDOW_EARLIER, FH_WINDOW_OWN, FH_WINDOW_LAST, FH_WINDOW_PARTS };

typedef struct fh_window_part {
  long from, end;
} fh_window_part;

FH_INLINE fh_window_part fh_window_part_of(int part, const fh_windows *w, const fh_window_bounds *b, long window, bool all) {
  fh_window_part out = {0, 0};
  if (part == FH_WINDOW_EARLIER) {
    const long before = window * w->piece - (b->earlier + b->first - 1); /* places of the segment that lie before the window */
    if (b->first == 0 || before <= 0) return out;
    out.from = b->earlier + (before + w->piece - 1) / w->piece * w->piece;
    out.end = fh_window_less(out.from + w->piece, b->begin);
  } else if (b->first < b->last && part == FH_WINDOW_OWN) {
    out.from = b->begin;
    out.end = all ? b->end : fh_window_less(b->from, b->begin + w->piece);
  } else if (b->first < b->last && !all) {
    out.from = b->from;
    out.end = fh_window_less(b->from + w->piece, b->end);
  }
  return out;
}

/* Of single numbers `xs` is 0 and t->s the step from one to the next; of rows t->s is that from row to row. */
FH_INLINE void fh_windows_sums(bool rows, fh_local uchar *shared, const fh_segment_terms *t, long xs, const fh_windows *w) {
  const fh_window_shared s = fh_window_places(shared);
  for (long window = fh_block(0); window < w->count; window += fh_blocks(0)) {
    if (fh_thread() < 32) fh_window_find(w, window, s.bounds);
    fh_barrier();
    const fh_window_bounds b = fh_window_found(s.bounds);
    fh_barrier();
    const bool all = b.end - b.begin <= w->piece;
    const long own = all ? b.last : b.last - 1;
    const long more = all || b.first == b.last ? 0 : fh_window_less((b.end - b.from - 1) / w->piece, w->count - 1 - window);
    FH_NO_UNROLL for (int part = 0; part < FH_WINDOW_PARTS; part++) {
      const fh_window_part p = fh_window_part_of(part, w, &b, window, all);
      if (p.from >= p.end && (part != FH_WINDOW_OWN || b.first == b.last)) continue; /* segments without terms are sums, too */
      fh_window_bring(rows, w, &s, t, xs, p.from, p.end);
      if (part == FH_WINDOW_OWN)
        fh_window_segments(rows, t->products, w, &s, b.first, own, p.from, p.end);
      else if (part == FH_WINDOW_LAST && more == 0)
        fh_window_sum(rows, w, &s, (int)(p.end - p.from), w->y + (b.last - 1) * w->ys1, w->ys);
      else
        fh_window_sum(rows, w, &s, (int)(p.end - p.from), (part == FH_WINDOW_EARLIER ? w->carried : w->firsts) + window * w->d, 1);
      fh_barrier();
    }
    if (fh_thread() > 0 || fh_block(1) > 0) continue;
    fh_store_long(w->heads + 16 * window, b.last - 1);
    fh_store_long(w->heads + 16 * window + 8, more);
  }
}

/* ---- the pieces of long segments ---- */

FH_INLINE void fh_windows_short_chains(const fh_windows *w) {
  const long all = fh_blocks(0) * FH_WINDOW_THREADS;
  for (long item = fh_block(0) * FH_WINDOW_THREADS + fh_thread(); item < w->count * w->width; item += all) {
    const long window = item / w->width, column = w->column + item % w->width, more = fh_fetch_long(w->heads + 16 * window + 8);
    if (more == 0 || more > FH_WINDOW_SHORT_CHAIN) continue;
    const fh_f32_in next = w->carried + (window + 1) * w->d + column;
    float sum = w->firsts[window * w->d + column];
    for (int k = 0; k < (int)more; k += FH_WINDOW_AHEAD) {
      float v[FH_WINDOW_AHEAD];
      FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) v[a] = k + a < more ? next[(k + a) * w->d] : 0.0f;
      FH_UNROLL for (int a = 0; a < FH_WINDOW_AHEAD; a++) {
        if (k + a < more) sum = fh_add_u(sum, v[a]);
      }
    }
    w->y[fh_fetch_long(w->heads + 16 * window) * w->ys1 + column * w->ys] = sum;
  }
}

/* By the whole block: a thread adds up a column of what all have brought. */
FH_INLINE void fh_windows_long_chain(const fh_windows *w, fh_local float *terms, long window, long more) {
  const int mine = fh_thread(), rows = FH_WINDOW_TERMS / w->width;
  const fh_f32_in next = w->carried + (window + 1) * w->d + w->column;
  float sum = mine < w->width ? w->firsts[window * w->d + w->column + mine] : 0.0f;
  for (long k = 0; k < more; k += rows) {
    const int count = (int)fh_window_less(more - k, rows);
    fh_window_load_rows(next + k * w->d, w->d, 1, w->width, count, terms);
    fh_barrier();
    if (mine < w->width) sum = fh_window_chain(terms, sum, mine, w->width, count);
    fh_barrier();
  }
  if (mine < w->width) w->y[fh_fetch_long(w->heads + 16 * window) * w->ys1 + (w->column + mine) * w->ys] = sum;
}

/* A long chain spans more windows than a slot stands for, so each slot has one at most. */
FH_INLINE void fh_windows_join(fh_local uchar *shared, const fh_windows *w) {
  const fh_window_shared s = fh_window_places(shared);
  const int mine = fh_thread();
  fh_windows_short_chains(w);
  for (long first = fh_block(0) * FH_WINDOW_THREADS; first < w->count; first += fh_blocks(0) * FH_WINDOW_THREADS) {
    const long more = first + mine < w->count ? fh_fetch_long(w->heads + 16 * (first + mine) + 8) : 0;
    if (mine < FH_WINDOW_SLOTS) s.begins[mine] = -1;
    fh_barrier();
    if (more > FH_WINDOW_SHORT_CHAIN) s.begins[mine / FH_WINDOW_SHORT_CHAIN] = mine;
    fh_barrier();
    for (int slot = 0; slot < FH_WINDOW_SLOTS; slot++) {
      const long window = first + s.begins[slot];
      if (window < first) continue;
      fh_windows_long_chain(w, s.terms, window, fh_fetch_long(w->heads + 16 * window + 8));
    }
    fh_barrier();
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SEGMENT_WINDOWS_H_ */
