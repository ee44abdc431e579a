/* What the files and the management library of NVIDIA's driver say, read from machines written down for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "detect/drivers/nvml_driver.h"
#include "detect/facts.h"
#include "tests/support/folder.h"

#define PCI "fs/sys/bus/pci/devices/0000:01:00.0/"
#define EFI "fs/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

static folder machine;
static fh_os *os;

/* A card that no driver holds, on a kernel 6.8.0 without the module. */
static int setup(void **state) {
  (void)state;
  folder_make(&machine);
  folder_put(&machine, "snapshot.json", "{\"schema\":\"foghorn.snapshot/1\",\"machine\":\"x86_64\",\"release\":\"6.8.0\",\"uid\":0}");
  folder_put(&machine, PCI "vendor", "0x10de\n");
  folder_put(&machine, PCI "device", "0x20b0\n");
  folder_put(&machine, PCI "class", "0x030200\n");
  folder_put(&machine, "fs/proc/devices", "Character devices:\n  1 mem\n");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  folder_remove(&machine);
  return 0;
}

static fh_facts *gather(void) {
  fh_facts *facts = NULL;
  fh_status status = fh_os_directory(machine.path, &os);
  if (!status) status = fh_facts_gather(os, FH_GATHER_ALL, &facts);
  if (status) fail_msg("%s", fh_status_message(status));
  return facts;
}

#define WITH_FACTS(f) for (fh_facts *f = gather(); f; fh_facts_destroy(f), fh_os_destroy(os), f = NULL)

/* ---- PCI ------------------------------------------------------------------------------------------------------------ */

#define LINE(start, end, flags) #start " " #end " " #flags "\n"
#define NONE LINE(0x0, 0x0, 0x0)
#define REGISTERS LINE(0xf6000000, 0xf6ffffff, 0x40200)
#define REGISTERS_64 LINE(0x6000000000, 0x6000ffffff, 0x14220c)
#define WINDOW LINE(0x4000000000, 0x4fffffffff, 0x14220c)

static void second_memory_region(void **state) {
  (void)state;
  static const struct {
    const char *text;
    fh_validity valid;
    bool has_address;
  } cases[] = {
      {REGISTERS WINDOW NONE, FH_VALID, true},
      {REGISTERS NONE WINDOW, FH_VALID, false},
      {REGISTERS_64 NONE WINDOW, FH_VALID, true}, /* the registers take two lines */
      {REGISTERS_64 NONE NONE, FH_VALID, false},
      {NONE WINDOW NONE, FH_VALID, false},                             /* not even the registers */
      {REGISTERS LINE(0x0, 0xfffffffff, 0x2014220c), FH_VALID, false}, /* not placed, as its flags say */
      {REGISTERS, FH_UNKNOWN_FACT, false},
      {REGISTERS_64 NONE, FH_UNKNOWN_FACT, false},
      {"", FH_UNKNOWN_FACT, false},
      {"no numbers here\n", FH_UNKNOWN_FACT, false},
      {REGISTERS "0x1\n", FH_UNKNOWN_FACT, false},
      {"0xffffffffffffffffffffffffffff 0x1 0x0\n" WINDOW, FH_UNKNOWN_FACT, false}, /* past 64 bits: no number */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    folder_put(&machine, PCI "resource", cases[i].text);
    WITH_FACTS(f) {
      if (f->pci.devices[0].window.valid != cases[i].valid || f->pci.devices[0].window.value != cases[i].has_address)
        fail_msg("case %zu: validity %d, %d", i, f->pci.devices[0].window.valid, f->pci.devices[0].window.value);
    }
  }
}

static void configuration_space(void **state) {
  (void)state;
  char ones[64], header[64] = {(char)0xde, 0x10};
  memset(ones, 0xff, sizeof ones);
  WITH_FACTS(f) assert_int_equal(f->pci.devices[0].responds.valid, FH_UNKNOWN_FACT);
  folder_put_bytes(&machine, PCI "config", header, sizeof header);
  WITH_FACTS(f) assert_true(f->pci.devices[0].responds.valid == FH_VALID && f->pci.devices[0].responds.value);
  folder_put_bytes(&machine, PCI "config", ones, sizeof ones);
  WITH_FACTS(f) assert_true(f->pci.devices[0].responds.valid == FH_VALID && !f->pci.devices[0].responds.value);
  folder_put(&machine, PCI "power/runtime_status", "suspended\n"); /* is not woken up for this */
  WITH_FACTS(f) assert_int_equal(f->pci.devices[0].responds.valid, FH_UNKNOWN_FACT);
  folder_put(&machine, PCI "power/runtime_status", "active\n");
  folder_put_bytes(&machine, PCI "config", ones, 2);
  WITH_FACTS(f) assert_int_equal(f->pci.devices[0].responds.valid, FH_UNKNOWN_FACT);
}

static void put_link(const char *speed, const char *width, const char *max_speed, const char *max_width) {
  folder_put(&machine, PCI "current_link_speed", speed);
  folder_put(&machine, PCI "current_link_width", width);
  folder_put(&machine, PCI "max_link_speed", max_speed);
  folder_put(&machine, PCI "max_link_width", max_width);
}

static void link_to_the_card(void **state) {
  (void)state;
  static const struct {
    const char *speed, *width, *max_speed, *max_width;
    fh_pci_link link;
  } cases[] = {
      {"16.0 GT/s PCIe\n", "16\n", "16.0 GT/s PCIe\n", "16\n", {4, 16, 4, 16}},
      {"8 GT/s\n", "4\n", "32 GT/s\n", "16\n", {3, 4, 5, 16}},
      {"2.5 GT/s PCIe\n", "1\n", "64.0 GT/s PCIe\n", "32\n", {1, 1, 6, 32}},
      {"Unknown\n", "0\n", "5.0 GT/s PCIe\n", "255\n", {0, 0, 2, 0}},
      {"160 GT/s\n", "-1\n", "", "99999999999999999999\n", {0, 0, 0, 0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_link(cases[i].speed, cases[i].width, cases[i].max_speed, cases[i].max_width);
    WITH_FACTS(f) assert_memory_equal(&f->pci.devices[0].link, &cases[i].link, sizeof(fh_pci_link));
  }
  put_link("16.0 GT/s PCIe\n", "16\n", "16.0 GT/s PCIe\n", "16\n");
  folder_put(&machine, PCI "power/runtime_status", "suspended\n"); /* is not woken up for this */
  WITH_FACTS(f) assert_int_equal(f->pci.devices[0].link.generation, 0);
}

/* ---- modules and who may load them ------------------------------------------------------------------------------------ */

static void module_of_the_running_kernel(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool built;
  } cases[] = {
      {"updates/dkms/nvidia.ko.zst:\n", true},
      {"extra/nvidia.ko.xz: kernel/x.ko\n", true},
      {"kernel/drivers/video/nvidia.ko:\n", true},
      {"kernel/drivers/video/fbdev/nvidia/nvidiafb.ko:\n", false},
      {"kernel/drivers/usb/typec/altmodes/typec_nvidia.ko:\n", false},
      {"kernel/drivers/net/ethernet/mellanox/nvidia-peermem.ko:\n", false},
      {"updates/nvidia.kobold\n", false},
      {"", false},
  };
  WITH_FACTS(f) assert_int_equal(f->nvidia.host.built.valid, FH_ABSENT);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    folder_put(&machine, "fs/lib/modules/6.8.0/modules.dep", cases[i].text);
    folder_put(&machine, "fs/lib/modules/6.5.0/modules.dep", "extra/nvidia.ko:\n");
    WITH_FACTS(f) {
      if (f->nvidia.host.built.value != cases[i].built) fail_msg("case %zu: %d", i, f->nvidia.host.built.value);
      assert_true(f->nvidia.host.built.value || strcmp(f->nvidia.host.built_elsewhere, "6.5.0") == 0);
    }
  }
  folder_put(&machine, "fs/lib/modules/6.8.0/modules.dep.stat", "open=EACCES\n"); /* cannot be read: unknown, not none */
  WITH_FACTS(f) assert_true(f->nvidia.host.built.valid == FH_UNKNOWN_FACT && !f->nvidia.host.built_elsewhere);
}

static void secure_boot(void **state) {
  (void)state;
  WITH_FACTS(f) assert_int_equal(f->nvidia.host.secure_boot.valid, FH_ABSENT);
  folder_put_bytes(&machine, EFI, "\6\0\0\0\1", 5);
  WITH_FACTS(f) assert_true(f->nvidia.host.secure_boot.valid == FH_VALID && f->nvidia.host.secure_boot.value);
  folder_put_bytes(&machine, EFI, "\6\0\0\0\0", 5);
  WITH_FACTS(f) assert_true(f->nvidia.host.secure_boot.valid == FH_VALID && !f->nvidia.host.secure_boot.value);
  folder_put_bytes(&machine, EFI, "\6\0\0", 3);
  WITH_FACTS(f) assert_int_equal(f->nvidia.host.secure_boot.valid, FH_UNKNOWN_FACT);
  folder_put(&machine, "fs/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
  WITH_FACTS(f) assert_true(f->nvidia.host.locked_down.value);
  folder_put(&machine, "fs/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
  WITH_FACTS(f) assert_true(f->nvidia.host.locked_down.valid == FH_VALID && !f->nvidia.host.locked_down.value);
}

static void fabric_manager_package(void **state) {
  (void)state;
  static const struct {
    const char *status;
    fh_validity valid;
    const char *version;
  } cases[] = {
      {"Package: nvidia-fabricmanager-550\nStatus: install ok installed\nVersion: 550.54.14-1\n\n", FH_VALID, "550.54.14"},
      {"Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: nvidia-fabricmanager-535\nStatus: install ok installed\nVersion: "
       "535.1",
       FH_VALID, "535.1"},
      {"Package: nvidia-fabricmanager-550\nStatus: deinstall ok config-files\nVersion: 550.54.14-1\n\n", FH_ABSENT, ""},
      {"Package: nvidia-fabricmanager-550\nStatus: install ok not-installed\n\n", FH_ABSENT, ""},
      {"Package: x\nStatus: install ok installed\nDescription: see Package: nvidia-fabricmanager-550\nVersion: 9\n\n", FH_ABSENT, ""},
      {"Package: nvidia-fabricmanager-550", FH_ABSENT, ""},
  };
  folder_put(&machine, "fs/sys/bus/pci/devices/0000:05:00.0/vendor", "0x10de\n");
  folder_put(&machine, "fs/sys/bus/pci/devices/0000:05:00.0/class", "0x068000\n");
  WITH_FACTS(f) assert_int_equal(f->nvidia.host.fabric_manager.valid, FH_UNKNOWN_FACT);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    folder_put(&machine, "fs/var/lib/dpkg/status", cases[i].status);
    WITH_FACTS(f) {
      const fh_fact_text *found = &f->nvidia.host.fabric_manager;
      if (found->valid != cases[i].valid || strcmp(found->value, cases[i].version) != 0)
        fail_msg("case %zu: validity %d, '%s'", i, found->valid, found->value);
    }
  }
}

/* ---- slices --------------------------------------------------------------------------------------------------------------- */

static void slices_and_their_nodes(void **state) {
  (void)state;
  static const char gi[] = "fs/proc/driver/nvidia/capabilities/gpu0/mig/gi1/";
  char path[256];
  folder_put(&machine, "fs/proc/driver/nvidia/capabilities/gpu0/mig/config", "DeviceFileMinor: 1\n");
  snprintf(path, sizeof path, "%saccess", gi);
  folder_put(&machine, path, "DeviceFileMinor: 12\nDeviceFileMode: 292\n");
  snprintf(path, sizeof path, "%sci0/access", gi);
  folder_put(&machine, path, "DeviceFileMinor: 13\n");
  snprintf(path, sizeof path, "%sci1/access", gi);
  folder_put(&machine, path, "DeviceFileMinor: -4\n");
  folder_put(&machine, "fs/dev/nvidia-caps/nvidia-cap12.stat", "type=c rdev=234:12\n");
  WITH_FACTS(f) {
    assert_int_equal(f->nvidia.slice_count, 2);
    assert_true(f->nvidia.slices[0].instance_minor == 12 && f->nvidia.slices[0].slice_minor == 13 && f->nvidia.slices[1].slice_minor == -1);
    assert_int_equal(fh_facts_node(f, "/dev/nvidia-caps/nvidia-cap12")->valid, FH_VALID);
    assert_int_equal(fh_facts_node(f, "/dev/nvidia-caps/nvidia-cap13")->valid, FH_ABSENT);
  }
}

/* ---- the management library ---------------------------------------------------------------------------------------------------- */

static void library_answers(void **state) {
  (void)state;
  folder_put(&machine, "fs/dev/nvidiactl.stat", "type=c rdev=195:255\n");
  WITH_FACTS(f) assert_true(f->nvidia.nvml.valid == FH_UNKNOWN_FACT && f->nvidia.nvml.init_code == -1);
  folder_put(&machine, "answers/nvml.json",
             "{\"calling\":\"nvmlInit_v2\",\"library\":\"/x\",\"fake\":true}{\"init_code\":0,\"cc_feature\":1,\"cc_ready\":0}"
             "{\"count\":3,\"devices\":[{\"index\":0,\"handle_code\":15}]}{\"devices\":[{\"index\":1,\"handle_code\":0}]}"
             "{\"devices\":[{\"index\":1,\"compute_mode\":3,\"failed\":{\"nvmlDeviceGetName\":16}}]}"
             "{\"devices\":[{\"index\":2,\"compute_mode\":\"3\",\"persistence\":99999999999999,\"failed\":7,\"name\":5}]}{\"cut");
  WITH_FACTS(f) {
    const fh_nvml_answer *a = &f->nvidia.nvml;
    assert_true(a->valid == FH_VALID && a->fake && a->init_code == 0 && a->cc_feature == 1 && a->cc_ready == 0 && a->count == 3);
    assert_int_equal(a->card_count, 3);
    assert_true(a->cards[0].lost && !a->cards[0].reset_required && a->cards[0].compute_mode == -1);
    assert_true(a->cards[1].reset_required && !a->cards[1].lost && a->cards[1].compute_mode == 3);
    assert_true(a->cards[2].compute_mode == -1 && a->cards[2].persistence == -1 && !a->cards[2].lost);
    assert_string_equal(a->cards[2].name, "");
  }
}

static void library_endings(void **state) {
  (void)state;
  static const struct {
    const char *meta;
    bool hung, slow, crashed, exited;
  } cases[] = {
      {"timed_out=1 state=D exit_code=-1\n", true, false, false, false},
      {"timed_out=1 state=S exit_code=-1\n", false, true, false, false},
      {"signal=11 exit_code=-1\n", false, false, true, false},
      {"exit_code=1\n", false, false, false, true},
  };
  folder_put(&machine, "fs/dev/nvidiactl.stat", "type=c rdev=195:255\n");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    folder_put(&machine, "answers/nvml.json", "{\"library\":\"/x\",\"calling\":\"nvmlInit_v2\"}");
    folder_put(&machine, "answers/nvml.meta", cases[i].meta);
    WITH_FACTS(f) {
      const fh_nvml_answer *a = &f->nvidia.nvml;
      assert_true(a->valid == FH_VALID && a->hung == cases[i].hung && a->slow == cases[i].slow);
      assert_true(a->crashed == cases[i].crashed && a->exited == cases[i].exited && a->init_code == -1);
    }
  }
}

static void names_of_codes(void **state) {
  (void)state;
  assert_string_equal(fh_nvml_result_name(0), "NVML_SUCCESS");
  assert_string_equal(fh_nvml_result_name(15), "NVML_ERROR_GPU_IS_LOST");
  assert_string_equal(fh_nvml_result_name(999), "NVML_ERROR_UNKNOWN");
  assert_string_equal(fh_nvml_result_name(-7), "NVML_ERROR_?");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(second_memory_region), TEST(configuration_space),    TEST(link_to_the_card),       TEST(module_of_the_running_kernel),
      TEST(secure_boot),          TEST(fabric_manager_package), TEST(slices_and_their_nodes), TEST(library_answers),
      TEST(library_endings),      TEST(names_of_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
