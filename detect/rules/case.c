/* A rule at work: evidence, then a finding. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>
#include <strings.h>

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

void fh_case_next(fh_case *c, bool test, const char *step, ...) {
  if (!test || c->next_count == FH_MAX_NEXT) return;
  va_list args;
  va_start(args, step);
  c->next[c->next_count++] = fh_arena_vformat(c->judgement->arena, step, args);
  va_end(args);
}

static void conclude(fh_case *c, fh_severity severity, fh_confidence confidence, const char *device, const char *summary) {
  fh_finding *finding = fh_finding_add(c->judgement, c->cause, severity, confidence, "%s", summary);
  if (!finding) return;
  finding->device = device;
  memcpy(finding->evidence, c->evidence, sizeof(c->evidence));
  finding->evidence_count = c->evidence_count;
  memcpy(finding->next, c->next, sizeof(c->next));
  finding->next_count = c->next_count;
}

void fh_case_conclude(fh_case *c, fh_severity severity, fh_confidence confidence, const char *device, const char *summary, ...) {
  va_list args;
  va_start(args, summary);
  conclude(c, severity, confidence, device, fh_arena_vformat(c->judgement->arena, summary, args));
  va_end(args);
}

fh_confidence fh_case_flip(fh_case *c, fh_flip flip, const char *change, fh_confidence otherwise) {
  const char *source = fh_arena_format(c->judgement->arena, "asked again %s", change);
  if (fh_case_saw(c, flip == FH_FLIP_FLIPPED, source, "it works")) return FH_PROVEN;
  return fh_case_saw(c, flip == FH_FLIP_SAME, source, "no change") ? FH_POSSIBLE : otherwise;
}

/* The rejected device of a family by its id when there is just one, else all of them. */
static const char *rejected_of(const fh_judgement *judgement, fh_family family) {
  const char *all = fh_family_in_words(family)->device, *id = NULL;
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    if (device->usable || device->family != family || strcmp(device->backend, "opencl") == 0) continue;
    if (id) return all;
    id = device->id;
  }
  return id ? id : all;
}

static void conclude_about(fh_case *c, fh_family family, fh_confidence confidence, const char *summary) {
  fh_severity severity = c->judgement->expects[family].level >= FH_EXPECT_INTENT ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING;
  /* What is missing here is normal on other platforms: with the platform in doubt only a proof holds. */
  if (c->facts->where.platform_unsure && confidence == FH_CONSISTENT) confidence = FH_POSSIBLE;
  conclude(c, severity, confidence, rejected_of(c->judgement, family), summary);
}

void fh_case_card(fh_case *c, const char *pci, fh_confidence confidence, const char *summary, ...) {
  const fh_judgement *judgement = c->judgement;
  const fh_found_device *device = NULL;
  va_list args;
  va_start(args, summary);
  const char *text = fh_arena_vformat(judgement->arena, summary, args);
  va_end(args);
  for (int i = 0; i < judgement->device_count; i++)
    if (*pci && judgement->devices[i].family == FH_NVIDIA_GPU && strcasecmp(judgement->devices[i].pci, pci) == 0)
      device = &judgement->devices[i];
  if (fh_gpu_in_question(judgement) || !device)
    conclude_about(c, FH_NVIDIA_GPU, confidence, text);
  else
    conclude(c, FH_SEVERITY_WARNING, confidence, device->id, text);
}

void fh_case_gpu_by_choice(fh_case *c, fh_confidence confidence, const char *summary, ...) {
  va_list args;
  va_start(args, summary);
  const char *text = fh_arena_vformat(c->judgement->arena, summary, args);
  va_end(args);
  if (c->judgement->expects[FH_NVIDIA_GPU].level >= FH_EXPECT_INTENT)
    conclude_about(c, FH_NVIDIA_GPU, confidence, text);
  else
    conclude(c, FH_SEVERITY_INFO, confidence, rejected_of(c->judgement, FH_NVIDIA_GPU), text);
}

void fh_case_device(fh_case *c, fh_family family, fh_confidence confidence, const char *summary, ...) {
  va_list args;
  va_start(args, summary);
  conclude_about(c, family, confidence, fh_arena_vformat(c->judgement->arena, summary, args));
  va_end(args);
}

void fh_case_gpu(fh_case *c, fh_confidence confidence, const char *summary, ...) {
  va_list args;
  va_start(args, summary);
  conclude_about(c, FH_NVIDIA_GPU, confidence, fh_arena_vformat(c->judgement->arena, summary, args));
  va_end(args);
}
