/* What a product may be sent through on its way to memory. SPDX-License-Identifier: Apache-2.0
 * The numbers are those of fh_activation (include/foghorn/products.h). maths.h is read before. */
#ifndef FOGHORN_KERNELS_DIALECT_ACTIVATION_H_
#define FOGHORN_KERNELS_DIALECT_ACTIVATION_H_

/* The choice is uniform, and the cheap ones come first. Every one keeps a NaN. */
FH_INLINE fh_vf fh_activate(fh_vf x, long activation) {
  if (activation == 0) return x;
  if (activation == 1) return fh_max(fh_splat(0.0f), x);
  if (activation == 2) return fh_gelu(x);
  if (activation == 3) return fh_gelu_tanh(x);
  if (activation == 4) return fh_silu(x);
  if (activation == 5) return fh_sigmoid(x);
  return fh_tanh(x);
}

#endif /* FOGHORN_KERNELS_DIALECT_ACTIVATION_H_ */
