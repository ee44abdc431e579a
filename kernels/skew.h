/* Data of every skew for the cases of the irregular kernels, and the look at ids and offsets before a launch.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A case says which data it wants in fh_case_skew(c): a scalar past those of the contract, for fill() alone. */
#ifndef FOGHORN_KERNELS_SKEW_H_
#define FOGHORN_KERNELS_SKEW_H_

#include <math.h>
#include <string.h>

#include "kernels/cases.h"
#include "kernels/check.h"
#include "kernels/unaligned.h"

/* ---- data ---------------------------------------------------------------------------------------------------- */

typedef enum fh_skew {
  FH_SKEW_UNIFORM = 0,
  FH_SKEW_ZIPF,     /* exponent 1.1 */
  FH_SKEW_ZIPF_16,  /* exponent 1.6 */
  FH_SKEW_HEAVY,    /* nine of ten are one */
  FH_SKEW_SORTED,   /* uniform, ascending */
  FH_SKEW_REVERSED, /* uniform, descending */
  FH_SKEW_EQUAL,    /* all are one */
  FH_SKEW_WILD,     /* uniform, and some out of range: refused by a launch, harmless to a text */
  FH_SKEWS,
} fh_skew;

static const char *const fh_skew_names[FH_SKEWS] = {"uniform", "Zipf 1.1", "Zipf 1.6", "heavy", "sorted", "reversed", "equal", "wild"};

static inline int64_t *fh_case_skew(fh_case *c) { return &c->scalars[FH_MAX_PARAMS - 1].i; }
static inline fh_skew fh_skew_of(const fh_case *c) { return (fh_skew)c->scalars[FH_MAX_PARAMS - 1].i; }

/* [0, 1) */
static inline double fh_skew_unit(uint64_t *state) { return (double)(fh_next_random(state) >> 11) * 0x1p-53; }

/* A number of [0, limit) with P(i) about (i + 1)^-s: the inverse of the continuous distribution. */
static inline int64_t fh_skew_zipf(double unit, double s, int64_t limit) {
  const double top = pow((double)limit + 1, 1 - s), x = pow(1 + unit * (top - 1), 1 / (1 - s));
  const int64_t i = (int64_t)x - 1;
  return i < 0 ? 0 : i >= limit ? limit - 1 : i;
}

static inline void fh_skew_ids(fh_skew skew, int32_t *ids, int64_t count, int64_t limit, uint64_t seed) {
  for (int64_t i = 0; i < count; i++) {
    const double unit = fh_skew_unit(&seed), place = (unit + (double)i) / (double)count;
    int64_t id = (int64_t)(unit * (double)limit);
    if (skew == FH_SKEW_ZIPF || skew == FH_SKEW_ZIPF_16) id = fh_skew_zipf(unit, skew == FH_SKEW_ZIPF ? 1.1 : 1.6, limit);
    if (skew == FH_SKEW_HEAVY && fh_skew_unit(&seed) < 0.9) id = limit / 3;
    if (skew == FH_SKEW_SORTED) id = (int64_t)(place * (double)limit);
    if (skew == FH_SKEW_REVERSED) id = limit - 1 - (int64_t)(place * (double)limit);
    if (skew == FH_SKEW_EQUAL) id = limit / 2;
    if (skew == FH_SKEW_WILD && i % 61 == 7) id = i % 2 ? INT32_MIN : limit;
    if (skew == FH_SKEW_WILD && i % 61 == 8) id = i % 2 ? -1 : INT32_MAX;
    ids[i] = (int32_t)(limit == 0 && skew != FH_SKEW_WILD ? -1 : id);
  }
}

/* The part of all terms, up to a factor, that segment i of `segments` gets. */
static inline double fh_skew_weight(fh_skew skew, int64_t i, int64_t segments, double unit) {
  const double place = (double)i / (double)segments;
  switch (skew) {
    case FH_SKEW_ZIPF:
      return pow(unit + 1e-9, -0.9);
    case FH_SKEW_ZIPF_16:
      return pow(unit + 1e-9, -1.6);
    case FH_SKEW_HEAVY:
      return i == segments / 3 ? 9.0 * (double)segments : unit < 0.5 ? 0 : 2;
    case FH_SKEW_SORTED:
      return place;
    case FH_SKEW_REVERSED:
      return 1 - place;
    case FH_SKEW_EQUAL:
      return i == segments / 2;
    default:
      return floor(4 * unit);
  }
}

/* Offsets of `segments` segments over n terms: lengths of that skew. Equal: one segment has all, the others are empty. */
static inline void fh_skew_offsets(fh_skew skew, int64_t *offsets, int64_t segments, int64_t n, uint64_t seed) {
  double total = 0;
  for (int pass = 0; pass < 2; pass++) {
    uint64_t state = seed;
    double sum = 0;
    for (int64_t i = 0; i < segments; i++) {
      if (pass) offsets[i] = (int64_t)(sum / (total > 0 ? total : 1) * (double)n);
      sum += fh_skew_weight(skew, i, segments, fh_skew_unit(&state));
    }
    total = sum;
  }
  offsets[segments] = segments > 0 ? n : 0;
  if (skew != FH_SKEW_WILD) return;
  for (int64_t i = 0; i <= segments; i += 5) offsets[i] = i % 2 ? -3 : i % 3 ? INT64_MAX : n + 1;
}

/* ---- the look -------------------------------------------------------------------------------------------------- */

static inline int64_t fh_id_at(const fh_view_desc *v, const void *data, int64_t i) { return ((const fh_i32_any *)data)[i * v->strides[0]]; }

/* Vectors by hand: a compiler makes them at -O3 only, and the look is as long as counting itself without them. */
typedef int32_t fh_ids_4 __attribute__((vector_size(16)));
typedef uint32_t fh_ids_4u __attribute__((vector_size(16)));

static inline fh_ids_4 fh_ids_load(const fh_i32_any *at) {
  fh_ids_4 v;
  memcpy(&v, at, sizeof v);
  return v;
}

/* Is every id within [0, limit)? One out of it is below 0, or limit - 1 less it is. */
static inline bool fh_ids_inside(const fh_view_desc *v, const fh_i32_any *ids, int64_t limit) {
  enum { LANES = 4 };
  const int64_t n = v->shape[0], s = v->strides[0];
  const uint32_t last = (uint32_t)limit - 1;
  const fh_ids_4u last_4 = {last, last, last, last};
  fh_ids_4u s0 = {0}, s1 = s0, s2 = s0, s3 = s0; /* by name: an array of them stays in memory below -O3 */
  int64_t i = 0;
  for (; s == 1 && i + 4 * LANES <= n; i += 4 * LANES) {
    const fh_ids_4u a = (fh_ids_4u)fh_ids_load(ids + i), b = (fh_ids_4u)fh_ids_load(ids + i + LANES);
    const fh_ids_4u c = (fh_ids_4u)fh_ids_load(ids + i + 2 * LANES), d = (fh_ids_4u)fh_ids_load(ids + i + 3 * LANES);
    s0 |= a | (last_4 - a);
    s1 |= b | (last_4 - b);
    s2 |= c | (last_4 - c);
    s3 |= d | (last_4 - d);
  }
  const fh_ids_4u signs = (s0 | s1) | (s2 | s3);
  uint32_t sign = (signs[0] | signs[1]) | (signs[2] | signs[3]);
  for (; i < n; i++) sign |= (uint32_t)ids[i * s] | (last - (uint32_t)ids[i * s]);
  return sign >> 31 == 0;
}

static inline int64_t fh_ids_sum(fh_ids_4 v) { return (int64_t)v[0] + v[1] + v[2] + v[3]; }

/* How many ids of a compact or strided row are out of [0, limit), and how many equal the one before. */
static inline void fh_ids_count(const fh_view_desc *v, const fh_i32_any *ids, int64_t limit, int64_t *out_bad, int64_t *out_repeats) {
  enum { LANES = 4, BLOCK = 1 << 20 }; /* counts of a block fit 32 bits */
  const int64_t n = v->shape[0], s = v->strides[0];
  const uint32_t below = (uint32_t)limit;
  const fh_ids_4u least_bad = {below, below, below, below};
  int64_t bad = n > 0 && (uint32_t)ids[0] >= below, repeats = 0, i = 1;
  while (s == 1 && i + LANES <= n) {
    fh_ids_4 bad_4 = {0}, repeats_4 = {0};
    for (const int64_t end = n - i < BLOCK ? n : i + BLOCK; i + LANES <= end; i += LANES) {
      const fh_ids_4 here = fh_ids_load(ids + i);
      bad_4 -= (fh_ids_4)((fh_ids_4u)here >= least_bad); /* what holds is -1 */
      repeats_4 -= (fh_ids_4)(here == fh_ids_load(ids + i - 1));
    }
    bad += fh_ids_sum(bad_4);
    repeats += fh_ids_sum(repeats_4);
  }
  for (; i < n; i++) {
    bad += (uint32_t)ids[i * s] >= below;
    repeats += ids[i * s] == ids[(i - 1) * s];
  }
  *out_bad = bad;
  *out_repeats = repeats;
}

/* Every id of view `p` is in [0, limit), limit being what `of` has; else a refusal that names the first that is not. `out_repeats`, NULL
 * for none, costs as much again. */
static inline fh_status fh_check_ids(const char *kernel, const fh_view_param *p, const fh_view_desc *v, const void *data, int64_t limit,
                                     const char *of, int64_t *out_repeats) {
  int64_t bad, i = 0, repeats;
  if (!out_repeats && fh_ids_inside(v, data, limit)) return FH_OK;
  fh_ids_count(v, data, limit, &bad, out_repeats ? out_repeats : &repeats);
  if (bad == 0) return FH_OK;
  if (limit == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has %" PRId64 " elements, but %s is empty: there is nothing that they could name",
                     kernel, p->name, v->shape[0], of);
  while (i < v->shape[0] && (uint64_t)fh_id_at(v, data, i) < (uint64_t)limit) i++;
  if (i == v->shape[0]) return FH_OK; /* written meanwhile by another thread; a text is safe on any ids */
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s[%" PRId64 "] is %" PRId64 ", expected 0 to %" PRId64 ", which is what %s has; %" PRId64 " of %" PRId64
                   " are out of range\n  next step: drop or clamp them before the call",
                   kernel, p->name, i, fh_id_at(v, data, i), limit - 1, of, bad, v->shape[0]);
}

/* What offsets say of their segments. */
typedef struct fh_segment_sizes {
  int64_t longest, empty;
} fh_segment_sizes;

static inline int64_t fh_offset_at(const fh_view_desc *v, const void *data, int64_t i) {
  return ((const fh_i64_any *)data)[i * v->strides[0]];
}

typedef uint64_t fh_offsets_2 __attribute__((vector_size(16)));

/* Two offsets from `at` on: their signs, those of their distances from the ones before, and of what these leave of `most`. */
static inline fh_offsets_2 fh_offsets_signs(const fh_i64_any *at, fh_offsets_2 most) {
  fh_offsets_2 here, before;
  memcpy(&here, at, sizeof here);
  memcpy(&before, at - 1, sizeof before);
  return here | (here - before) | (most - (here - before));
}

/* Do offsets ascend within [0, n], by at most `most` from one to the next? */
static inline bool fh_offsets_plain(const fh_view_desc *v, const void *data, int64_t n, int64_t most) {
  const fh_i64_any *offsets = data;
  const int64_t edges = v->shape[0], s = v->strides[0];
  const fh_offsets_2 most_2 = {(uint64_t)most, (uint64_t)most};
  fh_offsets_2 s0 = {0}, s1 = s0;
  uint64_t sign = (uint64_t)offsets[0] | ((uint64_t)n - (uint64_t)offsets[(edges - 1) * s]);
  int64_t i = 1;
  for (; s == 1 && i + 4 <= edges; i += 4) {
    s0 |= fh_offsets_signs(offsets + i, most_2);
    s1 |= fh_offsets_signs(offsets + i + 2, most_2);
  }
  for (; i < edges; i++) {
    const uint64_t at = (uint64_t)offsets[i * s], length = at - (uint64_t)offsets[(i - 1) * s];
    sign |= at | length | ((uint64_t)most - length);
  }
  const fh_offsets_2 signs = s0 | s1;
  return (sign | signs[0] | signs[1]) >> 63 == 0;
}

/* Offsets ascend within [0, n]; else a refusal that names the first that does not. */
static inline fh_status fh_check_offsets(const char *kernel, const fh_view_param *p, const fh_view_desc *v, const void *data, int64_t n,
                                         fh_segment_sizes *out) {
  *out = (fh_segment_sizes){0};
  const int64_t edges = v->shape[0], first = fh_offset_at(v, data, 0);
  int64_t before = first, longest = 0, empty = 0;
  uint64_t signs = 0; /* of the lengths, in the uppermost bit */
  for (int64_t i = 1; i < edges; i++) {
    const int64_t at = fh_offset_at(v, data, i), length = (int64_t)((uint64_t)at - (uint64_t)before);
    signs |= (uint64_t)length;
    longest = length > longest ? length : longest;
    empty += length == 0;
    before = at;
  }
  *out = (fh_segment_sizes){.longest = longest, .empty = empty};
  if (first >= 0 && before <= n && signs >> 63 == 0 && longest <= n) return FH_OK;
  int64_t i = 0, low = 0;
  for (; i < edges; i++) {
    const int64_t at = fh_offset_at(v, data, i);
    if (at < low || at > n) break;
    low = at;
  }
  if (i == edges) return FH_OK; /* written meanwhile by another thread; a text is safe on any offsets */
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s[%" PRId64 "] is %" PRId64 ", expected %" PRId64 " to %" PRId64
                   ": offsets ascend from 0 to the number of terms\n"
                   "  next step: build them as a running sum of the lengths",
                   kernel, p->name, i, fh_offset_at(v, data, i), low, n);
}

#endif /* FOGHORN_KERNELS_SKEW_H_ */
