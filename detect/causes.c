/* The catalogue of causes. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <string.h>

#include "detect/rules/rules.h"

/* Written by group, evaluated by stage: sorted once, groups and files keeping their order within a stage. */
static fh_cause causes[] = {
#define FH_CAUSE_AT_RUN_TIME(id, title, meaning, evidence, look_alikes, remedy, references) \
  {id, FH_CAUSE_GROUP, FH_STAGE_RUN_TIME, title, meaning, evidence, look_alikes, remedy, references, NULL},
#define FH_CAUSE(id, stage, title, meaning, evidence, look_alikes, remedy, references, rule) \
  {id, FH_CAUSE_GROUP, stage, title, meaning, evidence, look_alikes, remedy, references, rule},
#include "detect/causes/all.def"
#undef FH_CAUSE
#undef FH_CAUSE_AT_RUN_TIME
};

enum { CAUSE_COUNT = sizeof(causes) / sizeof(causes[0]) };

static void sort_by_stage(void) {
  for (int i = 1; i < CAUSE_COUNT; i++) {
    fh_cause moving = causes[i];
    int at = i;
    for (; at > 0 && causes[at - 1].stage > moving.stage; at--) causes[at] = causes[at - 1];
    causes[at] = moving;
  }
}

const fh_cause *fh_causes(int *out_count) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, sort_by_stage);
  *out_count = CAUSE_COUNT;
  return causes;
}

const fh_cause *fh_cause_find(const char *id) {
  int count;
  const fh_cause *all = fh_causes(&count);
  for (int i = 0; id && i < count; i++)
    if (strcmp(all[i].id, id) == 0) return &all[i];
  return NULL;
}
