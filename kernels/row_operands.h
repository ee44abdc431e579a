/* The last operands of the kernels that normalise rows, as their entries get them. SPDX-License-Identifier: Apache-2.0
 * Strides count elements: of the outer dimensions and within a row. */
#ifndef FOGHORN_KERNELS_ROW_OPERANDS_H_
#define FOGHORN_KERNELS_ROW_OPERANDS_H_

enum {
  FH_ROWS_ROWS,
  FH_ROWS_N1,
  FH_ROWS_D,
  FH_ROWS_X_STRIDES,
  FH_ROWS_Y_STRIDES = FH_ROWS_X_STRIDES + 3,
  FH_ROWS_OPERANDS = FH_ROWS_Y_STRIDES + 3,
};

#endif /* FOGHORN_KERNELS_ROW_OPERANDS_H_ */
