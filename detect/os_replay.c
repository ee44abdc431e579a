/* The operating-system table over a recording. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/snapshot_recording.h"

enum { NOT_RECORDED = ENODATA };

typedef struct replay {
  fh_os os;
  fh_recording *recording;
  char refused[PATH_MAX]; /* why the last question was not asked; "" it was, or nothing is known */
  int *served;            /* for the first note of each key: how many of its answers were given */
} replay;

static replay *self(fh_os *os) { return (replay *)os; }

/* ---- finding a note ------------------------------------------------------------------------------------------- */

static int compare(const fh_note *note, fh_call call, const char *key) {
  if (note->call != call) return note->call < call ? -1 : 1;
  return strcmp(note->key, key);
}

/* The first note that is not before this key. */
static int lower_bound(const fh_recording *r, fh_call call, const char *key) {
  int low = 0, high = r->count;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (compare(&r->notes[middle], call, key) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* The note that answers this question now: each answer once, the last for ever. -1: never asked. */
static int serve(fh_os *os, fh_call call, const char *key) {
  const fh_recording *r = self(os)->recording;
  int first = lower_bound(r, call, key);
  if (first == r->count || compare(&r->notes[first], call, key) != 0) return -1;
  int at = first + self(os)->served[first];
  bool last = at + 1 == r->count || compare(&r->notes[at + 1], call, key) != 0;
  if (!last) self(os)->served[first]++;
  return at;
}

static const fh_note *find_key(fh_os *os, fh_call call, const char *key) {
  int at = serve(os, call, key);
  return at < 0 ? NULL : &self(os)->recording->notes[at];
}

/* The same for a question of one word; error is that of the note, or why there is none. */
static const fh_note *find_word(fh_os *os, fh_call call, const char *word, int *error) {
  fh_text key = {0};
  fh_word_add(&key, word, strlen(word));
  const fh_note *note = key.failed ? NULL : find_key(os, call, key.data);
  *error = key.failed ? ENOMEM : note ? note->error : NOT_RECORDED;
  fh_text_free(&key);
  return note;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int replay_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  int error;
  const fh_note *note = find_word(os, follow ? FH_CALL_STAT : FH_CALL_LSTAT, path, &error);
  if (error) return error;
  return fh_words_to_stat(note->result, out) ? 0 : EINVAL;
}

static int replay_try_open(fh_os *os, const char *path) {
  int error;
  find_word(os, FH_CALL_OPEN, path, &error);
  return error;
}

static int replay_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_READ, path, &error);
  if (error == EFBIG && !(note && note->bytes)) return EIO; /* a note that lost its bytes: a caller of EFBIG counts on them */
  if (error && error != EFBIG) return error;
  size_t size = note->size < max ? note->size : max;
  char *copy = malloc(size + 1);
  if (!copy) return ENOMEM;
  memcpy(copy, note->bytes, size);
  copy[size] = 0;
  *out = copy;
  if (out_size) *out_size = size;
  return note->size > max ? EFBIG : error;
}

static int one_word(const fh_note *note, char *out, size_t size) {
  const char *cursor = note->result;
  bool wrong = false;
  return fh_word_take(&cursor, out, size, &wrong) ? 0 : ENAMETOOLONG;
}

static int replay_readlink(fh_os *os, const char *path, char *out, size_t size) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_READLINK, path, &error);
  return error ? error : one_word(note, out, size);
}

static int replay_realpath(fh_os *os, const char *path, char *out, size_t size) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_REALPATH, path, &error);
  return error ? error : one_word(note, out, size);
}

static void free_names(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}

static size_t count_words(const char *words) {
  size_t count = 0;
  for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
    words += strcspn(words, " ");
    count++;
  }
  return count;
}

static int replay_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_LIST, path, &error);
  if (error) return error;
  size_t room = count_words(note->result), count = 0;
  char **names = calloc(room + 1, sizeof *names), name[NAME_MAX + 1];
  const char *cursor = note->result;
  bool wrong = false;
  while (names && count < room && fh_word_take(&cursor, name, sizeof name, &wrong) && (names[count] = strdup(name))) count++;
  if (!names || count < room) {
    if (names) free_names(names, count);
    return ENOMEM;
  }
  *out_names = names;
  *out_count = count;
  return 0;
}

static int replay_elf(fh_os *os, const char *path, fh_os_elf *out) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_ELF, path, &error);
  if (error) return error;
  return fh_words_to_elf(note->result, out) ? 0 : EINVAL;
}

/* ---- identity, environment, processor ------------------------------------------------------------------------------ */

static const char *replay_getenv(fh_os *os, const char *name) {
  int error;
  const fh_note *note = find_word(os, FH_CALL_ENV, name, &error);
  return error ? NULL : note->bytes;
}

static int replay_identity(fh_os *os, fh_os_identity *out) {
  const fh_note *note = find_key(os, FH_CALL_IDENTITY, "");
  if (!note || note->error) return note ? note->error : NOT_RECORDED;
  return fh_words_to_identity(note->result, out) ? 0 : EINVAL;
}

static int replay_affinity(fh_os *os, char *out_list, size_t size) {
  const fh_note *note = find_key(os, FH_CALL_AFFINITY, "");
  if (!note || note->error) return note ? note->error : NOT_RECORDED;
  return one_word(note, out_list, size);
}

static int replay_hex(fh_os *os, fh_call call, const char *key, uint64_t *out, int count) {
  const fh_note *note = find_key(os, call, key);
  if (!note || note->error) return note ? note->error : ENOSYS; /* as on a machine without it */
  return fh_words_to_hex(note->result, out, count) ? 0 : EINVAL;
}

static int replay_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  char key[32];
  uint64_t values[4];
  snprintf(key, sizeof key, "%x %x", (unsigned)leaf, (unsigned)subleaf);
  int error = replay_hex(os, FH_CALL_CPUID, key, values, 4);
  if (!error) *out = (fh_os_cpuid){(uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2], (uint32_t)values[3]};
  return error;
}

static int replay_xgetbv(fh_os *os, uint64_t *out) { return replay_hex(os, FH_CALL_XCR0, "", out, 1); }

static int replay_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  uint64_t values[2];
  int error = replay_hex(os, FH_CALL_HWCAP, "", values, 2);
  if (error) return error;
  *out_hwcap = values[0];
  *out_hwcap2 = values[1];
  return 0;
}

/* ---- questions ---------------------------------------------------------------------------------------------------------- */

static int replay_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  fh_text key = {0};
  fh_word_add(&key, question, strlen(question));
  for (; changes && *changes; changes++) fh_word_add(&key, *changes, strlen(*changes));
  int at = key.failed ? -1 : serve(os, FH_CALL_ASK, key.data), error = key.failed ? ENOMEM : 0;
  const fh_note *refusal = key.failed ? NULL : find_key(os, FH_CALL_REFUSED, key.data);
  char *refused = self(os)->refused;
  if (!refusal || one_word(refusal, refused, sizeof self(os)->refused) != 0) refused[0] = 0;
  fh_text_free(&key);
  if (error || at < 0) return error ? error : NOT_RECORDED;
  *out_ticket = at; /* the number of the note */
  return self(os)->recording->notes[at].error;
}

static const char *replay_ask_refused(fh_os *os) { return self(os)->refused[0] ? self(os)->refused : NULL; }

static int replay_ask_collect(fh_os *os, int ticket, fh_os_answer *out) {
  const fh_recording *r = self(os)->recording;
  if (ticket < 0 || ticket >= r->count || r->notes[ticket].call != FH_CALL_ASK) return EINVAL;
  const fh_note *note = &r->notes[ticket];
  if (note->error) return note->error;
  if (!fh_words_to_answer(note->result, out)) return EINVAL;
  out->json = strdup(note->bytes);
  return out->json ? 0 : ENOMEM;
}

static void replay_destroy(fh_os *os) {
  fh_recording_destroy(self(os)->recording);
  free(self(os)->served);
  free(os);
}

static const fh_os_api replay_api = {
    .destroy = replay_destroy,
    .stat = replay_stat,
    .try_open = replay_try_open,
    .read = replay_read,
    .readlink = replay_readlink,
    .realpath = replay_realpath,
    .list = replay_list,
    .elf = replay_elf,
    .getenv = replay_getenv,
    .identity = replay_identity,
    .affinity = replay_affinity,
    .cpuid = replay_cpuid,
    .xgetbv = replay_xgetbv,
    .hwcap = replay_hwcap,
    .ask_start = replay_ask_start,
    .ask_collect = replay_ask_collect,
    .ask_refused = replay_ask_refused,
};

fh_status fh_os_replay(fh_recording *take_recording, fh_os **out_os) {
  *out_os = NULL;
  replay *r = calloc(1, sizeof *r);
  if (r) r->served = calloc((size_t)take_recording->count + 1, sizeof *r->served);
  if (!r || !r->served) {
    free(r);
    fh_recording_destroy(take_recording);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a snapshot");
  }
  r->os.api = &replay_api;
  r->recording = take_recording;
  *out_os = &r->os;
  return FH_OK;
}
