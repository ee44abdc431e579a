/* Runs a contract's tuned entries directly, without a backend. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tuned.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "backends/cpu/cpu_device.h"
#include "kernels/narrow.h"
#include "tests/fakes/block/block.h"

const char *tuned_refusal(const fh_kernel_contract *contract, const fh_view_desc *views, const char *operand, const char *part) {
  fh_bound bound;
  fh_status status = contract->bind(views, NULL, &bound);
  const char *message = fh_status_message(status), *wrong = NULL;
  if (fh_status_code(status) != FH_INVALID_ARGUMENT) wrong = "bind did not refuse it as an invalid argument";
  if (!wrong && (!strstr(message, operand) || !strstr(message, part))) wrong = "bind refused it in other words";
  if (wrong) fprintf(stderr, "expected \"%s\" and \"%s\": %s\n", operand, part, message);
  fh_status_free(status);
  return wrong;
}

fh_pool *tuned_pools[2];

int tuned_setup(void **unused) {
  (void)unused;
  return fh_pool_create(1, &tuned_pools[0]) || fh_pool_create(2, &tuned_pools[1]);
}

int tuned_teardown(void **unused) {
  (void)unused;
  for (int i = 0; i < 2; i++) fh_pool_destroy(tuned_pools[i]);
  return 0;
}

bool tuned_runs(const fh_tuned *variant) {
  bool runs = fh_isa_runs(variant->isa);
  for (int i = 0; i < FH_FEATURE_COUNT; i++) runs = runs && (!(variant->needs & FH_NEEDS(i)) || fh_feature_runs((fh_cpu_feature)i));
  return runs;
}

static int left_out;

bool tuned_left_out(int of) {
  static int calls;
  const bool out = getenv("FH_EMULATED") && calls++ % of != 0;
  left_out += out;
  return out;
}

int tuned_exit(const fh_kernel_contract *contract, int failed) {
  bool any = false;
  if (left_out) printf("NOT RUN: %d calls, which would take minutes under an emulator\n", left_out);
  for (int v = 0; v < contract->tuned_count; v++) {
    bool runs = tuned_runs(&contract->tuned[v]);
    if (!runs) printf("not run here: %s\n", fh_isa_name(contract->tuned[v].isa));
    any = any || runs;
  }
  if (!failed && !any) printf("NOT RUN: no tuned %s for this CPU\n", contract->name);
  return failed ? 1 : any ? 0 : 77;
}

void tuned_slots(const fh_stage *stage, void *const *data, fh_slot *slots) {
  for (int i = 0; i < stage->operand_count; i++) {
    const fh_operand *op = &stage->operands[i];
    if (op->kind == FH_OPERAND_I64)
      slots[i].i = op->i;
    else if (op->kind == FH_OPERAND_F32)
      slots[i].f = op->f;
    else
      slots[i].p = (char *)data[op->index] + op->offset;
  }
}

void tuned_run(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data, fh_pool *pool) {
  fh_bound bound;
  fh_status status = contract->bind(views, NULL, &bound);
  if (status) {
    fprintf(stderr, "bind refused: %s\n", fh_status_message(status));
    abort();
  }
  if (bound.stage_count == 0) return;
  int size = fh_pool_size(pool);
  size_t bytes = variant->scratch_bytes ? (variant->scratch_bytes(&bound, size) + 63) / 64 * 64 : 0;
  guarded scratch = guarded_alloc(bytes, true);
  memset(scratch.memory, 0xff, bytes);
  fh_slot slots[FH_MAX_OPERANDS];
  tuned_slots(&bound.stages[0], data, slots);
  fh_team team = fh_cpu_team(pool, size, scratch.memory);
  variant->fn(slots, &team);
  guarded_free(&scratch);
}

/* Bytes from the lowest to behind the highest element, and in *out_first where element 0 lies from the lowest. */
static size_t span_of(const fh_view_desc *desc, size_t *out_first) {
  size_t size = fh_dtype_size(desc->dtype), below = 0, above = 0;
  *out_first = 0;
  for (int i = 0; i < desc->rank; i++) {
    if (desc->shape[i] == 0) return 0;
    int64_t reach = (desc->shape[i] - 1) * desc->strides[i];
    if (reach < 0)
      below += (size_t)-reach;
    else
      above += (size_t)reach;
  }
  *out_first = below * size;
  return (below + above + 1) * size;
}

float tuned_uniform(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (float)((int64_t)(state >> 40) - (1 << 23)) * 0x1p-23f;
}

/* Floats in [-1, 1), doubles with more digits than a float holds; whole numbers over their range. */
static void fill_uniform(fh_dtype dtype, char *to, size_t bytes) {
  const bool is_half = dtype == FH_BF16 || dtype == FH_F16;
  const size_t size = dtype == FH_F64 ? sizeof(double) : dtype == FH_F32 ? sizeof(float) : is_half ? sizeof(uint16_t) : 1;
  for (size_t at = 0; at + size <= bytes; at += size) {
    const float value = tuned_uniform();
    const double wide = dtype == FH_F64 ? (double)value + 0x1p-24 * (double)tuned_uniform() : 0;
    const uint16_t half = dtype == FH_F16 ? fh_f16_from_f32(value) : fh_bf16_from_f32(value);
    const int8_t byte = (int8_t)(value * 128);
    const void *element = dtype == FH_F64 ? (const void *)&wide : dtype == FH_F32 ? (const void *)&value : (const void *)&byte;
    memcpy(to + at, is_half ? &half : element, size);
  }
}

tuned_call tuned_call_make(const fh_kernel_contract *contract, const fh_view_desc *views, bool at_end, size_t shift) {
  tuned_call out = {.contract = contract};
  for (int i = 0; i < contract->view_count; i++) {
    out.views[i] = views[i];
    size_t first, bytes = span_of(&views[i], &first);
    out.blocks[i] = guarded_alloc(bytes + shift, at_end);
    char *lowest = (char *)out.blocks[i].memory + (at_end ? 0 : shift);
    out.first[i] = lowest + first;
    if (contract->views[i].role != FH_ROLE_IN) {
      if (bytes) memset(lowest, 0xff, bytes);
      continue;
    }
    fill_uniform(views[i].dtype, lowest, bytes);
  }
  return out;
}

void tuned_call_free(tuned_call *call) {
  for (int i = 0; i < call->contract->view_count; i++) guarded_free(&call->blocks[i]);
}

/* Where element `e` in row-major order lies, in elements from the first. */
static int64_t place_of(const fh_view_desc *view, int64_t e) {
  int64_t at = 0;
  for (int i = view->rank - 1; i >= 0; e /= view->shape[i--]) at += e % view->shape[i] * view->strides[i];
  return at;
}

/* The element still has the bits that tuned_call_make put there. */
static bool untouched(const char *element, size_t size) {
  static const uint64_t ones = UINT64_MAX;
  return memcmp(element, &ones, size > sizeof(uint32_t) ? sizeof ones : sizeof(uint32_t)) == 0;
}

/* Every element of an output is written once and nothing between them is. */
static bool written_right(const fh_view_desc *view, const void *first_element) {
  size_t first, bytes = span_of(view, &first), size = fh_dtype_size(view->dtype), written = 0, inside = 1;
  if (bytes == 0) return true;
  const char *lowest = (const char *)first_element - first;
  for (size_t e = 0; e < bytes / size; e++) written += !untouched(lowest + e * size, size);
  for (int i = 0; i < view->rank; i++) inside *= (size_t)view->shape[i];
  if (view->dtype != FH_I32) return written == inside;
  /* A whole number may be -1, the bits of what was not written: then the others are those of the view. */
  size_t own = 0;
  for (size_t e = 0; e < inside; e++) own += !untouched((const char *)first_element + place_of(view, (int64_t)e) * (int64_t)size, size);
  return written == own;
}

/* Operands may lie at any byte. */
static float float_at(const char *element) {
  float value;
  memcpy(&value, element, sizeof value);
  return value;
}

/* The same bits; of a NaN the payload and the sign are not defined. */
static bool same_element(fh_dtype dtype, const char *a, const char *b, size_t size) {
  if (memcmp(a, b, size) == 0) return true;
  return dtype == FH_F32 && isnan(float_at(a)) && isnan(float_at(b));
}

/* Every element of two views that lie alike. */
static bool same_elements(const fh_view_desc *view, const char *a, const char *b) {
  const int64_t size = (int64_t)fh_dtype_size(view->dtype);
  int64_t count = 1;
  for (int i = 0; i < view->rank; i++) count *= view->shape[i];
  for (int64_t e = 0; e < count; e++)
    if (!same_element(view->dtype, a + place_of(view, e) * size, b + place_of(view, e) * size, (size_t)size)) return false;
  return true;
}

/* The same bits, or for floats within the contract's bound. */
static bool near_elements(const fh_kernel_contract *contract, const fh_view_desc *view, const void *got, const void *want) {
  if (view->dtype != FH_F32 || (contract->bound_rel == 0 && contract->bound_abs == 0)) return same_elements(view, got, want);
  int64_t count = 1;
  for (int i = 0; i < view->rank; i++) count *= view->shape[i];
  for (int64_t e = 0; e < count; e++) {
    const int64_t at = place_of(view, e) * (int64_t)sizeof(float);
    const double a = (double)float_at((const char *)got + at), b = (double)float_at((const char *)want + at);
    if (!(fabs(a - b) <= contract->bound_rel * fabs(b) + contract->bound_abs || a == b || (isnan(a) && isnan(b)))) return false;
  }
  return true;
}

/* NULL or what is wrong with the outputs. */
static const char *judge(const tuned_call *call) {
  const fh_kernel_contract *contract = call->contract;
  fh_case as_case = {0};
  void *want[FH_MAX_VIEWS];
  guarded oracle[FH_MAX_VIEWS] = {{0}};
  for (int i = 0; i < contract->view_count; i++) {
    as_case.views[i] = call->views[i];
    want[i] = call->first[i];
    if (contract->views[i].role == FH_ROLE_IN) continue;
    if (!written_right(&call->views[i], call->first[i])) return "an output is not written, or memory between its elements is";
    size_t first, bytes = span_of(&call->views[i], &first);
    oracle[i] = guarded_alloc(bytes, true);
    want[i] = (char *)oracle[i].memory + first;
  }
  if (call->scalars) memcpy(as_case.scalars, call->scalars, (size_t)contract->scalar_count * sizeof *call->scalars);
  contract->reference(call->views, want, call->scalars);
  const char *wrong = contract->compare ? contract->compare(&as_case, call->first, want) : NULL;
  for (int i = 0; !contract->compare && !wrong && i < contract->view_count; i++)
    if (contract->views[i].role != FH_ROLE_IN && !near_elements(contract, &call->views[i], call->first[i], want[i]))
      wrong = "an element is not that of the oracle";
  for (int i = 0; i < contract->view_count; i++) guarded_free(&oracle[i]);
  return wrong;
}

const char *tuned_call_check(const tuned_call *call, const fh_tuned *variant, fh_pool *pool) {
  tuned_run(call->contract, variant, call->views, call->first, pool);
  return judge(call);
}

/* ---- blocks of threads ----------------------------------------------------------------------------------------------- */

static const fh_kernel_image *image_of(const fh_kernel_contract *contract) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (images[i].contract == contract) return &images[i];
  return NULL;
}

/* The scalar build of the kernel's text, all its stages; temps begin as NaN. */
static void run_text(const tuned_call *call, const fh_bound *bound, void *const *views) {
  guarded temps[FH_MAX_TEMPS];
  for (int t = 0; t < bound->temp_count; t++) {
    temps[t] = guarded_alloc(bound->temp_bytes[t], true);
    memset(temps[t].memory, 0xff, bound->temp_bytes[t]);
  }
  for (int s = 0; s < bound->stage_count; s++) {
    const fh_stage *stage = &bound->stages[s];
    fh_slot slots[FH_MAX_OPERANDS];
    tuned_slots(stage, views, slots);
    for (int i = 0; i < stage->operand_count; i++)
      if (stage->operands[i].kind == FH_OPERAND_TEMP)
        slots[i].p = (char *)temps[stage->operands[i].index].memory + stage->operands[i].offset;
    image_of(call->contract)->entries[stage->entry].cpu[FH_ISA_SCALAR](slots, 0, stage->items);
  }
  for (int t = 0; t < bound->temp_count; t++) guarded_free(&temps[t]);
}

/* The kernel's text gives the same bits in every output. */
static const char *differs_from_text(const tuned_call *call, const fh_bound *bound) {
  const fh_kernel_contract *contract = call->contract;
  guarded other[FH_MAX_VIEWS] = {{0}};
  void *data[FH_MAX_VIEWS];
  memcpy(data, call->first, sizeof data);
  for (int v = 0; v < contract->view_count; v++) {
    if (contract->views[v].role == FH_ROLE_IN) continue;
    size_t first, bytes = span_of(&call->views[v], &first);
    other[v] = guarded_alloc(bytes, true);
    data[v] = (char *)other[v].memory + first;
  }
  run_text(call, bound, data);
  bool same = true;
  for (int v = 0; v < contract->view_count; v++) {
    if (contract->views[v].role != FH_ROLE_IN) same = same && same_elements(&call->views[v], call->first[v], data[v]);
    guarded_free(&other[v]);
  }
  return same ? NULL : "an element has other bits than that of the kernel's text";
}

enum { MULTIPROCESSORS = 4 };

static const char *run_step(fh_block_step step, const fh_bound *bound, const fh_slot *slots, uint32_t depth) {
  const fake_block_entry *entry = fake_block_find(step.entry);
  if (!entry) return "no text has its entry";
  fh_block_shape shape = {0};
  step.shape(bound, MULTIPROCESSORS, &shape);
  if (shape.grid[2] > depth) shape.grid[2] = depth;
  return fake_block_run(entry, slots, bound->stages[0].items, shape.grid, shape.threads, shape.shared_bytes);
}

/* What does not pay must still be right, so unfit() is not asked; but a call may be one that no tensor map describes. */
static bool takes(const tuned_call *call, const fh_block_variant *variant, const fh_bound *bound) {
  int64_t offsets[FH_MAX_VIEWS] = {0};
  for (int v = 0; v < call->contract->view_count; v++) offsets[v] = (int64_t)((uintptr_t)call->first[v] % 256);
  if (variant->map_count > 0 && variant->unfit && variant->unfit(bound)) return false;
  return !fh_block_misplaced(variant, bound, offsets);
}

/* The tensor maps of a variant, into the slots behind its parameters. */
static void add_maps(const fh_block_variant *variant, const fh_bound *bound, fake_tensor_map *maps, fh_slot *slots, int count) {
  fh_tensor_map described[FH_MAX_TENSOR_MAPS];
  if (variant->map_count > 0) variant->maps(bound, described);
  for (int i = 0; i < variant->map_count; i++) {
    maps[i] = (fake_tensor_map){described[i], slots[described[i].operand].cp};
    slots[count + i].cp = (const void *)&maps[i];
  }
}

/* Scratch begins as NaN and ends at a forbidden page. */
static const char *run_steps(const tuned_call *call, const fh_block_variant *variant, const fh_bound *bound, uint32_t depth) {
  enum { BOUNDARY = 128 };
  const size_t bytes = variant->scratch_bytes ? (variant->scratch_bytes(bound, MULTIPROCESSORS) + BOUNDARY - 1) / BOUNDARY * BOUNDARY : 0;
  guarded scratch = guarded_alloc(bytes, true);
  if (bytes) memset(scratch.memory, 0xff, bytes);
  fh_slot slots[FH_MAX_OPERANDS + FH_MAX_TENSOR_MAPS];
  fake_tensor_map maps[FH_MAX_TENSOR_MAPS];
  int count = bound->stages[0].operand_count;
  tuned_slots(&bound->stages[0], call->first, slots);
  if (variant->scratch_bytes) slots[count++].p = scratch.memory;
  add_maps(variant, bound, maps, slots, count);
  const char *wrong = NULL;
  for (int s = 0; s < fh_block_steps(variant) && !wrong; s++) wrong = run_step(fh_block_step_of(variant, s), bound, slots, depth);
  guarded_free(&scratch);
  return wrong;
}

const char *tuned_call_check_block_within(const tuned_call *call, const fh_block_variant *variant, uint32_t depth) {
  fh_bound bound;
  fh_status status = call->contract->bind(call->views, call->scalars, &bound);
  if (status) {
    fprintf(stderr, "bind refused: %s\n", fh_status_message(status));
    abort();
  }
  if (bound.stage_count == 0 || !takes(call, variant, &bound)) return NULL;
  const char *wrong = run_steps(call, variant, &bound, depth);
  if (!wrong) wrong = judge(call);
  return !wrong && variant->numerics == FH_EXACT ? differs_from_text(call, &bound) : wrong;
}

const char *tuned_call_check_block(const tuned_call *call, const fh_block_variant *variant) {
  return tuned_call_check_block_within(call, variant, UINT32_MAX);
}
