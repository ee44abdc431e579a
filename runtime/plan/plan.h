/* The planner's own types: context, devices, candidates, queues, lineage. SPDX-License-Identifier: Apache-2.0
 *
 * One recursive lock per context guards everything below; launches of several queues are planned
 * one after another. The recursion is there because dropping a buffer's last reference inside the
 * planner comes back through fh_residency.
 */
#ifndef FOGHORN_PLAN_PLAN_H_
#define FOGHORN_PLAN_PLAN_H_

#include <pthread.h>
#include <stdatomic.h>

#include <foghorn/context.h>

#include "backends/backend.h"
#include "runtime/mem/buffer.h"
#include "runtime/obs/account.h"
#include "runtime/plan/config.h"
#include "runtime/plan/conformance.h"
#include "runtime/plan/registry.h"

enum {
  FH_PLAN_MAX_DEVICES = FH_MAX_REPLICAS,
  FH_PLAN_SAMPLES = 8,
  FH_PLAN_SIZES = 48,
  FH_PLAN_INTENSITIES = 4,
  FH_PLAN_BUCKETS = FH_PLAN_SIZES * FH_PLAN_INTENSITIES,
  FH_PLAN_LAUNCHES = (int)FH_MAX_STAGES > (int)FH_MAX_BLOCK_STEPS ? (int)FH_MAX_STAGES : (int)FH_MAX_BLOCK_STEPS,
  FH_PLAN_BLOCK_SCRATCH = FH_MAX_TEMPS, /* behind the temporaries of the call: scratch of a variant for blocks */
  FH_PLAN_SCRATCHES = FH_MAX_TEMPS + 1,
  FH_LINEAGE_MAX = 64,
  FH_PLAN_FIX = 240
};

/* ---- reasons: data first, text on demand ----------------------------------------------------------- */

typedef enum fh_reason_code {
  FH_REASON_NONE = 0,
  FH_REASON_NOT_BUILT,
  FH_REASON_DEVICE_REJECTED,    /* detection says it cannot be used */
  FH_REASON_DEVICE_QUARANTINED, /* it failed at run time */
  FH_REASON_NOT_ALLOWED,        /* outside the list of devices or the policy */
  FH_REASON_NOT_PINNED,
  FH_REASON_POSING,      /* a CPU behind a GPU interface is used only when asked for */
  FH_REASON_ISA_MISSING, /* the CPU or OS has not got it */
  FH_REASON_ISA_CAPPED,
  FH_REASON_NUMERICS, /* EXACT asked, the variant is bounded */
  FH_REASON_INEXACT_DEVICE,
  FH_REASON_NO_DOUBLES,
  FH_REASON_UNFIT,        /* the variant's own constraint */
  FH_REASON_CAPABILITY,   /* a variant for blocks wants a newer CUDA device, or just another */
  FH_REASON_BLOCK_LIMIT,  /* its launch asks for more than the device gives a block or a grid */
  FH_REASON_NO_LIBRARY,   /* it is a vendor's library, which is not here */
  FH_REASON_NOT_MEASURED, /* it is a vendor's library, which a guess does not choose */
  FH_REASON_MEMORY,
  FH_REASON_SELFTEST,
  FH_REASON_VARIANT_QUARANTINED,
} fh_reason_code;

typedef struct fh_reason {
  fh_reason_code code;
  const char *cause; /* id or NULL; lives as long as the context */
  const char *text;  /* detail or NULL; likewise */
  int64_t need, have;
} fh_reason;

/* One line; needs at most 300 bytes. */
void fh_reason_print(const fh_reason *reason, char *out, size_t size);

/* ---- devices ---------------------------------------------------------------------------------------- */

/* Where a predicted time comes from, the weakest first. */
typedef enum fh_cost_source {
  FH_COST_GUESS = 0,  /* the roofline prior */
  FH_COST_SCALED,     /* the prior, held to the scale of another variant's measurement */
  FH_COST_CALIBRATED, /* this machine's profile */
  FH_COST_MEASURED,   /* launches and copies of this process */
  FH_COST_ASSUMED,    /* a what-if */
} fh_cost_source;

/* Ways over the link between the host and a device. */
typedef enum fh_way { FH_TO_DEVICE = 0, FH_FROM_DEVICE = 1, FH_WAYS = 2 } fh_way;

enum { FH_LINK_SAMPLES = 8 };

/* A number that the profile knows and that this process measures. */
typedef struct fh_figure {
  double assumed, calibrated; /* 0: not */
  double samples[FH_LINK_SAMPLES];
  int64_t count; /* ever */
  double median; /* of those kept */
} fh_figure;

typedef struct fh_link {
  fh_figure latency, bandwidth; /* seconds; bytes per second */
} fh_link;

/* The best that is known of one way. */
typedef struct fh_link_figures {
  double latency_s, bytes_per_s;
  fh_cost_source latency_source, bandwidth_source;
} fh_link_figures;

/* What the memory and the arithmetic of a device reached when they were measured for the profile: bytes read and written a second, and
 * f32 operations a second of the fastest kernel. 0: not measured. */
typedef struct fh_reached {
  double bytes_per_s, flops;
} fh_reached;

typedef enum fh_device_state { FH_STATE_OPEN = 1, FH_STATE_REJECTED, FH_STATE_QUARANTINED } fh_device_state;

typedef struct fh_plan_device {
  fh_device_info info;
  const fh_backend_api *api; /* NULL: rejected before its backend was opened */
  fh_device *device;
  fh_device_state state;
  bool allowed;     /* by the policy and the list of devices */
  int rank;         /* place in the list of devices, which is an order of preference; 0 without a list */
  char cause[48];   /* of REJECTED and QUARANTINED; "" */
  char reason[320]; /* in words */
  char fix[FH_PLAN_FIX];
  fh_link links[FH_WAYS];
  fh_reached reached;
} fh_plan_device;

/* ---- candidates: one variant on one device ------------------------------------------------------------ */

typedef enum fh_test_state { FH_UNTESTED = 0, FH_TEST_PASSED, FH_TEST_FAILED } fh_test_state;

/* The last few times of one size bucket; their median is the estimate. */
typedef struct fh_samples {
  float seconds[FH_PLAN_SAMPLES];
  int64_t count;   /* ever */
  uint32_t passed; /* launches since those that are all timed */
  float median;    /* of those kept; found once a sample, for every launch asks for it of every variant */
} fh_samples;

typedef struct fh_candidate {
  int kernel; /* its slot (registry.h) */
  int device; /* index into the context's devices */
  int row;    /* its kernel's on its device in the account, from 1; 0: not asked for yet */
  fh_isa isa; /* cpu */
  const fh_tuned *tuned;
  const fh_block_variant *block; /* for blocks of threads, on a device */
  bool reference;                /* the contract's reference itself, where there is no text */
  fh_reason ruled_out;           /* by what does not change while the context lives; NONE: by nothing */
  double flop_s, byte_s;         /* the guess: seconds for an operation and for a byte */
  int units;                     /* multiprocessors among which its blocks are shared; 0: unknown, or nothing depends on it */
  fh_numerics numerics;
  char name[48]; /* "cpu/avx512/tuned", "cuda:0", "cuda:0/tiles" */
  fh_test_state test;
  bool quarantined;
  bool skipped;                                 /* by the launch in progress: memory ran out */
  char cause[48], reason[320];                  /* why the test failed, or it was quarantined or skipped */
  fh_executable *executables[FH_PLAN_LAUNCHES]; /* by entry of the text, or by launch of a variant for blocks */
  fh_samples *samples;                          /* FH_PLAN_BUCKETS; allocated with the first sample */
  float *calibrated;                            /* seconds by bucket from the machine's profile, 0: none; allocated with the first */
  float *shared; /* by bucket: seconds for a whole launch at the speed of its shares of one (split.c); 0: none; likewise */
} fh_candidate;

/* The variants of one kernel in a context: of a kernel of the build made with the context, of a registered one when it is first used. */
typedef struct fh_plan_kernel {
  const fh_kernel_image *image;
  int16_t incumbents[FH_PLAN_BUCKETS]; /* by bucket: which candidate ran last, from 1; 0: none */
  float split_scale[FH_PLAN_BUCKETS];  /* by bucket: what splitting a launch took, in predictions; 0: not known */
  bool text_wants_doubles;             /* whatever its views are; known where a device has none */
  int count;
  fh_candidate candidates[];
} fh_plan_kernel;

/* What has to move for a launch, over the links of its device and of those that hold its operands. */
typedef struct fh_transfer {
  double bytes[FH_WAYS]; /* those that come from another device count in both: its way home, and the way there */
  int copies[FH_WAYS];
  double seconds;
  fh_cost_source source; /* the weakest of those that matter */
} fh_transfer;

/* What the planner found for one launch. */
typedef struct fh_verdict {
  const fh_candidate *candidate;
  fh_reason reason;      /* NONE: it may run */
  double seconds;        /* predicted, transfers included; also for a "no" */
  fh_cost_source source; /* of the execution part */
  fh_transfer transfer;
} fh_verdict;

typedef struct fh_plan {
  fh_candidate *chosen;     /* NULL: nothing may run */
  fh_candidate *intended;   /* what would run if every device and variant were healthy */
  fh_reason fallback;       /* why intended is not chosen; NONE when they are the same */
  fh_candidate *unmeasured; /* may run, and only a measurement would make it the choice; NULL: there is none */
  double chosen_seconds, intended_seconds;
} fh_plan;

/* ---- launches ------------------------------------------------------------------------------------------ */

/* A checked call: everything needed to run it, now or again. */
typedef struct fh_call {
  const fh_kernel_image *image;
  int kernel;
  int view_count;
  fh_view views[FH_MAX_VIEWS]; /* borrowed; retained in the lineage log */
  fh_view_desc descs[FH_MAX_VIEWS];
  fh_value params[FH_MAX_PARAMS];
  fh_bound bound;
  char note[FH_NOTE];       /* what the contract found in the data; "" */
  int64_t begun_ns;         /* where launches are recorded: when the look at the data began */
  bool elsewhere;           /* runs where the plan did not want it first */
  int16_t resident;         /* shapes only: the device that has all operands, from 1; 0: the host has them */
  bool part;                /* some rows of a launch: counted with the launch (chunks.c) */
  struct fh_candidate *ran; /* after a launch: what ran it whole and as planned; NULL: it went otherwise */
  bool flows;               /* beside other parts, after fh_flow_begin: submitted, and not waited for */
} fh_call;

/* Some rows of a call, with views of their own. */
typedef struct fh_chunk {
  fh_call call;
  uint32_t owned; /* bit v: view v is its own */
} fh_chunk;

/* A launch whose results exist only on a device: kept until the host has them, so that it can be
 * run again when the device dies. */
typedef struct fh_lineage {
  fh_call call;
  int device;
  bool pinned;                                                  /* its queue allowed no other device */
  uint64_t in_version[FH_MAX_VIEWS], out_version[FH_MAX_VIEWS]; /* 0: not read / not written */
  struct fh_lineage *next_spare;
} fh_lineage;

typedef struct fh_scratch {
  fh_memory *memory;
  size_t bytes;
} fh_scratch;

struct fh_queue {
  fh_context *context;
  fh_queue *next;
  int pinned; /* device index, or -1 */
  uint64_t point, done_point;
  bool probing; /* a self-test runs: nothing is counted, sampled or recorded */
  fh_stream *streams[FH_PLAN_MAX_DEVICES];
  fh_point last[FH_PLAN_MAX_DEVICES];
  fh_scratch scratch[FH_PLAN_MAX_DEVICES][FH_PLAN_SCRATCHES];
  fh_graph *capture; /* takes its launches in their place; NULL: they run */
};

/* What became of the machine's profile (profile.h). */
typedef struct fh_profile {
  bool looked;
  bool accepted;     /* it is of this machine: kernels to come look into it too */
  int times;         /* taken from it */
  char made[32];     /* when */
  char why_not[800]; /* it is there and not used; "" */
} fh_profile;

struct fh_context {
  fh_refcount refs;  /* the user's handle counts one, each buffer one */
  fh_refcount users; /* handles */
  pthread_mutex_t lock;
  fh_config config;
  fh_platform platform; /* what a fix depends on */
  bool contained;
  bool isa_usable[FH_ISA_COUNT];
  uint32_t features;       /* bits FH_NEEDS(feature) of what the CPU has beside its instruction sets */
  fh_backend *backends[8]; /* opened ones, parallel to apis */
  const fh_backend_api *apis[8];
  int backend_count;
  fh_plan_device devices[FH_PLAN_MAX_DEVICES];
  int device_count;
  _Atomic(fh_plan_kernel *) *kernels; /* by slot; NULL: not used here. Once there, it stays until the context ends */
  fh_profile profile;
  fh_queue *queues;
  fh_buffer *resident, *last_resident; /* buffers that may have replicas, in the order of their first */
  fh_lineage *lineage[FH_LINEAGE_MAX];
  int lineage_count;
  fh_lineage *spare_lineage; /* records that ended, for the next ones: a launch takes no memory */
  fh_account account;
  int record;            /* the file of FOGHORN_TRACE; -1: none */
  fh_context *neighbour; /* the next of the process's contexts (neighbours.c) */
  int depth;             /* how often the thread that has the lock has taken it */
  bool running;          /* commands are being submitted: a host pool may call back, and must not launch */
};

static inline void fh_context_lock(fh_context *context) {
  pthread_mutex_lock(&context->lock);
  context->depth++;
}
static inline void fh_context_unlock(fh_context *context) {
  context->depth--;
  pthread_mutex_unlock(&context->lock);
}

/* devices.c */
fh_status fh_devices_find(fh_context *context);
void fh_devices_close(fh_context *context);
/* The device of a name ("cuda:0", "cpu"); -1: none. */
int fh_device_named(const fh_context *context, const char *name);

/* record.c */
fh_status fh_record_open(fh_context *context);
void fh_record_close(fh_context *context);
/* When a launch begins; then the line of what was launched. Without a file both do nothing. */
int64_t fh_record_begin(const fh_context *context);
void fh_record_launch(fh_context *context, const fh_call *call, const fh_candidate *ran, const fh_candidate *intended, const char *cause);

/* candidate.c */
/* The candidates of all kernels of the build. */
fh_status fh_candidates_build(fh_context *context);
void fh_candidates_free(fh_context *context);
/* The variants of a kernel, made when it is first used here: from then on it stays registered while the context lives. FAILED_PRECONDITION
 * when it is no longer registered. */
fh_status fh_plan_kernel_of(fh_context *context, const fh_kernel_image *image, fh_plan_kernel **out_kernel);
/* The kernel in a slot that is known to be used here. */
static inline fh_plan_kernel *fh_plan_kernel_in(const fh_context *context, int slot) {
  return atomic_load_explicit(&context->kernels[slot], memory_order_acquire);
}
/* Where launches of its kernel on its device are counted; NULL without memory. */
fh_account_row *fh_candidate_row(fh_context *context, fh_candidate *candidate);
/* Why a variant does not take calls like this one, whoever asks for it; NONE: it does. */
fh_reason fh_candidate_unfit(const fh_context *context, const fh_candidate *candidate, const fh_bound *bound);
/* Why it does not take a call that it fits where the operands lie, in words; NULL: it does. */
const char *fh_candidate_misplaced(const fh_candidate *candidate, const fh_call *call);
/* May it run, also to be measured? And what would it take? */
fh_verdict fh_candidate_judge(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call);
/* And may a plan choose it? */
fh_verdict fh_candidate_judge_for_plan(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call);
/* Judges every candidate of the call's kernel; *out_count verdicts, best predicted first among those that may run. */
fh_plan fh_plan_make(const fh_queue *queue, const fh_call *call);
/* The call ran on this candidate, as planned: another must be clearly better to take its place. */
void fh_plan_settled(fh_context *context, const fh_call *call, const fh_candidate *candidate);

/* cost.c */
/* The guess that a candidate is worth before anything was measured. */
void fh_candidate_guess(const fh_plan_device *device, fh_candidate *candidate);
/* By the guess alone, times `scale`, and its launches. */
double fh_candidate_guessed_seconds(const fh_plan_device *device, const fh_candidate *candidate, const fh_bound *bound, double scale);
/* Launches of nearly one size and of one kind (bound by memory, by arithmetic, or between) share an estimate. */
int fh_cost_bucket(const fh_bound *bound);
/* Is it worth timing a launch on it? Asked once for each. */
bool fh_candidate_wants_sample(const fh_candidate *candidate, const fh_bound *bound);
/* Are there enough times of this process, so that they are the estimate? */
bool fh_candidate_is_measured(const fh_candidate *candidate, const fh_bound *bound);
/* A time that this process measured. */
void fh_candidate_sample(fh_candidate *candidate, const fh_bound *bound, double seconds);
/* A time of the machine's profile. Without memory it is left out. */
void fh_candidate_calibrate(fh_candidate *candidate, int bucket, double seconds);
/* What the costs of one call on several candidates have in common. */
typedef struct fh_outlook {
  int bucket;
  int device;   /* whom the rest is of; -1: nobody yet */
  double scale; /* of guesses; below 0: not looked for */
  fh_transfer transfer;
} fh_outlook;
fh_outlook fh_outlook_of(const fh_call *call);
/* Predicted seconds of a call on a candidate, transfers included. */
double fh_cost(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call, fh_outlook *outlook, fh_cost_source *out_source);
/* Bytes of the elements of a shape. */
double fh_desc_bytes(const fh_view_desc *desc);
/* Device memory that the call takes. */
double fh_call_bytes(const fh_call *call);
/* Scratch that a candidate takes beside it; 0: none. */
size_t fh_candidate_scratch(const fh_context *context, const fh_candidate *candidate, const fh_bound *bound);

/* link.c */
/* Seconds to copy so many bytes in so many copies; the weakest source of what matters. */
double fh_link_seconds(const fh_plan_device *device, fh_way way, double bytes, int copies, fh_cost_source *out_source);
/* What is known of the link. */
fh_link_figures fh_link_of(const fh_plan_device *device, fh_way way);
/* A copy that was waited for, on a stream that had nothing else to do. */
void fh_link_sample(fh_plan_device *device, fh_way way, size_t bytes, double seconds);
/* What the machine's profile says; 0: nothing. */
void fh_link_calibrate(fh_plan_device *device, fh_way way, double latency_s, double bytes_per_s);
/* Measures both ways, and the device's own memory, for the profile, in no more than about twice `seconds`; *out_measured: both ways were.
 * Fails where the device does. */
fh_status fh_link_measure(fh_queue *queue, int device, double seconds, bool *out_measured);

/* call.c */
/* A checked call on views of `context`. */
fh_status fh_call_bind(fh_context *context, const fh_kernel *kernel, const fh_view *const *views, int view_count,
                       const fh_param_value *params, int param_count, fh_call *out_call);
/* What of it is used: of the 7 KiB a launch of two views fills a sixth. */
void fh_call_copy(const fh_call *call, fh_call *out);
/* Binds descs and params of a call that has both. */
fh_status fh_call_cut(fh_call *call);
/* Lets the contract look at the data, where it wants to: may refuse, and fills call->note if `describe`, which costs a short launch more
 * than the look. The context is locked. */
fh_status fh_call_inspect(fh_context *context, fh_call *call, bool describe);
/* "matmul f32 512x512x512" style label. */
void fh_call_label(const fh_call *call, char *out, size_t size);

/* chunks.c */
/* How many rows the call can be cut into, by its contract's chunking rule; 1: it is one piece. *out_cut: bit v: view v has
 * these rows; 0 of one piece. */
int64_t fh_call_rows(const fh_call *call, uint32_t *out_cut);
/* No byte of the results of rows [first, middle) is between those of [middle, last): both may be written at once. True of shapes only. */
bool fh_results_apart(const fh_call *whole, uint32_t cut, int64_t first, int64_t middle, int64_t last);
/* Device memory that the views of that many rows take, and those that every chunk needs whole. */
double fh_chunk_bytes(const fh_call *whole, uint32_t cut, int64_t rows);
/* The call on the rows [first, last), to be ended by fh_chunk_end. Its host copies are those of the whole's views, which must be current,
 * and not needed by work in progress where they are written. The context is locked. */
fh_status fh_chunk_take(fh_context *context, const fh_call *whole, uint32_t cut, int64_t first, int64_t last, fh_chunk *out_chunk);
/* Its results are on the host, and no device holds anything of it. */
void fh_chunk_end(fh_chunk *chunk);
/* Brings home what the chunks have rows of, before the first. */
fh_status fh_chunks_come_home(fh_context *context, const fh_call *call, uint32_t cut);
/* No chunk is left: rows of the results are new on the host since fh_chunks_come_home, `all` or some, and on devices old. */
void fh_chunks_ended(const fh_call *call, bool all);
/* Runs a chunk on the candidate or, where that one does not fit these rows, on the best of its device that does. */
fh_status fh_chunk_execute(fh_queue *queue, fh_candidate *candidate, const fh_call *chunk);
/* The results of a chunk come home. */
fh_status fh_chunk_fetch(fh_queue *queue, const fh_call *chunk);
/* The best of a device's candidates for the call, as a plan chooses; NULL: none may run it. */
fh_candidate *fh_candidate_best_on(const fh_queue *queue, int device, const fh_call *call);
/* Is one row at a time within so many bytes? */
bool fh_call_fits_in_chunks(const fh_call *call, double bytes);
/* How far a launch in chunks is. Begins with zeros. */
typedef struct fh_progress {
  int64_t rows, done, step; /* step: of the next chunk; 0: the call runs whole */
  uint32_t cut;
  int chunks, halvings;
} fh_progress;
/* From now on the call runs in chunks: halves, or less where a half takes more than `bytes` of memory. False: it does so already, it cannot
 * be cut, or cutting saves no memory. */
bool fh_chunks_begin(const fh_call *call, double bytes, fh_progress *progress);
/* Runs what is left of the call, where memory allows two chunks at a time: one is copied while the other is at work. RESOURCE_EXHAUSTED:
 * the device has no room for much less either. After a failure the rest may be run on another candidate. */
fh_status fh_chunks_run(fh_queue *queue, fh_candidate *candidate, const fh_call *call, fh_progress *progress);

/* execute.c */
fh_status fh_execute(fh_queue *queue, fh_candidate *candidate, const fh_call *call);
/* Calls that go to one device together, each with what runs it there. */
enum { FH_BATCH_CALLS = FH_LINEAGE_MAX / 2 };
/* A batch that comes again and again. */
typedef struct fh_recurrence {
  fh_replay *kept;      /* by the backend, for the next time */
  bool short_of_memory; /* this time it ran launch by launch for want of memory */
  int rest, pause;      /* so it will run so many times more before memory is asked for again; how many that were the last time */
} fh_recurrence;
typedef struct fh_batch {
  int device, count; /* at most FH_BATCH_CALLS */
  const fh_call *calls;
  fh_candidate *const *candidates; /* tested, and prepared by earlier launches */
  fh_recurrence *again;
} fh_batch;
/* What the calls of one batch turn into. */
typedef struct fh_batch_room fh_batch_room;
fh_status fh_batch_room_new(fh_batch_room **out_room);
void fh_batch_room_free(fh_batch_room *room);
/* As fh_execute, one after the other. *out_ran false: none has run, and whoever runs them one by one meets the reason. */
fh_status fh_execute_batch(fh_queue *queue, const fh_batch *batch, fh_batch_room *room, bool *out_ran);
/* Waits for the queue's work on one device; mends a lost device. */
fh_status fh_queue_settle(fh_queue *queue, int device);
fh_status fh_buffer_to_host(fh_context *context, fh_buffer *buffer);
/* The same where only this queue's work has touched the buffer on a device: what other queues do there goes on. */
fh_status fh_buffer_home_on(fh_queue *queue, fh_buffer *buffer);
/* Frees what the device holds of a buffer that no work there needs any more. */
void fh_replica_drop(fh_context *context, fh_buffer *buffer, int device);
/* What parts of the call share on a device (views not in `cut`) is there, and the device has nothing else to do: parts that flow may
 * follow, on this queue and others. */
fh_status fh_flow_begin(fh_queue *queue, int device, const fh_call *call, uint32_t cut);
/* Its host memory is about to end. */
void fh_buffer_unpin(fh_context *context, fh_buffer *buffer);
/* Will a launch that only reads the buffer there read its host copy in place? */
bool fh_device_may_alias(const fh_plan_device *device, const fh_buffer *buffer);
fh_status fh_candidate_prepare(fh_context *context, fh_candidate *candidate);
void fh_queue_close(fh_queue *queue);
/* Frees what the device holds beside the call's operands, results after they were brought home. How many allocations. */
int fh_device_trim(fh_queue *queue, int device, const fh_call *call);
/* Gives the driver memory that is kept there for reuse, then scratch, then the least recently used replica that the host has too, once all
 * work there is done. False: there is none. */
bool fh_device_give_way(fh_context *context, int device);
/* What the call reads of the view is on the host, and where it writes nothing else is at work. */
fh_status fh_call_bring_home(fh_context *context, const fh_call *call, int view);
/* Counts a launch as executed there. */
void fh_candidate_executed(fh_context *context, fh_candidate *candidate);
/* Closes every queue's stream of a device; waits for what still runs there, where the device can still be waited for. */
void fh_streams_end(fh_context *context, int device);
/* Takes a buffer without replicas off the context's list. */
void fh_resident_remove(fh_context *context, fh_buffer *buffer);

/* reference.c */
/* The contract's reference on the host copies of the call's views. */
fh_status fh_reference_run(const fh_call *call);

/* recover.c */
/* Takes a failed status, quarantines what it blames, runs lost work again. FH_OK: the caller may plan again. */
fh_status fh_recover(fh_context *context, fh_candidate *candidate, int device, fh_status failure);
/* The failure means that the device, and not a variant, is to blame. */
bool fh_blames_device(fh_code code);
/* Keeps the cause and the first line of a failure with the candidate. */
void fh_candidate_blame(fh_candidate *candidate, fh_status failure);
void fh_lineage_note(fh_queue *queue, int device, const fh_call *call, const uint64_t *in_version, const uint64_t *out_version);
void fh_lineage_prune(fh_context *context);
/* Brings the oldest results home until so many more launches can be noted without that; false: it cannot be done. */
bool fh_lineage_reserve(fh_context *context, int count);
enum { FH_LINEAGE_SET_MAX = FH_LINEAGE_MAX * FH_MAX_VIEWS + 1 };
/* The buffer and all results, each retained, whose records could not be run again once the host copies of the others are newer.
 * Returns how many, at least 1; the buffer is the first. */
int fh_lineage_closure(fh_context *context, fh_buffer *buffer, fh_buffer *out_set[FH_LINEAGE_SET_MAX]);
/* Would a record be run again from the contents of `buffer` that the host has? */
bool fh_lineage_reads(const fh_context *context, const fh_buffer *buffer);
/* Pieces of newer contents lie in the host copy of `buffer`: nothing is run again from it. */
void fh_lineage_spoilt(fh_context *context, const fh_buffer *buffer);
/* The host copy of `buffer` is about to become newer. */
void fh_lineage_guard(fh_context *context, const fh_buffer *buffer);
/* The buffer's memory is about to go: what others made from it comes home, and no record mentions it afterwards. */
void fh_lineage_forget(fh_context *context, fh_buffer *buffer);
/* Every result that is still wanted comes home, and no record is left. */
void fh_lineage_clear(fh_context *context);

/* selftest.c */
/* Runs the contract's first cases on the candidate when it has not been tested yet. */
void fh_candidate_test(fh_queue *queue, fh_candidate *candidate);
/* The conformance procedure on the candidate, on buffers of the queue's context. */
fh_status fh_candidate_conform(fh_queue *queue, fh_candidate *candidate, const fh_conform_options *options, fh_conform_report *out_report);

/* fault.c */
/* The cause id of a failure: its own, or what its code stands for. Never NULL; as long as the status at least. */
const char *fh_fault_cause(fh_status failure);
/* The first remedy of the catalogue that fits where this process runs. */
void fh_fault_fix(const fh_context *context, const char *cause, char *out, size_t size);

/* launch.c */
fh_status fh_launch_call(fh_queue *queue, fh_call *call);
/* Some rows of a launch (call->part) that `planned` did not take, whose device is lost or which keeps the failure: planned anew, and
 * counted with their launch. call->elsewhere: another one ran them, which was said. */
fh_status fh_launch_part(fh_queue *queue, fh_call *call, fh_candidate *planned);

/* graph.c */
/* Keeps a checked call, and its views, for later. */
fh_status fh_graph_note(fh_graph *graph, const fh_call *call);

/* explain.c */
fh_status fh_decision_text(const fh_queue *queue, const fh_call *call, bool json, char **out_text);

#endif /* FOGHORN_PLAN_PLAN_H_ */
