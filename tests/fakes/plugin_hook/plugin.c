/* No plug-in at all, but what it does when it is loaded is a test's to say. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

__attribute__((constructor)) static void call_the_test(void) {
  const char *at = getenv("FOGHORN_TEST_HOOK");
  if (at) ((void (*)(void))(uintptr_t)strtoull(at, NULL, 10))();
}
