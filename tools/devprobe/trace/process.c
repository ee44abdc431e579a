/* What /proc tells of a traced process while it is stopped. SPDX-License-Identifier: Apache-2.0
 * Everything here is what the process says of itself or may change: sizes are bounded, what cannot be read is left out. */
#include "tools/devprobe/trace/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "detect/facts.h"
#include "detect/parse.h"

enum { MAX_ENVIRONMENT = 4 * 1024 * 1024, KEPT_ENVIRONMENT = 16 * 1024, STATUS_SIZE = 4096, MAX_FILES = 4096, PROC_PATH = 64 };

static void proc_path(char out[PROC_PATH], pid_t pid, const char *name) { snprintf(out, PROC_PATH, "/proc/%d/%s", (int)pid, name); }

static int open_proc(pid_t pid, const char *name) {
  char path[PROC_PATH];
  proc_path(path, pid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* The first bytes of a file, zero-terminated; 0: nothing. */
static size_t read_proc(pid_t pid, const char *name, char *out, size_t size) {
  int fd = open_proc(pid, name);
  ssize_t got = fd >= 0 ? read(fd, out, size - 1) : -1;
  if (fd >= 0) close(fd);
  out[got > 0 ? got : 0] = 0;
  return got > 0 ? (size_t)got : 0;
}

static bool read_link(pid_t pid, const char *name, char *out, size_t size) {
  char path[PROC_PATH];
  proc_path(path, pid, name);
  ssize_t got = readlink(path, out, size);
  if (got <= 0 || (size_t)got == size) return false; /* it may be cut */
  out[got] = 0;
  return true;
}

void fh_trace_process_thread(pid_t tid, char out[16]) {
  read_proc(tid, "comm", out, 16);
  out[strcspn(out, "\n")] = 0;
}

/* ---- the program --------------------------------------------------------------------------------------------- */

static const char *allowed_name(const char *entry, size_t size) {
  int count;
  const char *const *names = fh_allowed_variables(&count);
  for (int i = 0; i < count; i++)
    if (strlen(names[i]) == size && memcmp(names[i], entry, size) == 0) return names[i];
  return NULL;
}

/* Keeps a variable of the allow-list; everything else may be a secret. Gives the bytes that it took. */
static size_t take_variable(fh_facts_arena *arena, fh_trace_program *program, const char *entry, size_t room) {
  size_t name_size = strcspn(entry, "=");
  const char *name = entry[name_size] ? allowed_name(entry, name_size) : NULL;
  if (!name || program->variable_count == FH_TRACE_MAX_VARIABLES) return 0;
  const char *value = entry + name_size + 1;
  size_t size = strnlen(value, room);
  const char *ours = getenv(name);
  program->variables[program->variable_count++] =
      (fh_trace_variable){name, fh_arena_text_size(arena, value, size), ours && strcmp(ours, value) == 0};
  return size;
}

static void take_environment(pid_t pid, fh_facts_arena *arena, fh_trace_program *program) {
  int fd = open_proc(pid, "environ");
  FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
  char *entry = NULL;
  size_t capacity = 0, seen = 0, room = KEPT_ENVIRONMENT;
  if (!file) {
    if (fd >= 0) close(fd);
    return;
  }
  for (ssize_t size; seen < MAX_ENVIRONMENT && (size = getdelim(&entry, &capacity, 0, file)) > 0; seen += (size_t)size)
    room -= take_variable(arena, program, entry, room);
  free(entry);
  fclose(file);
}

/* A number of /proc/<pid>/status: the index-th of the line. -1: not there. */
static int64_t status_number(pid_t pid, const char *key, int index) {
  char text[STATUS_SIZE];
  size_t size;
  if (!read_proc(pid, "status", text, sizeof text)) return -1;
  const char *value = fh_key_value(text, key, ':', &size);
  int64_t number = -1;
  for (int i = 0; value && i <= index; i++)
    if (!fh_take_i64(&value, &number)) return -1;
  return number;
}

int64_t fh_trace_process_filters(pid_t pid) {
  int64_t count = status_number(pid, "Seccomp_filters", 0);
  return count > 0 ? count : 0;
}

typedef enum likeness { UNKNOWN, ALIKE, OTHER } likeness;

/* The same file for both processes? */
static likeness compare_files(pid_t pid, const char *name) {
  char path[PROC_PATH];
  struct stat theirs, ours;
  proc_path(path, pid, name);
  bool known = stat(path, &theirs) == 0;
  proc_path(path, getpid(), name);
  if (!known || stat(path, &ours) != 0) return UNKNOWN;
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ? ALIKE : OTHER;
}

/* Of the real, effective, saved and file system's user: a set-user-ID program has the environment of somebody else. */
static likeness compare_users(pid_t pid) {
  for (int i = 0; i < 4; i++) {
    int64_t user = status_number(pid, "Uid", i);
    if (user < 0) return UNKNOWN;
    if (user != (int64_t)geteuid()) return OTHER;
  }
  return ALIKE;
}

static void compare_with_us(pid_t pid, fh_trace_program *out) {
  likeness root = compare_files(pid, "root"), mounts = compare_files(pid, "ns/mnt"), user = compare_users(pid);
  out->other_root = root == OTHER || mounts == OTHER;
  out->other_user = user == OTHER;
  out->alike = root == ALIKE && mounts == ALIKE && user == ALIKE;
}

/* The kernel gives no rights to a program that an ordinary user watches. */
static bool is_disowned(pid_t pid, const struct stat *st) {
  if (!(st->st_mode & S_ISUID) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
  int64_t effective = status_number(pid, "Uid", 1);
  return effective >= 0 && effective != (int64_t)st->st_uid;
}

static void look_at_file(pid_t pid, fh_trace_program *out) {
  unsigned char head[EI_NIDENT];
  struct stat st;
  int fd = open_proc(pid, "exe");
  if (fd < 0) return;
  if (pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head && memcmp(head, ELFMAG, SELFMAG) == 0)
    out->bits32 = head[EI_CLASS] == ELFCLASS32;
  if (fstat(fd, &st) == 0) out->disowned = is_disowned(pid, &st);
  close(fd);
}

void fh_trace_process_program(pid_t pid, fh_facts_arena *arena, fh_trace_program *out) {
  char name[16], path[FH_TRACE_PATH];
  fh_trace_process_thread(pid, name);
  *out = (fh_trace_program){.name = fh_arena_text(arena, name), .path = ""};
  if (read_link(pid, "exe", path, sizeof path)) out->path = fh_arena_text(arena, path);
  take_environment(pid, arena, out);
  look_at_file(pid, out);
  compare_with_us(pid, out);
}

/* ---- paths and files ------------------------------------------------------------------------------------------- */

/* "//" and "/./" become "/". */
static void tidy(char *path) {
  char *to = path;
  for (const char *from = path; *from; from++) {
    bool again = from[0] == '/' && from[1] == '/', here = from[0] == '/' && from[1] == '.' && from[2] == '/';
    if (here) from++;
    if (!again && !here) *to++ = *from;
  }
  *to = 0;
}

bool fh_trace_process_path(pid_t tid, int directory, const char *path, char out[FH_TRACE_PATH]) {
  size_t used = 0, size = strlen(path);
  if (size == 0 || size >= FH_TRACE_PATH) return false;
  if (path[0] != '/') {
    char name[24] = "cwd";
    if (directory != AT_FDCWD) snprintf(name, sizeof name, "fd/%d", directory);
    if (!read_link(tid, name, out, FH_TRACE_PATH - 1) || out[0] != '/') return false;
    used = strlen(out);
    out[used++] = '/';
  }
  if (used + size >= FH_TRACE_PATH) return false;
  memcpy(out + used, path, size + 1);
  tidy(out);
  return true;
}

static const char *flaw_of(int fd) {
#if defined(__x86_64__)
  enum { MACHINE = EM_X86_64 };
#else
  enum { MACHINE = EM_AARCH64 };
#endif
  Elf64_Ehdr head;
  struct stat st;
  if (fstat(fd, &st) != 0) return "";
  if (st.st_size == 0) return "it is empty";
  if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return "it is no library";
  if (head.e_ident[EI_CLASS] != ELFCLASS64) return "it is a 32-bit library";
  return head.e_machine == MACHINE ? "" : "it is made for another processor";
}

/* A file that a process has open, anew, for reading; -1: none. A pipe or a device of that name could hold us for ever. */
static int open_again(pid_t tid, const char *name, bool *out_regular) {
  char path[PROC_PATH];
  struct stat st;
  proc_path(path, tid, name);
  int place = open(path, O_PATH | O_CLOEXEC), fd = -1;
  *out_regular = place < 0 || fstat(place, &st) != 0 || S_ISREG(st.st_mode);
  if (place < 0) return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", place);
  if (*out_regular) fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  close(place);
  return fd;
}

void fh_trace_process_library(pid_t tid, int fd, char out_real[FH_TRACE_PATH], const char **out_flaw) {
  char name[24];
  snprintf(name, sizeof name, "fd/%d", fd);
  *out_flaw = "";
  if (!read_link(tid, name, out_real, FH_TRACE_PATH)) out_real[0] = 0;
  bool regular;
  int here = open_again(tid, name, &regular);
  if (!regular) *out_flaw = "it is no library";
  if (here < 0) return;
  *out_flaw = flaw_of(here);
  close(here);
}

void fh_trace_process_files(pid_t pid, void (*found)(void *context, const char *path), void *context) {
  char path[PROC_PATH], name[24], target[FH_TRACE_PATH];
  proc_path(path, pid, "fd");
  DIR *folder = opendir(path);
  if (!folder) return;
  const struct dirent *entry;
  for (int i = 0; i < MAX_FILES && (entry = readdir(folder)); i++) {
    if (strlen(entry->d_name) > 10) continue;
    snprintf(name, sizeof name, "fd/%.10s", entry->d_name);
    if (read_link(pid, name, target, sizeof target) && target[0] == '/') found(context, target);
  }
  closedir(folder);
}

bool fh_trace_process_is_thread(pid_t tid, pid_t of) {
  char path[PROC_PATH];
  snprintf(path, sizeof path, "/proc/%d/task/%d", (int)of, (int)tid);
  return access(path, F_OK) == 0;
}
