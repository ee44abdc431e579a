/* The live machine, and children that misbehave. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=60 fakes=yes cross=no
 * This program is its own helper: started with --answer it plays a driver that crashes, hangs, talks too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "detect/facts.h"
#include "detect/os_live.h"
#include "runtime/base/clock.h"
#include "tests/support/folder.h"

static const char *self_path;
static const int64_t second_ns = 1000000000;

/* ---- the helper ------------------------------------------------------------------------------------------- */

static void say(const char *text) {
  if (write(FH_ANSWER_FD, text, strlen(text)) < 0) _exit(9);
}

/* vfork holds the parent in state D until its child ends: what a driver that hangs looks like. */
__attribute__((noinline)) static void sleep_in_state_d(void) {
  if (vfork() == 0) {
    for (;;) pause();
  }
}

static int play(const char *question) {
  if (strcmp(question, "test-hello") == 0) say("{\"x\":1}\n");
  if (strcmp(question, "test-crash") == 0) {
    say("{\"calling\":\"cuInit\"}\n");
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (strcmp(question, "test-exit") == 0) return 7;
  if (strcmp(question, "test-sleep") == 0) {
    say("{\"calling\":\"cuInit\"}\n");
    for (;;) pause();
  }
  if (strcmp(question, "test-hang") == 0) sleep_in_state_d();
  if (strcmp(question, "test-ignore") == 0) {
    signal(SIGTERM, SIG_IGN);
    for (;;) pause();
  }
  if (strcmp(question, "test-talk") == 0) {
    static char lines[4096];
    memset(lines, 'x', sizeof lines);
    for (int i = 0; i < 1024; i++)
      if (write(FH_ANSWER_FD, lines, sizeof lines) < 0) return 9;
  }
  if (strcmp(question, "test-env") == 0) {
    say(getenv("FH_TEST_ADDED") ? getenv("FH_TEST_ADDED") : "none");
    say(getenv("FH_TEST_REMOVED") ? " kept" : " removed");
  }
  if (strcmp(question, "test-grandchild") == 0) { /* a daemon that a driver starts keeps the pipe open */
    say("{}");
    if (fork() == 0) {
      for (;;) pause();
    }
  }
  if (strcmp(question, "test-stdout") == 0) {
    printf("a driver prints\n");
    fflush(stdout);
    say("{}");
  }
  return 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

static fh_os *open_live(double seconds) {
  fh_os *os;
  fh_status status = fh_os_live(self_path, (int64_t)(seconds * (double)second_ns), &os);
  if (status) fail_msg("%s", fh_status_message(status));
  return os;
}

static fh_os_answer ask(fh_os *os, const char *question, const char *const *changes) {
  int ticket;
  fh_os_answer answer;
  assert_int_equal(os->api->ask_start(os, question, changes, &ticket), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &answer), 0);
  return answer;
}

static void endings(void **state) {
  (void)state;
  fh_os *os = open_live(20);
  fh_os_answer a = ask(os, "test-hello", NULL);
  assert_string_equal(a.json, "{\"x\":1}\n");
  assert_true(a.exit_code == 0 && a.signal == 0 && !a.timed_out && a.wall_ns > 0);
  fh_os_answer_free(&a);
  a = ask(os, "test-crash", NULL);
  assert_int_equal(a.signal, SIGSEGV);
  assert_int_equal(a.exit_code, -1);
  assert_string_equal(a.json, "{\"calling\":\"cuInit\"}\n");
  fh_os_answer_free(&a);
  a = ask(os, "test-exit", NULL);
  assert_true(a.exit_code == 7 && a.signal == 0);
  fh_os_answer_free(&a);
  a = ask(os, "test-stdout", NULL);
  assert_string_equal(a.json, "{}");
  fh_os_answer_free(&a);
  fh_os_destroy(os);
}

static void hung_is_not_slow(void **state) {
  (void)state;
  static const struct {
    const char *question;
    bool hung;
  } cases[] = {{"test-sleep", false}, {"test-hang", true}, {"test-ignore", false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
#if defined(__SANITIZE_THREAD__)
    if (cases[i].hung) {
      print_message("NOT RUN: hung_is_not_slow: the thread sanitizer makes vfork a fork, so nothing here reaches state D\n");
      continue;
    }
#endif
    fh_os *os = open_live(0.4);
    int64_t start = fh_now_ns();
    fh_os_answer a = ask(os, cases[i].question, NULL);
    assert_true(a.timed_out);
    if ((a.state == 'D') != cases[i].hung) fail_msg("%s: state %c", cases[i].question, a.state ? a.state : '0');
    assert_true(fh_now_ns() - start < 5 * second_ns);
    if (i == 0) assert_string_equal(a.json, "{\"calling\":\"cuInit\"}\n"); /* how far it came */
    fh_os_answer_free(&a);
    fh_os_destroy(os);
  }
}

static void one_limit_for_all(void **state) {
  (void)state;
  fh_os *os = open_live(0.5);
  int tickets[6], hello;
  int64_t start = fh_now_ns();
  for (int i = 0; i < 6; i++) assert_int_equal(os->api->ask_start(os, "test-sleep", NULL, &tickets[i]), 0);
  assert_int_equal(os->api->ask_start(os, "test-hello", NULL, &hello), 0);
  fh_os_answer a;
  for (int i = 0; i < 6; i++) {
    assert_int_equal(os->api->ask_collect(os, tickets[i], &a), 0);
    assert_true(a.timed_out);
    fh_os_answer_free(&a);
  }
  assert_int_equal(os->api->ask_collect(os, hello, &a), 0); /* answered long ago, collected late */
  assert_false(a.timed_out);
  assert_string_equal(a.json, "{\"x\":1}\n");
  fh_os_answer_free(&a);
  assert_true(fh_now_ns() - start < 5 * second_ns); /* not six times the limit */
  assert_int_equal(os->api->ask_collect(os, hello, &a), EINVAL);
  assert_int_equal(os->api->ask_collect(os, -1, &a), EINVAL);
  assert_int_equal(os->api->ask_start(os, "test-sleep", NULL, &hello), 0); /* never collected: ends with the table */
  fh_os_destroy(os);
  assert_true(waitpid(-1, NULL, WNOHANG) <= 0); /* no zombie is left */
}

static void output_is_capped(void **state) {
  (void)state;
  fh_os *os = open_live(20);
  fh_os_answer a = ask(os, "test-talk", NULL);
  assert_int_equal(strlen(a.json), 1024 * 1024);
  assert_int_equal(a.exit_code, 0);
  fh_os_answer_free(&a);
  fh_os_destroy(os);
}

static void environment_of_a_child(void **state) {
  (void)state;
  static const char *const changes[] = {"FH_TEST_ADDED=here", "FH_TEST_REMOVED", NULL};
  setenv("FH_TEST_REMOVED", "1", 1);
  fh_os *os = open_live(20);
  fh_os_answer a = ask(os, "test-env", NULL);
  assert_string_equal(a.json, "none kept");
  fh_os_answer_free(&a);
  a = ask(os, "test-env", changes);
  assert_string_equal(a.json, "here removed");
  fh_os_answer_free(&a);
  assert_string_equal(getenv("FH_TEST_REMOVED"), "1");
  unsetenv("FH_TEST_REMOVED");
  fh_os_destroy(os);
}

static void grandchildren_end_too(void **state) {
  (void)state;
  fh_os *os = open_live(20);
  int64_t start = fh_now_ns();
  fh_os_answer a = ask(os, "test-grandchild", NULL);
  assert_false(a.timed_out);
  assert_string_equal(a.json, "{}");
  fh_os_answer_free(&a);
  assert_true(fh_now_ns() - start < 10 * second_ns);
  fh_os_destroy(os);
}

static void a_bad_helper_is_told(void **state) {
  (void)state;
  fh_os *os;
  fh_status status = fh_os_live("/nonexistent/helper", 0, &os);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  assert_null(os);
  fh_status_free(status);
  int ticket;
  assert_int_equal(fh_os_live("/etc/..", 0, &os), FH_OK); /* may be "run", as a directory may be entered, but not started */
  assert_int_not_equal(os->api->ask_start(os, "isa", NULL, &ticket), 0);
  assert_string_equal(os->api->ask_refused(os), "/etc/.. cannot be started: Permission denied");
  fh_os_destroy(os);
}

/* Children without a helper: the last resort must answer as well. */
static void without_a_helper(void **state) {
  (void)state;
  fh_children *children = fh_children_create("", 20 * second_ns);
  assert_non_null(children);
  int ticket;
  fh_os_answer a;
  assert_int_equal(fh_children_start(children, "isa", NULL, &ticket), 0);
  assert_int_equal(fh_children_collect(children, ticket, &a), 0);
  assert_non_null(strstr(a.json, "\"done\":true"));
  fh_os_answer_free(&a);
  fh_children_destroy(children);
}

static void device_nodes(void **state) {
  (void)state;
  fh_os *os = open_live(5);
  assert_int_equal(os->api->try_open(os, "/dev/null"), 0);
  assert_int_equal(os->api->try_open(os, "/dev/nothing-there"), ENOENT);
  assert_int_equal(os->api->try_open(os, "/"), EISDIR);
  fh_children *children = fh_children_create("", second_ns);
  assert_int_equal(fh_children_open_node(children, "/dev/zero"), 0);
  assert_int_equal(fh_children_open_node(children, "/dev/nothing-there"), ENOENT);
  assert_int_equal(fh_children_open_node(children, ""), ENAMETOOLONG);
  fh_children_destroy(children);
  fh_os_destroy(os);
}

static pid_t *handled_by; /* shared with children */
static void handle(int number) {
  (void)number;
  *handled_by = getpid();
}

/* The only child; 0: this kernel does not tell. */
static pid_t only_child(void) {
  char path[64];
  int pid = 0;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *file = fopen(path, "r");
  if (file && fscanf(file, "%d", &pid) != 1) pid = 0;
  if (file) fclose(file);
  return pid;
}

/* A program that uses the library has signal handlers: they neither make a node hang nor run in the child that opens it. */
static void signals_of_the_program(void **state) {
  (void)state;
  handled_by = mmap(NULL, sizeof *handled_by, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(handled_by != MAP_FAILED);
  struct sigaction act = {.sa_handler = handle}, before;
  sigaction(SIGALRM, &act, &before);
  fh_children *children = fh_children_create("", 20 * second_ns);
  assert_int_equal(fh_children_open_node(children, "/dev/zero"), 0);
  pid_t opener = only_child();
  if (opener > 0) {
    kill(opener, SIGALRM);
    assert_int_equal(fh_children_open_node(children, "/dev/zero"), 0);
    assert_int_equal(*handled_by, 0);
    kill(opener, SIGSTOP); /* a slow driver */
    pid_t goes_on = fork();
    if (goes_on == 0) {
      nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
      kill(opener, SIGCONT);
      _exit(0);
    }
    const struct itimerval often = {{0, 20 * 1000}, {0, 20 * 1000}}, never = {0};
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(fh_children_open_node(children, "/dev/zero"), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    assert_int_equal(*handled_by, getpid());
    waitpid(goes_on, NULL, 0);
  }
  fh_children_destroy(children);
  sigaction(SIGALRM, &before, NULL);
  munmap(handled_by, sizeof *handled_by);
}

/* ---- this machine ---------------------------------------------------------------------------------------------- */

static void files_of_this_machine(void **state) {
  (void)state;
  fh_os *os = open_live(20);
  char *text, path[512], list[4096];
  size_t size;
  assert_int_equal(os->api->read(os, "/proc/self/status", 1 << 20, &text, &size), 0);
  assert_true(size > 100 && strlen(text) == size);
  free(text);
  assert_int_equal(os->api->read(os, "/proc/self/status", 10, &text, &size), EFBIG);
  assert_int_equal(strlen(text), 10);
  free(text);
  assert_int_equal(os->api->read(os, "/proc/self", 10, &text, &size), EISDIR);
  assert_int_equal(os->api->read(os, "/dev/zero", 10, &text, &size), EINVAL);
  assert_int_equal(os->api->readlink(os, "/proc/self/exe", path, sizeof path), 0);
  assert_int_equal(os->api->readlink(os, "/proc/self/exe", path, 2), ENAMETOOLONG);
  fh_os_elf elf;
  assert_int_equal(os->api->elf(os, "/proc/self/exe", &elf), 0);
  assert_true(elf.is_elf && elf.bits == 8 * (int)sizeof(void *) && *elf.interp);
  assert_int_equal(os->api->elf(os, "/proc/self", &elf), EINVAL);
  assert_int_equal(os->api->affinity(os, list, sizeof list), 0);
  assert_true(*list);
  assert_int_equal(os->api->affinity(os, list, 1), ENAMETOOLONG);
  fh_os_identity id;
  assert_int_equal(os->api->identity(os, &id), 0);
  assert_true(id.uid == geteuid() && *id.machine && *id.release);
  fh_os_destroy(os);
}

static void facts_of_this_machine(void **state) {
  (void)state;
  fh_os *os = open_live(20);
  fh_facts *f, *cpu;
  assert_int_equal(fh_facts_gather(os, FH_GATHER_ALL, &f), FH_OK);
  assert_int_equal(fh_facts_gather_cpu(os, &cpu), FH_OK);
  assert_int_equal(cpu->cpu.usable.value, f->cpu.usable.value);
  assert_int_equal(cpu->cpu.usable.valid, FH_VALID);
  assert_true(f->cpu.usable.value >= 1 && f->cpu.usable.value <= sysconf(_SC_NPROCESSORS_CONF));
  assert_true(f->memory.total.valid == FH_VALID && f->memory.usable.value <= f->memory.total.value);
  assert_true(f->mounts_valid == FH_VALID && f->mount_count > 0);
  assert_true(fh_facts_node(f, "/dev/null")->is_char);
  assert_int_equal(f->cpu.packages.valid, FH_VALID);
  assert_true(f->cpu.cores.value >= 1);
  for (int i = FH_ISA_SSE42; i < FH_ISA_COUNT; i++) {
    if (!f->cpu.isa[i].advertised) continue;
    assert_int_equal(f->cpu.isa[i].proven.valid, FH_VALID);
    if (f->cpu.isa[i].enabled) assert_true(f->cpu.isa[i].proven.value);
  }
  fh_facts_destroy(cpu);
  fh_facts_destroy(f);
  fh_os_destroy(os);
}

/* ---- drivers that are stand-ins ----------------------------------------------------------------------------------- */

static fh_facts *gather_cuda(double seconds, fh_os **out_os) {
  fh_facts *f;
  *out_os = open_live(seconds);
  assert_int_equal(fh_facts_gather(*out_os, FH_GATHER_CUDA, &f), FH_OK);
  return f;
}

static void cuda_stand_in(void **state) {
  (void)state;
  fh_os *os;
  setenv("FOGHORN_FAKE_CUDA", "devices=2,memory=1GiB,version=12040,capability=80", 1);
  fh_facts *f = gather_cuda(20, &os);
  if (fh_facts_library(f, "libcuda.so.1")->valid != FH_VALID) {
    fh_facts_destroy(f);
    fh_os_destroy(os);
    print_message("NOT RUN: no stand-in libcuda.so.1 on LD_LIBRARY_PATH\n");
    return;
  }
  const fh_cuda_answer *a = &f->nvidia.cuda;
  assert_true(a->valid == FH_VALID && a->fake && a->init_code == 0 && a->count == 2 && a->version == 12040 && a->device_count == 2);
  assert_true(a->devices[1].usable && a->devices[1].capability == 80 && a->devices[1].memory_total == 1 << 30);
  assert_true(strncmp(a->devices[0].uuid, "GPU-", 4) == 0 && *a->devices[0].name && *a->library);
  assert_string_equal(a->init_name, "CUDA_SUCCESS");
  fh_facts_destroy(f);
  fh_os_destroy(os);

  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  f = gather_cuda(20, &os);
  assert_true(f->nvidia.cuda.valid == FH_VALID && f->nvidia.cuda.count <= 0);
  assert_true(f->nvidia.cuda_again[FH_CUDA_UNFILTERED].valid == FH_VALID &&
              f->nvidia.cuda_again[FH_CUDA_UNFILTERED].count == 2); /* the variable is to blame */
  unsetenv("CUDA_VISIBLE_DEVICES");
  fh_facts_destroy(f);
  fh_os_destroy(os);

  static const struct {
    const char *fault;
    bool crashed, exited, slow;
    int init_code;
  } cases[] = {
      {"cuInit@1=802", false, false, false, 802},
      {"cuInit@1=crash", true, false, false, -1},
      {"cuInit@1=exit", false, true, false, -1},
      {"cuInit@1=hang", false, false, true, -1},
      {"cuDevicePrimaryCtxRetain@1=hang", false, false, true, 0},
      {"cuDevicePrimaryCtxRetain@1=46", false, false, false, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    setenv("FOGHORN_FAKE_CUDA_FAULTS", cases[i].fault, 1);
    f = gather_cuda(cases[i].slow ? 1.5 : 20, &os);
    a = &f->nvidia.cuda;
    if (a->valid != FH_VALID || a->crashed != cases[i].crashed || a->exited != cases[i].exited || (a->slow || a->hung) != cases[i].slow ||
        a->init_code != cases[i].init_code)
      fail_msg("%s: crashed %d exited %d slow %d init %d", cases[i].fault, a->crashed, a->exited, a->slow, a->init_code);
    if (i == 4) assert_true(a->count == 2 && a->device_count == 1 && !a->devices[0].usable); /* how far it came */
    if (i == 5) assert_true(a->devices[0].context_code == 46 && !a->devices[0].usable && a->devices[1].usable);
    fh_facts_destroy(f);
    fh_os_destroy(os);
  }
  unsetenv("FOGHORN_FAKE_CUDA_FAULTS");
  unsetenv("FOGHORN_FAKE_CUDA");
}

static void opencl_registrations(void **state) {
  (void)state;
  folder f;
  folder_make(&f);
  char library[512];
  snprintf(library, sizeof library, "%s/tests/fakes/libicd_fault.so\n", FH_BINARY_DIR);
  folder_put(&f, "a.icd", "libfoghorn-nothere.so\n");
  folder_put(&f, "b.icd", "libfoghorn-nothere.so \r\n");
  folder_put(&f, "c.icd", library);
  folder_put(&f, "d.icd", "libc.so.6\n");
  setenv("OCL_ICD_VENDORS", f.path, 1);
  static const struct {
    const char *fault;
    bool crashed, exited, slow;
    int code, devices;
  } cases[] = {
      {"", false, false, false, 0, 1},          {"crash", true, false, false, 0, 0},     {"exit", false, true, false, 0, 0},
      {"hang", false, false, true, 0, 0},       {"none", false, false, false, -1001, 0}, {"no-devices", false, false, false, -1, 0},
      {"load-crash", true, false, false, 0, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    setenv("FH_FAKE_ICD", cases[i].fault, 1);
    fh_os *os = open_live(cases[i].slow ? 1.5 : 20);
    fh_facts *facts;
    assert_int_equal(fh_facts_gather(os, FH_GATHER_OPENCL, &facts), FH_OK);
    assert_int_equal(facts->opencl.count, 4);
    const fh_icd *missing = &facts->opencl.icds[0], *icd = &facts->opencl.icds[2];
    assert_true(missing->asked == FH_VALID && missing->lib_valid == FH_ABSENT && strstr(missing->error, "cannot open shared object"));
    assert_string_equal(missing->missing, "libfoghorn-nothere.so");
    assert_string_equal(facts->opencl.icds[1].missing, "libfoghorn-nothere.so \r");
    assert_non_null(strstr(facts->opencl.icds[3].error, "cl_khr_icd")); /* a library, but not of OpenCL */
    if (icd->crashed != cases[i].crashed || icd->exited != cases[i].exited || (icd->slow || icd->hung) != cases[i].slow ||
        icd->code != cases[i].code || icd->device_count != cases[i].devices)
      fail_msg("%s: crashed %d exited %d slow %d code %d devices %d: %s", cases[i].fault, icd->crashed, icd->exited, icd->slow, icd->code,
               icd->device_count, icd->error);
    if (i == 0) {
      assert_string_equal(icd->platform, "Stand-in platform");
      assert_string_equal(icd->devices[0].type, "gpu");
      assert_true(icd->devices[0].memory == 4096 && icd->devices[0].compute_units == 3);
    }
    fh_facts_destroy(facts);
    fh_os_destroy(os);
  }
  unsetenv("FH_FAKE_ICD");
  unsetenv("OCL_ICD_VENDORS");
  folder_remove(&f);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "--answer") == 0) return strncmp(argv[2], "test-", 5) == 0 ? play(argv[2]) : fh_answer_main(argv[2]);
  static char path[4096];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return 1;
  self_path = path;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(endings),
      cmocka_unit_test(hung_is_not_slow),
      cmocka_unit_test(one_limit_for_all),
      cmocka_unit_test(output_is_capped),
      cmocka_unit_test(environment_of_a_child),
      cmocka_unit_test(grandchildren_end_too),
      cmocka_unit_test(a_bad_helper_is_told),
      cmocka_unit_test(without_a_helper),
      cmocka_unit_test(device_nodes),
      cmocka_unit_test(signals_of_the_program),
      cmocka_unit_test(files_of_this_machine),
      cmocka_unit_test(facts_of_this_machine),
      cmocka_unit_test(cuda_stand_in),
      cmocka_unit_test(opencl_registrations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
