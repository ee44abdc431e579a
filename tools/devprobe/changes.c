/* What differs between two looks at one machine. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/changes.h"

#include <string.h>
#include <strings.h>

const char *fh_change_name(fh_change_kind kind) {
  static const char *const names[] = {"lost", "back", "new", "gone", "cause", "finding", "cleared", "cpus", "memory"};
  return names[kind];
}

typedef struct teller {
  void (*tell)(const fh_change *change, void *user);
  void *user;
  int count;
} teller;

static void tell(teller *t, fh_change change) {
  t->count++;
  if (t->tell) t->tell(&change, t->user);
}

static bool same_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

/* ---- devices -------------------------------------------------------------------------------------------------- */

static bool both(const char *a, const char *b) { return a && b && *a && *b; }

static bool same_device(const fh_found_device *a, const fh_found_device *b) {
  if (strcmp(a->backend, b->backend) != 0) return false;
  if (both(a->uuid, b->uuid)) return strcmp(a->uuid, b->uuid) == 0;
  if (both(a->pci, b->pci)) return strcasecmp(a->pci, b->pci) == 0;
  return strcmp(a->id, b->id) == 0;
}

/* The only device of its backend: NULL when there are several. */
static const fh_found_device *only_of(const fh_judgement *j, const char *backend) {
  const fh_found_device *only = NULL;
  for (int i = 0; i < j->device_count; i++) {
    if (strcmp(j->devices[i].backend, backend) != 0) continue;
    if (only) return NULL;
    only = &j->devices[i];
  }
  return only;
}

static const fh_found_device *find_device(const fh_judgement *in, const fh_judgement *from, const fh_found_device *device) {
  for (int i = 0; i < in->device_count; i++)
    if (same_device(&in->devices[i], device)) return &in->devices[i];
  /* One that no driver answers for may be known by its node alone: a single one before and after is the same, unless told apart. */
  const fh_found_device *other = only_of(in, device->backend);
  return other && only_of(from, device->backend) && !both(other->uuid, device->uuid) && !both(other->pci, device->pci) ? other : NULL;
}

static void compare_devices(const fh_judgement *before, const fh_judgement *after, teller *t) {
  for (int i = 0; i < before->device_count; i++) {
    const fh_found_device *was = &before->devices[i];
    if (!find_device(after, before, was)) tell(t, (fh_change){.kind = FH_CHANGE_GONE, .device = was});
  }
  for (int i = 0; i < after->device_count; i++) {
    const fh_found_device *is = &after->devices[i], *was = find_device(before, after, is);
    if (!was) {
      tell(t, (fh_change){.kind = FH_CHANGE_NEW, .device = is});
    } else if (was->usable != is->usable) {
      tell(t, (fh_change){.kind = is->usable ? FH_CHANGE_BACK : FH_CHANGE_LOST, .device = is});
    } else if (!is->usable && !same_text(was->cause, is->cause)) {
      tell(t, (fh_change){.kind = FH_CHANGE_CAUSE, .device = is});
    }
  }
}

/* ---- findings --------------------------------------------------------------------------------------------------- */

/* Of one cause there may be several findings; those beyond the number of the other side have no partner. */
static const fh_finding *find_finding(const fh_judgement *in, const fh_finding *list, int at) {
  int before = 0;
  for (int i = 0; i < at; i++) before += list[i].cause == list[at].cause;
  for (int i = 0; i < in->finding_count; i++)
    if (in->findings[i].cause == list[at].cause && before-- == 0) return &in->findings[i];
  return NULL;
}

static void compare_findings(const fh_judgement *before, const fh_judgement *after, teller *t) {
  for (int i = 0; i < after->finding_count; i++) {
    const fh_finding *is = &after->findings[i], *was = find_finding(before, after->findings, i);
    bool worth = is->severity > FH_SEVERITY_INFO || (was && was->severity > FH_SEVERITY_INFO);
    if (worth && (!was || was->severity != is->severity)) tell(t, (fh_change){.kind = FH_CHANGE_FINDING, .finding = is});
  }
  for (int i = 0; i < before->finding_count; i++) {
    const fh_finding *was = &before->findings[i];
    if (was->severity > FH_SEVERITY_INFO && !find_finding(after, before->findings, i))
      tell(t, (fh_change){.kind = FH_CHANGE_CLEARED, .finding = was});
  }
}

/* ---- budgets ------------------------------------------------------------------------------------------------------ */

static void compare_fact(fh_change_kind kind, fh_fact_int before, fh_fact_int after, teller *t) {
  int64_t was = before.valid == FH_VALID ? before.value : -1, is = after.valid == FH_VALID ? after.value : -1;
  if (was != is) tell(t, (fh_change){.kind = kind, .before = was, .after = is});
}

int fh_changes(const fh_judgement *before, const fh_judgement *after, void (*tell_one)(const fh_change *change, void *user), void *user) {
  teller t = {.tell = tell_one, .user = user};
  compare_devices(before, after, &t);
  compare_findings(before, after, &t);
  compare_fact(FH_CHANGE_CPUS, before->facts->cpu.usable, after->facts->cpu.usable, &t);
  compare_fact(FH_CHANGE_MEMORY, before->facts->memory.limit, after->facts->memory.limit, &t);
  return t.count;
}
