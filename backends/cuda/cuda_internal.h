/* The inside of the CUDA backend. SPDX-License-Identifier: Apache-2.0
 *
 *   cuda.c         the table; open, enumerate, destroy
 *   cuda_error.c   what a driver code means: status code, cause, whether the context survives
 *   cuda_device.c  the primary context
 *   cuda_memory.c  allocations: which of the two sources below, and in what order with streams
 *   cuda_pool.c    memory of the driver's stream-ordered pools
 *   cuda_cache.c   memory of cuMemAlloc, kept and cut to size: where a driver has no pools that work
 *   cuda_module.c  PTX to functions: prepare, release
 *   cuda_binary.c  PTX to modules, and what the driver compiled kept on disk
 *   cuda_staging.c copies between the device and host memory that is not pinned
 *   cuda_pin.c     host memory of the program's own made known to the driver
 *   cuda_peer.c    copies between devices
 *   cuda_tensor.c  what launches of compute capability 9.0 pass beside: tensor maps, clusters
 *   cuda_stream.c  queues: submit, poll, wait; points on the timeline are events
 *   cuda_spare.c   streams that were closed, kept for the next
 *   cuda_launch.c  launches: arguments by the calling convention, shapes checked
 *   cuda_library.c cuBLASLt, where the machine has it: loaded when it is about to be used
 *   cuda_product.c products by it in the place of launches
 *   cuda_replay.c  batches that come again: one graph in place of their launches
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
#include "backends/cuda/cublaslt.h"
#include "detect/drivers/cuda_driver.h"

enum {
  FH_CUDA_LANES = 16,          /* threads that share an item: the dialect's lane count */
  FH_CUDA_BLOCK = 256,         /* threads of a block */
  FH_CUDA_MIN_CAPABILITY = 60, /* of the PTX that the build makes */
  FH_CUDA_CHUNKS = 4,          /* of pinned memory that a stream copies through */
  FH_CUDA_PEERS = 32,          /* devices that one is asked about; others go by the host */
  FH_CUDA_POINTS = 256,        /* batches in flight on a stream before submit waits for the oldest */
};

typedef struct fh_cuda_found {
  fh_device_info info;
  fh_cu_device handle;
  int compute_mode;
  int resident_threads;    /* per multiprocessor */
  uint32_t shared_unasked; /* bytes of a block that a launch gets without cuFuncSetAttribute */
} fh_cuda_found;

typedef struct fh_cuda_products fh_cuda_products; /* what a device keeps for products by cuBLASLt */

/* cuBLASLt. */
typedef struct fh_cuda_library {
  pthread_mutex_t lock; /* while it is looked for */
  atomic_bool looked;   /* what follows is true from then on */
  const char *lacking;  /* why it cannot be used; NULL: it can */
  fh_dynlib *file;
  fh_cublaslt_functions fn;
} fh_cuda_library;

struct fh_backend {
  fh_cuda_driver driver;
  fh_cuda_library library;
  char *cache_dir;       /* for what the driver compiled; NULL: nothing is kept */
  char driver_file[128]; /* name of the driver's library, which has its version: a key of what is kept */
  pid_t pid;             /* that called cuInit: a driver does not survive a fork */
  int device_count;
  fh_cuda_found *devices;
};

/* A text that one module is made of. */
typedef struct fh_cuda_code {
  const char *name; /* of the kernel, or of its text for blocks */
  const char *ptx;
} fh_cuda_code;

typedef struct fh_cuda_module {
  const char *ptx;
  fh_cu_module handle;
  struct fh_cuda_module *next;
} fh_cuda_module;

/* Work that must be done before a block may be used on another stream than this one. */
typedef struct fh_cuda_fence {
  uint64_t stream; /* serial number of an fh_stream; 0: nothing to wait for; FH_CUDA_HOME: the device's own */
  fh_point point;  /* of it */
} fh_cuda_fence;
#define FH_CUDA_HOME UINT64_MAX

typedef struct fh_cuda_span fh_cuda_span; /* a piece of a segment of the cache */

typedef struct fh_cuda_block {
  fh_cu_ptr address;
  fh_cuda_span *span; /* NULL: of the driver's pool */
} fh_cuda_block;

/* Memory of cuMemAlloc. */
typedef struct fh_cuda_cache {
  struct fh_cuda_segment *segments;
  size_t bytes, free_bytes; /* in all; of those not in use */
} fh_cuda_cache;

typedef enum fh_cuda_source { FH_CUDA_UNDECIDED = 0, FH_CUDA_POOL = 1, FH_CUDA_CACHE = 2 } fh_cuda_source;

/* How a device gets at another's memory. */
typedef enum fh_cuda_reach {
  FH_CUDA_NOT_ASKED = 0,
  FH_CUDA_BY_HOST = -1,
  FH_CUDA_STRAIGHT = 1,
  FH_CUDA_STRAIGHT_FROM_POOL = 2
} fh_cuda_reach;

struct fh_device {
  fh_backend *backend;
  const fh_cuda_found *found;
  const fh_cuda_functions *fn;
  fh_cu_context context;
  _Atomic(fh_cu_result) dead;           /* the code that killed the context; 0: alive */
  atomic_int busy_streams;              /* streams with batches that are not known to be done */
  atomic_bool stuck;                    /* its work did not end in time: even a call that frees might never return */
  _Atomic uint64_t last_stream;         /* that took a batch: the likely next user of new memory */
  atomic_size_t pinned_bytes;           /* of all streams' chunks */
  _Atomic(int8_t) peers[FH_CUDA_PEERS]; /* by index of the other: an fh_cuda_reach */
  pthread_mutex_t lock;                 /* for all that follows */
  fh_cuda_module *modules;
  fh_cuda_products *products; /* NULL: none was prepared */
  fh_stream *streams;         /* open ones */
  fh_stream *spares;          /* closed ones, with nothing to do */
  uint64_t stream_serial;
  fh_cuda_source source;  /* of new memory */
  size_t keep_bytes;      /* freed memory that is kept for reuse, at most */
  int pool_misses;        /* in a row: the pool had no memory where cuMemAlloc had */
  bool pool_full;         /* what its trial failed of */
  const char *pool_doubt; /* why a pool that the driver promised is not used, until it is said */
  fh_cu_pool pool;
  fh_cu_stream home; /* pool memory is allocated and freed in order with it where no stream of ours has to do with it */
  fh_cu_event order; /* makes a stream wait for another; recorded anew each time */
  fh_cuda_cache cache;
  fh_memory *waiting; /* freed while several streams may use it: ended when none is busy */
};

struct fh_memory {
  fh_device *device;
  fh_memory *next; /* among those freed while work was in flight */
  fh_cuda_block block;
  size_t bytes;           /* asked for; the block may be larger */
  fh_cuda_fence fence;    /* of the block when it was given out */
  _Atomic uint64_t user;  /* serial number of the stream that used it last; 0: none yet */
  _Atomic uint8_t shared; /* several streams have used it */
};

struct fh_executable {
  fh_device *device;
  const fh_entry_image *entry;
  const char *name;                  /* of the function */
  const fh_kernel_contract *product; /* of a vendor's library in the function's place; NULL: none */
  fh_cu_function function;
  unsigned block; /* threads; of a variant for blocks the most that the function can have */
  unsigned max_grid;
  const fh_block_variant *variant; /* for blocks; NULL: the dialect's entry */
  int step;                        /* which of the variant's launches */
  uint32_t shared_static;          /* bytes that the text itself declares for a block */
  _Atomic(uint32_t) shared_given;  /* bytes that a launch may add */
};

/* Pinned memory on the way between a device and other memory. */
typedef struct fh_cuda_chunk {
  char *host;
  uint64_t id; /* that the driver gave its memory; 0: it was not told */
  fh_cu_event event;
  bool queued;    /* the device may still use it: its event is recorded and not seen yet */
  fh_point point; /* of the batch that does */
  void *out;      /* where its bytes go then; NULL: nowhere, it went to the device */
  size_t out_bytes;
} fh_cuda_chunk;

typedef struct fh_cuda_staging {
  fh_cuda_chunk chunks[FH_CUDA_CHUNKS]; /* used in turn */
  int count, next;
  bool full;                       /* no more could be made */
  bool told;                       /* that there is none */
  fh_cu_stream copier;             /* copies to the device beside kernels; made on first use */
  fh_cu_event copied;              /* of its last copy */
  char *written_from, *written_to; /* host memory that the driver's own copies write */
  fh_point written_at;             /* of the last of them */
} fh_cuda_staging;

struct fh_stream {
  fh_device *device;
  fh_cu_stream handle;
  uint64_t serial;                       /* unique within the device */
  fh_stream *next;                       /* of the device's open ones, or spare ones */
  size_t freed_bytes;                    /* to the pool, by commands that are not done; with the device's lock held */
  fh_point freed_at;                     /* when the last of them are */
  _Atomic fh_point submitted, completed; /* written by the stream's own thread */
  atomic_bool late;                      /* a wait timed out and nothing was reached since */
  fh_cuda_staging staging;
  fh_status failure;                    /* what killed the stream; FH_OK: alive */
  fh_point marked;                      /* the last point that has an event */
  fh_cu_event events[FH_CUDA_POINTS];   /* of marked points p: events[p % FH_CUDA_POINTS]; made on first use */
  fh_point marks[FH_CUDA_POINTS];       /* that the events stand for */
  const char *launched[FH_CUDA_POINTS]; /* last entry launched before that point; NULL: none */
  const char *latest;                   /* the entry launched last of all; NULL: none */
};

/* A status for a failed driver call. Kills the device when the code is one that the context does not survive.
 * `device` may be NULL (no device yet). `what` is what we were doing, in words: "launching softmax". */
fh_status fh_cuda_fail(const fh_backend *backend, fh_device *device, fh_cu_result code, const char *call, const char *file, int line,
                       const char *format, ...) FH_PRINTF(7, 8);
#define FH_CUDA_FAIL(device, code, call, ...) fh_cuda_fail((device)->backend, (device), (code), (call), __FILE__, __LINE__, __VA_ARGS__)

/* UNAVAILABLE when the device's context is dead. */
fh_status fh_cuda_alive(const fh_device *device);
/* It is found to be another context than ours: says so, and kills the device. */
fh_status fh_cuda_was_reset(fh_device *device);
/* False in a child of the process that opened the backend: the driver must not be called. */
bool fh_cuda_same_process(const fh_backend *backend);

/* Makes the device's context current on this thread, for calls that captures of others do not mind; every true enter needs its leave. */
fh_status fh_cuda_enter(fh_device *device);
void fh_cuda_leave(fh_device *device);
/* For clean-up that cannot report: enters when the driver can still be called. */
bool fh_cuda_enter_quietly(fh_device *device);

fh_status fh_cuda_device_open(fh_backend *backend, int index, fh_device **out_device);
void fh_cuda_device_close(fh_device *device);
/* A stream that is open, by its serial number; NULL: it is closed, and its work done. With the lock held. */
fh_stream *fh_cuda_find_stream(const fh_device *device, uint64_t serial);

fh_status fh_cuda_query_free_memory(fh_device *device, uint64_t *out_bytes);
fh_status fh_cuda_alloc(fh_device *device, size_t bytes, fh_memory **out_memory);
void fh_cuda_free(fh_memory *memory);
uint64_t fh_cuda_trim(fh_device *device);
void *fh_cuda_map(fh_memory *memory);
/* Makes commands that the stream takes from now on come after whatever the memory's block waits for. With the context current. */
fh_status fh_cuda_use(fh_stream *stream, fh_memory *memory);
/* Has no command used it yet, and can one do so without waiting for any of our streams? */
bool fh_cuda_is_fresh(fh_device *device, fh_memory *memory);
/* Makes what is queued on `stream` from now on come after the fence. With the context current. */
fh_status fh_cuda_wait_fence(fh_device *device, fh_cu_stream stream, const fh_cuda_fence *fence);
/* A wait for one of its streams timed out, and nothing was reached since; with the lock held. */
bool fh_cuda_any_late(const fh_device *device);
/* Gives all that is kept for reuse back to the driver: memory is short. With the lock held and the context current. */
void fh_cuda_give_back(fh_device *device);
/* Ends all memory that is kept, when the device closes. */
void fh_cuda_end_memory(fh_device *device, bool entered);
/* Is the fence's work known to be done? With the lock held. */
bool fh_cuda_fence_reached(const fh_device *device, const fh_cuda_fence *fence);

/* The two sources of memory. All are called with the lock held and the context current. */

/* Makes a pool and tries it. False: it is not to be used; *out_why says why, and *out_wrong whether the driver had promised otherwise. */
bool fh_cuda_pool_open(fh_device *device, const char **out_why, bool *out_wrong);
void fh_cuda_pool_close(fh_device *device);
fh_cu_result fh_cuda_pool_alloc(fh_device *device, size_t bytes, fh_cuda_block *out_block, fh_cuda_fence *out_fence);
void fh_cuda_pool_free(fh_device *device, const fh_cuda_block *block, size_t bytes, const fh_cuda_fence *fence);
/* Bytes that the pool holds and nobody uses. */
uint64_t fh_cuda_pool_idle(fh_device *device);

fh_cu_result fh_cuda_cache_alloc(fh_device *device, size_t bytes, fh_cuda_block *out_block, fh_cuda_fence *out_fence);
void fh_cuda_cache_free(fh_device *device, const fh_cuda_block *block, const fh_cuda_fence *fence);
/* All streams have come to where they were: nothing that is free is in use any more. */
void fh_cuda_cache_settle(fh_device *device);
/* Gives segments of which nothing is in use back to the driver until at most `keep` free bytes are left. */
void fh_cuda_cache_trim(fh_device *device, size_t keep);
/* Forgets everything; what the driver holds stays with the context when `entered` is false. */
void fh_cuda_cache_close(fh_device *device, bool entered);

/* Compiles, or takes from the cache, and loads. `kernel` is a name for messages. With the context current and without the lock. */
fh_status fh_cuda_load_ptx(fh_device *device, const char *kernel, const char *ptx, fh_cu_module *out_module);
fh_status fh_cuda_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable);
void fh_cuda_release(fh_executable *executable);
void fh_cuda_unload_modules(fh_device *device, bool entered);

/* Queue copies. `fresh`: of the memory, before this command (fh_cuda_is_fresh). With the context current. */
fh_status fh_cuda_upload(fh_stream *stream, fh_memory *memory, bool fresh, fh_cu_ptr to, void *from, size_t bytes);
fh_status fh_cuda_download(fh_stream *stream, void *to, fh_cu_ptr from, size_t bytes);
/* Ends, in host memory, copies that write there and are under way. */
fh_status fh_cuda_staging_settle(fh_stream *stream, const void *host, size_t bytes);
/* The device has come to the point: what it copied to the host before goes where it belongs. */
void fh_cuda_staging_reached(fh_stream *stream, fh_point point);
void fh_cuda_staging_close(fh_stream *stream);
/* UNAVAILABLE when what the stream copies through went with a context that somebody has reset; the device is lost then. With the context
 * current. */
fh_status fh_cuda_staging_check(const fh_stream *stream);

bool fh_cuda_reaches(fh_device *device, fh_device *other);
/* Queues a copy to the stream's device from another's memory. With the context current. */
fh_status fh_cuda_copy_from_peer(fh_stream *stream, const fh_command *command);

fh_pinned *fh_cuda_pin(fh_device *device, void *host, size_t bytes);
void fh_cuda_unpin(fh_pinned *pinned);
/* All of it was registered by us in one piece, or allocated or registered pinned by somebody. */
bool fh_cuda_is_pinned(const fh_device *device, const void *host, size_t bytes);

/* Arguments in the order of the calling convention of kernels/contract.h: items, then a pointer as (address, offset),
 * an I64 as long, an F32 as float. */
typedef struct fh_cuda_arguments {
  union {
    int64_t i;
    fh_cu_ptr p;
    float f;
  } values[1 + 2 * FH_MAX_OPERANDS];
  void *pointers[1 + 2 * FH_MAX_OPERANDS + FH_MAX_TENSOR_MAPS]; /* to the values, and behind them to tensor maps */
  int count;
} fh_cuda_arguments;

/* Tensor maps of a launch, as the driver encodes them. */
typedef struct fh_cuda_maps {
  struct {
    _Alignas(64) unsigned char bytes[FH_CU_TENSOR_MAP_BYTES];
  } maps[FH_MAX_TENSOR_MAPS];
  int count;
} fh_cuda_maps;

/* A launch made ready to be queued. */
typedef struct fh_cuda_launch {
  const fh_executable *executable;
  const fh_bound *bound;
  fh_block_shape shape; /* without threads: there is nothing to do */
  fh_cuda_arguments arguments;
  fh_cuda_maps maps; /* where the variant has some */
} fh_cuda_launch;

/* INCOMPATIBLE where the driver cannot make the tensor maps that a variant passes; NULL: it passes none. */
fh_status fh_cuda_check_tensors(const fh_device *device, const fh_block_variant *variant);
/* Those of a launch, whose operands lie at these addresses. */
fh_status fh_cuda_encode_maps(const fh_device *device, const fh_command *command, const fh_cu_ptr *addresses, fh_cuda_maps *out);
/* With the context current. */
fh_status fh_cuda_start(fh_device *device, const fh_executable *executable, const fh_block_shape *shape, fh_cu_stream stream,
                        void **params);

/* Checks the command and makes what the stream takes from now on come after whatever its memory waits for. With the context current. */
fh_status fh_cuda_describe_launch(fh_stream *stream, const fh_command *command, fh_cuda_launch *out_launch);
fh_status fh_cuda_queue_launch(fh_stream *stream, fh_cuda_launch *launch);
/* The device address of a place, checked: a wrong one would kill the whole context. Likewise. */
fh_status fh_cuda_address_of(fh_stream *stream, const char *what, const fh_place *place, size_t bytes, fh_cu_ptr *out_address);

/* Looks for the library; see fh_backend_api. */
const char *fh_cuda_lacks_library(fh_device *device, bool load);
void fh_cuda_library_close(fh_cuda_library *library);
/* Makes a library's product ready. With the context current. */
fh_status fh_cuda_prepare_product(fh_device *device, const fh_recipe *recipe, fh_executable *executable);
fh_status fh_cuda_queue_product(fh_stream *stream, const fh_cuda_launch *launch);
void fh_cuda_products_close(fh_device *device, bool entered);

fh_status fh_cuda_replay(fh_stream *stream, const fh_command *commands, int count, fh_replay **replay, fh_point *out_point,
                         bool *out_refused);
void fh_cuda_replay_end(fh_replay *replay);

/* A moment between two looks at something that was waited for this long already; left_ns < 0: without end. */
void fh_cuda_rest(int64_t waited_ns, int64_t left_ns);

fh_status fh_cuda_stream_open(fh_device *device, fh_stream **out_stream);
void fh_cuda_stream_close(fh_stream *stream);
/* Ends what the driver made for it. With the context current. */
void fh_cuda_stream_end_handles(fh_stream *stream);
/* Takes a stream that is closed in all but its handles, and has nothing under way; false: there are enough. */
bool fh_cuda_spare_keep(fh_stream *stream);
/* One of them, as if new, for the caller to list; NULL: there is none, or the context is not the one that it was made in: UNAVAILABLE. With
 * the context current. */
fh_status fh_cuda_spare_take(fh_device *device, fh_stream **out_stream);
/* Ends all of them; with the lock held, and the context current when `entered`. False: there was none. */
bool fh_cuda_spares_end(fh_device *device, bool entered);
fh_status fh_cuda_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point);
/* Queues a batch by `queue`, with the context current; *out_any: something was queued. */
typedef fh_status (*fh_cuda_queue_fn)(fh_stream *stream, const fh_command *commands, int count, void *arg, bool *out_any);
fh_status fh_cuda_submit_by(fh_stream *stream, const fh_command *commands, int count, fh_cuda_queue_fn queue, void *arg,
                            fh_point *out_point);
fh_status fh_cuda_poll(fh_stream *stream, fh_point point, bool *out_done);
fh_status fh_cuda_wait(fh_stream *stream, fh_point point, int64_t timeout_ns);

#endif /* FOGHORN_BACKENDS_CUDA_CUDA_INTERNAL_H_ */
