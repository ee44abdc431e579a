/* A program to be traced: does what its arguments say, in order. SPDX-License-Identifier: Apache-2.0
 *
 *   open=PATH look=PATH      opens, asks for; the outcome does not matter
 *   hold=PATH                opens and keeps open
 *   relative=DIR,NAME        opens NAME in DIR by its descriptor, then by the current directory
 *   thread=PATH              a thread of the name "searcher" opens PATH
 *   fork=PATH vfork=PROGRAM  a child opens PATH; a child becomes PROGRAM by vfork
 *   spawn=COUNT              COUNT children, each with a thread, each opens /dev/nvidia<number>
 *   exec-in-thread=PROGRAM   a thread becomes PROGRAM, with the arguments that follow
 *   many=COUNT               opens so many different names of devices
 *   wild                     system calls with addresses that lead nowhere, unterminated and changing paths
 *   own-filter               forbids itself a system call by a filter of its own
 *   sigtrap                  handles SIGTRAP, raises it, and goes on
 *   stop                     stops itself; somebody continues it
 *   wait-signal=NUMBER       prints "ready", waits for that signal, prints its number
 *   leave=MS                 leaves a child behind that lives for so long
 *   exit=STATUS kill=SIGNAL  ends
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "refuse.h"

static void fail(const char *what) {
  perror(what);
  exit(99);
}

static void try_open(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) close(fd);
}

static void open_relative(char *argument) {
  char *name = strchr(argument, ',');
  *name++ = 0;
  int folder = open(argument, O_RDONLY | O_DIRECTORY);
  if (folder < 0) fail(argument);
  int fd = openat(folder, name, O_RDONLY);
  if (fd >= 0) close(fd);
  char here[4096];
  if (!getcwd(here, sizeof here) || fchdir(folder) != 0) fail("fchdir");
  try_open(name);
  if (chdir(here) != 0) fail(here);
  close(folder);
}

static void *search(void *path) {
  prctl(PR_SET_NAME, "searcher");
  try_open(path);
  return NULL;
}

static void in_thread(void *(*work)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, argument) != 0) fail("pthread_create");
  pthread_join(thread, NULL);
}

static void wait_for(pid_t child) {
  int status;
  if (child < 0 || waitpid(child, &status, 0) != child) fail("child");
}

static void in_child(char *path) {
  pid_t child = fork();
  if (child == 0) {
    try_open(path);
    _exit(0);
  }
  wait_for(child);
}

static void by_vfork(char *program) {
  char *words[] = {program, NULL};
  pid_t child = vfork();
  if (child == 0) {
    execv(program, words);
    _exit(98);
  }
  wait_for(child);
}

static void spawn(int count) {
  for (int i = 0; i < count; i++) {
    if (fork() != 0) continue;
    char path[40];
    snprintf(path, sizeof path, "/dev/nvidia%d", i);
    in_thread(search, path);
    _exit(0);
  }
  for (int i = 0; i < count; i++)
    if (wait(NULL) < 0) fail("wait");
}

static char **rest;

static void *become(void *program) {
  execv(program, rest);
  fail(program);
  return NULL;
}

static void open_many(int count) {
  for (int i = 0; i < count; i++) {
    char path[900];
    int used = snprintf(path, sizeof path, "/dev/nvidia-caps/%d-", i);
    memset(path + used, 'x', sizeof path - 1 - (size_t)used);
    path[sizeof path - 1] = 0;
    try_open(path);
  }
}

static char changing[64] = "/dev/nvidia-uvm";
static atomic_int changes_end;

static void *change(void *unused) {
  for (int i = 0; !changes_end; i++) changing[5 + i % 58] = (char)('a' + i % 26);
  return unused;
}

static void go_wild(void) {
  long page = sysconf(_SC_PAGESIZE);
  char *two = mmap(NULL, (size_t)(2 * page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (two == MAP_FAILED || munmap(two + page, (size_t)page) != 0) fail("mmap");
  memset(two, '/', (size_t)page);
  syscall(SYS_openat, AT_FDCWD, (char *)NULL, 0);
  syscall(SYS_openat, AT_FDCWD, (char *)1, 0);
  syscall(SYS_openat, AT_FDCWD, (char *)-1L, 0);
  syscall(SYS_openat, AT_FDCWD, two, 0);
  syscall(SYS_openat, AT_FDCWD, two + page - 8, 0);
  syscall(SYS_openat, 12345, "libcuda.so.1", 0);
  syscall(SYS_openat, -77, "libcuda.so.1", 0);
  memset(two, 'a', (size_t)page - 1);
  two[page - 1] = 0;
  syscall(SYS_openat, AT_FDCWD, two, 0); /* as long as a path may be */
  memcpy(two + page - 16, "/dev/nvidia-uvm", 16);
  syscall(SYS_openat, AT_FDCWD, two + page - 16, 0); /* up to the last byte that is there */
  pthread_t thread;
  if (pthread_create(&thread, NULL, change, NULL) != 0) fail("pthread_create");
  for (int i = 0; i < 2000; i++) syscall(SYS_openat, AT_FDCWD, changing, 0);
  changes_end = 1;
  pthread_join(thread, NULL);
}

static void filter_itself(void) {
  if (!refuse(SYS_getpriority)) fail("seccomp");
}

static volatile sig_atomic_t trapped;
static void on_trap(int number) { trapped = number; }

static void trap(void) {
  signal(SIGTRAP, on_trap);
  raise(SIGTRAP);
  if (trapped != SIGTRAP) fail("SIGTRAP was lost");
}

static void wait_signal(int number) {
  sigset_t set;
  int got;
  sigemptyset(&set);
  sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, NULL);
  puts("ready");
  fflush(stdout);
  if (sigwait(&set, &got) != 0) fail("sigwait");
  printf("%d\n", got);
  fflush(stdout);
}

static void leave(int ms) {
  if (fork() != 0) return;
  usleep((useconds_t)ms * 1000);
  _exit(0);
}

static void look(char *path) {
  struct stat st;
  (void)!stat(path, &st);
}
static void hold(char *path) { (void)!open(path, O_RDONLY); }
static void open_it(char *path) { try_open(path); }
static void thread(char *path) { in_thread(search, path); }
static void exec_in_thread(char *program) { in_thread(become, program); }
static void many(char *count) { open_many(atoi(count)); }
static void several(char *count) { spawn(atoi(count)); }
static void wild(char *unused) { (void)unused, go_wild(); }
static void own_filter(char *unused) { (void)unused, filter_itself(); }
static void sigtrap(char *unused) { (void)unused, trap(); }
static void stop(char *unused) { (void)unused, raise(SIGSTOP); }
static void wait_number(char *number) { wait_signal(atoi(number)); }
static void leave_behind(char *ms) { leave(atoi(ms)); }
static void end(char *status) { exit(atoi(status)); }
static void end_by_signal(char *number) { raise(atoi(number)); }

static const struct verb {
  const char *name;
  void (*act)(char *argument);
} verbs[] = {
    {"open", open_it},
    {"look", look},
    {"hold", hold},
    {"relative", open_relative},
    {"thread", thread},
    {"fork", in_child},
    {"vfork", by_vfork},
    {"spawn", several},
    {"exec-in-thread", exec_in_thread},
    {"many", many},
    {"wild", wild},
    {"own-filter", own_filter},
    {"sigtrap", sigtrap},
    {"stop", stop},
    {"wait-signal", wait_number},
    {"leave", leave_behind},
    {"exit", end},
    {"kill", end_by_signal},
};

static void do_verb(const char *name, char *argument) {
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
    if (strcmp(verbs[i].name, name) != 0) continue;
    verbs[i].act(argument);
    return;
  }
  fail(name);
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    char *argument = strchr(argv[i], '=');
    if (argument) *argument++ = 0;
    rest = argv + i;
    do_verb(argv[i], argument);
  }
  return 0;
}
