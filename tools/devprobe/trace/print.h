/* A traced program's story on the screen and as JSON. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_PRINT_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_PRINT_H_

#include "tools/devprobe/screen.h"
#include "tools/devprobe/trace/story.h"

/* All that is to be told. */
typedef struct fh_trace_tale {
  char *const *command;
  const fh_trace_record *record;
  const fh_trace_end *end;
  const fh_trace_story *story;
  const fh_judgement *judgement; /* NULL: the machine could not be looked at */
} fh_trace_tale;

void fh_trace_print(const fh_trace_tale *tale, bool verbose, fh_screen *screen);
/* Schema foghorn.trace/1 (docs/trace.schema.json). NULL without memory; caller frees. */
char *fh_trace_print_json(const fh_trace_tale *tale);

enum { FH_TRACE_MAX_NOTES = 12 };

/* What the reader must know about the tracing itself. How many; the texts live in the record's arena. */
int fh_trace_notes(const fh_trace_tale *tale, const char *out[FH_TRACE_MAX_NOTES]);
/* The remedies that fit here: of the finding, or of a cause that lies in the program. How many. */
int fh_trace_remedies(const fh_trace_tale *tale, const char *out[FH_MAX_REMEDIES]);
/* The program whose surroundings matter: of the act that decided, else what the command became. NULL: none was started. */
const fh_trace_program *fh_trace_program_told(const fh_trace_tale *tale);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_PRINT_H_ */
