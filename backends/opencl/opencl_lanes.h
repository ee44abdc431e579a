/* The text of kernels/dialect/prelude_cl_lanes.h, embedded. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_OPENCL_OPENCL_LANES_H_
#define FOGHORN_BACKENDS_OPENCL_OPENCL_LANES_H_

const char *fh_cl_lanes_prelude(void);

#endif /* FOGHORN_BACKENDS_OPENCL_OPENCL_LANES_H_ */
