/* The table that a backend fills. SPDX-License-Identifier: Apache-2.0
 *
 * Rules: `enumerate` is cheap and cannot fail; `open` may fail and says why; a table starts with its
 * destroy; a queue runs its commands in order; a failure after submission is reported by poll or
 * wait, once, and then for ever (the queue is dead). A point may be seen as reached later than it was, up to 15 batches of the same
 * queue: a backend need not mark each. Unless it says otherwise an entry may be
 * called from any thread, one at a time per object.
 * docs/add-a-backend.md walks through the skeleton in backends/null/.
 */
#ifndef FOGHORN_BACKENDS_BACKEND_H_
#define FOGHORN_BACKENDS_BACKEND_H_

#include <foghorn/context.h>
#include <foghorn/status.h>
#include <foghorn/types.h>

#include "detect/facts.h"
#include "kernels/contract.h"

#define FH_BACKEND_ABI 1

typedef struct fh_backend fh_backend;       /* an opened backend */
typedef struct fh_device fh_device;         /* an opened device of it */
typedef struct fh_memory fh_memory;         /* an allocation on a device */
typedef struct fh_executable fh_executable; /* a kernel entry made ready for a device */
typedef struct fh_stream fh_stream;         /* an in-order queue of a device */
typedef struct fh_pinned fh_pinned;         /* host memory that a device knows */
typedef struct fh_replay fh_replay;         /* what is kept of a batch that comes again and again */

typedef struct fh_backend_options {
  int threads;                   /* cpu: worker count; 0: as many as usable CPUs */
  const fh_host_pool *host_pool; /* cpu: the calling program's threads; run NULL: threads of its own */
  int isa_cap;                   /* cpu: highest fh_isa allowed; -1: no cap */
  bool allow_fake;               /* accept a driver that says it is a stand-in */
  const char *cache_dir;         /* build cache; NULL: no cache on disk */
  /* What is known of this machine, for the time of the call; NULL: a backend that needs facts gathers its own. */
  const fh_facts *facts;
} fh_backend_options;

typedef enum fh_device_kind { FH_DEVICE_CPU = 1, FH_DEVICE_GPU = 2, FH_DEVICE_ACCELERATOR = 3, FH_DEVICE_CPU_POSING = 4 } fh_device_kind;

/* What a launch of blocks (fh_block_variant) may ask for. */
typedef struct fh_block_limits {
  uint32_t threads; /* of a block; 0: the device runs no blocks, or is not known yet */
  uint32_t grid[3];
  uint32_t shared_bytes; /* of a block */
  int64_t items;         /* threads of all blocks together; 0: any number */
} fh_block_limits;

/* What a device is. CPU_POSING is a CPU behind a GPU interface (PoCL): usable, never counted as a GPU. */
typedef struct fh_device_info {
  char id[24];      /* "cpu", "cuda:0", "opencl:1": stable within a process */
  char name[128];   /* the vendor's */
  char driver[128]; /* name and version: keys caches */
  char uuid[48];    /* "GPU-...", or "" */
  char pci[20];     /* "0000:01:00.0", or "" */
  fh_device_kind kind;
  bool fake;        /* a test stand-in, and says so */
  bool host_memory; /* kernels read host memory in place: no copies */
  bool exact;       /* can honour FH_EXACT (correct rounding, denormals); if not, why_not_exact */
  const char *why_not_exact;
  bool no_doubles;          /* computes no f64 */
  size_t address_alignment; /* operands must be aligned to their element size when > 1 */
  size_t alias_alignment;   /* host memory on such a boundary is read in place where nothing writes it, by `alias`; 0: none is */
  uint64_t memory_bytes;    /* total */
  int compute_units;
  int capability; /* CUDA: 10 * major + minor; else 0 */
  fh_block_limits blocks;
  /* Prior for the cost model, marked as a guess: later replaced by measurements. */
  double peak_flops, peak_bytes_per_s, link_bytes_per_s, launch_s;
} fh_device_info;

typedef enum fh_command_kind { FH_COMMAND_COPY = 1, FH_COMMAND_FILL = 2, FH_COMMAND_LAUNCH = 3 } fh_command_kind;

/* Where an operand of a launch, or the end of a copy, lies. memory NULL: `host` is host memory. */
typedef struct fh_place {
  fh_memory *memory;
  void *host;
  int64_t offset;
} fh_place;

typedef struct fh_launch_operand {
  fh_operand_kind kind;
  fh_place place; /* pointers */
  union {
    int64_t i;
    float f;
  };
} fh_launch_operand;

typedef struct fh_command {
  fh_command_kind kind;
  union {
    struct {
      fh_place from, to;
      size_t bytes;
    } copy;
    struct {
      fh_place to;
      size_t bytes;
      uint8_t value;
    } fill;
    struct {
      fh_executable *executable;
      int64_t items;
      double flops_per_item;
      const fh_launch_operand *operands; /* borrowed until submit returns */
      int operand_count;
      const fh_bound *bound; /* team variants: for scratch_bytes; those for blocks: for shape */
    } launch;
  };
} fh_command;

/* A point on a stream's timeline: 1 after the first submitted batch, and so on. */
typedef uint64_t fh_point;

/* What to prepare. */
typedef struct fh_recipe {
  const fh_kernel_image *image;
  int entry;             /* which dialect entry */
  fh_isa isa;            /* cpu */
  const fh_tuned *tuned; /* cpu: a tuned variant instead of the dialect; else NULL */
  /* cuda, opencl: a variant for blocks instead of the dialect; `entry` is then 0, whose parameters it takes; else NULL */
  const fh_block_variant *block;
  int step; /* which of the variant's launches: 0 its first, then those of `rest` */
} fh_recipe;

typedef struct fh_backend_api {
  /* First by rule: ends an opened backend and everything it enumerated. */
  void (*destroy)(fh_backend *backend);
  const char *name; /* "cpu" */
  int abi;          /* FH_BACKEND_ABI */

  /* Do the facts show hardware that this backend can use? Asked before the backend is opened without having been named: a
   * driver library must not be loaded for nothing. NULL: only opened when it is named. */
  bool (*present)(const fh_facts *facts);

  /* Opens: loads the driver library and finds devices. Each failure carries its cause. */
  fh_status (*open)(const fh_backend_options *options, fh_backend **out_backend);
  /* The devices found at open, in a stable order. Fills at most `capacity`, returns how many there are. */
  int (*enumerate)(const fh_backend *backend, fh_device_info *out_infos, int capacity);

  fh_status (*device_open)(fh_backend *backend, int index, fh_device **out_device);
  void (*device_close)(fh_device *device);
  /* Live numbers: free memory in bytes. */
  fh_status (*query_free_memory)(fh_device *device, uint64_t *out_bytes);

  fh_status (*alloc)(fh_device *device, size_t bytes, fh_memory **out_memory);
  void (*free)(fh_memory *memory);
  /* Host pointer of a memory when host_memory is set, else NULL. */
  void *(*map)(fh_memory *memory);

  /* Makes an entry ready (compile, load, pick). Fails with INCOMPATIBLE and a reason when this
   * device cannot run it, with UNAVAILABLE when the build has no image for it. */
  fh_status (*prepare)(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable);
  void (*release)(fh_executable *executable);

  fh_status (*stream_open)(fh_device *device, fh_stream **out_stream);
  void (*stream_close)(fh_stream *stream);
  /* Queues commands in order. On failure the stream is dead, and *out_point is that of the last batch when none of these
   * commands was queued, and one more when some may run.
   * A copy to host memory is complete when its point is reached, not before. */
  fh_status (*submit)(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point);
  /* Has the point been reached? *out_done tells; the status is the stream's health. Never blocks. */
  fh_status (*poll)(fh_stream *stream, fh_point point, bool *out_done);
  /* Blocks until the point is reached or the stream fails. timeout_ns < 0: for ever. DEADLINE_EXCEEDED when time is up. */
  fh_status (*wait)(fh_stream *stream, fh_point point, int64_t timeout_ns);

  /* Host memory that is copied from and to again and again, made known to the device: copies then go straight, and use it until their point
   * is reached. NULL: not done, which is no error. `unpin` before the memory ends, when no copy uses it. Both NULL: never done. */
  fh_pinned *(*pin)(fh_device *device, void *host, size_t bytes);
  void (*unpin)(fh_pinned *pinned);

  /* Does the device copy straight from this other one of its backend? Then a copy on a stream of its own may come from the other's memory,
   * which nothing uses until it is done. May say no after such a copy failed. NULL: never. */
  bool (*reaches)(fh_device *device, fh_device *other);

  /* As submit, of launches alone, for a batch that is submitted again and again: *replay, NULL at first, keeps for the next time what was
   * made ready. The operands may change from time to time. *out_refused: the driver has no memory for what is kept, and nothing was queued;
   * the stream lives, and the caller makes room and calls again, or submits. Both NULL: submit is as good. */
  fh_status (*replay)(fh_stream *stream, const fh_command *commands, int count, fh_replay **replay, fh_point *out_point, bool *out_refused);
  /* Before its device closes. NULL is allowed. */
  void (*replay_end)(fh_replay *replay);

  /* Host memory as an allocation of the device that shares it, without a copy, for commands that only read it. It must not change before
   * the allocation is freed and those commands are done. *out_memory NULL with FH_OK: this memory cannot be had so. NULL: none can. */
  fh_status (*alias)(fh_device *device, const void *host, size_t bytes, fh_memory **out_memory);

  /* Freed memory that the device keeps for reuse goes back to the driver, for whoever else uses it; waits for work that is still in it.
   * Returns how many bytes, 1 where it cannot tell. NULL: none is kept. */
  uint64_t (*trim)(fh_device *device);

  /* Why a vendor's library of products (backends/library.h) does not run on the device, in words that live as long as its backend. NULL:
   * it does, or it was not looked for yet and is not to be now: it is large, and `load` says that something is about to use it. The
   * function NULL: the backend knows no library. */
  const char *(*lacks_library)(fh_device *device, bool load);
} fh_backend_api;

/* All backends of this build, in the order of backends.def. Static. */
const fh_backend_api *const *fh_backends(int *out_count);

/* What a failure at run time means for the device, so that the planner knows how to go on.
 * Backends set the cause id; the code tells the class:
 *   RESOURCE_EXHAUSTED  out of memory: evict, halve the chunk, then another device
 *   UNAVAILABLE         the device or its context is lost: quarantine it, re-home the data
 *   DEADLINE_EXCEEDED   the launch timed out: as device lost
 *   INCOMPATIBLE        build failure: quarantine the variant
 *   others              quarantine the variant on this device */

#endif /* FOGHORN_BACKENDS_BACKEND_H_ */
