/* Readers of kernel text: right, cut off, huge, and hostile. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/cuda_filter.h"
#include "detect/gather.h"
#include "detect/parse.h"

static fh_facts_arena *arena;

static int setup(void **state) {
  (void)state;
  arena = fh_arena_create();
  return arena ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  fh_arena_destroy(arena);
  return 0;
}

static void numbers(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool ok;
    int64_t value;
  } cases[] = {
      {"0", true, 0},
      {" 42\n", true, 42},
      {"-7", true, -7},
      {"9223372036854775807", true, INT64_MAX},
      {"-9223372036854775808", true, INT64_MIN},
      {"9223372036854775808", false, 0},
      {"-9223372036854775809", false, 0},
      {"99999999999999999999999999", false, 0},
      {"", false, 0},
      {" ", false, 0},
      {"-", false, 0},
      {"1 2", false, 0},
      {"12x", false, 0},
      {"0x10", false, 0},
      {"+5", false, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    int64_t value = 123;
    assert_int_equal(fh_parse_i64(cases[i].text, &value), cases[i].ok);
    assert_true(value == (cases[i].ok ? cases[i].value : 123));
  }
  const char *cursor = " 0 \t-10 99999999999999999999", *stop;
  int64_t value = 123;
  assert_true(fh_take_i64(&cursor, &value) && value == 0 && *cursor == ' ');
  assert_true(fh_take_i64(&cursor, &value) && value == -10 && *cursor == ' ');
  stop = cursor;
  assert_false(fh_take_i64(&cursor, &value));
  assert_true(value == -10 && cursor == stop);
  uint64_t hex = 0;
  assert_true(fh_parse_hex("0xE7\n", &hex) && hex == 0xe7);
  assert_true(fh_parse_hex("00000000a80425fb", &hex) && hex == 0xa80425fbu);
  assert_true(fh_parse_hex("ffffffffffffffff", &hex) && hex == UINT64_MAX);
  assert_false(fh_parse_hex("10000000000000000", &hex));
  assert_false(fh_parse_hex("", &hex));
  assert_false(fh_parse_hex("0x", &hex));
  assert_false(fh_parse_hex("12 34", &hex));
}

static void cpu_lists(void **state) {
  (void)state;
  static const struct {
    const char *list;
    int count;
  } cases[] = {
      {"0", 1},           {"0-3", 4},           {"0-3,8\n", 5},
      {"0,0,0", 1},       {"0-3,2-5", 6},       {"", 0},
      {"\n", 0},          {"65535", 1},         {"65536", -1},
      {"3-1", -1},        {"0-", -1},           {"-3", -1},
      {"0,", -1},         {"0,,1", -1},         {"a", -1},
      {"0-3x", -1},       {"0 1", -1},          {",0", -1},
      {"0-65535", 65536}, {"0-4294967297", -1}, {"99999999999999999999", -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_int_equal(fh_cpulist_count(cases[i].list), cases[i].count);
}

static void words_and_keys(void **state) {
  (void)state;
  size_t size;
  assert_true(fh_word_in("cpu,cpuacct", ",", "cpu"));
  assert_false(fh_word_in("cpuacct", ",", "cpu"));
  assert_false(fh_word_in("", ",", "cpu"));
  assert_false(fh_word_in("a,,b", ",", ""));
  const char *text = "MemTotalX: 1 kB\nMemTotal:   24 kB  \nlast";
  const char *value = fh_key_value(text, "MemTotal", ':', &size);
  assert_non_null(value);
  assert_int_equal(size, 5);
  assert_memory_equal(value, "24 kB", 5);
  assert_null(fh_key_value(text, "last", ':', &size));
  assert_null(fh_key_value("", "x", ':', &size));
  value = fh_key_value("total_inactive_file 9\ninactive_file 7\n", "inactive_file", ' ', &size);
  assert_true(value && size == 1 && *value == '7');
  value = fh_key_value("flags\t\t: fpu sse\n", "flags", ':', &size);
  assert_true(value && size == 7);
  value = fh_key_value("empty:\n", "empty", ':', &size);
  assert_true(value && size == 0);
  assert_true(fh_path_below("/a/b", "/a") && fh_path_below("/a", "/a") && fh_path_below("/a", "/"));
  assert_false(fh_path_below("/ab", "/a"));
  assert_int_equal(fh_errno_parse(fh_errno_name(ENXIO)), ENXIO);
  assert_int_equal(fh_errno_parse("ENOTHING"), -1);
  assert_string_equal(fh_errno_name(99999), "E?");
}

static void mountinfo(void **state) {
  (void)state;
  fh_mount *mounts;
  int count;
  fh_mountinfo_parse(arena,
                     "22 27 0:21 / /proc rw,relatime shared:5 master:3 - proc proc rw\n"
                     "30 22 0:9 /nvidia0 /dev/nvidia0 rw,nosuid - devtmpfs udev rw,size=4k\n"
                     "31 22 0:9 / /a\\040b\\134c rw - tmpfs none rw\n"
                     "32 22 0:9 / /no\\09octal rw - tmpfs none rw\n"
                     "33 22 0:9 / /nosource rw - tmpfs\n"
                     "broken line\n"
                     "34 22 0:9 / relative rw - tmpfs none rw\n"
                     "35 22 0:9 / /nodash rw tmpfs none rw\n"
                     "36 22 0:9 / /cut rw -\n"
                     "\n"
                     "37 22 0:9 / /last rw - tmpfs none rw",
                     &mounts, &count);
  assert_int_equal(count, 6);
  assert_string_equal(mounts[0].fstype, "proc");
  assert_string_equal(mounts[1].root, "/nvidia0");
  assert_string_equal(mounts[1].super_options, "rw,size=4k");
  assert_string_equal(mounts[2].point, "/a b\\c");
  assert_string_equal(mounts[3].point, "/no\\09octal");
  assert_string_equal(mounts[4].source, "");
  assert_string_equal(mounts[5].point, "/last");
  assert_true(fh_mount_has_option(&mounts[1], "nosuid"));
  assert_false(fh_mount_has_option(&mounts[1], "nodev"));
  assert_false(fh_mount_has_option(NULL, "nodev"));
}

static void mounts_hide_each_other(void **state) {
  (void)state;
  fh_facts f = {0};
  fh_mountinfo_parse(arena,
                     "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /dev rw - tmpfs b rw\n3 2 0:3 /nvidia0 /dev/nvidia0 rw,nodev - devtmpfs c rw\n"
                     "4 1 0:4 / /dev rw - tmpfs late rw\n",
                     &f.mounts, &f.mount_count);
  assert_string_equal(fh_mount_of(&f, "/dev/nvidia0")->source, "c");
  assert_string_equal(fh_mount_of(&f, "/dev/kfd")->source, "late"); /* of two at one point the later one shows */
  assert_string_equal(fh_mount_of(&f, "/devices")->source, "a");
  assert_non_null(fh_mount_at(&f, "/dev/nvidia0"));
  assert_null(fh_mount_at(&f, "/dev/kfd"));
}

static void cgroup_lines(void **state) {
  (void)state;
  fh_cgroup_entry *e;
  int count;
  fh_cgroup_parse(arena,
                  "9:name=systemd:/a:b\n2:cpu,cpuacct:/docker/x\n0::/\nx:cpu:/\n:cpu:/\n-1:cpu:/\n3:cpu:relative\n4:cpu\n\n"
                  "99999999999999999999:cpu:/\n5:memory:/last",
                  &e, &count);
  assert_int_equal(count, 4);
  assert_string_equal(e[0].path, "/a:b");
  assert_string_equal(e[1].controllers, "cpu,cpuacct");
  assert_int_equal(e[2].hierarchy, 0);
  assert_string_equal(e[3].path, "/last");
}

static void limits(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool ok;
    int64_t quota, period;
  } cpu_max[] = {
      {"max 100000\n", true, -1, 100000},
      {"50000 100000\n", true, 50000, 100000},
      {"max", true, -1, 100000},
      {"20000", true, 20000, 100000},
      {"", false, 0, 0},
      {"0 100000", false, 0, 0},
      {"-5 100", false, 0, 0},
      {"100 0", false, 0, 0},
      {"100 -1", false, 0, 0},
      {"x 100", false, 0, 0},
      {"100 x", false, 0, 0},
      {"99999999999999999999 100000", false, 0, 0},
  };
  for (size_t i = 0; i < sizeof cpu_max / sizeof cpu_max[0]; i++) {
    int64_t quota = 0, period = 0;
    assert_int_equal(fh_cpu_max_parse(cpu_max[i].text, &quota, &period), cpu_max[i].ok);
    if (cpu_max[i].ok) assert_true(quota == cpu_max[i].quota && period == cpu_max[i].period);
  }
  static const struct {
    const char *text;
    bool ok;
    int64_t limit;
  } bytes[] = {
      {"max\n", true, -1},   {"268435456\n", true, 268435456},
      {"-1\n", true, -1},    {"9223372036854771712\n", true, -1},
      {"0\n", true, 0},      {"18446744073709551615\n", true, -1},
      {"-2", false, 0},      {"", false, 0},
      {"maximum", false, 0}, {"12k", false, 0},
  };
  for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
    int64_t limit = 77;
    assert_int_equal(fh_limit_parse(bytes[i].text, &limit), bytes[i].ok);
    assert_true(limit == (bytes[i].ok ? bytes[i].limit : 77));
  }
}

/* Real registers of a Zen 4 processor, changed one thing at a time. */
static const fh_cpuid_view zen4 = {
    .leaf1 = {0x00a10f11, 0, 0xfef83203 | 1u << 31, 0x178bfbff},
    .leaf7 = {0, 0xf1bf97a9, 0x00405fce, 0x10000010},
    .extended1 = {0, 0, 0x75c237ff, 0},
    .xcr0 = 0xe7,
};

static void isa_bits(void **state) {
  (void)state;
  enum { OSXSAVE = 1 << 27, FMA = 1 << 12, LZCNT = 1 << 5 };
  fh_isa_bits bits;
  fh_cpuid_view v = zen4;
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.enabled[FH_ISA_AVX512] && bits.enabled[FH_ISA_AVX2] && bits.enabled[FH_ISA_SSE42] && bits.hypervisor);
  assert_false(bits.advertised[FH_ISA_NEON] || bits.amx_advertised);
  v.xcr0 = 0x7; /* the system does not save ZMM */
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.advertised[FH_ISA_AVX512] && !bits.enabled[FH_ISA_AVX512] && bits.enabled[FH_ISA_AVX2]);
  v.xcr0 = 0xa7; /* one of the three components is missing */
  fh_isa_from_cpuid(&v, &bits);
  assert_false(bits.enabled[FH_ISA_AVX512]);
  v.xcr0 = 0x3;
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.advertised[FH_ISA_AVX2] && !bits.enabled[FH_ISA_AVX2] && bits.enabled[FH_ISA_SSE42]);
  v = zen4;
  v.leaf1.ecx &= ~(uint32_t)OSXSAVE; /* then XCR0 cannot be read, whatever the caller put there */
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.advertised[FH_ISA_AVX2] && !bits.enabled[FH_ISA_AVX2]);
  v = zen4;
  v.leaf1.ecx &= ~(uint32_t)FMA;
  fh_isa_from_cpuid(&v, &bits);
  assert_false(bits.advertised[FH_ISA_AVX2] || bits.advertised[FH_ISA_AVX512]);
  v = zen4;
  v.extended1.ecx &= ~(uint32_t)LZCNT;
  fh_isa_from_cpuid(&v, &bits);
  assert_false(bits.advertised[FH_ISA_AVX2]);
  v = zen4;
  v.leaf7.edx |= 1u << 24;
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.amx_advertised && !bits.amx_enabled);
  v.xcr0 |= 3u << 17;
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.amx_enabled);
  v = (fh_cpuid_view){0};
  fh_isa_from_cpuid(&v, &bits);
  assert_true(bits.enabled[FH_ISA_SCALAR] && !bits.advertised[FH_ISA_SSE42]);
}

static void isa_flags(void **state) {
  (void)state;
  fh_isa_bits bits;
  fh_isa_from_flags("fpu pni ssse3 sse4_1 sse4_2 popcnt avx avx2 bmi1 bmi2 f16c fma abm movbe hypervisor", &bits);
  assert_true(bits.enabled[FH_ISA_AVX2] && bits.hypervisor && !bits.advertised[FH_ISA_AVX512]);
  fh_isa_from_flags("fp asimd evtstrm", &bits);
  assert_true(bits.enabled[FH_ISA_NEON] && !bits.advertised[FH_ISA_SSE42]);
  assert_false(bits.feature[FH_FEATURE_NEON_DOTPROD]);
  fh_isa_from_flags("fp asimd asimddp asimdfhm i8mm bf16", &bits);
  assert_true(bits.feature[FH_FEATURE_NEON_DOTPROD] && bits.feature[FH_FEATURE_NEON_I8MM] && bits.feature[FH_FEATURE_NEON_BF16]);
  assert_false(bits.feature[FH_FEATURE_AVX512_BF16]);
  fh_isa_from_flags("", &bits);
  assert_true(bits.enabled[FH_ISA_SCALAR] && !bits.advertised[FH_ISA_SSE42]);
}

static void isa_hwcap(void **state) {
  (void)state;
  enum { FP = 1 << 0, ASIMD = 1 << 1, ASIMDDP = 1 << 20, I8MM = 1 << 13, BF16 = 1 << 14 };
  fh_isa_bits bits;
  fh_isa_from_hwcap(FP | ASIMD, 0, &bits); /* a Cortex-A57 */
  assert_true(bits.enabled[FH_ISA_NEON] && bits.enabled[FH_ISA_SCALAR] && !bits.advertised[FH_ISA_AVX2]);
  for (int i = 0; i < FH_FEATURE_COUNT; i++) assert_false(bits.feature[i]);
  fh_isa_from_hwcap(FP | ASIMD | ASIMDDP, 0, &bits); /* a Neoverse N1 */
  assert_true(bits.feature[FH_FEATURE_NEON_DOTPROD] && !bits.feature[FH_FEATURE_NEON_I8MM] && !bits.feature[FH_FEATURE_NEON_BF16]);
  fh_isa_from_hwcap(FP | ASIMD | ASIMDDP, I8MM, &bits);
  assert_true(bits.feature[FH_FEATURE_NEON_I8MM] && !bits.feature[FH_FEATURE_NEON_BF16]);
  fh_isa_from_hwcap(FP | ASIMD, BF16, &bits);
  assert_true(bits.feature[FH_FEATURE_NEON_BF16] && !bits.feature[FH_FEATURE_NEON_I8MM] && !bits.feature[FH_FEATURE_NEON_DOTPROD]);
  fh_isa_from_hwcap(ASIMDDP, I8MM | BF16, &bits); /* extensions of what is not there */
  assert_true(bits.enabled[FH_ISA_SCALAR] && !bits.advertised[FH_ISA_NEON]);
  for (int i = 0; i < FH_FEATURE_COUNT; i++) assert_false(bits.feature[i]);
}

static void best_isa(void **state) {
  (void)state;
  fh_facts_cpu cpu = {0};
  cpu.isa[FH_ISA_SCALAR] = cpu.isa[FH_ISA_AVX2] = cpu.isa[FH_ISA_AVX512] = (fh_facts_isa){.advertised = true, .enabled = true};
  fh_cpu_choose_best(&cpu);
  assert_int_equal(cpu.best, FH_ISA_AVX512);
  cpu.isa[FH_ISA_AVX512].proven = (fh_fact_bool){false, FH_VALID, "trial"};
  fh_cpu_choose_best(&cpu);
  assert_int_equal(cpu.best, FH_ISA_AVX2);
  cpu.isa[FH_ISA_AVX2].enabled = false;
  fh_cpu_choose_best(&cpu);
  assert_int_equal(cpu.best, FH_ISA_SCALAR);
}

static void nvrm_versions(void **state) {
  (void)state;
  static const struct {
    const char *text, *version;
    bool open;
  } cases[] = {
      {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12.2.0\n", "550.54.14",
       false},
      {"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (a@b)\n", "575.57.08", true},
      {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  390.157  Wed Oct 12 09:19:07 UTC 2022\n", "390.157", false},
      {"NVRM version: NVIDIA UNIX x86_64 Kernel Module", "", false},
      {"", "", false},
      {"\n12.2.0\n", "", false},
      {"Kernel Module 1111111111111111111111111111111111111111.1", "", false},
      {"Kernel Module 5.", "", false},
      {"Kernel Module .5", "", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bool open;
    assert_string_equal(fh_nvrm_parse(arena, cases[i].text, &open), cases[i].version);
    assert_int_equal(open, cases[i].open);
  }
}

static void icd_files(void **state) {
  (void)state;
  assert_string_equal(fh_icd_parse(arena, "libpocl.so.2\n"), "libpocl.so.2");
  assert_string_equal(fh_icd_parse(arena, "libpocl.so.2"), "libpocl.so.2");
  assert_string_equal(fh_icd_parse(arena, "libfoo.so \r\n"), "libfoo.so \r"); /* loaders do not strip these either */
  assert_string_equal(fh_icd_parse(arena, "a\nb\n"), "a");
  assert_string_equal(fh_icd_parse(arena, ""), "");
  assert_string_equal(fh_icd_parse(arena, "\n"), "");
}

/* ---- CUDA_VISIBLE_DEVICES --------------------------------------------------------------------------------- */

static void cuda_filters(void **state) {
  (void)state;
  fh_cuda_device devices[] = {{.uuid = "GPU-5f3b2c1a-0d4e"}, {.uuid = "GPU-5f77aa0b-2d3e"}, {.uuid = "GPU-c0ffee00-1111"}};
  const fh_cuda_answer all = {.valid = FH_VALID, .count = 3, .devices = devices, .device_count = 3};
  static const struct {
    const char *list;
    int count, end; /* the entry that ends the list; -1: none */
  } cases[] = {
      {NULL, 0, -1},
      {"", 0, -1},
      {"0", 1, -1},
      {"2,0,1", 3, -1},
      {"0,99,1", 3, 1},
      {"-1", 1, 0},
      {"0,,1", 3, 1},
      {",", 2, 0},
      {" 0 , 1 ", 2, -1},
      {"0,1,0", 3, 2},
      {"none", 1, 0},
      {"0x1", 1, 0},
      {"99999999999999999999", 1, 0},
      {"GPU-c0ffee00-1111", 1, -1},
      {"gpu-C0FFEE", 1, -1},
      {"GPU-5f", 1, 0},
      {"GPU-5f3b,GPU-5f77", 2, -1},
      {"2,GPU-c0ffee", 2, 1},
      {"GPU-c0ffee00-1111-and-more", 1, 0},
      {"MIG-1234", 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fh_cuda_entry entries[FH_MAX_CUDA_ENTRIES];
    int count = fh_cuda_filter_parse(cases[i].list, entries);
    const fh_cuda_entry *end = fh_cuda_filter_end(entries, count, &all);
    int place = end ? (int)(end - entries) : -1;
    if (count != cases[i].count || place != cases[i].end)
      fail_msg("'%s': %d entries, ends at %d", cases[i].list ? cases[i].list : "(unset)", count, place);
  }
  char longest[1024];
  memset(longest, ',', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  fh_cuda_entry entries[FH_MAX_CUDA_ENTRIES];
  assert_int_equal(fh_cuda_filter_parse(longest, entries), FH_MAX_CUDA_ENTRIES);
}

/* ---- /etc/ld.so.cache ------------------------------------------------------------------------------------ */

typedef struct cache {
  char bytes[4096];
  size_t size;
} cache;

static void put32(cache *c, size_t at, uint32_t value) { memcpy(c->bytes + at, &value, 4); }

static void make_cache(cache *c, const char *const *names, const char *const *paths, const uint32_t *flags, uint32_t count, size_t before) {
  memset(c, 0, sizeof *c);
  char *base = c->bytes + before;
  memcpy(base, "glibc-ld.so.cache1.1", 20);
  put32(c, before + 20, count);
  uint32_t text = 48 + count * 24;
  for (uint32_t i = 0; i < count; i++) {
    size_t at = before + 48 + i * 24;
    put32(c, at, flags[i]);
    put32(c, at + 4, text);
    memcpy(base + text, names[i], strlen(names[i]) + 1);
    text += (uint32_t)strlen(names[i]) + 1;
    put32(c, at + 8, text);
    memcpy(base + text, paths[i], strlen(paths[i]) + 1);
    text += (uint32_t)strlen(paths[i]) + 1;
  }
  c->size = before + text;
}

static int find_level(const cache *c, size_t size, int machine, int most_level, const char **out) {
  char *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
  assert_non_null(exact);
  memcpy(exact, c->bytes, size);
  fh_ldcache_wish wish = {.name = "libcuda.so.1", .most_level = most_level};
  int error = fh_ldcache_find(exact, size, machine, &wish, 1);
  *out = wish.path ? fh_arena_text(arena, wish.path) : NULL;
  free(exact);
  return error;
}

static int find_in(const cache *c, size_t size, int machine, const char **out) { return find_level(c, size, machine, 1, out); }

/* Entry `entry` becomes one of a folder glibc-hwcaps, whose name is added behind the file with the list that holds it. */
static void add_hwcap(cache *c, uint32_t entry, const char *name) {
  uint32_t at = (uint32_t)(c->size + 3) / 4 * 4, list = at + 8 + 16;
  put32(c, 32, at);
  put32(c, at, 0xeaa42174u);
  put32(c, at + 4, 1);
  put32(c, at + 8, 1);
  put32(c, at + 16, list);
  put32(c, at + 20, 4);
  put32(c, list, list + 4);
  memcpy(c->bytes + list + 4, name, strlen(name) + 1);
  c->size = list + 4 + strlen(name) + 1;
  put32(c, 48 + entry * 24 + 16, 0);
  put32(c, 48 + entry * 24 + 20, 0x40000000u);
}

static void loader_cache_levels(void **state) {
  (void)state;
  static const char *const names[] = {"libcuda.so.1", "libcuda.so.1"};
  static const char *const paths[] = {"/lib64/glibc-hwcaps/x86-64-v3/libcuda.so.1", "/lib64/libcuda.so.1"};
  static const uint32_t flags[] = {0x0303, 0x0303};
  const char *found;
  cache c;
  make_cache(&c, names, paths, flags, 2, 0);
  add_hwcap(&c, 0, "x86-64-v3");
  for (int level = 1; level <= 4; level++) {
    assert_int_equal(find_level(&c, c.size, 62, level, &found), 0);
    assert_string_equal(found, paths[level < 3]);
  }
  for (size_t size = 48; size < c.size; size++) /* cut off anywhere */
    if (find_level(&c, size, 62, 4, &found) == 0 && found) assert_true(strcmp(found, paths[0]) == 0 || strcmp(found, paths[1]) == 0);
  cache other = c;
  put32(&other, 48 + 16, 7); /* a name past the list */
  assert_int_equal(find_level(&other, c.size, 62, 4, &found), 0);
  assert_string_equal(found, paths[1]);
  make_cache(&c, names, paths, flags, 2, 0);
  add_hwcap(&c, 0, "z15"); /* of another processor */
  assert_int_equal(find_level(&c, c.size, 62, 4, &found), 0);
  assert_string_equal(found, paths[1]);
}

static void loader_cache(void **state) {
  (void)state;
  static const char *const names[] = {"libc.so.6", "libcuda.so.1", "libcuda.so.1"};
  static const char *const paths[] = {"/lib/libc.so.6", "/lib32/libcuda.so.1", "/lib64/libcuda.so.1"};
  static const uint32_t flags[] = {0x0303, 0x0003, 0x0303};
  const char *found;
  cache c;
  make_cache(&c, names, paths, flags, 3, 0);
  assert_int_equal(find_in(&c, c.size, 62, &found), 0);
  assert_string_equal(found, "/lib64/libcuda.so.1");
  assert_int_equal(find_in(&c, c.size, 183, &found), 0);
  assert_null(found);
  for (size_t size = 0; size < c.size; size++) { /* cut off anywhere */
    int error = find_in(&c, size, 62, &found);
    if (size < 48) assert_int_equal(error, EINVAL);
    if (found) assert_string_equal(found, "/lib64/libcuda.so.1");
  }
  cache bad = c;
  put32(&bad, 20, UINT32_MAX); /* more entries than the file holds */
  assert_int_equal(find_in(&bad, c.size, 62, &found), 0);
  bad = c;
  put32(&bad, 48 + 2 * 24 + 8, UINT32_MAX); /* a path outside */
  assert_int_equal(find_in(&bad, c.size, 62, &found), 0);
  assert_null(found);
  bad = c;
  put32(&bad, 48 + 2 * 24 + 4, (uint32_t)c.size); /* a name outside */
  assert_int_equal(find_in(&bad, c.size, 62, &found), 0);
  assert_null(found);
  make_cache(&c, names, paths, flags, 3, 32); /* behind the older format with one entry */
  memcpy(c.bytes, "ld.so-1.7.0", 11);
  put32(&c, 12, 1);
  assert_int_equal(find_in(&c, c.size, 62, &found), 0);
  assert_string_equal(found, "/lib64/libcuda.so.1");
  put32(&c, 12, UINT32_MAX);
  assert_int_equal(find_in(&c, c.size, 62, &found), EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers),
      cmocka_unit_test(cpu_lists),
      cmocka_unit_test(words_and_keys),
      cmocka_unit_test(mountinfo),
      cmocka_unit_test(mounts_hide_each_other),
      cmocka_unit_test(cgroup_lines),
      cmocka_unit_test(limits),
      cmocka_unit_test(isa_bits),
      cmocka_unit_test(isa_flags),
      cmocka_unit_test(isa_hwcap),
      cmocka_unit_test(best_isa),
      cmocka_unit_test(nvrm_versions),
      cmocka_unit_test(icd_files),
      cmocka_unit_test(cuda_filters),
      cmocka_unit_test(loader_cache),
      cmocka_unit_test(loader_cache_levels),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
