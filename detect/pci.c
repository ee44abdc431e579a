/* GPUs and NVSwitches on PCI, from sysfs. SPDX-License-Identifier: Apache-2.0
 * PCI is not namespaced: what is seen here is the host's, unless an operator has covered it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Does a memory region have an address? The flags of a region that got none say so, or all of its line is zero. */
static bool has_address(uint64_t start, uint64_t end, uint64_t flags) {
  enum { UNSET = 0x20000000 };
  return (start || end) && !(flags & UNSET);
}

/* The second memory region. A region of 64 bits takes two lines of the file, so it is on the second or the third line. */
static fh_fact_bool second_region(fh_gather *g, const char *dir) {
  enum { IS_64_BIT = 0x00100000 };
  const char *file = fh_arena_format(g->arena, "%s/resource", dir), *cursor = fh_read_text(g, file, FH_SMALL_FILE, NULL), *line;
  fh_fact_bool unknown = {false, FH_UNKNOWN_FACT, file};
  size_t size;
  int number = 0, wanted = 1;
  while (cursor && fh_line_next(&cursor, &line, &size) && number <= wanted) {
    uint64_t start, end, flags;
    const char *at = fh_arena_text_size(g->arena, line, size); /* no number may come from the next line */
    if (!fh_take_hex(&at, &start) || !fh_take_hex(&at, &end) || !fh_take_hex(&at, &flags)) return unknown;
    if (number == 0 && !has_address(start, end, flags)) return fh_fact_bool_of(false, file);
    if (number == 0 && flags & IS_64_BIT) wanted = 2;
    if (number++ == wanted) return fh_fact_bool_of(has_address(start, end, flags), file);
  }
  return unknown;
}

/* Reading a card that is off the bus gives ones. */
static fh_fact_bool responds(fh_gather *g, const char *dir) {
  enum { HEADER = 64 };
  const char *file = fh_arena_format(g->arena, "%s/config", dir);
  fh_fact_text power = fh_read_fact(g, fh_arena_format(g->arena, "%s/power/runtime_status", dir), 64);
  if (strcmp(power.value, "suspended") == 0) return (fh_fact_bool){false, FH_UNKNOWN_FACT, file}; /* reading would wake it up */
  char *bytes = NULL;
  size_t size = 0, ones = 0;
  int error = g->os->api->read(g->os, file, HEADER, &bytes, &size);
  bool got = !error || error == EFBIG;
  for (size_t i = 0; got && i < size; i++) ones += (unsigned char)bytes[i] == 0xff;
  fh_fact_bool fact = {ones < size, got && size >= 4 ? FH_VALID : FH_UNKNOWN_FACT, file};
  if (got) free(bytes);
  return fact;
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
  if (is_gpu && vendor == VENDOR_NVIDIA) {
    d->window = second_region(g, dir);
    d->responds = responds(g, dir);
  }
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
