/* What a traced program did about GPUs: bounded, equal acts counted. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/record.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * FH_TRACE_MAX_ACTS };

bool fh_trace_record_init(fh_trace_record *record) {
  *record = (fh_trace_record){.arena = fh_arena_create(), .command = -1};
  record->programs = calloc(FH_TRACE_MAX_PROGRAMS, sizeof *record->programs);
  record->acts = calloc(FH_TRACE_MAX_ACTS, sizeof *record->acts);
  record->slots = calloc(SLOTS, sizeof *record->slots);
  if (record->arena && record->programs && record->acts && record->slots) return true;
  fh_trace_record_free(record);
  return false;
}

void fh_trace_record_free(fh_trace_record *record) {
  fh_arena_destroy(record->arena);
  free(record->programs);
  free(record->acts);
  free(record->slots);
  *record = (fh_trace_record){0};
}

/* ---- acts ------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const fh_trace_act *act) {
  uint64_t hash = 0xcbf29ce484222325U ^ (uint64_t)act->deed ^ (uint64_t)(unsigned)act->program << 8 ^ (uint64_t)(unsigned)act->error << 32;
  for (const char *c = act->path; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3U;
  return hash;
}

static bool is_equal(const fh_trace_act *a, const fh_trace_act *b) {
  return a->deed == b->deed && a->program == b->program && a->error == b->error && strcmp(a->path, b->path) == 0;
}

/* The slot of the equal act, or the empty one where it belongs; half of them are always empty. */
static int *slot_of(fh_trace_record *record, const fh_trace_act *like) {
  for (uint64_t at = hash_of(like);; at++) {
    int *slot = &record->slots[at % SLOTS];
    if (!*slot || is_equal(&record->acts[*slot - 1], like)) return slot;
  }
}

static fh_trace_act *add_act(fh_trace_record *record, int *slot, const fh_trace_act *like, int64_t now_ns) {
  if (record->act_count == FH_TRACE_MAX_ACTS) return NULL;
  const char *path = fh_arena_text(record->arena, like->path);
  if (!path[0] && like->path[0]) return NULL; /* no memory */
  fh_trace_act *act = &record->acts[record->act_count++];
  *slot = record->act_count;
  *act = (fh_trace_act){.deed = like->deed,
                        .topic = like->topic,
                        .program = like->program,
                        .path = path,
                        .real = "",
                        .flaw = "",
                        .error = like->error,
                        .first_ns = now_ns};
  return act;
}

fh_trace_act *fh_trace_record_act(fh_trace_record *record, const fh_trace_act *like, int64_t now_ns, bool *out_new) {
  int *slot = slot_of(record, like);
  *out_new = !*slot;
  fh_trace_act *act = *slot ? &record->acts[*slot - 1] : add_act(record, slot, like, now_ns);
  if (!act) {
    record->left_out++;
    return NULL;
  }
  act->last_ns = now_ns;
  act->count++;
  return act;
}

/* ---- programs --------------------------------------------------------------------------------------------- */

static bool same_variables(const fh_trace_program *a, const fh_trace_program *b) {
  if (a->variable_count != b->variable_count) return false;
  for (int i = 0; i < a->variable_count; i++)
    if (strcmp(a->variables[i].name, b->variables[i].name) != 0 || strcmp(a->variables[i].value, b->variables[i].value) != 0) return false;
  return true;
}

static bool same_program(const fh_trace_program *a, const fh_trace_program *b) {
  return strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0 && a->bits32 == b->bits32 && a->disowned == b->disowned &&
         a->other_root == b->other_root && a->other_user == b->other_user && a->alike == b->alike && same_variables(a, b);
}

static void copy_program(fh_trace_record *record, const fh_trace_program *from, fh_trace_program *to) {
  *to = *from;
  to->name = fh_arena_text(record->arena, from->name);
  to->path = fh_arena_text(record->arena, from->path);
  for (int i = 0; i < from->variable_count; i++)
    to->variables[i] = (fh_trace_variable){fh_arena_text(record->arena, from->variables[i].name),
                                           fh_arena_text(record->arena, from->variables[i].value), from->variables[i].inherited};
}

int fh_trace_record_program(fh_trace_record *record, const fh_trace_program *program) {
  int i = 0;
  while (i < record->program_count && !same_program(&record->programs[i], program)) i++;
  if (i == FH_TRACE_MAX_PROGRAMS) return -1;
  if (i == record->program_count) copy_program(record, program, &record->programs[record->program_count++]);
  record->programs[i].starts++;
  return i;
}
