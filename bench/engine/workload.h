/* A case with its data in memory, and a place of its own for everybody's results. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_ENGINE_WORKLOAD_H_
#define FOGHORN_BENCH_ENGINE_WORKLOAD_H_

#include "kernels/contract.h"

typedef struct fh_workload {
  const fh_kernel_image *image;
  fh_case c;       /* as measured */
  fh_case compact; /* the same, all strides row-major */
  fh_bound bound;
  size_t bytes[FH_MAX_VIEWS];  /* of memory, from the lowest to the highest element */
  size_t offset[FH_MAX_VIEWS]; /* of element 0,0,... */
  char *memory[FH_MAX_VIEWS];  /* inputs, and what in-out operands start from; NULL for outputs */
  char *dense[FH_MAX_VIEWS];   /* the same data, compact; memory itself where that is compact */
  char *want[FH_MAX_VIEWS];    /* compact results that everybody is held to; NULL until they are known */
  bool want_is_oracle;         /* by the contract's oracle, else by the portable build of the kernel */
} fh_workload;

/* Somebody's operands: the shared inputs, and outputs of their own. */
typedef struct fh_operands {
  void *data[FH_MAX_VIEWS];   /* element 0,0,... */
  char *memory[FH_MAX_VIEWS]; /* outputs only */
} fh_operands;

/* Checks the case (the reason is bind's) and fills its inputs. A case with nothing to do is INVALID_ARGUMENT. */
fh_status fh_workload_open(const fh_kernel_image *image, const fh_case *c, fh_workload *out_workload);
void fh_workload_close(fh_workload *workload);

fh_status fh_operands_open(const fh_workload *workload, fh_operands *out_operands);
/* In-out operands as they were at first. */
void fh_operands_reset(const fh_workload *workload, fh_operands *operands);
void fh_operands_close(fh_operands *operands);

bool fh_workload_is_output(const fh_workload *workload, int view);
/* True where the oracle's answer costs little enough to be had. */
bool fh_workload_is_cheap(const fh_workload *workload);
/* The oracle's answer becomes what is wanted, or these operands' outputs do. */
fh_status fh_workload_ask_oracle(fh_workload *workload);
fh_status fh_workload_trust(fh_workload *workload, const fh_operands *operands);
/* Are the outputs what is wanted? With the oracle's answer by the contract's bound; else, and for peers, within `tolerance` of the root
 * mean square (0: by the type of the output). False with the reason in `text`. */
fh_status fh_workload_check(const fh_workload *workload, const fh_operands *operands, double tolerance, bool own, char *text, size_t size,
                            bool *out_right);

/* Compact results, as a script writes them, into somebody's outputs. */
void fh_workload_put(const fh_workload *workload, int view, const char *dense, const fh_operands *operands);

/* Least traffic: bytes that have to be read and written, and bytes that all operands take. */
void fh_workload_traffic(const fh_workload *workload, size_t *out_read, size_t *out_write, bool *out_in_place);
double fh_workload_set(const fh_workload *workload);

#endif /* FOGHORN_BENCH_ENGINE_WORKLOAD_H_ */
