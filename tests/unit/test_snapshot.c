/* Recordings: every golden machine recorded, written as an archive and replayed gives the same report. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=180 cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/snapshot_privacy.h"
#include "detect/snapshot_recording.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/folder.h"
#include "tests/support/machines.h"
#include "tools/devprobe/archive.h"

static void must(fh_status status) {
  if (status) fail_msg("%s", fh_status_message(status));
}

static char *json_of(fh_os *take_os) {
  fh_judged judged = fh_judge_os(take_os, NULL);
  char *json = NULL;
  must(fh_judgement_json(judged.judgement, &json));
  fh_judged_free(&judged);
  return json;
}

/* What detection asks of a table (taken), and the report. */
static fh_recording *record(fh_os *take_os, char **out_json) {
  fh_recording *recording = fh_recording_create();
  fh_os *recorder;
  assert_non_null(recording);
  must(fh_os_record(take_os, recording, &recorder));
  *out_json = json_of(recorder);
  fh_os_destroy(take_os);
  fh_recording_sort(recording);
  return recording;
}

/* Through the bytes of an archive and back. */
static fh_os *carried(fh_recording *take_recording) {
  fh_members members = {0}, unpacked = {0};
  fh_text bytes = {0};
  fh_recording *again;
  fh_os *os;
  must(fh_recording_write(take_recording, false, "a comment", &members));
  fh_recording_destroy(take_recording);
  must(fh_archive_pack(&members, &bytes));
  fh_members_free(&members);
  must(fh_archive_unpack("archive", bytes.data, bytes.size, &unpacked));
  fh_text_free(&bytes);
  must(fh_recording_read(&unpacked, "archive", &again));
  must(fh_os_replay(again, &os));
  return os;
}

/* ---- golden machines ------------------------------------------------------------------------------------------------- */

static bool same_report(const char *name, const char *what, const char *live, const char *replayed) {
  if (strcmp(live, replayed) == 0) return true;
  size_t at = 0;
  while (live[at] == replayed[at]) at++;
  at -= at < 60 ? at : 60;
  printf("  %s, %s: the report differs\n    live     ...%.140s\n    replayed ...%.140s\n", name, what, live + at, replayed + at);
  return false;
}

static bool machine_survives(const char *name, bool protect, bool masks) {
  char *live;
  fh_recording *recording = record(fh_machine_os(name), &live);
  fh_text left_out = {0};
  if (protect) fh_recording_protect(recording, &left_out);
  fh_text_free(&left_out);
  if (masks) {
    fh_mask *mask = fh_mask_create(NULL, NULL);
    assert_true(fh_mask_recording(mask, recording));
    fh_mask_apply(mask, live, strlen(live));
    fh_mask_destroy(mask);
  }
  char *replayed = json_of(carried(recording));
  bool same = same_report(name, masks ? "masked" : protect ? "protected" : "as it is", live, replayed);
  free(live);
  free(replayed);
  return same;
}

static void test_machines_survive(void **state) {
  (void)state;
  int count, wrong = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++)
    wrong +=
        !machine_survives(names[i], false, false) || !machine_survives(names[i], true, false) || !machine_survives(names[i], true, true);
  if (wrong) fail_msg("%d of %d machines differ", wrong, count);
  printf("  %d machines\n", count);
}

/* ---- a table that answers otherwise each time ------------------------------------------------------------------------------ */

typedef struct fickle {
  fh_os os;
  int reads, asks;
} fickle;

static void fickle_destroy(fh_os *os) { (void)os; }
static int fickle_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  (void)os, (void)path;
  *out = (fh_os_stat){.mode = follow ? 0140755 : 0120777, .uid = 4294967294, .gid = 7, .size = INT64_MAX, .mtime = -5};
  return 0;
}
static int fickle_try_open(fh_os *os, const char *path) {
  (void)os;
  return strcmp(path, "/odd") == 0 ? 133 : strcmp(path, "/gone") == 0 ? ENOENT : 0; /* 133: ERFKILL has no name in the list */
}
static int fickle_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  static const char *const texts[] = {"first", "second", "second", "second"};
  (void)path, (void)max;
  const char *text = strcmp(path, "/long") == 0 ? "cut" : texts[((fickle *)os)->reads++ % 4];
  *out = strdup(text);
  *out_size = strlen(text);
  return strcmp(path, "/long") == 0 ? EFBIG : 0;
}
static int fickle_readlink(fh_os *os, const char *path, char *out, size_t size) {
  (void)os, (void)path;
  snprintf(out, size, "a link with blanks -> \\ and \"more\"");
  return 0;
}
static int fickle_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  static const char *const names[] = {"!ENOENT", "@x", "=y", "with blank", "\n", "\xc3\xa4"};
  (void)os, (void)path;
  *out_count = strcmp(path, "/empty") == 0 ? 0 : 6;
  *out_names = calloc(7, sizeof **out_names);
  for (size_t i = 0; i < *out_count; i++) (*out_names)[i] = strdup(names[i]);
  return 0;
}
static int fickle_elf(fh_os *os, const char *path, fh_os_elf *out) {
  (void)os, (void)path;
  *out = (fh_os_elf){.is_elf = true, .bits = 64, .machine = 183, .soname = "a b", .interp = "/lib/=", .needs_glibc = true};
  return 0;
}
static const char *fickle_getenv(fh_os *os, const char *name) {
  (void)os;
  return strcmp(name, "EMPTY") == 0 ? "" : strcmp(name, "SET") == 0 ? "a=b c\nd" : NULL;
}
static int fickle_identity(fh_os *os, fh_os_identity *out) {
  (void)os;
  *out = (fh_os_identity){
      .uid = 1, .gid = 2, .gids = {3, 4294967295}, .gid_count = 2, .cap_effective = UINT64_MAX, .machine = "m", .release = "r x"};
  return 0;
}
static int fickle_affinity(fh_os *os, char *out_list, size_t size) {
  (void)os;
  snprintf(out_list, size, "0-3,8");
  return 0;
}
static int fickle_hwcap(fh_os *os, uint64_t *a, uint64_t *b) {
  (void)os;
  *a = 1, *b = UINT64_MAX;
  return 0;
}
static int fickle_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  (void)question;
  if (changes && strcmp(changes[0], "REFUSED") == 0) return EAGAIN;
  *out_ticket = ((fickle *)os)->asks++;
  return 0;
}
static int fickle_ask_collect(fh_os *os, int ticket, fh_os_answer *out) {
  (void)os;
  char json[64];
  snprintf(json, sizeof json, "{\"ticket\":%d}\n", ticket);
  *out = (fh_os_answer){
      .json = strdup(json), .timed_out = true, .state = 'D', .wchan = "os acquire", .exit_code = -1, .signal = 9, .wall_ns = 77};
  return 0;
}

static const fh_os_api fickle_api = {.destroy = fickle_destroy,
                                     .stat = fickle_stat,
                                     .try_open = fickle_try_open,
                                     .read = fickle_read,
                                     .readlink = fickle_readlink,
                                     .realpath = fickle_readlink,
                                     .list = fickle_list,
                                     .elf = fickle_elf,
                                     .getenv = fickle_getenv,
                                     .identity = fickle_identity,
                                     .affinity = fickle_affinity,
                                     .hwcap = fickle_hwcap,
                                     .ask_start = fickle_ask_start,
                                     .ask_collect = fickle_ask_collect};

static void expect_read(fh_os *os, const char *path, size_t max, int error, const char *want) {
  char *text = NULL;
  size_t size = 99;
  assert_int_equal(os->api->read(os, path, max, &text, &size), error);
  if (!want) return;
  assert_string_equal(text, want);
  assert_int_equal(size, strlen(want));
  free(text);
}

/* All that is asked of both forms, in one order. */
static void ask_everything(fh_os *os) {
  fh_os_stat st;
  assert_int_equal(os->api->stat(os, "/s", true, &st), 0);
  assert_int_equal(st.mode, 0140755);
  assert_true(st.uid == 4294967294 && st.gid == 7 && st.size == INT64_MAX && st.mtime == -5);
  assert_int_equal(os->api->stat(os, "/s", false, &st), 0);
  assert_int_equal(st.mode, 0120777);
  assert_int_equal(os->api->try_open(os, "/odd"), 133);
  assert_int_equal(os->api->try_open(os, "/gone"), ENOENT);
  assert_int_equal(os->api->try_open(os, "/there"), 0);
  expect_read(os, "/f", 100, 0, "first");
  expect_read(os, "/f", 100, 0, "second");
  expect_read(os, "/f", 100, 0, "second");
  expect_read(os, "/f", 100, 0, "second");
  expect_read(os, "/long", 3, EFBIG, "cut");
  char word[128];
  assert_int_equal(os->api->readlink(os, "/l", word, sizeof word), 0);
  assert_string_equal(word, "a link with blanks -> \\ and \"more\"");
  assert_int_equal(os->api->realpath(os, "/l -> =x", word, sizeof word), 0);
  char **names;
  size_t count;
  assert_int_equal(os->api->list(os, "/empty", &names, &count), 0);
  assert_int_equal(count, 0);
  free(names);
  assert_int_equal(os->api->list(os, "/dir", &names, &count), 0);
  assert_int_equal(count, 6);
  assert_string_equal(names[0], "!ENOENT");
  assert_string_equal(names[3], "with blank");
  assert_string_equal(names[4], "\n");
  assert_string_equal(names[5], "\xc3\xa4");
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
  fh_os_elf elf;
  assert_int_equal(os->api->elf(os, "/e", &elf), 0);
  assert_true(elf.is_elf && elf.bits == 64 && elf.machine == 183 && elf.needs_glibc);
  assert_string_equal(elf.soname, "a b");
  assert_string_equal(elf.interp, "/lib/=");
  assert_null(os->api->getenv(os, "UNSET"));
  assert_string_equal(os->api->getenv(os, "EMPTY"), "");
  assert_string_equal(os->api->getenv(os, "SET"), "a=b c\nd");
  fh_os_identity id;
  assert_int_equal(os->api->identity(os, &id), 0);
  assert_true(id.uid == 1 && id.gid == 2 && id.gid_count == 2 && id.gids[1] == 4294967295 && id.cap_effective == UINT64_MAX);
  assert_string_equal(id.release, "r x");
  assert_int_equal(os->api->affinity(os, word, sizeof word), 0);
  assert_string_equal(word, "0-3,8");
  uint64_t a, b;
  assert_int_equal(os->api->hwcap(os, &a, &b), 0);
  assert_true(a == 1 && b == UINT64_MAX);
}

static void expect_answer(fh_os *os, int ticket, const char *json) {
  fh_os_answer answer;
  assert_int_equal(os->api->ask_collect(os, ticket, &answer), 0);
  assert_string_equal(answer.json, json);
  assert_true(answer.timed_out && answer.state == 'D' && answer.exit_code == -1 && answer.signal == 9 && answer.wall_ns == 77);
  assert_string_equal(answer.wchan, "os acquire");
  fh_os_answer_free(&answer);
}

/* Two questions that differ in what a variable is set to are two; the same one asked twice has two answers. */
static void ask_questions(fh_os *os) {
  const char *const one[] = {"CUDA_VISIBLE_DEVICES=GPU-1", NULL}, *const two[] = {"CUDA_VISIBLE_DEVICES=GPU-2", NULL},
                    *const no[] = {"REFUSED", NULL};
  int tickets[4], refused;
  assert_int_equal(os->api->ask_start(os, "cuda", one, &tickets[0]), 0);
  assert_int_equal(os->api->ask_start(os, "cuda", two, &tickets[1]), 0);
  assert_int_equal(os->api->ask_start(os, "cuda", NULL, &tickets[2]), 0);
  assert_int_equal(os->api->ask_start(os, "cuda", no, &refused), EAGAIN);
  expect_answer(os, tickets[1], "{\"ticket\":1}\n");
  expect_answer(os, tickets[0], "{\"ticket\":0}\n");
  expect_answer(os, tickets[2], "{\"ticket\":2}\n");
  assert_int_equal(os->api->ask_start(os, "cuda", NULL, &tickets[3]), 0);
  expect_answer(os, tickets[3], "{\"ticket\":3}\n");
}

static fh_recording *record_fickle(void) {
  fickle source = {.os = {.api = &fickle_api}};
  fh_recording *recording = fh_recording_create();
  fh_os *recorder;
  must(fh_os_record(&source.os, recording, &recorder));
  ask_everything(recorder);
  ask_questions(recorder);
  fh_os_destroy(recorder);
  fh_recording_sort(recording);
  return recording;
}

static void test_every_call_survives(void **state) {
  (void)state;
  fh_os *os = carried(record_fickle());
  ask_everything(os);
  ask_questions(os);
  expect_read(os, "/f", 3, EFBIG, "sec"); /* the last answer goes on; a shorter reader gets less */
  fh_os_destroy(os);
}

static void test_not_recorded_is_unknown(void **state) {
  (void)state;
  fh_os *os = carried(record_fickle());
  fh_os_stat st;
  fh_os_elf elf;
  fh_os_cpuid cpuid;
  uint64_t xcr0;
  char word[16], **names;
  size_t count;
  int ticket;
  assert_int_equal(os->api->stat(os, "/other", true, &st), ENODATA);
  assert_int_equal(os->api->try_open(os, "/s"), ENODATA); /* looked at, not opened */
  expect_read(os, "/other", 9, ENODATA, NULL);
  assert_int_equal(os->api->readlink(os, "/s", word, sizeof word), ENODATA);
  assert_int_equal(os->api->list(os, "/s", &names, &count), ENODATA);
  assert_int_equal(os->api->elf(os, "/s", &elf), ENODATA);
  assert_int_equal(os->api->cpuid(os, 0, 0, &cpuid), ENOSYS);
  assert_int_equal(os->api->xgetbv(os, &xcr0), ENOSYS);
  assert_null(os->api->getenv(os, "OTHER"));
  assert_int_equal(os->api->ask_start(os, "isa", NULL, &ticket), ENODATA);
  assert_int_equal(os->api->ask_collect(os, 0, &(fh_os_answer){0}), EINVAL);
  assert_int_equal(os->api->ask_collect(os, INT_MAX, &(fh_os_answer){0}), EINVAL);
  assert_int_equal(os->api->readlink(os, "/l", word, sizeof word), ENAMETOOLONG);
  fh_os_destroy(os);
}

/* "Too large" promises its callers the beginning of the file: they free it. */
static void test_too_large_without_bytes(void **state) {
  (void)state;
  static const char meta[] = "{\"schema\":\"foghorn.snapshot/2\"}", calls[] = "read /x -> !EFBIG\n";
  fh_members members = {0};
  fh_recording *recording;
  fh_os *os;
  must(fh_members_add(&members, "snapshot.json", meta, sizeof meta - 1));
  must(fh_members_add(&members, "calls", calls, sizeof calls - 1));
  must(fh_members_sort(&members));
  must(fh_recording_read(&members, "box", &recording));
  must(fh_os_replay(recording, &os));
  expect_read(os, "/x", 9, EIO, NULL);
  fh_os_destroy(os);
}

/* ---- directories ---------------------------------------------------------------------------------------------------------------- */

static void test_a_recording_in_a_directory(void **state) {
  (void)state;
  folder f;
  folder_make(&f);
  char *live;
  fh_members members;
  fh_os *os;
  fh_recording *recording = record(fh_machine_os("docker-gpu"), &live);
  must(fh_recording_write(recording, false, NULL, &members));
  fh_recording_destroy(recording);
  must(fh_members_write_directory(&members, folder_at(&f, "box")));
  fh_status again = fh_members_write_directory(&members, folder_at(&f, "box"));
  assert_int_equal(fh_status_code(again), FH_INVALID_ARGUMENT);
  fh_status_free(again);
  fh_members_free(&members);
  must(fh_os_directory(folder_at(&f, "box"), &os));
  char *replayed = json_of(os);
  assert_string_equal(live, replayed);
  free(live);
  free(replayed);
  folder_link(&f, "box/fs/link", "/etc/passwd");
  fh_status status = fh_os_directory(folder_at(&f, "box"), &os);
  assert_non_null(strstr(fh_status_message(status), "fs/link"));
  fh_status_free(status);
  folder_remove(&f);
}

/* ---- what is not a recording -------------------------------------------------------------------------------------------------------- */

static void expect_refused(const char *meta, const char *calls, const char *why) {
  fh_members members = {0};
  fh_recording *recording = NULL;
  if (meta) must(fh_members_add(&members, "snapshot.json", meta, strlen(meta)));
  if (calls) must(fh_members_add(&members, "calls", calls, strlen(calls)));
  must(fh_members_add(&members, "fs/nul", "a\0b", 3));
  must(fh_members_sort(&members));
  fh_status status = fh_recording_read(&members, "box", &recording);
  if (!status) fail_msg("accepted: %s", calls ? calls : meta);
  if (!strstr(fh_status_message(status), why)) fail_msg("'%s' does not say '%s'", fh_status_message(status), why);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  assert_null(recording);
  fh_status_free(status);
}

static void test_wrong_recordings_are_refused(void **state) {
  (void)state;
  static const char meta[] = "{\"schema\":\"foghorn.snapshot/2\"}";
  static const char *const wrong[] = {
      "stat /x",
      "stat /x -> type=f extra",
      "stat /x -> size=3",
      "stat /x -> type=f mode=9",
      "stat /x -> type=c rdev=1",
      "frobnicate -> 1",
      "stat /x -> !NOSUCH",
      "stat /x -> !0",
      "stat /x -> !EPERM type=f",
      "stat /x -> !EPERM !EPERM",
      "read /x -> @gone",
      "read /x -> @../etc/passwd",
      "read /x -> =\\9",
      "read /x -> =a b",
      "read /x ->",
      "env A -> @fs/nul",
      "ask cuda -> exit_code=0",
      "ask cuda -> =x state=DD",
      "ask cuda -> @fs/nul",
      "cpuid 0 0 -> 1 2 3",
      "cpuid 0 0 -> 1 2 3 g",
      "hwcap -> 1",
      "affinity -> a b",
      "affinity ->",
      "identity -> gid=1",
      "identity -> uid=1 gids=1,x",
      "elf /x -> machine=62",
      "elf /x -> elf=65",
      "list /x -> \\000",
      "readlink /x -> a\\000b",
      "open /x -> yes",
      "elf /x -> elf=64 soname=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) expect_refused(meta, wrong[i], "line 1");
  expect_refused(meta, "# comment\n\nstat /x ->\n", "line 3");
  expect_refused(meta, NULL, "'calls' is missing");
  expect_refused(NULL, "", "no snapshot.json");
  expect_refused("{\"schema\":\"foghorn.snapshot/3\"}", "", "expected foghorn.snapshot/2");
  expect_refused("{\"schema\":\"foghorn.snapshot/1\"}", "", "from a directory");
  expect_refused("{\"schema\":2}", "", "missing");
  expect_refused("{", "", "line 1");
}

static void test_member_names(void **state) {
  (void)state;
  static const char *const safe[] = {"a", "a/b", "...", "a..b", ".hidden", "fs/with blank"};
  static const char *const unsafe[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\nb", "a\\b", "a/.."};
  for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++) assert_true(fh_member_name_is_safe(safe[i]));
  for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) assert_false(fh_member_name_is_safe(unsafe[i]));
  char longest[FH_MEMBER_NAME_MAX + 2];
  memset(longest, 'a', sizeof longest);
  longest[FH_MEMBER_NAME_MAX + 1] = 0;
  assert_false(fh_member_name_is_safe(longest));
  longest[FH_MEMBER_NAME_MAX] = 0;
  assert_true(fh_member_name_is_safe(longest));
}

/* ---- no memory --------------------------------------------------------------------------------------------------------------------------
 */

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_machines_survive),
      cmocka_unit_test(test_every_call_survives),
      cmocka_unit_test(test_not_recorded_is_unknown),
      cmocka_unit_test(test_too_large_without_bytes),
      cmocka_unit_test(test_a_recording_in_a_directory),
      cmocka_unit_test(test_wrong_recordings_are_refused),
      cmocka_unit_test(test_member_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
