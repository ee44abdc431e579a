/* GPUs and NVSwitches on PCI, from sysfs. SPDX-License-Identifier: Apache-2.0
 * PCI is not namespaced: what is seen here is the host's, unless an operator has covered it. */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

static const char devices_dir[] = "/sys/bus/pci/devices";
enum { CLASS_DISPLAY = 0x03, CLASS_ACCELERATOR = 0x12, CLASS_BRIDGE_OTHER = 0x0680, VENDOR_NVIDIA = 0x10de };

static int read_hex(fh_gather *g, const char *dir, const char *file) {
  fh_fact_text text = fh_read_fact(g, fh_arena_format(g->arena, "%s/%s", dir, file), 64);
  uint64_t value;
  return text.valid == FH_VALID && fh_parse_hex(text.value, &value) && value <= 0xffffff ? (int)value : -1;
}

static void read_device(fh_gather *g, const char *address, fh_pci_device **devices) {
  fh_facts_pci *pci = &g->facts->pci;
  const char *dir = fh_arena_format(g->arena, "%s/%s", devices_dir, address);
  int class_ = read_hex(g, dir, "class");
  bool is_gpu = class_ >> 16 == CLASS_DISPLAY || class_ >> 16 == CLASS_ACCELERATOR;
  pci->unread += class_ < 0;
  if (class_ < 0 || (!is_gpu && class_ >> 8 != CLASS_BRIDGE_OTHER)) return;
  int vendor = read_hex(g, dir, "vendor");
  pci->unread += is_gpu && vendor < 0;
  if (!is_gpu && vendor != VENDOR_NVIDIA) return;
  fh_pci_device *d = fh_arena_push(g->arena, devices, &pci->count, sizeof *d);
  if (!d) return;
  *d = (fh_pci_device){.address = address, .vendor = vendor, .class_ = class_, .is_gpu = is_gpu, .is_nvswitch = !is_gpu, .source = dir};
  d->device = read_hex(g, dir, "device");
  char link[512];
  int error = g->os->api->readlink(g->os, fh_arena_format(g->arena, "%s/driver", dir), link, sizeof link);
  d->driver_valid = !error ? FH_VALID : error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT;
  if (error) return;
  const char *slash = strrchr(link, '/');
  d->driver = fh_arena_text(g->arena, slash ? slash + 1 : link);
}

static fh_fact_bool is_masked(const fh_facts *f) {
  if (f->mounts_valid != FH_VALID) return (fh_fact_bool){false, FH_UNKNOWN_FACT, "/proc/self/mountinfo"};
  const fh_mount *mount = fh_mount_of(f, devices_dir);
  /* a sysfs may be bind-mounted anywhere; anything else below /sys is a cover */
  bool covered = mount && strcmp(mount->fstype, "sysfs") != 0 && fh_path_below(mount->point, "/sys");
  return fh_fact_bool_of(covered, "/proc/self/mountinfo");
}

void fh_gather_pci(fh_gather *g) {
  fh_facts_pci *pci = &g->facts->pci;
  int error, count;
  pci->masked = is_masked(g->facts);
  const char **names = fh_path_list(g, devices_dir, &count, &error);
  pci->all_count = count;
  for (int i = 0; i < count; i++) read_device(g, names[i], &pci->devices);
  pci->valid = error == ENOENT ? FH_ABSENT : error || (pci->masked.value && count == 0) ? FH_UNKNOWN_FACT : FH_VALID;
}
