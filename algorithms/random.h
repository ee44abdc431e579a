/* Random numbers that are the same everywhere. SPDX-License-Identifier: Apache-2.0
 * SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): 64 bits of state, integers
 * only, so neither the machine nor the compiler can change a draw. */
#ifndef FOGHORN_ALGORITHMS_RANDOM_H_
#define FOGHORN_ALGORITHMS_RANDOM_H_

#include <stdint.h>

static inline uint64_t fh_random_bits(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Evenly in [0, 1), a multiple of 2^-53. */
static inline double fh_random_unit(uint64_t *state) { return (double)(fh_random_bits(state) >> 11) * 0x1p-53; }

#endif /* FOGHORN_ALGORITHMS_RANDOM_H_ */
