/* The entries of variance.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_VARIANCE_F64_VARIANCE_F64_H_
#define FOGHORN_KERNELS_VARIANCE_F64_VARIANCE_F64_H_

#define variance_rows variance_f64_rows
#define variance_f64_rows_PARAMS variance_rows_PARAMS
#define variance_columns variance_f64_columns
#define variance_f64_columns_PARAMS variance_columns_PARAMS
#define variance_join variance_f64_join
#define variance_f64_join_PARAMS variance_join_PARAMS

#endif /* FOGHORN_KERNELS_VARIANCE_F64_VARIANCE_F64_H_ */
