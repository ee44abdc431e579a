/* Instruction sets, from what the processor says and what the operating system saves. SPDX-License-Identifier: Apache-2.0
 * Pure functions: no machine is asked here. */
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* Components of XCR0. */
enum {
  XCR0_SSE = 1 << 1,
  XCR0_AVX = 1 << 2,
  XCR0_OPMASK = 1 << 5,
  XCR0_ZMM_HI256 = 1 << 6,
  XCR0_HI16_ZMM = 1 << 7,
  XCR0_TILE_CONFIG = 1 << 17,
  XCR0_TILE_DATA = 1 << 18,
};
enum {
  STATE_AVX = XCR0_SSE | XCR0_AVX,
  STATE_AVX512 = STATE_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM,
  STATE_AMX = XCR0_TILE_CONFIG | XCR0_TILE_DATA,
};

#define BIT(n) (UINT32_C(1) << (n))
static bool all_of(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

void fh_isa_from_cpuid(const fh_cpuid_view *v, fh_isa_bits *out) {
  enum {
    SSE3 = 0,
    SSSE3 = 9,
    FMA = 12,
    SSE41 = 19,
    SSE42 = 20,
    MOVBE = 22,
    POPCNT = 23,
    OSXSAVE = 27,
    AVX = 28,
    F16C = 29,
    HYPERVISOR = 31
  };
  enum { BMI1 = 3, AVX2 = 5, BMI2 = 8, AVX512F = 16, AVX512DQ = 17, AVX512CD = 28, AVX512BW = 30, AVX512VL = 31 }; /* 7.ebx */
  enum { AVX512_VNNI = 11 };                                                                                       /* 7.ecx */
  enum { AVX512_BF16 = 5 };                                                                                        /* 7.1.eax */
  enum { AMX_TILE = 24 };                                                                                          /* 7.edx */
  enum { LZCNT = 5 };                                                                                              /* 80000001.ecx */
  *out = (fh_isa_bits){0};
  const uint64_t saved = v->leaf1.ecx & BIT(OSXSAVE) ? v->xcr0 : 0;
  out->hypervisor = v->leaf1.ecx & BIT(HYPERVISOR);
  out->advertised[FH_ISA_SCALAR] = true;
  out->advertised[FH_ISA_SSE42] = all_of(v->leaf1.ecx, BIT(SSE3) | BIT(SSSE3) | BIT(SSE41) | BIT(SSE42) | BIT(POPCNT));
  /* x86-64-v3, all of it: compilers take every one of these for granted once AVX2 code is asked for */
  out->advertised[FH_ISA_AVX2] = out->advertised[FH_ISA_SSE42] && all_of(v->leaf1.ecx, BIT(FMA) | BIT(MOVBE) | BIT(AVX) | BIT(F16C)) &&
                                 all_of(v->leaf7.ebx, BIT(BMI1) | BIT(AVX2) | BIT(BMI2)) && all_of(v->extended1.ecx, BIT(LZCNT));
  out->advertised[FH_ISA_AVX512] =
      out->advertised[FH_ISA_AVX2] && all_of(v->leaf7.ebx, BIT(AVX512F) | BIT(AVX512DQ) | BIT(AVX512CD) | BIT(AVX512BW) | BIT(AVX512VL));
  out->feature[FH_FEATURE_AVX512_VNNI] = out->advertised[FH_ISA_AVX512] && v->leaf7.ecx & BIT(AVX512_VNNI);
  out->feature[FH_FEATURE_AVX512_BF16] = out->advertised[FH_ISA_AVX512] && v->leaf7_1.eax & BIT(AVX512_BF16);
  out->amx_advertised = v->leaf7.edx & BIT(AMX_TILE);
  out->enabled[FH_ISA_SCALAR] = true;
  out->enabled[FH_ISA_SSE42] = out->advertised[FH_ISA_SSE42]; /* every 64-bit system saves SSE registers */
  out->enabled[FH_ISA_AVX2] = out->advertised[FH_ISA_AVX2] && (saved & STATE_AVX) == STATE_AVX;
  out->enabled[FH_ISA_AVX512] = out->advertised[FH_ISA_AVX512] && (saved & STATE_AVX512) == STATE_AVX512;
  out->amx_enabled = out->amx_advertised && (saved & STATE_AMX) == STATE_AMX;
}

fh_isa fh_feature_isa(fh_cpu_feature feature) {
  return feature == FH_FEATURE_AVX512_VNNI || feature == FH_FEATURE_AVX512_BF16 ? FH_ISA_AVX512 : FH_ISA_NEON;
}

void fh_isa_from_hwcap(uint64_t hwcap, uint64_t hwcap2, fh_isa_bits *out) {
  enum { FP = 0, ASIMD = 1, ASIMDDP = 20 }; /* AT_HWCAP */
  enum { I8MM = 13, BF16 = 14 };            /* AT_HWCAP2 */
  *out = (fh_isa_bits){0};
  const bool neon = hwcap & BIT(FP) && hwcap & BIT(ASIMD);
  out->advertised[FH_ISA_SCALAR] = out->enabled[FH_ISA_SCALAR] = true;
  out->advertised[FH_ISA_NEON] = out->enabled[FH_ISA_NEON] = neon;
  out->feature[FH_FEATURE_NEON_DOTPROD] = neon && hwcap & BIT(ASIMDDP);
  out->feature[FH_FEATURE_NEON_I8MM] = neon && hwcap2 & BIT(I8MM);
  out->feature[FH_FEATURE_NEON_BF16] = neon && hwcap2 & BIT(BF16);
}

static bool has_flags(const char *flags, const char *const *names) {
  for (; *names; names++)
    if (!fh_word_in(flags, " \t", *names)) return false;
  return true;
}

void fh_isa_from_flags(const char *flags, fh_isa_bits *out) {
  static const struct {
    fh_isa isa;
    const char *flags[12];
  } sets[] = {
      {FH_ISA_SSE42, {"pni", "ssse3", "sse4_1", "sse4_2", "popcnt"}},
      {FH_ISA_AVX2, {"pni", "sse4_2", "popcnt", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}},
      {FH_ISA_AVX512, {"avx2", "fma", "f16c", "bmi2", "abm", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}},
      {FH_ISA_NEON, {"asimd", "fp"}},
  };
  *out = (fh_isa_bits){0};
  out->advertised[FH_ISA_SCALAR] = out->enabled[FH_ISA_SCALAR] = true;
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
    out->advertised[sets[i].isa] = out->enabled[sets[i].isa] = has_flags(flags, sets[i].flags);
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    out->feature[i] =
        out->advertised[fh_feature_isa((fh_cpu_feature)i)] && fh_word_in(flags, " \t", fh_cpu_feature_name((fh_cpu_feature)i));
  out->amx_advertised = out->amx_enabled = fh_word_in(flags, " \t", "amx_tile");
  out->hypervisor = fh_word_in(flags, " \t", "hypervisor");
}

void fh_cpu_choose_best(fh_facts_cpu *cpu) {
  cpu->best = FH_ISA_SCALAR;
  for (int i = FH_ISA_SCALAR; i < FH_ISA_COUNT; i++) {
    const fh_facts_isa *isa = &cpu->isa[i];
    bool disproven = isa->proven.valid == FH_VALID && !isa->proven.value;
    if (isa->advertised && isa->enabled && !disproven) cpu->best = (fh_isa)i;
  }
}
