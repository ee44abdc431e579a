/* A traced program's story as JSON, schema foghorn.trace/1 (docs/trace.schema.json). SPDX-License-Identifier: Apache-2.0
 * What is not known is null. */
#include <stdlib.h>
#include <sys/wait.h>

#include "detect/parse.h"
#include "runtime/base/json.h"
#include "tools/devprobe/machine.h"
#include "tools/devprobe/trace/print.h"

static void put(json_t *object, const char *key, json_t *take_value, bool *failed) {
  if (json_object_set_new(object, key, take_value) != 0) *failed = true;
}

static void append(json_t *array, json_t *take_value, bool *failed) {
  if (json_array_append_new(array, take_value) != 0) *failed = true;
}

static json_t *text_or_null(const char *text) { return fh_json_text(text && text[0] ? text : NULL); }
static json_t *seconds(int64_t ns) { return json_real((double)ns * 1e-9); }

static json_t *texts(const char *const *list, int count, bool *failed) {
  json_t *array = json_array();
  for (int i = 0; i < count; i++) append(array, fh_json_text(list[i]), failed);
  return array;
}

static json_t *command_json(const fh_trace_tale *t, bool *failed) {
  const fh_trace_record *r = t->record;
  int status = t->end->wait_status, words = 0;
  bool started = !t->end->start_error, killed = WIFSIGNALED(status);
  while (t->command[words]) words++;
  json_t *command = json_object();
  put(command, "words", texts((const char *const *)t->command, words, failed), failed);
  put(command, "start_error", started ? json_null() : json_string(fh_errno_name(t->end->start_error)), failed);
  put(command, "exit_status", started && !killed ? json_integer(WEXITSTATUS(status)) : json_null(), failed);
  put(command, "signal", started && killed ? json_integer(WTERMSIG(status)) : json_null(), failed);
  put(command, "seconds", seconds(r->end_ns - r->start_ns), failed);
  put(command, "processes", json_integer(r->processes), failed);
  put(command, "threads", json_integer(r->processes + r->threads), failed);
  put(command, "stops", json_integer(r->stops), failed);
  return command;
}

static json_t *program_json(const fh_trace_program *p, bool *failed) {
  json_t *program = json_object(), *variables = json_object();
  for (int i = 0; i < p->variable_count; i++) put(variables, p->variables[i].name, fh_json_text(p->variables[i].value), failed);
  put(program, "name", fh_json_text(p->name), failed);
  put(program, "path", text_or_null(p->path), failed);
  put(program, "starts", json_integer(p->starts), failed);
  put(program, "environment", variables, failed);
  put(program, "bits", json_integer(p->bits32 ? 32 : 64), failed);
  put(program, "without_rights", json_boolean(p->disowned), failed);
  put(program, "other_root", json_boolean(p->other_root), failed);
  put(program, "other_user", json_boolean(p->other_user), failed);
  put(program, "own_filter", json_boolean(p->own_filter), failed);
  return program;
}

static json_t *act_json(const fh_trace_act *a, bool *failed) {
  static const char *const deeds[] = {[FH_DEED_OPEN] = "open", [FH_DEED_LOOK] = "look", [FH_DEED_EXEC] = "exec"};
  json_t *act = json_object();
  put(act, "deed", json_string(deeds[a->deed]), failed);
  put(act, "path", fh_json_text(a->path), failed);
  put(act, "errno", a->error ? json_string(fh_errno_name(a->error)) : json_null(), failed);
  put(act, "sort", json_string(fh_trace_sort_name(a->topic->sort)), failed);
  put(act, "family", json_string(fh_trace_family_name(a->topic->family)), failed);
  put(act, "subject", fh_json_text(fh_trace_subject(a->topic, a->path)), failed);
  put(act, "what", json_string(a->topic->what), failed);
  put(act, "real_path", text_or_null(a->real), failed);
  put(act, "flaw", text_or_null(a->flaw), failed);
  put(act, "held", json_boolean(a->held), failed);
  put(act, "program", a->program >= 0 ? json_integer(a->program) : json_null(), failed);
  put(act, "pid", json_integer(a->pid), failed);
  put(act, "thread", text_or_null(a->thread), failed);
  put(act, "count", json_integer(a->count), failed);
  put(act, "first_seconds", seconds(a->first_ns), failed);
  put(act, "last_seconds", seconds(a->last_ns), failed);
  return act;
}

static json_t *cause_json(const fh_trace_tale *t, bool *failed) {
  const fh_trace_story *s = t->story;
  if (!s->cause) return json_null();
  const char *remedies[FH_MAX_REMEDIES];
  int count = fh_trace_remedies(t, remedies);
  json_t *cause = json_object();
  put(cause, "id", json_string(s->cause->id), failed);
  put(cause, "confidence", json_string(fh_confidence_name(s->confidence)), failed);
  put(cause, "tied", json_boolean(s->tied), failed);
  put(cause, "summary", fh_json_text(s->finding ? s->finding->summary : s->cause->title), failed);
  put(cause, "remedy", texts(remedies, count, failed), failed);
  return cause;
}

/* The whole report about the machine, as devprobe --json gives it. */
static json_t *machine_json(const fh_judgement *judgement, bool *failed) {
  char *text = NULL;
  if (!judgement) return json_null();
  fh_status status = fh_judgement_json(judgement, &text);
  json_t *machine = status ? NULL : json_loads(text, 0, NULL);
  if (!machine) *failed = true;
  fh_status_free(status);
  free(text);
  return machine;
}

char *fh_trace_print_json(const fh_trace_tale *t) {
  const fh_trace_record *r = t->record;
  const fh_trace_story *s = t->story;
  const char *notes[FH_TRACE_MAX_NOTES];
  bool failed = false;
  json_t *root = json_object(), *programs = json_array(), *acts = json_array();
  for (int i = 0; i < r->program_count; i++) append(programs, program_json(&r->programs[i], &failed), &failed);
  for (int i = 0; i < r->act_count; i++) append(acts, act_json(&r->acts[i], &failed), &failed);
  put(root, "schema", json_string("foghorn.trace/1"), &failed);
  put(root, "verdict", json_string(fh_trace_verdict_name(s->verdict)), &failed);
  put(root, "headline", fh_json_text(s->headline), &failed);
  put(root, "program", fh_json_text(s->program), &failed);
  put(root, "act", s->act ? json_integer(s->act - r->acts) : json_null(), &failed);
  put(root, "last_seconds", s->last ? seconds(s->last->last_ns) : json_null(), &failed);
  put(root, "idle_seconds", s->last ? seconds(s->idle_ns) : json_null(), &failed);
  put(root, "cause", cause_json(t, &failed), &failed);
  put(root, "advice", text_or_null(s->advice), &failed);
  put(root, "command", command_json(t, &failed), &failed);
  put(root, "programs", programs, &failed);
  put(root, "acts", acts, &failed);
  put(root, "left_out", json_integer(r->left_out), &failed);
  put(root, "notes", texts(notes, fh_trace_notes(t, notes), &failed), &failed);
  put(root, "machine", machine_json(t->judgement, &failed), &failed);
  if (!failed) return fh_json_print(root);
  json_decref(root);
  return NULL;
}
