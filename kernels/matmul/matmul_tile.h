/* matmul by register tiles: the body shared by matmul_<isa>.c. SPDX-License-Identifier: Apache-2.0
 *
 * After Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008, with the roles chosen for short calls:
 * - A is read in place, its next rows fetched ahead; where its rows do not lie together it is packed, once for all. B is packed by each
 *   worker for itself, a chunk that stays in its L2, right before it is multiplied: nobody waits for anybody, and B is read in long
 *   rows. Small B stays in place.
 * - A task is a part of the rows times a chunk of columns. For each row panel of A (in L1) it runs over the chunk's column panels.
 * - Rows are cut into panels of nearly equal height, so no thin tile is left at the edge; a rest of columns takes half a vector.
 * - The tile itself begins a new chain every FH_MATMUL_STEPS of k and adds it to C: the order of accumulation (matmul.h) does not
 *   depend on how anything here is cut.
 * - Few rows (or columns) times a large matrix are bound by memory and have their own paths: matmul_few.h.
 *
 * Include after one simd_<isa>.h and pack.h, with FH_MATMUL_ENTRY, FH_MATMUL_WITH and FH_MATMUL_SCRATCH defined.
 */
#ifndef FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_
#define FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/matmul.h"

#include <stdlib.h>

enum {
  MR = FH_TILE_ROWS,
  NR = 2 * FH_LANES,
  STEPS_MAX = 2 * FH_MATMUL_STEPS, /* k of one pass over more than a few rows or columns */
  ROWS_MAX = 2048,                 /* of A packed at once: 4 MiB */
  CHUNK_FLOATS = 64 << 10,         /* of B in a worker's L2: 256 KiB */
  SMALL_FLOATS = 64 << 10,         /* of an operand that is read in place */
  FEW_COLS = 2 * NR,               /* of B, packed whole */
};

/* One product with C as the side whose columns are taken in vectors; a transposed call has A and B exchanged. */
typedef struct product {
  int64_t m, n, k;
  const fh_f32_any *a, *b;
  fh_f32_any *c;
  int64_t a_row, a_col, b_row, b_col, c_row, c_col; /* strides in elements */
  const fh_matmul_epilogue *epilogue;               /* NULL: none */
  int64_t batch;                                    /* which product of the call */
  bool turned;                                      /* rows are the call's columns */
} product;

/* Elements of C are complete. */
static void complete(const product *p, bool turned, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  const fh_matmul_epilogue *e = p->epilogue;
  if (!e) return;
  if (p->turned != turned)
    e->apply(e->slots, p->batch, col, cols, row, rows);
  else
    e->apply(e->slots, p->batch, row, rows, col, cols);
}

/* ---- the register tile --------------------------------------------------------------------------- */

typedef struct tile {
  const fh_f32_any *a, *b;
  int64_t a_row, a_step, b_step, steps;
  fh_f32_any *c;
  int64_t c_row, c_col;
  const fh_f32_any *next; /* rows of A that come next, to be fetched; NULL: they come by themselves */
  int cols;
  bool add;    /* to what an earlier pass left in C */
  bool far;    /* C is to be fetched */
  bool padded; /* rows of B go on behind its columns, with zeros */
} tile;

/* The sums of a tile whose columns lie apart in C, or that is narrow where stores have no masks. */
static __attribute__((noinline)) void finish(const tile *t, int rows, bool add, const float buffer[MR * NR]) {
  for (int r = 0; r < rows; r++, buffer += NR) {
    fh_f32_any *c = t->c + r * t->c_row;
    if (t->c_col != 1) {
      for (int j = 0; j < t->cols; j++) c[j * t->c_col] = add ? c[j * t->c_col] + buffer[j] : buffer[j];
      continue;
    }
    for (int j = 0; j < t->cols; j += FH_LANES) {
      int count = fh_tile_min(t->cols - j, FH_LANES);
      fh_vf sum = fh_v_load(buffer + j);
      if (add) sum = fh_v_add(fh_v_load_masked(c + j, fh_vm_first(count)), sum);
      fh_v_store_first(c + j, sum, count);
    }
  }
}

/* rows, full vectors, half and whole are constants at every call: what is not needed falls away and the sums stay in registers.
 * whole: no lane is idle. Rows of A are reached from every third one: five pointers instead of fourteen. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop, of which each call keeps a part */
static inline __attribute__((always_inline)) void multiply(const tile *t, const int rows, const int full, const bool half,
                                                           const bool whole) {
  enum { LINE = 16 }; /* floats */
  const int64_t a_row = t->a_row, a_step = t->a_step, b_step = t->b_step;
  const fh_f32_any *a0 = t->a, *a3 = a0 + 3 * a_row, *a6 = a3 + 3 * a_row, *a9 = a6 + 3 * a_row, *a12 = a9 + 3 * a_row;
  const fh_f32_any *b = t->b;
  const int before = (half ? full : full - 1) * FH_LANES; /* columns before the last vector */
  const int last = t->cols - before;                      /* in it */
  const fh_vm mask = fh_vm_first(last), there = FH_MASKED_LOAD || !t->padded ? mask : fh_vm_first(FH_LANES);
  bool add = t->add;
  /* Columns of C lie lines apart, where no hardware prefetcher sees them coming. */
#define FETCH_C(r)                                            \
  if (r < rows) {                                             \
    __builtin_prefetch(t->c + r * t->c_row, 1);               \
    __builtin_prefetch(t->c + r * t->c_row + t->cols - 1, 1); \
  }
  if (t->far) {
    FH_TILE_EACH_ROW(FETCH_C)
  }
#undef FETCH_C
  uintptr_t next = (uintptr_t)t->next;
  int64_t left = t->steps;
  do { /* once even for k = 0, which gives zeros */
    int64_t block = fh_least(left, FH_MATMUL_STEPS);
    left -= block;
#define ZERO(r)                                             \
  fh_vf sum##r##_0 = fh_v_zero(), sum##r##_1 = fh_v_zero(); \
  fh_vh sum##r##_h = fh_h_zero();
    FH_TILE_EACH_ROW(ZERO)
#undef ZERO
    while (block > 0) {
      int64_t s = next ? fh_least(block, LINE) : block;
      block -= s;
      if (next) {
        for (int r = 0; r < rows; r++) __builtin_prefetch((const void *)(next + (uintptr_t)(r * a_row * 4)));
        next += LINE * sizeof(float);
      }
      for (; s > 0; s--) {
        const fh_vf b0 = full == 0 ? fh_v_zero() : full == 1 && !half && !whole ? fh_v_load_masked(b, there) : fh_v_load(b);
        const fh_vf b1 = full < 2 ? b0 : whole ? fh_v_load(b + FH_LANES) : fh_v_load_masked(b + FH_LANES, there);
        const fh_vh bh = half ? fh_h_load_masked(b + full * FH_LANES, there) : fh_h_zero();
#define STEP(r)                                                                        \
  if (r < rows) {                                                                      \
    const fh_f32_any *base = r < 3 ? a0 : r < 6 ? a3 : r < 9 ? a6 : r < 12 ? a9 : a12; \
    const float x = base[r % 3 * a_row];                                               \
    if (full > 0) sum##r##_0 = fh_v_fma_by(x, b0, sum##r##_0);                         \
    if (full > 1) sum##r##_1 = fh_v_fma_by(x, b1, sum##r##_1);                         \
    if (half) sum##r##_h = fh_h_fma_by(x, bh, sum##r##_h);                             \
  }
        FH_TILE_EACH_ROW(STEP)
#undef STEP
        b += b_step;
        a0 += a_step, a3 += a_step, a6 += a_step, a9 += a_step, a12 += a_step;
      }
    }
    fh_f32_any *c = t->c;
    const int64_t c_row = t->c_row;
    if (t->c_col == 1 && (whole || FH_MASKED_STORE)) {
#define PLACE(r)                                                                                                 \
  if (r < rows) {                                                                                                \
    if (full > 0 && (half || full > 1 || whole)) {                                                               \
      fh_v_store(c, add ? fh_v_add(fh_v_load(c), sum##r##_0) : sum##r##_0);                                      \
    } else if (full > 0) {                                                                                       \
      fh_v_store_first(c, add ? fh_v_add(fh_v_load_masked(c, mask), sum##r##_0) : sum##r##_0, last);             \
    }                                                                                                            \
    fh_f32_any *end = c + before;                                                                                \
    if (full > 1 && whole) {                                                                                     \
      fh_v_store(end, add ? fh_v_add(fh_v_load(end), sum##r##_1) : sum##r##_1);                                  \
    } else if (full > 1) {                                                                                       \
      fh_v_store_first(end, add ? fh_v_add(fh_v_load_masked(end, mask), sum##r##_1) : sum##r##_1, last);         \
    }                                                                                                            \
    if (half) fh_h_store_first(end, add ? fh_h_add(fh_h_load_masked(end, mask), sum##r##_h) : sum##r##_h, last); \
    c += c_row;                                                                                                  \
  }
      FH_TILE_EACH_ROW(PLACE)
#undef PLACE
    } else {
      float buffer[MR * NR];
#define STORE(r)                                                         \
  if (r < rows) {                                                        \
    if (full > 0) fh_v_store(buffer + r * NR, sum##r##_0);               \
    if (full > 1) fh_v_store(buffer + r * NR + FH_LANES, sum##r##_1);    \
    if (half) fh_h_store(buffer + r * NR + full * FH_LANES, sum##r##_h); \
  }
      FH_TILE_EACH_ROW(STORE)
#undef STORE
      finish(t, rows, add, buffer);
    }
    add = true;
  } while (left > 0);
}

/* By the width of a panel: half a vector, one, one and a half, two, two without an idle lane. */
enum { WIDTHS = 5, WHOLE = 4 };
static int width_of(int cols) { return cols == NR ? WHOLE : (cols - 1) / FH_HALF; }

#define TILE(rows)                                                              \
  static void half_##rows(const tile *t) { multiply(t, rows, 0, true, false); } \
  static void one_##rows(const tile *t) { multiply(t, rows, 1, false, false); } \
  static void more_##rows(const tile *t) { multiply(t, rows, 1, true, false); } \
  static void two_##rows(const tile *t) { multiply(t, rows, 2, false, false); } \
  static void whole_##rows(const tile *t) { multiply(t, rows, 2, false, true); }
#define TILE_SET(rows) {half_##rows, one_##rows, more_##rows, two_##rows, whole_##rows},
FH_TILE_EACH_HEIGHT(TILE)
static void (*const tiles[MR][WIDTHS])(const tile *) = {FH_TILE_EACH_HEIGHT(TILE_SET)};

static void share(const fh_team *team, int64_t count, void (*body)(void *, int64_t, int), void *arg) {
  if (count > 1 && team) {
    team->parallel(team, count, body, arg);
    return;
  }
  for (int64_t i = 0; i < count; i++) body(arg, i, 0);
}

#include "kernels/matmul/matmul_few.h"

/* ---- the plan ------------------------------------------------------------------------------------ */

/* Shared by scratch_bytes and the entry, so that both see the same sizes. */
typedef struct plan {
  product p; /* turned where that is better; pointers unset */
  int64_t batch, batch_a, batch_b, batch_c;
  bool turned, pack_a, pack_b;
  bool by_batch;             /* one worker per product instead of one team per product */
  bool fetch;                /* rows of A in place come from far */
  int height;                /* of a row panel at most */
  int64_t steps, rows, cols; /* of one pass: k, rows of A packed at once, columns of a chunk */
  size_t a_floats, b_floats; /* of scratch: A, and of each worker B */
} plan;

static product turned_product(product p) {
  return (product){.m = p.n,
                   .n = p.m,
                   .k = p.k,
                   .a_row = p.b_col,
                   .a_col = p.b_row,
                   .b_row = p.a_col,
                   .b_col = p.a_row,
                   .c_row = p.c_col,
                   .c_col = p.c_row};
}

/* Costs beside the multiplication, in elements moved: vector lanes left idle and C written one by one. */
static double overhead(const product *p) {
  int64_t idle = fh_divide_up(p->n, FH_HALF) * FH_HALF - p->n;
  double scattered = p->c_col == 1 || p->n == 1 ? 0 : (double)p->m * (double)p->n;
  return (double)idle * (double)p->m * (double)p->k / FH_LANES + 2 * scattered;
}

/* Lines a stride apart fall into so few sets of a cache that a panel of B does not fit. */
static bool crowded(int64_t stride) { return stride % 512 == 0; }
enum { WAYS = 8, L1_WAY_BYTES = 4096 }; /* lines so far apart fall into one set of L1: fewer rows of A at a time, one way for B */

static void plan_operands(plan *q) {
  product *p = &q->p;
  const int64_t m = p->m, n = p->n, k = p->k;
  const bool small_a = m <= SMALL_FLOATS && k <= SMALL_FLOATS && m * k <= SMALL_FLOATS;
  const bool small_b = n <= SMALL_FLOATS && k <= SMALL_FLOATS && n * k <= SMALL_FLOATS;
  q->pack_a = p->a_col != 1 && (!small_a || (p->a_row != 1 && n > NR));
  q->pack_b = p->b_col != 1 || !small_b || (crowded(p->b_row) && k > 64 && m > MR);
  q->height = MR > WAYS - 1 && p->a_col == 1 && p->a_row % (L1_WAY_BYTES / 4) == 0 && k > 64 ? WAYS - 1 : MR;
  q->fetch = !q->pack_a && p->a_col == 1 && !small_a;
  /* A narrow B is packed whole, so that rows of A in place are read from end to end. */
  const int64_t wide = fh_divide_up(n, NR) * NR;
  q->steps = STEPS_MAX;
  q->cols = CHUNK_FLOATS / STEPS_MAX;
  if (q->fetch && wide <= FEW_COLS) {
    q->cols = wide;
    q->steps = CHUNK_FLOATS / wide / FH_MATMUL_STEPS * FH_MATMUL_STEPS;
  } else if (m <= FEW_ROWS) {
    q->steps = FH_MATMUL_STEPS;
    q->cols = CHUNK_FLOATS / FH_MATMUL_STEPS;
  }
  if (!q->pack_a && !q->pack_b) q->steps = k; /* nothing to cut for */
  q->steps = fh_least(q->steps, k);
  q->cols = fh_least(q->cols, wide);
  q->rows = q->pack_a ? fh_least(m, ROWS_MAX) : m;
}

static plan plan_of(const fh_slot *s) {
  const fh_slot *sa = s + FH_MATMUL_A_STRIDES, *sb = s + FH_MATMUL_B_STRIDES, *sc = s + FH_MATMUL_C_STRIDES;
  plan q = {.batch = s[FH_MATMUL_BATCH].i, .batch_a = sa[0].i, .batch_b = sb[0].i, .batch_c = sc[0].i};
  product *p = &q.p;
  *p = (product){.m = s[FH_MATMUL_M].i,
                 .n = s[FH_MATMUL_N].i,
                 .k = s[FH_MATMUL_K].i,
                 .a_row = sa[1].i,
                 .a_col = sa[2].i,
                 .b_row = sb[1].i,
                 .b_col = sb[2].i,
                 .c_row = sc[1].i,
                 .c_col = sc[2].i};
  /* The same B for rows that go on from one product to the next: one tall product. */
  if (q.batch > 1 && q.batch_b == 0 && q.batch_a == p->m * p->a_row && q.batch_c == p->m * p->c_row) {
    p->m *= q.batch;
    q.batch = 1;
  }
  product other = turned_product(*p);
  q.turned = overhead(&other) < overhead(p);
  if (q.turned) *p = other;
  if (p->n == 1) p->b_col = p->c_col = 1;
  if (p->m == 1) p->a_row = p->c_row = 0;
  plan_operands(&q);
  q.by_batch = q.batch > 1 && (double)p->m * (double)p->n * (double)p->k <= 256.0 * 256 * 256;
  if (q.pack_a) q.a_floats = (size_t)((q.rows * q.steps + 15) / 16 * 16);
  if (q.pack_b) q.b_floats = (size_t)(q.cols * q.steps);
  return q;
}

/* ---- one product, pass by pass --------------------------------------------------------------------- */

typedef struct pass {
  const product *p;
  const plan *q;
  float *packed_a, *packed_b;
  int64_t row, rows, step, steps; /* of C and k */
  int64_t panels, height, taller; /* row panels; their height; how many have one row more */
  int64_t chunks, cols;           /* of columns */
  int64_t row_parts;
} pass;

static int64_t panel_start(const pass *x, int64_t i) { return i * x->height + fh_least(i, x->taller); }

static void pack_row_panel(void *arg, int64_t i, int worker) {
  (void)worker;
  const pass *x = arg;
  const product *p = x->p;
  const int64_t first = panel_start(x, i);
  const int rows = (int)(panel_start(x, i + 1) - first);
  fh_pack(x->packed_a + first * x->steps, rows, p->a + (x->row + first) * p->a_row + x->step * p->a_col, p->a_row, p->a_col, rows,
          x->steps);
}

static void pack_chunk(const pass *x, float *dst, const fh_f32_any *src, int64_t cols) {
  const product *p = x->p;
  if (p->b_col == 1) {
    fh_pack_copy_wide(dst, NR, src, p->b_row, cols, x->steps);
    return;
  }
  for (int64_t j = 0; j < cols; j += NR)
    fh_pack(dst + j * x->steps, NR, src + j * p->b_col, p->b_col, p->b_row, fh_tile_min(cols - j, NR), x->steps);
}

/* The panels [begin, end) of rows times the chunk of columns that begins at `col`, for the k of this pass. */
static void multiply_panels(const pass *x, int64_t begin, int64_t end, int64_t col, float *own) {
  const product *p = x->p;
  const int64_t cols = fh_least(p->n - col, x->cols);
  const fh_f32_any *b = p->b + x->step * p->b_row + col * p->b_col;
  int64_t b_panel = NR * p->b_col;
  tile t = {.a_row = p->a_row, .a_step = p->a_col, .steps = x->steps, .b_step = p->b_row, .c_row = p->c_row, .c_col = p->c_col};
  t.add = x->step > 0;
  t.far = x->steps >= 64 && p->m * p->n > SMALL_FLOATS;
  if (x->q->pack_b) {
    pack_chunk(x, own, b, cols);
    b = own;
    b_panel = NR * x->steps;
    t.b_step = NR;
    t.padded = true;
  }
  int64_t first = panel_start(x, begin);
  for (int64_t j = begin; j < end; j++) {
    const int64_t after = panel_start(x, j + 1), rows = after - first;
    t.a = p->a + (x->row + first) * p->a_row + x->step * p->a_col;
    if (x->q->pack_a) {
      t.a = x->packed_a + first * x->steps;
      t.a_row = 1;
      t.a_step = rows;
    }
    t.next = x->q->fetch && j + 1 < end ? t.a + rows * p->a_row : NULL;
    t.b = b;
    t.c = p->c + (x->row + first) * p->c_row + col * p->c_col;
    for (int64_t done = 0; done < cols; done += NR) {
      t.cols = fh_tile_min(cols - done, NR);
      tiles[rows - 1][width_of(t.cols)](&t);
      t.b += b_panel;
      t.c += NR * p->c_col;
      t.next = NULL;
    }
    if (x->step + x->steps == p->k) complete(p, false, x->row + first, rows, col, cols);
    first = after;
  }
}

/* A part of the rows times a chunk of the columns. A in place needs nobody's packing, so its passes follow each other here. */
static void multiply_task(void *arg, int64_t i, int worker) {
  const pass *x = arg;
  const int64_t part = x->row_parts == 1 ? 0 : i / x->chunks, col = (i - part * x->chunks) * x->cols;
  const int64_t begin = x->panels * part / x->row_parts, end = x->panels * (part + 1) / x->row_parts;
  float *own = x->packed_b ? x->packed_b + (size_t)worker * x->q->b_floats : NULL;
  multiply_panels(x, begin, end, col, own);
  if (x->q->pack_a || x->steps == x->p->k) return;
  pass next = *x;
  while ((next.step += next.steps) < x->p->k) {
    next.steps = fh_least(x->p->k - next.step, next.steps);
    multiply_panels(&next, begin, end, col, own);
  }
}

/* Below this many multiplications waking a worker costs more than it brings. */
enum { WORTH_SHARING = 48 * 48 * 48 };

static void cut_rows(pass *x, int64_t parts) {
  x->row_parts = parts;
  x->panels = fh_divide_up(x->rows, x->q->height);
  if (parts > 1 && x->panels < 4 * parts) x->panels = fh_least(x->rows, fh_divide_up(x->panels, parts) * parts);
  x->height = x->rows / x->panels;
  x->taller = x->rows % x->panels;
}

/* How long the last is busy, in rows times halves of a vector: `parts` of the rows, each with a group of workers who share the chunks. */
static int64_t busy_with(const pass *x, int64_t cols, int64_t parts, int64_t group) {
  enum { PACKING = 5 }; /* a column of B is packed in the time that this many rows take */
  const int64_t rows = fh_divide_up(x->rows, parts) + (x->q->pack_b ? PACKING : 0);
  const int64_t chunks = fh_divide_up(x->p->n, cols), turns = fh_divide_up(chunks, group);
  const int64_t idle = chunks - (turns - 1) * group == 1 ? chunks * cols - x->p->n : 0; /* the last chunk is a turn of its own */
  return rows * (turns * (cols / FH_HALF) - idle / FH_HALF);
}

/* Tasks for every worker, as equal as can be: the rows in parts that divide the workers, the columns in chunks as wide as they may be
 * or a whole number for each worker. Whoever takes a part of the rows packs B for himself. */
static void cut_tasks(pass *x, int64_t workers) {
  const int64_t widest = x->q->cols, chunks = fh_divide_up(x->p->n, widest), vectors = fh_divide_up(x->p->n, NR);
  int64_t best_parts = 1, least = INT64_MAX;
  x->cols = widest;
  for (int64_t parts = 1; workers > 1 && parts <= fh_least(workers, x->rows); parts++) {
    if (workers % parts != 0) continue;
    const int64_t group = workers / parts;
    const int64_t cuts[] = {widest, fh_divide_up(vectors, fh_divide_up(chunks, group) * group) * NR};
    for (int i = 0; i < 2; i++) {
      const int64_t busy = busy_with(x, cuts[i], parts, group);
      if (busy >= least) continue;
      least = busy;
      best_parts = parts;
      x->cols = cuts[i];
    }
  }
  cut_rows(x, best_parts);
  x->chunks = fh_divide_up(x->p->n, x->cols);
}

static void run_product(const product *p, const plan *q, float *scratch, const fh_team *team) {
  if (team && (team->size == 1 || (double)p->m * (double)p->n * (double)p->k < WORTH_SHARING)) team = NULL;
  pass x = {.p = p, .q = q, .packed_a = scratch, .packed_b = scratch + q->a_floats};
  for (x.row = 0; x.row < p->m; x.row += q->rows) {
    x.rows = fh_least(p->m - x.row, q->rows);
    cut_tasks(&x, team ? team->size : 1);
    x.step = 0;
    do { /* once even for k = 0 */
      x.steps = fh_least(p->k - x.step, q->steps);
      if (q->pack_a) share(team, x.panels, pack_row_panel, &x);
      share(team, x.chunks * x.row_parts, multiply_task, &x);
      x.step += x.steps;
    } while (q->pack_a && x.step < p->k);
  }
}

/* ---- the entry ----------------------------------------------------------------------------------- */

static product product_at(const plan *q, const fh_slot *s, const fh_matmul_epilogue *epilogue, int64_t i) {
  const fh_f32_any *a = (const fh_f32_any *)s[FH_MATMUL_A].cp + i * q->batch_a, *b = (const fh_f32_any *)s[FH_MATMUL_B].cp + i * q->batch_b;
  product p = q->p;
  p.a = q->turned ? b : a;
  p.b = q->turned ? a : b;
  p.c = (fh_f32_any *)s[FH_MATMUL_C].p + i * q->batch_c;
  p.epilogue = epilogue;
  p.batch = i;
  p.turned = q->turned;
  return p;
}

typedef struct batch_job {
  const plan *q;
  const fh_slot *slots;
  const fh_matmul_epilogue *epilogue;
  float *scratch;
  int64_t batch, parts; /* products, in so many tasks */
} batch_job;

static void run_part_of_batch(void *arg, int64_t i, int worker) {
  const batch_job *job = arg;
  float *scratch = job->scratch + (size_t)worker * (job->q->a_floats + job->q->b_floats);
  const int64_t end = job->batch * (i + 1) / job->parts;
  for (int64_t j = job->batch * i / job->parts; j < end; j++) {
    const product p = product_at(job->q, job->slots, job->epilogue, j);
    run_product(&p, job->q, scratch, NULL);
  }
}

/* Rows of C and B lie together and everything is so small that all of it is read in place by the caller: the general plan, which would
 * come to the same, takes as long as a product of 16^3. */
static bool run_small(const fh_slot *s, const fh_matmul_epilogue *epilogue) {
  enum { SMALL = 64 }; /* of m, n and k; at 48^3 others begin to help */
  const int64_t m = s[FH_MATMUL_M].i, n = s[FH_MATMUL_N].i, k = s[FH_MATMUL_K].i;
  const fh_slot *sa = s + FH_MATMUL_A_STRIDES, *sb = s + FH_MATMUL_B_STRIDES, *sc = s + FH_MATMUL_C_STRIDES;
  if (s[FH_MATMUL_BATCH].i != 1 || m < 2 || m > SMALL || n < FH_HALF || n > SMALL || k < 1 || k > SMALL) return false;
  if (m * n * k >= WORTH_SHARING || sa[2].i != 1 || sb[2].i != 1 || sc[2].i != 1) return false;
  const product p = {.m = m,
                     .n = n,
                     .k = k,
                     .a = s[FH_MATMUL_A].cp,
                     .b = s[FH_MATMUL_B].cp,
                     .c = s[FH_MATMUL_C].p,
                     .a_row = sa[1].i,
                     .a_col = 1,
                     .b_row = sb[1].i,
                     .b_col = 1,
                     .c_row = sc[1].i,
                     .c_col = 1,
                     .epilogue = epilogue};
  static const plan in_place = {.height = MR};
  pass x = {.p = &p, .q = &in_place, .rows = m, .steps = k, .chunks = 1, .cols = n};
  cut_rows(&x, 1);
  multiply_task(&x, 0, 0);
  return true;
}

void FH_MATMUL_WITH(const fh_slot *slots, const fh_team *team, const fh_matmul_epilogue *epilogue) {
  if (run_small(slots, epilogue)) return;
  const plan q = plan_of(slots);
  if (q.by_batch) {
    const double work = (double)q.batch * (double)q.p.m * (double)q.p.n * (double)q.p.k;
    const bool alone = team->size == 1 || work < WORTH_SHARING;
    batch_job job = {&q, slots, epilogue, team->scratch, q.batch, alone ? 1 : fh_least(q.batch, 8 * (int64_t)team->size)};
    share(team, job.parts, run_part_of_batch, &job);
    return;
  }
  for (int64_t i = 0; i < q.batch; i++) {
    const product p = product_at(&q, slots, epilogue, i);
    if (!run_few(&p, team)) run_product(&p, &q, team->scratch, team);
  }
}

void FH_MATMUL_ENTRY(const fh_slot *slots, const fh_team *team) { FH_MATMUL_WITH(slots, team, NULL); }

size_t FH_MATMUL_SCRATCH(const fh_bound *bound, int team_size) {
  fh_slot slots[FH_MATMUL_SLOTS] = {{0}};
  for (int i = FH_MATMUL_BATCH; i < FH_MATMUL_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  const plan q = plan_of(slots);
  const size_t team = (size_t)team_size, floats = q.by_batch ? (q.a_floats + q.b_floats) * team : q.a_floats + q.b_floats * team;
  return floats * sizeof(float);
}

#endif /* FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_ */
