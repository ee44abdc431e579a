/* devprobe --watch. SPDX-License-Identifier: Apache-2.0
 *
 * Files are looked at often, which costs milliseconds and wakes no device that is awake already. Drivers are asked when the files
 * tell another story than before, and once a minute for what no file shows. Each look is made anew: a failure is never remembered. */
#include "tools/devprobe/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "tools/devprobe/changes.h"
#include "tools/devprobe/machine.h"

static const double default_every_s = 5, drivers_every_s = 60;

typedef struct watch {
  const fh_cli *cli;
  fh_format format;
  bool to_file;
  double timeout_s, every_s;
  sigset_t signals;
  fh_machine files, whole; /* the last looks */
  double asked_s;          /* when drivers were asked last */
} watch;

enum { KILLED_BASE = 128 };
static volatile sig_atomic_t status_now; /* what a signal ends us with that nothing can wait for: the last verdict; -1: none yet */

/* ---- telling ------------------------------------------------------------------------------------------------ */

static void time_text(char out[24]) {
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void print_device(const fh_change *c, fh_screen *screen) {
  const fh_found_device *d = c->device;
  fh_paint paint = c->kind == FH_CHANGE_BACK || (c->kind == FH_CHANGE_NEW && d->usable) ? FH_GREEN : FH_RED;
  fh_screen_line(screen, paint, fh_change_name(c->kind), "%s  %s%s%s", d->id, d->name ? d->name : "",
                 d->usable || c->kind == FH_CHANGE_GONE ? "" : ": ",
                 d->usable || c->kind == FH_CHANGE_GONE ? ""
                 : d->cause                             ? d->cause
                                                        : "unknown cause");
  if (c->kind == FH_CHANGE_BACK)
    fh_screen_line(screen, FH_PLAIN, "  note", "what was started before may still say that there is none: restart it (devprobe cause %s)",
                   "CU-MEMOISED");
}

static void print_finding(const fh_change *c, fh_screen *screen) {
  static const char *const severities[] = {"info", "warning", "error"};
  const fh_finding *f = c->finding;
  if (c->kind == FH_CHANGE_CLEARED) {
    fh_screen_line(screen, FH_GREEN, "cleared", "%s", f->cause->id);
    return;
  }
  fh_screen_line(screen, f->severity == FH_SEVERITY_ERROR ? FH_RED : FH_YELLOW, severities[f->severity], "%s (%s)  %s", f->cause->id,
                 fh_confidence_name(f->confidence), f->summary);
  if (f->remedy_count) fh_screen_line(screen, FH_BOLD, "  fix", "%s", f->remedies[0]);
}

static void print_budget(const fh_change *c, fh_screen *screen) {
  char was[24], is[24];
  if (c->kind == FH_CHANGE_MEMORY)
    fh_screen_line(screen, FH_YELLOW, "memory", "limit %s, was %s", c->after < 0 ? "none" : fh_screen_bytes(c->after, is),
                   c->before < 0 ? "none" : fh_screen_bytes(c->before, was));
  else
    fh_screen_line(screen, FH_YELLOW, "cpus", "%lld may be used, were %lld", (long long)c->after, (long long)c->before);
}

static void print_change(const fh_change *c, void *user) {
  if (c->device)
    print_device(c, user);
  else if (c->finding)
    print_finding(c, user);
  else
    print_budget(c, user);
}

static json_t *number_or_null(int64_t value) { return value < 0 ? json_null() : json_integer(value); }

static void append_change(const fh_change *c, void *user) {
  json_t *one = json_object();
  json_object_set_new(one, "change", json_string(fh_change_name(c->kind)));
  if (c->device) {
    json_object_set_new(one, "device", fh_json_text(c->device->id));
    json_object_set_new(one, "name", fh_json_text(c->device->name));
    json_object_set_new(one, "usable", json_boolean(c->device->usable && c->kind != FH_CHANGE_GONE));
    json_object_set_new(one, "cause", fh_json_text(c->device->cause));
  } else if (c->finding) {
    json_object_set_new(one, "id", json_string(c->finding->cause->id));
    json_object_set_new(one, "summary", fh_json_text(c->finding->summary));
    json_object_set_new(one, "fix", fh_json_text(c->finding->remedy_count ? c->finding->remedies[0] : NULL));
  } else {
    json_object_set_new(one, "before", number_or_null(c->before));
    json_object_set_new(one, "after", number_or_null(c->after));
  }
  json_array_append_new(user, one);
}

static int tell_json(const watch *w, const char *now, const fh_judgement *before, int exit_status) {
  const fh_judgement *j = w->whole.judgement;
  json_t *root = json_object(), *changes = json_array();
  if (before) fh_changes(before, j, append_change, changes);
  json_object_set_new(root, "schema", json_string("foghorn.watch/1"));
  json_object_set_new(root, "time", json_string(now));
  json_object_set_new(root, "wrong", json_boolean(j->wrong));
  json_object_set_new(root, "verdict", fh_json_text(j->verdict));
  json_object_set_new(root, "headline", fh_json_text(j->headline));
  json_object_set_new(root, "changes", changes);
  char *line = fh_json_line(root);
  fh_text text = {.failed = line == NULL};
  fh_text_add(&text, "%s\n", line ? line : "");
  free(line);
  return fh_cli_emit_text(w->cli, &text, exit_status);
}

static int tell_screen(const watch *w, const char *now, const fh_judgement *before, int exit_status) {
  const fh_judgement *j = w->whole.judgement;
  fh_screen screen = {.color = w->cli->color};
  fh_screen_headline(&screen, j->wrong ? FH_RED : FH_GREEN, 0, "%s  %s: %s", now, j->verdict, j->headline);
  fh_changes(before, j, print_change, &screen);
  return fh_cli_emit_text(w->cli, &screen.text, exit_status);
}

/* before NULL: the first report. */
static int tell(const watch *w, const fh_judgement *before) {
  const fh_judgement *j = w->whole.judgement;
  int exit_status = j->wrong ? FH_EXIT_UNMET : FH_EXIT_OK;
  char now[24];
  time_text(now);
  if (w->to_file || (!before && w->format == FH_FORMAT_TEXT)) return fh_report_emit(w->cli, w->format, j);
  if (w->cli->given[FH_OPT_QUIET]) return exit_status;
  return w->format == FH_FORMAT_JSON ? tell_json(w, now, before, exit_status) : tell_screen(w, now, before, exit_status);
}

/* ---- looking -------------------------------------------------------------------------------------------------- */

static fh_status look(const watch *w, unsigned what, fh_machine *out) {
  return fh_machine_look(w->cli, fh_cli_value(w->cli, FH_OPT_EXPECT), w->timeout_s, what, out);
}

/* Puts a new look in the place of the last one; true when they differ. */
static bool replace(fh_machine *last, fh_machine *take_next) {
  bool differs = !last->judgement || fh_changes(last->judgement, take_next->judgement, NULL, NULL) > 0;
  fh_machine_close(last);
  *last = *take_next;
  return differs;
}

/* Asks the drivers and tells what that changed. Exit status of the telling. */
static int look_at_all(watch *w) {
  fh_machine next;
  fh_status status = look(w, FH_GATHER_ALL, &next);
  if (status) return fh_cli_fail(w->cli, status);
  w->asked_s = fh_now_seconds();
  fh_machine before = w->whole;
  w->whole = next;
  bool first = before.judgement == NULL;
  bool differs = first || fh_changes(before.judgement, next.judgement, NULL, NULL) > 0 || before.judgement->wrong != next.judgement->wrong;
  int exit_status = next.judgement->wrong ? FH_EXIT_UNMET : FH_EXIT_OK;
  status_now = exit_status;
  if (differs) exit_status = tell(w, before.judgement);
  fh_machine_close(&before);
  return exit_status;
}

static int look_again(watch *w, int exit_status) {
  fh_machine files;
  fh_status status = look(w, FH_GATHER_STATIC, &files);
  if (status) return fh_cli_fail(w->cli, status);
  bool differs = replace(&w->files, &files);
  return differs || fh_now_seconds() - w->asked_s >= drivers_every_s ? look_at_all(w) : exit_status;
}

/* ---- signals that end it ------------------------------------------------------------------------------------------ */

/* While a driver hangs or nobody reads what is written there is no pause that would come soon. Children end with us. */
static void end_at_once(int number) { _exit(status_now < 0 ? KILLED_BASE + number : status_now); }

/* One that devprobe was told to ignore stays ignored. */
static void take_signals(watch *w) {
  static const int ends[] = {SIGINT, SIGTERM};
  struct sigaction act = {.sa_handler = end_at_once}, before;
  status_now = -1;
  sigemptyset(&w->signals);
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaddset(&w->signals, ends[i]);
    sigaction(ends[i], &act, NULL);
  }
}

/* True when one came within this time; between two looks they end us in good order. */
static bool signal_within(const watch *w, struct timespec pause) {
  int number;
  sigprocmask(SIG_BLOCK, &w->signals, NULL);
  while ((number = sigtimedwait(&w->signals, NULL, &pause)) < 0 && errno == EINTR) {}
  if (number < 0) sigprocmask(SIG_UNBLOCK, &w->signals, NULL);
  return number > 0;
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* False: a signal says to end, or nobody reads stdout any more. */
static bool pause_between(const watch *w) {
  struct timespec pause = {.tv_sec = (time_t)w->every_s, .tv_nsec = (long)((w->every_s - (double)(time_t)w->every_s) * 1e9)};
  if (signal_within(w, pause)) return false;
  struct pollfd out = {.fd = STDOUT_FILENO};
  return w->to_file || poll(&out, 1, 0) <= 0 || !(out.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static int run(watch *w) {
  fh_machine files;
  fh_status status = look(w, FH_GATHER_STATIC, &files);
  if (status) return fh_cli_fail(w->cli, status);
  replace(&w->files, &files);
  int exit_status = look_at_all(w);
  while (exit_status <= FH_EXIT_UNMET && pause_between(w)) exit_status = look_again(w, exit_status);
  return exit_status;
}

static bool options(watch *w) {
  const fh_cli *cli = w->cli;
  bool events = w->format == FH_FORMAT_TEXT || w->format == FH_FORMAT_JSON;
  if (!fh_machine_timeout(cli, &w->timeout_s) || !fh_cli_seconds(cli, FH_OPT_EVERY, &w->every_s)) return false;
  if (cli->given[FH_OPT_WAIT]) return fh_cli_usage(cli, "--watch and --wait exclude each other"), false;
  if (!events && !w->to_file) return fh_cli_usage(cli, "--watch with this --format needs --output: the file is kept up to date"), false;
  return true;
}

int fh_watch(const fh_cli *cli, fh_format format) {
  watch w = {.cli = cli, .format = format, .to_file = fh_cli_value(cli, FH_OPT_OUTPUT) != NULL, .every_s = default_every_s};
  if (!options(&w)) return FH_EXIT_USAGE;
  take_signals(&w);
  int exit_status = run(&w);
  fh_machine_close(&w.files);
  fh_machine_close(&w.whole);
  return exit_status;
}
