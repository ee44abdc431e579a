/* The contract of pack_weights: (k, n) into the layout that products read without another copy. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/product.h"

#include <string.h>

enum { W, PACKED };

static const fh_view_param params[] = {
    {"b", FH_ROLE_IN, FH_BF16, "(k, n)", false},
    {"packed", FH_ROLE_OUT, FH_BF16,
     "(panels, groups, 32, group), panels = ceil(n / 32), group = 4 bytes of b's type, groups = ceil(k / group)", false},
};

/* Elements in a word; 0: not a type of weights. */
static int64_t group_of(fh_dtype dtype) {
  return dtype == FH_I8 || dtype == FH_U8 ? 4 : dtype == FH_BF16 || dtype == FH_F16 ? 2 : dtype == FH_F32 ? 1 : 0;
}

static fh_status pack_weights_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  char found[FH_CHECK_TEXT], wanted[FH_CHECK_TEXT];
  const int64_t group = group_of(views[W].dtype);
  if (group == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_weights_pack: b has type %s, expected i8, u8, bf16, f16 or f32",
                     fh_dtype_name(views[W].dtype));
  fh_view_param typed[] = {params[W], params[PACKED]};
  typed[W].dtype = typed[PACKED].dtype = views[W].dtype;
  FH_TRY(fh_check_view("weights_pack", &typed[W], &views[W], 2, 2));
  FH_TRY(fh_check_view("weights_pack", &typed[PACKED], &views[PACKED], 4, 4));
  int64_t count = 0;
  FH_TRY(fh_check_count("weights_pack", &typed[W], &views[W], &count));
  fh_view_desc want = {.rank = 4};
  fh_packed_shape(views[W].shape[0], views[W].shape[1], group, want.shape);
  if (memcmp(want.shape, views[PACKED].shape, 4 * sizeof *want.shape) != 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_weights_pack: packed has shape %s, expected %s for b of shape %s",
                     fh_check_shape_text(&views[PACKED], found), fh_check_shape_text(&want, wanted),
                     fh_check_shape_text(&views[W], (char[FH_CHECK_TEXT]){0}));
  if (count == 0) return FH_OK; /* no weights: the packed shape is empty too */

  fh_stage *stage = fh_add_stage(out, group == 4 ? 0 : group == 2 ? 1 : 2, want.shape[0] * want.shape[1], 4.0 * FH_PANEL * (double)group);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, W, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, PACKED, 0));
  FH_PUSH_I64(stage, views[W].shape[0], views[W].shape[1], want.shape[1], group);
  fh_push_i64(stage, views[W].strides, 2);
  fh_push_i64(stage, views[PACKED].strides, 4);
  out->flops = stage->flops_per_item * (double)stage->items;
  out->bytes = 2.0 * (double)fh_dtype_size(views[W].dtype) * (double)count;
  return FH_OK;
}

static void pack_weights_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_view_desc *b = &views[W], *packed = &views[PACKED];
  const int64_t group = packed->shape[3], size = (int64_t)fh_dtype_size(b->dtype);
  for (int64_t j = 0; j < packed->shape[0] * FH_PANEL; j++)
    for (int64_t l = 0; l < packed->shape[1] * group; l++) {
      const int64_t at = j / FH_PANEL * packed->strides[0] + l / group * packed->strides[1] + j % FH_PANEL * packed->strides[2] +
                         l % group * packed->strides[3];
      char *to = (char *)data[PACKED] + at * size;
      if (l < b->shape[0] && j < b->shape[1])
        memcpy(to, (const char *)data[W] + (l * b->strides[0] + j * b->strides[1]) * size, (size_t)size);
      else
        memset(to, 0, (size_t)size);
    }
}

static const fh_dtype types[] = {FH_I8, FH_BF16, FH_F32, FH_U8, FH_F16};
enum { TYPES = FH_LENGTH(types) };

static bool case_of(int i, const int64_t (*shapes)[2], int count, fh_case *out) {
  *out = (fh_case){0};
  if (i < 0 || i >= count * TYPES) return false;
  const fh_dtype dtype = types[i % TYPES];
  const int64_t *s = shapes[i / TYPES];
  int64_t packed[4];
  fh_packed_shape(s[0], s[1], group_of(dtype), packed);
  out->views[W] = fh_compact(dtype, 2, s);
  out->views[PACKED] = fh_compact(dtype, 4, packed);
  snprintf(out->label, sizeof out->label, "%s %" PRId64 "x%" PRId64, fh_dtype_name(dtype), s[0], s[1]);
  return true;
}

static bool pack_weights_case_at(int i, fh_case *out) {
  static const int64_t shapes[][2] = {{6, 5},  {0, 4},   {3, 0},    {1, 1},    {4, 32},  {7, 33},
                                      {2, 31}, {64, 64}, {65, 127}, {129, 16}, {1, 100}, {101, 1}};
  return case_of(i, shapes, FH_LENGTH(shapes), out);
}

static bool pack_weights_bench_at(int i, fh_case *out) {
  static const int64_t shapes[][2] = {{64, 64}, {768, 3072}, {3067, 769}, {4096, 4096}};
  return case_of(i, shapes, FH_LENGTH(shapes), out);
}

/* ---- blocks of threads ---- */
enum { N_OPERAND = 3, GROUPS_OPERAND };

/* 256 threads with 64 bytes each; blocks stride over the tiles. */
static void panels_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, TILE = THREADS * 64, GROUP_BYTES = 4 * FH_PANEL, MOST = 32 };
  const fh_operand *op = bound->stages[0].operands;
  const int64_t bytes = fh_divide_up(op[N_OPERAND].i, FH_PANEL) * op[GROUPS_OPERAND].i * GROUP_BYTES;
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(fh_divide_up(bytes, TILE), most), 1, 1}, .threads = THREADS};
}

static const char *panels_unfit(const fh_bound *bound, int entry) {
  return bound->stages[0].entry == entry ? NULL : "it is for elements of another size";
}
static const char *bytes_unfit(const fh_bound *bound) { return panels_unfit(bound, 0); }
static const char *halves_unfit(const fh_bound *bound) { return panels_unfit(bound, 1); }
static const char *words_unfit(const fh_bound *bound) { return panels_unfit(bound, 2); }
#define PANELS(bits, unfit) \
  {"panels_" bits, "pack_weights_" bits "_panels", "pack_weights_block", FH_BLOCK_PORTABLE, false, FH_EXACT, panels_shape, unfit, 0.85}

const fh_kernel_contract fh_contract_pack_weights = {
    .name = "pack_weights",
    .version = 1,
    .summary = "weights (k, n) into panels of 32 columns, for products that use them many times",
    .formula = "packed[j / 32, l / group, j % 32, l % group] = b[l, j], zero past k and n",
    FH_VIEWS(params),
    FH_ENTRIES("pack_weights_8", "pack_weights_16", "pack_weights_32"),
    FH_EXACT_WITHIN(0, 0, "elements are moved, not computed"),
    .bind = pack_weights_bind,
    .reference = pack_weights_reference,
    .case_at = pack_weights_case_at,
    .bench_at = pack_weights_bench_at,
    FH_BLOCKS(PANELS("8", bytes_unfit), PANELS("16", halves_unfit), PANELS("32", words_unfit)),
};
