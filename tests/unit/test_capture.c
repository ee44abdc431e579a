/* Launches that are made once and launched often: the results and counts of the same launches one by one, on every backend; one graph on a
 * CUDA device; and what keeps it from being one. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes cross=no timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "kernels/tables.h"
#include "runtime/base/log.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"

enum { N = 300, ROUNDS = 12, SHORT = 1, LONG = 20 };

/* Four views and launches on them: y = exp(x), z = tanh(y), z += x / 2, s += z; `repeats` times. s keeps what all rounds made. */
typedef struct chain {
  fh_context *context;
  fh_queue *queue;
  fh_view x, y, z, s;
  fh_graph *graph; /* NULL: one by one */
} chain;

static void launch_all(chain *c, int repeats) {
  for (int i = 0; i < repeats; i++) {
    FH_EXPECT_OK(fh_exp(c->queue, &c->x, &c->y, NULL));
    FH_EXPECT_OK(fh_tanh(c->queue, &c->y, &c->z, NULL));
    FH_EXPECT_OK(fh_axpy(c->queue, 0.5F, &c->x, &c->z, NULL));
    FH_EXPECT_OK(fh_axpy(c->queue, 1, &c->z, &c->s, NULL));
  }
}

static fh_view zeros(fh_context *context) {
  fh_view view;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, &view));
  return view;
}

static chain open_chain(const char *devices, int repeats, bool captured) {
  chain c = {0};
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = devices, .allow_fake = true}, &c.context));
  c.queue = fh_context_queue(c.context);
  c.x = zeros(c.context), c.y = zeros(c.context), c.z = zeros(c.context), c.s = zeros(c.context);
  if (!captured) return c;
  FH_EXPECT_OK(fh_queue_capture_begin(c.queue));
  launch_all(&c, repeats);
  FH_EXPECT_OK(fh_queue_capture_end(c.queue, &c.graph));
  assert_int_equal(fh_graph_length(c.graph), 4 * repeats);
  return c;
}

static void close_chain(chain *c) {
  fh_graph_release(c->graph);
  fh_view_release(&c->x);
  fh_view_release(&c->y);
  fh_view_release(&c->z);
  fh_view_release(&c->s);
  fh_context_release(c->context);
}

static void set_input(chain *c, int round) {
  float *data;
  FH_EXPECT_OK(fh_view_map(&c->x, FH_WRITE, (void **)&data));
  for (int i = 0; i < N; i++) data[i] = (float)((i * 7 + round * 13) % 41 - 20) / 16;
}

static void run(chain *c, int repeats) {
  if (c->graph)
    FH_EXPECT_OK(fh_graph_launch(c->graph, NULL));
  else
    launch_all(c, repeats);
}

static fh_counters counters_of(const chain *c) {
  fh_counters counters;
  fh_context_counters(c->context, &counters);
  return counters;
}

/* The bits of the scalar text on the CPU, one launch after the other: what all of this must give. */
static void expect_same(chain *c, const float *want) {
  float *got;
  FH_EXPECT_OK(fh_view_map(&c->s, FH_READ, (void **)&got));
  assert_memory_equal(got, want, N * sizeof *want);
}

/* Every round has new data; in some the result is looked at, in others nothing comes home. */
static void run_rounds(chain *c, int repeats, int rounds, float *out) {
  float *s;
  for (int round = 0; round < rounds; round++) {
    if (round % 3 != 2) set_input(c, round);
    run(c, repeats);
    if (round % 4 == 1) FH_EXPECT_OK(fh_view_map(&c->z, FH_READ, (void **)&s));
  }
  if (!out) return;
  FH_EXPECT_OK(fh_view_map(&c->s, FH_READ, (void **)&s));
  memcpy(out, s, N * sizeof *s);
}

static void find_answer(int repeats, int rounds, float *out) {
  chain c = open_chain("cpu", repeats, false);
  run_rounds(&c, repeats, rounds, out);
  close_chain(&c);
}

static bool has_ptx(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (images->ptx) return true;
  printf("NOT RUN: this build has no PTX: %s\n", images->ptx_missing);
  return false;
}

/* The counts of as many launches, wherever they ran. */
static void expect_counts(const chain *c, int repeats, bool elsewhere) {
  const fh_counters counters = counters_of(c);
  assert_int_equal(counters.launches, 4 * repeats * ROUNDS);
  assert_int_equal(counters.executed_intended + counters.executed_elsewhere, counters.launches);
  assert_int_equal(counters.failed, 0);
  if (!elsewhere) assert_int_equal(counters.executed_elsewhere, 0);
}

static void check_on(const char *devices, int repeats, bool elsewhere) {
  float want[N];
  find_answer(repeats, ROUNDS, want);
  chain c = open_chain(devices, repeats, true);
  run_rounds(&c, repeats, ROUNDS, NULL);
  expect_same(&c, want);
  expect_counts(&c, repeats, elsewhere);
  close_chain(&c);
}

static void runs_as_one_graph(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", SHORT, false);
  assert_int_equal(fh_cuda_calls("cuGraphInstantiateWithFlags"), 1);
  assert_true(fh_cuda_calls("cuGraphLaunch") >= 3);
  assert_true(fh_cuda_calls("cuLaunchKernel") < 4 * ROUNDS);
  assert_int_equal(fh_cuda_calls("cuGraphExecDestroy"), 1);
}

/* More than one batch of launches, and more than the log of what may have to be run again holds. */
static void runs_a_long_one(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", LONG, false);
  assert_int_equal(fh_cuda_calls("cuGraphInstantiateWithFlags"), 3);
}

static void goes_on_without_graphs(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", SHORT, false);
  assert_int_equal(fh_cuda_calls("cuGraphLaunch"), 0);
  assert_true(fh_cuda_calls("cuStreamBeginCapture_v2") + fh_cuda_calls("cuGraphInstantiateWithFlags") <= 2); /* not asked again */
}

/* The driver made the graph and does not run it: its launches go one by one, on the same stream, and it is not tried again. */
static void goes_on_where_no_graph_runs(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", SHORT, false);
  assert_int_equal(fh_cuda_calls("cuGraphLaunch"), 1);
  assert_int_equal(fh_cuda_calls("cuGraphExecDestroy"), 1);
  assert_true(fh_cuda_calls("cuStreamCreate") <= 2);
}

/* What the tests below heard. */
static char heard[4096];
static void hear(void *user, int level, const char *lines) {
  (void)user;
  const size_t used = strlen(heard);
  if (level <= FH_LOG_WARN) snprintf(heard + used, sizeof heard - used, "%s", lines);
}

static int times_heard(const char *part) {
  int n = 0;
  for (const char *at = strstr(heard, part); at; at = strstr(at + 1, part)) n++;
  return n;
}

/* The results are those of the CPU, it was said `warnings` times, and each batch that ran without its graph was counted. */
static void check_short(int rounds, int warnings, uint64_t one_by_one, bool with_others) {
  float want[N];
  find_answer(SHORT, rounds, want);
  heard[0] = '\0';
  fh_log_set(hear, NULL);
  chain c = open_chain("cuda:0,cpu", SHORT, true);
  fh_view other = zeros(c.context); /* on the device, and on the host too */
  if (with_others) FH_EXPECT_OK(fh_queue_prefetch(c.queue, &other, "cuda:0", NULL));
  run_rounds(&c, SHORT, rounds, NULL);
  expect_same(&c, want);
  const fh_counters counters = counters_of(&c);
  assert_int_equal(counters.launches, 4 * SHORT * rounds);
  assert_int_equal(counters.executed_intended, counters.launches);
  assert_int_equal(times_heard("ONE BY ONE"), warnings);
  assert_int_equal(times_heard("FALLBACK"), 0);
  assert_int_equal(c.context->account.one_by_one, one_by_one);
  if (with_others) assert_null(other.buffer->replicas[fh_device_named(c.context, "cuda:0")].memory);
  char *report;
  FH_EXPECT_OK(fh_report(c.context, false, &report));
  assert_true(!strstr(report, "ran launch by launch, memory being short") == !one_by_one);
  free(report);
  fh_view_release(&other);
  close_chain(&c);
  fh_log_set(NULL, NULL);
}

/* The second time there is room: what else lay there has gone, and no launch ran without its graph. */
static void makes_room_for_a_graph(void) {
  if (!has_ptx()) return;
  check_short(ROUNDS, 0, 0, true);
  assert_true(fh_cuda_calls("cuGraphLaunch") >= 3);
  assert_true(fh_cuda_calls("cuLaunchKernel") < 4 * ROUNDS);
}

/* There never is: the launches run one by one on the same stream, which is said once and counted, and it is tried again, less and less
 * often. */
static void runs_one_by_one_without_memory(void) {
  enum { ROUNDS_MORE = 56 };
  if (!has_ptx()) return;
  check_short(ROUNDS_MORE, 1, 1 + 16 + 1 + 32, true); /* refused, then at rest */
  assert_true(fh_cuda_calls("cuStreamCreate") <= 2);
  assert_int_equal(fh_cuda_calls("cuGraphExecDestroy"), fh_cuda_calls("cuGraphLaunch") ? 2 : 0);
}

/* A graph takes little. Of many contents that the host has too a few make room the first time, and none where much is free: `gone` are
 * those. */
static void check_room_made(int gone) {
  enum { MANY = 100, ROUNDS_MORE = 40, TRIES = 16 };
  if (!has_ptx()) return;
  float want[N];
  fh_view others[MANY];
  find_answer(SHORT, ROUNDS_MORE, want);
  chain c = open_chain("cuda:0,cpu", SHORT, true);
  for (int i = 0; i < MANY; i++) {
    others[i] = zeros(c.context);
    FH_EXPECT_OK(fh_queue_prefetch(c.queue, &others[i], "cuda:0", NULL));
  }
  run_rounds(&c, SHORT, ROUNDS_MORE, NULL);
  expect_same(&c, want);
  int there = 0;
  for (int i = 0; i < MANY; i++) {
    there += others[i].buffer->replicas[fh_device_named(c.context, "cuda:0")].memory != NULL;
    fh_view_release(&others[i]);
  }
  assert_int_equal(there, MANY - gone);
  assert_in_range(fh_cuda_calls("cuGraphInstantiateWithFlags"), 1, TRIES);
  close_chain(&c);
}

static void gives_up_little_for_a_graph(void) { check_room_made(1 + 2 + 4 + 8); }
static void gives_up_nothing_where_much_is_free(void) { check_room_made(0); }

/* Later there is. */
static void has_memory_again(void) {
  enum { ROUNDS_MORE = 40 };
  if (!has_ptx()) return;
  check_short(ROUNDS_MORE, 1, 1 + 16, false);
  assert_true(fh_cuda_calls("cuGraphLaunch") >= 10);
}

static void survives_a_lost_device(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", SHORT, true);
}

static void survives_a_lost_device_when_long(void) {
  if (!has_ptx()) return;
  check_on("cuda:0,cpu", LONG, true);
}

/* What a graph holds is compared each time: memory that lies elsewhere now makes another one. */
static void follows_memory_that_moves(void) {
  if (!has_ptx()) return;
  float want[N];
  find_answer(SHORT, 3 * ROUNDS, want);
  chain c = open_chain("cuda:0,cpu", SHORT, true);
  for (int i = 0; i < 3; i++) {
    float *s;
    for (int round = 0; round < ROUNDS; round++) {
      const int all = i * ROUNDS + round;
      if (all % 3 != 2) set_input(&c, all);
      run(&c, SHORT);
    }
    FH_EXPECT_OK(fh_view_map(&c.z, FH_READ, (void **)&s));
    fh_view filler = zeros(c.context);
    fh_context_lock(c.context);
    (void)fh_device_trim(c.queue, 0, &(fh_call){.view_count = 0});
    fh_context_unlock(c.context);
    FH_EXPECT_OK(fh_queue_prefetch(c.queue, &filler, "cuda:0", NULL)); /* takes the place of one of them */
    fh_view_release(&filler);
  }
  expect_same(&c, want);
  assert_true(fh_cuda_calls("cuGraphLaunch") >= 6);
  close_chain(&c);
}

/* What only another device held was lost with it, and the graph computes it anew before it reads it. */
static void writes_over_what_was_lost(void) {
  if (!has_ptx()) return;
  float want[N];
  chain c = open_chain("cpu", SHORT, false);
  run_rounds(&c, SHORT, ROUNDS, NULL);
  run_rounds(&c, SHORT, ROUNDS, want);
  close_chain(&c);
  c = open_chain("cuda:0,cuda:1,cpu", SHORT, true);
  FH_EXPECT_OK(fh_queue_pin(c.queue, "cuda:0"));
  run_rounds(&c, SHORT, ROUNDS, NULL);
  assert_true(fh_cuda_calls("cuGraphLaunch") > 0);
  fh_queue *other = NULL;
  FH_EXPECT_OK(fh_queue_create(c.context, &other));
  FH_EXPECT_OK(fh_queue_pin(other, "cuda:1")); /* and so not run again elsewhere */
  FH_EXPECT_OK(fh_exp(other, &c.x, &c.y, NULL));
  fh_context_lock(c.context);
  fh_expect_code(fh_recover(c.context, NULL, fh_device_named(c.context, "cuda:1"), FH_STATUS(FH_UNAVAILABLE, "lost")), FH_DATA_LOSS);
  fh_context_unlock(c.context);
  run_rounds(&c, SHORT, ROUNDS, NULL);
  expect_same(&c, want);
  fh_queue_release(other);
  close_chain(&c);
}

static void on_the_cpu(void) { check_on("cpu", SHORT, false); }

static void on_opencl(void) {
  fh_context *context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "opencl"}, &context);
  if (status) {
    printf("NOT RUN: %s\n", fh_status_message(status));
    fh_status_free(status);
    return;
  }
  fh_context_release(context);
  check_on("opencl", SHORT, false);
}

static void says_what_is_wrong(void) {
  chain c = open_chain("cpu", SHORT, true);
  fh_graph *graph = NULL;
  fh_expect_fails(fh_queue_capture_end(c.queue, &graph), FH_FAILED_PRECONDITION, "the queue does not capture");
  FH_EXPECT_OK(fh_queue_capture_begin(c.queue));
  fh_expect_fails(fh_queue_capture_begin(c.queue), FH_FAILED_PRECONDITION, "the queue captures already");
  fh_expect_fails(fh_graph_launch(c.graph, NULL), FH_FAILED_PRECONDITION, "fh_graph_launch: the queue captures");
  const fh_view none = {0};
  fh_expect_code(fh_exp(c.queue, &none, &c.y, NULL), FH_FAILED_PRECONDITION); /* checked when it is captured */
  FH_EXPECT_OK(fh_exp(c.queue, &c.x, &c.y, NULL));
  FH_EXPECT_OK(fh_queue_capture_end(c.queue, NULL)); /* dropped */
  assert_int_equal(counters_of(&c).launches, 0);
  FH_EXPECT_OK(fh_queue_capture_begin(c.queue)); /* ended by the context */
  FH_EXPECT_OK(fh_exp(c.queue, &c.x, &c.y, NULL));
  close_chain(&c);
}

/* What looks at results before it returns: nothing of it is kept, and results stay as they are. */
static void refuses_what_looks_at_results(void) {
  enum { ROWS = 40, COLUMNS = 3, CLUSTERS = 2 };
  chain c = open_chain("cpu", SHORT, false);
  fh_view rows, centroids, sums, labels, distances, counts;
  FH_EXPECT_OK(fh_view_create(c.context, FH_F32, FH_SHAPE(ROWS, COLUMNS), FH_ROW_MAJOR, &rows));
  FH_EXPECT_OK(fh_view_create(c.context, FH_F32, FH_SHAPE(CLUSTERS, COLUMNS), FH_ROW_MAJOR, &centroids));
  FH_EXPECT_OK(fh_view_create(c.context, FH_F32, FH_SHAPE(CLUSTERS, COLUMNS), FH_ROW_MAJOR, &sums));
  FH_EXPECT_OK(fh_view_create(c.context, FH_I32, FH_SHAPE(ROWS), FH_ROW_MAJOR, &labels));
  FH_EXPECT_OK(fh_view_create(c.context, FH_F32, FH_SHAPE(ROWS), FH_ROW_MAJOR, &distances));
  FH_EXPECT_OK(fh_view_create(c.context, FH_I32, FH_SHAPE(CLUSTERS), FH_ROW_MAJOR, &counts));
  fh_kmeans_result result;
  float start[CLUSTERS * COLUMNS];
  fh_event event;
  FH_EXPECT_OK(fh_queue_capture_begin(c.queue));
  assert_true(fh_queue_captures(c.queue));
  const fh_code refused = FH_FAILED_PRECONDITION;
  fh_expect_fails(fh_kmeans(c.queue, &rows, &(fh_kmeans_options){.k = CLUSTERS}, &result), refused, "fh_kmeans: the queue captures");
  assert_null(result.labels);
  fh_expect_fails(fh_kmeans_start(c.queue, &rows, CLUSTERS, 1, start), refused, "fh_kmeans_start: the queue captures");
  fh_expect_fails(fh_kmeans_assign(c.queue, &rows, &centroids, &labels, &distances, NULL), refused, "fh_kmeans_assign: the queue captures");
  fh_expect_fails(fh_kmeans_step(c.queue, &rows, &centroids, &labels, &distances, &sums, &counts, NULL), refused,
                  "fh_kmeans_step: the queue captures");
  FH_EXPECT_OK(fh_kmeans_step(c.queue, &rows, &centroids, &labels, &distances, &sums, &counts, &event));
  FH_EXPECT_OK(fh_queue_capture_end(c.queue, &c.graph));
  assert_false(fh_queue_captures(c.queue));
  assert_int_equal(fh_graph_length(c.graph), 1);
  FH_EXPECT_OK(fh_graph_launch(c.graph, NULL));
  FH_EXPECT_OK(fh_kmeans_check(&rows, &distances));
  FH_EXPECT_OK(fh_kmeans(c.queue, &rows, &(fh_kmeans_options){.k = CLUSTERS}, &result));
  fh_kmeans_result_free(&result);
  fh_view *const all[] = {&rows, &centroids, &sums, &labels, &distances, &counts};
  for (size_t i = 0; i < FH_LENGTH(all); i++) fh_view_release(all[i]);
  close_chain(&c);
}

int main(int argc, char **argv) {
  (void)argc;
  static const char settings[] = "capability=80,multiprocessors=4", scarce[] = "capability=80,multiprocessors=4,memory=1GiB,others=1016MiB";
  static const fh_cuda_case cases[] = {
      {"runs as one graph", settings, NULL, runs_as_one_graph, 0, 0, 0},
      {"runs as one graph, memory from pools", "capability=80,multiprocessors=4,pools=1", NULL, runs_as_one_graph, 0, 0, 0},
      {"runs a long one", settings, NULL, runs_a_long_one, 0, 0, 0},
      {"goes on where nothing can be captured", settings, "cuStreamBeginCapture@1+=801", goes_on_without_graphs, 0, 0, 0},
      {"goes on where no graph is made", settings, "cuGraphInstantiateWithFlags@1+=801", goes_on_without_graphs, 0, 0, 0},
      {"makes room to make a graph", scarce, "cuGraphInstantiateWithFlags@1=OOM", makes_room_for_a_graph, 0, 0, 0},
      {"makes room to run a graph", scarce, "cuGraphLaunch@1=OOM", makes_room_for_a_graph, 0, 0, 0},
      {"makes room to capture a graph", scarce, "cuLaunchKernel@17=OOM", makes_room_for_a_graph, 0, 0, 0},
      {"runs one by one where no graph has memory", scarce, "cuGraphInstantiateWithFlags@1+=OOM", runs_one_by_one_without_memory, 0, 0, 0},
      {"runs one by one where no graph has memory to run", scarce, "cuGraphLaunch@1+=OOM", runs_one_by_one_without_memory, 0, 0, 0},
      {"has memory for a graph again", settings, "cuGraphLaunch@1=OOM", has_memory_again, 0, 0, 0},
      {"has memory to capture a graph again", settings, "cuLaunchKernel@17=OOM", has_memory_again, 0, 0, 0},
      {"gives up little for a graph", scarce, "cuGraphInstantiateWithFlags@1+=OOM", gives_up_little_for_a_graph, 0, 0, 0},
      {"gives up nothing where much is free", settings, "cuGraphInstantiateWithFlags@1+=OOM", gives_up_nothing_where_much_is_free, 0, 0, 0},
      {"goes on where no graph runs", settings, "cuGraphLaunch@1+=801", goes_on_where_no_graph_runs, 0, 0, 0},
      {"survives a device lost at a graph", settings, "cuGraphLaunch@2+=719", survives_a_lost_device, 0, 0, 0},
      {"survives a device lost in a graph", settings, "cuGraphLaunch@2=late:719", survives_a_lost_device, 0, 0, 0},
      {"survives a device lost in a capture", settings, "cuStreamEndCapture@1+=719", survives_a_lost_device, 0, 0, 0},
      {"survives a device lost in a long one", settings, "cuGraphLaunch@4=late:719", survives_a_lost_device_when_long, 0, 0, 0},
      {"follows memory that moves", settings, NULL, follows_memory_that_moves, 0, 0, 0},
      {"writes over what was lost", "devices=2,capability=80,multiprocessors=4", NULL, writes_over_what_was_lost, 0, 0, 0},
      {"on the CPU", NULL, NULL, on_the_cpu, 0, 0, 0},
      {"on OpenCL", NULL, NULL, on_opencl, 0, 0, 0},
      {"refuses what looks at results", NULL, NULL, refuses_what_looks_at_results, 0, 0, 0},
      {"says what is wrong", NULL, NULL, says_what_is_wrong, 0, 0, 0},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, FH_LENGTH(cases));
}
