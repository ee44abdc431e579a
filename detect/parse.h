/* Small strict readers for the text formats of the kernel. SPDX-License-Identifier: Apache-2.0
 * None trusts its input: no overflow is silent, nothing is read past the terminating zero. */
#ifndef FOGHORN_DETECT_PARSE_H_
#define FOGHORN_DETECT_PARSE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal number at *cursor, blanks before it allowed; *cursor moves past it. False, and nothing changed, for anything else. */
bool fh_take_i64(const char **cursor, int64_t *out);
/* A whole decimal number, blanks around it allowed. False, and *out unchanged, for anything else. */
bool fh_parse_i64(const char *text, int64_t *out);
/* The same two, hexadecimal, with or without 0x. */
bool fh_take_hex(const char **cursor, uint64_t *out);
bool fh_parse_hex(const char *text, uint64_t *out);

/* CPUs in a list as the kernel writes it, "0-3,8"; 0 for an empty one, -1 for a malformed one or a CPU past 65535. */
int fh_cpulist_count(const char *list);
enum { FH_CPULIST_MAX = 65536 };

/* The next line of a text: false at its end. The line is not terminated; its '\n' is not part of it. */
bool fh_line_next(const char **cursor, const char **out_line, size_t *out_size);
/* Value of the line "key<separator> value" of a file such as /proc/meminfo; NULL when there is none. Points
 * into text, after blanks; *out_size excludes blanks at the end. */
const char *fh_key_value(const char *text, const char *key, char separator, size_t *out_size);
/* True when word is one of the words of a list, which are parted by any of the separators. */
bool fh_word_in(const char *list, const char *separators, const char *word);
/* True when path is dir itself or lies below it. */
bool fh_path_below(const char *path, const char *dir);

/* "ENOENT" for 2 and so on, "E?" for a number that is not listed; and back, -1 for a name that is not listed. */
const char *fh_errno_name(int number);
int fh_errno_parse(const char *name);
/* What open of a device node ended with, in words that are the same with every C library; the name for a rare one. */
const char *fh_errno_words(int number);

#endif /* FOGHORN_DETECT_PARSE_H_ */
