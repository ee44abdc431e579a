/* A rule at work: evidence, then a finding. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/rules/rules.h"

fh_case fh_case_open(fh_judgement *judgement, const fh_cause *cause) {
  return (fh_case){.judgement = judgement, .facts = judgement->facts, .cause = cause};
}

bool fh_case_saw(fh_case *c, bool test, const char *source, const char *format, ...) {
  if (!test || !source || !source[0] || c->evidence_count == FH_MAX_EVIDENCE) return test;
  va_list args;
  va_start(args, format);
  c->evidence[c->evidence_count++] = (fh_evidence){.source = source, .value = fh_arena_vformat(c->judgement->arena, format, args)};
  va_end(args);
  return true;
}

static void conclude(fh_case *c, fh_severity severity, fh_confidence confidence, const char *device, const char *summary) {
  fh_finding *finding = fh_finding_add(c->judgement, c->cause, severity, confidence, "%s", summary);
  if (!finding) return;
  finding->device = device;
  memcpy(finding->evidence, c->evidence, sizeof(c->evidence));
  finding->evidence_count = c->evidence_count;
}

void fh_case_conclude(fh_case *c, fh_severity severity, fh_confidence confidence, const char *device, const char *summary, ...) {
  va_list args;
  va_start(args, summary);
  conclude(c, severity, confidence, device, fh_arena_vformat(c->judgement->arena, summary, args));
  va_end(args);
}

/* The rejected GPU by its id when there is just one, else all of the backend. */
static const char *rejected_gpu(const fh_judgement *judgement) {
  const char *id = NULL;
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    if (device->usable || strcmp(device->backend, "cuda") != 0) continue;
    if (id) return "cuda";
    id = device->id;
  }
  return id ? id : "cuda";
}

void fh_case_gpu(fh_case *c, fh_confidence confidence, const char *summary, ...) {
  fh_severity severity = c->judgement->gpu_expectation >= FH_EXPECT_INTENT ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING;
  /* What is missing here is normal on other platforms: with the platform in doubt only a proof holds. */
  if (c->facts->where.platform_unsure && confidence == FH_CONSISTENT) confidence = FH_POSSIBLE;
  va_list args;
  va_start(args, summary);
  conclude(c, severity, confidence, rejected_gpu(c->judgement), fh_arena_vformat(c->judgement->arena, summary, args));
  va_end(args);
}
