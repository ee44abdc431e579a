/* What tests of whole launches have in common: a context whose log is kept, operands, results compared bit by bit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_LAUNCHES_H_
#define FOGHORN_TESTS_SUPPORT_LAUNCHES_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

/* All that was logged. */
static char said[8192];

static inline void keep(void *user, int level, const char *lines) {
  (void)user, (void)level;
  const size_t used = strlen(said);
  snprintf(said + used, sizeof said - used, "%s", lines);
}

static inline int times_said(const char *part) {
  int n = 0;
  for (const char *at = strstr(said, part); at; at = strstr(at + 1, part)) n++;
  return n;
}

static inline fh_context *open_kept(const char *devices, fh_fallback fallback) {
  setenv("FOGHORN_VERIFY", "off", 1);
  fh_log_set(keep, NULL);
  fh_context *context = NULL;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = devices, .numerics = FH_EXACT, .allow_fake = true, .fallback = fallback},
                                 &context));
  return context;
}

static inline fh_view new_matrix(fh_context *context, int64_t rows, int64_t columns, fh_order order, uint32_t seed) {
  fh_view view;
  float *data;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(rows, columns), order, &view));
  FH_EXPECT_OK(fh_view_map(&view, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < rows * columns; i++) {
    seed = seed * 1664525u + 1013904223u;
    data[i] = (float)(seed >> 8) * 0x1p-23f - 1;
  }
  return view;
}

static inline void same_bits(const fh_view *a, const fh_view *b) {
  void *x, *y;
  FH_EXPECT_OK(fh_view_map(a, FH_READ, &x));
  FH_EXPECT_OK(fh_view_map(b, FH_READ, &y));
  assert_memory_equal(x, y, (size_t)fh_view_elements(a) * sizeof(float));
}

/* Every launch is counted once. */
static inline fh_counters counters_of(fh_context *context) {
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_intended + counters.executed_elsewhere + counters.failed, counters.launches);
  return counters;
}

#endif /* FOGHORN_TESTS_SUPPORT_LAUNCHES_H_ */
