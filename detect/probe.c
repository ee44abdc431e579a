/* The public way into detection. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include <foghorn/detect.h>

#include "detect/findings.h"

struct fh_probe {
  fh_facts *facts;
  fh_judgement *judgement; /* borrows the facts */
};

static const double default_timeout_s = 10, longest_timeout_s = 3600;

static fh_status open_os(const fh_probe_options *options, fh_os **out_os) {
  double timeout = options->timeout_s == 0 ? default_timeout_s : options->timeout_s;
  if (!(timeout > 0 && timeout <= longest_timeout_s))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_probe_run: timeout_s is %g; expected more than 0 and at most %g seconds (0: %g)",
                     options->timeout_s, longest_timeout_s, default_timeout_s);
  return options->from ? fh_os_directory(options->from, out_os) : fh_os_live(NULL, (int64_t)(timeout * 1e9), out_os);
}

fh_status fh_probe_run(const fh_probe_options *options, fh_probe **out_probe) {
  static const fh_probe_options defaults = {0};
  fh_os *os = NULL;
  if (!out_probe) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_probe_run: out_probe is NULL; expected where to put the result");
  *out_probe = NULL;
  if (!options) options = &defaults;
  fh_probe *probe = calloc(1, sizeof(*probe));
  if (!probe) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_probe_run: no memory");
  fh_status status = open_os(options, &os);
  if (!status) status = fh_facts_gather(os, options->no_drivers ? FH_GATHER_STATIC : FH_GATHER_ALL, &probe->facts);
  if (!status) status = fh_judge(probe->facts, options->expect, &probe->judgement);
  fh_os_destroy(os);
  if (status)
    fh_probe_free(probe);
  else
    *out_probe = probe;
  return status;
}

void fh_probe_free(fh_probe *probe) {
  if (!probe) return;
  fh_judgement_destroy(probe->judgement);
  fh_facts_destroy(probe->facts);
  free(probe);
}

fh_status fh_probe_json(const fh_probe *probe, char **out_json) {
  if (!probe || !out_json) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_probe_json: %s is NULL", probe ? "out_json" : "probe");
  return fh_judgement_json(probe->judgement, out_json);
}

bool fh_probe_wrong(const fh_probe *probe) { return probe && probe->judgement->wrong; }

const char *fh_probe_primary_cause(const fh_probe *probe) {
  const fh_finding *primary = probe ? fh_judgement_primary(probe->judgement) : NULL;
  return primary ? primary->cause->id : NULL;
}
