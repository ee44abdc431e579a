/* Inside of a child that answers a question. SPDX-License-Identifier: Apache-2.0
 *
 * An answer is told line by line, each line a JSON object, so that a crash or a hang leaves behind how far the child came.
 * Here, and only here, vendor libraries are loaded for detection. */
#ifndef FOGHORN_DETECT_ANSWER_H_
#define FOGHORN_DETECT_ANSWER_H_

#include <stdbool.h>

#include "runtime/base/json.h"

/* Tells one line; takes the object. Without memory the line is lost. */
void fh_answer_say(json_t *take_object);
/* The call that comes next: what a crash or hang will be blamed on. */
void fh_answer_calling(const char *call);
/* The last line: everything was asked. */
void fh_answer_done(void);
/* The lines of a text as a JSON array. */
json_t *fh_answer_lines(const char *text);

/* A question that this program can answer. */
typedef struct fh_question {
  const char *name; /* the whole question, or how it begins: "cuda", "opencl:" */
  bool takes_argument;
  void (*answer)(const char *argument); /* what follows the name */
} fh_question;

/* All of them; the last has no name. In questions.c, or in a list of their own of programs that answer fewer. */
extern const fh_question fh_questions[];
/* Those that take no driver: every program answers them. */
// clang-format off
#define FH_QUESTIONS_WITHOUT_DRIVER \
  {"isa", false, fh_answer_isa}, \
  {"topology", false, fh_answer_topology}, \
  {"process", false, fh_answer_process}, \
  {"sandbox", false, fh_answer_sandbox}
// clang-format on

void fh_answer_cuda(const char *none);
void fh_answer_nvml(const char *none);
void fh_answer_opencl(const char *icd);         /* path of an .icd file, or the name of a library */
void fh_answer_opencl_loader(const char *path); /* "": the one that programs find */
void fh_answer_opencl_build(const char *path);  /* of a trial, as fh_cl_try_build writes it */
void fh_answer_hsa(const char *none);
void fh_answer_level_zero(const char *none);
void fh_answer_isa(const char *none);
void fh_answer_topology(const char *none);
void fh_answer_process(const char *none);
void fh_answer_sandbox(const char *none);

#endif /* FOGHORN_DETECT_ANSWER_H_ */
