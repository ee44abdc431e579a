/* Contexts, queues, launches, and what was decided. SPDX-License-Identifier: Apache-2.0
 *
 * Thread-safety: a context may be used from any thread; a queue from one thread at a time.
 */
#ifndef FOGHORN_CONTEXT_H_
#define FOGHORN_CONTEXT_H_

#include <foghorn/memory.h>
#include <foghorn/status.h>
#include <foghorn/types.h>

FH_EXTERN_C_BEGIN

typedef struct fh_queue fh_queue;
typedef struct fh_kernel fh_kernel;

typedef enum fh_policy {
  FH_PREFER_GPU = 0,  /* a usable GPU where it is predicted faster, else the CPU */
  FH_CPU_ONLY = 1,    /* no GPU is looked for; nothing but the CPU is opened */
  FH_REQUIRE_GPU = 2, /* a launch that cannot run on a GPU fails */
} fh_policy;

typedef enum fh_fallback {
  FH_FALLBACK_DEFAULT = 0, /* FOGHORN_FALLBACK, else warn */
  FH_FALLBACK_ALLOW = 1,   /* fall back and only count */
  FH_FALLBACK_WARN = 2,    /* fall back and say so once per distinct cause */
  FH_FALLBACK_ERROR = 3,   /* strict: fail instead */
} fh_fallback;

/* Threads of the calling program that the CPU backend works on, in place of threads of its own: a program that has a pool keeps one. Loops
 * are handed to it from the first launch of a context to the context's release, after a fork() in the child never.
 * Thread-safety: run may be called from several threads at once, also from one that is a worker of the pool. The thread that calls run
 * holds the context until run returns: it must not take up other work of the program meanwhile that uses this context (a pool that steals
 * work isolates it; a launch from there fails with FAILED_PRECONDITION), and run must be able to end on that thread alone, since the pool's
 * other threads may be waiting for the context. Kernels keep blocks of work on the stack: each thread needs 1 MiB of it, as does any that
 * launches work for the CPU. */
typedef struct fh_host_pool {
  /* How many of them may work for Foghorn at a time, the caller of run included: 1 to 1024. */
  int threads;
  /* Calls task(arg, i) once for each i in [0, count), count <= threads, from any threads, in any order, several at a time or one after
   * another, and returns when all have returned. A task neither waits for another one nor fails. Tasks that are left out cost time
   * (the caller does their work after run has returned), not results. */
  void (*run)(void *state, int count, void (*task)(void *arg, int i), void *arg);
  void *state; /* handed to run; the caller's, must live as long as the context */
} fh_host_pool;

/* Zeros mean the default. Each field left at its default may be set by an environment variable;
 * a field that is set here wins. */
typedef struct fh_context_options {
  fh_policy policy;
  /* Devices that may be used, in order of preference: "cuda:0,cpu", "gpu", "cpu", "opencl". The first that can
   * run a launch runs it; the next is its fallback. An explicit list is obeyed or refused: NOT_FOUND /
   * UNAVAILABLE with the decision attached. NULL: FOGHORN_DEVICES, else whatever `policy` finds, by predicted time. */
  const char *devices;
  fh_fallback fallback;
  /* FH_EXACT: only variants whose results are bit-identical everywhere. */
  fh_numerics numerics;
  double max_slowdown; /* a fallback predicted slower than this factor fails; 0: no limit */
  int threads;         /* CPU workers; 0: as many as usable CPUs */
  const char *isa;     /* highest ISA of the CPU backend; NULL: FOGHORN_ISA, else the best usable */
  bool allow_fake;     /* accept the test stand-in driver */
  /* NULL: threads of Foghorn's own, one pool in the process for all contexts with as many. Copied; `threads` is then 0. */
  const fh_host_pool *host_pool;
  /* Every launch runs on one device. Else, and unless FOGHORN_SPLIT=off, one whose rows are computed by themselves is shared between the
   * CPU and GPUs where that is predicted clearly faster, from times that were measured; the same bits where the kernel is exact. */
  bool keep_whole;
} fh_context_options;

/* Opens a context. options NULL: all defaults. INVALID_ARGUMENT for an unknown name in options or in a
 * FOGHORN_ variable, and for a host pool without run, with threads outside 1 to 1024, or
 * beside `threads`; RESOURCE_EXHAUSTED without memory; NOT_FOUND, UNAVAILABLE for an explicit device
 * that cannot be used, with the cause. Release with fh_context_release. */
FH_API FH_MUST_USE fh_status fh_context_create(const fh_context_options *options, fh_context **out_context);
FH_API fh_context *fh_context_retain(fh_context *context);
/* Drops a reference; the last one waits for work, prints the fallback summary when there was a
 * fallback that was warned of, and closes devices. NULL is allowed. */
FH_API void fh_context_release(fh_context *context);
/* The context's first queue, borrowed: lives as long as the context. */
FH_API fh_queue *fh_context_queue(fh_context *context);

typedef struct fh_device_summary {
  char id[24];
  char name[128];
  char kind[16]; /* "cpu", "gpu", "accelerator" */
  bool usable;
  bool posing;      /* a CPU behind a GPU interface */
  char cause[48];   /* id of why not usable; "" */
  char reason[200]; /* in words; "" */
  uint64_t memory_bytes;
} fh_device_summary;
/* Devices of the context, usable or rejected. Fills at most `capacity`, returns how many there are. */
FH_API int fh_context_devices(const fh_context *context, fh_device_summary *out_devices, int capacity);

/* A point on a queue's timeline. Plain value; means nothing after the queue was released. */
typedef struct fh_event {
  fh_queue *queue;
  uint64_t point;
} fh_event;
#define FH_FOREVER (-1)

/* Waits until the work up to the event is done and reports its status: a failure of an earlier launch
 * that no fallback could mend arrives here. timeout_ns < 0: for ever; DEADLINE_EXCEEDED otherwise. */
FH_API FH_MUST_USE fh_status fh_event_wait(fh_event event, int64_t timeout_ns);
/* Another in-order queue of the context; released with fh_queue_release. */
FH_API FH_MUST_USE fh_status fh_queue_create(fh_context *context, fh_queue **out_queue);
/* The context of a queue, borrowed: what a function that is handed only a queue makes its buffers with. */
FH_API fh_context *fh_queue_context(const fh_queue *queue);
FH_API void fh_queue_release(fh_queue *queue);
/* Waits for everything submitted to the queue. */
FH_API FH_MUST_USE fh_status fh_queue_finish(fh_queue *queue);

/* ---- kernels by name -------------------------------------------------------------------------------- */

/* NOT_FOUND lists the names. The handle is static: cache it; that of a registered kernel (extend.h) until it is unregistered. */
FH_API FH_MUST_USE fh_status fh_kernel_find(const char *name, const fh_kernel **out_kernel);
/* Registered kernels come after the library's; when one goes, those behind it move up. fh_kernel_at: NULL past the last. */
FH_API int fh_kernel_count(void);
FH_API const fh_kernel *fh_kernel_at(int index);
FH_API const char *fh_kernel_name(const fh_kernel *kernel);

typedef union fh_param_value {
  int64_t i;
  double f;
} fh_param_value;

/* Launches by handle: views and parameters in the order of the kernel's contract (`devprobe explain
 * NAME` prints it). Views are borrowed until the event. May return before the work is done or after: wait for
 * the event. out_event may be NULL. Data that does not fit the memory of the device may run in chunks of its rows there, where the kernel
 * computes rows by themselves: the same bits where the kernel is exact, and counted (fh_counters.chunked). After an error in the middle
 * of them the first rows of the outputs are new and the others as they were, and the message says how many; after any other error
 * outputs are as they were, or partly new where a device or a kernel failed while it wrote them. Errors: what bind finds wrong
 * (INVALID_ARGUMENT, INCOMPATIBLE), FAILED_PRECONDITION for a dead view, UNAVAILABLE when no allowed device can run it, with the decision,
 * DATA_LOSS when what an input held died with a device. */
FH_API FH_MUST_USE fh_status fh_launch(fh_queue *queue, const fh_kernel *kernel, const fh_view *const *views, int view_count,
                                       const fh_param_value *params, int param_count, fh_event *out_event);

/* Pins one device for every launch of a queue ("cuda:0", "cpu"), or NULL to let the planner choose. Obeyed or
 * refused: NOT_FOUND, UNAVAILABLE. A failure at run time of a pinned device is not mended by another device. */
FH_API FH_MUST_USE fh_status fh_queue_pin(fh_queue *queue, const char *device);

/* Begins to bring the newest contents of the view's buffer to a device ("cuda:0"; "cpu": home), or with NULL to the one that the queue is
 * pinned to, so that a launch there need not wait for them; out_event may be NULL. May return before the copy is done or after: the host
 * memory must stay as it is until the event, as for a launch. A view that is there already is not copied again, but work of other
 * queues on the device is waited for, and contents that only another device has come home first. Only free memory is taken. Errors:
 *   INVALID_ARGUMENT     queue or view is NULL; device is NULL and the queue is not pinned
 *   FAILED_PRECONDITION  the view is empty or dead
 *   INCOMPATIBLE         the view is of another context than the queue's
 *   NOT_FOUND            no such device in this context
 *   UNAVAILABLE          the device cannot be used, or was lost on the way, with the cause; a later launch runs elsewhere
 *   RESOURCE_EXHAUSTED   the device has no free memory for it, where a launch makes room; or the host has none for what comes home
 *   DATA_LOSS            results that only a device held died with it, and cannot be computed again
 * Other codes (INTERNAL, INCOMPATIBLE) are the driver's refusal of the allocation or the copy, in its words. */
FH_API FH_MUST_USE fh_status fh_queue_prefetch(fh_queue *queue, const fh_view *view, const char *device, fh_event *out_event);

/* ---- the same launches again -------------------------------------------------------------------------- */

/* A list of launches that is made once and launched often: bound and checked when it is made, and from the second time on, where one
 * device runs all of it and nothing has to be decided anew, handed to that device without planning; CUDA runs it as one graph. Results,
 * fallbacks and counts are those of the same launches one by one.
 * Life: a graph holds its views as fh_view_retain does, so memory that was wrapped must stay until the graph is released; it is released
 * before its queue and its context. Threads: as a queue, one at a time. */
typedef struct fh_graph fh_graph;
/* From now on launches of the queue are checked and kept, not run, until fh_queue_capture_end; their events are reached. What
 * looks at results before it returns (fh_kmeans) is refused: FAILED_PRECONDITION, as is a queue that captures already. */
FH_API FH_MUST_USE fh_status fh_queue_capture_begin(fh_queue *queue);
/* The launches since then, in their order; the queue runs launches again. FAILED_PRECONDITION: it does not capture. *out_graph is
 * to be released; NULL drops the launches. */
FH_API FH_MUST_USE fh_status fh_queue_capture_end(fh_queue *queue, fh_graph **out_graph);
/* Does it capture? For code that looks at results of its own launches, which refuses then. False for NULL. */
FH_API bool fh_queue_captures(const fh_queue *queue);
/* Launches all, in order, on the graph's queue, with what the views hold now. Errors are those of fh_launch, with the place in the
 * graph; launches before that place have run. FAILED_PRECONDITION while the queue captures. */
FH_API FH_MUST_USE fh_status fh_graph_launch(fh_graph *graph, fh_event *out_event);
/* How many launches it has. */
FH_API int fh_graph_length(const fh_graph *graph);
/* NULL is allowed. Work under way goes on. */
FH_API void fh_graph_release(fh_graph *graph);

/* ---- what was decided ------------------------------------------------------------------------------- */

/* The decision for a launch: every candidate with its verdict, reason and predicted time, as text or JSON
 * (foghorn.explain/1). Nothing runs. Caller frees *out_text with free(). */
FH_API FH_MUST_USE fh_status fh_explain(fh_queue *queue, const fh_kernel *kernel, const fh_view *const *views, int view_count,
                                        const fh_param_value *params, int param_count, bool json, char **out_text);
/* The same for shapes without memory: dtypes, shapes and row-major strides only. */
typedef struct fh_view_spec {
  fh_dtype dtype;
  fh_shape shape;
} fh_view_spec;
FH_API FH_MUST_USE fh_status fh_explain_shapes(fh_queue *queue, const fh_kernel *kernel, const fh_view_spec *specs, int spec_count,
                                               const fh_param_value *params, int param_count, bool json, char **out_text);

/* Intended against executed work of the context so far: per kernel and device launches, items, bytes and
 * seconds, fallbacks by cause with exact counts. Text or JSON (foghorn.report/1). Caller frees. */
FH_API FH_MUST_USE fh_status fh_report(fh_context *context, bool json, char **out_text);

/* Exact counters of the context. */
typedef struct fh_counters {
  uint64_t launches;           /* accepted */
  uint64_t executed_intended;  /* ran where the plan first wanted */
  uint64_t executed_elsewhere; /* ran on a fallback */
  uint64_t failed;             /* ended with an error for the caller */
  uint64_t fallback_warnings;  /* WARN blocks printed */
  uint64_t replayed;           /* run again because a device was lost */
  uint64_t bytes_to_device, bytes_from_device;
  uint64_t chunked; /* launches that ran in chunks of their rows, memory being short; */
  uint64_t chunks;  /* as so many */
  uint64_t split;   /* launches that several devices shared; */
  uint64_t shares;  /* in so many shares */
} fh_counters;
FH_API void fh_context_counters(const fh_context *context, fh_counters *out_counters);

/* Where WARN blocks and log lines go; NULL: stderr. The text is one or more whole lines. Called from
 * any thread, never from within the hot path of a planned launch. Process-wide. */
typedef void (*fh_log_fn)(void *user, int level, const char *text);
FH_API void fh_log_set(fh_log_fn fn, void *user);

/* Ends a variable when it leaves its scope (GCC and clang): fh_auto(fh_context) *context = NULL; fh_auto(fh_view) a = {0}; */
#define fh_auto(type) __attribute__((cleanup(type##_auto_end_))) type
static inline void fh_context_auto_end_(fh_context **context) { fh_context_release(*context); }
static inline void fh_view_auto_end_(fh_view *view) { fh_view_release(view); }

/* "0.1.0" */
FH_API const char *fh_version(void);

FH_EXTERN_C_END

#endif /* FOGHORN_CONTEXT_H_ */
