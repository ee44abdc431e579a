/* The machine's profile: calibrated, kept, used again, and ignored where it does not fit. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 cross=no
 * Under an emulator a calibration takes minutes, and its times are of no machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include <foghorn/foghorn.h>

#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/plan/calibrate.h"
#include "runtime/plan/profile.h"
#include "tests/support/folder.h"
#include "tests/support/scale_kernel.h"

static folder cache;
static char said[4096];

static void keep(void *user, int level, const char *lines) {
  (void)user, (void)level;
  size_t used = strlen(said);
  snprintf(said + used, sizeof said - used, "%s", lines);
}

static int setup(void **state) {
  (void)state;
  folder_make(&cache);
  setenv("FOGHORN_CACHE_DIR", folder_at(&cache, "new/cache"), 1);
  said[0] = 0;
  fh_log_set(keep, NULL);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  fh_log_set(NULL, NULL);
  folder_remove(&cache);
  return 0;
}

static void must(fh_status status) {
  if (status) fail_msg("%s", fh_status_message(status));
}

static fh_context *open_context(void) {
  fh_context *context;
  must(fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .threads = 1}, &context));
  return context;
}

/* Of axpy and of scale_kernel.h's, which take a factor alike. */
static char *decision_of(fh_context *context, const char *name) {
  const fh_kernel *kernel;
  const fh_view_spec specs[] = {{FH_F32, FH_SHAPE(1000)}, {FH_F32, FH_SHAPE(1000)}};
  const fh_param_value factor = {.f = 2};
  char *text;
  must(fh_kernel_find(name, &kernel));
  must(fh_explain_shapes(fh_context_queue(context), kernel, specs, 2, &factor, 1, false, &text));
  return text;
}

static char *decision(fh_context *context) { return decision_of(context, "axpy"); }

static void expect_decision(const char *words) {
  fh_context *context = open_context();
  char *text = decision(context);
  if (!strstr(text, words)) fail_msg("'%s' is not in\n%s", words, text);
  free(text);
  fh_context_release(context);
}

static void calibrate_kernel(const char *name) {
  fh_context *context = open_context();
  fh_calibration done;
  must(fh_calibrate(context, &(fh_calibration_options){.kernel = name, .seconds = 20}, &done));
  assert_int_equal(done.kernels, 1);
  assert_true(done.sizes >= 1 && done.times >= done.sizes);
  must(fh_profile_save(context));
  fh_context_release(context);
}

/* Of axpy only, which is quick. */
static void calibrate(void) { calibrate_kernel("axpy"); }

static char *read_profile(void) {
  FILE *file = fopen(folder_at(&cache, "new/cache/profile.json"), "re");
  static char text[1 << 20];
  assert_non_null(file);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  return text;
}

static void put_profile(const char *text) {
  unlink(folder_at(&cache, "new/cache/profile.json"));
  folder_put(&cache, "new/cache/profile.json", text);
  chmod(folder_at(&cache, "new/cache/profile.json"), 0600);
}

/* The kept profile with a part of it changed to something of the same length. */
static void change(const char *part, const char *into) {
  assert_int_equal(strlen(part), strlen(into));
  char *text = read_profile(), *at = strstr(text, part);
  assert_non_null(at);
  memcpy(at, into, strlen(into));
  put_profile(text);
}

static void what_is_kept_is_used_again(void **state) {
  (void)state;
  expect_decision("not calibrated: devprobe bench --calibrate");
  assert_string_equal(said, ""); /* a machine that was never measured is nothing to warn of */
  calibrate();
  expect_decision("  calibrated 20");
  struct stat st;
  assert_int_equal(stat(folder_at(&cache, "new/cache/profile.json"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(stat(folder_at(&cache, "new/cache"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  assert_string_equal(said, "");
}

static void a_profile_of_another_machine_is_ignored(void **state) {
  (void)state;
  calibrate();
  change("\"driver\":\"foghorn", "\"driver\":\"elsewhe");
  expect_decision("not calibrated (");
  assert_non_null(strstr(said, "was made on another machine"));
  assert_non_null(strstr(said, "devprobe bench --calibrate"));
}

static void times_of_other_code_are_ignored(void **state) {
  (void)state;
  calibrate();
  char *hash = strstr(read_profile(), "\"axpy\":{\"hash\":\"");
  assert_non_null(hash);
  char part[64], into[64];
  snprintf(part, sizeof part, "%.24s", hash);
  snprintf(into, sizeof into, "%s", part);
  into[23] = into[23] == '0' ? '1' : '0';
  change(part, into);
  expect_decision("not calibrated");
  assert_non_null(strstr(said, "is older than 1 kernel of this build"));
}

static void what_is_no_profile_is_ignored(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "",
      "{",
      "[]",
      "{\"schema\":\"foghorn.profile/2\"}",
      "{\"schema\":\"foghorn.profile/1\"}",
      "{\"schema\":\"foghorn.profile/1\",\"devices\":7}",
      "{\"schema\":\"foghorn.profile/1\",\"devices\":[null,3,{},{\"name\":1,\"driver\":[],\"units\":\"x\"}]}",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    said[0] = 0;
    put_profile(wrong[i]);
    expect_decision("not calibrated (");
    assert_non_null(strstr(said, "profile.json"));
  }
}

/* Times that nobody can have measured: each is left out, the others stay. */
static void impossible_times_are_left_out(void **state) {
  (void)state;
  calibrate();
  char *text = strdup(read_profile()), *times = strstr(strstr(text, "\"axpy\""), "cpu/scalar\":{");
  assert_non_null(times);
  times += strlen("cpu/scalar\":{");
  fh_text changed = {0};
  fh_text_append(&changed, text, (size_t)(times - text));
  fh_text_add(&changed, "\"-1\":1,\"99999\":1,\"x\":1,\"\":1,\"7\":-1,\"8\":0,\"9\":\"fast\",\"10\":1e30,%s", times);
  put_profile(changed.data);
  fh_text_free(&changed);
  free(text);
  expect_decision("  calibrated 20");
  assert_string_equal(said, "");
}

static void a_profile_that_others_may_write_is_ignored(void **state) {
  (void)state;
  calibrate();
  chmod(folder_at(&cache, "new/cache/profile.json"), 0666);
  expect_decision("others may write it");
}

static void without_a_cache_folder_it_cannot_be_kept(void **state) {
  (void)state;
  setenv("FOGHORN_CACHE_DIR", "", 1);
  fh_context *context = open_context();
  fh_status status = fh_profile_save(context);
  assert_int_equal(fh_status_code(status), FH_UNAVAILABLE);
  assert_non_null(strstr(fh_status_message(status), "FOGHORN_CACHE_DIR"));
  fh_status_free(status);
  fh_context_release(context);
}

/* Known before anything is measured; and the try leaves nothing behind. */
static void whether_it_can_be_kept_is_known_before(void **state) {
  (void)state;
  fh_context *context = open_context();
  must(fh_profile_writable(context));
  assert_int_equal(rmdir(folder_at(&cache, "new/cache")), 0); /* made, and empty */
  folder_put(&cache, "new/cache", "no folder");
  fh_status status = fh_profile_writable(context);
  assert_int_equal(fh_status_code(status), FH_UNAVAILABLE);
  assert_non_null(strstr(fh_status_message(status), "Not a directory"));
  fh_status_free(status);
  fh_context_release(context);
}

/* Times of a device that is not open now, or of another machine with the same home, stay; an older entry of a device here goes. */
static void other_devices_keep_their_times(void **state) {
  (void)state;
  calibrate();
  char *text = strdup(read_profile()), *devices = strstr(text, "\"devices\":[");
  assert_non_null(devices);
  devices += strlen("\"devices\":[");
  const char *name = strstr(devices, "\"name\":"), *comma = strchr(name, ',');
  fh_text changed = {0};
  fh_text_append(&changed, text, (size_t)(devices - text));
  fh_text_add(&changed, "7,{\"name\":\"Some Other GPU\",\"driver\":\"1\",\"units\":3,\"kernels\":{}},{%.*s,\"driver\":\"of old\"},%s",
              (int)(comma - name), name, devices);
  put_profile(changed.data);
  fh_text_free(&changed);
  free(text);
  calibrate();
  assert_non_null(strstr(read_profile(), "Some Other GPU"));
  assert_null(strstr(read_profile(), "of old"));
  expect_decision("  calibrated 20");
}

static const fh_kernel_contract own_contract = SCALE_CONTRACT("own_scale");
static const fh_kernel_image own_image = {.contract = &own_contract};
static const fh_kernel_module own_module = FH_KERNEL_MODULE(&own_image);

/* One kernel is measured, and later another by a process without the first: both stay, and each anew. */
static void other_kernels_keep_their_times(void **state) {
  (void)state;
  must(fh_kernel_register(&own_module, NULL));
  calibrate_kernel("own_scale");
  must(fh_kernel_unregister("own_scale"));
  assert_null(strstr(read_profile(), "\"axpy\""));
  calibrate();
  assert_non_null(strstr(read_profile(), "\"axpy\""));
  assert_non_null(strstr(read_profile(), "\"cpu/reference\""));
  must(fh_kernel_register(&own_module, NULL));
  calibrate_kernel("own_scale"); /* with times in the profile that are taken over */
  char *again = strstr(read_profile(), "\"own_scale\"");
  assert_non_null(again);
  assert_null(strstr(again + 1, "\"own_scale\""));
  must(fh_kernel_unregister("own_scale"));
  expect_decision("  calibrated 20");
}

/* A profile of a registered kernel alone is this machine's also when another kernel was launched first. */
static void a_profile_of_one_kernel_waits_for_it(void **state) {
  (void)state;
  must(fh_kernel_register(&own_module, NULL));
  calibrate_kernel("own_scale");
  for (int axpy_first = 0; axpy_first < 2; axpy_first++) {
    fh_context *context = open_context();
    if (axpy_first) free(decision(context));
    char *text = decision_of(context, "own_scale");
    if (!strstr(text, "  calibrated 20")) fail_msg("not calibrated%s:\n%s", axpy_first ? " after axpy" : "", text);
    free(text);
    fh_context_release(context);
  }
  must(fh_kernel_unregister("own_scale"));
}

/* What a file says of itself goes to a terminal. */
static void what_a_profile_says_is_made_safe(void **state) {
  (void)state;
  calibrate();
  char part[32], *made = strstr(read_profile(), "\"made\":\"");
  assert_non_null(made);
  snprintf(part, sizeof part, "%.14s", made);
  change(part, "\"made\":\"\\u001b");
  fh_context *context = open_context();
  char *text = decision(context);
  assert_null(strchr(text, 0x1b));
  assert_non_null(strstr(text, "calibrated ?"));
  free(text);
  fh_context_release(context);
}

static bool at_once(void *unused) {
  (void)unused;
  return true;
}

static void calibration_can_be_stopped_and_knows_its_kernels(void **state) {
  (void)state;
  fh_context *context = open_context();
  fh_calibration done;
  must(fh_calibrate(context, &(fh_calibration_options){.seconds = 20, .stop = at_once}, &done));
  assert_int_equal(done.times, 0);
  assert_true(done.left_out > 0);
  fh_status status = fh_calibrate(context, &(fh_calibration_options){.kernel = "nonsense", .seconds = 1}, &done);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  fh_status_free(status);
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.launches, 0); /* nobody launched anything */
  fh_context_release(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_kept_is_used_again, setup, teardown),
      cmocka_unit_test_setup_teardown(a_profile_of_another_machine_is_ignored, setup, teardown),
      cmocka_unit_test_setup_teardown(times_of_other_code_are_ignored, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_no_profile_is_ignored, setup, teardown),
      cmocka_unit_test_setup_teardown(impossible_times_are_left_out, setup, teardown),
      cmocka_unit_test_setup_teardown(a_profile_that_others_may_write_is_ignored, setup, teardown),
      cmocka_unit_test_setup_teardown(without_a_cache_folder_it_cannot_be_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(whether_it_can_be_kept_is_known_before, setup, teardown),
      cmocka_unit_test_setup_teardown(other_devices_keep_their_times, setup, teardown),
      cmocka_unit_test_setup_teardown(other_kernels_keep_their_times, setup, teardown),
      cmocka_unit_test_setup_teardown(a_profile_of_one_kernel_waits_for_it, setup, teardown),
      cmocka_unit_test_setup_teardown(what_a_profile_says_is_made_safe, setup, teardown),
      cmocka_unit_test_setup_teardown(calibration_can_be_stopped_and_knows_its_kernels, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
