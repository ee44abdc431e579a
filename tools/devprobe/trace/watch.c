/* Follows a program and everything that it starts, to the end. SPDX-License-Identifier: Apache-2.0
 *
 * A stopped task always goes on, whatever could not be read of it: what is not understood is not recorded, and the
 * program never notices. A task that vanishes while it is looked at (SIGKILL) only makes calls fail with ESRCH. */
#include "tools/devprobe/trace/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tools/devprobe/trace/arch.h"
#include "tools/devprobe/trace/launch.h"
#include "tools/devprobe/trace/memory.h"
#include "tools/devprobe/trace/task.h"

enum { LONGEST_HOLD = 1000 * 1000 * 1000 };       /* ns */
enum { FIRST_RESTART = 512, LAST_RESTART = 530 }; /* results by which the kernel says that it will repeat a call: no answer yet */

typedef struct watch {
  fh_trace_record *record;
  fh_trace_end *end;
  fh_trace_launch launch;
  fh_trace_tasks tasks;
  int held_count;   /* of the tasks */
  bool begun;       /* the command has become a program */
  bool node_opened; /* some process has opened a GPU: what is open at an end is worth a look */
} watch;

/* ---- signals to devprobe itself ------------------------------------------------------------------------------- */

static volatile sig_atomic_t main_pid; /* the command; 0: it has ended */
static volatile sig_atomic_t enough;   /* a signal came after that: what it left behind is not waited for */

/* A terminal signals the whole group, the program too; what somebody sends to devprobe alone is meant for the program. */
static void hand_on(int number, siginfo_t *info, void *context) {
  (void)context;
  int error = errno;
  if (main_pid == 0) enough = 1;
  if (main_pid > 0 && info->si_code <= 0) kill(main_pid, number);
  errno = error;
}

static const int handed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
enum { HANDED_ON = sizeof handed_on / sizeof handed_on[0] };

/* A signal that devprobe was told to ignore (nohup) stays ignored, for the program too. */
static void catch_signals(struct sigaction before[HANDED_ON]) {
  struct sigaction act = {.sa_sigaction = hand_on, .sa_flags = SA_SIGINFO};
  sigfillset(&act.sa_mask);
  for (int i = 0; i < HANDED_ON; i++) {
    sigaction(handed_on[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(handed_on[i], &act, NULL);
  }
}

static void restore_signals(const struct sigaction before[HANDED_ON]) {
  for (int i = 0; i < HANDED_ON; i++) sigaction(handed_on[i], &before[i], NULL);
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

/* To the end of the call whose result is wanted, else to the next stop that matters. */
static void go_on(const watch *w, pid_t tid, int number) {
  const fh_trace_task *task = fh_trace_task_find(&w->tasks, tid);
  bool calls = w->launch.all_calls || (task && task->pending);
  ptrace(calls ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, (long)number);
}

/* ---- acts -------------------------------------------------------------------------------------------------------- */

static void fill_library(const watch *w, fh_trace_act *act, pid_t tid, int64_t fd) {
  char real[FH_TRACE_PATH];
  fh_trace_process_library(tid, (int)fd, real, &act->flaw);
  act->real = fh_arena_text(w->record->arena, real);
}

static void note(watch *w, pid_t tid, int program, fh_trace_deed deed, const char *path, int64_t result) {
  bool fresh;
  fh_trace_act like = {.deed = deed, .topic = fh_trace_topic_of(path), .program = program, .path = path};
  if (result < 0) like.error = (int)-result;
  fh_trace_act *act = fh_trace_record_act(w->record, &like, fh_now_ns() - w->record->start_ns, &fresh);
  if (act && deed == FH_DEED_OPEN && result >= 0 && fh_trace_is_node(act->topic)) w->node_opened = true;
  if (!act || !fresh) return;
  act->pid = act->tid = tid;
  fh_trace_process_thread(tid, act->thread);
  if (deed == FH_DEED_OPEN && result >= 0 && fh_trace_is_library(act->topic)) fill_library(w, act, tid, result);
}

/* At the entry of a call: is it about a GPU? Then its result is waited for. */
static void at_entry(watch *w, fh_trace_task *task) {
  char text[FH_TRACE_PATH], path[FH_TRACE_PATH];
  fh_trace_registers r;
  w->record->stops++;
  if (!w->begun || !fh_trace_registers_read(task->tid, &r)) return;
  const fh_trace_syscall *call = fh_trace_syscall_find(r.number);
  if (!call || !fh_trace_read_string(task->tid, r.args[call->path_arg], text, sizeof text)) return;
  int directory = call->dir_arg < 0 ? AT_FDCWD : (int)r.args[call->dir_arg];
  if (!fh_trace_process_path(task->tid, directory, text, path) || !fh_trace_topic_of(path)) return;
  fh_trace_task_expect(task, call->deed, path);
}

static void at_exit(watch *w, fh_trace_task *task) {
  fh_trace_registers r;
  bool restarts = true;
  w->record->stops++;
  if (task->pending && fh_trace_registers_read(task->tid, &r)) restarts = r.result <= -FIRST_RESTART && r.result >= -LAST_RESTART;
  if (!restarts) note(w, task->tid, task->program, task->deed, task->path, r.result);
  fh_trace_task_settle(task);
}

/* Without the filter entry and exit are told apart by turns. */
static void at_call(watch *w, fh_trace_task *task) {
  bool entry = w->launch.all_calls && !task->inside;
  task->inside = entry;
  if (entry) {
    at_entry(w, task);
  } else {
    at_exit(w, task);
  }
}

/* ---- tasks that come, change and go --------------------------------------------------------------------------------- */

static pid_t event_number(pid_t tid) {
  unsigned long number = 0;
  return ptrace(PTRACE_GETEVENTMSG, tid, NULL, &number) == 0 ? (pid_t)number : 0;
}

static void at_stop(watch *w, pid_t tid, int status);

/* A new task may stop before its parent's event tells whose it is: it waits until then, so that nothing that it does is told
 * of nobody. */
static void at_birth(watch *w, const fh_trace_task *parent, bool may_be_thread) {
  pid_t tid = event_number(parent->tid);
  fh_trace_task *child = tid > 0 ? fh_trace_task_add(&w->tasks, tid) : NULL;
  if (tid <= 0) return;
  bool thread = may_be_thread && fh_trace_process_is_thread(tid, parent->tid);
  w->record->threads += thread;
  w->record->processes += !thread;
  if (!child) return;
  int held = child->held;
  w->held_count -= held != 0;
  child->held = 0;
  child->announced = true;
  child->thread = thread;
  if (child->program < 0) child->program = parent->program;
  child->base_filters = parent->base_filters;
  if (held) at_stop(w, tid, held);
}

/* A parent that is killed at the wrong moment announces nothing: nobody waits for it longer than a second. */
static void release_held(watch *w) {
  int64_t now = fh_now_ns();
  for (int i = 0; i < FH_TRACE_TASK_BUCKETS; i++) {
    for (fh_trace_task *task = w->tasks.buckets[i]; task; task = task->next) {
      int held = task->held;
      if (!held || now - task->held_ns < LONGEST_HOLD) continue;
      task->held = 0;
      task->announced = true;
      w->held_count--;
      at_stop(w, task->tid, held);
    }
  }
}

/* The other threads are gone, and the one that called it has the process's number now. */
static void at_exec(watch *w, fh_trace_task *task) {
  pid_t former = event_number(task->tid);
  const fh_trace_task *caller = former > 0 ? fh_trace_task_find(&w->tasks, former) : NULL;
  if (caller && caller->pending) note(w, task->tid, caller->program, caller->deed, caller->path, 0);
  if (former > 0 && former != task->tid) fh_trace_task_remove(&w->tasks, former);
  fh_trace_task_settle(task);
  task->inside = true;
  task->thread = false;
  w->begun = true;
  fh_facts_arena *scratch = fh_arena_create();
  if (!scratch) return;
  fh_trace_program program;
  fh_trace_process_program(task->tid, scratch, &program);
  task->program = fh_trace_record_program(w->record, &program);
  task->base_filters = fh_trace_process_filters(task->tid);
  if (task->tid == w->launch.pid) w->record->command = task->program;
  fh_arena_destroy(scratch);
}

static void note_held(void *context, const char *path) {
  fh_trace_record *record = context;
  const fh_trace_topic *topic = fh_trace_topic_of(path);
  if (!topic || !fh_trace_is_node(topic)) return;
  for (int i = 0; i < record->act_count; i++) {
    fh_trace_act *act = &record->acts[i];
    if (act->deed == FH_DEED_OPEN && act->error == 0 && strcmp(act->path, path) == 0) act->held = true;
  }
}

/* A process is about to end, its files still open. */
static void at_end(watch *w, const fh_trace_task *task) {
  if (task->thread) return;
  fh_trace_program *program = task->program >= 0 ? &w->record->programs[task->program] : NULL;
  if (w->node_opened) fh_trace_process_files(task->tid, note_held, w->record);
  if (program && !program->own_filter && fh_trace_process_filters(task->tid) > task->base_filters) program->own_filter = true;
}

/* ---- stops ------------------------------------------------------------------------------------------------------------ */

static bool is_stop_signal(int number) { return number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU; }

/* What a stopped task came for; gives the signal that it is to get. */
static int at_event(watch *w, fh_trace_task *task, int event, int number) {
  switch (event) {
    case PTRACE_EVENT_SECCOMP:
      at_entry(w, task);
      return 0;
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
      at_birth(w, task, false);
      return 0;
    case PTRACE_EVENT_CLONE:
      at_birth(w, task, true);
      return 0;
    case PTRACE_EVENT_EXEC:
      at_exec(w, task);
      return 0;
    case PTRACE_EVENT_EXIT:
      at_end(w, task);
      return 0;
    case 0:
      if (number != (SIGTRAP | 0x80)) return number;
      at_call(w, task);
      return 0;
    default:
      return 0;
  }
}

static void at_stop(watch *w, pid_t tid, int status) {
  int event = status >> 16, number = WSTOPSIG(status);
  fh_trace_task *task = fh_trace_task_add(&w->tasks, tid);
  if (task && event == PTRACE_EVENT_STOP && !task->announced) {
    w->held_count += task->held == 0;
    task->held = status;
    task->held_ns = fh_now_ns();
    return;
  }
  if (task) task->announced = true;
  if (event == PTRACE_EVENT_STOP && is_stop_signal(number)) { /* stopped as a whole: it stays so until SIGCONT */
    ptrace(PTRACE_LISTEN, tid, NULL, NULL);
    return;
  }
  go_on(w, tid, task ? at_event(w, task, event, number) : 0);
}

static void at_death(watch *w, pid_t tid, int status) {
  const fh_trace_task *task = fh_trace_task_find(&w->tasks, tid);
  w->held_count -= task && task->held;
  fh_trace_task_remove(&w->tasks, tid);
  if (tid != w->launch.pid) return;
  main_pid = 0;
  w->end->wait_status = status;
  w->record->end_ns = fh_now_ns();
}

/* The next task that has something to tell. While one is held, its parent is about to tell: that is looked for in short steps. */
static pid_t next_task(watch *w, int *out_status) {
  static const struct timespec step = {.tv_nsec = 200 * 1000};
  while (w->held_count) {
    pid_t tid = waitpid(-1, out_status, __WALL | WNOHANG);
    if (tid) return tid;
    release_held(w);
    nanosleep(&step, NULL);
  }
  return waitpid(-1, out_status, __WALL);
}

/* Until nothing of it is left. */
static void follow(watch *w) {
  int status;
  pid_t tid;
  while (!enough && ((tid = next_task(w, &status)) > 0 || errno == EINTR)) {
    if (tid <= 0) continue;
    if (WIFSTOPPED(status)) {
      at_stop(w, tid, status);
    } else {
      at_death(w, tid, status);
    }
  }
}

fh_status fh_trace_watch(char *const *command, fh_trace_record *record, fh_trace_end *out) {
  watch w = {.record = record, .end = out};
  struct sigaction before[HANDED_ON];
  sigset_t signals, all;
  *out = (fh_trace_end){0};
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &signals); /* none is lost, and none is handed on, before there is somebody to get it */
  record->start_ns = record->end_ns = fh_now_ns();
  fh_status status = fh_trace_launch_start(command, &signals, &w.launch);
  if (!status) {
    main_pid = w.launch.pid;
    enough = 0;
    record->processes = 1;
    fh_trace_task *first = fh_trace_task_add(&w.tasks, w.launch.pid);
    if (first) first->announced = true;
    catch_signals(before);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    follow(&w);
    restore_signals(before);
    out->stayed_ns = fh_now_ns() - record->end_ns;
    out->cut_off = enough;
    out->all_calls = w.launch.all_calls;
    out->no_new_privs = w.launch.no_new_privs;
    out->start_error = fh_trace_launch_end(&w.launch);
  }
  sigprocmask(SIG_SETMASK, &signals, NULL);
  fh_trace_task_remove_all(&w.tasks);
  return status;
}
