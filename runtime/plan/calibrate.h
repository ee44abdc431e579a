/* Measuring this machine for its profile. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_CALIBRATE_H_
#define FOGHORN_PLAN_CALIBRATE_H_

#include "runtime/plan/plan.h"

typedef struct fh_calibration_options {
  const char *kernel; /* only this one; NULL: all */
  double seconds;     /* the whole takes no longer than this and the last launch */
  /* What is being measured, and how much of the time is gone (0 to 1); NULL: nobody asks. */
  void (*progress)(void *user, const char *kernel, double gone);
  bool (*stop)(void *user); /* true: end early and keep what was measured; NULL: never */
  void *user;
} fh_calibration_options;

typedef struct fh_calibration {
  int kernels, sizes, times; /* measured: kernels, sizes of all kernels, variants of all sizes */
  int links;                 /* devices whose link was measured, both ways */
  int left_out;              /* sizes for which there was no time */
} fh_calibration;

/* Measures the links of devices with memory of their own, then times every variant that may run, on the shapes that the kernels' contracts
 * call worth measuring, the quick ones first; each passes its self-test before. What was measured is used by this context at once, and kept
 * by fh_profile_save. Statuses: INVALID_ARGUMENT (no such kernel), RESOURCE_EXHAUSTED. A variant or a device that fails is left out, as in
 * any launch. */
fh_status fh_calibrate(fh_context *context, const fh_calibration_options *options, fh_calibration *out_calibration);

#endif /* FOGHORN_PLAN_CALIBRATE_H_ */
