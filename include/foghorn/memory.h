/* Buffers and views. SPDX-License-Identifier: Apache-2.0
 *
 * A buffer is memory with one replica per device and a version number; the newest replica wins and
 * copies are made only where a launch or a reader needs one. A view is a small value that says how
 * to read a buffer: dtype, shape, strides (in elements, any sign). The layout is always in the
 * strides. A view keeps its buffer alive until fh_view_release; a buffer that is destroyed early
 * is noticed at the next use and the message names where it was made and where it was destroyed: that is
 * why the calls that make one are macros over functions that take a file and a line.
 *
 * Wrapped memory belongs to its buffer from the wrap to the release of the last view: change it only through fh_view_map (a
 * device may have a copy), and wrap each piece of memory once (two buffers do not know of each other; slices of one view do). The
 * bytes between the elements of a strided wrap belong to it too: they travel with it.
 *
 * Thread-safety: creating, retaining and releasing are safe from any thread. One buffer's contents
 * may be read from several threads; writing needs the caller's own order.
 */
#ifndef FOGHORN_MEMORY_H_
#define FOGHORN_MEMORY_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

FH_EXTERN_C_BEGIN

typedef struct fh_context fh_context;
typedef struct fh_buffer fh_buffer;

/* Plain data; do not change the fields by hand, make another view. */
typedef struct fh_view {
  fh_buffer *buffer;
  uint64_t generation; /* of the buffer, when the view was made */
  int64_t offset;      /* bytes to the element at index 0,0,... */
  fh_dtype dtype;
  fh_access access;
  int32_t rank;
  int64_t shape[FH_MAX_RANK];
  int64_t strides[FH_MAX_RANK];
} fh_view;

/* A shape argument: FH_SHAPE(m, n) is rank and extents in one. At most FH_MAX_RANK extents. */
typedef struct fh_shape {
  int32_t rank;
  int64_t extents[FH_MAX_RANK];
} fh_shape;
#define FH_SHAPE(...) ((fh_shape){.rank = (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .extents = {__VA_ARGS__}})

typedef enum fh_order { FH_ROW_MAJOR = 0, FH_COL_MAJOR = 1 } fh_order;

/* Makes a buffer of `bytes` bytes, zeroed, and a view of all of it. The view owns the only
 * reference: fh_view_release frees it. From 4 MiB on it lies on huge pages where the system gives them, which passes over much
 * data need to reach the memory's speed; wrapped memory lies as its owner made it. RESOURCE_EXHAUSTED without memory; INVALID_ARGUMENT for
 * a bad shape or type (an extent < 0, more than 2^62 bytes). */
FH_API FH_MUST_USE fh_status fh_view_create_at(fh_context *context, fh_dtype dtype, fh_shape shape, fh_order order, fh_view *out_view,
                                               const char *file, int line);
#define fh_view_create(...) fh_view_create_at(__VA_ARGS__, __FILE__, __LINE__)

/* Wraps the caller's memory without a copy. `data` must stay valid until every view of it is released; for results to be visible in it call
 * fh_view_sync (or use fh_view_map). access FH_READ promises that Foghorn never writes there. INVALID_ARGUMENT: data NULL with a non-empty
 * shape, a bad shape or type. Large memory (views' own, too) that CUDA devices get often is pinned: on Linux before 5.12, what a process
 * writes there while a child that it forked lives may not reach the device, unless madvise(MADV_DONTFORK) kept it from the child. */
FH_API FH_MUST_USE fh_status fh_view_wrap_at(fh_context *context, const void *data, fh_dtype dtype, fh_shape shape, fh_order order,
                                             fh_access access, fh_view *out_view, const char *file, int line);
#define fh_view_wrap(...) fh_view_wrap_at(__VA_ARGS__, __FILE__, __LINE__)

/* Wraps with strides (in elements; any sign; `data` is the element at index 0,0,...) inside a
 * region [base, base + bytes). OUT_OF_RANGE names the first index that would leave the region. */
FH_API FH_MUST_USE fh_status fh_view_wrap_strided_at(fh_context *context, const void *base, size_t bytes, const void *data, fh_dtype dtype,
                                                     fh_shape shape, const int64_t *strides, fh_access access, fh_view *out_view,
                                                     const char *file, int line);
#define fh_view_wrap_strided(...) fh_view_wrap_strided_at(__VA_ARGS__, __FILE__, __LINE__)

/* The part [start, start + extent * |step|) of one dimension; step may be negative and counts
 * elements from `start`. The new view is another reference. OUT_OF_RANGE when it leaves the view. */
FH_API FH_MUST_USE fh_status fh_view_slice(const fh_view *view, int dim, int64_t start, int64_t extent, int64_t step, fh_view *out_view);

/* Two dimensions swapped: no data moves. Another reference. */
FH_API FH_MUST_USE fh_status fh_view_transpose(const fh_view *view, int dim_a, int dim_b, fh_view *out_view);

/* Another reference to the same memory. FAILED_PRECONDITION when the buffer is gone. */
FH_API FH_MUST_USE fh_status fh_view_retain(const fh_view *view, fh_view *out_view);

/* Ends a view and sets it to zeros. A zeroed view is allowed. The last view of a buffer waits for launches that use it; results
 * that others made from wrapped memory and that only a device has are brought home first, because the memory is then yours again. */
FH_API void fh_view_release(fh_view *view);

/* Makes the host copy current, waiting for pending launches, and gives the address of element
 * 0,0,... valid until the next launch that writes it or the release of the view. access says what the
 * caller will do: with FH_WRITE the device replicas become stale.
 * DATA_LOSS when the only copy died with a device; FAILED_PRECONDITION after destroy. */
FH_API FH_MUST_USE fh_status fh_view_map(const fh_view *view, fh_access access, void **out_data);

/* fh_view_map for reading, for the side effect on wrapped memory. */
FH_API FH_MUST_USE fh_status fh_view_sync(const fh_view *view);

/* Revokes the memory of a buffer while views of it may exist: waits for launches, then frees (or
 * gives back wrapped memory). Every later use of such a view fails with FAILED_PRECONDITION naming both places. */
FH_API void fh_buffer_destroy_at(const fh_view *view, const char *file, int line);
#define fh_buffer_destroy(view) fh_buffer_destroy_at((view), __FILE__, __LINE__)

/* OK while the view can be used. Costs about two nanoseconds. */
FH_API FH_MUST_USE fh_status fh_view_check(const fh_view *view);

/* Elements of a view: the product of its extents. */
FH_API int64_t fh_view_elements(const fh_view *view);

FH_EXTERN_C_END

#endif /* FOGHORN_MEMORY_H_ */
