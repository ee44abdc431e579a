/* What a real driver answers in the situations that devprobe's causes are about. SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here changes a setting of the GPU: each question is asked in a process of its own, whose environment, limits, filters or mounts
 * are changed for it alone.
 *
 *   gpu_confirm [--fake]      all of them; --fake: of the stand-in driver, which proves this program and nothing of a driver
 *   gpu_confirm ask [fork]    one question: prints the code of cuInit and the number of devices
 * What the vendor documents must be so: exit status 1 otherwise. The rest has been read in reports of users and is only compared: a line
 * says "differs", and the cause that relies on it has to be looked at. 77: there is no driver to ask.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "detect/drivers/cuda_driver.h"

enum { USAGE = 2, CANNOT = 76, NOT_RUN = 77, ASK_SECONDS = 30, TEXT = 16384 };

/* ---- the question ------------------------------------------------------------------------------------------------------- */

static int ask(bool after_fork) {
  fh_cuda_driver driver;
  fh_status status = fh_cuda_driver_load(&driver);
  int count = -1;
  if (status) {
    fh_status_free(status);
    printf("no library\n");
    return NOT_RUN;
  }
  fh_cu_result code = driver.fn.cuInit(0);
  if (after_fork && code == FH_CUDA_SUCCESS) {
    fh_cu_context context;
    const pid_t child = fork();
    if (child > 0) return waitpid(child, NULL, 0) == child ? 0 : 1;
    code = driver.fn.cuDevicePrimaryCtxRetain(&context, 0);
  }
  if (code == FH_CUDA_SUCCESS) (void)driver.fn.cuDeviceGetCount(&count);
  printf("%d %d\n", (int)code, count);
  fflush(stdout);
  return 0;
}

/* ---- situations ----------------------------------------------------------------------------------------------------------- */

typedef struct situation {
  const char *name;
  bool (*set)(const char *arg, char *why, size_t size); /* in the child; false: it cannot be had here */
  const char *arg;
  int code;          /* of cuInit, as expected */
  int devices;       /* -1: not looked at */
  bool documented;   /* by the vendor */
  bool stand_in;     /* the stand-in driver knows it too */
  const char *cause; /* that devprobe has to name; NULL: not asked */
  bool after_fork;
} situation;

static bool set_visible(const char *arg, char *why, size_t size) {
  (void)why, (void)size;
  return setenv("CUDA_VISIBLE_DEVICES", arg, 1) == 0;
}

static bool nothing(const char *arg, char *why, size_t size) {
  (void)arg, (void)why, (void)size;
  return true;
}

static bool limit_addresses(const char *arg, char *why, size_t size) {
  const rlim_t bytes = (rlim_t)atoll(arg) << 10;
  setenv("FOGHORN_FAKE_CUDA", "addresses=64GiB", 1); /* only a stand-in reads it */
  if (setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}) == 0) return true;
  snprintf(why, size, "setrlimit: %s", strerror(errno));
  return false;
}

/* The driver makes anonymous files; some sandboxes do not let it. */
static bool refuse_memfd(const char *arg, char *why, size_t size) {
  (void)arg;
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return true;
  snprintf(why, size, "no filter for system calls: %s", strerror(errno));
  return false;
}

/* Mounts of this process alone. */
static bool own_mounts(char *why, size_t size) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    snprintf(why, size, "no mounts of its own: %s", strerror(errno));
    return false;
  }
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) return true;
  snprintf(why, size, "its mounts cannot be made private: %s", strerror(errno));
  return false;
}

static bool cover(const char *with, const char *node, char *why, size_t size) {
  if (access(node, F_OK) != 0) {
    snprintf(why, size, "there is no %s", node);
    return false;
  }
  if (!own_mounts(why, size)) return false;
  if (mount(with, node, NULL, MS_BIND, NULL) == 0) return true;
  snprintf(why, size, "%s cannot be mounted over %s: %s", with, node, strerror(errno));
  return false;
}

static bool cover_node(const char *node, char *why, size_t size) { return cover("/dev/null", node, why, size); }

/* A plain file where a device node should be, as an engine leaves that binds a path which is not there. */
static bool cover_with_file(const char *node, char *why, size_t size) { return cover("/proc/self/exe", node, why, size); }

static bool forbid_devices(const char *node, char *why, size_t size) {
  if (!cover(node, node, why, size)) return false;
  if (mount(NULL, node, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL) == 0) return true;
  snprintf(why, size, "%s cannot be mounted without devices: %s", node, strerror(errno));
  return false;
}

/* The toolkit's library for linking, found before the driver's. */
static bool stub_first(const char *folder, char *why, size_t size) {
  char link[64] = "/tmp/foghorn-stub-XXXXXX", name[128], target[256], places[TEXT];
  const char *before = getenv("LD_LIBRARY_PATH"); /* where devprobe's own libraries are */
  snprintf(target, sizeof target, "%s/libcuda.so", folder);
  if (access(target, F_OK) != 0) {
    snprintf(why, size, "there is no %s", target);
    return false;
  }
  if (!mkdtemp(link)) return false;
  snprintf(name, sizeof name, "%s/libcuda.so.1", link);
  snprintf(places, sizeof places, "%s%s%s", link, before && *before ? ":" : "", before ? before : "");
  return symlink(target, name) == 0 && setenv("LD_LIBRARY_PATH", places, 1) == 0;
}

static const situation situations[] = {
    {"nothing is hidden", nothing, NULL, 0, -1, true, true, NULL, false},
    {"CUDA_VISIBLE_DEVICES=''", set_visible, "", 100, -1, true, true, "CU-CVD-EMPTY", false},
    {"CUDA_VISIBLE_DEVICES=-1", set_visible, "-1", 100, -1, true, true, "CU-CVD-EMPTY", false},
    {"CUDA_VISIBLE_DEVICES=99", set_visible, "99", 100, -1, true, true, "CU-CVD-TRUNCATED", false},
    {"CUDA_VISIBLE_DEVICES=0,99", set_visible, "0,99", 0, 1, true, true, NULL, false},
    {"CUDA_VISIBLE_DEVICES=GPU-bad", set_visible, "GPU-bad", 100, -1, true, true, "CU-CVD-BADUUID", false},
    {"CUDA_VISIBLE_DEVICES=MIG-bad", set_visible, "MIG-bad", 100, -1, false, true, "CU-CVD-MIG", false},
    {"8 GB of addresses", limit_addresses, "8000000", 2, -1, false, true, "CU-OOM-HOST-VA", false},
    {"used in a fork after cuInit", nothing, NULL, 3, -1, false, false, NULL, true},
    {"memfd_create refused", refuse_memfd, NULL, 304, -1, false, false, "CR-LANDLOCK-SECCOMP", false},
    {"/dev/nvidia-uvm covered by another device", cover_node, "/dev/nvidia-uvm", 999, -1, false, false, NULL, false},
    {"/dev/nvidiactl covered by a file", cover_with_file, "/dev/nvidiactl", 100, -1, false, false, "CR-NODE-NOT-CHARDEV", false},
    {"/dev/nvidiactl on a mount without devices", forbid_devices, "/dev/nvidiactl", 100, -1, false, false, "CR-NODE-NODEV", false},
    {"the toolkit's stub library first", stub_first, "/usr/local/cuda/lib64/stubs", 34, -1, false, false, "CU-STUB", false},
};

/* ---- asking it ---------------------------------------------------------------------------------------------------------------- */

static void in_child(const situation *s, const char *program, const char *const *argv, int to) {
  char why[200] = "";
  dup2(to, STDOUT_FILENO);
  alarm(ASK_SECONDS);
  if (!s->set(s->arg, why, sizeof why)) {
    printf("%s\n", why);
    fflush(stdout);
    _exit(CANNOT);
  }
  execv(program, (char *const *)(uintptr_t)argv);
  printf("%s: %s\n", program, strerror(errno));
  fflush(stdout);
  _exit(CANNOT);
}

/* Exit status of the program in the situation, or -1 after a signal; its output in `text`. */
static int run_in(const situation *s, const char *program, const char *const *argv, char text[static TEXT]) {
  int pipes[2], status = 0;
  size_t have = 0;
  text[0] = 0;
  fflush(stdout);
  if (pipe(pipes) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) in_child(s, program, argv, pipes[1]);
  close(pipes[1]);
  for (ssize_t n; child > 0 && (n = read(pipes[0], text + have, TEXT - 1 - have)) > 0;) have += (size_t)n;
  close(pipes[0]);
  text[have] = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

typedef struct tally {
  int confirmed, differ, wrong, not_run;
} tally;

static void say(const char *verdict, const situation *s, const char *rest) { printf("%-10s %s: %s\n", verdict, s->name, rest); }

/* What devprobe makes of the same situation. */
static void ask_devprobe(const situation *s, const char *devprobe, tally *sum) {
  static char text[TEXT];
  if (!s->cause || !devprobe) return;
  const char *const report[] = {devprobe, "--format", "github", NULL};
  const int status = run_in(s, devprobe, report, text);
  const bool named = strstr(text, s->cause) != NULL;
  char line[200];
  snprintf(line, sizeof line, "devprobe %s %s (exit status %d)", named ? "names" : "does not name", s->cause, status);
  say(named ? "confirmed" : s->documented ? "WRONG" : "differs", s, line);
  *(named ? &sum->confirmed : s->documented ? &sum->wrong : &sum->differ) += 1;
}

static void compare(const situation *s, int code, int devices, tally *sum) {
  char line[200];
  const bool same = code == s->code && (s->devices < 0 || devices == s->devices);
  snprintf(line, sizeof line, "cuInit %d %s, %d devices; expected %d %s%s", code, fh_cuda_result_name(code), devices, s->code,
           fh_cuda_result_name(s->code), s->devices >= 0 ? " and 1 device" : "");
  say(same ? "confirmed" : s->documented ? "WRONG" : "differs", s, line);
  *(same ? &sum->confirmed : s->documented ? &sum->wrong : &sum->differ) += 1;
}

static void confirm(const situation *s, const char *devprobe, bool fake, tally *sum) {
  static char text[TEXT];
  const char *const argv[] = {"gpu_confirm", "ask", s->after_fork ? "fork" : NULL, NULL};
  int code, devices;
  if (fake && !s->stand_in) {
    say("not run", s, "NOT RUN: the stand-in driver does not know it");
    sum->not_run++;
    return;
  }
  const int status = run_in(s, "/proc/self/exe", argv, text);
  text[strcspn(text, "\n")] = 0;
  if (status == CANNOT || status == NOT_RUN) {
    char line[300];
    snprintf(line, sizeof line, "NOT RUN: %.250s", text);
    say("not run", s, line);
    sum->not_run++;
  } else if (sscanf(text, "%d %d", &code, &devices) != 2) {
    say("WRONG", s, status < 0 ? "the driver crashed, or did not answer in 30 s" : text);
    sum->wrong++;
  } else {
    compare(s, code, devices, sum);
    if (!fake) ask_devprobe(s, devprobe, sum);
  }
}

int main(int argc, char **argv) {
  const bool fake = argc == 2 && strcmp(argv[1], "--fake") == 0;
  const bool asks = argc >= 2 && strcmp(argv[1], "ask") == 0;
  if (asks) return ask(argc == 3 && strcmp(argv[2], "fork") == 0);
  if (argc > 1 && !fake) {
    fputs("usage: gpu_confirm [--fake]\n", stderr);
    return USAGE;
  }
  fh_cuda_driver driver;
  fh_status status = fh_cuda_driver_load(&driver);
  if (status) {
    fh_status_free(status);
    puts("NOT RUN: there is no CUDA driver library here");
    return NOT_RUN;
  }
  const bool is_fake = driver.fake;
  fh_cuda_driver_close(&driver);
  if (is_fake != fake) {
    puts(fake ? "NOT RUN: the driver is no stand-in" : "NOT RUN: the driver is a stand-in: --fake accepts it");
    return NOT_RUN;
  }
  tally sum = {0};
  for (size_t i = 0; i < sizeof situations / sizeof *situations; i++) confirm(&situations[i], getenv("FOGHORN_PROBE"), fake, &sum);
  printf("%d confirmed, %d differ, %d wrong, %d not run\n", sum.confirmed, sum.differ, sum.wrong, sum.not_run);
  return sum.wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
