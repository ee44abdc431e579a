/* Checks that every backend makes on what it is handed. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_CHECK_H_
#define FOGHORN_BACKENDS_CHECK_H_

#include "backends/backend.h"

/* A recipe's entry exists in its image. INVALID_ARGUMENT names both. */
fh_status fh_check_recipe(const fh_recipe *recipe);

/* What a launch asks of a device and does not get, in words ("threads of a block"), with both numbers; NULL: all is given. */
const char *fh_block_exceeds(const fh_block_limits *limits, const fh_block_shape *shape, int64_t *out_need, int64_t *out_have);

/* The shape of one launch of a variant (fh_recipe.step), checked: INCOMPATIBLE says what the device lacks, INTERNAL that shape() gave none.
 */
fh_status fh_check_block_shape(const fh_device_info *info, const fh_block_variant *variant, int step, const fh_bound *bound,
                               fh_block_shape *out_shape);

/* Why no tensor map of a variant can begin where its operands lie, in words; NULL: all can, or it has none. `offsets`: of the views, in
 * bytes from a boundary of 256. */
const char *fh_block_misplaced(const fh_block_variant *variant, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]);

/* Operands agree with the entry's parameters in number and kind. INVALID_ARGUMENT names the first that does not. */
fh_status fh_check_operands(const fh_entry_image *entry, const fh_launch_operand *operands, int count);

/* The same of a launch of a variant for blocks, whose scratch is the last operand; `variant` NULL: of the dialect's entry. */
fh_status fh_check_device_operands(const fh_entry_image *entry, const fh_block_variant *variant, const fh_launch_operand *operands,
                                   int count);

/* The name of operand `index`, for messages. */
static inline const char *fh_operand_name(const fh_entry_image *entry, int index) {
  return index < entry->param_count ? entry->params[index].name : "scratch";
}

/* How often a variant for blocks launches for one call, and one of these launches. */
static inline int fh_block_steps(const fh_block_variant *variant) { return 1 + variant->rest_count; }
static inline fh_block_step fh_block_step_of(const fh_block_variant *variant, int step) {
  return step > 0 ? variant->rest[step - 1] : (fh_block_step){variant->entry, variant->shape};
}

/* [offset, offset + bytes) lies in a memory of `size` bytes. OUT_OF_RANGE says by how much not. */
fh_status fh_check_range(const char *what, int64_t offset, size_t bytes, size_t size);

/* An index below a count of devices. NOT_FOUND says how many there are. */
fh_status fh_check_device_index(const char *backend, int index, int count);

/* An operand that is a pointer. */
static inline bool fh_operand_is_pointer(fh_operand_kind kind) { return kind >= FH_OPERAND_IN && kind <= FH_OPERAND_TEMP; }

#endif /* FOGHORN_BACKENDS_CHECK_H_ */
