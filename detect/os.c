/* What both forms of the operating-system table share. SPDX-License-Identifier: Apache-2.0 */
#include "detect/os.h"

#include <stdlib.h>

void fh_os_destroy(fh_os *os) {
  if (os) os->api->destroy(os);
}

const char *fh_os_refusal(fh_os *os) { return os->api->ask_refused ? os->api->ask_refused(os) : NULL; }

void fh_os_answer_free(fh_os_answer *answer) {
  free(answer->json);
  *answer = (fh_os_answer){0};
}
