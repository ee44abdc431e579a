/* Holds block variants to the kernel's text on the contract's own cases. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/block_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cases.h"
#include "tests/fakes/block/block.h"
#include "tests/support/guarded.h"

enum { MULTIPROCESSORS = 4, MOST_TEMPS = FH_MAX_TEMPS + 1, SCRATCH = FH_MAX_TEMPS };

/* ---- memory ---- */

/* One side of the comparison: the views and scratch of a run. */
typedef struct side {
  guarded views[FH_MAX_VIEWS], temps[MOST_TEMPS];
  void *first[FH_MAX_VIEWS];
} side;

static size_t bytes_of(const fh_view_desc *view) {
  int64_t last = 0;
  for (int i = 0; i < view->rank; i++) {
    if (view->shape[i] == 0) return 0;
    last += (view->shape[i] - 1) * view->strides[i];
  }
  return (size_t)(last + 1) * fh_dtype_size(view->dtype);
}

static void laid_out(const fh_view_desc *compact, const block_layout *layout, fh_view_desc *out) {
  *out = *compact;
  int64_t stride = layout->step;
  for (int k = compact->rank - 1; k >= 0; k--) {
    const bool other = layout->turned && compact->rank > 1 && k >= compact->rank - 2; /* the last two change places */
    const int i = other ? 2 * compact->rank - 3 - k : k;
    out->strides[i] = stride;
    stride = stride * compact->shape[i] + (k == compact->rank - 1 ? layout->pad : 0);
  }
}

static int64_t place_of(const fh_view_desc *view, int64_t e) {
  int64_t at = 0;
  for (int i = view->rank - 1; i >= 0; e /= view->shape[i--]) at += e % view->shape[i] * view->strides[i];
  return at;
}

static void make_strange(float *data, int64_t count) {
  const float strange[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1e-42f, 3.4e38f};
  for (int64_t i = 3; i < count; i += 41) data[i] = strange[i / 41 % FH_LENGTH(strange)];
}

static void fill_compact(const fh_kernel_contract *contract, int v, const fh_case *c, bool strange, char *data) {
  const fh_view_desc *view = &c->views[v];
  const int64_t count = fh_elements(view);
  uint64_t state = 7 + (uint64_t)v;
  if (contract->fill) {
    contract->fill(v, c, data, state);
  } else if (view->dtype == FH_F32) {
    fh_fill_uniform(view, (float *)data, state);
  } else {
    for (size_t i = 0; i < (size_t)count * fh_dtype_size(view->dtype); i++) data[i] = (char)(fh_next_random(&state) >> 40);
  }
  if (strange && view->dtype == FH_F32) make_strange((float *)data, count);
}

static void fill_view(const fh_kernel_contract *contract, int v, const fh_case *c, const fh_view_desc *laid, bool strange, char *to) {
  const size_t size = fh_dtype_size(laid->dtype);
  const int64_t count = fh_elements(&c->views[v]);
  char *compact = malloc((size_t)(count + 1) * size);
  assert_non_null(compact);
  fill_compact(contract, v, c, strange, compact);
  for (int64_t e = 0; e < count; e++) memcpy(to + place_of(laid, e) * (int64_t)size, compact + e * (int64_t)size, size);
  free(compact);
}

static side side_make(const fh_kernel_contract *contract, const fh_case *c, const fh_view_desc *laid, const block_layout *layout) {
  side out = {0};
  for (int v = 0; v < contract->view_count; v++) {
    const size_t bytes = bytes_of(&laid[v]), size = fh_dtype_size(laid[v].dtype);
    const size_t shift = (layout->shift + size - 1) / size * size; /* a device reads whole elements */
    out.views[v] = guarded_alloc(bytes + shift, false);
    out.first[v] = (char *)out.views[v].memory + shift;
    if (bytes) memset(out.first[v], 0xff, bytes);
    if (bytes && contract->views[v].role != FH_ROLE_OUT) fill_view(contract, v, c, &laid[v], layout->strange, out.first[v]);
  }
  return out;
}

static void side_add_temp(side *s, int i, size_t bytes) {
  s->temps[i] = guarded_alloc(bytes, false);
  if (bytes) memset(s->temps[i].memory, 0xff, bytes);
}

static void side_free(const fh_kernel_contract *contract, side *s) {
  for (int v = 0; v < contract->view_count; v++) guarded_free(&s->views[v]);
  for (int i = 0; i < MOST_TEMPS; i++)
    if (s->temps[i].memory) guarded_free(&s->temps[i]);
}

static void slots_of(const fh_stage *stage, const side *s, fh_slot *slots) {
  for (int i = 0; i < stage->operand_count; i++) {
    const fh_operand *op = &stage->operands[i];
    if (op->kind == FH_OPERAND_I64)
      slots[i].i = op->i;
    else if (op->kind == FH_OPERAND_F32)
      slots[i].f = op->f;
    else
      slots[i].p = (char *)(op->kind == FH_OPERAND_TEMP ? s->temps[op->index].memory : s->first[op->index]) + op->offset;
  }
}

/* ---- the two runs ---- */

static const char *launch(const char *name, void (*shape_of)(const fh_bound *, int, fh_block_shape *), const fh_bound *bound,
                          const fh_slot *slots) {
  const fake_block_entry *entry = fake_block_find(name);
  if (!entry) return "no text has its entry";
  fh_block_shape shape = {0};
  shape_of(bound, MULTIPROCESSORS, &shape);
  return fake_block_run(entry, slots, bound->stages[0].items, shape.grid, shape.threads, shape.shared_bytes);
}

static const char *run_variant(const fh_block_variant *variant, const fh_bound *bound, side *s) {
  fh_slot slots[FH_MAX_OPERANDS + 1];
  for (int i = 0; i < bound->temp_count; i++) side_add_temp(s, i, bound->temp_bytes[i]);
  slots_of(&bound->stages[0], s, slots);
  if (variant->scratch_bytes) {
    side_add_temp(s, SCRATCH, variant->scratch_bytes(bound, MULTIPROCESSORS));
    slots[bound->stages[0].operand_count].p = s->temps[SCRATCH].memory;
  }
  const char *wrong = launch(variant->entry, variant->shape, bound, slots);
  for (int i = 0; i < variant->rest_count && !wrong; i++) wrong = launch(variant->rest[i].entry, variant->rest[i].shape, bound, slots);
  return wrong;
}

static const fh_kernel_image *image_of(const fh_kernel_contract *contract) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (images[i].contract == contract) return &images[i];
  return NULL;
}

static void run_text(const fh_kernel_contract *contract, const fh_bound *bound, side *s) {
  for (int i = 0; i < bound->temp_count; i++) side_add_temp(s, i, bound->temp_bytes[i]);
  for (int i = 0; i < bound->stage_count; i++) {
    const fh_stage *stage = &bound->stages[i];
    fh_slot slots[FH_MAX_OPERANDS];
    slots_of(stage, s, slots);
    image_of(contract)->entries[stage->entry].cpu[FH_ISA_SCALAR](slots, 0, stage->items);
  }
}

/* The same bits, but for the payload of a NaN. */
static bool same_element(fh_dtype dtype, const char *a, const char *b, size_t size) {
  float x, y;
  if (memcmp(a, b, size) == 0) return true;
  if (dtype != FH_F32) return false;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return isnan(x) && isnan(y);
}

/* Elements and what lies between them. */
static bool same_view(const fh_view_desc *view, const char *a, const char *b) {
  const size_t size = fh_dtype_size(view->dtype), bytes = bytes_of(view);
  for (size_t at = 0; at < bytes; at += size)
    if (!same_element(view->dtype, a + at, b + at, size)) return false;
  return true;
}

static const char *same_views(const fh_kernel_contract *contract, const fh_view_desc *laid, const side *got, const side *want) {
  for (int v = 0; v < contract->view_count; v++)
    if (!same_view(&laid[v], got->first[v], want->first[v]))
      return contract->views[v].role == FH_ROLE_IN ? "an input was written" : "an element has other bits than that of the kernel's text";
  return NULL;
}

/* The views of a side, compact, as contracts judge them. */
static void gather(const fh_kernel_contract *contract, const fh_case *c, const fh_view_desc *laid, const side *from,
                   void *out[FH_MAX_VIEWS]) {
  for (int v = 0; v < contract->view_count; v++) {
    const int64_t size = (int64_t)fh_dtype_size(laid[v].dtype), count = fh_elements(&c->views[v]);
    char *to = malloc((size_t)((count + 1) * size));
    assert_non_null(to);
    for (int64_t e = 0; e < count; e++) memcpy(to + e * size, (const char *)from->first[v] + place_of(&laid[v], e) * size, (size_t)size);
    out[v] = to;
  }
}

/* Against the oracle, by the contract's own judgement. */
static const char *judge(const fh_kernel_contract *contract, const fh_case *c, const fh_view_desc *laid, const side *got,
                         const side *want) {
  void *found[FH_MAX_VIEWS], *expected[FH_MAX_VIEWS];
  if (!contract->compare) return "a bounded variant of a kernel without a judgement";
  gather(contract, c, laid, got, found);
  gather(contract, c, laid, want, expected);
  contract->reference(c->views, expected, c->scalars);
  const char *wrong = contract->compare(c, found, expected);
  for (int v = 0; v < contract->view_count; v++) free(found[v]), free(expected[v]);
  return wrong;
}

/* Bound as a launch would; inspect() may choose another cut. */
static bool bound_of(const fh_kernel_contract *contract, const fh_case *c, const fh_view_desc *laid, const side *s, fh_bound *out) {
  assert_null(contract->bind(laid, c->scalars, out));
  if (out->stage_count == 0) return false;
  const void *data[FH_MAX_VIEWS];
  for (int v = 0; v < contract->view_count; v++) data[v] = s->first[v];
  fh_bound inspected = *out;
  char note[FH_NOTE];
  fh_status refused = contract->inspect ? contract->inspect(laid, data, c->scalars, &inspected, note) : FH_OK;
  if (!refused) *out = inspected;
  fh_status_free(refused);
  return out->stage_count > 0;
}

/* A variant stands for calls that begin with the operands of the first entry, as the planner has it. */
static bool begins_with_its_operands(const fh_kernel_contract *contract, const fh_bound *bound) {
  const fh_stage *first = &bound->stages[0];
  const fh_entry_image *entry = &image_of(contract)->entries[0];
  if (first->entry == 0) return true;
  bool same = first->operand_count == entry->param_count;
  for (int i = 0; same && i < first->operand_count; i++) {
    const fh_operand_kind formal = entry->params[i].kind, kind = first->operands[i].kind;
    same = kind == formal || (kind == FH_OPERAND_TEMP && formal < FH_OPERAND_I64);
  }
  return same;
}

/* NULL and *out_fits false: the variant does not take the case. */
static const char *check(const fh_kernel_contract *contract, const fh_block_variant *variant, const fh_case *c, const block_layout *layout,
                         bool *out_fits) {
  fh_view_desc laid[FH_MAX_VIEWS];
  for (int v = 0; v < contract->view_count; v++) laid_out(&c->views[v], layout, &laid[v]);
  side got = side_make(contract, c, laid, layout), want = side_make(contract, c, laid, layout);
  fh_bound bound;
  const char *wrong = NULL;
  *out_fits = bound_of(contract, c, laid, &got, &bound) && begins_with_its_operands(contract, &bound) &&
              !(variant->unfit && variant->unfit(&bound));
  if (*out_fits) {
    wrong = run_variant(variant, &bound, &got);
    const bool exact = variant->numerics == FH_EXACT;
    if (!wrong && exact) run_text(contract, &bound, &want);
    if (!wrong) wrong = exact ? same_views(contract, laid, &got, &want) : judge(contract, c, laid, &got, &want);
  }
  side_free(contract, &got);
  side_free(contract, &want);
  return wrong;
}

const char *block_case_check(const fh_kernel_contract *contract, const fh_block_variant *variant, const fh_case *c,
                             const block_layout *layout) {
  bool fits;
  const char *wrong = check(contract, variant, c, layout, &fits);
  return wrong || fits ? wrong : "the variant does not take this case";
}

static bool is_larger(const fh_kernel_contract *contract, const fh_case *c, int64_t most) {
  int64_t elements = 0;
  for (int v = 0; v < contract->view_count; v++) elements += fh_elements(&c->views[v]);
  return elements > most;
}

static int check_variant(const fh_kernel_contract *contract, const fh_block_variant *variant, int64_t most, const block_layout *layout) {
  fh_case c;
  int tried = 0;
  for (int i = 0; contract->case_at(i, &c); i++) {
    bool fits;
    if (is_larger(contract, &c, most)) continue;
    const char *wrong = check(contract, variant, &c, layout, &fits);
    if (wrong)
      fail_msg("%s/%s %s, step %d, pad %d, %d bytes off%s: %s", contract->name, variant->name, c.label, (int)layout->step, (int)layout->pad,
               (int)layout->shift,
               layout->turned    ? ", turned"
               : layout->strange ? ", strange"
                                 : "",
               wrong);
    tried += fits;
  }
  return tried;
}

void block_cases_check_all(const fh_kernel_contract *contract, int64_t most, const block_layout *layouts, int count) {
  assert_true(contract->block_count > 0);
  for (int b = 0; b < contract->block_count; b++) {
    int tried = 0;
    for (int l = 0; l < count; l++) tried += check_variant(contract, &contract->blocks[b], most, &layouts[l]);
    if (tried == 0) fail_msg("%s/%s fits no case of %d elements", contract->name, contract->blocks[b].name, (int)most);
  }
}
