/* What the acts of a traced program come to: did it use a GPU, and if not, why not. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_STORY_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_STORY_H_

#include "detect/findings.h"
#include "tools/devprobe/trace/record.h"
#include "tools/devprobe/trace/watch.h"

typedef enum fh_trace_verdict {
  FH_TRACE_USED,    /* held a GPU's device open to its end */
  FH_TRACE_OPENED,  /* opened a GPU's device, and closed it before its end */
  FH_TRACE_REFUSED, /* a GPU's device could not be opened */
  FH_TRACE_MISSING, /* a library was not found, or no loader would take it */
  FH_TRACE_LOOKED,  /* looked for GPUs, and touched no device */
  FH_TRACE_NEVER,   /* did nothing that has to do with a GPU */
} fh_trace_verdict;

typedef struct fh_trace_story {
  fh_trace_verdict verdict;
  const char *headline;
  const fh_trace_act *act;  /* the one that decided; NULL for NEVER */
  const char *program;      /* who did it, or the command itself */
  int places;               /* of MISSING: where the library was looked for */
  const fh_trace_act *last; /* the last act that sought a GPU; NULL: none */
  int64_t idle_ns;          /* from then to the end */
  const fh_cause *cause;    /* NULL: none is known */
  fh_confidence confidence;
  const fh_finding *finding; /* of this machine, with that cause; NULL: the program itself is the cause */
  bool tied;                 /* the finding's evidence names what the program failed at */
  const char *advice;        /* what detection and the acts together say; "" */
} fh_trace_story;

/* judgement: of this machine; NULL: not known. command: its first word. Texts live in the record's arena. */
void fh_trace_story_tell(fh_trace_record *record, const fh_trace_end *end, const fh_judgement *judgement, const char *command,
                         fh_trace_story *out);
/* The first act that looked for the same library or path, by the same program: of this one, or an earlier one. */
const fh_trace_act *fh_trace_story_group(const fh_trace_record *record, const fh_trace_act *act);
bool fh_trace_act_found(const fh_trace_act *act); /* it opened, and a loader would take it */
const char *fh_trace_program_name(const fh_trace_record *record, int program);
const char *fh_trace_verdict_name(fh_trace_verdict verdict); /* "refused": for JSON */

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_STORY_H_ */
