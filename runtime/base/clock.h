/* The clock that nobody sets: nanoseconds from a fixed point in the past. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BASE_CLOCK_H_
#define FOGHORN_BASE_CLOCK_H_

#include <stdint.h>
#include <time.h>

static inline int64_t fh_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline double fh_now_seconds(void) { return (double)fh_now_ns() * 1e-9; }

#endif /* FOGHORN_BASE_CLOCK_H_ */
