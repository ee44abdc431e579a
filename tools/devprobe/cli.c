/* The frame of devprobe: commands, options, exit statuses, output. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <foghorn/context.h>

#include "tools/devprobe/screen.h"

typedef struct option_text {
  const char *name;
  char letter;          /* 0: none */
  const char *argument; /* NULL: a flag */
  const char *help;
} option_text;

static const option_text option_texts[FH_OPT_COUNT] = {
    [FH_OPT_JSON] = {"json", 0, NULL, "print JSON"},
    [FH_OPT_FORMAT] = {"format", 0, "FORMAT", "text (default), json, prometheus, nfd, github or junit; not every command has all"},
    [FH_OPT_OUTPUT] = {"output", 'o', "FILE", "write the answer into FILE instead"},
    [FH_OPT_WAIT] = {"wait", 0, "SECONDS", "look again until what is expected is there, at most so long"},
    [FH_OPT_WATCH] = {"watch", 0, NULL, "go on, and print what changes; SIGINT or SIGTERM ends it"},
    [FH_OPT_EVERY] = {"every", 0, "SECONDS", "how often --watch looks (default 5)"},
    [FH_OPT_FROM] = {"from", 0, "SNAPSHOT", "judge a recorded machine (archive or directory; - is stdin) instead of this one"},
    [FH_OPT_MASK] = {"mask", 0, NULL, "replace UUIDs, ids, addresses, names of users and hosts"},
    [FH_OPT_EXPECT] = {"expect", 0, "SPEC", "what should be here: gpu, cuda>=2, opencl; comma separated"},
    [FH_OPT_TIMEOUT] = {"timeout", 0, "SECONDS", "limit for all driver questions together (default 10)"},
    [FH_OPT_COLOR] = {"color", 0, "WHEN", "auto (default: on a terminal), always or never"},
    [FH_OPT_QUIET] = {"quiet", 'q', NULL, "print nothing; the exit status answers"},
    [FH_OPT_VERBOSE] = {"verbose", 'v', NULL, "print more: all evidence, every fix"},
    [FH_OPT_DEVICE] = {"device", 0, "ID", "a device: cpu, cuda:0, opencl:1 (as the report names them)"},
    [FH_OPT_ALL_DEVICES] = {"all-devices", 0, NULL, "run on every usable device"},
    [FH_OPT_EXACT] = {"exact", 0, NULL, "only variants whose results are bit-identical everywhere"},
    [FH_OPT_INPUT] = {"input", 0, "FILE", "IDX or NPY file, plain or gzip; the first extent counts rows"},
    [FH_OPT_DEMO_DATA] = {"demo-data", 0, NULL, "made-up data instead of a file"},
    [FH_OPT_K] = {"k", 'k', "K", "clusters; may be given several times"},
    [FH_OPT_SEED] = {"seed", 0, "N", "of the k-means++ start (default 1)"},
    [FH_OPT_ITERATIONS] = {"iterations", 0, "N", "at most so many iterations (default 300)"},
    [FH_OPT_MAX_MEMORY] = {"max-memory", 0, "BYTES", "refuse data larger than this (suffix K, M, G; default: half of usable memory)"},
    [FH_OPT_COMPARE_SKLEARN] = {"compare-sklearn", 0, NULL, "also run scikit-learn's Lloyd from the same start"},
    [FH_OPT_PYTHON] = {"python", 0, "FILE", "the Python that has the peers (default /usr/bin/python3)"},
    [FH_OPT_CASES] = {"cases", 0, "N", "only the first N cases of each kernel, the small ones"},
    [FH_OPT_LONG] = {"long", 0, NULL, "every case: all byte offsets, strides and special values"},
    [FH_OPT_THREADS] = {"threads", 0, "N", "threads of the CPU; may be given several times (default: 1 and all)"},
    [FH_OPT_ROUNDS] = {"rounds", 0, "N", "times that everybody takes a turn (default 21)"},
    [FH_OPT_VARIANTS] = {"variants", 0, NULL, "every variant that can run, besides the one that the planner chose"},
    [FH_OPT_NO_PEERS] = {"no-peers", 0, NULL, "Foghorn and the limits only"},
    [FH_OPT_PEERS] = {"peers", 0, "FOLDER", "also the peers that live in Python: scripts in this folder"},
    [FH_OPT_SAVE] = {"save", 0, "FILE", "keep every round's times, for --compare"},
    [FH_OPT_COMPARE] = {"compare", 0, "FILE", "against what --save kept; status 1 when a kernel is slower"},
    [FH_OPT_PLOT] = {"plot", 0, "FILE", "draw how near to the limit everybody comes, as SVG"},
    [FH_OPT_INJECT] = {"inject", 0, "PERCENT", "make Foghorn slower by so much, to see that --compare finds it"},
    [FH_OPT_CALIBRATE] = {"calibrate", 0, NULL, "measure this machine for the planner, and keep it"},
    [FH_OPT_WITHIN] = {"within", 0, "SECONDS",
                       "how long --calibrate (default 45), or the rounds of a case once 5 are done (default 3), may take"},
    [FH_OPT_TIMES] = {"times", 0, "X", "after --: what a device that runs kernels X times faster would give"},
    [FH_OPT_PRICE] = {"price", 0, "PRICE", "with --times: what an hour costs, for what would be saved"},
    [FH_OPT_ASSUME] = {"assume", 0, "WHAT", "what if: [DEVICE:]link=25GB/s, latency=5us, memory=8GiB; comma separated"},
    [FH_OPT_ALLOW_FAKE] = {"allow-fake", 0, NULL, "accept a stand-in driver (for tests; the output says FAKE)"},
    [FH_OPT_HELP] = {"help", 'h', NULL, "print this help"},
    [FH_OPT_VERSION] = {"version", 'V', NULL, "print the version"},
};

enum { HELP_COLUMN = 24, LINE_WIDTH = 80, LONG_BASE = 256 };

/* ---- values ------------------------------------------------------------------------------------------- */

const char *fh_cli_option_name(fh_cli_option option) { return option_texts[option].name; }

const char *fh_cli_value(const fh_cli *cli, fh_cli_option option) {
  int count = cli->given[option];
  return count ? cli->value[option][count - 1] : NULL;
}

bool fh_cli_integer(const fh_cli *cli, fh_cli_option option, int i, int64_t low, int64_t high, int64_t *out) {
  if (i >= cli->given[option]) return true;
  const char *text = cli->value[option][i];
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno || end == text || *end || value < low || value > high) {
    fh_cli_usage(cli, "--%s %s: expected a whole number from %lld to %lld", option_texts[option].name, text, (long long)low,
                 (long long)high);
    return false;
  }
  *out = value;
  return true;
}

bool fh_cli_seconds(const fh_cli *cli, fh_cli_option option, double *out) {
  const char *text = fh_cli_value(cli, option);
  if (!text) return true;
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value > 0) || value > 3600) {
    fh_cli_usage(cli, "--%s %s: expected seconds, more than 0 and at most 3600", option_texts[option].name, text);
    return false;
  }
  *out = value;
  return true;
}

bool fh_cli_number(const fh_cli *cli, fh_cli_option option, double above, double *out) {
  const char *text = fh_cli_value(cli, option);
  if (!text) return true;
  char *end;
  const double value = strtod(text, &end);
  if (end == text || *end || !(value > above) || value > 1e12) {
    fh_cli_usage(cli, "--%s %s: expected a number above %g and at most 10^12", option_texts[option].name, text, above);
    return false;
  }
  *out = value;
  return true;
}

bool fh_cli_bytes(const fh_cli *cli, fh_cli_option option, uint64_t *out) {
  static const char *const suffixes[] = {"", "K", "M", "G"};
  const char *text = fh_cli_value(cli, option);
  if (!text) return true;
  char *end;
  double value = strtod(text, &end);
  for (int i = 0; i < 4 && end != text; i++) {
    size_t length = strlen(suffixes[i]);
    if (strncmp(end, suffixes[i], length) != 0 || (end[length] && (i == 0 || strcmp(end + length, "iB") != 0))) continue;
    value = ldexp(value, 10 * i);
    if (!(value >= 1) || value > 0x1p62) break;
    *out = (uint64_t)value;
    return true;
  }
  fh_cli_usage(cli, "--%s %s: expected bytes, such as 500M or 4GiB", option_texts[option].name, text);
  return false;
}

/* ---- output ------------------------------------------------------------------------------------------- */

static const char *command_name(const fh_cli *cli) { return cli && cli->command ? cli->command->name : ""; }

/* Names in a message may come from a snapshot that anybody made. Takes the text; NULL: no memory. */
static void complain(const char *name, char *take_text) {
  if (take_text) fh_text_make_safe(take_text);
  fprintf(stderr, "devprobe%s%s: %s\n", *name ? " " : "", name, take_text ? take_text : "out of memory");
  free(take_text);
}

int fh_cli_usage(const fh_cli *cli, const char *format, ...) {
  const char *name = command_name(cli);
  char *text = NULL;
  fh_cli_progress_stop();
  va_list args;
  va_start(args, format);
  if (vasprintf(&text, format, args) < 0) text = NULL;
  va_end(args);
  complain(name, text);
  fprintf(stderr, "help: devprobe%s%s --help\n", *name ? " " : "", name);
  return FH_EXIT_USAGE;
}

int fh_cli_fail(const fh_cli *cli, fh_status take_status) {
  const char *name = command_name(cli), *cause = fh_status_cause(take_status);
  fh_code code = fh_status_code(take_status);
  fh_cli_progress_stop();
  complain(name, strdup(fh_status_message(take_status)));
  if (cause) fprintf(stderr, "more: devprobe cause %s\n", cause);
  fh_status_free(take_status);
  return code == FH_INVALID_ARGUMENT ? FH_EXIT_USAGE : FH_EXIT_FAILED;
}

int fh_cli_write(int fd, const char *bytes, size_t size) {
  while (size) {
    ssize_t done = write(fd, bytes, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    bytes += done;
    size -= (size_t)done;
  }
  return 0;
}

static int emit_stdout(const fh_cli *cli, const char *text, int exit_status) {
  int error = fh_cli_write(STDOUT_FILENO, text, strlen(text));
  if (error == 0 || error == EPIPE) return exit_status;
  return fh_cli_fail(cli, FH_STATUS(FH_UNAVAILABLE, "standard output cannot be written: %s", strerror(error)));
}

static fh_status write_device(const char *option, const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC), error = fd < 0 ? errno : 0;
  if (fd >= 0) error = fh_cli_write(fd, text, strlen(text));
  if (fd >= 0 && close(fd) != 0 && !error) error = errno;
  return error ? FH_STATUS(FH_UNAVAILABLE, "--%s %s cannot be written: %s", option, path, strerror(error)) : FH_OK;
}

/* Until a half-written file has its name or is gone: whoever ends us would leave it behind. It is a file, so it takes no time. */
static void hold_signals(sigset_t *out_before) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGHUP);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, out_before);
}

static int write_new_file(char *template, const char *path, const char *text) {
  int fd = mkostemp(template, O_CLOEXEC);
  if (fd < 0) return errno;
  int error = fh_cli_write(fd, text, strlen(text));
  if (error == 0 && fchmod(fd, 0644) != 0) error = errno;
  if (close(fd) != 0 && !error) error = errno;
  if (!error && rename(template, path) != 0) error = errno;
  if (error) unlink(template);
  return error;
}

/* A new file beside it takes its name once it is complete. */
fh_status fh_cli_write_file(fh_cli_option option, const char *path, const char *text) {
  fh_text name = {0};
  struct stat st;
  if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) return write_device(option_texts[option].name, path, text);
  fh_text_add(&name, "%s.XXXXXX", path);
  char *temporary = fh_text_take(&name);
  if (!temporary) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory while writing the answer");
  sigset_t before;
  hold_signals(&before);
  int error = write_new_file(temporary, path, text);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  free(temporary);
  return error ? FH_STATUS(FH_UNAVAILABLE, "--%s %s cannot be written: %s", option_texts[option].name, path, strerror(error)) : FH_OK;
}

fh_status fh_cli_writable(const fh_cli *cli, fh_cli_option option) {
  const char *path = fh_cli_value(cli, option), *slash = path ? strrchr(path, '/') : NULL;
  struct stat st;
  if (!path) return FH_OK;
  int error = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? EISDIR : 0;
  char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
  if (!folder) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  if (!error && (stat(path, &st) != 0 || S_ISREG(st.st_mode)) && access(folder, W_OK | X_OK) != 0) error = errno;
  free(folder);
  return error ? FH_STATUS(FH_UNAVAILABLE, "--%s %s cannot be written: %s", option_texts[option].name, path, strerror(error)) : FH_OK;
}

int fh_cli_emit(const fh_cli *cli, char *take_text, int exit_status) {
  fh_cli_progress_stop();
  if (!take_text) return fh_cli_fail(cli, FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory while writing the answer"));
  const char *path = cli ? fh_cli_value(cli, FH_OPT_OUTPUT) : NULL;
  if (!path) {
    exit_status = emit_stdout(cli, take_text, exit_status);
  } else {
    fh_status status = fh_cli_write_file(FH_OPT_OUTPUT, path, take_text);
    if (status) exit_status = fh_cli_fail(cli, status);
  }
  free(take_text);
  return exit_status;
}

int fh_cli_emit_text(const fh_cli *cli, fh_text *text, int exit_status) { return fh_cli_emit(cli, fh_text_take(text), exit_status); }

int fh_cli_emit_json(const fh_cli *cli, json_t *take_value, int exit_status) {
  char *json = fh_json_print(take_value);
  fh_text text = {.failed = json == NULL};
  fh_text_add(&text, "%s\n", json ? json : "");
  free(json);
  return fh_cli_emit_text(cli, &text, exit_status);
}

/* ---- near names --------------------------------------------------------------------------------------- */

enum { NAME_MAX_LENGTH = 48 };

static int smallest(int a, int b, int c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

/* Levenshtein distance, letters compared without case. */
static int edits(const char *a, const char *b) {
  int row[NAME_MAX_LENGTH + 1];
  int n = (int)strlen(b);
  if (n > NAME_MAX_LENGTH || strlen(a) > NAME_MAX_LENGTH) return NAME_MAX_LENGTH;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int corner = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int above = row[j];
      row[j] = smallest(above + 1, row[j - 1] + 1, corner + ((a[i - 1] | 32) != (b[j - 1] | 32)));
      corner = above;
    }
  }
  return row[n];
}

const char *fh_cli_nearest(const char *name, const char *(*name_at)(int i), int count) {
  const char *best = NULL;
  int least = 1 + (int)strlen(name) / 3;
  for (int i = 0; i < count; i++) {
    int distance = edits(name, name_at(i));
    if (distance > least || (best && distance == least)) continue;
    least = distance;
    best = name_at(i);
  }
  return best;
}

/* ---- help --------------------------------------------------------------------------------------------- */

/* Text from `column` on, broken at spaces before LINE_WIDTH. */
static void add_wrapped(fh_text *out, int column, const char *text) {
  int at = column;
  while (*text) {
    int word = (int)strcspn(text, " ");
    if (at > column && at + 1 + word > LINE_WIDTH) {
      fh_text_add(out, "\n%*s", column, "");
      at = column;
    } else if (at > column) {
      fh_text_add(out, " ");
      at++;
    }
    fh_text_append(out, text, (size_t)word);
    at += word;
    text += word;
    while (*text == ' ') text++;
  }
  fh_text_add(out, "\n");
}

static void add_option_help(fh_text *out, fh_cli_option option) {
  const option_text *o = &option_texts[option];
  char left[64], letter[8] = "    ";
  if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
  if (strlen(left) + 1 < HELP_COLUMN) {
    fh_text_add(out, "%-*s", HELP_COLUMN, left);
  } else {
    fh_text_add(out, "%s\n%*s", left, HELP_COLUMN, "");
  }
  add_wrapped(out, HELP_COLUMN, o->help);
}

static int print_help(const fh_cli *cli) {
  const fh_cli_command *c = cli->command;
  fh_text out = {0};
  fh_text_add(&out, "usage: devprobe %s [OPTIONS]%s%s\n\n", c->name, *c->operands ? " " : "", c->operands);
  add_wrapped(&out, 0, c->summary);
  if (*c->help) fh_text_add(&out, "\n%s", c->help);
  fh_text_add(&out, "\noptions\n");
  for (int i = 0; i < c->option_count; i++) add_option_help(&out, c->options[i]);
  add_option_help(&out, FH_OPT_HELP);
  add_option_help(&out, FH_OPT_VERSION);
  return fh_cli_emit_text(cli, &out, FH_EXIT_OK);
}

static int print_general_help(const fh_cli_program *program) {
  fh_text out = {0};
  fh_text_add(&out, "usage: devprobe [COMMAND] [OPTIONS]\n\n");
  add_wrapped(&out, 0, "Says which compute devices this process can really use, and why not the others.");
  fh_text_add(&out, "\ncommands (the default is report)\n");
  for (const fh_cli_command *const *c = program->commands; *c; c++) {
    fh_text_add(&out, "  %-*s", 12, (*c)->name);
    add_wrapped(&out, 14, (*c)->summary);
  }
  if (*program->note) fh_text_add(&out, "\n%s", program->note);
  fh_text_add(&out,
              "\nexit status\n"
              "  0  nothing wrong, or what was asked is met\n"
              "  1  something expected is unusable, unmet or does not match\n"
              "  2  the command line cannot be understood\n"
              "  3  devprobe itself failed\n"
              "\nenvironment\n"
              "  FOGHORN_DEVICES FOGHORN_ISA FOGHORN_FALLBACK FOGHORN_LOG: as for every program\n"
              "  that uses Foghorn; a wrong value is an error\n"
              "\n'devprobe COMMAND --help' tells more.\n");
  return fh_cli_emit_text(NULL, &out, FH_EXIT_OK);
}

static int print_version(const fh_cli *cli) {
  fh_text out = {0};
  fh_text_add(&out, "devprobe %s\n", fh_version());
  return fh_cli_emit_text(cli, &out, FH_EXIT_OK);
}

/* ---- parsing ------------------------------------------------------------------------------------------ */

typedef struct getopt_tables {
  struct option longs[FH_OPT_COUNT + 1];
  char shorts[3 * FH_OPT_COUNT + 2];
} getopt_tables;

static void add_option(getopt_tables *t, int *count, fh_cli_option option) {
  const option_text *o = &option_texts[option];
  t->longs[(*count)++] = (struct option){o->name, o->argument ? required_argument : no_argument, NULL, LONG_BASE + (int)option};
  size_t used = strlen(t->shorts);
  if (o->letter) snprintf(t->shorts + used, sizeof t->shorts - used, "%c%s", o->letter, o->argument ? ":" : "");
}

static void make_tables(const fh_cli_command *command, getopt_tables *t) {
  int count = 0;
  *t = (getopt_tables){.shorts = ":"};
  for (int i = 0; i < command->option_count; i++) add_option(t, &count, command->options[i]);
  add_option(t, &count, FH_OPT_HELP);
  add_option(t, &count, FH_OPT_VERSION);
}

static fh_cli_option option_of(int code) {
  if (code >= LONG_BASE) return (fh_cli_option)(code - LONG_BASE);
  int i = 0;
  while (i < FH_OPT_COUNT && option_texts[i].letter != code) i++;
  return (fh_cli_option)i;
}

static bool take_option(fh_cli *cli, int code) {
  fh_cli_option option = option_of(code);
  if (cli->given[option] == FH_CLI_MAX_REPEATS) {
    fh_cli_usage(cli, "--%s is given more than %d times", option_texts[option].name, FH_CLI_MAX_REPEATS);
    return false;
  }
  cli->value[option][cli->given[option]++] = optarg;
  return true;
}

static int bad_option(const fh_cli *cli, int code, char **argv) {
  const char *word = argv[optind - 1];
  if (code == ':') return fh_cli_usage(cli, "%s: an argument is missing", word);
  if (optopt >= LONG_BASE) return fh_cli_usage(cli, "%s: takes no argument", word);
  if (optopt && strncmp(word, "--", 2) != 0) return fh_cli_usage(cli, "-%c: no such option", optopt);
  return fh_cli_usage(cli, "%s: no such option", word);
}

/* Cuts the words at "--", which getopt would move. */
static int cut_at_dashes(int argc, char **argv, fh_cli *cli) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--") == 0) {
      cli->after = argv + i + 1;
      argv[i] = NULL;
      return i;
    }
  }
  return argc;
}

bool fh_cli_colors(const fh_cli *cli, int fd) {
  const char *when = fh_cli_value(cli, FH_OPT_COLOR), *term = getenv("TERM");
  if (when && strcmp(when, "auto") != 0) return strcmp(when, "always") == 0;
  return isatty(fd) && !getenv("NO_COLOR") && !(term && strcmp(term, "dumb") == 0);
}

static bool choose_color(fh_cli *cli) {
  const char *when = fh_cli_value(cli, FH_OPT_COLOR);
  if (when && strcmp(when, "auto") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0) {
    fh_cli_usage(cli, "--color %s: expected auto, always or never", when);
    return false;
  }
  cli->color = fh_cli_colors(cli, STDOUT_FILENO);
  return true;
}

static int check_operands(const fh_cli *cli) {
  const fh_cli_command *c = cli->command;
  if (cli->operand_count < c->operands_min) return fh_cli_usage(cli, "%s is missing", c->operands);
  if (c->operands_max >= 0 && cli->operand_count > c->operands_max)
    return fh_cli_usage(cli, "'%s' is one word too many%s%s", cli->operands[c->operands_max], *c->operands ? ": expected " : "",
                        c->operands);
  if (cli->after && !strstr(c->operands, "--")) return fh_cli_usage(cli, "'--' has no meaning here");
  return FH_EXIT_OK;
}

static int run_command(fh_cli *cli, int argc, char **argv) {
  getopt_tables tables;
  make_tables(cli->command, &tables);
  argc = cut_at_dashes(argc, argv, cli);
  opterr = 0;
  optind = 1;
  for (int code; (code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1;) {
    if (code == '?' || code == ':') return bad_option(cli, code, argv);
    if (!take_option(cli, code)) return FH_EXIT_USAGE;
  }
  cli->operands = argv + optind;
  cli->operand_count = argc - optind;
  if (cli->given[FH_OPT_HELP]) return print_help(cli);
  if (cli->given[FH_OPT_VERSION]) return print_version(cli);
  int wrong = check_operands(cli);
  if (wrong) return wrong;
  if (!choose_color(cli)) return FH_EXIT_USAGE;
  return cli->command->run(cli);
}

/* ---- commands ------------------------------------------------------------------------------------------- */

static const fh_cli_command *const *all_commands;
static const char *command_name_at(int i) { return all_commands[i]->name; }

static int unknown_command(const fh_cli_program *program, const char *name) {
  int count = 0;
  fh_text list = {0};
  for (const fh_cli_command *const *c = program->commands; *c; c++, count++) fh_text_add(&list, " %s", (*c)->name);
  char *names = fh_text_take(&list);
  all_commands = program->commands;
  const char *near = fh_cli_nearest(name, command_name_at, count);
  int result = near ? fh_cli_usage(NULL, "'%s' is no command; did you mean %s?", name, near)
                    : fh_cli_usage(NULL, "'%s' is no command; expected one of:%s%s%s", name, names ? names : "", *program->note ? "\n" : "",
                                   program->note);
  free(names);
  return result;
}

static const fh_cli_command *find_command(const fh_cli_program *program, const char *name) {
  for (const fh_cli_command *const *c = program->commands; *c; c++)
    if (strcmp((*c)->name, name) == 0) return *c;
  return NULL;
}

/* A word that is not an option is the command; without one the first command is meant. */
int fh_cli_main(const fh_cli_program *program, int argc, char **argv) {
  fh_cli cli = {.command = program->commands[0]};
  if (argc < 2) return run_command(&cli, argc, argv);
  const char *first = argv[1];
  if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
    if (argc < 3 || first[0] == '-') return print_general_help(program);
    cli.command = find_command(program, argv[2]);
    return cli.command ? print_help(&cli) : unknown_command(program, argv[2]);
  }
  if (first[0] == '-') return run_command(&cli, argc, argv);
  cli.command = find_command(program, first);
  if (!cli.command) return unknown_command(program, first);
  argv[1] = argv[0];
  return run_command(&cli, argc - 1, argv + 1);
}
