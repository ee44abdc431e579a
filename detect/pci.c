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

/* Reading from a card that sleeps would wake it up. */
static bool is_suspended(fh_gather *g, const char *dir) {
  return strcmp(fh_read_fact(g, fh_arena_format(g->arena, "%s/power/runtime_status", dir), 64).value, "suspended") == 0;
}

/* Reading a card that is off the bus gives ones. */
static fh_fact_bool responds(fh_gather *g, const char *dir) {
  enum { HEADER = 64 };
  const char *file = fh_arena_format(g->arena, "%s/config", dir);
  char *bytes = NULL;
  size_t size = 0, ones = 0;
  int error = g->os->api->read(g->os, file, HEADER, &bytes, &size);
  bool got = !error || error == EFBIG;
  for (size_t i = 0; got && i < size; i++) ones += (unsigned char)bytes[i] == 0xff;
  fh_fact_bool fact = {ones < size, got && size >= 4 ? FH_VALID : FH_UNKNOWN_FACT, file};
  if (got) free(bytes);
  return fact;
}

/* The generation that a rate belongs to; the file says "16.0 GT/s PCIe", "16 GT/s" in older kernels, "Unknown" of a link that is down. */
static int generation_of(const char *rate) {
  static const char *const rates[] = {"2.5 GT/s", "5.0 GT/s", "8.0 GT/s", "16.0 GT/s", "32.0 GT/s", "64.0 GT/s"};
  static const char *const older[] = {"2.5 GT/s", "5 GT/s", "8 GT/s", "16 GT/s", "32 GT/s", "64 GT/s"};
  for (int i = 0; i < (int)(sizeof rates / sizeof *rates); i++)
    if (strncmp(rate, rates[i], strlen(rates[i])) == 0 || strncmp(rate, older[i], strlen(older[i])) == 0) return i + 1;
  return 0;
}

static int read_generation(fh_gather *g, const char *dir, const char *file) {
  fh_fact_text text = fh_read_fact(g, fh_arena_format(g->arena, "%s/%s", dir, file), 64);
  return text.valid == FH_VALID ? generation_of(text.value) : 0;
}

/* Lanes; what is no width of PCI Express is not believed: 255 stands for unknown, 0 for a link that is down. */
static int read_width(fh_gather *g, const char *dir, const char *file) {
  fh_fact_text text = fh_read_fact(g, fh_arena_format(g->arena, "%s/%s", dir, file), 64);
  int64_t lanes;
  return text.valid == FH_VALID && fh_parse_i64(text.value, &lanes) && lanes >= 0 && lanes <= 32 ? (int)lanes : 0;
}

static fh_pci_link read_link(fh_gather *g, const char *dir) {
  return (fh_pci_link){.generation = read_generation(g, dir, "current_link_speed"),
                       .width = read_width(g, dir, "current_link_width"),
                       .most_generation = read_generation(g, dir, "max_link_speed"),
                       .most_width = read_width(g, dir, "max_link_width")};
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
  const bool asleep = is_gpu && is_suspended(g, dir);
  if (is_gpu && !asleep) d->link = read_link(g, dir);
  if (is_gpu && vendor == VENDOR_NVIDIA) {
    d->window = second_region(g, dir);
    d->responds = asleep ? (fh_fact_bool){false, FH_UNKNOWN_FACT, fh_arena_format(g->arena, "%s/config", dir)} : responds(g, dir);
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
