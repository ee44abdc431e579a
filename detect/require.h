/* SPECs: what should be here, in a word. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_REQUIRE_H_
#define FOGHORN_DETECT_REQUIRE_H_

#include "detect/findings.h"

/* What a SPEC is about. */
typedef enum fh_wanted { FH_WANTS_NO_DEVICE, FH_WANTS_GPU, FH_WANTS_FAMILY } fh_wanted;

/* Checks that a SPEC can be read; INVALID_ARGUMENT says what is allowed. *out_family is set for FH_WANTS_FAMILY. */
fh_status fh_spec_check(const char *spec, fh_wanted *out_wanted, fh_family *out_family);

/* True when a SPEC has this name ("opencl" of "opencl>=1"). */
bool fh_spec_is(const char *spec, const char *name);

#endif /* FOGHORN_DETECT_REQUIRE_H_ */
