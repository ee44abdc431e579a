/* Contexts of one process make room for each other on a device. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/neighbours.h"

#include <string.h>

#include "runtime/mem/owner.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list; whoever holds it takes no other lock and calls nobody */
static fh_context *first;

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&lock); }
static void after_fork_in_child(void) {
  first = NULL; /* those of the parent: a thread that is not here may hold their locks, and no device of theirs works here */
  pthread_mutex_unlock(&lock);
}
static void watch_forks(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

void fh_neighbours_join(fh_context *context) {
  static pthread_once_t watched = PTHREAD_ONCE_INIT;
  pthread_once(&watched, watch_forks);
  pthread_mutex_lock(&lock);
  context->neighbour = first;
  first = context;
  pthread_mutex_unlock(&lock);
}

void fh_neighbours_leave(fh_context *context) {
  pthread_mutex_lock(&lock);
  fh_context **link = &first;
  while (*link && *link != context) link = &(*link)->neighbour;
  if (*link) *link = context->neighbour;
  pthread_mutex_unlock(&lock);
}

/* Its number of a device; -1: it has not opened that one. */
static int number_of(const fh_context *context, const fh_plan_device *device) {
  for (int d = 0; d < context->device_count; d++) {
    const fh_plan_device *own = &context->devices[d];
    if (own->state == FH_STATE_OPEN && own->api == device->api && strcmp(own->info.id, device->info.id) == 0) return d;
  }
  return -1;
}

/* The next that is not ending, held: so long it stays in the list. NULL: there is none. */
static fh_context *next_of(const fh_context *context) {
  pthread_mutex_lock(&lock);
  fh_context *next = context ? context->neighbour : first;
  while (next && !fh_refcount_try_retain(&next->refs)) next = next->neighbour;
  pthread_mutex_unlock(&lock);
  return next;
}

/* One that this very thread is in the middle of is at work too. */
static bool give_way(fh_context *context, const fh_plan_device *device) {
  if (pthread_mutex_trylock(&context->lock) != 0) return false;
  context->depth++;
  const int number = context->depth == 1 ? number_of(context, device) : -1;
  const bool made = number >= 0 && fh_device_give_way(context, number);
  fh_context_unlock(context);
  return made;
}

bool fh_neighbours_make_room(const fh_context *context, int device) {
  const fh_residency *holders = fh_context_residency();
  bool made = false;
  for (fh_context *other = next_of(NULL), *next; other; other = next) {
    made = other != context && give_way(other, &context->devices[device]);
    next = made ? NULL : next_of(other);
    holders->release(other);
  }
  return made;
}
