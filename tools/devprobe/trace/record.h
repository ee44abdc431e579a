/* What a traced program did about GPUs: bounded, equal acts counted. SPDX-License-Identifier: Apache-2.0
 *
 * A program may do the same a million times, or name a million devices: equal acts are one with a count, and past the
 * bounds below acts are counted and not kept. */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_RECORD_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_RECORD_H_

#include <stdint.h>
#include <sys/types.h>

#include "detect/arena.h"
#include "tools/devprobe/trace/arch.h"
#include "tools/devprobe/trace/topic.h"

enum { FH_TRACE_MAX_ACTS = 4096, FH_TRACE_MAX_PROGRAMS = 256, FH_TRACE_MAX_VARIABLES = 64 };

typedef struct fh_trace_variable {
  const char *name, *value;
  bool inherited; /* devprobe was started with the same */
} fh_trace_variable;

/* A program as it was started: equal starts are one. */
typedef struct fh_trace_program {
  const char *name;                                    /* as the kernel calls it: "python3" */
  const char *path;                                    /* of the file; "" unknown */
  fh_trace_variable variables[FH_TRACE_MAX_VARIABLES]; /* those of the allow-list that were set at its start */
  int variable_count;
  bool bits32;     /* its system calls cannot be seen */
  bool disowned;   /* a set-user-ID program that did not get its owner's rights */
  bool other_root; /* it sees other files than devprobe: another mount namespace or root */
  bool other_user; /* it did not run as the user of devprobe alone */
  bool alike;      /* it is known to have run as that user, among the same files: what it had in its environment devprobe may take over */
  int64_t starts;  /* processes that became this program */
  bool own_filter; /* it filters its own system calls: what it forbids itself is not seen */
} fh_trace_program;

typedef struct fh_trace_act {
  fh_trace_deed deed;
  const fh_trace_topic *topic;
  int program;               /* index; -1: before any program was started */
  const char *path;          /* absolute where that could be told */
  const char *real;          /* of a library that opened: the file behind the links; "" unknown */
  const char *flaw;          /* of a library that opened: why no loader would take it; "" none seen */
  int error;                 /* errno; 0: it worked */
  bool held;                 /* a device that the program still had open at its end */
  int64_t first_ns, last_ns; /* since the start */
  int64_t count;
  pid_t pid, tid;  /* of the first time */
  char thread[16]; /* and the thread's name */
} fh_trace_act;

typedef struct fh_trace_record {
  fh_facts_arena *arena;
  fh_trace_program *programs;
  int program_count;
  fh_trace_act *acts; /* by time of the first */
  int act_count;
  int *slots;               /* hash table of indexes + 1 */
  int command;              /* the program that the command became last; -1: none */
  int64_t left_out;         /* acts that found no room */
  int64_t processes;        /* in all, the first too */
  int64_t threads;          /* besides the first of each process */
  int64_t stops;            /* of a traced task, at system calls */
  int64_t start_ns, end_ns; /* monotonic; end of the command itself */
} fh_trace_record;

/* False without memory. */
bool fh_trace_record_init(fh_trace_record *record);
void fh_trace_record_free(fh_trace_record *record);

/* Counts an act: finds the one with the same deed, program, path and error, or adds it. NULL: no room. *out_new: it was
 * added, and its details are to be filled. The path is copied. */
fh_trace_act *fh_trace_record_act(fh_trace_record *record, const fh_trace_act *like, int64_t now_ns, bool *out_new);
/* Takes over the start of a program: copies it, or finds the equal one. Its index; -1: no room. */
int fh_trace_record_program(fh_trace_record *record, const fh_trace_program *program);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_RECORD_H_ */
