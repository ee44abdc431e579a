/* Other contexts of this process on the same device: they make room for each other. SPDX-License-Identifier: Apache-2.0
 *
 * Each context has buffers, a pool and a lock of its own, and a device's memory is one. Where a context finds none, another gives up the
 * least recently used of what it has there and the host has too: that costs it a copy, and nobody a result. One that is at work is left
 * alone: its lock is never waited for.
 */
#ifndef FOGHORN_PLAN_NEIGHBOURS_H_
#define FOGHORN_PLAN_NEIGHBOURS_H_

#include "runtime/plan/plan.h"

void fh_neighbours_join(fh_context *context);
void fh_neighbours_leave(fh_context *context);
/* Some other context freed memory of this device. False: there is none to be had. */
bool fh_neighbours_make_room(const fh_context *context, int device);

#endif /* FOGHORN_PLAN_NEIGHBOURS_H_ */
