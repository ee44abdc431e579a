/* Memory between forbidden pages: one element too far, at either end, is a crash. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_GUARDED_H_
#define FOGHORN_TESTS_SUPPORT_GUARDED_H_

#include <stdbool.h>
#include <stddef.h>

typedef struct guarded {
  void *memory; /* zeroed */
  void *mapping;
  size_t mapped;
} guarded;

/* `bytes` that end (at_end) or begin right at a forbidden page; the other side has one too, farther off.
 * Ends the test program when the system has no memory. */
guarded guarded_alloc(size_t bytes, bool at_end);
void guarded_free(guarded *block);

#endif /* FOGHORN_TESTS_SUPPORT_GUARDED_H_ */
