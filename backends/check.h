/* Checks that every backend makes on what it is handed. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_CHECK_H_
#define FOGHORN_BACKENDS_CHECK_H_

#include "backends/backend.h"

/* A recipe's entry exists in its image. INVALID_ARGUMENT names both. */
fh_status fh_check_recipe(const fh_recipe *recipe);

/* What a launch asks of a device and does not get, in words ("threads of a block"), with both numbers; NULL: all is given. */
const char *fh_block_exceeds(const fh_block_limits *limits, const fh_block_shape *shape, int64_t *out_need, int64_t *out_have);

/* The shape of a launch of a variant, checked: INCOMPATIBLE says what the device lacks, INTERNAL that shape() gave none. */
fh_status fh_check_block_shape(const fh_device_info *info, const fh_block_variant *variant, const fh_bound *bound,
                               fh_block_shape *out_shape);

/* Operands agree with the entry's parameters in number and kind. INVALID_ARGUMENT names the first that does not. */
fh_status fh_check_operands(const fh_entry_image *entry, const fh_launch_operand *operands, int count);

/* [offset, offset + bytes) lies in a memory of `size` bytes. OUT_OF_RANGE says by how much not. */
fh_status fh_check_range(const char *what, int64_t offset, size_t bytes, size_t size);

/* An index below a count of devices. NOT_FOUND says how many there are. */
fh_status fh_check_device_index(const char *backend, int index, int count);

/* An operand that is a pointer. */
static inline bool fh_operand_is_pointer(fh_operand_kind kind) { return kind >= FH_OPERAND_IN && kind <= FH_OPERAND_TEMP; }

#endif /* FOGHORN_BACKENDS_CHECK_H_ */
