/* The OpenCL backend on whatever OpenCL is here, PoCL at least. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=180 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/opencl/opencl_internal.h"
#include "runtime/base/log.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"

extern const fh_backend_api fh_backend_opencl, fh_backend_cpu;
static const fh_backend_options no_cache = {.isa_cap = -1};

static char last_log[4096];
static void keep_log(void *user, int level, const char *text) {
  (void)user, (void)level;
  snprintf(last_log, sizeof last_log, "%s", text);
}

/* ---- the declarations agree with the header ------------------------------------------------------------------ */

#define FH_OPENCL(need, type, name, params) _Static_assert(_Generic(&name, type(CL_API_CALL *) params: 1), #name " is as in CL/cl.h");
#include "detect/drivers/opencl_symbols.def"
#undef FH_OPENCL
#define FH_OPENCL_ERROR(value, name) _Static_assert((value) == (name), #name " is as in CL/cl.h");
#define CL_NVIDIA_ILLEGAL_BUFFER_ACCESS (-9999)
#define CL_INVALID_GL_SHAREGROUP_REFERENCE_KHR (-1000)
#include "detect/drivers/opencl_errors.def"
#undef FH_OPENCL_ERROR

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void keeps_the_rules(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  int count = f.device_count;
  fh_backend_fixture_close(&f);
  for (int i = 0; i < count; i++) {
    fh_backend_fixture_open(&fh_backend_opencl, &no_cache, i, &f);
    fh_backend_suite(&f);
    uint64_t bytes = 0;
    FH_EXPECT_OK(f.api->query_free_memory(f.device, &bytes));
    assert_int_equal(bytes, f.info.memory_bytes); /* everything was given back */
    fh_backend_fixture_close(&f);
  }
}

static void a_cpu_is_no_gpu(void **state) {
  (void)state;
  fh_backend *backend = NULL;
  FH_EXPECT_OK(fh_backend_opencl.open(&no_cache, &backend));
  for (int i = 0; i < backend->device_count; i++) {
    const fh_device_info *info = &backend->devices[i].info;
    if (strstr(info->driver, "Portable Computing Language") && strstr(info->name, "pthread"))
      assert_int_equal(info->kind, FH_DEVICE_CPU_POSING);
    cl_device_type type = 0;
    assert_int_equal(backend->driver.fn.clGetDeviceInfo(backend->devices[i].handle, CL_DEVICE_TYPE, sizeof type, &type, NULL), CL_SUCCESS);
    if (type & CL_DEVICE_TYPE_CPU) assert_int_equal(info->kind, FH_DEVICE_CPU_POSING);
  }
  fh_backend_opencl.destroy(backend);
}

static void every_kernel_runs_and_gives_the_same_bits(void **state) {
  (void)state;
  fh_backend_fixture cl;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &cl);
  int count = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    fh_conform_report report;
    FH_EXPECT_OK(fh_backend_conform(cl.api, cl.device, &cl.info, &images[i], &(fh_conform_options){.cases = 12, .quick = true}, &report));
    assert_string_equal(report.text, "");
    assert_int_equal(report.verdict, FH_CONFORM_PASS);
  }
  assert_int_equal(cl.device->built, count); /* each program once */
  fh_backend_fixture_close(&cl);
}

/* ---- launches -------------------------------------------------------------------------------------------------- */

/* A text of our own: y[i] = i + add, and counts how often it ran. */
static const char count_text[] =
    "__kernel void count(long items, __global uchar *y, long offset, long add) {\n"
    "  long i = get_global_id(0);\n"
    "  if (i < items) ((__global int *)(y + offset))[i] += (int)(i + add);\n"
    "}\n";
static const fh_param count_params[] = {{"y", FH_OPERAND_INOUT}, {"add", FH_OPERAND_I64}};
static const fh_entry_image count_entry = {.entry = "count", .params = count_params, .param_count = 2};
static const fh_kernel_contract count_contract = {.name = "count", .version = 1};
static const fh_kernel_image count_image = {
    .contract = &count_contract, .entries = &count_entry, .entry_count = 1, .cl_source = count_text, .hash = 1};

static fh_status launch_count(const fh_backend_fixture *f, fh_stream *stream, fh_executable *executable, fh_memory *memory, int64_t items,
                              int64_t add) {
  const fh_launch_operand operands[] = {{.kind = FH_OPERAND_INOUT, .place = {.memory = memory, .offset = 4}},
                                        {.kind = FH_OPERAND_I64, .i = add}};
  fh_command command = {.kind = FH_COMMAND_LAUNCH,
                        .launch = {.executable = executable, .items = items, .operands = operands, .operand_count = 2}};
  return fh_backend_run(f->api, stream, &command, 1);
}

static void long_launches_are_cut_and_run_each_item_once(void **state) {
  (void)state;
  enum { N = 5000 };
  static int y[N + 2];
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  fh_executable *executable = NULL;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  FH_EXPECT_OK(f.api->stream_open(f.device, &stream));
  FH_EXPECT_OK(f.api->alloc(f.device, sizeof y, &memory));
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &count_image}, &executable));
  const int64_t cuts[] = {1 << 30, 4999, 1000, 64};
  const size_t locals[] = {1, 8};
  for (int c = 0; c < 4; c++)
    for (int l = 0; l < 2; l++) {
      f.device->enqueue_items = cuts[c];
      executable->local = locals[l];
      fh_command zero = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = sizeof y}};
      fh_command back = {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = y}, .bytes = sizeof y}};
      FH_EXPECT_OK(fh_backend_run(f.api, stream, &zero, 1));
      FH_EXPECT_OK(launch_count(&f, stream, executable, memory, N, 5));
      FH_EXPECT_OK(launch_count(&f, stream, executable, memory, 0, 5)); /* nothing to do */
      FH_EXPECT_OK(fh_backend_run(f.api, stream, &back, 1));
      assert_int_equal(y[0], 0);
      assert_int_equal(y[N + 1], 0);
      for (int i = 0; i < N; i++) assert_int_equal(y[i + 1], i + 5);
    }
  f.api->release(executable);
  f.api->free(memory);
  f.api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

static void wrong_launches_are_refused(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_memory *memory = NULL;
  fh_executable *executable = NULL;
  int host = 0;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  FH_EXPECT_OK(f.api->alloc(f.device, 64, &memory));
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &count_image}, &executable));
  const fh_launch_operand operands[][2] = {
      {{.kind = FH_OPERAND_INOUT, .place = {.host = &host}}, {.kind = FH_OPERAND_I64}},
      {{.kind = FH_OPERAND_INOUT, .place = {.memory = memory, .offset = 65}}, {.kind = FH_OPERAND_I64}},
      {{.kind = FH_OPERAND_INOUT, .place = {.memory = memory, .offset = -1}}, {.kind = FH_OPERAND_I64}},
      {{.kind = FH_OPERAND_I64}, {.kind = FH_OPERAND_I64}},
      {{.kind = FH_OPERAND_INOUT}, {.kind = FH_OPERAND_I64}},
  };
  const fh_code codes[] = {FH_INVALID_ARGUMENT, FH_OUT_OF_RANGE, FH_OUT_OF_RANGE, FH_INVALID_ARGUMENT, FH_INVALID_ARGUMENT};
  for (int i = 0; i < 5; i++) {
    fh_stream *stream = NULL;
    FH_EXPECT_OK(f.api->stream_open(f.device, &stream));
    fh_command command = {.kind = FH_COMMAND_LAUNCH,
                          .launch = {.executable = executable, .items = 1, .operands = operands[i], .operand_count = 2}};
    fh_expect_code(fh_backend_run(f.api, stream, &command, 1), codes[i]);
    f.api->stream_close(stream);
  }
  f.api->release(executable);
  f.api->free(memory);
  fh_backend_fixture_close(&f);
}

static void more_batches_than_points_in_flight(void **state) {
  (void)state;
  enum { BATCHES = 3 * FH_CL_POINTS + 7 };
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  fh_executable *executable = NULL;
  int y[3] = {0};
  fh_point point = 0;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  FH_EXPECT_OK(f.api->stream_open(f.device, &stream));
  FH_EXPECT_OK(f.api->alloc(f.device, sizeof y, &memory));
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &count_image}, &executable));
  fh_command zero = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = sizeof y}};
  FH_EXPECT_OK(f.api->submit(stream, &zero, 1, &point));
  const fh_launch_operand operands[] = {{.kind = FH_OPERAND_INOUT, .place = {.memory = memory, .offset = 4}},
                                        {.kind = FH_OPERAND_I64, .i = 1}};
  fh_command command = {.kind = FH_COMMAND_LAUNCH,
                        .launch = {.executable = executable, .items = 1, .operands = operands, .operand_count = 2}};
  for (int i = 0; i < BATCHES; i++) FH_EXPECT_OK(f.api->submit(stream, &command, 1, &point));
  assert_int_equal(point, BATCHES + 1);
  fh_command back = {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = y}, .bytes = sizeof y}};
  FH_EXPECT_OK(fh_backend_run(f.api, stream, &back, 1));
  assert_int_equal(y[1], BATCHES);
  f.api->release(executable);
  f.api->free(memory);
  f.api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* ---- builds ---------------------------------------------------------------------------------------------------- */

static void a_failed_build_shows_the_compilers_words(void **state) {
  (void)state;
  fh_kernel_image broken = count_image;
  broken.cl_source = "__kernel void count(long items) { this is no_kernel_text; }";
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  fh_status status = f.api->prepare(f.device, &(fh_recipe){.image = &broken}, &executable);
  assert_int_equal(fh_status_code(status), FH_INCOMPATIBLE);
  assert_non_null(strstr(fh_status_message(status), "CL_BUILD_PROGRAM_FAILURE"));
  assert_non_null(strstr(fh_status_message(status), "the compiler said"));
  fh_status_free(status);
  broken.cl_source = "__kernel void count(long items) {}"; /* builds, but is not the entry */
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &broken}, &executable), FH_INCOMPATIBLE);
  fh_kernel_image other = count_image;
  other.cl_source = "__kernel void other(long items) {}";
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &other}, &executable), FH_INCOMPATIBLE);
  fh_kernel_image none = count_image;
  none.cl_source = NULL;
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &none}, &executable), FH_UNAVAILABLE);
  const fh_tuned tuned = {.name = "tuned"};
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &count_image, .tuned = &tuned}, &executable), FH_INCOMPATIBLE);
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &count_image, .entry = 3}, &executable), FH_INVALID_ARGUMENT);
  assert_null(executable);
  fh_backend_fixture_close(&f);
}

/* Prepares the count kernel in a fresh backend. Tells how its program came to be. */
static void prepare_once(const char *cache, int *out_built, int *out_loaded) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  last_log[0] = 0;
  fh_backend_fixture_open(&fh_backend_opencl, &(fh_backend_options){.isa_cap = -1, .cache_dir = cache}, 0, &f);
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &count_image}, &executable));
  *out_built = f.device->built;
  *out_loaded = f.device->loaded;
  f.api->release(executable);
  fh_backend_fixture_close(&f);
}

static void expect_built(const char *cache, int built, const char *why) {
  int was_built = -1, was_loaded = -1;
  prepare_once(cache, &was_built, &was_loaded);
  assert_int_equal(was_built, built);
  assert_int_equal(was_loaded, 1 - built);
  if (why && !strstr(last_log, why)) fail_msg("expected a log line with \"%s\", got \"%s\"", why, last_log);
  if (!why) assert_string_equal(last_log, "");
}

/* The one file of a cache folder. */
static void only_file(const char *folder, char *out, size_t size) {
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  int files = 0;
  for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    if (e->d_name[0] == '.') continue;
    files++;
    snprintf(out, size, "%s/%s", folder, e->d_name);
  }
  closedir(dir);
  assert_int_equal(files, 1); /* and no temporary ones are left */
}

static void patch(const char *path, long offset, unsigned char value) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
  fputc(value, file);
  fclose(file);
}

static void the_cache_is_used_and_never_trusted(void **state) {
  (void)state;
  char folder[] = "fh-cl-cache-XXXXXX", cache[64], path[512], command[128];
  assert_non_null(mkdtemp(folder));
  snprintf(cache, sizeof cache, "%s/a/b", folder); /* made when needed */
  fh_log_set(keep_log, NULL);
  expect_built(cache, 1, NULL);
  only_file(cache, path, sizeof path);
  expect_built(cache, 0, NULL);
  patch(path, -1, 0x5a); /* the last byte of the binary */
  expect_built(cache, 1, "checksum");
  expect_built(cache, 0, NULL); /* the bad file was replaced */
  patch(path, 12, 0xff);        /* sizes that do not add up */
  expect_built(cache, 1, "sizes");
  patch(path, 20, 0xff);
  expect_built(cache, 1, "sizes");
  patch(path, 0, 'x');
  expect_built(cache, 1, "no program");
  assert_int_equal(truncate(path, 100), 0);
  expect_built(cache, 1, "sizes");
  assert_int_equal(truncate(path, 5), 0);
  expect_built(cache, 1, "cut short");
  assert_int_equal(chmod(path, 0666), 0);
  expect_built(cache, 1, "others may write");
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("/dev/zero", path), 0);
  expect_built(cache, 1, "");
  only_file(cache, path, sizeof path);
  expect_built(cache, 0, NULL);
  expect_built("/proc/nothing/here", 1, NULL); /* cannot be written: said at level info, and works */
  fh_log_set(NULL, NULL);
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
}

/* ---- threads, forks, memory ------------------------------------------------------------------------------------- */

typedef struct launcher {
  const fh_backend_fixture *f;
  fh_executable *executable;
  int add, wrong;
} launcher;

static void *launch_often(void *arg) {
  launcher *l = arg;
  int y[101];
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  if (l->f->api->stream_open(l->f->device, &stream) || l->f->api->alloc(l->f->device, sizeof y, &memory)) return NULL;
  l->wrong = 0;
  for (int round = 0; round < 50; round++) {
    fh_command zero = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = sizeof y}};
    fh_command back = {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = y}, .bytes = sizeof y}};
    if (fh_backend_run(l->f->api, stream, &zero, 1) || launch_count(l->f, stream, l->executable, memory, 100, l->add) ||
        fh_backend_run(l->f->api, stream, &back, 1))
      l->wrong++;
    for (int i = 0; i < 100; i++) l->wrong += y[i + 1] != i + l->add;
  }
  l->f->api->free(memory);
  l->f->api->stream_close(stream);
  return NULL;
}

static void threads_share_an_executable(void **state) {
  (void)state;
  enum { THREADS = 4 };
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  pthread_t threads[THREADS];
  launcher launchers[THREADS];
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &count_image}, &executable));
  for (int i = 0; i < THREADS; i++) {
    launchers[i] = (launcher){&f, executable, i * 1000, -1};
    assert_int_equal(pthread_create(&threads[i], NULL, launch_often, &launchers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(launchers[i].wrong, 0);
  }
  f.api->release(executable);
  fh_backend_fixture_close(&f);
}

static void a_forked_child_is_refused(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  fh_backend_fixture_open(&fh_backend_opencl, &no_cache, 0, &f);
  FH_EXPECT_OK(f.api->stream_open(f.device, &stream));
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    fh_point point = 0;
    fh_memory *memory = NULL;
    bool refused = fh_status_code(f.api->submit(stream, NULL, 0, &point)) == FH_FAILED_PRECONDITION &&
                   fh_status_code(f.api->alloc(f.device, 1, &memory)) == FH_FAILED_PRECONDITION;
    f.api->stream_close(stream);
    fh_backend_fixture_close(&f);
    _exit(refused ? 0 : 1);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(result, 0);
  f.api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

static void no_loader_and_no_icd_are_told_apart(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
    fh_backend *backend = NULL;
    fh_status status = fh_backend_opencl.open(&no_cache, &backend);
    const char *cause = fh_status_cause(status);
    _exit(fh_status_code(status) == FH_UNAVAILABLE && cause && strcmp(cause, "CL-VENDORS-OVERRIDE") == 0 ? 0 : 1);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(result, 0);
}

static void it_is_worth_opening_only_for_a_gpu(void **state) {
  (void)state;
  fh_icd icd = {.library = "libpocl.so.2", .lib_valid = FH_VALID};
  fh_pci_device gpu = {.vendor = 0x1002, .is_gpu = true, .driver = "amdgpu"};
  fh_facts facts = {.opencl = {.icds = &icd, .count = 1}, .pci = {.devices = &gpu, .count = 1}};
  assert_false(fh_backend_opencl.present(&(fh_facts){0}));
  assert_false(fh_backend_opencl.present(&facts)); /* PoCL drives no GPU */
  icd.library = "libamdocl64.so";
  assert_true(fh_backend_opencl.present(&facts));
  gpu.driver = NULL;
  assert_false(fh_backend_opencl.present(&facts));
  gpu.driver = "nvidia";
  gpu.vendor = 0x10de;
  assert_false(fh_backend_opencl.present(&facts)); /* CUDA's */
  gpu.vendor = 0x8086;
  icd.lib_valid = FH_ABSENT;
  assert_false(fh_backend_opencl.present(&facts));
  fh_cl_device device = {.type = "cpu"};
  icd = (fh_icd){.library = "libigdrcl.so", .lib_valid = FH_VALID, .asked = FH_VALID, .devices = &device, .device_count = 1};
  assert_false(fh_backend_opencl.present(&facts));
  device.type = "gpu";
  assert_true(fh_backend_opencl.present(&facts));
}

int main(void) {
  fh_backend *backend = NULL;
  /* First of all, in a process that has not loaded any driver. */
  const struct CMUnitTest before[] = {cmocka_unit_test(it_is_worth_opening_only_for_a_gpu),
                                      cmocka_unit_test(no_loader_and_no_icd_are_told_apart)};
  fh_opencl_driver driver;
  fh_status status = fh_opencl_driver_load(&driver);
  if (status) {
    printf("NOT RUN: no OpenCL loader: %s\n", fh_status_message(status));
    fh_status_free(status);
    return 77;
  }
  fh_opencl_driver_close(&driver);
  int failed = cmocka_run_group_tests_name("backend_opencl, before any driver", before, NULL, NULL);
  status = fh_backend_opencl.open(&no_cache, &backend);
  if (status) {
    printf("NOT RUN: no OpenCL device: %s\n", fh_status_message(status));
    fh_status_free(status);
    return failed ? failed : 77;
  }
  fh_backend_opencl.destroy(backend);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_the_rules),
      cmocka_unit_test(a_cpu_is_no_gpu),
      cmocka_unit_test(every_kernel_runs_and_gives_the_same_bits),
      cmocka_unit_test(long_launches_are_cut_and_run_each_item_once),
      cmocka_unit_test(wrong_launches_are_refused),
      cmocka_unit_test(more_batches_than_points_in_flight),
      cmocka_unit_test(a_failed_build_shows_the_compilers_words),
      cmocka_unit_test(the_cache_is_used_and_never_trusted),
      cmocka_unit_test(threads_share_an_executable),
      cmocka_unit_test(a_forked_child_is_refused),
  };
  return failed + cmocka_run_group_tests_name("backend_opencl", tests, NULL, NULL);
}
