/* The contract of bincount: how often each id occurs. SPDX-License-Identifier: Apache-2.0
 *
 * An id outside the counts breaks the contract: a launch refuses it; a text that meets one passes it over. */
#include "kernels/tally.h"

enum { IDS, COUNTS };

static const fh_view_param params[] = {
    {"ids", FH_ROLE_IN, FH_I32, "(n), each in [0, k)", false},
    {"counts", FH_ROLE_OUT, FH_I32, "(k)", false},
};

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  for (int i = IDS; i <= COUNTS; i++) FH_TRY(fh_check_view("bincount", &params[i], &v[i], 1, 1));
  const int64_t n = v[IDS].shape[0], k = v[COUNTS].shape[0];
  FH_TRY(fh_tally_check("bincount", &params[IDS], n, k));
  if (k == 0) return FH_OK;
  const fh_tally t = fh_tally_of(n, k);
  fh_tally_bind(&t, n, k, IDS, COUNTS, v, out);
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  (void)bound;
  const fh_tally t = fh_tally_of(v[IDS].shape[0], v[COUNTS].shape[0]);
  int64_t repeats;
  FH_TRY(fh_check_ids("bincount", &params[IDS], &v[IDS], data[IDS], v[COUNTS].shape[0], "counts", &repeats));
  if (note)
    snprintf(note, FH_NOTE,
             "%" PRId64 " ids, %" PRId64 " equal the one before: %" PRId64 " chunks of %" PRId64 " tables, skew costs nothing",
             v[IDS].shape[0], repeats, t.chunks, t.tables);
  return FH_OK;
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  fh_i32_any *counts = data[COUNTS];
  for (int64_t j = 0; j < v[COUNTS].shape[0]; j++) counts[j * v[COUNTS].strides[0]] = 0;
  for (int64_t i = 0; i < v[IDS].shape[0]; i++) {
    const int64_t id = fh_id_at(&v[IDS], data[IDS], i);
    if (id >= 0 && id < v[COUNTS].shape[0]) counts[id * v[COUNTS].strides[0]]++;
  }
}

typedef struct shape {
  int64_t n, k;
  fh_skew skew;
} shape;

static const shape cases[] = {
    {101, 13, FH_SKEW_UNIFORM},    {0, 5, FH_SKEW_UNIFORM},     {5, 0, FH_SKEW_WILD},       {1, 1, FH_SKEW_EQUAL},
    {15, 3, FH_SKEW_WILD},         {16, 16, FH_SKEW_SORTED},    {17, 17, FH_SKEW_REVERSED}, {300, 31, FH_SKEW_WILD},
    {1000, 1024, FH_SKEW_HEAVY},   {5000, 1025, FH_SKEW_ZIPF},  {9001, 7, FH_SKEW_EQUAL},   {70000, 33, FH_SKEW_WILD},
    {70001, 257, FH_SKEW_ZIPF_16}, {40000, 2000, FH_SKEW_ZIPF}, {64, 5000, FH_SKEW_WILD},
};
static const shape benches[] = {
    {10, 10, FH_SKEW_UNIFORM},          {4093, 256, FH_SKEW_UNIFORM},      {1000000, 256, FH_SKEW_UNIFORM},
    {1000000, 256, FH_SKEW_ZIPF},       {1000000, 256, FH_SKEW_ZIPF_16},   {1000000, 256, FH_SKEW_HEAVY},
    {1000000, 256, FH_SKEW_SORTED},     {1000000, 256, FH_SKEW_REVERSED},  {1000000, 256, FH_SKEW_EQUAL},
    {1000000, 100003, FH_SKEW_UNIFORM}, {1000000, 100003, FH_SKEW_ZIPF},   {1000000, 100003, FH_SKEW_ZIPF_16},
    {1000000, 100003, FH_SKEW_HEAVY},   {1000000, 100003, FH_SKEW_SORTED}, {1000000, 100003, FH_SKEW_REVERSED},
    {1000000, 100003, FH_SKEW_EQUAL},   {10000000, 1000, FH_SKEW_ZIPF},    {10000000, 1000003, FH_SKEW_UNIFORM},
};

static bool fill_case(const shape *s, fh_case *out) {
  *out = (fh_case){.views = {fh_compact(FH_I32, 1, &s->n), fh_compact(FH_I32, 1, &s->k)}};
  *fh_case_skew(out) = s->skew;
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " k=%" PRId64 " %s", s->n, s->k, fh_skew_names[s->skew]);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  if (index == IDS) fh_skew_ids(fh_skew_of(c), data, c->views[IDS].shape[0], c->views[COUNTS].shape[0], seed);
}

const fh_kernel_contract fh_contract_bincount = {
    .name = "bincount",
    .version = 1,
    .summary = "how often each id occurs",
    .formula = "counts[j] = how many i have ids[i] = j",
    FH_VIEWS(params),
    FH_ENTRIES("bincount_chunk", "bincount_combine"),
    FH_EXACT_WITHIN(0, 0, "counts are integers"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << IDS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    FH_TALLY_BLOCKS(bincount),
};
