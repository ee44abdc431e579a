/* Checks that every backend makes on what it is handed. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_CHECK_H_
#define FOGHORN_BACKENDS_CHECK_H_

#include "backends/backend.h"

/* A recipe's entry exists in its image. INVALID_ARGUMENT names both. */
fh_status fh_check_recipe(const fh_recipe *recipe);

/* Operands agree with the entry's parameters in number and kind. INVALID_ARGUMENT names the first that does not. */
fh_status fh_check_operands(const fh_entry_image *entry, const fh_launch_operand *operands, int count);

/* [offset, offset + bytes) lies in a memory of `size` bytes. OUT_OF_RANGE says by how much not. */
fh_status fh_check_range(const char *what, int64_t offset, size_t bytes, size_t size);

/* An index below a count of devices. NOT_FOUND says how many there are. */
fh_status fh_check_device_index(const char *backend, int index, int count);

/* An operand that is a pointer. */
static inline bool fh_operand_is_pointer(fh_operand_kind kind) { return kind >= FH_OPERAND_IN && kind <= FH_OPERAND_TEMP; }

#endif /* FOGHORN_BACKENDS_CHECK_H_ */
