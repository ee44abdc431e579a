/* Philox 4x32-10, a counter-based generator: the same numbers on every backend, in any order. SPDX-License-Identifier: Apache-2.0
 * Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3 (2011). */
#ifndef FOGHORN_KERNELS_DIALECT_PHILOX_H_
#define FOGHORN_KERNELS_DIALECT_PHILOX_H_

/* The first word of the block that (low, high) counts, under `key`. */
FH_INLINE unsigned int fh_philox(unsigned long low, unsigned long high, unsigned long key) {
  unsigned int c0 = (unsigned int)low, c1 = (unsigned int)(low >> 32), c2 = (unsigned int)high, c3 = (unsigned int)(high >> 32);
  unsigned int k0 = (unsigned int)key, k1 = (unsigned int)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const unsigned long a = (unsigned long)c0 * 0xd2511f53u, b = (unsigned long)c2 * 0xcd9e8d57u;
    c0 = (unsigned int)(b >> 32) ^ c1 ^ k0;
    c1 = (unsigned int)b;
    c2 = (unsigned int)(a >> 32) ^ c3 ^ k1;
    c3 = (unsigned int)a;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return c0;
}

#endif /* FOGHORN_KERNELS_DIALECT_PHILOX_H_ */
