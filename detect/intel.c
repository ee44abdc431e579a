/* Intel's GPU and NPU drivers, and how large the windows to their memory are. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { INTEL = 0x8086, CLASS_DISPLAY = 0x03, MEMORY_WINDOW = 2 };

/* The n-th line of a PCI device's "resource" is "first last flags", hexadecimal. */
static int64_t window_bytes(const char *text, int number) {
  const char *line;
  size_t size;
  for (int i = 0; fh_line_next(&text, &line, &size); i++) {
    if (i != number) continue;
    uint64_t first, last;
    const char *at = line;
    if (!fh_take_hex(&at, &first) || !fh_take_hex(&at, &last) || at > line + size || last < first || last - first >= INT64_MAX) return -1;
    return first || last ? (int64_t)(last - first + 1) : -1;
  }
  return -1;
}

/* An integrated GPU is function 2.0 of the first bus; it shares the machine's memory and has no window to its own. */
static bool is_discrete(const fh_pci_device *gpu) { return strlen(gpu->address) < 12 || strcmp(gpu->address + 4, ":00:02.0") != 0; }

static void read_windows(fh_gather *g) {
  const fh_facts_pci *pci = &g->facts->pci;
  for (int i = 0; i < pci->count; i++) {
    const fh_pci_device *gpu = &pci->devices[i];
    if (gpu->vendor != INTEL || gpu->class_ >> 16 != CLASS_DISPLAY || !is_discrete(gpu)) continue;
    const char *text = fh_read_text(g, fh_arena_format(g->arena, "%s/resource", gpu->source), FH_SMALL_FILE, NULL);
    fh_intel_bar *bar = text ? fh_arena_push(g->arena, &g->facts->intel.bars, &g->facts->intel.bar_count, sizeof *bar) : NULL;
    if (bar) *bar = (fh_intel_bar){.pci = gpu->address, .bytes = window_bytes(text, MEMORY_WINDOW)};
  }
}

void fh_gather_intel(fh_gather *g) {
  fh_facts_intel *intel = &g->facts->intel;
  intel->i915 = fh_module_loaded(g, "i915");
  intel->xe = fh_module_loaded(g, "xe");
  intel->npu_module = fh_module_loaded(g, "intel_vpu");
  intel->npu_firmware = fh_path_fact(g, "/lib/firmware/intel/vpu");
  read_windows(g);
}
