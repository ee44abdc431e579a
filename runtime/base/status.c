/* fh_status. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/status.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Codes take the low bits of a pointer, so payloads are aligned to leave them free. */
enum { CODE_BITS = 5, CODE_MASK = (1 << CODE_BITS) - 1, PAYLOAD_ALIGN = 1 << CODE_BITS };
enum { MESSAGE_MAX = 2048 };
_Static_assert((int)FH_INCOMPATIBLE <= (int)CODE_MASK, "codes fit into the low bits");
_Static_assert(sizeof(fh_status) == sizeof(void *), "a status is pointer-sized");

typedef struct payload {
  const char *file; /* static, from __FILE__ */
  int line;
  char cause[48];
  char message[]; /* zero-terminated */
} payload;

static fh_status pack(fh_code code, payload *p) { return (fh_status)((uintptr_t)p | (uintptr_t)code); }
static payload *payload_of(fh_status status) { return (payload *)((uintptr_t)status & ~(uintptr_t)CODE_MASK); }

static payload *payload_new(const char *file, int line, const char *cause, const char *message) {
  size_t length = strlen(message);
  size_t bytes = (sizeof(payload) + length + 1 + PAYLOAD_ALIGN - 1) & ~(size_t)(PAYLOAD_ALIGN - 1);
  payload *p = aligned_alloc(PAYLOAD_ALIGN, bytes);
  if (!p) return NULL;
  p->file = file;
  p->line = line;
  snprintf(p->cause, sizeof p->cause, "%s", cause ? cause : "");
  memcpy(p->message, message, length + 1);
  return p;
}

fh_status fh_status_make(fh_code code, const char *file, int line, const char *cause, const char *format, ...) {
  if (code == FH_CODE_OK) return FH_OK;
  char message[MESSAGE_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return pack(code, payload_new(file, line, cause, message));
}

fh_code fh_status_code(fh_status status) { return (fh_code)((uintptr_t)status & CODE_MASK); }

const char *fh_status_message(fh_status status) {
  payload *p = payload_of(status);
  if (p) return p->message;
  return status ? "(no details: memory was short when the error was made)" : "";
}

const char *fh_status_cause(fh_status status) {
  payload *p = payload_of(status);
  return p && p->cause[0] ? p->cause : NULL;
}

const char *fh_status_source(fh_status status, int *out_line) {
  payload *p = payload_of(status);
  if (out_line) *out_line = p ? p->line : 0;
  return p && p->file ? p->file : "";
}

fh_status fh_status_annotate(fh_status status, const char *format, ...) {
  payload *p = payload_of(status);
  if (!p) return status;
  char message[MESSAGE_MAX];
  int used = snprintf(message, sizeof message, "%s\n", p->message);
  if (used > 0 && used < (int)sizeof message) {
    va_list args;
    va_start(args, format);
    vsnprintf(message + used, sizeof message - (size_t)used, format, args);
    va_end(args);
  }
  payload *longer = payload_new(p->file, p->line, p->cause, message);
  if (!longer) return status; /* the shorter message is better than none */
  fh_code code = fh_status_code(status);
  free(p);
  return pack(code, longer);
}

fh_status fh_status_clone(fh_status status) {
  payload *p = payload_of(status);
  if (!p) return status;
  return pack(fh_status_code(status), payload_new(p->file, p->line, p->cause, p->message));
}

void fh_status_free(fh_status status) { free(payload_of(status)); }

const char *fh_code_name(fh_code code) {
  static const char *const names[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "INCOMPATIBLE",
  };
  return (unsigned)code < sizeof names / sizeof names[0] ? names[code] : "UNKNOWN";
}
