/* The floating-point mode that kernels run in. SPDX-License-Identifier: Apache-2.0
 * A program may have switched its threads to flush denormals or to another rounding (many -ffast-math
 * libraries do so when they are loaded): the results of a kernel must not depend on it. */
#ifndef FOGHORN_BACKENDS_CPU_FLOAT_H_
#define FOGHORN_BACKENDS_CPU_FLOAT_H_

#include <stdint.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#if defined(__x86_64__)
typedef uint32_t fh_float_mode;
static inline fh_float_mode fh_float_mode_enter(void) {
  const uint32_t kernels = 0x1f80; /* all exceptions masked, round to nearest, no flushing */
  fh_float_mode before = _mm_getcsr();
  if (before != kernels) _mm_setcsr(kernels);
  return before;
}
/* Sticky exception flags that kernels raised are dropped with the mode. */
static inline void fh_float_mode_leave(fh_float_mode before) { _mm_setcsr(before); }
#elif defined(__aarch64__)
typedef uint64_t fh_float_mode;
static inline fh_float_mode fh_float_mode_enter(void) {
  fh_float_mode before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  if (before) __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
  return before;
}
static inline void fh_float_mode_leave(fh_float_mode before) {
  if (before) __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");
}
#else
typedef int fh_float_mode;
static inline fh_float_mode fh_float_mode_enter(void) { return 0; }
static inline void fh_float_mode_leave(fh_float_mode before) { (void)before; }
#endif

#endif /* FOGHORN_BACKENDS_CPU_FLOAT_H_ */
