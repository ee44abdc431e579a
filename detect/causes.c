/* The catalogue of causes. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/rules/rules.h"

static const fh_cause causes[] = {
#define FH_CAUSE_AT_RUN_TIME(id, title, meaning, look_alikes, remedy, references) \
  {id, FH_GROUP_RUN_TIME, title, meaning, look_alikes, remedy, references, NULL},
#define FH_CAUSE(id, group, title, meaning, look_alikes, remedy, references, rule) \
  {id, group, title, meaning, look_alikes, remedy, references, rule},
#include "detect/causes.def"
#undef FH_CAUSE
#undef FH_CAUSE_AT_RUN_TIME
};

const fh_cause *fh_causes(int *out_count) {
  *out_count = (int)(sizeof(causes) / sizeof(causes[0]));
  return causes;
}

const fh_cause *fh_cause_find(const char *id) {
  if (!id) return NULL;
  for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
    if (strcmp(causes[i].id, id) == 0) return &causes[i];
  return NULL;
}
