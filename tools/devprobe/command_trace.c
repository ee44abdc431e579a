/* devprobe trace: runs a program and tells how it looked for its GPU. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/devprobe/commands.h"
#include "tools/devprobe/machine.h"
#include "tools/devprobe/trace/print.h"
#include "tools/devprobe/trace/watch.h"

enum { KILLED_BASE = 128 };

/* ---- ending as the program ended -------------------------------------------------------------------------------- */

/* Whoever waits for devprobe sees the same as if it had run the program itself. A second core file would tell nothing. */
static int end_by_signal(int number) {
  struct rlimit none = {0, 0};
  sigset_t only;
  setrlimit(RLIMIT_CORE, &none);
  signal(number, SIG_DFL);
  sigemptyset(&only);
  sigaddset(&only, number);
  sigprocmask(SIG_UNBLOCK, &only, NULL);
  raise(number);
  return KILLED_BASE + number; /* the first process of a container cannot be killed by itself */
}

static int end_like(const fh_trace_end *end) {
  return WIFSIGNALED(end->wait_status) ? end_by_signal(WTERMSIG(end->wait_status)) : WEXITSTATUS(end->wait_status);
}

/* ---- telling ------------------------------------------------------------------------------------------------------ */

static char *text_of(const fh_cli *cli, const fh_trace_tale *tale, int fd) {
  if (cli->given[FH_OPT_JSON]) {
    fh_text text = {0};
    char *json = fh_trace_print_json(tale);
    if (json) fh_text_add(&text, "%s\n", json);
    free(json);
    return fh_text_take(&text);
  }
  fh_screen screen = {.color = fh_cli_colors(cli, fd)};
  fh_trace_print(tale, cli->given[FH_OPT_VERBOSE] > 0, &screen);
  return fh_text_take(&screen.text);
}

static void tell(const fh_cli *cli, const fh_trace_tale *tale, int fd) {
  char *text = text_of(cli, tale, fd);
  int error = text ? fh_cli_write(fd, text, strlen(text)) : 0;
  if (!text) fprintf(stderr, "devprobe trace: out of memory while writing what was seen\n");
  if (error && fd != STDERR_FILENO)
    fprintf(stderr, "devprobe trace: %s cannot be written: %s\n", fh_cli_value(cli, FH_OPT_OUTPUT), strerror(error));
  free(text);
}

/* ---- the machine -------------------------------------------------------------------------------------------------- */

/* Detection is to see what the program saw: variables that a script set on the way count too. Never those of another user or of a
 * container: LD_PRELOAD and its like would let them run code as the user of devprobe. */
static void take_over_environment(const fh_trace_program *program) {
  int count;
  const char *const *names = fh_allowed_variables(&count);
  for (int i = 0; i < count; i++) unsetenv(names[i]);
  for (int i = 0; i < program->variable_count; i++) setenv(program->variables[i].name, program->variables[i].value, 1);
}

static void tell_story(const fh_cli *cli, fh_trace_record *record, const fh_trace_end *end, int fd) {
  fh_machine machine;
  fh_trace_story story;
  fh_trace_tale tale = {.command = cli->after, .record = record, .end = end, .story = &story};
  fh_trace_story_tell(record, end, NULL, cli->after[0], &story);
  const fh_trace_program *program = fh_trace_program_told(&tale);
  if (program && program->alike) take_over_environment(program);
  if (fh_machine_open(cli, &machine) == FH_EXIT_OK) tale.judgement = machine.judgement;
  if (tale.judgement) fh_trace_story_tell(record, end, tale.judgement, cli->after[0], &story);
  tell(cli, &tale, fd);
  if (tale.judgement) fh_machine_close(&machine);
}

/* ---- the command -------------------------------------------------------------------------------------------------- */

static int run_and_tell(const fh_cli *cli, fh_trace_record *record, int fd) {
  fh_trace_end end;
  fh_status status = fh_trace_watch(cli->after, record, &end);
  if (status) return fh_cli_fail(cli, status);
  if (end.start_error) {
    fprintf(stderr, "devprobe trace: %s: cannot be run: %s\n", cli->after[0], strerror(end.start_error));
    return end_like(&end);
  }
  tell_story(cli, record, &end, fd);
  return end_like(&end);
}

/* Before the program runs: so that a wrong name costs nothing. */
static int open_output(const fh_cli *cli) {
  const char *path = fh_cli_value(cli, FH_OPT_OUTPUT);
  return path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDERR_FILENO;
}

static int trace_command(const fh_cli *cli) {
  double unused;
  if (!cli->after || !cli->after[0]) return fh_cli_usage(cli, "a command is missing: devprobe trace -- CMD ARGS");
  if (!fh_cli_seconds(cli, FH_OPT_TIMEOUT, &unused)) return FH_EXIT_USAGE;
  int fd = open_output(cli);
  if (fd < 0) return fh_cli_usage(cli, "--output %s: cannot be written: %s", fh_cli_value(cli, FH_OPT_OUTPUT), strerror(errno));
  fh_trace_record record;
  int exit_status = FH_EXIT_FAILED;
  if (fh_trace_record_init(&record)) {
    exit_status = run_and_tell(cli, &record, fd);
    fh_trace_record_free(&record);
  } else {
    fh_cli_fail(cli, FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory for the record of a trace"));
  }
  if (fd != STDERR_FILENO) close(fd);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_OUTPUT, FH_OPT_TIMEOUT, FH_OPT_VERBOSE, FH_OPT_COLOR};

const fh_cli_command fh_command_trace = {
    .name = "trace",
    .operands = "-- CMD [ARGS...]",
    .operands_max = 0,
    .summary = "Runs a program and tells how it looked for its GPU, and why it stayed on the CPU.",
    .help =
        "The program runs as it always does, with its input, output, signals and exit\n"
        "status; static programs, threads and child processes are seen too. What was seen\n"
        "is told on stderr, or into FILE, when the last process has ended.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = trace_command,
};
