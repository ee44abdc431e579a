/* Contexts of one process make room for each other on a device. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/neighbours.h"

#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list; whoever holds it waits for no context */
static fh_context *first;

void fh_neighbours_join(fh_context *context) {
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

bool fh_neighbours_make_room(const fh_context *context, int device) {
  bool made = false;
  pthread_mutex_lock(&lock);
  for (fh_context *other = first; other && !made; other = other->neighbour) {
    if (other == context || pthread_mutex_trylock(&other->lock) != 0) continue;
    const int number = number_of(other, &context->devices[device]);
    made = number >= 0 && fh_device_give_way(other, number);
    pthread_mutex_unlock(&other->lock);
  }
  pthread_mutex_unlock(&lock);
  return made;
}
