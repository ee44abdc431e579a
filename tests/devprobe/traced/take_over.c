/* A library that leaves its mark when root loads it: what no program of another user may bring about. SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void leave_mark(void) {
  const char *mark = getenv("TAKE_OVER_MARK");
  if (mark && geteuid() == 0) close(open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
