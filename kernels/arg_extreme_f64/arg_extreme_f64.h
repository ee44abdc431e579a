/* The entries of arg_extreme.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_ARG_EXTREME_F64_ARG_EXTREME_F64_H_
#define FOGHORN_KERNELS_ARG_EXTREME_F64_ARG_EXTREME_F64_H_

#define arg_short arg_f64_short
#define arg_f64_short_PARAMS arg_short_PARAMS
#define arg_rows arg_f64_rows
#define arg_f64_rows_PARAMS arg_rows_PARAMS
#define arg_find arg_f64_find
#define arg_f64_find_PARAMS arg_find_PARAMS
#define arg_columns arg_f64_columns
#define arg_f64_columns_PARAMS arg_columns_PARAMS

#endif /* FOGHORN_KERNELS_ARG_EXTREME_F64_ARG_EXTREME_F64_H_ */
