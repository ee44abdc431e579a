/* The same random numbers in every run. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_NOISE_H_
#define FOGHORN_TESTS_NOISE_H_

#include <stdint.h>

static uint32_t random_state = 1;

/* Evenly in [-1, 1). */
static inline float uniform(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return (float)(random_state >> 8) * 0x1p-23f - 1.0f;
}

#endif /* FOGHORN_TESTS_NOISE_H_ */
