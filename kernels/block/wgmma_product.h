/* Tiles of a product on the tensor cores of compute capability 9.0: 128 rows by 256 or 128 columns, multiplied by two warpgroups (wgmma)
 * and fed by a third, one thread of which asks for boxes of tensors (TMA). SPDX-License-Identifier: Apache-2.0
 *
 * A stage is 128 bytes of k: 64 numbers of 16 bits, 128 of 8, 32 of tf32, four instructions of 32 bytes each. In shared memory an operand
 * has one of two forms, both with the swizzle of 128 bytes, by which no bank is read twice:
 *   Contiguous along k: one box of 128 bytes of k by all lines; an atom is 8 lines, atoms follow each other.
 *   Turned, for 16 bits only: lines are contiguous, boxes of 64 of them by 64 steps of k, 8 KiB each; an atom is 8 steps.
 * What lies past k or past the last line comes as zeros. Operands come by tensor maps, or as panels that lie in memory as they are to lie
 * here (wgmma_panels.h).
 *
 * Stages are a ring of `full` and `empty` mbarriers that goes on from tile to tile: while a tile is stored, those of the next one arrive.
 * A block takes tiles one after the other until there are none left, 16 rows of tiles together, so that blocks that run at the same time
 * read few rows and few columns, from the second cache.
 *
 * Predicted limit, nothing of it measured: 128 x 256 x 64 are 4.2 MFLOP for 48 KiB from the second cache, 85 operations a byte. A device
 * that gives 5.5 TB/s there feeds 470 Tflop/s where nothing is shared between blocks, more where their reads meet; copies that go to two
 * blocks at once would double it.
 */
#ifndef FOGHORN_KERNELS_BLOCK_WGMMA_PRODUCT_H_
#define FOGHORN_KERNELS_BLOCK_WGMMA_PRODUCT_H_

#define FH_WGMMA_ROWS 128
#define FH_WGMMA_THREADS 384 /* a warpgroup that copies, two that multiply 64 rows each */
#define FH_WGMMA_GROUP 128
#define FH_WGMMA_BYTES 128 /* of k, a stage */
#define FH_WGMMA_ATOM 1024 /* 8 lines, or 8 steps, of 128 bytes */
#define FH_WGMMA_BOX 8192  /* 64 lines */
#define FH_WGMMA_HIGH 16   /* rows of tiles that are taken together */
#define FH_WGMMA_PANEL(lines) ((lines) * FH_WGMMA_BYTES)
#define FH_WGMMA_STAGE(cols) (FH_WGMMA_PANEL(FH_WGMMA_ROWS) + FH_WGMMA_PANEL(cols))
#define FH_WGMMA_STAGES(cols) ((cols) == 256 ? 4 : 6) /* 192 KiB */
#define FH_WGMMA_WARPS 8                              /* that multiply, each of which says when it has read a stage */

/* ---- what is to be done ---- */
typedef struct fh_wgmma_side {
  fh_map map;
  bool packed; /* these are brought, and nothing by the map */
  fh_u8_in panels;
  int blocks; /* of 128 lines there, of each product */
  bool turned;
  bool sheets; /* has each product its own? */
} fh_wgmma_side;

FH_INLINE fh_wgmma_side fh_wgmma_by_map(fh_map map, bool turned, bool sheets) {
  fh_wgmma_side out;
  out.map = map;
  out.packed = false;
  out.panels = 0;
  out.blocks = 0;
  out.turned = turned;
  out.sheets = sheets;
  return out;
}

typedef struct fh_wgmma_job {
  int rows, cols, sheets; /* in tiles, and products */
  int steps, step;        /* stages of k, and numbers in one */
  fh_wgmma_side a, b;
} fh_wgmma_job;

typedef struct fh_wgmma_tile {
  int row, col, sheet; /* first row and column */
} fh_wgmma_tile;

FH_INLINE fh_wgmma_tile fh_wgmma_tile_at(const fh_wgmma_job *job, int index, int cols) {
  const int of_sheet = job->rows * job->cols, in_sheet = index % of_sheet, band = FH_WGMMA_HIGH * job->cols;
  const int first = in_sheet / band * FH_WGMMA_HIGH, within = in_sheet % band;
  const int high = job->rows - first < FH_WGMMA_HIGH ? job->rows - first : FH_WGMMA_HIGH;
  fh_wgmma_tile out;
  out.row = (first + within % high) * FH_WGMMA_ROWS;
  out.col = within / high * cols;
  out.sheet = index / of_sheet;
  return out;
}

/* A block's tiles are its number and every so many from there on. All are fewer than 2^30: kernels/product_tensors.h. */
FH_INLINE int fh_wgmma_tiles(const fh_wgmma_job *job) { return job->rows * job->cols * job->sheets; }

/* ---- the ring ---- */
typedef struct fh_wgmma_ring {
  fh_local uchar *stages;
  fh_local fh_mbarrier *full, *empty;
  int at, parity; /* the stage at hand, and the parity of its round */
} fh_wgmma_ring;

FH_INLINE void fh_wgmma_advance(fh_wgmma_ring *ring, int stages) {
  ring->at++;
  if (ring->at < stages) return;
  ring->at = 0;
  ring->parity ^= 1;
}

FH_INLINE fh_wgmma_ring fh_wgmma_begin(fh_local uchar *shared, int cols) {
  const int stages = FH_WGMMA_STAGES(cols);
  fh_wgmma_ring ring;
  ring.stages = shared;
  ring.full = (fh_local fh_mbarrier *)(shared + stages * FH_WGMMA_STAGE(cols));
  ring.empty = ring.full + stages;
  ring.at = 0;
  ring.parity = 0;
  if (fh_thread() == 0) {
    for (int i = 0; i < stages; i++) {
      fh_mbarrier_init(ring.full + i, 1);
      fh_mbarrier_init(ring.empty + i, FH_WGMMA_WARPS);
    }
    fh_mbarrier_fence();
  }
  fh_barrier();
  return ring;
}

/* ---- the thread that copies ---- */

/* A panel of `lines` lines from `line` on. */
FH_INLINE void fh_wgmma_copy(fh_local uchar *to, const fh_wgmma_job *job, const fh_wgmma_side *side, fh_local fh_mbarrier *full, int lines,
                             int line, int step, int product) {
  const int sheet = side->sheets ? product : 0, k = step * job->step;
  if (side->packed) {
    const fh_u8_in from =
        side->panels + (((long)sheet * side->blocks + line / FH_WGMMA_ROWS) * job->steps + step) * FH_WGMMA_PANEL(FH_WGMMA_ROWS);
    for (int i = 0; i < lines / FH_WGMMA_ROWS; i++)
      fh_bulk_copy(to + i * FH_WGMMA_PANEL(FH_WGMMA_ROWS), from + (long)i * job->steps * FH_WGMMA_PANEL(FH_WGMMA_ROWS), full,
                   FH_WGMMA_PANEL(FH_WGMMA_ROWS));
  } else if (side->turned) {
    for (int i = 0; i < lines / 64; i++) fh_tensor_copy3(to + i * FH_WGMMA_BOX, side->map, full, line + 64 * i, k, sheet);
  } else {
    fh_tensor_copy3(to, side->map, full, k, line, sheet);
  }
}

FH_INLINE void fh_wgmma_feed(const fh_wgmma_job *job, fh_wgmma_ring *ring, int cols) {
  for (int index = (int)fh_block(0); index < fh_wgmma_tiles(job); index += (int)fh_blocks(0)) {
    const fh_wgmma_tile tile = fh_wgmma_tile_at(job, index, cols);
    for (int step = 0; step < job->steps; step++) {
      fh_local uchar *const to = ring->stages + ring->at * FH_WGMMA_STAGE(cols);
      fh_local fh_mbarrier *const full = ring->full + ring->at;
      fh_mbarrier_wait(ring->empty + ring->at, ring->parity ^ 1); /* at first there is nobody to wait for */
      fh_mbarrier_expect(full, FH_WGMMA_STAGE(cols));
      fh_wgmma_copy(to, job, &job->a, full, FH_WGMMA_ROWS, tile.row, step, tile.sheet);
      fh_wgmma_copy(to + FH_WGMMA_PANEL(FH_WGMMA_ROWS), job, &job->b, full, cols, tile.col, step, tile.sheet);
      fh_wgmma_advance(ring, FH_WGMMA_STAGES(cols));
    }
  }
}

/* ---- the warpgroups that multiply ---- */

FH_INLINE ulong fh_wgmma_panel(const fh_local uchar *p, bool turned) { return fh_matrix(p, turned ? FH_WGMMA_BOX : 16, FH_WGMMA_ATOM); }

FH_INLINE void fh_wgmma_release(const fh_wgmma_ring *ring, int stage) {
  if (fh_thread() % 32 == 0) fh_mbarrier_arrive(ring->empty + stage);
}

/* FH_WGMMA_DEFINE_SUM(name, COLS, NUMBER, MULTIPLY, TA, TB): name(sum, ring, steps) with sum[COLS / 2], its first product overwriting what
 * is there. MULTIPLY(sum, a, b, add, TA, TB) takes 32 bytes of k, which are 32 bytes of a line or 16 steps of 128 bytes: a descriptor
 * counts in units of 16. One product is under way while the next one is asked for; then the stage in front of it has been read. */
#define FH_WGMMA_DEFINE_SUM(name, COLS, NUMBER, MULTIPLY, TA, TB)                             \
  FH_INLINE void name(NUMBER sum[(COLS) / 2], fh_wgmma_ring *ring, int steps) {               \
    const int group = fh_thread() / FH_WGMMA_GROUP - 1;                                       \
    const ulong a = fh_wgmma_panel(ring->stages + group * FH_WGMMA_BOX, TA);                  \
    const ulong b = fh_wgmma_panel(ring->stages + FH_WGMMA_PANEL(FH_WGMMA_ROWS), TB);         \
    int before = 0;                                                                           \
    for (int step = 0; step < steps; step++) {                                                \
      const ulong to = (ulong)ring->at * (FH_WGMMA_STAGE(COLS) / 16);                         \
      fh_mbarrier_wait(ring->full + ring->at, ring->parity);                                  \
      fh_group_fence();                                                                       \
      MULTIPLY(sum, a + to, b + to, step > 0, TA, TB);                                        \
      MULTIPLY(sum, a + to + ((TA) ? 128 : 2), b + to + ((TB) ? 128 : 2), 1, TA, TB);         \
      MULTIPLY(sum, a + to + 2 * ((TA) ? 128 : 2), b + to + 2 * ((TB) ? 128 : 2), 1, TA, TB); \
      MULTIPLY(sum, a + to + 3 * ((TA) ? 128 : 2), b + to + 3 * ((TB) ? 128 : 2), 1, TA, TB); \
      fh_group_commit();                                                                      \
      if (step > 0) {                                                                         \
        fh_group_wait(1);                                                                     \
        fh_wgmma_release(ring, before);                                                       \
      }                                                                                       \
      before = ring->at;                                                                      \
      fh_wgmma_advance(ring, FH_WGMMA_STAGES(COLS));                                          \
    }                                                                                         \
    fh_group_wait(0);                                                                         \
    FH_UNROLL for (int i = 0; i < (COLS) / 2; i++) fh_group_hold_##NUMBER(sum[i]);            \
    fh_wgmma_release(ring, before);                                                           \
  }

/* name_store(sum, c, cs1, cs, rows, cols): what is inside of `rows` by `cols`. Word i of a thread is of row lane / 4 + 8 (i / 2 mod 2) of
 * its warp's 16 and column 8 (i / 4) + 2 (lane mod 4) + i mod 2: four lanes write a sector of 32 bytes. */
#define FH_WGMMA_DEFINE_STORE(name, COLS, NUMBER, OUT, STORE_PAIR)                                    \
  FH_INLINE void name(const NUMBER sum[(COLS) / 2], OUT c, long cs1, long cs, long rows, long cols) { \
    const int t = fh_thread_here() - FH_WGMMA_GROUP, row = t / 32 * 16 + t % 32 / 4, col = t % 4 * 2; \
    const bool pairs = cs == 1 && cs1 % 2 == 0 && fh_on_boundary(c, 8);                               \
    FH_UNROLL for (int side = 0; side < 2; side++) {                                                  \
      const OUT to = c + (row + 8 * side) * cs1;                                                      \
      const long left = row + 8 * side < rows ? cols - col : 0;                                       \
      FH_UNROLL for (int i = 0; i < (COLS) / 8; i++) {                                                \
        const NUMBER x = sum[4 * i + 2 * side], y = sum[4 * i + 2 * side + 1];                        \
        if (pairs && 8 * i + 1 < left) {                                                              \
          STORE_PAIR(to + col + 8 * i, x, y);                                                         \
        } else {                                                                                      \
          if (8 * i < left) to[(col + 8 * i) * cs] = x;                                               \
          if (8 * i + 1 < left) to[(col + 8 * i + 1) * cs] = y;                                       \
        }                                                                                             \
      }                                                                                               \
    }                                                                                                 \
  }

/* Either form of each operand, by a branch that all threads take alike. */
#define FH_WGMMA_DEFINE_SUMS(name, COLS, NUMBER, MULTIPLY)                                    \
  FH_WGMMA_DEFINE_SUM(name##_lines_lines, COLS, NUMBER, MULTIPLY, 0, 0)                       \
  FH_WGMMA_DEFINE_SUM(name##_lines_turned, COLS, NUMBER, MULTIPLY, 0, 1)                      \
  FH_WGMMA_DEFINE_SUM(name##_turned_lines, COLS, NUMBER, MULTIPLY, 1, 0)                      \
  FH_WGMMA_DEFINE_SUM(name##_turned_turned, COLS, NUMBER, MULTIPLY, 1, 1)                     \
  FH_INLINE void name(NUMBER sum[(COLS) / 2], fh_wgmma_ring *ring, const fh_wgmma_job *job) { \
    if (!job->a.turned && !job->b.turned)                                                     \
      name##_lines_lines(sum, ring, job->steps);                                              \
    else if (!job->a.turned)                                                                  \
      name##_lines_turned(sum, ring, job->steps);                                             \
    else if (!job->b.turned)                                                                  \
      name##_turned_lines(sum, ring, job->steps);                                             \
    else                                                                                      \
      name##_turned_turned(sum, ring, job->steps);                                            \
  }

/* Where both operands are contiguous along k, as all but 16-bit numbers must be. */
#define FH_WGMMA_DEFINE_LINES(name, COLS, NUMBER, MULTIPLY)       \
  FH_WGMMA_DEFINE_SUM(name##_lines, COLS, NUMBER, MULTIPLY, 0, 0) \
  FH_INLINE void name(NUMBER sum[(COLS) / 2], fh_wgmma_ring *ring, const fh_wgmma_job *job) { name##_lines(sum, ring, job->steps); }

/* What a warpgroup that multiplies does: FH_WGMMA_DEFINE(name, COLS, NUMBER, OUT, SUMS, MULTIPLY, STORE_PAIR), SUMS being one of the two
 * above. */
#define FH_WGMMA_DEFINE(name, COLS, NUMBER, OUT, SUMS, MULTIPLY, STORE_PAIR)                                              \
  SUMS(name##_sum, COLS, NUMBER, MULTIPLY)                                                                                \
  FH_WGMMA_DEFINE_STORE(name##_store, COLS, NUMBER, OUT, STORE_PAIR)                                                      \
  FH_INLINE void name(const fh_wgmma_job *job, fh_wgmma_ring *ring, OUT c, long cs0, long cs1, long cs, long m, long n) { \
    for (int index = (int)fh_block(0); index < fh_wgmma_tiles(job); index += (int)fh_blocks(0)) {                         \
      const fh_wgmma_tile tile = fh_wgmma_tile_at(job, index, COLS);                                                      \
      NUMBER sum[(COLS) / 2];                                                                                             \
      FH_UNROLL for (int i = 0; i < (COLS) / 2; i++) sum[i] = 0;                                                          \
      name##_sum(sum, ring, job);                                                                                         \
      name##_store(sum, c + tile.sheet * cs0 + tile.row * cs1 + tile.col * cs, cs1, cs, m - tile.row, n - tile.col);      \
    }                                                                                                                     \
  }

/* The body of an entry whose parameters are those of kernels/product.h; SIZE: bytes of a number; A, B: how they come. A wide tile takes
 * registers of the warpgroup that copies; a narrow one has enough, and the instructions would be refused. */
#define FH_WGMMA_BODY_OF(COLS, SIZE, WORK, A, B)                                       \
  const fh_wgmma_job job = {(int)((m + FH_WGMMA_ROWS - 1) / FH_WGMMA_ROWS),            \
                            (int)((n + (COLS) - 1) / (COLS)),                          \
                            (int)batch,                                                \
                            (int)((k * (SIZE) + FH_WGMMA_BYTES - 1) / FH_WGMMA_BYTES), \
                            FH_WGMMA_BYTES / (SIZE),                                   \
                            A,                                                         \
                            B};                                                        \
  fh_wgmma_ring ring = fh_wgmma_begin(fh_shared, COLS);                                \
  if (fh_thread() < FH_WGMMA_GROUP) {                                                  \
    FH_WGMMA_FEWER_##COLS;                                                             \
    if (fh_thread() == 0) fh_wgmma_feed(&job, &ring, COLS);                            \
  } else {                                                                             \
    FH_WGMMA_MORE_##COLS;                                                              \
    WORK(&job, &ring, c, cs0, cs1, cs, m, n);                                          \
  }
#define FH_WGMMA_BODY(COLS, SIZE, WORK) \
  FH_WGMMA_BODY_OF(COLS, SIZE, WORK, fh_wgmma_by_map(fh_tensor(0), as != 1, as0 != 0), fh_wgmma_by_map(fh_tensor(1), bs4 != 1, bs0 != 0))
#define FH_WGMMA_FEWER_256 fh_group_registers_fewer(40)
#define FH_WGMMA_MORE_256 fh_group_registers_more(232)
#define FH_WGMMA_FEWER_128 (void)0
#define FH_WGMMA_MORE_128 (void)0

#endif /* FOGHORN_KERNELS_BLOCK_WGMMA_PRODUCT_H_ */
