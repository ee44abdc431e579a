/* The golden machines, for tests. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_MACHINES_H_
#define FOGHORN_TESTS_MACHINES_H_

#include "detect/findings.h"

/* Names of the folders in tests/machines with an expect.json, sorted; ends the test when there are none. */
const char *const *fh_machines(int *out_count);
/* The folder of a machine; static until the next call. */
const char *fh_machine_path(const char *name);
/* Facts of a table (taken), judged. Ends the test when that fails. */
typedef struct fh_judged {
  fh_facts *facts;
  fh_judgement *judgement;
} fh_judged;
fh_judged fh_judge_os(fh_os *take_os, const char *expect);
fh_os *fh_machine_os(const char *name);
void fh_judged_free(fh_judged *judged);

#endif /* FOGHORN_TESTS_MACHINES_H_ */
