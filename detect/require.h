/* SPECs: what should be here, in a word. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_REQUIRE_H_
#define FOGHORN_DETECT_REQUIRE_H_

#include "detect/findings.h"

/* Checks that a SPEC can be read; INVALID_ARGUMENT says what is allowed. *out_gpu: it is about an NVIDIA GPU or its driver. */
fh_status fh_spec_check(const char *spec, bool *out_gpu);

/* True when a SPEC has this name ("opencl" of "opencl>=1"). */
bool fh_spec_is(const char *spec, const char *name);

#endif /* FOGHORN_DETECT_REQUIRE_H_ */
