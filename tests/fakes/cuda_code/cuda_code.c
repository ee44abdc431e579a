/* A stand-in libcuda that only says a code, as a stub or a library that does not fit does. SPDX-License-Identifier: Apache-2.0
 * FH_FAKE_CUDA_CODE=803: what cuInit answers (34, a stub's, without it). It lies beside the whole stand-in driver, so that the
 * same process finds one or the other by the loader's search. */
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT extern const char foghorn_fake_driver[];
EXPORT int cuInit(unsigned flags);
EXPORT int cuDriverGetVersion(int *version);

const char foghorn_fake_driver[] = "a stand-in for tests";

int cuInit(unsigned flags) {
  enum { STUB_LIBRARY = 34 };
  const char *code = getenv("FH_FAKE_CUDA_CODE");
  (void)flags;
  return code ? (int)strtol(code, NULL, 10) : STUB_LIBRARY;
}

int cuDriverGetVersion(int *version) {
  *version = 12020;
  return 0;
}
