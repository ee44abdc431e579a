/* Measuring ends at once with Ctrl-C or SIGTERM, and what was measured is kept and told. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_INTERRUPT_H_
#define FOGHORN_TOOLS_DEVPROBE_INTERRUPT_H_

#include <signal.h>
#include <stdbool.h>

enum { FH_EXIT_INTERRUPTED = 130 };

typedef struct fh_interrupt {
  struct sigaction before[2];
} fh_interrupt;

/* Between these two the signals are only remembered. */
void fh_interrupt_begin(fh_interrupt *out);
void fh_interrupt_end(const fh_interrupt *begun);

bool fh_interrupted(void);
/* The same for who asks with an argument. */
bool fh_interrupt_stop(void *unused);

#endif /* FOGHORN_TOOLS_DEVPROBE_INTERRUPT_H_ */
