/* Answers of the table as words, and back. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/parse.h"
#include "detect/snapshot_recording.h"
#include "detect/snapshot_side.h"

/* ---- words ------------------------------------------------------------------------------------------------ */

static bool needs_escape(unsigned char c, bool first) {
  return c <= 0x20 || c == 0x7f || strchr("\\\">", c) || (first && strchr("!@=", c));
}

void fh_word_add(fh_text *words, const char *bytes, size_t size) {
  if (words->size) fh_text_add(words, " ");
  if (!size) fh_text_add(words, "\"\""); /* the empty word */
  for (size_t i = 0; i < size;) {
    size_t plain = i;
    while (plain < size && !needs_escape((unsigned char)bytes[plain], plain == 0)) plain++;
    fh_text_append(words, bytes + i, plain - i);
    if (plain < size) fh_text_add(words, "\\%03o", (unsigned)(unsigned char)bytes[plain]);
    i = plain + (plain < size);
  }
}

static int octal_byte(const char *digits, size_t size) {
  if (size < 3 || digits[0] < '0' || digits[0] > '3') return -1;
  for (int i = 1; i < 3; i++)
    if (digits[i] < '0' || digits[i] > '7') return -1;
  return (digits[0] - '0') * 64 + (digits[1] - '0') * 8 + digits[2] - '0';
}

bool fh_word_decode(const char *word, size_t size, char *out, size_t room, size_t *out_size) {
  size_t used = 0;
  if (size == 2 && memcmp(word, "\"\"", 2) == 0) size = 0;
  for (size_t i = 0; i < size; i++) {
    int byte = word[i] == '\\' ? octal_byte(word + i + 1, size - i - 1) : (unsigned char)word[i];
    if (byte < 0 || used == room) return false;
    if (word[i] == '\\') i += 3;
    if (out) out[used] = (char)byte;
    used++;
  }
  *out_size = used;
  return true;
}

/* The same as a string: no zero inside, one behind. */
static bool decode_text(const char *word, size_t size, char *out, size_t room) {
  size_t used;
  if (!fh_word_decode(word, size, out, room - 1, &used) || memchr(out, 0, used)) return false;
  out[used] = 0;
  return true;
}

bool fh_word_take(const char **cursor, char *out, size_t size, bool *wrong) {
  const char *word = *cursor + strspn(*cursor, " ");
  size_t length = strcspn(word, " ");
  if (!length) return false;
  *cursor = word + length;
  bool ok = decode_text(word, length, out, size);
  if (!ok) *wrong = true;
  return ok;
}

static const char blanks[] = " \t\r\n";

/* The next word of the form key=value. */
static bool take_pair(const char **cursor, const char **key, size_t *key_size, char *value, size_t size) {
  const char *word = *cursor + strspn(*cursor, blanks);
  size_t length = strcspn(word, blanks);
  const char *equals = memchr(word, '=', length);
  if (!length || !equals) return false;
  *key = word;
  *key_size = (size_t)(equals - word);
  *cursor = word + length;
  return decode_text(equals + 1, length - *key_size - 1, value, size);
}

static bool at_end(const char *words) { return !words[strspn(words, blanks)]; }

static bool is_key(const char *key, size_t size, const char *name) { return strlen(name) == size && memcmp(key, name, size) == 0; }

static void add_pair(fh_text *words, const char *key, const char *value) {
  fh_text escaped = {0};
  if (*value) fh_word_add(&escaped, value, strlen(value));
  if (escaped.failed) words->failed = true;
  fh_text_add(words, "%s%s=%s", words->size ? " " : "", key, escaped.data ? escaped.data : "");
  fh_text_free(&escaped);
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static const struct {
  char letter;
  mode_t format;
} types[] = {{'f', S_IFREG}, {'d', S_IFDIR}, {'l', S_IFLNK}, {'c', S_IFCHR}, {'b', S_IFBLK}, {'p', S_IFIFO}, {'s', S_IFSOCK}};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

void fh_words_of_stat(fh_text *words, const fh_os_stat *stat) {
  char letter = '?';
  for (int i = 0; i < TYPE_COUNT; i++)
    if ((stat->mode & S_IFMT) == types[i].format) letter = types[i].letter;
  fh_text_add(words, "type=%c mode=%04o uid=%u gid=%u", letter, (unsigned)stat->mode & 07777, (unsigned)stat->uid, (unsigned)stat->gid);
  if (letter == 'c' || letter == 'b') fh_text_add(words, " rdev=%u:%u", stat->rdev_major, stat->rdev_minor);
  fh_text_add(words, " size=%" PRId64 " mtime=%" PRId64, stat->size, stat->mtime);
}

static bool unsigned_of(const char *text, int64_t limit, unsigned *out) {
  int64_t value;
  if (!fh_parse_i64(text, &value) || value < 0 || value > limit) return false;
  *out = (unsigned)value;
  return true;
}

static bool type_of(const char *text, fh_os_stat *out) {
  for (int i = 0; i < TYPE_COUNT; i++) {
    if (text[0] != types[i].letter || text[1]) continue;
    out->mode |= types[i].format;
    return true;
  }
  return text[0] == '?' && !text[1];
}

static bool rdev_of(char *text, fh_os_stat *out) {
  char *colon = strchr(text, ':');
  if (!colon) return false;
  *colon = 0;
  return unsigned_of(text, UINT32_MAX, &out->rdev_major) && unsigned_of(colon + 1, UINT32_MAX, &out->rdev_minor);
}

static bool mode_of(const char *text, fh_os_stat *out) {
  char *end;
  unsigned long mode = strtoul(text, &end, 8);
  out->mode |= (mode_t)(mode & 07777);
  return text[0] >= '0' && text[0] <= '7' && !*end && mode <= 07777;
}

bool fh_words_to_stat(const char *words, fh_os_stat *out) {
  const char *key;
  char value[64];
  size_t size;
  bool ok = true, typed = false;
  *out = (fh_os_stat){0};
  while (ok && !at_end(words)) {
    if (!take_pair(&words, &key, &size, value, sizeof value)) return false;
    if (is_key(key, size, "type")) {
      ok = typed = type_of(value, out);
    } else if (is_key(key, size, "mode")) {
      ok = mode_of(value, out);
    } else if (is_key(key, size, "uid")) {
      ok = unsigned_of(value, UINT32_MAX, &out->uid);
    } else if (is_key(key, size, "gid")) {
      ok = unsigned_of(value, UINT32_MAX, &out->gid);
    } else if (is_key(key, size, "rdev")) {
      ok = rdev_of(value, out);
    } else if (is_key(key, size, "size")) {
      ok = fh_parse_i64(value, &out->size);
    } else if (is_key(key, size, "mtime")) {
      ok = fh_parse_i64(value, &out->mtime);
    } else {
      ok = false;
    }
  }
  return ok && typed;
}

void fh_words_of_elf(fh_text *words, const fh_os_elf *elf) {
  fh_text_add(words, "elf=%d machine=%d", elf->is_elf ? elf->bits : 0, elf->machine);
  if (elf->soname[0]) add_pair(words, "soname", elf->soname);
  if (elf->interp[0]) add_pair(words, "interp", elf->interp);
  fh_text_add(words, " glibc=%d", elf->needs_glibc);
}

static bool copy_of(const char *value, char *out, size_t size) { return (size_t)snprintf(out, size, "%s", value) < size; }

bool fh_words_to_elf(const char *words, fh_os_elf *out) {
  const char *key;
  char value[sizeof out->interp];
  size_t size;
  unsigned number = 0;
  bool ok = true, told = false;
  *out = (fh_os_elf){0};
  while (ok && !at_end(words)) {
    if (!take_pair(&words, &key, &size, value, sizeof value)) return false;
    if (is_key(key, size, "elf")) {
      ok = told = unsigned_of(value, 64, &number) && (number == 0 || number == 32 || number == 64);
      out->is_elf = number != 0;
      out->bits = (int)number;
    } else if (is_key(key, size, "machine")) {
      ok = unsigned_of(value, 0xffff, &number);
      out->machine = (int)number;
    } else if (is_key(key, size, "glibc")) {
      ok = unsigned_of(value, 1, &number);
      out->needs_glibc = number != 0;
    } else if (is_key(key, size, "soname")) {
      ok = copy_of(value, out->soname, sizeof out->soname);
    } else {
      ok = is_key(key, size, "interp") && copy_of(value, out->interp, sizeof out->interp);
    }
  }
  return ok && told;
}

/* ---- identity and processor ------------------------------------------------------------------------------------ */

void fh_words_of_identity(fh_text *words, const fh_os_identity *identity) {
  fh_text_add(words, "uid=%u gid=%u gids=", identity->uid, identity->gid);
  for (int i = 0; i < identity->gid_count; i++) fh_text_add(words, "%s%u", i ? "," : "", identity->gids[i]);
  fh_text_add(words, " caps=%" PRIx64, identity->cap_effective);
  add_pair(words, "machine", identity->machine);
  add_pair(words, "release", identity->release);
}

static bool gids_of(char *list, fh_os_identity *out) {
  const int room = (int)(sizeof out->gids / sizeof out->gids[0]);
  char *rest = NULL;
  for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
    if (out->gid_count == room || !unsigned_of(word, UINT32_MAX, &out->gids[out->gid_count++])) return false;
  return true;
}

bool fh_words_to_identity(const char *words, fh_os_identity *out) {
  const char *key;
  char value[1024];
  size_t size;
  bool ok = true, told = false;
  *out = (fh_os_identity){0};
  while (ok && !at_end(words)) {
    if (!take_pair(&words, &key, &size, value, sizeof value)) return false;
    if (is_key(key, size, "uid")) {
      ok = told = unsigned_of(value, UINT32_MAX, &out->uid);
    } else if (is_key(key, size, "gid")) {
      ok = unsigned_of(value, UINT32_MAX, &out->gid);
    } else if (is_key(key, size, "gids")) {
      ok = gids_of(value, out);
    } else if (is_key(key, size, "caps")) {
      ok = fh_parse_hex(value, &out->cap_effective);
    } else if (is_key(key, size, "machine")) {
      ok = copy_of(value, out->machine, sizeof out->machine);
    } else {
      ok = is_key(key, size, "release") && copy_of(value, out->release, sizeof out->release);
    }
  }
  return ok && told;
}

void fh_words_of_hex(fh_text *words, const uint64_t *values, int count) {
  for (int i = 0; i < count; i++) fh_text_add(words, "%s%" PRIx64, words->size ? " " : "", values[i]);
}

bool fh_words_to_hex(const char *words, uint64_t *out_values, int count) {
  char word[32];
  bool wrong = false;
  for (int i = 0; i < count; i++)
    if (!fh_word_take(&words, word, sizeof word, &wrong) || !fh_parse_hex(word, &out_values[i])) return false;
  return at_end(words);
}

/* ---- how a child ended -------------------------------------------------------------------------------------------- */

void fh_words_of_answer(fh_text *words, const fh_os_answer *answer) {
  if (answer->timed_out) fh_text_add(words, "timed_out=1 ");
  if (answer->state > ' ') fh_text_add(words, "state=%c ", answer->state);
  if (answer->signal) fh_text_add(words, "signal=%d ", answer->signal);
  fh_text_add(words, "exit_code=%d wall_ns=%" PRId64, answer->exit_code, answer->wall_ns);
  if (answer->wchan[0]) add_pair(words, "wchan", answer->wchan);
}

bool fh_words_to_answer(const char *words, fh_os_answer *out) {
  const char *key;
  char value[sizeof out->wchan];
  size_t size;
  int64_t number = 0;
  bool ok = true;
  *out = (fh_os_answer){.exit_code = -1};
  while (ok && !at_end(words)) {
    if (!take_pair(&words, &key, &size, value, sizeof value)) return false;
    bool is_number = fh_parse_i64(value, &number), is_int = is_number && number >= INT_MIN && number <= INT_MAX;
    if (is_key(key, size, "timed_out")) {
      ok = is_number;
      out->timed_out = number != 0;
    } else if (is_key(key, size, "state")) {
      ok = value[0] && !value[1];
      out->state = value[0];
    } else if (is_key(key, size, "wchan")) {
      ok = copy_of(value, out->wchan, sizeof out->wchan);
    } else if (is_key(key, size, "exit_code")) {
      ok = is_int;
      out->exit_code = (int)number;
    } else if (is_key(key, size, "signal")) {
      ok = is_int;
      out->signal = (int)number;
    } else {
      ok = is_key(key, size, "wall_ns") && is_number;
      out->wall_ns = number;
    }
  }
  return ok;
}
