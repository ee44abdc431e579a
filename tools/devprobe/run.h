/* devprobe run kmeans: its parts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_RUN_H_
#define FOGHORN_TOOLS_DEVPROBE_RUN_H_

#include <foghorn/foghorn.h>

#include "algorithms/dataset/dataset.h"
#include "runtime/base/json.h"
#include "tools/devprobe/machine.h"

/* One k on one device, or by scikit-learn. */
typedef struct fh_run_row {
  int k;
  char device[32];    /* as asked: "cpu"; "planner" when the planner chose; "scikit-learn" */
  char executed[64];  /* where kmeans_assign really ran: "cpu", "cuda:0+cpu" */
  char not_run[400];  /* why there is no result; "" there is one */
  char variant[48];   /* "cpu/avx512/tuned" */
  char why[400];      /* the decision in words */
  uint64_t elsewhere; /* launches that did not run where intended */
  int iterations, empty_reseeded;
  bool converged;
  double seconds, seconds_median; /* per iteration */
  double inertia;
  int32_t size_min, size_median, size_max;
  json_t *decision; /* foghorn.explain/1; NULL none */
} fh_run_row;

typedef struct fh_run {
  const fh_cli *cli;
  fh_dataset data;
  const char *input; /* file name, or what the made-up data are */
  int64_t seed, iterations;
  fh_numerics numerics;
  int ks[FH_CLI_MAX_REPEATS];
  double seconds_start[FH_CLI_MAX_REPEATS]; /* of k-means++, per k */
  char start_device[FH_CLI_MAX_REPEATS][32];
  int k_count;
  fh_device_list devices; /* an id "" lets the planner choose */
  fh_run_row *rows;
  int row_count;
} fh_run;

/* Fills run->data with blobs of uneven sizes, the same on every machine. */
fh_status fh_run_demo_data(fh_dataset *out_dataset);

/* Runs one k on every device of the run, from one start, and adds the rows. The start's centroids are for the caller
 * (k x d floats; caller frees). */
fh_status fh_run_devices(fh_run *run, int k_index, float **out_start);
/* Runs scikit-learn from the same start in a Python child; a row in any case (not_run says why not). */
void fh_run_sklearn(const fh_run *run, const char *python, int k, const float *start, int iterations, fh_run_row *out_row);

/* What is wrong between rows of one k; NULL nothing. Static text or in `out`. */
const char *fh_run_mismatch(const fh_run *run, int k, char *out, size_t size);
char *fh_run_table(const fh_run *run);
char *fh_run_json(const fh_run *run);

#endif /* FOGHORN_TOOLS_DEVPROBE_RUN_H_ */
