/* What the typed kernels (kernels.c, kernels_<family>.c) are made of. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_KERNELS_H_
#define FOGHORN_PLAN_KERNELS_H_

#include <foghorn/context.h>

#define FH_COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* fh_launch of the kernel of this name. */
fh_status fh_launch_named(fh_queue *queue, const char *name, const fh_view *const *views, int view_count, const fh_param_value *params,
                          int param_count, fh_event *out_event);

#endif /* FOGHORN_PLAN_KERNELS_H_ */
