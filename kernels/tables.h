/* Members of a contract that are tables, each with its length. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TABLES_H_
#define FOGHORN_KERNELS_TABLES_H_

#include "kernels/contract.h"

#define FH_LENGTH(table) ((int)(sizeof(table) / sizeof *(table)))

#define FH_VIEWS(table) .views = (table), .view_count = FH_LENGTH(table)
#define FH_SCALARS(table) .scalars = (table), .scalar_count = FH_LENGTH(table)
/* FH_ENTRIES("softmax"), or several in the order of their stages. */
#define FH_ENTRIES(...) .entries = (const char *const[]){__VA_ARGS__}, .entry_count = FH_LENGTH(((const char *const[]){__VA_ARGS__}))

/* A table of fh_tuned that stands under #if defined(__x86_64__); elsewhere the text runs alone. */
#if defined(__x86_64__)
#define FH_TUNED_X86(table) .tuned = (table), .tuned_count = FH_LENGTH(table)
#else
#define FH_TUNED_X86(table) .tuned = NULL, .tuned_count = 0
#endif

#endif /* FOGHORN_KERNELS_TABLES_H_ */
