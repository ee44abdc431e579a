/* Questions to the CUDA driver. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/answer_object.h"

/* A node or library of CUDA, or somebody who wants one. */
static bool something_of_cuda(fh_gather *g) {
  static const char *const nodes[] = {"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", "/dev/dxg", "/dev/nvmap"};
  static const char *const variables[] = {"NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"};
  const fh_facts *f = g->facts;
  if (fh_facts_library(f, "libcuda.so.1")->valid == FH_VALID) return true;
  for (int i = 0; i < f->libraries.elsewhere_count; i++)
    if (!strstr(f->libraries.elsewhere[i], "/stubs/")) return true; /* every toolkit has stubs */
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
    if (fh_facts_env(f, variables[i])) return true;
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    if (fh_path_exists(g, nodes[i])) return true;
  return false;
}

void fh_cuda_answer_init(fh_cuda_answer *answer) {
  *answer =
      (fh_cuda_answer){.child = fh_driver_answer_none, .init_name = "", .init_code = -1, .count_code = -1, .count = -1, .version = -1};
}

static void read_cuda(fh_gather *g, const fh_os_answer *answer, void *into) { fh_answer_read_cuda(g, answer, into); }

/* Nothing of it is here, so no child was spent on it: the search of the files is the answer. */
static void no_cuda(fh_gather *g) {
  const fh_library *lib = fh_facts_library(g->facts, "libcuda.so.1");
  if (lib->valid != FH_ABSENT) return;
  g->facts->nvidia.cuda.valid = FH_ABSENT;
  g->facts->nvidia.cuda.dlerrors = fh_arena_format(g->arena, "libcuda.so.1: not found in %d places", lib->searched_count);
}

void fh_ask_cuda(fh_gather *g) {
  if (something_of_cuda(g))
    fh_ask(g, "cuda", NULL, read_cuda, &g->facts->nvidia.cuda);
  else
    no_cuda(g);
}
