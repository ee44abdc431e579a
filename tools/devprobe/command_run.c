/* devprobe run: a real job on real data. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/facts.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/run.h"

enum { DEFAULT_ITERATIONS = 300 };

/* ---- the command line --------------------------------------------------------------------------------- */

static bool read_numbers(const fh_cli *cli, fh_run *run) {
  run->seed = 1;
  run->iterations = DEFAULT_ITERATIONS;
  run->numerics = cli->given[FH_OPT_EXACT] ? FH_EXACT : FH_BOUNDED;
  run->k_count = cli->given[FH_OPT_K];
  for (int i = 0; i < run->k_count; i++) {
    int64_t k = 0;
    if (!fh_cli_integer(cli, FH_OPT_K, i, 1, INT32_MAX, &k)) return false;
    run->ks[i] = (int)k;
  }
  return fh_cli_integer(cli, FH_OPT_SEED, 0, 0, INT64_MAX, &run->seed) &&
         fh_cli_integer(cli, FH_OPT_ITERATIONS, 0, 1, 1000000, &run->iterations);
}

static int check_command_line(const fh_cli *cli) {
  if (strcmp(cli->operands[0], "kmeans") != 0) return fh_cli_usage(cli, "'%s': no such algorithm; expected kmeans", cli->operands[0]);
  if (!cli->given[FH_OPT_INPUT] && !cli->given[FH_OPT_DEMO_DATA]) return fh_cli_usage(cli, "--input FILE is missing (or --demo-data)");
  if (cli->given[FH_OPT_INPUT] && cli->given[FH_OPT_DEMO_DATA]) return fh_cli_usage(cli, "--input and --demo-data exclude each other");
  if (!cli->given[FH_OPT_K]) return fh_cli_usage(cli, "--k K is missing: the number of clusters");
  if (cli->given[FH_OPT_DEVICE] && cli->given[FH_OPT_ALL_DEVICES])
    return fh_cli_usage(cli, "--device and --all-devices exclude each other");
  return FH_EXIT_OK;
}

/* ---- data --------------------------------------------------------------------------------------------- */

/* Half of what this process may still take: the runtime may need as much again for replicas. 0 (no limit) when unknown. */
static uint64_t memory_limit(void) {
  fh_os *os = NULL;
  fh_facts *facts = NULL;
  uint64_t limit = 0;
  fh_status status = fh_os_live(NULL, 0, &os);
  if (!status) status = fh_facts_gather(os, FH_GATHER_STATIC, &facts);
  if (!status && facts->memory.usable.valid == FH_VALID) limit = (uint64_t)facts->memory.usable.value / 2;
  fh_status_free(status);
  if (facts) fh_facts_destroy(facts);
  if (os) fh_os_destroy(os);
  return limit;
}

static int read_data(const fh_cli *cli, fh_run *run) {
  if (cli->given[FH_OPT_DEMO_DATA]) {
    run->input = "--demo-data (not real: blobs computed from a fixed seed)";
    fh_status status = fh_run_demo_data(&run->data);
    return status ? fh_cli_fail(cli, status) : FH_EXIT_OK;
  }
  run->input = fh_cli_value(cli, FH_OPT_INPUT);
  uint64_t limit = 0;
  if (!fh_cli_bytes(cli, FH_OPT_MAX_MEMORY, &limit)) return FH_EXIT_USAGE;
  if (!limit) limit = memory_limit();
  fh_cli_progress_update("reading %.40s", run->input);
  fh_status status = fh_dataset_read(run->input, limit, &run->data);
  if (!status) return FH_EXIT_OK;
  fh_cli_fail(cli, status);
  return FH_EXIT_USAGE; /* an input that cannot be used is the command line's fault, whatever is wrong with it */
}

/* ---- devices ------------------------------------------------------------------------------------------ */

/* Detection tells which, because it looks at all of them; a context looks no further than it must. */
static int list_devices(const fh_cli *cli, fh_run *run) {
  fh_machine machine;
  int failed = fh_machine_open(cli, &machine);
  if (failed) return failed;
  fh_machine_devices(machine.judgement, cli->given[FH_OPT_ALLOW_FAKE] > 0, &run->devices);
  fh_machine_close(&machine);
  return FH_EXIT_OK;
}

static int choose_devices(const fh_cli *cli, fh_run *run) {
  if (cli->given[FH_OPT_ALL_DEVICES]) return list_devices(cli, run);
  const char *device = fh_cli_value(cli, FH_OPT_DEVICE);
  if (device && strlen(device) >= sizeof run->devices.ids[0])
    return fh_cli_usage(cli, "--device %s: expected an id such as cpu, cuda:0 or opencl:1", device);
  snprintf(run->devices.ids[run->devices.count++], sizeof run->devices.ids[0], "%s", device ? device : "");
  return FH_EXIT_OK;
}

/* ---- the job ------------------------------------------------------------------------------------------ */

static int iterations_done(const fh_run *run, int k) {
  for (int i = 0; i < run->row_count; i++)
    if (run->rows[i].k == k && run->rows[i].iterations) return run->rows[i].iterations;
  return (int)run->iterations;
}

static fh_status run_k(fh_run *run, int k_index) {
  float *start = NULL;
  fh_status status = fh_run_devices(run, k_index, &start);
  if (!status && run->cli->given[FH_OPT_COMPARE_SKLEARN] && start) {
    const char *python = fh_cli_value(run->cli, FH_OPT_PYTHON);
    int k = run->ks[k_index];
    fh_cli_progress_update("k-means k=%d by scikit-learn", k);
    fh_run_sklearn(run, python ? python : "/usr/bin/python3", k, start, iterations_done(run, k), &run->rows[run->row_count]);
    run->row_count++;
  }
  free(start);
  return status;
}

static fh_status run_all(fh_run *run) {
  run->rows = calloc((size_t)run->k_count * (FH_MACHINE_MAX_DEVICES + 1), sizeof *run->rows);
  if (!run->rows) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  for (int i = 0; i < run->k_count; i++) FH_TRY(run_k(run, i));
  return FH_OK;
}

/* The table stands even when something in it does not agree: then the exit status and stderr say so. */
static int answer(const fh_cli *cli, const fh_run *run) {
  char *text = cli->given[FH_OPT_JSON] ? fh_run_json(run) : fh_run_table(run);
  fh_text out = {.failed = text == NULL};
  fh_text_add(&out, "%s%s", text ? text : "", cli->given[FH_OPT_JSON] ? "\n" : "");
  free(text);
  int exit_status = fh_cli_emit_text(cli, &out, FH_EXIT_OK);
  for (int i = 0; i < run->k_count && exit_status == FH_EXIT_OK; i++) {
    char wrong[200];
    if (!fh_run_mismatch(run, run->ks[i], wrong, sizeof wrong)) continue;
    fprintf(stderr, "devprobe run: %s\n", wrong);
    exit_status = FH_EXIT_UNMET;
  }
  return exit_status;
}

static void free_run(fh_run *run) {
  for (int i = 0; i < run->row_count; i++) json_decref(run->rows[i].decision);
  free(run->rows);
  fh_dataset_free(&run->data);
}

static int run_command(const fh_cli *cli) {
  int exit_status = check_command_line(cli);
  if (exit_status) return exit_status;
  fh_run run = {.cli = cli};
  if (!read_numbers(cli, &run)) return FH_EXIT_USAGE;
  exit_status = choose_devices(cli, &run);
  if (exit_status) return exit_status;
  fh_cli_progress_start("starting");
  exit_status = read_data(cli, &run);
  if (exit_status == FH_EXIT_OK) {
    fh_status status = run_all(&run);
    fh_cli_progress_stop();
    exit_status = status ? fh_cli_fail(cli, status) : answer(cli, &run);
  }
  fh_cli_progress_stop();
  free_run(&run);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_INPUT,  FH_OPT_DEMO_DATA,  FH_OPT_K,     FH_OPT_DEVICE,     FH_OPT_ALL_DEVICES,
                                        FH_OPT_SEED,   FH_OPT_ITERATIONS, FH_OPT_EXACT, FH_OPT_MAX_MEMORY, FH_OPT_COMPARE_SKLEARN,
                                        FH_OPT_PYTHON, FH_OPT_ALLOW_FAKE, FH_OPT_JSON};

const fh_cli_command fh_command_run = {
    .name = "run",
    .operands = "ALGORITHM",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "A real job on real data: result, time, device, decision.",
    .help = "ALGORITHM  kmeans: k-means++ start, Lloyd's iterations until no label changes\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = run_command,
};
