/* A CUDA driver that worked a short while ago. SPDX-License-Identifier: Apache-2.0 */
#include "detect/os_proven.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "detect/answer_object.h"
#include "detect/parse.h"
#include "runtime/base/cache_file.h"
#include "runtime/base/text.h"

static const char schema[] = "foghorn.proven/1";
enum { PATH_SIZE = 4096, MOST_BYTES = 1 << 20, LONGEST_SECONDS = 3600, KEPT_TICKET = INT_MAX, NO_TICKET = -1 };

typedef struct proven {
  fh_os os;
  fh_os *inner;
  char path[PATH_SIZE]; /* of the file */
  bool used, refused;   /* an answer was given; the last question was none to ask */
  int ticket;           /* of the child that is asked */
  char *answer;         /* a good one, kept or of the child; NULL: none */
  int64_t made;         /* seconds since the epoch */
} proven;

static proven *self(fh_os *os) { return (proven *)os; }
static fh_os *inner(fh_os *os) { return self(os)->inner; }

static bool path_of(const char *folder, char out[PATH_SIZE]) {
  const int n = snprintf(out, PATH_SIZE, "%s/cuda-proven.json", folder);
  return *folder && n > 0 && n < PATH_SIZE;
}

/* ---- the machine as it is -------------------------------------------------------------------------------------- */

/* Without it nothing is kept. */
static bool add_file(fh_os *os, const char *path, fh_text *out) {
  char *bytes = NULL;
  size_t size = 0;
  if (os->api->read(os, path, MOST_BYTES, &bytes, &size) != 0) {
    free(bytes);
    return false;
  }
  fh_text_add(out, "%s\n", path);
  fh_text_append(out, bytes, size);
  free(bytes);
  return true;
}

static void add_stat(fh_os *os, const char *path, bool times, fh_text *out) {
  fh_os_stat st = {0};
  const int error = os->api->stat(os, path, true, &st);
  fh_text_add(out, "%s %d %o %u:%u %u:%u", path, error, (unsigned)st.mode, (unsigned)st.uid, (unsigned)st.gid, st.rdev_major,
              st.rdev_minor);
  if (times) fh_text_add(out, " %lld %lld", (long long)st.size, (long long)st.mtime);
  fh_text_add(out, "\n");
}

static void add_nodes(fh_os *os, fh_text *out) {
  char **names = NULL, path[300];
  size_t count = 0;
  if (os->api->list(os, "/dev", &names, &count) != 0) return;
  for (size_t i = 0; i < count; i++) {
    snprintf(path, sizeof path, "/dev/%s", names[i]);
    if (strncmp(names[i], "nvidia", 6) == 0) add_stat(os, path, false, out);
    free(names[i]);
  }
  free(names);
}

static void add_environment(fh_os *os, fh_text *out) {
  static const char *const names[] = {
      "CUDA_VISIBLE_DEVICES",       "CUDA_DEVICE_ORDER",      "CUDA_MPS_PIPE_DIRECTORY", "NVIDIA_VISIBLE_DEVICES",
      "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_CTK_LIBCUDA_DIR", "LD_LIBRARY_PATH",         "LD_PRELOAD"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = os->api->getenv(os, names[i]);
    fh_text_add(out, value ? "%s=%s\n" : "%s\n", names[i], value);
  }
}

/* Filters of system calls: one that kills ends the process whose driver meets it. */
static void add_filters(fh_os *os, fh_text *out) {
  static const char *const keys[] = {"Seccomp", "Seccomp_filters"};
  char *status = NULL;
  size_t size = 0;
  if (os->api->read(os, "/proc/self/status", MOST_BYTES, &status, &size) == 0) {
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
      const char *value = fh_key_value(status, keys[i], ':', &size);
      fh_text_add(out, "%s %.*s\n", keys[i], value ? (int)size : 0, value ? value : "");
    }
  }
  free(status);
}

/* All that a driver's start depends on, but for the hardware, as text; NULL: not known here. Caller frees. */
static char *state_of(fh_os *os, const json_t *answer) {
  static const char *const files[] = {"/proc/sys/kernel/random/boot_id", "/proc/driver/nvidia/version", "/proc/self/cgroup"};
  fh_text out = {0};
  fh_os_identity who = {0};
  char container[64] = "";
  bool known = os->api->identity(os, &who) == 0;
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) known = known && add_file(os, files[i], &out);
  (void)os->api->readlink(os, "/proc/self/ns/mnt", container, sizeof container);
  fh_text_add(&out, "foghorn %s\nuser %u:%u %llx\n%s\n", FH_VERSION, who.uid, who.gid, (unsigned long long)who.cap_effective, container);
  add_stat(os, "/etc/ld.so.cache", true, &out);
  const char *library = json_string_value(json_object_get(answer, "library"));
  if (library) add_stat(os, library, true, &out);
  add_nodes(os, &out);
  add_filters(os, &out);
  add_environment(os, &out);
  if (known && library) return fh_text_take(&out);
  fh_text_free(&out);
  return NULL;
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

static bool is_zero(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_integer(value) && json_integer_value(value) == 0;
}

/* Every device has had its context. A stand-in's answer is nobody's proof. */
static bool is_good(const json_t *answer) {
  const json_t *devices = json_object_get(answer, "devices"), *device;
  const size_t count = json_array_size(devices);
  bool good = is_zero(answer, "init_code") && is_zero(answer, "count_code") && !json_is_true(json_object_get(answer, "fake"));
  good = good && count > 0 && json_integer_value(json_object_get(answer, "count")) == (json_int_t)count;
  size_t i;
  json_array_foreach(devices, i, device) good = good && is_zero(device, "context_code");
  return good;
}

static bool is_good_text(const char *text) {
  json_t *answer = fh_answer_object(text);
  const bool good = is_good(answer);
  json_decref(answer);
  return good;
}

static bool is_recent(int64_t made) {
  const int64_t now = (int64_t)time(NULL);
  return made <= now && made > now - LONGEST_SECONDS; /* whatever the file says it is */
}

/* Is the machine as it was when the answer was kept? */
static bool fits(fh_os *os, const json_t *kept) {
  const char *told = json_string_value(json_object_get(kept, "schema")), *state = json_string_value(json_object_get(kept, "state"));
  const char *text = json_string_value(json_object_get(kept, "answer"));
  if (!told || !state || !text || strcmp(told, schema) != 0 || !is_recent(json_integer_value(json_object_get(kept, "made")))) return false;
  json_t *answer = fh_answer_object(text);
  char *now = is_good(answer) ? state_of(os, answer) : NULL;
  const bool same = now && strcmp(now, state) == 0;
  json_decref(answer);
  free(now);
  return same;
}

static void take_answer(proven *p, const json_t *kept) {
  if (!fits(p->inner, kept) || unlink(p->path) != 0) return; /* who comes second asks a child */
  p->answer = strdup(json_string_value(json_object_get(kept, "answer")));
  p->made = json_integer_value(json_object_get(kept, "made"));
  p->used = p->answer != NULL;
}

static void look(proven *p) {
  char *bytes = NULL;
  size_t size = 0;
  if (fh_cache_file_read(p->path, MOST_BYTES, &bytes, &size) || !bytes) return;
  json_t *kept = json_loadb(bytes, size, 0, NULL);
  take_answer(p, kept);
  json_decref(kept);
  free(bytes);
}

/* ---- questions ------------------------------------------------------------------------------------------------- */

static int proven_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  proven *p = self(os);
  const bool cuda = strcmp(question, "cuda") == 0 && !changes;
  if (cuda && !p->answer) look(p);
  p->refused = p->used && !changes && strcmp(question, "nvml") == 0; /* which tells why something does not work */
  if (p->refused) return ENOENT;
  *out_ticket = KEPT_TICKET;
  if (cuda && p->used) return 0;
  const int error = p->inner->api->ask_start(p->inner, question, changes, out_ticket);
  if (cuda && !error) p->ticket = *out_ticket;
  return error;
}

static int collect_kept(const proven *p, fh_os_answer *out) {
  *out = (fh_os_answer){.json = strdup(p->answer)};
  return out->json ? 0 : ENOMEM;
}

static int proven_ask_collect(fh_os *os, int ticket, fh_os_answer *out) {
  proven *p = self(os);
  if (ticket == KEPT_TICKET) return collect_kept(p, out);
  const int error = p->inner->api->ask_collect(p->inner, ticket, out);
  if (error || ticket != p->ticket) return error;
  p->ticket = NO_TICKET;
  if (out->timed_out || out->exit_code != 0 || out->signal != 0 || !is_good_text(out->json)) return 0;
  p->answer = strdup(out->json);
  p->made = (int64_t)time(NULL);
  return 0;
}

static const char *proven_ask_refused(fh_os *os) { return self(os)->refused ? NULL : fh_os_refusal(inner(os)); }

/* ---- the rest is the table's ------------------------------------------------------------------------------------- */

static int proven_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  return inner(os)->api->stat(inner(os), path, follow, out);
}
static int proven_try_open(fh_os *os, const char *path) { return inner(os)->api->try_open(inner(os), path); }
static int proven_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  return inner(os)->api->read(inner(os), path, max, out, out_size);
}
static int proven_readlink(fh_os *os, const char *path, char *out, size_t size) {
  return inner(os)->api->readlink(inner(os), path, out, size);
}
static int proven_realpath(fh_os *os, const char *path, char *out, size_t size) {
  return inner(os)->api->realpath(inner(os), path, out, size);
}
static int proven_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  return inner(os)->api->list(inner(os), path, out_names, out_count);
}
static int proven_elf(fh_os *os, const char *path, fh_os_elf *out) { return inner(os)->api->elf(inner(os), path, out); }
static const char *proven_getenv(fh_os *os, const char *name) { return inner(os)->api->getenv(inner(os), name); }
static int proven_identity(fh_os *os, fh_os_identity *out) { return inner(os)->api->identity(inner(os), out); }
static int proven_affinity(fh_os *os, char *out_list, size_t size) { return inner(os)->api->affinity(inner(os), out_list, size); }
static int proven_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  return inner(os)->api->cpuid(inner(os), leaf, subleaf, out);
}
static int proven_xgetbv(fh_os *os, uint64_t *out) { return inner(os)->api->xgetbv(inner(os), out); }
static int proven_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  return inner(os)->api->hwcap(inner(os), out_hwcap, out_hwcap2);
}

static void proven_destroy(fh_os *os) {
  proven *p = self(os);
  fh_os_destroy(p->inner);
  free(p->answer);
  free(p);
}

static const fh_os_api proven_api = {
    .destroy = proven_destroy,
    .stat = proven_stat,
    .try_open = proven_try_open,
    .read = proven_read,
    .readlink = proven_readlink,
    .realpath = proven_realpath,
    .list = proven_list,
    .elf = proven_elf,
    .getenv = proven_getenv,
    .identity = proven_identity,
    .affinity = proven_affinity,
    .cpuid = proven_cpuid,
    .xgetbv = proven_xgetbv,
    .hwcap = proven_hwcap,
    .ask_start = proven_ask_start,
    .ask_collect = proven_ask_collect,
    .ask_refused = proven_ask_refused,
};

/* ---- for who asks ------------------------------------------------------------------------------------------------ */

fh_os *fh_os_proven(fh_os *inner_os, const char *folder) {
  proven *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->os.api = &proven_api;
  p->inner = inner_os;
  p->ticket = NO_TICKET;
  if (!path_of(folder, p->path)) p->path[0] = 0; /* which no file has */
  return &p->os;
}

bool fh_os_proven_used(const fh_os *os) { return ((const proven *)os)->used; }

void fh_os_proven_keep(fh_os *os) {
  proven *p = self(os);
  if (!p->answer || !p->path[0]) return;
  json_t *answer = fh_answer_object(p->answer);
  char *state = state_of(p->inner, answer);
  json_decref(answer);
  if (!state) return;
  char *text = fh_json_line(json_pack("{ss sI so so}", "schema", schema, "made", (json_int_t)p->made, "state", fh_json_text(state),
                                      "answer", fh_json_text(p->answer)));
  if (text) (void)fh_cache_file_write(p->path, &(fh_cache_part){text, strlen(text)}, 1); /* without it a child is asked */
  free(text);
  free(state);
}

void fh_os_proven_forget(const char *folder) {
  char path[PATH_SIZE];
  if (path_of(folder, path)) (void)unlink(path);
}
