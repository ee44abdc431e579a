/* Small strict readers. SPDX-License-Identifier: Apache-2.0 */
#include "detect/parse.h"

#include <errno.h>
#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *skip_blanks(const char *text) {
  while (is_blank(*text)) text++;
  return text;
}

bool fh_take_i64(const char **cursor, int64_t *out) {
  const char *text = skip_blanks(*cursor);
  bool negative = *text == '-';
  if (negative) text++;
  if (!is_digit(*text)) return false;
  uint64_t value = 0;
  const uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
  for (; is_digit(*text); text++) {
    uint64_t digit = (uint64_t)(*text - '0');
    if (value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *cursor = text;
  *out = negative ? (int64_t)(0 - value) : (int64_t)value;
  return true;
}

bool fh_parse_i64(const char *text, int64_t *out) {
  int64_t value;
  if (!fh_take_i64(&text, &value) || *skip_blanks(text)) return false;
  *out = value;
  return true;
}

static int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool fh_take_hex(const char **cursor, uint64_t *out) {
  const char *text = skip_blanks(*cursor);
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) text += 2;
  if (hex_digit(*text) < 0) return false;
  uint64_t value = 0;
  for (; hex_digit(*text) >= 0; text++) {
    if (value >> 60) return false;
    value = value << 4 | (uint64_t)hex_digit(*text);
  }
  *cursor = text;
  *out = value;
  return true;
}

bool fh_parse_hex(const char *text, uint64_t *out) {
  uint64_t value;
  if (!fh_take_hex(&text, &value) || *skip_blanks(text)) return false;
  *out = value;
  return true;
}

/* A CPU number; leaves *text after it. -1: none there, or past the limit. */
static int cpu_number(const char **text) {
  if (!is_digit(**text)) return -1;
  int value = 0;
  for (; is_digit(**text); (*text)++) {
    value = value * 10 + (**text - '0');
    if (value >= FH_CPULIST_MAX) return -1;
  }
  return value;
}

int fh_cpulist_count(const char *list) {
  unsigned char seen[FH_CPULIST_MAX / 8] = {0}; /* a list may name a CPU twice */
  int count = 0;
  list = skip_blanks(list);
  while (*list) {
    int first = cpu_number(&list);
    int last = first;
    if (*list == '-') {
      list++;
      last = cpu_number(&list);
    }
    if (first < 0 || last < first) return -1;
    for (int cpu = first; cpu <= last; cpu++) {
      count += !(seen[cpu / 8] >> (cpu % 8) & 1);
      seen[cpu / 8] |= (unsigned char)(1u << (cpu % 8));
    }
    if (*list == ',') {
      list++;
      if (!is_digit(*list)) return -1;
    } else {
      list = skip_blanks(list);
      if (*list) return -1;
    }
  }
  return count;
}

bool fh_line_next(const char **cursor, const char **out_line, size_t *out_size) {
  if (!**cursor) return false;
  *out_line = *cursor;
  *out_size = strcspn(*cursor, "\n");
  *cursor += *out_size;
  if (**cursor) (*cursor)++;
  return true;
}

const char *fh_key_value(const char *text, const char *key, char separator, size_t *out_size) {
  size_t key_size = strlen(key), size;
  const char *line;
  while (fh_line_next(&text, &line, &size)) {
    if (size < key_size || memcmp(line, key, key_size) != 0) continue;
    const char *at = line + key_size, *end = line + size;
    if (separator != ' ') { /* blanks may stand before a separator that is not one: "flags\t\t: fpu" */
      while (at < end && is_blank(*at)) at++;
      if (at == end || *at != separator) continue;
      at++;
    } else if (at == end || !is_blank(*at)) {
      continue;
    }
    while (at < end && is_blank(*at)) at++;
    while (end > at && is_blank(end[-1])) end--;
    *out_size = (size_t)(end - at);
    return at;
  }
  return NULL;
}

bool fh_word_in(const char *list, const char *separators, const char *word) {
  size_t word_size = strlen(word);
  while (*list) {
    list += strspn(list, separators);
    size_t size = strcspn(list, separators);
    if (size && size == word_size && memcmp(list, word, size) == 0) return true;
    list += size;
  }
  return false;
}

bool fh_path_below(const char *path, const char *dir) {
  size_t size = strlen(dir);
  if (size == 1 && dir[0] == '/') return path[0] == '/';
  return strncmp(path, dir, size) == 0 && (path[size] == '/' || path[size] == 0);
}

// clang-format off
#define FH_ERRNOS(X) \
  X(EPERM) X(ENOENT) X(ESRCH) X(EINTR) X(EIO) X(ENXIO) X(E2BIG) \
  X(ENOEXEC) X(EBADF) X(ECHILD) X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT) \
  X(EBUSY) X(EEXIST) X(EXDEV) X(ENODEV) X(ENOTDIR) X(EISDIR) X(EINVAL) \
  X(ENFILE) X(EMFILE) X(ENOTTY) X(ETXTBSY) X(EFBIG) X(ENOSPC) X(EROFS) \
  X(EMLINK) X(EPIPE) X(ENAMETOOLONG) X(ENOSYS) X(ENOTEMPTY) X(ELOOP) X(ENODATA) \
  X(EOVERFLOW) X(ENOTSUP) X(ETIMEDOUT) X(ESTALE) X(EREMOTEIO) X(EKEYREJECTED) X(ENOKEY) \
  X(EPROTO) X(ECANCELED) X(EUCLEAN)
// clang-format on

static const struct {
  int number;
  const char *name;
} errnos[] = {
#define X(name) {name, #name},
    FH_ERRNOS(X)
#undef X
};

const char *fh_errno_name(int number) {
  for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
    if (errnos[i].number == number) return errnos[i].name;
  return "E?";
}

int fh_errno_parse(const char *name) {
  for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
    if (strcmp(errnos[i].name, name) == 0) return errnos[i].number;
  return -1;
}

const char *fh_errno_words(int number) {
  static const struct {
    int number;
    const char *words;
  } known[] = {
      {EPERM, "Operation not permitted"}, {ENOENT, "No such file or directory"},
      {EACCES, "Permission denied"},      {ENXIO, "No such device or address"},
      {ENODEV, "No such device"},         {EIO, "Input/output error"},
      {EBUSY, "Device or resource busy"}, {ENOMEM, "Cannot allocate memory"},
      {EINVAL, "Invalid argument"},       {EAGAIN, "Resource temporarily unavailable"},
      {EMFILE, "Too many open files"},    {ENFILE, "Too many open files in the system"},
      {ETIMEDOUT, "no answer in time"},   {EROFS, "Read-only file system"},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i].number == number) return known[i].words;
  return fh_errno_name(number);
}
