/* fh_status: the result of every Foghorn call that can fail.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A status is one pointer-sized value. FH_OK is the null value, so a call that works costs
 * one register. Otherwise the low bits hold an fh_code and the rest may point to a payload:
 * a message, the source line and, where the fault is a known one, the id of its cause
 * ("NV-UVM-MISSING", see `devprobe cause`). A status that carries a payload owns it: pass
 * the status on, or end it with fh_status_free. When memory is short the payload is left
 * out and the code still travels.
 *
 * Thread-safety: a status is a value owned by one thread at a time.
 */
#ifndef FOGHORN_STATUS_H_
#define FOGHORN_STATUS_H_

#include <stdint.h>

#include <foghorn/export.h>

FH_EXTERN_C_BEGIN

/* Canonical codes, in the spirit of the usual RPC set. */
typedef enum fh_code {
  FH_CODE_OK = 0,
  FH_CANCELLED = 1,           /* the caller gave up */
  FH_UNKNOWN = 2,             /* a foreign library failed without a reason */
  FH_INVALID_ARGUMENT = 3,    /* the argument is wrong whatever the state */
  FH_DEADLINE_EXCEEDED = 4,   /* not finished in the time allowed */
  FH_NOT_FOUND = 5,           /* a named thing does not exist */
  FH_ALREADY_EXISTS = 6,      /* a name is taken */
  FH_PERMISSION_DENIED = 7,   /* the operating system refused */
  FH_RESOURCE_EXHAUSTED = 8,  /* memory, handles or budget are used up */
  FH_FAILED_PRECONDITION = 9, /* right call, wrong moment (use after destroy, say) */
  FH_ABORTED = 10,            /* stopped by a fault elsewhere */
  FH_OUT_OF_RANGE = 11,       /* past the end of a shape, file or table */
  FH_UNIMPLEMENTED = 12,      /* not in this build or backend */
  FH_INTERNAL = 13,           /* a broken promise inside Foghorn: please report */
  FH_UNAVAILABLE = 14,        /* the device or service is not there (now) */
  FH_DATA_LOSS = 15,          /* the only copy of some data is gone */
  FH_INCOMPATIBLE = 16,       /* shapes, types, versions or devices do not go together */
} fh_code;

typedef struct fh_status_value *fh_status;

#define FH_OK ((fh_status)0)

/* Makes a status. `cause` is a cause id or NULL; the format is printf's. Never fails:
 * without memory the status has only its code. `code` FH_CODE_OK gives FH_OK. */
FH_API FH_MUST_USE fh_status fh_status_make(fh_code code, const char *file, int line, const char *cause, const char *format, ...)
    FH_PRINTF(5, 6) FH_NEVER_OK;

/* A status at this source line; FH_STATUS_CAUSE also names the cause id. */
#define FH_STATUS(code, ...) fh_status_make((code), __FILE__, __LINE__, 0, __VA_ARGS__)
#define FH_STATUS_CAUSE(code, cause, ...) fh_status_make((code), __FILE__, __LINE__, (cause), __VA_ARGS__)

/* The code of a status; FH_CODE_OK for FH_OK. Does not take the status. */
FH_API fh_code fh_status_code(fh_status status);

/* The message, never NULL; valid until the status is freed. */
FH_API const char *fh_status_message(fh_status status);

/* The cause id, or NULL when none is known; valid until the status is freed. */
FH_API const char *fh_status_cause(fh_status status);

/* Where it was made: file name, and the line in *out_line (which may be NULL). "" when unknown. */
FH_API const char *fh_status_source(fh_status status, int *out_line);

/* Adds a line of context at the end of the message. Takes and returns the status. */
FH_API FH_MUST_USE fh_status fh_status_annotate(fh_status status, const char *format, ...) FH_PRINTF(2, 3);

/* A second status with the same code, message, source and cause; both must be freed. */
FH_API FH_MUST_USE fh_status fh_status_clone(fh_status status);

/* Ends a status. FH_OK is allowed. */
FH_API void fh_status_free(fh_status status);

/* "INVALID_ARGUMENT" and so on; "UNKNOWN" for a value out of the enum. Static text. */
FH_API const char *fh_code_name(fh_code code);

/* Returns from the calling function when the expression is not FH_OK. */
#define FH_TRY(expr)                 \
  do {                               \
    fh_status fh_try_s_ = (expr);    \
    if (fh_try_s_) return fh_try_s_; \
  } while (0)

FH_EXTERN_C_END

#endif /* FOGHORN_STATUS_H_ */
