/* What was intended and what really ran. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/obs/account.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/base/text.h"

static void *grown(void *array, int count, int *capacity, size_t size) {
  if (count < *capacity) return array;
  int wanted = *capacity ? *capacity * 2 : 16;
  void *more = realloc(array, (size_t)wanted * size);
  if (more) *capacity = wanted;
  return more;
}

fh_account_row *fh_account_row_of(fh_account *account, const char *kernel, const char *device) {
  for (int i = 0; i < account->row_count; i++) {
    fh_account_row *row = &account->rows[i];
    if (strcmp(row->kernel, kernel) == 0 && strcmp(row->device, device) == 0) return row;
  }
  fh_account_row *rows = grown(account->rows, account->row_count, &account->row_capacity, sizeof *rows);
  if (!rows) {
    account->uncounted++;
    return NULL;
  }
  account->rows = rows;
  fh_account_row *row = &rows[account->row_count++];
  *row = (fh_account_row){0};
  snprintf(row->kernel, sizeof row->kernel, "%s", kernel);
  snprintf(row->device, sizeof row->device, "%s", device);
  return row;
}

bool fh_account_say(fh_account *account, const char *scope, const char *from, const char *cause) {
  for (int i = 0; i < account->said_count; i++) {
    const fh_account_said *s = &account->said[i];
    if (strcmp(s->scope, scope) == 0 && strcmp(s->from, from) == 0 && strcmp(s->cause, cause) == 0) return false;
  }
  fh_account_said *all = grown(account->said, account->said_count, &account->said_capacity, sizeof *all);
  if (!all) return true; /* say it twice rather than never */
  account->said = all;
  fh_account_said *s = &all[account->said_count++];
  snprintf(s->scope, sizeof s->scope, "%s", scope);
  snprintf(s->from, sizeof s->from, "%s", from);
  snprintf(s->cause, sizeof s->cause, "%s", cause);
  return true;
}

void fh_account_fallback_add(fh_account *account, const char *kernel, const char *from, const char *to, const char *cause) {
  for (int i = 0; i < account->fallback_count; i++) {
    fh_account_fallback *f = &account->fallbacks[i];
    if (strcmp(f->kernel, kernel) == 0 && strcmp(f->from, from) == 0 && strcmp(f->to, to) == 0 && strcmp(f->cause, cause) == 0) {
      f->count++;
      return;
    }
  }
  fh_account_fallback *all = grown(account->fallbacks, account->fallback_count, &account->fallback_capacity, sizeof *all);
  if (!all) {
    account->uncounted++;
    return;
  }
  account->fallbacks = all;
  fh_account_fallback *f = &all[account->fallback_count++];
  *f = (fh_account_fallback){.count = 1};
  snprintf(f->kernel, sizeof f->kernel, "%s", kernel);
  snprintf(f->from, sizeof f->from, "%s", from);
  snprintf(f->to, sizeof f->to, "%s", to);
  snprintf(f->cause, sizeof f->cause, "%s", cause);
}

void fh_account_free(fh_account *account) {
  free(account->rows);
  free(account->fallbacks);
  free(account->said);
  *account = (fh_account){0};
}

char *fh_account_summary(const fh_account *account) {
  if (account->fallback_count == 0) return NULL;
  fh_text text = {0};
  fh_text_add(&text, "fallback summary: %" PRIu64 " of %" PRIu64 " launches ran elsewhere than intended",
              account->counters.executed_elsewhere, account->counters.launches);
  for (int i = 0; i < account->fallback_count; i++) {
    const fh_account_fallback *f = &account->fallbacks[i];
    fh_text_add(&text, "\n  %s: %s -> %s, %s, %" PRIu64 " times", f->kernel, f->from, f->to, f->cause, f->count);
  }
  return fh_text_take(&text);
}

char *fh_account_text(const fh_account *account) {
  const fh_counters *c = &account->counters;
  fh_text text = {0};
  fh_text_add(&text, "launches %" PRIu64 ": %" PRIu64 " as intended, %" PRIu64 " elsewhere, %" PRIu64 " failed; %" PRIu64 " run again\n",
              c->launches, c->executed_intended, c->executed_elsewhere, c->failed, c->replayed);
  fh_text_add(&text, "copied %.3f MB to devices, %.3f MB from devices\n\n", (double)c->bytes_to_device / 1e6,
              (double)c->bytes_from_device / 1e6);
  if (c->chunked) fh_text_add(&text, "%" PRIu64 " launches ran as %" PRIu64 " chunks, memory being short\n\n", c->chunked, c->chunks);
  if (c->split) fh_text_add(&text, "%" PRIu64 " launches were split between devices, in %" PRIu64 " shares\n\n", c->split, c->shares);
  if (account->one_by_one)
    fh_text_add(&text, "%" PRIu64 " batches of graphs ran launch by launch, memory being short\n\n", account->one_by_one);
  fh_text_add(&text, "%-16s %-12s %10s %10s %12s %10s\n", "kernel", "device", "intended", "executed", "ms/launch", "GFLOP/s");
  for (int i = 0; i < account->row_count; i++) {
    const fh_account_row *r = &account->rows[i];
    double each = r->timed ? r->seconds / (double)r->timed : 0;
    fh_text_add(&text, "%-16s %-12s %10" PRIu64 " %10" PRIu64, r->kernel, r->device, r->intended, r->executed);
    if (r->timed && r->executed) {
      fh_text_add(&text, " %12.4f %10.2f\n", each * 1e3, each > 0 ? r->flops / (double)r->executed / each / 1e9 : 0);
    } else {
      fh_text_add(&text, " %12s %10s\n", "-", "-");
    }
  }
  for (int i = 0; i < account->fallback_count; i++) {
    const fh_account_fallback *f = &account->fallbacks[i];
    fh_text_add(&text, "%sfallback  %s: %s -> %s, %s, %" PRIu64 " times\n", i ? "" : "\n", f->kernel, f->from, f->to, f->cause, f->count);
  }
  if (account->uncounted) fh_text_add(&text, "\n%" PRIu64 " events are missing above: memory was short\n", account->uncounted);
  return fh_text_take(&text);
}

static json_t *counters_json(const fh_account *account) {
  const fh_counters *c = &account->counters;
  return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI sI}", "launches", (json_int_t)c->launches, "executed_intended",
                   (json_int_t)c->executed_intended, "executed_elsewhere", (json_int_t)c->executed_elsewhere, "failed",
                   (json_int_t)c->failed, "fallback_warnings", (json_int_t)c->fallback_warnings, "replayed", (json_int_t)c->replayed,
                   "bytes_to_device", (json_int_t)c->bytes_to_device, "bytes_from_device", (json_int_t)c->bytes_from_device, "chunked",
                   (json_int_t)c->chunked, "chunks", (json_int_t)c->chunks, "split", (json_int_t)c->split, "shares", (json_int_t)c->shares,
                   "one_by_one", (json_int_t)account->one_by_one);
}

char *fh_account_json(const fh_account *account) {
  json_t *rows = json_array(), *fallbacks = json_array();
  for (int i = 0; i < account->row_count; i++) {
    const fh_account_row *r = &account->rows[i];
    json_array_append_new(rows, json_pack("{ss ss sI sI sI sf sf sf}", "kernel", r->kernel, "device", r->device, "intended",
                                          (json_int_t)r->intended, "executed", (json_int_t)r->executed, "timed", (json_int_t)r->timed,
                                          "seconds", r->seconds, "flops", r->flops, "bytes", r->bytes));
  }
  for (int i = 0; i < account->fallback_count; i++) {
    const fh_account_fallback *f = &account->fallbacks[i];
    json_array_append_new(fallbacks, json_pack("{ss ss ss ss sI}", "kernel", f->kernel, "from", f->from, "to", f->to, "cause", f->cause,
                                               "count", (json_int_t)f->count));
  }
  return fh_json_print(json_pack("{ss so so so sI}", "schema", "foghorn.report/1", "counters", counters_json(account), "work", rows,
                                 "fallbacks", fallbacks, "uncounted", (json_int_t)account->uncounted));
}
