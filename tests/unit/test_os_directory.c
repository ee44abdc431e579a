/* Snapshot directories: overlays, side files, links that try to leave, records of answers. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/os.h"
#include "detect/snapshot_side.h"
#include "tests/support/folder.h"

static folder all;

static int setup(void **state) {
  (void)state;
  folder_make(&all);
  folder_put(&all, "base/snapshot.json",
             "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"x86_64\",\"release\":\"6.8.0\",\"uid\":7,\"gid\":8,\"gids\":[8,44],"
             "\"cap_effective\":\"0x2\",\"affinity\":\"0-3\"}");
  folder_put(&all, "base/env", "A=base\nB=x=y\n\nEMPTY=\n");
  folder_put(&all, "base/cpuid", "# a comment\n0 0 d 756e6547 6c65746e 49656e69\n7 1 1 2 3 4\nxcr0 e7\n");
  folder_put(&all, "base/fs/etc/plain", "text");
  folder_put(&all, "base/fs/etc/gone", "x");
  folder_put(&all, "base/fs/dev/nvidia0.stat", "type=c rdev=195:7 mode=0660 gid=44 open=EPERM mtime=99");
  folder_put(&all, "base/fs/sys/fs/cgroup/cpu.stat", "nr_periods 5\nnr_throttled 2\n");
  folder_put(&all, "base/fs/opaque/old", "x");
  folder_put(&all, "base/fs/merged/b", "base");
  folder_put(&all, "base/fs/merged/c", "base");
  folder_put(&all, "base/answers/cuda.json", "{\"count\":1}");
  folder_put(&all, "base/answers/topology.json", "{}");
  folder_put(&all, "base/answers/isa.json", "{}");

  folder_put(&all, "top/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../base\",\"uid\":0}");
  folder_put(&all, "top/env", "-A\nC=new\n");
  folder_put(&all, "top/fs/etc/gone.stat", "type=absent");
  folder_put(&all, "top/fs/opaque.stat", "type=d");
  folder_put(&all, "top/fs/merged/a", "top");
  folder_put(&all, "top/fs/merged/b", "top");
  folder_put(&all, "top/fs/merged/c.stat", "type=absent");
  folder_put(&all, "top/fs/merged/d.stat", "type=f size=0");
  folder_put(&all, "top/fs/big.stat", "type=f size=28712096 elf=64 machine=62 soname=libcuda.so.1 glibc=1 interp=/lib/ld.so");
  folder_put(&all, "top/fs/denied.stat", "stat=EACCES");
  folder_link(&all, "top/fs/link", "etc/plain");
  folder_link(&all, "top/fs/absolute", "/etc/plain");
  folder_link(&all, "top/fs/escape", "../../../../../../etc/passwd");
  folder_link(&all, "top/fs/outside", "/proc/self/environ");
  folder_link(&all, "top/fs/loop", "loop2");
  folder_link(&all, "top/fs/loop2", "loop");
  folder_put(&all, "top/fs/sidelink.stat", "link=/link");
  folder_link(&all, "top/fs/dirlink", "/merged");
  folder_put(&all, "top/answers/cuda.meta", "timed_out=1 state=D wchan=os_acquire_mutex wall_ns=10000000000\n");
  folder_put(&all, "top/answers/cuda-no-CUDA_VISIBLE_DEVICES.json", "{\"count\":2}");
  folder_put(&all, "top/answers/opencl-pocl.icd.json", "{\"platform\":\"PoCL\"}");
  folder_put(&all, "top/answers/isa.absent", "");
  folder_put(&all, "base/answers/opencl-old.icd.json", "{}");
  folder_put(&all, "top/answers/opencl-old.icd.unasked", "no glibc\n");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  folder_remove(&all);
  return 0;
}

static fh_os *open_snapshot(const char *name) {
  fh_os *os;
  fh_status status = fh_os_directory(folder_at(&all, name), &os);
  if (status) fail_msg("%s", fh_status_message(status));
  return os;
}

static void expect_text(fh_os *os, const char *path, const char *want) {
  char *text;
  size_t size;
  int error = os->api->read(os, path, 100, &text, &size);
  if (error) fail_msg("%s: %s", path, strerror(error));
  assert_string_equal(text, want);
  assert_int_equal(size, strlen(want));
  free(text);
}

static void expect_error(fh_os *os, const char *path, int want) {
  char *text;
  int error = os->api->read(os, path, 100, &text, NULL);
  if (error == EFBIG || !error) free(text);
  if (error != want) fail_msg("%s: %d, expected %d", path, error, want);
}

static void files(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  expect_text(os, "/etc/plain", "text");
  expect_text(os, "/etc/./../etc//plain", "text");
  expect_text(os, "/merged/b", "top");
  expect_text(os, "/merged/d", "");
  expect_text(os, "/sys/fs/cgroup/cpu.stat", "nr_periods 5\nnr_throttled 2\n");
  expect_error(os, "/etc/gone", ENOENT);
  expect_error(os, "/merged/c", ENOENT);
  expect_error(os, "/opaque/old", ENOENT);
  expect_error(os, "/big", ENODATA);
  expect_error(os, "/etc", EISDIR);
  expect_error(os, "/etc/plain/x", ENOTDIR);
  expect_error(os, "/dev/nvidia0", EPERM);
  expect_error(os, "relative", EINVAL);
  char long_path[PATH_MAX + 10];
  memset(long_path, 'a', sizeof long_path);
  long_path[0] = '/';
  long_path[sizeof long_path - 1] = 0;
  expect_error(os, long_path, ENAMETOOLONG);
  char *text;
  size_t size;
  assert_int_equal(os->api->read(os, "/etc/plain", 2, &text, &size), EFBIG);
  assert_int_equal(size, 2);
  assert_string_equal(text, "te");
  free(text);
  fh_os_destroy(os);
}

static void links_stay_inside(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  char real[PATH_MAX];
  expect_text(os, "/link", "text");
  expect_text(os, "/absolute", "text");
  expect_text(os, "/sidelink", "text");
  expect_text(os, "/dirlink/a", "top");
  expect_text(os, "/dirlink/../etc/plain", "text"); /* .. of where the link leads */
  expect_error(os, "/escape", ENOENT);              /* /etc/passwd of the snapshot, not of this machine */
  expect_error(os, "/outside", ENOENT);
  expect_error(os, "/loop", ELOOP);
  assert_int_equal(os->api->realpath(os, "/sidelink", real, sizeof real), 0);
  assert_string_equal(real, "/etc/plain");
  assert_int_equal(os->api->readlink(os, "/sidelink", real, sizeof real), 0);
  assert_string_equal(real, "/link");
  assert_int_equal(os->api->readlink(os, "/etc/plain", real, sizeof real), EINVAL);
  assert_int_equal(os->api->readlink(os, "/link", real, 3), ENAMETOOLONG);
  fh_os_destroy(os);
}

static void stats(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  fh_os_stat st;
  assert_int_equal(os->api->stat(os, "/dev/nvidia0", true, &st), 0);
  assert_true(S_ISCHR(st.mode));
  assert_int_equal(st.mode & 07777, 0660);
  assert_true(st.rdev_major == 195 && st.rdev_minor == 7 && st.gid == 44 && st.uid == 0 && st.mtime == 99);
  assert_int_equal(os->api->try_open(os, "/dev/nvidia0"), EPERM);
  assert_int_equal(os->api->try_open(os, "/dev/nvidia1"), ENOENT);
  assert_int_equal(os->api->try_open(os, "/etc"), EISDIR);
  assert_int_equal(os->api->try_open(os, "/etc/plain"), 0);
  assert_int_equal(os->api->stat(os, "/denied", true, &st), EACCES);
  assert_int_equal(os->api->stat(os, "/link", false, &st), 0);
  assert_true(S_ISLNK(st.mode));
  assert_int_equal(os->api->stat(os, "/etc/plain", true, &st), 0);
  assert_true(S_ISREG(st.mode) && st.size == 4 && st.uid == 0 && st.mtime == 0);
  assert_int_equal(os->api->stat(os, "/", true, &st), 0);
  assert_true(S_ISDIR(st.mode));
  fh_os_elf elf;
  assert_int_equal(os->api->elf(os, "/big", &elf), 0);
  assert_true(elf.is_elf && elf.bits == 64 && elf.machine == 62 && elf.needs_glibc);
  assert_string_equal(elf.soname, "libcuda.so.1");
  assert_int_equal(os->api->elf(os, "/merged/d", &elf), 0);
  assert_false(elf.is_elf);
  assert_int_equal(os->api->elf(os, "/etc/plain", &elf), 0);
  assert_false(elf.is_elf);
  fh_os_destroy(os);
}

static void expect_names(fh_os *os, const char *path, const char *const *want, size_t want_count) {
  char **names;
  size_t count;
  assert_int_equal(os->api->list(os, path, &names, &count), 0);
  assert_int_equal(count, want_count);
  for (size_t i = 0; i < count; i++) {
    assert_string_equal(names[i], want[i]);
    free(names[i]);
  }
  free(names);
}

static void listings(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  expect_names(os, "/merged", (const char *const[]){"a", "b", "d"}, 3);
  expect_names(os, "/dirlink", (const char *const[]){"a", "b", "d"}, 3);
  expect_names(os, "/opaque", NULL, 0);
  expect_names(os, "/dev", (const char *const[]){"nvidia0"}, 1);
  expect_names(os, "/etc", (const char *const[]){"plain"}, 1);
  expect_names(os, "/sys/fs/cgroup", (const char *const[]){"cpu.stat"}, 1);
  char **names;
  size_t count;
  assert_int_equal(os->api->list(os, "/etc/plain", &names, &count), ENOTDIR);
  assert_int_equal(os->api->list(os, "/nowhere", &names, &count), ENOENT);
  fh_os_destroy(os);
}

static void who_and_what(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  assert_null(os->api->getenv(os, "A"));
  assert_string_equal(os->api->getenv(os, "B"), "x=y");
  assert_string_equal(os->api->getenv(os, "C"), "new");
  assert_string_equal(os->api->getenv(os, "EMPTY"), "");
  fh_os_identity id;
  assert_int_equal(os->api->identity(os, &id), 0);
  assert_true(id.uid == 0 && id.gid == 8 && id.gid_count == 2 && id.gids[1] == 44 && id.cap_effective == 2);
  assert_string_equal(id.machine, "x86_64");
  char list[8];
  assert_int_equal(os->api->affinity(os, list, sizeof list), 0);
  assert_string_equal(list, "0-3");
  fh_os_cpuid r;
  assert_int_equal(os->api->cpuid(os, 7, 1, &r), 0);
  assert_true(r.eax == 1 && r.ebx == 2 && r.ecx == 3 && r.edx == 4);
  assert_int_equal(os->api->cpuid(os, 7, 0, &r), 0);
  assert_true(r.eax == 0 && r.ebx == 0);
  uint64_t word, word2;
  assert_int_equal(os->api->xgetbv(os, &word), 0);
  assert_int_equal(word, 0xe7);
  assert_int_equal(os->api->hwcap(os, &word, &word2), ENOSYS);
  fh_os_destroy(os);
}

static void answers(void **state) {
  (void)state;
  fh_os *os = open_snapshot("top");
  fh_os_answer a;
  int ticket, second;
  const char *const without[] = {"CUDA_VISIBLE_DEVICES", NULL}, *const with[] = {"X=1", NULL};
  assert_int_equal(os->api->ask_start(os, "cuda", NULL, &ticket), 0);
  assert_int_equal(os->api->ask_start(os, "cuda", without, &second), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &a), 0); /* of the top layer alone: not the base's text with the top's end */
  assert_true(a.timed_out && a.state == 'D' && a.wall_ns == 10000000000LL && a.exit_code == -1);
  assert_string_equal(a.wchan, "os_acquire_mutex");
  assert_string_equal(a.json, "");
  fh_os_answer_free(&a);
  assert_int_equal(os->api->ask_collect(os, second, &a), 0);
  assert_string_equal(a.json, "{\"count\":2}");
  assert_int_equal(a.exit_code, 0);
  fh_os_answer_free(&a);
  assert_int_equal(os->api->ask_collect(os, second, &a), EINVAL);
  assert_int_equal(os->api->ask_start(os, "opencl:/etc/OpenCL/vendors/pocl.icd", NULL, &ticket), 0);
  assert_int_equal(os->api->ask_collect(os, ticket, &a), 0);
  assert_string_equal(a.json, "{\"platform\":\"PoCL\"}");
  fh_os_answer_free(&a);
  assert_int_equal(os->api->ask_start(os, "topology", NULL, &ticket), 0); /* never collected: freed with the table */
  assert_int_equal(os->api->ask_start(os, "opencl:/etc/OpenCL/vendors/old.icd", NULL, &ticket), ENOTSUP); /* not the base's answer */
  assert_string_equal(os->api->ask_refused(os), "no glibc");
  assert_int_equal(os->api->ask_start(os, "isa", NULL, &ticket), ENOENT);
  assert_null(os->api->ask_refused(os));
  assert_int_equal(os->api->ask_start(os, "cuda", with, &ticket), ENOENT);
  assert_int_equal(os->api->ask_start(os, "../secret", NULL, &ticket), EINVAL);
  fh_os_destroy(os);
}

/* Both faults are in the union of two machines; what they share lies below both. */
static void several_bases(void **state) {
  (void)state;
  char *text = NULL;
  folder_put(&all, "root/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"release\":\"1\",\"machine\":\"m\",\"uid\":0}");
  folder_put(&all, "root/fs/a", "root");
  folder_put(&all, "root/fs/b", "root");
  folder_put(&all, "root/env", "A=root\nB=root\n");
  folder_put(&all, "left/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../root\",\"release\":\"left\"}");
  folder_put(&all, "left/fs/a", "left");
  folder_put(&all, "right/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../root\",\"release\":\"right\"}");
  folder_put(&all, "right/fs/a", "right");
  folder_put(&all, "right/fs/b", "right");
  folder_put(&all, "right/env", "-A\nB=right\n");
  folder_put(&all, "two/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":[\"../left\",\"../right\"]}");
  fh_os *os = open_snapshot("two");
  fh_os_identity id;
  assert_int_equal(os->api->read(os, "/a", 100, &text, NULL), 0);
  assert_string_equal(text, "left");
  free(text);
  assert_int_equal(os->api->read(os, "/b", 100, &text, NULL), 0);
  assert_string_equal(text, "right");
  free(text);
  assert_null(os->api->getenv(os, "A"));
  assert_string_equal(os->api->getenv(os, "B"), "right");
  assert_int_equal(os->api->identity(os, &id), 0);
  assert_string_equal(id.release, "left");
  assert_string_equal(id.machine, "m");
  fh_os_destroy(os);
}

static void expect_refused(const char *name, const char *part) {
  fh_os *os;
  fh_status status = fh_os_directory(folder_at(&all, name), &os);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  if (!strstr(fh_status_message(status), part)) fail_msg("'%s' does not say '%s'", fh_status_message(status), part);
  assert_null(os);
  fh_status_free(status);
}

static void faults_are_told(void **state) {
  (void)state;
  static const struct {
    const char *json, *part;
  } metas[] = {
      {"{}", "schema"},
      {"{\"schema\":\"foghorn.snapshot/3\"}", "expected foghorn.snapshot/1"},
      {"{\"schema\":\"foghorn.snapshot/2\"}", "'calls' is missing"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"uid\":\"0\"}", "'uid'"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"colour\":1}", "'colour'"},
      {"{\"schema\":\"foghorn.snapshot/1\",", "line 1"},
      {"[]", "schema"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":\"/etc\"}", "beside"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../..\"}", "beside"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../a/b\"}", "beside"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../nowhere\"}", "nowhere"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../bad\"}", "comes back"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":[\"../base\",7]}", "beside"},
      {"{\"schema\":\"foghorn.snapshot/1\",\"base\":[\"../base\",\"../bad\"]}", "comes back"},
  };
  for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++) {
    folder_put(&all, "bad/snapshot.json", metas[i].json);
    expect_refused("bad", metas[i].part);
  }
  expect_refused("nowhere", "cannot be opened");
  expect_refused("base/fs", "snapshot.json");
  folder_put(&all, "ring1/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../ring2\"}");
  folder_put(&all, "ring2/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../ring1\"}");
  expect_refused("ring1", "comes back");
  char name[32], text[128];
  for (int i = 0; i < 17; i++) {
    snprintf(name, sizeof name, "deep%d/snapshot.json", i);
    snprintf(text, sizeof text, "{\"schema\":\"foghorn.snapshot/1\",\"base\":\"../deep%d\"}", i + 1);
    folder_put(&all, name, text);
  }
  expect_refused("deep0", "more than 16");
  for (int i = 0; i < 14; i++) { /* few layers, and more ways through them than there is time */
    snprintf(name, sizeof name, "wide%d/snapshot.json", i);
    snprintf(text, sizeof text, "{\"schema\":\"foghorn.snapshot/1\",\"base\":[\"../wide%d\",\"../wide%d\"]}", i + 1, i + 1);
    folder_put(&all, name, text);
  }
  folder_put(&all, "wide14/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\"}");
  expect_refused("wide0", "bases in all");
  static const struct {
    const char *file, *text, *part;
  } parts[] = {
      {"fault/env", "NAME\n", "NAME"},
      {"fault/env", "=x\n", "=x"},
      {"fault/env", "-A=1\n", "-A=1"},
      {"fault/cpuid", "1 0 1 2 3\n", "line 1"},
      {"fault/cpuid", "1 0 1 2 3 4\n1 0 1 2 3 100000000\n", "line 2"},
      {"fault/cpuid", "xcr0 zz\n", "line 1"},
      {"fault/fs/dev/x.stat", "type=q", "x.stat"},
      {"fault/fs/dev/x.stat", "type=c colour=red", "colour"},
  };
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    folder_put(&all, "fault/snapshot.json", "{\"schema\":\"foghorn.snapshot/1\"}");
    folder_put(&all, "fault/env", "");
    folder_put(&all, "fault/cpuid", "");
    folder_put(&all, parts[i].file, parts[i].text);
    expect_refused("fault", parts[i].part);
  }
}

static void side_files(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int result;
  } cases[] = {
      {"type=c rdev=195:255", 0},
      {"mode=0666\n", 0},
      {"open=EIO", 0},
      {"link=target", 0},
      {"size=0", 0},
      {"nr_periods 5", ENOENT},
      {"", ENOENT},
      {"=", ENOENT},
      {"colour=red", ENOENT},
      {"type", ENOENT},
      {"type=", EINVAL},
      {"type=c rdev=195", EINVAL},
      {"type=c rdev=195:", EINVAL},
      {"type=c rdev=-1:0", EINVAL},
      {"type=c rdev=99999999999:0", EINVAL},
      {"rdev=1:1", EINVAL},
      {"type=f rdev=1:1", EINVAL},
      {"mode=9", EINVAL},
      {"mode=77777", EINVAL},
      {"mode=", EINVAL},
      {"size=-1", EINVAL},
      {"size=99999999999999999999", EINVAL},
      {"open=EWHAT", EINVAL},
      {"elf=63", EINVAL},
      {"machine=70000", EINVAL},
      {"glibc=2", EINVAL},
      {"type=l", EINVAL},
      {"type=f link=x", EINVAL},
      {"link=", EINVAL},
      {"uid=4294967296", EINVAL},
      {"type=c junk", EINVAL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fh_side side;
    char problem[128] = "";
    int result = fh_side_parse(cases[i].text, &side, problem, sizeof problem);
    if (result != cases[i].result) fail_msg("'%s': %d", cases[i].text, result);
    if (result == EINVAL) assert_true(*problem);
  }
  fh_side side;
  char problem[128], text[FH_SIDE_LINK_MAX + 20] = "link=";
  memset(text + 5, 'x', FH_SIDE_LINK_MAX);
  text[FH_SIDE_LINK_MAX + 5] = 0;
  assert_int_equal(fh_side_parse(text, &side, problem, sizeof problem), EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files),      cmocka_unit_test(links_stay_inside), cmocka_unit_test(stats),
      cmocka_unit_test(listings),   cmocka_unit_test(who_and_what),      cmocka_unit_test(answers),
      cmocka_unit_test(side_files), cmocka_unit_test(several_bases),     cmocka_unit_test(faults_are_told),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
