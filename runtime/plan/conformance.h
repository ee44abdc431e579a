/* Does a variant of a kernel keep its contract? SPDX-License-Identifier: Apache-2.0
 *
 * One procedure for the tests, for the self-test before a variant's first use, for `devprobe verify` and for a new backend: every case of
 * the contract, in every layout that a caller may bring, on ordinary data, on NaN and infinities and on denormals. A result is compared
 * with the plain C build, bit by bit, where the variant is EXACT, and else with the oracle. Inputs and the bytes between elements must stay
 * as they were. The plain C build itself is compared with the oracle in every case that the variant takes.
 */
#ifndef FOGHORN_PLAN_CONFORMANCE_H_
#define FOGHORN_PLAN_CONFORMANCE_H_

#include "kernels/contract.h"

/* Where a view lies: `bytes` bytes of host memory, element 0,0,... `offset` bytes into it. */
typedef struct fh_conform_place {
  void *memory;
  size_t bytes;
  int64_t offset;
} fh_conform_place;

/* A call to run. In place: two places are the same memory. */
typedef struct fh_conform_call {
  const fh_kernel_image *image;
  const fh_view_desc *views;
  const fh_value *scalars;
  const fh_bound *bound;
  const fh_conform_place *places; /* one per view */
} fh_conform_call;

typedef struct fh_conform_variant {
  const char *name;
  fh_numerics numerics;
  size_t alignment; /* of the first element: 1 for any; else a multiple of the element size is enough */
  /* Runs the call and leaves the outputs in place. INCOMPATIBLE, UNIMPLEMENTED and UNAVAILABLE mean that this variant
   * cannot be run at all; any other failure is a failure of the variant. */
  fh_status (*run)(void *arg, const fh_conform_call *call);
  void *arg;
  /* NULL: it takes every call. Calls that it does not take are left out, and so are empty ones, which nobody would launch: what is
   * left must prove something. Where nothing is, the variant is UNSUPPORTED, without a failure. At most 4096 cases are looked at.
   * `offsets`: of the views, in bytes from a boundary of 256. */
  bool (*unfit)(void *arg, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]);
  /* For `sample`: how much of the variant's code a call that it takes reaches, by any measure; NULL: as much as any other. */
  int (*reach)(void *arg, const fh_bound *bound);
} fh_conform_variant;

typedef struct fh_conform_options {
  bool guard;    /* lay operands against pages that may not be touched: a stray access ends the process */
  bool thorough; /* every byte offset from 0 to 63 instead of seven */
  bool quick;    /* compact operands and ordinary data only */
  bool forms;    /* with `quick`: also those whose last two dimensions have changed places, all of them and every other one */
  int cases;     /* only the first so many cases of the contract that the variant takes; 0: all */
  /* With `quick` and `cases`: they are none with empty inputs or with inputs of one element, where the contract has others; and one call
   * more is made, of the cases behind them that cost milliseconds: of those that reach most, the largest. */
  bool sample;
  /* Takes the status of the run that failed (FH_OK: none did), for who must know more than its words; NULL: nobody. */
  fh_status *out_failure;
} fh_conform_options;

typedef enum fh_conform_verdict { FH_CONFORM_PASS = 0, FH_CONFORM_FAIL = 1, FH_CONFORM_UNSUPPORTED = 2 } fh_conform_verdict;

typedef struct fh_conform_report {
  fh_conform_verdict verdict;
  int runs;       /* calls made */
  char text[400]; /* FAIL: case, layout, first difference; UNSUPPORTED: why */
} fh_conform_report;

/* Tries a variant; stops at the first failure. Not FH_OK only without memory. */
fh_status fh_conform(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options,
                     fh_conform_report *out_report);

/* A fh_conform_variant.run: the dialect text as built for *(const fh_isa *)arg, on the calling thread. */
fh_status fh_conform_run_dialect(void *arg, const fh_conform_call *call);

/* ---- operands, for who brings cases to life elsewhere (the benchmark) ---- */

/* Elements from the lowest to the highest address of a view, inclusive; *out_first: element 0,0,... counted from the lowest. */
int64_t fh_conform_span(const fh_view_desc *view, int64_t *out_first);
/* Compact elements into a view, and back; `first` is element 0,0,... */
void fh_conform_scatter(const fh_view_desc *view, const void *compact, void *first);
void fh_conform_gather(const fh_view_desc *view, const void *first, void *compact);
/* Ordinary data of an input, compact: the contract's own, else random. */
void fh_conform_fill(const fh_kernel_contract *contract, const fh_case *c, int view, void *data, uint64_t seed);
/* One compact element as a number. */
double fh_conform_element(const void *data, fh_dtype dtype, int64_t index);
/* Are compact outputs what the oracle says, by the contract's bound? Else why not, in `text`. */
bool fh_conform_outputs(const fh_kernel_image *image, const fh_case *c, void *const *got, void *const *want, char *text, size_t size);

#endif /* FOGHORN_PLAN_CONFORMANCE_H_ */
