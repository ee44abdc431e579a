/* Built OpenCL programs on disk: what a driver refuses, what is another's, and several processes at once; on the stand-in GPU, whose
 * compiler is quick. What is cut short or changed is tried in test_backend_opencl. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/build_cache.h"
#include "backends/opencl/opencl_internal.h"
#include "runtime/base/log.h"
#include "tests/support/backend_suite.h"
#include "tests/support/opencl_gpu.h"

extern const fh_backend_api fh_backend_opencl;

enum { HEADER_BYTES = 32, MOST_BYTES = 1 << 20, PATH = 512 };

static const char text[] = "__kernel void mark(long items, __global uchar *y, long offset) { y[offset] = 1; }";
static const fh_param params[] = {{"y", FH_OPERAND_OUT}};
static const fh_entry_image entry = {.entry = "mark", .params = params, .param_count = 1};
static const fh_kernel_contract contract = {.name = "mark", .version = 1};
static const fh_kernel_image image = {.contract = &contract, .entries = &entry, .entry_count = 1, .cl_source = text, .hash = 3};

static char folder[] = "fh-cl-cache-XXXXXX";
static char said[4096];
static void keep_log(void *user, int level, const char *line) {
  (void)user;
  if (level == FH_LOG_WARN) snprintf(said, sizeof said, "%s", line);
}

typedef struct outcome {
  int built, loaded;
} outcome;

static outcome prepare_as(const char *persona) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  said[0] = 0;
  setenv("FOGHORN_FAKE_OPENCL", persona, 1);
  fh_log_set(keep_log, NULL);
  fh_backend_fixture_open(&fh_backend_opencl, &(fh_backend_options){.isa_cap = -1, .allow_fake = true, .cache_dir = folder}, 0, &f);
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &image}, &executable));
  fh_log_set(NULL, NULL);
  const outcome o = {f.device->built, f.device->loaded};
  f.api->release(executable);
  fh_backend_fixture_close(&f);
  return o;
}

static void expect(const char *persona, int built, const char *why) {
  const outcome o = prepare_as(persona);
  assert_int_equal(o.built, built);
  assert_int_equal(o.loaded, 1 - built);
  if (why && !strstr(said, why)) fail_msg("expected a warning with \"%s\", got \"%s\"", why, said);
  if (!why) assert_string_equal(said, "");
}

/* Calls for each file of the folder; how many there are. */
static int each_file(void (*visit)(const char *path)) {
  char path[PATH];
  int files = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    if (e->d_name[0] == '.') continue;
    files++;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (visit) visit(path);
  }
  closedir(dir);
  return files;
}

static void remove_file(const char *path) { unlink(path); }

/* ---- what is in a file ---------------------------------------------------------------------------------------------------- */

typedef struct stored {
  char key[4096];
  const char *binary;
  size_t binary_bytes;
} stored;

static char bytes[MOST_BYTES];

static stored read_stored(const char *path) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  const size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  uint32_t key_bytes;
  memcpy(&key_bytes, bytes + 12, sizeof key_bytes);
  assert_true(size > HEADER_BYTES + key_bytes && key_bytes < sizeof((stored *)0)->key);
  stored s = {.binary = bytes + HEADER_BYTES + key_bytes, .binary_bytes = size - HEADER_BYTES - key_bytes};
  memcpy(s.key, bytes + HEADER_BYTES, key_bytes);
  return s;
}

/* A whole file with the right checksum, of which the driver wants nothing. */
static void spoil_binary(const char *path) {
  const stored s = read_stored(path);
  assert_null(fh_build_cache_write(path, s.key, s.binary, s.binary_bytes / 2));
}

/* As if two keys had the same hash. */
static void spoil_key(const char *path) {
  stored s = read_stored(path);
  s.key[strlen(s.key) / 2] ^= 1;
  assert_null(fh_build_cache_write(path, s.key, s.binary, s.binary_bytes));
}

static void what_the_driver_refuses_is_built_anew(void **state) {
  (void)state;
  expect("khr", 1, NULL);
  expect("khr", 0, NULL);
  assert_int_equal(each_file(spoil_binary), 1);
  expect("khr", 1, "CL_INVALID_BINARY");
  expect("khr", 0, NULL);
}

static void what_is_of_another_key_is_built_anew(void **state) {
  (void)state;
  assert_int_equal(each_file(spoil_key), 1);
  expect("khr", 1, "another driver");
  expect("khr", 0, NULL);
}

static void each_driver_has_its_own(void **state) {
  (void)state;
  expect("amd", 1, NULL);
  expect("amd", 0, NULL);
  expect("khr", 0, NULL);
  assert_int_equal(each_file(NULL), 2);
  each_file(remove_file);
}

/* ---- at once ------------------------------------------------------------------------------------------------------------------ */

static int run_child(int rounds) {
  int wrong = 0;
  for (int i = 0; i < rounds; i++) {
    const outcome o = prepare_as("khr");
    wrong += o.built + o.loaded != 1 || said[0] != 0; /* half of a file would be warned of */
  }
  return wrong;
}

static void several_processes_at_once(void **state) {
  (void)state;
  enum { CHILDREN = 4, ROUNDS = 3 };
  pid_t children[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) {
    children[i] = fork();
    assert_true(children[i] >= 0);
    if (children[i] == 0) {
      alarm(60);
      _exit(run_child(ROUNDS) == 0 ? 0 : 1);
    }
  }
  for (int i = 0; i < CHILDREN; i++) {
    int result = -1;
    assert_int_equal(waitpid(children[i], &result, 0), children[i]);
    assert_int_equal(result, 0);
  }
  assert_int_equal(each_file(NULL), 1); /* and no temporary ones */
  expect("khr", 0, NULL);
}

int main(void) {
  if (!fh_use_opencl_gpu()) return 77;
  if (!mkdtemp(folder)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_the_driver_refuses_is_built_anew),
      cmocka_unit_test(what_is_of_another_key_is_built_anew),
      cmocka_unit_test(each_driver_has_its_own),
      cmocka_unit_test(several_processes_at_once),
  };
  const int failed = cmocka_run_group_tests_name("backend_opencl_cache", tests, NULL, NULL);
  each_file(remove_file);
  rmdir(folder);
  return failed;
}
