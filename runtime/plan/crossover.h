/* At which sizes the choice of the device changes, and what it would be with another link. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_CROSSOVER_H_
#define FOGHORN_PLAN_CROSSOVER_H_

#include "runtime/plan/profile.h"

enum { FH_CROSSOVERS = 12 };

typedef struct fh_crossover {
  int64_t rows; /* from so many on */
  int device;   /* is this one chosen */
} fh_crossover;

/* The choices for a call of shapes, from one row on to the largest that can be planned; 0: it has no rows to scale. The lock is held. */
int fh_crossovers(const fh_queue *queue, const fh_call *call, fh_crossover out[FH_CROSSOVERS]);

/* How many devices may be used; *out_remote: the first with memory of its own, -1: none. */
int fh_crossover_devices(const fh_context *context, int *out_remote);

/* From now on this context plans as if: a list of [DEVICE:]link=RATE, latency=TIME, memory=SIZE, joined by commas; without a device of all
 * that have memory of their own. INVALID_ARGUMENT, NOT_FOUND. For decisions that are only told: nothing is run after it. */
fh_status fh_assume(fh_context *context, const char *list);

#endif /* FOGHORN_PLAN_CROSSOVER_H_ */
