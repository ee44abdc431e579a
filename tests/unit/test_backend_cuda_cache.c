/* What the CUDA driver compiled, kept on disk: used, never trusted. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/log.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

static char last_log[512];
static void keep_log(void *user, int level, const char *text) {
  (void)user;
  if (level <= FH_LOG_WARN) snprintf(last_log, sizeof last_log, "%s", text);
}

/* A folder that does not exist yet, within one that does. */
static char root[] = "fh-cuda-cache-XXXXXX", folder[64];

static void set_up(void) {
  assert_non_null(mkdtemp(root));
  snprintf(folder, sizeof folder, "%s/a/b", root);
  fh_log_set(keep_log, NULL);
}

static void tear_down(void) {
  char command[128];
  fh_log_set(NULL, NULL);
  snprintf(command, sizeof command, "rm -r %s", root);
  assert_int_equal(system(command), 0);
}

/* Prepares and runs axpy in a fresh backend. How often the driver compiled for that. */
static int compiled(const char *cache, const char *why) {
  fh_backend_fixture f;
  fh_backend_options options = fh_cuda_fake_allowed;
  options.cache_dir = cache;
  last_log[0] = 0;
  int before = fh_cuda_calls("cuLinkComplete");
  fh_backend_fixture_open(api, &options, 0, &f);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
  if (why && !strstr(last_log, why)) fail_msg("expected a warning with \"%s\", got \"%s\"", why, last_log);
  if (!why) assert_string_equal(last_log, "");
  return fh_cuda_calls("cuLinkComplete") - before;
}

static int files(const char *in, char *out, size_t size) {
  DIR *dir = opendir(in);
  assert_non_null(dir);
  int count = 0;
  for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    if (e->d_name[0] == '.') continue;
    count++;
    snprintf(out, size, "%s/%s", in, e->d_name);
  }
  closedir(dir);
  return count;
}

static void patch(const char *path, long offset, unsigned char value) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
  fputc(value, file);
  fclose(file);
}

/* The stand-in aborts when it is given a cubin that is not as it was made. */
static void is_used_and_never_trusted(void) {
  char path[512];
  set_up();
  assert_int_equal(compiled(folder, NULL), 1);
  assert_int_equal(files(folder, path, sizeof path), 1); /* and no temporary ones are left */
  assert_int_equal(compiled(folder, NULL), 0);
  patch(path, -2, 0x5a);
  assert_int_equal(compiled(folder, "checksum"), 1);
  assert_int_equal(compiled(folder, NULL), 0); /* the bad file was replaced */
  patch(path, 20, 0xff);
  assert_int_equal(compiled(folder, "sizes"), 1);
  patch(path, 0, 'x');
  assert_int_equal(compiled(folder, "no program"), 1);
  assert_int_equal(truncate(path, 5), 0);
  assert_int_equal(compiled(folder, "cut short"), 1);
  assert_int_equal(chmod(path, 0666), 0);
  assert_int_equal(compiled(folder, "others may write"), 1);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("/dev/zero", path), 0);
  assert_int_equal(compiled(folder, ""), 1);
  assert_int_equal(compiled(folder, NULL), 0);
  assert_int_equal(files(folder, path, sizeof path), 1);
  int loads = fh_cuda_calls("cuModuleLoadDataEx");
  assert_int_equal(compiled("/proc/nothing/here", NULL), 1); /* cannot be written: said at level info, and works */
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx"), loads + 1);
  tear_down();
}

static void every_device_of_a_kind_has_its_own(void) {
  char path[512];
  set_up();
  assert_int_equal(compiled(folder, NULL), 1);
  fh_backend_fixture f;
  fh_backend_options options = fh_cuda_fake_allowed;
  options.cache_dir = folder;
  fh_backend_fixture_open(api, &options, 1, &f); /* another name */
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
  assert_int_equal(files(folder, path, sizeof path), 2);
  tear_down();
}

/* A driver may refuse what it made: then it compiles, and says why. */
static void a_refused_cubin_is_compiled_anew(void) {
  set_up();
  assert_int_equal(compiled(folder, NULL), 1);
  assert_int_equal(compiled(folder, "NO_BINARY"), 1);
  assert_int_equal(compiled(folder, NULL), 0);
  tear_down();
}

/* Without the link functions' help everything is as without a cache. */
static void a_failed_link_costs_the_cache_only(void) {
  char path[512];
  set_up();
  compiled(folder, NULL);
  assert_int_equal(access(folder, F_OK) == 0 ? files(folder, path, sizeof path) : 0, 0);
  assert_int_equal(fh_cuda_calls("cuLinkCreate_v2"), 1);
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx"), 1);
  tear_down();
}

/* A text for one capability alone is linked for it by name where the device's own target is not enough. */
static void one_capability_is_named(void) {
  char path[512], ptx[4096];
  fh_backend_fixture f;
  fh_backend_options options = fh_cuda_fake_allowed;
  fh_kernel_image image = *fh_cuda_axpy();
  set_up();
  snprintf(ptx, sizeof ptx, ".version 8.0\n.target sm_90a\n%s", strstr(image.ptx, ".address_size"));
  image.ptx = ptx;
  options.cache_dir = folder;
  for (int i = 0; i < 2; i++) {
    fh_executable *executable = NULL;
    fh_backend_fixture_open(api, &options, 0, &f);
    FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = &image}, &executable));
    api->release(executable);
    fh_backend_fixture_close(&f);
    assert_int_equal(fh_cuda_calls("cuLinkCreate_v2"), 2); /* the second backend finds what was kept */
    assert_int_equal(fh_cuda_calls("cuLinkComplete"), 1);
    assert_int_equal(files(folder, path, sizeof path), 1);
  }
  tear_down();
}

static void shows_the_log_of_the_compiler(void) {
  fh_backend_fixture f;
  fh_backend_options options = fh_cuda_fake_allowed;
  fh_kernel_image image = *fh_cuda_axpy();
  fh_executable *executable = NULL;
  set_up();
  options.cache_dir = folder;
  image.ptx = ".version 6.0\n.target sm_60\n.address_size 64\n";
  fh_backend_fixture_open(api, &options, 0, &f);
  fh_status status = api->prepare(f.device, &(fh_recipe){.image = &image}, &executable);
  assert_non_null(strstr(fh_status_message(status), "no entry"));
  fh_expect_code(status, FH_INCOMPATIBLE);
  fh_backend_fixture_close(&f);
  fh_log_set(NULL, NULL);
  assert_int_equal(rmdir(root), 0); /* nothing was kept */
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  static const fh_cuda_case cases[] = {
      {.name = "is used and never trusted", .run = is_used_and_never_trusted},
      {.name = "each kind of device has its own", .settings = "devices=2", .run = every_device_of_a_kind_has_its_own},
      {.name = "a refused cubin is compiled anew", .faults = "cuModuleLoadDataEx@2=209", .run = a_refused_cubin_is_compiled_anew},
      {.name = "no link can be begun", .faults = "cuLinkCreate@1=801", .run = a_failed_link_costs_the_cache_only},
      {.name = "a text cannot be linked", .faults = "cuLinkAddData@1=221", .run = a_failed_link_costs_the_cache_only},
      {.name = "one capability is named", .settings = "capability=90", .faults = "cuLinkAddData@1=209", .run = one_capability_is_named},
      {.name = "shows the compiler's log", .run = shows_the_log_of_the_compiler},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
