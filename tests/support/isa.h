/* Does this processor run an instruction set? Asked of the compiler's own library or the system, not of detection, which is under test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_ISA_H_
#define FOGHORN_TESTS_SUPPORT_ISA_H_

#include <foghorn/types.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

static inline bool fh_isa_runs(fh_isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == FH_ISA_SSE42) return __builtin_cpu_supports("x86-64-v2");
  if (isa == FH_ISA_AVX2) return __builtin_cpu_supports("x86-64-v3");
  if (isa == FH_ISA_AVX512) return __builtin_cpu_supports("x86-64-v4");
#elif defined(__aarch64__)
  if (isa == FH_ISA_NEON) return true;
#endif
  return isa == FH_ISA_SCALAR;
}

/* The same for an extension. */
static inline bool fh_feature_runs(fh_cpu_feature feature) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (feature == FH_FEATURE_AVX512_VNNI) return fh_isa_runs(FH_ISA_AVX512) && __builtin_cpu_supports("avx512vnni");
  if (feature == FH_FEATURE_AVX512_BF16) return fh_isa_runs(FH_ISA_AVX512) && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__)
  if (feature == FH_FEATURE_NEON_DOTPROD) return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
  if (feature == FH_FEATURE_NEON_I8MM) return getauxval(AT_HWCAP2) & HWCAP2_I8MM;
  if (feature == FH_FEATURE_NEON_BF16) return getauxval(AT_HWCAP2) & HWCAP2_BF16;
#endif
  (void)feature;
  return false;
}

#endif /* FOGHORN_TESTS_SUPPORT_ISA_H_ */
