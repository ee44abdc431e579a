/* What we know of vendors' OpenCL: one table, and how a device's lanes exchange values. SPDX-License-Identifier: Apache-2.0
 *
 * Options. All are built with those of opencl_build.c and no others: what vendors offer beside trades accuracy (-cl-mad-enable,
 * -cl-denorms-are-zero, -cl-fast-relaxed-math: never), prints (-cl-nv-verbose), or limits registers (-cl-nv-maxrregcount,
 * -cl-intel-256-GRF-per-thread), which helps texts that spill and costs the others half of their threads. Nothing here spills as far as
 * is known, and no vendor promises more of an option, so there is none to gain by.
 *
 * Sources: the extensions cl_khr_subgroup_shuffle and cl_intel_required_subgroup_size in the OpenCL extension specification, both
 * cl_intel_ ones in the Khronos registry; ds_swizzle in AMD's GCN 3 ISA manual, chapter 8, and the builtins in LLVM's AMDGPU guide;
 * shfl.sync in NVIDIA's PTX ISA 6.0, and PTX in OpenCL texts in its note "Inline PTX Assembly". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/opencl_internal.h"

typedef struct vendor {
  const char *platform; /* part of the platform's name */
  const char *hardware; /* and of the device's vendor; "": any */
  fh_cl_lanes lanes;    /* beside what extensions offer */
  const char *refused;  /* why nothing is run there; NULL: it is used */
  int mended;           /* first major version whose compiler survives barriers behind conditions; 0: all do */
} vendor;

static const vendor vendors[] = {
    /* Its compiler warns that it is incomplete, it denies correct rounding, and Mesa 25.2 dropped it. */
    {"Clover", "", FH_CL_VECTORS, "Mesa's Clover is an unfinished OpenCL 1.1 that Mesa gave up; its successor is rusticl (RUSTICL_ENABLE)",
     0},
    {"NVIDIA CUDA", "", FH_CL_LANES_NVIDIA, NULL, 0},                      /* without the sub-group extensions */
    {"AMD Accelerated Parallel Processing", "", FH_CL_LANES_AMD, NULL, 0}, /* cl_khr_subgroups, but no shuffles */
    {"Portable Computing Language", "", FH_CL_VECTORS, NULL, 4},
};

static const vendor *vendor_of(const char *platform, const char *hardware) {
  for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++)
    if (strstr(platform, vendors[i].platform) && strstr(hardware, vendors[i].hardware)) return &vendors[i];
  return NULL;
}

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *define; /* for prelude_cl_lanes.h */
  const char *words;
} forms[] = {
    [FH_CL_VECTORS] = {NULL, "lanes in vectors"},
    [FH_CL_LANES_KHR] = {"FH_LANES_BY_KHR", "lanes in work-items, by cl_khr_subgroup_shuffle"},
    [FH_CL_LANES_INTEL] = {"FH_LANES_BY_INTEL", "lanes in work-items, by cl_intel_subgroups"},
    [FH_CL_LANES_AMD] = {"FH_LANES_BY_AMD", "lanes in work-items, by ds_swizzle"},
    [FH_CL_LANES_NVIDIA] = {"FH_LANES_BY_NVIDIA", "lanes in work-items, by shfl.sync"},
};

const char *fh_cl_lanes_define(fh_cl_lanes lanes) { return forms[lanes].define; }
const char *fh_cl_lanes_words(fh_cl_lanes lanes) { return forms[lanes].words; }

/* Is `word` one of a list with spaces between them? */
static bool lists(const char *list, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = strstr(list, word); at; at = strstr(at + length, word))
    if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0)) return true;
  return false;
}

/* "OpenCL 3.0 CUDA 12.4": 3 */
static long major_of(const char *version) { return strncmp(version, "OpenCL ", 7) == 0 ? strtol(version + 7, NULL, 10) : 0; }

/* An item is a sub-group: else two items of one could part at a branch, and a barrier of the sub-group would wait for ever. */
static fh_cl_lanes offered_lanes(const fh_cl_traits *traits) {
  const vendor *v = vendor_of(traits->platform, traits->vendor);
  if (v && v->lanes != FH_CL_VECTORS) return v->lanes;
  if (!traits->sub_group_16 || !lists(traits->extensions, "cl_intel_required_subgroup_size")) return FH_CL_VECTORS;
  if (lists(traits->extensions, "cl_khr_subgroup_shuffle") && major_of(traits->version) >= 3) return FH_CL_LANES_KHR;
  if (lists(traits->extensions, "cl_intel_subgroups") && major_of(traits->version) >= 2) return FH_CL_LANES_INTEL;
  return FH_CL_VECTORS;
}

/* "vectors", "work-items", or not set. */
static const char *wanted_lanes(void) {
  const char *text = getenv(FH_CL_LANES_VARIABLE);
  return text && *text ? text : NULL;
}

fh_status fh_cl_check_settings(void) {
  const char *wanted = wanted_lanes();
  if (!wanted || strcmp(wanted, "vectors") == 0 || strcmp(wanted, "work-items") == 0) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "opencl: " FH_CL_LANES_VARIABLE "=%s\n  expected vectors or work-items, or nothing", wanted);
}

/* A driver whose version cannot be read counts as old. */
static bool is_frail(const vendor *v, const char *driver) { return v && v->mended && strtol(driver, NULL, 10) < v->mended; }

/* Of -cl-std. The sub-group functions are no part of 1.2. */
static const char *c_version(fh_cl_lanes lanes, const fh_cl_traits *traits) {
  if (lanes != FH_CL_LANES_KHR && lanes != FH_CL_LANES_INTEL) return "CL1.2";
  return major_of(traits->version) >= 3 ? "CL3.0" : "CL2.0";
}

void fh_cl_judge_vendor(const fh_cl_traits *traits, fh_cl_found *found) {
  const vendor *v = vendor_of(traits->platform, traits->vendor);
  const char *wanted = wanted_lanes();
  const fh_cl_lanes offered = offered_lanes(traits);
  const bool gpu = found->info.kind == FH_DEVICE_GPU;
  found->refused = v ? v->refused : NULL;
  found->frail = is_frail(v, traits->driver);
  found->lanes = gpu && !(wanted && strcmp(wanted, "vectors") == 0) ? offered : FH_CL_VECTORS;
  if (wanted && strcmp(wanted, "work-items") == 0) {
    found->lanes = offered;
    if (offered == FH_CL_VECTORS) found->refused = FH_CL_LANES_VARIABLE "=work-items, but its sub-groups of 16 cannot exchange values";
  }
  found->c_version = c_version(found->lanes, traits);
}
