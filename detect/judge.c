/* Facts judged: expectation, devices, rules, verdict. SPDX-License-Identifier: Apache-2.0 */
#include "detect/judge.h"

#include <stdarg.h>
#include <stdlib.h>

#include "detect/arena.h"

fh_finding *fh_finding_add(fh_judgement *judgement, const fh_cause *cause, fh_severity severity, fh_confidence confidence,
                           const char *summary_format, ...) {
  if (judgement->finding_count == judgement->finding_capacity) {
    int capacity = judgement->finding_capacity ? 2 * judgement->finding_capacity : 8;
    fh_finding *findings = realloc(judgement->findings, (size_t)capacity * sizeof(*findings));
    if (!findings) return NULL;
    judgement->findings = findings;
    judgement->finding_capacity = capacity;
  }
  fh_finding *finding = &judgement->findings[judgement->finding_count++];
  *finding = (fh_finding){.cause = cause, .severity = severity, .confidence = confidence};
  va_list args;
  va_start(args, summary_format);
  finding->summary = fh_arena_vformat(judgement->arena, summary_format, args);
  va_end(args);
  return finding;
}

void fh_finding_saw(fh_judgement *judgement, fh_finding *finding, const char *source, const char *value_format, ...) {
  if (!finding || finding->evidence_count == FH_MAX_EVIDENCE) return;
  va_list args;
  va_start(args, value_format);
  finding->evidence[finding->evidence_count++] =
      (fh_evidence){.source = fh_arena_text(judgement->arena, source), .value = fh_arena_vformat(judgement->arena, value_format, args)};
  va_end(args);
}

/* Worst first; within one severity the order of evaluation, which is the order they were added in. */
static void sort_findings(fh_judgement *judgement) {
  fh_finding *findings = judgement->findings;
  for (int i = 1; i < judgement->finding_count; i++) {
    fh_finding moving = findings[i];
    int at = i;
    for (; at > 0 && findings[at - 1].severity < moving.severity; at--) findings[at] = findings[at - 1];
    findings[at] = moving;
  }
}

const fh_finding *fh_judgement_primary(const fh_judgement *judgement) {
  return judgement->finding_count && judgement->findings[0].severity >= FH_SEVERITY_WARNING ? &judgement->findings[0] : NULL;
}

static void run_rules(fh_judgement *judgement) {
  int count = 0;
  const fh_cause *causes = fh_causes(&count);
  for (int i = 0; i < count; i++)
    if (causes[i].rule) causes[i].rule(judgement, &causes[i]);
}

static fh_status judge(fh_judgement *judgement, const char *expect) {
  FH_TRY(fh_judge_expectation(judgement, expect));
  FH_TRY(fh_judge_devices(judgement));
  run_rules(judgement);
  sort_findings(judgement);
  FH_TRY(fh_judge_unmet(judgement)); /* may raise a finding to an error */
  sort_findings(judgement);
  fh_judge_device_causes(judgement);
  fh_judge_remedies(judgement);
  fh_judge_verdict(judgement);
  return fh_arena_failed(judgement->arena) ? FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory to judge what was detected") : FH_OK;
}

fh_status fh_judge(const fh_facts *facts, const char *expect, fh_judgement **out_judgement) {
  *out_judgement = NULL;
  fh_judgement *judgement = calloc(1, sizeof(*judgement));
  if (!judgement || !(judgement->arena = fh_arena_create())) {
    free(judgement);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory to judge what was detected");
  }
  judgement->facts = facts;
  fh_status status = judge(judgement, expect);
  if (status)
    fh_judgement_destroy(judgement);
  else
    *out_judgement = judgement;
  return status;
}

void fh_judgement_destroy(fh_judgement *judgement) {
  if (!judgement) return;
  fh_arena_destroy(judgement->arena);
  free(judgement->findings);
  free(judgement);
}
