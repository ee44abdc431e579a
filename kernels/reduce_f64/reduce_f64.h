/* The entries of reduce.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_REDUCE_F64_REDUCE_F64_H_
#define FOGHORN_KERNELS_REDUCE_F64_REDUCE_F64_H_

#define reduce_rows reduce_f64_rows
#define reduce_f64_rows_PARAMS reduce_rows_PARAMS
#define reduce_columns reduce_f64_columns
#define reduce_f64_columns_PARAMS reduce_columns_PARAMS
#define reduce_join reduce_f64_join
#define reduce_f64_join_PARAMS reduce_join_PARAMS

#endif /* FOGHORN_KERNELS_REDUCE_F64_REDUCE_F64_H_ */
