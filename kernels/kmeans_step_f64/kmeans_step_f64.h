/* The entries of kmeans_step.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_KMEANS_STEP_F64_KMEANS_STEP_F64_H_
#define FOGHORN_KERNELS_KMEANS_STEP_F64_KMEANS_STEP_F64_H_

#define kmeans_step_assign kmeans_step_f64_assign
#define kmeans_step_f64_assign_PARAMS kmeans_step_assign_PARAMS
#define kmeans_step_partial kmeans_step_f64_partial
#define kmeans_step_f64_partial_PARAMS kmeans_step_partial_PARAMS
#define kmeans_step_combine kmeans_step_f64_combine
#define kmeans_step_f64_combine_PARAMS kmeans_step_combine_PARAMS

#endif /* FOGHORN_KERNELS_KMEANS_STEP_F64_KMEANS_STEP_F64_H_ */
