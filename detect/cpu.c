/* The processor, and how much of it this process may use. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { LIST_SIZE = 4096 };

/* ---- identity ---------------------------------------------------------------------------------------- */

static bool cpuid(fh_gather *g, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  return g->os->api->cpuid(g->os, leaf, subleaf, out) == 0;
}

static void append_register(char *out, size_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++, value >>= 8) {
    char c = (char)(value & 0xff);
    out[(*at)++] = c >= ' ' && c < 127 ? c : c ? '?' : 0;
  }
}

static void read_names(fh_gather *g, uint32_t max_extended) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  fh_os_cpuid r;
  char text[49] = {0};
  size_t at = 0;
  if (!cpuid(g, 0, 0, &r)) return;
  append_register(text, &at, r.ebx);
  append_register(text, &at, r.edx);
  append_register(text, &at, r.ecx);
  text[at] = 0;
  cpu->vendor = fh_fact_text_of(fh_arena_text(g->arena, text), "CPUID 0");
  if (max_extended < 0x80000004u) return;
  at = 0;
  for (uint32_t leaf = 0x80000002u; leaf <= 0x80000004u && cpuid(g, leaf, 0, &r); leaf++) {
    append_register(text, &at, r.eax);
    append_register(text, &at, r.ebx);
    append_register(text, &at, r.ecx);
    append_register(text, &at, r.edx);
  }
  text[at] = 0;
  const char *start = text + strspn(text, " ");
  size_t size = strlen(start);
  while (size && start[size - 1] == ' ') size--;
  cpu->model = fh_fact_text_of(fh_arena_text_size(g->arena, start, size), "CPUID 80000002-4");
}

static void store_isa(fh_facts_cpu *cpu, const fh_isa_bits *bits) {
  for (int i = 0; i < FH_ISA_COUNT; i++) {
    cpu->isa[i].advertised = bits->advertised[i];
    cpu->isa[i].enabled = bits->enabled[i];
  }
  for (int i = 0; i < FH_FEATURE_COUNT; i++) {
    cpu->feature[i].advertised = bits->feature[i];
    cpu->feature[i].enabled = bits->feature[i] && bits->enabled[fh_feature_isa((fh_cpu_feature)i)];
  }
  cpu->amx.advertised = bits->amx_advertised;
  cpu->amx.enabled = bits->amx_enabled;
}

bool fh_cpuid_view_read(fh_os *os, fh_cpuid_view *out) {
  *out = (fh_cpuid_view){0};
  fh_os_cpuid first, extended;
  if (os->api->cpuid(os, 0, 0, &first) != 0 || os->api->cpuid(os, 1, 0, &out->leaf1) != 0) return false;
  if (first.eax >= 7 && os->api->cpuid(os, 7, 0, &out->leaf7) == 0 && out->leaf7.eax >= 1) os->api->cpuid(os, 7, 1, &out->leaf7_1);
  if (os->api->cpuid(os, 0x80000000u, 0, &extended) == 0 && extended.eax >> 16 == 0x8000u) out->extended_max = extended.eax;
  if (out->extended_max >= 0x80000001u) os->api->cpuid(os, 0x80000001u, 0, &out->extended1);
  out->has_xcr0 = os->api->xgetbv(os, &out->xcr0) == 0;
  if (!out->has_xcr0) out->xcr0 = 0;
  return true;
}

static bool read_x86(fh_gather *g) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  fh_cpuid_view view;
  if (!fh_cpuid_view_read(g->os, &view)) return false;
  cpu->xcr0 = view.xcr0;
  cpu->xcr0_valid = view.has_xcr0 ? FH_VALID : FH_ABSENT;
  uint32_t family = view.leaf1.eax >> 8 & 0xf, model = view.leaf1.eax >> 4 & 0xf;
  if (family == 6 || family == 15) model |= (view.leaf1.eax >> 16 & 0xf) << 4;
  if (family == 15) family += view.leaf1.eax >> 20 & 0xff;
  cpu->family = fh_fact_int_of(family, "CPUID 1");
  cpu->model_number = fh_fact_int_of(model, "CPUID 1");
  read_names(g, view.extended_max);
  fh_isa_bits bits;
  fh_isa_from_cpuid(&view, &bits);
  store_isa(cpu, &bits);
  g->facts->where.hypervisor = fh_fact_bool_of(bits.hypervisor, "CPUID 1.ecx");
  return true;
}

static bool read_arm(fh_gather *g) {
  uint64_t hwcap, hwcap2;
  if (strcmp(g->facts->where.machine.value, "aarch64") != 0 || g->os->api->hwcap(g->os, &hwcap, &hwcap2) != 0) return false;
  fh_isa_bits bits;
  fh_isa_from_hwcap(hwcap, hwcap2, &bits);
  store_isa(&g->facts->cpu, &bits);
  return true;
}

static fh_fact_text cpuinfo_text(fh_gather *g, const char *text, const char *key) {
  size_t size;
  const char *value = text ? fh_key_value(text, key, ':', &size) : NULL;
  if (!value) return (fh_fact_text){"", text ? FH_ABSENT : FH_UNKNOWN_FACT, "/proc/cpuinfo"};
  return fh_fact_text_of(fh_arena_text_size(g->arena, value, size), "/proc/cpuinfo");
}

static void read_cpuinfo(fh_gather *g, bool have_isa) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  const char *text = fh_read_text(g, "/proc/cpuinfo", FH_SMALL_FILE, NULL); /* the first CPUs are enough */
  cpu->flags = cpuinfo_text(g, text, "flags");
  if (cpu->flags.valid != FH_VALID) cpu->flags = cpuinfo_text(g, text, "Features");
  if (cpu->model.valid != FH_VALID) cpu->model = cpuinfo_text(g, text, "model name");
  if (cpu->vendor.valid != FH_VALID) cpu->vendor = cpuinfo_text(g, text, "vendor_id");
  if (cpu->vendor.valid != FH_VALID) cpu->vendor = cpuinfo_text(g, text, "CPU implementer");
  if (have_isa || cpu->flags.valid != FH_VALID) return;
  fh_isa_bits bits;
  fh_isa_from_flags(cpu->flags.value, &bits);
  store_isa(cpu, &bits);
  g->facts->where.hypervisor = fh_fact_bool_of(bits.hypervisor, "/proc/cpuinfo");
}

/* ---- how many -------------------------------------------------------------------------------------------- */

static void read_affinity(fh_gather *g) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  char list[LIST_SIZE];
  if (g->os->api->affinity(g->os, list, sizeof list) == 0) {
    cpu->affinity = fh_fact_text_of(fh_arena_text(g->arena, list), "sched_getaffinity");
  } else {
    size_t size;
    const char *status = fh_read_text(g, "/proc/self/status", FH_SMALL_FILE, NULL);
    const char *value = status ? fh_key_value(status, "Cpus_allowed_list", ':', &size) : NULL;
    if (value) cpu->affinity = fh_fact_text_of(fh_arena_text_size(g->arena, value, size), "/proc/self/status");
  }
  int count = cpu->affinity.valid == FH_VALID ? fh_cpulist_count(cpu->affinity.value) : 0;
  if (count > 0) cpu->affinity_count = fh_fact_int_of(count, cpu->affinity.source);
}

static void read_online(fh_gather *g) {
  fh_fact_text online = fh_read_fact(g, "/sys/devices/system/cpu/online", FH_SMALL_FILE);
  int count = online.valid == FH_VALID ? fh_cpulist_count(online.value) : 0;
  if (count > 0) g->facts->cpu.online = fh_fact_int_of(count, online.source);
}

/* The least of what limits us. With nothing known, one CPU: the one that runs this. */
static void find_usable(fh_facts_cpu *cpu) {
  const fh_fact_int *limits[] = {&cpu->affinity_count, &cpu->cpuset_count, &cpu->quota_cpus};
  fh_fact_int usable = {1, FH_UNKNOWN_FACT, ""};
  for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
    if (limits[i]->valid != FH_VALID || limits[i]->value < 1) continue;
    if (usable.valid != FH_VALID || limits[i]->value < usable.value) usable = *limits[i];
  }
  if (usable.valid != FH_VALID && cpu->online.valid == FH_VALID) usable = cpu->online;
  cpu->usable = usable;
}

/* ---- caches ----------------------------------------------------------------------------------------------- */

/* "32K", "2M" or a plain number. */
static int64_t size_value(const char *text) {
  static const char units[] = "KMG";
  int64_t value;
  if (!fh_take_i64(&text, &value) || value < 0 || value > INT64_MAX >> 30) return -1;
  if (!*text) return value;
  const char *unit = strchr(units, *text);
  return unit && !text[1] ? value << 10 * (unit - units + 1) : -1;
}

static void read_caches(fh_gather *g) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  for (int i = 0; i < 8; i++) {
    const char *dir = fh_arena_format(g->arena, "/sys/devices/system/cpu/cpu0/cache/index%d", i);
    fh_fact_int level = fh_read_int(g, fh_arena_format(g->arena, "%s/level", dir));
    if (level.valid != FH_VALID) break;
    fh_fact_text type = fh_read_fact(g, fh_arena_format(g->arena, "%s/type", dir), 64);
    fh_fact_text text = fh_read_fact(g, fh_arena_format(g->arena, "%s/size", dir), 64);
    int64_t size = text.valid == FH_VALID ? size_value(text.value) : -1;
    if (size <= 0 || strcmp(type.value, "Instruction") == 0) continue;
    fh_fact_int fact = fh_fact_int_of(size, text.source);
    if (level.value == 1) cpu->l1d_bytes = fact;
    if (level.value == 2) cpu->l2_bytes = fact;
    if (level.value == 3) cpu->l3_bytes = fact;
  }
}

void fh_gather_cpu(fh_gather *g, bool with_cpuinfo) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  cpu->isa[FH_ISA_SCALAR] = (fh_facts_isa){.advertised = true, .enabled = true};
  bool have_isa = read_x86(g) || read_arm(g);
  if (with_cpuinfo || !have_isa) read_cpuinfo(g, have_isa);
  if (with_cpuinfo) cpu->kernel_cmdline = fh_read_fact(g, "/proc/cmdline", FH_SMALL_FILE);
  read_affinity(g);
  read_online(g);
  find_usable(cpu);
  read_caches(g);
  fh_cpu_choose_best(cpu);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

static fh_fact_int meminfo(const char *text, const char *key) {
  fh_fact_int fact = {0, text ? FH_ABSENT : FH_UNKNOWN_FACT, "/proc/meminfo"};
  size_t size;
  const char *value = text ? fh_key_value(text, key, ':', &size) : NULL;
  int64_t kib;
  if (value && fh_take_i64(&value, &kib) && strncmp(value, " kB", 3) == 0 && kib >= 0 && kib < INT64_MAX >> 10) {
    fact.value = kib * 1024;
    fact.valid = FH_VALID;
  }
  return fact;
}

/* Bytes in use that the kernel cannot simply drop. */
static int64_t held(const fh_cgroup_level *level) {
  if (level->memory_used < 0) return -1;
  int64_t cache = level->memory_inactive_file > 0 ? level->memory_inactive_file : 0;
  return level->memory_used > cache ? level->memory_used - cache : 0;
}

void fh_gather_memory(fh_gather *g) {
  fh_facts_memory *m = &g->facts->memory;
  const fh_facts_cgroup *c = &g->facts->cgroup;
  const char *text = fh_read_text(g, "/proc/meminfo", FH_SMALL_FILE, NULL);
  m->total = meminfo(text, "MemTotal");
  m->available = meminfo(text, "MemAvailable");
  m->usable = m->available.valid == FH_VALID ? m->available : m->total;
  for (int i = 0; i < c->level_count; i++) {
    const fh_cgroup_level *level = &c->levels[i];
    int64_t used = held(level);
    if (i == 0 && used >= 0) m->used = fh_fact_int_of(used, level->path);
    if (level->memory_limit < 0) continue;
    int64_t room = level->memory_limit - (used > 0 ? used : 0);
    if (room < 0) room = 0;
    if (m->usable.valid != FH_VALID || room < m->usable.value)
      m->usable = fh_fact_int_of(room, m->limit_level ? m->limit_level : level->path);
  }
}
