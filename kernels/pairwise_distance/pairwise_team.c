/* pairwise_distance on the CPU, tile by tile. SPDX-License-Identifier: Apache-2.0
 *
 * Tasks are blocks of out. A worker packs the rows of y of its block into L2 and takes the rows of x past them, a panel at a time, so
 * that out is written in long rows. Every metric is symmetric, so where out's rows lie apart and its columns do not, x and y
 * change places. With few rows on one side the rows of the other are read in place.
 *
 * While it works on one block, a worker asks for the rows of y of its next: with few rows of x memory is half of the time (32 by 50 000 of
 * 128: 1.1 to 1.2 times as fast). To pack all of a small x and take y past it gained as much there and lost 5 % with 100 rows.
 */
#include "kernels/pairwise_distance/pairwise_distance.h"

#include "kernels/arithmetic.h"

#include <math.h>

enum {
  PACKED_FLOATS = 1 << 16, /* of y in one task: 256 KiB, a quarter of L2 */
  TASKS_PER_WORKER = 4,
  FEW = 8, /* rows of x in one pass over rows of y in place */
};

typedef struct pairwise {
  const fh_pairs *tiles;
  int64_t m, n, d, workers;
  fh_matrix x, y;
  fh_f32_any *out;
  int64_t out_row, out_col;
  bool in_place, cosine;
  int64_t task_rows, task_cols, row_tasks, col_tasks;
  float *x_scale; /* cosine: 1 / length, or 0 */
  char *scratch;  /* of the workers */
  size_t x_bytes, y_bytes, y_scale_bytes;
} pairwise;

static int64_t whole(int64_t a, int64_t b) { return fh_divide_up(a, b) * b; }
static size_t line_bytes(int64_t floats) { return ((size_t)floats * sizeof(float) + 63) & ~(size_t)63; }

static void turn(pairwise *p) {
  const fh_matrix x = p->x;
  const int64_t m = p->m, row = p->out_row;
  p->x = p->y, p->y = x;
  p->m = p->n, p->n = m;
  p->out_row = p->out_col, p->out_col = row;
}

/* The side whose columns of out lie together is y; but where one side is so small that the other is read in place, that is x. */
static bool better_turned(const pairwise *p) {
  const int64_t few = fh_pairs_few(p->d);
  if ((p->m <= few) != (p->n <= few)) return p->n <= few;
  return p->out_col != 1 && p->out_row == 1;
}

static pairwise pairwise_of(const fh_pairs_set *set, const fh_slot *s, int workers) {
  const fh_pairs *tiles = s[FH_PAIRWISE_METRIC].i == FH_METRIC_L2 ? set->squared : set->dot;
  pairwise p = {.tiles = tiles,
                .m = s[FH_PAIRWISE_M].i,
                .n = s[FH_PAIRWISE_N].i,
                .d = s[FH_PAIRWISE_D].i,
                .workers = workers,
                .x = {s[FH_PAIRWISE_X].cp, s[FH_PAIRWISE_X_STRIDES].i, s[FH_PAIRWISE_X_STRIDES + 1].i},
                .y = {s[FH_PAIRWISE_Y].cp, s[FH_PAIRWISE_Y_STRIDES].i, s[FH_PAIRWISE_Y_STRIDES + 1].i},
                .out = s[FH_PAIRWISE_OUT].p,
                .out_row = s[FH_PAIRWISE_OUT_STRIDES].i,
                .out_col = s[FH_PAIRWISE_OUT_STRIDES + 1].i,
                .cosine = s[FH_PAIRWISE_METRIC].i == FH_METRIC_COSINE};
  if (better_turned(&p)) turn(&p);
  if (p.n == 1) p.out_col = 1;
  if (p.d == 1) p.x.col = p.y.col = 1;
  p.in_place = p.m <= fh_pairs_few(p.d);
  const int64_t panel = p.in_place ? FEW : tiles->rows;
  p.task_cols = fh_least(whole(p.n, tiles->cols), fh_most(tiles->cols, PACKED_FLOATS / fh_most(1, p.d) / tiles->cols * tiles->cols));
  p.task_rows = p.m;
  if (workers > 1) { /* first rows, then columns, until there are tasks enough */
    const int64_t wanted = fh_divide_up(TASKS_PER_WORKER * workers, fh_divide_up(p.n, p.task_cols));
    p.task_rows = fh_most(fh_least(p.m, 4 * panel), whole(fh_divide_up(p.m, wanted), panel));
    const int64_t columns = fh_divide_up(TASKS_PER_WORKER * workers, fh_divide_up(p.m, p.task_rows));
    p.task_cols = fh_least(p.task_cols, whole(fh_divide_up(p.n, columns), tiles->cols));
  }
  p.row_tasks = fh_divide_up(p.m, p.task_rows);
  p.col_tasks = fh_divide_up(p.n, p.task_cols);
  p.x_bytes = line_bytes((p.in_place ? FEW : tiles->rows) * p.d);
  p.y_bytes = line_bytes((p.in_place ? tiles->cols : p.task_cols) * p.d);
  p.y_scale_bytes = p.cosine ? line_bytes(p.task_cols) : 0;
  return p;
}

static size_t x_scale_bytes(const pairwise *p) { return p->cosine ? line_bytes(p->m) : 0; }
static size_t worker_bytes(const pairwise *p) { return p->x_bytes + p->y_bytes + p->y_scale_bytes; }

/* ---- lengths ----------------------------------------------------------------------------------------------- */

static float scale_of(const pairwise *p, const fh_matrix *rows, int64_t i) {
  const fh_f32_any *row = rows->first + i * rows->row;
  float square = 0;
  if (rows->col == 1)
    square = p->tiles->square(row, p->d);
  else
    for (int64_t l = 0; l < p->d; l++) square += row[l * rows->col] * row[l * rows->col];
  return square == 0 ? 0 : 1 / sqrtf(square);
}

/* Of the rows of y that a tile is about to read: a pass of its own would fetch all of y twice. */
static void scale_columns(const pairwise *p, int64_t col, int cols, float *scales) {
  for (int c = 0; p->cosine && c < cols; c++) scales[c] = scale_of(p, &p->y, col + c);
}

enum { SCALE_ROWS = 256 };

static void scale_task(void *arg, int64_t i, int worker) {
  (void)worker;
  const pairwise *p = arg;
  for (int64_t row = i * SCALE_ROWS, last = fh_least(row + SCALE_ROWS, p->m); row < last; row++) p->x_scale[row] = scale_of(p, &p->x, row);
}

/* ---- tiles ------------------------------------------------------------------------------------------------- */

/* From a tile to out, for what the tile could not write itself. */
static void put(const pairwise *p, int64_t row, int rows, int64_t col, int cols, const float *tile, const float *scales) {
  if (p->out_col == 1) {
    p->tiles->put(tile, rows, cols, p->cosine ? p->x_scale + row : NULL, scales, p->out + row * p->out_row + col, p->out_row);
    return;
  }
  for (int r = 0; r < rows; r++, tile += p->tiles->cols) {
    fh_f32_any *out = p->out + (row + r) * p->out_row + col * p->out_col;
    if (p->cosine) {
      const float scale = p->x_scale[row + r];
      for (int c = 0; c < cols; c++) out[c * p->out_col] = 1 - tile[c] * (scale * scales[c]);
    } else {
      for (int c = 0; c < cols; c++) out[c * p->out_col] = tile[c];
    }
  }
}

/* Packed rows of x, from row i on, against a packed panel of y, from row j on. */
static void tile_to_out(const pairwise *p, const float *x, int64_t i, int rows, const float *y, int64_t j, int cols, const float *scales) {
  const fh_pairs *t = p->tiles;
  if (cols == t->cols && p->out_col == 1 && !p->cosine) {
    t->tile(x, rows, y, p->d, (float *)(void *)(p->out + i * p->out_row + j), p->out_row);
    return;
  }
  _Alignas(64) float buffer[FH_PAIRS_ROWS_MAX * FH_PAIRS_COLS_MAX];
  t->tile(x, rows, y, p->d, buffer, t->cols);
  put(p, i, rows, j, cols, buffer, scales);
}

static void pack_x(const pairwise *p, int64_t i, int rows, float *x) {
  p->tiles->pack(x, rows, p->x.first + i * p->x.row, p->x.row, p->x.col, rows, p->d);
}
static void pack_y(const pairwise *p, int64_t j, int cols, float *y, float *scales) {
  p->tiles->pack(y, p->tiles->cols, p->y.first + j * p->y.row, p->y.row, p->y.col, cols, p->d);
  scale_columns(p, j, cols, scales);
}

static void packed_task(const pairwise *p, int64_t row, int64_t last_row, int64_t col, int64_t last_col, float *x, float *y,
                        float *scales) {
  const int width = p->tiles->cols;
  for (int64_t j = col; j < last_col; j += width)
    pack_y(p, j, (int)fh_least(last_col - j, width), y + (j - col) * p->d, scales + (j - col));
  /* The columns behind these are likely to be other workers'. */
  const int64_t next = col + p->workers * p->task_cols, next_count = p->y.col == 1 ? fh_least(p->n - next, p->task_cols) : 0;
  const int64_t panels = fh_divide_up(last_row - row, p->tiles->rows), tiles = panels * fh_divide_up(last_col - col, width);
  int64_t tile = 0;
  for (int64_t panel = 0; panel < panels; panel++) {
    const int64_t i = row + fh_part_start(last_row - row, panels, panel);
    const int rows = (int)(row + fh_part_start(last_row - row, panels, panel + 1) - i);
    pack_x(p, i, rows, x);
    for (int64_t j = col; j < last_col; j += width, tile++) {
      if (next_count > 0) fh_fetch_rows(p->y.first + next * p->y.row, p->y.row, next_count, p->d, tile, tiles);
      tile_to_out(p, x, i, rows, y + (j - col) * p->d, j, (int)fh_least(last_col - j, width), scales + (j - col));
    }
  }
}

static void in_place_task(const pairwise *p, int64_t col, int64_t last_col, float *x, float *y, float *scales) {
  const fh_pairs *t = p->tiles;
  _Alignas(64) float buffer[FH_PAIRS_ROWS_MAX * FH_PAIRS_COLS_MAX];
  for (int64_t i = 0; i < p->m; i += FEW) {
    const int rows = (int)fh_least(p->m - i, FEW);
    t->pack(x, (int)p->d, p->x.first + i * p->x.row, p->x.col, p->x.row, (int)p->d, rows);
    for (int64_t j = col; j < last_col; j += t->cols) {
      const int cols = (int)fh_least(last_col - j, t->cols);
      const fh_f32_any *first = p->y.first + j * p->y.row;
      if (i == 0) scale_columns(p, j, cols, scales + (j - col));
      if (p->y.col != 1) t->pack(y, (int)p->d, first, p->y.col, p->y.row, (int)p->d, cols);
      t->in_place(x, p->d, rows, p->y.col == 1 ? first : y, p->y.col == 1 ? p->y.row : p->d, cols, p->d, buffer);
      put(p, i, rows, j, cols, buffer, scales + (j - col));
    }
  }
}

static void task(void *arg, int64_t i, int worker) {
  const pairwise *p = arg;
  char *mine = p->scratch + (size_t)worker * worker_bytes(p);
  float *x = (float *)(void *)mine, *y = (float *)(void *)(mine + p->x_bytes), *scales = (float *)(void *)(mine + p->x_bytes + p->y_bytes);
  const int64_t row = i / p->col_tasks * p->task_rows, col = i % p->col_tasks * p->task_cols;
  const int64_t last_row = fh_least(row + p->task_rows, p->m), last_col = fh_least(col + p->task_cols, p->n);
  if (p->in_place)
    in_place_task(p, col, last_col, x, y, scales);
  else
    packed_task(p, row, last_row, col, last_col, x, y, scales);
}

void fh_pairwise_run(const fh_pairs_set *tiles, const fh_slot *slots, const fh_team *team) {
  pairwise p = pairwise_of(tiles, slots, team->size);
  p.x_scale = team->scratch;
  p.scratch = (char *)team->scratch + x_scale_bytes(&p);
  if (p.cosine) team->parallel(team, fh_divide_up(p.m, SCALE_ROWS), scale_task, &p);
  team->parallel(team, p.row_tasks * p.col_tasks, task, &p);
}

size_t fh_pairwise_scratch(const fh_pairs_set *tiles, const fh_bound *bound, int team_size) {
  fh_slot slots[FH_PAIRWISE_SLOTS] = {{0}};
  for (int i = FH_PAIRWISE_M; i < FH_PAIRWISE_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  const pairwise p = pairwise_of(tiles, slots, team_size);
  return x_scale_bytes(&p) + (size_t)team_size * worker_bytes(&p);
}
