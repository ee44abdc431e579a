/* Texts that may crash a compiler are built in a child first. SPDX-License-Identifier: Apache-2.0
 *
 * PoCL before 4.0 ends the process on some barriers behind conditions. devprobe, which asks drivers in children anyway, builds the text
 * there; only what it survives is built here. The child's result is not taken over: PoCL finds it in a cache of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/opencl/opencl_internal.h"
#include "detect/os.h"
#include "runtime/base/log.h"

static const int64_t MOST_NS = INT64_C(60) * 1000 * 1000 * 1000;

static bool write_trial(const fh_device *device, const fh_cl_code *code, const char *options, int fd) {
  FILE *file = fdopen(fd, "w");
  if (!file) {
    close(fd);
    return false;
  }
  const bool written = fprintf(file, "%s\n%d\n%s\n%s", device->found->platform_name, device->found->place, options, code->source) > 0;
  return fclose(file) == 0 && written;
}

/* What became of the child: its end is told, a compiler's refusal is for the real build to tell. */
static fh_status judge(const fh_device *device, const fh_cl_code *code, const fh_os_answer *answer) {
  const fh_device_info *info = &device->found->info;
  if (answer->timed_out)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "BUILD-FAILED", "opencl: the compiler of %s (%s) was not done with %s after %.0f s\n  %s",
                           info->id, info->driver, code->name, (double)MOST_NS * 1e-9, "another variant is used");
  if (answer->signal)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "BUILD-FAILED",
                           "opencl: the compiler of %s (%s) crashes on %s (signal %d, in a child that tried it first)\n  %s", info->id,
                           info->driver, code->name, answer->signal, "another variant is used; a newer driver may take it");
  return FH_OK;
}

static fh_status ask(const fh_device *device, const fh_cl_code *code, const char *path) {
  fh_os *os = NULL;
  fh_os_answer answer = {0};
  char question[FH_CL_TEXT];
  int ticket = 0;
  FH_TRY(fh_os_live(NULL, MOST_NS, &os));
  snprintf(question, sizeof question, "opencl-build:%s", path);
  fh_status status = FH_OK;
  if (os->api->ask_start(os, question, NULL, &ticket) == 0 && os->api->ask_collect(os, ticket, &answer) == 0) {
    status = judge(device, code, &answer);
    fh_os_answer_free(&answer);
  } else {
    fh_log(FH_LOG_INFO, "opencl: %s is built without a trial: there is no devprobe to try it", code->name);
  }
  fh_os_destroy(os);
  return status;
}

fh_status fh_cl_try_build(const fh_device *device, const fh_cl_code *code, const char *options) {
  const char *folder = getenv("TMPDIR");
  char path[FH_CL_TEXT / 2];
  snprintf(path, sizeof path, "%.80s/foghorn-trial-XXXXXX", folder && *folder ? folder : "/tmp");
  const int fd = mkstemp(path);
  if (fd < 0) return FH_OK; /* nowhere to put it: no trial */
  fh_status status = write_trial(device, code, options, fd) ? ask(device, code, path) : FH_OK;
  unlink(path);
  return status;
}
