/* Questions to children, side by side. SPDX-License-Identifier: Apache-2.0 */
#include "detect/gather.h"

void fh_ask(fh_gather *g, const char *question, const char *const *changes, fh_answer_reader *read, void *into) {
  int ticket;
  if (g->asked_count == FH_MAX_QUESTIONS || g->os->api->ask_start(g->os, question, changes, &ticket) != 0) return;
  g->asked[g->asked_count++] = (fh_asked){.ticket = ticket, .read = read, .into = into};
}

void fh_collect(fh_gather *g) {
  for (int i = 0; i < g->asked_count; i++) {
    const fh_asked *asked = &g->asked[i];
    fh_os_answer answer = {0};
    if (g->os->api->ask_collect(g->os, asked->ticket, &answer) != 0) continue;
    asked->read(g, &answer, asked->into);
    fh_os_answer_free(&answer);
  }
  g->asked_count = 0;
}

static void read_isa(fh_gather *g, const fh_os_answer *answer, void *into) {
  (void)into;
  fh_answer_read_isa(g, answer);
}

static void read_topology(fh_gather *g, const fh_os_answer *answer, void *into) {
  (void)into;
  fh_answer_read_topology(g, answer);
}

static void read_icd(fh_gather *g, const fh_os_answer *answer, void *into) { fh_answer_read_icd(g, answer, into); }

void fh_ask_isa(fh_gather *g) { fh_ask(g, "isa", NULL, read_isa, NULL); }

void fh_ask_topology(fh_gather *g) { fh_ask(g, "topology", NULL, read_topology, NULL); }

void fh_ask_icds(fh_gather *g) {
  for (int i = 0; i < g->facts->opencl.count; i++) {
    fh_icd *icd = &g->facts->opencl.icds[i];
    if (*icd->library) fh_ask(g, fh_arena_format(g->arena, "opencl:%s", icd->file), NULL, read_icd, icd);
  }
}
