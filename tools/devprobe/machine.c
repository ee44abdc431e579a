/* Looking at the machine, and the screen that tells what was seen. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "tools/devprobe/archive.h"
#include "tools/devprobe/links.h"

enum { DEFAULT_TIMEOUT_S = 10, NAME_COLUMNS = 30, SOURCE_COLUMNS = 34 };

/* ---- looking ------------------------------------------------------------------------------------------ */

fh_status fh_machine_look(const fh_cli *cli, const char *expect, double timeout_s, unsigned what, fh_machine *out_machine) {
  fh_machine *m = out_machine;
  const char *from = fh_cli_value(cli, FH_OPT_FROM);
  *m = (fh_machine){0};
  fh_status status = from ? fh_snapshot_open(from, &m->os) : fh_os_live(NULL, (int64_t)(timeout_s * 1e9), &m->os);
  if (!status) status = fh_facts_gather(m->os, what, &m->facts);
  if (!status) status = fh_judge(m->facts, expect, &m->judgement);
  if (!status && !from) fh_links_tell(m->judgement);
  if (status) fh_machine_close(m);
  return status;
}

bool fh_machine_timeout(const fh_cli *cli, double *out_s) {
  *out_s = DEFAULT_TIMEOUT_S;
  return fh_cli_seconds(cli, FH_OPT_TIMEOUT, out_s);
}

static fh_status nothing_wrong(const fh_machine *machine, void *user, bool *out_content) {
  (void)user;
  *out_content = !machine->judgement->wrong;
  return FH_OK;
}

static void sleep_s(double seconds) {
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* Soon again at first, because a device that is just coming up is there in a moment; then at leisure. */
static fh_status look_until(const fh_cli *cli, const char *expect, double timeout_s, double wait_s, fh_machine_content *content, void *user,
                            fh_machine *m) {
  static const double first_pause_s = 0.1, longest_pause_s = 2;
  double end = fh_now_seconds() + wait_s, pause = first_pause_s;
  for (;;) {
    bool is_content = false;
    FH_TRY(fh_machine_look(cli, expect, timeout_s, FH_GATHER_ALL, m));
    fh_status status = wait_s > 0 ? content(m, user, &is_content) : FH_OK;
    double left = end - fh_now_seconds();
    if (status) fh_machine_close(m);
    if (status || is_content || left <= 0) return status;
    fh_machine_close(m);
    fh_cli_progress_update("waiting, %.0f s left", left);
    sleep_s(fmin(pause, left));
    pause = fmin(2 * pause, longest_pause_s);
  }
}

int fh_machine_open_when(const fh_cli *cli, const char *expect, fh_machine_content *content, void *user, fh_machine *out_machine) {
  *out_machine = (fh_machine){0};
  double timeout_s, wait_s = 0;
  if (!fh_machine_timeout(cli, &timeout_s) || !fh_cli_seconds(cli, FH_OPT_WAIT, &wait_s)) return FH_EXIT_USAGE;
  fh_cli_progress_start("asking the drivers");
  fh_status status = look_until(cli, expect, timeout_s, wait_s, content ? content : nothing_wrong, user, out_machine);
  fh_cli_progress_stop();
  return status ? fh_cli_fail(cli, status) : FH_EXIT_OK;
}

int fh_machine_open(const fh_cli *cli, fh_machine *out_machine) {
  return fh_machine_open_when(cli, fh_cli_value(cli, FH_OPT_EXPECT), NULL, NULL, out_machine);
}

void fh_machine_close(fh_machine *machine) {
  if (machine->judgement) fh_judgement_destroy(machine->judgement);
  if (machine->facts) fh_facts_destroy(machine->facts);
  if (machine->os) fh_os_destroy(machine->os);
  *machine = (fh_machine){0};
}

/* ---- devices ------------------------------------------------------------------------------------------ */

static void skip_device(fh_device_list *list, const char *id, const char *cause, const char *why) {
  if (list->skipped_count == FH_MACHINE_MAX_DEVICES) return;
  snprintf(list->skipped[list->skipped_count++], sizeof list->skipped[0], "%.40s: %.48s%s%.200s", id, cause, *cause ? ": " : "", why);
}

void fh_machine_devices(const fh_judgement *judgement, bool allow_fake, fh_device_list *out_list) {
  *out_list = (fh_device_list){0};
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *d = &judgement->devices[i];
    const fh_cause *cause = d->cause ? fh_cause_find(d->cause) : NULL;
    if (!d->usable) {
      skip_device(out_list, d->id, d->cause ? d->cause : "", cause ? cause->title : "unknown cause");
    } else if (d->fake && !allow_fake) {
      skip_device(out_list, d->id, "", "a stand-in driver: --allow-fake accepts it");
    } else if (out_list->count < FH_MACHINE_MAX_DEVICES) {
      snprintf(out_list->ids[out_list->count++], sizeof out_list->ids[0], "%.23s", strcmp(d->backend, "cpu") == 0 ? "cpu" : d->id);
    }
  }
}

/* ---- the screen: verdict --------------------------------------------------------------------------------- */

const char *fh_confidence_name(fh_confidence confidence) {
  return confidence == FH_PROVEN ? "proven" : confidence == FH_CONSISTENT ? "consistent" : "possible";
}

static const fh_finding *primary_of(const fh_judgement *j) {
  return j->finding_count && j->findings[0].severity != FH_SEVERITY_INFO ? &j->findings[0] : NULL;
}

static void print_verdict(const fh_judgement *j, fh_screen *screen) {
  const fh_finding *primary = primary_of(j);
  fh_paint paint = j->wrong ? FH_RED : primary ? FH_YELLOW : FH_GREEN;
  fh_screen_headline(screen, paint, strlen(j->verdict) + 1, "%s: %s", j->verdict, j->headline);
  if (primary && primary->remedy_count) fh_screen_line(screen, FH_BOLD, "  fix", "%s", primary->remedies[0]);
  if (primary) fh_screen_line(screen, FH_DIM, "  more", "devprobe cause %s", primary->cause->id);
  fh_screen_blank(screen);
}

/* ---- the screen: machine --------------------------------------------------------------------------------- */

static const char *cgroup_name(fh_cgroup_mode mode) {
  static const char *const names[] = {"no cgroup", "cgroup v1", "cgroup v2", "cgroup v1 and v2"};
  return names[mode];
}

static void print_where(const fh_judgement *j, fh_screen *screen) {
  const fh_facts_where *w = &j->facts->where;
  bool kernel = w->kernel.valid == FH_VALID;
  fh_screen_line(screen, FH_PLAIN, "where", "%s on Linux%s%s, %s", w->platform_name ? w->platform_name : "unknown platform",
                 kernel ? " " : "", kernel ? w->kernel.value : "", cgroup_name(j->facts->cgroup.mode));
  for (int i = 0; i < FH_FAMILY_COUNT; i++)
    if (j->expects[i].level >= FH_EXPECT_INTENT)
      fh_screen_line(screen, FH_PLAIN, "expected", "%s, because of %s", fh_family_in_words((fh_family)i)->noun, j->expects[i].source);
}

static void link_words(const fh_measured_link *link, char *out, size_t size) {
  *out = '\0';
  if (link->to_device > 0 && link->from_device > 0)
    snprintf(out, size, ", copies at %.3g GB/s there and %.3g GB/s back", link->to_device / 1e9, link->from_device / 1e9);
}

static void limit_words(const fh_measured_limits *limits, char *out, size_t size) {
  char memory[40] = "", rate[40] = "";
  if (limits->bytes > 0) snprintf(memory, sizeof memory, ", memory at %.3g GB/s", limits->bytes / 1e9);
  if (limits->flops > 0) snprintf(rate, sizeof rate, ", f32 at %.3g GFLOP/s", limits->flops / 1e9);
  snprintf(out, size, "%s%s", memory, rate);
}

/* What a device can do, or why it cannot be used. The CPU's memory has a line of its own. */
static void device_state(const fh_found_device *d, char *out, size_t size) {
  bool cpu = strcmp(d->backend, "cpu") == 0;
  const char *detail = d->detail ? d->detail : "", *comma = *detail ? ", " : "";
  char bytes[24], memory[40] = "", link[80], limits[80];
  if (d->memory >= 0 && !cpu) snprintf(memory, sizeof memory, ", %s", fh_screen_bytes(d->memory, bytes));
  link_words(&d->measured_link, link, sizeof link);
  limit_words(&d->measured_limits, limits, sizeof limits);
  if (!d->usable && !d->cause && *detail) {
    snprintf(out, size, "%s", detail);
  } else if (!d->usable) {
    snprintf(out, size, "rejected: %s (%s)", d->cause ? d->cause : "unknown cause", fh_confidence_name(d->confidence));
  } else if (cpu) {
    snprintf(out, size, "%s", *detail ? detail : "usable");
  } else {
    snprintf(out, size, "%susable%s%s%s%s%s%s", d->fake ? "FAKE, " : "", d->posing && !strstr(detail, "not a GPU") ? ", not a GPU" : "",
             comma, detail, memory, link, limits);
  }
}

/* A device that no driver has numbered is known by its place on the bus, which is too long for a label. */
static bool long_id(const fh_found_device *d) { return strlen(d->id) >= FH_SCREEN_LABEL; }

static void device_name(const fh_found_device *d, char *out, size_t size) {
  snprintf(out, size, "%s%s%s", d->name ? d->name : "", long_id(d) && d->pci && *d->pci ? ", " : "", long_id(d) && d->pci ? d->pci : "");
}

static int name_columns(const fh_judgement *j) {
  int widest = 0;
  for (int i = 0; i < j->device_count; i++) {
    char name[200];
    device_name(&j->devices[i], name, sizeof name);
    int columns = fh_screen_columns(name);
    if (columns > widest) widest = columns;
  }
  return widest < NAME_COLUMNS ? widest : NAME_COLUMNS;
}

static void print_devices(const fh_judgement *j, fh_screen *screen) {
  int width = name_columns(j);
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    char name[200], state[400];
    device_name(d, name, sizeof name);
    device_state(d, state, sizeof state);
    int pad = width - fh_screen_columns(name);
    fh_screen_line(screen, d->usable ? FH_GREEN : FH_RED, long_id(d) ? d->backend : d->id, "%s%*s  %s", name, pad > 0 ? pad : 0, "", state);
  }
}

/* What may be used of what there is; the CPU's share stands beside cpu:0. */
static void print_memory(const fh_judgement *j, fh_screen *screen) {
  const fh_facts_memory *m = &j->facts->memory;
  if (m->usable.valid != FH_VALID) return;
  char usable[24], total[24], limit[24], why[160] = "";
  if (m->limit.valid == FH_VALID)
    snprintf(why, sizeof why, " (limit %s%s%s)", fh_screen_bytes(m->limit.value, limit), m->limit_level ? " of " : "",
             m->limit_level ? m->limit_level : "");
  fh_screen_line(screen, FH_PLAIN, "memory", "%s usable of %s%s", fh_screen_bytes(m->usable.value, usable),
                 fh_screen_bytes(m->total.valid == FH_VALID ? m->total.value : -1, total), why);
}

/* ---- the screen: findings --------------------------------------------------------------------------------- */

static const char *severity_name(fh_severity severity) {
  return severity == FH_SEVERITY_ERROR ? "error" : severity == FH_SEVERITY_WARNING ? "warning" : "info";
}

static fh_paint severity_paint(fh_severity severity) {
  return severity == FH_SEVERITY_ERROR ? FH_RED : severity == FH_SEVERITY_WARNING ? FH_YELLOW : FH_PLAIN;
}

static int source_columns(const fh_finding *f) {
  int widest = 0;
  for (int i = 0; i < f->evidence_count; i++) {
    int columns = fh_screen_columns(f->evidence[i].source);
    if (columns <= SOURCE_COLUMNS && columns > widest) widest = columns;
  }
  return widest;
}

static void print_evidence(const fh_finding *f, fh_screen *screen) {
  int width = source_columns(f);
  for (int i = 0; i < f->evidence_count; i++) {
    int pad = width - fh_screen_columns(f->evidence[i].source);
    fh_screen_line(screen, FH_PLAIN, i ? "" : "  saw", "%s%*s  %s", f->evidence[i].source, pad > 0 ? pad : 0, "", f->evidence[i].value);
  }
}

/* The first fix of the primary finding stands at the top of the screen already. */
static void print_finding(const fh_judgement *j, const fh_finding *f, bool primary, bool full, fh_screen *screen) {
  fh_screen_line(screen, severity_paint(f->severity), severity_name(f->severity), "%s (%s)  %s", f->cause->id,
                 fh_confidence_name(f->confidence), f->summary);
  if (full) print_evidence(f, screen);
  const fh_expected *gpu = fh_judgement_expected_gpu(j);
  if (primary && gpu->level == FH_EXPECT_CIRCUMSTANTIAL) fh_screen_line(screen, FH_PLAIN, "  asked", "perhaps: %s", gpu->source);
  bool shown = primary && f->severity != FH_SEVERITY_INFO;
  for (int i = shown; i < f->remedy_count && (full || i == 0); i++)
    fh_screen_line(screen, FH_BOLD, i ? "  or" : "  fix", "%s", f->remedies[i]);
  for (int i = 0; i < f->next_count && full; i++) fh_screen_line(screen, FH_PLAIN, i ? "" : "  next", "%s", f->next[i]);
}

/* Errors in full, warnings with their first fix; notes only when asked for. */
static void print_findings(const fh_judgement *j, bool verbose, fh_screen *screen) {
  bool blank = false;
  for (int i = 0; i < j->finding_count; i++) {
    const fh_finding *f = &j->findings[i];
    if (f->severity == FH_SEVERITY_INFO && !verbose) continue;
    if (!blank) fh_screen_blank(screen);
    blank = true;
    print_finding(j, f, i == 0, verbose || f->severity == FH_SEVERITY_ERROR || i == 0, screen);
  }
}

/* What was not asked for one reason stands in one line. */
static void print_unasked(const fh_judgement *j, fh_screen *screen) {
  const fh_facts *f = j->facts;
  for (int i = 0; i < f->unasked_count; i++) {
    fh_text list = {0};
    bool told = false;
    for (int k = 0; k < f->unasked_count; k++) {
      if (strcmp(f->unasked[k].why, f->unasked[i].why) != 0) continue;
      told |= k < i;
      fh_text_add(&list, "%s%s", k > i ? ", " : "", f->unasked[k].question);
    }
    char *questions = fh_text_take(&list);
    if (!told && questions) fh_screen_line(screen, FH_YELLOW, "unasked", "%s: %s", questions, f->unasked[i].why);
    if (!questions) screen->text.failed = true;
    free(questions);
  }
}

static void print_one_isa(const char *title, const char *name, const fh_facts_isa *isa, fh_screen *screen) {
  if (!isa->advertised) return;
  fh_screen_line(screen, FH_PLAIN, title, "%-8s %s%s", name, isa->enabled ? "enabled" : "not enabled by the OS",
                 isa->proven.valid != FH_VALID ? ""
                 : isa->proven.value           ? ", proven by a trial"
                                               : ", but a trial failed");
}

static void print_isa(const fh_judgement *j, fh_screen *screen) {
  const fh_facts_cpu *cpu = &j->facts->cpu;
  for (int i = 0; i < FH_ISA_COUNT; i++) print_one_isa(i ? "" : "isa", fh_isa_name((fh_isa)i), &cpu->isa[i], screen);
  for (int i = 0; i < FH_FEATURE_COUNT; i++) print_one_isa("", fh_cpu_feature_name((fh_cpu_feature)i), &cpu->feature[i], screen);
}

void fh_machine_print(const fh_judgement *j, bool verbose, fh_screen *screen) {
  print_verdict(j, screen);
  print_where(j, screen);
  print_devices(j, screen);
  print_memory(j, screen);
  if (verbose) print_isa(j, screen);
  print_unasked(j, screen);
  print_findings(j, verbose, screen);
}

void fh_machine_print_cause(const fh_cause *cause, fh_screen *screen) {
  fh_screen_headline(screen, FH_BOLD, strlen(cause->id) + 1, "%s: %s", cause->id, cause->title);
  fh_screen_blank(screen);
  fh_screen_line(screen, FH_PLAIN, "meaning", "%s", cause->meaning);
  if (cause->evidence && *cause->evidence) fh_screen_line(screen, FH_PLAIN, "evidence", "%s", cause->evidence);
  if (cause->look_alikes && *cause->look_alikes) fh_screen_line(screen, FH_PLAIN, "similar", "%s", cause->look_alikes);
  if (cause->remedy && *cause->remedy) fh_screen_line(screen, FH_BOLD, "fix", "%s", cause->remedy);
  if (cause->references && *cause->references) fh_screen_line(screen, FH_PLAIN, "see", "%s", cause->references);
}
