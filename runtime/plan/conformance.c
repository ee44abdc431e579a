/* Does a variant of a kernel keep its contract? SPDX-License-Identifier: Apache-2.0
 *
 * A trial is one case with one kind of data: compact inputs, the oracle's answer, and plain C's answer, all compact. Each
 * layout then scatters the inputs, runs the variant, gathers the outputs and compares. */
#include "runtime/plan/conformance.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/narrow.h"
#include "runtime/plan/bound.h"
#include "runtime/plan/registry.h"

/* ---- memory that may lie against forbidden pages --------------------------------------------------- */

typedef struct region {
  char *memory; /* `bytes` bytes */
  size_t bytes;
  void *mapping; /* NULL: from malloc */
  size_t mapped;
} region;

enum { CANARY = 0xa5, OFFSETS = 64 };

/* `bytes` bytes; guarded, they begin `offset` bytes after a forbidden page, or end right before one. */
static fh_status region_new(size_t bytes, size_t offset, bool at_end, bool guard, region *out) {
  *out = (region){.bytes = bytes};
  if (!guard) {
    char *memory = aligned_alloc(OFFSETS, (bytes + 2 * OFFSETS) / OFFSETS * OFFSETS);
    if (!memory) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "conformance: no memory for an operand of %zu bytes", bytes);
    *out = (region){memory + offset, bytes, NULL, 0};
    memset(out->memory, CANARY, bytes);
    return FH_OK;
  }
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + offset + page - 1) / page * page;
  char *mapping = mmap(NULL, body + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "conformance: no address space for an operand of %zu bytes", bytes);
  out->mapping = mapping;
  out->mapped = body + 2 * page;
  if (body > 0 && mprotect(mapping + page, body, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping, out->mapped);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "conformance: no memory for an operand of %zu bytes", bytes);
  }
  out->memory = at_end ? mapping + page + body - bytes : mapping + page + offset;
  memset(out->memory, CANARY, bytes);
  return FH_OK;
}

static void region_free(region *r) {
  if (r->mapping)
    munmap(r->mapping, r->mapped);
  else if (r->memory)
    free((char *)((uintptr_t)r->memory / OFFSETS * OFFSETS));
  *r = (region){0};
}

/* ---- views ------------------------------------------------------------------------------------------ */

static int64_t count_of(const fh_view_desc *v) {
  int64_t count = 1;
  for (int32_t i = 0; i < v->rank; i++) count *= v->shape[i];
  return count;
}

/* Where the element with compact index `index` lies, in elements from element 0,0,... */
static int64_t place_of(const fh_view_desc *v, int64_t index) {
  int64_t at = 0;
  for (int32_t i = v->rank - 1; i >= 0; i--) {
    at += index % v->shape[i] * v->strides[i];
    index /= v->shape[i];
  }
  return at;
}

/* Elements from the lowest to the highest, inclusive; *out_first: element 0,0,... from the lowest. */
static int64_t span_of(const fh_view_desc *v, int64_t *out_first) {
  int64_t low = 0, high = 0;
  *out_first = 0;
  if (count_of(v) == 0) return 0;
  for (int32_t i = 0; i < v->rank; i++) {
    const int64_t reach = (v->shape[i] - 1) * v->strides[i];
    if (reach < 0)
      low += reach;
    else
      high += reach;
  }
  *out_first = -low;
  return high - low + 1;
}

/* Elements of one size, each so many bytes after the one before. */
static void move_elements(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t count, size_t size) {
#define MOVE_OF(bytes)                                                                             \
  case bytes:                                                                                      \
    for (int64_t i = 0; i < count; i++, to += to_step, from += from_step) memcpy(to, from, bytes); \
    return
  if (to_step == (int64_t)size && from_step == to_step) {
    memcpy(to, from, (size_t)count * size);
    return;
  }
  switch (size) {
    MOVE_OF(1);
    MOVE_OF(2);
    MOVE_OF(4);
    MOVE_OF(8);
    default:
      for (int64_t i = 0; i < count; i++) memcpy(to + i * to_step, from + i * from_step, size);
  }
#undef MOVE_OF
}

/* Compact elements that are one row in `v` too. */
static int64_t row_of(const fh_view_desc *v) {
  int64_t row = 1;
  for (int32_t i = v->rank - 1; i >= 0 && (i == v->rank - 1 || v->strides[i] == row * v->strides[v->rank - 1]); i--) row *= v->shape[i];
  return row;
}

static void scatter(const fh_view_desc *v, const char *compact, char *first) {
  const int64_t size = (int64_t)fh_dtype_size(v->dtype), count = count_of(v), row = count ? row_of(v) : 1;
  const int64_t step = v->rank > 0 ? v->strides[v->rank - 1] * size : size;
  for (int64_t i = 0; i < count; i += row) move_elements(first + place_of(v, i) * size, step, compact + i * size, size, row, (size_t)size);
}

static void gather(const fh_view_desc *v, const char *first, char *compact) {
  const int64_t size = (int64_t)fh_dtype_size(v->dtype), count = count_of(v), row = count ? row_of(v) : 1;
  const int64_t step = v->rank > 0 ? v->strides[v->rank - 1] * size : size;
  for (int64_t i = 0; i < count; i += row) move_elements(compact + i * size, size, first + place_of(v, i) * size, step, row, (size_t)size);
}

/* ---- layouts ---------------------------------------------------------------------------------------- */

/* The last three: of all views, of those with an odd index, or an even one, the last two dimensions have changed places in memory. */
typedef enum shape_kind { COMPACT, PADDED, COLUMNS, NEGATIVE, SPREAD, TURNED, TURNED_ODD, TURNED_EVEN } shape_kind;

typedef struct layout {
  const char *name;
  shape_kind kind;
  int offset;  /* of view 0; the others get offsets derived from it */
  bool at_end; /* operands end at a forbidden page */
} layout;

static const layout fixed_layouts[] = {
    {"compact", COMPACT, 0, false},
    {"compact, to the end of a page", COMPACT, 0, true},
    {"padded rows", PADDED, 0, true},
    {"column-major", COLUMNS, 0, true},
    {"negative strides", NEGATIVE, 0, false},
    {"every dimension spread", SPREAD, 0, true},
    {"matrices turned", TURNED, 0, true},
    {"odd matrices turned", TURNED_ODD, 0, true},
    {"even matrices turned", TURNED_EVEN, 0, true},
};
static const int short_offsets[] = {1, 2, 4, 7, 28, 33, 63};
enum {
  FIXED_LAYOUTS = sizeof fixed_layouts / sizeof *fixed_layouts,
  SHORT_OFFSETS = sizeof short_offsets / sizeof *short_offsets,
};

/* The i-th layout; false past the last. */
static bool layout_at(int i, bool thorough, layout *out) {
  if (i < FIXED_LAYOUTS) {
    *out = fixed_layouts[i];
    return true;
  }
  i -= FIXED_LAYOUTS;
  if (i >= (thorough ? OFFSETS - 1 : SHORT_OFFSETS)) return false;
  *out = (layout){"byte offset", COMPACT, thorough ? i + 1 : short_offsets[i], false};
  return true;
}

/* What a layout makes of view `index`. */
static shape_kind kind_of_view(shape_kind kind, int index) {
  if (kind == TURNED_ODD) return index % 2 ? TURNED : COMPACT;
  if (kind == TURNED_EVEN) return index % 2 ? COMPACT : TURNED;
  return kind;
}

/* The dimension that is the k-th from the innermost one. */
static int32_t dimension_at(shape_kind kind, int32_t rank, int32_t k) {
  if (kind == COLUMNS) return k;
  return kind == TURNED && rank > 1 && k < 2 ? rank - 2 + k : rank - 1 - k;
}

static fh_view_desc laid_out(const fh_view_desc *compact, int index, shape_kind of_all) {
  const shape_kind kind = kind_of_view(of_all, index);
  fh_view_desc v = *compact;
  int64_t stride = kind == SPREAD ? 3 : 1;
  for (int32_t k = 0; k < v.rank; k++) {
    const int32_t i = dimension_at(kind, v.rank, k);
    v.strides[i] = kind == NEGATIVE ? -stride : stride;
    stride *= v.shape[i] > 0 ? v.shape[i] : 1;
    if (kind == PADDED && k == 0) stride += 5;
    if (kind == SPREAD) stride += 2;
  }
  return v;
}

/* ---- data ------------------------------------------------------------------------------------------- */

typedef enum data_kind { ORDINARY, SPECIAL, DENORMAL, IN_PLACE, DATA_KINDS } data_kind;
static const char *const data_names[] = {"", ", NaN and infinities", ", denormals", ", in place"};

typedef struct trial {
  const fh_kernel_image *image;
  fh_case c;
  data_kind kind;
  bool once;   /* the first layout that the variant takes is enough */
  int in, out; /* IN_PLACE: the input view that is the output view */
  fh_bound bound;
  char *input[FH_MAX_VIEWS], *want[FH_MAX_VIEWS], *plain[FH_MAX_VIEWS], *got[FH_MAX_VIEWS];
} trial;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static size_t bytes_of(const fh_view_desc *v) { return (size_t)count_of(v) * fh_dtype_size(v->dtype); }

/* Stores a value as an element of a floating type, rounded; false for other types. */
static bool put_float(void *data, fh_dtype dtype, int64_t i, float value) {
  if (dtype == FH_F32)
    ((float *)data)[i] = value;
  else if (dtype == FH_BF16)
    ((uint16_t *)data)[i] = fh_bf16_from_f32(value);
  else if (dtype == FH_F16)
    ((uint16_t *)data)[i] = fh_f16_from_f32(value);
  else if (dtype == FH_F64)
    ((double *)data)[i] = (double)value;
  else
    return false;
  return true;
}

static void fill_default(const fh_view_desc *v, char *data, uint64_t seed) {
  const int64_t count = count_of(v), size = (int64_t)fh_dtype_size(v->dtype);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t r = next_random(&seed);
    if (v->dtype == FH_F64)
      ((double *)data)[i] = (double)(r >> 11) * 0x1p-52 - 1.0;
    else if (!put_float(data, v->dtype, i, (float)(r >> 40) * 0x1p-23f - 1.0f))
      memcpy(data + i * size, &r, (size_t)size);
  }
}

/* Replaces some elements of the inputs of highest rank; parameters (a scale, a bias) stay sane. */
static void inject(trial *t, uint64_t seed) {
  static const float special[] = {NAN, INFINITY, -INFINITY, -0.0f, 0x1p-140f};
  static const float denormal[] = {0x1p-149f, -0x1p-140f, 0x1.8p-127f, -0.0f, 0.0f};
  static const float denormal_bf16[] = {0x1p-133f, -0x1.8p-130f, 0x1.8p-127f, -0.0f, 0.0f};
  static const float denormal_f16[] = {0x1p-24f, -0x1.8p-20f, 0x1.8p-15f, -0.0f, 0.0f};
  const uint64_t every = t->kind == SPECIAL ? 29 : 4;
  int32_t rank = 0;
  for (int i = 0; i < t->image->contract->view_count; i++)
    if (t->image->contract->views[i].role != FH_ROLE_OUT && t->c.views[i].rank > rank) rank = t->c.views[i].rank;
  for (int v = 0; v < t->image->contract->view_count; v++) {
    if (t->image->contract->views[v].role == FH_ROLE_OUT || t->c.views[v].rank != rank) continue;
    const fh_dtype dtype = t->c.views[v].dtype;
    const float *values = t->kind == SPECIAL ? special : dtype == FH_BF16 ? denormal_bf16 : dtype == FH_F16 ? denormal_f16 : denormal;
    const int64_t count = count_of(&t->c.views[v]);
    for (int64_t i = 0; i < count; i++) {
      const uint64_t r = next_random(&seed);
      if (r % every == 0 && !put_float(t->input[v], dtype, i, values[(r >> 32) % 5])) break;
      if (r % every == 0 && dtype == FH_F64 && t->kind == DENORMAL) ((double *)t->input[v])[i] *= 0x1p-925; /* denormal there */
    }
  }
}

/* The views that IN_PLACE makes one; false when the contract or the case has none. */
static bool find_alias(trial *t) {
  const fh_kernel_contract *contract = t->image->contract;
  for (int i = 0; i < contract->view_count; i++) {
    if (!contract->views[i].may_alias_output) continue;
    for (int o = 0; o < contract->view_count; o++) {
      if (contract->views[o].role == FH_ROLE_IN || memcmp(&t->c.views[i], &t->c.views[o], sizeof t->c.views[i]) != 0) continue;
      t->in = i;
      t->out = o;
      return true;
    }
  }
  return false;
}

static void trial_free(trial *t) {
  for (int v = 0; v < FH_MAX_VIEWS; v++) {
    free(t->input[v]);
    free(t->want[v]);
    free(t->plain[v]);
    free(t->got[v]);
  }
}

static fh_status trial_alloc(trial *t) {
  for (int v = 0; v < t->image->contract->view_count; v++) {
    const size_t bytes = bytes_of(&t->c.views[v]) + 1; /* never 0 */
    t->input[v] = calloc(bytes, 1);
    t->want[v] = calloc(bytes, 1);
    t->plain[v] = calloc(bytes, 1);
    t->got[v] = calloc(bytes, 1);
    if (!t->input[v] || !t->want[v] || !t->plain[v] || !t->got[v])
      return FH_STATUS(FH_RESOURCE_EXHAUSTED, "conformance: no memory for operands of %zu bytes", bytes);
  }
  return FH_OK;
}

static void trial_fill(trial *t) {
  const fh_kernel_contract *contract = t->image->contract;
  for (int v = 0; v < contract->view_count; v++) {
    if (contract->views[v].role == FH_ROLE_OUT || bytes_of(&t->c.views[v]) == 0) continue;
    fh_conform_fill(contract, &t->c, v, t->input[v], UINT64_C(0x666f67) + (uint64_t)v);
  }
  if (t->kind == SPECIAL || t->kind == DENORMAL) inject(t, 42);
  if (t->kind == IN_PLACE) memcpy(t->input[t->out], t->input[t->in], bytes_of(&t->c.views[t->in]));
}

/* ---- comparing ---------------------------------------------------------------------------------------- */

static double element(const void *data, fh_dtype dtype, int64_t i) {
  switch (dtype) {
    case FH_F32:
      return (double)((const float *)data)[i];
    case FH_F64:
      return ((const double *)data)[i];
    case FH_BF16:
      return (double)fh_f32_from_bf16(((const uint16_t *)data)[i]);
    case FH_F16:
      return (double)fh_f32_from_f16(((const uint16_t *)data)[i]);
    case FH_I8:
      return ((const int8_t *)data)[i];
    case FH_U8:
      return ((const uint8_t *)data)[i];
    case FH_I32:
      return ((const int32_t *)data)[i];
    case FH_I64:
      return (double)((const int64_t *)data)[i];
    default:
      return 0;
  }
}

/* Floats between two values of f32, where both are finite. */
static double ulps_between(double a, double b) {
  if (!isfinite(a) || !isfinite(b)) return HUGE_VAL;
  const int exponent = (int)fmax(fmax(fabs(a), fabs(b)) > 0 ? logb(fmax(fabs(a), fabs(b))) : -126, -126);
  return fabs(a - b) / ldexp(1.0, exponent - 23);
}

static void say_difference(char *text, size_t size, const char *view, int64_t index, double got, double want, const char *whose) {
  snprintf(text, size, "%s[%" PRId64 "] is %.9g, %s %.9g (%.3g ulp apart)", view, index, got, whose, want, ulps_between(got, want));
}

/* Bit for bit but for the payload of a NaN. */
static bool same_bits(const trial *t, char *const *got, char *const *want, char *text, size_t size) {
  for (int v = 0; v < t->image->contract->view_count; v++) {
    const fh_view_desc *desc = &t->c.views[v];
    if (t->image->contract->views[v].role == FH_ROLE_IN || memcmp(got[v], want[v], bytes_of(desc)) == 0) continue;
    const int64_t count = count_of(desc), bytes = (int64_t)fh_dtype_size(desc->dtype);
    for (int64_t i = 0; i < count; i++) {
      const double g = element(got[v], desc->dtype, i), w = element(want[v], desc->dtype, i);
      if (memcmp(got[v] + i * bytes, want[v] + i * bytes, (size_t)bytes) == 0 || (isnan(g) && isnan(w))) continue;
      say_difference(text, size, t->image->contract->views[v].name, i, g, w, "plain C gives");
      return false;
    }
  }
  return true;
}

static bool within_bound(const trial *t, char *const *got, char *text, size_t size) {
  const fh_kernel_contract *contract = t->image->contract;
  if (contract->compare) {
    const char *wrong = contract->compare(&t->c, (void *const *)got, (void *const *)t->want);
    if (wrong) snprintf(text, size, "%s", wrong);
    return !wrong;
  }
  for (int v = 0; v < contract->view_count; v++) {
    if (contract->views[v].role == FH_ROLE_IN) continue;
    const fh_dtype dtype = t->c.views[v].dtype;
    const int64_t count = count_of(&t->c.views[v]);
    for (int64_t i = 0; i < count; i++) {
      const double g = element(got[v], dtype, i), w = element(t->want[v], dtype, i);
      if (g == w || (isnan(g) && isnan(w))) continue;
      if (isfinite(w) && fabs(g - w) <= contract->bound_rel * fabs(w) + contract->bound_abs) continue;
      say_difference(text, size, contract->views[v].name, i, g, w, "the oracle says");
      return false;
    }
  }
  return true;
}

/* ---- running ------------------------------------------------------------------------------------------ */

fh_status fh_conform_run_dialect(void *arg, const fh_conform_call *call) {
  const fh_isa isa = *(const fh_isa *)arg;
  region temps[FH_MAX_TEMPS] = {0};
  fh_status status = fh_bound_check(call->image, call->bound);
  for (int i = 0; i < call->bound->temp_count && !status; i++) status = region_new(call->bound->temp_bytes[i], 0, true, true, &temps[i]);
  for (int s = 0; s < call->bound->stage_count && !status; s++) {
    const fh_stage *stage = &call->bound->stages[s];
    const fh_items_fn run = call->image->entries[stage->entry].cpu[isa];
    if (!run) {
      status = FH_STATUS(FH_UNIMPLEMENTED, "%s is not built for %s", call->image->contract->name, fh_isa_name(isa));
      break;
    }
    fh_slot slots[FH_MAX_OPERANDS] = {0};
    for (int o = 0; o < stage->operand_count; o++) {
      const fh_operand *op = &stage->operands[o];
      const fh_conform_place *place = &call->places[op->index];
      if (op->kind == FH_OPERAND_I64)
        slots[o].i = op->i;
      else if (op->kind == FH_OPERAND_F32)
        slots[o].f = op->f;
      else if (op->kind == FH_OPERAND_TEMP)
        slots[o].p = temps[op->index].memory + op->offset;
      else
        slots[o].p = (char *)place->memory + place->offset + op->offset;
    }
    /* In two calls: any split must give the same. */
    run(slots, stage->items / 3, stage->items);
    run(slots, 0, stage->items / 3);
  }
  for (int i = 0; i < FH_MAX_TEMPS; i++) region_free(&temps[i]);
  return status;
}

/* The oracle's and plain C's answers, compact; plain C must be within the bound. */
static fh_status answer(trial *t, fh_conform_report *report) {
  const fh_kernel_contract *contract = t->image->contract;
  fh_conform_place places[FH_MAX_VIEWS] = {0};
  for (int v = 0; v < contract->view_count; v++) {
    const size_t bytes = bytes_of(&t->c.views[v]);
    memcpy(t->want[v], t->input[v], bytes);
    memcpy(t->plain[v], t->input[v], bytes);
    places[v] = (fh_conform_place){t->plain[v], bytes, 0};
  }
  contract->reference(t->c.views, (void *const *)t->want, t->c.scalars);
  if (!fh_image_has_text(t->image)) { /* the oracle takes the place of plain C */
    for (int v = 0; v < contract->view_count; v++) memcpy(t->plain[v], t->want[v], bytes_of(&t->c.views[v]));
    return FH_OK;
  }
  fh_isa scalar = FH_ISA_SCALAR;
  fh_status status = fh_conform_run_dialect(&scalar, &(fh_conform_call){t->image, t->c.views, t->c.scalars, &t->bound, places});
  char why[200] = "";
  if (fh_status_code(status) == FH_INVALID_ARGUMENT) {
    snprintf(why, sizeof why, "%s", fh_status_message(status));
    fh_status_free(status);
    status = FH_OK;
  }
  FH_TRY(status);
  if (why[0] || !within_bound(t, t->plain, why, sizeof why)) {
    report->verdict = FH_CONFORM_FAIL;
    snprintf(report->text, sizeof report->text, "plain C, case %s%s: %s", t->c.label, data_names[t->kind], why);
  }
  return FH_OK;
}

/* One layout of a trial in memory. */
typedef struct setting {
  fh_view_desc views[FH_MAX_VIEWS];
  region memory[FH_MAX_VIEWS];
  char *before[FH_MAX_VIEWS];
  fh_conform_place places[FH_MAX_VIEWS];
  fh_bound bound;
} setting;

static void setting_free(setting *s, const trial *t) {
  for (int v = 0; v < t->image->contract->view_count; v++) {
    region_free(&s->memory[v]);
    free(s->before[v]);
  }
}

/* The cut that the data itself asks for. Plain C runs as bound, so equality of bits shows that the cut changes none. Data that is
 * refused runs as bound, too: a text must be safe with it. */
static void look_at_data(const trial *t, setting *s) {
  const fh_kernel_contract *contract = t->image->contract;
  if (!contract->inspect || s->bound.stage_count == 0) return;
  const void *data[FH_MAX_VIEWS] = {0};
  for (int v = 0; v < contract->view_count; v++)
    if (contract->inspects >> v & 1) data[v] = (const char *)s->places[v].memory + s->places[v].offset;
  char note[FH_NOTE];
  fh_bound cut = s->bound;
  fh_status refused = contract->inspect(s->views, data, t->c.scalars, &cut, note);
  if (!refused) s->bound = cut;
  fh_status_free(refused);
}

static fh_status setting_new(const trial *t, const layout *how, size_t alignment, bool guard, setting *s) {
  *s = (setting){0};
  for (int v = 0; v < t->image->contract->view_count; v++) {
    const size_t size = fh_dtype_size(t->c.views[v].dtype);
    size_t offset = (size_t)(how->offset * (1 + 2 * v) % OFFSETS);
    if (alignment > 1) offset -= offset % size;
    s->views[v] = laid_out(&t->c.views[v], v, how->kind);
    int64_t first;
    const size_t bytes = (size_t)span_of(&s->views[v], &first) * size;
    s->places[v] = (fh_conform_place){.bytes = bytes, .offset = first * (int64_t)size};
    if (t->kind == IN_PLACE && v == t->out) continue;
    FH_TRY(region_new(bytes, offset, how->at_end, guard, &s->memory[v]));
    s->places[v].memory = s->memory[v].memory;
    if (t->image->contract->views[v].role != FH_ROLE_OUT) scatter(&s->views[v], t->input[v], s->memory[v].memory + s->places[v].offset);
    s->before[v] = malloc(bytes + 1);
    if (!s->before[v]) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "conformance: no memory for a copy of %zu bytes", bytes);
    memcpy(s->before[v], s->memory[v].memory, bytes);
  }
  if (t->kind == IN_PLACE) s->places[t->out] = s->places[t->in];
  FH_TRY(t->image->contract->bind(s->views, t->c.scalars, &s->bound));
  look_at_data(t, s);
  return FH_OK;
}

/* Outputs into t->got; false when a byte that is no output element changed. */
static bool collect(trial *t, setting *s, char *text, size_t size) {
  for (int v = 0; v < t->image->contract->view_count; v++) {
    const char *first = (char *)s->places[v].memory + s->places[v].offset;
    const bool written = t->image->contract->views[v].role != FH_ROLE_IN || (t->kind == IN_PLACE && v == t->in);
    gather(&s->views[v], first, t->got[v]);
    if (!s->before[v]) continue;
    if (written) scatter(&s->views[v], t->got[v], s->before[v] + s->places[v].offset);
    if (memcmp(s->before[v], s->memory[v].memory, s->places[v].bytes) == 0) continue;
    snprintf(text, size, "%s: %s changed", t->image->contract->views[v].name, written ? "a byte between the elements was" : "an input was");
    return false;
  }
  return true;
}

/* A text that its device's compiler refuses is no lack of the device: one of the two is wrong. */
static bool cannot_run(fh_status status) {
  const fh_code code = fh_status_code(status);
  const char *cause = fh_status_cause(status);
  if (cause && strcmp(cause, "BUILD-FAILED") == 0) return false;
  return code == FH_INCOMPATIBLE || code == FH_UNIMPLEMENTED || code == FH_UNAVAILABLE;
}

static bool is_unfit(const trial *t, const fh_conform_variant *variant, const setting *s) {
  int64_t offsets[FH_MAX_VIEWS] = {0};
  for (int v = 0; v < t->image->contract->view_count; v++) offsets[v] = s->places[v].offset;
  return variant->unfit && (s->bound.stage_count == 0 || variant->unfit(variant->arg, &s->bound, offsets));
}

static fh_status try_setting(trial *t, const fh_conform_variant *variant, const fh_conform_options *options, const layout *how, setting *s,
                             fh_conform_report *report) {
  char why[200] = "";
  if (is_unfit(t, variant, s)) return FH_OK;
  report->runs++;
  const fh_conform_call call = {t->image, s->views, t->c.scalars, &s->bound, s->places};
  fh_status status = s->bound.stage_count > 0 ? variant->run(variant->arg, &call) : FH_OK;
  if (status) {
    const bool unsupported = cannot_run(status) && report->runs == 1;
    report->verdict = unsupported ? FH_CONFORM_UNSUPPORTED : FH_CONFORM_FAIL;
    snprintf(why, sizeof why, "%s: %s", fh_code_name(fh_status_code(status)), fh_status_message(status));
    if (options->out_failure)
      *options->out_failure = status; /* the first is the last */
    else
      fh_status_free(status);
  } else if (!collect(t, s, why, sizeof why) || (variant->numerics == FH_EXACT && !same_bits(t, t->got, t->plain, why, sizeof why)) ||
             (variant->numerics != FH_EXACT && !within_bound(t, t->got, why, sizeof why))) {
    report->verdict = FH_CONFORM_FAIL;
  }
  if (report->verdict == FH_CONFORM_UNSUPPORTED)
    snprintf(report->text, sizeof report->text, "%s", why);
  else if (report->verdict == FH_CONFORM_FAIL)
    snprintf(report->text, sizeof report->text, "%s, case %s, %s (%d)%s: %s", variant->name, t->c.label, how->name, how->offset,
             data_names[t->kind], why);
  return FH_OK;
}

/* Cases of more operations are there for what only size reaches: they are tried on ordinary data, in the forms below alone. */
static const double MANY_FLOPS = 7e6;

/* Each operand of a product by rows or by columns: texts may have code of their own for each of the four. */
static bool is_form(const layout *how) { return how->kind >= TURNED || (how->kind == COMPACT && !how->at_end && how->offset == 0); }

/* Is a trial tried in a layout? */
static bool is_tried(const trial *t, const fh_conform_options *options, const layout *how) {
  if (options->quick && !options->forms) return is_form(how) && how->kind == COMPACT;
  if (options->quick || t->bound.flops > MANY_FLOPS) return is_form(how);
  return how->kind < TURNED || t->kind == ORDINARY;
}

static fh_status try_layouts(trial *t, const fh_conform_variant *variant, const fh_conform_options *options, fh_conform_report *report) {
  layout how;
  const int before = report->runs;
  for (int i = 0; layout_at(i, options->thorough, &how) && report->verdict == FH_CONFORM_PASS; i++) {
    setting s;
    if (t->once && report->runs > before) break;
    if (!is_tried(t, options, &how)) continue;
    fh_status status = setting_new(t, &how, variant->alignment, options->guard, &s);
    if (!status) status = try_setting(t, variant, options, &how, &s, report);
    setting_free(&s, t);
    FH_TRY(status);
  }
  return FH_OK;
}

/* Is a layout of the trial one that the variant takes? Asked before the trial costs anything; where the data changes what bind says, it
 * is asked of each layout with its data alone. */
static fh_status takes_some_layout(const trial *t, const fh_conform_variant *variant, const fh_conform_options *options, bool *out_takes) {
  const fh_kernel_contract *contract = t->image->contract;
  *out_takes = !variant->unfit || contract->inspect;
  for (int i = 0; i < FIXED_LAYOUTS && !*out_takes; i++) { /* the others are compact, too */
    fh_view_desc views[FH_MAX_VIEWS];
    if (!is_tried(t, options, &fixed_layouts[i])) continue;
    for (int v = 0; v < contract->view_count; v++) views[v] = laid_out(&t->c.views[v], v, fixed_layouts[i].kind);
    fh_bound bound = {0};
    const int64_t offsets[FH_MAX_VIEWS] = {0};
    FH_TRY(contract->bind(views, t->c.scalars, &bound));
    *out_takes = bound.stage_count > 0 && !variant->unfit(variant->arg, &bound, offsets);
  }
  return FH_OK;
}

static fh_status try_trial(trial *t, const fh_conform_variant *variant, const fh_conform_options *options, fh_conform_report *report) {
  if (t->kind == IN_PLACE && !find_alias(t)) return FH_OK;
  FH_TRY(t->image->contract->bind(t->c.views, t->c.scalars, &t->bound));
  if (t->kind != ORDINARY && t->bound.flops > MANY_FLOPS) return FH_OK;
  bool takes;
  FH_TRY(takes_some_layout(t, variant, options, &takes));
  if (!takes) return FH_OK;
  FH_TRY(trial_alloc(t));
  trial_fill(t);
  FH_TRY(answer(t, report));
  if (report->verdict != FH_CONFORM_PASS) return FH_OK;
  return try_layouts(t, variant, options, report);
}

/* All kinds of data for one case. */
static fh_status try_case(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options,
                          const fh_case *c, fh_conform_report *report) {
  const int kinds = options->quick ? ORDINARY + 1 : DATA_KINDS;
  for (int kind = 0; kind < kinds && report->verdict == FH_CONFORM_PASS; kind++) {
    trial t = {.image = image, .c = *c, .kind = (data_kind)kind};
    fh_status status = try_trial(&t, variant, options, report);
    trial_free(&t);
    FH_TRY(status);
  }
  return FH_OK;
}

/* A contract from outside may have no last case, and its variant may take none. */
enum { MOST_CASES = 4096 };

/* Inputs that are empty or of one element each say little of a text. */
static bool says_little(const fh_kernel_contract *contract, const fh_case *c) {
  int64_t most = 0;
  for (int v = 0; v < contract->view_count; v++) {
    if (contract->views[v].role == FH_ROLE_OUT) continue;
    const int64_t count = count_of(&c->views[v]);
    if (count == 0) return true;
    if (count > most) most = count;
  }
  return most <= 1;
}

/* The first cases that the variant takes. */
static fh_status try_first(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options,
                           int *out_next, fh_conform_report *report) {
  const fh_kernel_contract *contract = image->contract;
  fh_case c = {0};
  int taken = 0, i = 0;
  for (; i < MOST_CASES && (options->cases == 0 || taken < options->cases) && contract->case_at(i, &c); i++) {
    const int before = report->runs;
    if (options->sample && says_little(contract, &c)) continue;
    FH_TRY(try_case(image, variant, options, &c, report));
    taken += report->runs > before;
  }
  *out_next = i;
  return FH_OK;
}

/* ---- one call that reaches more ---------------------------------------------------------------------------- */

/* Traffic of a call that still takes milliseconds. */
static const double MANY_BYTES = 3e7;

/* What a case would bring, by its first layout that the variant takes. */
typedef struct promise {
  int index; /* -1: the variant does not take it */
  int reach;
  double work;
} promise;

static fh_status promise_of_layout(const trial *t, const fh_conform_variant *variant, const layout *how, int index, promise *out) {
  setting s;
  fh_status status = setting_new(t, how, variant->alignment, false, &s);
  if (!status && s.bound.stage_count > 0 && !is_unfit(t, variant, &s))
    *out = (promise){index, variant->reach ? variant->reach(variant->arg, &s.bound) : 0, s.bound.flops + s.bound.bytes};
  setting_free(&s, t);
  return status;
}

static fh_status promise_of(trial *t, const fh_conform_variant *variant, const fh_conform_options *options, int index, promise *out) {
  bool takes;
  *out = (promise){.index = -1};
  FH_TRY(t->image->contract->bind(t->c.views, t->c.scalars, &t->bound));
  if (t->bound.flops > MANY_FLOPS || t->bound.bytes > MANY_BYTES) return FH_OK;
  FH_TRY(takes_some_layout(t, variant, options, &takes));
  if (!takes) return FH_OK;
  FH_TRY(trial_alloc(t));
  if (t->image->contract->inspect) trial_fill(t); /* the data says how a call is cut */
  for (int i = 0; i < FIXED_LAYOUTS && out->index < 0; i++)
    if (is_tried(t, options, &fixed_layouts[i])) FH_TRY(promise_of_layout(t, variant, &fixed_layouts[i], index, out));
  return FH_OK;
}

static bool promises_more(const promise *a, const promise *b) {
  if (a->index < 0 || b->index < 0) return a->index >= 0;
  return a->reach != b->reach ? a->reach > b->reach : a->work > b->work;
}

/* The case from `first` on that reaches most. */
static fh_status find_largest(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options, int first,
                              promise *out_best) {
  fh_case c = {0};
  *out_best = (promise){.index = -1};
  for (int i = first; i < MOST_CASES && image->contract->case_at(i, &c); i++) {
    promise found;
    trial t = {.image = image, .c = c};
    fh_status status = promise_of(&t, variant, options, i, &found);
    trial_free(&t);
    FH_TRY(status);
    if (promises_more(&found, out_best)) *out_best = found;
  }
  return FH_OK;
}

static fh_status try_largest(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options, int first,
                             fh_conform_report *report) {
  promise best;
  fh_case c = {0};
  FH_TRY(find_largest(image, variant, options, first, &best));
  if (best.index < 0 || !image->contract->case_at(best.index, &c)) return FH_OK;
  trial t = {.image = image, .c = c, .once = true};
  fh_status status = try_trial(&t, variant, options, report);
  trial_free(&t);
  return status;
}

fh_status fh_conform(const fh_kernel_image *image, const fh_conform_variant *variant, const fh_conform_options *options,
                     fh_conform_report *out_report) {
  fh_conform_options plain = *options;
  int next;
  *out_report = (fh_conform_report){0};
  if (options->out_failure) *options->out_failure = FH_OK;
  FH_TRY(try_first(image, variant, options, &next, out_report));
  if (options->sample && out_report->runs == 0 && out_report->verdict == FH_CONFORM_PASS) { /* what says little is all there is */
    plain.sample = false;
    FH_TRY(try_first(image, variant, &plain, &next, out_report));
  }
  if (plain.sample && out_report->verdict == FH_CONFORM_PASS) FH_TRY(try_largest(image, variant, options, next, out_report));
  if (out_report->runs == 0 && out_report->verdict == FH_CONFORM_PASS) {
    out_report->verdict = FH_CONFORM_UNSUPPORTED;
    snprintf(out_report->text, sizeof out_report->text, "no case of the contract fits %s, so that it could not be tested", variant->name);
  }
  return FH_OK;
}

/* ---- operands, for who brings cases to life elsewhere -------------------------------------------------- */

int64_t fh_conform_span(const fh_view_desc *view, int64_t *out_first) { return span_of(view, out_first); }

void fh_conform_scatter(const fh_view_desc *view, const void *compact, void *first) { scatter(view, compact, first); }

void fh_conform_gather(const fh_view_desc *view, const void *first, void *compact) { gather(view, first, compact); }

void fh_conform_fill(const fh_kernel_contract *contract, const fh_case *c, int view, void *data, uint64_t seed) {
  if (contract->fill)
    contract->fill(view, c, data, seed);
  else
    fill_default(&c->views[view], data, seed);
}

double fh_conform_element(const void *data, fh_dtype dtype, int64_t index) { return element(data, dtype, index); }

bool fh_conform_outputs(const fh_kernel_image *image, const fh_case *c, void *const *got, void *const *want, char *text, size_t size) {
  trial t = {.image = image, .c = *c};
  for (int v = 0; v < image->contract->view_count; v++) t.want[v] = want[v];
  return within_bound(&t, (char *const *)got, text, size);
}
