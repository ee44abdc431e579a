/* The inside of the OpenCL backend. SPDX-License-Identifier: Apache-2.0
 *
 *   opencl.c         the table; open, enumerate, destroy
 *   opencl_error.c   what an OpenCL code means: status code, cause, next step
 *   opencl_vendor.c  what we know of vendors; how lanes exchange values
 *   opencl_device.c  context and memory
 *   opencl_build.c   kernel text to kernels: programs kept per device
 *   opencl_cache.c   built programs on disk
 *   opencl_trial.c   texts that may crash a compiler
 *   opencl_stream.c  queues: submit, poll, wait; points on the timeline are events
 */
#ifndef FOGHORN_BACKENDS_OPENCL_OPENCL_INTERNAL_H_
#define FOGHORN_BACKENDS_OPENCL_OPENCL_INTERNAL_H_

#include <pthread.h>
#include <sys/types.h>

#include "backends/backend.h"
#include "detect/drivers/opencl_driver.h"

enum {
  FH_CL_MAX_DEVICES = 64,
  FH_CL_POINTS = 256,            /* batches in flight on a stream before submit waits for the oldest */
  FH_CL_GPU_LOCAL = 64,          /* work-items of a group on a GPU, at most; the kernel's preference counts below it */
  FH_CL_LANES = 16,              /* work-items of an item, where each has a lane of its own */
  FH_CL_LANES_LOCAL = 128,       /* work-items of such a group: whole wavefronts of 64, and enough groups for small launches */
  FH_CL_GROUPS_OF_UNIT = 64,     /* of such groups for each compute unit; items beyond are taken in a stride */
  FH_CL_CPU_ALIAS = 64,          /* host memory that a CPU reads in place begins on such a boundary: that of a line */
  FH_CL_GPU_ALIAS = 4096,        /* and that of a GPU on a page, and is whole lines: Intel's drivers copy what is not */
  FH_CL_ENQUEUE_ITEMS = 1 << 30, /* some drivers count work-items in 32 bits */
  FH_CL_TEXT = 256,
};

/* How the dialect's 16 lanes lie: in a vector of one work-item, or one in each of 16 that exchange values so. */
typedef enum fh_cl_lanes {
  FH_CL_VECTORS,
  FH_CL_LANES_KHR,
  FH_CL_LANES_INTEL,
  FH_CL_LANES_AMD,
  FH_CL_LANES_NVIDIA,
} fh_cl_lanes;

/* "vectors" or "work-items" instead of what suits the device. */
#define FH_CL_LANES_VARIABLE "FOGHORN_OPENCL_LANES"

/* What a device says of itself and its vendor is known by. */
typedef struct fh_cl_traits {
  char platform[FH_CL_TEXT], vendor[FH_CL_TEXT], version[FH_CL_TEXT], driver[64];
  char extensions[8192];
  bool sub_group_16; /* sub-groups can be asked to have 16 work-items */
} fh_cl_traits;

typedef struct fh_cl_found {
  fh_device_info info;
  cl_platform_id platform;
  cl_device_id handle;
  bool shares_host_memory;
  bool rounds_divide; /* takes -cl-fp32-correctly-rounded-divide-sqrt */
  bool available, compiler, little_endian;
  size_t max_alloc, max_group;
  fh_cl_lanes lanes;
  const char *c_version; /* of -cl-std */
  const char *refused;   /* why nothing runs here; NULL: it does */
  bool frail;            /* its compiler may crash on texts for blocks: they are tried in a child */
  char platform_name[FH_CL_TEXT];
  int place; /* among the platform's devices */
  char why_not_exact[FH_CL_TEXT];
  char key[4 * FH_CL_TEXT]; /* everything of the driver that a built program depends on */
} fh_cl_found;

struct fh_backend {
  fh_opencl_driver driver;
  pid_t pid;       /* that opened the platforms: drivers do not survive a fork */
  char *cache_dir; /* or NULL */
  bool allow_fake;
  int device_count;
  fh_cl_found *devices;
};

/* A text that one program is made of. */
typedef struct fh_cl_code {
  const fh_kernel_image *image;
  const char *name; /* of the kernel, or of its text for blocks */
  const char *source;
  fh_cl_lanes lanes;
  bool blocks; /* a text for blocks */
} fh_cl_code;

typedef struct fh_cl_program {
  const char *source;
  cl_program handle;
  fh_cl_lanes asked, lanes; /* what it was asked for, and what it was built for */
  struct fh_cl_program *next;
} fh_cl_program;

struct fh_device {
  fh_backend *backend;
  const fh_cl_found *found;
  const fh_opencl_functions *fn;
  cl_context context;
  pthread_mutex_t lock; /* programs */
  fh_cl_program *programs;
  int64_t enqueue_items;       /* more items than this are cut into several enqueues */
  _Atomic(uint64_t) allocated; /* bytes that we hold */
  int built, loaded;           /* programs from source and from the cache on disk */
};

struct fh_memory {
  fh_device *device;
  cl_mem handle;
  size_t bytes;
  bool alias; /* of host memory */
};

struct fh_executable {
  fh_device *device;
  const fh_entry_image *entry;
  const char *name; /* of the kernel function */
  cl_kernel handle;
  size_t local;                    /* work-items of a group; of a variant for blocks the most that the kernel can have */
  const fh_block_variant *variant; /* for blocks; NULL: the dialect's entry */
  int step;                        /* which of the variant's launches */
  bool lanes;                      /* FH_CL_LANES work-items to an item */
  pthread_mutex_t lock;            /* a kernel object holds its arguments until it is enqueued */
};

struct fh_stream {
  fh_device *device;
  cl_command_queue queue;
  fh_point submitted, completed;
  fh_status failure;             /* what killed the stream; FH_OK: alive */
  cl_event tail;                 /* of the last command: the next waits for it, so that a failure reaches every later event */
  bool tail_marked;              /* the tail stands for a point already */
  cl_event events[FH_CL_POINTS]; /* of point p: events[p % FH_CL_POINTS]; NULL: reached */
};

/* A status for a failed call. `what` says what we were doing, in words. */
fh_status fh_cl_fail(cl_int error, const char *call, const char *file, int line, const char *format, ...) FH_PRINTF(5, 6);
#define FH_CL_FAIL(error, call, ...) fh_cl_fail((error), (call), __FILE__, __LINE__, __VA_ARGS__)

/* False in a child of the process that opened the backend: clean-up then leaves the driver alone. */
bool fh_cl_may_call(const fh_backend *backend);
/* FAILED_PRECONDITION in a child of the process that opened the backend: drivers must not be called there. */
fh_status fh_cl_same_process(const fh_backend *backend);

fh_status fh_cl_check_settings(void);
/* Sets lanes, c_version and refused, from the device's kind and what it says of itself. */
void fh_cl_judge_vendor(const fh_cl_traits *traits, fh_cl_found *found);
/* What the prelude of lanes is told; NULL for vectors. */
const char *fh_cl_lanes_define(fh_cl_lanes lanes);
const char *fh_cl_lanes_words(fh_cl_lanes lanes);

fh_status fh_cl_device_open(fh_backend *backend, int index, fh_device **out_device);
void fh_cl_device_close(fh_device *device);
fh_status fh_cl_query_free_memory(fh_device *device, uint64_t *out_bytes);
fh_status fh_cl_alloc(fh_device *device, size_t bytes, fh_memory **out_memory);
fh_status fh_cl_alias(fh_device *device, const void *host, size_t bytes, fh_memory **out_memory);
void fh_cl_free(fh_memory *memory);
void *fh_cl_map(fh_memory *memory);

fh_status fh_cl_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable);
void fh_cl_release(fh_executable *executable);
void fh_cl_release_programs(fh_device *device);

/* A program that was built before for this device, driver, text and options; NULL: none, or none that can be trusted (the log
 * says why). */
cl_program fh_cl_cache_load(fh_device *device, const fh_cl_code *code, const char *options);
/* Builds the text in a child: INCOMPATIBLE when the compiler crashes or hangs on it. */
fh_status fh_cl_try_build(const fh_device *device, const fh_cl_code *code, const char *options);
/* Keeps a built program for later processes. A cache that cannot be written is said and not an error. */
void fh_cl_cache_store(fh_device *device, const fh_cl_code *code, const char *options, cl_program program);

fh_status fh_cl_stream_open(fh_device *device, fh_stream **out_stream);
void fh_cl_stream_close(fh_stream *stream);
fh_status fh_cl_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point);
fh_status fh_cl_poll(fh_stream *stream, fh_point point, bool *out_done);
fh_status fh_cl_wait(fh_stream *stream, fh_point point, int64_t timeout_ns);

#endif /* FOGHORN_BACKENDS_OPENCL_OPENCL_INTERNAL_H_ */
