/* What the typed kernels (kernels.c, kernels_<family>.c) are made of. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_KERNELS_H_
#define FOGHORN_PLAN_KERNELS_H_

#include <foghorn/context.h>

#define FH_COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* fh_launch of the kernel of this name. */
fh_status fh_launch_named(fh_queue *queue, const char *name, const fh_view *const *views, int view_count, const fh_param_value *params,
                          int param_count, fh_event *out_event);

/* FAILED_PRECONDITION while the queue captures: what the call would look at, nothing has computed. */
fh_status fh_check_runs(const fh_queue *queue, const char *call);

/* The kernel for the type of x, of two names: for f32, which also says what is wrong with others, and for f64. */
static inline const char *fh_kernel_for(const fh_view *x, const char *const names[2]) { return names[x && x->dtype == FH_F64]; }

#endif /* FOGHORN_PLAN_KERNELS_H_ */
