/* Activations in double precision: the oracles of their kernels and of the products that end in them. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FOGHORN_KERNELS_ACTIVATION_H_
#define FOGHORN_KERNELS_ACTIVATION_H_

#include <math.h>

/* By erfc, which keeps the relative error of the tail. */
static inline double fh_exact_gelu(double x) { return x < -1000 ? -0.0 : 0.5 * x * erfc(-0.70710678118654752440 * x); }

/* (1 + tanh(w / 2)) / 2 is 1 / (1 + exp(-w)). */
static inline double fh_exact_gelu_tanh(double x) {
  return x < -1000 ? -0.0 : x / (1 + exp(-1.5957691216057307117 * (x + 0.044715 * x * x * x)));
}

/* Written so that no product of 0 and infinity occurs. */
static inline double fh_exact_silu(double x) { return x < -1000 ? -0.0 : x / (1 + exp(-x)); }

static inline double fh_exact_sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

#endif /* FOGHORN_KERNELS_ACTIVATION_H_ */
