/* devprobe: which compute devices this process can really use, and why not the others. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "detect/os_live.h"
#include "runtime/base/log.h"
#include "tools/devprobe/commands.h"

#define OPTIONS(array) array, (int)(sizeof array / sizeof array[0])

static const fh_cli_option report_options[] = {FH_OPT_JSON,    FH_OPT_FROM,  FH_OPT_EXPECT, FH_OPT_TIMEOUT,
                                               FH_OPT_VERBOSE, FH_OPT_QUIET, FH_OPT_COLOR};
static const fh_cli_option require_options[] = {FH_OPT_JSON, FH_OPT_FROM, FH_OPT_TIMEOUT, FH_OPT_QUIET, FH_OPT_COLOR};
static const fh_cli_option cause_options[] = {FH_OPT_JSON, FH_OPT_COLOR};
static const fh_cli_option explain_options[] = {FH_OPT_JSON, FH_OPT_DEVICE, FH_OPT_EXACT, FH_OPT_ALLOW_FAKE};
static const fh_cli_option verify_options[] = {FH_OPT_JSON,    FH_OPT_DEVICE, FH_OPT_LONG, FH_OPT_ALLOW_FAKE,
                                               FH_OPT_VERBOSE, FH_OPT_QUIET,  FH_OPT_COLOR};
static const fh_cli_option run_options[] = {FH_OPT_INPUT,  FH_OPT_DEMO_DATA,  FH_OPT_K,     FH_OPT_DEVICE,     FH_OPT_ALL_DEVICES,
                                            FH_OPT_SEED,   FH_OPT_ITERATIONS, FH_OPT_EXACT, FH_OPT_MAX_MEMORY, FH_OPT_COMPARE_SKLEARN,
                                            FH_OPT_PYTHON, FH_OPT_ALLOW_FAKE, FH_OPT_JSON};
static const fh_cli_option matrix_options[] = {FH_OPT_JSON, FH_OPT_FROM, FH_OPT_TIMEOUT, FH_OPT_COLOR};

static const fh_cli_command commands[] = {
    {"report", "", 0, 0, "One screen: verdict, devices, budgets, findings with evidence and fix.",
     "The first line is the verdict. Exit status 1 means that something that was\n"
     "expected (by --expect, or by what the environment asked for) is unusable.\n",
     OPTIONS(report_options), fh_command_report},
    {"require", "SPEC... [-- CMD ARGS]", 1, -1, "Checks conditions; when all are met runs CMD in its place.",
     "SPEC  gpu, gpu>=2, cuda, cuda>=2, opencl, cpus>=4, isa=avx2, memory>=40GiB,\n"
     "      gpu-memory>=16GiB, driver>=550, cuda-version>=12.4, capability>=8.0\n"
     "\n"
     "Quote a SPEC with '>' for the shell. Unmet: exit status 1, and the cause.\n",
     OPTIONS(require_options), fh_command_require},
    {"cause", "[ID]", 0, 1, "The catalogue of causes; one in full: meaning, look-alikes, fix.", "", OPTIONS(cause_options),
     fh_command_cause},
    {"explain", "KERNEL [SHAPE]", 1, -1, "What would run for a launch: candidates, verdicts, predicted costs, choice.",
     "SHAPE  the kernel's extents in the order it prints them, joined by x: for matmul\n"
     "       (m, k, n), so 512x64x1000; or one SHAPE for each operand.\n"
     "       Left out: the largest of the kernel's own cases. Nothing is run.\n",
     OPTIONS(explain_options), fh_command_explain},
    {"verify", "[KERNEL...]", 0, -1, "Every variant of every kernel against its reference, on this machine.",
     "What cannot be run here is listed with the reason and never counted as passed.\n", OPTIONS(verify_options), fh_command_verify},
    {"run", "ALGORITHM", 1, 1, "A real job on real data: result, time, device, decision.",
     "ALGORITHM  kmeans: k-means++ start, Lloyd's iterations until no label changes\n", OPTIONS(run_options), fh_command_run},
    {"matrix", "", 0, 0, "Which backends, instruction sets and tests can run here, and why not the others.", "", OPTIONS(matrix_options),
     fh_command_matrix},
};

/* A closed stdin, stdout or stderr would be taken by the next file that is opened: writing to it would then hit that file. */
static void keep_standard_files(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(FH_EXIT_FAILED);
}

int main(int argc, char **argv) {
  keep_standard_files();
  /* Detection asks drivers in a child: this program, with a question. */
  if (argc == 3 && strcmp(argv[1], "--answer") == 0) return fh_answer_main(argv[2]);
  signal(SIGPIPE, SIG_IGN);
  fh_status status = fh_log_configure();
  if (status) return fh_cli_fail(NULL, status);
  return fh_cli_main(commands, (int)(sizeof commands / sizeof commands[0]), argc, argv);
}
