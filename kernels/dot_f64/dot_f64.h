/* The entries of dot.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DOT_F64_DOT_F64_H_
#define FOGHORN_KERNELS_DOT_F64_DOT_F64_H_

#define dot_rows dot_f64_rows
#define dot_f64_rows_PARAMS dot_rows_PARAMS
#define dot_columns dot_f64_columns
#define dot_f64_columns_PARAMS dot_columns_PARAMS
#define dot_join dot_f64_join
#define dot_f64_join_PARAMS dot_join_PARAMS

#endif /* FOGHORN_KERNELS_DOT_F64_DOT_F64_H_ */
