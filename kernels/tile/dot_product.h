/* Matrix products of narrow types by dot products of words: the body shared by matmul_bf16 and matmul_i8.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A word is 4 bytes: FH_GROUP neighbours in k of one row of A or one column of B. Four ways, by shape and layout:
 *   tiles   register tiles over panels of 32 columns, as Goto and van de Geijn (2008). Few rows: each worker packs some panels and uses
 *           them at once, while they are in L2. Many rows: all panels of a block are packed first.
 *   packed  the same on weights that were packed by the caller: B is not touched before it is multiplied.
 *   dots    k lies together in both operands and one of them is small: vectors run along k, nothing is packed.
 *   strips  up to FH_DOT_STRIP_ROWS rows, and B lies row by row: its rows are read once, in long pieces, woven into words in registers.
 *
 * Include after one simd_<isa>.h, with FH_ELEMENT (bytes), FH_DOT_ENTRY, FH_DOT_SCRATCH, FH_DOT_VECTORS (1 or 2) and
 * FH_DOT_ROWS with FH_DOT_EACH_ROW(DO), FH_DOT_TILES(DO) and FH_DOT_TILE_SETS, FH_DOT_SUMS (of a tile along k, 4 or 16) and FH_DOT_MOST
 * (lines of a side that is small) defined, and
 *   dot_sum             sums of FH_LANES columns; dot_zero()
 *   dot_words           FH_LANES words of A; dot_spread(raw)
 *   dot_weights         FH_LANES words of B; dot_split(raw)
 *   dot_step(sum, words, weights), dot_result(sum) -> FH_LANES values, dot_store(p, sum) of them, dot_add(a, b) of such values,
 *   dot_broadcast(word) one word of A for all lanes, a dot_words; with FH_DOT_BY_ELEMENT a type of its own, dot_word, for
 *                       dot_step_by(sum, word, weights)
 * dot_join(quarters, v): words v * FH_LANES on of four registers of 8. Raw words and values have the type fh_vf.
 *
 * FH_DOT_BIASED: weights of bytes are multiplied as b + 128, so that both sides are unsigned. What that adds to a sum depends on its row of
 * A alone, 128 sum_l a[i,l], and is taken off where the sum begins: dot_start(value) gives a dot_sum, dot_bytes(p, count) adds bytes up.
 */
#ifndef FOGHORN_KERNELS_TILE_DOT_PRODUCT_H_
#define FOGHORN_KERNELS_TILE_DOT_PRODUCT_H_

#include "kernels/product.h"
#include "kernels/tile/pack_words.h"

#ifndef FH_DOT_BY_ELEMENT
typedef dot_words dot_word;
static inline dot_sum dot_step_by(dot_sum sum, dot_word x, dot_weights w) { return dot_step(sum, x, w); }
#endif

/* Rows of a strip, whose sums stay in registers. Eight against packing panels (Zen 4): 4096 x 4096 of bf16 in 0.44 of the time, of bytes in
 * 0.39, 1024 x 1024 in 0.9; strips of 512 columns took 1.6 times as long as of 2048. */
#if defined(__AVX512F__)
#define FH_DOT_STRIP_ROWS 8
#else
#define FH_DOT_STRIP_ROWS 4
#endif

enum {
  NR = FH_DOT_VECTORS * FH_LANES,
  STEPS_MAX = 512,       /* groups of one pass: a panel is 64 KiB */
  STEPS_MAX_FEW = 4096,  /* the same with few rows: C is not read again */
  ROWS_MAX = 2048,       /* of A packed at once: 4 MiB */
  PANELS_MAX = 128,      /* of B packed at once: 8 MiB */
  TASK_ROWS = 128,       /* of A in one task: 256 KiB, a quarter of L2 */
  STRIP_BYTES = 1 << 19, /* of panels that a worker packs for itself: half of L2 */
  STRIP_COLUMNS = 2048,  /* of rows that are read once */
  STRIP_ROWS = FH_DOT_STRIP_ROWS,
  STRIP_GROUPS = 4, /* of k that are added to the sums at once */
  DOT_SIDE = 4,     /* an operand of so few lines is copied where its elements lie apart */
};

/* ---- the call ------------------------------------------------------------------------------------ */

typedef enum way { TILES, PACKED, DOTS, STRIPS } way;

typedef struct plan {
  fh_product p;
  const char *a, *b; /* of one product; unset in a plan */
  char *c;
  way how;
  bool few;              /* TILES: panels are packed by the worker that uses them */
  bool pack_a, by_batch; /* by_batch: one worker per product */
  int64_t groups;        /* whole ones of k */
  int tail;              /* elements of a last group that is not whole */
  int64_t steps;         /* groups of one pass, the partial one included */
  int64_t rows, panels, strip_panels;
  size_t shared, own;       /* bytes of scratch: for all, for each worker */
  size_t starts, panels_at; /* where in it sums begin, and packed B */
} plan;

/* The largest part of `whole` cut into as few nearly equal parts as `limit` allows. */
static int64_t even_part(int64_t whole, int64_t limit) { return whole <= limit ? whole : fh_divide_up(whole, fh_divide_up(whole, limit)); }
static size_t line_up(int64_t bytes) { return ((size_t)bytes + 63) & ~(size_t)63; }

static bool b_runs_along_k(const fh_product *p) { return p->k == 1 || (p->b[4] == 1 && (p->b[3] == FH_GROUP || p->k <= FH_GROUP)); }

/* B has one distance between neighbours in k and one between columns: it is not packed. */
static bool b_is_plain(const fh_product *p) {
  return (p->k <= FH_GROUP || p->b[3] == FH_GROUP * p->b[4]) && (p->n <= FH_PANEL || p->b[1] == FH_PANEL * p->b[2]);
}

static bool dots_fit(const fh_product *p) {
  const bool a_along = p->a[2] == 1 || p->k == 1, b_along = b_runs_along_k(p);
  if (!b_is_plain(p)) return false;
  /* Packing a B of few columns costs nothing beside the product: tiles, unless they would be mostly empty. */
  if (a_along && b_along) return p->m <= FH_DOT_MOST || p->n <= FH_DOT_MOST / 2;
  return (a_along && p->n <= DOT_SIDE) || (b_along && p->m <= DOT_SIDE);
}

static plan plan_of(const fh_slot *s) {
  plan q = {.p = {.batch = s[FH_PRODUCT_BATCH].i, .m = s[FH_PRODUCT_M].i, .n = s[FH_PRODUCT_N].i, .k = s[FH_PRODUCT_K].i}};
  fh_product *p = &q.p;
  for (int i = 0; i < 3; i++) p->a[i] = s[FH_PRODUCT_A_STRIDES + i].i, p->c[i] = s[FH_PRODUCT_C_STRIDES + i].i;
  for (int i = 0; i < 5; i++) p->b[i] = s[FH_PRODUCT_B_STRIDES + i].i;
  const int64_t words = fh_divide_up(p->k, FH_GROUP);
  q.groups = p->k / FH_GROUP;
  q.tail = (int)(p->k % FH_GROUP);
  /* One group alone does not tell packed weights from a plain (n, k) that ends early. */
  const bool packed = words > 1 && p->b[4] == 1 && p->b[3] == FH_PANEL * FH_GROUP && p->b[2] == FH_GROUP;
  const bool row_major = p->b[2] == 1 && b_is_plain(p);
  q.how = packed ? PACKED : dots_fit(p) ? DOTS : row_major && p->m <= STRIP_ROWS && p->n >= FH_PANEL ? STRIPS : TILES;
  q.by_batch = p->batch > 1 && (double)p->m * (double)p->n * (double)p->k <= 512.0 * 512 * 256;
  if (q.how == DOTS) {
    q.own = line_up((fh_least(p->m, DOT_SIDE) + fh_least(p->n, DOT_SIDE)) * words * 4); /* both, though one is copied at most */
    return q;
  }
  if (q.how == STRIPS) {
    q.own = STRIP_ROWS * STRIP_COLUMNS * sizeof(float);
    return q;
  }
  q.few = p->m <= TASK_ROWS;
  q.steps = even_part(words, p->m <= FH_DOT_ROWS ? STEPS_MAX_FEW : STEPS_MAX);
  q.rows = even_part(p->m, ROWS_MAX);
  q.panels = fh_divide_up(p->n, FH_PANEL);
  q.pack_a = (p->a[2] != 1 && p->k > 1) || (p->m > 1 && p->n > 4 * FH_PANEL);
  q.strip_panels = fh_least(8, 1 + STRIP_BYTES / (q.steps * 4 * FH_PANEL + 1));
  if (q.pack_a) q.shared += line_up(q.rows * q.steps * 4);
  q.starts = q.shared;
#if FH_DOT_BIASED
  q.shared += line_up(q.rows * 4);
#endif
  q.panels_at = q.shared;
  if (q.how == TILES && !q.few) {
    q.panels = even_part(q.panels, PANELS_MAX);
    q.shared += line_up(q.panels * q.steps * 4 * FH_PANEL);
  } else if (q.how == TILES) {
    q.own = line_up(q.strip_panels * q.steps * 4 * FH_PANEL);
  }
  return q;
}

/* Below this many multiplications waking a worker costs more than it brings. */
static const double worth_sharing = 64.0 * 64 * 64;

static void share(const fh_team *team, double work, int64_t count, void (*body)(void *, int64_t, int), void *arg) {
  if (count > 1 && team && team->size > 1 && work >= worth_sharing) {
    team->parallel(team, count, body, arg);
    return;
  }
  for (int64_t i = 0; i < count; i++) body(arg, i, 0);
}

static inline __attribute__((always_inline)) int32_t word_at(const char *p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* ---- where sums begin ------------------------------------------------------------------------------ */

#if FH_DOT_BIASED
/* Of rows of A with strides in elements, for `depth` of k: a row's sums begin with -128 times the sum of its elements. */
static void find_starts(const char *a, int64_t row, int64_t col, int64_t rows, int64_t depth, int32_t *starts) {
  for (int64_t i = 0; i < rows; i++, a += row) {
    uint32_t sum = 0;
    if (col == 1)
      sum = dot_bytes(a, depth);
    else
      for (int64_t l = 0; l < depth; l++) sum += (unsigned char)a[l * col];
    starts[i] = (int32_t)(0 - 128 * sum);
  }
}
#endif

/* ---- writing C ----------------------------------------------------------------------------------- */

/* `cols` values of a row of C, stored or added to what is there. */
static inline void put_values(char *to, int64_t stride, const float *values, int cols, bool add) {
  fh_f32_any *c = (fh_f32_any *)(void *)to;
  for (int j = 0; j < cols; j += FH_LANES) {
    const int count = (int)fh_least(cols - j, FH_LANES);
    fh_vf v = fh_v_load(values + j);
    if (stride == 1) {
      if (add) v = dot_add(fh_v_load_masked(c + j, fh_vm_first(count)), v);
      fh_v_store_first(c + j, v, count);
      continue;
    }
    float lanes[FH_LANES] = {0};
    for (int l = 0; add && l < count; l++) memcpy(&lanes[l], c + (j + l) * stride, sizeof *lanes);
    fh_v_store(lanes, add ? dot_add(fh_v_load(lanes), v) : v);
    for (int l = 0; l < count; l++) memcpy(c + (j + l) * stride, &lanes[l], sizeof *lanes);
  }
}

/* ---- the register tile --------------------------------------------------------------------------- */

typedef struct tile {
  const char *a;
  int64_t a_row;    /* bytes between rows that are read in place */
  const int32_t *b; /* lines of FH_PANEL words */
  int64_t groups;
  const int32_t *last; /* one more group, elsewhere in B and the next in packed A; NULL: none */
  char *c;
  int64_t c_row, c_col;
  int cols;
  bool add;              /* to what an earlier pass left in C */
  const int32_t *starts; /* of its rows; NULL: zeros */
} tile;

static inline __attribute__((always_inline)) dot_sum first_sum(const tile *t, int r, int rows) {
#if FH_DOT_BIASED
  if (r < rows && t->starts) return dot_start(t->starts[r]);
#endif
  (void)t, (void)r, (void)rows;
  return dot_zero();
}

static __attribute__((noinline)) void finish(const tile *t, int rows, const float buffer[FH_DOT_ROWS * NR]) {
  for (int r = 0; r < rows; r++) put_values(t->c + 4 * r * t->c_row, t->c_col, buffer + r * NR, t->cols, t->add);
}

/* rows, vectors and packed are constants at every call. Rows in place are reached from every third one, to save pointers. */
static inline __attribute__((always_inline)) void multiply(const tile *t, const int rows, const int vectors, const bool packed) {
  const int64_t a_row = t->a_row, a_step = packed ? 4 * rows : 4;
  const char *a0 = t->a, *a3 = a0 + 3 * a_row, *a6 = a3 + 3 * a_row, *a9 = a6 + 3 * a_row, *a12 = a9 + 3 * a_row;
  const int32_t *b = t->b;
#define PLACE(r) (packed ? a0 + 4 * (r) : (r < 3 ? a0 : r < 6 ? a3 : r < 9 ? a6 : r < 12 ? a9 : a12) + r % 3 * a_row)
#define START(r) dot_sum sum##r##_0 = first_sum(t, r, rows), sum##r##_1 = sum##r##_0;
  FH_DOT_EACH_ROW(START)
#undef START
#define STEP(r)                                                    \
  if (r < rows) {                                                  \
    const dot_word x = dot_broadcast(word_at(PLACE(r)));           \
    sum##r##_0 = dot_step_by(sum##r##_0, x, b0);                   \
    if (vectors == 2) sum##r##_1 = dot_step_by(sum##r##_1, x, b1); \
  }
  const int32_t *last = packed ? t->last : NULL;
  for (int64_t s = t->groups;; s = 1, b = last, last = NULL) {
    for (; s > 0; s--) {
      const dot_weights b0 = dot_split(fh_v_load(b)), b1 = vectors == 2 ? dot_split(fh_v_load(b + FH_LANES)) : b0;
      FH_DOT_EACH_ROW(STEP)
      b += FH_PANEL;
      a0 += a_step, a3 += a_step, a6 += a_step, a9 += a_step, a12 += a_step;
    }
    if (!last) break;
  }
#undef STEP
#undef PLACE
#define STORE(r)                                                       \
  if (r < rows) {                                                      \
    dot_store(c + r * c_row, sum##r##_0);                              \
    if (vectors == 2) dot_store(c + r * c_row + FH_LANES, sum##r##_1); \
  }
  if (t->cols == vectors * FH_LANES && t->c_col == 1 && !t->add) {
    fh_f32_any *c = (fh_f32_any *)(void *)t->c;
    const int64_t c_row = t->c_row;
    FH_DOT_EACH_ROW(STORE)
    return;
  }
  float c[FH_DOT_ROWS * NR];
  enum { c_row = NR };
  FH_DOT_EACH_ROW(STORE)
#undef STORE
  finish(t, rows, c);
}

#if FH_DOT_VECTORS == 2
#define TILE(rows)                                                          \
  static void place1_##rows(const tile *t) { multiply(t, rows, 1, false); } \
  static void place2_##rows(const tile *t) { multiply(t, rows, 2, false); } \
  static void packed1_##rows(const tile *t) { multiply(t, rows, 1, true); } \
  static void packed2_##rows(const tile *t) { multiply(t, rows, 2, true); }
#define TILE_SET(rows)                                                 \
  {                                                                    \
    {place1_##rows, place2_##rows}, { packed1_##rows, packed2_##rows } \
  }
#else
#define TILE(rows)                                                          \
  static void place1_##rows(const tile *t) { multiply(t, rows, 1, false); } \
  static void packed1_##rows(const tile *t) { multiply(t, rows, 1, true); }
#define TILE_SET(rows)                  \
  {                                     \
    {place1_##rows}, { packed1_##rows } \
  }
#endif
FH_DOT_TILES(TILE)
static void (*const tiles[FH_DOT_ROWS][2][FH_DOT_VECTORS])(const tile *) = {FH_DOT_TILE_SETS};

/* ---- tiles: one block of C and k ----------------------------------------------------------------- */

typedef struct block {
  const plan *q;
  int32_t *packed_a, *packed_b;
  int32_t *starts; /* of the block's rows, for this pass; NULL: zeros */
  char *own;
  int64_t row, rows, panel, panels, step, steps; /* steps: whole groups of this pass */
  int tail;
  int64_t row_panels, row_tasks, col_tasks;
} block;

/* Elements of k in this pass. */
static int64_t depth_of(const block *b) { return b->steps * FH_GROUP + b->tail; }
static int64_t words_of(const block *b) { return b->steps + (b->tail > 0); }

static void pack_a_panel(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  const fh_product *p = &b->q->p;
  const int64_t first = fh_part_start(b->rows, b->row_panels, i), last = fh_part_start(b->rows, b->row_panels, i + 1);
  const char *from = b->q->a + ((b->row + first) * p->a[1] + b->step * FH_GROUP * p->a[2]) * FH_ELEMENT;
  fh_pack_words(b->packed_a + first * words_of(b), (int)(last - first), from, p->a[1] * FH_ELEMENT, p->a[2] * FH_ELEMENT,
                (int)(last - first), depth_of(b));
}

/* Panel `panel` of B, counted from the first column of all, for this pass. Plain or packed strides; what lies past n is zero. */
static void pack_b_panel(const block *b, int64_t panel, int32_t *to) {
  const fh_product *p = &b->q->p;
  const int cols = (int)fh_least(p->n - panel * FH_PANEL, FH_PANEL);
  const char *from = b->q->b + (panel * p->b[1] + b->step * p->b[3]) * FH_ELEMENT;
  if (p->k <= FH_GROUP || p->b[3] == FH_GROUP * p->b[4]) { /* elements at even distances */
    fh_pack_words(to, FH_PANEL, from, p->b[2] * FH_ELEMENT, p->b[4] * FH_ELEMENT, cols, depth_of(b));
    return;
  }
  for (int64_t g = 0; g < words_of(b); g++)
    fh_pack_words_gather((char *)(to + g * FH_PANEL), FH_PANEL, from + g * p->b[3] * FH_ELEMENT, p->b[2] * FH_ELEMENT, p->b[4] * FH_ELEMENT,
                         cols, g < b->steps ? FH_GROUP : b->tail);
}

/* The words that hold what is left of k behind the whole groups: what lies past k in either operand is nobody's. */
static void end_of_k(const block *b, const tile *t, int rows, int32_t *words_of_a, int32_t *words_of_b) {
  const size_t bytes = (size_t)b->tail * FH_ELEMENT;
  memset(words_of_a, 0, (size_t)rows * 4);
  memset(words_of_b, 0, NR * 4);
  for (int r = 0; r < rows; r++) memcpy(&words_of_a[r], t->a + r * t->a_row + 4 * b->steps, bytes);
  for (int j = 0; j < NR; j++) memcpy(&words_of_b[j], t->b + b->steps * FH_PANEL + j, bytes);
}

static void multiply_panel(const block *b, int64_t panel, const int32_t *weights, int64_t first_panel, int64_t last_panel) {
  const fh_product *p = &b->q->p;
  /* Where both operands were packed here, the last group is filled up with zeros and is like the others; in weights that the caller
   * packed, what lies past k is nobody's. */
  const bool filled = b->q->pack_a && b->q->how == TILES, end_apart = b->q->pack_a && !filled && b->tail > 0;
  int32_t ends[FH_PANEL] = {0};
  for (int j = 0; end_apart && j < FH_PANEL; j++) memcpy(&ends[j], weights + b->steps * FH_PANEL + j, (size_t)b->tail * FH_ELEMENT);
  tile t = {.a_row = p->a[1] * FH_ELEMENT, .c_row = p->c[1], .c_col = p->c[2]};
  const int64_t cols = fh_least(p->n - panel * FH_PANEL, FH_PANEL);
  if (p->n == 1) t.c_col = 1;
  for (int64_t at = 0; at < cols; at += NR) {
    t.cols = (int)fh_least(cols - at, NR);
    t.b = weights + at;
    const int vectors = t.cols > FH_LANES ? 2 : 1;
    for (int64_t i = first_panel; i < last_panel; i++) {
      const int64_t first = fh_part_start(b->rows, b->row_panels, i), rows = fh_part_start(b->rows, b->row_panels, i + 1) - first;
      t.a = b->q->pack_a ? (const char *)(b->packed_a + first * words_of(b))
                         : b->q->a + ((b->row + first) * p->a[1] + b->step * FH_GROUP * p->a[2]) * FH_ELEMENT;
      t.c = b->q->c + 4 * ((b->row + first) * p->c[1] + (panel * FH_PANEL + at) * p->c[2]);
      t.groups = filled ? words_of(b) : b->steps;
      t.last = end_apart ? ends + at : NULL;
      t.add = b->step > 0;
      t.starts = b->starts ? b->starts + first : NULL;
      tiles[rows - 1][b->q->pack_a][vectors - 1](&t);
      if (b->q->pack_a || !b->tail) continue;
      int32_t words_of_a[FH_DOT_ROWS], words_of_b[NR];
      tile end = t;
      end_of_k(b, &t, (int)rows, words_of_a, words_of_b);
      end.a = (const char *)words_of_a, end.b = words_of_b, end.groups = 1, end.add = true, end.starts = NULL;
      tiles[rows - 1][1][vectors - 1](&end);
    }
  }
}

#if FH_DOT_BIASED
static void start_panel(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  const fh_product *p = &b->q->p;
  const int64_t first = fh_part_start(b->rows, b->row_panels, i), last = fh_part_start(b->rows, b->row_panels, i + 1);
  find_starts(b->q->a + (b->row + first) * p->a[1] + b->step * FH_GROUP * p->a[2], p->a[1], p->a[2], last - first, depth_of(b),
              b->starts + first);
}
#endif

/* Several panels side by side, so that rows of B are read in longer pieces. */
static void pack_b_panels(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  const int64_t last = fh_part_start(b->panels, b->col_tasks, i + 1);
  for (int64_t j = fh_part_start(b->panels, b->col_tasks, i); j < last; j++)
    pack_b_panel(b, b->panel + j, b->packed_b + j * words_of(b) * FH_PANEL);
}

static void multiply_task(void *arg, int64_t i, int worker) {
  (void)worker;
  const block *b = arg;
  const plan *q = b->q;
  const int64_t row_task = i % b->row_tasks, col_task = i / b->row_tasks;
  const int64_t first = fh_part_start(b->row_panels, b->row_tasks, row_task),
                last = fh_part_start(b->row_panels, b->row_tasks, row_task + 1);
  const int64_t end = fh_part_start(b->panels, b->col_tasks, col_task + 1);
  for (int64_t j = fh_part_start(b->panels, b->col_tasks, col_task); j < end; j++) {
    const int64_t panel = b->panel + j;
    const int32_t *weights = q->how == PACKED
                                 ? (const int32_t *)(const void *)(q->b + (panel * q->p.b[1] + b->step * q->p.b[3]) * FH_ELEMENT)
                                 : b->packed_b + j * words_of(b) * FH_PANEL;
    multiply_panel(b, panel, weights, first, last);
  }
}

static void strip_task(void *arg, int64_t i, int worker) {
  const block *b = arg;
  int32_t *weights = (int32_t *)(void *)(b->own + (size_t)worker * b->q->own);
  const int64_t first = fh_part_start(b->panels, b->col_tasks, i), last = fh_part_start(b->panels, b->col_tasks, i + 1);
  for (int64_t j = first; j < last; j++) pack_b_panel(b, b->panel + j, weights + (j - first) * words_of(b) * FH_PANEL);
  for (int64_t j = first; j < last; j++) multiply_panel(b, b->panel + j, weights + (j - first) * words_of(b) * FH_PANEL, 0, b->row_panels);
}

static void run_block(block *b, const fh_team *team) {
  const plan *q = b->q;
  const double work = (double)b->rows * (double)b->panels * FH_PANEL * (double)depth_of(b);
  const int workers = team && work >= worth_sharing ? team->size : 1;
  b->row_panels = fh_divide_up(b->rows, FH_DOT_ROWS);
  if (q->pack_a) share(team, work, b->row_panels, pack_a_panel, b);
#if FH_DOT_BIASED
  share(team, work, b->row_panels, start_panel, b);
#endif
  if (q->how == TILES && q->few) {
    b->col_tasks = fh_divide_up(b->panels, q->strip_panels);
    if (workers > 1 && b->col_tasks < 4 * workers) b->col_tasks = fh_least(b->panels, 4 * (int64_t)workers);
    share(team, work, b->col_tasks, strip_task, b);
    return;
  }
  if (q->how == TILES) {
    b->col_tasks = fh_divide_up(b->panels, 8);
    share(team, work, b->col_tasks, pack_b_panels, b);
  }
  b->row_tasks = fh_divide_up(b->rows, TASK_ROWS);
  b->col_tasks = workers == 1 ? 1 : fh_least(b->panels, fh_divide_up(4 * (int64_t)workers, b->row_tasks));
  share(team, work, b->row_tasks * b->col_tasks, multiply_task, b);
}

static void run_tiles(const plan *q, char *scratch, const fh_team *team) {
  const int64_t all = fh_divide_up(q->p.n, FH_PANEL), words = q->groups + (q->tail > 0);
  block b = {
      .q = q, .packed_a = (int32_t *)(void *)scratch, .packed_b = (int32_t *)(void *)(scratch + q->panels_at), .own = scratch + q->shared};
#if FH_DOT_BIASED
  b.starts = (int32_t *)(void *)(scratch + q->starts);
#endif
  for (b.panel = 0; b.panel < all; b.panel += q->panels) {
    b.panels = fh_least(all - b.panel, q->panels);
    b.step = 0;
    do { /* once even for k = 0, which gives zeros */
      const bool ends = words - b.step <= q->steps;
      b.tail = ends ? q->tail : 0;
      b.steps = ends ? q->groups - b.step : q->steps;
      for (b.row = 0; b.row < q->p.m; b.row += q->rows) {
        b.rows = fh_least(q->p.m - b.row, q->rows);
        run_block(&b, team);
      }
      b.step += q->steps;
    } while (b.step < words);
  }
}

/* ---- dots: vectors along k ------------------------------------------------------------------------ */

typedef struct lines {
  const char *a, *b;
  int64_t a_row, b_row; /* bytes between lines */
} lines;

/* Dot products of rows and columns over whole vectors; at most FH_LANES of them, both constants at every call. */
static inline __attribute__((always_inline)) void dot_tile(const lines *d, int64_t bytes, const int rows, const int cols, float *out) {
  dot_sum sum[FH_LANES];
#pragma GCC unroll 16
  for (int i = 0; i < rows * cols; i++) sum[i] = dot_zero();
  for (int64_t at = 0; at + FH_VECTOR_BYTES <= bytes; at += FH_VECTOR_BYTES) {
    dot_weights w[FH_LANES];
#pragma GCC unroll 16
    for (int j = 0; j < cols; j++) w[j] = dot_split(fh_v_load(d->b + j * d->b_row + at));
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      const dot_words x = dot_spread(fh_v_load(d->a + i * d->a_row + at));
#pragma GCC unroll 16
      for (int j = 0; j < cols; j++) sum[i * cols + j] = dot_step(sum[i * cols + j], x, w[j]);
    }
  }
  fh_vf v[FH_LANES];
#pragma GCC unroll 16
  for (int i = 0; i < FH_LANES; i++) v[i] = i < rows * cols ? dot_result(sum[i]) : fh_v_zero();
  fh_v_transpose(v);
  for (int half = FH_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] = dot_add(v[i], v[i + half]);
  fh_v_store(out, v[0]);
}

/* By the logarithms of rows and columns; no more sums than the register file holds. */
#define DOT_TILE(rows, cols) \
  static void dots_##rows##_##cols(const lines *d, int64_t bytes, float *out) { dot_tile(d, bytes, rows, cols, out); }
DOT_TILE(1, 1)
DOT_TILE(1, 2)
DOT_TILE(1, 4)
DOT_TILE(2, 1)
DOT_TILE(2, 2)
DOT_TILE(4, 1)
#if FH_DOT_SUMS == 16
DOT_TILE(1, 8)
DOT_TILE(2, 4)
DOT_TILE(2, 8)
DOT_TILE(4, 2)
DOT_TILE(4, 4)
static void (*const dot_tiles[3][4])(const lines *, int64_t, float *) = {
    {dots_1_1, dots_1_2, dots_1_4, dots_1_8}, {dots_2_1, dots_2_2, dots_2_4, dots_2_8}, {dots_4_1, dots_4_2, dots_4_4, NULL}};
#else
static void (*const dot_tiles[3][4])(const lines *, int64_t, float *) = {
    {dots_1_1, dots_1_2, dots_1_4, NULL}, {dots_2_1, dots_2_2, NULL, NULL}, {dots_4_1, NULL, NULL, NULL}};
#endif

/* The largest logarithm with 2^l <= both. */
static int log_below(int64_t left, int most) {
  int l = 0;
  while (2 << l <= most && 2 << l <= left) l++;
  return l;
}

/* Adds what is left of the lines behind the whole vectors. */
static void add_end(const lines *d, int64_t bytes, int64_t rows, int64_t cols, void (*dots)(const lines *, int64_t, float *),
                    float *values) {
  const int64_t done = bytes / FH_VECTOR_BYTES * FH_VECTOR_BYTES;
  char ends[FH_LANES + 4][FH_VECTOR_BYTES];
  memset(ends, 0, (size_t)(rows + cols) * FH_VECTOR_BYTES);
  for (int64_t i = 0; i < rows; i++) memcpy(ends[i], d->a + i * d->a_row + done, (size_t)(bytes - done));
  for (int64_t j = 0; j < cols; j++) memcpy(ends[rows + j], d->b + j * d->b_row + done, (size_t)(bytes - done));
  float more[FH_LANES];
  dots(&(lines){ends[0], ends[rows], FH_VECTOR_BYTES, FH_VECTOR_BYTES}, FH_VECTOR_BYTES, more);
  fh_v_store(values, dot_add(fh_v_load(values), fh_v_load(more)));
}

#if FH_DOT_BIASED
static void add_start(float *value, int32_t start) {
  uint32_t bits;
  memcpy(&bits, value, sizeof bits);
  bits += (uint32_t)start;
  memcpy(value, &bits, sizeof bits);
}
#endif

/* starts: of the rows from row0 on; not looked at unless FH_DOT_BIASED. */
static void dots_block(const plan *q, const lines *all, int64_t row0, int64_t row1, int64_t col0, int64_t col1, const int32_t *starts) {
  const fh_product *p = &q->p;
  const int64_t bytes = p->k * FH_ELEMENT;
  (void)starts;
  for (int64_t i = row0, rows; i < row1; i += rows) {
    const int log_rows = log_below(row1 - i, 4);
    rows = 1 << log_rows;
    for (int64_t j = col0, cols; j < col1; j += cols) {
      const int log_cols = log_below(col1 - j, FH_DOT_SUMS == 16 && rows < 4 ? 8 : FH_DOT_SUMS >> log_rows);
      cols = 1 << log_cols;
      const lines d = {all->a + i * all->a_row, all->b + j * all->b_row, all->a_row, all->b_row};
      float values[FH_LANES];
      dot_tiles[log_rows][log_cols](&d, bytes, values);
      if (bytes % FH_VECTOR_BYTES) add_end(&d, bytes, rows, cols, dot_tiles[log_rows][log_cols], values);
#if FH_DOT_BIASED
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) add_start(&values[r * cols + c], starts[i + r - row0]);
#endif
      for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
          memcpy(q->c + 4 * ((i + r) * p->c[1] + (j + c) * p->c[2]), &values[r * cols + c], sizeof *values);
    }
  }
}

typedef struct dots_job {
  const plan *q;
  lines all;
  int64_t parts;
} dots_job;

/* A part of the longer side, a few lines at a time against all of the shorter one. */
static void dots_task(void *arg, int64_t part, int worker) {
  (void)worker;
  const dots_job *job = arg;
  const fh_product *p = &job->q->p;
  const bool by_rows = p->m > p->n;
  const int64_t whole = by_rows ? p->m : p->n, stop = fh_part_start(whole, job->parts, part + 1);
  int32_t starts[FH_DOT_MOST] = {0};
#if FH_DOT_BIASED
  if (!by_rows) find_starts(job->all.a, job->all.a_row, 1, p->m, p->k, starts);
#endif
  for (int64_t at = fh_part_start(whole, job->parts, part), next; at < stop; at = next) {
    next = fh_least(at + 8, stop);
#if FH_DOT_BIASED
    if (by_rows) find_starts(job->all.a + at * job->all.a_row, job->all.a_row, 1, next - at, p->k, starts);
#endif
    if (by_rows)
      dots_block(job->q, &job->all, at, next, 0, p->n, starts);
    else
      dots_block(job->q, &job->all, 0, p->m, at, next, starts);
  }
}

/* Lines whose elements lie apart, side by side in k. */
static const char *gather_lines(const char *from, int64_t line_stride, int64_t step_stride, int64_t count, int64_t k, char *to) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t l = 0; l < k; l++)
      memcpy(to + (i * k + l) * FH_ELEMENT, from + (i * line_stride + l * step_stride) * FH_ELEMENT, FH_ELEMENT);
  return to;
}

static void run_dots(const plan *q, char *scratch, const fh_team *team) {
  const fh_product *p = &q->p;
  dots_job job = {.q = q, .all = {q->a, q->b, p->a[1] * FH_ELEMENT, p->b[2] * FH_ELEMENT}};
  if (p->a[2] != 1 && p->k > 1) {
    job.all.a = gather_lines(q->a, p->a[1], p->a[2], p->m, p->k, scratch);
    job.all.a_row = p->k * FH_ELEMENT;
    scratch += p->m * p->k * FH_ELEMENT;
  }
  if (!b_runs_along_k(p)) {
    job.all.b = gather_lines(q->b, p->b[2], p->b[4], p->n, p->k, scratch);
    job.all.b_row = p->k * FH_ELEMENT;
  }
  const int64_t longer = p->m > p->n ? p->m : p->n;
  job.parts = team ? fh_least(fh_divide_up(longer, 16), 4 * (int64_t)team->size) : 1;
  share(team, (double)p->m * (double)p->n * (double)p->k, job.parts, dots_task, &job);
}

/* ---- strips: few rows against rows of B ------------------------------------------------------------ */

typedef struct strips_job {
  const plan *q;
  char *scratch;
  int64_t parts;
} strips_job;

/* Words of A for some groups of k: what lies past m or k is zero. */
static void strip_words(const plan *q, int64_t group, int32_t words[STRIP_GROUPS][STRIP_ROWS]) {
  const fh_product *p = &q->p;
  memset(words, 0, sizeof(int32_t[STRIP_GROUPS][STRIP_ROWS]));
  for (int64_t r = 0; r < p->m; r++)
    for (int64_t l = 0; l < fh_least(STRIP_GROUPS * FH_GROUP, p->k - group * FH_GROUP); l++)
      memcpy((char *)&words[l / FH_GROUP][r] + l % FH_GROUP * FH_ELEMENT,
             q->a + (r * p->a[1] + (group * FH_GROUP + l) * p->a[2]) * FH_ELEMENT, FH_ELEMENT);
}

/* 32 columns of some groups: words of B woven in registers, times the words of A, onto sums that stay in L1. rows is a constant at every
 * call. */
static inline __attribute__((always_inline)) void strip_chunk(const char *b, int64_t row, int32_t words[STRIP_GROUPS][STRIP_ROWS],
                                                              float *sums, const int rows) {
  enum { PARTS = FH_CHUNK / FH_LANES };
  dot_sum sum[STRIP_ROWS][PARTS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < PARTS; v++) sum[r][v] = dot_zero();
#pragma GCC unroll 4
  for (int g = 0; g < STRIP_GROUPS; g++) {
    const char *lines_of_b[FH_GROUP];
#pragma GCC unroll 4
    for (int i = 0; i < FH_GROUP; i++) lines_of_b[i] = b + (g * FH_GROUP + i) * row;
    fh_vw woven[4];
    fh_interleave(woven, lines_of_b);
#pragma GCC unroll 4
    for (int v = 0; v < PARTS; v++) {
      const dot_weights w = dot_split(dot_join(woven, v));
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) sum[r][v] = dot_step_by(sum[r][v], dot_broadcast(words[g][r]), w);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < PARTS; v++) {
      float *to = sums + r * STRIP_COLUMNS + v * FH_LANES;
      fh_v_store(to, dot_add(fh_v_load(to), dot_result(sum[r][v])));
    }
}

#define STRIP(rows)                                                                                            \
  static void strip_##rows(const char *b, int64_t row, int32_t words[STRIP_GROUPS][STRIP_ROWS], float *sums) { \
    strip_chunk(b, row, words, sums, rows);                                                                    \
  }
STRIP(1)
STRIP(2)
STRIP(3)
STRIP(4)
#if FH_DOT_STRIP_ROWS > 4
STRIP(8)
#endif
/* Of five rows and more the missing ones are zero: memory bounds them all. */
static void (*const strips[STRIP_ROWS])(const char *, int64_t, int32_t[STRIP_GROUPS][STRIP_ROWS], float *) = {
    strip_1, strip_2, strip_3, strip_4,
#if FH_DOT_STRIP_ROWS > 4
    strip_8, strip_8, strip_8, strip_8,
#endif
};

static void strip_columns(const plan *q, int64_t col, int64_t cols, float *sums) {
  const fh_product *p = &q->p;
  enum { DEPTH = STRIP_GROUPS * FH_GROUP };
  const int64_t words_of_k = q->groups + (q->tail > 0), row = p->b[4] * FH_ELEMENT;
  int32_t starts[STRIP_ROWS] = {0};
#if FH_DOT_BIASED
  find_starts(q->a, p->a[1], p->a[2], p->m, p->k, starts);
#endif
  for (int64_t r = 0; r < (p->m > 4 ? STRIP_ROWS : p->m); r++)
    for (int64_t i = 0; i < STRIP_COLUMNS; i++) memcpy(sums + r * STRIP_COLUMNS + i, &starts[r], sizeof *sums);
  for (int64_t g = 0; g < words_of_k; g += STRIP_GROUPS) {
    int32_t words[STRIP_GROUPS][STRIP_ROWS];
    strip_words(q, g, words);
    const char *b = q->b + (col + g * FH_GROUP * p->b[4]) * FH_ELEMENT;
    const int64_t depth = fh_least(DEPTH, p->k - g * FH_GROUP);
    for (int64_t at = 0; at < cols; at += FH_CHUNK) {
      const int64_t take = fh_least(cols - at, FH_CHUNK);
      if (take == FH_CHUNK && depth == DEPTH) {
        strips[p->m - 1](b + at * FH_ELEMENT, row, words, sums + at);
        continue;
      }
      char edge[DEPTH][FH_CHUNK * FH_ELEMENT];
      memset(edge, 0, sizeof edge);
      for (int64_t l = 0; l < depth; l++) memcpy(edge[l], b + l * row + at * FH_ELEMENT, (size_t)take * FH_ELEMENT);
      strips[p->m - 1](edge[0], sizeof *edge, words, sums + at);
    }
  }
}

static void strips_task(void *arg, int64_t i, int worker) {
  const strips_job *job = arg;
  const plan *q = job->q;
  const fh_product *p = &q->p;
  float *sums = (float *)(void *)(job->scratch + (size_t)worker * q->own);
  const int64_t stop = fh_part_start(p->n, job->parts, i + 1);
  for (int64_t col = fh_part_start(p->n, job->parts, i); col < stop; col += STRIP_COLUMNS) {
    const int64_t cols = fh_least(STRIP_COLUMNS, stop - col);
    strip_columns(q, col, cols, sums);
    for (int64_t r = 0; r < p->m; r++)
      put_values(q->c + 4 * (r * p->c[1] + col * p->c[2]), p->c[2], sums + r * STRIP_COLUMNS, (int)cols, false);
  }
}

static void run_strips(const plan *q, char *scratch, const fh_team *team) {
  const fh_product *p = &q->p;
  strips_job job = {q, scratch, team ? fh_least(fh_divide_up(p->n, 256), team->size) : 1};
  share(team, (double)p->m * (double)p->n * (double)p->k, job.parts, strips_task, &job);
}

/* ---- the entry ----------------------------------------------------------------------------------- */

typedef struct call {
  const plan *q;
  const fh_slot *slots;
  char *scratch;
} call;

static void run_one(const call *job, int64_t i, char *scratch, const fh_team *team) {
  plan q = *job->q;
  q.a = (const char *)job->slots[FH_PRODUCT_A].cp + i * q.p.a[0] * FH_ELEMENT;
  q.b = (const char *)job->slots[FH_PRODUCT_B].cp + i * q.p.b[0] * FH_ELEMENT;
  q.c = (char *)job->slots[FH_PRODUCT_C].p + 4 * i * q.p.c[0];
  if (q.how == DOTS)
    run_dots(&q, scratch, team);
  else if (q.how == STRIPS)
    run_strips(&q, scratch, team);
  else
    run_tiles(&q, scratch, team);
}

static void run_one_of_batch(void *arg, int64_t i, int worker) {
  const call *job = arg;
  run_one(job, i, job->scratch + (size_t)worker * (job->q->shared + job->q->own), NULL);
}

void FH_DOT_ENTRY(const fh_slot *slots, const fh_team *team) {
  const plan q = plan_of(slots);
  const fh_product *p = &q.p;
  call job = {&q, slots, team->scratch};
  if (q.by_batch) {
    share(team, (double)p->batch * (double)p->m * (double)p->n * (double)p->k, p->batch, run_one_of_batch, &job);
    return;
  }
  for (int64_t i = 0; i < p->batch; i++) run_one(&job, i, job.scratch, team);
}

size_t FH_DOT_SCRATCH(const fh_bound *bound, int team_size) {
  fh_slot slots[FH_PRODUCT_SLOTS] = {{0}};
  for (int i = FH_PRODUCT_BATCH; i < FH_PRODUCT_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  const plan q = plan_of(slots);
  return q.by_batch ? (q.shared + q.own) * (size_t)team_size : q.shared + q.own * (size_t)team_size;
}

#endif /* FOGHORN_KERNELS_TILE_DOT_PRODUCT_H_ */
