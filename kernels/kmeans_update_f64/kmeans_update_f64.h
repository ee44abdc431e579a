/* The entries of kmeans_update.k under names of their own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_KMEANS_UPDATE_F64_KMEANS_UPDATE_F64_H_
#define FOGHORN_KERNELS_KMEANS_UPDATE_F64_KMEANS_UPDATE_F64_H_

#define kmeans_update_partial kmeans_update_f64_partial
#define kmeans_update_f64_partial_PARAMS kmeans_update_partial_PARAMS
#define kmeans_update_combine kmeans_update_f64_combine
#define kmeans_update_f64_combine_PARAMS kmeans_update_combine_PARAMS

#endif /* FOGHORN_KERNELS_KMEANS_UPDATE_F64_KMEANS_UPDATE_F64_H_ */
