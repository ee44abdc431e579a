/* What was intended and what really ran: exact counts. SPDX-License-Identifier: Apache-2.0
 * Not locked: its owner serialises. */
#ifndef FOGHORN_OBS_ACCOUNT_H_
#define FOGHORN_OBS_ACCOUNT_H_

#include <foghorn/context.h>

enum { FH_ACCOUNT_NAME = 48 };

/* One kernel on one device. */
typedef struct fh_account_row {
  char kernel[FH_ACCOUNT_NAME], device[FH_ACCOUNT_NAME];
  uint64_t intended, executed; /* launches */
  double seconds;              /* of executed launches that were timed */
  uint64_t timed;
  double flops, bytes; /* of executed launches */
} fh_account_row;

/* One distinct fallback. */
typedef struct fh_account_fallback {
  char kernel[FH_ACCOUNT_NAME], from[FH_ACCOUNT_NAME], to[FH_ACCOUNT_NAME], cause[FH_ACCOUNT_NAME];
  uint64_t count;
} fh_account_fallback;

/* What was said once. */
typedef struct fh_account_said {
  char scope[FH_ACCOUNT_NAME], from[FH_ACCOUNT_NAME], cause[FH_ACCOUNT_NAME];
} fh_account_said;

typedef struct fh_account {
  fh_counters counters;
  fh_account_row *rows;
  int row_count, row_capacity;
  fh_account_fallback *fallbacks;
  int fallback_count, fallback_capacity;
  fh_account_said *said;
  int said_count, said_capacity;
  uint64_t one_by_one; /* batches of graphs that ran launch by launch, there being no memory for a driver's graph */
  uint64_t uncounted;  /* events lost for want of memory: said in the report, never silent */
} fh_account;

/* The row of a kernel on a device, made when missing; NULL without memory (counted in `uncounted`). */
fh_account_row *fh_account_row_of(fh_account *account, const char *kernel, const char *device);
/* True the first time for a cause on a device: then say it. scope: the kernel when the cause is its own (a build failure), "*" when it
 * is the device's, so that a lost device is said once and not once per kernel. */
bool fh_account_say(fh_account *account, const char *scope, const char *from, const char *cause);
/* Counts a fallback. */
void fh_account_fallback_add(fh_account *account, const char *kernel, const char *from, const char *to, const char *cause);
void fh_account_free(fh_account *account);

/* The report (foghorn.report/1 as JSON, else text); NULL without memory. Caller frees. */
char *fh_account_text(const fh_account *account);
char *fh_account_json(const fh_account *account);
/* One line per distinct fallback with its exact count; NULL when there was none. Caller frees. */
char *fh_account_summary(const fh_account *account);

#endif /* FOGHORN_OBS_ACCOUNT_H_ */
