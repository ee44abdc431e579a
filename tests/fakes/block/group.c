/* wgmma: the 128 threads of a warpgroup multiply matrices that lie in shared memory, as the PTX ISA has it (9.7.15): descriptors of
 * matrices, fragments of sums. SPDX-License-Identifier: Apache-2.0
 *
 * A product reads its operands when it begins, and finds them the same when somebody waited for it: on a device it is any time between. */
#include "tests/fakes/block/group.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/narrow.h"
#include "tests/fakes/block/async.h"
#include "tests/fakes/block/warp.h"

enum { ROWS = 64, MOST_COLS = 256, MOST_REGISTERS = MOST_COLS / 2, LINE_BYTES = 32, MAX_READS = 64, MAX_SUMS = 8, NAN_BYTE = 0xff };
enum { MAX_GROUPS = FAKE_MAX_THREADS / FAKE_GROUP, MAX_WINDOW = 227 << 10 };

/* An operand in shared memory: `lines` rows of A or columns of B, 32 bytes along k each. */
typedef struct operand {
  uint64_t descriptor;
  int lines;
  bool turned; /* lines lie side by side, not k */
} operand;

typedef unsigned char panel[MOST_COLS][LINE_BYTES];

/* That a product is to read until each of the four warps has waited for it. */
typedef struct read {
  operand of;
  uint64_t hash;
  int group;
  unsigned waited; /* bit w: warp w has */
} read;

/* Accumulators that are not to be touched. */
typedef struct sums {
  void *d[FAKE_GROUP];
  int registers, group; /* words of a thread; the group of the last product into them */
  unsigned values[FAKE_GROUP][MOST_REGISTERS];
  bool taken[FAKE_GROUP]; /* waited for */
  int left;
} sums;

typedef struct part {
  void *d;
  uint64_t a, b;
  bool add;
  fake_group_shape shape;
} part;

typedef struct warpgroup {
  unsigned arrived;
  fake_place place;
  part parts[FAKE_GROUP];
  int groups[FAKE_GROUP]; /* that a thread has committed */
  bool fenced[FAKE_GROUP];
  read reads[MAX_READS];
  int read_count;
  sums sums[MAX_SUMS];
  int sum_count;
} warpgroup;

static _Thread_local char *shared;
static _Thread_local unsigned shared_bytes;
static _Thread_local char *seen; /* shared memory as copies and products see it */
static _Thread_local warpgroup *groups;

static void free_state(void) {
  free(seen);
  free(groups);
  seen = NULL;
  groups = NULL;
}

void fake_group_begin(char *memory, unsigned bytes) {
  shared = memory;
  shared_bytes = bytes;
  free_state(); /* most blocks have no products of warpgroups */
}

/* Made when a text first does what wants it. */
static void need_state(void) {
  if (groups) return;
  seen = malloc(MAX_WINDOW);
  groups = calloc(MAX_GROUPS, sizeof *groups);
  if (!seen || !groups) abort();
  memset(seen, NAN_BYTE, MAX_WINDOW);
}

void fake_group_tell(const void *p, unsigned bytes) {
  need_state();
  memcpy(seen + ((const char *)p - shared), p, bytes);
}

void fake_async_fence(void) { fake_group_tell(shared, shared_bytes); }

static unsigned lane(void) { return fake_thread() % FAKE_GROUP; }
static warpgroup *own(void) {
  need_state();
  return &groups[fake_thread() / FAKE_GROUP];
}

/* ---- descriptors (PTX ISA, matrix descriptor) ------------------------------------------------------------------------------------
 * Bits 0 to 13 address, 16 to 29 leading and 32 to 45 stride byte offset, all in units of 16; 49 to 51 base offset; 62 and 63 swizzle, of
 * which only that of 128 bytes is known here. Atoms are 8 lines of 128 bytes. Contiguous along k: line i is in atom i / 8, which are
 * `stride` apart. Turned: k is in atom k / 8, `stride` apart, and of 64 lines; the next 64 are `leading` away. */

uint64_t fake_matrix(const void *p, unsigned leading, unsigned stride) {
  const uint64_t address = (uint64_t)((const char *)p - shared);
  return (address >> 4 & 0x3fff) | (uint64_t)(leading >> 4 & 0x3fff) << 16 | (uint64_t)(stride >> 4 & 0x3fff) << 32 | UINT64_C(1) << 62;
}

static unsigned field(uint64_t descriptor, int at) { return (unsigned)(descriptor >> at & 0x3fff) << 4; }

/* Where the chunk of 16 bytes that holds byte `k` of a line lies, before the swizzle; of turned ones those of element (line, k / 2). */
static unsigned offset_of(const operand *of, int line, int k) {
  const unsigned first = field(of->descriptor, 0), leading = field(of->descriptor, 16), stride = field(of->descriptor, 32);
  const unsigned l = (unsigned)line, step = (unsigned)k / 2;
  if (!of->turned) return first + l / 8 * stride + l % 8 * 128 + (unsigned)k;
  return first + l / 64 * leading + l % 64 * 2 + step / 8 * stride + step % 8 * 128 + (unsigned)k % 2;
}

static unsigned swizzled(unsigned offset) { return offset ^ (offset >> 7 & 7) << 4; }

static void check_descriptor(const operand *of, fake_place place) {
  if (of->descriptor >> 62 != 1 || (of->descriptor >> 49 & 7)) fake_fail(place, "a descriptor is not of a swizzle of 128 bytes");
  const unsigned first = offset_of(of, 0, 0), last = offset_of(of, of->lines - 1, LINE_BYTES - 1) | 127;
  if (last >= shared_bytes) fake_fail(place, "an operand ends at byte %u of the %u that the block shares", last, shared_bytes);
  if (fake_async_arrives(shared + first, last - first)) fake_fail(place, "an operand has not arrived in shared memory");
}

static uint64_t gather(const operand *of, panel out) {
  uint64_t hash = 14695981039346656037u;
  for (int line = 0; line < of->lines; line++)
    for (int k = 0; k < LINE_BYTES; k++) {
      out[line][k] = (unsigned char)shared[swizzled(offset_of(of, line, k))];
      hash = (hash ^ out[line][k]) * 1099511628211u;
    }
  return hash;
}

static void check_fenced(const operand *of, fake_place place) {
  for (int line = 0; line < of->lines; line++)
    for (int k = 0; k < LINE_BYTES; k++) {
      const unsigned at = swizzled(offset_of(of, line, k));
      if (shared[at] != seen[at]) fake_fail(place, "an operand was written by threads, and no fence tells a product of it");
    }
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------------------------- */

static double number(const unsigned char *p, fake_group_kind kind) {
  uint16_t half;
  uint32_t word;
  memcpy(&half, p, sizeof half);
  if (kind == FAKE_BF16) return (double)fh_f32_from_bits((uint32_t)half << 16);
  if (kind == FAKE_F16) return (double)fh_f32_from_f16(half);
  memcpy(&word, p, sizeof word);
  return (double)fh_f32_from_bits(word & 0xffffe000); /* tf32 */
}

static bool is_nothing(const double *line, int k) {
  for (int l = 0; l < k; l++)
    if (line[l] != 0) return false;
  return true;
}

/* Most of a tile may be past the last line: with numbers on the other side its products change nothing. */
static bool all_are_finite(int lines, int k, double (*line)[LINE_BYTES / 2]) {
  for (int i = 0; i < lines; i++)
    for (int l = 0; l < k; l++)
      if (!isfinite(line[i][l])) return false;
  return true;
}

static void multiply_f32(fake_group_kind kind, int n, panel a, panel b, unsigned sum[ROWS][MOST_COLS]) {
  const int size = kind == FAKE_TF32 ? 4 : 2, k = LINE_BYTES / size;
  static _Thread_local double x[ROWS][LINE_BYTES / 2], y[MOST_COLS][LINE_BYTES / 2];
  for (int l = 0; l < k; l++) {
    for (int i = 0; i < ROWS; i++) x[i][l] = number(&a[i][l * size], kind);
    for (int j = 0; j < n; j++) y[j][l] = number(&b[j][l * size], kind);
  }
  const bool finite = all_are_finite(ROWS, k, x) && all_are_finite(n, k, y);
  bool skip[MOST_COLS];
  for (int j = 0; j < n; j++) skip[j] = finite && is_nothing(y[j], k);
  for (int i = 0; i < ROWS; i++) {
    if (finite && is_nothing(x[i], k)) continue;
    for (int j = 0; j < n; j++) {
      if (skip[j]) continue;
      double total = (double)fh_f32_from_bits(sum[i][j]);
      for (int l = 0; l < k; l++) total += x[i][l] * y[j][l];
      sum[i][j] = fh_bits_from_f32(fake_truncated(total));
    }
  }
}

static bool is_zero(const unsigned char line[LINE_BYTES]) {
  for (int l = 0; l < LINE_BYTES; l++)
    if (line[l]) return false;
  return true;
}

static void multiply_i32(fake_group_kind kind, int n, panel a, panel b, unsigned sum[ROWS][MOST_COLS]) {
  for (int i = 0; i < ROWS; i++) {
    if (is_zero(a[i])) continue;
    for (int j = 0; j < n; j++)
      for (int l = 0; l < LINE_BYTES; l++) {
        const int left = kind == FAKE_S8S8 ? (int8_t)a[i][l] : (int)a[i][l];
        sum[i][j] += (unsigned)(left * (int8_t)b[j][l]);
      }
  }
}

/* ---- fragments of sums: register i of thread t ------------------------------------------------------------------------------------ */
static int row_of(int t, int i) { return t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8; }
static int col_of(int t, int i) { return i / 4 * 8 + t % 4 * 2 + i % 2; }

/* ---- products ---------------------------------------------------------------------------------------------------------------------- */

static sums *sums_at(warpgroup *w, const void *d, unsigned t) {
  for (int i = 0; i < w->sum_count; i++)
    if (w->sums[i].d[t] == d) return &w->sums[i];
  return NULL;
}

static bool agree(const warpgroup *w) {
  const part *first = &w->parts[0];
  for (int t = 1; t < FAKE_GROUP; t++) {
    const part *p = &w->parts[t];
    if (p->a != first->a || p->b != first->b || p->add != first->add || w->groups[t] != w->groups[0]) return false;
  }
  return true;
}

/* The accumulators of this product, which may be under way. */
static sums *take_sums(warpgroup *w, fake_place place) {
  const int registers = w->parts[0].shape.n / 2;
  sums *s = sums_at(w, w->parts[0].d, 0);
  if (s) {
    if (s->registers != registers || s->left != FAKE_GROUP) fake_fail(place, "accumulators of a product that was not waited for");
    return s;
  }
  for (int t = 0; t < FAKE_GROUP; t++)
    if (!w->fenced[t]) fake_fail(place, "thread %d of its group used registers since its last fence", t);
  if (w->sum_count == MAX_SUMS) fake_fail(place, "more than %d accumulators under way", (int)MAX_SUMS);
  s = &w->sums[w->sum_count++];
  s->registers = registers;
  s->left = FAKE_GROUP;
  for (int t = 0; t < FAKE_GROUP; t++) {
    s->d[t] = w->parts[t].d;
    s->taken[t] = false;
    memcpy(s->values[t], s->d[t], (size_t)registers * sizeof(unsigned));
    memset(s->d[t], NAN_BYTE, (size_t)registers * sizeof(unsigned));
  }
  return s;
}

static uint64_t note_read(warpgroup *w, const operand *of, panel out, fake_place place) {
  if (w->read_count == MAX_READS) fake_fail(place, "more than %d operands under way", (int)MAX_READS);
  check_descriptor(of, place);
  check_fenced(of, place);
  read *r = &w->reads[w->read_count++];
  *r = (read){.of = *of, .hash = gather(of, out), .group = w->groups[0]};
  return r->hash;
}

static void multiply(warpgroup *w, fake_place place) {
  static _Thread_local panel a, b;
  static _Thread_local unsigned sum[ROWS][MOST_COLS];
  const part *p = &w->parts[0];
  if (!agree(w)) fake_fail(place, "the threads of a warpgroup do not agree on a product");
  (void)note_read(w, &(operand){p->a, ROWS, p->shape.a_turned}, a, place);
  (void)note_read(w, &(operand){p->b, p->shape.n, p->shape.b_turned}, b, place);
  sums *s = take_sums(w, place);
  s->group = w->groups[0];
  for (int t = 0; t < FAKE_GROUP; t++)
    for (int i = 0; i < s->registers; i++) sum[row_of(t, i)][col_of(t, i)] = p->add ? s->values[t][i] : 0;
  if (p->shape.kind <= FAKE_TF32)
    multiply_f32(p->shape.kind, p->shape.n, a, b, sum);
  else
    multiply_i32(p->shape.kind, p->shape.n, a, b, sum);
  for (int t = 0; t < FAKE_GROUP; t++)
    for (int i = 0; i < s->registers; i++) s->values[t][i] = sum[row_of(t, i)][col_of(t, i)];
}

void fake_group_multiply(void *d, uint64_t a, uint64_t b, bool add, fake_group_shape shape, fake_place place) {
  warpgroup *w = own();
  if (w->arrived && !fake_same_place(w->place, place)) fake_fail(place, "others of its warpgroup are elsewhere");
  w->place = place;
  w->parts[lane()] = (part){d, a, b, add, shape};
  if (++w->arrived < FAKE_GROUP) {
    fake_suspend(place, "its warpgroup");
    return;
  }
  multiply(w, place);
  w->arrived = 0;
  const unsigned first = fake_thread() / FAKE_GROUP * FAKE_GROUP;
  for (unsigned t = first; t < first + FAKE_GROUP; t++)
    if (t != fake_thread()) fake_resume(t);
}

void fake_group_fence(void) { own()->fenced[lane()] = true; }
void fake_group_commit(void) { own()->groups[lane()]++; }

/* The operands of what a warp waited for; as they were, when it was the last. */
static void end_reads(warpgroup *w, unsigned t, int limit, fake_place place) {
  static _Thread_local panel found;
  const unsigned all = (1u << FAKE_GROUP / FAKE_LANES) - 1;
  int kept = 0;
  for (int i = 0; i < w->read_count; i++) {
    read *r = &w->reads[i];
    if (r->group < limit) r->waited |= 1u << t / FAKE_LANES;
    if (r->waited != all)
      w->reads[kept++] = *r;
    else if (fake_async_arrives(shared + field(r->of.descriptor, 0), 1) || gather(&r->of, found) != r->hash)
      fake_fail(place, "an operand of a product changed before the product had ended");
  }
  w->read_count = kept;
}

static bool is_untouched(const sums *s, unsigned t) {
  const unsigned char *d = s->d[t];
  for (size_t i = 0; i < (size_t)s->registers * sizeof(unsigned); i++)
    if (d[i] != NAN_BYTE) return false;
  return true;
}

/* This thread gets what is done. */
static void take(warpgroup *w, sums *s, unsigned t, fake_place place) {
  if (!is_untouched(s, t)) fake_fail(place, "accumulators were written before the product into them had ended");
  memcpy(s->d[t], s->values[t], (size_t)s->registers * sizeof(unsigned));
  s->taken[t] = true;
  s->left--;
  w->fenced[t] = false;
}

static void meet(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { (void)in, (void)out; }

/* The lanes of a warp wait together. */
void fake_group_wait(int newest, fake_place place) {
  fake_warp(meet, NULL, NULL, place);
  warpgroup *w = own();
  const unsigned t = lane();
  const int limit = w->groups[t] - newest;
  end_reads(w, t, limit, place);
  for (int i = 0; i < w->sum_count; i++)
    if (w->sums[i].group < limit && !w->sums[i].taken[t]) take(w, &w->sums[i], t, place);
  for (int i = 0; i < w->sum_count; i++)
    if (!w->sums[i].left) w->sums[i--] = w->sums[--w->sum_count];
}

const char *fake_group_end(void) {
  bool any = false;
  for (int i = 0; groups && i < MAX_GROUPS; i++) any |= groups[i].sum_count > 0;
  free_state();
  return any ? "it ends while products of a warpgroup are under way" : NULL;
}

/* All that an instruction states of registers: a count it may have. */
void fake_group_registers(unsigned count, fake_place place) {
  if (count < 24 || count > 256 || count % 8) fake_fail(place, "%u registers for a thread: expected 24 to 256, a multiple of 8", count);
}
