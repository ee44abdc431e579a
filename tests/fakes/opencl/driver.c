/* The functions of the stand-in OpenCL GPU: those that Foghorn calls, done at once and in order. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define EXPORT __attribute__((visibility("default")))

/* Every object begins with the table, by which the loader finds its functions. */
struct _cl_platform_id {
  const cl_icd_dispatch *dispatch;
};
struct _cl_device_id {
  const cl_icd_dispatch *dispatch;
};
struct _cl_context {
  const cl_icd_dispatch *dispatch;
};
struct _cl_command_queue {
  const cl_icd_dispatch *dispatch;
};
struct _cl_mem {
  const cl_icd_dispatch *dispatch;
  int count;
  char *bytes;
  size_t size;
  bool ours;
};
struct _cl_program {
  const cl_icd_dispatch *dispatch;
  int count;
  char *text, *log;
  fake_code *code;
};
struct _cl_kernel {
  const cl_icd_dispatch *dispatch;
  cl_program program;
  void *function;
  int arguments;
  fake_argument argument[FAKE_MOST_ARGUMENTS];
};
struct _cl_event {
  const cl_icd_dispatch *dispatch;
  int count;
  cl_int state;
};

static const cl_icd_dispatch table;
static struct _cl_platform_id the_platform = {&table};
static struct _cl_device_id the_device = {&table};
static struct _cl_context the_context = {&table};

/* ---- answers ---------------------------------------------------------------------------------------------------------- */

static cl_int give(const void *value, size_t value_size, size_t size, void *out, size_t *out_size) {
  if (out_size) *out_size = value_size;
  if (!out) return CL_SUCCESS;
  if (size < value_size) return CL_INVALID_VALUE;
  memcpy(out, value, value_size);
  return CL_SUCCESS;
}
static cl_int give_text(const char *text, size_t size, void *out, size_t *out_size) {
  return give(text, strlen(text) + 1, size, out, out_size);
}
static cl_int give_u32(cl_uint value, size_t size, void *out, size_t *out_size) { return give(&value, sizeof value, size, out, out_size); }
static cl_int give_u64(cl_ulong value, size_t size, void *out, size_t *out_size) { return give(&value, sizeof value, size, out, out_size); }

static void *answer(void *object, cl_int error, cl_int *out_error) {
  if (out_error) *out_error = object ? CL_SUCCESS : error;
  return object;
}

/* ---- platform, device, context, queue ----------------------------------------------------------------------------------- */

static cl_int CL_API_CALL platform_info(cl_platform_id platform, cl_platform_info what, size_t size, void *out, size_t *out_size) {
  (void)platform;
  const fake_persona *me = fake_persona_now();
  switch (what) {
    case CL_PLATFORM_NAME:
      return give_text(me->platform, size, out, out_size);
    case CL_PLATFORM_VENDOR:
      return give_text(me->vendor, size, out, out_size);
    case CL_PLATFORM_VERSION:
      return give_text(me->version, size, out, out_size);
    case CL_PLATFORM_EXTENSIONS:
      return give_text("cl_khr_icd", size, out, out_size);
    case CL_PLATFORM_ICD_SUFFIX_KHR:
      return give_text("FAKE", size, out, out_size);
    default:
      return give_text("FULL_PROFILE", size, out, out_size);
  }
}

static cl_int CL_API_CALL device_ids(cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
                                     cl_uint *out_count) {
  (void)platform;
  if (!(type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT))) return CL_DEVICE_NOT_FOUND;
  if (devices && count) devices[0] = &the_device;
  if (out_count) *out_count = 1;
  return CL_SUCCESS;
}

static size_t size_count(const fake_persona *me) {
  size_t count = 0;
  while (count < FAKE_MOST_SIZES && me->sub_groups[count]) count++;
  return count;
}

static cl_int device_words(const fake_persona *me, cl_device_info what, size_t size, void *out, size_t *out_size) {
  switch (what) {
    case CL_DEVICE_NAME:
      return give_text(me->device, size, out, out_size);
    case CL_DEVICE_VENDOR:
      return give_text(me->vendor, size, out, out_size);
    case CL_DEVICE_VERSION:
      return give_text(me->version, size, out, out_size);
    case CL_DRIVER_VERSION:
      return give_text("1.0 stand-in", size, out, out_size);
    case CL_DEVICE_EXTENSIONS:
      return give_text(me->extensions, size, out, out_size);
    case CL_DEVICE_PROFILE:
      return give_text("FULL_PROFILE", size, out, out_size);
    case CL_DEVICE_OPENCL_C_VERSION:
      return give_text("OpenCL C 1.2", size, out, out_size);
    default:
      return CL_INVALID_VALUE;
  }
}

static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info what, size_t size, void *out, size_t *out_size) {
  enum { SUB_GROUP_SIZES = 0x4108 };
  const fake_persona *me = fake_persona_now();
  const cl_platform_id platform = &the_platform;
  (void)device;
  switch (what) {
    case CL_DEVICE_TYPE:
      return give_u64(CL_DEVICE_TYPE_GPU, size, out, out_size);
    case CL_DEVICE_PLATFORM:
      return give(&platform, sizeof platform, size, out, out_size);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
      return give_u32(3, size, out, out_size);
    case CL_DEVICE_MAX_CLOCK_FREQUENCY:
      return give_u32(1000, size, out, out_size);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
      return give_u64(UINT64_C(4) << 30, size, out, out_size);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
      return give_u64(UINT64_C(1) << 30, size, out, out_size);
    case CL_DEVICE_LOCAL_MEM_SIZE:
      return give_u64(65536, size, out, out_size);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
      return give_u64(FAKE_MOST_GROUP, size, out, out_size);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
      return give_u32(me->unified, size, out, out_size);
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
      return give_u32(CL_TRUE, size, out, out_size);
    case CL_DEVICE_SINGLE_FP_CONFIG:
      return give_u64(me->single, size, out, out_size);
    case CL_DEVICE_DOUBLE_FP_CONFIG:
      return give_u64(CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_DENORM | CL_FP_FMA, size, out, out_size);
    case SUB_GROUP_SIZES:
      return give(me->sub_groups, size_count(me) * sizeof me->sub_groups[0], size, out, out_size);
    default:
      return device_words(me, what, size, out, out_size);
  }
}

static cl_context CL_API_CALL create_context(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                                             void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *user,
                                             cl_int *out_error) {
  (void)properties, (void)count, (void)devices, (void)notify, (void)user;
  return answer(&the_context, CL_SUCCESS, out_error);
}
static cl_int CL_API_CALL release_context(cl_context context) {
  (void)context;
  return CL_SUCCESS;
}
static cl_command_queue CL_API_CALL create_queue(cl_context context, cl_device_id device, cl_command_queue_properties properties,
                                                 cl_int *out_error) {
  (void)context, (void)device, (void)properties;
  cl_command_queue queue = calloc(1, sizeof *queue);
  if (queue) queue->dispatch = &table;
  return answer(queue, CL_OUT_OF_HOST_MEMORY, out_error);
}
static cl_int CL_API_CALL release_queue(cl_command_queue queue) {
  free(queue);
  return CL_SUCCESS;
}
static cl_int CL_API_CALL flush(cl_command_queue queue) {
  (void)queue;
  return CL_SUCCESS;
}

/* ---- events: everything is done when the call returns --------------------------------------------------------------------- */

static cl_int done(cl_int state, cl_event *out_event) {
  if (!out_event) return CL_SUCCESS;
  cl_event event = calloc(1, sizeof *event);
  if (!event) return CL_OUT_OF_HOST_MEMORY;
  *event = (struct _cl_event){&table, 1, state};
  *out_event = event;
  return CL_SUCCESS;
}
static cl_int failed_before(cl_uint count, const cl_event *waits) {
  for (cl_uint i = 0; i < count; i++)
    if (waits[i]->state < 0) return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
  return CL_SUCCESS;
}
static cl_int CL_API_CALL marker(cl_command_queue queue, cl_uint count, const cl_event *waits, cl_event *out_event) {
  (void)queue;
  const cl_int before = failed_before(count, waits);
  return done(before ? before : CL_COMPLETE, out_event);
}
static cl_int CL_API_CALL wait_for_events(cl_uint count, const cl_event *events) { return failed_before(count, events); }
static cl_int CL_API_CALL event_info(cl_event event, cl_event_info what, size_t size, void *out, size_t *out_size) {
  (void)what;
  return give(&event->state, sizeof event->state, size, out, out_size);
}
static cl_int CL_API_CALL retain_event(cl_event event) {
  __atomic_fetch_add(&event->count, 1, __ATOMIC_RELAXED);
  return CL_SUCCESS;
}
static cl_int CL_API_CALL release_event(cl_event event) {
  if (__atomic_fetch_sub(&event->count, 1, __ATOMIC_ACQ_REL) == 1) free(event);
  return CL_SUCCESS;
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------ */

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *out_error) {
  (void)context;
  const bool ours = !(flags & CL_MEM_USE_HOST_PTR);
  cl_mem memory = calloc(1, sizeof *memory);
  if (!memory) return answer(NULL, CL_OUT_OF_HOST_MEMORY, out_error);
  *memory = (struct _cl_mem){&table, 1, ours ? malloc(size) : host, size, ours};
  if (!memory->bytes) {
    free(memory);
    return answer(NULL, CL_MEM_OBJECT_ALLOCATION_FAILURE, out_error);
  }
  if (flags & CL_MEM_COPY_HOST_PTR) memcpy(memory->bytes, host, size);
  return answer(memory, CL_SUCCESS, out_error);
}
static cl_int CL_API_CALL release_memory(cl_mem memory) {
  if (__atomic_fetch_sub(&memory->count, 1, __ATOMIC_ACQ_REL) != 1) return CL_SUCCESS;
  if (memory->ours) free(memory->bytes);
  free(memory);
  return CL_SUCCESS;
}
static cl_int CL_API_CALL read_buffer(cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size, void *to,
                                      cl_uint count, const cl_event *waits, cl_event *out_event) {
  (void)queue, (void)blocking;
  const cl_int before = failed_before(count, waits);
  if (!before) memcpy(to, memory->bytes + offset, size);
  return done(before ? before : CL_COMPLETE, out_event);
}
static cl_int CL_API_CALL write_buffer(cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size,
                                       const void *from, cl_uint count, const cl_event *waits, cl_event *out_event) {
  (void)queue, (void)blocking;
  const cl_int before = failed_before(count, waits);
  if (!before) memcpy(memory->bytes + offset, from, size);
  return done(before ? before : CL_COMPLETE, out_event);
}
static cl_int CL_API_CALL copy_buffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size,
                                      cl_uint count, const cl_event *waits, cl_event *out_event) {
  (void)queue;
  const cl_int before = failed_before(count, waits);
  if (!before) memcpy(to->bytes + to_offset, from->bytes + from_offset, size);
  return done(before ? before : CL_COMPLETE, out_event);
}
static cl_int CL_API_CALL fill_buffer(cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_size, size_t offset,
                                      size_t size, cl_uint count, const cl_event *waits, cl_event *out_event) {
  (void)queue;
  const cl_int before = failed_before(count, waits);
  for (size_t i = 0; !before && i < size; i += pattern_size) memcpy(memory->bytes + offset + i, pattern, pattern_size);
  return done(before ? before : CL_COMPLETE, out_event);
}

/* ---- programs ------------------------------------------------------------------------------------------------------------------ */

static cl_program new_program(cl_int *out_error) {
  cl_program program = calloc(1, sizeof *program);
  if (program) {
    program->dispatch = &table;
    program->count = 1;
  }
  return answer(program, CL_OUT_OF_HOST_MEMORY, out_error);
}
static cl_program CL_API_CALL program_with_source(cl_context context, cl_uint count, const char **texts, const size_t *lengths,
                                                  cl_int *out_error) {
  (void)context, (void)lengths;
  cl_program program = new_program(out_error);
  size_t size = 1;
  for (cl_uint i = 0; i < count; i++) size += strlen(texts[i]);
  if (!program) return NULL;
  program->text = calloc(1, size);
  size_t at = 0;
  for (cl_uint i = 0; program->text && i < count; i++) {
    const size_t length = strlen(texts[i]);
    memcpy(program->text + at, texts[i], length);
    at += length;
  }
  return program;
}
static cl_program CL_API_CALL program_with_binary(cl_context context, cl_uint count, const cl_device_id *devices, const size_t *lengths,
                                                  const unsigned char **binaries, cl_int *out_status, cl_int *out_error) {
  (void)context, (void)count, (void)devices;
  cl_program program = new_program(out_error);
  if (!program) return NULL;
  program->code = fake_code_load(binaries[0], lengths[0]);
  if (out_status) *out_status = program->code ? CL_SUCCESS : CL_INVALID_BINARY;
  if (out_error) *out_error = program->code ? CL_SUCCESS : CL_INVALID_BINARY;
  return program;
}
static cl_int CL_API_CALL build_program(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                                        void(CL_CALLBACK *notify)(cl_program, void *), void *user) {
  (void)count, (void)devices, (void)notify, (void)user;
  if (program->code) return CL_SUCCESS;
  if (!program->text) return CL_INVALID_BINARY;
  program->code = fake_code_build(program->text, options, &program->log);
  return program->code ? CL_SUCCESS : CL_BUILD_PROGRAM_FAILURE;
}
static cl_int CL_API_CALL build_info(cl_program program, cl_device_id device, cl_program_build_info what, size_t size, void *out,
                                     size_t *out_size) {
  (void)device, (void)what;
  return give_text(program->log ? program->log : "", size, out, out_size);
}
static cl_int CL_API_CALL program_info(cl_program program, cl_program_info what, size_t size, void *out, size_t *out_size) {
  size_t bytes = 0;
  const void *binary = program->code ? fake_code_binary(program->code, &bytes) : NULL;
  if (what == CL_PROGRAM_BINARY_SIZES) return give_u64(bytes, size, out, out_size);
  if (what != CL_PROGRAM_BINARIES || !binary) return CL_INVALID_VALUE;
  memcpy(*(unsigned char **)out, binary, bytes);
  return CL_SUCCESS;
}
static cl_int CL_API_CALL release_program(cl_program program) {
  if (__atomic_fetch_sub(&program->count, 1, __ATOMIC_ACQ_REL) != 1) return CL_SUCCESS;
  fake_code_free(program->code);
  free(program->text);
  free(program->log);
  free(program);
  return CL_SUCCESS;
}

/* ---- kernels --------------------------------------------------------------------------------------------------------------------- */

static cl_kernel CL_API_CALL create_kernel(cl_program program, const char *name, cl_int *out_error) {
  fake_kind kinds[FAKE_MOST_ARGUMENTS];
  int count = 0;
  void *function = program->code ? fake_code_find(program->code, name, kinds, &count) : NULL;
  cl_kernel kernel = function ? calloc(1, sizeof *kernel) : NULL;
  if (!kernel) return answer(NULL, CL_INVALID_KERNEL_NAME, out_error);
  kernel->dispatch = &table;
  kernel->function = function;
  kernel->program = program;
  kernel->arguments = count;
  for (int i = 0; i < count; i++) kernel->argument[i].kind = kinds[i];
  __atomic_fetch_add(&program->count, 1, __ATOMIC_RELAXED);
  return answer(kernel, CL_SUCCESS, out_error);
}
static cl_int CL_API_CALL release_kernel(cl_kernel kernel) {
  release_program(kernel->program);
  free(kernel);
  return CL_SUCCESS;
}
static cl_int CL_API_CALL set_argument(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
  if ((int)index >= kernel->arguments) return CL_INVALID_ARG_INDEX;
  fake_argument *a = &kernel->argument[index];
  if (size != (a->kind == FAKE_REAL ? sizeof a->real : sizeof a->whole)) return CL_INVALID_ARG_SIZE;
  memcpy(&a->whole, value, size);
  if (a->kind != FAKE_BUFFER || !a->whole) return CL_SUCCESS;
  const struct _cl_mem *memory;
  memcpy(&memory, value, sizeof memory);
  a->whole = (int64_t)(uintptr_t)memory->bytes;
  return CL_SUCCESS;
}
static cl_int CL_API_CALL kernel_info(cl_kernel kernel, cl_kernel_info what, size_t size, void *out, size_t *out_size) {
  return what == CL_KERNEL_NUM_ARGS ? give_u32((cl_uint)kernel->arguments, size, out, out_size) : CL_INVALID_VALUE;
}
static cl_int CL_API_CALL kernel_group_info(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what, size_t size, void *out,
                                            size_t *out_size) {
  (void)kernel, (void)device;
  if (what == CL_KERNEL_LOCAL_MEM_SIZE) return give_u64(0, size, out, out_size); /* the code's own data: not counted */
  return give_u64(what == CL_KERNEL_WORK_GROUP_SIZE ? FAKE_MOST_GROUP : FAKE_TEAM, size, out, out_size);
}

static cl_int CL_API_CALL enqueue_kernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset,
                                         const size_t *global, const size_t *local, cl_uint count, const cl_event *waits,
                                         cl_event *out_event) {
  (void)queue;
  cl_int state = failed_before(count, waits);
  fake_launch launch = {kernel->function, kernel->argument, kernel->arguments, {1, 1, 1}, {1, 1, 1}};
  for (cl_uint d = 0; d < dimensions; d++) {
    launch.global[d] = global[d];
    launch.local[d] = local[d];
    if (!local[d] || global[d] % local[d]) return CL_INVALID_WORK_GROUP_SIZE;
  }
  if (launch.local[0] * launch.local[1] * launch.local[2] > FAKE_MOST_GROUP) return CL_INVALID_WORK_GROUP_SIZE;
  for (cl_uint d = 0; offset && d < dimensions; d++)
    if (offset[d]) return CL_INVALID_GLOBAL_OFFSET; /* no text of lanes or blocks wants one */
  const char *wrong = state ? NULL : fake_launch_run(&launch);
  if (wrong) {
    fprintf(stderr, "stand-in OpenCL: %s\n", wrong);
    state = CL_OUT_OF_RESOURCES;
  }
  return done(state ? state : CL_COMPLETE, out_event);
}

/* ---- the table -------------------------------------------------------------------------------------------------------------------- */

static const cl_icd_dispatch table = {
    .clGetPlatformInfo = platform_info,
    .clGetDeviceIDs = device_ids,
    .clGetDeviceInfo = device_info,
    .clCreateContext = create_context,
    .clReleaseContext = release_context,
    .clCreateCommandQueue = create_queue,
    .clReleaseCommandQueue = release_queue,
    .clFlush = flush,
    .clFinish = flush,
    .clCreateBuffer = create_buffer,
    .clReleaseMemObject = release_memory,
    .clEnqueueReadBuffer = read_buffer,
    .clEnqueueWriteBuffer = write_buffer,
    .clEnqueueCopyBuffer = copy_buffer,
    .clEnqueueFillBuffer = fill_buffer,
    .clCreateProgramWithSource = program_with_source,
    .clCreateProgramWithBinary = program_with_binary,
    .clBuildProgram = build_program,
    .clGetProgramBuildInfo = build_info,
    .clGetProgramInfo = program_info,
    .clReleaseProgram = release_program,
    .clCreateKernel = create_kernel,
    .clReleaseKernel = release_kernel,
    .clSetKernelArg = set_argument,
    .clGetKernelInfo = kernel_info,
    .clGetKernelWorkGroupInfo = kernel_group_info,
    .clEnqueueNDRangeKernel = enqueue_kernel,
    .clEnqueueMarkerWithWaitList = marker,
    .clWaitForEvents = wait_for_events,
    .clGetEventInfo = event_info,
    .clRetainEvent = retain_event,
    .clReleaseEvent = release_event,
};

EXPORT cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint count, cl_platform_id *platforms, cl_uint *out_count) {
  if (platforms && count) platforms[0] = &the_platform;
  if (out_count) *out_count = 1;
  return CL_SUCCESS;
}

EXPORT void *CL_API_CALL clGetExtensionFunctionAddress(const char *name) {
  cl_int(CL_API_CALL * ids)(cl_uint, cl_platform_id *, cl_uint *) = clIcdGetPlatformIDsKHR;
  cl_int(CL_API_CALL * info)(cl_platform_id, cl_platform_info, size_t, void *, size_t *) = platform_info; /* ocl-icd asks for it so */
  void *address = NULL;
  if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) memcpy(&address, &ids, sizeof address);
  if (strcmp(name, "clGetPlatformInfo") == 0) memcpy(&address, &info, sizeof address);
  return address;
}
