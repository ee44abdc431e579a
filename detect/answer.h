/* Inside of a child that answers a question. SPDX-License-Identifier: Apache-2.0
 *
 * An answer is told line by line, each line a JSON object, so that a crash or a hang leaves behind how far the child came.
 * Here, and only here, vendor libraries are loaded for detection. */
#ifndef FOGHORN_DETECT_ANSWER_H_
#define FOGHORN_DETECT_ANSWER_H_

#include "runtime/base/json.h"

/* Tells one line; takes the object. Without memory the line is lost. */
void fh_answer_say(json_t *take_object);
/* The call that comes next: what a crash or hang will be blamed on. */
void fh_answer_calling(const char *call);
/* The last line: everything was asked. */
void fh_answer_done(void);
/* The lines of a text as a JSON array. */
json_t *fh_answer_lines(const char *text);

void fh_answer_cuda(void);
void fh_answer_opencl(const char *icd); /* path of an .icd file, or the name of a library */
void fh_answer_isa(void);
void fh_answer_topology(void);

#endif /* FOGHORN_DETECT_ANSWER_H_ */
