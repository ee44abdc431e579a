/* Rules about CUDA's version, its start and its limits. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "detect/rules/rules.h"

/* ---- versions -------------------------------------------------------------------------------------------------- */

/* The CUDA version that this image is built for, as 1000 * major + 10 * minor; 0: none said. */
static int wanted_version(const fh_facts *f, const char **out_name, const char **out_value) {
  const char *version = fh_facts_env(f, "CUDA_VERSION"), *require = fh_facts_env(f, "NVIDIA_REQUIRE_CUDA");
  const char *at = version && version[0] ? version : NULL;
  *out_name = at ? "CUDA_VERSION" : "NVIDIA_REQUIRE_CUDA";
  *out_value = at ? version : require;
  if (!at && require && (at = strstr(require, "cuda>="))) at += strlen("cuda>=");
  if (!at) return 0;
  char *end = NULL;
  long major = strtol(at, &end, 10), minor = 0;
  if (end == at || major < 1 || major > 99) return 0;
  if (*end == '.') minor = strtol(end + 1, NULL, 10);
  return minor < 0 || minor > 99 ? 0 : (int)(1000 * major + 10 * minor);
}

void fh_rule_driver_too_old(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  const char *name = NULL, *value = NULL;
  int wanted = wanted_version(f, &name, &value);
  fh_case c = fh_case_open(judgement, cause);
  if (judgement->expects[FH_NVIDIA_GPU].level == FH_EXPECT_NONE || cuda->valid != FH_VALID || cuda->fake || cuda->init_code != 0 ||
      cuda->version <= 0)
    return;
  if (!fh_case_saw(&c, cuda->version / 1000 < wanted / 1000, "cuDriverGetVersion", "%d.%d", cuda->version / 1000,
                   cuda->version % 1000 / 10) ||
      !fh_case_saw(&c, true, name, "%s", value))
    return;
  fh_case_saw(&c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value);
  fh_case_conclude(&c, judgement->expects[FH_NVIDIA_GPU].level >= FH_EXPECT_INTENT ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING, FH_CONSISTENT,
                   NULL, "the driver supports CUDA %d.%d, this image is built for %d.%d", cuda->version / 1000, cuda->version % 1000 / 10,
                   wanted / 1000, wanted % 1000 / 10);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

/* What the driver reserves at its start; more is enough for it on all but the largest machines. */
static const int64_t usual_reservation = (int64_t)64 << 30;

void fh_rule_oom_host_va(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_int *limit = &f->limits.address_space;
  fh_flip flip = fh_cuda_flip(f, FH_CUDA_MORE_ADDRESSES);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || flip == FH_FLIP_SAME ||
      !fh_case_saw(&c, fh_cuda_code(f) == 2, "CUDA driver", "2 CUDA_ERROR_OUT_OF_MEMORY") ||
      !fh_case_saw(&c, limit->valid == FH_VALID, limit->source, "address space limited to %lld MiB", (long long)(limit->value >> 20)))
    return;
  fh_case_gpu(&c, fh_case_flip(&c, flip, "with that limit raised", limit->value < usual_reservation ? FH_CONSISTENT : FH_POSSIBLE),
              "the process may use %lld MiB of addresses (ulimit -v): too few for the CUDA driver to start",
              (long long)(limit->value >> 20));
}
