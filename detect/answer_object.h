/* An answer of a child as one JSON object, for those who put it into facts. SPDX-License-Identifier: Apache-2.0
 *
 * An answer is one JSON object after another; later ones add to earlier ones, so that a child that crashes has
 * still said how far it came. Types are checked: a wrong one is an unknown fact. */
#ifndef FOGHORN_DETECT_ANSWER_OBJECT_H_
#define FOGHORN_DETECT_ANSWER_OBJECT_H_

#include "detect/gather.h"
#include "runtime/base/json.h"

/* The whole answer merged, elements of "devices" by their index (json_decref it; NULL only without memory, which every reader
 * of JSON takes for an empty one); a text cut off in the middle ends at its last whole object. text may be NULL. */
json_t *fh_answer_object(const char *text);

/* A member, or what stands in for one that is missing or of another type. */
const char *fh_answer_text(fh_gather *g, const json_t *object, const char *key); /* otherwise "" */
int64_t fh_answer_number(const json_t *object, const char *key, int64_t otherwise);
int fh_answer_int(const json_t *object, const char *key, int otherwise);
/* The array "devices": each is put by `read` into one of the elements of the arena that are returned, `size` bytes each. NULL and
 * *out_count 0: there are none, or no memory. */
typedef void fh_answer_read_device(fh_gather *g, const json_t *device, void *into);
void *fh_answer_devices(fh_gather *g, const json_t *object, size_t size, fh_answer_read_device *read, int *out_count);
/* An array of texts as lines. */
const char *fh_answer_text_lines(fh_gather *g, const json_t *array);

/* How the child ended. */
typedef struct fh_answer_ending {
  bool crashed, exited, hung, slow;
} fh_answer_ending;
fh_answer_ending fh_answer_ending_of(const fh_os_answer *answer, const json_t *object);

/* What the children that ask a driver's library have in common. */
extern const fh_driver_answer fh_driver_answer_none;
void fh_driver_answer_read(fh_gather *g, const fh_os_answer *answer, const json_t *object, fh_driver_answer *out);

#endif /* FOGHORN_DETECT_ANSWER_OBJECT_H_ */
