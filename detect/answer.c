/* The child: takes a question, answers it, ends. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/answer_settings.h"
#include "detect/os_live.h"
#include "detect/parse.h"

static int answer_fd = STDOUT_FILENO;

static void write_all(const char *bytes, size_t size) {
  while (size) {
    ssize_t sent = write(answer_fd, bytes, size);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) _exit(1); /* nobody listens any more */
    bytes += sent;
    size -= (size_t)sent;
  }
}

void fh_answer_say(json_t *take_object) {
  char *line = fh_json_line(take_object);
  if (!line) return;
  size_t size = strlen(line);
  line[size] = '\n'; /* in place of the zero: one write is one line */
  write_all(line, size + 1);
  free(line);
}

void fh_answer_calling(const char *call) { fh_answer_say(json_pack("{s:s}", "calling", call)); }

void fh_answer_done(void) { fh_answer_say(json_pack("{s:n,s:b}", "calling", "done", 1)); }

json_t *fh_answer_lines(const char *text) {
  json_t *lines = json_array();
  while (lines && *text) {
    size_t size = strcspn(text, "\n");
    char *line = strndup(text, size);
    if (line && size) json_array_append_new(lines, fh_json_text(line));
    free(line);
    text += size;
    if (*text) text++;
  }
  return lines;
}

/* The descriptors of whoever started us are none of a driver's business. */
static void close_others(int first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0) return;
#endif
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    int64_t fd;
    if (fh_parse_i64(entry->d_name, &fd) && fd >= first && fd <= INT_MAX && fd != dirfd(dir)) close((int)fd);
  }
  closedir(dir);
}

/* A counterfactual: how it would be without ulimit -v. */
static void raise_address_space(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_AS, &limit);
}

static void prepare(void) {
  struct stat st;
  if (fstat(FH_ANSWER_FD, &st) == 0 && S_ISFIFO(st.st_mode)) {
    answer_fd = FH_ANSWER_FD;
    fcntl(FH_ANSWER_FD, F_SETFD, FD_CLOEXEC); /* programs that a driver starts must not hold it open */
    close_others(FH_ANSWER_FD + 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* a crash here is an answer, not an accident */
  if (getenv(FH_ANSWER_MORE_ADDRESSES)) raise_address_space();
}

extern void __gcov_dump(void) __attribute__((weak));

/* Ends without the exit handlers of drivers, which are known to crash. */
static void end(int status) {
  if (__gcov_dump) __gcov_dump();
  _exit(status);
}

static const fh_question *find_question(const char *text, const char **out_argument) {
  for (const fh_question *q = fh_questions; q->name; q++) {
    size_t size = strlen(q->name);
    if (strncmp(text, q->name, size) != 0 || (!q->takes_argument && text[size])) continue;
    *out_argument = text + size;
    return q;
  }
  return NULL;
}

bool fh_answer_knows(const char *question) {
  const char *argument;
  return find_question(question, &argument) != NULL;
}

int fh_answer_main(const char *question) {
  enum { ANSWERED = 0, NO_SUCH_QUESTION = 2 };
  prepare();
  const char *argument;
  const fh_question *q = find_question(question, &argument);
  if (!q) return NO_SUCH_QUESTION;
  q->answer(argument);
  fh_answer_done();
  end(ANSWERED);
  return ANSWERED;
}
