/* The frame of devprobe: commands, options, exit statuses, output. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_CLI_H_
#define FOGHORN_TOOLS_DEVPROBE_CLI_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

#include "runtime/base/json.h"
#include "runtime/base/text.h"

/* Exit statuses of every command. */
enum { FH_EXIT_OK = 0, FH_EXIT_UNMET = 1, FH_EXIT_USAGE = 2, FH_EXIT_FAILED = 3 };

/* Every option of every command, so that one name means one thing everywhere. */
typedef enum fh_cli_option {
  FH_OPT_JSON,
  FH_OPT_FORMAT,
  FH_OPT_OUTPUT,
  FH_OPT_WAIT,
  FH_OPT_WATCH,
  FH_OPT_EVERY,
  FH_OPT_FROM,
  FH_OPT_MASK,
  FH_OPT_EXPECT,
  FH_OPT_TIMEOUT,
  FH_OPT_COLOR,
  FH_OPT_QUIET,
  FH_OPT_VERBOSE,
  FH_OPT_DEVICE,
  FH_OPT_ALL_DEVICES,
  FH_OPT_EXACT,
  FH_OPT_INPUT,
  FH_OPT_DEMO_DATA,
  FH_OPT_K,
  FH_OPT_SEED,
  FH_OPT_ITERATIONS,
  FH_OPT_MAX_MEMORY,
  FH_OPT_COMPARE_SKLEARN,
  FH_OPT_PYTHON,
  FH_OPT_LONG,
  FH_OPT_CASES,
  FH_OPT_THREADS,
  FH_OPT_ROUNDS,
  FH_OPT_VARIANTS,
  FH_OPT_NO_PEERS,
  FH_OPT_PEERS,
  FH_OPT_SAVE,
  FH_OPT_COMPARE,
  FH_OPT_PLOT,
  FH_OPT_INJECT,
  FH_OPT_CALIBRATE,
  FH_OPT_WITHIN,
  FH_OPT_TIMES,
  FH_OPT_PRICE,
  FH_OPT_ASSUME,
  FH_OPT_ALLOW_FAKE,
  FH_OPT_HELP,
  FH_OPT_VERSION,
  FH_OPT_COUNT,
} fh_cli_option;

enum { FH_CLI_MAX_REPEATS = 16 };

struct fh_cli;

typedef struct fh_cli_command {
  const char *name;
  const char *operands;           /* "SPEC... [-- CMD ARGS]"; "" none */
  int operands_min, operands_max; /* max -1: any */
  const char *summary;            /* one line */
  const char *help;               /* more, whole lines; "" */
  const fh_cli_option *options;
  int option_count;
  int (*run)(const struct fh_cli *cli);
} fh_cli_command;

/* What a program is: its commands, the first of which is the default, and what its help says besides. */
typedef struct fh_cli_program {
  const fh_cli_command *const *commands; /* NULL-terminated */
  const char *note;                      /* whole lines; "" */
} fh_cli_program;

/* A parsed command line. */
typedef struct fh_cli {
  const fh_cli_command *command;
  int given[FH_OPT_COUNT];                             /* how often */
  const char *value[FH_OPT_COUNT][FH_CLI_MAX_REPEATS]; /* of options with an argument */
  char **operands;
  int operand_count;
  char **after; /* what follows "--", NULL-terminated; NULL: no "--" */
  bool color;   /* stdout is to be coloured */
} fh_cli;

/* Parses and runs. Returns the exit status. */
int fh_cli_main(const fh_cli_program *program, int argc, char **argv);

/* ---- values ------------------------------------------------------------------------------------------- */

/* "json": as it is written, without the dashes. */
const char *fh_cli_option_name(fh_cli_option option);
/* The option's last value; NULL: not given. */
const char *fh_cli_value(const fh_cli *cli, fh_cli_option option);
/* Reads the i-th value of an option as a number in [low, high]; false after a usage error was printed. Not given:
 * *out unchanged. */
bool fh_cli_integer(const fh_cli *cli, fh_cli_option option, int i, int64_t low, int64_t high, int64_t *out);
bool fh_cli_seconds(const fh_cli *cli, fh_cli_option option, double *out);
/* The same for a number above `above` and up to 10^12. */
bool fh_cli_number(const fh_cli *cli, fh_cli_option option, double above, double *out);
/* Bytes with an optional suffix K, M, G or KiB, MiB, GiB (powers of 1024). */
bool fh_cli_bytes(const fh_cli *cli, fh_cli_option option, uint64_t *out);

/* True when what goes to this file is to be coloured: by --color, else on a terminal. */
bool fh_cli_colors(const fh_cli *cli, int fd);

/* ---- output ------------------------------------------------------------------------------------------- */

/* Prints "devprobe CMD: ..." and where help is, on stderr; returns FH_EXIT_USAGE. */
int fh_cli_usage(const fh_cli *cli, const char *format, ...) FH_PRINTF(2, 3);
/* Prints a status on stderr and frees it. FH_EXIT_USAGE for a bad argument, else FH_EXIT_FAILED. */
int fh_cli_fail(const fh_cli *cli, fh_status take_status);
/* Writes all of it, however often that takes: 0, or the errno of what failed. */
int fh_cli_write(int fd, const char *bytes, size_t size);
/* Writes to stdout, or in the place of the file that --output names (which at no time is half written), and frees.
 * exit_status, or FH_EXIT_FAILED when that cannot be written (a reader that went away is no failure). take_text NULL: out of
 * memory. */
int fh_cli_emit(const fh_cli *cli, char *take_text, int exit_status);
/* The same for a text that is still being built; takes its contents. */
int fh_cli_emit_text(const fh_cli *cli, fh_text *text, int exit_status);
/* The same for a value; takes the reference. */
int fh_cli_emit_json(const fh_cli *cli, json_t *take_value, int exit_status);

/* Writes the file that an option names: who reads it sees the old text or the new one, never half. What is no file (/dev/null, a pipe) is
 * written to, not replaced. */
fh_status fh_cli_write_file(fh_cli_option option, const char *path, const char *text);
/* Could it be written, as far as can be seen before? For work that takes long. Not given: it could. */
fh_status fh_cli_writable(const fh_cli *cli, fh_cli_option option);

/* The nearest of `count` names by edits, when it is near enough to be a slip; else NULL. */
const char *fh_cli_nearest(const char *name, const char *(*name_at)(int i), int count);

/* ---- progress ----------------------------------------------------------------------------------------- */

/* From one second on, on a terminal: a line on stderr that says what is being done and for how long. One at a
 * time. Stop wipes it. */
void fh_cli_progress_start(const char *what);
void fh_cli_progress_update(const char *format, ...) FH_PRINTF(1, 2);
void fh_cli_progress_stop(void);

#endif /* FOGHORN_TOOLS_DEVPROBE_CLI_H_ */
