/* Log records. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"

static _Atomic int threshold = FH_LOG_WARN;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static fh_log_fn sink;
static void *sink_user;

void fh_log_set(fh_log_fn fn, void *user) {
  pthread_mutex_lock(&sink_lock);
  sink = fn;
  sink_user = user;
  pthread_mutex_unlock(&sink_lock);
}

fh_status fh_log_configure(void) {
  static const char *const names[] = {"error", "warn", "info", "debug"};
  const char *value = getenv("FOGHORN_LOG");
  if (!value) return FH_OK;
  for (int i = 0; i < 4; i++) {
    if (strcmp(value, names[i]) == 0) {
      atomic_store(&threshold, i);
      return FH_OK;
    }
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "FOGHORN_LOG=%s: expected error, warn, info or debug", value);
}

bool fh_log_enabled(int level) { return level <= atomic_load_explicit(&threshold, memory_order_relaxed); }

void fh_log(int level, const char *format, ...) {
  if (!fh_log_enabled(level)) return;
  char message[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  fh_text_make_safe(message); /* the names of devices are in it */

  fh_text text = {0};
  for (char *line = message; line && *line;) {
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    fh_text_add(&text, "foghorn: %s\n", line);
    line = end ? end + 1 : NULL;
  }
  char *lines = fh_text_take(&text);
  if (!lines) return;
  pthread_mutex_lock(&sink_lock);
  if (sink) {
    sink(sink_user, level, lines);
  } else {
    fputs(lines, stderr);
  }
  pthread_mutex_unlock(&sink_lock);
  free(lines);
}
