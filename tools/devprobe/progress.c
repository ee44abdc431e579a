/* Progress on a terminal. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tools/devprobe/cli.h"

enum { FIRST_MS = 1000, NEXT_MS = 250, TEXT_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake;
static pthread_t thread;
static bool running, ending;
static char what_now[TEXT_MAX];

static struct timespec in_ms(int ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += ms % 1000 * 1000000L;
  t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000L;
  t.tv_nsec %= 1000000000L;
  return t;
}

/* Writes a line over itself until told to end. */
static void *show(void *unused) {
  (void)unused;
  double start = fh_now_seconds();
  bool shown = false;
  pthread_mutex_lock(&lock);
  while (!ending) {
    struct timespec until = in_ms(shown ? NEXT_MS : FIRST_MS);
    if (pthread_cond_timedwait(&wake, &lock, &until) == 0) continue; /* woken: ending is looked at */
    fprintf(stderr, "\r%.*s, %.0f s\033[K", TEXT_MAX, what_now, fh_now_seconds() - start);
    shown = true;
  }
  pthread_mutex_unlock(&lock);
  if (shown) fputs("\r\033[K", stderr);
  return NULL;
}

void fh_cli_progress_start(const char *what) {
  if (running || !isatty(STDERR_FILENO)) return;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&wake, &attributes);
  pthread_condattr_destroy(&attributes);
  snprintf(what_now, sizeof what_now, "%s", what);
  ending = false;
  running = pthread_create(&thread, NULL, show, NULL) == 0;
}

void fh_cli_progress_update(const char *format, ...) {
  if (!running) return;
  va_list args;
  va_start(args, format);
  pthread_mutex_lock(&lock);
  vsnprintf(what_now, sizeof what_now, format, args);
  pthread_mutex_unlock(&lock);
  va_end(args);
}

void fh_cli_progress_stop(void) {
  if (!running) return;
  pthread_mutex_lock(&lock);
  ending = true;
  pthread_cond_signal(&wake);
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
  pthread_cond_destroy(&wake);
  running = false;
}
