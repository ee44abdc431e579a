/* A traced program's story on the screen. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "detect/parse.h"
#include "tools/devprobe/machine.h"
#include "tools/devprobe/trace/process.h"

enum { FEW_LINES = 30, FEW_PLACES = 3, MAX_TEXT = 400, SHORT_PATH = 120 };

static double seconds(int64_t ns) { return (double)ns * 1e-9; }

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void print_headline(const fh_trace_tale *t, fh_screen *screen) {
  const fh_trace_story *s = t->story;
  static const char *const words[] = {"USED", "OPENED", "NOT USED", "NOT USED", "NOT USED", "NOT USED"};
  const char *word = words[s->verdict], *remedies[FH_MAX_REMEDIES];
  fh_paint paint = s->verdict <= FH_TRACE_OPENED ? FH_GREEN : s->cause ? FH_RED : FH_YELLOW;
  fh_screen_headline(screen, paint, strlen(word) + 1, "%s: %s", word, s->headline);
  if (s->cause)
    fh_screen_line(screen, FH_PLAIN, "  cause", "%s (%s)  %s", s->cause->id, fh_confidence_name(s->confidence),
                   s->tied ? s->finding->summary : s->cause->title);
  if (fh_trace_remedies(t, remedies) > 0) fh_screen_line(screen, FH_BOLD, "  fix", "%s", remedies[0]);
  if (s->cause) fh_screen_line(screen, FH_DIM, "  more", "devprobe cause %s", s->cause->id);
  if (*s->advice) fh_screen_line(screen, FH_PLAIN, "  note", "%s", s->advice);
  fh_screen_blank(screen);
}

static void outcome(const fh_trace_end *end, char *out, size_t size) {
  int status = end->wait_status;
  if (end->start_error) {
    snprintf(out, size, "could not be started: %s", strerror(end->start_error));
  } else if (WIFSIGNALED(status)) {
    snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  } else {
    snprintf(out, size, "exit status %d", WEXITSTATUS(status));
  }
}

static void print_command(const fh_trace_tale *t, fh_screen *screen) {
  const fh_trace_record *r = t->record;
  char line[200] = "", end[120];
  size_t used = 0;
  for (int i = 0; t->command[i] && used < sizeof line; i++)
    used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", i ? " " : "", t->command[i]);
  outcome(t->end, end, sizeof end);
  fh_screen_line(screen, FH_PLAIN, "command", "%s%s", line, used >= sizeof line ? " ..." : "");
  fh_screen_line(screen, FH_PLAIN, "", "%s after %.3f s, %lld process%s, %lld more thread%s", end, seconds(r->end_ns - r->start_ns),
                 (long long)r->processes, r->processes == 1 ? "" : "es", (long long)r->threads, r->threads == 1 ? "" : "s");
}

static void print_variables(const fh_trace_tale *t, fh_screen *screen) {
  const fh_trace_program *program = fh_trace_program_told(t);
  bool first = true;
  for (int i = 0; program && i < program->variable_count; i++) {
    const fh_trace_variable *v = &program->variables[i];
    if (strncmp(v->name, "FOGHORN_", 8) == 0) continue; /* of no concern to other programs */
    const char *label = first ? "with" : "";
    first = false;
    fh_screen_line(screen, FH_PLAIN, label, "%s=%.*s%s%s", v->name, MAX_TEXT, v->value, strlen(v->value) > MAX_TEXT ? "..." : "",
                   v->inherited ? "" : "  (set on the way)");
  }
}

/* ---- the acts ------------------------------------------------------------------------------------------------------ */

static bool many_programs(const fh_trace_record *r) {
  for (int i = 1; i < r->act_count; i++)
    if (r->acts[i].program != r->acts[0].program) return true;
  return false;
}

/* "+0.031 s", at most nine columns up to a day. */
static void when(int64_t ns, char out[16]) {
  double s = seconds(ns);
  snprintf(out, 16, s < 100 ? "+%.3f s" : "+%.0f s", s);
}

static void result_of(const fh_trace_act *act, char *out, size_t size) {
  static const char *const done[] = {[FH_DEED_OPEN] = "opened", [FH_DEED_LOOK] = "there", [FH_DEED_EXEC] = "started"};
  if (act->error) {
    snprintf(out, size, "%s, %s", fh_errno_name(act->error), strerror(act->error));
  } else {
    snprintf(out, size, "%s%s%s", act->held ? "opened, and open to the end" : done[act->deed], act->flaw[0] ? ", but " : "", act->flaw);
  }
}

static void print_act(const fh_trace_tale *t, const fh_trace_act *act, bool names, bool verbose, fh_screen *screen) {
  char time[16], result[120], times[32] = "", thread[48] = "";
  const char *program = fh_trace_program_name(t->record, act->program);
  when(act->first_ns, time);
  result_of(act, result, sizeof result);
  if (act->count > 1) snprintf(times, sizeof times, ", %lld times", (long long)act->count);
  if (act->thread[0] && strcmp(act->thread, program) != 0) snprintf(thread, sizeof thread, ", thread %s", act->thread);
  bool cut = !verbose && strlen(act->path) > SHORT_PATH;
  fh_screen_line(screen, FH_PLAIN, time, "%s%s%.*s%s  %s%s%s", names ? program : "", names ? ": " : "", cut ? SHORT_PATH : FH_TRACE_PATH,
                 act->path, cut ? "..." : "", result, times, thread);
}

static bool same_group(const fh_trace_record *r, const fh_trace_act *first, const fh_trace_act *act) {
  return fh_trace_story_group(r, act) == first;
}

static size_t folder_size(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash && slash > path ? (size_t)(slash - path) : 1;
}

/* A library: where it was found at last, or the first of the places. */
static void print_library(const fh_trace_tale *t, const fh_trace_act *first, bool names, fh_screen *screen) {
  const fh_trace_record *r = t->record;
  const fh_trace_act *found = NULL;
  char time[16], places[MAX_TEXT] = "";
  const char *name = fh_trace_subject(first->topic, first->path), *program = fh_trace_program_name(r, first->program);
  size_t used = 0;
  int failed = 0, shown = 0;
  for (const fh_trace_act *act = first; act < r->acts + r->act_count; act++) {
    if (!same_group(r, first, act)) continue;
    if (act->deed == FH_DEED_OPEN && !act->error && !found) found = act;
    if (!act->error || act->deed != FH_DEED_OPEN) continue;
    if (fh_trace_is_variant(act->path)) continue;
    failed++;
    if (shown == FEW_PLACES || used >= sizeof places) continue;
    shown++;
    used += (size_t)snprintf(places + used, sizeof places - used, "%s%.*s", used ? ", " : "", (int)folder_size(act->path), act->path);
  }
  when(first->first_ns, time);
  const char *by = names ? program : "", *colon = names ? ": " : "";
  if (found) {
    const char *real = found->real[0] && strcmp(found->real, found->path) != 0 ? found->real : NULL;
    fh_screen_line(screen, FH_PLAIN, time, "%s%s%s  found: %s%s%s%s%s", by, colon, name, found->path, real ? ", which is " : "",
                   real ? real : "", found->flaw[0] ? "; but " : "", found->flaw);
  } else if (failed == 0) {
    print_act(t, first, names, false, screen);
  } else if (failed > shown) {
    fh_screen_line(screen, FH_PLAIN, time, "%s%s%s  not found: %s and %d more", by, colon, name, places, failed - shown);
  } else {
    fh_screen_line(screen, FH_PLAIN, time, "%s%s%s  not found: %s", by, colon, name, places);
  }
}

/* What only confirms what another line says: that a file is there which is opened next, parts that were found. */
static bool is_plain(const fh_trace_act *act) {
  return !act->error && (act->deed == FH_DEED_LOOK || act->topic->sort == FH_SORT_SUPPORT || act->topic->sort == FH_SORT_KERNEL);
}

static void print_acts(const fh_trace_tale *t, bool verbose, fh_screen *screen) {
  const fh_trace_record *r = t->record;
  bool names = many_programs(r);
  int lines = 0, hidden = 0;
  for (const fh_trace_act *act = r->acts; act < r->acts + r->act_count; act++) {
    bool library = fh_trace_is_library(act->topic) && !verbose;
    if (library && !same_group(r, act, act)) continue; /* told with the first of its group */
    if (!verbose && (is_plain(act) || lines >= FEW_LINES) && act != t->story->act) {
      hidden++;
      continue;
    }
    lines++;
    if (library) {
      print_library(t, act, names, screen);
    } else {
      print_act(t, act, names, verbose, screen);
    }
  }
  if (hidden) fh_screen_line(screen, FH_DIM, "", "and %d more (--verbose prints all)", hidden);
}

static void print_last(const fh_trace_tale *t, fh_screen *screen) {
  const fh_trace_story *s = t->story;
  if (!s->last || s->verdict <= FH_TRACE_OPENED) return;
  char time[16];
  when(s->last->last_ns, time);
  fh_screen_line(screen, FH_PLAIN, "gave up", "at %s: nothing more about a GPU in the remaining %.3f s", time, seconds(s->idle_ns));
}

/* ---- the machine ------------------------------------------------------------------------------------------------------ */

static void print_evidence(const fh_finding *f, fh_screen *screen) {
  for (int i = 0; i < f->evidence_count; i++)
    fh_screen_line(screen, FH_PLAIN, i ? "" : "  saw", "%s  %s", f->evidence[i].source, f->evidence[i].value);
}

static void print_finding(const fh_finding *f, fh_screen *screen) {
  fh_screen_line(screen, FH_PLAIN, "finding", "%s (%s)  %s", f->cause->id, fh_confidence_name(f->confidence), f->summary);
  print_evidence(f, screen);
  for (int i = 0; i < f->remedy_count; i++) fh_screen_line(screen, FH_PLAIN, i ? "  or" : "  fix", "%s", f->remedies[i]);
}

static void print_machine(const fh_trace_tale *t, bool verbose, fh_screen *screen) {
  const fh_judgement *j = t->judgement;
  if (!j) return;
  fh_screen_line(screen, FH_PLAIN, "machine", "%s: %s", j->verdict, j->headline);
  if (!verbose && t->story->finding) print_evidence(t->story->finding, screen);
  for (int i = 0; i < j->finding_count && verbose; i++) print_finding(&j->findings[i], screen);
}

void fh_trace_print(const fh_trace_tale *tale, bool verbose, fh_screen *screen) {
  const char *notes[FH_TRACE_MAX_NOTES];
  print_headline(tale, screen);
  print_command(tale, screen);
  print_variables(tale, screen);
  print_acts(tale, verbose, screen);
  print_last(tale, screen);
  print_machine(tale, verbose, screen);
  int count = fh_trace_notes(tale, notes);
  for (int i = 0; i < count; i++) fh_screen_line(screen, FH_YELLOW, "note", "%s", notes[i]);
}
