/* The contract of kmeans_step: kmeans_assign and kmeans_update in one launch, and on the CPU in one pass over x.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Stages, oracle and comparison are those of the two contracts; the sums are the same bits as kmeans_update's for the same labels. */
#include "kernels/cluster_blocks.h"
#include "kernels/contracts.h"
#include "kernels/element.h"
#include "kernels/nearest_blocks.h"
#include "kernels/rows.h"
#include "kernels/tile/assign.h"
#include "kernels/tile/limits.h"

#include <stdlib.h>
#include <string.h>

enum { X, C, LABELS, DISTANCES, SUMS, COUNTS };
enum { PARTIAL_STAGE = 1 };     /* the entry after kmeans_assign's: kmeans_update's first */
enum { PARTIAL, TALLY };        /* scratch, as in kmeans_update */
enum { PARTIAL_OPERANDS = 14 }; /* kmeans_update's stage has more, for blocks of threads, which here are the first stage's */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_ELEMENT, "(n, d)", false},     {"c", FH_ROLE_IN, FH_ELEMENT, "(k, d)", false},
    {"labels", FH_ROLE_OUT, FH_I32, "(n)", false},      {"distances", FH_ROLE_OUT, FH_ELEMENT, "(n)", false},
    {"sums", FH_ROLE_OUT, FH_ELEMENT, "(k, d)", false}, {"counts", FH_ROLE_OUT, FH_I32, "(k)", false},
};

/* The operands of a part, by their place in this kernel: kmeans_assign takes the first four. */
enum { UPDATE_VIEWS = 4 };
static const int update_views[UPDATE_VIEWS] = {X, LABELS, SUMS, COUNTS};

static void update_descs(const fh_view_desc *v, fh_view_desc out[UPDATE_VIEWS]) {
  for (int i = 0; i < UPDATE_VIEWS; i++) out[i] = v[update_views[i]];
}

static void add_stage(const fh_stage *from, fh_bound *out) {
  fh_stage *stage = &out->stages[out->stage_count++];
  *stage = *from;
  if (stage->entry == 0) stage->operand_count = PARTIAL_OPERANDS;
  stage->entry += PARTIAL_STAGE;
  for (int i = 0; i < stage->operand_count; i++) {
    fh_operand *op = &stage->operands[i];
    if (op->kind == FH_OPERAND_IN || op->kind == FH_OPERAND_OUT) op->index = update_views[op->index];
    if (op->kind == FH_OPERAND_IN && op->index == LABELS) op->kind = FH_OPERAND_OUT; /* of this launch */
  }
}

/* kmeans_assign's stage. Without rows it has one item, which does nothing: the tuned entry begins there all the same. */
static fh_status bind_assign(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  FH_TRY(FH_CONTRACT_OF(kmeans_assign).bind(v, scalars, out));
  if (out->stage_count) return FH_OK;
  fh_view_desc one[DISTANCES + 1];
  memcpy(one, v, sizeof one);
  one[X].shape[0] = one[LABELS].shape[0] = one[DISTANCES].shape[0] = 1;
  FH_TRY(FH_CONTRACT_OF(kmeans_assign).bind(one, scalars, out));
  out->stages[0].operands[FH_ASSIGN_N] = fh_op_i64(0);
  return FH_OK;
}

/* What the tuned entry needs beyond the first stage's own operands: those of kmeans_update's stages, in the order of their texts. */
static void complete(const fh_view_desc *v, const fh_bound *updated, fh_stage *first) {
  const fh_operand *partial = updated->stages[0].operands, *combine = updated->stages[updated->stage_count - 1].operands;
  fh_operand *op = first->operands;
  op[FH_STEP_SUMS] = fh_op_view(FH_OPERAND_OUT, SUMS, 0);
  op[FH_STEP_COUNTS] = fh_op_view(FH_OPERAND_OUT, COUNTS, 0);
  op[FH_STEP_PARTIAL] = fh_op_temp(PARTIAL);
  op[FH_STEP_TALLY] = fh_op_temp(TALLY);
  op[FH_STEP_PADDED] = combine[5];
  op[FH_STEP_CHUNKS] = combine[7];
  op[FH_STEP_CHUNK_ROWS] = updated->stage_count > 1 ? partial[8] : fh_op_i64(1);
  op[FH_STEP_SUMS_STRIDES] = fh_op_i64(v[SUMS].strides[0]);
  op[FH_STEP_SUMS_STRIDES + 1] = fh_op_i64(v[SUMS].strides[1]);
  op[FH_STEP_COUNTS_STRIDE] = fh_op_i64(v[COUNTS].strides[0]);
  first->operand_count = (int32_t)FH_STEP_SLOTS;
}

static fh_status step_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  fh_view_desc update[UPDATE_VIEWS];
  update_descs(v, update);
  fh_bound assigned, updated;
  fh_status status = bind_assign(v, scalars, &assigned);
  if (!status) status = fh_check_view("kmeans_update", &params[SUMS], &v[SUMS], 2, 2);
  if (!status) status = fh_check_extent("kmeans_update", &params[SUMS], &v[SUMS], 0, "k", v[C].shape[0], "c");
  if (!status) status = FH_CONTRACT_OF(kmeans_update).bind(update, scalars, &updated);
  if (status) return fh_status_annotate(status, "in kmeans_step");
  out->stages[out->stage_count++] = assigned.stages[0];
  complete(v, &updated, &out->stages[0]);
  for (int i = 0; i < updated.stage_count; i++) add_stage(&updated.stages[i], out);
  out->temp_count = updated.temp_count;
  memcpy(out->temp_bytes, updated.temp_bytes, sizeof out->temp_bytes);
  out->flops = assigned.flops + updated.flops;
  out->bytes =
      assigned.bytes + (double)sizeof(fh_element) * (double)(v[SUMS].shape[0] * v[SUMS].shape[1]) + 4.0 * (double)v[COUNTS].shape[0];
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static void update_data(void *const *data, void *out[UPDATE_VIEWS]) {
  for (int i = 0; i < UPDATE_VIEWS; i++) out[i] = data[update_views[i]];
}

static void step_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  fh_view_desc update[UPDATE_VIEWS];
  void *places[UPDATE_VIEWS];
  update_descs(v, update);
  update_data(data, places);
  FH_CONTRACT_OF(kmeans_assign).reference(v, data, scalars);
  FH_CONTRACT_OF(kmeans_update).reference(update, places, scalars);
}

/* Labels and distances as kmeans_assign judges them; the sums against the oracle's for the labels that were given, since a row between
 * two centroids may go to either. */
static const char *step_compare(const fh_case *c, void *const *got, void *const *want) {
  const char *wrong = FH_CONTRACT_OF(kmeans_assign).compare(c, got, want);
  if (wrong) return wrong;
  fh_case update = {0};
  void *given[UPDATE_VIEWS], *expected[UPDATE_VIEWS];
  update_descs(c->views, update.views);
  update_data(got, given);
  update_data(got, expected); /* the labels that were given */
  const int64_t k = c->views[SUMS].shape[0], d = c->views[SUMS].shape[1];
  expected[2] = malloc((size_t)(k * d + 1) * sizeof(fh_element));
  expected[3] = malloc((size_t)(k + 1) * sizeof(int32_t));
  if (expected[2] && expected[3]) {
    FH_CONTRACT_OF(kmeans_update).reference(update.views, expected, NULL);
    wrong = FH_CONTRACT_OF(kmeans_update).compare(&update, given, expected);
  } else {
    wrong = "no memory to compare";
  }
  free(expected[2]);
  free(expected[3]);
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t n, d, k;
} shape;

static const shape cases[] = {{37, 5, 3},   {1, 1, 1},      {0, 4, 2},     {5, 0, 3},    {8, 3, 2},      {9, 17, 5},
                              {64, 16, 1},  {65, 64, 7},    {100, 33, 31}, {257, 31, 2}, {300, 100, 13}, {601, 15, 16},
                              {1000, 8, 3}, {1500, 20, 10}, {700, 130, 9}, {999, 4, 40}, {2000, 16, 29}};
static const shape benches[] = {{1000, 16, 8},       {10007, 31, 13},   {100000, 64, 16}, {100000, 64, 256},
                                {100000, 128, 1024}, {1000000, 16, 64}, {60000, 784, 10}, {60000, 784, 256}};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t x[] = {s->n, s->d}, centroids[] = {s->k, s->d};
  *out = (fh_case){.views = {fh_compact(FH_ELEMENT, 2, x), fh_compact(FH_ELEMENT, 2, centroids), fh_compact(FH_I32, 1, &s->n),
                             fh_compact(FH_ELEMENT, 1, &s->n), fh_compact(FH_ELEMENT, 2, centroids), fh_compact(FH_I32, 1, &s->k)}};
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " d=%" PRId64 " k=%" PRId64, s->n, s->d, s->k);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

#if FH_HAS_TUNED
static const char *unfit(const fh_bound *bound) { return fh_tile_unfit(bound->stages[0].operands[FH_ASSIGN_D].i); }
#endif

/* ---- blocks of threads: for floats ---- */

#ifndef FH_OF_DOUBLES
static fh_cluster_work work_of(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  return (fh_cluster_work){op[FH_ASSIGN_D].i, op[FH_ASSIGN_K].i, op[FH_STEP_CHUNKS].i};
}

static void rows_shape(const fh_bound *bound, int rows, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, MOST = 64 };
  const int64_t blocks = fh_divide_up(bound->stages[0].operands[FH_ASSIGN_N].i, rows);
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, most), 1, 1}, .threads = THREADS};
}
static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  rows_shape(bound, FH_NEAREST_TILE, multiprocessors, out);
}
static void few_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  rows_shape(bound, FH_NEAREST_FEW_ROWS, multiprocessors, out);
}
static void sums_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  fh_cluster_sums_shape(work_of(bound), out);
}
static void chunks_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_cluster_chunks_shape(work_of(bound), multiprocessors, out);
}

static const char *blocks_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[FH_ASSIGN_N].i == 0 ? "there are no rows" : fh_cluster_unfit(work_of(bound));
}
static const char *tiles_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[FH_ASSIGN_K].i < FH_NEAREST_MANY ? FH_NEAREST_TOO_FEW : blocks_unfit(bound);
}
static const char *few_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[FH_ASSIGN_K].i >= FH_NEAREST_MANY ? FH_NEAREST_TOO_MANY : blocks_unfit(bound);
}

static const char *mma_unfit(const fh_bound *bound) {
  const char *reason = fh_nearest_mma_unfit(bound);
  return reason ? reason : blocks_unfit(bound);
}
static const char *wide_unfit(const fh_bound *bound) {
  const char *reason = fh_nearest_wide_unfit(bound);
  return reason ? reason : blocks_unfit(bound);
}

/* ---- few centroids of wide rows: block/cluster_step.h, and its numbers ---- */
enum { FUSED_THREADS = 256, FUSED_TILE = 32, FUSED_COLUMNS = 64, FUSED_CENTROIDS = 16, FUSED_WIDE = 128, FUSED_BYTES = 227 << 10 };

static int64_t fused_class(int64_t centroids) {
  return centroids <= 4 ? 4 : centroids <= 8 ? 8 : centroids <= 10 ? 10 : centroids <= 12 ? 12 : 16;
}

static int64_t fused_bytes(const fh_cluster_work *work) {
  const int64_t passes = fh_divide_up(work->k, FUSED_CENTROIDS), slots = passes * fused_class(fh_divide_up(work->k, passes));
  const int64_t centroids = slots * FUSED_COLUMNS * fh_divide_up(work->d, FUSED_COLUMNS), sums = work->k * 4 * fh_divide_up(work->d, 4);
  return 4 * (centroids + sums + 2 * (int64_t)FUSED_TILE + work->k);
}

static void fused_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const fh_cluster_work work = work_of(bound);
  (void)multiprocessors;
  *out = (fh_block_shape){
      .grid = {(uint32_t)fh_most(1, work.chunks), 1, 1}, .threads = FUSED_THREADS, .shared_bytes = (uint32_t)fused_bytes(&work)};
}

static const char *fused_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  const char *reason = few_unfit(bound);
  if (reason) return reason;
  if (op[FH_ASSIGN_D].i < FUSED_WIDE) return "rows of fewer than 128 numbers: a tile of them is little work between two barriers";
  if (op[FH_ASSIGN_X_STRIDES + 1].i != 1) return "the numbers of a row of x do not lie side by side";
  const fh_cluster_work work = work_of(bound);
  return work.d > FUSED_BYTES || fused_bytes(&work) > FUSED_BYTES ? "centroids and their sums do not fit shared memory" : NULL;
}

static const fh_block_step fused_rest[] = {{"kmeans_step_fused_chunks", chunks_shape}};
static const fh_block_step rest[] = {{"kmeans_step_sums", sums_shape}, {"kmeans_step_chunks", chunks_shape}};
#define STEP_VARIANT(name, numerics, efficiency)                                                                                   \
  {#name,      "kmeans_step_" #name, "kmeans_step_block",          FH_BLOCK_PORTABLE, false, numerics, name##_shape, name##_unfit, \
   efficiency, .rest = rest,         .rest_count = FH_LENGTH(rest)}
static const fh_block_step mma_rest[] = {
    {"kmeans_step_mma", fh_nearest_mma_shape}, {"kmeans_step_mma_sums", sums_shape}, {"kmeans_step_mma_chunks", chunks_shape}};
static const fh_block_step wide_rest[] = {
    {"kmeans_step_wide", fh_nearest_wide_shape}, {"kmeans_step_mma_sums", sums_shape}, {"kmeans_step_mma_chunks", chunks_shape}};
/* Reads x once, where `few` reads it twice: a guess, nothing has been measured. */
#define FUSED_VARIANT   \
  {"fused",             \
   "kmeans_step_fused", \
   "kmeans_step_sm80",  \
   80,                  \
   false,               \
   FH_EXACT,            \
   fused_shape,         \
   fused_unfit,         \
   0.5,                 \
   .rest = fused_rest,  \
   .rest_count = FH_LENGTH(fused_rest)}
#define BLOCKS_OF_FLOATS                                                                           \
  FH_BLOCKS(STEP_VARIANT(tiles, FH_BOUNDED, 0.3), STEP_VARIANT(few, FH_EXACT, 0.3), FUSED_VARIANT, \
            FH_NEAREST_SKETCHED("mma", "kmeans_step", mma_unfit, 0.95, mma_rest),                  \
            FH_NEAREST_SKETCHED("wide", "kmeans_step", wide_unfit, 0.9, wide_rest)),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(kmeans_step) = {
    .name = FH_NAME_OF("kmeans_step"),
    .version = 1,
    .summary = "nearest centroid of each row, and sums and counts of the rows of each cluster",
    .formula =
        "labels[i] = argmin_j ||x[i] - c[j]||^2, lowest j on a tie; sums[j] = sum of x[i] with labels[i] = j; counts[j] = how many "
        "(Lloyd 1982)",
    FH_VIEWS(params),
    FH_ENTRIES(FH_ENTRY_OF("kmeans_step", "assign"), FH_ENTRY_OF("kmeans_step", "partial"), FH_ENTRY_OF("kmeans_step", "combine")),
    FH_EXACT_WITHIN(4096 * FH_UNIT, 0, "those of kmeans_assign and kmeans_update; sums are judged for the labels that were given"),
    .bind = step_bind,
    .reference = step_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = step_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_step, avx512), unfit, 0.8, 0},
              {"tuned", FH_ISA_AVX2, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_step, avx2), unfit, 0.75, 0}),
             ({"tuned", FH_ISA_NEON, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_step, neon), unfit, 0.75, 0})),
    BLOCKS_OF_FLOATS};
