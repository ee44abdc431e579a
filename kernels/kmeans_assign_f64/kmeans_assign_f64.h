/* The entries of kmeans_assign.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_KMEANS_ASSIGN_F64_KMEANS_ASSIGN_F64_H_
#define FOGHORN_KERNELS_KMEANS_ASSIGN_F64_KMEANS_ASSIGN_F64_H_

#define kmeans_assign kmeans_assign_f64
#define kmeans_assign_f64_PARAMS kmeans_assign_PARAMS

#endif /* FOGHORN_KERNELS_KMEANS_ASSIGN_F64_KMEANS_ASSIGN_F64_H_ */
