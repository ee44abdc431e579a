/* A pool of worker threads for data-parallel loops. SPDX-License-Identifier: Apache-2.0
 *
 * One pool per process and thread count (fh_pool_shared), so that several contexts do not fight for
 * the same CPUs. The calling thread takes part in its own loop; several threads may run loops at
 * once and share the workers. A loop neither allocates nor locks; its only system calls are those
 * that wake a sleeping worker or wait for the last one. Idle workers sleep.
 *
 * When the pool covers every CPU that the process may use, each worker is pinned to one of them and
 * the worker on the caller's CPU stays out of the caller's loop; workers follow the memory nodes (cpu_order.h), and as buffers are not
 * touched before they are used, their pages lie where the worker is that writes them first. A smaller pool (a CPU quota, an
 * explicit thread count) is left to the scheduler: its CPUs are not known to be free.
 *
 * After fork() a child's pools run every loop on the calling thread.
 */
#ifndef FOGHORN_EXEC_POOL_H_
#define FOGHORN_EXEC_POOL_H_

#include <foghorn/context.h>
#include <foghorn/status.h>
#include <foghorn/types.h>

typedef struct fh_pool fh_pool;

/* Does the pieces [first, last) of a loop. worker is in [0, fh_pool_size) and no two calls that run at
 * the same time for one loop have the same. */
typedef void (*fh_pool_body)(void *arg, int64_t first, int64_t last, int worker);

enum { FH_POOL_MAX_THREADS = 1024 };

/* Makes a pool of `threads` threads, the caller of a loop included; 0: one per CPU that the process may run on.
 * Threads that the system refuses are done without: the log says how many and why (CPU-THREADS-EAGAIN,
 * CPU-THREADS-EPERM). INVALID_ARGUMENT: threads < 0 or > FH_POOL_MAX_THREADS; RESOURCE_EXHAUSTED: memory. */
fh_status fh_pool_create(int threads, fh_pool **out_pool);
/* Joins the workers. No loop may be running. NULL is allowed. */
void fh_pool_destroy(fh_pool *pool);

/* The process-wide pool with this many threads, made when needed; each call is a reference. */
fh_status fh_pool_shared(int threads, fh_pool **out_pool);
/* A pool whose threads are the calling program's: released with fh_pool_unshare. INVALID_ARGUMENT, RESOURCE_EXHAUSTED as above. */
fh_status fh_pool_on_host(const fh_host_pool *host, fh_pool **out_pool);
/* Drops a reference of fh_pool_shared; the last one destroys the pool. NULL is allowed. */
void fh_pool_unshare(fh_pool *pool);

/* Threads that may work on one loop, >= 1. */
int fh_pool_size(const fh_pool *pool);
/* Workers that are pinned to a CPU of their own, or about to be: falls when the system refuses one. */
int fh_pool_pinned(const fh_pool *pool);

/* True when some worker is awake, so that a loop's hand-over is cheap: workers stay awake for about 50 us after a loop. */
bool fh_pool_awake(const fh_pool *pool);

/* Runs body over [0, count) in chunks of `grain` (at least 1) and returns when all are done. Each
 * worker starts with a share of its own, always the same for the same count, and then helps others. Up
 * to one chunk of work, a call from within a body, and a call after fork run on the calling thread. */
void fh_pool_run(fh_pool *pool, int64_t count, int64_t grain, fh_pool_body body, void *arg);

#endif /* FOGHORN_EXEC_POOL_H_ */
