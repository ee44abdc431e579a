/* What differs between two looks at one machine. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_CHANGES_H_
#define FOGHORN_TOOLS_DEVPROBE_CHANGES_H_

#include "detect/findings.h"

typedef enum fh_change_kind {
  FH_CHANGE_LOST,    /* a device could be used and cannot any more */
  FH_CHANGE_BACK,    /* it can again */
  FH_CHANGE_NEW,     /* a device is seen that was not */
  FH_CHANGE_GONE,    /* a device is not seen any more */
  FH_CHANGE_CAUSE,   /* a device cannot be used for another reason */
  FH_CHANGE_FINDING, /* a finding that was not there, or is worse or better than it was */
  FH_CHANGE_CLEARED, /* a finding is not there any more */
  FH_CHANGE_CPUS,    /* how many CPUs may be used */
  FH_CHANGE_MEMORY,  /* the memory limit */
} fh_change_kind;

/* "lost", "back", ...: as JSON and the screen name it. */
const char *fh_change_name(fh_change_kind kind);

typedef struct fh_change {
  fh_change_kind kind;
  const fh_found_device *device; /* of devices: as it is now; GONE: as it was */
  const fh_finding *finding;     /* of findings: as it is now; CLEARED: as it was */
  int64_t before, after;         /* of budgets; -1: no limit or unknown */
} fh_change;

/* Calls `tell` for each; returns how many. Notes (FH_SEVERITY_INFO) are not told. A device is the same one by its UUID, then by its
 * place on the bus, then by its name; for the number a driver gives it depends on what else is there. */
int fh_changes(const fh_judgement *before, const fh_judgement *after, void (*tell)(const fh_change *change, void *user), void *user);

#endif /* FOGHORN_TOOLS_DEVPROBE_CHANGES_H_ */
