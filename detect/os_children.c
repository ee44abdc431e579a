/* Children that answer questions, and may crash or hang doing so. SPDX-License-Identifier: Apache-2.0
 *
 * A child is this program's helper, started anew so that it shares no state with us, in a process group of its own
 * that ends with us. It is killed at the time limit; one that cannot be killed (a driver holds it in state D) is left
 * behind. All children of one table share one deadline, which starts with the first question.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "detect/os_live.h"
#include "runtime/base/clock.h"

enum { MAX_CHILDREN = 128, MAX_ANSWER = 1024 * 1024, STATE_SAMPLES = 3 };
#define MILLISECONDS(n) ((int64_t)(n) * 1000 * 1000)
static const int64_t exit_check_ns = MILLISECONDS(50);  /* a grandchild may hold the pipe open: look at the child itself */
static const int64_t kill_grace_ns = MILLISECONDS(200); /* from SIGKILL to "cannot be killed" */
static const int64_t node_least_ns = MILLISECONDS(50);

typedef struct child {
  bool used, finished;
  pid_t pid;
  int pipe; /* -1: closed */
  char *data;
  size_t size, capacity;
  int64_t started_ns;
  fh_os_answer answer; /* without the text, until finished */
} child;

struct fh_children {
  char helper[PATH_MAX];           /* "": none */
  int64_t timeout_ns, deadline_ns; /* deadline 0: no question yet */
  child items[MAX_CHILDREN];
  pid_t opener; /* opens device nodes; 0: none */
  int opener_socket;
};

static void sleep_ns(int64_t ns) { nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL); }

static int64_t remaining_ns(fh_children *all) {
  int64_t now = fh_now_ns();
  if (!all->deadline_ns) all->deadline_ns = now + all->timeout_ns;
  return all->deadline_ns > now ? all->deadline_ns - now : 0;
}

fh_children *fh_children_create(const char *helper, int64_t timeout_ns) {
  fh_children *all = calloc(1, sizeof *all);
  if (!all) return NULL;
  snprintf(all->helper, sizeof all->helper, "%s", helper);
  all->timeout_ns = timeout_ns;
  all->opener_socket = -1;
  for (int i = 0; i < MAX_CHILDREN; i++) all->items[i].pipe = -1;
  return all;
}

/* ---- the environment of a child ------------------------------------------------------------------------- */

static size_t name_size(const char *assignment) { return strcspn(assignment, "="); }

static bool is_changed(const char *assignment, const char *const *changes) {
  size_t size = name_size(assignment);
  for (; changes && *changes; changes++)
    if (name_size(*changes) == size && memcmp(*changes, assignment, size) == 0) return true;
  return false;
}

/* Ours with the changes; the array is the caller's, its texts are not. */
static char **changed_environment(const char *const *changes) {
  size_t count = 0, extra = 0, at = 0;
  while (environ && environ[count]) count++;
  while (changes && changes[extra]) extra++;
  char **out = calloc(count + extra + 1, sizeof *out);
  if (!out) return NULL;
  for (size_t i = 0; i < count; i++)
    if (!is_changed(environ[i], changes)) out[at++] = environ[i];
  for (size_t i = 0; i < extra; i++)
    if (strchr(changes[i], '=')) out[at++] = (char *)changes[i]; /* execve does not write to it */
  return out;
}

/* ---- starting --------------------------------------------------------------------------------------------- */

static bool wants_stderr(void) {
  const char *level = getenv("FOGHORN_LOG");
  return level && strcmp(level, "debug") == 0;
}

/* A container without /dev has no /dev/null: its root folder gives nothing and takes nothing either. */
static int open_nothing(void) {
  int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd >= 0 ? fd : open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int spawn_helper(const fh_children *all, const char *question, char **env, int answer_fd, pid_t *out_pid) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none, every;
  sigemptyset(&none);
  sigfillset(&every);
  int error = posix_spawn_file_actions_init(&files);
  if (error) return error;
  error = posix_spawnattr_init(&attributes);
  if (error) {
    posix_spawn_file_actions_destroy(&files);
    return error;
  }
  int nothing = open_nothing();
  if (nothing < 0) error = errno;
  if (!error) error = posix_spawn_file_actions_adddup2(&files, nothing, 0);
  if (!error) error = posix_spawn_file_actions_adddup2(&files, answer_fd, FH_ANSWER_FD);
  if (!error) error = posix_spawn_file_actions_adddup2(&files, 0, 1); /* drivers print */
  if (!error && !wants_stderr()) error = posix_spawn_file_actions_adddup2(&files, 0, 2);
  if (!error) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  if (!error) error = posix_spawnattr_setpgroup(&attributes, 0);
  if (!error) error = posix_spawnattr_setsigdefault(&attributes, &every);
  if (!error) error = posix_spawnattr_setsigmask(&attributes, &none);
  char *argv[] = {(char *)all->helper, (char *)"--answer", (char *)question, NULL};
  if (!error) error = posix_spawn(out_pid, all->helper, &files, &attributes, argv, env);
  if (nothing >= 0) close(nothing);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

/* Where a filter refuses clone3, posix_spawn fails, and fork, an older call, does not: the helper is started by hand.
 * The last resort when there is no helper: our own image goes on in the child. A lock that another thread holds at this
 * moment stays locked there for ever; the time limit ends such a child. */
static int fork_child(const fh_children *all, const char *question, char **env, int answer_fd, pid_t *out_pid) {
  pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid > 0) {
    *out_pid = pid;
    return 0;
  }
  setpgid(0, 0);
  environ = env;
  if (answer_fd != FH_ANSWER_FD) dup2(answer_fd, FH_ANSWER_FD);
  fcntl(FH_ANSWER_FD, F_SETFD, 0);
  int nothing = open_nothing(); /* after the answer has its place, which it might have taken */
  if (nothing >= 0) {           /* else drivers print where we do; the answer is worth that */
    dup2(nothing, 0);
    dup2(nothing, 1);
    if (!wants_stderr()) dup2(nothing, 2);
  }
  for (int signal_number = 1; signal_number < NSIG; signal_number++) signal(signal_number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (!all->helper[0]) _exit(fh_answer_main(question));
  char *argv[] = {(char *)all->helper, (char *)"--answer", (char *)question, NULL};
  execve(all->helper, argv, env);
  _exit(127);
}

static int start_in(fh_children *all, child *c, const char *question, const char *const *changes) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  char **env = changed_environment(changes);
  int error = env ? 0 : ENOMEM;
  pid_t pid = 0;
  c->started_ns = fh_now_ns();
  bool spawned = !error && all->helper[0];
  if (spawned) error = spawn_helper(all, question, env, ends[1], &pid);
  if (spawned ? error == EPERM : !error) error = fork_child(all, question, env, ends[1], &pid);
  free(env);
  close(ends[1]);
  if (error) {
    close(ends[0]);
    return error;
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  c->used = true;
  c->pid = pid;
  c->pipe = ends[0];
  c->answer.exit_code = -1;
  return 0;
}

int fh_children_start(fh_children *all, const char *question, const char *const *changes, int *out_ticket) {
  remaining_ns(all); /* the clock starts */
  for (int i = 0; i < MAX_CHILDREN; i++) {
    if (all->items[i].used) continue;
    all->items[i] = (child){.pipe = -1};
    *out_ticket = i;
    return start_in(all, &all->items[i], question, changes);
  }
  return EAGAIN;
}

/* ---- ending ------------------------------------------------------------------------------------------------- */

/* State letter of a process or thread; 0 when it is gone. */
static char state_of(const char *stat_path) {
  char text[512];
  int fd = open(stat_path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  const char *after_name = strrchr(text, ')'); /* the name may hold anything */
  return after_name && after_name[1] == ' ' ? after_name[2] : 0;
}

static void read_wchan(pid_t pid, const char *task, char *out, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/wchan", (int)pid, task);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd >= 0 ? read(fd, out, size - 1) : -1;
  if (fd >= 0) close(fd);
  out[length > 0 ? length : 0] = 0;
  if (strcmp(out, "0") == 0) out[0] = 0;
}

/* One look at all threads: D as soon as one sleeps in the kernel, else the state of the first. */
static char sample_state(pid_t pid, char *wchan, size_t wchan_size) {
  char path[96], main_task[16];
  snprintf(main_task, sizeof main_task, "%d", (int)pid);
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  char state = state_of(path);
  read_wchan(pid, main_task, wchan, wchan_size);
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *tasks = state == 'D' ? NULL : opendir(path);
  for (struct dirent *entry; tasks && state != 'D' && (entry = readdir(tasks));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", (int)pid, entry->d_name);
    if (state_of(path) != 'D') continue;
    state = 'D';
    read_wchan(pid, entry->d_name, wchan, wchan_size);
  }
  if (tasks) closedir(tasks);
  return state;
}

/* D at one moment may be a page on its way from a disk; D at every look is a driver that does not come back. */
static void note_state(child *c) {
  for (int i = 0; i < STATE_SAMPLES; i++) {
    char wchan[sizeof c->answer.wchan];
    if (i) sleep_ns(MILLISECONDS(5));
    char state = sample_state(c->pid, wchan, sizeof wchan);
    if (i && c->answer.state == 'D' && state != 'D') {
      c->answer.state = state;
      memcpy(c->answer.wchan, wchan, sizeof wchan);
    }
    if (i == 0) {
      c->answer.state = state;
      memcpy(c->answer.wchan, wchan, sizeof wchan);
    }
    if (c->answer.state != 'D') return;
  }
}

/* True when the child has ended, or is not ours to wait for any more. Whatever it left in its group ends with it. */
static bool reap(child *c) {
  siginfo_t info = {0};
  if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) return false;
  kill(-c->pid, SIGKILL); /* while the zombie still holds the number of the group */
  int status;
  if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
    if (WIFEXITED(status)) c->answer.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) c->answer.signal = WTERMSIG(status);
  }
  return true; /* else somebody else has waited for it (SIGCHLD ignored, say): how it ended stays unknown */
}

static bool reap_within(child *c, int64_t limit_ns) {
  const int64_t end = fh_now_ns() + limit_ns;
  for (int64_t pause = MILLISECONDS(1) / 10; !reap(c); pause = pause < MILLISECONDS(4) ? pause * 2 : pause) {
    if (fh_now_ns() >= end) return false;
    sleep_ns(pause);
  }
  return true;
}

static void finish(child *c) {
  if (c->pipe >= 0) close(c->pipe);
  c->pipe = -1;
  c->finished = true;
  c->answer.wall_ns = fh_now_ns() - c->started_ns;
}

static void kill_child(child *c) {
  note_state(c);
  kill(-c->pid, SIGKILL);
  kill(c->pid, SIGKILL);
  if (reap_within(c, kill_grace_ns)) c->answer.signal = 0; /* ours, not the driver's */
  c->answer.exit_code = -1;
  c->answer.timed_out = true;
  finish(c);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static bool store(child *c, const char *bytes, size_t size) {
  if (c->size + size > MAX_ANSWER) size = MAX_ANSWER - c->size; /* the rest is dropped: the child must not fill our memory */
  if (c->size + size + 1 > c->capacity) {
    size_t capacity = c->capacity ? c->capacity : 4096;
    while (capacity < c->size + size + 1) capacity *= 2;
    char *data = realloc(c->data, capacity);
    if (!data) return false;
    c->data = data;
    c->capacity = capacity;
  }
  memcpy(c->data + c->size, bytes, size);
  c->size += size;
  c->data[c->size] = 0;
  return true;
}

/* Takes what is in the pipe; false at its end. */
static bool drain(child *c) {
  char bytes[8192];
  for (;;) {
    ssize_t got = read(c->pipe, bytes, sizeof bytes);
    if (got > 0) {
      store(c, bytes, (size_t)got);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else {
      return got < 0 && errno == EAGAIN;
    }
  }
}

/* One turn over all children that run: waits until one of them says something. */
static void attend(fh_children *all) {
  struct pollfd fds[MAX_CHILDREN];
  child *owners[MAX_CHILDREN];
  nfds_t count = 0;
  for (int i = 0; i < MAX_CHILDREN; i++) {
    child *c = &all->items[i];
    if (!c->used || c->finished) continue;
    fds[count] = (struct pollfd){.fd = c->pipe, .events = POLLIN};
    owners[count++] = c;
  }
  int64_t left = remaining_ns(all);
  int64_t wait = left < exit_check_ns ? left : exit_check_ns;
  int ready = poll(fds, count, (int)((wait + MILLISECONDS(1) - 1) / MILLISECONDS(1)));
  bool late = remaining_ns(all) == 0;
  for (nfds_t i = 0; i < count; i++) {
    child *c = owners[i];
    bool open = ready > 0 && fds[i].revents ? drain(c) : true;
    bool look = !open || ready <= 0;
    if (!open && reap_within(c, left > exit_check_ns ? left : exit_check_ns)) {
      finish(c);
    } else if (look && open && reap(c)) {
      drain(c);
      finish(c);
    } else if (late || !open) {
      kill_child(c);
    }
  }
}

int fh_children_collect(fh_children *all, int ticket, fh_os_answer *out) {
  if (ticket < 0 || ticket >= MAX_CHILDREN || !all->items[ticket].used) return EINVAL;
  child *c = &all->items[ticket];
  while (!c->finished) attend(all);
  *out = c->answer;
  out->json = c->data ? c->data : calloc(1, 1);
  *c = (child){.pipe = -1};
  return out->json ? 0 : ENOMEM;
}

/* ---- opening device nodes ---------------------------------------------------------------------------------------- */

/* In the child: only system calls, as other threads may have held any lock when it was forked. */
static void opener_loop(int fd, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
#ifdef SYS_close_range
  if (fd > 3) syscall(SYS_close_range, 3U, (unsigned)fd - 1, 0U);
  syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0U);
#endif
  char path[PATH_MAX];
  for (;;) {
    ssize_t size = recv(fd, path, sizeof path - 1, 0);
    if (size <= 0) _exit(0);
    path[size] = 0;
    int node = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (node < 0 && errno == EAGAIN) node = open(path, O_RDWR | O_CLOEXEC); /* a driver that is being set up: wait for it */
    int error = node < 0 ? errno : 0;
    if (node >= 0) close(node); /* may hang as well */
    if (send(fd, &error, sizeof error, MSG_NOSIGNAL) != sizeof error) _exit(0);
  }
}

static int start_opener(fh_children *all) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before); /* a handler of the program that we are part of must not run in the child */
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) opener_loop(ends[1], parent);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return EAGAIN;
  }
  all->opener = pid;
  all->opener_socket = ends[0];
  return 0;
}

static void stop_opener(fh_children *all) {
  if (!all->opener) return;
  close(all->opener_socket);
  child c = {.pid = all->opener};
  kill(all->opener, SIGKILL);
  reap_within(&c, kill_grace_ns / 4);
  all->opener = 0;
  all->opener_socket = -1;
}

/* True when there is something to read in time. A signal handler of the program that we are part of does not end the wait. */
static bool readable_within(int fd, int64_t limit_ns) {
  struct pollfd answer = {.fd = fd, .events = POLLIN};
  const int64_t end = fh_now_ns() + limit_ns;
  int ready;
  do {
    int64_t left = end - fh_now_ns();
    ready = poll(&answer, 1, left > 0 ? (int)((left + MILLISECONDS(1) - 1) / MILLISECONDS(1)) : 0);
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

int fh_children_open_node(fh_children *all, const char *path) {
  int error = all->opener ? 0 : start_opener(all);
  if (error) return error;
  size_t size = strlen(path);
  if (size == 0 || size >= PATH_MAX) return ENAMETOOLONG;
  int64_t limit = remaining_ns(all) / 2; /* a node that hangs leaves time for the questions */
  if (limit < node_least_ns) limit = node_least_ns;
  int result;
  if (send(all->opener_socket, path, size, MSG_NOSIGNAL) == (ssize_t)size && readable_within(all->opener_socket, limit) &&
      recv(all->opener_socket, &result, sizeof result, 0) == sizeof result)
    return result;
  stop_opener(all); /* it hangs, or the driver has killed it */
  return ETIMEDOUT;
}

void fh_children_destroy(fh_children *all) {
  if (!all) return;
  stop_opener(all);
  for (int i = 0; i < MAX_CHILDREN; i++) {
    child *c = &all->items[i];
    if (c->used && !c->finished) {
      kill(-c->pid, SIGKILL);
      kill(c->pid, SIGKILL);
      reap_within(c, kill_grace_ns);
      finish(c);
    }
    free(c->data);
  }
  free(all);
}
