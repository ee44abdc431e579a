/* What was measured of this machine's devices and the links to them. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_LINKS_H_
#define FOGHORN_TOOLS_DEVPROBE_LINKS_H_

#include "detect/findings.h"

/* Fills measured_link and measured_limits of the usable devices that the kept profile knows by their name. Of this machine only, never of a
 * recorded one. */
void fh_links_tell(fh_judgement *judgement);

#endif /* FOGHORN_TOOLS_DEVPROBE_LINKS_H_ */
