/* How sums over segments are cut: what the contracts of segment_sum and csr_matvec share; dialect/segments.h has the texts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_SEGMENTS_H_
#define FOGHORN_KERNELS_SEGMENTS_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/skew.h"

enum { FH_SEGMENT_TERMS = 4096 }; /* floats of a piece, and about those of an item */

/* By shape alone. */
typedef struct fh_segments {
  int64_t n, segments, d;
  int64_t piece;   /* terms of a piece */
  int64_t per;     /* segments of an item of the even cut */
  int64_t windows; /* items of the split cut */
} fh_segments;

static inline fh_segments fh_segments_of(int64_t n, int64_t segments, int64_t d) {
  fh_segments s = {.n = n, .segments = segments, .d = d};
  s.piece = d >= FH_SEGMENT_TERMS / 16 ? 16 : FH_SEGMENT_TERMS / (d > 0 ? d : 1);
  /* An empty segment costs about as much as four terms. */
  const double work = (double)n * (double)(d > 0 ? d : 1) / (double)(segments > 0 ? segments : 1) + 4;
  s.per = work >= FH_SEGMENT_TERMS ? 1 : (int64_t)(FH_SEGMENT_TERMS / work);
  s.windows = n / s.piece + 1;
  return s;
}

/* A segment longer than this would be too large a part of all work for one item. */
static inline int64_t fh_segments_even_up_to(const fh_segments *s) { return 4 * s->piece > s->n / 64 ? 4 * s->piece : s->n / 64; }
static inline bool fh_segments_want_split(const fh_segments *s, int64_t longest) { return longest > fh_segments_even_up_to(s); }

static inline void fh_segments_note(const fh_segments *s, const fh_segment_sizes *sizes, bool split, const char *what, char *note) {
  if (!note) return;
  const double mean = (double)s->n / (double)(s->segments > 0 ? s->segments : 1);
  int used = snprintf(note, FH_NOTE, "%" PRId64 " %ss, longest %" PRId64 ", mean %.3g, %" PRId64 " empty: ", s->segments, what,
                      sizes->longest, mean, sizes->empty);
  if (split)
    snprintf(note + used, FH_NOTE - (size_t)used, "split into windows of %" PRId64, s->piece);
  else
    snprintf(note + used, FH_NOTE - (size_t)used, "even, %" PRId64 " %s%s an item", s->per, what, s->per == 1 ? "" : "s");
}

/* The shape that offsets must have. */
static inline fh_status fh_check_edges(const char *kernel, const fh_view_param *p, const fh_view_desc *v, int64_t segments,
                                       const char *like) {
  if (v->shape[0] - 1 == segments) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s has %" PRId64 " elements, expected %" PRId64 ": one more than the %" PRId64
                   " of %s\n"
                   "  segment i lies between offsets i and i + 1",
                   kernel, p->name, v->shape[0], segments + 1, segments, like);
}

/* The terms of a segment, as an oracle takes offsets that the contract forbids: cut to [0, n), never before the segment's beginning. */
static inline void fh_segment_terms(const fh_view_desc *v, const void *offsets, int64_t segment, int64_t n, int64_t *out_begin,
                                    int64_t *out_end) {
  const int64_t begin = fh_offset_at(v, offsets, segment), end = fh_offset_at(v, offsets, segment + 1);
  *out_begin = begin < 0 ? 0 : begin > n ? n : begin;
  *out_end = end < *out_begin ? *out_begin : end > n ? n : end;
}

/* What a case does with its skew. */
static inline void fh_segments_fill(const fh_case *c, int offsets, int64_t n, void *data, uint64_t seed) {
  fh_skew_offsets(fh_skew_of(c), data, c->views[offsets].shape[0] - 1, n, seed);
}

/* |got - want| <= (m + 1) u sum |term| for m terms added in any order, a product adding one rounding (Higham 2002, eq. 4.4). */
static inline bool fh_segments_close(double got, double want, double magnitude, int64_t terms) {
  if (isnan(want)) return isnan(got);
  if (got == want) return true;
  if (isinf(want) || !isfinite(magnitude) || magnitude > 0x1p126) return !isfinite(got) || magnitude > 0x1p126;
  return fabs(got - want) <= (double)(terms + 2) * (0x1p-24 * magnitude + 0x1p-149);
}

/* ---- blocks of threads: block/segment_rows.h, block/segment_windows.h ---- */
enum { FH_SEGMENT_THREADS = 256, FH_SEGMENT_BLOCKS = 64, FH_WINDOW_COLUMNS = 256 };

/* What block texts need to know of a call. `most`: inspect() has seen that no segment has more terms; FH_SEGMENTS_UNSEEN: it has not
 * looked, or refused what it saw. */
typedef struct fh_segment_call {
  int64_t n, segments, piece, d, most;
} fh_segment_call;
enum { FH_SEGMENTS_UNSEEN = -1 };

static inline uint32_t fh_segment_grid(int64_t blocks, int multiprocessors) {
  const int64_t most = FH_SEGMENT_BLOCKS * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  return (uint32_t)fh_most(1, fh_least(blocks, most));
}

/* A thread to a segment. */
static inline void fh_segment_rows_shape(fh_segment_call c, int multiprocessors, fh_block_shape *out) {
  const int64_t blocks = fh_divide_up(c.segments, FH_SEGMENT_THREADS);
  *out = (fh_block_shape){.grid = {fh_segment_grid(blocks, multiprocessors), 1, 1}, .threads = FH_SEGMENT_THREADS};
}
static inline const char *fh_segment_rows_unfit(fh_segment_call c) {
  return c.most > 4 * c.piece ? "one warp would add up its longest segment" : NULL;
}

static inline int64_t fh_windows_count(fh_segment_call c) { return (c.n + c.segments) / c.piece + 1; }

/* A window to a block, for each band of columns; then, for the pieces of long segments, a thread to a window and column. */
static inline void fh_windows_shape(fh_segment_call c, int multiprocessors, fh_block_shape *out) {
  *out =
      (fh_block_shape){.grid = {fh_segment_grid(fh_windows_count(c), multiprocessors), (uint32_t)fh_divide_up(c.d, FH_WINDOW_COLUMNS), 1},
                       .threads = FH_SEGMENT_THREADS};
}
static inline void fh_chains_shape(fh_segment_call c, int multiprocessors, fh_block_shape *out) {
  const int64_t blocks = fh_divide_up(fh_windows_count(c) * fh_least(c.d, FH_WINDOW_COLUMNS), FH_SEGMENT_THREADS);
  fh_windows_shape(c, multiprocessors, out);
  out->grid[0] = fh_segment_grid(blocks, multiprocessors);
}
/* A segment and a number of pieces; a sum of a first and one of a later piece. */
static inline size_t fh_windows_scratch(fh_segment_call c) {
  return (size_t)fh_windows_count(c) * (2 * sizeof(int64_t) + 2 * (size_t)c.d * sizeof(float));
}
static inline const char *fh_windows_unfit(fh_segment_call c) {
  if (c.most == FH_SEGMENTS_UNSEEN) return "its search among offsets wants ones that were seen to ascend";
  return fh_divide_up(c.d, FH_WINDOW_COLUMNS) > UINT16_MAX ? "a grid has no more blocks than 65535 a side" : NULL;
}

#endif /* FOGHORN_KERNELS_SEGMENTS_H_ */
