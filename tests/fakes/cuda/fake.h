/* The inside of the stand-in CUDA driver. SPDX-License-Identifier: Apache-2.0
 *
 *   fake_settings.c  what the environment asks for, the fault script, the call log
 *   fake_state.c     devices, contexts, handles, memory
 *   fake_stream.c    streams (a thread each) and events
 *   fake_graph.c     launches captured from a stream, and graphs of them
 *   fake_memory.c    memory pools, whose allocations are in order with streams, and pinned host memory
 *   fake_module.c    PTX read and checked against the calling convention; launches: the scalar build of a dialect text, the emulator of
 *                    tests/fakes/block for a block text
 *   fake_tensor.c    tensor maps
 *   fake_launch.c    the exported functions that launch; fake_call.h: what all exported ones begin and end with
 *   fake_driver.c    the other exported functions
 *
 * It is stricter than a driver where a driver lets mistakes pass in silence: a device address is never a valid host
 * address, host memory is read and written when the command runs and not when it is queued, fresh memory is not zero,
 * and every handle, range and parameter is checked.
 *
 * FOGHORN_FAKE_CUDA="devices=2,memory=1GiB,version=12040,capability=80,multiprocessors=4,compute_mode=0,delay=0.002,addresses=64GiB"
 *   delay: seconds that every command takes on its stream
 *   addresses: the range that cuInit reserves, OUT_OF_MEMORY where a limit of address space forbids it; 0: none
 *   others: memory that other processes have on each device; mig=1: the devices are slices (MIG)
 *   bad: number of a device that keeps the driver from starting (999) unless it is hidden
 *   pools=1: the devices have memory pools (Foghorn tries one first, which counts in a script)
 *   pinned: how much host memory can be pinned in all
 *   peers=0: no device reaches another
 *   mps=1: start is refused (805) where CUDA_MPS_PIPE_DIRECTORY, or /tmp/nvidia-mps, has a pipe "control"
 * FOGHORN_FAKE_CUDA_FAULTS="cuMemAlloc@3=OOM;cuLaunchKernel@10=719;cuInit@1=hang;cuEventQuery@5+=719"
 *   CALL@N=VALUE the N-th call, CALL@N+=VALUE from the N-th on. CALL may leave out _v2 and Ex.
 *   VALUE: a code, its name with or without CUDA_ERROR_, OOM, hang (asleep), stuck (in the kernel, state D), crash, exit, sleep=SECONDS.
 *   late:VALUE (cuLaunchKernel, copies, cuMemsetD8Async): the call is well, the command on the stream is not.
 *   A code that a context does not survive stays, as with a real driver.
 * FOGHORN_FAKE_CUDA_LOG=FILE   one line for each call: name, how many of it so far, result
 * cuDevicePrimaryCtxReset_v2, which Foghorn never calls, is exported for tests that play a foreign library.
 * CUDA_VISIBLE_DEVICES         empty, -1, device numbers, or UUIDs GPU-00000000-0000-0000-0000-<number in twelve digits>
 */
#ifndef FOGHORN_TESTS_FAKES_CUDA_FAKE_H_
#define FOGHORN_TESTS_FAKES_CUDA_FAKE_H_

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "detect/drivers/cuda_api.h"
#include "kernels/contract.h"
#include "tests/fakes/block/block.h"

enum { FAKE_MAX_PARAMS = 1 + 2 * FH_MAX_OPERANDS + FH_MAX_TENSOR_MAPS };
enum { FAKE_MAX_DEVICES = 16, FAKE_MAX_FAULTS = 64, FAKE_MAX_CONTEXT_DEPTH = 16 };

typedef enum fake_call_id {
#define FH_CUDA(need, type, name, params) FAKE_##name,
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA
  FAKE_CALL_COUNT
} fake_call_id;

/* ---- settings ------------------------------------------------------------------------------------------------- */

typedef enum fake_deed { FAKE_NOTHING = 0, FAKE_CODE, FAKE_HANG, FAKE_STUCK, FAKE_CRASH, FAKE_EXIT, FAKE_SLEEP } fake_deed;

/* What a line of the script does. */
typedef struct fake_act {
  fake_deed deed;
  bool late; /* on the stream, not in the call */
  fh_cu_result code;
  double seconds;
} fake_act;

typedef struct fake_fault {
  fake_call_id call;
  unsigned long first;
  bool and_on;
  fake_act act;
} fake_fault;

typedef struct fake_settings {
  bool broken;                                                               /* the environment could not be understood: every call fails */
  int devices, version, capability, multiprocessors, compute_mode, bad, mps; /* bad -1: none */
  int pools, mig, peers;
  uint64_t memory, others, addresses, pinned;
  double delay;
  fake_fault faults[FAKE_MAX_FAULTS];
  int fault_count;
} fake_settings;

/* Read once, at the first call. */
const fake_settings *fake_get_settings(void);

/* One call in progress. */
typedef struct fake_call {
  fake_call_id id;
  unsigned long number;
  bool answered; /* the script (or broken settings) answers in the driver's place */
  fh_cu_result answer;
  fake_act late; /* for the command that the call queues */
} fake_call;

fake_call fake_begin(fake_call_id id);
/* Logs and gives the code back. */
fh_cu_result fake_end(const fake_call *call, fh_cu_result code);
/* Hangs, crashes, exits or sleeps as the act says; does nothing for a code. */
void fake_perform(const fake_act *act);
void fake_sleep(double seconds);
/* A line on stderr: the program under test did something that no driver would forgive. */
void fake_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- state ---------------------------------------------------------------------------------------------------- */

/* Guards everything below; held only for short. */
extern pthread_mutex_t fake_lock;

typedef enum fake_kind { FAKE_STREAM, FAKE_EVENT, FAKE_MODULE, FAKE_FUNCTION, FAKE_POOL, FAKE_LINK, FAKE_GRAPH, FAKE_GRAPH_EXEC } fake_kind;

struct CUctx_st {
  int device;
  int retained;        /* primary context: how often */
  fh_cu_result poison; /* the code that killed it; 0: alive */
  uint64_t used_bytes;
  uint32_t peers; /* bit d: access to device d is enabled */
};

/* First member of everything that has a handle. A handle is looked up, never believed. */
typedef struct fake_object {
  fake_kind kind;
  fh_cu_context context;
  struct fake_object *next;
} fake_object;

void fake_object_add(fake_object *object, fake_kind kind, fh_cu_context context);
void fake_object_remove(fake_object *object);
/* The next of a kind after `after`; NULL: the first, and at the end. */
fake_object *fake_object_next(const fake_object *after, fake_kind kind, fh_cu_context context);
/* NULL: no such handle in this context. */
void *fake_object_find(const void *handle, fake_kind kind, fh_cu_context context);

typedef struct CUmemPoolHandle_st fake_pool;

typedef struct fake_allocation {
  fh_cu_ptr address;
  size_t bytes;
  char *host;
  fh_cu_context context;
  fake_pool *pool; /* NULL: from cuMemAlloc */
  bool unready;    /* its stream has not come to the allocation yet: nothing may use it */
  bool freed;      /* by cuMemFreeAsync, perhaps not yet run: nothing more may be queued that uses it */
  struct fake_allocation *next;
} fake_allocation;

/* Memory from the device, or of a pool that pays for it itself. */
fh_cu_result fake_alloc(fh_cu_context context, size_t bytes, fh_cu_ptr *out_address);
fake_allocation *fake_allocation_new(fh_cu_context context, size_t bytes);
/* The allocation that holds a host address of the stand-in's; NULL: none. */
fake_allocation *fake_allocation_at(const void *host);
fake_allocation *fake_allocation_take(fh_cu_context context, fh_cu_ptr address); /* NULL: not the start of one */
void fake_allocation_free(fake_allocation *allocation);
/* Where [address, address + bytes) really lies; NULL: not inside one allocation of the context. */
char *fake_translate(fh_cu_context context, fh_cu_ptr address, size_t bytes);
fake_allocation *fake_allocation_find(fh_cu_context context, fh_cu_ptr address);
/* A device address passed off as a host pointer. */
bool fake_is_device_address(const void *pointer);

/* Devices that CUDA_VISIBLE_DEVICES leaves: -1 or the number behind the ordinal. */
int fake_device_count(void);
bool fake_bad_device_is_visible(void);
bool fake_device_exists(fh_cu_device device);
fh_cu_context fake_primary(fh_cu_device device);
/* Every object and allocation of a context that ends. */
void fake_context_clear(fh_cu_context context);

/* The thread's context stack. */
bool fake_push(fh_cu_context context);
fh_cu_context fake_pop(void);
fh_cu_context fake_current(void);
/* What is left of the device's memory. */
uint64_t fake_free_bytes(fh_cu_context context);
/* Kills a context: from now on it answers with this code. NULL is allowed. */
void fake_poison(fh_cu_context context, fh_cu_result code);
bool fake_is_deadly(fh_cu_result code);

/* ---- streams and events ------------------------------------------------------------------------------------------ */

typedef struct CUevent_st fake_event;
typedef struct CUstream_st fake_stream;

typedef enum fake_command_kind { FAKE_COPY, FAKE_SET, FAKE_LAUNCH, FAKE_RECORD, FAKE_WAIT, FAKE_ALLOC, FAKE_FREE } fake_command_kind;

typedef struct fake_command {
  fake_command_kind kind;
  fake_act act;
  void *to;
  const void *from;
  size_t bytes;
  unsigned char value;
  fh_items_fn run;
  const fake_block_entry *block; /* run by the emulator of blocks in `run`'s place */
  fh_block_shape shape;
  int64_t items;
  fh_slot slots[FH_MAX_OPERANDS];
  fake_tensor_map maps[FH_MAX_TENSOR_MAPS]; /* of a block text, as many as its entry has */
  fake_event *event;
  uint64_t number; /* of the event's recording */
  fake_allocation *allocation;
  struct fake_command *next;
} fake_command;

/* Called with the lock held. */
fh_cu_result fake_stream_create(fh_cu_context context, fake_stream **out_stream);
void fake_stream_destroy(fake_stream *stream); /* what is queued still runs */
/* Takes a copy. */
fh_cu_result fake_stream_queue(fake_stream *stream, const fake_command *command);
/* The graph that takes the stream's launches in its place; NULL: none. */
void fake_stream_set_capture(fake_stream *stream, struct CUgraph_st *graph);
struct CUgraph_st *fake_stream_capture(const fake_stream *stream);
void fake_stream_wait(fake_stream *stream); /* until idle; gives up the lock meanwhile */
void fake_context_wait(fh_cu_context context);
bool fake_context_is_busy(fh_cu_context context);
fh_cu_result fake_event_create(fh_cu_context context, fake_event **out_event);
void fake_event_destroy(fake_event *event);
fh_cu_result fake_event_record(fake_event *event, fake_stream *stream);
bool fake_event_reached(const fake_event *event);
fh_cu_result fake_event_wait(fake_event *event, fake_stream *stream);
/* Does a command that is queued or runs on any stream, but this one, touch [host, host + bytes)? */
bool fake_streams_touch(const fake_stream *but, const void *host, size_t bytes);

/* ---- pools and pinned memory: called with the lock held --------------------------------------------------------------------- */

fh_cu_result fake_pool_create(fh_cu_context context, fake_pool **out_pool);
fh_cu_result fake_pool_destroy(fake_pool *pool);
fh_cu_result fake_pool_set(fake_pool *pool, fh_cu_pool_attribute attribute, const void *value);
fh_cu_result fake_pool_get(const fake_pool *pool, fh_cu_pool_attribute attribute, void *value);
void fake_pool_trim(fake_pool *pool, uint64_t keep);
/* To another device, which may copy from its memory then. */
fh_cu_result fake_pool_open(fake_pool *pool, const fh_cu_access *access);
bool fake_pool_is_open(const fake_pool *pool, fh_cu_device device);
/* What a synchronisation does: pools of the context give back what is above their threshold. */
void fake_pools_settle(fh_cu_context context);
fh_cu_result fake_pool_alloc(fake_pool *pool, fh_cu_context context, size_t bytes, fake_stream *stream, fh_cu_ptr *out_address);
/* The stream has come to the end of an allocation. */
void fake_pool_end(fake_allocation *allocation, const fake_stream *stream);
/* The allocation ends with its context. */
void fake_pool_forget(const fake_allocation *allocation);

typedef struct fake_pin {
  fh_cu_context context; /* ends with it */
  char *host;
  size_t bytes;
  uint64_t id; /* never given twice */
  bool owned;  /* from cuMemHostAlloc */
  struct fake_pin *next;
} fake_pin;

fh_cu_result fake_pin_new(fh_cu_context context, size_t bytes, void **out_host);
fh_cu_result fake_pin_free(void *host);
fh_cu_result fake_pin_register(fh_cu_context context, void *host, size_t bytes);
fh_cu_result fake_pin_unregister(void *host);
/* What the page of `host` was pinned with; false: it is not pinned. */
bool fake_pin_find(const void *host, fake_pin *out_pin);
/* What ends with its context: memory of cuMemHostAlloc is mapped no more. */
void fake_pins_end(fh_cu_context context);

/* ---- modules -------------------------------------------------------------------------------------------------------- */

typedef struct CUmod_st fake_module;
typedef struct CUfunc_st fake_function;
typedef struct CUlinkState_st fake_link;

/* Checks the PTX and its entries. The reason of a refusal goes into log (size > 0). */
fh_cu_result fake_module_load(fh_cu_context context, const char *ptx, char *log, size_t log_size, fake_module **out_module);
void fake_module_unload(fake_module *module);
/* PTX made into what cuModuleLoadDataEx takes on devices of this capability only. */
fh_cu_result fake_link_create(fh_cu_context context, char *log, size_t log_size, fake_link **out_link);
fh_cu_result fake_link_add(fake_link *link, const char *ptx, size_t bytes);
fh_cu_result fake_link_complete(fake_link *link, void **out_cubin, size_t *out_bytes);
void fake_link_destroy(fake_link *link);
fake_function *fake_module_function(fake_module *module, const char *name); /* NULL: no such entry */
/* What the driver says of a function; false: no such attribute. */
bool fake_function_attribute(const fake_function *function, fh_cu_function_attribute attribute, int *out_value);
fh_cu_result fake_function_set(fake_function *function, fh_cu_function_attribute attribute, int value);
/* Turns a launch's shape and parameters into a command. */
fh_cu_result fake_function_bind(fh_cu_context context, const fake_function *function, const fh_block_shape *shape, void **params,
                                fake_command *out_command);
/* A parameter's value: 32 or 64 bits, or a tensor map. */
typedef struct fake_argument {
  char bytes[FH_CU_TENSOR_MAP_BYTES];
} fake_argument;
/* Those of a launch; returns how many. */
int fake_function_params(const fake_function *function, void **params, fake_argument out_arguments[FAKE_MAX_PARAMS]);

/* ---- graphs: called with the lock held ------------------------------------------------------------------------------ */

typedef struct CUgraph_st fake_graph;
typedef struct CUgraphExec_st fake_graph_exec;

/* The graph of a capture that this thread begins. */
fh_cu_result fake_graph_create(fh_cu_context context, fh_cu_capture_mode mode, fake_graph **out_graph);
void fake_graph_end_capture(fake_graph *graph);
void fake_graph_destroy(fake_graph *graph);
/* Something that cannot be captured was queued meanwhile. */
void fake_graph_spoil(fake_graph *graph);
bool fake_graph_is_spoiled(const fake_graph *graph);
/* Does some capture forbid this thread calls that may be unsafe during one? It is spoiled then. */
bool fake_capture_forbids(fh_cu_context context);
/* Sets the thread's mode and returns the one before. */
fh_cu_capture_mode fake_capture_exchange(fh_cu_capture_mode mode);
fh_cu_result fake_graph_add(fake_graph *graph, const fake_function *function, const fh_block_shape *shape, void **params);
fh_cu_result fake_graph_instantiate(const fake_graph *graph, fake_graph_exec **out_exec);
void fake_graph_exec_destroy(fake_graph_exec *exec);
/* `late` is for the first launch. */
fh_cu_result fake_graph_launch(const fake_graph_exec *exec, fake_stream *stream, fake_act late);

/* What cuTensorMapEncodeTiled is asked for. */
typedef struct fake_tensor_request {
  fh_cu_tensor_type type;
  uint32_t rank;
  fh_cu_ptr address;
  const uint64_t *extents, *strides;
  const uint32_t *box, *steps;
  fh_cu_tensor_swizzle swizzle;
} fake_tensor_request;
fh_cu_result fake_tensor_encode(const fake_tensor_request *from, void *out_map);
/* A map as a launch passes it, with the host address of what it describes. False: it is none, or describes no memory of the context. */
bool fake_tensor_bind(fh_cu_context context, const char *entry, const void *param, fake_tensor_map *out);

/* Bytes of shared memory that a block of any function gets, and those that one gets that asks. */
enum { FAKE_SHARED_BYTES = 48 << 10 };
int fake_shared_optin(int capability);

#endif /* FOGHORN_TESTS_FAKES_CUDA_FAKE_H_ */
