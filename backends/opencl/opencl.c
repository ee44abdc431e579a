/* OpenCL through the ICD loader: the table, and what devices there are. SPDX-License-Identifier: Apache-2.0
 * The loader is opened with dlopen: nothing of OpenCL is needed to run without it. Opening loads every vendor's driver, which
 * costs 20 to 400 ms where LLVM is among them, so it is done only when asked for. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/opencl/opencl_internal.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"

/* ---- a device's properties -------------------------------------------------------------------------------- */

static void device_text(const fh_opencl_functions *fn, cl_device_id device, cl_device_info what, char *out, size_t size) {
  out[0] = 0;
  size_t needed = 0;
  if (fn->clGetDeviceInfo(device, what, 0, NULL, &needed) != CL_SUCCESS || needed == 0) return;
  char *text = calloc(1, needed + 1);
  if (text && fn->clGetDeviceInfo(device, what, needed, text, NULL) == CL_SUCCESS) snprintf(out, size, "%s", text);
  free(text);
}

static void platform_text(const fh_opencl_functions *fn, cl_platform_id platform, cl_platform_info what, char *out, size_t size) {
  out[0] = 0;
  size_t needed = 0;
  if (fn->clGetPlatformInfo(platform, what, 0, NULL, &needed) != CL_SUCCESS || needed == 0) return;
  char *text = calloc(1, needed + 1);
  if (text && fn->clGetPlatformInfo(platform, what, needed, text, NULL) == CL_SUCCESS) snprintf(out, size, "%s", text);
  free(text);
}

/* A number of a device, whatever its width; 0 when it does not say. */
static uint64_t device_number(const fh_opencl_functions *fn, cl_device_id device, cl_device_info what) {
  union {
    uint32_t narrow;
    uint64_t wide;
  } value = {.wide = 0};
  size_t size = 0;
  if (fn->clGetDeviceInfo(device, what, sizeof value, &value, &size) != CL_SUCCESS) return 0;
  return size == sizeof value.wide ? value.wide : value.narrow;
}

/* Mesa's software renderers answer as GPUs through some front ends. */
static bool is_software(const char *name) { return strstr(name, "llvmpipe") || strstr(name, "softpipe") || strstr(name, "lavapipe"); }

static fh_device_kind kind_of(cl_device_type type, const char *name) {
  if ((type & CL_DEVICE_TYPE_CPU) || is_software(name)) return FH_DEVICE_CPU_POSING;
  return type & CL_DEVICE_TYPE_GPU ? FH_DEVICE_GPU : FH_DEVICE_ACCELERATOR;
}

/* What FH_EXACT needs of single precision. */
static const struct {
  cl_device_fp_config bit;
  const char *what;
} exactness[] = {
    {CL_FP_ROUND_TO_NEAREST, "rounding to nearest"},
    {CL_FP_INF_NAN, "infinities and NaN"},
    {CL_FP_DENORM, "denormals"},
    {CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT, "correctly rounded division and square root"},
};

static void judge_exactness(fh_cl_found *found, cl_device_fp_config config) {
  size_t used = 0;
  for (size_t i = 0; i < sizeof exactness / sizeof exactness[0] && used < sizeof found->why_not_exact; i++) {
    if (config & exactness[i].bit) continue;
    used += (size_t)snprintf(found->why_not_exact + used, sizeof found->why_not_exact - used, "%s%s",
                             used ? ", " : "the device does not offer ", exactness[i].what);
  }
  found->rounds_divide = (config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0;
  found->info.exact = used == 0;
  found->info.why_not_exact = used ? found->why_not_exact : NULL;
}

static void describe_uuid(const fh_opencl_functions *fn, cl_device_id device, const fh_cl_traits *traits, fh_device_info *info) {
  unsigned char b[CL_UUID_SIZE_KHR];
  if (!strstr(traits->extensions, "cl_khr_device_uuid")) return;
  if (fn->clGetDeviceInfo(device, CL_DEVICE_UUID_KHR, sizeof b, b, NULL) != CL_SUCCESS) return;
  snprintf(info->uuid, sizeof info->uuid, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
           b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* Priors until measurements replace them: guesses from counts and clocks. */
static void guess_speed(const fh_opencl_functions *fn, fh_cl_found *found) {
  fh_device_info *info = &found->info;
  double hertz = 1e6 * (double)device_number(fn, found->handle, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  if (hertz <= 0) hertz = 1e9;
  bool cpu = info->kind == FH_DEVICE_CPU_POSING;
  double lanes = cpu ? (double)device_number(fn, found->handle, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT) : 64;
  info->peak_flops = hertz * info->compute_units * (lanes > 0 ? lanes : 4) * 2;
  info->peak_bytes_per_s = cpu ? 12e9 * info->compute_units : found->shares_host_memory ? 40e9 : 200e9;
  info->link_bytes_per_s = found->shares_host_memory ? 10e9 : 6e9;
  info->launch_s = cpu ? 30e-6 : 20e-6;
}

/* CL_DEVICE_SUB_GROUP_SIZES_INTEL: is 16 among them? */
static bool has_sub_groups_of_16(const fh_opencl_functions *fn, cl_device_id device) {
  enum { SUB_GROUP_SIZES = 0x4108, MOST = 16 };
  size_t sizes[MOST], bytes = 0;
  if (fn->clGetDeviceInfo(device, SUB_GROUP_SIZES, sizeof sizes, sizes, &bytes) != CL_SUCCESS) return false;
  for (size_t i = 0; i < bytes / sizeof sizes[0] && i < MOST; i++)
    if (sizes[i] == FH_CL_LANES) return true;
  return false;
}

static void find_traits(const fh_opencl_functions *fn, const fh_cl_found *found, fh_cl_traits *out_traits) {
  platform_text(fn, found->platform, CL_PLATFORM_NAME, out_traits->platform, sizeof out_traits->platform);
  device_text(fn, found->handle, CL_DEVICE_VENDOR, out_traits->vendor, sizeof out_traits->vendor);
  device_text(fn, found->handle, CL_DEVICE_VERSION, out_traits->version, sizeof out_traits->version);
  device_text(fn, found->handle, CL_DRIVER_VERSION, out_traits->driver, sizeof out_traits->driver);
  device_text(fn, found->handle, CL_DEVICE_EXTENSIONS, out_traits->extensions, sizeof out_traits->extensions);
  out_traits->sub_group_16 = strstr(out_traits->extensions, "cl_intel_required_subgroup_size") && has_sub_groups_of_16(fn, found->handle);
}

/* Which form of the texts a GPU gets is part of its driver's words: what was measured of one is not true of the other. */
static void describe_driver(const fh_opencl_functions *fn, const fh_cl_traits *traits, fh_cl_found *found) {
  char platform_version[FH_CL_TEXT];
  const bool tell = found->info.kind == FH_DEVICE_GPU || found->lanes != FH_CL_VECTORS;
  platform_text(fn, found->platform, CL_PLATFORM_VERSION, platform_version, sizeof platform_version);
  snprintf(found->info.driver, sizeof found->info.driver, "%.40s %.30s%s%s", traits->platform, traits->driver, tell ? ", " : "",
           tell ? fh_cl_lanes_words(found->lanes) : "");
  snprintf(found->key, sizeof found->key, "%.200s\n%.250s\n%.120s\n%.60s\n%.250s\n", traits->platform, platform_version, found->info.name,
           traits->driver, traits->version);
}

/* A block is a work-group; of groups there may be as many as their work-items can be counted. */
static void describe_blocks(const fh_opencl_functions *fn, fh_cl_found *found) {
  const uint64_t local_bytes = device_number(fn, found->handle, CL_DEVICE_LOCAL_MEM_SIZE);
  found->info.blocks = (fh_block_limits){.threads = (uint32_t)found->max_group,
                                         .grid = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
                                         .items = FH_CL_ENQUEUE_ITEMS,
                                         .shared_bytes = local_bytes < UINT32_MAX ? (uint32_t)local_bytes : UINT32_MAX};
}

static void describe(const fh_opencl_functions *fn, int index, bool allow_fake, fh_cl_found *found) {
  fh_device_info *info = &found->info;
  cl_device_id device = found->handle;
  fh_cl_traits traits;
  snprintf(info->id, sizeof info->id, "opencl:%d", index);
  device_text(fn, device, CL_DEVICE_NAME, info->name, sizeof info->name);
  if (!info->name[0]) snprintf(info->name, sizeof info->name, "OpenCL device %d", index);
  info->kind = kind_of((cl_device_type)device_number(fn, device, CL_DEVICE_TYPE), info->name);
  info->compute_units = (int)device_number(fn, device, CL_DEVICE_MAX_COMPUTE_UNITS);
  info->memory_bytes = device_number(fn, device, CL_DEVICE_GLOBAL_MEM_SIZE);
  info->address_alignment = sizeof(float); /* OpenCL C may assume that a float lies where a float may lie */
  found->shares_host_memory = info->kind == FH_DEVICE_CPU_POSING || device_number(fn, device, CL_DEVICE_HOST_UNIFIED_MEMORY);
  if (found->shares_host_memory) info->alias_alignment = info->kind == FH_DEVICE_CPU_POSING ? FH_CL_CPU_ALIAS : FH_CL_GPU_ALIAS;
  found->available = device_number(fn, device, CL_DEVICE_AVAILABLE);
  found->compiler = device_number(fn, device, CL_DEVICE_COMPILER_AVAILABLE);
  found->little_endian = device_number(fn, device, CL_DEVICE_ENDIAN_LITTLE);
  found->max_alloc = (size_t)device_number(fn, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  found->max_group = (size_t)device_number(fn, device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  describe_blocks(fn, found);
  judge_exactness(found, (cl_device_fp_config)device_number(fn, device, CL_DEVICE_SINGLE_FP_CONFIG));
  found->info.no_doubles = device_number(fn, device, CL_DEVICE_DOUBLE_FP_CONFIG) == 0;
  find_traits(fn, found, &traits);
  snprintf(found->platform_name, sizeof found->platform_name, "%s", traits.platform);
  fh_cl_judge_vendor(&traits, found);
  info->fake = strstr(traits.driver, "stand-in") != NULL;
  if (info->fake && !allow_fake) found->refused = "it is a test stand-in, and this program did not ask for one";
  describe_uuid(fn, device, &traits, info);
  describe_driver(fn, &traits, found);
  guess_speed(fn, found);
}

/* ---- the search ---------------------------------------------------------------------------------------------- */

static bool any_icd_file(const char *folder) {
  DIR *dir = opendir(folder);
  if (!dir) return false;
  bool any = false;
  for (struct dirent *entry = readdir(dir); entry && !any; entry = readdir(dir)) {
    size_t length = strlen(entry->d_name);
    any = length > 4 && strcmp(entry->d_name + length - 4, ".icd") == 0;
  }
  closedir(dir);
  return any;
}

static fh_status no_platforms(cl_int error) {
  const char *vendors = getenv("OCL_ICD_VENDORS");
  const char *code = error == CL_SUCCESS ? "no error" : fh_opencl_error_name(error);
  if (vendors)
    return FH_STATUS_CAUSE(
        FH_UNAVAILABLE, "CL-VENDORS-OVERRIDE",
        "opencl: the loader found no platform (clGetPlatformIDs gave %s)\n  OCL_ICD_VENDORS=%s sends it there: unset it, or "
        "let it name a folder with .icd files",
        code, vendors);
  if (any_icd_file("/etc/OpenCL/vendors"))
    return FH_STATUS_CAUSE(
        FH_UNAVAILABLE, "CL-ICD-LIB-MISSING",
        "opencl: the loader found no platform (clGetPlatformIDs gave %s)\n  there are .icd files in /etc/OpenCL/vendors, but "
        "no library that they name could be used",
        code);
  return FH_STATUS_CAUSE(
      FH_UNAVAILABLE, "CL-NO-ICD-FILE",
      "opencl: the loader found no platform (clGetPlatformIDs gave %s)\n  no .icd file in /etc/OpenCL/vendors: install the "
      "vendor's OpenCL package",
      code);
}

/* Appends the devices of one platform. A platform that fails is said and left out: the others stay usable. */
static void add_platform(fh_backend *backend, cl_platform_id platform) {
  const fh_opencl_functions *fn = &backend->driver.fn;
  cl_device_id devices[FH_CL_MAX_DEVICES];
  cl_uint count = 0;
  cl_int error = fn->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, FH_CL_MAX_DEVICES, devices, &count);
  if (error != CL_SUCCESS) {
    char name[FH_CL_TEXT];
    platform_text(fn, platform, CL_PLATFORM_NAME, name, sizeof name);
    fh_log(FH_LOG_INFO, "opencl: platform %s has no device: clGetDeviceIDs gave %s (%d)", name, fh_opencl_error_name(error), (int)error);
    return;
  }
  if (count > FH_CL_MAX_DEVICES) count = FH_CL_MAX_DEVICES;
  for (cl_uint i = 0; i < count && backend->device_count < FH_CL_MAX_DEVICES; i++) {
    fh_cl_found *found = &backend->devices[backend->device_count];
    *found = (fh_cl_found){.platform = platform, .handle = devices[i], .place = (int)i};
    describe(fn, backend->device_count++, backend->allow_fake, found);
  }
}

static fh_status find_devices(fh_backend *backend) {
  enum { PLATFORMS = 32 };
  cl_platform_id platforms[PLATFORMS];
  cl_uint count = 0;
  cl_int error = backend->driver.fn.clGetPlatformIDs(PLATFORMS, platforms, &count);
  if (error != CL_SUCCESS || count == 0) return no_platforms(error);
  backend->devices = calloc(FH_CL_MAX_DEVICES, sizeof *backend->devices);
  if (!backend->devices) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory for the list of devices");
  for (cl_uint i = 0; i < count && i < PLATFORMS; i++) add_platform(backend, platforms[i]);
  if (backend->device_count) return FH_OK;
  return FH_STATUS_CAUSE(FH_UNAVAILABLE, "CL-ZERO-DEVICES",
                         "opencl: %u platform%s, but none has a device\n  the vendor's driver does not reach its hardware: see devprobe",
                         count, count == 1 ? "" : "s");
}

/* ---- worth opening? ----------------------------------------------------------------------------------------- */

/* A driver of a CPU, or of a GPU that another backend drives better. */
static bool leads_elsewhere(const char *library) {
  return strstr(library, "pocl") || strstr(library, "intelocl") || strstr(library, "nvidia");
}

static bool answered_with_a_gpu(const fh_icd *icd) {
  for (int i = 0; icd->asked == FH_VALID && i < icd->device_count; i++)
    if (icd->devices[i].type && strcmp(icd->devices[i].type, "gpu") == 0) return true;
  return false;
}

/* A GPU with a kernel driver, and not NVIDIA's: those are CUDA's. */
static bool has_gpu(const fh_facts_pci *pci) {
  enum { NVIDIA = 0x10de };
  for (int i = 0; i < pci->count; i++)
    if (pci->devices[i].is_gpu && pci->devices[i].driver && pci->devices[i].vendor != NVIDIA) return true;
  return false;
}

/* Opening loads every ICD's driver, so there must be a GPU behind one of them. */
static bool cl_present(const fh_facts *facts) {
  for (int i = 0; i < facts->opencl.count; i++) {
    const fh_icd *icd = &facts->opencl.icds[i];
    if (!icd->library || leads_elsewhere(icd->library)) continue;
    if (answered_with_a_gpu(icd)) return true;
    if (icd->asked != FH_VALID && icd->lib_valid == FH_VALID && has_gpu(&facts->pci)) return true;
  }
  return false;
}

/* ---- the backend --------------------------------------------------------------------------------------------- */

static void cl_destroy(fh_backend *backend) {
  if (!backend) return;
  fh_opencl_driver_close(&backend->driver);
  free(backend->devices);
  free(backend->cache_dir);
  free(backend);
}

static fh_status load_driver(fh_backend *backend) {
  fh_status status = fh_opencl_driver_load(&backend->driver);
  if (fh_status_code(status) == FH_NOT_FOUND) {
    fh_status said = FH_STATUS_CAUSE(FH_UNAVAILABLE, "CL-NO-LOADER",
                                     "opencl: the OpenCL loader is not here (Debian: ocl-icd-libopencl1)\n%s", fh_status_message(status));
    fh_status_free(status);
    return said;
  }
  FH_TRY(status);
  if (!backend->driver.missing) return FH_OK;
  return FH_STATUS_CAUSE(FH_UNAVAILABLE, "CL-WRONG-LOADER",
                         "opencl: %s does not export %s: it is older than OpenCL 1.2, or another library",
                         fh_dynlib_path(backend->driver.library), backend->driver.missing);
}

static fh_status open_into(fh_backend *backend, const fh_backend_options *options) {
  backend->pid = fh_process_id();
  backend->allow_fake = options->allow_fake;
  if (options->cache_dir) {
    backend->cache_dir = strdup(options->cache_dir);
    if (!backend->cache_dir) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory to open the backend");
  }
  FH_TRY(fh_cl_check_settings());
  FH_TRY(load_driver(backend));
  return find_devices(backend);
}

static fh_status cl_open(const fh_backend_options *options, fh_backend **out_backend) {
  *out_backend = NULL;
  fh_backend *backend = calloc(1, sizeof *backend);
  if (!backend) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory to open the backend");
  fh_status status = open_into(backend, options);
  if (status) {
    cl_destroy(backend);
    return status;
  }
  *out_backend = backend;
  return FH_OK;
}

static int cl_enumerate(const fh_backend *backend, fh_device_info *out_infos, int capacity) {
  for (int i = 0; i < backend->device_count && i < capacity; i++) out_infos[i] = backend->devices[i].info;
  return backend->device_count;
}

const fh_backend_api fh_backend_opencl = {
    .destroy = cl_destroy,
    .name = "opencl",
    .abi = FH_BACKEND_ABI,
    .present = cl_present,
    .open = cl_open,
    .enumerate = cl_enumerate,
    .device_open = fh_cl_device_open,
    .device_close = fh_cl_device_close,
    .query_free_memory = fh_cl_query_free_memory,
    .alloc = fh_cl_alloc,
    .free = fh_cl_free,
    .map = fh_cl_map,
    .prepare = fh_cl_prepare,
    .release = fh_cl_release,
    .stream_open = fh_cl_stream_open,
    .stream_close = fh_cl_stream_close,
    .submit = fh_cl_submit,
    .poll = fh_cl_poll,
    .wait = fh_cl_wait,
    .alias = fh_cl_alias,
};
