/* One launch on several devices at once. SPDX-License-Identifier: Apache-2.0
 *
 * A call that can be cut into rows (chunks.c) may be shared by the CPU and devices that have memory and silicon of their own. It is, where
 * that is predicted clearly faster than the best of them alone, from times that were measured, here or for the profile, of all that
 * share and of their links. FOGHORN_SPLIT=off keeps every launch whole.
 */
#ifndef FOGHORN_PLAN_SPLIT_H_
#define FOGHORN_PLAN_SPLIT_H_

#include "runtime/plan/plan.h"

enum { FH_SPLIT_SHARES = 8, FH_SPLIT_TEXT = 320 };

/* What one device does of it; predicted. */
typedef struct fh_share {
  fh_candidate *candidate;
  int64_t rows;
  double there, work, back; /* seconds: copies to the device, the launch, copies home */
  fh_cost_source source;    /* of the work */
} fh_share;

typedef struct fh_split {
  int count; /* of shares; 0: the call is better left whole */
  uint32_t cut;
  int64_t rows;
  double seconds;                   /* predicted, until all results are home */
  bool held_back;                   /* only since earlier splits took longer than predicted */
  bool practised;                   /* from times of earlier shares */
  fh_share shares[FH_SPLIT_SHARES]; /* in the order of the rows: devices, and the CPU last */
} fh_split;

/* Of a call that was planned. Operands of which a device alone has the newest contents are left where they are: such a call stays whole. */
void fh_split_find(const fh_queue *queue, const fh_call *call, const fh_plan *plan, fh_split *out_split);
/* "cuda:0 69% + cpu 31%" */
void fh_split_print(const fh_context *context, const fh_split *split, char *out, size_t size);
/* What a share did and what the whole took: the next shares are cut by it. */
void fh_split_learn_share(const fh_split *split, const fh_call *call, const fh_share *share, int64_t rows, double work_seconds);
void fh_split_learn(const fh_context *context, const fh_split *split, const fh_call *call, double seconds);

/* It was held back: a little less so the next time, for what was slow once need not stay so. */
void fh_split_relent(const fh_context *context, const fh_call *call);

/* What became of a launch that was split. */
typedef struct fh_split_outcome {
  bool elsewhere;              /* a share ended on another device than planned */
  char cause[48];              /* why; "" */
  bool moved[FH_SPLIT_SHARES]; /* which */
} fh_split_outcome;
/* parts.c: all shares at once; one whose device fails is done by another. After a failure some rows of the results are new. The results are
 * home. */
fh_status fh_split_run(fh_queue *queue, const fh_split *split, const fh_call *call, fh_split_outcome *out_outcome);

#endif /* FOGHORN_PLAN_SPLIT_H_ */
