/* The stand-in CUDA driver: what the environment asks for. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

static const char *const call_names[FAKE_CALL_COUNT] = {
#define FH_CUDA(need, type, name, params) #name,
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA
};

static fake_settings settings;
static atomic_ulong calls[FAKE_CALL_COUNT];
static int log_file = -1;

void fake_complain(const char *format, ...) {
  char line[512];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  fprintf(stderr, "stand-in libcuda: %s\n", line);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static void refuse(const char *variable, const char *text, const char *why) {
  fake_complain("%s: cannot read \"%s\": %s; every call will fail", variable, text, why);
  settings.broken = true;
}

static bool read_number(const char *text, double low, double high, double *out) {
  char *end;
  errno = 0;
  double value = strtod(text, &end);
  if (end == text || *end || errno || !(value >= low && value <= high)) return false;
  *out = value;
  return true;
}

static bool read_integer(const char *text, long low, long high, int *out) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (end == text || *end || errno || value < low || value > high) return false;
  *out = (int)value;
  return true;
}

static bool read_bytes(const char *text, uint64_t *out) {
  static const struct {
    const char *unit;
    uint64_t bytes;
  } units[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
  char *end;
  errno = 0;
  if (!isdigit((unsigned char)*text)) return false;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno) return false;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].unit) == 0 && value <= UINT64_MAX / units[i].bytes) {
      *out = value * units[i].bytes;
      return true;
    }
  return false;
}

static bool read_setting(const char *key, const char *value) {
  if (strcmp(key, "devices") == 0) return read_integer(value, 0, FAKE_MAX_DEVICES, &settings.devices);
  if (strcmp(key, "version") == 0) return read_integer(value, 9000, 99000, &settings.version);
  if (strcmp(key, "capability") == 0) return read_integer(value, 10, 200, &settings.capability);
  if (strcmp(key, "multiprocessors") == 0) return read_integer(value, 1, 1024, &settings.multiprocessors);
  if (strcmp(key, "compute_mode") == 0) return read_integer(value, 0, 3, &settings.compute_mode);
  if (strcmp(key, "bad") == 0) return read_integer(value, 0, FAKE_MAX_DEVICES - 1, &settings.bad);
  if (strcmp(key, "mps") == 0) return read_integer(value, 0, 1, &settings.mps);
  if (strcmp(key, "mig") == 0) return read_integer(value, 0, 1, &settings.mig);
  if (strcmp(key, "peers") == 0) return read_integer(value, 0, 1, &settings.peers);
  if (strcmp(key, "others") == 0) return read_bytes(value, &settings.others);
  if (strcmp(key, "pools") == 0) return read_integer(value, 0, 1, &settings.pools);
  if (strcmp(key, "pinned") == 0) return read_bytes(value, &settings.pinned);
  if (strcmp(key, "memory") == 0) return read_bytes(value, &settings.memory);
  if (strcmp(key, "addresses") == 0) return read_bytes(value, &settings.addresses);
  if (strcmp(key, "delay") == 0) return read_number(value, 0, 60, &settings.delay);
  return false;
}

/* Calls item(text) for each non-empty piece between separators. */
static void for_each_piece(const char *variable, const char *separator, void (*item)(const char *variable, char *text)) {
  const char *value = getenv(variable);
  char *copy = value ? strdup(value) : NULL, *rest = copy;
  if (value && !copy) refuse(variable, value, "no memory");
  for (char *piece; rest && (piece = strsep(&rest, separator));) {
    while (isspace((unsigned char)*piece)) piece++;
    for (size_t n = strlen(piece); n && isspace((unsigned char)piece[n - 1]);) piece[--n] = 0;
    if (*piece) item(variable, piece);
  }
  free(copy);
}

static void read_setting_piece(const char *variable, char *text) {
  char *equals = strchr(text, '=');
  if (equals) *equals = 0;
  bool good = equals && read_setting(text, equals + 1);
  if (equals) *equals = '=';
  if (!good) refuse(variable, text, "no such setting, or its value is out of range");
}

static bool find_call(const char *name, fake_call_id *out_id) {
  static const char *const endings[] = {"", "_v2", "Ex"};
  char full[64];
  for (size_t e = 0; e < sizeof endings / sizeof *endings; e++)
    for (int i = 0; i < FAKE_CALL_COUNT; i++)
      if (snprintf(full, sizeof full, "%s%s", name, endings[e]) < (int)sizeof full && strcmp(full, call_names[i]) == 0) {
        *out_id = (fake_call_id)i;
        return true;
      }
  return false;
}

static bool find_code(const char *text, fh_cu_result *out_code) {
  static const struct {
    const char *name;
    fh_cu_result code;
  } names[] = {
      {"OOM", FH_CUDA_ERROR_OUT_OF_MEMORY},
#define FH_CUDA_RESULT(code, name) {#name, code},
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
  };
  static const char prefix[] = "CUDA_ERROR_";
  int code;
  if (read_integer(text, 1, 9999, &code)) {
    *out_code = (fh_cu_result)code;
    return true;
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *name = names[i].name;
    const char *tail = strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
    if (names[i].code == 0 || (strcmp(text, name) != 0 && strcmp(text, tail) != 0)) continue;
    *out_code = names[i].code;
    return true;
  }
  return false;
}

static bool read_act(const char *text, fake_act *out) {
  *out = (fake_act){.deed = FAKE_CODE};
  if (strncmp(text, "late:", 5) == 0) {
    out->late = true;
    text += 5;
  }
  if (strcmp(text, "hang") == 0)
    out->deed = FAKE_HANG;
  else if (strcmp(text, "stuck") == 0)
    out->deed = FAKE_STUCK;
  else if (strcmp(text, "crash") == 0)
    out->deed = FAKE_CRASH;
  else if (strcmp(text, "exit") == 0)
    out->deed = FAKE_EXIT;
  else if (strncmp(text, "sleep=", 6) == 0)
    out->deed = FAKE_SLEEP;
  if (out->deed == FAKE_SLEEP) return read_number(text + 6, 0, 3600, &out->seconds);
  return out->deed != FAKE_CODE || find_code(text, &out->code);
}

static bool can_be_late(fake_call_id id) {
  if (id == FAKE_cuGraphLaunch) return true;
  return id == FAKE_cuLaunchKernel || id == FAKE_cuMemcpyPeerAsync || id == FAKE_cuMemcpyHtoDAsync_v2 || id == FAKE_cuMemcpyDtoHAsync_v2 ||
         id == FAKE_cuMemcpyDtoDAsync_v2 || id == FAKE_cuMemsetD8Async;
}

/* NULL, or why not. */
static const char *read_fault(char *text, fake_fault *out) {
  char *at = strchr(text, '@'), *equals = at ? strchr(at, '=') : NULL, *end;
  if (!equals) return "expected CALL@N=VALUE";
  *at = 0;
  bool known = find_call(text, &out->call);
  *at = '@';
  if (!known) return "no such driver call";
  errno = 0;
  if (!isdigit((unsigned char)at[1])) return "N must be a number from 1 on";
  out->first = strtoul(at + 1, &end, 10);
  out->and_on = *end == '+';
  if (errno || out->first == 0 || end + out->and_on != equals) return "N must be a number from 1 on";
  if (!read_act(equals + 1, &out->act)) return "VALUE must be a code, its name, OOM, hang, crash, exit or sleep=SECONDS";
  if (out->act.late && !can_be_late(out->call)) return "only a command on a stream can fail late";
  return NULL;
}

static void read_fault_piece(const char *variable, char *text) {
  fake_fault fault;
  const char *why = settings.fault_count == FAKE_MAX_FAULTS ? "too many faults" : read_fault(text, &fault);
  if (why)
    refuse(variable, text, why);
  else
    settings.faults[settings.fault_count++] = fault;
}

static void open_log(void) {
  const char *path = getenv("FOGHORN_FAKE_CUDA_LOG");
  if (!path || !*path) return;
  log_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log_file < 0) refuse("FOGHORN_FAKE_CUDA_LOG", path, strerror(errno));
}

static void read_settings(void) {
  settings = (fake_settings){.devices = 1,
                             .bad = -1,
                             .peers = 1,
                             .version = 12040,
                             .capability = 80,
                             .multiprocessors = 4,
                             .memory = (uint64_t)1 << 30,
                             .pinned = (uint64_t)1 << 40};
  for_each_piece("FOGHORN_FAKE_CUDA", ",", read_setting_piece);
  for_each_piece("FOGHORN_FAKE_CUDA_FAULTS", ";", read_fault_piece);
  open_log();
}

const fake_settings *fake_get_settings(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, read_settings);
  return &settings;
}

/* ---- acting ------------------------------------------------------------------------------------------------------ */

void fake_sleep(double seconds) {
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* As vfork does, holds the parent in state D until its child ends; the child has memory of its own. */
static void sleep_in_state_d(void) {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
    for (;;) pause();
  }
}

void fake_perform(const fake_act *act) {
  switch (act->deed) {
    case FAKE_HANG:
      for (;;) fake_sleep(3600);
    case FAKE_STUCK:
      for (;;) sleep_in_state_d();
    case FAKE_CRASH:
      signal(SIGSEGV, SIG_DFL);
      raise(SIGSEGV);
      _exit(139);
    case FAKE_EXIT:
      _exit(1);
    case FAKE_SLEEP:
      fake_sleep(act->seconds);
      break;
    case FAKE_NOTHING:
    case FAKE_CODE:
      break;
  }
}

/* The line goes out before a call that may never come back. */
static void write_log(const fake_call *call, const char *result) {
  char line[128];
  int n = snprintf(line, sizeof line, "%s %lu %s\n", call_names[call->id], call->number, result);
  if (log_file >= 0 && n > 0 && write(log_file, line, (size_t)n) != n) fake_complain("cannot write the call log: %s", strerror(errno));
}

fake_call fake_begin(fake_call_id id) {
  const fake_settings *s = fake_get_settings();
  fake_call call = {.id = id, .number = atomic_fetch_add(&calls[id], 1) + 1};
  if (s->broken) {
    call.answered = true;
    call.answer = FH_CUDA_ERROR_INVALID_VALUE;
    return call;
  }
  for (int i = 0; i < s->fault_count; i++) {
    const fake_fault *fault = &s->faults[i];
    if (fault->call != id || (fault->and_on ? call.number < fault->first : call.number != fault->first)) continue;
    if (fault->act.late) {
      call.late = fault->act;
      continue;
    }
    if (fault->act.deed == FAKE_HANG || fault->act.deed == FAKE_STUCK) write_log(&call, "hangs");
    if (fault->act.deed == FAKE_CRASH) write_log(&call, "crashes");
    if (fault->act.deed == FAKE_EXIT) write_log(&call, "exits");
    fake_perform(&fault->act);
    if (fault->act.deed != FAKE_CODE) continue;
    call.answered = true;
    call.answer = fault->act.code;
    fake_poison(fake_current(), call.answer);
  }
  return call;
}

fh_cu_result fake_end(const fake_call *call, fh_cu_result code) {
  char result[16];
  snprintf(result, sizeof result, "%u", code);
  if (log_file >= 0) write_log(call, result);
  return code;
}
