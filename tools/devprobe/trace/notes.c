/* What is told beside a story: the limits of the tracing, and how to mend the cause. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/devprobe/trace/print.h"

static void note_programs(const fh_trace_tale *t, const char *out[FH_TRACE_MAX_NOTES], int *count) {
  bool bits32 = false, disowned = false, other_root = false, other_user = false, own_filter = false;
  fh_facts_arena *arena = t->record->arena;
  for (int i = 0; i < t->record->program_count; i++) {
    const fh_trace_program *p = &t->record->programs[i];
    if (p->bits32 && !bits32) out[(*count)++] = fh_arena_format(arena, "%s is a 32-bit program: its system calls are not seen", p->name);
    if (p->disowned && !disowned)
      out[(*count)++] = fh_arena_format(arena,
                                        "%s ran without the rights of its file's owner: the kernel gives none to a program that an "
                                        "ordinary user watches; run devprobe as root to see it as it is",
                                        p->name);
    if (p->other_root && !other_root)
      out[(*count)++] = fh_arena_format(arena,
                                        "%s ran in a root folder or mount namespace of its own: what is said about this machine "
                                        "is about the place where devprobe runs",
                                        p->name);
    if (p->other_user && !other_user)
      out[(*count)++] = fh_arena_format(arena,
                                        "%s ran as another user: its variables are told, but not set while devprobe looks at "
                                        "this machine as its own user",
                                        p->name);
    if (p->own_filter && !own_filter)
      out[(*count)++] = fh_arena_format(arena, "%s filters its own system calls: what it forbids itself is not seen", p->name);
    bits32 |= p->bits32;
    disowned |= p->disowned;
    other_root |= p->other_root;
    other_user |= p->other_user;
    own_filter |= p->own_filter;
  }
}

int fh_trace_notes(const fh_trace_tale *t, const char *out[FH_TRACE_MAX_NOTES]) {
  int count = 0;
  fh_facts_arena *arena = t->record->arena;
  note_programs(t, out, &count);
  if (t->end->all_calls)
    out[count++] = "no system call filter could be installed here: the program was stopped at every system call, and ran slower";
  if (t->end->cut_off) {
    out[count++] = "a signal ended the wait for processes that the command had left behind; they are killed";
  } else if (t->end->stayed_ns > 100 * 1000 * 1000) {
    out[count++] = fh_arena_format(arena, "processes that the command left behind went on for %.1f s and were waited for",
                                   (double)t->end->stayed_ns * 1e-9);
  }
  if (t->record->left_out)
    out[count++] = fh_arena_format(arena, "%lld more acts found no room and are not told", (long long)t->record->left_out);
  return count;
}

const fh_trace_program *fh_trace_program_told(const fh_trace_tale *t) {
  int program = t->story->act ? t->story->act->program : t->record->command;
  return program >= 0 ? &t->record->programs[program] : NULL;
}

int fh_trace_remedies(const fh_trace_tale *t, const char *out[FH_MAX_REMEDIES]) {
  const fh_trace_story *s = t->story;
  if (s->finding) {
    memcpy(out, s->finding->remedies, (size_t)s->finding->remedy_count * sizeof *out);
    return s->finding->remedy_count;
  }
  if (!s->cause || !t->judgement) return 0;
  fh_remedy fitting[FH_MAX_REMEDIES];
  const fh_facts_where *where = &t->judgement->facts->where;
  int count = fh_cause_remedies(s->cause, where->platform, where->container, fitting);
  for (int i = 0; i < count; i++) out[i] = fh_arena_text_size(t->record->arena, fitting[i].text, (size_t)fitting[i].size);
  return count;
}
