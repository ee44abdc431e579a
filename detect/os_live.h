/* Inside of the live table: its children. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_OS_LIVE_H_
#define FOGHORN_DETECT_OS_LIVE_H_

#include <limits.h>

#include "detect/os.h"

/* The program that answers questions in a child. */
typedef struct fh_helper {
  char path[PATH_MAX];             /* "": none: the child is forked without exec */
  char no_drivers[PATH_MAX + 128]; /* "": it can load drivers. Else why not: only what fh_answer_knows can be asked */
} fh_helper;

/* Finds it: in helper.c, or in a way of their own of programs that cannot load drivers themselves. */
void fh_helper_find(fh_helper *out);

/* The file descriptor on which a child answers. */
enum { FH_ANSWER_FD = 3 };

typedef struct fh_children fh_children;

/* helper: path of the executable, copied; "" none: the child is forked without exec. NULL without memory. */
fh_children *fh_children_create(const char *helper, int64_t timeout_ns);
/* Kills what still runs; what cannot be killed is left behind, never waited for. */
void fh_children_destroy(fh_children *children);
int fh_children_start(fh_children *children, const char *question, const char *const *changes, int *out_ticket);
int fh_children_collect(fh_children *children, int ticket, fh_os_answer *out);

/* open and close of a device node in a child that may hang: the errno of open, ETIMEDOUT when it did not come back. */
int fh_children_open_node(fh_children *children, const char *path);

/* What a child runs: answers on FH_ANSWER_FD (standard output when that is not a pipe). Gives its exit status. */
int fh_answer_main(const char *question);
/* The question is one that this program answers. */
bool fh_answer_knows(const char *question);

#endif /* FOGHORN_DETECT_OS_LIVE_H_ */
