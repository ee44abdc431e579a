/* The environment variables that steer device selection. SPDX-License-Identifier: Apache-2.0
 * An allow-list: everything else may hold secrets and is never read. */
#include <string.h>

#include "detect/gather.h"

static const char *const allowed[] = {
    /* CUDA */
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_CACHE_DISABLE",
    "CUDA_CACHE_PATH",
    "CUDA_MODULE_LOADING",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_VERSION",
    "CUDA_DISABLE_PERF_BOOST",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_FORCE_PTX_JIT",
    /* NVIDIA container runtime */
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_MIG_CONFIG_DEVICES",
    "NVIDIA_MIG_MONITOR_DEVICES",
    "NVIDIA_IMEX_CHANNELS",
    "NVIDIA_CTK_LIBCUDA_DIR",
    "NV_CUDA_COMPAT_PACKAGE",
    /* loader */
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    /* Python's packages */
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    /* OpenCL */
    "OCL_ICD_VENDORS",
    "OCL_ICD_FILENAMES",
    "OPENCL_VENDOR_PATH",
    "OPENCL_LAYERS",
    "OCL_ICD_PLATFORM_SORT",
    "OCL_ICD_DEFAULT_PLATFORM",
    "POCL_DEVICES",
    "POCL_CPU_MAX_CU_COUNT",
    "POCL_MAX_PTHREAD_COUNT",
    "POCL_MEMORY_LIMIT",
    "POCL_AFFINITY",
    "POCL_CACHE_DIR",
    "RUSTICL_ENABLE",
    "RUSTICL_DEVICE_TYPE",
    /* AMD and Intel */
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HSA_OVERRIDE_GFX_VERSION",
    "HSA_ENABLE_DXG_DETECTION",
    "ZE_AFFINITY_MASK",
    "ZE_FLAT_DEVICE_HIERARCHY",
    "ONEAPI_DEVICE_SELECTOR",
    "SYCL_DEVICE_FILTER",
    /* CPU */
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "GOMAXPROCS",
    /* schedulers and platforms */
    "SLURM_JOB_ID",
    "SLURM_JOB_GPUS",
    "SLURM_STEP_GPUS",
    "SLURM_GPUS_ON_NODE",
    "SLURM_CPUS_PER_TASK",
    "KUBERNETES_SERVICE_HOST",
    "RAY_JOB_ID",
    "COMPOSE_PROJECT_NAME",
    "PBS_JOBID",
    "LSB_JOBID",
    "_CONDOR_SLOT",
    "APPTAINER_NV",
    "APPTAINER_NAME",
    "APPTAINER_CONTAINER",
    "SINGULARITY_NV",
    "SINGULARITY_NAME",
    "SINGULARITY_CONTAINER",
    "INVOCATION_ID",
    "SNAP",
    "SNAP_NAME",
    "FLATPAK_ID",
    "container",
    "WSL_DISTRO_NAME",
    "JETSON_JETPACK",
    "L4T_VERSION",
    /* ours */
    "FOGHORN_DEVICES",
    "FOGHORN_ISA",
    "FOGHORN_FALLBACK",
    "FOGHORN_REQUIRE",
    "FOGHORN_LOG",
    "FOGHORN_TRACE",
    "FOGHORN_VERIFY",
    "FOGHORN_CACHE_DIR",
};
enum { ALLOWED_COUNT = sizeof allowed / sizeof allowed[0] };

const char *const *fh_allowed_variables(int *out_count) {
  *out_count = ALLOWED_COUNT;
  return allowed;
}

void fh_gather_environment(fh_gather *g) {
  fh_facts_environment *e = &g->facts->environment;
  e->vars = fh_arena_alloc(g->arena, ALLOWED_COUNT, sizeof *e->vars);
  if (!e->vars) return;
  e->count = ALLOWED_COUNT;
  for (int i = 0; i < ALLOWED_COUNT; i++) {
    const char *value = g->os->api->getenv(g->os, allowed[i]);
    e->vars[i] = (fh_env_var){.name = allowed[i], .value = value ? fh_arena_text(g->arena, value) : NULL};
  }
}

const char *fh_facts_env(const fh_facts *facts, const char *name) {
  for (int i = 0; i < facts->environment.count; i++)
    if (strcmp(facts->environment.vars[i].name, name) == 0) return facts->environment.vars[i].value;
  return NULL;
}

bool fh_environment_is_allowed(const char *name) {
  for (int i = 0; i < ALLOWED_COUNT; i++)
    if (strcmp(allowed[i], name) == 0) return true;
  return false;
}
