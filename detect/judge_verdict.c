/* Expectation against reality: the words at the top. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/arena.h"
#include "detect/judge.h"

/* An expected thing that is missing makes its cause an error; without a known cause it is still wrong. */
fh_status fh_judge_unmet(fh_judgement *judgement) {
  for (int i = 0; i < judgement->expected_count; i++) {
    bool met = false;
    fh_unmet unmet;
    FH_TRY(fh_judgement_require(judgement, judgement->expected[i], &met, &unmet));
    if (met) continue;
    judgement->wrong = true;
    if (!judgement->headline) judgement->headline = fh_arena_format(judgement->arena, "expected %s, found: %s", unmet.spec, unmet.found);
    for (int k = 0; k < judgement->finding_count && unmet.cause; k++)
      if (judgement->findings[k].cause->id == unmet.cause) judgement->findings[k].severity = FH_SEVERITY_ERROR;
  }
  return FH_OK;
}

static const char *all_is_well(fh_judgement *judgement) {
  int gpus = fh_judgement_usable_gpus(judgement);
  if (gpus) return fh_arena_format(judgement->arena, "%d GPU device%s and the CPU can be used", gpus, gpus == 1 ? "" : "s");
  return fh_judgement_expected_gpu(judgement)->level == FH_EXPECT_NONE ? "the CPU can be used; no GPU is expected here and none was found"
                                                                       : "the CPU can be used; whether a GPU can was not asked";
}

void fh_judge_verdict(fh_judgement *judgement) {
  const fh_finding *primary = fh_judgement_primary(judgement);
  bool error = primary && primary->severity == FH_SEVERITY_ERROR;
  bool unusable = (error && primary->device) || (judgement->wrong && !error);
  judgement->wrong |= error;
  judgement->verdict = unusable ? "NOT USABLE" : primary ? "LIMITED" : "OK";
  if (primary && (error || !judgement->headline)) judgement->headline = primary->cause->title;
  if (!judgement->headline) judgement->headline = all_is_well(judgement);
}
