/* Holds block variants to the kernel's text on the contract's own cases: any stages, scratch and kinds of operands.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The variant runs in the emulator of blocks (tests/fakes/block), launch by launch, and the scalar build of the text stage by stage, on the
 * same data; what a launch gets of scratch and results holds NaN before. */
#ifndef FOGHORN_TESTS_SUPPORT_BLOCK_CASES_H_
#define FOGHORN_TESTS_SUPPORT_BLOCK_CASES_H_

#include "kernels/contract.h"

/* How the views of a case lie. */
typedef struct block_layout {
  int64_t step; /* from an element to the next in memory: 1 is compact */
  int64_t pad;  /* elements between rows of the last dimension */
  size_t shift; /* bytes from a boundary of a page to the lowest element, at least: in whole elements */
  bool strange; /* NaN, infinities and zeros of both signs among the floats */
  bool turned;  /* of a matrix the columns lie one behind the other */
} block_layout;

/* NULL: every bit of every result, and of what lies between them, is that of the text; of a bounded variant, the contract's compare() finds
 * nothing. Else what is wrong. A contract's inspect() is asked;
 * what it refuses runs all the same, for a text must be safe on any data. */
const char *block_case_check(const fh_kernel_contract *contract, const fh_block_variant *variant, const fh_case *c,
                             const block_layout *layout);

/* Every case of the contract that is not larger than `most` elements, in every layout, with each variant that fits it; stops the test
 * where one is wrong, and where a variant fits none. */
void block_cases_check_all(const fh_kernel_contract *contract, int64_t most, const block_layout *layouts, int count);

#endif /* FOGHORN_TESTS_SUPPORT_BLOCK_CASES_H_ */
