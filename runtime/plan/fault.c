/* Faults at run time in the words of the catalogue. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "detect/findings.h"
#include "runtime/plan/plan.h"

const char *fh_fault_cause(fh_status failure) {
  const char *cause = fh_status_cause(failure);
  if (cause) return cause;
  switch (fh_status_code(failure)) {
    case FH_RESOURCE_EXHAUSTED:
      return "OUT-OF-MEMORY";
    case FH_UNAVAILABLE:
      return "DEVICE-LOST";
    case FH_DEADLINE_EXCEEDED:
      return "LAUNCH-TIMEOUT";
    case FH_INTERNAL:
    case FH_INCOMPATIBLE:
    case FH_UNIMPLEMENTED:
      return "DRIVER-REFUSED";
    default:
      return "UNKNOWN";
  }
}

void fh_fault_fix(const fh_context *context, const char *cause, char *out, size_t size) {
  const fh_cause *known = fh_cause_find(cause);
  fh_remedy remedies[FH_MAX_REMEDIES];
  int count = fh_cause_remedies(known ? known : fh_cause_find("UNKNOWN"), context->platform, context->contained, remedies);
  const fh_remedy *best = &remedies[0];
  snprintf(out, size, "%s%.*s", count && best->on_host ? "on the host: " : "", count ? best->size : 0, count ? best->text : "");
}
