/* Does when it is loaded what -ffast-math at the link step does: tiny numbers become zero. SPDX-License-Identifier: Apache-2.0 */

__attribute__((constructor)) static void on_load(void) {
#if defined(__x86_64__)
  enum { DENORMALS_ARE_ZERO = 1 << 6, FLUSH_TO_ZERO = 1 << 15 };
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | DENORMALS_ARE_ZERO | FLUSH_TO_ZERO);
#elif defined(__aarch64__)
  const unsigned long flush_to_zero = 1ul << 24;
  unsigned long control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | flush_to_zero));
#endif
}
