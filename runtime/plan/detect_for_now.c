/* Stands in for the judging part of detection until it lands: weak, so that the real functions win. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "detect/findings.h"

#define FOR_NOW __attribute__((weak))

FOR_NOW fh_status fh_judge(const fh_facts *facts, const char *expect, fh_judgement **out_judgement) {
  (void)expect;
  *out_judgement = calloc(1, sizeof **out_judgement);
  if (!*out_judgement) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory");
  (*out_judgement)->facts = facts;
  return FH_OK;
}
FOR_NOW void fh_judgement_destroy(fh_judgement *judgement) { free(judgement); }
FOR_NOW fh_status fh_judgement_require(const fh_judgement *judgement, const char *spec, bool *out_met, fh_unmet *out_unmet) {
  (void)judgement, (void)spec, (void)out_unmet;
  *out_met = false;
  return FH_STATUS(FH_UNIMPLEMENTED, "no judge yet");
}
