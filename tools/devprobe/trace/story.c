/* What the acts of a traced program come to: did it use a GPU, and if not, why not. SPDX-License-Identifier: Apache-2.0
 *
 * Each act that could decide is ranked by what it proves: a device that was held to the end says that a GPU was used; a device
 * that is there and refuses says more than one that is not there, and that more than a library that is not found: programs
 * look for the GPUs of every maker and expect to find none of most. */
#include "tools/devprobe/trace/story.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "detect/parse.h"

enum { ENDED_AT_ONCE = 10 * 1000 * 1000 }; /* ns */

/* ---- acts ----------------------------------------------------------------------------------------------------- */

bool fh_trace_act_found(const fh_trace_act *act) { return act->deed == FH_DEED_OPEN && act->error == 0 && !act->flaw[0]; }

const char *fh_trace_program_name(const fh_trace_record *record, int program) {
  return program >= 0 && record->programs[program].name[0] ? record->programs[program].name : "a program";
}

static const char *subject_of(const fh_trace_act *act) { return fh_trace_subject(act->topic, act->path); }

const fh_trace_act *fh_trace_story_group(const fh_trace_record *record, const fh_trace_act *act) {
  const fh_trace_act *first = record->acts;
  while (first < act && (first->topic != act->topic || first->program != act->program || strcmp(subject_of(first), subject_of(act)) != 0))
    first++;
  return first;
}

/* Somebody opened what this act could not: another of its kind, another place. */
static bool opened_elsewhere(const fh_trace_record *record, const fh_trace_act *act) {
  for (int i = 0; i < record->act_count; i++)
    if (record->acts[i].topic == act->topic && fh_trace_act_found(&record->acts[i])) return true;
  return false;
}

static bool family_refused(const fh_trace_record *record, fh_trace_family family) {
  for (int i = 0; i < record->act_count; i++) {
    const fh_trace_act *act = &record->acts[i];
    if (act->topic->family == family && act->topic->sort == FH_SORT_NODE && act->error && !opened_elsewhere(record, act)) return true;
  }
  return false;
}

static bool driver_found(const fh_trace_record *record, fh_trace_family family) {
  for (int i = 0; i < record->act_count; i++) {
    const fh_trace_act *act = &record->acts[i];
    if (act->topic->family == family && act->topic->sort <= FH_SORT_DRIVER && fh_trace_act_found(act)) return true;
  }
  return false;
}

static bool is_absence(int error) { return error == ENOENT || error == ENOTDIR; }

/* ---- which act decides --------------------------------------------------------------------------------------------- */

/* Strength of an act as the one that decides; 0: it says nothing. */
typedef struct rank {
  int strength;
  fh_trace_verdict verdict;
} rank;

static rank rank_node(const fh_trace_record *record, const fh_trace_act *act) {
  if (act->error == 0) {
    if (act->deed != FH_DEED_OPEN || family_refused(record, act->topic->family)) return (rank){0, FH_TRACE_LOOKED};
    return act->held ? (rank){90, FH_TRACE_USED} : (rank){70, FH_TRACE_OPENED};
  }
  if (opened_elsewhere(record, act)) return (rank){0, FH_TRACE_LOOKED};
  if (!is_absence(act->error)) return (rank){80, FH_TRACE_REFUSED};
  return driver_found(record, act->topic->family) ? (rank){60, FH_TRACE_REFUSED} : (rank){40, FH_TRACE_REFUSED};
}

static rank rank_library(const fh_trace_record *record, const fh_trace_act *act) {
  static const int found[] = {[FH_SORT_LOADER] = 32, [FH_SORT_DRIVER] = 35, [FH_SORT_SUPPORT] = 15};
  bool driver = act->topic->sort != FH_SORT_SUPPORT;
  if (fh_trace_act_found(act)) return (rank){found[act->topic->sort], FH_TRACE_LOOKED};
  if (act->deed != FH_DEED_OPEN || opened_elsewhere(record, act)) return (rank){0, FH_TRACE_LOOKED};
  return (rank){driver ? 50 : 30, FH_TRACE_MISSING};
}

static rank rank_of(const fh_trace_record *record, const fh_trace_act *act) {
  switch (act->topic->sort) {
    case FH_SORT_NODE:
      return rank_node(record, act);
    case FH_SORT_LOADER:
    case FH_SORT_DRIVER:
    case FH_SORT_SUPPORT:
      return rank_library(record, act);
    case FH_SORT_EXTRA_NODE:
    case FH_SORT_REGISTRATION:
    case FH_SORT_KERNEL:
    case FH_SORT_TOOL:
      break;
  }
  return (rank){10, FH_TRACE_LOOKED};
}

/* ---- the finding of detection that fits it ---------------------------------------------------------------------------- */

/* A text names a path or library, and not just one whose name begins so. */
static bool names(const char *text, const char *subject) {
  size_t size = strlen(subject);
  for (const char *at = text; text && (at = strstr(at, subject)); at += size)
    if (!isalnum((unsigned char)at[size]) && at[size] != '-' && at[size] != '_') return true;
  return false;
}

static bool is_evidence_of(const fh_finding *finding, const char *subject) {
  for (int i = 0; i < finding->evidence_count; i++)
    if (names(finding->evidence[i].source, subject) || names(finding->evidence[i].value, subject)) return true;
  return names(finding->summary, subject);
}

static const fh_finding *tied_finding(const fh_judgement *judgement, const fh_trace_act *act) {
  for (int i = 0; judgement && i < judgement->finding_count; i++)
    if (is_evidence_of(&judgement->findings[i], subject_of(act))) return &judgement->findings[i];
  return NULL;
}

static bool group_fits(fh_cause_group group, fh_trace_family family) {
  switch (group) {
    case FH_GROUP_NVIDIA:
    case FH_GROUP_CUDA:
      return family == FH_TRACE_FAMILY_NVIDIA;
    case FH_GROUP_AMD:
      return family == FH_TRACE_FAMILY_AMD || family == FH_TRACE_FAMILY_DRM;
    case FH_GROUP_INTEL:
      return family == FH_TRACE_FAMILY_INTEL || family == FH_TRACE_FAMILY_DRM;
    case FH_GROUP_OPENCL:
      return family == FH_TRACE_FAMILY_OPENCL;
    case FH_GROUP_CONTAINER:
    case FH_GROUP_PLATFORM:
      return true;
    case FH_GROUP_CPU:
    case FH_GROUP_CGROUP:
    case FH_GROUP_RUN_TIME:
      break;
  }
  return false;
}

/* One about the same kind of device, which may well be the reason. */
static const fh_finding *likely_finding(const fh_judgement *judgement, const fh_trace_act *act) {
  for (int i = 0; judgement && i < judgement->finding_count; i++) {
    const fh_finding *finding = &judgement->findings[i];
    if (finding->severity != FH_SEVERITY_INFO && group_fits(finding->cause->group, act->topic->family)) return finding;
  }
  return NULL;
}

/* The strongest act, the earliest of equals; of these one that detection has something to say about goes first. */
static void choose_act(const fh_trace_record *record, const fh_judgement *judgement, fh_trace_story *out) {
  int best = 0;
  if (!record->acts) return;
  for (int i = 0; i < record->act_count; i++) {
    const fh_trace_act *act = &record->acts[i];
    rank r = rank_of(record, act);
    if (r.strength == 0) continue;
    int strength = 2 * r.strength + (tied_finding(judgement, act) != NULL);
    if (strength <= best) continue;
    best = strength;
    out->verdict = r.verdict;
    out->act = act;
  }
}

/* A variable of the program that hides every device of its kind. */
static const fh_trace_variable *hiding_variable(const fh_trace_record *record, const fh_trace_story *s) {
  static const char *const hiding[] = {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"};
  int index = s->act ? s->act->program : record->command;
  const fh_trace_program *program = index >= 0 ? &record->programs[index] : NULL;
  for (int i = 0; program && i < program->variable_count; i++) {
    const fh_trace_variable *v = &program->variables[i];
    for (int k = 0; k < 2; k++)
      if (strcmp(v->name, hiding[k]) == 0 && (!v->value[0] || strcmp(v->value, "-1") == 0)) return v;
  }
  return NULL;
}

/* It looked for a GPU, one can be used, nothing hid it, and it ended with success without having touched it. */
static bool fell_back_in_silence(const fh_trace_record *record, const fh_trace_end *end, const fh_judgement *judgement,
                                 const fh_trace_story *s) {
  return s->verdict == FH_TRACE_LOOKED && fh_judgement_usable_gpus(judgement) > 0 && !hiding_variable(record, s) &&
         WIFEXITED(end->wait_status) && WEXITSTATUS(end->wait_status) == 0;
}

/* A program that asks for no GPU is no fault by itself; where detection saw a build without GPU support, that is the reason. */
static const fh_finding *build_finding(const fh_judgement *judgement) {
  for (int i = 0; i < judgement->finding_count; i++)
    if (strcmp(judgement->findings[i].cause->id, "CU-CPU-BUILD") == 0) return &judgement->findings[i];
  return NULL;
}

static void choose_cause(const fh_trace_record *record, const fh_trace_end *end, const fh_judgement *judgement, fh_trace_story *out) {
  bool well = out->verdict == FH_TRACE_USED || out->verdict == FH_TRACE_OPENED;
  if (well || !judgement) return;
  const fh_finding *finding = out->act ? tied_finding(judgement, out->act) : NULL;
  out->tied = finding != NULL;
  if (!finding) finding = out->act ? likely_finding(judgement, out->act) : build_finding(judgement);
  out->finding = finding;
  if (!finding && fell_back_in_silence(record, end, judgement, out)) {
    out->cause = fh_cause_find("CU-SILENT-FALLBACK");
    out->confidence = FH_POSSIBLE;
  }
  if (!finding) return;
  out->cause = finding->cause;
  out->confidence = out->tied ? finding->confidence : FH_POSSIBLE;
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

/* Directories in which the library of an act was looked for, by anybody. */
static int count_places(const fh_trace_record *record, const fh_trace_act *act) {
  int places = 0;
  for (int i = 0; i < record->act_count; i++) {
    const fh_trace_act *other = &record->acts[i];
    places += other->topic == act->topic && other->deed == FH_DEED_OPEN && !fh_trace_is_variant(other->path) &&
              strcmp(subject_of(other), subject_of(act)) == 0;
  }
  return places;
}

/* "..., and after 3 more tries never touched a GPU again in 12 s"; a program that ended at once did not give up. */
static const char *what_came_after(const fh_trace_record *record, const fh_trace_story *s) {
  int64_t more = 0;
  for (const fh_trace_act *act = s->act + 1; act < record->acts + record->act_count; act++)
    more += act->topic->sort <= FH_SORT_EXTRA_NODE ? act->count : 0;
  if (s->idle_ns < ENDED_AT_ONCE) return ", and ended";
  const char *tries = more == 0   ? ", then"
                      : more == 1 ? ", and after one more try"
                                  : fh_arena_format(record->arena, ", and after %lld more tries", (long long)more);
  return fh_arena_format(record->arena, "%s never touched a GPU again in %.3g s", tries, (double)s->idle_ns * 1e-9);
}

static const char *refused_headline(const fh_trace_record *record, const fh_trace_story *s) {
  const fh_trace_act *act = s->act;
  const char *after = what_came_after(record, s);
  if (is_absence(act->error))
    return fh_arena_format(record->arena, "%s looked for %s, %s, which is not there (%s)%s", s->program, act->path, act->topic->what,
                           fh_errno_name(act->error), after);
  return fh_arena_format(record->arena, "%s opened %s, %s: %s (%s)%s", s->program, act->path, act->topic->what, fh_errno_name(act->error),
                         strerror(act->error), after);
}

static const char *missing_headline(fh_facts_arena *arena, const fh_trace_story *s) {
  const fh_trace_act *act = s->act;
  if (act->flaw[0])
    return fh_arena_format(arena, "%s opened %s, %s, which cannot be loaded: %s", s->program, act->path, act->topic->what, act->flaw);
  return fh_arena_format(arena, "%s looked for %s, %s, in %d place%s and did not find it", s->program, subject_of(act), act->topic->what,
                         s->places, s->places == 1 ? "" : "s");
}

static const char *looked_headline(fh_facts_arena *arena, const fh_trace_story *s) {
  const fh_trace_act *act = s->act;
  if (fh_trace_is_library(act->topic))
    return fh_arena_format(arena, "%s loaded %s, %s, and opened no GPU device", s->program, subject_of(act), act->topic->what);
  return fh_arena_format(arena, "%s looked at %s, %s, and went no further", s->program, act->path, act->topic->what);
}

static const char *headline_of(const fh_trace_record *record, const fh_trace_story *s) {
  fh_facts_arena *arena = record->arena;
  switch (s->verdict) {
    case FH_TRACE_USED:
      return fh_arena_format(arena, "%s held %s, %s, open to its end", s->program, s->act->path, s->act->topic->what);
    case FH_TRACE_OPENED:
      return fh_arena_format(arena, "%s opened %s, %s, and had closed it before its end", s->program, s->act->path, s->act->topic->what);
    case FH_TRACE_REFUSED:
      return refused_headline(record, s);
    case FH_TRACE_MISSING:
      return missing_headline(arena, s);
    case FH_TRACE_LOOKED:
      return looked_headline(arena, s);
    case FH_TRACE_NEVER:
      break;
  }
  return fh_arena_format(arena, "%s never looked for a GPU: no driver's library, no device", s->program);
}

/* What the program met and what devprobe meets in the same place differ: then the program's own surroundings are the cause. */
static const char *advice_of(const fh_trace_record *record, const fh_judgement *judgement, const fh_trace_story *s) {
  const fh_facts *facts = judgement ? judgement->facts : NULL;
  if (!facts) return "";
  if (s->verdict == FH_TRACE_REFUSED) {
    const fh_node *node = fh_facts_node(facts, s->act->path);
    if (node->valid == FH_VALID && node->open_errno == 0)
      return "devprobe itself can open this device: the program runs as another user, in another root folder, or in a sandbox of its own";
  }
  if (s->verdict == FH_TRACE_MISSING && !s->act->flaw[0]) {
    const fh_library *library = fh_facts_library(facts, subject_of(s->act));
    if (library->valid == FH_VALID)
      return fh_arena_format(record->arena,
                             "the system's loader finds it here: %s; this program does not look there: it brings a loader, "
                             "a search path or a root folder of its own",
                             library->path);
  }
  if (s->verdict == FH_TRACE_NEVER && fh_judgement_usable_gpus(judgement) > 0)
    return "a GPU can be used here, and this program did not ask for one: it is built for the CPU only (devprobe cause CU-CPU-BUILD), or "
           "was told "
           "to use the CPU";
  const fh_trace_variable *v = s->verdict == FH_TRACE_LOOKED ? hiding_variable(record, s) : NULL;
  if (v && !s->cause) return fh_arena_format(record->arena, "%s is '%s', which hides every GPU from this program", v->name, v->value);
  if (!s->cause && s->verdict >= FH_TRACE_REFUSED && fh_judgement_usable_gpus(judgement) == 0 &&
      fh_judgement_expected_gpu(judgement)->level == FH_EXPECT_NONE)
    return "no GPU can be used on this machine, and nothing says that one should be here";
  return "";
}

const char *fh_trace_verdict_name(fh_trace_verdict verdict) {
  static const char *const names_of[] = {"used", "opened", "refused", "missing", "looked", "never"};
  return names_of[verdict];
}

/* ---- the story -------------------------------------------------------------------------------------------------------- */

static const fh_trace_act *last_act(const fh_trace_record *record) {
  const fh_trace_act *last = NULL;
  for (int i = 0; i < record->act_count; i++)
    if (!last || record->acts[i].last_ns >= last->last_ns) last = &record->acts[i];
  return last;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash[1] ? slash + 1 : path;
}

void fh_trace_story_tell(fh_trace_record *record, const fh_trace_end *end, const fh_judgement *judgement, const char *command,
                         fh_trace_story *out) {
  *out = (fh_trace_story){.verdict = FH_TRACE_NEVER, .last = last_act(record), .advice = ""};
  int64_t end_ns = record->end_ns - record->start_ns + end->stayed_ns;
  if (out->last) out->idle_ns = end_ns > out->last->last_ns ? end_ns - out->last->last_ns : 0;
  choose_act(record, judgement, out);
  if (out->verdict == FH_TRACE_MISSING) out->places = count_places(record, out->act);
  out->program = out->act               ? fh_trace_program_name(record, out->act->program)
                 : record->command >= 0 ? fh_trace_program_name(record, record->command)
                                        : fh_arena_text(record->arena, base_name(command));
  choose_cause(record, end, judgement, out);
  out->headline = headline_of(record, out);
  out->advice = advice_of(record, judgement, out);
}
