/* matmul by register tiles: the body shared by matmul_<isa>.c. SPDX-License-Identifier: Apache-2.0
 *
 * Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008, with two changes. Rows are cut
 * into panels of nearly equal height instead of full ones and a rest, so no thin tile is left at the edge. All panels
 * of a block are packed before the multiplication starts, so that its tasks have no order among themselves and any
 * team can share them. Small operands are read in place.
 *
 * Include after one simd_<isa>.h and pack.h, with FH_MATMUL_ENTRY, FH_MATMUL_SCRATCH defined.
 */
#ifndef FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_
#define FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_

#include "kernels/contract.h"
#include "kernels/matmul/matmul.h"

#include <stdlib.h>

enum {
  MR = FH_TILE_ROWS,
  NR = 2 * FH_LANES,
  ROWS_MAX = 2048, /* of A packed at once: 4 MiB */
  COLS_MAX = 4096, /* of B packed at once: 8 MiB */
  TASK_ROWS = 128, /* of A in one task: 256 KiB, a quarter of L2 */
};

/* One product with C as the side whose columns are taken in vectors; a transposed call has A and B exchanged. */
typedef struct product {
  int64_t m, n, k;
  const fh_f32_any *a, *b;
  fh_f32_any *c;
  int64_t a_row, a_col, b_row, b_col, c_row, c_col; /* strides in elements */
} product;

/* ---- the register tile --------------------------------------------------------------------------- */

typedef struct tile {
  const fh_f32_any *a, *b;
  int64_t a_row, a_step, b_step, steps;
  fh_f32_any *c;
  int64_t c_row, c_col;
  int cols;
  bool add; /* to what an earlier pass left in C */
} tile;

/* The sums of a tile that is narrow, added to C, or whose columns lie apart in C. */
static __attribute__((noinline)) void finish(const tile *t, int rows, const float buffer[MR * NR]) {
  for (int r = 0; r < rows; r++, buffer += NR) {
    fh_f32_any *c = t->c + r * t->c_row;
    if (t->c_col != 1) {
      for (int j = 0; j < t->cols; j++) c[j * t->c_col] = t->add ? c[j * t->c_col] + buffer[j] : buffer[j];
      continue;
    }
    for (int j = 0; j < t->cols; j += FH_LANES) {
      int count = fh_tile_min(t->cols - j, FH_LANES);
      fh_vf sum = fh_v_load(buffer + j);
      if (t->add) sum = fh_v_add(fh_v_load_masked(c + j, fh_vm_first(count)), sum);
      fh_v_store_first(c + j, sum, count);
    }
  }
}

/* rows, vectors and packed are constants at every call: what is not needed falls away and the sums stay in registers.
 * Rows of A in place are reached from every third one: five pointers instead of fourteen. */
static inline __attribute__((always_inline)) void multiply(const tile *t, const int rows, const int vectors, const bool packed,
                                                           const bool whole) {
  const int64_t a_row = packed ? 1 : t->a_row, a_step = packed ? rows : t->a_step, b_step = t->b_step;
  const fh_f32_any *a0 = t->a, *a3 = a0 + 3 * a_row, *a6 = a3 + 3 * a_row, *a9 = a6 + 3 * a_row, *a12 = a9 + 3 * a_row;
  const fh_f32_any *b = t->b;
  const fh_vm mask = fh_vm_first(fh_tile_min(t->cols - (vectors - 1) * FH_LANES, FH_LANES));
  /* Columns of C lie lines apart, where no hardware prefetcher sees them coming. */
#define FETCH(r)                                              \
  if (r < rows) {                                             \
    __builtin_prefetch(t->c + r * t->c_row, 1);               \
    __builtin_prefetch(t->c + r * t->c_row + t->cols - 1, 1); \
  }
  if (packed) {
    FH_TILE_EACH_ROW(FETCH)
  }
#undef FETCH
#define ZERO(r) fh_vf sum##r##_0 = fh_v_zero(), sum##r##_1 = fh_v_zero();
  FH_TILE_EACH_ROW(ZERO)
#undef ZERO
  for (int64_t s = t->steps; s > 0; s--) {
    fh_vf b0 = vectors == 2 || whole ? fh_v_load(b) : fh_v_load_masked(b, mask);
    fh_vf b1 = vectors == 1 ? b0 : whole ? fh_v_load(b + FH_LANES) : fh_v_load_masked(b + FH_LANES, mask);
#define STEP(r)                                                                        \
  if (r < rows) {                                                                      \
    const fh_f32_any *base = r < 3 ? a0 : r < 6 ? a3 : r < 9 ? a6 : r < 12 ? a9 : a12; \
    fh_vf x = fh_v_set1(packed ? a0[r] : base[r % 3 * a_row]);                         \
    sum##r##_0 = fh_v_fma(x, b0, sum##r##_0);                                          \
    if (vectors == 2) sum##r##_1 = fh_v_fma(x, b1, sum##r##_1);                        \
  }
    FH_TILE_EACH_ROW(STEP)
#undef STEP
    b += b_step;
    a0 += a_step, a3 += a_step, a6 += a_step, a9 += a_step, a12 += a_step;
  }
#define STORE(r)                                                        \
  if (r < rows) {                                                       \
    fh_v_store(c + r * c_row, sum##r##_0);                              \
    if (vectors == 2) fh_v_store(c + r * c_row + FH_LANES, sum##r##_1); \
  }
  if (t->cols == vectors * FH_LANES && t->c_col == 1 && !t->add) {
    fh_f32_any *c = t->c;
    const int64_t c_row = t->c_row;
    FH_TILE_EACH_ROW(STORE)
    return;
  }
  float c[MR * NR];
  enum { c_row = NR };
  FH_TILE_EACH_ROW(STORE)
#undef STORE
  finish(t, rows, c);
}

/* A packed, or in place; B in whole vectors, or in place with a part of one. */
typedef enum mode { PACKED, WHOLE, PART, MODES } mode;

#define TILE(rows)                                                                \
  static void packed1_##rows(const tile *t) { multiply(t, rows, 1, true, true); } \
  static void packed2_##rows(const tile *t) { multiply(t, rows, 2, true, true); } \
  static void whole1_##rows(const tile *t) { multiply(t, rows, 1, false, true); } \
  static void whole2_##rows(const tile *t) { multiply(t, rows, 2, false, true); } \
  static void part1_##rows(const tile *t) { multiply(t, rows, 1, false, false); } \
  static void part2_##rows(const tile *t) { multiply(t, rows, 2, false, false); }
#define TILE_SET(rows)                                                                               \
  {                                                                                                  \
    {packed1_##rows, packed2_##rows}, {whole1_##rows, whole2_##rows}, { part1_##rows, part2_##rows } \
  }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#if defined(__AVX512F__)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)
#endif

static void (*const tiles[MR][MODES][2])(const tile *) = {
    TILE_SET(1), TILE_SET(2), TILE_SET(3), TILE_SET(4),  TILE_SET(5),  TILE_SET(6),
#if defined(__AVX512F__)
    TILE_SET(7), TILE_SET(8), TILE_SET(9), TILE_SET(10), TILE_SET(11), TILE_SET(12), TILE_SET(13), TILE_SET(14),
#endif
};

/* ---- the plan ------------------------------------------------------------------------------------ */

/* Shared by scratch_bytes and the entry, so that both see the same sizes. */
typedef struct plan {
  product p; /* turned where that is better; pointers unset */
  int64_t batch, batch_a, batch_b, batch_c;
  bool turned, pack_a, pack_b; /* pack_a only with pack_b */
  bool by_batch;               /* one worker per product instead of one team per product */
  int64_t steps, rows, cols;   /* of one block */
  size_t bytes;                /* of scratch for one product at a time */
} plan;

static int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }
/* The largest part of `whole` cut into as few nearly equal parts as `limit` allows. */
static int64_t even_part(int64_t whole, int64_t limit) { return whole <= limit ? whole : divide_up(whole, divide_up(whole, limit)); }

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
  int64_t idle = divide_up(p->n, FH_LANES) * FH_LANES - p->n;
  double scattered = p->c_col == 1 || p->n == 1 ? 0 : (double)p->m * (double)p->n;
  return (double)idle * (double)p->m * (double)p->k / FH_LANES + 2 * scattered;
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
  product other = turned_product(*p);
  q.turned = overhead(&other) < overhead(p);
  if (q.turned) *p = other;
  if (p->n == 1) p->b_col = p->c_col = 1;

  double work = (double)p->m * (double)p->n * (double)p->k;
  q.steps = p->k < FH_MATMUL_STEPS ? p->k : FH_MATMUL_STEPS; /* the order of accumulation, matmul.h */
  q.rows = even_part(p->m, ROWS_MAX);
  q.cols = even_part(p->n, COLS_MAX);
  q.pack_b = p->b_col != 1 || (p->m > 4 * MR && work > 96.0 * 96 * 96);
  q.pack_a = q.pack_b && p->n > NR && p->m > 4 * MR && work > 96.0 * 96 * 96;
  q.by_batch = q.batch > 1 && work <= 256.0 * 256 * 256;
  size_t floats = 0;
  if (q.pack_a) floats += (size_t)(q.rows * q.steps);
  if (q.pack_b) floats += (size_t)(divide_up(q.cols, FH_LANES) * FH_LANES * q.steps);
  q.bytes = (floats * sizeof(float) + 63) & ~(size_t)63;
  return q;
}

/* ---- one product, block by block ------------------------------------------------------------------ */

typedef struct block {
  const product *p;
  const plan *q;
  float *packed_a, *packed_b;
  int64_t row, rows, col, cols, step, steps; /* of C and k */
  int64_t row_panels, col_panels, row_tasks, col_tasks;
} block;

/* Where part i of nearly equal parts begins. */
static int64_t part_start(int64_t whole, int64_t parts, int64_t i) {
  return i == 0 ? 0 : i == parts ? whole : whole / parts * i + (whole % parts) * i / parts;
}

static void pack_panel(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  const product *p = b->p;
  int64_t b_panels = b->q->pack_b ? b->col_panels : 0;
  if (i < b_panels) {
    int cols = fh_tile_min(b->cols - i * NR, NR), width = cols > FH_LANES ? NR : FH_LANES;
    fh_pack(b->packed_b + i * NR * b->steps, width, p->b + b->step * p->b_row + (b->col + i * NR) * p->b_col, p->b_col, p->b_row, cols,
            b->steps);
    return;
  }
  i -= b_panels;
  int64_t first = part_start(b->rows, b->row_panels, i), last = part_start(b->rows, b->row_panels, i + 1);
  fh_pack(b->packed_a + first * b->steps, (int)(last - first), p->a + (b->row + first) * p->a_row + b->step * p->a_col, p->a_row, p->a_col,
          (int)(last - first), b->steps);
}

static void multiply_column(const block *b, int64_t column_panel, int64_t first_panel, int64_t last_panel) {
  const product *p = b->p;
  int64_t col = column_panel * NR;
  tile t = {.a_row = p->a_row, .a_step = p->a_col, .steps = b->steps, .c_row = p->c_row, .c_col = p->c_col, .add = b->step > 0};
  t.cols = fh_tile_min(b->cols - col, NR);
  int vectors = t.cols > FH_LANES ? 2 : 1;
  t.b = b->q->pack_b ? b->packed_b + col * b->steps : p->b + b->step * p->b_row + (b->col + col) * p->b_col;
  mode how = b->q->pack_a ? PACKED : b->q->pack_b || t.cols == vectors * FH_LANES ? WHOLE : PART;
  t.b_step = b->q->pack_b ? vectors * FH_LANES : p->b_row;
  for (int64_t i = first_panel; i < last_panel; i++) {
    int64_t first = part_start(b->rows, b->row_panels, i), last = part_start(b->rows, b->row_panels, i + 1);
    t.a = b->q->pack_a ? b->packed_a + first * b->steps : p->a + (b->row + first) * p->a_row + b->step * p->a_col;
    t.c = p->c + (b->row + first) * p->c_row + (b->col + col) * p->c_col;
    tiles[last - first - 1][how][vectors - 1](&t);
  }
}

static void multiply_task(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  int64_t row_task = i % b->row_tasks, col_task = i / b->row_tasks;
  int64_t first = part_start(b->row_panels, b->row_tasks, row_task), last = part_start(b->row_panels, b->row_tasks, row_task + 1);
  int64_t end = part_start(b->col_panels, b->col_tasks, col_task + 1);
  for (int64_t j = part_start(b->col_panels, b->col_tasks, col_task); j < end; j++) multiply_column(b, j, first, last);
}

/* Below this many multiplications waking a worker costs more than it brings. */
static const double worth_sharing = 48.0 * 48 * 48;

static void share(const fh_team *team, bool small, int64_t count, void (*body)(void *, int64_t, int), void *arg) {
  if (count > 1 && team && !small) {
    team->parallel(team, count, body, arg);
    return;
  }
  for (int64_t i = 0; i < count; i++) body(arg, i, 0);
}

/* Rows of A in tasks that leave A in L2; columns cut until every worker has a few tasks to choose from. */
static void cut_tasks(block *b, int workers) {
  b->row_panels = divide_up(b->rows, MR);
  b->col_panels = divide_up(b->cols, NR);
  b->row_tasks = divide_up(b->rows, TASK_ROWS);
  b->col_tasks = 1;
  if (workers == 1) return;
  int64_t wanted = divide_up(4 * (int64_t)workers, b->row_tasks);
  b->col_tasks = wanted < b->col_panels ? wanted : b->col_panels;
  if (b->row_tasks * b->col_tasks < workers) b->row_tasks = b->row_panels < 2 * workers ? b->row_panels : 2 * workers;
}

static void run_block(block *b, const fh_team *team) {
  bool small = (double)b->rows * (double)b->cols * (double)b->steps < worth_sharing;
  cut_tasks(b, team && !small ? team->size : 1);
  int64_t panels = (b->q->pack_b ? b->col_panels : 0) + (b->q->pack_a ? b->row_panels : 0);
  share(team, small, panels, pack_panel, b);
  share(team, small, b->row_tasks * b->col_tasks, multiply_task, b);
}

static void run_product(const product *p, const plan *q, void *scratch, const fh_team *team) {
  block b = {.p = p, .q = q, .packed_a = scratch};
  b.packed_b = b.packed_a + (q->pack_a ? q->rows * q->steps : 0);
  for (b.col = 0; b.col < p->n; b.col += q->cols) {
    b.cols = p->n - b.col < q->cols ? p->n - b.col : q->cols;
    b.step = 0;
    do { /* once even for k = 0, which gives zeros */
      b.steps = p->k - b.step < q->steps ? p->k - b.step : q->steps;
      for (b.row = 0; b.row < p->m; b.row += q->rows) {
        b.rows = p->m - b.row < q->rows ? p->m - b.row : q->rows;
        run_block(&b, team);
      }
      b.step += b.steps;
    } while (b.step < p->k);
  }
}

/* ---- the entry ----------------------------------------------------------------------------------- */

static product product_at(const plan *q, const fh_slot *s, int64_t i) {
  const fh_f32_any *a = (const fh_f32_any *)s[FH_MATMUL_A].cp + i * q->batch_a, *b = (const fh_f32_any *)s[FH_MATMUL_B].cp + i * q->batch_b;
  product p = q->p;
  p.a = q->turned ? b : a;
  p.b = q->turned ? a : b;
  p.c = (fh_f32_any *)s[FH_MATMUL_C].p + i * q->batch_c;
  return p;
}

typedef struct batch_job {
  const plan *q;
  const fh_slot *slots;
  char *scratch;
} batch_job;

static void run_one_of_batch(void *arg, int64_t i, int worker) {
  const batch_job *job = arg;
  product p = product_at(job->q, job->slots, i);
  run_product(&p, job->q, job->scratch + (size_t)worker * job->q->bytes, NULL);
}

void FH_MATMUL_ENTRY(const fh_slot *slots, const fh_team *team) {
  plan q = plan_of(slots);
  if (q.by_batch) {
    batch_job job = {&q, slots, team->scratch};
    double work = (double)q.batch * (double)q.p.m * (double)q.p.n * (double)q.p.k;
    share(team, work < worth_sharing, q.batch, run_one_of_batch, &job);
    return;
  }
  for (int64_t i = 0; i < q.batch; i++) {
    product p = product_at(&q, slots, i);
    run_product(&p, &q, team->scratch, team);
  }
}

size_t FH_MATMUL_SCRATCH(const fh_bound *bound, int team_size) {
  fh_slot slots[FH_MATMUL_SLOTS] = {{0}};
  for (int i = FH_MATMUL_BATCH; i < FH_MATMUL_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  plan q = plan_of(slots);
  return q.by_batch ? q.bytes * (size_t)team_size : q.bytes;
}

#endif /* FOGHORN_KERNELS_MATMUL_MATMUL_TILE_H_ */
