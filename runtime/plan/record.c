/* FOGHORN_TRACE: a JSON line per launch, for `devprobe bench -- CMD` and whoever wants to know. SPDX-License-Identifier: Apache-2.0
 *
 * One write() per line into a file that is open for appending: lines of several threads and processes do not mix. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/plan/plan.h"

enum { LINE_BYTES = 64 }; /* of a cache line */

enum { FIRST_OWN_FD = 3 }; /* a program whose stdout is closed must not print into the file */

fh_status fh_record_open(fh_context *context) {
  context->record = -1;
  if (!context->config.trace[0]) return FH_OK;
  const int fd = open(context->config.trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  context->record = fd >= 0 && fd < FIRST_OWN_FD ? fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD) : fd;
  const int error = errno;
  if (fd >= 0 && fd != context->record) close(fd);
  if (context->record >= 0) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "FOGHORN_TRACE=%s: cannot be opened for writing: %s", context->config.trace, strerror(error));
}

void fh_record_close(fh_context *context) {
  if (context->record >= 0) close(context->record);
  context->record = -1;
}

int64_t fh_record_begin(const fh_context *context) { return context->record >= 0 ? fh_now_ns() : 0; }

/* ---- what a pass over a view moves ------------------------------------------------------------------------------------ */

typedef struct axis {
  int64_t extent;
  double step; /* bytes */
} axis;

static int by_step(const void *a, const void *b) {
  const double x = ((const axis *)a)->step, y = ((const axis *)b)->step;
  return (x > y) - (x < y);
}

/* Its elements, each once, and the cache lines that they lie in: a field of a record comes with the record around it. Elements that lie
 * side by side are a run; a run ends in the middle of a line as often as not. */
static void view_bytes(const fh_view_desc *v, double *out_own, double *out_lines) {
  const double size = (double)fh_dtype_size(v->dtype);
  axis axes[FH_MAX_RANK];
  int count = 0, next = 0;
  for (int i = 0; i < v->rank; i++) {
    if (v->shape[i] == 0) return;
    if (v->shape[i] == 1 || v->strides[i] == 0) continue;
    const double step = (double)v->strides[i] * size;
    axes[count++] = (axis){v->shape[i], step < 0 ? -step : step};
  }
  qsort(axes, (size_t)count, sizeof *axes, by_step);
  double run = size, runs = 1;
  while (next < count && axes[next].step <= run) run = axes[next].step * (double)(axes[next].extent - 1) + run, next++;
  const double step = next < count ? axes[next].step : 0;
  for (; next < count; next++) runs *= (double)axes[next].extent;
  const double touched = run + LINE_BYTES - size;
  *out_own += run * runs;
  *out_lines += runs * (step > 0 && step < touched ? step : runs > 1 ? touched : run);
}

/* ---- a line ---------------------------------------------------------------------------------------------------------- */

static bool write_line(const fh_context *context, const fh_text *line) {
  if (!line->data) return false;
  ssize_t done;
  do done = write(context->record, line->data, line->size);
  while (done < 0 && errno == EINTR);
  if (done >= 0 && done < (ssize_t)line->size) errno = ENOSPC; /* a part of it found room */
  return done == (ssize_t)line->size;
}

void fh_record_launch(fh_context *context, const fh_call *call, const fh_candidate *ran, const fh_candidate *intended, const char *cause) {
  if (context->record < 0) return;
  const int64_t begin = call->begun_ns, end = fh_now_ns();
  char label[160];
  double own = 0, lines = 0;
  fh_text line = {0};
  fh_call_label(call, label, sizeof label);
  for (int i = 0; i < call->view_count; i++) view_bytes(&call->descs[i], &own, &lines);
  /* Whole numbers: the program's locale may write another decimal point than JSON has. */
  fh_text_add(&line,
              "{\"launch\":\"%s\",\"kernel\":\"%s\",\"ran\":\"%s\",\"intended\":\"%s\",\"cause\":\"%s\",\"note\":\"%s\",\"at_ns\":%" PRId64
              ",\"ns\":%" PRId64 ",\"threads\":%d,\"operations\":%.0f,\"bytes\":%.0f,\"elements_bytes\":%.0f,\"lines_bytes\":%.0f}\n",
              label, call->image->contract->name, ran->name, intended->name, cause, call->note, begin, end - begin, context->config.threads,
              call->bound.flops, call->bound.bytes, own, lines);
  if (!write_line(context, &line) && fh_account_say(&context->account, "*", "trace", "lost"))
    fh_log(FH_LOG_WARN, "FOGHORN_TRACE=%s: launches are missing in it: %s", context->config.trace, strerror(errno));
  fh_text_free(&line);
}
