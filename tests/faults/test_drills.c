/* Fault drills: a job on the stand-in CUDA driver that fails in a chosen way must end with the right result, one WARN block per
 * distinct cause, exact counts, and a report that tells the truth. SPDX-License-Identifier: Apache-2.0
 * TEST: label=full timeout=240 fakes=yes sanitize=yes cross=no
 *
 * A driver is loaded once per process, so each drill runs in a process of its own: this program started again with the drill's name
 * and its fault script. The child prints one line of facts about its job; the parent judges it.
 */
#include <inttypes.h>
#include <math.h>
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
#include <foghorn/foghorn.h>

#include "detect/findings.h"

enum { ROWS = 600, DIMS = 24, CLUSTERS = 5, CHAIN = 12, NOT_RUN = 77 };

/* ---- the job (child) ------------------------------------------------------------------------------------------- */

static void stop_on(fh_status status, const char *where) {
  if (!status) return;
  printf("STATUS %s %s %s\n", where, fh_code_name(fh_status_code(status)), fh_status_cause(status) ? fh_status_cause(status) : "-");
  fprintf(stderr, "%s\n", fh_status_message(status));
  exit(3);
}

static uint64_t fnv(uint64_t hash, const void *data, size_t size) {
  for (size_t i = 0; i < size; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
  return hash;
}

/* A chain whose middle results are never read by the host: y = softmax(x), then y = 0.5 y + y and layer_norm again and again. */
static uint64_t run_chain(fh_context *context, uint64_t hash) {
  fh_queue *queue = fh_context_queue(context);
  fh_view x, y, gamma, beta;
  stop_on(fh_view_create(context, FH_F32, FH_SHAPE(ROWS, DIMS), FH_ROW_MAJOR, &x), "create");
  stop_on(fh_view_create(context, FH_F32, FH_SHAPE(ROWS, DIMS), FH_ROW_MAJOR, &y), "create");
  stop_on(fh_view_create(context, FH_F32, FH_SHAPE(DIMS), FH_ROW_MAJOR, &gamma), "create");
  stop_on(fh_view_create(context, FH_F32, FH_SHAPE(DIMS), FH_ROW_MAJOR, &beta), "create");
  float *data;
  stop_on(fh_view_map(&x, FH_WRITE, (void **)&data), "map");
  for (int i = 0; i < ROWS * DIMS; i++) data[i] = (float)((i * 2654435761u) >> 8 & 0xffff) / 4096.0f - 8;
  stop_on(fh_view_map(&gamma, FH_WRITE, (void **)&data), "map");
  for (int i = 0; i < DIMS; i++) data[i] = 1 + (float)i / 8;
  stop_on(fh_softmax(queue, &x, &y, NULL), "softmax");
  fh_event event = {0};
  for (int i = 0; i < CHAIN; i++) {
    stop_on(fh_axpy(queue, 0.5f, &x, &y, NULL), "axpy");
    stop_on(fh_layer_norm(queue, &y, &gamma, &beta, &y, 1e-5f, &event), "layer_norm");
  }
  stop_on(fh_event_wait(event, FH_FOREVER), "wait");
  stop_on(fh_view_map(&y, FH_READ, (void **)&data), "map");
  hash = fnv(hash, data, sizeof(float) * ROWS * DIMS);
  fh_view *views[] = {&x, &y, &gamma, &beta};
  for (int i = 0; i < 4; i++) fh_view_release(views[i]);
  return hash;
}

static uint64_t run_kmeans(fh_context *context, uint64_t hash) {
  static float points[ROWS * DIMS];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < DIMS; j++) points[i * DIMS + j] = (float)(i % CLUSTERS) * 3 + (float)((i * 31 + j * 17) % 101) / 101.0f;
  fh_view x;
  stop_on(fh_view_wrap(context, points, FH_F32, FH_SHAPE(ROWS, DIMS), FH_ROW_MAJOR, FH_READ, &x), "wrap");
  fh_kmeans_options options = {.k = CLUSTERS, .max_iterations = 10, .seed = 7};
  fh_kmeans_result result;
  stop_on(fh_kmeans(fh_context_queue(context), &x, &options, &result), "kmeans");
  hash = fnv(hash, result.labels, sizeof *result.labels * ROWS);
  hash = fnv(hash, result.centroids, sizeof *result.centroids * CLUSTERS * DIMS);
  fh_kmeans_result_free(&result);
  fh_view_release(&x);
  return hash;
}

static int job(const char *devices, const char *fallback) {
  fh_context_options options = {.devices = *devices ? devices : NULL, .numerics = FH_EXACT, .allow_fake = true};
  if (strcmp(fallback, "error") == 0) options.fallback = FH_FALLBACK_ERROR;
  fh_context *context;
  stop_on(fh_context_create(&options, &context), "context");
  uint64_t hash = run_chain(context, 14695981039346656037u);
  hash = run_kmeans(context, hash);
  fh_counters c;
  fh_context_counters(context, &c);
  printf("JOB hash=%016" PRIx64 " launches=%" PRIu64 " intended=%" PRIu64 " elsewhere=%" PRIu64 " failed=%" PRIu64 " warnings=%" PRIu64
         " replayed=%" PRIu64 "\n",
         hash, c.launches, c.executed_intended, c.executed_elsewhere, c.failed, c.fallback_warnings, c.replayed);
  char *report;
  stop_on(fh_report(context, false, &report), "report");
  printf("%s", report);
  free(report);
  fh_context_release(context);
  return 0;
}

/* ---- the judge (parent) ------------------------------------------------------------------------------------------ */

static const char *self;

typedef struct outcome {
  int exit_status;
  char out[16384], err[16384];
  uint64_t hash, launches, intended, elsewhere, failed, warnings, replayed;
} outcome;

static void read_all(FILE *file, char *out, size_t size) {
  rewind(file);
  out[fread(out, 1, size - 1, file)] = 0;
  fclose(file);
}

static bool with_driver = true; /* the stand-in is on the library path */

static const char usual_settings[] = "devices=1,memory=256MiB", *settings = usual_settings; /* of the stand-in */

static outcome drill(const char *devices, const char *fallback, const char *faults) {
  outcome result = {.exit_status = -1};
  FILE *out = tmpfile(), *err = tmpfile();
  assert_true(out && err);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    if (!with_driver) unsetenv("LD_LIBRARY_PATH");
    setenv("FOGHORN_FAKE_CUDA", settings, 1);
    setenv("FOGHORN_FAKE_CUDA_FAULTS", faults, 1);
    execl(self, self, "--job", devices, fallback, (char *)NULL);
    _exit(127);
  }
  int status;
  waitpid(child, &status, 0);
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  read_all(out, result.out, sizeof result.out);
  read_all(err, result.err, sizeof result.err);
  const char *line = strstr(result.out, "JOB ");
  if (line)
    sscanf(line,
           "JOB hash=%" SCNx64 " launches=%" SCNu64 " intended=%" SCNu64 " elsewhere=%" SCNu64 " failed=%" SCNu64 " warnings=%" SCNu64
           " replayed=%" SCNu64,
           &result.hash, &result.launches, &result.intended, &result.elsewhere, &result.failed, &result.warnings, &result.replayed);
  return result;
}

static int count(const char *text, const char *part) {
  int n = 0;
  for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) n++;
  return n;
}

#define CHECK(outcome, condition)                                                                                        \
  do {                                                                                                                   \
    if (!(condition)) print_error("not so: %s\n--- stdout\n%s--- stderr\n%s", #condition, (outcome).out, (outcome).err); \
    assert_true(condition);                                                                                              \
  } while (0)

static outcome on_cpu; /* what the right result is */

static int reference(void **state) {
  (void)state;
  on_cpu = drill("cpu", "", "");
  return on_cpu.exit_status != 0 || on_cpu.hash == 0;
}

/* Each block sends its reader to a cause that the catalogue has, and gives a fix. */
static void check_blocks(const outcome *o) {
  static const char more[] = "devprobe cause ";
  int blocks = count(o->err, "FALLBACK"), causes = 0;
  for (const char *at = strstr(o->err, more); at; at = strstr(at, more)) {
    char id[48];
    at += sizeof more - 1;
    snprintf(id, sizeof id, "%.*s", (int)strcspn(at, " \n"), at);
    CHECK(*o, fh_cause_find(id) != NULL);
    causes++;
  }
  CHECK(*o, causes >= blocks);
  CHECK(*o, !strstr(o->err, "fix     \n"));
  CHECK(*o, count(o->err, "  fix     ") >= blocks);
}

/* The job ended right, every launch is accounted for, and each distinct fallback was said once. */
static void check_finished(const outcome *o) {
  CHECK(*o, o->exit_status == 0);
  CHECK(*o, o->hash == on_cpu.hash);
  CHECK(*o, o->launches == on_cpu.launches);
  CHECK(*o, o->failed == 0);
  CHECK(*o, o->intended + o->elsewhere == o->launches);
  CHECK(*o, (uint64_t)count(o->err, "FALLBACK") == o->warnings);
  check_blocks(o);
}

static void healthy_device_runs_everything(void **state) {
  (void)state;
  outcome o = drill("cuda:0,cpu", "", "");
  check_finished(&o);
  CHECK(o, o.elsewhere == 0 && o.warnings == 0);
  CHECK(o, strstr(o.out, "cuda:0") != NULL);
  CHECK(o, strstr(o.err, "FALLBACK") == NULL);
}

static void device_lost_in_the_middle(void **state) {
  (void)state;
  static const char *const scripts[] = {"cuLaunchKernel@60=719",    "cuLaunchKernel@58=700",      "cuEventRecord@62=999",
                                        "cuMemcpyDtoHAsync@32=719", "cuLaunchKernel@61=late:214", "cuLaunchKernel@60+=709",
                                        "cuCtxPushCurrent@270+=201"};
  int lost = 0;
  for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
    outcome o = drill("cuda:0,cpu", "", scripts[i]);
    check_finished(&o);
    if (o.elsewhere == 0) continue; /* the job makes fewer of these calls */
    lost++;
    CHECK(o, count(o.err, "device cuda:0 lost") == 1);
    CHECK(o, count(o.err, "FALLBACK") == 1); /* one cause, one block, however many kernels it moves */
    CHECK(o, o.intended > 0);
  }
  assert_true(lost >= 5);
}

static void results_that_lived_only_on_the_device_are_made_again(void **state) {
  (void)state;
  uint64_t replayed = 0;
  for (int at = 10; at < 45; at += 2) {
    char script[64];
    snprintf(script, sizeof script, "cuLaunchKernel@%d=719", at);
    outcome o = drill("cuda:0,cpu", "", script);
    check_finished(&o);
    replayed += o.replayed;
  }
  assert_true(replayed > 0);
}

static void out_of_memory_in_the_middle(void **state) {
  (void)state;
  outcome o = drill("cuda:0,cpu", "", "cuMemAlloc@30+=OOM");
  check_finished(&o);
  o = drill("cuda:0,cpu", "", "cuMemAlloc@1+=OOM"); /* never any memory */
  check_finished(&o);
  CHECK(o, o.elsewhere == o.launches && o.warnings > 0);
}

/* The driver's promise of memory pools is broken from the start, in the middle, and kept. */
static void memory_pools(void **state) {
  (void)state;
  settings = "devices=1,memory=256MiB,pools=1";
  outcome o = drill("cuda:0,cpu", "", "");
  check_finished(&o);
  CHECK(o, o.elsewhere == 0 && o.warnings == 0 && !strstr(o.err, "memory pools"));
  o = drill("cuda:0,cpu", "", "cuMemAllocFromPoolAsync@1+=OOM");
  check_finished(&o);
  CHECK(o, o.elsewhere == 0 && count(o.err, "memory pools") == 1);
  o = drill("cuda:0,cpu", "", "cuMemAllocFromPoolAsync@6+=OOM");
  check_finished(&o);
  CHECK(o, o.elsewhere == 0 && count(o.err, "the pool is given up") == 1);
  o = drill("cuda:0,cpu", "", "cuMemAllocFromPoolAsync@6+=OOM;cuMemAlloc@1+=OOM"); /* it is memory that is short */
  check_finished(&o);
  CHECK(o, !strstr(o.err, "the pool is given up"));
  settings = usual_settings;
}

static void build_failure(void **state) {
  (void)state;
  outcome o = drill("cuda:0,cpu", "", "cuModuleLoadDataEx@1+=218;cuModuleLoadData@1+=218");
  check_finished(&o);
  CHECK(o, o.elsewhere == o.launches);
  CHECK(o, o.warnings > 0);
}

static void driver_that_fails_to_start(void **state) {
  (void)state;
  static const char *const scripts[] = {"cuInit@1=999", "cuInit@1=100", "cuInit@1=crash", "cuInit@1=exit", "cuInit@1=3"};
  for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
    outcome o = drill("", "", scripts[i]); /* the planner's own choice: no list */
    check_finished(&o);
  }
}

static void driver_that_hangs(void **state) {
  (void)state;
  outcome o = drill("", "", "cuInit@1=hang");
  check_finished(&o);
}

static void explicit_device_is_refused_with_the_decision(void **state) {
  (void)state;
  outcome o = drill("cuda:0", "", "cuInit@1=999");
  CHECK(o, o.exit_status == 3);
  CHECK(o, strstr(o.out, "STATUS context") != NULL);
  CHECK(o, strstr(o.err, "cuda:0") != NULL);
  CHECK(o, strstr(o.err, "devprobe cause") != NULL || strstr(o.err, "run devprobe") != NULL);

  o = drill("cuda:0", "", "cuModuleLoadDataEx@1+=218;cuModuleLoadData@1+=218"); /* alone in the list: no fallback */
  CHECK(o, o.exit_status == 3);
  CHECK(o, strstr(o.out, "UNAVAILABLE") != NULL);
  CHECK(o, strstr(o.err, "cpu/scalar") != NULL); /* every candidate with its reason */
}

static void strict_mode_fails_instead_of_falling_back(void **state) {
  (void)state;
  outcome o = drill("cuda:0,cpu", "error", "cuModuleLoadDataEx@1+=218;cuModuleLoadData@1+=218");
  CHECK(o, o.exit_status == 3);
  CHECK(o, strstr(o.err, "strict") != NULL);
  o = drill("cuda:0,cpu", "error", "cuLaunchKernel@25=719");
  CHECK(o, o.exit_status == 3);
}

static void no_gpu_at_all(void **state) {
  (void)state;
  with_driver = false;
  outcome o = drill("", "", "");
  check_finished(&o);
  CHECK(o, o.elsewhere == 0); /* nothing was expected, so nothing is missing */
  o = drill("gpu,cpu", "", "");
  CHECK(o, o.exit_status == 3 && strstr(o.out, "STATUS context") != NULL); /* asked for by name: refused */
  with_driver = true;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "--job") == 0) return job(argv[2], argv[3]);
  self = argv[0];
  if (access(FH_BINARY_DIR "/tests/fakes/libcuda.so.1", R_OK) != 0) {
    printf("NOT RUN: the stand-in CUDA driver was not built\n");
    return NOT_RUN;
  }
  const fh_kernel *kernel;
  if (fh_kernel_find("axpy", &kernel) != FH_OK) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(healthy_device_runs_everything),
      cmocka_unit_test(device_lost_in_the_middle),
      cmocka_unit_test(results_that_lived_only_on_the_device_are_made_again),
      cmocka_unit_test(out_of_memory_in_the_middle),
      cmocka_unit_test(memory_pools),
      cmocka_unit_test(build_failure),
      cmocka_unit_test(driver_that_fails_to_start),
      cmocka_unit_test(driver_that_hangs),
      cmocka_unit_test(explicit_device_is_refused_with_the_decision),
      cmocka_unit_test(strict_mode_fails_instead_of_falling_back),
      cmocka_unit_test(no_gpu_at_all),
  };
  return cmocka_run_group_tests(tests, reference, NULL);
}
