/* Rules about the software on top of a GPU that works. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "detect/rules/rules.h"

/* The same framework, built for CUDA, in another folder: that one may be in use. */
static bool built_for_cuda_elsewhere(const fh_facts *f, const fh_framework *framework) {
  for (int i = 0; i < f->programs.count; i++)
    if (f->programs.frameworks[i].build == FH_BUILD_CUDA && strcmp(f->programs.frameworks[i].name, framework->name) == 0) return true;
  return false;
}

/* Frameworks that are installed for their GPU; the others often come along with something that needs no GPU. */
static bool is_for_gpus(const fh_framework *framework) {
  return strcmp(framework->name, "PyTorch") == 0 || strcmp(framework->name, "TensorFlow") == 0;
}

void fh_rule_cpu_build(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  int usable = fh_cuda_usable_count(f);
  for (int i = 0; usable > 0 && i < f->programs.count; i++) {
    const fh_framework *framework = &f->programs.frameworks[i];
    fh_case c = fh_case_open(judgement, cause);
    if (framework->build != FH_BUILD_CPU || built_for_cuda_elsewhere(f, framework)) continue;
    fh_case_saw(&c, true, framework->evidence, "%s %s, built without CUDA", framework->name, framework->version);
    fh_case_saw(&c, true, "CUDA driver", "%d usable", usable);
    bool warns = is_for_gpus(framework) && judgement->expects[FH_NVIDIA_GPU].level >= FH_EXPECT_INTENT;
    fh_case_conclude(&c, warns ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "the GPU works, and the %s that is installed here (%s) is built without CUDA", framework->name, framework->version);
  }
}

void fh_rule_missing_cudnn(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; fh_cuda_usable_count(f) > 0 && i < f->programs.count; i++) {
    const fh_framework *framework = &f->programs.frameworks[i];
    fh_case c = fh_case_open(judgement, cause);
    if (framework->build != FH_BUILD_CUDA || strcmp(framework->name, "TensorFlow") != 0 ||
        !fh_case_saw(&c, f->programs.cudnn == FH_ABSENT, "libcudnn.so.9, libcudnn.so.8",
                     "neither where the loader looks nor in nvidia/cudnn/lib of the Python packages"))
      continue;
    fh_case_saw(&c, true, framework->evidence, "%s %s", framework->name, framework->version);
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "TensorFlow %s needs cuDNN for the GPU, and it is not here",
                     framework->version);
  }
}

/* ---- kernels for this GPU ------------------------------------------------------------------------------------------------ */

/* The compute capabilities that a CUDA toolkit can build for, by the first version that has these bounds. */
static const struct {
  int version, least, most;
} toolkits[] = {
    {10000, 30, 75}, {11000, 35, 80},  {11010, 35, 86},  {11080, 35, 90},
    {12000, 50, 90}, {12080, 50, 120}, {12090, 50, 121}, {13000, 75, 121},
};

/* "12.4" as 12040; 0: not understood. */
static int version_number(const char *text) {
  char *end = NULL;
  long major = strtol(text, &end, 10), minor = end != text && *end == '.' ? strtol(end + 1, NULL, 10) : 0;
  return end == text || major < 1 || major > 99 || minor < 0 || minor > 99 ? 0 : (int)(1000 * major + 10 * minor);
}

/* False for toolkits that are older or newer than the table. */
static bool bounds_of(int version, int *least, int *most) {
  bool known = false;
  if (version >= 14000) return false;
  for (size_t i = 0; i < sizeof(toolkits) / sizeof(toolkits[0]); i++) {
    if (version < toolkits[i].version) continue;
    *least = toolkits[i].least;
    *most = toolkits[i].most;
    known = true;
  }
  return known;
}

/* Within one major number older kernels run; past it only text that the driver compiles, which few builds carry. */
static bool is_too_new(int capability, int most) { return capability / 10 > most / 10; }

static bool some_gpu_fits(const fh_cuda_answer *cuda, int least, int most) {
  for (int d = 0; d < cuda->device_count; d++)
    if (cuda->devices[d].usable && cuda->devices[d].capability >= least && !is_too_new(cuda->devices[d].capability, most)) return true;
  return false;
}

void fh_rule_no_kernel_image(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  for (int i = 0; fh_cuda_usable_count(f) > 0 && i < f->programs.count; i++) {
    const fh_framework *framework = &f->programs.frameworks[i];
    int least, most;
    if (framework->build != FH_BUILD_CUDA || !bounds_of(version_number(framework->cuda), &least, &most)) continue;
    for (int d = 0; d < cuda->device_count; d++) {
      int capability = cuda->devices[d].capability;
      bool too_old = capability > 0 && capability < least;
      bool too_new = is_too_new(capability, most);
      fh_case c = fh_case_open(judgement, cause);
      if (!too_old && !too_new) continue;
      fh_case_saw(&c, true, framework->evidence, "%s %s, built with CUDA %s: for capabilities %d.%d to %d.%d", framework->name,
                  framework->version, framework->cuda, least / 10, least % 10, most / 10, most % 10);
      fh_case_saw(&c, true, cuda->devices[d].name, "compute capability %d.%d", capability / 10, capability % 10);
      fh_case_conclude(&c, some_gpu_fits(cuda, least, most) ? FH_SEVERITY_INFO : FH_SEVERITY_WARNING, too_old ? FH_CONSISTENT : FH_POSSIBLE,
                       NULL, "%s %s is built with CUDA %s, which is too %s for this GPU (capability %d.%d)", framework->name,
                       framework->version, framework->cuda, too_old ? "new" : "old", capability / 10, capability % 10);
      return;
    }
  }
}
