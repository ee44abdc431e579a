/* permute by whole vectors: the body shared by permute_<isa>.c. SPDX-License-Identifier: Apache-2.0
 *
 * permute_<isa>.c defines the vector of LANES floats and those of eight and four, what is done with them, and FH_PERMUTE_RUN, the entry
 * that stands here. A plane
 * of ni x nj elements, j the fastest of y, is cut into tiles, and each tile is done in the way that fits its plane:
 *
 *   copies       j is the fastest of x, too: rows
 *   squares      i is the fastest of x: LANES x LANES elements are turned in registers
 *   weave        the same, y has fewer than LANES elements in a row: fields to records
 *   unweave      the same with fewer than LANES in a row of x: records to fields
 *   elements     the rest: neither is contiguous, or both are short
 *
 * Where an extent is no multiple of what is done at once, the last step begins earlier and does some elements again: never beyond the
 * tile, so no two workers write the same element. Results that no cache keeps are stored past the caches in whole lines; a line that two
 * tiles share belongs, when records become fields, to the one in which it begins; else each stores its part.
 *
 * Strides of a multiple of 4 KiB put the lines of a square into one set of the L1 cache. A line is read and written whole and once
 * for that reason: blocks of half lines had 0.35 of a copy from L3 there, these have 0.44. Prefetching gained nothing there. */
#include <string.h>

#include "kernels/arithmetic.h"

enum {
  LINE = 16,          /* floats of a line */
  QUAD = 4,           /* floats of a quarter of a line: what is turned together where rows are short */
  STREAM_ROW = 64,    /* floats of a row of y that are gathered before they are stored past the caches */
  WEAVE_POINTS = 64,  /* records that are gathered likewise */
  ITEM_FLOATS = 8192, /* of a piece of work, at least */
};

typedef struct axis {
  int64_t extent, x, y; /* strides */
} axis;

enum { A, B, I, J, AXES };

typedef struct permutation {
  const fh_f32_any *x;
  fh_f32_any *y;
  axis axes[AXES];
  int64_t tile[AXES], tiles[AXES], per_item;
  void (*run)(const struct permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]);
} permutation;

/* A part of a plane: `ni` x `nj` elements. */
typedef struct part {
  const fh_f32_any *x;
  fh_f32_any *y;
  int64_t ni, nj, xi, xj, yi, yj;
} part;

static inline part part_of(const permutation *p, int64_t a, int64_t b, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const axis *s = p->axes;
  return (part){p->x + a * s[A].x + b * s[B].x + begin[I] * s[I].x + begin[J] * s[J].x,
                p->y + a * s[A].y + b * s[B].y + begin[I] * s[I].y + begin[J] * s[J].y,
                end[I] - begin[I],
                end[J] - begin[J],
                s[I].x,
                s[J].x,
                s[I].y,
                s[J].y};
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static inline int64_t floats_to_line(const fh_f32_any *p) { return (int64_t)((0 - (uintptr_t)p) % (LINE * sizeof *p) / sizeof *p); }

/* n floats, n <= LINE */
static inline void copy_few(const fh_f32_any *x, fh_f32_any *y, int64_t n) {
  if (n >= 8) {
    const eight low = load_eight(x), high = load_eight(x + n - 8);
    store_eight(y, low);
    store_eight(y + n - 8, high);
  } else if (n >= QUAD) {
    const four low = load_four(x), high = load_four(x + n - QUAD);
    store_four(y, low);
    store_four(y + n - QUAD, high);
  } else {
    for (int64_t i = 0; i < n; i++) y[i] = x[i];
  }
}

static inline void copy_row(const fh_f32_any *x, fh_f32_any *y, int64_t n) {
  int64_t j = 0;
  for (; j + 4 * LANES <= n; j += 4 * LANES) {
    const lanes a = load(x + j), b = load(x + j + LANES), c = load(x + j + 2 * LANES), d = load(x + j + 3 * LANES);
    store(y + j, a);
    store(y + j + LANES, b);
    store(y + j + 2 * LANES, c);
    store(y + j + 3 * LANES, d);
  }
  for (; j + LANES <= n; j += LANES) store(y + j, load(x + j));
  copy_few(x + j, y + j, n - j);
}

/* Whole lines of y past the caches. Returns how many floats of the end, which fill no line, are left. */
static inline int64_t stream_row(const fh_f32_any *x, fh_f32_any *y, int64_t n) {
  int64_t j = fh_least(floats_to_line(y), n);
  copy_few(x, y, j);
  for (; j + LINE <= n; j += LINE)
    for (int l = 0; l < LINE; l += LANES) stream(y + j + l, load(x + j + l));
  return n - j;
}

static void copies(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  for (int64_t b = begin[B]; b < end[B]; b++) {
    const part t = part_of(p, begin[A], b, begin, end);
    if (t.nj <= LINE)
      for (int64_t i = 0; i < t.ni; i++) copy_few(t.x + i * t.xi, t.y + i * t.yi, t.nj);
    else
      for (int64_t i = 0; i < t.ni; i++) copy_row(t.x + i * t.xi, t.y + i * t.yi, t.nj);
  }
}

static void streamed_copies(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  for (int64_t i = 0; i < t.ni; i++) {
    const int64_t left = stream_row(t.x + i * t.xi, t.y + i * t.yi, t.nj);
    copy_few(t.x + i * t.xi + t.nj - left, t.y + i * t.yi + t.nj - left, left);
  }
}

/* ---- elements ------------------------------------------------------------------------------------- */

static inline void quad_square(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi) {
  four v[QUAD];
  for (int j = 0; j < QUAD; j++) v[j] = load_four(x + j * xj);
  turn_quad(v);
  for (int i = 0; i < QUAD; i++) store_four(y + i * yi, v[i]);
}

static inline void move_elements(const part *t) {
  if (t->xi == 1 && t->yj == 1 && t->ni >= QUAD && t->nj >= QUAD) {
    for (int64_t i = 0; i < t->ni; i += QUAD) {
      const int64_t ii = fh_least(i, t->ni - QUAD);
      for (int64_t j = 0; j < t->nj; j += QUAD) {
        const int64_t jj = fh_least(j, t->nj - QUAD);
        quad_square(t->x + jj * t->xj + ii, t->xj, t->y + ii * t->yi + jj, t->yi);
      }
    }
    return;
  }
  for (int64_t i = 0; i < t->ni; i++)
    for (int64_t j = 0; j < t->nj; j++) t->y[i * t->yi + j * t->yj] = t->x[i * t->xi + j * t->xj];
}

static void elements(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  move_elements(&t);
}

/* ---- squares -------------------------------------------------------------------------------------- */

/* LANES of j of four i. */
static inline __attribute__((always_inline)) void turn_four(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi) {
  lanes v[QUAD];
  for (int j = 0; j < QUAD; j++) v[j] = load_quads(x + j * xj, xj);
  turn_quads(v);
  for (int i = 0; i < QUAD; i++) store(y + i * yi, v[i]);
}

static inline __attribute__((always_inline)) void turn(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi) {
  lanes v[LANES];
  for (int j = 0; j < LANES; j++) v[j] = load(x + j * xj);
  turn_square(v);
  for (int i = 0; i < LANES; i++) store(y + i * yi, v[i]);
}

static inline void turn_columns(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi, int64_t nj) {
  for (int64_t j = 0; j < nj; j += LANES) {
    const int64_t jj = fh_least(j, nj - LANES);
    turn(x + jj * xj, xj, y + jj, yi);
  }
}

/* ---- records to fields ---------------------------------------------------------------------------- */

/* LANES records of `fields`, from 2 on; where `behind`, a record follows that may be read. */
static inline __attribute__((always_inline)) void unweave_records(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi,
                                                                  int64_t fields, bool behind) {
  if (fields >= QUAD) {
    for (int64_t i = 0; i < fields; i += QUAD) {
      const int64_t ii = fh_least(i, fields - QUAD);
      turn_four(x + ii, xj, y + ii * yi, yi);
    }
  } else if (fields == 3 && xj == 3) {
    lanes v[3] = {load(x), load(x + LANES), load(x + 2 * LANES)};
    unweave3(v);
    for (int i = 0; i < 3; i++) store(y + i * yi, v[i]);
  } else if (fields == 2 && xj == 2) {
    lanes v[2] = {load(x), load(x + LANES)};
    unweave2(v);
    for (int i = 0; i < 2; i++) store(y + i * yi, v[i]);
  } else if (behind) {
    lanes v[QUAD];
    for (int j = 0; j < QUAD; j++) v[j] = load_quads(x + j * xj, xj);
    turn_quads(v);
    for (int i = 0; i < fields; i++) store(y + i * yi, v[i]);
  } else {
    for (int64_t i = 0; i < fields; i++)
      for (int64_t j = 0; j < LANES; j++) y[i * yi + j] = x[j * xj + i];
  }
}

/* Records of two or three fields are read with up to two floats of the next one, if there is one. */
static inline void unweave_columns(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi, int64_t fields, int64_t nj) {
  const int64_t known = xj > 1 ? nj - 1 : 0; /* records that overlap end nearer */
  for (int64_t j = 0; j < nj; j += LANES) {
    const int64_t jj = fh_least(j, nj - LANES);
    unweave_records(x + jj * xj, xj, y + jj, yi, fields, jj + LANES <= known);
  }
}

static void unweave(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  unweave_columns(t.x, t.xj, t.y, t.yi, t.ni, t.nj);
}

/* A rest of few i costs less by quarters. */
static void squares(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  int64_t i = 0;
  for (; i + LANES / 2 < t.ni; i += LANES) {
    const int64_t ii = fh_least(i, t.ni - LANES);
    turn_columns(t.x + ii, t.xj, t.y + ii * t.yi, t.yi, t.nj);
  }
  if (i < t.ni) {
    const int64_t rows = fh_most(t.ni - i, QUAD), ii = t.ni - rows;
    unweave_columns(t.x + ii, t.xj, t.y + ii * t.yi, t.yi, rows, t.nj);
  }
}

/* ---- fields to records ---------------------------------------------------------------------------- */

/* LANES records of `fields`, from 2 on. */
static inline __attribute__((always_inline)) void weave_records(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi,
                                                                int64_t fields) {
  if (fields >= QUAD) {
    for (int64_t j = 0; j < fields; j += QUAD) {
      const int64_t jj = fh_least(j, fields - QUAD);
      lanes v[QUAD];
      for (int k = 0; k < QUAD; k++) v[k] = load(x + (jj + k) * xj);
      turn_quads(v);
      for (int k = 0; k < QUAD; k++) store_quads(y + k * yi + jj, yi, v[k]);
    }
  } else if (fields == 3 && yi == 3) {
    lanes v[3] = {load(x), load(x + xj), load(x + 2 * xj)};
    weave3(v);
    for (int j = 0; j < 3; j++) store(y + j * LANES, v[j]);
  } else if (fields == 2 && yi == 2) {
    lanes v[2] = {load(x), load(x + xj)};
    weave2(v);
    for (int j = 0; j < 2; j++) store(y + j * LANES, v[j]);
  } else {
    for (int64_t i = 0; i < LANES; i++)
      for (int64_t j = 0; j < fields; j++) y[i * yi + j] = x[j * xj + i];
  }
}

static inline void weave_rows(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi, int64_t fields, int64_t ni) {
  for (int64_t i = 0; i < ni; i += LANES) {
    const int64_t ii = fh_least(i, ni - LANES);
    weave_records(x + ii, xj, y + ii * yi, yi, fields);
  }
}

static void weave(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  weave_rows(t.x, t.xj, t.y, t.yi, t.nj, t.ni);
}

/* Records that follow one another in y. What fills no line goes before the next records. A buffer is stored after the next one is filled:
 * stores
 * are done in order, and what reads a store that waits behind others waits, too. */
static void streamed_weave(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  float buffers[2][LINE + 2 * WEAVE_POINTS * LANES] __attribute__((aligned(64)));
  fh_f32_any *to = t.y;
  int64_t waiting = 0, left = 0; /* floats of the buffer before, and those of them that will fill no line */
  int turn = 0;
  for (int64_t i = 0, n; i < t.ni; i += n, turn = !turn) {
    n = t.ni - i < 2 * WEAVE_POINTS ? t.ni - i : WEAVE_POINTS;
    weave_rows(t.x + i, t.xj, buffers[turn] + left, t.nj, t.nj, n);
    stream_row(buffers[!turn], to, waiting);
    copy_few(buffers[!turn] + waiting - left, buffers[turn], left);
    to += waiting - left;
    waiting = left + n * t.nj;
    left = (int64_t)((uintptr_t)(to + waiting) % (LINE * sizeof *to) / sizeof *to);
  }
  stream_row(buffers[!turn], to, waiting);
  copy_few(buffers[!turn] + waiting - left, to + waiting - left, left);
}

/* ---- past the caches: squares and records to fields ------------------------------------------------- */

/* What is read is a line of each row of x: no prefetcher of the processor finds the next ones. Two lines ahead, since the next one
 * comes in a pair with this. */
static inline void expect(const fh_f32_any *x, int64_t xj) {
  for (int64_t j = 0; j < LANES; j++) __builtin_prefetch((const void *)((uintptr_t)(x + j * xj) + 2 * LINE * sizeof *x));
}

/* LANES rows of one line each, which begin where lines do. */
static inline __attribute__((always_inline)) void stream_lines(const fh_f32_any *x, int64_t xj, fh_f32_any *y, int64_t yi) {
  enum { PARTS = LINE / LANES, ROWS = LANES / PARTS };
  for (int64_t g = 0; g < LANES; g += ROWS) {
    lanes v[PARTS][ROWS];
    for (int64_t k = 0; k < PARTS; k++) {
      for (int64_t j = 0; j < ROWS; j++) v[k][j] = PARTS == 1 ? load(x + j * xj) : load_quads(x + g + (k * LANES + j) * xj, xj);
      turn_rows(v[k]);
    }
    for (int64_t i = 0; i < ROWS; i++)
      for (int64_t k = 0; k < PARTS; k++) stream(y + (g + i) * yi + k * LANES, v[k][i]);
  }
}

/* All rows of y begin where lines do. */
static void streamed_squares(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  const int64_t whole = t.nj / LINE * LINE;
  for (int64_t i = 0; i < t.ni; i += LANES) {
    const int64_t ii = fh_least(i, t.ni - LANES);
    for (int64_t j = 0; j < whole; j += LINE) {
      stream_lines(t.x + ii + j * t.xj, t.xj, t.y + ii * t.yi + j, t.yi);
      expect(t.x + ii + j * t.xj, t.xj);
    }
    if (whole < t.nj) {
      const int64_t rest = t.nj - fh_most(t.nj - whole, LANES);
      turn_columns(t.x + ii + rest * t.xj, t.xj, t.y + ii * t.yi + rest, t.yi, t.nj - rest);
    }
  }
}

/* A few rows of y, or a piece of them: the lines of each row that begin within the piece, and in the last one its end. */
typedef struct strip {
  const fh_f32_any *x;
  fh_f32_any *y;
  int64_t rows, nj, xj, yi;
  bool first, last;
} strip;

static inline void some_columns(const strip *s, int64_t j, int64_t columns) {
  if (s->rows == LANES)
    turn_columns(s->x + j * s->xj, s->xj, s->y + j, s->yi, columns);
  else
    unweave_columns(s->x + j * s->xj, s->xj, s->y + j, s->yi, s->rows, columns);
}

/* Lines of y are cut out of two neighbouring blocks in registers. A buffer of unaligned rows would do, but stores are done in order: a load
 * that spans two recent ones waits until all that was stored past the caches before them is in memory (0.25 of a copy). */
static inline void stream_strip(const strip *s) {
  float blocks[2][LANES * LANES] __attribute__((aligned(64)));
  int64_t first[LANES], end[LANES];
  for (int64_t i = 0; i < s->rows; i++) {
    first[i] = floats_to_line(s->y + i * s->yi);
    end[i] = s->last ? s->nj : s->nj + floats_to_line(s->y + i * s->yi + s->nj);
  }
  if (s->first) some_columns(s, 0, LINE);
  const int64_t columns = s->last ? s->nj : s->nj + LINE;
  int turned = 0;
  for (int64_t j = 0; j + LANES <= columns; j += LANES, turned = !turned) {
    const fh_f32_any *x = s->x + j * s->xj;
    if (s->rows == LANES) {
      turn(x, s->xj, blocks[turned], LANES);
      expect(x, s->xj);
    } else {
      unweave_records(x, s->xj, blocks[turned], LANES, s->rows, s->xj > 1 && j + LANES < columns);
    }
    for (int64_t i = 0; i < s->rows; i++) {
      const int64_t to = j - LANES + first[i] % LANES;
      if (to >= first[i] && to + LANES <= end[i])
        stream(s->y + i * s->yi + to, cut_out(blocks[!turned] + i * LANES, blocks[turned] + i * LANES, (int)(first[i] % LANES)));
    }
  }
  if (s->last) some_columns(s, s->nj - 2 * LANES, 2 * LANES);
}

static void streamed_columns(const permutation *p, const int64_t begin[static AXES], const int64_t end[static AXES]) {
  const part t = part_of(p, begin[A], begin[B], begin, end);
  const int64_t rows = fh_least(t.ni, LANES);
  const bool first = begin[J] == 0, last = end[J] == p->axes[J].extent;
  for (int64_t i = 0; i < t.ni; i += rows) {
    const int64_t ii = fh_least(i, t.ni - rows);
    const strip s = {t.x + ii, t.y + ii * t.yi, rows, t.nj, t.xj, t.yi, first, last};
    stream_strip(&s);
  }
}

/* ---- the entry ------------------------------------------------------------------------------------ */

/* Parts of `tile` elements; the last has what is left, too, so that none is smaller. */
static void cut(permutation *p, int64_t b, int64_t i, int64_t j) {
  const int64_t tile[AXES] = {1, b, i, j};
  int64_t floats = 1;
  for (int k = 0; k < AXES; k++) {
    p->tile[k] = fh_least(tile[k], p->axes[k].extent);
    p->tiles[k] = p->axes[k].extent / p->tile[k];
    floats *= p->tile[k];
  }
  p->per_item = fh_divide_up(ITEM_FLOATS, floats);
}

/* Do all rows of y begin where a line does? */
static bool lines_begin(const permutation *p) {
  int64_t steps = 0;
  for (int k = A; k <= I; k++) steps |= p->axes[k].y;
  return (uintptr_t)p->y % (LINE * sizeof *p->y) == 0 && steps % LINE == 0;
}

static void choose_turned(permutation *p, bool past) {
  const axis *i = &p->axes[I], *j = &p->axes[J];
  if (j->extent < LANES) {
    p->run = past && i->y == j->extent ? streamed_weave : weave;
    cut(p, 1, 4096, LANES);
  } else if (past && i->extent >= LANES && j->extent >= LINE && lines_begin(p)) {
    p->run = streamed_squares;
    cut(p, 1, 1024, 4 * STREAM_ROW);
  } else if (past && j->extent >= STREAM_ROW) {
    p->run = streamed_columns;
    cut(p, 1, 1024, i->extent < LANES ? 16 * STREAM_ROW : 4 * STREAM_ROW);
  } else {
    p->run = i->extent < LANES ? unweave : squares;
    cut(p, 1, 64, 256);
  }
}

static void choose(permutation *p, bool past) {
  const axis *i = &p->axes[I], *j = &p->axes[J];
  const bool turned = i->x == 1 && i->extent > 1, copied = j->x == 1;
  if (j->y == 1 && turned && (i->extent >= LANES || j->extent >= LANES)) {
    choose_turned(p, past);
  } else if (j->y == 1 && copied) {
    const bool few = j->extent <= 4 * LINE; /* both neighbours of a row should come soon, in x and in y */
    p->run = past && !few ? streamed_copies : copies;
    cut(p, few ? 16 : 1, few ? 64 : fh_most(1, ITEM_FLOATS / j->extent), 2 * ITEM_FLOATS);
  } else {
    p->run = elements;
    cut(p, 1, 64, i->extent < 64 ? ITEM_FLOATS / i->extent : 64);
  }
}

static void run_item(void *arg, int64_t item, int worker) {
  (void)worker;
  const permutation *p = arg;
  const int64_t count = p->tiles[A] * p->tiles[B] * p->tiles[I] * p->tiles[J];
  for (int64_t t = item * p->per_item; t < fh_least((item + 1) * p->per_item, count); t++) {
    int64_t begin[AXES], end[AXES], rest = t;
    for (int k = AXES - 1; k >= 0; k--) {
      const int64_t at = rest % p->tiles[k];
      rest /= p->tiles[k];
      begin[k] = at * p->tile[k];
      end[k] = at == p->tiles[k] - 1 ? p->axes[k].extent : begin[k] + p->tile[k];
    }
    p->run(p, begin, end);
  }
  end_stream();
}

void FH_PERMUTE_RUN(const fh_slot *slots, const fh_team *team) {
  permutation p = {.x = slots[FH_PERMUTE_X].cp, .y = slots[FH_PERMUTE_Y].p};
  for (int k = 0; k < AXES; k++)
    p.axes[k] = (axis){slots[FH_PERMUTE_NA + k].i, slots[FH_PERMUTE_X_STRIDES + k].i, slots[FH_PERMUTE_Y_STRIDES + k].i};
  choose(&p, slots[FH_PERMUTE_STREAM].i && (uintptr_t)p.y % sizeof(float) == 0);
  team->parallel(team, fh_divide_up(p.tiles[A] * p.tiles[B] * p.tiles[I] * p.tiles[J], p.per_item), run_item, &p);
}
