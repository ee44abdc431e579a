/* Rules about OpenCL. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/arena.h"
#include "detect/rules/rules.h"

static fh_severity opencl_severity(const fh_judgement *judgement, fh_severity otherwise) {
  return fh_judgement_user_expects(judgement, "opencl") ? FH_SEVERITY_ERROR : otherwise;
}

void fh_rule_vendors_override(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, f->opencl.vendors_override.valid == FH_VALID, "OCL_ICD_VENDORS", "%s", f->opencl.vendors_override.value) &&
      fh_case_saw(&c, f->opencl.vendors_valid != FH_UNKNOWN_FACT && f->opencl.count == 0, f->opencl.vendors_dir.value, "no .icd file"))
    fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), FH_CONSISTENT, "opencl",
                     "OCL_ICD_VENDORS=%s has no OpenCL driver", f->opencl.vendors_override.value);
}

/* A vendor's OpenCL driver on disk that nobody registered; NULL: none. */
static const fh_library *unregistered_driver(const fh_facts *f) {
  static const char *const names[] = {"libnvidia-opencl.so.1", "libigdrcl.so", "libamdocl64.so", "libpocl.so.2", "libpocl.so"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const fh_library *library = fh_facts_library(f, names[i]);
    if (library->valid == FH_VALID) return library;
  }
  return NULL;
}

void fh_rule_no_icd_file(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *loader = fh_facts_library(f, "libOpenCL.so.1"), *driver = unregistered_driver(f);
  fh_case c = fh_case_open(judgement, cause);
  if (f->opencl.vendors_override.valid == FH_VALID ||
      !fh_case_saw(&c, f->opencl.vendors_valid != FH_UNKNOWN_FACT && f->opencl.count == 0, "/etc/OpenCL/vendors", "%s",
                   f->opencl.vendors_valid == FH_ABSENT ? "no such directory" : "no .icd file") ||
      !fh_case_saw(&c, loader->valid == FH_VALID, loader->real_path, "the OpenCL loader"))
    return;
  bool wanted = fh_case_saw(&c, driver != NULL, driver ? driver->real_path : "", "an OpenCL driver that is not registered") ||
                fh_cuda_usable_count(f) > 0;
  fh_case_conclude(
      &c, opencl_severity(judgement, wanted ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO), FH_CONSISTENT, "opencl",
      driver ? "the OpenCL driver %s is here, but no .icd file registers it" : "the OpenCL loader is here, no OpenCL driver is%s",
      driver ? driver->name : "");
}

/* The last part of a path: how devices of an ICD that gave none are named. */
static const char *icd_device(fh_judgement *judgement, const fh_icd *icd) {
  const char *slash = strrchr(icd->file, '/');
  return fh_arena_format(judgement->arena, "opencl:%s", slash ? slash + 1 : icd->file);
}

static bool broke(const fh_icd *icd) { return icd->crashed || icd->exited || icd->hung || icd->slow; }

void fh_rule_icd_lib_missing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    bool loaded = icd->asked == FH_VALID && !icd->error[0];
    if (broke(icd) || loaded || icd->code != 0 || icd->device_count > 0) continue;
    bool failed = icd->asked == FH_VALID; /* the child tried and kept the loader's words */
    if (!failed && icd->lib_valid != FH_ABSENT) continue;
    fh_case_saw(&c, true, icd->file, "names %s", icd->library);
    fh_case_saw(&c, icd->error[0], "dlopen", "%s", icd->error);
    fh_case_saw(&c, icd->lib_valid == FH_ABSENT, icd->library, "not found");
    const char *gone = icd->missing[0] ? icd->missing : icd->library;
    fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), failed ? FH_PROVEN : FH_CONSISTENT, icd_device(judgement, icd),
                     "%s names %s: cannot open %s", icd->file, icd->library, gone);
  }
}

void fh_rule_icd_crash(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!fh_case_saw(&c, broke(icd), icd->file, "names %s", icd->library)) continue;
    fh_case_saw(&c, icd->crashed, icd->library, "the process that asked it died of signal %d", icd->signal);
    fh_case_saw(&c, icd->exited, icd->library, "ended the process that asked it");
    fh_case_saw(&c, icd->hung || icd->slow, icd->library, "no answer within the time limit%s", icd->hung ? ", stuck in the kernel" : "");
    const char *how = icd->crashed ? "crashes" : icd->exited ? "ends the process" : icd->hung ? "hangs" : "does not answer in time";
    fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), icd->slow ? FH_CONSISTENT : FH_PROVEN, icd_device(judgement, icd),
                     "the OpenCL driver %s %s when it is asked for its devices", icd->library, how);
  }
}
