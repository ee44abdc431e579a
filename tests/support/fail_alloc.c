/* Makes the Nth allocation of the process fail. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fail_alloc.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define INTERPOSE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSE 0
#else
#define INTERPOSE 1
#endif
#else
#define INTERPOSE 1
#endif

static _Thread_local int left = -1; /* -1: off */
static _Thread_local bool failed;

bool fh_fail_alloc_possible(void) { return INTERPOSE; }

void fh_fail_alloc(int n) {
  failed = false;
  left = n;
}

bool fh_fail_alloc_end(void) {
  left = -1;
  return failed;
}

#if INTERPOSE
/* The C library's own names for its allocator. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static bool refuse(void) {
  if (left < 0) return false;
  if (left > 0) {
    left--;
    return false;
  }
  failed = true;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t size) { return refuse() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return refuse() ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return refuse() ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t alignment, size_t size) { return refuse() ? NULL : __libc_memalign(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size) {
  void *memory = refuse() ? NULL : __libc_memalign(alignment, size);
  if (!memory) return ENOMEM;
  *out = memory;
  return 0;
}
#endif
