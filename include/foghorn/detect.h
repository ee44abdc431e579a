/* Detection: what compute this process can really use, and why not. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_H_
#define FOGHORN_DETECT_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

FH_EXTERN_C_BEGIN

typedef struct fh_probe fh_probe;

typedef struct fh_probe_options {
  const char *from;   /* a snapshot directory instead of this machine (of an archive: what tar unpacks); NULL */
  const char *expect; /* what should be here: "gpu", "cuda>=2", "opencl"; comma separated; NULL: nothing said */
  double timeout_s;   /* for every driver question together; 0: 10 s */
  bool no_drivers;    /* only files: no driver library is loaded, no child started */
} fh_probe_options;

/* Looks. Driver libraries are loaded only in child processes with the time limit, so a driver that hangs or crashes is a
 * finding and not your problem. options NULL: defaults. INVALID_ARGUMENT: unreadable expect or snapshot. Thread-safe. */
FH_API FH_MUST_USE fh_status fh_probe_run(const fh_probe_options *options, fh_probe **out_probe);
FH_API void fh_probe_free(fh_probe *probe);
/* The report as JSON (schema foghorn.devprobe/1). Caller frees. */
FH_API FH_MUST_USE fh_status fh_probe_json(const fh_probe *probe, char **out_json);
/* True when something that was expected is unusable. */
FH_API bool fh_probe_wrong(const fh_probe *probe);
/* Id of the primary cause, or NULL when nothing is wrong. Lives as long as the probe. */
FH_API const char *fh_probe_primary_cause(const fh_probe *probe);

FH_EXTERN_C_END

#endif /* FOGHORN_DETECT_H_ */
