/* Products of operands that are brought to f32 first, by the tiles of matmul: the body shared by matmul_f16 and matmul_tf32.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Rows of A and columns of B are brought to scratch as f32, as many as caches hold, and the tuned entry of matmul multiplies them: so the
 * order of accumulation is the one that matmul.h states. Bringing an element costs as much as a few multiplications, and each takes part
 * in as many as C has columns or rows: with many of both it is lost, with few rows it is what the product takes.
 *
 * Include after one simd_<isa>.h, with FH_BROUGHT_ENTRY, FH_BROUGHT_SCRATCH, FH_BROUGHT_TILES and FH_BROUGHT_TILES_SCRATCH (matmul's) and
 * FH_BROUGHT_GROUP (elements in a word of packed weights) defined, and
 *   brought_from    the type of an element, at any address
 *   brought(p)      FH_LANES elements from p on, as an fh_vf
 */
#ifndef FOGHORN_KERNELS_TILE_BROUGHT_PRODUCT_H_
#define FOGHORN_KERNELS_TILE_BROUGHT_PRODUCT_H_

#include <string.h>

#include "kernels/matmul.h"
#include "kernels/product.h"
#include "kernels/unaligned.h"

enum {
  A_FLOATS = 4 << 20, /* of A brought at once: 16 MiB */
  B_FLOATS = 2 << 20, /* of B: 8 MiB, in the third cache beside it */
  LINE = 64,          /* elements that are brought through a buffer at a time */
};

/* ---- lines of elements --------------------------------------------------------------------------- */

/* Side by side in both. */
static void bring_near(fh_f32_any *to, const brought_from *from, int64_t count) {
  int64_t i = 0;
  for (; i + FH_LANES <= count; i += FH_LANES) fh_v_store(to + i, brought(from + i));
  if (i == count) return;
  brought_from rest[FH_LANES] = {0};
  float lanes[FH_LANES];
  memcpy(rest, from + i, (size_t)(count - i) * sizeof *rest);
  fh_v_store(lanes, brought(rest));
  memcpy(to + i, lanes, (size_t)(count - i) * sizeof *lanes);
}

static void bring_line(fh_f32_any *to, const brought_from *from, int64_t stride, int64_t count) {
  if (stride == 1) {
    bring_near(to, from, count);
    return;
  }
  for (int64_t i = 0; i < count; i += LINE) {
    brought_from near[LINE];
    const int64_t some = fh_least(LINE, count - i);
    for (int64_t e = 0; e < some; e++) near[e] = from[(i + e) * stride];
    bring_near(to + i, near, some);
  }
}

/* ---- a pass: what is brought and multiplied at once ------------------------------------------------ */

typedef struct plan {
  fh_product p;
  const brought_from *a, *b;
  char *c;
  int64_t sheets, rows, cols; /* of a pass */
  int64_t a_sheets, b_sheets; /* of each operand: 1 where one matrix is for all */
  bool a_turned, b_turned;    /* a brought operand lies as in memory: A by columns, (k, rows); B by rows, (k, cols) */
  bool b_plain;               /* columns of B lie at even distances */
  size_t b_at, tiles_at;      /* bytes of scratch before */
} plan;

static int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

static size_t line_up(int64_t floats) { return ((size_t)floats * sizeof(float) + 63) & ~(size_t)63; }

static plan plan_of(const fh_slot *s) {
  plan q = {.p = {.batch = s[FH_PRODUCT_BATCH].i, .m = s[FH_PRODUCT_M].i, .n = s[FH_PRODUCT_N].i, .k = s[FH_PRODUCT_K].i}};
  fh_product *p = &q.p;
  for (int i = 0; i < 3; i++) p->a[i] = s[FH_PRODUCT_A_STRIDES + i].i, p->c[i] = s[FH_PRODUCT_C_STRIDES + i].i;
  for (int i = 0; i < 5; i++) p->b[i] = s[FH_PRODUCT_B_STRIDES + i].i;
  const int64_t depth = fh_most(p->k, 1), most_rows = fh_most(A_FLOATS / depth, 1);
  const int64_t most_cols = fh_most(B_FLOATS / depth / FH_PANEL * FH_PANEL, FH_PANEL);
  q.rows = fh_least(p->m, most_rows);
  q.cols = fh_least(p->n, most_cols);
  const bool whole = q.rows == p->m && q.cols == p->n;
  q.sheets = whole ? fh_least(p->batch, fh_most(fh_least(most_rows / p->m, most_cols / p->n), 1)) : 1;
  q.a_sheets = p->a[0] == 0 ? 1 : q.sheets;
  q.b_sheets = p->b[0] == 0 ? 1 : q.sheets;
  q.a_turned = magnitude(p->a[1]) < magnitude(p->a[2]) && p->m > 1;
  q.b_plain = p->n <= FH_PANEL || p->b[1] == FH_PANEL * p->b[2];
  const bool steps_even = p->k <= FH_BROUGHT_GROUP || p->b[3] == FH_BROUGHT_GROUP * p->b[4];
  q.b_turned = !(steps_even && q.b_plain && (p->n == 1 || magnitude(p->b[4]) < magnitude(p->b[2])));
  q.b_at = line_up(q.a_sheets * q.rows * p->k);
  q.tiles_at = q.b_at + line_up(q.b_sheets * q.cols * p->k);
  return q;
}

typedef struct pass {
  const plan *q;
  fh_f32_any *a, *b;
  int64_t sheet, sheets, row, rows, col, cols;
  int64_t lines, parts; /* of the operand that is brought */
} pass;

/* Rows of A, or what lies side by side in columns of it. */
static void bring_a(void *arg, int64_t part, int worker) {
  (void)worker;
  const pass *x = arg;
  const fh_product *p = &x->q->p;
  const bool turned = x->q->a_turned;
  const int64_t lines = turned ? p->k : x->rows, count = turned ? x->rows : p->k;
  const int64_t line_stride = turned ? p->a[2] : p->a[1], stride = turned ? p->a[1] : p->a[2];
  const int64_t end = fh_part_start(x->lines, x->parts, part + 1);
  for (int64_t i = fh_part_start(x->lines, x->parts, part); i < end; i++) {
    const int64_t sheet = x->sheet + i / lines, line = i % lines;
    bring_line(x->a + i * count, x->q->a + sheet * p->a[0] + x->row * p->a[1] + line * line_stride, stride, count);
  }
}

/* One step of k of a panel, or of what is left of one. Where words of packed weights lie side by side, they are read from end to end. */
static void bring_panel(const fh_product *p, fh_f32_any *to, const brought_from *from, int64_t in_word, int64_t cols) {
  enum { GROUP = FH_BROUGHT_GROUP };
  if (GROUP == 1 || p->b[2] != GROUP || p->b[4] != 1) {
    bring_line(to, from + in_word * p->b[4], p->b[2], cols);
    return;
  }
  float words[FH_PANEL * GROUP];
  bring_near(words, from, (cols - 1) * GROUP + in_word + 1); /* the last word may end before its group does */
  for (int64_t j = 0; j < cols; j++) to[j] = words[j * GROUP + in_word];
}

/* Rows of B, for the columns of the pass. */
static void bring_row_of_b(const pass *x, fh_f32_any *to, const brought_from *sheet, int64_t l) {
  const fh_product *p = &x->q->p;
  const brought_from *const word = sheet + l / FH_BROUGHT_GROUP * p->b[3];
  const int64_t in_word = l % FH_BROUGHT_GROUP;
  if (x->q->b_plain) {
    bring_line(to, word + in_word * p->b[4] + x->col / FH_PANEL * p->b[1], p->b[2], x->cols);
    return;
  }
  for (int64_t j = 0; j < x->cols; j += FH_PANEL)
    bring_panel(p, to + j, word + (x->col + j) / FH_PANEL * p->b[1], in_word, fh_least(FH_PANEL, x->cols - j));
}

static void bring_b(void *arg, int64_t part, int worker) {
  (void)worker;
  const pass *x = arg;
  const fh_product *p = &x->q->p;
  const bool turned = x->q->b_turned;
  const int64_t lines = turned ? p->k : x->cols, count = turned ? x->cols : p->k, end = fh_part_start(x->lines, x->parts, part + 1);
  for (int64_t i = fh_part_start(x->lines, x->parts, part); i < end; i++) {
    const brought_from *const sheet = x->q->b + (x->sheet + i / lines) * p->b[0];
    const int64_t line = i % lines;
    if (turned)
      bring_row_of_b(x, x->b + i * count, sheet, line);
    else
      bring_line(x->b + i * count, sheet + x->col / FH_PANEL * p->b[1] + line * p->b[2], p->b[4], count);
  }
}

/* Below this many elements waking a worker costs more than it brings. */
enum { WORTH_SHARING = 1 << 16 };

static void bring(pass *x, int64_t lines, int64_t elements, void (*body)(void *, int64_t, int), const fh_team *team) {
  x->lines = lines;
  x->parts = team->size > 1 && elements >= WORTH_SHARING ? fh_least(lines, 4 * (int64_t)team->size) : 1;
  if (x->parts > 1)
    team->parallel(team, x->parts, body, x);
  else
    body(x, 0, 0);
}

/* Operands of matmul for a pass; pointers unset. */
static void tile_slots(const plan *q, int64_t sheets, int64_t rows, int64_t cols, fh_slot slots[FH_MATMUL_SLOTS]) {
  const int64_t k = q->p.k, *c = q->p.c;
  const int64_t a[] = {q->a_sheets == 1 ? 0 : rows * k, q->a_turned ? 1 : k, q->a_turned ? rows : 1};
  const int64_t b[] = {q->b_sheets == 1 ? 0 : cols * k, q->b_turned ? cols : 1, q->b_turned ? 1 : k};
  slots[FH_MATMUL_BATCH].i = sheets;
  slots[FH_MATMUL_M].i = rows;
  slots[FH_MATMUL_N].i = cols;
  slots[FH_MATMUL_K].i = k;
  for (int i = 0; i < 3; i++) {
    slots[FH_MATMUL_A_STRIDES + i].i = a[i];
    slots[FH_MATMUL_B_STRIDES + i].i = b[i];
    slots[FH_MATMUL_C_STRIDES + i].i = c[i];
  }
}

static void multiply(const pass *x, const fh_team *team) {
  const plan *q = x->q;
  fh_slot slots[FH_MATMUL_SLOTS];
  tile_slots(q, x->sheets, x->rows, x->cols, slots);
  slots[FH_MATMUL_A].cp = x->a;
  slots[FH_MATMUL_B].cp = x->b;
  slots[FH_MATMUL_C].p = (fh_f32_any *)(void *)q->c + x->sheet * q->p.c[0] + x->row * q->p.c[1] + x->col * q->p.c[2];
  fh_team inner = *team;
  inner.scratch = (char *)team->scratch + q->tiles_at;
  FH_BROUGHT_TILES(slots, &inner);
}

/* ---- the entry ----------------------------------------------------------------------------------- */

/* Columns of one range of rows. B is there already where it is whole and was brought before, for other rows or another product. */
static void run_rows(pass *x, bool *has_b, const fh_team *team) {
  const plan *q = x->q;
  const fh_product *p = &q->p;
  const int64_t a_sheets = q->a_sheets == 1 ? 1 : x->sheets, b_sheets = q->b_sheets == 1 ? 1 : x->sheets;
  bring(x, a_sheets * (q->a_turned ? p->k : x->rows), a_sheets * x->rows * p->k, bring_a, team);
  for (x->col = 0; x->col < p->n; x->col += q->cols) {
    x->cols = fh_least(q->cols, p->n - x->col);
    if (!*has_b) bring(x, b_sheets * (q->b_turned ? p->k : x->cols), b_sheets * x->cols * p->k, bring_b, team);
    *has_b = q->cols == p->n;
    multiply(x, team);
  }
}

void FH_BROUGHT_ENTRY(const fh_slot *slots, const fh_team *team) {
  plan q = plan_of(slots);
  const fh_product *p = &q.p;
  q.a = slots[FH_PRODUCT_A].cp;
  q.b = slots[FH_PRODUCT_B].cp;
  q.c = slots[FH_PRODUCT_C].p;
  pass x = {.q = &q, .a = team->scratch, .b = (fh_f32_any *)(void *)((char *)team->scratch + q.b_at)};
  bool has_b = false;
  for (x.sheet = 0; x.sheet < p->batch; x.sheet += q.sheets) {
    x.sheets = fh_least(q.sheets, p->batch - x.sheet);
    if (p->b[0] != 0) has_b = false;
    for (x.row = 0; x.row < p->m; x.row += q.rows) {
      x.rows = fh_least(q.rows, p->m - x.row);
      run_rows(&x, &has_b, team);
    }
  }
}

/* The last pass in each direction may be smaller, and matmul may go another way there. */
size_t FH_BROUGHT_SCRATCH(const fh_bound *bound, int team_size) {
  fh_slot slots[FH_PRODUCT_SLOTS] = {{0}};
  for (int i = FH_PRODUCT_BATCH; i < FH_PRODUCT_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  const plan q = plan_of(slots);
  const int64_t sheets[] = {q.sheets, q.p.batch % q.sheets}, rows[] = {q.rows, q.p.m % q.rows}, cols[] = {q.cols, q.p.n % q.cols};
  size_t most = 0;
  for (int i = 0; i < 8; i++) {
    const int64_t s = sheets[i & 1], r = rows[i >> 1 & 1], c = cols[i >> 2];
    if (s == 0 || r == 0 || c == 0) continue;
    fh_slot of_tiles[FH_MATMUL_SLOTS] = {{0}};
    fh_bound tiles = {.stage_count = 1};
    tile_slots(&q, s, r, c, of_tiles);
    for (int j = FH_MATMUL_BATCH; j < FH_MATMUL_SLOTS; j++) tiles.stages[0].operands[j] = fh_op_i64(of_tiles[j].i);
    const size_t bytes = FH_BROUGHT_TILES_SCRATCH(&tiles, team_size);
    if (bytes > most) most = bytes;
  }
  return q.tiles_at + most;
}

#endif /* FOGHORN_KERNELS_TILE_BROUGHT_PRODUCT_H_ */
