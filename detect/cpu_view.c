/* How the machine's processors are shown here: emulated, covered, in part. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* ---- another processor's ---------------------------------------------------------------------------------------------- */

/* Emulators of single programs pass the machine's /proc/cpuinfo through, and its fields give the machine away. */
static fh_fact_text read_dialect(fh_gather *g, const char *path) {
  size_t size;
  int error;
  const char *text = fh_read_text(g, path, FH_SMALL_FILE, &error);
  if (!text) return (fh_fact_text){"", FH_UNKNOWN_FACT, path};
  bool arm = fh_key_value(text, "CPU implementer", ':', &size) != NULL;
  bool x86 = fh_key_value(text, "vendor_id", ':', &size) && fh_key_value(text, "flags", ':', &size);
  if (arm == x86) return (fh_fact_text){"", FH_UNKNOWN_FACT, path};
  return fh_fact_text_of(arm ? "arm" : "x86", path);
}

static fh_fact_text read_hypervisor_vendor(fh_gather *g) {
  enum { HYPERVISOR_LEAF = 0x40000000 };
  static const char source[] = "CPUID 40000000";
  fh_os_cpuid r;
  if (!g->facts->where.hypervisor.value || g->os->api->cpuid(g->os, HYPERVISOR_LEAF, 0, &r) != 0)
    return (fh_fact_text){"", FH_UNKNOWN_FACT, source};
  const uint32_t words[] = {r.ebx, r.ecx, r.edx};
  char name[sizeof words + 1] = {0};
  memcpy(name, words, sizeof words);
  for (size_t i = 0; i < sizeof words; i++)
    if (name[i] && (name[i] < ' ' || name[i] > '~')) return (fh_fact_text){"", FH_ABSENT, source};
  return name[0] ? fh_fact_text_of(fh_arena_text(g->arena, name), source) : (fh_fact_text){"", FH_ABSENT, source};
}

/* ---- covered ------------------------------------------------------------------------------------------------------------ */

/* ABSENT: no folder of CPUs at all, as where /sys is empty. */
static fh_fact_bool read_topology_shown(fh_gather *g) {
  static const char cpu[] = "/sys/devices/system/cpu/cpu0", topology[] = "/sys/devices/system/cpu/cpu0/topology";
  int error = fh_path_stat(g, topology, true, NULL);
  if (error == 0) return fh_fact_bool_of(true, topology);
  if (error != ENOENT && error != ENOTDIR) return (fh_fact_bool){false, FH_UNKNOWN_FACT, topology};
  error = fh_path_stat(g, cpu, true, NULL);
  if (error == 0) return fh_fact_bool_of(false, topology);
  return (fh_fact_bool){false, error == ENOENT || error == ENOTDIR ? FH_ABSENT : FH_UNKNOWN_FACT, cpu};
}

/* The file is long and slow on big machines: it is counted only where LXCFS writes it. */
static fh_fact_int count_cpuinfo(fh_gather *g) {
  static const char path[] = "/proc/cpuinfo", key[] = "processor";
  fh_fact_int fact = {0, FH_UNKNOWN_FACT, path};
  const fh_mount *mount = fh_mount_at(g->facts, path);
  if (!mount || strcmp(mount->fstype, "fuse.lxcfs") != 0) return fact;
  const char *text = fh_read_text(g, path, FH_BIG_FILE, NULL), *line;
  size_t size;
  while (text && fh_line_next(&text, &line, &size))
    fact.value +=
        size >= sizeof key && memcmp(line, key, sizeof key - 1) == 0 && (line[sizeof key - 1] == '\t' || line[sizeof key - 1] == ' ');
  if (fact.value > 0) fact.valid = FH_VALID;
  return fact;
}

static fh_fact_int count_nodes(fh_gather *g) {
  fh_fact_text online = fh_read_fact(g, "/sys/devices/system/node/online", FH_SMALL_FILE);
  int count = online.valid == FH_VALID ? fh_cpulist_count(online.value) : 0;
  return count > 0 ? fh_fact_int_of(count, online.source) : (fh_fact_int){0, FH_UNKNOWN_FACT, online.source};
}

void fh_gather_cpu_view(fh_gather *g) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  cpu->cpuinfo_dialect = read_dialect(g, "/proc/cpuinfo");
  cpu->hypervisor_vendor = read_hypervisor_vendor(g);
  cpu->topology_shown = read_topology_shown(g);
  cpu->cpuinfo_cpus = count_cpuinfo(g);
  cpu->nodes_online = count_nodes(g);
}
