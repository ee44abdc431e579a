/* Rules about CUDA's library, its variables and its version. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "detect/rules/rules.h"

void fh_rule_stub(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  bool found = fh_case_saw(&c, library->valid == FH_VALID && library->stub, library->real_path, "a stub of the CUDA toolkit, %lld bytes",
                           (long long)library->size);
  bool answered =
      fh_case_saw(&c, f->nvidia.cuda.valid == FH_VALID && f->nvidia.cuda.init_code == 34, "cuInit", "34 CUDA_ERROR_STUB_LIBRARY");
  if (!found && !answered) return;
  const char *path = fh_facts_env(f, "LD_LIBRARY_PATH");
  fh_case_saw(&c, path && path[0], "LD_LIBRARY_PATH", "%s", path ? path : "");
  for (int i = 0; i < f->libraries.elsewhere_count; i++) fh_case_saw(&c, true, f->libraries.elsewhere[i], "another libcuda");
  fh_case_gpu(&c, answered ? FH_PROVEN : FH_CONSISTENT, "libcuda.so.1 resolves to a link-time stub (%s), not to the driver",
              found ? library->path : f->nvidia.cuda.library);
}

void fh_rule_no_libcuda(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  bool apptainer = f->where.platform == FH_PLATFORM_APPTAINER && !fh_facts_env(f, "APPTAINER_NV") && !fh_facts_env(f, "SINGULARITY_NV");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && !fh_container_by_engine(f) && !apptainer &&
      fh_case_saw(&c, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "the kernel module is loaded") &&
      fh_case_saw(&c, library->valid == FH_ABSENT, "libcuda.so.1", "not found in %d places", library->searched_count))
    fh_case_gpu(&c, FH_CONSISTENT, "the NVIDIA kernel module is loaded, libcuda.so.1 is nowhere on the loader's path");
}

/* ---- CUDA_VISIBLE_DEVICES -------------------------------------------------------------------------------------- */

/* The driver works and shows no device. */
static bool no_device(fh_case *c) {
  const fh_cuda_answer *cuda = &c->facts->nvidia.cuda;
  return cuda->valid == FH_VALID &&
         (fh_case_saw(c, cuda->init_code == 100, "cuInit", "100 CUDA_ERROR_NO_DEVICE") ||
          fh_case_saw(c, cuda->init_code == 0 && (cuda->count_code == 100 || cuda->count == 0), "cuDeviceGetCount", "no device"));
}

static fh_flip unfiltered(const fh_facts *f) { return fh_cuda_flip(f, FH_CUDA_UNFILTERED); }

static const char without_filter[] = "without CUDA_VISIBLE_DEVICES";

void fh_rule_cvd_empty(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && unfiltered(f) != FH_FLIP_SAME &&
      fh_case_saw(&c, fh_env_is(f, "CUDA_VISIBLE_DEVICES", ""), "CUDA_VISIBLE_DEVICES", "(set to nothing)") && no_device(&c))
    fh_case_gpu(&c, fh_case_flip(&c, unfiltered(f), without_filter, FH_POSSIBLE),
                "CUDA_VISIBLE_DEVICES is set and empty: it hides every GPU");
}

void fh_rule_cvd_truncated(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *list = fh_facts_env(f, "CUDA_VISIBLE_DEVICES");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || unfiltered(f) == FH_FLIP_SAME || !list || !list[0]) return;
  if (fh_case_saw(&c, true, "CUDA_VISIBLE_DEVICES", "%s", list) && no_device(&c))
    fh_case_gpu(&c, fh_case_flip(&c, unfiltered(f), without_filter, FH_POSSIBLE), "CUDA_VISIBLE_DEVICES=%s names no GPU that is here",
                list);
}

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
  if (judgement->gpu_expectation == FH_EXPECT_NONE || cuda->valid != FH_VALID || cuda->fake || cuda->init_code != 0 || cuda->version <= 0)
    return;
  if (!fh_case_saw(&c, cuda->version / 1000 < wanted / 1000, "cuDriverGetVersion", "%d.%d", cuda->version / 1000,
                   cuda->version % 1000 / 10) ||
      !fh_case_saw(&c, true, name, "%s", value))
    return;
  fh_case_saw(&c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value);
  fh_case_conclude(&c, judgement->gpu_expectation >= FH_EXPECT_INTENT ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING, FH_CONSISTENT, NULL,
                   "the driver supports CUDA %d.%d, this image is built for %d.%d", cuda->version / 1000, cuda->version % 1000 / 10,
                   wanted / 1000, wanted % 1000 / 10);
}
