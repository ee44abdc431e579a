/* Reference counts and one-time work. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BASE_ATOMIC_H_
#define FOGHORN_BASE_ATOMIC_H_

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct fh_refcount {
  _Atomic int32_t value;
} fh_refcount;

static inline void fh_refcount_init(fh_refcount *count) { atomic_init(&count->value, 1); }
static inline void fh_refcount_retain(fh_refcount *count) { atomic_fetch_add_explicit(&count->value, 1, memory_order_relaxed); }
/* False when the last reference has gone: the object is ending, and not to be had. For whoever finds it without holding one. */
static inline bool fh_refcount_try_retain(fh_refcount *count) {
  int32_t value = atomic_load_explicit(&count->value, memory_order_relaxed);
  while (value > 0 && !atomic_compare_exchange_weak_explicit(&count->value, &value, value + 1, memory_order_acquire, memory_order_relaxed))
    continue;
  return value > 0;
}
/* True when the last reference went: the caller ends the object. */
static inline bool fh_refcount_release(fh_refcount *count) {
  return atomic_fetch_sub_explicit(&count->value, 1, memory_order_acq_rel) == 1;
}

/* Tells the core that this is a spin loop. */
static inline void fh_cpu_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif /* FOGHORN_BASE_ATOMIC_H_ */
