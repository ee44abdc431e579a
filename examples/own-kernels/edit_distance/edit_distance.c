/* The contract of edit_distance: Levenshtein distances of many pairs of words. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/cases.h"
#include "kernels/check.h"
#include "kernels/stage.h"

enum { A, A_LENGTH, B, B_LENGTH, DISTANCE };
enum { LANES = 16, MOST_ITEMS = 1024, LONGEST = 1 << 24 }; /* whole numbers that a float holds */

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_U8, "(n, la): a word in each row", false},
    {"a_length", FH_ROLE_IN, FH_I32, "(n): letters of each word, 0 to la", false},
    {"b", FH_ROLE_IN, FH_U8, "(n, lb)", false},
    {"b_length", FH_ROLE_IN, FH_I32, "(n): 0 to lb", false},
    {"distance", FH_ROLE_OUT, FH_I32, "(n)", false},
};

static fh_status check(const fh_view_desc *views) {
  static const int ranks[] = {2, 1, 2, 1, 1};
  for (int v = A; v <= DISTANCE; v++) {
    FH_TRY(fh_check_view("edit_distance", &params[v], &views[v], ranks[v], ranks[v]));
    FH_TRY(fh_check_extent("edit_distance", &params[v], &views[v], 0, "n", views[A].shape[0], "a"));
  }
  for (int v = A; v <= B; v += B - A)
    if (views[v].shape[1] > LONGEST)
      return FH_STATUS(FH_INVALID_ARGUMENT, "edit_distance: %s has words of %lld letters, expected at most %d", params[v].name,
                       (long long)views[v].shape[1], (int)LONGEST);
  return FH_OK;
}

static fh_status edit_distance_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  *out = (fh_bound){0};
  FH_TRY(check(views));
  const int64_t n = views[A].shape[0], la = views[A].shape[1], lb = views[B].shape[1];
  if (n == 0) return FH_OK;
  const int64_t groups = fh_divide_up(n, LANES), items = fh_least(groups, MOST_ITEMS);
  FH_TRY(fh_check_scratch("edit_distance", items, (2 * lb + 1) * LANES, sizeof(float), &out->temp_bytes[0]));
  out->temp_count = 1;
  fh_stage *stage = fh_add_stage(out, 0, items, 4.0 * (double)(fh_divide_up(groups, items) * LANES) * (double)(la + 1) * (double)(lb + 1));
  fh_push_views(stage, params, A, DISTANCE);
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, n, items * LANES, la, lb);
  fh_push_strides(stage, views, A, DISTANCE);
  out->flops = 4.0 * (double)n * (double)(la + 1) * (double)(lb + 1);
  out->bytes = (double)n * (double)(la + lb + 12);
  return FH_OK;
}

/* Lengths beyond the words have no meaning: the first is named. */
static fh_status edit_distance_inspect(const fh_view_desc *views, const void *const *data, const fh_value *scalars, fh_bound *bound,
                                       char note[FH_NOTE]) {
  (void)scalars, (void)bound, (void)note;
  for (int v = A_LENGTH; v <= B_LENGTH; v += B_LENGTH - A_LENGTH)
    for (int64_t i = 0; i < views[v].shape[0]; i++) {
      const int32_t length = ((const int32_t *)data[v])[i * views[v].strides[0]];
      if (length >= 0 && length <= views[v - 1].shape[1]) continue;
      return FH_STATUS(FH_INVALID_ARGUMENT, "edit_distance: %s[%lld] is %d, expected 0 to %lld, the letters that %s has room for",
                       params[v].name, (long long)i, (int)length, (long long)views[v - 1].shape[1], params[v - 1].name);
    }
  return FH_OK;
}

typedef struct word {
  const uint8_t *letters;
  int64_t step, length;
} word;

static word word_of(const fh_view_desc *views, void *const *data, int v, int64_t pair) {
  return (word){.letters = (const uint8_t *)data[v] + pair * views[v].strides[0],
                .step = views[v].strides[1],
                .length = ((const int32_t *)data[v + 1])[pair * views[v + 1].strides[0]]};
}

/* Wagner and Fischer, 1974, with one row of the table. */
static int32_t distance_of(const word *a, const word *b, int32_t *row) {
  for (int64_t j = 0; j <= b->length; j++) row[j] = (int32_t)j;
  for (int64_t i = 1; i <= a->length; i++) {
    int32_t corner = row[0];
    row[0] = (int32_t)i;
    for (int64_t j = 1; j <= b->length; j++) {
      const int32_t above = row[j];
      const int32_t changed = corner + (a->letters[(i - 1) * a->step] != b->letters[(j - 1) * b->step]);
      const int32_t shorter = (above < row[j - 1] ? above : row[j - 1]) + 1;
      row[j] = changed < shorter ? changed : shorter;
      corner = above;
    }
  }
  return row[b->length];
}

static void edit_distance_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  int32_t *row = malloc(sizeof *row * (size_t)(views[B].shape[1] + 1));
  for (int64_t pair = 0; pair < views[A].shape[0]; pair++) {
    const word a = word_of(views, data, A, pair), b = word_of(views, data, B, pair);
    ((int32_t *)data[DISTANCE])[pair * views[DISTANCE].strides[0]] = row ? distance_of(&a, &b, row) : -1; /* no memory: no answer passes */
  }
  free(row);
}

/* Four letters, so that words have something in common. */
static void edit_distance_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *v = &c->views[index];
  const int64_t count = fh_elements(v);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed) >> 33;
    if (v->dtype == FH_U8)
      ((uint8_t *)data)[i] = (uint8_t)('a' + random % 4);
    else
      ((int32_t *)data)[i] = (int32_t)(random % (uint64_t)(c->views[index - 1].shape[1] + 1));
  }
}

static bool edit_distance_case_at(int i, fh_case *out) {
  static const int64_t sizes[][3] = {{19, 7, 9}, {0, 3, 3}, {1, 1, 1}, {16, 12, 5}, {17, 0, 4}, {33, 20, 31}, {100, 40, 40}};
  *out = (fh_case){0};
  if (i < 0 || i >= FH_LENGTH(sizes)) return false;
  const int64_t *s = sizes[i];
  snprintf(out->label, sizeof out->label, "%lld pairs of %lld and %lld", (long long)s[0], (long long)s[1], (long long)s[2]);
  out->views[A] = fh_compact(FH_U8, 2, (const int64_t[]){s[0], s[1]});
  out->views[B] = fh_compact(FH_U8, 2, (const int64_t[]){s[0], s[2]});
  out->views[A_LENGTH] = out->views[B_LENGTH] = out->views[DISTANCE] = fh_compact(FH_I32, 1, s);
  return true;
}

const fh_kernel_contract fh_contract_edit_distance = {
    .name = "edit_distance",
    .version = 1,
    .summary = "fewest insertions, deletions and changes of letters that make one word of another",
    .formula = "D[i,j] = min(D[i-1,j-1] + (a[i] != b[j]), D[i-1,j] + 1, D[i,j-1] + 1) (Levenshtein 1966, Wagner and Fischer 1974)",
    FH_VIEWS(params),
    FH_ENTRIES("edit_distance"),
    FH_EXACT_WITHIN(0, 0, "whole numbers"),
    .bind = edit_distance_bind,
    .inspect = edit_distance_inspect,
    .inspects = 1 << A_LENGTH | 1 << B_LENGTH,
    .reference = edit_distance_reference,
    .case_at = edit_distance_case_at,
    .fill = edit_distance_fill,
};
