/* The operating-system table that notes what passes. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/snapshot_recording.h"

/* A question that was started and not yet collected. */
typedef struct pending {
  int ticket;
  const char *key;
  bool used;
} pending;

typedef struct recorder {
  fh_os os;
  fh_os *inner;
  fh_recording *recording;
  pending *pending; /* in the recording's arena */
  int pending_count;
} recorder;

static recorder *self(fh_os *os) { return (recorder *)os; }
static fh_os *inner(fh_os *os) { return self(os)->inner; }

/* ---- noting ------------------------------------------------------------------------------------------------ */

/* Takes the words of a text, or remembers that there was no memory for them. */
static const char *keep_words(fh_recording *r, fh_text *take_words) {
  if (take_words->failed) fh_arena_alloc(r->arena, 1, SIZE_MAX); /* cannot succeed, and is remembered */
  const char *kept = fh_arena_text(r->arena, take_words->data ? take_words->data : "");
  fh_text_free(take_words);
  return kept;
}

static const char *key_of(fh_recording *r, const char *word) {
  fh_text words = {0};
  fh_word_add(&words, word, strlen(word));
  return keep_words(r, &words);
}

static fh_note *note(fh_os *os, fh_call call, const char *key, int error) {
  fh_recording *r = self(os)->recording;
  fh_note *n = fh_arena_push(r->arena, &r->notes, &r->count, sizeof *n);
  if (n) *n = (fh_note){.call = call, .error = error, .order = r->count - 1, .key = key, .result = ""};
  return n;
}

static void note_words(fh_os *os, fh_call call, const char *key, int error, fh_text *take_words) {
  fh_note *n = note(os, call, key, error);
  const char *words = keep_words(self(os)->recording, take_words);
  if (n) n->result = words;
}

static void note_word(fh_os *os, fh_call call, const char *asked, int error, const char *answer) {
  fh_text words = {0};
  if (!error) fh_word_add(&words, answer, strlen(answer));
  note_words(os, call, asked ? key_of(self(os)->recording, asked) : "", error, &words);
}

static void note_bytes(fh_os *os, fh_note *n, const char *bytes, size_t size) {
  if (!n) return;
  char *copy = fh_arena_alloc(self(os)->recording->arena, size + 1, 1);
  if (!copy) return;
  if (size) memcpy(copy, bytes, size);
  n->bytes = copy;
  n->size = size;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

static void record_destroy(fh_os *os) { free(os); }

static int record_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  int error = inner(os)->api->stat(inner(os), path, follow, out);
  fh_text words = {0};
  if (!error) fh_words_of_stat(&words, out);
  note_words(os, follow ? FH_CALL_STAT : FH_CALL_LSTAT, key_of(self(os)->recording, path), error, &words);
  return error;
}

static int record_try_open(fh_os *os, const char *path) {
  int error = inner(os)->api->try_open(inner(os), path);
  note(os, FH_CALL_OPEN, key_of(self(os)->recording, path), error);
  return error;
}

static int record_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  size_t size = 0;
  int error = inner(os)->api->read(inner(os), path, max, out, &size);
  fh_note *n = note(os, FH_CALL_READ, key_of(self(os)->recording, path), error);
  if (!error || error == EFBIG) note_bytes(os, n, *out, size);
  if (out_size) *out_size = size;
  return error;
}

static int record_readlink(fh_os *os, const char *path, char *out, size_t size) {
  int error = inner(os)->api->readlink(inner(os), path, out, size);
  note_word(os, FH_CALL_READLINK, path, error, out);
  return error;
}

static int record_realpath(fh_os *os, const char *path, char *out, size_t size) {
  int error = inner(os)->api->realpath(inner(os), path, out, size);
  note_word(os, FH_CALL_REALPATH, path, error, out);
  return error;
}

static int record_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  int error = inner(os)->api->list(inner(os), path, out_names, out_count);
  fh_text words = {0};
  for (size_t i = 0; !error && i < *out_count; i++) fh_word_add(&words, (*out_names)[i], strlen((*out_names)[i]));
  note_words(os, FH_CALL_LIST, key_of(self(os)->recording, path), error, &words);
  return error;
}

static int record_elf(fh_os *os, const char *path, fh_os_elf *out) {
  int error = inner(os)->api->elf(inner(os), path, out);
  fh_text words = {0};
  if (!error) fh_words_of_elf(&words, out);
  note_words(os, FH_CALL_ELF, key_of(self(os)->recording, path), error, &words);
  return error;
}

/* ---- identity, environment, processor ------------------------------------------------------------------------- */

static const char *record_getenv(fh_os *os, const char *name) {
  const char *value = inner(os)->api->getenv(inner(os), name);
  fh_note *n = note(os, FH_CALL_ENV, key_of(self(os)->recording, name), value ? 0 : ENOENT);
  if (value) note_bytes(os, n, value, strlen(value));
  return value;
}

static int record_identity(fh_os *os, fh_os_identity *out) {
  int error = inner(os)->api->identity(inner(os), out);
  fh_text words = {0};
  if (!error) fh_words_of_identity(&words, out);
  note_words(os, FH_CALL_IDENTITY, "", error, &words);
  return error;
}

static int record_affinity(fh_os *os, char *out_list, size_t size) {
  int error = inner(os)->api->affinity(inner(os), out_list, size);
  note_word(os, FH_CALL_AFFINITY, NULL, error, out_list);
  return error;
}

static int record_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  int error = inner(os)->api->cpuid(inner(os), leaf, subleaf, out);
  fh_text key = {0}, words = {0};
  fh_words_of_hex(&key, (const uint64_t[]){leaf, subleaf}, 2);
  if (!error) fh_words_of_hex(&words, (const uint64_t[]){out->eax, out->ebx, out->ecx, out->edx}, 4);
  note_words(os, FH_CALL_CPUID, keep_words(self(os)->recording, &key), error, &words);
  return error;
}

static int record_xgetbv(fh_os *os, uint64_t *out) {
  int error = inner(os)->api->xgetbv(inner(os), out);
  fh_text words = {0};
  if (!error) fh_words_of_hex(&words, out, 1);
  note_words(os, FH_CALL_XCR0, "", error, &words);
  return error;
}

static int record_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  int error = inner(os)->api->hwcap(inner(os), out_hwcap, out_hwcap2);
  fh_text words = {0};
  if (!error) fh_words_of_hex(&words, (const uint64_t[]){*out_hwcap, *out_hwcap2}, 2);
  note_words(os, FH_CALL_HWCAP, "", error, &words);
  return error;
}

/* ---- questions ---------------------------------------------------------------------------------------------------- */

static const char *question_key(fh_recording *r, const char *question, const char *const *changes) {
  fh_text words = {0};
  fh_word_add(&words, question, strlen(question));
  for (; changes && *changes; changes++) fh_word_add(&words, *changes, strlen(*changes));
  return keep_words(r, &words);
}

static void remember(recorder *r, int ticket, const char *key) {
  pending *place = NULL;
  for (int i = 0; i < r->pending_count && !place; i++)
    if (!r->pending[i].used) place = &r->pending[i];
  if (!place) place = fh_arena_push(r->recording->arena, &r->pending, &r->pending_count, sizeof *place);
  if (place) *place = (pending){.ticket = ticket, .key = key, .used = true};
}

/* Why it could not be asked, under the same key. */
static void note_refusal(fh_os *os, const char *key) {
  enum { MAX_REASON = 1000 };
  const char *why = fh_os_refusal(inner(os));
  fh_text words = {0};
  if (!why) return;
  fh_word_add(&words, why, strnlen(why, MAX_REASON));
  note_words(os, FH_CALL_REFUSED, key, 0, &words);
}

static int record_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  int error = inner(os)->api->ask_start(inner(os), question, changes, out_ticket);
  const char *key = question_key(self(os)->recording, question, changes);
  if (error) {
    note(os, FH_CALL_ASK, key, error);
    note_refusal(os, key);
  } else {
    remember(self(os), *out_ticket, key);
  }
  return error;
}

static void note_answer(fh_os *os, const char *key, int error, const fh_os_answer *answer) {
  fh_text words = {0};
  if (!error) fh_words_of_answer(&words, answer);
  note_words(os, FH_CALL_ASK, key, error, &words);
  fh_recording *r = self(os)->recording;
  const char *json = !error && answer->json ? answer->json : "";
  if (!error && r->count) note_bytes(os, &r->notes[r->count - 1], json, strlen(json));
}

static int record_ask_collect(fh_os *os, int ticket, fh_os_answer *out) {
  recorder *r = self(os);
  int error = inner(os)->api->ask_collect(inner(os), ticket, out);
  for (int i = 0; i < r->pending_count; i++) {
    if (!r->pending[i].used || r->pending[i].ticket != ticket) continue;
    r->pending[i].used = false;
    note_answer(os, r->pending[i].key, error, out);
    break;
  }
  return error;
}

static const char *record_ask_refused(fh_os *os) { return fh_os_refusal(inner(os)); }

/* What is not noted is missing from every snapshot: a new function of the table needs its place in the list below. */
_Static_assert(sizeof(fh_os_api) == 17 * sizeof(void (*)(void)), "each function of the table is recorded");
static const fh_os_api record_api = {
    .destroy = record_destroy,
    .stat = record_stat,
    .try_open = record_try_open,
    .read = record_read,
    .readlink = record_readlink,
    .realpath = record_realpath,
    .list = record_list,
    .elf = record_elf,
    .getenv = record_getenv,
    .identity = record_identity,
    .affinity = record_affinity,
    .cpuid = record_cpuid,
    .xgetbv = record_xgetbv,
    .hwcap = record_hwcap,
    .ask_start = record_ask_start,
    .ask_collect = record_ask_collect,
    .ask_refused = record_ask_refused,
};

fh_status fh_os_record(fh_os *os, fh_recording *recording, fh_os **out_os) {
  recorder *r = calloc(1, sizeof *r);
  *out_os = NULL;
  if (!r) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a recording");
  *r = (recorder){.os = {.api = &record_api}, .inner = os, .recording = recording};
  *out_os = &r->os;
  return FH_OK;
}
