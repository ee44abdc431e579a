/* An outside program: the library answers, and an error carries its message across the library's edge.
 * SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/foghorn.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  printf("foghorn %s\n", fh_version());

  fh_status status = fh_status_make(FH_NOT_FOUND, __FILE__, __LINE__, "CL-NO-ICD-FILE", "no %s here", "device");
  int right = fh_status_code(status) == FH_NOT_FOUND && strcmp(fh_status_message(status), "no device here") == 0 &&
              strcmp(fh_status_cause(status), "CL-NO-ICD-FILE") == 0;
  fh_status_free(status);
  if (!right) fprintf(stderr, "the status came back changed\n");
  return right ? 0 : 1;
}
