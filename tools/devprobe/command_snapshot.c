/* devprobe snapshot: what detection saw, for a bug report. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "detect/snapshot_privacy.h"
#include "detect/snapshot_recording.h"
#include "tools/devprobe/archive.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/machine.h"

enum { HOST_NAME_BYTES = 256, LIST_SHORT = 12 };

typedef struct snapshot {
  const fh_cli *cli;
  const char *path;
  fh_recording *recording;
  fh_mask *mask;    /* NULL: nothing is masked */
  fh_text left_out; /* lines */
  char *report;     /* as detection made it while it was recorded */
  bool same;        /* and the snapshot gives the same */
  char *primary, *primary_again;
  size_t bytes;
} snapshot;

/* ---- where to --------------------------------------------------------------------------------------------------- */

static bool to_stdout(const snapshot *s) { return strcmp(s->path, "-") == 0; }
static bool to_directory(const snapshot *s) { return s->path[strlen(s->path) - 1] == '/'; }

/* Told before anything is asked: a driver that hangs would make the user wait for it. */
static int check_place(const snapshot *s) {
  struct stat st;
  if (!*s->path) return fh_cli_usage(s->cli, "the name of the file is empty");
  if (to_stdout(s) && isatty(STDOUT_FILENO))
    return fh_cli_usage(s->cli, "an archive is not for a terminal: name a file, or send standard output into one");
  if (!to_stdout(s) && lstat(s->path, &st) == 0)
    return fh_cli_usage(s->cli, "%s is there already: name a file that is not, or remove it", s->path);
  return FH_EXIT_OK;
}

static fh_status cannot_write(const char *path, int error) {
  return FH_STATUS(FH_UNAVAILABLE, "%s: cannot be written: %s", path, strerror(error));
}

static fh_status write_file(const char *path, const fh_text *bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return cannot_write(path, errno);
  int error = fh_cli_write(fd, bytes->data, bytes->size);
  if (close(fd) != 0 && !error) error = errno;
  if (error) unlink(path);
  return error ? cannot_write(path, error) : FH_OK;
}

static fh_status write_archive(snapshot *s, const fh_members *members) {
  fh_text bytes = {0};
  fh_status status = fh_archive_pack(members, &bytes);
  s->bytes = bytes.size;
  if (!status && to_stdout(s)) {
    int error = fh_cli_write(STDOUT_FILENO, bytes.data, bytes.size);
    if (error) status = cannot_write("standard output", error);
  } else if (!status) {
    status = write_file(s->path, &bytes);
  }
  fh_text_free(&bytes);
  return status;
}

static fh_status write_snapshot(snapshot *s, const fh_members *members) {
  s->bytes = members->total;
  return to_directory(s) ? fh_members_write_directory(members, s->path) : write_archive(s, members);
}

/* ---- what ----------------------------------------------------------------------------------------------------------- */

/* The report of a table as JSON, and the id of its primary cause. */
static fh_status report_of(fh_os *os, char **out_json, char **out_primary) {
  fh_facts *facts = NULL;
  fh_judgement *judgement = NULL;
  fh_status status = fh_facts_gather(os, FH_GATHER_ALL, &facts);
  if (!status) status = fh_judge(facts, NULL, &judgement);
  if (!status) status = fh_judgement_json(judgement, out_json);
  if (!status) {
    const fh_finding *primary = fh_judgement_primary(judgement);
    *out_primary = strdup(primary ? primary->cause->id : "nothing wrong");
    if (!*out_primary) status = FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the report");
  }
  if (judgement) fh_judgement_destroy(judgement);
  if (facts) fh_facts_destroy(facts);
  return status;
}

static fh_status record(snapshot *s, double timeout_s) {
  const char *from = fh_cli_value(s->cli, FH_OPT_FROM);
  fh_os *os = NULL, *recorder = NULL;
  fh_status status = from ? fh_snapshot_open(from, &os) : fh_os_live(NULL, (int64_t)(timeout_s * 1e9), &os);
  if (!status) status = fh_os_record(os, s->recording, &recorder);
  if (!status) status = report_of(recorder, &s->report, &s->primary);
  fh_os_destroy(recorder);
  fh_os_destroy(os);
  if (!status) fh_recording_sort(s->recording);
  return status;
}

static fh_status mask(snapshot *s) {
  char host[HOST_NAME_BYTES] = "";
  bool live = !fh_cli_value(s->cli, FH_OPT_FROM);
  const char *user = live ? getenv("USER") : NULL;
  if (live && gethostname(host, sizeof host - 1) != 0) host[0] = 0;
  s->mask = fh_mask_create(host, user);
  if (!s->mask || !fh_mask_recording(s->mask, s->recording)) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for masking");
  fh_mask_apply(s->mask, s->report, strlen(s->report));
  return FH_OK;
}

/* Reads the snapshot back and compares the two reports, so that what was left out changes no verdict unseen. */
static fh_status try_it(snapshot *s, fh_members *take_members) {
  fh_recording *recording = NULL;
  fh_os *os = NULL;
  char *again = NULL;
  FH_TRY(fh_recording_read(take_members, "the snapshot", &recording));
  FH_TRY(fh_os_replay(recording, &os));
  fh_status status = report_of(os, &again, &s->primary_again);
  s->same = !status && strcmp(again, s->report) == 0;
  free(again);
  fh_os_destroy(os);
  return status;
}

static fh_status make(snapshot *s, double timeout_s) {
  fh_members members = {0};
  s->recording = fh_recording_create();
  if (!s->recording) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a recording");
  FH_TRY(record(s, timeout_s));
  fh_recording_protect(s->recording, &s->left_out);
  if (s->cli->given[FH_OPT_MASK]) FH_TRY(mask(s));
  FH_TRY(fh_recording_write(s->recording, s->mask != NULL, NULL, &members));
  fh_status status = write_snapshot(s, &members);
  if (!status) status = try_it(s, &members);
  fh_members_free(&members);
  return status;
}

/* ---- the screen --------------------------------------------------------------------------------------------------------- */

static int count_calls(const snapshot *s, fh_call call, bool answered_only) {
  int count = 0;
  for (int i = 0; i < s->recording->count; i++) {
    const fh_note *note = &s->recording->notes[i];
    count += note->call == call && note->order == 0 && (!answered_only || !note->error);
  }
  return count;
}

static void print_recorded(const snapshot *s, fh_screen *screen) {
  int looked_at = count_calls(s, FH_CALL_STAT, false) + count_calls(s, FH_CALL_LSTAT, false);
  fh_screen_line(screen, FH_PLAIN, "recorded",
                 "files read: %d, folders listed: %d, paths looked at: %d, devices opened: %d, variables: %d, "
                 "answers of drivers and processor: %d",
                 count_calls(s, FH_CALL_READ, true), count_calls(s, FH_CALL_LIST, true), looked_at, count_calls(s, FH_CALL_OPEN, false),
                 count_calls(s, FH_CALL_ENV, true), count_calls(s, FH_CALL_ASK, true));
}

static void print_left_out(const snapshot *s, fh_screen *screen) {
  if (s->left_out.size) {
    fh_screen_line(screen, FH_PLAIN, "left out", "%.*s", (int)(s->left_out.size - 1), s->left_out.data); /* without the last newline */
  } else {
    fh_screen_line(screen, FH_PLAIN, "left out", "nothing");
  }
}

static void print_masked(const snapshot *s, fh_screen *screen) {
  fh_text masks = {0};
  if (s->mask) {
    fh_mask_describe(s->mask, &masks);
    fh_screen_line(screen, FH_PLAIN, "masked", "%s", masks.data ? masks.data : "");
  } else {
    fh_screen_line(screen, FH_PLAIN, "masked",
                   "nothing: UUIDs, ids of containers, names of users and addresses are as they are; --mask replaces them");
  }
  fh_text_free(&masks);
}

static void print_check(const snapshot *s, fh_screen *screen) {
  if (s->same) {
    fh_screen_line(screen, FH_GREEN, "checked", "read back, it gives the same report: %s", s->primary);
  } else if (strcmp(s->primary, s->primary_again) == 0) {
    fh_screen_line(screen, FH_YELLOW, "checked",
                   "read back, it gives the same main cause (%s), but a report that differs in details: something that "
                   "they are taken from was left out",
                   s->primary);
  } else {
    fh_screen_line(screen, FH_YELLOW, "checked",
                   "read back, it gives another report: %s instead of %s. Send the report too: devprobe --json", s->primary_again,
                   s->primary);
  }
}

static void print_next(const snapshot *s, fh_screen *screen) {
  char size[24];
  fh_screen_line(screen, FH_BOLD, "written", "%s, %s", to_stdout(s) ? "standard output" : s->path,
                 fh_screen_bytes((int64_t)s->bytes, size));
  if (to_stdout(s)) return;
  fh_screen_blank(screen);
  if (to_directory(s)) {
    fh_screen_line(screen, FH_PLAIN, "look", "before you send it: less %scalls", s->path);
  } else {
    fh_screen_line(screen, FH_PLAIN, "look", "before you send it: tar -xzOf %s | less", s->path);
  }
  fh_screen_line(screen, FH_PLAIN, "replay", "devprobe --from %s", s->path);
}

static int print_screen(const snapshot *s) {
  fh_screen screen = {.color = s->cli->color && !to_stdout(s)};
  print_next(s, &screen);
  print_check(s, &screen);
  print_recorded(s, &screen);
  print_left_out(s, &screen);
  print_masked(s, &screen);
  if (!to_stdout(s)) return fh_cli_emit_text(s->cli, &screen.text, FH_EXIT_OK);
  char *text = fh_text_take(&screen.text); /* standard output has the archive */
  if (text) fputs(text, stderr);
  free(text);
  return FH_EXIT_OK;
}

static void free_snapshot(snapshot *s) {
  fh_recording_destroy(s->recording);
  fh_mask_destroy(s->mask);
  fh_text_free(&s->left_out);
  free(s->report);
  free(s->primary);
  free(s->primary_again);
}

static int snapshot_command(const fh_cli *cli) {
  double timeout_s;
  if (!fh_machine_timeout(cli, &timeout_s)) return FH_EXIT_USAGE;
  snapshot s = {.cli = cli, .path = cli->operands[0]};
  int exit_status = check_place(&s);
  if (exit_status) return exit_status;
  fh_cli_progress_start("asking the drivers");
  fh_status status = make(&s, timeout_s);
  fh_cli_progress_stop();
  exit_status = status ? fh_cli_fail(cli, status) : cli->given[FH_OPT_QUIET] ? FH_EXIT_OK : print_screen(&s);
  free_snapshot(&s);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_MASK, FH_OPT_FROM, FH_OPT_TIMEOUT, FH_OPT_QUIET, FH_OPT_COLOR};

const fh_cli_command fh_command_snapshot = {
    .name = "snapshot",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "What detection saw, for a bug report: an archive that 'devprobe --from' judges anywhere.",
    .help =
        "FILE  an archive (box.tar.gz); with a slash at its end a directory (box/);\n"
        "      - is standard output. It must not be there yet.\n"
        "\n"
        "Only what detection reads is recorded: files about devices, what these and the\n"
        "drivers answered, and variables from a fixed list. Secrets, host names and\n"
        "options that are not about devices are left out, and the screen says so. --mask\n"
        "also replaces UUIDs, ids, addresses and names of users. Look at it before you\n"
        "send it.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = snapshot_command,
};
