/* devprobe matrix: what can run here, and why not the rest. SPDX-License-Identifier: Apache-2.0
 * For continuous integration: a row that cannot run says so, so that "skipped" is never taken for "passed". */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/contract.h"
#include "runtime/base/json.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/format.h"
#include "tools/devprobe/machine.h"

enum { MAX_ROWS = 48 };

typedef struct row {
  const char *group, *name;
  bool runs;
  char why[200]; /* where it runs, or why not */
} row;

typedef struct matrix {
  row rows[MAX_ROWS];
  int count;
} matrix;

static void add(matrix *m, const char *group, const char *name, bool runs, const char *format, ...) FH_PRINTF(5, 6);
static void add(matrix *m, const char *group, const char *name, bool runs, const char *format, ...) {
  if (m->count == MAX_ROWS) return;
  row *r = &m->rows[m->count++];
  *r = (row){.group = group, .name = name, .runs = runs};
  va_list args;
  va_start(args, format);
  vsnprintf(r->why, sizeof r->why, format, args);
  va_end(args);
}

/* ---- backends ----------------------------------------------------------------------------------------- */

/* The first real device of a backend; else the first that was rejected; else NULL. */
static const fh_found_device *device_of(const fh_judgement *j, const char *backend) {
  const fh_found_device *rejected = NULL;
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    if (strcmp(d->backend, backend) != 0 || d->fake) continue;
    if (d->usable) return d;
    if (!rejected) rejected = d;
  }
  return rejected;
}

static const char *ptx_missing(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (!images[i].ptx) return images[i].ptx_missing ? images[i].ptx_missing : "not built";
  return NULL;
}

/* A finding of one of the backend's own groups, for when there is no device to carry the reason. */
static const fh_finding *finding_of(const fh_judgement *j, fh_cause_group one, fh_cause_group other) {
  for (int i = 0; i < j->finding_count; i++) {
    fh_cause_group group = j->findings[i].cause->group;
    if (group == one || group == other) return &j->findings[i];
  }
  return NULL;
}

static void add_backend(matrix *m, const fh_judgement *j, const char *name, fh_cause_group one, fh_cause_group other, const char *nothing) {
  const fh_found_device *d = device_of(j, name);
  const fh_finding *f = finding_of(j, one, other);
  if (d && d->usable) {
    add(m, "backend", name, true, "%s, %s%s", d->id, d->name ? d->name : "", d->posing ? " (not a GPU)" : "");
  } else if (d && d->cause) {
    add(m, "backend", name, false, "%s rejected: %s", d->id, d->cause);
  } else if (f) {
    add(m, "backend", name, false, "%s: %s", f->cause->id, f->summary);
  } else {
    add(m, "backend", name, false, "%s", nothing);
  }
}

static void add_backends(matrix *m, const fh_judgement *j) {
  add_backend(m, j, "cpu", FH_GROUP_CPU, FH_GROUP_CPU, "");
  add_backend(m, j, "opencl", FH_GROUP_OPENCL, FH_GROUP_OPENCL, "no OpenCL implementation is installed");
  const char *missing = ptx_missing();
  if (missing) {
    add(m, "backend", "cuda", false, "this build has no PTX: %s", missing);
  } else {
    add_backend(m, j, "cuda", FH_GROUP_NVIDIA, FH_GROUP_CUDA, "nothing of NVIDIA is here");
  }
}

/* ---- instruction sets ------------------------------------------------------------------------------------ */

static bool built(fh_isa isa) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  return count > 0 && images[0].entries[0].cpu[isa];
}

static void add_isa(matrix *m, const char *name, const fh_facts_isa *isa, bool is_built) {
  if (!is_built) {
    add(m, "isa", name, false, "of another architecture, not in this build");
  } else if (!isa->advertised) {
    add(m, "isa", name, false, "the processor does not advertise it");
  } else if (!isa->enabled) {
    add(m, "isa", name, false, "advertised, but the operating system does not save its registers");
  } else if (isa->proven.valid == FH_VALID && !isa->proven.value) {
    add(m, "isa", name, false, "advertised and enabled, but a trial instruction failed");
  } else {
    add(m, "isa", name, true, isa->proven.valid == FH_VALID ? "proven by a trial instruction" : "advertised and enabled, not tried");
  }
}

static void add_isas(matrix *m, const fh_facts_cpu *cpu) {
  add(m, "isa", fh_isa_name(FH_ISA_SCALAR), true, "plain C");
  for (int i = FH_ISA_SCALAR + 1; i < FH_ISA_COUNT; i++) add_isa(m, fh_isa_name((fh_isa)i), &cpu->isa[i], built((fh_isa)i));
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    add_isa(m, fh_cpu_feature_name((fh_cpu_feature)i), &cpu->feature[i], built(fh_feature_isa((fh_cpu_feature)i)));
}

/* ---- tests -------------------------------------------------------------------------------------------------- */

static bool has_program(fh_os *os, const char *name) {
  const char *path = os->api->getenv(os, "PATH");
  for (const char *at = path && *path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; *at;) {
    size_t length = strcspn(at, ":");
    char file[512];
    fh_os_stat st;
    snprintf(file, sizeof file, "%.*s/%s", (int)(length < 400 ? length : 400), at, name);
    if (os->api->stat(os, file, true, &st) == 0 && (st.mode & 0111)) return true;
    at += length + (at[length] == ':');
  }
  return false;
}

/* Test suites that need something that may not be here; all others run anywhere. Any one of `programs` separated by '|'. */
typedef struct suite {
  const char *name, *needs[3];
  bool root;
} suite;

static const suite suites[] = {
    {"units, golden machines, stand-in driver", {0}, false},
    {"real containers", {"crun"}, true},
    {"aarch64 (NEON) under emulation", {"qemu-aarch64|qemu-aarch64-static", "aarch64-linux-gnu-gcc"}, false},
    {"old x86-64 under emulation", {"qemu-x86_64|qemu-x86_64-static"}, false},
    {"PTX assembled", {"ptxas"}, false},
    {"fuzzers", {"clang|clang-19|clang-18|clang-17|clang-16|clang-15|clang-14"}, false},
    {"compared with scikit-learn", {"python3"}, false},
};

static bool has_any(fh_os *os, const char *names) {
  for (const char *at = names; *at;) {
    size_t length = strcspn(at, "|");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), at);
    if (has_program(os, name)) return true;
    at += length + (at[length] == '|');
  }
  return false;
}

static void add_suite(matrix *m, const fh_machine *machine, const suite *s) {
  const fh_facts_where *where = &machine->facts->where;
  for (int i = 0; i < 3 && s->needs[i]; i++) {
    if (has_any(machine->os, s->needs[i])) continue;
    add(m, "test", s->name, false, "%.*s is not in PATH", (int)strcspn(s->needs[i], "|"), s->needs[i]);
    return;
  }
  if (s->root && (!where->id_valid || where->id.uid != 0)) {
    add(m, "test", s->name, false, "needs root");
  } else {
    add(m, "test", s->name, true, "%s", s->needs[0] ? "what it needs is here" : "needs nothing");
  }
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

static char *print_json(const matrix *m) {
  json_t *rows = json_array();
  for (int i = 0; i < m->count; i++) {
    const row *r = &m->rows[i];
    json_array_append_new(rows,
                          json_pack("{ss ss sb so}", "group", r->group, "name", r->name, "runs", r->runs, "why", fh_json_text(r->why)));
  }
  return fh_json_print(json_pack("{ss so}", "schema", "foghorn.matrix/1", "rows", rows));
}

static void print_screen(const matrix *m, fh_screen *screen) {
  for (int i = 0; i < m->count; i++) {
    const row *r = &m->rows[i];
    bool first = i == 0 || strcmp(m->rows[i - 1].group, r->group) != 0;
    if (first && i) fh_screen_blank(screen);
    bool wide = strlen(r->name) > 9;
    fh_screen_line(screen, r->runs ? FH_GREEN : FH_YELLOW, r->runs ? "runs" : "NOT RUN", "%-9s%s%s", r->name, wide ? ": " : " ", r->why);
  }
}

static int emit_results(const fh_cli *cli, fh_format format, const matrix *m) {
  fh_results results = {0};
  for (int i = 0; i < m->count; i++) {
    const row *r = &m->rows[i];
    fh_text_add(fh_results_add(&results, r->group, r->name, r->runs ? FH_RESULT_PASSED : FH_RESULT_NOT_RUN), "%s", r->why);
  }
  return fh_results_emit(cli, format, "matrix", &results, FH_EXIT_OK);
}

static int answer(const fh_cli *cli, fh_format format, const matrix *m) {
  if (format == FH_FORMAT_GITHUB || format == FH_FORMAT_JUNIT) return emit_results(cli, format, m);
  if (format == FH_FORMAT_JSON) {
    char *json = print_json(m);
    fh_text text = {.failed = json == NULL};
    fh_text_add(&text, "%s\n", json ? json : "");
    free(json);
    return fh_cli_emit_text(cli, &text, FH_EXIT_OK);
  }
  fh_screen screen = {.color = cli->color};
  print_screen(m, &screen);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

static int matrix_command(const fh_cli *cli) {
  fh_format format;
  if (!fh_cli_format(cli, FH_FORMATS_OF_RESULTS, &format)) return FH_EXIT_USAGE;
  fh_machine machine;
  int failed = fh_machine_open(cli, &machine);
  if (failed) return failed;
  matrix m = {.count = 0};
  add_backends(&m, machine.judgement);
  add_isas(&m, &machine.facts->cpu);
  for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) add_suite(&m, &machine, &suites[i]);
  int exit_status = answer(cli, format, &m);
  fh_machine_close(&machine);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_FORMAT, FH_OPT_OUTPUT, FH_OPT_FROM, FH_OPT_TIMEOUT, FH_OPT_COLOR};

const fh_cli_command fh_command_matrix = {
    .name = "matrix",
    .operands = "",
    .operands_min = 0,
    .operands_max = 0,
    .summary = "Which backends, instruction sets and tests can run here, and why not the others.",
    .help = "",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = matrix_command,
};
