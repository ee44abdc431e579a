/* The inside of the CUDA backend. SPDX-License-Identifier: Apache-2.0
 *
 *   cuda.c         the table; open, enumerate, destroy
 *   cuda_error.c   what a driver code means: status code, cause, whether the context survives
 *   cuda_device.c  primary context, memory and its free list
 *   cuda_module.c  PTX to functions: prepare, release
 *   cuda_stream.c  queues: submit, poll, wait; points on the timeline are events
 *
 * The process may share its primary contexts with others (a framework, say): one is retained, made current only around
 * our own calls, and never reset.
 */
#ifndef FOGHORN_BACKENDS_CUDA_CUDA_INTERNAL_H_
#define FOGHORN_BACKENDS_CUDA_CUDA_INTERNAL_H_

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "backends/backend.h"
#include "detect/drivers/cuda_driver.h"

enum {
  FH_CUDA_LANES = 16,          /* threads that share an item: the dialect's lane count */
  FH_CUDA_BLOCK = 256,         /* threads of a block */
  FH_CUDA_MIN_CAPABILITY = 60, /* of the PTX that the build makes */
  FH_CUDA_POINTS = 256,        /* batches in flight on a stream before submit waits for the oldest */
  FH_CUDA_FREE_BLOCKS = 32,    /* freed allocations kept for reuse */
};

typedef struct fh_cuda_found {
  fh_device_info info;
  fh_cu_device handle;
  int compute_mode;
  int resident_threads; /* per multiprocessor */
} fh_cuda_found;

struct fh_backend {
  fh_cuda_driver driver;
  pid_t pid; /* that called cuInit: a driver does not survive a fork */
  int device_count;
  fh_cuda_found *devices;
};

typedef struct fh_cuda_module {
  const fh_kernel_image *image;
  fh_cu_module handle;
  struct fh_cuda_module *next;
} fh_cuda_module;

typedef struct fh_cuda_block {
  fh_cu_ptr address;
  size_t bytes;
} fh_cuda_block;

struct fh_device {
  fh_backend *backend;
  const fh_cuda_found *found;
  const fh_cuda_functions *fn;
  fh_cu_context context;
  _Atomic(fh_cu_result) dead; /* the code that killed the context; 0: alive */
  atomic_int busy_streams;    /* streams with batches that are not known to be done */
  atomic_bool stuck;          /* its work did not end in time: even a call that frees might never return */
  pthread_mutex_t lock;       /* for all that follows */
  fh_cuda_module *modules;
  fh_cuda_block free_blocks[FH_CUDA_FREE_BLOCKS];
  int free_count;
  size_t free_bytes, free_bytes_limit;
  fh_memory *waiting; /* freed while a stream was busy: ended when none is */
};

struct fh_memory {
  fh_device *device;
  fh_memory *next; /* among those freed while work was in flight */
  fh_cuda_block block;
  size_t bytes; /* asked for; the block may be larger */
};

struct fh_executable {
  fh_device *device;
  const fh_entry_image *entry;
  fh_cu_function function;
  unsigned block; /* threads */
  unsigned max_grid;
};

struct fh_stream {
  fh_device *device;
  fh_cu_stream handle;
  fh_point submitted, completed;
  bool late;                            /* a wait timed out and nothing was reached since */
  fh_status failure;                    /* what killed the stream; FH_OK: alive */
  fh_cu_event events[FH_CUDA_POINTS];   /* of point p: events[p % FH_CUDA_POINTS]; made on first use */
  const char *launched[FH_CUDA_POINTS]; /* last entry launched before that point; NULL: none */
};

/* A status for a failed driver call. Kills the device when the code is one that the context does not survive.
 * `device` may be NULL (no device yet). `what` is what we were doing, in words: "launching softmax". */
fh_status fh_cuda_fail(const fh_backend *backend, fh_device *device, fh_cu_result code, const char *call, const char *file, int line,
                       const char *format, ...) FH_PRINTF(7, 8);
#define FH_CUDA_FAIL(device, code, call, ...) fh_cuda_fail((device)->backend, (device), (code), (call), __FILE__, __LINE__, __VA_ARGS__)

/* UNAVAILABLE when the device's context is dead. */
fh_status fh_cuda_alive(const fh_device *device);
/* False in a child of the process that opened the backend: the driver must not be called. */
bool fh_cuda_same_process(const fh_backend *backend);

/* Makes the device's context current on this thread; every true enter needs its leave. */
fh_status fh_cuda_enter(fh_device *device);
void fh_cuda_leave(fh_device *device);
/* For clean-up that cannot report: enters when the driver can still be called. */
bool fh_cuda_enter_quietly(fh_device *device);

fh_status fh_cuda_device_open(fh_backend *backend, int index, fh_device **out_device);
void fh_cuda_device_close(fh_device *device);
fh_status fh_cuda_query_free_memory(fh_device *device, uint64_t *out_bytes);
fh_status fh_cuda_alloc(fh_device *device, size_t bytes, fh_memory **out_memory);
void fh_cuda_free(fh_memory *memory);
void *fh_cuda_map(fh_memory *memory);

fh_status fh_cuda_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable);
void fh_cuda_release(fh_executable *executable);
void fh_cuda_unload_modules(fh_device *device, bool entered);

fh_status fh_cuda_stream_open(fh_device *device, fh_stream **out_stream);
void fh_cuda_stream_close(fh_stream *stream);
fh_status fh_cuda_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point);
fh_status fh_cuda_poll(fh_stream *stream, fh_point point, bool *out_done);
fh_status fh_cuda_wait(fh_stream *stream, fh_point point, int64_t timeout_ns);

#endif /* FOGHORN_BACKENDS_CUDA_CUDA_INTERNAL_H_ */
