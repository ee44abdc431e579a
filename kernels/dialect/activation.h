/* What a product may be sent through on its way to memory. SPDX-License-Identifier: Apache-2.0
 * The numbers are those of fh_activation (include/foghorn/products.h). */
#ifndef FOGHORN_KERNELS_DIALECT_ACTIVATION_H_
#define FOGHORN_KERNELS_DIALECT_ACTIVATION_H_

#define FH_ACTIVATIONS 2

/* The choice is uniform. relu keeps a NaN. */
FH_INLINE fh_vf fh_activate(fh_vf x, long activation) {
  if (activation == 1) return fh_max(fh_splat(0.0f), x);
  return x;
}

#endif /* FOGHORN_KERNELS_DIALECT_ACTIVATION_H_ */
