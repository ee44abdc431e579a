/* Checks that every backend makes on what it is handed. SPDX-License-Identifier: Apache-2.0 */
#include "backends/check.h"

#include <inttypes.h>

static const char *kind_name(fh_operand_kind kind) {
  switch (kind) {
    case FH_OPERAND_IN:
      return "an input pointer";
    case FH_OPERAND_OUT:
      return "an output pointer";
    case FH_OPERAND_INOUT:
      return "an in/out pointer";
    case FH_OPERAND_TEMP:
      return "a scratch pointer";
    case FH_OPERAND_I64:
      return "an integer";
    case FH_OPERAND_F32:
      return "a float";
  }
  return "of unknown kind";
}

fh_status fh_check_recipe(const fh_recipe *recipe) {
  const fh_kernel_image *image = recipe->image;
  if (!image) return FH_STATUS(FH_INVALID_ARGUMENT, "prepare: the recipe has no kernel image");
  if (recipe->entry < 0 || recipe->entry >= image->entry_count)
    return FH_STATUS(FH_INVALID_ARGUMENT, "prepare: entry %d of kernel %s; it has %d", recipe->entry, image->contract->name,
                     image->entry_count);
  if (recipe->block && recipe->entry != 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "prepare: entry %d of kernel %s with the variant %s, which stands for the first one",
                     recipe->entry, image->contract->name, recipe->block->name);
  const int steps = recipe->block ? fh_block_steps(recipe->block) : 1;
  if (recipe->step < 0 || recipe->step >= steps)
    return FH_STATUS(FH_INVALID_ARGUMENT, "prepare: launch %d of kernel %s; %s has %d", recipe->step, image->contract->name,
                     recipe->block ? recipe->block->name : "an entry", steps);
  return FH_OK;
}

/* The threads of all blocks; INT64_MAX: more than it can hold. */
static int64_t threads_of_all(const fh_block_shape *shape) {
  int64_t all = shape->threads;
  for (int i = 0; i < 3; i++)
    if (__builtin_mul_overflow(all, (int64_t)shape->grid[i], &all)) return INT64_MAX;
  return all;
}

const char *fh_block_exceeds(const fh_block_limits *limits, const fh_block_shape *shape, int64_t *out_need, int64_t *out_have) {
  enum { ROWS = 5 };
  static const char *const what[ROWS] = {"threads of a block", "bytes of shared memory for a block", "blocks in the first dimension",
                                         "blocks in the second dimension", "blocks in the third dimension"};
  const uint32_t need[ROWS] = {shape->threads, shape->shared_bytes, shape->grid[0], shape->grid[1], shape->grid[2]};
  const uint32_t have[ROWS] = {limits->threads, limits->shared_bytes, limits->grid[0], limits->grid[1], limits->grid[2]};
  for (int i = 0; i < ROWS; i++) {
    if (need[i] <= have[i]) continue;
    *out_need = need[i];
    *out_have = have[i];
    return what[i];
  }
  *out_need = threads_of_all(shape);
  *out_have = limits->items;
  return limits->items && *out_need > limits->items ? "threads in all blocks" : NULL;
}

fh_status fh_check_block_shape(const fh_device_info *info, const fh_block_variant *variant, int step, const fh_bound *bound,
                               fh_block_shape *out_shape) {
  if (!bound) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: a launch of variant %s needs its bound call", info->id, variant->name);
  *out_shape = (fh_block_shape){0};
  fh_block_step_of(variant, step).shape(bound, info->compute_units, out_shape);
  if (!out_shape->threads || !out_shape->grid[0] || !out_shape->grid[1] || !out_shape->grid[2])
    return FH_STATUS(FH_INTERNAL, "%s: the shape of variant %s is %u x %u x %u blocks of %u threads, expected at least 1 of each", info->id,
                     variant->name, out_shape->grid[0], out_shape->grid[1], out_shape->grid[2], out_shape->threads);
  if (out_shape->cluster > 1 && (info->capability < 90 || out_shape->grid[0] % out_shape->cluster))
    return FH_STATUS(FH_INTERNAL, "%s: variant %s wants clusters of %u of its %u blocks, expected a part of them and capability 9.0",
                     info->id, variant->name, out_shape->cluster, out_shape->grid[0]);
  int64_t need, have;
  const char *what = fh_block_exceeds(&info->blocks, out_shape, &need, &have);
  if (!what) return FH_OK;
  return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES", "%s: variant %s needs %" PRId64 " %s, the device gives %" PRId64, info->id,
                         variant->name, need, what, have);
}

const char *fh_block_misplaced(const fh_block_variant *variant, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]) {
  enum { BOUNDARY = 16 };
  fh_tensor_map maps[FH_MAX_TENSOR_MAPS];
  if (variant->map_count == 0) return NULL;
  variant->maps(bound, maps);
  for (int i = 0; i < variant->map_count; i++) {
    const fh_operand *operand = &bound->stages[0].operands[maps[i].operand];
    if ((offsets[operand->index] + operand->offset) % BOUNDARY)
      return "an operand does not begin on a boundary of 16 bytes: tensor maps want that";
  }
  return NULL;
}

/* A contract may pass scratch where the entry's text says input or output: both are pointers. */
static bool kinds_agree(fh_operand_kind formal, fh_operand_kind actual) {
  return formal == actual || (fh_operand_is_pointer(formal) && fh_operand_is_pointer(actual));
}

fh_status fh_check_operands(const fh_entry_image *entry, const fh_launch_operand *operands, int count) {
  if (count < 0 || count > FH_MAX_OPERANDS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "launch of %s: %d operands, at most %d", entry->entry, count, FH_MAX_OPERANDS);
  if (!entry->params && !entry->cpu[FH_ISA_SCALAR]) return FH_OK; /* no text: tuned functions know their own */
  const int known = entry->params ? entry->param_count : 0;
  if (count != known)
    return FH_STATUS(FH_INVALID_ARGUMENT, "launch of %s: %d operands, the entry has %d parameters", entry->entry, count, known);
  for (int i = 0; i < count; i++) {
    if (kinds_agree(entry->params[i].kind, operands[i].kind)) continue;
    return FH_STATUS(FH_INVALID_ARGUMENT, "launch of %s: operand %d (%s) is %s, expected %s", entry->entry, i, entry->params[i].name,
                     kind_name(operands[i].kind), kind_name(entry->params[i].kind));
  }
  return FH_OK;
}

fh_status fh_check_device_operands(const fh_entry_image *entry, const fh_block_variant *variant, const fh_launch_operand *operands,
                                   int count) {
  if (!variant || !variant->scratch_bytes) return fh_check_operands(entry, operands, count);
  if (count < 1 || count > FH_MAX_OPERANDS || operands[count - 1].kind != FH_OPERAND_TEMP)
    return FH_STATUS(FH_INVALID_ARGUMENT, "launch of %s: variant %s has scratch, expected it as the last of up to %d operands",
                     entry->entry, variant->name, FH_MAX_OPERANDS);
  return fh_check_operands(entry, operands, count - 1);
}

fh_status fh_check_range(const char *what, int64_t offset, size_t bytes, size_t size) {
  if (offset >= 0 && (uint64_t)offset <= size && bytes <= size - (uint64_t)offset) return FH_OK;
  return FH_STATUS(FH_OUT_OF_RANGE, "%s: %zu bytes at offset %" PRId64 " leave a memory of %zu bytes", what, bytes, offset, size);
}

fh_status fh_check_device_index(const char *backend, int index, int count) {
  if (index >= 0 && index < count) return FH_OK;
  return FH_STATUS(FH_NOT_FOUND, "%s: there is no device %d; %d %s found", backend, index, count, count == 1 ? "was" : "were");
}
