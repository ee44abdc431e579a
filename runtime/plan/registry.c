/* Kernels by place and by name. SPDX-License-Identifier: Apache-2.0
 *
 * Who looks a name up takes no lock. What a reader may still hold when a kernel is unregistered (its record with name and contract) stays
 * for ever; the code behind it goes only when no context uses it.
 */
#include "runtime/plan/registry.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"

/* The image comes first: a handle points to it. */
struct fh_kernel_record {
  fh_kernel_image image;
  fh_kernel_contract contract;
  fh_entry_image entry; /* of a kernel without text: one that declares nothing, for its tuned functions */
  int slot;
  const void *owner;
  fh_kernel_record *next; /* of all that ever were */
  bool live;              /* registered; this and users are under the lock */
  int users;
  char name[];
};
typedef struct fh_kernel_record record;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static record *all_records; /* keeps what was unregistered reachable */
static _Atomic(const record *) registered[FH_REGISTERED_MAX];

static const fh_kernel_image *built_in(int *out_count) { return fh_kernel_images(out_count); }

static int built_in_count(void) {
  int count;
  built_in(&count);
  return count;
}

static record *record_of(const fh_kernel_image *image) { return (record *)(uintptr_t)image; }

bool fh_kernel_is_built_in(const fh_kernel_image *image) {
  int count;
  const uintptr_t first = (uintptr_t)built_in(&count), at = (uintptr_t)image;
  return at >= first && at < first + (uintptr_t)count * sizeof *image;
}

/* ---- by place ---------------------------------------------------------------------------------------------- */

int fh_kernel_slots(void) { return built_in_count() + FH_REGISTERED_MAX; }

const fh_kernel_image *fh_kernel_in(int slot) {
  int count;
  const fh_kernel_image *images = built_in(&count);
  if (slot < 0 || slot >= count + FH_REGISTERED_MAX) return NULL;
  if (slot < count) return &images[slot];
  const record *r = atomic_load_explicit(&registered[slot - count], memory_order_acquire);
  return r ? &r->image : NULL;
}

int fh_kernel_slot(const fh_kernel_image *image) {
  int count;
  const fh_kernel_image *images = built_in(&count);
  return fh_kernel_is_built_in(image) ? (int)(image - images) : record_of(image)->slot;
}

int fh_kernel_count(void) {
  int count = built_in_count();
  for (int slot = count; slot < fh_kernel_slots(); slot++) count += fh_kernel_in(slot) != NULL;
  return count;
}

const fh_kernel *fh_kernel_at(int index) {
  int slot = built_in_count(), left = index - slot;
  if (left < 0) return fh_kernel_of(fh_kernel_in(index));
  for (; slot < fh_kernel_slots(); slot++) {
    const fh_kernel_image *image = fh_kernel_in(slot);
    if (image && left-- == 0) return fh_kernel_of(image);
  }
  return NULL;
}

const char *fh_kernel_name(const fh_kernel *kernel) { return fh_kernel_image_of(kernel)->contract->name; }

/* ---- by name -------------------------------------------------------------------------------------------------
 * Every typed call comes by here, so names are hashed (FNV-1a) into a table of places, never more than half full. A reader stops at the
 * first empty place, or when it has seen them all. What was taken out leaves a mark where a search for others must go on. */

enum { PLACES = 1024 };
static _Atomic(const fh_kernel_image *) places[PLACES];
static const fh_kernel_image gone = {0}; /* the mark */
static pthread_once_t built = PTHREAD_ONCE_INIT;

static uint32_t place_of(const char *name) {
  uint32_t hash = 2166136261u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash ^ hash >> 16;
}

/* Under the lock, or before there are readers. False: every place is taken. */
static bool put_in_place(const fh_kernel_image *image) {
  uint32_t at = place_of(image->contract->name);
  for (int i = 0; i < PLACES; i++, at++) {
    const fh_kernel_image *there = atomic_load_explicit(&places[at % PLACES], memory_order_relaxed);
    if (there && there != &gone) continue;
    atomic_store_explicit(&places[at % PLACES], image, memory_order_release);
    return true;
  }
  return false;
}

static void take_from_place(const fh_kernel_image *image) {
  for (uint32_t at = 0; at < PLACES; at++)
    if (atomic_load_explicit(&places[at], memory_order_relaxed) == image) {
      const bool last = !atomic_load_explicit(&places[(at + 1) % PLACES], memory_order_relaxed);
      atomic_store_explicit(&places[at], last ? NULL : &gone, memory_order_release);
      return;
    }
}

static void build(void) {
  for (int i = 0; i < built_in_count(); i++) (void)put_in_place(fh_kernel_in(i));
}

static const fh_kernel_image *find(const char *name) {
  pthread_once(&built, build);
  uint32_t at = place_of(name);
  for (int i = 0; i < PLACES; i++, at++) {
    const fh_kernel_image *image = atomic_load_explicit(&places[at % PLACES], memory_order_acquire);
    if (!image) return NULL;
    if (image != &gone && strcmp(image->contract->name, name) == 0) return image;
  }
  return NULL;
}

static char *known_names(void) {
  fh_text known = {0};
  for (int slot = 0; slot < fh_kernel_slots(); slot++) {
    const fh_kernel_image *image = fh_kernel_in(slot);
    if (image) fh_text_add(&known, "%s%s", slot ? ", " : "", image->contract->name);
  }
  return fh_text_take(&known);
}

static fh_status not_found(const char *call, const char *name) {
  char *known = known_names();
  fh_status status = FH_STATUS(FH_NOT_FOUND, "%s: no kernel is named \"%s\"\nknown: %s", call, name, known ? known : "");
  free(known);
  return status;
}

fh_status fh_kernel_find(const char *name, const fh_kernel **out_kernel) {
  *out_kernel = NULL;
  if (!name) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kernel_find: name is NULL");
  *out_kernel = fh_kernel_of(find(name));
  return *out_kernel ? FH_OK : not_found("fh_kernel_find", name);
}

/* ---- contexts that use a kernel ------------------------------------------------------------------------------ */

fh_status fh_kernel_hold(const fh_kernel_image *image) {
  if (fh_kernel_is_built_in(image)) return FH_OK;
  record *r = record_of(image);
  pthread_mutex_lock(&lock);
  const bool live = r->live;
  r->users += live;
  pthread_mutex_unlock(&lock);
  if (live) return FH_OK;
  return FH_STATUS(
      FH_FAILED_PRECONDITION,
      "%s: this handle is of a kernel that was unregistered\nnext step: register it again and ask fh_kernel_find for its handle", r->name);
}

void fh_kernel_drop(const fh_kernel_image *image) {
  if (fh_kernel_is_built_in(image)) return;
  pthread_mutex_lock(&lock);
  record_of(image)->users--;
  pthread_mutex_unlock(&lock);
}

/* ---- in and out ------------------------------------------------------------------------------------------------ */

static uint64_t mix_text(uint64_t hash, const char *text) {
  for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
  return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* one text's end is not another's beginning */
}

/* Caches on disk go by the hash: texts that nobody hashed are. */
static uint64_t hash_of(const fh_kernel_image *image) {
  uint64_t hash = mix_text(mix_text(image->hash ^ UINT64_C(0xcbf29ce484222325), image->cl_source), image->ptx);
  for (int b = 0; b < image->block_count; b++) hash = mix_text(mix_text(hash, image->blocks[b].ptx), image->blocks[b].cl_source);
  return hash;
}

fh_status fh_record_make(const fh_kernel_image *image, const void *owner, fh_kernel_record **out_record) {
  const size_t length = strlen(image->contract->name);
  record *r = calloc(1, sizeof *r + length + 1);
  if (!r) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_kernel_register: %s: no memory", image->contract->name);
  memcpy(r->name, image->contract->name, length + 1);
  r->contract = *image->contract;
  r->contract.name = r->name;
  if (!r->contract.summary) r->contract.summary = "";
  if (!r->contract.formula) r->contract.formula = "";
  if (!r->contract.bound_source) r->contract.bound_source = "";
  r->image = *image;
  r->image.contract = &r->contract;
  r->image.hash = hash_of(image);
  if (!image->ptx && !image->ptx_missing) r->image.ptx_missing = "the kernel has no PTX";
  if (image->entry_count == 0) {
    r->entry.entry = r->name;
    r->image.entries = &r->entry;
    r->image.entry_count = 1;
  }
  r->owner = owner;
  *out_record = r;
  return FH_OK;
}

const fh_kernel_image *fh_record_image(const fh_kernel_record *r) { return &r->image; }

void fh_record_free(fh_kernel_record *r) { free(r); }

/* Under the lock. */
static fh_status put(record *r) {
  const fh_kernel_image *taken = find(r->name);
  if (taken)
    return FH_STATUS(FH_ALREADY_EXISTS,
                     "fh_kernel_register: contract->name: \"%s\" is the name of a kernel %s\nexpected a name that is free\nnext step: %s",
                     r->name, fh_kernel_is_built_in(taken) ? "of the library" : "that is registered already",
                     fh_kernel_is_built_in(taken) ? "choose another" : "choose another, or end that registration first");
  int place = 0;
  while (place < FH_REGISTERED_MAX && atomic_load_explicit(&registered[place], memory_order_relaxed)) place++;
  r->slot = built_in_count() + place;
  r->live = true; /* who finds it from here on may hold it, after the lock */
  if (place == FH_REGISTERED_MAX || !put_in_place(&r->image))
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_kernel_register: %s: %d kernels are registered, and there is room for no more", r->name,
                     FH_REGISTERED_MAX);
  r->next = all_records;
  all_records = r;
  atomic_store_explicit(&registered[place], r, memory_order_release);
  return FH_OK;
}

/* Under the lock. */
static void take_out(record *r) {
  r->live = false;
  take_from_place(&r->image);
  atomic_store_explicit(&registered[r->slot - built_in_count()], NULL, memory_order_release);
}

/* What was put in for a moment may have been found: it goes, but its memory stays. */
fh_status fh_registry_add(fh_kernel_record *const *records, int count) {
  int done = 0;
  fh_status status = FH_OK;
  pthread_mutex_lock(&lock);
  while (done < count && !status) {
    status = put(records[done]);
    done += !status;
  }
  for (int i = 0; status && i < done; i++) take_out(records[i]);
  pthread_mutex_unlock(&lock);
  for (int i = done; i < count; i++) fh_record_free(records[i]);
  return status;
}

static fh_status check_unused(const char *call, const record *r) {
  if (r->users == 0) return FH_OK;
  return FH_STATUS(FH_FAILED_PRECONDITION,
                   "%s: %s is in use by %d context%s\nexpected none\nnext step: release %s: a context that has launched or explained a "
                   "kernel uses it until then",
                   call, r->name, r->users, r->users == 1 ? "" : "s", r->users == 1 ? "it" : "them");
}

fh_status fh_registry_remove(const char *call, const fh_kernel_image *const *images, int count) {
  fh_status status = FH_OK;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < count && !status; i++) status = check_unused(call, record_of(images[i]));
  for (int i = 0; i < count && !status; i++) take_out(record_of(images[i]));
  pthread_mutex_unlock(&lock);
  return status;
}

/* Under the lock. */
static fh_status unregister(const char *name) {
  const fh_kernel_image *image = find(name);
  if (!image) return not_found("fh_kernel_unregister", name);
  if (fh_kernel_is_built_in(image))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kernel_unregister: %s is a kernel of the library\nexpected one that was registered", name);
  record *r = record_of(image);
  if (r->owner)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_kernel_unregister: %s belongs to a plug-in\nexpected one that fh_kernel_register registered\nnext step: "
                     "fh_plugin_close ends all kernels of the plug-in",
                     name);
  FH_TRY(check_unused("fh_kernel_unregister", r));
  take_out(r);
  return FH_OK;
}

fh_status fh_kernel_unregister(const char *name) {
  if (!name) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kernel_unregister: name is NULL");
  pthread_mutex_lock(&lock);
  fh_status status = unregister(name);
  pthread_mutex_unlock(&lock);
  return status;
}
