/* What was measured of this machine, kept from one process to the next. SPDX-License-Identifier: Apache-2.0
 *
 * One file, <cache folder>/profile.json: for every device what its link takes and what its memory and arithmetic reached (link.c,
 * calibrate.c), and for every kernel on it seconds by variant and bucket (cost.c). It is read when the first launch is planned. Times count
 * only for the device they were measured on (name, driver and parallel units are compared) and only while the kernel's code is the same (by
 * the hash of its text; the CPU's driver has the version of the library, which stands for tuned code); what does not fit is left out, and
 * that is said once. A profile cannot change a result: it only orders variants that pass their self-test.
 */
#ifndef FOGHORN_PLAN_PROFILE_H_
#define FOGHORN_PLAN_PROFILE_H_

#include "runtime/plan/plan.h"

/* Reads the profile into the context's candidates, once per context. The lock is held. */
void fh_profile_use(fh_context *context);
/* The same for a kernel that is first used after that. */
void fh_profile_use_for(fh_context *context, fh_plan_kernel *kernel);
/* Could fh_profile_save write now? UNAVAILABLE: there is no cache folder, or it cannot be written. */
fh_status fh_profile_writable(const fh_context *context);
/* Writes what the context's candidates know by calibration, and leaves the times of other devices and other kernels as they are. The lock
 * is held. UNAVAILABLE: as above. */
fh_status fh_profile_save(fh_context *context);
/* One line for a person: "calibrated ..." or "not calibrated: ..., and what to do". */
void fh_profile_print(const fh_context *context, char *out, size_t size);

#endif /* FOGHORN_PLAN_PROFILE_H_ */
