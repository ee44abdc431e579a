/* Facts of whole machines, written down for the purpose. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "detect/facts.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/folder.h"

#define META                                                                                                                   \
  "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"x86_64\",\"release\":\"6.8.0\",\"uid\":1000,\"gid\":1000,\"gids\":[1000]," \
  "\"affinity\":\"0-7\"}"

static folder machine;

static int setup(void **state) {
  (void)state;
  folder_make(&machine);
  folder_put(&machine, "snapshot.json", META);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  folder_remove(&machine);
  return 0;
}

static void put(const char *path, const char *text) {
  char name[512];
  snprintf(name, sizeof name, "fs%s", path);
  folder_put(&machine, name, text);
}

static fh_facts *gather(fh_os **out_os) {
  fh_facts *facts = NULL;
  fh_status status = fh_os_directory(machine.path, out_os);
  if (!status) status = fh_facts_gather(*out_os, FH_GATHER_ALL, &facts);
  if (status) fail_msg("%s", fh_status_message(status));
  return facts;
}

/* Runs its body once, with the facts of the machine as it is written down at this moment. */
static fh_os *current_os;
#define WITH_FACTS(f) for (fh_facts *f = gather(&current_os); f; fh_facts_destroy(f), fh_os_destroy(current_os), f = NULL)

/* ---- nothing recorded -------------------------------------------------------------------------------------- */

static void nothing_is_known(void **state) {
  (void)state;
  folder_put(&machine, "snapshot.json", "{\"schema\":\"foghorn.snapshot/1\"}");
  WITH_FACTS(f) {
    assert_int_equal(f->where.platform, FH_PLATFORM_BARE);
    assert_false(f->where.id_valid);
    assert_int_equal(f->cpu.best, FH_ISA_SCALAR);
    assert_int_equal(f->cpu.usable.value, 1);
    assert_int_equal(f->cpu.usable.valid, FH_UNKNOWN_FACT);
    assert_int_equal(f->cpu.quota_cpus.valid, FH_UNKNOWN_FACT);
    assert_int_equal(f->memory.total.valid, FH_UNKNOWN_FACT);
    assert_int_equal(f->memory.usable.valid, FH_UNKNOWN_FACT);
    assert_int_equal(f->pci.valid, FH_ABSENT);
    assert_int_equal(f->nvidia.module_loaded.valid, FH_UNKNOWN_FACT);
    assert_int_equal(f->nvidia.cuda.init_code, -1);
    assert_int_equal(f->opencl.vendors_valid, FH_ABSENT);
    assert_int_equal(fh_facts_node(f, "/dev/nvidia0")->valid, FH_ABSENT);
    assert_int_equal(fh_facts_node(f, "/dev/nvidia0")->expected_major, -2);
    assert_int_equal(fh_facts_node(f, "/dev/never-asked")->valid, FH_UNKNOWN_FACT);
    assert_int_equal(fh_facts_library(f, "libnever.so")->valid, FH_UNKNOWN_FACT);
    assert_null(fh_facts_env(f, "CUDA_VISIBLE_DEVICES"));
    assert_non_null(f->cpu.model.value);
    assert_non_null(f->nvidia.nvrm_version.source);
  }
}

/* ---- control groups ------------------------------------------------------------------------------------------ */

/* A namespace's view of the whole tree: the names above its root are not told, the lists of processes are there. */
static void cgroup_tree_in_namespace(void **state) {
  (void)state;
  put("/proc/self.stat", "type=l link=17");
  put("/proc/17/cgroup", "3:cpu:/job\n");
  put("/proc/17/mountinfo", "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 /../.. /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
  put("/sys/fs/cgroup/cpu/cgroup.procs", "1\n");
  put("/sys/fs/cgroup/cpu/a/b/job/cgroup.procs", "1\n170\n");
  put("/sys/fs/cgroup/cpu/a/b/job/cpu.cfs_quota_us", "100000\n");
  put("/sys/fs/cgroup/cpu/a/b/job/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu/a/c/job/cgroup.procs", "16\n17\n");
  put("/sys/fs/cgroup/cpu/a/c/job/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/a/c/cpu.cfs_quota_us", "300000\n");
  put("/sys/fs/cgroup/cpu/a/c/cpu.cfs_period_us", "100000\n");
  WITH_FACTS(f) {
    assert_true(f->cpu.quota_cpus.valid == FH_VALID && f->cpu.quota_cpus.value == 3 && f->cpu.quota_from_ancestor);
    assert_string_equal(f->cpu.quota_level, "/sys/fs/cgroup/cpu/a/c");
  }
  put("/sys/fs/cgroup/cpu/a/c/job/cgroup.procs", "16\n"); /* not found: unknown, and not "no limit" */
  WITH_FACTS(f) assert_true(f->cpu.quota_cpus.valid == FH_UNKNOWN_FACT);
}

static void cgroup_v2_ancestors(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/kubepods/pod1/ctr\n");
  put("/proc/self/mountinfo", "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("/proc/self/ns/cgroup.stat", "link=cgroup:[4026531835]");
  put("/proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n");
  put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory pids\n");
  put("/sys/fs/cgroup/kubepods/cpu.max", "250000 100000\n");
  put("/sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n");
  put("/sys/fs/cgroup/kubepods/pod1/memory.max", "1073741824\n");
  put("/sys/fs/cgroup/kubepods/pod1/memory.current", "805306368\n");
  put("/sys/fs/cgroup/kubepods/pod1/memory.stat", "anon 268435456\ninactive_file 536870912\n");
  put("/sys/fs/cgroup/kubepods/pod1/ctr/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/kubepods/pod1/ctr/cpu.stat", "nr_periods 10\nnr_throttled 3\n");
  put("/sys/fs/cgroup/kubepods/pod1/ctr/memory.max", "max\n");
  put("/sys/fs/cgroup/kubepods/pod1/ctr/pids.max", "64\n");
  put("/sys/fs/cgroup/kubepods/cpuset.cpus.effective", "0-5\n");
  WITH_FACTS(f) {
    assert_int_equal(f->cgroup.mode, FH_CGROUP_V2);
    assert_string_equal(f->cgroup.cpu_controller, "v2");
    assert_int_equal(f->cgroup.level_count, 4);
    assert_int_equal(f->cgroup.levels[0].quota_us, -1);
    assert_int_equal(f->cgroup.levels[0].pids_max, 64);
    assert_int_equal(f->cgroup.levels[1].quota_us, 150000);
    assert_int_equal(f->cpu.quota_cpus.valid, FH_VALID);
    assert_int_equal(f->cpu.quota_cpus.value, 2); /* ceil(1.5), of the middle one */
    assert_true(f->cpu.quota_from_ancestor);
    assert_string_equal(f->cpu.quota_level, "/sys/fs/cgroup/kubepods/pod1");
    assert_int_equal(f->cpu.throttled.value, 3);
    assert_int_equal(f->cpu.cpuset_count.value, 6); /* from the nearest ancestor that has the controller */
    assert_int_equal(f->cpu.usable.value, 2);
    assert_int_equal(f->cpu.ancestors_hidden.valid, FH_VALID);
    assert_false(f->cpu.ancestors_hidden.value);
    assert_int_equal(f->memory.limit.value, 1073741824);
    assert_string_equal(f->memory.limit_level, "/sys/fs/cgroup/kubepods/pod1");
    assert_int_equal(f->memory.usable.value, 1073741824 - (805306368 - 536870912)); /* page cache can be dropped */
    assert_int_equal(f->where.platform, FH_PLATFORM_KUBERNETES);
    assert_true(f->where.container);
  }
}

static void cgroup_namespace_hides(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/self/mountinfo", "2 1 0:2 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  put("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  put("/sys/fs/cgroup/cgroup.type", "domain\n");
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  WITH_FACTS(f) {
    assert_int_equal(f->cpu.quota_cpus.valid, FH_ABSENT);
    assert_true(f->cpu.ancestors_hidden.valid == FH_VALID && f->cpu.ancestors_hidden.value);
    assert_int_equal(f->cpu.usable.value, 8);
  }
}

static void cgroup_v1_of_docker(void **state) {
  (void)state;
  /* the runtime has mounted the container's own directory: the path is not below the mount point */
  put("/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:cpuset:/docker/abc\n1:name=systemd:/docker/abc\n");
  put("/proc/self/mountinfo",
      "2 1 0:2 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
      "3 1 0:3 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
      "4 1 0:4 /docker/abc /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n");
  put("/.dockerenv", "");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  put("/sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 536870912\ntotal_inactive_file 1000\n");
  put("/sys/fs/cgroup/cpuset/cpuset.cpus", "2-3\n");
  WITH_FACTS(f) {
    assert_int_equal(f->cgroup.mode, FH_CGROUP_V1);
    assert_int_equal(f->cgroup.level_count, 1);
    assert_int_equal(f->cpu.quota_cpus.value, 1);
    assert_false(f->cpu.quota_from_ancestor);
    assert_int_equal(f->cpu.cpuset_count.value, 2);
    assert_int_equal(f->cpu.usable.value, 1);
    assert_true(f->cpu.ancestors_hidden.value);
    assert_int_equal(f->memory.limit.value, 536870912); /* an ancestor's, which the kernel tells through memory.stat */
    assert_int_equal(f->memory.used.value, 4000);
    assert_int_equal(f->where.platform, FH_PLATFORM_DOCKER);
  }
}

static void cgroup_hybrid(void **state) {
  (void)state;
  put("/proc/self/cgroup", "3:cpu:/a\n0::/b\n");
  put("/proc/self/mountinfo",
      "2 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "3 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  put("/sys/fs/cgroup/unified/cgroup.controllers", "memory\n");
  put("/sys/fs/cgroup/unified/b/memory.max", "1000000\n");
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  WITH_FACTS(f) {
    assert_int_equal(f->cgroup.mode, FH_CGROUP_HYBRID);
    assert_string_equal(f->cgroup.cpu_controller, "v1");
    assert_string_equal(f->cgroup.memory_controller, "v2");
    assert_null(f->cgroup.cpuset_controller);
    assert_int_equal(f->cpu.quota_cpus.value, 4);
    assert_true(f->cpu.quota_from_ancestor);
    assert_int_equal(f->memory.limit.value, 1000000);
    assert_string_equal(f->memory.limit_level, "/sys/fs/cgroup/unified/b");
  }
}

/* ---- an NVIDIA machine ------------------------------------------------------------------------------------------ */

static void put_nvidia(void) {
  put("/proc/self/mountinfo",
      "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /dev rw,nosuid - tmpfs tmpfs rw\n"
      "3 2 0:5 /nvidia0 /dev/nvidia0 rw,nosuid,nodev - devtmpfs udev rw\n4 1 0:6 / /sys ro - sysfs sysfs ro\n"
      "5 1 0:7 /x /usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14 ro - ext4 /dev/sda1 rw\n");
  put("/proc/devices",
      "Character devices:\n  1 mem\n195 nvidia-frontend\n510 nvidia-uvm\n226 drm\n\nBlock devices:\n  7 loop\n999 nvidia-caps\n");
  put("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build\n");
  put("/proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: NVIDIA A100\nGPU Excluded:\t Yes\n");
  put("/sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n");
  put("/sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n");
  put("/sys/bus/pci/devices/0000:01:00.0/device", "0x20b2\n");
  put("/sys/bus/pci/devices/0000:01:00.0/driver.stat", "link=../../../bus/pci/drivers/nvidia");
  put("/sys/bus/pci/devices/0000:02:00.0/class", "0x068000\n");
  put("/sys/bus/pci/devices/0000:02:00.0/vendor", "0x10de\n");
  put("/sys/bus/pci/devices/0000:02:00.0/device", "0x22a3\n");
  put("/sys/bus/pci/devices/0000:03:00.0/class", "0x020000\n");
  put("/sys/bus/pci/devices/0000:04:00.0/class", "garbage\n");
  put("/dev/null.stat", "type=c rdev=1:3 mode=0666");
  put("/dev/nvidiactl.stat", "type=c rdev=195:255 mode=0666");
  put("/dev/nvidia0.stat", "type=c rdev=195:0 mode=0660 gid=44 open=EACCES");
  put("/dev/nvidia10.stat", "type=c rdev=195:10 mode=0666");
  put("/dev/nvidia-uvm.stat", "type=c rdev=508:0 mode=0666 open=ENXIO");
  put("/dev/nvidia-modeset", "");
  put("/dev/dri/renderD128.stat", "type=c rdev=226:128 mode=0660 gid=1000");
  put("/dev/dri/card0.stat", "type=c rdev=226:0");
  folder_mkdir(&machine, "fs/usr/lib/x86_64-linux-gnu");
  put("/usr/lib/x86_64-linux-gnu/libcuda.so.1.stat", "link=libcuda.so.550.54.14");
  put("/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14.stat", "type=f size=28000000 elf=64 machine=62 soname=libcuda.so.1 glibc=1");
  put("/usr/lib/x86_64-linux-gnu/libcuda.so.535.1.stat", "type=f size=27000000 elf=64 machine=62");
  put("/usr/local/cuda/lib64/stubs/libcuda.so.stat", "type=f size=50000 elf=64 machine=62");
  put("/lib64/ld-linux-x86-64.so.2", "");
}

static void nvidia_machine(void **state) {
  (void)state;
  put_nvidia();
  WITH_FACTS(f) {
    assert_int_equal(f->pci.count, 2);
    assert_int_equal(f->pci.all_count, 4);
    assert_true(f->pci.devices[0].is_gpu && f->pci.devices[0].device == 0x20b2);
    assert_string_equal(f->pci.devices[0].driver, "nvidia");
    assert_true(f->pci.devices[1].is_nvswitch && !f->pci.devices[1].driver);
    assert_true(f->pci.masked.valid == FH_VALID && !f->pci.masked.value);

    const fh_node *n = fh_facts_node(f, "/dev/nvidia0");
    assert_true(n->valid == FH_VALID && n->is_char && n->open_errno == EACCES && n->expected_major == 195);
    assert_true(n->nodev && n->own_mount && !n->dac_allows); /* gid 44 is not ours */
    n = fh_facts_node(f, "/dev/nvidia-uvm");
    assert_true(n->open_errno == ENXIO && n->expected_major == 510 && n->st.rdev_major == 508 && !n->nodev);
    n = fh_facts_node(f, "/dev/nvidia-modeset");
    assert_true(n->valid == FH_VALID && !n->is_char && n->open_errno == 0);
    n = fh_facts_node(f, "/dev/nvidia10");
    assert_true(n->valid == FH_VALID && n->dac_allows);
    n = fh_facts_node(f, "/dev/dri/renderD128");
    assert_true(n->valid == FH_VALID && n->dac_allows && n->expected_major == 226);
    assert_int_equal(fh_facts_node(f, "/dev/dri/card0")->valid, FH_UNKNOWN_FACT); /* not asked for */
    assert_int_equal(fh_facts_node(f, "/dev/nvidia-uvm-tools")->valid, FH_ABSENT);
    assert_int_equal(f->nvidia.nodes_present, 2);
    assert_int_equal(f->nvidia.nodes_open, 1);

    const fh_library *lib = fh_facts_library(f, "libcuda.so.1");
    assert_int_equal(lib->valid, FH_VALID);
    assert_string_equal(lib->real_path, "/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.14");
    assert_string_equal(lib->version, "550.54.14");
    assert_true(lib->own_mount && !lib->stub && lib->elf.needs_glibc && lib->size == 28000000);
    bool stub_seen = false, baked_seen = false;
    for (int i = 0; i < f->libraries.elsewhere_count; i++) {
      stub_seen = stub_seen || strstr(f->libraries.elsewhere[i], "/stubs/libcuda.so");
      baked_seen = baked_seen || strstr(f->libraries.elsewhere[i], "libcuda.so.535.1");
    }
    assert_true(stub_seen && baked_seen);

    assert_string_equal(f->nvidia.nvrm_version.value, "550.54.14");
    assert_true(f->nvidia.open_module.value && f->nvidia.module_loaded.value && f->nvidia.uvm_registered.value);
    assert_int_equal(f->nvidia.uvm_major.value, 510);
    assert_true(f->nvidia.gpu_excluded.value && f->nvidia.gpus_listed.value == 1);
    assert_true(f->where.glibc.value && !f->where.musl.value);
  }
}

static void masked_pci(void **state) {
  (void)state;
  folder_mkdir(&machine, "fs/sys/bus/pci/devices");
  put("/proc/self/mountinfo", "1 0 0:1 / /sys ro - sysfs sysfs ro\n2 1 0:2 / /sys/bus/pci/devices ro - tmpfs tmpfs ro\n");
  WITH_FACTS(f) {
    assert_true(f->pci.masked.valid == FH_VALID && f->pci.masked.value);
    assert_int_equal(f->pci.valid, FH_UNKNOWN_FACT); /* not "no hardware" */
  }
}

static void libraries_as_the_loader_finds_them(void **state) {
  (void)state;
  folder_put(&machine, "env", "LD_LIBRARY_PATH=/opt/bad:/opt/empty::relative:/opt/good/\n");
  put("/opt/bad/libcuda.so.1.stat", "type=f size=100 elf=32 machine=3"); /* the loader passes over another architecture */
  folder_mkdir(&machine, "fs/opt/empty");
  put("/opt/good/libcuda.so.1.stat", "type=f size=100 elf=64 machine=62");
  put("/usr/lib/libcuda.so.1.stat", "type=f size=200 elf=64 machine=62");
  put("/usr/lib/libOpenCL.so.1.stat", "type=f size=0");
  put("/opt/bad/libnvidia-ml.so.1.stat", "type=f size=100 elf=32 machine=3");
  WITH_FACTS(f) {
    const fh_library *lib = fh_facts_library(f, "libcuda.so.1");
    assert_string_equal(lib->path, "/opt/good/libcuda.so.1");
    assert_string_equal(lib->searched, "/opt/bad:/opt/empty:.:relative:/opt/good");
    assert_int_equal(fh_facts_library(f, "libOpenCL.so.1")->size, 0);
    lib = fh_facts_library(f, "libnvidia-ml.so.1"); /* nothing else: what was passed over is told */
    assert_true(lib->valid == FH_VALID && lib->elf.bits == 32);
    lib = fh_facts_library(f, "libze_loader.so.1");
    assert_int_equal(lib->valid, FH_ABSENT);
    assert_int_equal(lib->searched_count, 7);
  }
}

static void musl_has_its_own_path_file(void **state) {
  (void)state;
  put("/lib/ld-musl-x86_64.so.1", "");
  put("/etc/ld-musl-x86_64.path", "/a\n/b:/c\n");
  put("/c/libcuda.so.1.stat", "type=f size=10 elf=64 machine=62 glibc=1");
  WITH_FACTS(f) {
    assert_true(f->where.musl.value && !f->where.glibc.value);
    assert_string_equal(fh_facts_library(f, "libcuda.so.1")->path, "/c/libcuda.so.1");
    assert_string_equal(fh_facts_library(f, "libcuda.so.1")->searched, "/a:/b:/c");
  }
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void cuda_answers(void **state) {
  (void)state;
  folder_put(&machine, "env", "CUDA_VISIBLE_DEVICES=\n");
  folder_put(&machine, "answers/cuda.json",
             "{\"library\":\"/x/"
             "libcuda.so.1\",\"fake\":false}\n{\"init_code\":100,\"init_name\":\"CUDA_ERROR_NO_DEVICE\",\"calling\":null,\"done\":true}\n");
  folder_put(&machine, "answers/cuda-no-CUDA_VISIBLE_DEVICES.json",
             "{\"library\":\"/x/libcuda.so.1\",\"init_code\":0,\"count_code\":0,\"count\":2,\"version\":12040,"
             "\"devices\":[{\"index\":0,\"name\":\"A\",\"capability\":80,\"memory_total\":42,\"context_code\":0}]}"
             "{\"devices\":[{\"index\":1,\"name\":\"B\"}]}{\"devices\":[{\"index\":1,\"context_code\":46}]}{\"cut");
  WITH_FACTS(f) {
    const fh_cuda_answer *a = &f->nvidia.cuda, *b = &f->nvidia.cuda_again[FH_CUDA_UNFILTERED];
    assert_true(a->valid == FH_VALID && a->init_code == 100 && a->count == -1 && !a->exited && !a->crashed);
    assert_true(b->valid == FH_VALID && b->count == 2 && b->version == 12040 && b->device_count == 2);
    assert_true(b->devices[0].usable && b->devices[0].capability == 80 && b->devices[0].memory_free == -1);
    assert_true(!b->devices[1].usable && b->devices[1].context_code == 46);
    assert_string_equal(b->devices[1].name, "B");
    assert_string_equal(b->devices[1].uuid, "");
  }
}

static void cuda_endings(void **state) {
  (void)state;
  static const struct {
    const char *json, *meta;
    bool crashed, exited, hung, slow;
    fh_validity valid;
  } cases[] = {
      {"{\"library\":\"x\",\"calling\":\"cuInit\"}", "signal=11 exit_code=-1", true, false, false, false, FH_VALID},
      {"{\"library\":\"x\",\"calling\":\"cuInit\"}", "exit_code=3", false, true, false, false, FH_VALID},
      {"{\"library\":\"x\",\"calling\":\"cuInit\"}", "timed_out=1 state=D", false, false, true, false, FH_VALID},
      {"{\"library\":\"x\",\"calling\":\"cuInit\"}", "timed_out=1 state=S", false, false, false, true, FH_VALID},
      {"", "timed_out=1", false, false, false, true, FH_VALID},
      {"{\"dlerrors\":[\"a\",\"b\"],\"done\":true}", "exit_code=0", false, false, false, false, FH_ABSENT},
      {"{\"dlerrors\":7,\"library\":[],\"init_code\":\"x\",\"devices\":{}}", "exit_code=0", false, false, false, false, FH_UNKNOWN_FACT},
      {"[1,2", "exit_code=0", false, false, false, false, FH_UNKNOWN_FACT},
      {"{\"init_code\":99999999999,\"devices\":[1,\"x\",null,{\"index\":\"q\"}]}", "exit_code=0", false, false, false, false,
       FH_UNKNOWN_FACT},
  };
  folder_put(&machine, "env", "NVIDIA_VISIBLE_DEVICES=all\n");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    folder_put(&machine, "answers/cuda.json", cases[i].json);
    folder_put(&machine, "answers/cuda.meta", cases[i].meta);
    WITH_FACTS(f) {
      const fh_cuda_answer *a = &f->nvidia.cuda;
      if (a->crashed != cases[i].crashed || a->exited != cases[i].exited || a->hung != cases[i].hung || a->slow != cases[i].slow ||
          a->valid != cases[i].valid)
        fail_msg("case %zu: crashed %d exited %d hung %d slow %d valid %d", i, a->crashed, a->exited, a->hung, a->slow, (int)a->valid);
      assert_int_equal(a->init_code, -1);
      if (i == 5) assert_string_equal(a->dlerrors, "a\nb");
    }
  }
}

static void nothing_of_cuda(void **state) {
  (void)state;
  folder_put(&machine, "answers/cuda.json", "{\"library\":\"x\"}");
  WITH_FACTS(f) {
    assert_int_equal(f->nvidia.cuda.valid, FH_ABSENT); /* the search says so; nobody asked the driver */
    assert_string_equal(f->nvidia.cuda.library, "");
  }
}

static void opencl_registrations(void **state) {
  (void)state;
  put("/etc/OpenCL/vendors/a.icd", "/opt/liba.so\n");
  put("/etc/OpenCL/vendors/b.icd", "libnothere.so\r\n");
  put("/etc/OpenCL/vendors/c.icd", "");
  put("/etc/OpenCL/vendors/readme.txt", "x");
  put("/opt/liba.so.stat", "type=f size=10 elf=64 machine=62");
  folder_put(&machine, "answers/opencl-a.icd.json",
             "{\"platform\":\"P\",\"platform_version\":\"3.0\",\"devices\":[{\"index\":0,\"name\":\"cpu\",\"type\":\"cpu\",\"memory\":5,"
             "\"compute_units\":2}]}");
  folder_put(&machine, "answers/opencl-b.icd.json", "{\"error\":\"libnothere.so: cannot open\",\"missing\":\"libnothere.so\"}");
  WITH_FACTS(f) {
    assert_int_equal(f->opencl.count, 3);
    const fh_icd *a = &f->opencl.icds[0], *b = &f->opencl.icds[1], *c = &f->opencl.icds[2];
    assert_true(a->lib_valid == FH_VALID && a->asked == FH_VALID && a->device_count == 1 && a->devices[0].compute_units == 2);
    assert_string_equal(a->devices[0].type, "cpu");
    assert_string_equal(b->library, "libnothere.so\r"); /* loaders keep the carriage return as well */
    assert_true(b->lib_valid == FH_ABSENT && b->asked == FH_VALID);
    assert_string_equal(b->missing, "libnothere.so");
    assert_true(c->asked == FH_UNKNOWN_FACT && *c->error);
  }
  folder_put(&machine, "env", "OCL_ICD_VENDORS=/elsewhere\n");
  WITH_FACTS(f) {
    assert_true(f->opencl.count == 0 && f->opencl.vendors_valid == FH_ABSENT);
    assert_string_equal(f->opencl.vendors_override.value, "/elsewhere");
  }
  folder_put(&machine, "env", "OCL_ICD_VENDORS=/etc/OpenCL/vendors/a.icd\n");
  WITH_FACTS(f) assert_int_equal(f->opencl.count, 1);
  folder_put(&machine, "env", "OCL_ICD_VENDORS=\n"); /* set to nothing is as if unset */
  WITH_FACTS(f) assert_int_equal(f->opencl.count, 3);
}

static void trials_and_topology(void **state) {
  (void)state;
  folder_put(&machine, "cpuid",
             "0 0 d 0 0 0\n1 0 a10f11 0 fef83203 178bfbff\n7 0 0 f1bf97a9 0 0\n80000000 0 80000021 0 0 0\n"
             "80000001 0 0 0 75c237ff 0\nxcr0 e7\n");
  folder_put(&machine, "answers/isa.json", "{\"sse42\":true,\"avx2\":true,\"avx512\":false}");
  folder_put(&machine, "answers/topology.json", "{\"packages\":1,\"cores\":4,\"numa_nodes\":1,\"l2\":1048576,\"l3\":-5}");
  WITH_FACTS(f) {
    assert_true(f->cpu.isa[FH_ISA_AVX512].enabled && f->cpu.isa[FH_ISA_AVX512].proven.valid == FH_VALID);
    assert_int_equal(f->cpu.best, FH_ISA_AVX2);
    assert_int_equal(f->cpu.family.value, 0x19);
    assert_int_equal(f->cpu.model_number.value, 0x11);
    assert_true(f->cpu.cores.value == 4 && f->cpu.l2_bytes.value == 1048576 && f->cpu.l3_bytes.valid == FH_UNKNOWN_FACT);
  }
}

static void extensions_of_aarch64(void **state) {
  (void)state;
  folder_put(&machine, "snapshot.json",
             "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"aarch64\",\"release\":\"6.8.0\",\"uid\":1000,\"gid\":1000}");
  folder_put(&machine, "cpuid", "hwcap 100083 2000\n"); /* dot products of bytes, of one kind and mixed */
  folder_put(&machine, "answers/isa.json", "{\"neon\":true,\"asimddp\":true,\"i8mm\":false}");
  WITH_FACTS(f) {
    const fh_facts_isa *dotprod = &f->cpu.feature[FH_FEATURE_NEON_DOTPROD], *i8mm = &f->cpu.feature[FH_FEATURE_NEON_I8MM];
    assert_int_equal(f->cpu.best, FH_ISA_NEON);
    assert_true(dotprod->enabled && dotprod->proven.valid == FH_VALID && dotprod->proven.value);
    assert_true(i8mm->enabled && i8mm->proven.valid == FH_VALID && !i8mm->proven.value);
    assert_false(f->cpu.feature[FH_FEATURE_NEON_BF16].advertised || f->cpu.feature[FH_FEATURE_AVX512_BF16].advertised);
  }
}

/* ---- platforms ------------------------------------------------------------------------------------------------------ */

static void platforms(void **state) {
  (void)state;
  static const struct {
    const char *path, *text, *env;
    fh_platform platform;
  } cases[] = {
      {"/proc/version", "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n", "", FH_PLATFORM_GVISOR},
      {"/proc/version", "Linux version 5.15.153.1-microsoft-standard-WSL2\n", "", FH_PLATFORM_WSL},
      {"/etc/nv_tegra_release", "# R35\n", "", FH_PLATFORM_JETSON},
      {"/proc/version", "Linux version 6.1.0-kata\n", "", FH_PLATFORM_KATA},
      {"/proc/self/mountinfo", "1 0 0:1 / /proc/cpuinfo rw - fuse.lxcfs lxcfs rw\n", "", FH_PLATFORM_LXC},
      {"/.singularity.d/runscript", "", "", FH_PLATFORM_APPTAINER},
      {"/.dockerenv", "", "KUBERNETES_SERVICE_HOST=10.0.0.1\n", FH_PLATFORM_KUBERNETES},
      {"/run/.containerenv", "", "container=podman\n", FH_PLATFORM_PODMAN},
      {"/.dockerenv", "", "", FH_PLATFORM_DOCKER},
      {"/.flatpak-info", "", "", FH_PLATFORM_FLATPAK},
      {"/x", "", "SNAP=/snap/x/1\nSNAP_NAME=x\n", FH_PLATFORM_SNAP},
      {"/x", "", "container=systemd-nspawn\n", FH_PLATFORM_NSPAWN},
      {"/run/systemd/container", "systemd-nspawn", "", FH_PLATFORM_NSPAWN},
      {"/x", "", "container=other\n", FH_PLATFORM_OCI},
      {"/proc/version", "Linux version 4.19.0-gvisor #1 SMP\n", "", FH_PLATFORM_GVISOR},
      {"/proc/cmdline", "BOOT_IMAGE=/vmlinuz-4.4.0-gvisor quiet\n", "", FH_PLATFORM_GVISOR},
      {"/proc/self/mountinfo", "1 0 0:50 /newroot / rw,nosuid,nodev - tmpfs tmpfs rw\n", "", FH_PLATFORM_BUBBLEWRAP},
      {"/proc/self/mountinfo", "1 0 0:50 / / rw,nosuid,nodev - tmpfs tmpfs rw\n", "", FH_PLATFORM_BARE},
      {"/proc/self/ns/pid.stat", "link=pid:[4026532280]\n", "", FH_PLATFORM_OCI},
      {"/proc/self/ns/pid.stat", "link=pid:[4026531836]\n", "", FH_PLATFORM_BARE},
      {"/proc/self/ns/cgroup.stat", "link=cgroup:[4026532281]\n", "", FH_PLATFORM_OCI},
      {"/proc/self/ns/cgroup.stat", "link=cgroup:[4026531835]\n", "", FH_PLATFORM_BARE},
      {"/proc/self/cgroup", "0::/system.slice/ollama.service\n", "INVOCATION_ID=1\n", FH_PLATFORM_SYSTEMD_SERVICE},
      {"/proc/self/cgroup", "0::/system.slice/docker.service\n", "", FH_PLATFORM_BARE},
      {"/proc/self/cgroup", "0::/user.slice/user-1.slice/user@1.service/app.slice/a.service\n", "INVOCATION_ID=1\n",
       FH_PLATFORM_SYSTEMD_SERVICE},
      {"/proc/self/cgroup", "0::/user.slice/user-1.slice/user@1.service/app.slice/a.scope\n", "INVOCATION_ID=1\n", FH_PLATFORM_BARE},
      {"/proc/self/cgroup", "0::/user.slice/user-1.slice/session-3.scope\n", "INVOCATION_ID=1\n", FH_PLATFORM_BARE},
      {"/proc/cpuinfo", "flags : fpu hypervisor\n", "", FH_PLATFORM_VM},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    teardown(NULL);
    setup(NULL);
    put(cases[i].path, cases[i].text);
    folder_put(&machine, "env", cases[i].env);
    WITH_FACTS(f) {
      if (f->where.platform != cases[i].platform) fail_msg("%s gives '%s'", cases[i].path, f->where.platform_name);
      assert_true(*f->where.platform_source);
    }
  }
}

/* ---- sandboxes ------------------------------------------------------------------------------------------------------- */

static void sandboxes(void **state) {
  (void)state;
  put("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
  put("/proc/self/cgroup", "0::/a\n");
  put("/proc/cpuinfo", "flags : fpu hypervisor\n");
  put("/sys/firmware/acpi/tables/FACP", "FACP....FIRECKFCVMFADT");
  put("/proc/self/attr/current", "system_u:system_r:container_t:s0\n");
  put("/sys/fs/selinux/enforce", "1\n");
  put("/var/run/nvidia-container-devices/GPU-1", "");
  put("/var/run/nvidia-container-devices/GPU-2", "");
  WITH_FACTS(f) {
    assert_string_equal(f->where.platform_name, "Firecracker virtual machine");
    assert_true(f->sandbox.firecracker.value && f->sandbox.selinux_enforcing.value);
    assert_string_equal(f->sandbox.label.value, "system_u:system_r:container_t:s0");
    assert_true(f->sandbox.device_files.valid == FH_VALID && f->sandbox.device_files.value == 2);
    assert_true(f->sandbox.nested.valid == FH_VALID && !f->sandbox.nested.value);
    assert_true(f->sandbox.memfd.valid == FH_UNKNOWN_FACT);
  }
  put("/var/run/nvidia-container-devices/all", "");
  put("/proc/self/attr/current.stat", "open=EINVAL\n");
  WITH_FACTS(f) {
    assert_true(f->sandbox.device_files.valid == FH_UNKNOWN_FACT);
    assert_true(f->sandbox.label.valid == FH_ABSENT);
  }
}

/* Engines inside engines, by the names of the control groups that they make. */
static void nesting(void **state) {
  (void)state;
  static const struct {
    const char *groups;
    bool nested;
  } cases[] = {
      {"0::/docker/a\n", false},
      {"0::/docker/a/docker/b\n", true},
      {"0::/system.slice/docker-a.scope\n", false},
      {"0::/machine.slice/libpod-a.scope/container/libpod-b.scope\n", true},
      {"0::/kubepods/burstable/pod1/docker-a.scope\n", false}, /* one engine below a kubelet */
      {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope\n", false},
      {"0::/docker/a/kubelet/kubepods/pod1/b\n", true}, /* kind: a node that is a container */
      {"0::/lxc.payload.101/system.slice/docker-a.scope\n", true},
      {"12:devices:/docker/a\n11:cpu:/docker/a\n", false}, /* the same group in two hierarchies */
      {"0::/docker\n", false},
      {"garbage\n", false},
  };
  put("/proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda rw\n");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    put("/proc/self/cgroup", cases[i].groups);
    WITH_FACTS(f) if (f->sandbox.nested.value != cases[i].nested) fail_msg("%s", cases[i].groups);
  }
}

/* What a child tried, and how it ended. */
static void sandbox_answers(void **state) {
  (void)state;
  static const char failing[] = "{\"library\":\"libcuda.so.1\",\"init_code\":304,\"done\":true}";
  put("/dev/nvidiactl", "");
  folder_put(&machine, "answers/cuda.json", failing);
  folder_put(&machine, "answers/sandbox.json", "{\"memfd_create\":1,\"comm\":\"no\",\"ioctl\":-5}{\"exec_map\":0}");
  WITH_FACTS(f) {
    assert_true(f->sandbox.memfd.valid == FH_VALID && f->sandbox.memfd.value == 1);
    assert_true(f->sandbox.exec_map.valid == FH_VALID && f->sandbox.exec_map.value == 0);
    assert_true(f->sandbox.comm.valid == FH_UNKNOWN_FACT && f->sandbox.ioctl.valid == FH_UNKNOWN_FACT);
  }
  folder_put(&machine, "answers/sandbox.json", "{\"memfd_create\":0}{\"calling\":\"comm\"}");
  folder_put(&machine, "answers/sandbox.meta", "signal=31 exit_code=-1");
  WITH_FACTS(f) {
    assert_true(f->sandbox.memfd.value == 0 && f->sandbox.comm.valid == FH_VALID && f->sandbox.comm.value == -31);
    assert_true(f->sandbox.ioctl.valid == FH_UNKNOWN_FACT);
  }
}

/* ---- hostile ----------------------------------------------------------------------------------------------------------- */

static void hostile_files(void **state) {
  (void)state;
  static const char *const paths[] = {
      "/proc/self/mountinfo",
      "/proc/self/cgroup",
      "/proc/self/status",
      "/proc/meminfo",
      "/proc/cpuinfo",
      "/proc/devices",
      "/proc/version",
      "/proc/self/uid_map",
      "/etc/ld.so.cache",
      "/proc/driver/nvidia/version",
      "/etc/OpenCL/vendors/x.icd",
      "/sys/devices/system/cpu/online",
      "/sys/devices/system/cpu/cpu0/cache/index0/level",
      "/sys/devices/system/cpu/cpu0/cache/index0/size",
  };
  static const char noise[] = "\0\xff\x80:::: -\n9999999999999999999999 9999999999999999999\n: : :\n\n\n0-0-0\n%s%n%d\n\x01";
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    char name[128];
    snprintf(name, sizeof name, "fs%s", paths[i]);
    folder_put_bytes(&machine, name, noise + (i % 3), sizeof noise - (i % 3));
  }
  WITH_FACTS(f) {
    assert_int_equal(f->memory.total.valid, FH_ABSENT);
    assert_int_equal(f->cpu.online.valid, FH_UNKNOWN_FACT);
    assert_true(f->cpu.usable.value >= 1);
  }
}

static void without_memory(void **state) {
  (void)state;
  if (!fh_fail_alloc_possible()) {
    print_message("NOT RUN: the sanitizer has its own allocator\n");
    return;
  }
  put_nvidia();
  folder_put(&machine, "env", "NVIDIA_VISIBLE_DEVICES=all\n");
  folder_put(&machine, "answers/cuda.json", "{\"library\":\"x\",\"devices\":[{\"index\":0}]}");
  int failures = 0;
  for (int n = 0;; n += n < 300 ? 1 : 37) { /* every early one, then samples: there are thousands */
    fh_os *os = NULL;
    fh_facts *facts = NULL;
    fh_fail_alloc(n);
    fh_status status = fh_os_directory(machine.path, &os);
    if (!status) status = fh_facts_gather(os, FH_GATHER_ALL, &facts);
    bool failed = fh_fail_alloc_end();
    assert_true(!status == (facts != NULL));
    failures += status != FH_OK;
    fh_facts_destroy(facts);
    fh_os_destroy(os);
    fh_status_free(status);
    if (!failed) break;
  }
  assert_true(failures > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_is_known),
      TEST(cgroup_tree_in_namespace),
      TEST(cgroup_v2_ancestors),
      TEST(cgroup_namespace_hides),
      TEST(cgroup_v1_of_docker),
      TEST(cgroup_hybrid),
      TEST(nvidia_machine),
      TEST(masked_pci),
      TEST(libraries_as_the_loader_finds_them),
      TEST(musl_has_its_own_path_file),
      TEST(cuda_answers),
      TEST(cuda_endings),
      TEST(nothing_of_cuda),
      TEST(opencl_registrations),
      TEST(trials_and_topology),
      TEST(extensions_of_aarch64),
      TEST(platforms),
      TEST(sandboxes),
      TEST(nesting),
      TEST(sandbox_answers),
      TEST(hostile_files),
      TEST(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
