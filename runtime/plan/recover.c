/* When something fails at run time: blame, quarantine, run lost work again. SPDX-License-Identifier: Apache-2.0
 *
 * Results that exist only on a device are recorded with the call that made them (the lineage log). When the device dies
 * the log is run again on what is left, in order, from the copies the host still has. Only where
 * an input is gone as well is data lost, and then whoever asks for it is told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/os_proven.h"
#include "runtime/base/log.h"
#include "runtime/plan/plan.h"

/* ---- the lineage log --------------------------------------------------------------------------------------- */

/* NULL without memory. */
static fh_lineage *lineage_new(fh_context *context) {
  fh_lineage *spare = context->spare_lineage;
  if (!spare) return malloc(sizeof *spare);
  context->spare_lineage = spare->next_spare;
  return spare;
}

static void lineage_end(fh_context *context, fh_lineage *lineage) {
  for (int i = 0; i < lineage->call.view_count; i++) {
    lineage->call.views[i].buffer->log_refs--;
    fh_buffer_release(lineage->call.views[i].buffer);
  }
  lineage->next_spare = context->spare_lineage;
  context->spare_lineage = lineage;
}

static void free_spares(fh_context *context) {
  while (context->spare_lineage) {
    fh_lineage *spare = context->spare_lineage;
    context->spare_lineage = spare->next_spare;
    free(spare);
  }
}

static bool alive(const fh_view *view) { return fh_buffer_alive(view->buffer, view->generation); }

/* Does anybody still need what this record made, and is it not on the host yet? Records after it must have been judged: those
 * that nobody needs are NULL. */
static bool needed(const fh_context *context, int index) {
  const fh_lineage *lineage = context->lineage[index];
  for (int i = 0; i < lineage->call.view_count; i++) {
    const fh_buffer *buffer = lineage->call.views[i].buffer;
    uint64_t version = lineage->out_version[i];
    if (version == 0 || buffer->host_version >= version || buffer->lost || !alive(&lineage->call.views[i])) continue;
    bool user = atomic_load(&((fh_buffer *)buffer)->refs.value) > buffer->log_refs;
    if (user && buffer->version == version) return true;
    for (int later = index + 1; later < context->lineage_count; later++) {
      const fh_lineage *other = context->lineage[later];
      for (int v = 0; other && v < other->call.view_count; v++)
        if (other->call.views[v].buffer == buffer && other->in_version[v] == version) return true;
    }
  }
  return false;
}

void fh_lineage_prune(fh_context *context) {
  fh_lineage *dropped[FH_LINEAGE_MAX];
  int drop = 0, keep = 0;
  for (int i = context->lineage_count - 1; i >= 0; i--) { /* newest first: a record is needed by those after it */
    if (needed(context, i)) continue;
    dropped[drop++] = context->lineage[i];
    context->lineage[i] = NULL;
  }
  for (int i = 0; i < context->lineage_count; i++)
    if (context->lineage[i]) context->lineage[keep++] = context->lineage[i];
  context->lineage_count = keep;
  while (drop > 0) lineage_end(context, dropped[--drop]);
}

/* Which records: those that read the buffer, those that mention it, or all. */
typedef enum record_scope { READERS, MENTIONS, ALL } record_scope;

static bool concerns(const fh_lineage *lineage, record_scope scope, const fh_buffer *buffer) {
  for (int v = 0; v < lineage->call.view_count; v++)
    if (lineage->call.views[v].buffer == buffer && (scope == MENTIONS || lineage->in_version[v])) return true;
  return scope == ALL;
}

bool fh_lineage_reads(const fh_context *context, const fh_buffer *buffer) {
  bool reads = false;
  for (int l = 0; l < context->lineage_count; l++)
    reads = reads || (buffer->host_version != buffer->version && concerns(context->lineage[l], READERS, buffer));
  return reads;
}

/* A result of the record that the host has not got, other than `buffer` itself; NULL: none. */
static fh_buffer *result_away(const fh_lineage *lineage, const fh_buffer *buffer) {
  for (int v = 0; v < lineage->call.view_count; v++) {
    fh_buffer *made = lineage->call.views[v].buffer;
    if (made == buffer || !lineage->out_version[v] || !alive(&lineage->call.views[v])) continue;
    if (!made->lost && made->host_version != made->version) return made;
  }
  return NULL;
}

static void add_results(const fh_lineage *lineage, fh_buffer **set, int *count) {
  for (int v = 0; v < lineage->call.view_count; v++) {
    fh_buffer *made = lineage->call.views[v].buffer;
    if (!lineage->out_version[v] || !alive(&lineage->call.views[v]) || made->lost || made->host_version == made->version) continue;
    bool known = false;
    for (int i = 0; i < *count; i++) known |= set[i] == made;
    if (known || *count == FH_LINEAGE_SET_MAX) continue;
    fh_buffer_retain(made);
    set[(*count)++] = made;
  }
}

int fh_lineage_closure(fh_context *context, fh_buffer *buffer, fh_buffer *out_set[FH_LINEAGE_SET_MAX]) {
  fh_lineage_prune(context);
  int count = 1;
  fh_buffer_retain(buffer);
  out_set[0] = buffer;
  for (int i = 0; i < count; i++)
    for (int l = 0; l < context->lineage_count; l++)
      if (concerns(context->lineage[l], READERS, out_set[i])) add_results(context->lineage[l], out_set, &count);
  return count;
}

static void lineage_drop(fh_context *context, const fh_lineage *record) {
  for (int i = 0; i < context->lineage_count; i++) {
    fh_lineage *lineage = context->lineage[i];
    if (lineage != record) continue;
    memmove(&context->lineage[i], &context->lineage[i + 1], (size_t)(--context->lineage_count - i) * sizeof lineage);
    lineage_end(context, lineage);
    return;
  }
}

void fh_lineage_spoilt(fh_context *context, const fh_buffer *buffer) {
  for (int i = context->lineage_count - 1; i >= 0; i--)
    if (concerns(context->lineage[i], READERS, buffer)) lineage_drop(context, context->lineage[i]);
}

/* Brings the results of records home, newest first: with the end of a chain its middle is no longer needed. Moving one changes the
 * log, so the search begins anew each time. */
static void results_home(fh_context *context, record_scope scope, const fh_buffer *buffer) {
  fh_lineage_prune(context);
  for (int i = context->lineage_count - 1; i >= 0; i--) {
    fh_lineage *lineage = context->lineage[i];
    fh_buffer *made = concerns(lineage, scope, buffer) ? result_away(lineage, buffer) : NULL;
    if (!made) continue;
    fh_buffer_retain(made);
    fh_status status = fh_buffer_to_host(context, made);
    if (status) lineage_drop(context, lineage); /* not tried for ever; a loss is reported to whoever asks for the data */
    fh_status_free(status);
    fh_buffer_release(made);
    fh_lineage_prune(context);
    i = context->lineage_count;
  }
}

/* Records that read an older version could not be run again after that, so their results come home first. */
void fh_lineage_guard(fh_context *context, const fh_buffer *buffer) { results_home(context, READERS, buffer); }

void fh_lineage_forget(fh_context *context, fh_buffer *buffer) {
  fh_buffer_retain(buffer);
  results_home(context, MENTIONS, buffer);
  for (int i = context->lineage_count - 1; i >= 0; i--)
    if (concerns(context->lineage[i], MENTIONS, buffer)) lineage_drop(context, context->lineage[i]);
  fh_buffer_release(buffer);
}

static bool has_room(const fh_context *context, int count) { return context->lineage_count + count <= FH_LINEAGE_MAX; }

/* Brings the oldest results home when nothing can be dropped. */
bool fh_lineage_reserve(fh_context *context, int count) {
  if (has_room(context, count)) return true;
  fh_lineage_prune(context);
  for (int i = 0; !has_room(context, count) && i < FH_LINEAGE_MAX / 2 && i < context->lineage_count; i++) {
    const fh_call *call = &context->lineage[i]->call;
    for (int v = 0; v < call->view_count; v++) {
      if (context->lineage[i]->out_version[v] == 0) continue;
      fh_status status = fh_buffer_to_host(context, call->views[v].buffer);
      fh_status_free(status); /* a loss is reported to whoever asks for the data */
      if (has_room(context, count)) return true;
    }
  }
  fh_lineage_prune(context);
  return has_room(context, count);
}

void fh_lineage_note(fh_queue *queue, int device, const fh_call *call, const uint64_t *in_version, const uint64_t *out_version) {
  fh_context *context = queue->context;
  fh_lineage *lineage = fh_lineage_reserve(context, 1) ? lineage_new(context) : NULL;
  if (!lineage) { /* without a record the result must not live on the device alone */
    for (int v = 0; v < call->view_count; v++) {
      fh_status status = out_version[v] ? fh_buffer_to_host(context, call->views[v].buffer) : FH_OK;
      fh_status_free(status);
    }
    return;
  }
  fh_call_copy(call, &lineage->call);
  lineage->device = device;
  lineage->pinned = queue->pinned >= 0;
  memcpy(lineage->in_version, in_version, sizeof lineage->in_version);
  memcpy(lineage->out_version, out_version, sizeof lineage->out_version);
  for (int i = 0; i < call->view_count; i++) {
    fh_buffer_retain(call->views[i].buffer);
    call->views[i].buffer->log_refs++;
  }
  context->lineage[context->lineage_count++] = lineage;
}

void fh_lineage_clear(fh_context *context) {
  results_home(context, ALL, NULL);
  while (context->lineage_count > 0) lineage_end(context, context->lineage[--context->lineage_count]);
  free_spares(context);
}

/* ---- running again -------------------------------------------------------------------------------------------- */

static void mark_lost(const fh_lineage *lineage) {
  for (int i = 0; i < lineage->call.view_count; i++)
    if (lineage->out_version[i] && lineage->call.views[i].buffer->version == lineage->out_version[i])
      lineage->call.views[i].buffer->lost = true;
}

/* Brings those home that live on other devices alone. */
static bool inputs_home(fh_context *context, const fh_lineage *lineage) {
  for (int i = 0; i < lineage->call.view_count; i++) {
    const fh_view *view = &lineage->call.views[i];
    if (!alive(view)) return false;
    if (!lineage->in_version[i] || view->buffer->host_version == lineage->in_version[i]) continue;
    if (view->buffer->crossed != lineage->in_version[i] || view->buffer->version != lineage->in_version[i]) return false;
    fh_status status = fh_buffer_to_host(context, view->buffer);
    const bool home = !status && view->buffer->host_version == lineage->in_version[i];
    fh_status_free(status);
    if (!home) return false;
  }
  return true;
}

/* Runs a record on the best candidate that works in host memory, so that its results are home at once. */
static fh_status run_again(fh_context *context, fh_lineage *lineage) {
  fh_queue *queue = context->queues;
  int pinned = queue->pinned;
  bool probing = queue->probing; /* the device may die in a self-test of another launch */
  uint64_t newest[FH_MAX_VIEWS] = {0};
  /* The call must see the versions it saw then, and its outputs must get the versions they got then. */
  for (int i = 0; i < lineage->call.view_count; i++) {
    fh_buffer *buffer = lineage->call.views[i].buffer;
    newest[i] = buffer->version;
    buffer->version = buffer->host_version;
  }
  fh_status status = FH_OK;
  queue->pinned = fh_device_named(context, "cpu");
  queue->probing = false;
  fh_plan plan = fh_plan_make(queue, &lineage->call);
  status = plan.chosen ? fh_execute(queue, plan.chosen, &lineage->call)
                       : FH_STATUS(FH_UNAVAILABLE, "%s: no CPU variant may run it", lineage->call.image->contract->name);
  queue->pinned = pinned;
  queue->probing = probing;
  for (int i = lineage->call.view_count - 1; i >= 0; i--) { /* backwards: one buffer may stand behind several views */
    fh_buffer *buffer = lineage->call.views[i].buffer;
    if (!status && lineage->out_version[i]) buffer->host_version = lineage->out_version[i];
    buffer->version = newest[i];
  }
  return status;
}

static void count_again(fh_context *context, const fh_lineage *lineage, const char *cause) {
  const char *kernel = lineage->call.image->contract->name;
  const char *from = context->devices[lineage->device].info.id;
  fh_counters *counters = &context->account.counters;
  const bool whole = !lineage->call.part; /* a launch in chunks is not counted before its end */
  counters->replayed++;
  if (whole && !lineage->call.elsewhere) {
    counters->executed_intended--;
    counters->executed_elsewhere++;
  }
  fh_account_row *row = fh_account_row_of(&context->account, kernel, from);
  if (row && (row->executed > 0 || !whole)) { /* it ran there, but its result is gone: the truth is that it ran on the CPU */
    row->executed -= whole;
    row->flops -= lineage->call.bound.flops;
    row->bytes -= lineage->call.bound.bytes;
  }
  if (whole) fh_account_fallback_add(&context->account, kernel, from, "cpu", cause);
}

/* A strict context, one without the CPU, or a pinned queue does not want lost work to run elsewhere. */
static bool may_run_again(const fh_context *context, const fh_lineage *lineage) {
  int cpu = fh_device_named(context, "cpu");
  return !lineage->pinned && context->config.fallback != FH_FALLBACK_ERROR && cpu >= 0 && context->devices[cpu].allowed;
}

static fh_status replay(fh_context *context, int device) {
  fh_plan_device *d = &context->devices[device];
  int again = 0, lost = 0, count = 0, keep = 0;
  bool refused = false;
  fh_lineage *records[FH_LINEAGE_MAX];
  fh_lineage_prune(context); /* what is left is needed */
  /* Out of the log while they run: running prunes it. */
  for (int i = 0; i < context->lineage_count; i++) {
    if (context->lineage[i]->device == device) {
      records[count++] = context->lineage[i];
    } else {
      context->lineage[keep++] = context->lineage[i];
    }
  }
  context->lineage_count = keep;
  for (int i = 0; i < count; i++) {
    bool may = may_run_again(context, records[i]);
    refused |= !may;
    fh_status status = may && inputs_home(context, records[i]) ? run_again(context, records[i]) : FH_STATUS(FH_DATA_LOSS, "not possible");
    if (status) {
      fh_status_free(status);
      mark_lost(records[i]);
      lost++;
    } else {
      count_again(context, records[i], d->cause);
      again++;
    }
  }
  while (count > 0) lineage_end(context, records[--count]);
  if (context->config.fallback == FH_FALLBACK_WARN || lost) {
    context->account.counters.fallback_warnings++;
    fh_account_say(&context->account, "*", d->info.id, d->cause); /* the launches that now run elsewhere need not say it again */
    fh_log(FH_LOG_WARN,
           "FALLBACK device %s lost: its work goes on elsewhere\n"
           "  cause   %s: %s\n"
           "  effect  %d finished launches had results only there: %d run again on the cpu, %d lost\n"
           "  fix     %s\n"
           "  more    devprobe cause %s",
           d->info.id, d->cause, d->reason, again + lost, again, lost, d->fix, d->cause);
  }
  if (lost == 0) return FH_OK;
  return FH_STATUS_CAUSE(FH_DATA_LOSS, d->cause, "%s was lost with the results of %d launches%s\n%s", d->info.id, lost,
                         refused ? "; running them again elsewhere is not allowed here" : "", d->reason);
}

/* ---- blame ------------------------------------------------------------------------------------------------------ */

bool fh_blames_device(fh_code code) { return code == FH_UNAVAILABLE || code == FH_DEADLINE_EXCEEDED || code == FH_UNKNOWN; }

static void first_line(const char *text, char *out, size_t size) { snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text); }

static void device_quarantine(fh_context *context, int device, fh_status failure) {
  fh_plan_device *d = &context->devices[device];
  d->state = FH_STATE_QUARANTINED;
  snprintf(d->cause, sizeof d->cause, "%s", fh_fault_cause(failure));
  first_line(fh_status_message(failure), d->reason, sizeof d->reason);
  fh_fault_fix(context, d->cause, d->fix, sizeof d->fix);
  if (strncmp(d->info.id, "cuda:", 5) == 0) fh_os_proven_forget(context->config.cache_dir);
  fh_streams_end(context, device); /* it may live, and its copies still run: host memory is about to be used elsewhere */
}

void fh_candidate_blame(fh_candidate *candidate, fh_status failure) {
  snprintf(candidate->cause, sizeof candidate->cause, "%s", fh_fault_cause(failure));
  first_line(fh_status_message(failure), candidate->reason, sizeof candidate->reason);
}

fh_status fh_recover(fh_context *context, fh_candidate *candidate, int device, fh_status failure) {
  fh_code code = fh_status_code(failure);
  fh_plan_device *d = &context->devices[device];
  if (code == FH_ABORTED) { /* a consequence of what was already dealt with */
    fh_status_free(failure);
    return FH_OK;
  }
  /* Work that was accepted and failed later (there is no candidate then): which results are missing is not known, so none counts. */
  if ((fh_blames_device(code) || !candidate) && d->info.kind != FH_DEVICE_CPU) {
    bool first = d->state == FH_STATE_OPEN;
    if (first) device_quarantine(context, device, failure);
    fh_status_free(failure);
    return first ? replay(context, device) : FH_OK;
  }
  /* Lost data and bad arguments are nobody's fault here: they would fail anywhere. */
  if (!candidate || code == FH_DATA_LOSS || code == FH_INVALID_ARGUMENT || code == FH_FAILED_PRECONDITION) return failure;
  candidate->quarantined = true;
  fh_candidate_blame(candidate, failure);
  fh_status_free(failure);
  return FH_OK;
}
