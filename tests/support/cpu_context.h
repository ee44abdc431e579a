/* The context of a test file that asks the CPU alone, as group setup and teardown. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_CPU_CONTEXT_H_
#define FOGHORN_TESTS_CPU_CONTEXT_H_

#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

static fh_context *context;

static inline int open_context(void **state) {
  (void)state;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .threads = 2}, &context));
  return 0;
}

static inline int close_context(void **state) {
  (void)state;
  fh_context_release(context);
  return 0;
}

#endif /* FOGHORN_TESTS_CPU_CONTEXT_H_ */
