/* What a GPU check found, as one JSON file and a short table. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_REPORT_H_
#define FOGHORN_BENCH_GPU_REPORT_H_

#include <stdbool.h>

/* Reads what check.sh left in `folder` and writes dir/<device>-<date>.json and .md (docs/gpu-check.schema.json):
 *   devices      a line for each: "cuda:0    NAME, driver, ..."
 *   steps        name, result, seconds, note, between tabs
 *   bench.json   of gpu_bench measure; peers.json of peers.py; either may be missing
 * Where any of them is of the stand-in driver, or `fake`, the files are named FAKE-... and say so: it cannot be taken for a device's
 * result. Prints the targets. Exit status: 0, or 1 after a message. */
int report_write(const char *folder, const char *dir, bool fake);

#endif /* FOGHORN_BENCH_GPU_REPORT_H_ */
