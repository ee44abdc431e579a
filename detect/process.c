/* What this process may do: trials in a child. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/answer_object.h"
#include "detect/gather.h"
#include "detect/parse.h"

static fh_fact_int error_fact(const json_t *object, const char *key, const char *source) {
  const char *name = json_string_value(json_object_get(object, key));
  int error = !name ? -1 : strcmp(name, "ok") == 0 ? 0 : fh_errno_parse(name);
  return error < 0 ? (fh_fact_int){0, FH_UNKNOWN_FACT, source} : fh_fact_int_of(error, source);
}

/* Any of the ways to make tiny numbers zero; unknown when none was told. */
static fh_fact_bool flushing(const json_t *object) {
  const json_t *results = json_object_get(object, "flush_to_zero"), *inputs = json_object_get(object, "denormals_are_zero");
  if (!json_is_boolean(results) && !json_is_boolean(inputs)) return (fh_fact_bool){false, FH_UNKNOWN_FACT, ""};
  return fh_fact_bool_of(json_is_true(results) || json_is_true(inputs), "floating-point control of a fresh process");
}

static void read_process(fh_gather *g, const fh_os_answer *answer, void *into) {
  fh_facts_process *p = &g->facts->process;
  json_t *object = fh_answer_object(answer->json);
  (void)into;
  p->thread = error_fact(object, "thread", "pthread_create in a child");
  p->clone3 = error_fact(object, "clone3", "clone3");
  p->get_mempolicy = error_fact(object, "get_mempolicy", "get_mempolicy");
  p->set_mempolicy = error_fact(object, "set_mempolicy", "set_mempolicy");
  p->mbind = error_fact(object, "mbind", "mbind");
  p->lock_over_limit = error_fact(object, "lock_over_limit", "mlock of one page more than the limit");
  p->flushes_denormals = flushing(object);
  json_decref(object);
}

void fh_process_read_again(fh_gather *g, const fh_os_answer *answer, void *into) {
  json_t *object = fh_answer_object(answer->json);
  (void)into;
  g->facts->process.flushes_without_preload = flushing(object);
  json_decref(object);
}

void fh_ask_process(fh_gather *g) { fh_ask(g, "process", NULL, read_process, NULL); }
