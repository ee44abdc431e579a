/* devprobe run kmeans --compare-sklearn: the same job by scikit-learn. SPDX-License-Identifier: Apache-2.0
 *
 * The script is part of the program, so that an installed devprobe needs no file beside it. Data and start go in by its
 * stdin, one JSON line comes out.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/devprobe/run.h"

/* The time of one iteration is the difference of two runs, so that set-up, which Foghorn's figure does not hold either,
 * drops out. */
static const char script[] =
    "import json, sys, time, warnings\n"
    "try:\n"
    "    import numpy as np, sklearn\n"
    "    from sklearn.cluster import KMeans\n"
    "except Exception as e:\n"
    "    print(json.dumps({'missing': repr(e)})); sys.exit(0)\n"
    "warnings.filterwarnings('ignore')\n"
    "n, d, k, iterations = map(int, sys.argv[1:5])\n"
    "def take(rows):\n"
    "    a = np.empty((rows, d), np.float32); view = memoryview(a).cast('B'); done = 0\n"
    "    while done < len(view):\n"
    "        got = sys.stdin.buffer.readinto(view[done:])\n"
    "        if not got: raise EOFError\n"
    "        done += got\n"
    "    return a\n"
    "x, start = take(n), take(k)\n"
    "def fit(most):\n"
    "    t = time.perf_counter()\n"
    "    m = KMeans(k, init=start, n_init=1, max_iter=most, tol=0, algorithm='lloyd').fit(x)\n"
    "    return m, time.perf_counter() - t\n"
    "fit(1)\n"
    "_, one = fit(1)\n"
    "m, all_ = fit(iterations)\n"
    "each = (all_ - one) / (m.n_iter_ - 1) if m.n_iter_ > 1 else all_\n"
    "sizes = sorted(np.bincount(m.labels_, minlength=k).tolist())\n"
    "inertia = sum(float(((x[i:i + 4096].astype(np.float64) - m.cluster_centers_[m.labels_[i:i + 4096]]) ** 2).sum())\n"
    "              for i in range(0, n, 4096))\n"
    "print(json.dumps({'version': sklearn.__version__, 'inertia': inertia, 'seconds': each, 'iterations': int(m.n_iter_),\n"
    "                  'converged': bool(m.n_iter_ < iterations),\n"
    "                  'sizes': [sizes[0], sizes[k // 2], sizes[-1]]}))\n";

typedef struct child {
  pid_t pid;
  int in, out; /* our ends */
} child;

static int start_child(const char *python, char *const argv[], child *out) {
  int in[2], answer[2];
  if (pipe2(in, O_CLOEXEC) != 0) return errno;
  if (pipe2(answer, O_CLOEXEC) != 0) {
    int error = errno;
    close(in[0]);
    close(in[1]);
    return error;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, answer[1], STDOUT_FILENO);
  int error = posix_spawn(&out->pid, python, &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(answer[1]);
  out->in = in[1];
  out->out = answer[0];
  if (error) {
    close(out->in);
    close(out->out);
  }
  return error;
}

/* False when the child closed its end: it has its reasons, its answer tells. */
static bool send_all(int fd, const void *data, size_t size) {
  const char *at = data;
  while (size) {
    ssize_t done = write(fd, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    at += done;
    size -= (size_t)done;
  }
  return true;
}

static size_t receive(int fd, char *out, size_t size) {
  size_t used = 0;
  for (;;) {
    ssize_t got = read(fd, out + used, size - 1 - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += (size_t)got;
  }
  out[used] = 0;
  return used;
}

static void take_answer(const json_t *answer, fh_run_row *row) {
  const json_t *sizes = json_object_get(answer, "sizes");
  row->inertia = json_number_value(json_object_get(answer, "inertia"));
  row->seconds = row->seconds_median = json_number_value(json_object_get(answer, "seconds"));
  row->iterations = (int)json_integer_value(json_object_get(answer, "iterations"));
  row->converged = json_is_true(json_object_get(answer, "converged"));
  row->size_min = (int32_t)json_integer_value(json_array_get(sizes, 0));
  row->size_median = (int32_t)json_integer_value(json_array_get(sizes, 1));
  row->size_max = (int32_t)json_integer_value(json_array_get(sizes, 2));
  snprintf(row->variant, sizeof row->variant, "scikit-learn %.20s", json_string_value(json_object_get(answer, "version")));
  snprintf(row->why, sizeof row->why, "algorithm lloyd, the same start and number of iterations");
}

/* Where the child has no way to tell its failed start to posix_spawn() (qemu-user gives it memory of its own), the start
 * looks well and the child ends with this status. A shell in front of Python uses it for the same. */
enum { NOT_STARTED = 127 };

static void read_answer(const char *text, const char *python, int wait_status, fh_run_row *row) {
  json_t *answer = json_loads(text, 0, NULL);
  const char *missing = json_string_value(json_object_get(answer, "missing"));
  if (missing) {
    snprintf(row->not_run, sizeof row->not_run, "this Python has no scikit-learn: %.200s", missing);
  } else if (!answer && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == NOT_STARTED) {
    snprintf(row->not_run, sizeof row->not_run, "%.200s: cannot be started (exit status %d)", python, NOT_STARTED);
  } else if (!json_is_object(answer) || !json_string_value(json_object_get(answer, "version"))) {
    snprintf(row->not_run, sizeof row->not_run, "Python gave no answer (%s %d)", WIFSIGNALED(wait_status) ? "signal" : "exit status",
             WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
  } else {
    take_answer(answer, row);
  }
  json_decref(answer);
}

void fh_run_sklearn(const fh_run *run, const char *python, int k, const float *start, int iterations, fh_run_row *out_row) {
  *out_row = (fh_run_row){.k = k, .device = "scikit-learn", .executed = "cpu"};
  char numbers[4][24];
  snprintf(numbers[0], 24, "%lld", (long long)run->data.n);
  snprintf(numbers[1], 24, "%lld", (long long)run->data.d);
  snprintf(numbers[2], 24, "%d", k);
  snprintf(numbers[3], 24, "%d", iterations);
  char *argv[] = {(char *)(uintptr_t)python, "-c", (char *)(uintptr_t)script, numbers[0], numbers[1], numbers[2], numbers[3], NULL};
  child c = {.in = -1, .out = -1};
  int error = start_child(python, argv, &c);
  if (error) {
    snprintf(out_row->not_run, sizeof out_row->not_run, "%.200s: %s", python, strerror(error));
    return;
  }
  if (send_all(c.in, run->data.data, sizeof(float) * (size_t)(run->data.n * run->data.d)))
    (void)send_all(c.in, start, sizeof(float) * (size_t)k * (size_t)run->data.d);
  close(c.in);
  char text[1024];
  receive(c.out, text, sizeof text);
  close(c.out);
  int wait_status = 0;
  while (waitpid(c.pid, &wait_status, 0) < 0 && errno == EINTR) continue;
  read_answer(text, python, wait_status, out_row);
}
