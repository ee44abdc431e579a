/* A recording: every question that detection put to the operating-system table, and what it was answered.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A recorder sits between detection and a table and notes all that passes, so that a fact which is gathered tomorrow is recorded
 * without a change here. The file `calls` of a snapshot holds the notes, one a line (docs/snapshot-format.md). */
#ifndef FOGHORN_DETECT_SNAPSHOT_RECORDING_H_
#define FOGHORN_DETECT_SNAPSHOT_RECORDING_H_

#include "detect/arena.h"
#include "detect/os.h"
#include "detect/snapshot_members.h"
#include "runtime/base/text.h"

#define FH_RECORDING_SCHEMA "foghorn.snapshot/2"

/* In the order in which `calls` lists them. */
typedef enum fh_call {
  FH_CALL_IDENTITY,
  FH_CALL_AFFINITY,
  FH_CALL_CPUID,
  FH_CALL_XCR0,
  FH_CALL_HWCAP,
  FH_CALL_ENV,
  FH_CALL_ASK,
  FH_CALL_REFUSED, /* why a question could not be asked */
  FH_CALL_OPEN,
  FH_CALL_READ,
  FH_CALL_LIST,
  FH_CALL_READLINK,
  FH_CALL_REALPATH,
  FH_CALL_ELF,
  FH_CALL_STAT,
  FH_CALL_LSTAT,
  FH_CALL_COUNT,
} fh_call;

/* One question and its answer. Words are escaped (fh_word_add) and parted by blanks. */
typedef struct fh_note {
  fh_call call;
  int error;          /* what the call ended with, or 0 */
  int order;          /* among notes of the same key: the how many-th time it was asked */
  const char *key;    /* words: what was asked */
  const char *result; /* words: the answer; "" none */
  const char *bytes;  /* contents of a file, the answer of a child; NULL: the call has none */
  size_t size;
} fh_note;

typedef struct fh_recording {
  fh_facts_arena *arena; /* holds everything below */
  fh_note *notes;
  int count;
  fh_members members; /* whose bytes the notes of a snapshot point into */
} fh_recording;

/* NULL without memory. */
fh_recording *fh_recording_create(void);
void fh_recording_destroy(fh_recording *recording);
/* Orders the notes by call, key and time, and leaves out repetitions at the end of one key's answers: the last one is repeated on
 * replay anyway. */
void fh_recording_sort(fh_recording *recording);

/* A table that asks `inner` and notes. Both must outlive it; want of memory is remembered by recording->arena. */
fh_status fh_os_record(fh_os *inner, fh_recording *recording, fh_os **out_os);
/* A table that answers from a sorted recording (taken). What was never asked is ENODATA: unknown. */
fh_status fh_os_replay(fh_recording *take_recording, fh_os **out_os);

/* ---- notes as text ------------------------------------------------------------------------------------- */

const char *fh_call_name(fh_call call);

/* Adds one word, after a blank when the text is not empty: bytes that are blanks, control characters or have a meaning in `calls`
 * are written \ooo. */
void fh_word_add(fh_text *words, const char *bytes, size_t size);
/* Takes the next word of *cursor, unescaped, into out (zero-terminated). False at the end; a word that does not fit, or a wrong
 * escape, sets *wrong. */
bool fh_word_take(const char **cursor, char *out, size_t size, bool *wrong);
/* One escaped word into at most `room` bytes, which may be any; out NULL: only looks. False: a wrong escape, or too long. */
bool fh_word_decode(const char *word, size_t size, char *out, size_t room, size_t *out_size);

/* Answers as words, and back; false: not such words. */
void fh_words_of_stat(fh_text *words, const fh_os_stat *stat);
bool fh_words_to_stat(const char *words, fh_os_stat *out);
void fh_words_of_elf(fh_text *words, const fh_os_elf *elf);
bool fh_words_to_elf(const char *words, fh_os_elf *out);
void fh_words_of_identity(fh_text *words, const fh_os_identity *identity);
bool fh_words_to_identity(const char *words, fh_os_identity *out);
void fh_words_of_hex(fh_text *words, const uint64_t *values, int count);
bool fh_words_to_hex(const char *words, uint64_t *out_values, int count);
/* How a child ended; its JSON is left alone. */
void fh_words_of_answer(fh_text *words, const fh_os_answer *answer);
bool fh_words_to_answer(const char *words, fh_os_answer *out);
/* False when the words of a note are not an answer to its call. */
bool fh_note_is_sound(const fh_note *note);

/* ---- recordings as the members of a snapshot --------------------------------------------------------------- */

/* snapshot.json, calls and the contents. comment: for people; NULL none. */
fh_status fh_recording_write(const fh_recording *recording, bool masked, const char *comment, fh_members *out_members);
/* Reads what fh_recording_write wrote, or anything that claims to be that. Takes the members; name: of the snapshot, for errors. */
fh_status fh_recording_read(fh_members *take_members, const char *name, fh_recording **out_recording);

#endif /* FOGHORN_DETECT_SNAPSHOT_RECORDING_H_ */
