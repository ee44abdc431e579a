/* What static libraries of a distribution want of glibc and no other C library has. SPDX-License-Identifier: Apache-2.0
 *
 * Distributions compile their libraries with _FORTIFY_SOURCE, which turns calls of known buffers into these: the same functions, told
 * in addition how large the buffer is, that end the program where it would be overrun. Everything else that libjansson.a and libz.a
 * call is plain ISO C and POSIX with the same binary interface in musl; the linker tells when that changes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int __snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, va_list args);
char *__strncpy_chk(char *out, const char *in, size_t size, size_t room);

int __vsnprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, va_list args) {
  (void)flag;
  if (size > room) abort();
  return vsnprintf(out, size, format, args);
}

int __snprintf_chk(char *out, size_t size, int flag, size_t room, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int length = __vsnprintf_chk(out, size, flag, room, format, args);
  va_end(args);
  return length;
}

char *__strncpy_chk(char *out, const char *in, size_t size, size_t room) {
  if (size > room) abort();
  return strncpy(out, in, size);
}
