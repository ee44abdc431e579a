/* The conformance procedure straight through a backend's table, without the planner. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_BACKEND_CALL_H_
#define FOGHORN_TESTS_BACKEND_CALL_H_

#include "backends/backend.h"
#include "runtime/plan/conformance.h"

/* The kernel's cases on the device, as exact as device and contract promise, in a stream of their own. Everything goes in, the
 * stages run, everything comes back: what a kernel writes where it must not is seen. Not FH_OK without memory or a stream. */
fh_status fh_backend_conform(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                             const fh_conform_options *options, fh_conform_report *out_report);

/* The same of a variant for blocks, on the cases that fit it. */
fh_status fh_backend_conform_block(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                                   const fh_block_variant *block, const fh_conform_options *options, fh_conform_report *out_report);

#endif /* FOGHORN_TESTS_BACKEND_CALL_H_ */
