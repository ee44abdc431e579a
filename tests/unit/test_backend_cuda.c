/* The CUDA backend on the stand-in driver: the rules of backend.h, kernels, memory, points. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes timeout=180 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/cuda/cuda_internal.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/fail_alloc.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

static void open_fake(int index, fh_backend_fixture *f) { fh_backend_fixture_open(api, &fh_cuda_fake_allowed, index, f); }

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static fh_status prepare_axpy(fh_device *device, fh_executable **out) {
  return api->prepare(device, &(fh_recipe){.image = fh_cuda_axpy()}, out);
}

/* ---- what it is -------------------------------------------------------------------------------------------------------- */

static void keeps_the_rules(void) {
  fh_backend_fixture f;
  open_fake(1, &f);
  assert_int_equal(f.device_count, 2);
  fh_backend_suite(&f);
  fh_backend_fixture_close(&f);
}

static void tells_what_it_found(void) {
  fh_backend_fixture f;
  open_fake(1, &f);
  assert_string_equal(f.info.id, "cuda:1");
  assert_non_null(strstr(f.info.name, "FAKE"));
  assert_true(f.info.fake);
  assert_string_equal(f.info.pci, "0000:02:00.0");
  assert_string_equal(f.info.uuid, "GPU-46414b45-2d46-414b-452d-46414b452d01");
  assert_string_equal(f.info.driver, "CUDA 12.6 libcuda.so.1");
  assert_int_equal(f.info.kind, FH_DEVICE_GPU);
  assert_int_equal(f.info.capability, 86);
  assert_int_equal(f.info.compute_units, 7);
  assert_int_equal(f.info.memory_bytes, 512 << 20);
  assert_true(f.info.exact && !f.info.host_memory && f.info.peak_flops > 0 && f.info.peak_bytes_per_s > 0);
  uint64_t free_bytes = 0;
  FH_EXPECT_OK(api->query_free_memory(f.device, &free_bytes));
  assert_int_equal(free_bytes, 512 << 20);
  fh_backend_fixture_close(&f);
}

static void tells_slices_apart(void) {
  fh_backend_fixture f;
  open_fake(1, &f);
  assert_string_equal(f.info.uuid, "MIG-46414b45-2d46-414b-452d-46414b452d01");
  assert_non_null(strstr(f.info.name, "MIG 1g.5gb"));
  fh_backend_fixture_close(&f);
}

static void refuses_a_stand_in(void) {
  fh_backend *backend = NULL;
  fh_status status = api->open(&(fh_backend_options){.isa_cap = -1}, &backend);
  assert_non_null(strstr(fh_status_message(status), "stand-in"));
  fh_expect_code(status, FH_FAILED_PRECONDITION);
  assert_null(backend);
  assert_int_equal(fh_cuda_calls("cuInit"), 0);
}

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

static void runs_every_kernel(void) {
  int count, built = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_backend_fixture f;
  open_fake(0, &f);
  for (int i = 0; i < count; i++) {
    fh_conform_report report;
    if (!images[i].ptx) {
      fh_executable *executable = NULL;
      fh_status status = api->prepare(f.device, &(fh_recipe){.image = &images[i]}, &executable);
      assert_non_null(strstr(fh_status_message(status), images[i].ptx_missing));
      fh_expect_code(status, FH_UNAVAILABLE);
      continue;
    }
    built++;
    FH_EXPECT_OK(fh_backend_conform(api, f.device, &f.info, &images[i], &(fh_conform_options){.cases = 6}, &report));
    printf("       %-16s %d runs\n", images[i].contract->name, report.runs);
    assert_string_equal(report.text, "");
    assert_int_equal(report.verdict, FH_CONFORM_PASS);
  }
  if (!built) printf("       no kernel of this build has PTX: %s\n", count ? images[0].ptx_missing : "no kernels");
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

static void compiles_once(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  const fh_kernel_image *image = fh_cuda_axpy();
  fh_executable *a = NULL, *b = NULL;
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = image}, &a));
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = image}, &b));
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx"), 1);
  api->release(a);
  api->release(b);
  api->release(NULL);
  fh_tuned tuned = {.name = "tuned"};
  fh_expect_code(api->prepare(f.device, &(fh_recipe){.image = image, .tuned = &tuned}, &a), FH_INCOMPATIBLE);
  fh_expect_code(api->prepare(f.device, &(fh_recipe){.image = image, .entry = 1}, &a), FH_INVALID_ARGUMENT);
  fh_expect_code(api->prepare(f.device, &(fh_recipe){0}, &a), FH_INVALID_ARGUMENT);
  fh_backend_fixture_close(&f);
  assert_int_equal(fh_cuda_calls("cuModuleUnload"), 1);
}

static void shows_the_compilers_log(void) {
  static const struct {
    const char *ptx, *part;
    fh_code code;
  } cases[] = {
      {"", ".version", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 32\n.entry axpy() {}", "64-bit", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 64\n.entry axpy(.param .u64 a) {}", "calling convention", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 64\n.entry axpy(.param .u64", "no end", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 64\n.entry axpy(.param .u8 a) {}", "unexpected type", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 64\n", "no entry", FH_INCOMPATIBLE},
      {".version 99.0\n.target sm_60\n", "newer", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_99\n", "above", FH_INCOMPATIBLE},
      {".version 6.0\n.target sm_60\n.address_size 64\n.entry other() {}", "cuModuleGetFunction", FH_INCOMPATIBLE},
  };
  fh_backend_fixture f;
  open_fake(0, &f);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fh_kernel_image image = *fh_cuda_axpy();
    fh_executable *executable = NULL;
    image.ptx = cases[i].ptx;
    fh_status status = api->prepare(f.device, &(fh_recipe){.image = &image}, &executable);
    if (!strstr(fh_status_message(status), cases[i].part)) print_error("no \"%s\" in: %s\n", cases[i].part, fh_status_message(status));
    assert_non_null(strstr(fh_status_message(status), cases[i].part));
    fh_expect_code(status, cases[i].code);
    assert_null(executable);
  }
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

static void refuses_an_old_gpu(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(0, &f);
  fh_status status = prepare_axpy(f.device, &executable);
  assert_string_equal(fh_status_cause(status), "CU-NO-KERNEL-IMAGE");
  fh_expect_code(status, FH_INCOMPATIBLE);
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx"), 0);
  fh_backend_fixture_close(&f);
}

static void checks_launches(void) {
  fh_backend_fixture f, other;
  open_fake(0, &f);
  open_fake(1, &other);
  fh_executable *executable = NULL, *foreign = NULL;
  FH_EXPECT_OK(prepare_axpy(f.device, &executable));
  FH_EXPECT_OK(prepare_axpy(other.device, &foreign));
  fh_memory *memory = NULL, *away = NULL;
  FH_EXPECT_OK(api->alloc(f.device, 64, &memory));
  FH_EXPECT_OK(api->alloc(other.device, 64, &away));
  const fh_entry_image *entry = &fh_cuda_axpy()->entries[0];
  float host[16];
  const fh_place places[] = {{.host = host}, {.memory = away}, {.memory = memory, .offset = 65}, {.memory = memory, .offset = -1}};
  const fh_code codes[] = {FH_INVALID_ARGUMENT, FH_INVALID_ARGUMENT, FH_OUT_OF_RANGE, FH_OUT_OF_RANGE};
  for (int i = 0; i < 7; i++) {
    fh_launch_operand operands[FH_MAX_OPERANDS] = {{0}};
    for (int p = 0; p < entry->param_count; p++) {
      operands[p].kind = entry->params[p].kind;
      if (operands[p].kind < FH_OPERAND_I64) operands[p].place = i < 4 ? places[i] : (fh_place){.memory = memory};
    }
    fh_command launch = {.kind = FH_COMMAND_LAUNCH,
                         .launch = {.executable = executable, .items = 1, .operands = operands, .operand_count = entry->param_count}};
    if (i == 4) launch.launch.operand_count--;
    if (i == 5) launch.launch.executable = foreign;
    if (i == 6) launch.launch.executable = NULL;
    fh_stream *stream = NULL;
    FH_EXPECT_OK(api->stream_open(f.device, &stream));
    fh_expect_code(fh_backend_run(api, stream, &launch, 1), i < 4 ? codes[i] : FH_INVALID_ARGUMENT);
    api->stream_close(stream);
  }
  assert_int_equal(fh_cuda_calls("cuLaunchKernel"), 0);
  api->free(memory);
  api->free(away);
  api->release(executable);
  api->release(foreign);
  fh_backend_fixture_close(&other);
  fh_backend_fixture_close(&f);
}

/* ---- memory ----------------------------------------------------------------------------------------------------------------- */

static void reuses_memory(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_memory *memory = NULL;
  for (int i = 0; i < 10; i++) {
    FH_EXPECT_OK(api->alloc(f.device, 100000, &memory));
    api->free(memory);
  }
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 1);
  uint64_t free_bytes;
  FH_EXPECT_OK(api->query_free_memory(f.device, &free_bytes));
  assert_int_equal(free_bytes, f.info.memory_bytes); /* what is kept counts as free */
  fh_backend_fixture_close(&f);
  assert_int_equal(fh_cuda_calls("cuMemFree_v2"), 1);
}

static void gives_kept_memory_back_when_short(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_memory *small[8], *large = NULL;
  for (int i = 0; i < 8; i++) FH_EXPECT_OK(api->alloc(f.device, 1 << 20, &small[i]));
  for (int i = 0; i < 8; i++) api->free(small[i]);
  FH_EXPECT_OK(api->alloc(f.device, 124 << 20, &large));
  fh_memory *more = NULL;
  fh_status status = api->alloc(f.device, 8 << 20, &more);
  assert_string_equal(fh_status_cause(status), "OUT-OF-MEMORY");
  fh_expect_code(status, FH_RESOURCE_EXHAUSTED);
  api->free(large);
  FH_EXPECT_OK(api->alloc(f.device, 8 << 20, &more)); /* and the device still works */
  api->free(more);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

/* A block that is freed while work is under way may be handed out at once, since the stream is in order with itself. */
static void reuses_memory_in_order(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *first = NULL, *second = NULL;
  uint8_t out[4096], again[4096];
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, sizeof out, &first));
  const fh_command commands[] = {{.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = first}, .bytes = sizeof out, .value = 7}},
                                 {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = first}, .to = {.host = out}, .bytes = sizeof out}}};
  fh_point point;
  FH_EXPECT_OK(api->submit(stream, commands, 2, &point));
  double start = seconds(CLOCK_MONOTONIC);
  api->free(first);
  FH_EXPECT_OK(api->alloc(f.device, sizeof out, &second));
  const fh_command more[] = {{.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = second}, .bytes = sizeof out, .value = 9}},
                             {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = second}, .to = {.host = again}, .bytes = sizeof out}}};
  FH_EXPECT_OK(api->submit(stream, more, 2, &point));
  assert_true(seconds(CLOCK_MONOTONIC) - start < 0.1); /* nothing waits: the commands take 0.2 s each */
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 1);
  FH_EXPECT_OK(api->wait(stream, point, -1));
  for (size_t i = 0; i < sizeof out; i++) assert_true(out[i] == 7 && again[i] == 9);
  api->free(second);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* ---- points ------------------------------------------------------------------------------------------------------------------- */

static void many_batches_in_flight(void) {
  enum { BATCHES = 1500 };
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  uint8_t out[BATCHES];
  fh_point point = 0;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 1, &memory));
  for (int i = 0; i < BATCHES; i++) {
    const fh_command commands[] = {{.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = 1, .value = (uint8_t)(i * 7)}},
                                   {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = &out[i]}, .bytes = 1}}};
    FH_EXPECT_OK(api->submit(stream, commands, 2, &point));
    assert_int_equal(point, i + 1);
  }
  FH_EXPECT_OK(api->wait(stream, point, -1));
  for (int i = 0; i < BATCHES; i++) assert_int_equal(out[i], (uint8_t)(i * 7));
  bool done = false;
  FH_EXPECT_OK(api->poll(stream, 3, &done));
  assert_true(done);
  assert_in_range(fh_cuda_calls("cuEventCreate"), 1, 256);
  api->free(memory);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

static fh_point submit_fill(fh_stream *stream, fh_memory *memory) {
  fh_point point = 0;
  fh_command fill = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = 1, .value = 1}};
  FH_EXPECT_OK(api->submit(stream, &fill, 1, &point));
  return point;
}

/* A point keeps its own event as long as it is not reached: with more in flight than there are events, submit waits. */
static void points_keep_their_events(void) {
  enum { BATCHES = 300 };
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  fh_point point = 0;
  bool old = false, last = true;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 1, &memory));
  for (int i = 0; i < BATCHES; i++) point = submit_fill(stream, memory);
  FH_EXPECT_OK(api->poll(stream, BATCHES - 256, &old));
  FH_EXPECT_OK(api->poll(stream, point, &last));
  assert_true(old);
  assert_false(last);
  FH_EXPECT_OK(api->wait(stream, point, -1));
  api->free(memory);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* A launch that nobody waits for costs no event of its own, and every point is reached all the same. */
static void events_are_few(void) {
  enum { BATCHES = 100 };
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  bool done = false;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 1, &memory));
  for (int i = 0; i < BATCHES; i++) submit_fill(stream, memory);
  assert_in_range(fh_cuda_calls("cuEventRecord"), 1, BATCHES / 16);
  FH_EXPECT_OK(api->wait(stream, 37, -1)); /* none of its own: a later one stands for it */
  FH_EXPECT_OK(api->wait(stream, BATCHES, -1));
  for (fh_point p = 1; p <= BATCHES; p++) {
    FH_EXPECT_OK(api->poll(stream, p, &done));
    assert_true(done);
  }
  assert_in_range(fh_cuda_calls("cuEventRecord"), 2, BATCHES / 16 + 1);
  fh_point last = submit_fill(stream, memory);
  for (done = false; !done;) FH_EXPECT_OK(api->poll(stream, last, &done)); /* asking is enough */
  api->free(memory);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* Waits end in time and burn no CPU. */
static void waits_with_a_limit(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  bool done = true;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 1, &memory));
  double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
  fh_point point = submit_fill(stream, memory);
  FH_EXPECT_OK(api->poll(stream, point, &done));
  assert_false(done);
  fh_expect_code(api->wait(stream, point, 50000000), FH_DEADLINE_EXCEEDED);
  double limited = seconds(CLOCK_MONOTONIC) - start;
  assert_true(limited >= 0.05 && limited < 0.5);
  FH_EXPECT_OK(api->wait(stream, point, -1)); /* time ran out for that wait, not for the work */
  double all = seconds(CLOCK_MONOTONIC) - start;
  cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
  printf("       waited %.0f ms with %.1f ms of CPU\n", all * 1e3, cpu * 1e3);
  assert_true(all >= 0.6);
  assert_true(cpu < all / 4);
  api->free(memory);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* ---- hard times ------------------------------------------------------------------------------------------------------------------ */

static fh_status open_all(fh_backend **backend, fh_device **device, fh_memory **memory, fh_stream **stream, fh_executable **executable) {
  FH_TRY(api->open(&fh_cuda_fake_allowed, backend));
  FH_TRY(api->device_open(*backend, 0, device));
  FH_TRY(api->alloc(*device, 100, memory));
  FH_TRY(prepare_axpy(*device, executable));
  FH_TRY(api->stream_open(*device, stream));
  fh_command fill = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = *memory}, .bytes = 100}};
  return fh_backend_run(api, *stream, &fill, 1);
}

static void survives_every_failed_allocation(void) {
  if (!fh_fail_alloc_possible()) {
    puts("       not here: sanitizers bring their own allocator");
    return;
  }
  bool failed = true;
  int n = 0;
  for (; failed && n < 400; n++) {
    fh_backend *backend = NULL;
    fh_device *device = NULL;
    fh_memory *memory = NULL;
    fh_stream *stream = NULL;
    fh_executable *executable = NULL;
    fh_fail_alloc(n);
    fh_status status = open_all(&backend, &device, &memory, &stream, &executable);
    failed = fh_fail_alloc_end();
    if (!failed) assert_null(status);
    fh_status_free(status);
    api->release(executable);
    api->stream_close(stream);
    api->free(memory);
    api->device_close(device);
    api->destroy(backend);
  }
  printf("       %d allocations\n", n - 1);
  assert_false(failed);
  assert_in_range(n, 8, 399);
}

static void a_fork_is_refused(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  pid_t child = fork();
  if (child == 0) {
    fh_backend *backend = NULL;
    fh_memory *memory = NULL;
    fh_status opened = api->open(&fh_cuda_fake_allowed, &backend), allocated = api->alloc(f.device, 1, &memory);
    bool good = fh_status_code(opened) == FH_UNAVAILABLE && fh_status_code(allocated) == FH_UNAVAILABLE &&
                strcmp(fh_status_cause(opened), "CU-FORK-AFTER-INIT") == 0 && strcmp(fh_status_cause(allocated), "CU-FORK-AFTER-INIT") == 0;
    fh_status_free(opened);
    fh_status_free(allocated);
    fh_backend_fixture_close(&f);
    _exit(good ? 0 : 1);
  }
  int state;
  assert_int_equal(waitpid(child, &state, 0), child);
  assert_true(WIFEXITED(state) && WEXITSTATUS(state) == 0);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device)); /* the parent's is unharmed */
  fh_backend_fixture_close(&f);
}

static fh_backend_fixture left_open;
static void at_exit_close(void) { fh_backend_fixture_close(&left_open); }

static void closes_at_exit(void) {
  atexit(at_exit_close);
  open_fake(0, &left_open);
  FH_EXPECT_OK(fh_cuda_run_axpy(left_open.device));
}

static void shares_the_context(void) {
  fh_backend_fixture a, b;
  open_fake(0, &a);
  open_fake(0, &b);
  FH_EXPECT_OK(fh_cuda_run_axpy(a.device));
  fh_backend_fixture_close(&a);
  FH_EXPECT_OK(fh_cuda_run_axpy(b.device)); /* the other's end did not end this one's context */
  fh_backend_fixture_close(&b);
  assert_int_equal(fh_cuda_calls("cuDevicePrimaryCtxRetain"), 2);
  assert_int_equal(fh_cuda_calls("cuDevicePrimaryCtxRelease_v2"), 2);
  assert_int_equal(fh_cuda_calls("cuCtxPushCurrent_v2"), fh_cuda_calls("cuCtxPopCurrent_v2"));
}

/* ---- two threads, one text --------------------------------------------------------------------------------------------------- */

typedef struct preparer {
  fh_device *device;
  const fh_kernel_image *image;
  fh_executable *executable;
  fh_status status;
} preparer;

static void *prepare_on_a_thread(void *arg) {
  preparer *p = arg;
  p->status = api->prepare(p->device, &(fh_recipe){.image = p->image}, &p->executable);
  return NULL;
}

/* The lock is free while the driver compiles, so both may load it: one of the two modules stays. */
static void is_compiled_by_two_threads(void) {
  fh_backend_fixture f;
  pthread_t threads[2];
  preparer both[2];
  fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, &f);
  const fh_kernel_image *image = fh_cuda_axpy();
  for (int i = 0; i < 2; i++) {
    both[i] = (preparer){.device = f.device, .image = image};
    assert_int_equal(pthread_create(&threads[i], NULL, prepare_on_a_thread, &both[i]), 0);
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    FH_EXPECT_OK(both[i].status);
  }
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx") - fh_cuda_calls("cuModuleUnload"), 1);
  for (int i = 0; i < 2; i++) api->release(both[i].executable);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx") - fh_cuda_calls("cuModuleUnload"), 0);
}

/* ---- others in the process ------------------------------------------------------------------------------------------ */

static void *run_on_a_thread(void *device) {
  FH_EXPECT_OK(fh_cuda_run_axpy(device));
  return NULL;
}

/* Another library, on the same primary context, makes a graph in the mode that forbids all threads what is unsafe meanwhile: our calls do
 * not mind, on its thread and on others, and spoil nothing. */
static void works_while_others_capture(void) {
  fh_backend_fixture f;
  fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, &f);
  const fh_cuda_functions *fn = f.device->fn;
  fh_cu_stream theirs;
  fh_cu_graph graph = NULL;
  fh_cu_context context;
  pthread_t thread;
  assert_int_equal(fn->cuCtxPushCurrent_v2(f.device->context), 0);
  assert_int_equal(fn->cuStreamCreate(&theirs, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuStreamBeginCapture_v2(theirs, FH_CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  assert_int_equal(pthread_create(&thread, NULL, run_on_a_thread, f.device), 0);
  pthread_join(thread, NULL);
  assert_int_equal(fn->cuStreamEndCapture(theirs, &graph), 0);
  assert_int_equal(fn->cuGraphDestroy(graph), 0);
  fh_cu_capture_mode mode = FH_CU_STREAM_CAPTURE_MODE_GLOBAL;
  assert_int_equal(fn->cuThreadExchangeStreamCaptureMode(&mode), 0);
  assert_int_equal(mode, FH_CU_STREAM_CAPTURE_MODE_GLOBAL); /* the thread's own is as it was */
  assert_int_equal(fn->cuStreamDestroy_v2(theirs), 0);
  assert_int_equal(fn->cuCtxPopCurrent_v2(&context), 0);
  fh_backend_fixture_close(&f);
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  static const fh_cuda_case cases[] = {
      {.name = "is compiled by two threads", .faults = "cuModuleLoadDataEx@1=sleep=0.3", .run = is_compiled_by_two_threads},
      {.name = "works while others capture", .run = works_while_others_capture},
      {.name = "keeps the rules", .settings = "devices=2", .run = keeps_the_rules},
      {.name = "keeps the rules when commands take time", .settings = "devices=2,delay=0.001", .run = keeps_the_rules},
      {.name = "keeps the rules with memory pools", .settings = "devices=2,pools=1,delay=0.001", .run = keeps_the_rules},
      {.name = "tells what it found",
       .settings = "devices=2,memory=512MiB,version=12060,capability=86,multiprocessors=7",
       .run = tells_what_it_found},
      {.name = "tells slices apart", .settings = "devices=2,mig=1", .run = tells_slices_apart},
      {.name = "refuses a stand-in", .run = refuses_a_stand_in},
      {.name = "runs every kernel", .run = runs_every_kernel},
      {.name = "compiles once", .run = compiles_once},
      {.name = "shows the compiler's log", .run = shows_the_compilers_log},
      {.name = "refuses an old GPU", .settings = "capability=52", .run = refuses_an_old_gpu},
      {.name = "checks launches", .settings = "devices=2", .run = checks_launches},
      {.name = "reuses memory", .run = reuses_memory},
      {.name = "gives kept memory back when short", .settings = "memory=128MiB", .run = gives_kept_memory_back_when_short},
      {.name = "reuses memory in order", .settings = "delay=0.2", .run = reuses_memory_in_order},
      {.name = "many batches in flight", .run = many_batches_in_flight},
      {.name = "points keep their events", .settings = "delay=0.003", .run = points_keep_their_events},
      {.name = "events are few", .run = events_are_few},
      {.name = "waits with a limit", .settings = "delay=0.6", .run = waits_with_a_limit},
      {.name = "survives every failed allocation", .run = survives_every_failed_allocation},
      {.name = "a fork is refused", .run = a_fork_is_refused},
      {.name = "closes at exit", .run = closes_at_exit},
      {.name = "shares the context", .run = shares_the_context},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
