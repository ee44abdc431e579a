/* Few rows: y[i,j] = sum_l x[i,l] w[l,j] at the speed that w comes from memory. SPDX-License-Identifier: Apache-2.0
 *
 * w is read once, in place and in long pieces: a block of it (eight l by a vector of j) stays in registers while every row of x takes it,
 * and the sums lie in L1. Lanes are elements of y, each with its chain in order of l (matmul.h). Where columns of w lie together in
 * memory, blocks are turned on their way to the registers. One row is a matrix times a vector.
 */
#ifndef FOGHORN_KERNELS_MATMUL_MATMUL_FEW_H_
#define FOGHORN_KERNELS_MATMUL_MATMUL_FEW_H_

enum {
  FEW_ROWS = 40,     /* from about here on it pays to pack */
  FEW_TURNED = 12,   /* the same where blocks have to be turned */
  DEPTH = 8,         /* of a block in l */
  SUM_FLOATS = 8192, /* 32 KiB: all rows' sums */
};

typedef struct few {
  int64_t m, n, k;
  const fh_f32_any *x, *w;
  fh_f32_any *y;
  int64_t x_row, x_col, w_row, w_col, y_row, y_col;
  int64_t part;     /* columns of one task */
  const product *p; /* rows here are its rows, or, turned, its columns */
  bool turned;
} few;

/* x for `steps` of l: DEPTH floats of each row side by side, so that no two fall into one set of the cache. */
static void few_pack(const few *f, int64_t l, int64_t steps, float *out) {
  for (int64_t s = 0; s < steps; s += DEPTH) {
    const int64_t depth = fh_least(DEPTH, steps - s);
    for (int64_t i = 0; i < f->m; i++, out += DEPTH)
      for (int64_t d = 0; d < depth; d++) out[d] = f->x[i * f->x_row + (l + s + d) * f->x_col];
  }
}

/* ---- rows of w lie together ------------------------------------------------------------------------ */

/* A vector of columns, `depth` (a constant) steps. */
static inline __attribute__((always_inline)) void few_block(const int depth, const few *f, const float *x, const fh_vf w[DEPTH],
                                                            float *sums, int64_t width) {
  for (int64_t i = 0; i < f->m; i++, x += DEPTH, sums += width) {
    fh_vf sum = fh_v_load(sums);
    for (int d = 0; d < depth; d++) sum = fh_v_fma_by(x[d], w[d], sum);
    fh_v_store(sums, sum);
  }
}

static inline __attribute__((always_inline)) void few_steps(const int depth, const few *f, int64_t l, const fh_f32_any *w, int64_t n,
                                                            float *sums, int64_t width) {
  fh_vf block[DEPTH];
  float near[FEW_ROWS * DEPTH];
  few_pack(f, l, depth, near);
  int64_t j = 0;
  for (; j + FH_LANES <= n; j += FH_LANES) {
    for (int d = 0; d < depth; d++) {
      block[d] = fh_v_load(w + d * f->w_row + j);
      if (j % 16 == 0) __builtin_prefetch((const void *)((uintptr_t)(w + j) + (uintptr_t)((depth + d) * f->w_row * 4)), 0, 2);
    }
    few_block(depth, f, near, block, sums + j, width);
  }
  if (j == n) return;
  const fh_vm mask = fh_vm_first((int)(n - j));
  for (int d = 0; d < depth; d++) block[d] = fh_v_load_masked(w + d * f->w_row + j, mask);
  few_block(depth, f, near, block, sums + j, width);
}

static void few_by_rows(void *arg, int64_t task, int worker) {
  (void)worker;
  const few *f = arg;
  /* An odd number of vectors, so that rows of sums do not fall into one set of the cache. */
  const int64_t first = task * f->part, n = fh_least(f->n - first, f->part), width = (fh_divide_up(n, FH_LANES) | 1) * FH_LANES;
  float sums[SUM_FLOATS];
  for (int64_t l = 0; l < f->k; l += FH_MATMUL_STEPS) {
    const int64_t steps = fh_least(f->k - l, FH_MATMUL_STEPS);
    const fh_f32_any *w = f->w + l * f->w_row + first;
    for (int64_t i = 0; i < f->m * width; i += FH_LANES) fh_v_store(sums + i, fh_v_zero());
    int64_t s = 0;
    for (; s + DEPTH <= steps; s += DEPTH) few_steps(DEPTH, f, l + s, w + s * f->w_row, n, sums, width);
    for (; s < steps; s++) few_steps(1, f, l + s, w + s * f->w_row, n, sums, width);
    for (int64_t i = 0; i < f->m; i++) {
      fh_f32_any *y = f->y + i * f->y_row + first * f->y_col;
      const float *sum = sums + i * width;
      for (int64_t j = 0; j < n; j++, y += f->y_col) *y = l == 0 ? sum[j] : *y + sum[j];
    }
  }
  complete(f->p, f->turned, 0, f->m, first, n);
}

/* ---- columns of w lie together --------------------------------------------------------------------- */

enum { CHAINS = 4, FAR = FH_MATMUL_STEPS / 2 };

/* The lines of a block that will be wanted half a block of k later: further on, or from the next columns. */
static inline void few_fetch(const few *f, const fh_f32_any *at, int64_t s, int columns) {
  const int64_t ahead = s < FAR ? FAR : columns * f->w_col - FAR;
  for (int i = 0; i < FH_TURN; i++) __builtin_prefetch((const void *)((uintptr_t)at + (uintptr_t)((i * f->w_col + ahead) * 4)), 0, 2);
}

/* FH_TURN columns times `together` blocks of k, or `groups` times FH_TURN columns times one block: so many chains for each row of x.
 * All but steps are constants where there is one row. x, packed, holds DEPTH floats of each row, then the next; a block of k apart
 * from the next by `x_block`. The sums go to sums[group or block][row]. */
static inline __attribute__((always_inline)) void few_turned(const few *f, const int64_t rows, const int groups, const int together,
                                                             const fh_f32_any *w, const float *x, int64_t x_block, int64_t steps,
                                                             fh_vt *sums) {
  const int chains = groups * together;
  fh_vt block[FH_TURN];
  for (int64_t i = 0; i < chains * rows; i++) sums[i] = fh_t_zero();
  int64_t s = 0;
  for (; s + FH_TURN <= steps; s += FH_TURN) {
    const fh_f32_any *here = w + s;
    __asm__("" : "+r"(here)); /* else the compiler keeps a pointer for each line of each chain, and most of them in memory */
#pragma GCC unroll 4
    for (int c = 0; c < chains; c++) {
      const fh_f32_any *at = here + (groups > 1 ? c * FH_TURN * f->w_col : c * FH_MATMUL_STEPS);
      const float *each = x + s * rows + (together > 1 ? c * x_block : 0);
      if (s % 16 == 0) few_fetch(f, at, s, groups * FH_TURN);
      fh_t_load(at, f->w_col, block);
      for (int64_t i = 0; i < rows; i++, each += DEPTH) {
        fh_vt sum = sums[c * rows + i];
        for (int d = 0; d < FH_TURN; d++) sum = fh_t_fma_by(each[d], block[d], sum);
        sums[c * rows + i] = sum;
      }
    }
  }
  for (int c = 0; s < steps && c < groups; c++) { /* the rest of the last block of k */
    fh_t_load_part(w + s + c * FH_TURN * f->w_col, f->w_col, FH_TURN, (int)(steps - s), block);
    for (int64_t i = 0; i < rows; i++) {
      for (int d = 0; d < (int)(steps - s); d++)
        sums[c * rows + i] = fh_t_fma_by(x[s * rows + i * DEPTH + d], block[d], sums[c * rows + i]);
    }
  }
}

static void few_put(const few *f, int64_t column, int64_t rows, const fh_vt *sums, bool add) {
  for (int64_t i = 0; i < rows; i++) {
    float lanes[FH_TURN];
    fh_t_store(lanes, sums[i]);
    fh_f32_any *y = f->y + i * f->y_row + column * f->y_col;
    for (int j = 0; j < FH_TURN; j++, y += f->y_col) *y = add ? *y + lanes[j] : lanes[j];
  }
}

/* Several rows of x: one block of k at a time, the rows are chains enough. */
static void few_columns(const few *f, int64_t first, int64_t end) {
  float x[FEW_ROWS * FH_MATMUL_STEPS];
  fh_vt sums[FEW_ROWS];
  for (int64_t l = 0; l < f->k; l += FH_MATMUL_STEPS) {
    const int64_t steps = fh_least(f->k - l, FH_MATMUL_STEPS);
    few_pack(f, l, steps, x);
    for (int64_t j = first; j + FH_TURN <= end; j += FH_TURN) {
      few_turned(f, f->m, 1, 1, f->w + j * f->w_col + l, x, 0, steps, sums);
      few_put(f, j, f->m, sums, l > 0);
    }
  }
}

/* One row of x: CHAINS blocks of k together, then what is left of k for CHAINS times the columns. */
static inline __attribute__((always_inline)) void one_row(const few *f, const int groups, int64_t column) {
  enum { TOGETHER = CHAINS * FH_MATMUL_STEPS };
  float copy[TOGETHER];
  fh_vt sums[CHAINS];
  int64_t l = 0;
  for (; l < f->k;) {
    const bool together = l + TOGETHER <= f->k;
    const int64_t steps = together ? TOGETHER : fh_least(f->k - l, FH_MATMUL_STEPS);
    const float *x = copy;
    if (f->x_col == 1 && (uintptr_t)f->x % sizeof(float) == 0)
      x = (const float *)(const void *)(f->x + l);
    else
      few_pack(f, l, steps, copy);
    const fh_f32_any *w = f->w + column * f->w_col + l;
    if (together) {
      for (int g = 0; g < groups; g++) {
        few_turned(f, 1, 1, CHAINS, w + g * FH_TURN * f->w_col, x, FH_MATMUL_STEPS, FH_MATMUL_STEPS, sums);
        for (int c = 0; c < CHAINS; c++) few_put(f, column + g * FH_TURN, 1, sums + c, l + c > 0);
      }
    } else {
      few_turned(f, 1, groups, 1, w, x, 0, steps, sums);
      for (int g = 0; g < groups; g++) few_put(f, column + g * FH_TURN, 1, sums + g, l > 0);
    }
    l += steps;
  }
}

/* Fewer than FH_TURN columns: one element at a time, a lane for each block of k. */
static void few_dot(const few *f, const fh_f32_any *x, const fh_f32_any *w, fh_f32_any *y) {
  float total = 0;
  for (int64_t l = 0; l < f->k; l += FH_TURN * FH_MATMUL_STEPS) {
    const int64_t blocks = fh_least(FH_TURN, fh_divide_up(f->k - l, FH_MATMUL_STEPS));
    const int64_t last = fh_least(f->k - l, blocks * FH_MATMUL_STEPS) - (blocks - 1) * FH_MATMUL_STEPS; /* steps of the last one */
    fh_vt sum = fh_t_zero(), block[FH_TURN], each[FH_TURN];
    int64_t s = 0;
    for (; f->x_col == 1 && s + FH_TURN <= last; s += FH_TURN) {
      fh_t_load_part(w + l + s, FH_MATMUL_STEPS, (int)blocks, FH_TURN, block);
      fh_t_load_part(x + l + s, FH_MATMUL_STEPS, (int)blocks, FH_TURN, each);
      for (int d = 0; d < FH_TURN; d++) sum = fh_t_fma(each[d], block[d], sum);
    }
    float sums[FH_TURN];
    fh_t_store(sums, sum);
    for (int64_t b = 0; b < blocks; b++) {
      const int64_t at = l + b * FH_MATMUL_STEPS, steps = b + 1 < blocks ? FH_MATMUL_STEPS : last;
      for (int64_t i = s; i < steps; i++) sums[b] = __builtin_fmaf(x[(at + i) * f->x_col], w[at + i], sums[b]);
      total = at == 0 ? sums[b] : total + sums[b];
    }
  }
  *y = total;
}

static void few_by_columns(void *arg, int64_t task, int worker) {
  (void)worker;
  const few *f = arg;
  int64_t j = task * f->part;
  const int64_t end = fh_least(f->n, j + f->part);
  if (f->m == 1) {
    for (; j + CHAINS * FH_TURN <= end; j += CHAINS * FH_TURN) one_row(f, CHAINS, j);
    for (; j + FH_TURN <= end; j += FH_TURN) one_row(f, 1, j);
  } else {
    few_columns(f, j, end);
    j += (end - j) / FH_TURN * FH_TURN;
  }
  for (; j < end; j++) {
    for (int64_t i = 0; i < f->m; i++) few_dot(f, f->x + i * f->x_row, f->w + j * f->w_col, f->y + i * f->y_row + j * f->y_col);
  }
  complete(f->p, f->turned, 0, f->m, task * f->part, end - task * f->part);
}

/* ---- the choice ------------------------------------------------------------------------------------ */

/* The call with few rows in y; more than FEW_ROWS when it has few of neither. */
static few few_of(const product *p) {
  if (p->m <= p->n)
    return (few){p->m, p->n, p->k, p->a, p->b, p->c, p->a_row, p->a_col, p->b_row, p->b_col, p->c_row, p->c_col, 0, p, false};
  return (few){p->n, p->m, p->k, p->b, p->a, p->c, p->b_col, p->b_row, p->a_col, p->a_row, p->c_col, p->c_row, 0, p, true};
}

/* False: not few rows, nothing to add up, small enough for a tile in place, or w lies together in no direction. */
static bool run_few(const product *p, const fh_team *team) {
  few f = few_of(p);
  if (f.m > FEW_ROWS || f.k == 0 || (f.m > 1 && f.n * f.k <= SMALL_FLOATS)) return false;
  const bool by_rows = f.w_col == 1 && (f.n > 1 || f.w_row != 1);
  if (!by_rows && (f.m > FEW_TURNED || f.w_row != 1 || (f.m >= FH_HALF && f.x_row == 1)))
    return false; /* the latter: x in vectors, w in place */
  const int64_t unit = by_rows ? 4 * FH_LANES : CHAINS * FH_TURN, most = by_rows ? (SUM_FLOATS / f.m / FH_LANES - 1) * FH_LANES : 64 * unit;
  const bool shared = team && team->size > 1 && (double)f.m * (double)f.n * (double)f.k >= 16384.0;
  f.part =
      fh_least(shared ? fh_divide_up(fh_divide_up(f.n, unit), team->size) * unit : fh_divide_up(f.n, unit) * unit, fh_least(most, 2048));
  share(shared ? team : NULL, fh_divide_up(f.n, f.part), by_rows ? few_by_rows : few_by_columns, &f);
  return true;
}

#endif /* FOGHORN_KERNELS_MATMUL_MATMUL_FEW_H_ */
