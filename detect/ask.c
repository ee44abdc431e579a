/* Questions to children, side by side. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/gather.h"

/* The same question with something changed is not told again. */
static void note_unasked(fh_gather *g, const char *question, const char *why) {
  fh_facts *f = g->facts;
  if (!why || f->unasked_count == FH_MAX_QUESTIONS || fh_facts_unasked(f, question)) return;
  if (!f->unasked) f->unasked = fh_arena_alloc(g->arena, FH_MAX_QUESTIONS, sizeof *f->unasked);
  if (f->unasked) f->unasked[f->unasked_count++] = (fh_unasked){fh_arena_text(g->arena, question), fh_arena_text(g->arena, why)};
}

void fh_ask(fh_gather *g, const char *question, const char *const *changes, fh_answer_reader *read, void *into) {
  int ticket;
  if (g->asked_count == FH_MAX_QUESTIONS) return;
  if (g->os->api->ask_start(g->os, question, changes, &ticket) == 0) {
    g->asked[g->asked_count++] = (fh_asked){.question = question, .ticket = ticket, .read = read, .into = into};
  } else {
    note_unasked(g, question, fh_os_refusal(g->os));
  }
}

/* A child that ends without a word has not come to the driver: every call is announced before it is made. NULL: it has. */
static const char *never_began(fh_gather *g, const fh_os_answer *answer) {
  enum { NO_SUCH_QUESTION = 2 };
  if (*answer->json || answer->exit_code <= 0) return NULL;
  if (answer->exit_code == NO_SUCH_QUESTION) return "the devprobe that was asked does not know this question: it is of another version";
  return fh_arena_format(g->arena, "the devprobe that was asked ended with status %d before it began: its libraries are not all here",
                         answer->exit_code);
}

void fh_collect(fh_gather *g) {
  for (int i = 0; i < g->asked_count; i++) {
    const fh_asked *asked = &g->asked[i];
    fh_os_answer answer = {0};
    if (g->os->api->ask_collect(g->os, asked->ticket, &answer) != 0) continue;
    const char *why = never_began(g, &answer);
    if (why) {
      note_unasked(g, asked->question, why);
    } else {
      asked->read(g, &answer, asked->into);
    }
    fh_os_answer_free(&answer);
  }
  g->asked_count = 0;
}

const char *fh_facts_unasked(const fh_facts *facts, const char *question) {
  for (int i = 0; i < facts->unasked_count; i++)
    if (strcmp(facts->unasked[i].question, question) == 0) return facts->unasked[i].why;
  return NULL;
}

static void read_isa(fh_gather *g, const fh_os_answer *answer, void *into) {
  (void)into;
  fh_answer_read_isa(g, answer);
}

static void read_topology(fh_gather *g, const fh_os_answer *answer, void *into) {
  (void)into;
  fh_answer_read_topology(g, answer);
}

static void read_sandbox(fh_gather *g, const fh_os_answer *answer, void *into) {
  (void)into;
  fh_answer_read_sandbox(g, answer);
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

/* What the sandbox around this process forbids is asked when the driver fails, or where a unit may forbid generated code. */
void fh_ask_sandbox(fh_gather *g) {
  const fh_facts *f = g->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  bool fails = cuda->valid == FH_VALID && (cuda->init_code > 0 || cuda->count_code > 0 || cuda->crashed);
  if (fails || f->where.platform == FH_PLATFORM_SYSTEMD_SERVICE) fh_ask(g, "sandbox", NULL, read_sandbox, NULL);
}
