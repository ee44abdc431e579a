/* As whom the stand-in OpenCL GPU passes itself off, by FOGHORN_FAKE_OPENCL. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define COMMON "cl_khr_byte_addressable_store cl_khr_global_int32_base_atomics cl_khr_fp64 "
#define EXACT (CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_DENORM | CL_FP_FMA | CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT)

static const fake_persona personas[] = {
    {"khr",
     "Stand-in",
     "Foghorn",
     "Stand-in GPU",
     "OpenCL 3.0 ",
     COMMON "cl_khr_subgroups cl_khr_subgroup_shuffle cl_intel_required_subgroup_size",
     EXACT,
     {8, 16, 32},
     NULL,
     CL_FALSE},
    {"intel",
     "Intel(R) OpenCL HD Graphics",
     "Intel(R) Corporation",
     "Intel(R) UHD Graphics 630",
     "OpenCL 2.1 NEO ",
     COMMON "cl_khr_subgroups cl_intel_subgroups cl_intel_required_subgroup_size",
     EXACT,
     {8, 16, 32},
     NULL,
     CL_TRUE},
    {"amd",
     "AMD Accelerated Parallel Processing",
     "Advanced Micro Devices, Inc.",
     "gfx90a:sramecc+:xnack-",
     "OpenCL 2.0 ",
     COMMON "cl_khr_subgroups",
     EXACT,
     {0},
     NULL,
     CL_FALSE},
    {"nvidia",
     "NVIDIA CUDA",
     "NVIDIA Corporation",
     "NVIDIA GeForce RTX 3080",
     "OpenCL 3.0 CUDA",
     COMMON "cl_nv_device_attribute_query",
     EXACT,
     {0},
     NULL,
     CL_FALSE},
    {"clover",
     "Clover",
     "AMD",
     "AMD Radeon RX 580",
     "OpenCL 1.1 Mesa 22.3.6",
     COMMON,
     CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN,
     {0},
     NULL,
     CL_FALSE},
    {"rusticl",
     "rusticl",
     "Mesa/X.org",
     "AMD Radeon RX 6700 XT (radeonsi, navi22)",
     "OpenCL 3.0 ",
     COMMON "cl_khr_subgroups cl_khr_subgroup_shuffle cl_intel_required_subgroup_size",
     CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_DENORM | CL_FP_FMA,
     {32, 64},
     NULL,
     CL_FALSE},
    {"refuses-lanes",
     "Stand-in",
     "Foghorn",
     "Stand-in GPU",
     "OpenCL 3.0 ",
     COMMON "cl_khr_subgroups cl_khr_subgroup_shuffle cl_intel_required_subgroup_size",
     EXACT,
     {16},
     "FH_LANES_BY",
     CL_FALSE},
};

const fake_persona *fake_persona_now(void) {
  const char *name = getenv("FOGHORN_FAKE_OPENCL");
  for (size_t i = 0; name && i < sizeof personas / sizeof personas[0]; i++)
    if (strcmp(personas[i].name, name) == 0) return &personas[i];
  return &personas[0];
}
