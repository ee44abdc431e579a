/* Which process this is. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int known; /* 0: not asked for yet, or forks cannot be watched */

static void after_fork_in_child(void) { atomic_store(&known, (int)getpid()); }

static void watch_forks(void) {
  if (pthread_atfork(NULL, NULL, after_fork_in_child) == 0) atomic_store(&known, (int)getpid());
}

pid_t fh_process_id(void) {
  static pthread_once_t watched = PTHREAD_ONCE_INIT;
  const int id = atomic_load_explicit(&known, memory_order_relaxed);
  if (id) return (pid_t)id;
  pthread_once(&watched, watch_forks);
  return getpid();
}
