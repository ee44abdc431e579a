/* Rules about the container engines of this machine: what a container will meet. SPDX-License-Identifier: Apache-2.0
 * Nobody may want a GPU in a container here, so an absence is told and no more. */
#include <string.h>

#include "detect/rules/rules.h"

/* A machine whose NVIDIA driver runs. */
static bool saw_driver(fh_case *c) {
  const fh_facts *f = c->facts;
  return fh_case_saw(c, !f->where.container && fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source,
                     "NVIDIA's driver runs on this machine");
}

static bool saw_engine(fh_case *c) {
  const fh_facts_engines *engines = &c->facts->engines;
  bool docker = fh_case_saw(c, fh_is_true(engines->docker), engines->docker.source, "Docker is here");
  bool podman = fh_case_saw(c, fh_is_true(engines->podman), engines->podman.source, "Podman is here");
  return docker || podman;
}

void fh_rule_runtime_not_configured(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_engines *engines = &judgement->facts->engines;
  fh_case c = fh_case_open(judgement, cause);
  if (saw_driver(&c) && saw_engine(&c) &&
      fh_case_saw(&c, fh_is_false(engines->toolkit), engines->toolkit.source, "ENOENT, nor any other part of NVIDIA's container toolkit"))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "NVIDIA's container toolkit is not installed, so containers of this machine cannot be given its GPU");
}

void fh_rule_cdi_stale(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_facts_engines *engines = &f->engines;
  fh_case c = fh_case_open(judgement, cause);
  if (!saw_driver(&c)) return;
  if (f->nvidia.nvrm_version.valid == FH_VALID && engines->cdi_version.valid == FH_VALID &&
      fh_case_saw(&c, strcmp(engines->cdi_version.value, f->nvidia.nvrm_version.value) != 0, engines->cdi_version.source,
                  "names libcuda.so.%s", engines->cdi_version.value) &&
      fh_case_saw(&c, true, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL,
                     "%s is of driver %s, the running driver is %s: containers that ask by CDI fail", engines->cdi_version.source,
                     engines->cdi_version.value, f->nvidia.nvrm_version.value);
  else if (fh_case_saw(&c, fh_is_true(engines->podman), engines->podman.source, "Podman, which passes GPUs in by CDI") &&
           fh_case_saw(&c, fh_is_true(engines->toolkit), engines->toolkit.source, "the tool that would write the CDI file is here") &&
           fh_case_saw(&c, fh_is_false(engines->cdi), engines->cdi.source, "no file for nvidia.com/gpu"))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "no CDI file was ever written for this machine's GPU, so Podman cannot pass it in");
}
