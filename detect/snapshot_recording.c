/* Recordings, and their form in a snapshot. SPDX-License-Identifier: Apache-2.0 */
#include "detect/snapshot_recording.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/parse.h"
#include "runtime/base/json.h"

enum { INLINE_BYTES = 160, MAX_ERRNO = 4095 };

static const char *const call_names[FH_CALL_COUNT] = {
    [FH_CALL_IDENTITY] = "identity", [FH_CALL_AFFINITY] = "affinity", [FH_CALL_CPUID] = "cpuid", [FH_CALL_XCR0] = "xcr0",
    [FH_CALL_HWCAP] = "hwcap",       [FH_CALL_ENV] = "env",           [FH_CALL_ASK] = "ask",     [FH_CALL_REFUSED] = "refused",
    [FH_CALL_OPEN] = "open",         [FH_CALL_READ] = "read",         [FH_CALL_LIST] = "list",   [FH_CALL_READLINK] = "readlink",
    [FH_CALL_REALPATH] = "realpath", [FH_CALL_ELF] = "elf",           [FH_CALL_STAT] = "stat",   [FH_CALL_LSTAT] = "lstat",
};

const char *fh_call_name(fh_call call) { return call_names[call]; }

static fh_status no_memory(void) { return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a snapshot"); }

/* ---- recordings ----------------------------------------------------------------------------------------------- */

fh_recording *fh_recording_create(void) {
  fh_facts_arena *arena = fh_arena_create();
  fh_recording *recording = arena ? fh_arena_alloc(arena, 1, sizeof *recording) : NULL;
  if (!recording) {
    fh_arena_destroy(arena);
    return NULL;
  }
  recording->arena = arena;
  return recording;
}

void fh_recording_destroy(fh_recording *recording) {
  if (!recording) return;
  fh_members_free(&recording->members);
  fh_arena_destroy(recording->arena); /* the recording lives in it too */
}

static int by_key(const fh_note *a, const fh_note *b) {
  if (a->call != b->call) return a->call < b->call ? -1 : 1;
  return strcmp(a->key, b->key);
}

static int by_key_and_order(const void *a, const void *b) {
  const fh_note *x = a, *y = b;
  int keys = by_key(x, y);
  return keys ? keys : x->order < y->order ? -1 : x->order > y->order;
}

static bool same_answer(const fh_note *a, const fh_note *b) {
  return a->error == b->error && strcmp(a->result, b->result) == 0 && !a->bytes == !b->bytes && a->size == b->size &&
         (!a->size || memcmp(a->bytes, b->bytes, a->size) == 0);
}

void fh_recording_sort(fh_recording *recording) {
  fh_note *notes = recording->notes;
  int kept = 0;
  if (recording->count) qsort(notes, (size_t)recording->count, sizeof *notes, by_key_and_order);
  for (int first = 0, last; first < recording->count; first = last) {
    for (last = first + 1; last < recording->count && by_key(&notes[first], &notes[last]) == 0;) last++;
    int end = last;
    while (end - first > 1 && same_answer(&notes[end - 1], &notes[end - 2])) end--;
    for (int i = first; i < end; i++) {
      notes[kept] = notes[i];
      notes[kept++].order = i - first;
    }
  }
  recording->count = kept;
}

/* ---- is it an answer? ------------------------------------------------------------------------------------------- */

static bool one_word(const char *words) {
  size_t size = strcspn(words, " "), used;
  return size && !words[size] && fh_word_decode(words, size, NULL, size, &used) && !strstr(words, "\\000");
}

static bool only_names(const char *words) {
  char word[NAME_MAX + 1];
  bool wrong = false;
  while (fh_word_take(&words, word, sizeof word, &wrong)) continue;
  return !wrong;
}

static bool sound_result(const fh_note *note) {
  fh_os_stat stat;
  fh_os_elf elf;
  fh_os_identity identity;
  fh_os_answer answer;
  uint64_t values[4];
  switch (note->call) {
    case FH_CALL_IDENTITY:
      return fh_words_to_identity(note->result, &identity);
    case FH_CALL_CPUID:
      return fh_words_to_hex(note->result, values, 4);
    case FH_CALL_XCR0:
      return fh_words_to_hex(note->result, values, 1);
    case FH_CALL_HWCAP:
      return fh_words_to_hex(note->result, values, 2);
    case FH_CALL_ASK:
      return note->bytes && !memchr(note->bytes, 0, note->size) && fh_words_to_answer(note->result, &answer);
    case FH_CALL_ENV:
      return note->bytes && !memchr(note->bytes, 0, note->size) && !*note->result;
    case FH_CALL_READ:
      return note->bytes && !*note->result;
    case FH_CALL_OPEN:
      return !*note->result;
    case FH_CALL_LIST:
      return only_names(note->result);
    case FH_CALL_AFFINITY:
    case FH_CALL_READLINK:
    case FH_CALL_REALPATH:
    case FH_CALL_REFUSED:
      return one_word(note->result);
    case FH_CALL_ELF:
      return fh_words_to_elf(note->result, &elf);
    case FH_CALL_STAT:
    case FH_CALL_LSTAT:
      return fh_words_to_stat(note->result, &stat);
    case FH_CALL_COUNT:
      break;
  }
  return false;
}

bool fh_note_is_sound(const fh_note *note) { return note->error ? !*note->result : sound_result(note); }

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static bool is_text(const fh_note *note) {
  for (size_t i = 0; i < note->size; i++) {
    unsigned char c = (unsigned char)note->bytes[i];
    if ((c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f) return false;
  }
  return true;
}

static bool is_inline(const fh_note *note) { return note->call == FH_CALL_ENV || (note->size <= INLINE_BYTES && is_text(note)); }

/* True when another file was read below this path: then it cannot be a file and a folder in one tree. */
static bool is_folder_too(const fh_recording *r, int at) {
  size_t length = strlen(r->notes[at].key);
  for (int i = at + 1; i < r->count && r->notes[i].call == FH_CALL_READ; i++) {
    const char *key = r->notes[i].key;
    if (strncmp(key, r->notes[at].key, length) != 0) return false;
    if (key[length] == '/') return true;
  }
  return false;
}

static bool taken(const fh_members *members, const char *name) {
  for (size_t i = 0; i < members->count; i++)
    if (strcmp(members->items[i].name, name) == 0) return true;
  return false;
}

static bool answer_file(const fh_note *note, char *out, size_t size) {
  int used = snprintf(out, size, "answers/%s.json", note->key);
  for (char *c = out + 8; *c; c++)
    if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *c)) *c = '-';
  return used > 0 && (size_t)used < size;
}

/* Where the bytes of a note are kept: a file by its own path, where that can be. */
static void name_bytes(const fh_recording *r, int at, const fh_members *members, char *out, size_t size) {
  const fh_note *note = &r->notes[at];
  bool named = note->call == FH_CALL_ASK ? answer_file(note, out, size) && !taken(members, out)
                                         : note->key[0] == '/' && note->order == 0 && !is_folder_too(r, at) &&
                                               (size_t)snprintf(out, size, "fs%s", note->key) < size;
  if (!named || strchr(out, ' ') || !fh_member_name_is_safe(out)) snprintf(out, size, "more/%zu", members->count);
}

static void add_bytes(fh_text *line, const fh_note *note) {
  fh_text word = {0};
  if (note->size) fh_word_add(&word, note->bytes, note->size);
  if (word.failed) line->failed = true;
  fh_text_add(line, " =");
  if (word.data) fh_text_append(line, word.data, word.size);
  fh_text_free(&word);
}

static void add_error(fh_text *line, int error) {
  const char *name = fh_errno_name(error);
  if (fh_errno_parse(name) == error) {
    fh_text_add(line, " !%s", name);
  } else {
    fh_text_add(line, " !%d", error);
  }
}

static fh_status add_note(fh_text *calls, const fh_recording *r, int at, fh_members *members) {
  const fh_note *note = &r->notes[at];
  fh_text_add(calls, "%s%s%s ->", fh_call_name(note->call), *note->key ? " " : "", note->key);
  if (note->error) add_error(calls, note->error);
  if (note->bytes && is_inline(note)) {
    add_bytes(calls, note);
  } else if (note->bytes) {
    char name[PATH_MAX];
    name_bytes(r, at, members, name, sizeof name);
    FH_TRY(fh_members_add(members, name, note->bytes, note->size));
    fh_text_add(calls, " @%s", name);
  }
  fh_text_add(calls, "%s%s\n", *note->result ? " " : "", note->result);
  return FH_OK;
}

static fh_status add_text(fh_members *members, const char *name, char *take_text) {
  fh_status status = take_text ? fh_members_add(members, name, take_text, strlen(take_text)) : no_memory();
  free(take_text);
  return status;
}

static fh_status add_meta(fh_members *members, bool masked, const char *comment) {
  json_t *meta = json_pack("{s:s,s:s,s:b}", "schema", FH_RECORDING_SCHEMA, "foghorn", FH_VERSION, "masked", masked);
  if (meta && comment && json_object_set_new(meta, "comment", fh_json_text(comment)) != 0) {
    json_decref(meta);
    meta = NULL;
  }
  if (!meta) return no_memory();
  fh_text text = {0};
  char *json = fh_json_print(meta);
  if (json) fh_text_add(&text, "%s\n", json);
  if (!json) text.failed = true;
  free(json);
  return add_text(members, "snapshot.json", fh_text_take(&text));
}

fh_status fh_recording_write(const fh_recording *recording, bool masked, const char *comment, fh_members *out_members) {
  fh_text calls = {0};
  *out_members = (fh_members){0};
  fh_text_add(&calls,
              "# What detection asked of the operating system, and the answers. !NAME: the error. =TEXT: what was read. @FILE: that is in "
              "the file.\n");
  fh_status status = fh_arena_failed(recording->arena) ? no_memory() : add_meta(out_members, masked, comment);
  for (int i = 0; i < recording->count && !status; i++) status = add_note(&calls, recording, i, out_members);
  if (!status) status = add_text(out_members, "calls", fh_text_take(&calls));
  if (!status) status = fh_members_sort(out_members);
  fh_text_free(&calls);
  if (status) fh_members_free(out_members);
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

typedef struct reader {
  const fh_members *members;
  const char *name;
  fh_recording *recording;
  int line;
} reader;

static fh_status wrong_line(const reader *r, const char *what) {
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: calls, line %d: %s", r->name, r->line, what);
}

static bool find_call(const char *word, size_t size, fh_call *out) {
  for (int i = 0; i < FH_CALL_COUNT; i++) {
    if (strlen(call_names[i]) != size || memcmp(call_names[i], word, size) != 0) continue;
    *out = (fh_call)i;
    return true;
  }
  return false;
}

static bool read_error(const char *word, size_t size, int *out) {
  char name[32];
  int64_t number;
  if (size >= sizeof name) return false;
  memcpy(name, word, size);
  name[size] = 0;
  *out = fh_errno_parse(name);
  if (*out < 0 && fh_parse_i64(name, &number) && number > 0 && number <= MAX_ERRNO) *out = (int)number;
  return *out > 0;
}

static fh_status read_inline(reader *r, const char *word, size_t size, fh_note *note) {
  char *bytes = fh_arena_alloc(r->recording->arena, size + 1, 1);
  if (!bytes) return no_memory();
  if (!fh_word_decode(word, size, bytes, size, &note->size)) return wrong_line(r, "a wrong escape: expected \\ and three octal digits");
  bytes[note->size] = 0;
  note->bytes = bytes;
  return FH_OK;
}

static fh_status read_member(reader *r, const char *word, size_t size, fh_note *note) {
  char name[FH_MEMBER_NAME_MAX + 1];
  if (size < sizeof name) {
    memcpy(name, word, size);
    name[size] = 0;
  }
  const fh_member *member = size < sizeof name ? fh_members_find(r->members, name) : NULL;
  if (!member) return wrong_line(r, "the file behind @ is not in the snapshot");
  note->bytes = member->bytes;
  note->size = member->size;
  return FH_OK;
}

/* The words behind "->". */
static fh_status read_answer(reader *r, char *words, fh_note *note) {
  for (;; words += strcspn(words, " ")) {
    words += strspn(words, " ");
    size_t size = strcspn(words, " ");
    if (*words == '!') {
      if (note->error || !read_error(words + 1, size - 1, &note->error)) return wrong_line(r, "the word behind ! is not an errno");
    } else if ((*words == '@' || *words == '=') && !note->bytes) {
      FH_TRY(*words == '@' ? read_member(r, words + 1, size - 1, note) : read_inline(r, words + 1, size - 1, note));
    } else {
      break;
    }
  }
  note->result = fh_arena_text(r->recording->arena, words);
  return fh_note_is_sound(note) ? FH_OK : wrong_line(r, "the words behind -> are not an answer to this call");
}

static fh_status read_line(reader *r, char *line) {
  if (!*line || *line == '#') return FH_OK;
  char *arrow = strstr(line, " ->");
  if (!arrow || (arrow[3] && arrow[3] != ' ')) return wrong_line(r, "expected CALL [WHAT] -> ANSWER");
  fh_note note = {.result = "", .order = r->recording->count};
  size_t size = strcspn(line, " ");
  if (!find_call(line, size, &note.call)) return wrong_line(r, "an unknown call; this devprobe may be older than the snapshot");
  const char *key = line + size + strspn(line + size, " ");
  note.key = key < arrow ? fh_arena_text_size(r->recording->arena, key, (size_t)(arrow - key)) : "";
  FH_TRY(read_answer(r, arrow + 3, &note));
  fh_note *place = fh_arena_push(r->recording->arena, &r->recording->notes, &r->recording->count, sizeof *place);
  if (!place) return no_memory();
  *place = note;
  return FH_OK;
}

static fh_status read_calls(reader *r) {
  const fh_member *calls = fh_members_find(r->members, "calls");
  if (!calls) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the file 'calls' is missing", r->name);
  if (memchr(calls->bytes, 0, calls->size)) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: calls is not a text file", r->name);
  fh_status status = FH_OK;
  for (char *line = calls->bytes; !status && *line;) {
    size_t size = strcspn(line, "\n");
    char *text = strndup(line, size);
    r->line++;
    status = text ? read_line(r, text) : no_memory();
    free(text);
    line += size;
    if (*line) line++;
  }
  return status;
}

static fh_status check_meta(const fh_members *members, const char *name) {
  const fh_member *file = fh_members_find(members, "snapshot.json");
  if (!file) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: not a snapshot: there is no snapshot.json in it", name);
  json_error_t where;
  json_t *meta = json_loadb(file->bytes, file->size, JSON_REJECT_DUPLICATES, &where);
  if (!meta) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: snapshot.json, line %d: %s", name, where.line, where.text);
  const char *found = json_string_value(json_object_get(meta, "schema"));
  fh_status status = FH_OK;
  if (found && strcmp(found, "foghorn.snapshot/1") == 0) {
    status = FH_STATUS(FH_INVALID_ARGUMENT, "%s: a snapshot of schema foghorn.snapshot/1 is read from a directory: unpack it and name that",
                       name);
  } else if (!found || strcmp(found, FH_RECORDING_SCHEMA) != 0) {
    status = FH_STATUS(FH_INVALID_ARGUMENT, "%s: snapshot.json: schema is %.60s, expected %s", name, found ? found : "missing",
                       FH_RECORDING_SCHEMA);
  }
  json_decref(meta);
  return status;
}

fh_status fh_recording_read(fh_members *take_members, const char *name, fh_recording **out_recording) {
  *out_recording = NULL;
  reader r = {.members = take_members, .name = name, .recording = fh_recording_create()};
  fh_status status = r.recording ? check_meta(take_members, name) : no_memory();
  if (!status) status = read_calls(&r);
  if (!status && fh_arena_failed(r.recording->arena)) status = no_memory();
  if (status) {
    fh_recording_destroy(r.recording);
    fh_members_free(take_members);
    return status;
  }
  r.recording->members = *take_members;
  *take_members = (fh_members){0};
  fh_recording_sort(r.recording);
  *out_recording = r.recording;
  return FH_OK;
}
