/* What a stand-in for a vendor's runtime is told to do. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/runtime/fake_act.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void refuse(const char *variable, const char *text) {
  fprintf(stderr, "stand-in: %s: '%s' cannot be read\n", variable, text);
  _exit(99);
}

/* The text after "KEY=" up to a comma, in a buffer of ours; NULL: not said. */
static const char *value_of(const char *variable, const char *key) {
  static _Thread_local char value[64];
  const char *text = getenv(variable);
  size_t size = strlen(key);
  while (text && *text) {
    size_t length = strcspn(text, ",");
    if (length > size && strncmp(text, key, size) == 0 && text[size] == '=') {
      if (length - size - 1 >= sizeof value) refuse(variable, text);
      memcpy(value, text + size + 1, length - size - 1);
      value[length - size - 1] = 0;
      return value;
    }
    text += length + (text[length] == ',');
  }
  return NULL;
}

static unsigned long read_number(const char *variable, const char *text) {
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 0);
  if (errno || end == text || *end || number > 0xffffffffUL) refuse(variable, text);
  return number;
}

int fake_number(const char *variable, const char *key, int otherwise) {
  const char *text = value_of(variable, key);
  return text ? (int)(read_number(variable, text) & 0xff) : otherwise;
}

/* As vfork does, holds the parent in state D until its child ends; the child has memory of its own. */
static void sleep_in_state_d(void) {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
    for (;;) pause();
  }
}

static void sleep_for(unsigned long seconds) {
  struct timespec left = {.tv_sec = (time_t)seconds};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

unsigned fake_act(const char *variable, const char *key) {
  const char *text = value_of(variable, key);
  if (!text) return 0;
  while (strcmp(text, "hang") == 0) pause();
  while (strcmp(text, "stuck") == 0) sleep_in_state_d();
  if (strcmp(text, "exit") == 0) _exit(5);
  if (strcmp(text, "crash") == 0) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    _exit(139);
  }
  if (strncmp(text, "sleep:", 6) == 0) {
    sleep_for(read_number(variable, text + 6));
    return 0;
  }
  return (unsigned)read_number(variable, text);
}

int fake_visible(const char *filter, int count, int if_empty) {
  const char *list = getenv(filter);
  if (!list) return count;
  if (!*list) return if_empty;
  int left = 0;
  while (*list) {
    char *end;
    long index = strtol(list, &end, 10);
    if (end == list || (*end && *end != ',') || index < 0 || index >= count) break;
    left++;
    list = end + (*end == ',');
  }
  return left;
}
