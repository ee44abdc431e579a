/* Kernel text to OpenCL kernels: programs are built once per device and kept. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "backends/opencl/opencl_internal.h"
#include "backends/opencl/opencl_lanes.h"
#include "runtime/base/log.h"

enum { LOG_SHOWN = 1200 }; /* of a compiler's words: the first errors say what is wrong */

/* ---- programs ------------------------------------------------------------------------------------------------ */

/* Kept in step with kernels/contract.h. A device without correct rounding is not asked for it: it is not EXACT, and says so. */
static void build_options(const fh_cl_found *found, fh_cl_lanes lanes, char *out, size_t size) {
  const char *define = fh_cl_lanes_define(lanes);
  snprintf(out, size, "-cl-std=%s%s%s%s%s", lanes == FH_CL_VECTORS ? "CL1.2" : found->c_version,
           found->rounds_divide ? " -cl-fp32-correctly-rounded-divide-sqrt" : "",
           found->info.kind == FH_DEVICE_CPU_POSING ? " -DFH_CPU_DEVICE" : "", define ? " -D" : "", define ? define : "");
}

static char *build_log(const fh_device *device, cl_program program) {
  size_t size = 0;
  if (device->fn->clGetProgramBuildInfo(program, device->found->handle, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS) return NULL;
  char *log = calloc(1, size + 1);
  if (log && device->fn->clGetProgramBuildInfo(program, device->found->handle, CL_PROGRAM_BUILD_LOG, size, log, NULL) == CL_SUCCESS)
    return log;
  free(log);
  return NULL;
}

static fh_status build_failure(const fh_device *device, const fh_cl_code *code, cl_program program, cl_int error) {
  char *log = build_log(device, program);
  fh_status status =
      FH_CL_FAIL(error, "clBuildProgram", "building kernel %s for %s (%s)", code->name, device->found->info.id, device->found->info.name);
  if (log && log[0]) status = fh_status_annotate(status, "  the compiler said:\n%.*s", LOG_SHOWN, log);
  free(log);
  return status;
}

static fh_status build_from_source(fh_device *device, const fh_cl_code *code, const char *options, cl_program *out_program) {
  cl_int error = CL_SUCCESS;
  const char *texts[] = {fh_cl_lanes_prelude(), code->source};
  const cl_uint skipped = code->lanes == FH_CL_VECTORS;
  cl_program program = device->fn->clCreateProgramWithSource(device->context, 2 - skipped, texts + skipped, NULL, &error);
  if (!program) return FH_CL_FAIL(error, "clCreateProgramWithSource", "handing over the text of kernel %s", code->name);
  error = device->fn->clBuildProgram(program, 1, &device->found->handle, options, NULL, NULL);
  if (error != CL_SUCCESS) {
    fh_status status = build_failure(device, code, program, error);
    device->fn->clReleaseProgram(program);
    return status;
  }
  *out_program = program;
  return FH_OK;
}

/* Has the text a form for lanes in work-items? Others are no dialect, or of an older one. */
static bool knows_lanes(const char *source) { return strstr(source, "FH_ON_LANES") != NULL; }

/* The text that a recipe wants. */
static fh_status find_code(const fh_device *device, const fh_recipe *recipe, fh_cl_code *out_code) {
  FH_TRY(fh_check_recipe(recipe));
  const fh_kernel_image *image = recipe->image;
  if (recipe->tuned) return FH_STATUS(FH_INCOMPATIBLE, "opencl: variant %s is compiled for the CPU", recipe->tuned->name);
  *out_code = (fh_cl_code){image, image->contract->name, image->cl_source, FH_CL_VECTORS, false};
  if (recipe->block) {
    const fh_block_image *text = fh_block_image_of(image, recipe->block);
    *out_code = (fh_cl_code){image, recipe->block->text, text ? text->cl_source : NULL, FH_CL_VECTORS, true};
  }
  if (!out_code->source) return FH_STATUS(FH_UNAVAILABLE, "opencl: this build has no OpenCL text of kernel %s", out_code->name);
  if (!recipe->block && knows_lanes(out_code->source)) out_code->lanes = device->found->lanes;
  if (device->found->compiler) return FH_OK;
  return FH_STATUS(FH_INCOMPATIBLE, "opencl: %s (%s) has no compiler for kernel text", device->found->info.id, device->found->info.name);
}

static fh_status make_program_once(fh_device *device, const fh_cl_code *code, cl_program *out_program) {
  char options[FH_CL_TEXT];
  build_options(device->found, code->lanes, options, sizeof options);
  *out_program = fh_cl_cache_load(device, code, options);
  if (*out_program) {
    device->loaded++;
    return FH_OK;
  }
  if (code->blocks && device->found->frail) FH_TRY(fh_cl_try_build(device, code, options));
  FH_TRY(build_from_source(device, code, options, out_program));
  device->built++;
  fh_cl_cache_store(device, code, options, *out_program);
  return FH_OK;
}

/* The form that every compiler and device takes. */
static void turn_to_vectors(const fh_device *device, fh_cl_code *code, fh_status why) {
  fh_log(FH_LOG_WARN, "opencl: kernel %s on %s has its lanes in vectors, which is slower: %s", code->name, device->found->info.id,
         fh_status_message(why));
  fh_status_free(why);
  code->lanes = FH_CL_VECTORS;
}

/* For a compiler that refuses the lanes of work-items, too. */
static fh_status make_program(fh_device *device, fh_cl_code *code, cl_program *out_program) {
  fh_status status = make_program_once(device, code, out_program);
  if (fh_status_code(status) != FH_INCOMPATIBLE || code->lanes == FH_CL_VECTORS) return status;
  turn_to_vectors(device, code, status);
  return make_program_once(device, code, out_program);
}

/* The program of a text, made on first use; code->lanes becomes those that it was built for. Called with the device's lock held. */
static fh_status find_program(fh_device *device, fh_cl_code *code, cl_program *out_program) {
  for (fh_cl_program *p = device->programs; p; p = p->next) {
    if (p->source != code->source || p->asked != code->lanes) continue;
    *out_program = p->handle;
    code->lanes = p->lanes;
    return FH_OK;
  }
  fh_cl_program *program = malloc(sizeof *program);
  if (!program) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory to keep the program of %s", code->name);
  program->asked = code->lanes;
  fh_status status = make_program(device, code, &program->handle);
  if (status) {
    free(program);
    return status;
  }
  program->source = code->source;
  program->lanes = code->lanes;
  program->next = device->programs;
  device->programs = program;
  *out_program = program->handle;
  return FH_OK;
}

void fh_cl_release_programs(fh_device *device) {
  for (fh_cl_program *p = device->programs, *next; p; p = next) {
    next = p->next;
    if (fh_cl_may_call(device->backend)) device->fn->clReleaseProgram(p->handle);
    free(p);
  }
  device->programs = NULL;
}

/* ---- kernels ------------------------------------------------------------------------------------------------- */

/* Arguments by the convention of kernels/contract.h. */
static cl_uint argument_count(const fh_executable *executable) {
  const fh_entry_image *entry = executable->entry;
  cl_uint count = executable->variant && executable->variant->scratch_bytes ? 3 : 1;
  for (int i = 0; i < entry->param_count; i++) count += fh_operand_is_pointer(entry->params[i].kind) ? 2 : 1;
  return count;
}

static fh_status check_arguments(const fh_device *device, const fh_executable *executable, cl_kernel kernel) {
  const cl_uint wanted = argument_count(executable);
  cl_uint count = 0;
  cl_int error = device->fn->clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof count, &count, NULL);
  if (error != CL_SUCCESS) return FH_CL_FAIL(error, "clGetKernelInfo", "asking for the arguments of %s", executable->name);
  if (count == wanted) return FH_OK;
  return FH_STATUS(FH_INCOMPATIBLE, "opencl: kernel %s was built with %u arguments, its entry has %u", executable->name, count, wanted);
}

/* Work-items of a group that the kernel can have: less than the device's limit when it needs many registers. */
static size_t largest_group(const fh_device *device, cl_kernel kernel) {
  size_t most = 0;
  cl_int error = device->fn->clGetKernelWorkGroupInfo(kernel, device->found->handle, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
  return error == CL_SUCCESS && most > 0 ? most : 1;
}

/* Whole wavefronts where registers allow them, and whole items in any case; 0: not even one. */
static size_t lanes_local_size(const fh_device *device, cl_kernel kernel) {
  const size_t most = largest_group(device, kernel);
  if (most >= FH_CL_LANES_LOCAL) return FH_CL_LANES_LOCAL;
  return most >= FH_CL_GPU_LOCAL ? FH_CL_GPU_LOCAL : most / FH_CL_LANES * FH_CL_LANES;
}

/* One item is heavy (a row, or 16 columns): on a CPU a group of one keeps them apart for all threads, on a GPU a group is
 * what the kernel prefers. */
static size_t local_size(const fh_device *device, cl_kernel kernel) {
  if (device->found->info.kind == FH_DEVICE_CPU_POSING) return 1;
  size_t preferred = 0;
  const fh_opencl_functions *fn = device->fn;
  cl_device_id handle = device->found->handle;
  if (fn->clGetKernelWorkGroupInfo(kernel, handle, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, sizeof preferred, &preferred, NULL) !=
          CL_SUCCESS ||
      preferred == 0)
    preferred = 32;
  const size_t most = largest_group(device, kernel);
  if (preferred > FH_CL_GPU_LOCAL) preferred = FH_CL_GPU_LOCAL;
  return preferred < most ? preferred : most;
}

/* What a text's blocks share it declares itself. A driver that has less may say so at the launch only, in the words of memory that is
 * short. */
static fh_status check_declared(const fh_device *device, const fh_executable *executable) {
  cl_ulong bytes = 0;
  const fh_device_info *info = &device->found->info;
  cl_int error =
      device->fn->clGetKernelWorkGroupInfo(executable->handle, device->found->handle, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
  if (error != CL_SUCCESS)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES", "%s: the driver does not say how much local memory %s needs: %s", info->id,
                           executable->name, fh_opencl_error_name(error));
  if (bytes <= info->blocks.shared_bytes) return FH_OK;
  return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES",
                         "%s: %s needs %" PRIu64 " bytes of local memory for a group, the device gives %u", info->id, executable->name,
                         (uint64_t)bytes, info->blocks.shared_bytes);
}

static fh_status choose_local(const fh_device *device, fh_executable *executable) {
  if (executable->variant) {
    executable->local = largest_group(device, executable->handle);
    return check_declared(device, executable);
  }
  executable->local = executable->lanes ? lanes_local_size(device, executable->handle) : local_size(device, executable->handle);
  if (executable->local) return FH_OK;
  return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES",
                         "%s: %s cannot have groups of %d work-items\n  " FH_CL_LANES_VARIABLE "=vectors needs one", device->found->info.id,
                         executable->name, FH_CL_LANES);
}

static fh_status make_kernel_once(fh_device *device, fh_cl_code *code, const fh_recipe *recipe, fh_executable *out) {
  cl_program program = NULL;
  pthread_mutex_lock(&device->lock);
  fh_status status = find_program(device, code, &program);
  pthread_mutex_unlock(&device->lock);
  FH_TRY(status);
  out->device = device;
  out->entry = &recipe->image->entries[recipe->entry];
  out->variant = recipe->block;
  out->step = recipe->step;
  out->name = recipe->block ? fh_block_step_of(recipe->block, recipe->step).entry : out->entry->entry;
  cl_int error = CL_SUCCESS;
  out->handle = device->fn->clCreateKernel(program, out->name, &error);
  if (!out->handle) return FH_CL_FAIL(error, "clCreateKernel", "finding entry %s of kernel %s", out->name, code->name);
  out->lanes = code->lanes != FH_CL_VECTORS;
  FH_TRY(choose_local(device, out));
  return check_arguments(device, out, out->handle);
}

/* A kernel that takes so many registers that a group has no room for an item's lanes has them in vectors, where one is enough. */
static fh_status make_kernel(fh_device *device, fh_cl_code *code, const fh_recipe *recipe, fh_executable *out) {
  fh_status status = make_kernel_once(device, code, recipe, out);
  if (!status || !out->lanes || out->local > 0) return status;
  device->fn->clReleaseKernel(out->handle);
  out->handle = NULL;
  turn_to_vectors(device, code, status);
  return make_kernel_once(device, code, recipe, out);
}

fh_status fh_cl_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable) {
  *out_executable = NULL;
  FH_TRY(fh_cl_same_process(device->backend));
  fh_cl_code code = {0};
  FH_TRY(find_code(device, recipe, &code));
  fh_executable *executable = calloc(1, sizeof *executable);
  if (!executable) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory to prepare %s", recipe->image->contract->name);
  pthread_mutex_init(&executable->lock, NULL);
  fh_status status = make_kernel(device, &code, recipe, executable);
  if (status) {
    fh_cl_release(executable);
    return status;
  }
  *out_executable = executable;
  return FH_OK;
}

void fh_cl_release(fh_executable *executable) {
  if (!executable) return;
  if (executable->handle && fh_cl_may_call(executable->device->backend)) executable->device->fn->clReleaseKernel(executable->handle);
  pthread_mutex_destroy(&executable->lock);
  free(executable);
}
