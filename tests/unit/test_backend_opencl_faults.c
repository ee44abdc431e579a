/* The OpenCL backend when the driver fails, call by call. SPDX-License-Identifier: Apache-2.0
 * A real device, with single entries of its function table replaced by ones that fail. */
#include <fcntl.h>
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
#include "tests/support/backend_suite.h"

extern const fh_backend_api fh_backend_opencl;
static const fh_backend_options options = {.isa_cap = -1};

static const char text[] = "__kernel void copy(long items, __global uchar *y, long offset) { y[offset + get_global_id(0)] = 1; }\n";
static const fh_param params[] = {{"y", FH_OPERAND_OUT}};
static const fh_entry_image entry = {.entry = "copy", .params = params, .param_count = 1};
static const fh_kernel_contract contract = {.name = "copy", .version = 1};
static const fh_kernel_image image = {.contract = &contract, .entries = &entry, .entry_count = 1, .cl_source = text, .hash = 2};

/* ---- calls that fail -------------------------------------------------------------------------------------------- */

static cl_int code; /* what they fail with */

static cl_context CL_API_CALL no_context(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                                         void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user, cl_int *error) {
  (void)p, (void)n, (void)d, (void)notify, (void)user;
  *error = code;
  return NULL;
}
static cl_command_queue CL_API_CALL no_queue(cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error) {
  (void)c, (void)d, (void)p;
  *error = code;
  return NULL;
}
static cl_mem CL_API_CALL no_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *error) {
  (void)c, (void)flags, (void)bytes, (void)host;
  *error = code;
  return NULL;
}
static cl_program CL_API_CALL no_program(cl_context c, cl_uint n, const char **texts, const size_t *lengths, cl_int *error) {
  (void)c, (void)n, (void)texts, (void)lengths;
  *error = code;
  return NULL;
}
static cl_int CL_API_CALL no_build(cl_program p, cl_uint n, const cl_device_id *d, const char *o, void(CL_CALLBACK *f)(cl_program, void *),
                                   void *user) {
  (void)p, (void)n, (void)d, (void)o, (void)f, (void)user;
  return code;
}
static cl_kernel CL_API_CALL no_kernel(cl_program p, const char *name, cl_int *error) {
  (void)p, (void)name;
  *error = code;
  return NULL;
}
static cl_int CL_API_CALL no_argument(cl_kernel k, cl_uint i, size_t size, const void *value) {
  (void)k, (void)i, (void)size, (void)value;
  return code;
}
static cl_int CL_API_CALL no_launch(cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g, const size_t *l,
                                    cl_uint n, const cl_event *w, cl_event *e) {
  (void)q, (void)k, (void)d, (void)o, (void)g, (void)l, (void)n, (void)w, (void)e;
  return code;
}
static cl_int CL_API_CALL no_write(cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t s, const void *f, cl_uint n, const cl_event *w,
                                   cl_event *e) {
  (void)q, (void)m, (void)b, (void)o, (void)s, (void)f, (void)n, (void)w, (void)e;
  return code;
}
static cl_int CL_API_CALL no_flush(cl_command_queue q) {
  (void)q;
  return code;
}
/* The event's state is `code`. */
static cl_int CL_API_CALL state_is_code(cl_event e, cl_event_info what, size_t size, void *out, size_t *out_size) {
  (void)e, (void)what, (void)size, (void)out_size;
  *(cl_int *)out = code;
  return CL_SUCCESS;
}
static cl_int CL_API_CALL no_binary(cl_program p, cl_program_info what, size_t size, void *out, size_t *out_size) {
  (void)p, (void)what, (void)size, (void)out, (void)out_size;
  return code;
}

/* ---- help ------------------------------------------------------------------------------------------------------- */

typedef struct setup {
  fh_backend_fixture f;
  fh_opencl_functions *fn, real; /* the table that the backend calls through, and as it was */
  fh_stream *stream;
  fh_memory *memory;
  fh_executable *executable;
} setup;

static void setup_open(setup *s) {
  fh_backend_fixture_open(&fh_backend_opencl, &options, 0, &s->f);
  s->fn = &s->f.backend->driver.fn;
  s->real = *s->fn;
  FH_EXPECT_OK(s->f.api->stream_open(s->f.device, &s->stream));
  FH_EXPECT_OK(s->f.api->alloc(s->f.device, 64, &s->memory));
  FH_EXPECT_OK(s->f.api->prepare(s->f.device, &(fh_recipe){.image = &image}, &s->executable));
}

static void setup_close(setup *s) {
  *s->fn = s->real;
  s->f.api->release(s->executable);
  s->f.api->free(s->memory);
  s->f.api->stream_close(s->stream);
  fh_backend_fixture_close(&s->f);
}

static fh_status launch(setup *s, fh_stream *stream, fh_point *out_point) {
  const fh_launch_operand operands[] = {{.kind = FH_OPERAND_OUT, .place = {.memory = s->memory}}};
  fh_command command = {.kind = FH_COMMAND_LAUNCH,
                        .launch = {.executable = s->executable, .items = 64, .operands = operands, .operand_count = 1}};
  return s->f.api->submit(stream, &command, 1, out_point);
}

/* The status has this code and its text names the call's OpenCL error. */
static void expect_failure(fh_status status, fh_code want) {
  if (!strstr(fh_status_message(status), fh_opencl_error_name(code))) fail_msg("\"%s\" does not name the error", fh_status_message(status));
  fh_expect_code(status, want);
}

/* What a code means, whoever returns it. */
static const struct {
  cl_int error;
  fh_code code;
} meanings[] = {
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, FH_RESOURCE_EXHAUSTED},
    {CL_OUT_OF_RESOURCES, FH_RESOURCE_EXHAUSTED},
    {CL_OUT_OF_HOST_MEMORY, FH_RESOURCE_EXHAUSTED},
    {CL_DEVICE_NOT_AVAILABLE, FH_UNAVAILABLE},
    {-9999, FH_UNAVAILABLE},
    {CL_BUILD_PROGRAM_FAILURE, FH_INCOMPATIBLE},
    {CL_INVALID_VALUE, FH_INTERNAL},
    {-7777, FH_INTERNAL},
};
enum { MEANINGS = sizeof meanings / sizeof meanings[0] };

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void objects_that_cannot_be_made(void **state) {
  (void)state;
  setup s;
  setup_open(&s);
  for (int i = 0; i < MEANINGS; i++) {
    fh_device *device = s.f.device;
    fh_stream *stream = s.stream;
    fh_memory *memory = s.memory;
    fh_executable *executable = s.executable;
    fh_kernel_image other = image;
    code = meanings[i].error;
    s.fn->clCreateContext = no_context;
    expect_failure(s.f.api->device_open(s.f.backend, 0, &device), meanings[i].code);
    s.fn->clCreateCommandQueue = no_queue;
    expect_failure(s.f.api->stream_open(s.f.device, &stream), meanings[i].code);
    s.fn->clCreateBuffer = no_buffer;
    expect_failure(s.f.api->alloc(s.f.device, 10, &memory), meanings[i].code);
    s.fn->clCreateKernel = no_kernel;
    expect_failure(s.f.api->prepare(s.f.device, &(fh_recipe){.image = &image}, &executable), meanings[i].code);
    s.fn->clBuildProgram = no_build;
    expect_failure(s.f.api->prepare(s.f.device, &(fh_recipe){.image = &other}, &executable), meanings[i].code);
    s.fn->clCreateProgramWithSource = no_program;
    expect_failure(s.f.api->prepare(s.f.device, &(fh_recipe){.image = &other}, &executable), meanings[i].code);
    assert_true(!device && !stream && !memory && !executable);
    *s.fn = s.real;
  }
  uint64_t bytes = 0;
  FH_EXPECT_OK(s.f.api->query_free_memory(s.f.device, &bytes));
  assert_int_equal(bytes, s.f.info.memory_bytes - 64); /* nothing that failed is counted */
  setup_close(&s);
}

typedef void (*break_fn)(fh_opencl_functions *fn);
static void break_launch(fh_opencl_functions *fn) { fn->clEnqueueNDRangeKernel = no_launch; }
static void break_argument(fh_opencl_functions *fn) { fn->clSetKernelArg = no_argument; }
static void break_flush(fh_opencl_functions *fn) { fn->clFlush = no_flush; }

static void a_failed_submit_kills_its_stream_only(void **state) {
  (void)state;
  const break_fn breaks[] = {break_launch, break_argument, break_flush};
  setup s;
  setup_open(&s);
  for (int b = 0; b < 3; b++)
    for (int i = 0; i < MEANINGS; i++) {
      fh_stream *stream = NULL;
      fh_point point = 0;
      bool done = false;
      FH_EXPECT_OK(s.f.api->stream_open(s.f.device, &stream));
      FH_EXPECT_OK(launch(&s, stream, &point)); /* is done, or at least not lost, when the next one fails */
      code = meanings[i].error;
      breaks[b](s.fn);
      expect_failure(launch(&s, stream, &point), meanings[i].code);
      *s.fn = s.real;
      for (int again = 0; again < 2; again++) {
        expect_failure(launch(&s, stream, &point), meanings[i].code);
        expect_failure(s.f.api->poll(stream, 1, &done), meanings[i].code);
        expect_failure(s.f.api->wait(stream, 1, -1), meanings[i].code);
      }
      s.f.api->stream_close(stream);
      FH_EXPECT_OK(launch(&s, s.stream, &point));
      FH_EXPECT_OK(s.f.api->wait(s.stream, point, -1));
    }
  setup_close(&s);
}

static void a_failed_copy_is_told(void **state) {
  (void)state;
  setup s;
  char host[8] = "";
  fh_point point = 0;
  setup_open(&s);
  code = CL_OUT_OF_RESOURCES;
  s.fn->clEnqueueWriteBuffer = no_write;
  fh_command command = {.kind = FH_COMMAND_COPY, .copy = {.from = {.host = host}, .to = {.memory = s.memory}, .bytes = 8}};
  expect_failure(s.f.api->submit(s.stream, &command, 1, &point), FH_RESOURCE_EXHAUSTED);
  setup_close(&s);
}

/* The driver accepts the work and reports later that it failed. */
static void a_failure_after_submission_arrives(void **state) {
  (void)state;
  for (int by_wait = 0; by_wait < 3; by_wait++)
    for (int i = 0; i < MEANINGS; i++) {
      setup s;
      fh_point point = 0;
      bool done = true;
      setup_open(&s);
      FH_EXPECT_OK(launch(&s, s.stream, &point));
      code = meanings[i].error;
      s.fn->clGetEventInfo = state_is_code;
      if (by_wait == 0) expect_failure(s.f.api->poll(s.stream, point, &done), meanings[i].code);
      if (by_wait == 0) assert_false(done);
      if (by_wait == 1) expect_failure(s.f.api->wait(s.stream, point, -1), meanings[i].code);
      if (by_wait == 2) expect_failure(s.f.api->wait(s.stream, point, 1000000000), meanings[i].code);
      *s.fn = s.real; /* and for ever */
      expect_failure(s.f.api->wait(s.stream, point, -1), meanings[i].code);
      expect_failure(launch(&s, s.stream, &point), meanings[i].code);
      setup_close(&s);
    }
}

static void a_deadline_does_not_kill_the_stream(void **state) {
  (void)state;
  setup s;
  fh_point point = 0;
  bool done = true;
  setup_open(&s);
  FH_EXPECT_OK(launch(&s, s.stream, &point));
  code = CL_RUNNING;
  s.fn->clGetEventInfo = state_is_code;
  fh_expect_code(s.f.api->wait(s.stream, point, 0), FH_DEADLINE_EXCEEDED);
  fh_expect_code(s.f.api->wait(s.stream, point, 3000000), FH_DEADLINE_EXCEEDED);
  FH_EXPECT_OK(s.f.api->poll(s.stream, point, &done));
  assert_false(done);
  *s.fn = s.real;
  FH_EXPECT_OK(s.f.api->wait(s.stream, point, 20000000000));
  setup_close(&s);
}

static void a_program_that_cannot_be_kept_still_runs(void **state) {
  (void)state;
  char folder[] = "fh-cl-faults-XXXXXX";
  assert_non_null(mkdtemp(folder));
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  fh_backend_fixture_open(&fh_backend_opencl, &(fh_backend_options){.isa_cap = -1, .cache_dir = folder}, 0, &f);
  code = CL_OUT_OF_HOST_MEMORY;
  f.backend->driver.fn.clGetProgramInfo = no_binary;
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &image}, &executable));
  f.api->release(executable);
  fh_backend_fixture_close(&f);
  assert_int_equal(rmdir(folder), 0); /* nothing was left in it */
}

/* ---- loaders that are not there, or are something else ---------------------------------------------------------- */

static int opened_with_cause(const char *cause) {
  fh_backend *backend = NULL;
  fh_status status = fh_backend_opencl.open(&options, &backend);
  const char *got = fh_status_cause(status);
  bool right = fh_status_code(status) == FH_UNAVAILABLE && got && strcmp(got, cause) == 0 && !backend;
  if (!right) print_error("expected %s, got %s: %s\n", cause, got ? got : "none", fh_status_message(status));
  fh_status_free(status);
  return right ? 0 : 1;
}

/* Runs this program again with a folder of its own in front of the loader's search. */
static void expect_cause(const char *folder, const char *cause) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(30);
    setenv("LD_LIBRARY_PATH", folder, 1);
    execl("/proc/self/exe", "test_backend_opencl_faults", cause, (char *)NULL);
    _exit(127);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(result, 0);
}

static void bad_loaders_are_named(void **state) {
  (void)state;
  const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so"};
  char folder[] = "fh-cl-loader-XXXXXX", path[64];
  assert_non_null(mkdtemp(folder));
  for (int i = 0; i < 2; i++) { /* not a library at all */
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && write(fd, "text\n", 5) == 5);
    close(fd);
  }
  expect_cause(folder, "CL-NO-LOADER");
  fh_dynlib *other = NULL;
  FH_EXPECT_OK(fh_dynlib_open((const char *const[]){"libz.so.1", NULL}, &other));
  for (int i = 0; i < 2; i++) { /* a library, but not OpenCL */
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(fh_dynlib_path(other), path), 0);
  }
  fh_dynlib_close(other);
  expect_cause(folder, "CL-WRONG-LOADER");
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  rmdir(folder);
}

int main(int argc, char **argv) {
  if (argc == 2) return opened_with_cause(argv[1]);
  fh_backend *backend = NULL;
  fh_status status = fh_backend_opencl.open(&options, &backend);
  if (status) {
    printf("NOT RUN: no OpenCL device: %s\n", fh_status_message(status));
    fh_status_free(status);
    return 77;
  }
  fh_backend_opencl.destroy(backend);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(objects_that_cannot_be_made),
      cmocka_unit_test(a_failed_submit_kills_its_stream_only),
      cmocka_unit_test(a_failed_copy_is_told),
      cmocka_unit_test(a_failure_after_submission_arrives),
      cmocka_unit_test(a_deadline_does_not_kill_the_stream),
      cmocka_unit_test(a_program_that_cannot_be_kept_still_runs),
      cmocka_unit_test(bad_loaders_are_named),
  };
  return cmocka_run_group_tests_name("backend_opencl_faults", tests, NULL, NULL);
}
