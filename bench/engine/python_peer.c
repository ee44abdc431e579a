/* Peers that live in Python. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/python_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/text.h"

enum { ANSWER_SECONDS = 180, ANSWER_BYTES = 16 << 20, END_MS = 2000, LOOK_MS = 200 };

/* ---- the process ------------------------------------------------------------------------------------------------ */

bool fh_script_mentions(const char *path, const char *kernel) {
  char quoted[80], *text = NULL;
  size_t size = 0;
  FILE *file = fopen(path, "re");
  bool found = false;
  snprintf(quoted, sizeof quoted, "\"%s\"", kernel);
  while (file && !found && getline(&text, &size, file) >= 0) found = strstr(text, quoted) != NULL;
  if (file) fclose(file);
  free(text);
  return found;
}

/* The environment with the usual limits of threads; from malloc, as are the strings of the first `*out_own`. */
static char **environment(int threads, int *out_own) {
  static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "MKL_NUM_THREADS",
                                      "NUMEXPR_NUM_THREADS"};
  enum { NAMES = sizeof names / sizeof names[0] };
  int count = 0;
  while (environ[count]) count++;
  char **out = calloc((size_t)count + NAMES + 1, sizeof *out);
  *out_own = 0;
  for (int i = 0; out && i < NAMES; i++)
    if (asprintf(&out[*out_own], "%s=%d", names[i], threads) >= 0) ++*out_own;
  int used = *out_own;
  for (int i = 0; out && i < count; i++) {
    bool replaced = false;
    for (int n = 0; n < NAMES; n++) {
      const size_t length = strlen(names[n]);
      replaced |= strncmp(environ[i], names[n], length) == 0 && environ[i][length] == '=';
    }
    if (!replaced) out[used++] = environ[i];
  }
  return out;
}

static int spawn(const char *python, const char *path, int threads, int in, int out, pid_t *pid) {
  int own;
  char **variables = environment(threads, &own);
  if (!variables) return ENOMEM;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  const char *slash = strrchr(path, '/');
  char *server = NULL;
  int error = asprintf(&server, "%.*s/serve.py", slash ? (int)(slash - path) : 1, slash ? path : ".") < 0 ? ENOMEM : 0;
  char *argv[] = {(char *)(uintptr_t)python, server, (char *)(uintptr_t)path, NULL};
  if (!error) error = posix_spawnp(pid, python, &actions, NULL, argv, variables);
  free(server);
  posix_spawn_file_actions_destroy(&actions);
  for (int i = 0; i < own; i++) free(variables[i]);
  free(variables);
  return error;
}

void fh_script_end(fh_script *s) {
  if (s->to >= 0) close(s->to);
  if (s->from >= 0) close(s->from);
  s->to = s->from = -1;
  free(s->pending);
  s->pending = NULL;
  s->pending_bytes = 0;
  for (int waited = 0; s->pid > 0 && waited < END_MS; waited += 20) {
    if (waitpid(s->pid, NULL, WNOHANG) == s->pid) s->pid = 0;
    if (s->pid) usleep(20000);
  }
  if (s->pid > 0) {
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
  }
  if (s->folder[0]) {
    for (int v = 0; v < FH_MAX_VIEWS; v++) {
      char path[96];
      snprintf(path, sizeof path, "%s/%d.raw", s->folder, v);
      unlink(path);
    }
    rmdir(s->folder);
    s->folder[0] = 0;
  }
}

/* ---- questions and answers ----------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *text, size_t size) {
  while (size) {
    const ssize_t done = write(fd, text, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    text += done;
    size -= (size_t)done;
  }
  return true;
}

static bool stopped(const fh_script *s) { return s->stop && s->stop(NULL); }

/* The next line without its end; NULL when the other side hung up, took too long or says too much, or nobody waits any more. Caller frees.
 */
static char *read_line(fh_script *s) {
  const double until = fh_now_seconds() + ANSWER_SECONDS;
  for (;;) {
    char *end = s->pending_bytes ? memchr(s->pending, '\n', s->pending_bytes) : NULL;
    if (end) {
      const size_t length = (size_t)(end - s->pending);
      char *line = strndup(s->pending, length);
      s->pending_bytes -= length + 1;
      memmove(s->pending, end + 1, s->pending_bytes);
      return line;
    }
    const double left = until - fh_now_seconds();
    struct pollfd ready = {.fd = s->from, .events = POLLIN};
    const bool waits = left > 0 && s->pending_bytes < ANSWER_BYTES && !stopped(s);
    char *grown = waits ? realloc(s->pending, s->pending_bytes + 65536) : NULL;
    if (!grown) return NULL;
    s->pending = grown;
    if (poll(&ready, 1, LOOK_MS) <= 0) continue;
    const ssize_t got = read(s->from, s->pending + s->pending_bytes, 65536);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return NULL;
    s->pending_bytes += (size_t)got;
  }
}

/* Takes the question. NULL with the reason in `text` when there is no answer, or one that says why not. */
static json_t *ask(fh_script *s, json_t *take_question, char *text, size_t size) {
  char *line = take_question ? json_dumps(take_question, JSON_COMPACT) : NULL;
  json_decref(take_question);
  snprintf(text, size, "%s does not run", s->name);
  if (!line || s->pid == 0) {
    free(line);
    return NULL;
  }
  bool sent = write_all(s->to, line, strlen(line)) && write_all(s->to, "\n", 1);
  free(line);
  line = sent ? read_line(s) : NULL;
  json_t *answer = line ? json_loads(line, 0, NULL) : NULL;
  free(line);
  const char *why = json_string_value(json_object_get(answer, "why"));
  if (why) {
    snprintf(text, size, "%s", why);
    json_decref(answer);
    return NULL;
  }
  if (!answer) {
    if (stopped(s))
      snprintf(text, size, "interrupted while %s was asked", s->name);
    else
      snprintf(text, size, "%s ended, or gave no answer for %d s; what it says is on stderr", s->name, ANSWER_SECONDS);
    fh_script_end(s);
  }
  return answer;
}

static void copy_text(char *out, size_t size, const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  snprintf(out, size, "%s", text ? text : "");
}

static void read_peers(fh_script *s, const json_t *answer) {
  size_t i;
  json_t *p;
  json_array_foreach(json_object_get(answer, "peers"), i, p) {
    if (s->peer_count == FH_SCRIPT_PEERS) break;
    fh_script_peer *peer = &s->peers[s->peer_count++];
    copy_text(peer->name, sizeof peer->name, p, "name");
    copy_text(peer->kernel, sizeof peer->kernel, p, "kernel");
    copy_text(peer->version, sizeof peer->version, p, "version");
    peer->tolerance = json_number_value(json_object_get(p, "tolerance"));
  }
}

void fh_script_start(const char *python, const char *path, int threads, bool (*stop)(void *unused), fh_script *out) {
  const char *base = strrchr(path, '/');
  *out = (fh_script){.threads = threads, .to = -1, .from = -1, .stop = stop};
  snprintf(out->name, sizeof out->name, "%s", base ? base + 1 : path);
  int to[2] = {-1, -1}, from[2] = {-1, -1};
  pid_t pid = 0;
  int error = pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0 ? errno : 0;
  if (!error) error = spawn(python, path, threads, to[0], from[1], &pid);
  if (to[0] >= 0) close(to[0]);
  if (from[1] >= 0) close(from[1]);
  out->to = to[1];
  out->from = from[0];
  out->pid = error ? 0 : pid;
  snprintf(out->folder, sizeof out->folder, "%s/foghorn-bench.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  if (!error && !mkdtemp(out->folder)) error = errno;
  if (error) {
    out->folder[0] = 0;
    snprintf(out->why, sizeof out->why, "%s cannot be started: %s", out->name, strerror(error));
    fh_script_end(out);
    return;
  }
  json_t *answer = ask(out, json_pack("{ss}", "ask", "peers"), out->why, sizeof out->why);
  if (answer) {
    out->why[0] = 0;
    read_peers(out, answer);
  }
  json_decref(answer);
}

/* ---- cases ------------------------------------------------------------------------------------------------------------ */

static size_t dense_bytes(const fh_view_desc *v) {
  size_t bytes = fh_dtype_size(v->dtype);
  for (int32_t i = 0; i < v->rank; i++) bytes *= (size_t)v->shape[i];
  return bytes;
}

static void file_of(const fh_script *s, int view, char *out, size_t size) { snprintf(out, size, "%s/%d.raw", s->folder, view); }

static bool write_operand(const char *path, const char *data, size_t bytes) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool done = fd >= 0 && write_all(fd, data, bytes);
  if (fd >= 0 && close(fd) != 0) done = false;
  return done;
}

static json_t *extents(const int64_t *values, int32_t rank) {
  json_t *out = json_array();
  for (int32_t i = 0; i < rank; i++) json_array_append_new(out, json_integer(values[i]));
  return out;
}

static json_t *view_json(const fh_script *s, const fh_workload *w, int i) {
  static const char *const roles[] = {"", "in", "out", "inout"};
  const fh_view_param *p = &w->image->contract->views[i];
  const fh_view_desc *v = &w->c.views[i];
  char path[96] = "";
  if (w->dense[i]) file_of(s, i, path, sizeof path);
  return json_pack("{ss ss ss so so ss}", "name", p->name, "role", roles[p->role], "dtype", fh_dtype_name(v->dtype), "shape",
                   extents(v->shape, v->rank), "strides", extents(v->strides, v->rank), "file", path);
}

static json_t *case_json(const fh_script *s, const fh_workload *w, int threads) {
  const fh_kernel_contract *contract = w->image->contract;
  json_t *views = json_array(), *scalars = json_object();
  for (int i = 0; i < contract->view_count; i++) json_array_append_new(views, view_json(s, w, i));
  for (int i = 0; i < contract->scalar_count; i++) {
    const fh_scalar_param *p = &contract->scalars[i];
    json_object_set_new(scalars, p->name, p->type == 'i' ? json_integer(w->c.scalars[i].i) : json_real(w->c.scalars[i].f));
  }
  return json_pack("{si so so}", "threads", threads, "views", views, "scalars", scalars);
}

bool fh_script_open(fh_script *s, int peer, const fh_workload *w, int threads, char *text, size_t size) {
  char path[96];
  if (s->why[0]) {
    snprintf(text, size, "%s", s->why);
    return false;
  }
  for (int i = 0; i < w->image->contract->view_count; i++) {
    file_of(s, i, path, sizeof path);
    if (!w->dense[i] || write_operand(path, w->dense[i], dense_bytes(&w->c.views[i]))) continue;
    snprintf(text, size, "%s cannot be written: %s", path, strerror(errno));
    return false;
  }
  json_t *answer = ask(s, json_pack("{ss si so}", "ask", "open", "peer", peer, "case", case_json(s, w, threads)), text, size);
  json_decref(answer);
  return answer != NULL;
}

static bool read_operand(const char *path, char *out, size_t bytes) {
  FILE *file = fopen(path, "rbe");
  const bool done = file && fread(out, 1, bytes, file) == bytes;
  if (file) fclose(file);
  return done;
}

bool fh_script_save(fh_script *s, int peer, const fh_workload *w, const fh_operands *operands, char *text, size_t size) {
  char path[96];
  json_t *files = json_array();
  for (int i = 0; i < w->image->contract->view_count; i++) {
    if (!fh_workload_is_output(w, i)) continue;
    file_of(s, i, path, sizeof path);
    json_array_append_new(files, json_string(path));
  }
  json_t *answer = ask(s, json_pack("{ss si so}", "ask", "save", "peer", peer, "files", files), text, size);
  json_decref(answer);
  if (!answer) return false;
  for (int i = 0; i < w->image->contract->view_count; i++) {
    if (!fh_workload_is_output(w, i)) continue;
    file_of(s, i, path, sizeof path);
    const size_t bytes = dense_bytes(&w->c.views[i]);
    char *dense = malloc(bytes + 1);
    const bool done = dense && read_operand(path, dense, bytes);
    if (done) fh_workload_put(w, i, dense, operands);
    free(dense);
    if (done) continue;
    snprintf(text, size, "%s cannot be read", path);
    return false;
  }
  return true;
}

void fh_script_close(fh_script *s) {
  char text[240];
  if (s->pid > 0) json_decref(ask(s, json_pack("{ss}", "ask", "close"), text, sizeof text));
}

double fh_script_time(fh_script *s, int peer, long calls) {
  char text[240];
  json_t *answer = ask(s, json_pack("{ss si sI}", "ask", "time", "peer", peer, "calls", (json_int_t)calls), text, sizeof text);
  const double seconds = answer ? json_number_value(json_object_get(answer, "seconds")) : -1;
  json_decref(answer);
  return seconds > 0 ? seconds : -1;
}
