/* Signals that end a measurement. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/interrupt.h"

#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM};
enum { SIGNALS = sizeof signals / sizeof *signals };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

void fh_interrupt_begin(fh_interrupt *out) {
  const struct sigaction during = {.sa_handler = interrupt};
  for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &during, &out->before[i]);
}

void fh_interrupt_end(const fh_interrupt *begun) {
  for (int i = 0; i < SIGNALS; i++) sigaction(signals[i], &begun->before[i], NULL);
}

bool fh_interrupted(void) { return interrupted; }

bool fh_interrupt_stop(void *unused) {
  (void)unused;
  return interrupted;
}
