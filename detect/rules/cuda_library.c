/* Rules about which libcuda the loader finds. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

static const char other_library[] = "with the other libcuda first in LD_LIBRARY_PATH";

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
  fh_confidence confidence = fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), other_library, FH_CONSISTENT);
  fh_case_gpu(&c, answered ? FH_PROVEN : confidence, "libcuda.so.1 resolves to a link-time stub (%s), not to the driver",
              found ? library->path : f->nvidia.cuda.library);
}

void fh_rule_no_libcuda(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  bool apptainer = f->where.platform == FH_PLATFORM_APPTAINER && !fh_facts_env(f, "APPTAINER_NV") && !fh_facts_env(f, "SINGULARITY_NV");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && !fh_container_by_engine(f) && !fh_sandbox_brings_libraries(f) && !apptainer &&
      !fh_libcuda_aside(f) && !fh_libcuda_unseen_by_musl(f) &&
      fh_case_saw(&c, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "the kernel module is loaded") &&
      fh_case_saw(&c, library->valid == FH_ABSENT, "libcuda.so.1", "not found in %d places", library->searched_count))
    fh_case_gpu(&c, FH_CONSISTENT, "the NVIDIA kernel module is loaded, libcuda.so.1 is nowhere on the loader's path");
}

/* ---- forward compatibility ------------------------------------------------------------------------------------------ */

/* The library of CUDA's compat folder that is in use; NULL: it is another one. */
static const char *compat_library(const fh_facts *f) {
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  if (f->nvidia.cuda.valid == FH_VALID && strstr(f->nvidia.cuda.library, "/compat/")) return f->nvidia.cuda.library;
  return library->valid == FH_VALID && library->compat ? library->real_path : NULL;
}

static void saw_compat(fh_case *c, const char *path) {
  const fh_facts *f = c->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  const char *variable = fh_facts_env(f, "LD_LIBRARY_PATH");
  fh_case_saw(c, path != NULL, path, "CUDA's forward-compatibility library%s%s", library->compat && library->version[0] ? ", version " : "",
              library->compat ? library->version : "");
  fh_case_saw(c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "the kernel module is version %s",
              f->nvidia.nvrm_version.value);
  fh_case_saw(c, variable && strstr(variable, "compat"), "LD_LIBRARY_PATH", "%s", variable ? variable : "");
}

void fh_rule_compat_803(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *path = compat_library(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !path ||
      !fh_case_saw(&c, fh_cuda_code(f) == 803, "CUDA driver", "803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"))
    return;
  saw_compat(&c, path);
  fh_case_gpu(&c, fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), other_library, FH_CONSISTENT),
              "the libcuda of CUDA's compat folder does not fit this machine's driver%s%s", f->nvidia.nvrm_version.value[0] ? " " : "",
              f->nvidia.nvrm_version.value);
}

void fh_rule_compat_804(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *path = compat_library(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) ||
      !fh_case_saw(&c, fh_cuda_code(f) == 804, "CUDA driver", "804 CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"))
    return;
  saw_compat(&c, path);
  /* The code says it outright; the path and the flip only show where. */
  fh_confidence confidence = fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), other_library, path ? FH_PROVEN : FH_CONSISTENT);
  fh_case_gpu(&c, path ? FH_PROVEN : confidence, "this GPU does not allow CUDA's forward-compatibility library%s%s", path ? " " : "",
              path ? path : "");
}

/* ---- a libcuda where the loader does not look ------------------------------------------------------------------------- */

static bool loader_misses(fh_case *c) {
  const fh_library *library = fh_facts_library(c->facts, "libcuda.so.1");
  return fh_case_saw(c, library->valid == FH_ABSENT, "libcuda.so.1", "not found by the loader in %d places", library->searched_count);
}

void fh_rule_libpath_nix(fh_judgement *judgement, const fh_cause *cause) {
  static const char folder[] = "/run/opengl-driver/lib";
  const fh_facts *f = judgement->facts;
  const char *aside = fh_libcuda_aside(f), *link = fh_libcuda_nix_link(f);
  bool there = aside && fh_path_below(aside, folder);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || (!there && !link) || !loader_misses(&c)) return;
  fh_case_saw(&c, there, aside, "here, where NixOS keeps the driver");
  fh_case_saw(&c, link != NULL, link, "a link to nowhere: its target was not mounted in");
  if (there)
    fh_case_gpu(&c, fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), other_library, FH_CONSISTENT),
                "the driver's library is in %s, where this program's loader does not look", folder);
  else
    fh_case_gpu(&c, FH_CONSISTENT, "%s was passed in, the driver in /nix/store that it links to was not", folder);
}

void fh_rule_libpath_cloud(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *aside = fh_libcuda_aside(f), *path = fh_facts_env(f, "LD_LIBRARY_PATH");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !aside || fh_path_below(aside, "/run/opengl-driver") || !loader_misses(&c)) return;
  fh_case_saw(&c, true, aside, "here, where the node's driver installer puts it");
  fh_case_saw(&c, true, "LD_LIBRARY_PATH", "%s", !path ? "not set" : path[0] ? path : "(set to nothing)");
  fh_case_gpu(&c, fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), other_library, FH_CONSISTENT),
              "the driver's library is here (%s), in a folder that the loader does not search", aside);
}
