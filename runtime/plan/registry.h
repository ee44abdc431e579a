/* Kernels by place and by name: those of the build, and those that were registered. SPDX-License-Identifier: Apache-2.0
 *
 * A kernel's slot is its number for the planner: first the kernels of the build in their order, then room for registered ones. A slot is
 * given again after its kernel was unregistered, which no context survives holding, so within a context it means one kernel.
 */
#ifndef FOGHORN_PLAN_REGISTRY_H_
#define FOGHORN_PLAN_REGISTRY_H_

#include <foghorn/extend.h>

#include "kernels/contract.h"

enum { FH_REGISTERED_MAX = 256 };

static inline const fh_kernel_image *fh_kernel_image_of(const fh_kernel *kernel) { return (const fh_kernel_image *)(const void *)kernel; }
static inline const fh_kernel *fh_kernel_of(const fh_kernel_image *image) { return (const fh_kernel *)(const void *)image; }

/* Is there a text compiled for the CPU? Without one the reference runs. */
static inline bool fh_image_has_text(const fh_kernel_image *image) {
  return image->entry_count > 0 && image->entries[0].cpu[FH_ISA_SCALAR] != NULL;
}

int fh_kernel_slots(void);
/* NULL: the slot is empty. */
const fh_kernel_image *fh_kernel_in(int slot);
int fh_kernel_slot(const fh_kernel_image *image);
/* Of the build, and not registered. */
bool fh_kernel_is_built_in(const fh_kernel_image *image);

/* A context uses the kernel: it stays. FAILED_PRECONDITION when it was unregistered before. */
fh_status fh_kernel_hold(const fh_kernel_image *image);
void fh_kernel_drop(const fh_kernel_image *image);

/* What the registry keeps of a kernel: copies of image and contract, with words where the module has NULL. */
typedef struct fh_kernel_record fh_kernel_record;
/* `owner` is who alone may take it out again; NULL: who knows the name. Calls nothing of the contract. */
fh_status fh_record_make(const fh_kernel_image *image, const void *owner, fh_kernel_record **out_record);
const fh_kernel_image *fh_record_image(const fh_kernel_record *record);
/* Only before it was added. */
void fh_record_free(fh_kernel_record *record);
/* Adds all or none, and takes the records either way. ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
fh_status fh_registry_add(fh_kernel_record *const *records, int count);
/* Takes kernels of one owner out: all, or none and FAILED_PRECONDITION when one is in use. */
fh_status fh_registry_remove(const char *call, const fh_kernel_image *const *images, int count);

/* register.c: fh_kernel_register of `count` modules with one owner, 1 to FH_REGISTERED_MAX: all or none. */
fh_status fh_kernels_register(const void *owner, const fh_kernel_module *const *modules, int count, const fh_kernel_image **out_images);

/* plugin.c: opens the plug-ins of FOGHORN_PLUGINS, once. */
fh_status fh_plugins_listed(void);

#endif /* FOGHORN_PLAN_REGISTRY_H_ */
