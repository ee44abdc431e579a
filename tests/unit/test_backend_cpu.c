/* The CPU backend: the rules of backend.h, ISA caps, launches small and large, tuned variants. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cmocka.h>

#include "backends/cpu/cpu_machine.h"
#include "tests/support/backend_suite.h"
#include "tests/support/fail_alloc.h"

extern const fh_backend_api fh_backend_cpu;

/* ---- a kernel of our own: y[i] += i * scale for the items, and who ran them --------------------------------- */

enum { LARGE = 300001 };
static int calls;

static void probe_items(const fh_slot *slots, int64_t first, int64_t last) {
  __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
  float *y = slots[0].p;
  for (int64_t i = first; i < last; i++) y[i] += (float)(i % 1000) * slots[2].f + (float)slots[1].i;
}

/* A denormal halves to another one unless the thread flushes them. */
static void denormal_items(const fh_slot *slots, int64_t first, int64_t last) {
  float *y = slots[0].p;
  for (int64_t i = first; i < last; i++) {
    volatile float x = 1e-40f;
    y[i] = x * 0.5f;
  }
}

static const fh_param probe_params[] = {{"y", FH_OPERAND_INOUT}, {"add", FH_OPERAND_I64}, {"scale", FH_OPERAND_F32}};
static const fh_entry_image entries[] = {
    {.entry = "probe", .params = probe_params, .param_count = 3, .cpu = {[FH_ISA_SCALAR] = probe_items}},
    {.entry = "denormal", .params = probe_params, .param_count = 1, .cpu = {[FH_ISA_SCALAR] = denormal_items}},
};
static const fh_kernel_contract contract = {.name = "probe"};
static const fh_kernel_image image = {.contract = &contract, .entries = entries, .entry_count = 2};

/* ---- a tuned variant: counts into scratch, one cell per worker, then adds up -------------------------------- */

static void *scratch_seen[4];
static int launches_seen, team_size_seen;

typedef struct team_work {
  int64_t *cells;
  float *y;
} team_work;

static void team_piece(void *arg, int64_t i, int worker) {
  team_work *work = arg;
  work->cells[worker * 8] += i;
  work->y[i] = (float)i;
}

static void probe_team(const fh_slot *slots, const fh_team *team) {
  team_size_seen = team->size;
  scratch_seen[launches_seen++ % 4] = team->scratch;
  memset(team->scratch, 0, (size_t)team->size * 64);
  team_work work = {team->scratch, slots[0].p};
  team->parallel(team, slots[1].i, team_piece, &work);
  int64_t sum = 0;
  for (int w = 0; w < team->size; w++) sum += work.cells[w * 8];
  work.y[slots[1].i] = (float)sum;
}

static size_t probe_scratch(const fh_bound *bound, int team_size) { return (size_t)team_size * 64 + bound->temp_bytes[0]; }
static const fh_tuned tuned = {.name = "tuned", .isa = FH_ISA_SCALAR, .fn = probe_team, .scratch_bytes = probe_scratch};

/* ---- help -------------------------------------------------------------------------------------------------- */

typedef struct bench {
  fh_backend_fixture f;
  fh_stream *stream;
  fh_executable *executable;
} bench;

static bench open_bench(int threads, int entry, const fh_tuned *variant) {
  bench b;
  fh_backend_fixture_open(&fh_backend_cpu, &(fh_backend_options){.threads = threads, .isa_cap = -1}, 0, &b.f);
  FH_EXPECT_OK(b.f.api->stream_open(b.f.device, &b.stream));
  FH_EXPECT_OK(b.f.api->prepare(b.f.device, &(fh_recipe){.image = &image, .entry = entry, .tuned = variant}, &b.executable));
  return b;
}

static void close_bench(bench *b) {
  b->f.api->release(b->executable);
  b->f.api->stream_close(b->stream);
  fh_backend_fixture_close(&b->f);
}

static fh_command launch_of(bench *b, const fh_launch_operand *operands, int count, int64_t items, double flops) {
  return (fh_command){
      .kind = FH_COMMAND_LAUNCH,
      .launch = {.executable = b->executable, .items = items, .flops_per_item = flops, .operands = operands, .operand_count = count}};
}

static void launch_probe(bench *b, float *y, int64_t items, double flops) {
  const fh_launch_operand operands[] = {
      {.kind = FH_OPERAND_INOUT, .place = {.host = y}}, {.kind = FH_OPERAND_I64, .i = 3}, {.kind = FH_OPERAND_F32, .f = 0.5f}};
  fh_command command = launch_of(b, operands, 3, items, flops);
  FH_EXPECT_OK(fh_backend_run(b->f.api, b->stream, &command, 1));
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

static void keeps_the_rules(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_backend_fixture_open(&fh_backend_cpu, &(fh_backend_options){.isa_cap = -1}, 0, &f);
  fh_backend_suite(&f);
  assert_string_equal(f.info.id, "cpu");
  assert_int_equal(f.info.kind, FH_DEVICE_CPU);
  assert_true(f.info.host_memory && f.info.exact && f.info.compute_units >= 1);
  assert_true(f.info.peak_flops > 1e8 && f.info.peak_bytes_per_s > 1e8 && f.info.memory_bytes > (1 << 20));
  uint64_t free_bytes = 0;
  FH_EXPECT_OK(f.api->query_free_memory(f.device, &free_bytes));
  assert_true(free_bytes > 0 && free_bytes <= f.info.memory_bytes);
  fh_backend_fixture_close(&f);
}

static void launches_run_every_item_once(void **state) {
  (void)state;
  const int thread_counts[] = {1, 2, 5};
  const int64_t items[] = {0, 1, 2, 1000, LARGE};
  const double flops[] = {0, 1, 1e9, -3};
  float *y = malloc(LARGE * sizeof *y);
  for (size_t t = 0; t < 3; t++) {
    bench b = open_bench(thread_counts[t], 0, NULL);
    assert_int_equal(b.f.info.compute_units, thread_counts[t]);
    for (size_t i = 0; i < 5; i++)
      for (size_t p = 0; p < 4; p++) {
        if (flops[p] > 1 && items[i] > 1000) continue; /* a chunk per item: slow under sanitizers */
        memset(y, 0, LARGE * sizeof *y);
        launch_probe(&b, y, items[i], flops[p]);
        for (int64_t k = 0; k < LARGE; k++) assert_true(y[k] == (k < items[i] ? (float)(k % 1000) * 0.5f + 3 : 0.0f));
      }
    close_bench(&b);
  }
  free(y);
}

static int calls_of(bench *b, float *y, int64_t items, double flops) {
  calls = 0;
  launch_probe(b, y, items, flops);
  return calls;
}

static void small_work_stays_with_the_caller(void **state) {
  (void)state;
  float *y = calloc(LARGE, sizeof *y);
  bench b = open_bench(2, 0, NULL);
  assert_int_equal(calls_of(&b, y, 1000, 1), 1);
  assert_true(calls_of(&b, y, LARGE, 10) > 1);
  assert_true(calls_of(&b, y, LARGE, 1e9) > 1);
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* the workers sleep: */
  assert_int_equal(calls_of(&b, y, 100000, 1), 1);          /* not worth waking them, */
  bool woken = false;
  for (int i = 0; i < 1000 && !woken; i++) woken = calls_of(&b, y, 100000, 1) > 1; /* but a loop of such launches is */
  assert_true(woken);
  close_bench(&b);
  b = open_bench(1, 0, NULL);
  assert_int_equal(calls_of(&b, y, LARGE, 10), 1); /* nobody to share it with */
  close_bench(&b);
  free(y);
}

static void operands_are_checked(void **state) {
  (void)state;
  float y[8] = {0};
  const fh_launch_operand right[] = {{.kind = FH_OPERAND_OUT, .place = {.host = y}}, {.kind = FH_OPERAND_I64}, {.kind = FH_OPERAND_F32}};
  const fh_launch_operand wrong_kind[] = {
      {.kind = FH_OPERAND_INOUT, .place = {.host = y}}, {.kind = FH_OPERAND_F32}, {.kind = FH_OPERAND_F32}};
  struct {
    const fh_launch_operand *operands;
    int count;
    fh_code code;
  } const cases[] = {{right, 3, FH_CODE_OK}, {right, 2, FH_INVALID_ARGUMENT}, {wrong_kind, 3, FH_INVALID_ARGUMENT}};
  for (size_t i = 0; i < 3; i++) {
    bench b = open_bench(1, 0, NULL);
    fh_command command = launch_of(&b, cases[i].operands, cases[i].count, 1, 1);
    fh_expect_code(fh_backend_run(b.f.api, b.stream, &command, 1), cases[i].code);
    close_bench(&b);
  }
  bench b = open_bench(1, 0, NULL);
  fh_command none = {.kind = FH_COMMAND_LAUNCH};
  fh_expect_code(fh_backend_run(b.f.api, b.stream, &none, 1), FH_INVALID_ARGUMENT);
  close_bench(&b);
}

static void kernels_work_on_device_memory(void **state) {
  (void)state;
  bench b = open_bench(2, 0, NULL);
  fh_memory *memory = NULL;
  FH_EXPECT_OK(b.f.api->alloc(b.f.device, 4096, &memory));
  float *y = b.f.api->map(memory);
  memset(y, 0, 4096);
  fh_launch_operand operands[] = {
      {.kind = FH_OPERAND_INOUT, .place = {.memory = memory, .offset = 40}}, {.kind = FH_OPERAND_I64, .i = 2}, {.kind = FH_OPERAND_F32}};
  fh_command command = launch_of(&b, operands, 3, 4, 1);
  FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
  for (int i = 0; i < 1024; i++) assert_true(y[i] == (i >= 10 && i < 14 ? 2.0f : 0.0f));
  operands[0].place.offset = 4097;
  fh_expect_code(fh_backend_run(b.f.api, b.stream, &command, 1), FH_OUT_OF_RANGE);
  close_bench(&b);
  fh_backend_cpu.free(memory);
}

static void tuned_variants_get_a_team_and_keep_their_scratch(void **state) {
  (void)state;
  enum { N = 500 };
  float y[N + 1];
  bench b = open_bench(3, 0, &tuned);
  fh_bound bound = {.temp_bytes = {1000}};
  const fh_launch_operand operands[] = {
      {.kind = FH_OPERAND_INOUT, .place = {.host = y}}, {.kind = FH_OPERAND_I64, .i = N}, {.kind = FH_OPERAND_F32}};
  fh_command command = launch_of(&b, operands, 3, N, 1e6);
  command.launch.bound = &bound;
  launches_seen = 0;
  for (int i = 0; i < 3; i++) {
    memset(y, 0, sizeof y);
    FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
    for (int k = 0; k < N; k++) assert_true(y[k] == (float)k);
    assert_true(y[N] == N * (N - 1) / 2);
  }
  assert_int_equal(team_size_seen, 3);
  assert_non_null(scratch_seen[0]);
  assert_int_equal((uintptr_t)scratch_seen[0] % 64, 0);
  assert_ptr_equal(scratch_seen[0], scratch_seen[1]);
  assert_ptr_equal(scratch_seen[0], scratch_seen[2]);
  command.launch.flops_per_item = 1; /* little work: no team */
  FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
  assert_int_equal(team_size_seen, 1);
  assert_true(y[N] == N * (N - 1) / 2);
  command.launch.items = 0;
  int before = launches_seen;
  FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
  assert_int_equal(launches_seen, before);
  command.launch.items = N;
  bound.temp_bytes[0] = PTRDIFF_MAX;
  fh_expect_code(fh_backend_run(b.f.api, b.stream, &command, 1), FH_RESOURCE_EXHAUSTED);
  close_bench(&b);
}

static void the_cap_is_obeyed(void **state) {
  (void)state;
  fh_cpu_machine machine;
  FH_EXPECT_OK(fh_cpu_machine_read(NULL, &machine));
  fh_entry_image every = entries[0];
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) every.cpu[isa] = probe_items;
  const fh_kernel_image all = {.contract = &contract, .entries = &every, .entry_count = 1};
  for (int cap = -1; cap < FH_ISA_COUNT; cap++) {
    fh_backend *backend = NULL;
    fh_status status = fh_backend_cpu.open(&(fh_backend_options){.isa_cap = cap}, &backend);
    if (status) { /* an ISA of another architecture */
      fh_expect_code(status, FH_INVALID_ARGUMENT);
      assert_null(backend);
      continue;
    }
    fh_device *device = NULL;
    FH_EXPECT_OK(fh_backend_cpu.device_open(backend, 0, &device));
    for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
      bool usable = !machine.why_not[isa] && (cap < 0 || isa <= cap);
      fh_executable *executable = NULL;
      fh_expect_code(fh_backend_cpu.prepare(device, &(fh_recipe){.image = &all, .isa = (fh_isa)isa}, &executable),
                     usable ? FH_CODE_OK : FH_INCOMPATIBLE);
      fh_backend_cpu.release(executable);
    }
    fh_backend_cpu.device_close(device);
    fh_backend_cpu.destroy(backend);
  }
}

static void bad_recipes_and_options_are_refused(void **state) {
  (void)state;
  bench b = open_bench(1, 0, NULL);
  fh_executable *executable = NULL;
  fh_expect_code(b.f.api->prepare(b.f.device, &(fh_recipe){.image = &image, .entry = 2}, &executable), FH_INVALID_ARGUMENT);
  fh_expect_code(b.f.api->prepare(b.f.device, &(fh_recipe){.image = &image, .entry = -1}, &executable), FH_INVALID_ARGUMENT);
  fh_expect_code(b.f.api->prepare(b.f.device, &(fh_recipe){.image = &image, .isa = (fh_isa)77}, &executable), FH_INVALID_ARGUMENT);
  fh_entry_image none = entries[0];
  none.cpu[FH_ISA_SCALAR] = NULL;
  const fh_kernel_image empty = {.contract = &contract, .entries = &none, .entry_count = 1};
  fh_expect_code(b.f.api->prepare(b.f.device, &(fh_recipe){.image = &empty}, &executable), FH_UNAVAILABLE);
  assert_null(executable);
  close_bench(&b);
  fh_backend *backend = NULL;
  fh_expect_code(fh_backend_cpu.open(&(fh_backend_options){.threads = -1, .isa_cap = -1}, &backend), FH_INVALID_ARGUMENT);
  fh_expect_code(fh_backend_cpu.open(&(fh_backend_options){.threads = 1 << 20, .isa_cap = -1}, &backend), FH_INVALID_ARGUMENT);
  fh_expect_code(fh_backend_cpu.open(&(fh_backend_options){.isa_cap = 99}, &backend), FH_INVALID_ARGUMENT);
  assert_null(backend);
}

static void kernels_do_not_inherit_the_callers_float_mode(void **state) {
  (void)state;
#if defined(__x86_64__)
  float *y = calloc(LARGE, sizeof *y);
  const fh_launch_operand operands[] = {{.kind = FH_OPERAND_INOUT, .place = {.host = y}}};
  unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);      /* flush denormals, also on input */
  bench b = open_bench(2, 1, NULL); /* workers started now inherit the mode */
  fh_command command = launch_of(&b, operands, 1, LARGE, 100);
  FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
  assert_int_equal(_mm_getcsr() & 0x8040, 0x8040); /* the caller's mode is given back */
  _mm_setcsr(before);
  for (int i = 0; i < LARGE; i++) assert_true(y[i] == 0.5e-40f && y[i] != 0);
  close_bench(&b);
  free(y);
#else
  print_message("NOT RUN: the mode that flushes subnormals is set here by an x86-64 register only\n");
  skip();
#endif
}

static fh_status open_all(fh_backend **backend, fh_device **device, fh_memory **memory, fh_stream **stream, fh_executable **executable) {
  FH_TRY(fh_backend_cpu.open(&(fh_backend_options){.threads = 2, .isa_cap = -1}, backend));
  FH_TRY(fh_backend_cpu.device_open(*backend, 0, device));
  FH_TRY(fh_backend_cpu.alloc(*device, 100, memory));
  FH_TRY(fh_backend_cpu.prepare(*device, &(fh_recipe){.image = &image}, executable));
  return fh_backend_cpu.stream_open(*device, stream);
}

static void survives_every_failed_allocation(void **state) {
  (void)state;
  if (!fh_fail_alloc_possible()) {
    print_message("NOT RUN: this build's allocator cannot be made to fail (sanitizers bring their own)\n");
    skip();
  }
  bool failed = true, ok = false;
  for (int n = 0; failed && n < 3000; n++) {
    fh_backend *backend = NULL;
    fh_device *device = NULL;
    fh_memory *memory = NULL;
    fh_stream *stream = NULL;
    fh_executable *executable = NULL;
    fh_fail_alloc(n);
    fh_status status = open_all(&backend, &device, &memory, &stream, &executable);
    failed = fh_fail_alloc_end();
    ok = status == FH_OK; /* with memory short for a fact, the fact is unknown and the backend opens */
    if (!ok) fh_expect_code(status, FH_RESOURCE_EXHAUSTED);
    if (!ok) assert_true(failed);
    fh_backend_cpu.stream_close(stream);
    fh_backend_cpu.release(executable);
    fh_backend_cpu.free(memory);
    if (device) fh_backend_cpu.device_close(device);
    fh_backend_cpu.destroy(backend);
  }
  assert_true(ok && !failed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_the_rules),
      cmocka_unit_test(launches_run_every_item_once),
      cmocka_unit_test(small_work_stays_with_the_caller),
      cmocka_unit_test(operands_are_checked),
      cmocka_unit_test(kernels_work_on_device_memory),
      cmocka_unit_test(tuned_variants_get_a_team_and_keep_their_scratch),
      cmocka_unit_test(the_cap_is_obeyed),
      cmocka_unit_test(bad_recipes_and_options_are_refused),
      cmocka_unit_test(kernels_do_not_inherit_the_callers_float_mode),
      cmocka_unit_test(survives_every_failed_allocation),
  };
  return cmocka_run_group_tests_name("backend_cpu", tests, NULL, NULL);
}
