/* devprobe bench -- CMD: runs a program that calls Foghorn and tells what it is bound by. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/job.h"

enum { EXIT_CANNOT_RUN = 126, EXIT_NO_COMMAND = 127, KILLED_BASE = 128, BLOCK = 512 };

/* ---- running it ----------------------------------------------------------------------------------------------------- */

_Noreturn static void become(char *const *command, const char *trace, int told) {
  setenv("FOGHORN_TRACE", trace, 1);
  signal(SIGPIPE, SIG_DFL); /* devprobe ignores it, the program must not inherit that */
  execvp(command[0], command);
  const int error = errno;
  if (write(told, &error, sizeof error) < 0) _exit(EXIT_CANNOT_RUN);
  _exit(error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN);
}

static volatile sig_atomic_t program; /* 0: none runs */

static void hand_on(int number) {
  const int error = errno;
  if (program > 0) kill((pid_t)program, number);
  errno = error;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

fh_status fh_job_run(char *const *command, const char *trace, fh_job_end *out_end) {
  *out_end = (fh_job_end){0};
  int told[2];
  if (pipe2(told, O_CLOEXEC) != 0) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no pipe: %s", strerror(errno));
  const double start = fh_now_seconds();
  const pid_t child = fork();
  if (child == 0) become(command, trace, told[1]);
  const int error = errno;
  close(told[1]);
  if (child < 0) {
    close(told[0]);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no process for %s: %s", command[0], strerror(error));
  }
  /* Ctrl-C reaches the program by itself, what ends devprobe is handed on; what the program did until then is told. */
  struct sigaction ignore = {.sa_handler = SIG_IGN}, pass = {.sa_handler = hand_on}, before[4];
  program = child;
  sigaction(SIGINT, &ignore, &before[0]);
  sigaction(SIGQUIT, &ignore, &before[1]);
  sigaction(SIGTERM, &pass, &before[2]);
  sigaction(SIGHUP, &pass, &before[3]);
  struct rusage usage = {0};
  ssize_t got;
  do got = read(told[0], &out_end->start_error, sizeof out_end->start_error);
  while (got < 0 && errno == EINTR);
  close(told[0]);
  while (wait4(child, &out_end->status, 0, &usage) < 0 && errno == EINTR) continue;
  program = 0; /* its number may be another's now */
  sigaction(SIGINT, &before[0], NULL);
  sigaction(SIGQUIT, &before[1], NULL);
  sigaction(SIGTERM, &before[2], NULL);
  sigaction(SIGHUP, &before[3], NULL);
  out_end->wall = fh_now_seconds() - start;
  out_end->processor = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  out_end->read_bytes = (int64_t)usage.ru_inblock * BLOCK;
  out_end->written_bytes = (int64_t)usage.ru_oublock * BLOCK;
  return FH_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------------ */

/* The options that mean something here; others would promise what is not done. */
static const fh_cli_option known[] = {FH_OPT_JSON, FH_OPT_OUTPUT, FH_OPT_QUIET, FH_OPT_VERBOSE, FH_OPT_TIMES, FH_OPT_PRICE};

static bool is_known(int option) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if ((int)known[i] == option) return true;
  return false;
}

static int check_options(const fh_cli *cli, fh_job_offer *out_offer) {
  *out_offer = (fh_job_offer){0};
  for (int option = 0; option < FH_OPT_COUNT; option++)
    if (cli->given[option] && !is_known(option))
      return fh_cli_usage(cli, "--%s does not go with a program", fh_cli_option_name((fh_cli_option)option));
  if (cli->operand_count) return fh_cli_usage(cli, "'%s': a program is measured by itself, without a kernel", cli->operands[0]);
  if (!cli->after[0]) return fh_cli_usage(cli, "a command is missing: devprobe bench -- CMD ARGS");
  if (cli->given[FH_OPT_PRICE] && !cli->given[FH_OPT_TIMES])
    return fh_cli_usage(cli, "--price needs --times: how many times faster kernels would be");
  if (!fh_cli_number(cli, FH_OPT_TIMES, 1, &out_offer->times) || !fh_cli_number(cli, FH_OPT_PRICE, 0, &out_offer->price))
    return FH_EXIT_USAGE;
  return FH_EXIT_OK;
}

static int end_like(const fh_job_end *end) {
  return WIFSIGNALED(end->status) ? KILLED_BASE + WTERMSIG(end->status) : WEXITSTATUS(end->status);
}

static void tell(const fh_cli *cli, const fh_job *job, const fh_job_trace *trace, const fh_job_end *end, fh_job_offer offer) {
  const char *path = fh_cli_value(cli, FH_OPT_OUTPUT);
  char *text = fh_job_text(cli, STDERR_FILENO, job, trace, end, offer);
  if (!text) fprintf(stderr, "devprobe bench: out of memory while writing what was measured\n");
  if (text && path) {
    fh_status status = fh_cli_write_file(FH_OPT_OUTPUT, path, text);
    if (status) {
      fh_cli_fail(cli, status);
      fh_cli_write(STDERR_FILENO, text, strlen(text)); /* the run may have taken hours: nothing of it is lost */
    }
  } else if (text && !cli->given[FH_OPT_QUIET]) {
    fh_cli_write(STDERR_FILENO, text, strlen(text));
  }
  free(text);
}

static int run_and_tell(const fh_cli *cli, const char *path, fh_job_offer offer) {
  fh_job_end end;
  fh_job_trace trace = {0};
  fh_job job = {0};
  fh_status status = fh_job_run(cli->after, path, &end);
  if (!status && end.start_error) {
    fprintf(stderr, "devprobe bench: %s: cannot be run: %s\n", cli->after[0], strerror(end.start_error));
    return end_like(&end);
  }
  if (status) return fh_cli_fail(cli, status);
  status = fh_job_read(path, &trace);
  unlink(path); /* measuring takes a while, and may be interrupted */
  if (!status) status = fh_job_sum(&trace, &end, &job);
  if (!status) tell(cli, &job, &trace, &end, offer);
  fh_job_free(&job);
  fh_job_trace_free(&trace);
  if (status) fh_cli_fail(cli, status); /* said; the exit status stays the program's */
  return end_like(&end);
}

int fh_bench_job(const fh_cli *cli) {
  fh_job_offer offer;
  const int wrong = check_options(cli, &offer);
  if (wrong) return wrong;
  fh_status status = fh_cli_writable(cli, FH_OPT_OUTPUT);
  if (status) return fh_cli_fail(cli, status);
  unsetenv("FOGHORN_TRACE"); /* the program gets one of its own; what is measured here is no launch of the user's */
  const char *folder = getenv("TMPDIR");
  char path[512];
  const int length = snprintf(path, sizeof path, "%s/foghorn-job.XXXXXX", folder && folder[0] ? folder : "/tmp");
  if (length < 0 || (size_t)length >= sizeof path) return fh_cli_usage(cli, "TMPDIR is longer than %zu characters", sizeof path);
  const int fd = mkstemp(path);
  if (fd < 0)
    return fh_cli_fail(cli, FH_STATUS(FH_UNAVAILABLE, "no file for the launches in %s: %s; TMPDIR names another folder",
                                      folder && folder[0] ? folder : "/tmp", strerror(errno)));
  close(fd);
  char *whole = realpath(path, NULL); /* the program may go to another folder */
  const int exit_status =
      whole ? run_and_tell(cli, whole, offer) : fh_cli_fail(cli, FH_STATUS(FH_UNAVAILABLE, "%s: %s", path, strerror(errno)));
  unlink(path);
  free(whole);
  return exit_status;
}
