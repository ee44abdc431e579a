/* A measuring session. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/session.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine/python_peer.h"
#include "bench/engine/rounds.h"
#include "bench/engine/workload.h"
#include "bench/peers/peer.h"
#include "runtime/base/clock.h"
#include "runtime/base/host_memory.h"
#include "runtime/plan/plan.h"

enum { MOST_SCRIPTS = 64, LEAST_ROUNDS = 5 };

struct fh_session {
  const fh_bench_options *options;
  fh_context *contexts[FH_BENCH_THREADS];
  fh_context *reference;            /* on the CPU, made when asked for: whose results are trusted where the device is another */
  fh_pool *pools[FH_BENCH_THREADS]; /* of the limits: the same as the context's, on the CPU */
  fh_limits limits[FH_BENCH_THREADS];
  bool limited; /* limits are known: the device is the CPU */
  fh_script scripts[MOST_SCRIPTS];
  int script_count;
  char *from, *to; /* what the memory yardstick moves */
  size_t from_bytes, to_bytes;
};

const char *fh_binding_name(fh_binding binding) {
  static const char *const names[] = {"compute", "memory", "launch"};
  return names[binding];
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

static void say(const fh_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const fh_session *s, const char *format, ...) {
  char text[160];
  va_list args;
  if (!s->options->progress) return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  s->options->progress(text);
}

static fh_status open_threads(fh_session *s, int i) {
  const fh_bench_options *o = s->options;
  fh_context_options options = {.devices = o->device ? o->device : "cpu",
                                .threads = o->threads[i],
                                .numerics = o->exact ? FH_EXACT : FH_BOUNDED,
                                .allow_fake = o->allow_fake};
  FH_TRY(fh_context_create(&options, &s->contexts[i]));
  if (!s->limited) return FH_OK;
  FH_TRY(fh_pool_shared(o->threads[i], &s->pools[i]));
  say(s, "limits of this machine on %d thread%s", o->threads[i], o->threads[i] == 1 ? "" : "s");
  return fh_limits_measure(s->pools[i], &s->limits[i]);
}

fh_status fh_session_open(const fh_bench_options *options, fh_session **out) {
  fh_session *s = calloc(1, sizeof *s);
  if (!s) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  s->options = options;
  s->limited = !options->device || strcmp(options->device, "cpu") == 0;
  fh_status status = FH_OK;
  for (int i = 0; i < options->thread_counts && !status; i++) status = open_threads(s, i);
  if (status)
    fh_session_close(s);
  else
    *out = s;
  return status;
}

void fh_session_close(fh_session *s) {
  if (!s) return;
  for (int i = 0; i < s->script_count; i++) fh_script_end(&s->scripts[i]);
  for (int i = 0; i < FH_BENCH_THREADS; i++) {
    fh_context_release(s->contexts[i]);
    fh_pool_unshare(s->pools[i]);
  }
  fh_context_release(s->reference);
  free(s->from);
  free(s->to);
  free(s);
}

const fh_limits *fh_session_limits(const fh_session *s, int i) { return s->limited ? &s->limits[i] : NULL; }

bool fh_bench_case_at(const fh_kernel_contract *contract, int i, fh_case *out) {
  return contract->bench_at ? contract->bench_at(i, out) : contract->case_at(i, out);
}

/* ---- Foghorn ------------------------------------------------------------------------------------------------------- */

/* The kernel on one context: as the planner wants it, or on one candidate. */
typedef struct own_call {
  fh_session *session;
  fh_context *context;
  const fh_kernel *kernel;
  fh_candidate *candidate; /* NULL: the planner's choice */
  fh_operands operands;
  fh_view views[FH_MAX_VIEWS];
  const fh_view *view_list[FH_MAX_VIEWS];
  fh_param_value params[FH_MAX_PARAMS];
  fh_call call;
  fh_status failure;
} own_call;

static fh_status wrap(own_call *own, const fh_workload *w) {
  const fh_kernel_contract *contract = w->image->contract;
  for (int v = 0; v < contract->view_count; v++) {
    const fh_view_desc *desc = &w->c.views[v];
    const bool written = fh_workload_is_output(w, v);
    fh_shape shape = {.rank = desc->rank};
    memcpy(shape.extents, desc->shape, sizeof shape.extents);
    const void *base = written ? own->operands.memory[v] : w->memory[v];
    FH_TRY(fh_view_wrap_strided(own->context, base, w->bytes[v], own->operands.data[v], desc->dtype, shape, desc->strides,
                                written ? FH_READ_WRITE : FH_READ, &own->views[v]));
    own->view_list[v] = &own->views[v];
  }
  for (int i = 0; i < contract->scalar_count; i++) {
    if (contract->scalars[i].type == 'i') {
      own->params[i].i = w->c.scalars[i].i;
    } else {
      own->params[i].f = w->c.scalars[i].f;
    }
  }
  return fh_call_bind(own->context, own->kernel, own->view_list, contract->view_count, own->params, contract->scalar_count, &own->call);
}

static void own_close(own_call *own) {
  for (int v = 0; v < FH_MAX_VIEWS; v++) fh_view_release(&own->views[v]);
  fh_operands_close(&own->operands);
  fh_status_free(own->failure);
  *own = (own_call){0};
}

static fh_status own_open(fh_session *s, fh_context *context, const fh_workload *w, fh_candidate *candidate, own_call *out) {
  *out = (own_call){.session = s, .context = context, .candidate = candidate};
  fh_status status = fh_kernel_find(w->image->contract->name, &out->kernel);
  if (!status) status = fh_operands_open(w, &out->operands);
  if (!status) status = wrap(out, w);
  if (status) own_close(out);
  return status;
}

/* One launch on a given candidate: what a launch does after it was planned. */
static fh_status run_candidate(const own_call *own) {
  fh_queue *queue = fh_context_queue(own->context);
  fh_context_lock(own->context);
  queue->probing = true;
  fh_status status = fh_execute(queue, own->candidate, &own->call);
  queue->probing = false;
  fh_context_unlock(own->context);
  return status;
}

static fh_status run_own(const own_call *own) {
  if (own->candidate) return run_candidate(own);
  return fh_launch(fh_context_queue(own->context), own->kernel, own->view_list, own->call.view_count, own->params,
                   own->call.image->contract->scalar_count, NULL);
}

static double own_sample(void *arg, long calls) {
  own_call *own = arg;
  const double inject = own->session->options->inject;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls && !own->failure; i++) own->failure = run_own(own);
  if (!own->failure) own->failure = fh_queue_finish(fh_context_queue(own->context));
  const double took = fh_now_seconds() - start;
  while (inject > 0 && fh_now_seconds() - start < took * (1 + inject)) continue;
  return own->failure ? -1 : fh_now_seconds() - start;
}

/* Results to the host, and are they right? */
static fh_status own_check(own_call *own, const fh_workload *w, fh_bench_entry *entry) {
  fh_operands_reset(w, &own->operands);
  for (int v = 0; v < own->call.view_count; v++) {
    void *data;
    if (fh_workload_is_output(w, v)) FH_TRY(fh_view_map(&own->views[v], FH_READ_WRITE, &data)); /* devices see what was reset */
  }
  FH_TRY(run_own(own));
  for (int v = 0; v < own->call.view_count; v++)
    if (fh_workload_is_output(w, v)) FH_TRY(fh_view_sync(&own->views[v]));
  bool right;
  return fh_workload_check(w, &own->operands, 0, true, entry->why, sizeof entry->why, &right);
}

/* The planner's choice, now. */
static void name_choice(const own_call *own, char out[static 48]) {
  fh_context_lock(own->context);
  const fh_plan plan = fh_plan_make(fh_context_queue(own->context), &own->call);
  snprintf(out, 48, "%s", plan.chosen ? plan.chosen->name : "");
  fh_context_unlock(own->context);
}

/* The portable build for the widest instruction set: what its results are is proven by the conformance tests, case by case. */
static fh_candidate *portable(fh_context *context, const fh_workload *w) {
  fh_candidate *out = NULL;
  fh_plan_kernel *kernel = NULL;
  fh_status_free(fh_plan_kernel_of(context, w->image, &kernel)); /* without memory for it the oracle is asked */
  for (int i = 0; kernel && i < kernel->count; i++) {
    fh_candidate *c = &kernel->candidates[i];
    const bool runs = c->tuned == NULL && context->devices[c->device].info.kind == FH_DEVICE_CPU && context->isa_usable[c->isa];
    if (runs && (!out || c->isa > out->isa)) out = c;
  }
  return out;
}

/* The context that portable builds run in: the CPU's own, or one beside the device's. */
static fh_status reference_of(fh_session *s, fh_context **out_context) {
  const bool has_cpu = s->limited;
  if (!has_cpu && !s->reference) FH_TRY(fh_context_create(&(fh_context_options){.devices = "cpu"}, &s->reference));
  *out_context = has_cpu ? s->contexts[s->options->thread_counts - 1] : s->reference;
  return FH_OK;
}

static fh_status know_results(fh_session *s, fh_workload *w) {
  fh_context *context = NULL;
  own_call own;
  if (fh_workload_is_cheap(w)) return fh_workload_ask_oracle(w);
  FH_TRY(reference_of(s, &context));
  fh_candidate *candidate = portable(context, w);
  if (!candidate) return fh_workload_ask_oracle(w);
  FH_TRY(own_open(s, context, w, candidate, &own));
  fh_status status = run_own(&own);
  if (!status) status = fh_workload_trust(w, &own.operands);
  own_close(&own);
  return status;
}

/* What starting anything costs: the smallest case of the kernel that has something to do. */
static double launch_seconds(fh_session *s, fh_context *context, const fh_kernel_image *image) {
  fh_case c;
  fh_workload w;
  own_call own;
  fh_status status = FH_STATUS(FH_NOT_FOUND, "no case");
  for (int i = 0; status && image->contract->case_at(i, &c); i++) {
    fh_status_free(status);
    status = fh_workload_open(image, &c, &w);
  }
  if (status) {
    fh_status_free(status);
    return 0;
  }
  double least = 0;
  status = own_open(s, context, &w, NULL, &own);
  for (int i = 0; i < 20 && !status; i++) {
    const double seconds = own_sample(&own, 20) / 20;
    if (seconds > 0 && (least == 0 || seconds < least)) least = seconds;
  }
  if (!status) own_close(&own);
  fh_status_free(status);
  fh_workload_close(&w);
  return least;
}

/* ---- one row ---------------------------------------------------------------------------------------------------------- */

/* Everybody who takes part in a row: entry i is contender of[i], or none. */
typedef struct cast {
  fh_session *session;
  fh_workload *workload;
  int threads_index;
  fh_bench_row *row;
  fh_contender contenders[FH_BENCH_ENTRIES];
  int contender_count;
  int entry_of[FH_BENCH_ENTRIES];
  own_call own[FH_BENCH_ENTRIES];
  int own_count;
  struct guest {
    const fh_peer *peer;
    fh_peer_call call;
    fh_operands operands;
    void *state;
  } guests[FH_BENCH_ENTRIES];
  int guest_count;
  struct scripted {
    fh_script *script;
    int peer;
  } scripted[FH_BENCH_ENTRIES];
  int scripted_count;
  fh_compute_probe compute;
  fh_traffic_probe traffic[2];
} cast;

static fh_bench_entry *add_entry(cast *c, const char *name, fh_entry_kind kind, const char *variant) {
  if (c->row->entry_count == FH_BENCH_ENTRIES) return NULL;
  fh_bench_entry *entry = &c->row->entries[c->row->entry_count++];
  *entry = (fh_bench_entry){.kind = kind};
  snprintf(entry->name, sizeof entry->name, "%s", name);
  snprintf(entry->variant, sizeof entry->variant, "%s", variant);
  return entry;
}

static void add_contender(cast *c, const fh_bench_entry *entry, double (*sample)(void *, long), void *arg, bool lingers) {
  c->entry_of[c->contender_count] = (int)(entry - c->row->entries);
  c->contenders[c->contender_count++] = (fh_contender){.name = entry->name, .sample = sample, .arg = arg, .lingers = lingers};
}

static void blame(fh_bench_entry *entry, fh_status take_status) {
  const char *message = fh_status_message(take_status);
  snprintf(entry->why, sizeof entry->why, "%.*s", (int)strcspn(message, "\n"), message);
  fh_status_free(take_status);
}

static void add_own(cast *c, fh_candidate *candidate) {
  fh_bench_entry *entry = add_entry(c, candidate ? candidate->name : "Foghorn", candidate ? FH_ENTRY_VARIANT : FH_ENTRY_FOGHORN, "");
  if (!entry) return;
  own_call *own = &c->own[c->own_count];
  fh_status status = own_open(c->session, c->session->contexts[c->threads_index], c->workload, candidate, own);
  if (!status) {
    c->own_count++;
    status = own_check(own, c->workload, entry);
  }
  if (status)
    blame(entry, status);
  else if (!entry->why[0])
    add_contender(c, entry, own_sample, own, false);
}

/* Every candidate that may run the call. */
static void add_variants(cast *c) {
  fh_context *context = c->session->contexts[c->threads_index];
  fh_queue *queue = fh_context_queue(context);
  const fh_call *call = &c->own[0].call;
  if (c->own_count == 0) return;
  fh_plan_kernel *kernel = fh_plan_kernel_in(context, call->kernel);
  for (int i = 0; i < kernel->count; i++) {
    fh_candidate *candidate = &kernel->candidates[i];
    fh_context_lock(context);
    fh_candidate_test(queue, candidate);
    const bool runs = fh_candidate_judge(queue, candidate, call).reason.code == FH_REASON_NONE;
    fh_context_unlock(context);
    if (runs) add_own(c, candidate);
  }
}

static double guest_sample(void *arg, long calls) {
  const struct guest *g = arg;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++) g->peer->run(g->state);
  return fh_now_seconds() - start;
}

static void add_guest(cast *c, const fh_peer *peer) {
  const fh_workload *w = c->workload;
  fh_bench_entry *entry = add_entry(c, peer->name, FH_ENTRY_PEER, "");
  if (!entry) return;
  struct guest *g = &c->guests[c->guest_count];
  *g = (struct guest){.peer = peer};
  fh_status status = fh_operands_open(w, &g->operands);
  if (status) {
    blame(entry, status);
    return;
  }
  c->guest_count++;
  g->call = (fh_peer_call){w->image->contract, &w->c, &w->bound, g->operands.data, c->row->threads};
  const char *why = peer->open(&g->call, &g->state);
  bool right = !why;
  if (why) {
    snprintf(entry->why, sizeof entry->why, "%s%s%s%s", why, strstr(why, "not here") ? " (Debian: " : "",
             strstr(why, "not here") ? peer->package : "", strstr(why, "not here") ? ")" : "");
    g->peer = NULL;
  } else {
    fh_operands_reset(w, &g->operands);
    peer->run(g->state);
    status = fh_workload_check(w, &g->operands, peer->tolerance, false, entry->why, sizeof entry->why, &right);
  }
  if (status)
    blame(entry, status);
  else if (right)
    add_contender(c, entry, guest_sample, g, c->row->threads > 1);
}

static void add_guests(cast *c) {
  const char *kernel = c->workload->image->contract->name;
  for (const fh_peer *const *list = fh_peer_lists; c->session->options->peers && *list; list++)
    for (const fh_peer *peer = *list; peer->name; peer++)
      if (strcmp(peer->kernel, kernel) == 0) add_guest(c, peer);
}

/* ---- scripts ------------------------------------------------------------------------------------------------------------ */

/* The script of this file for this number of threads, started when needed. */
static fh_script *script_of(fh_session *s, const char *name, const char *path, int threads) {
  for (int i = 0; i < s->script_count; i++)
    if (s->scripts[i].threads == threads && strcmp(s->scripts[i].name, name) == 0) return &s->scripts[i];
  if (s->script_count == MOST_SCRIPTS) return NULL;
  fh_script *script = &s->scripts[s->script_count++];
  say(s, "starting %s", name);
  fh_script_start(s->options->python, path, threads, s->options->stop, script);
  return script;
}

static double script_sample(void *arg, long calls) {
  const struct scripted *s = arg;
  return fh_script_time(s->script, s->peer, calls);
}

static void add_script_peer(cast *c, fh_script *script, int peer) {
  const fh_script_peer *p = &script->peers[peer];
  fh_bench_entry *entry = add_entry(c, p->name, FH_ENTRY_PEER, p->version);
  fh_operands operands;
  if (!entry) return;
  fh_status status = fh_operands_open(c->workload, &operands);
  if (status) {
    blame(entry, status);
    return;
  }
  bool right = fh_script_open(script, peer, c->workload, c->row->threads, entry->why, sizeof entry->why) &&
               fh_script_save(script, peer, c->workload, &operands, entry->why, sizeof entry->why);
  if (right) {
    entry->why[0] = 0;
    status = fh_workload_check(c->workload, &operands, p->tolerance, false, entry->why, sizeof entry->why, &right);
  }
  fh_operands_close(&operands);
  struct scripted *scripted = &c->scripted[c->scripted_count++];
  *scripted = (struct scripted){script, peer};
  if (status)
    blame(entry, status);
  else if (right)
    add_contender(c, entry, script_sample, scripted, c->row->threads > 1);
}

static void add_script(cast *c, const char *name) {
  const char *kernel = c->workload->image->contract->name;
  char path[512];
  snprintf(path, sizeof path, "%s/%s", c->session->options->peer_folder, name);
  if (!fh_script_mentions(path, kernel)) return;
  fh_script *script = script_of(c->session, name, path, c->row->threads);
  if (!script) return;
  if (script->why[0]) {
    fh_bench_entry *entry = add_entry(c, name, FH_ENTRY_PEER, "");
    if (entry) snprintf(entry->why, sizeof entry->why, "%s", script->why);
    return;
  }
  for (int i = 0; i < script->peer_count; i++)
    if (strcmp(script->peers[i].kernel, kernel) == 0) add_script_peer(c, script, i);
}

static int is_script(const struct dirent *file) {
  const char *dot = strrchr(file->d_name, '.');
  return dot && strcmp(dot, ".py") == 0 && strcmp(file->d_name, "serve.py") != 0;
}

static void add_scripts(cast *c) {
  struct dirent **files;
  const int count = c->session->options->peer_folder ? scandir(c->session->options->peer_folder, &files, is_script, alphasort) : 0;
  for (int i = 0; i < count; i++) {
    add_script(c, files[i]->d_name);
    free(files[i]);
  }
  if (count > 0) free(files);
}

/* ---- yardsticks ---------------------------------------------------------------------------------------------------------- */

static fh_peak peak_of(const fh_workload *w) {
  const fh_kernel_contract *contract = w->image->contract;
  fh_dtype inputs[FH_MAX_VIEWS];
  int count = 0;
  for (int v = 0; v < contract->view_count; v++)
    if (contract->views[v].role != FH_ROLE_OUT) inputs[count++] = w->c.views[v].dtype;
  return fh_peak_of(inputs, count);
}

static bool grow(char **memory, size_t *have, size_t bytes) {
  if (bytes <= *have) return true;
  free(*memory);
  *have = 0;
  if (!(*memory = fh_host_alloc(bytes))) return false;
  *have = bytes;
  uint64_t seed = 3;
  for (size_t i = 0; i < bytes / 8; i++) ((uint64_t *)(void *)*memory)[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
  return true;
}

static void add_yardsticks(cast *c) {
  fh_session *s = c->session;
  fh_pool *pool = s->pools[c->threads_index];
  size_t read, write;
  bool in_place;
  if (!s->limited) return;
  c->compute = (fh_compute_probe){pool, c->row->peak, c->row->flops};
  if (s->limits[c->threads_index].flops[c->row->peak] > 0 && c->row->flops > 0) {
    const fh_bench_entry *entry = add_entry(c, "limit: arithmetic", FH_ENTRY_LIMIT, fh_peak_name(c->row->peak));
    if (entry) add_contender(c, entry, fh_compute_probe_sample, &c->compute, false);
  }
  fh_workload_traffic(c->workload, &read, &write, &in_place);
  read = (read + 255) / 256 * 256;
  write = (write + 255) / 256 * 256;
  if (!grow(&s->from, &s->from_bytes, (read > write ? read : write) + 4096) || !grow(&s->to, &s->to_bytes, write + 4096)) return;
  for (int stream = 0; stream <= (write >= (size_t)1 << 20 && fh_limits_can_stream()); stream++) {
    const bool same = in_place && read >= write;
    c->traffic[stream] = (fh_traffic_probe){pool, s->from, same ? s->from : s->to, read, write, stream};
    const fh_bench_entry *entry = add_entry(c, stream ? "limit: memory, past the caches" : "limit: memory", FH_ENTRY_LIMIT, "");
    if (entry) add_contender(c, entry, fh_traffic_probe_sample, &c->traffic[stream], false);
  }
}

/* ---- figures ---------------------------------------------------------------------------------------------------------------- */

const fh_bench_entry *fh_bench_own(const fh_bench_row *row) { return &row->entries[0]; }

double fh_bench_limit_seconds(const fh_bench_row *row) {
  return row->compute_seconds > row->memory_seconds ? row->compute_seconds : row->memory_seconds;
}

static void take_figures(cast *c) {
  fh_bench_row *row = c->row;
  for (int i = 0; i < c->contender_count; i++) {
    fh_bench_entry *entry = &row->entries[c->entry_of[i]];
    const fh_contender *from = &c->contenders[i];
    entry->samples = from->samples;
    entry->count = from->count;
    entry->median = from->median;
    entry->p10 = from->p10;
    entry->p90 = from->p90;
    if (from->failed && !entry->why[0]) snprintf(entry->why, sizeof entry->why, "it failed while it was timed");
    if (entry->kind != FH_ENTRY_LIMIT || entry->count == 0) continue;
    if (from->arg == &c->compute)
      row->compute_seconds = entry->median;
    else if (row->memory_seconds == 0 || entry->median < row->memory_seconds)
      row->memory_seconds = entry->median;
  }
}

static void judge(cast *c) {
  fh_bench_row *row = c->row;
  const double limit = fh_bench_limit_seconds(row), own = fh_bench_own(row)->median;
  for (int i = 0; i < row->entry_count; i++) {
    fh_bench_entry *entry = &row->entries[i];
    if (entry->median <= 0 || entry->kind == FH_ENTRY_LIMIT) continue;
    entry->of_limit = limit / entry->median;
    if (entry->kind == FH_ENTRY_PEER && own > 0) entry->times = entry->median / own;
  }
  row->binding = row->compute_seconds > row->memory_seconds ? FH_BOUND_COMPUTE : FH_BOUND_MEMORY;
  if (row->launch_seconds > 0.5 * own && row->launch_seconds > limit) row->binding = FH_BOUND_LAUNCH;
}

static void cast_close(cast *c) {
  for (int i = 0; i < c->scripted_count; i++) fh_script_close(c->scripted[i].script);
  for (int i = 0; i < c->own_count; i++) own_close(&c->own[i]);
  for (int i = 0; i < c->guest_count; i++) {
    if (c->guests[i].peer && c->guests[i].peer->close) c->guests[i].peer->close(c->guests[i].state);
    fh_operands_close(&c->guests[i].operands);
  }
}

static void row_free(fh_bench_row *row) {
  for (int i = 0; i < row->entry_count; i++) free(row->entries[i].samples);
}

void fh_bench_table_free(fh_bench_table *table) {
  for (int i = 0; i < table->count; i++) row_free(&table->rows[i]);
  free(table->rows);
  *table = (fh_bench_table){0};
}

static fh_bench_row *add_row(fh_bench_table *table) {
  if (table->count == table->capacity) {
    const int capacity = table->capacity ? 2 * table->capacity : 32;
    fh_bench_row *rows = realloc(table->rows, (size_t)capacity * sizeof *rows);
    if (!rows) return NULL;
    table->rows = rows;
    table->capacity = capacity;
  }
  fh_bench_row *row = &table->rows[table->count++];
  *row = (fh_bench_row){0};
  return row;
}

static bool stopped(void *arg) {
  const fh_session *s = arg;
  return s->options->stop && s->options->stop(NULL);
}

static fh_status measure_row(fh_session *s, fh_workload *w, int i, fh_bench_table *table) {
  fh_bench_row *row = add_row(table);
  cast *c = row ? calloc(1, sizeof *c) : NULL;
  if (!c) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  const double set = fh_workload_set(w);
  *row = (fh_bench_row){.kernel = w->image->contract->name,
                        .threads = s->options->threads[i],
                        .flops = w->bound.flops,
                        .bytes = w->bound.bytes,
                        .set = set,
                        .peak = peak_of(w),
                        .level = s->limited ? fh_limits_level(&s->limits[i], set)->name : ""};
  snprintf(row->label, sizeof row->label, "%s", w->c.label);
  *c = (cast){.session = s, .workload = w, .threads_index = i, .row = row};
  say(s, "%s %s on %d thread%s", row->kernel, row->label, row->threads, row->threads == 1 ? "" : "s");
  row->launch_seconds = launch_seconds(s, s->contexts[i], w->image);
  add_own(c, NULL);
  if (s->options->variants) add_variants(c);
  add_guests(c);
  add_scripts(c);
  add_yardsticks(c);
  const fh_rounds_options rounds = {.rounds = s->options->rounds,
                                    .least_rounds = s->options->rounds < LEAST_ROUNDS ? s->options->rounds : LEAST_ROUNDS,
                                    .sample_seconds = s->options->sample_seconds,
                                    .budget_seconds = s->options->budget_seconds,
                                    .stop = stopped,
                                    .stop_arg = s};
  const bool enough = fh_rounds_run(c->contenders, c->contender_count, &rounds);
  take_figures(c);
  judge(c);
  if (c->own_count) name_choice(&c->own[0], row->entries[0].variant);
  cast_close(c);
  free(c);
  if (!enough) {
    row_free(row);
    table->count--;
  }
  return FH_OK;
}

fh_status fh_session_measure_on(fh_session *s, int i, const fh_kernel_image *image, const fh_case *c, fh_bench_table *table) {
  fh_workload w;
  FH_TRY(fh_workload_open(image, c, &w));
  fh_status status = know_results(s, &w);
  if (!status) status = measure_row(s, &w, i, table);
  fh_workload_close(&w);
  return status;
}

fh_status fh_session_measure(fh_session *s, const fh_kernel_image *image, const fh_case *c, fh_bench_table *table) {
  fh_workload w;
  FH_TRY(fh_workload_open(image, c, &w));
  fh_status status = know_results(s, &w);
  for (int i = 0; i < s->options->thread_counts && !status && !stopped(s); i++) status = measure_row(s, &w, i, table);
  fh_workload_close(&w);
  return status;
}
