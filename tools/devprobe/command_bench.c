/* devprobe bench: kernels against this machine's limits, against their peers, and against an earlier time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine/report.h"
#include "bench/engine/rounds.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/interrupt.h"
#include "tools/devprobe/kernel_name.h"
#include "tools/devprobe/screen.h"
#include "tools/devprobe/shapes.h"

enum { DEFAULT_ROUNDS = 21, MOST_THREADS = 1024 };
static const double sample_seconds = 0.004, budget_seconds = 3;

static void progress(const char *text) { fh_cli_progress_update("%s", text); }

/* ---- what to measure --------------------------------------------------------------------------------------------- */

typedef struct job {
  const fh_cli *cli;
  fh_bench_options options;
  fh_session *session;
  fh_bench_table table;
  fh_bench_past past;
  fh_comparison *comparisons;
  int comparison_count;
} job;

/* The first case that is worth measuring, with these shapes. */
static int case_of_shapes(const fh_cli *cli, const fh_kernel_contract *contract, fh_case *out) {
  fh_view_spec specs[FH_MAX_VIEWS] = {0};
  const int wrong = fh_shapes_choose(cli, contract, specs);
  if (wrong) return wrong;
  *out = (fh_case){0};
  fh_text label = {0};
  for (int i = 1; i < cli->operand_count; i++) fh_text_add(&label, "%s%s", i > 1 ? " " : "", cli->operands[i]);
  snprintf(out->label, sizeof out->label, "%s", label.data ? label.data : "");
  fh_text_free(&label);
  for (int v = 0; v < contract->view_count; v++) {
    fh_view_desc *desc = &out->views[v];
    int64_t stride = 1;
    desc->dtype = specs[v].dtype;
    desc->rank = specs[v].shape.rank;
    for (int32_t i = desc->rank - 1; i >= 0; i--) {
      desc->shape[i] = specs[v].shape.extents[i];
      desc->strides[i] = stride;
      if (__builtin_mul_overflow(stride, desc->shape[i] ? desc->shape[i] : 1, &stride))
        return fh_cli_usage(cli, "%s has more elements than a 64-bit machine can address", contract->views[v].name);
    }
  }
  for (int i = 0; i < contract->scalar_count; i++) {
    if (contract->scalars[i].type == 'i') {
      out->scalars[i].i = (int64_t)contract->scalars[i].def;
    } else {
      out->scalars[i].f = contract->scalars[i].def;
    }
  }
  return FH_EXIT_OK;
}

/* An empty case of a kernel's list has nothing to measure and is left out; any other failure ends the run. */
static fh_status measure_listed(job *j, const fh_kernel_image *image) {
  fh_case c;
  for (int i = 0; !fh_interrupted() && fh_bench_case_at(image->contract, i, &c); i++) {
    fh_bound bound;
    FH_TRY(image->contract->bind(c.views, c.scalars, &bound));
    if (bound.stage_count > 0) FH_TRY(fh_session_measure(j->session, image, &c, &j->table));
  }
  return FH_OK;
}

static fh_status measure(job *j, const fh_case *one) {
  if (one) return fh_session_measure(j->session, fh_kernel_named(j->cli->operands[0]), one, &j->table);
  for (int i = 0; i < fh_kernel_count() && !fh_interrupted(); i++) {
    const fh_kernel_image *image = fh_kernel_numbered(i);
    const bool wanted = j->cli->operand_count == 0 || strcmp(j->cli->operands[0], image->contract->name) == 0;
    if (wanted) FH_TRY(measure_listed(j, image));
  }
  return FH_OK;
}

/* ---- against an earlier time ------------------------------------------------------------------------------------- */

static int thread_index(const job *j, int threads) {
  int i = 0;
  while (j->options.threads[i] != threads) i++;
  return i;
}

static bool find_case(const fh_kernel_contract *contract, const char *label, const fh_case *one, fh_case *out) {
  if (one) {
    *out = *one;
    return true;
  }
  for (int i = 0; fh_bench_case_at(contract, i, out); i++)
    if (strcmp(out->label, label) == 0) return true;
  return false;
}

/* What looks slower is measured once more, from its memory on: only what is found twice is told. */
static fh_status confirm(job *j, fh_comparison *found, const fh_case *one) {
  const fh_kernel_image *image = fh_kernel_named(found->kernel);
  fh_bench_table again = {0};
  fh_case c;
  if (!find_case(image->contract, found->label, one, &c)) return FH_OK;
  fh_status status = fh_session_measure_on(j->session, thread_index(j, found->threads), image, &c, &again);
  if (!status && again.count == 1) {
    const fh_comparison second = fh_bench_compare(&j->past, &again.rows[0], j->comparison_count);
    if (second.verdict != found->verdict) found->verdict = FH_COMPARED_SAME;
  }
  fh_bench_table_free(&again);
  return status;
}

static fh_status compare(job *j, const fh_case *one) {
  j->comparison_count = j->table.count;
  j->comparisons = calloc((size_t)j->table.count + 1, sizeof *j->comparisons);
  if (!j->comparisons) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  for (int i = 0; i < j->table.count; i++) {
    fh_comparison *c = &j->comparisons[i];
    *c = fh_bench_compare(&j->past, &j->table.rows[i], j->table.count);
    if ((c->verdict == FH_COMPARED_SLOWER || c->verdict == FH_COMPARED_FASTER) && !fh_interrupted()) FH_TRY(confirm(j, c, one));
  }
  return FH_OK;
}

static int count_of(const job *j, int verdict) {
  int count = 0;
  for (int i = 0; i < j->comparison_count; i++) count += (int)j->comparisons[i].verdict == verdict;
  return count;
}

static void print_comparison(const job *j, fh_text *out) {
  static const char *const words[] = {"same", "SLOWER", "faster", "not compared"};
  fh_text_add(out, "\nagainst %s\n", fh_cli_value(j->cli, FH_OPT_COMPARE));
  for (int i = 0; i < j->comparison_count; i++) {
    const fh_comparison *c = &j->comparisons[i];
    if (c->verdict == FH_COMPARED_SAME && !j->cli->given[FH_OPT_VERBOSE]) continue;
    fh_text_add(out, "  %-12s %s %s on %d: ", words[c->verdict], c->kernel, c->label, c->threads);
    if (c->verdict == FH_COMPARED_NOT)
      fh_text_add(out, "%s\n", c->why);
    else
      fh_text_add(out, "%+.1f %% time (told from %.1f %% on, p %.1g)\n", 100 * (c->factor - 1), 100 * c->effect, c->p);
  }
  fh_text_add(out, "%d slower, %d faster, %d the same, %d not compared; chance of any false alarm at most %d %%\n",
              count_of(j, FH_COMPARED_SLOWER), count_of(j, FH_COMPARED_FASTER), count_of(j, FH_COMPARED_SAME), count_of(j, FH_COMPARED_NOT),
              FH_COMPARE_ALPHA_PERCENT);
}

static json_t *comparison_json(const job *j) {
  static const char *const words[] = {"same", "slower", "faster", "not compared"};
  json_t *out = json_array();
  for (int i = 0; i < j->comparison_count; i++) {
    const fh_comparison *c = &j->comparisons[i];
    json_array_append_new(out, json_pack("{ss so si ss sf sf sf}", "kernel", c->kernel, "case", fh_json_text(c->label), "threads",
                                         c->threads, "verdict", words[c->verdict], "factor", c->factor, "told_from", c->effect, "p", c->p));
  }
  return out;
}

/* ---- answers ------------------------------------------------------------------------------------------------------------ */

/* A failure is told, and the measurement is still printed: it may have taken long. */
static int keep(const job *j, fh_cli_option option, char *take_text, int exit_status) {
  const char *path = fh_cli_value(j->cli, option);
  fh_status status = take_text ? fh_cli_write_file(option, path, take_text) : FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  free(take_text);
  return status ? fh_cli_fail(j->cli, status) : exit_status;
}

static int keep_files(const job *j, int exit_status) {
  if (j->cli->given[FH_OPT_SAVE])
    exit_status =
        keep(j, FH_OPT_SAVE, fh_json_print(fh_bench_json(j->session, &j->options, &j->table, true, fh_interrupted())), exit_status);
  if (j->cli->given[FH_OPT_PLOT]) {
    fh_text picture = {0};
    fh_bench_plot(&picture, &j->table, "Foghorn and its peers, against the limit");
    exit_status = keep(j, FH_OPT_PLOT, fh_text_take(&picture), exit_status);
  }
  return exit_status;
}

static int answer(job *j) {
  const int exit_status = keep_files(j, fh_interrupted()                  ? FH_EXIT_INTERRUPTED
                                        : count_of(j, FH_COMPARED_SLOWER) ? FH_EXIT_UNMET
                                                                          : FH_EXIT_OK);
  fh_text text = {0};
  if (j->cli->given[FH_OPT_QUIET]) return exit_status;
  if (j->cli->given[FH_OPT_JSON]) {
    json_t *document = fh_bench_json(j->session, &j->options, &j->table, false, fh_interrupted());
    if (j->comparisons) json_object_set_new(document, "comparison", comparison_json(j));
    char *json = fh_json_print(document);
    text.failed = json == NULL;
    fh_text_add(&text, "%s\n", json ? json : "");
    free(json);
    return fh_cli_emit_text(j->cli, &text, exit_status);
  }
  for (int i = 0; i < j->options.thread_counts; i++)
    if (fh_session_limits(j->session, i)) fh_bench_print_limits(&text, fh_session_limits(j->session, i));
  fh_bench_print_table(&text, &j->table);
  if (j->comparisons) print_comparison(j, &text);
  if (fh_interrupted()) fh_text_add(&text, "\ninterrupted: the rest was not measured\n");
  return fh_cli_emit_text(j->cli, &text, exit_status);
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */

static bool read_threads(const fh_cli *cli, fh_bench_options *o) {
  cpu_set_t set;
  const int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const int given = cli->given[FH_OPT_THREADS];
  o->threads[o->thread_counts++] = 1;
  if (usable > 1) o->threads[o->thread_counts++] = usable;
  if (given == 0) return true;
  if (given > FH_BENCH_THREADS) {
    fh_cli_usage(cli, "--threads: at most %d numbers of threads", FH_BENCH_THREADS);
    return false;
  }
  o->thread_counts = given;
  for (int i = 0; i < given; i++) {
    int64_t threads = 0;
    if (!fh_cli_integer(cli, FH_OPT_THREADS, i, 1, MOST_THREADS, &threads)) return false;
    o->threads[i] = (int)threads;
  }
  return true;
}

static bool read_options(const fh_cli *cli, fh_bench_options *o) {
  int64_t rounds = DEFAULT_ROUNDS, inject = 0;
  double row_seconds = budget_seconds;
  const char *python = fh_cli_value(cli, FH_OPT_PYTHON);
  *o = (fh_bench_options){.device = fh_cli_value(cli, FH_OPT_DEVICE),
                          .sample_seconds = sample_seconds,
                          .variants = cli->given[FH_OPT_VARIANTS] > 0,
                          .exact = cli->given[FH_OPT_EXACT] > 0,
                          .peers = cli->given[FH_OPT_NO_PEERS] == 0,
                          .peer_folder = fh_cli_value(cli, FH_OPT_PEERS),
                          .python = python ? python : "/usr/bin/python3",
                          .allow_fake = cli->given[FH_OPT_ALLOW_FAKE] > 0,
                          .progress = progress,
                          .stop = fh_interrupt_stop};
  if (!read_threads(cli, o) || !fh_cli_integer(cli, FH_OPT_ROUNDS, 0, 1, FH_ROUNDS_MOST, &rounds) ||
      !fh_cli_integer(cli, FH_OPT_INJECT, 0, 0, 1000, &inject) || !fh_cli_seconds(cli, FH_OPT_WITHIN, &row_seconds))
    return false;
  o->budget_seconds = row_seconds;
  o->rounds = (int)rounds;
  o->inject = (double)inject / 100;
  return true;
}

static fh_status run(job *j, const fh_case *one) {
  const char *past = fh_cli_value(j->cli, FH_OPT_COMPARE);
  FH_TRY(fh_cli_writable(j->cli, FH_OPT_SAVE));
  FH_TRY(fh_cli_writable(j->cli, FH_OPT_PLOT));
  if (past) FH_TRY(fh_bench_past_read(past, &j->past));
  FH_TRY(fh_session_open(&j->options, &j->session));
  FH_TRY(measure(j, one));
  return past ? compare(j, one) : FH_OK;
}

static int bench_command(const fh_cli *cli) {
  job j = {.cli = cli};
  fh_case one;
  if (cli->after) return fh_bench_job(cli);
  if (cli->given[FH_OPT_TIMES] || cli->given[FH_OPT_PRICE])
    return fh_cli_usage(cli, "--times and --price are for a program: devprobe bench --times X -- CMD");
  if (!read_options(cli, &j.options)) return FH_EXIT_USAGE;
  int wrong = fh_kernel_plugins(cli);
  if (wrong) return wrong;
  const fh_kernel_image *image = cli->operand_count ? fh_kernel_named(cli->operands[0]) : NULL;
  if (cli->operand_count && !image) return fh_kernel_unknown(cli, cli->operands[0]);
  const bool shaped = image && cli->operand_count > 1;
  if (cli->given[FH_OPT_CALIBRATE]) return fh_calibrate_machine(cli);
  wrong = shaped ? case_of_shapes(cli, image->contract, &one) : FH_EXIT_OK;
  if (wrong) return wrong;
  fh_interrupt begun;
  fh_interrupt_begin(&begun);
  fh_cli_progress_start("measuring");
  fh_status status = run(&j, shaped ? &one : NULL);
  fh_cli_progress_stop();
  fh_interrupt_end(&begun);
  const int exit_status = status ? fh_cli_fail(cli, status) : answer(&j);
  fh_session_close(j.session);
  fh_bench_table_free(&j.table);
  fh_bench_past_free(&j.past);
  free(j.comparisons);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_THREADS,   FH_OPT_ROUNDS, FH_OPT_VARIANTS,  FH_OPT_EXACT,   FH_OPT_DEVICE, FH_OPT_NO_PEERS,
                                        FH_OPT_PEERS,     FH_OPT_PYTHON, FH_OPT_SAVE,      FH_OPT_COMPARE, FH_OPT_PLOT,   FH_OPT_INJECT,
                                        FH_OPT_CALIBRATE, FH_OPT_WITHIN, FH_OPT_TIMES,     FH_OPT_PRICE,   FH_OPT_JSON,   FH_OPT_OUTPUT,
                                        FH_OPT_VERBOSE,   FH_OPT_QUIET,  FH_OPT_ALLOW_FAKE};

const fh_cli_command fh_command_bench = {
    .name = "bench",
    .operands = "[KERNEL [SHAPE]] | -- CMD [ARGS...]",
    .operands_min = 0,
    .operands_max = -1,
    .summary = "Time against this machine's own limits, its peers, and an earlier time.",
    .help =
        "SHAPE  as explain has it; left out: the shapes that the kernel's contract names.\n"
        "       Everybody takes turns, and so do the limits: multiply-adds in registers,\n"
        "       and reading the inputs and writing the outputs once. Results are checked\n"
        "       before anything is timed. Ctrl-C ends it with what was measured.\n"
        "       Exit status 1: --compare found a kernel slower, twice.\n"
        "CMD    a program that calls Foghorn: it is run, and then told on stderr what it\n"
        "       is bound by, what faster kernels could gain at most, and whether porting\n"
        "       it to a faster device is worth it. Exit status: CMD's.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = bench_command,
};
