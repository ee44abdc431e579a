/* No variant is a candidate before it passed its own test on this machine. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/mem/owner.h"
#include "runtime/plan/plan.h"

/* The first cases are small and cost microseconds; the conformance suite runs them all. */
enum { SELFTEST_CASES = 3 };

typedef struct trial {
  fh_case c;
  const fh_kernel_contract *contract;
  fh_call call;
  void *want[FH_MAX_VIEWS];  /* the oracle's operands */
  void *plain[FH_MAX_VIEWS]; /* those of the scalar build; NULL: not needed */
} trial;

static size_t bytes_of(const fh_view_desc *desc) {
  size_t bytes = fh_dtype_size(desc->dtype);
  for (int i = 0; i < desc->rank; i++) bytes *= (size_t)desc->shape[i];
  return bytes;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void fill_default(const fh_view_desc *desc, void *data, uint64_t seed) {
  size_t size = fh_dtype_size(desc->dtype), count = bytes_of(desc) / size;
  for (size_t i = 0; i < count; i++) {
    uint64_t r = next_random(&seed);
    if (desc->dtype == FH_F32) {
      ((float *)data)[i] = (float)((double)(r >> 11) * 0x1p-52 - 1.0);
    } else if (desc->dtype == FH_F64) {
      ((double *)data)[i] = (double)(r >> 11) * 0x1p-52 - 1.0;
    } else {
      memcpy((char *)data + i * size, &r, size);
    }
  }
}

static void trial_free(trial *t) {
  for (int i = 0; i < t->contract->view_count; i++) {
    fh_view_release(&t->call.views[i]);
    free(t->want[i]);
    free(t->plain[i]);
  }
}

static fh_status operand_new(fh_context *context, trial *t, int i) {
  const fh_view_desc *desc = &t->c.views[i];
  size_t bytes = bytes_of(desc);
  t->want[i] = calloc(bytes ? bytes : 1, 1);
  t->plain[i] = calloc(bytes ? bytes : 1, 1);
  if (!t->want[i] || !t->plain[i]) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a self-test operand of %zu bytes", bytes);
  fh_buffer *buffer = NULL;
  FH_TRY(fh_buffer_new(fh_context_residency(), context, NULL, bytes, false, __FILE__, __LINE__, &buffer));
  fh_view *view = &t->call.views[i];
  *view = (fh_view){.buffer = buffer, .generation = buffer->generation, .dtype = desc->dtype, .access = FH_READ_WRITE, .rank = desc->rank};
  memcpy(view->shape, desc->shape, sizeof view->shape);
  memcpy(view->strides, desc->strides, sizeof view->strides);
  t->call.descs[i] = *desc;
  if (t->contract->views[i].role == FH_ROLE_OUT || bytes == 0) return FH_OK;
  uint64_t seed = 0x666f67u + (uint64_t)i;
  if (t->contract->fill) {
    t->contract->fill(i, &t->c, buffer->host, seed);
  } else {
    fill_default(desc, buffer->host, seed);
  }
  memcpy(t->want[i], buffer->host, bytes);
  memcpy(t->plain[i], buffer->host, bytes);
  return FH_OK;
}

static fh_status trial_new(fh_context *context, const fh_kernel_image *image, int kernel, trial *t) {
  t->call = (fh_call){.image = image, .kernel = kernel, .view_count = t->contract->view_count};
  for (int i = 0; i < t->contract->view_count; i++) FH_TRY(operand_new(context, t, i));
  memcpy(t->call.params, t->c.scalars, sizeof t->call.params);
  return t->contract->bind(t->call.descs, t->call.params, &t->call.bound);
}

/* The dialect text in plain C, run here and now on one thread. */
static fh_status run_plain(const trial *t) {
  void *temps[FH_MAX_TEMPS] = {0};
  fh_status status = FH_OK;
  for (int i = 0; i < t->call.bound.temp_count && !status; i++) {
    temps[i] = calloc(t->call.bound.temp_bytes[i] ? t->call.bound.temp_bytes[i] : 1, 1);
    if (!temps[i]) status = FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for self-test scratch");
  }
  for (int s = 0; s < t->call.bound.stage_count && !status; s++) {
    const fh_stage *stage = &t->call.bound.stages[s];
    fh_slot slots[FH_MAX_OPERANDS];
    for (int o = 0; o < stage->operand_count; o++) {
      const fh_operand *operand = &stage->operands[o];
      switch (operand->kind) {
        case FH_OPERAND_I64:
          slots[o].i = operand->i;
          break;
        case FH_OPERAND_F32:
          slots[o].f = operand->f;
          break;
        case FH_OPERAND_TEMP:
          slots[o].p = (char *)temps[operand->index] + operand->offset;
          break;
        default:
          slots[o].p = (char *)t->plain[operand->index] + operand->offset;
          break;
      }
    }
    t->call.image->entries[stage->entry].cpu[FH_ISA_SCALAR](slots, 0, stage->items);
  }
  for (int i = 0; i < FH_MAX_TEMPS; i++) free(temps[i]);
  return status;
}

static char *difference(const char *format, const char *operand, size_t index, double got, double want) {
  char text[200];
  snprintf(text, sizeof text, format, operand, index, got, want);
  return strdup(text);
}

static double element(const void *data, fh_dtype dtype, size_t i) {
  switch (dtype) {
    case FH_F32:
      return ((const float *)data)[i];
    case FH_F64:
      return ((const double *)data)[i];
    case FH_I32:
      return ((const int32_t *)data)[i];
    case FH_I64:
      return (double)((const int64_t *)data)[i];
    case FH_U8:
      return ((const uint8_t *)data)[i];
    case FH_I8:
      return ((const int8_t *)data)[i];
    default:
      return 0;
  }
}

static char *against_oracle(const trial *t) {
  void *got[FH_MAX_VIEWS];
  for (int i = 0; i < t->contract->view_count; i++) got[i] = t->call.views[i].buffer->host;
  if (t->contract->compare) {
    const char *wrong = t->contract->compare(&t->c, got, t->want);
    return wrong ? strdup(wrong) : NULL;
  }
  for (int i = 0; i < t->contract->view_count; i++) {
    if (t->contract->views[i].role == FH_ROLE_IN) continue;
    const fh_view_desc *desc = &t->c.views[i];
    size_t count = bytes_of(desc) / fh_dtype_size(desc->dtype);
    for (size_t e = 0; e < count; e++) {
      double g = element(got[i], desc->dtype, e), w = element(t->want[i], desc->dtype, e);
      if (isnan(g) && isnan(w)) continue;
      if (g == w || fabs(g - w) <= t->contract->bound_rel * fabs(w) + t->contract->bound_abs) continue;
      return difference("%s[%zu] is %.9g, the reference says %.9g: outside the bound", t->contract->views[i].name, e, g, w);
    }
  }
  return NULL;
}

static char *against_plain(const trial *t) {
  for (int i = 0; i < t->contract->view_count; i++) {
    if (t->contract->views[i].role == FH_ROLE_IN) continue;
    const fh_view_desc *desc = &t->c.views[i];
    size_t size = fh_dtype_size(desc->dtype), count = bytes_of(desc) / size;
    const char *got = t->call.views[i].buffer->host, *want = t->plain[i];
    for (size_t e = 0; e < count; e++) {
      double g = element(got, desc->dtype, e), w = element(want, desc->dtype, e);
      if (memcmp(got + e * size, want + e * size, size) == 0 || (isnan(g) && isnan(w))) continue;
      return difference("%s[%zu] is %.9g, plain C gives %.9g: an exact variant must give the same bits", t->contract->views[i].name, e, g,
                        w);
    }
  }
  return NULL;
}

static fh_status run_trial(fh_queue *queue, fh_candidate *candidate, trial *t, char **out_wrong) {
  fh_context *context = queue->context;
  FH_TRY(trial_new(context, t->call.image, candidate->kernel, t));
  if (t->call.bound.stage_count > 0) FH_TRY(fh_execute(queue, candidate, &t->call));
  for (int i = 0; i < t->contract->view_count; i++) {
    fh_buffer *buffer = t->call.views[i].buffer;
    if (context->devices[candidate->device].state == FH_STATE_OPEN) FH_TRY(fh_buffer_to_host(context, buffer));
    if (buffer->host_version != buffer->version)
      return FH_STATUS_CAUSE(FH_UNAVAILABLE, context->devices[candidate->device].cause, "%s was lost during a self-test",
                             context->devices[candidate->device].info.id);
  }
  t->contract->reference(t->c.views, t->want, t->c.scalars);
  *out_wrong = against_oracle(t);
  if (*out_wrong || candidate->numerics != FH_EXACT) return FH_OK;
  FH_TRY(run_plain(t));
  *out_wrong = against_plain(t);
  return FH_OK;
}

bool fh_candidate_check_case(fh_queue *queue, fh_candidate *candidate, int i, fh_status *out_status, char **out_wrong) {
  int count;
  const fh_kernel_image *image = &fh_kernel_images(&count)[candidate->kernel];
  trial t = {.contract = image->contract, .call = {.image = image}};
  *out_wrong = NULL;
  *out_status = FH_OK;
  if (!t.contract->case_at(i, &t.c)) return false;
  bool probing = queue->probing;
  queue->probing = true;
  *out_status = run_trial(queue, candidate, &t, out_wrong);
  queue->probing = probing;
  trial_free(&t);
  return true;
}

void fh_candidate_test(fh_queue *queue, fh_candidate *candidate) {
  if (candidate->test != FH_UNTESTED || queue->probing) return;
  if (queue->context->config.verify == FH_VERIFY_OFF) {
    candidate->test = FH_TEST_PASSED;
    return;
  }
  for (int i = 0; i < SELFTEST_CASES; i++) {
    fh_status status;
    char *wrong;
    if (!fh_candidate_check_case(queue, candidate, i, &status, &wrong)) break;
    if (status) {
      /* What could not run is not wrong: the device or the variant is to blame, and recovery says which. */
      status = fh_recover(queue->context, candidate, candidate->device, status);
      fh_status_free(status);
      if (!candidate->quarantined && queue->context->devices[candidate->device].state == FH_STATE_OPEN) continue;
      free(wrong);
      return;
    }
    if (!wrong) continue;
    candidate->test = FH_TEST_FAILED;
    snprintf(candidate->cause, sizeof candidate->cause, "WRONG-RESULT");
    snprintf(candidate->reason, sizeof candidate->reason, "%s", wrong);
    fh_log(FH_LOG_WARN, "self-test of %s failed: %s\n  it will not be used in this process", candidate->name, wrong);
    free(wrong);
    return;
  }
  candidate->test = FH_TEST_PASSED;
}
