/* A driver that worked a short while ago is not shown to work again: when that holds, and when it does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "detect/os_proven.h"
#include "runtime/base/cache_file.h"
#include "tests/support/expect.h"
#include "tests/support/folder.h"

#define GOOD                                                                                                 \
  "{\"library\":\"/usr/lib/libcuda.so.1\",\"fake\":false,\"init_code\":0}\n{\"count_code\":0,\"count\":2}\n" \
  "{\"devices\":[{\"index\":0,\"context_code\":0}]}\n{\"devices\":[{\"index\":1,\"context_code\":0}]}"

static folder machine, cache;

static int setup(void **state) {
  (void)state;
  folder_make(&machine);
  folder_make(&cache);
  folder_put(&machine, "snapshot.json",
             "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"x86_64\",\"release\":\"6.8.0\",\"uid\":7,\"gid\":8}");
  folder_put(&machine, "env", "CUDA_VISIBLE_DEVICES=0,1\n");
  folder_put(&machine, "fs/proc/sys/kernel/random/boot_id", "one\n");
  folder_put(&machine, "fs/proc/driver/nvidia/version", "550\n");
  folder_put(&machine, "fs/proc/self/cgroup", "0::/\n");
  folder_put(&machine, "fs/proc/self/status", "Name:\tjob\nSeccomp:\t0\nSeccomp_filters:\t0\n");
  folder_put(&machine, "fs/usr/lib/libcuda.so.1.stat", "type=f size=28712096 mtime=99");
  folder_put(&machine, "fs/dev/nvidia0.stat", "type=c rdev=195:0 mode=0666");
  folder_put(&machine, "answers/cuda.json", GOOD);
  folder_put(&machine, "answers/nvml.json", "{\"init_code\":0}");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  folder_remove(&machine);
  folder_remove(&cache);
  return 0;
}

/* ---- a process ----------------------------------------------------------------------------------------------------- */

static fh_os *begin(void) {
  fh_os *os;
  FH_EXPECT_OK(fh_os_directory(machine.path, &os));
  fh_os *proven = fh_os_proven(os, cache.path);
  assert_non_null(proven);
  return proven;
}

static void expect_answer(fh_os *os) {
  int ticket;
  fh_os_answer answer = {0};
  assert_int_equal(os->api->ask_start(os, "cuda", NULL, &ticket), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &answer), 0);
  assert_int_equal(answer.exit_code, 0);
  assert_non_null(strstr(answer.json, "context_code"));
  fh_os_answer_free(&answer);
}

static bool has_file(void) { return access(folder_at(&cache, "cuda-proven.json"), F_OK) == 0; }

/* A process that asks, and whose driver `works`. Was it answered by what was kept? */
static bool run(bool works) {
  fh_os *os = begin();
  expect_answer(os);
  const bool used = fh_os_proven_used(os);
  if (used) assert_false(has_file());
  if (works) fh_os_proven_keep(os);
  fh_os_destroy(os);
  return used;
}

/* ---- what holds ------------------------------------------------------------------------------------------------------ */

static void stands_for_a_child(void **state) {
  (void)state;
  assert_false(run(true));
  assert_true(has_file());
  assert_true(run(true));
  assert_true(run(true));
}

/* One that crashed or hung took the file with it. */
static void is_gone_with_who_did_not_come_back(void **state) {
  (void)state;
  assert_false(run(true));
  assert_true(run(false));
  assert_false(has_file());
  assert_false(run(true));
  assert_true(run(true));
}

static void is_for_one_at_a_time(void **state) {
  (void)state;
  assert_false(run(true));
  fh_os *first = begin();
  expect_answer(first);
  assert_true(fh_os_proven_used(first));
  assert_false(run(false));
  fh_os_proven_keep(first);
  fh_os_destroy(first);
  assert_true(run(true));
}

static void is_forgotten_after_a_fault(void **state) {
  (void)state;
  assert_false(run(true));
  fh_os_proven_forget(cache.path);
  assert_false(run(true));
}

/* Beside a kept answer NVML is unknown, and nobody's fault; beside a child's it is asked. */
static void asks_no_nvml_beside_it(void **state) {
  (void)state;
  int ticket;
  assert_false(run(true));
  fh_os *os = begin();
  assert_int_equal(os->api->ask_start(os, "nvml", NULL, &ticket), 0);
  expect_answer(os);
  assert_int_not_equal(os->api->ask_start(os, "nvml", NULL, &ticket), 0);
  assert_null(fh_os_refusal(os));
  fh_os_destroy(os);
}

/* The same question with one thing changed goes to a child. */
static void is_no_answer_to_a_changed_question(void **state) {
  (void)state;
  const char *const changes[] = {"CUDA_VISIBLE_DEVICES", NULL};
  int ticket;
  fh_os_answer answer = {0};
  assert_false(run(true));
  folder_put(&machine, "answers/cuda-no-CUDA_VISIBLE_DEVICES.json", "{\"count\":5}");
  fh_os *os = begin();
  expect_answer(os);
  assert_int_equal(os->api->ask_start(os, "cuda", changes, &ticket), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &answer), 0);
  assert_non_null(strstr(answer.json, "5"));
  fh_os_answer_free(&answer);
  fh_os_destroy(os);
}

/* ---- what does not --------------------------------------------------------------------------------------------------- */

static void only_good_answers_are_kept(void **state) {
  (void)state;
  static const char *const bad[] = {
      "{\"library\":\"/l\",\"init_code\":0,\"count_code\":0,\"count\":1,\"devices\":[{\"index\":0,\"context_code\":2}]}",
      "{\"library\":\"/l\",\"init_code\":0,\"count_code\":0,\"count\":2,\"devices\":[{\"index\":0,\"context_code\":0}]}",
      "{\"library\":\"/l\",\"init_code\":100,\"count_code\":0,\"count\":1,\"devices\":[{\"index\":0,\"context_code\":0}]}",
      "{\"library\":\"/l\",\"fake\":true,\"init_code\":0,\"count_code\":0,\"count\":1,\"devices\":[{\"index\":0,\"context_code\":0}]}",
      "{\"init_code\":0,\"count_code\":0,\"count\":1,\"devices\":[{\"index\":0,\"context_code\":0}]}"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    folder_put(&machine, "answers/cuda.json", bad[i]);
    assert_false(run(true));
    assert_false(has_file());
  }
  folder_put(&machine, "answers/cuda.json", GOOD);
  folder_put(&machine, "answers/cuda.meta", "timed_out=1 state=D\n");
  fh_os *os = begin();
  int ticket;
  fh_os_answer answer = {0};
  assert_int_equal(os->api->ask_start(os, "cuda", NULL, &ticket), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &answer), 0);
  fh_os_answer_free(&answer);
  fh_os_proven_keep(os);
  fh_os_destroy(os);
  assert_false(has_file());
}

/* Each thing that a driver's start depends on. */
static void another_machine_asks_again(void **state) {
  (void)state;
  static const struct {
    const char *file, *text;
  } changes[] = {
      {"env", "CUDA_VISIBLE_DEVICES=1\n"},
      {"env", "LD_LIBRARY_PATH=/opt\n"},
      {"fs/proc/sys/kernel/random/boot_id", "two\n"},
      {"fs/proc/driver/nvidia/version", "560\n"},
      {"fs/proc/self/cgroup", "0::/pod\n"},
      {"fs/proc/self/status", "Seccomp:\t2\nSeccomp_filters:\t1\n"},
      {"fs/proc/self/status", "Seccomp:\t2\nSeccomp_filters:\t2\n"},
      {"fs/usr/lib/libcuda.so.1.stat", "type=f size=28712096 mtime=100"},
      {"fs/dev/nvidia0.stat", "type=c rdev=195:0 mode=0600"},
      {"fs/dev/nvidia1.stat", "type=c rdev=195:1 mode=0666"},
      {"snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"x86_64\",\"release\":\"6.8.0\",\"uid\":9,\"gid\":8}"},
  };
  for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
    (void)run(true);
    assert_true(run(true));
    folder_put(&machine, changes[i].file, changes[i].text);
    if (run(true)) fail_msg("%s: the kept answer stands though it changed", changes[i].file);
    assert_true(run(true));
  }
}

/* Where the machine does not tell what it is, as under WSL. */
static void a_machine_that_is_not_known_keeps_nothing(void **state) {
  (void)state;
  folder_put(&machine, "fs/proc/driver/nvidia/version.stat", "type=absent");
  assert_false(run(true));
  assert_false(has_file());
}

/* The file as if it was made so many seconds ago. */
static void age(long seconds) {
  char made[64], *text = NULL;
  size_t size;
  const char *path = folder_at(&cache, "cuda-proven.json");
  assert_null(fh_cache_file_read(path, 1 << 20, &text, &size));
  assert_non_null(text);
  char *at = strstr(text, "\"made\":");
  assert_non_null(at);
  at += strlen("\"made\":");
  const size_t digits = strspn(at, " 0123456789");
  snprintf(made, sizeof made, "%*ld", (int)digits, (long)time(NULL) - seconds);
  assert_int_equal(strlen(made), digits);
  memcpy(at, made, digits);
  assert_null(fh_cache_file_write(path, &(fh_cache_part){text, size}, 1));
  free(text);
}

/* Coming back does not make it younger. */
static void holds_for_an_hour(void **state) {
  (void)state;
  assert_false(run(true));
  age(3000);
  assert_true(run(true));
  age(3601);
  assert_false(run(true));
  age(-3600);
  assert_false(run(true));
}

static void a_file_that_is_not_ours_says_nothing(void **state) {
  (void)state;
  assert_false(run(true));
  assert_int_equal(chmod(folder_at(&cache, "cuda-proven.json"), 0666), 0);
  assert_false(run(true));
  folder_put(&cache, "cuda-proven.json", "{\"schema\":\"foghorn.proven/1\",\"made\":[],\"state\":7}");
  assert_int_equal(chmod(folder_at(&cache, "cuda-proven.json"), 0600), 0);
  assert_false(run(true));
  folder_put(&cache, "cuda-proven.json", "no JSON");
  assert_false(run(true));
}

static void without_a_folder_children_are_asked(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    fh_os *os;
    FH_EXPECT_OK(fh_os_directory(machine.path, &os));
    os = fh_os_proven(os, "");
    expect_answer(os);
    assert_false(fh_os_proven_used(os));
    fh_os_proven_keep(os);
    fh_os_destroy(os);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(stands_for_a_child, setup, teardown),
      cmocka_unit_test_setup_teardown(is_gone_with_who_did_not_come_back, setup, teardown),
      cmocka_unit_test_setup_teardown(is_for_one_at_a_time, setup, teardown),
      cmocka_unit_test_setup_teardown(is_forgotten_after_a_fault, setup, teardown),
      cmocka_unit_test_setup_teardown(asks_no_nvml_beside_it, setup, teardown),
      cmocka_unit_test_setup_teardown(is_no_answer_to_a_changed_question, setup, teardown),
      cmocka_unit_test_setup_teardown(only_good_answers_are_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(another_machine_asks_again, setup, teardown),
      cmocka_unit_test_setup_teardown(a_machine_that_is_not_known_keeps_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(holds_for_an_hour, setup, teardown),
      cmocka_unit_test_setup_teardown(a_file_that_is_not_ours_says_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(without_a_folder_children_are_asked, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
