/* Members of a contract that belong together: tables with their lengths, numerics with their bound. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TABLES_H_
#define FOGHORN_KERNELS_TABLES_H_

#include "kernels/contract.h"

#define FH_LENGTH(table) ((int)(sizeof(table) / sizeof *(table)))

#define FH_VIEWS(table) .views = (table), .view_count = FH_LENGTH(table)
/* FH_CHUNKS(FH_RANK(2) | FH_RANK(3), 0): the chunking rule, view by view. */
#define FH_CHUNKS(...) \
  .chunks = (const uint16_t[]) { __VA_ARGS__ }
#define FH_SCALARS(table) .scalars = (table), .scalar_count = FH_LENGTH(table)
/* FH_ENTRIES("softmax"), or several in the order of their stages. */
#define FH_ENTRIES(...) .entries = (const char *const[]){__VA_ARGS__}, .entry_count = FH_LENGTH(((const char *const[]){__VA_ARGS__}))

/* A text that gives the same bits everywhere, within REL and ABS of the oracle; SOURCE says why. */
#define FH_EXACT_WITHIN(REL, ABS, SOURCE) .dialect_numerics = FH_EXACT, .bound_rel = (REL), .bound_abs = (ABS), .bound_source = SOURCE

/* Rows of fh_tuned by architecture, each list in parentheses: FH_TUNED(({...}, {...}), ({...})). FH_TUNED_X86({...}) has none for
 * AArch64. Elsewhere the text runs alone. */
#define FH_TUNED_LIST(...) .tuned = (const fh_tuned[]){__VA_ARGS__}, .tuned_count = FH_LENGTH(((const fh_tuned[]){__VA_ARGS__}))
#define FH_TUNED_NONE .tuned = NULL, .tuned_count = 0
#if defined(__x86_64__)
#define FH_HAS_TUNED 1
#define FH_TUNED(x86, arm) FH_TUNED_LIST x86
#define FH_TUNED_X86(...) FH_TUNED_LIST(__VA_ARGS__)
#elif defined(__aarch64__)
#define FH_HAS_TUNED 1
#define FH_TUNED(x86, arm) FH_TUNED_LIST arm
#define FH_TUNED_X86(...) FH_TUNED_NONE
#else
#define FH_HAS_TUNED 0
#define FH_TUNED(x86, arm) FH_TUNED_NONE
#define FH_TUNED_X86(...) FH_TUNED_NONE
#endif

/* Rows of fh_block_variant: FH_BLOCKS({...}, {...}). */
#define FH_BLOCKS(...) \
  .blocks = (const fh_block_variant[]){__VA_ARGS__}, .block_count = FH_LENGTH(((const fh_block_variant[]){__VA_ARGS__}))

/* A tuned function of a kernel for one instruction set, and the scratch that it wants. */
#define FH_TUNED_ENTRY(kernel, isa)                                    \
  void fh_##kernel##_##isa(const fh_slot *slots, const fh_team *team); \
  size_t fh_##kernel##_scratch_##isa(const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_TABLES_H_ */
