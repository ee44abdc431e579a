/* Rules about instruction sets. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

void fh_rule_isa_xcr0(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  const char *worst = NULL;
  bool tried = false;
  if (f->cpu.xcr0_valid == FH_UNKNOWN_FACT) return;
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    const fh_facts_isa *set = &f->cpu.isa[isa];
    if (!fh_case_saw(&c, set->advertised && !set->enabled, "CPUID", "%s announced", fh_isa_name((fh_isa)isa))) continue;
    if (!worst) worst = fh_isa_name((fh_isa)isa);
    tried |= fh_case_saw(&c, fh_is_false(set->proven), "trial run", "%s: illegal instruction", fh_isa_name((fh_isa)isa));
  }
  bool only_amx = !worst && fh_case_saw(&c, f->cpu.amx.advertised && !f->cpu.amx.enabled, "CPUID", "AMX announced");
  if (!worst && !only_amx) return;
  if (f->cpu.xcr0_valid == FH_VALID)
    fh_case_saw(&c, true, "XGETBV", "XCR0 = 0x%llx: its registers are not enabled", (unsigned long long)f->cpu.xcr0);
  else
    fh_case_saw(&c, true, "CPUID", "OSXSAVE is off: the system saves no vector registers");
  fh_case_conclude(&c, only_amx ? FH_SEVERITY_INFO : FH_SEVERITY_WARNING, tried ? FH_PROVEN : FH_CONSISTENT, NULL,
                   "the processor announces %s, the operating system has not enabled it", only_amx ? "AMX" : worst);
}

/* ---- masked by a hypervisor -------------------------------------------------------------------------------------- */

/* What a real processor of this family and model has. */
static const struct {
  const char *vendor;
  int family, model_first, model_last;
  fh_isa isa;
} known_models[] = {
    {"GenuineIntel", 6, 85, 85, FH_ISA_AVX512},        /* Skylake-SP, Cascade Lake, Cooper Lake */
    {"GenuineIntel", 6, 106, 106, FH_ISA_AVX512},      /* Ice Lake-SP */
    {"GenuineIntel", 6, 108, 108, FH_ISA_AVX512},      /* Ice Lake-D */
    {"GenuineIntel", 6, 143, 143, FH_ISA_AVX512},      /* Sapphire Rapids */
    {"GenuineIntel", 6, 207, 207, FH_ISA_AVX512},      /* Emerald Rapids */
    {"GenuineIntel", 6, 173, 174, FH_ISA_AVX512},      /* Granite Rapids */
    {"GenuineIntel", 6, 60, 61, FH_ISA_AVX2},          /* Haswell, Broadwell */
    {"GenuineIntel", 6, 63, 63, FH_ISA_AVX2},          /* Haswell-EP */
    {"GenuineIntel", 6, 79, 79, FH_ISA_AVX2},          /* Broadwell-EP */
    {"GenuineIntel", 6, 86, 86, FH_ISA_AVX2},          /* Broadwell-D */
    {"AuthenticAMD", 0x17, 0, 0xff, FH_ISA_AVX2},      /* Zen, Zen 2 */
    {"AuthenticAMD", 0x19, 0x10, 0x1f, FH_ISA_AVX512}, /* Zen 4 */
    {"AuthenticAMD", 0x19, 0xa0, 0xaf, FH_ISA_AVX512}, /* Zen 4c */
    {"AuthenticAMD", 0x19, 0, 0xff, FH_ISA_AVX2},      /* Zen 3 and the rest */
    {"AuthenticAMD", 0x1a, 0, 0xff, FH_ISA_AVX512},    /* Zen 5 */
};

/* The small brothers of a generation, which lack vector instructions for good. */
static bool is_cut_down(const fh_fact_text *model) {
  return model->valid == FH_VALID && (strstr(model->value, "Pentium") || strstr(model->value, "Celeron"));
}

static bool known_to_have(const fh_facts_cpu *cpu, fh_isa *out_isa) {
  if (is_cut_down(&cpu->model) || cpu->vendor.valid != FH_VALID || cpu->family.valid != FH_VALID || cpu->model_number.valid != FH_VALID)
    return false;
  for (size_t i = 0; i < sizeof(known_models) / sizeof(known_models[0]); i++)
    if (strcmp(known_models[i].vendor, cpu->vendor.value) == 0 && cpu->family.value == known_models[i].family &&
        cpu->model_number.value >= known_models[i].model_first && cpu->model_number.value <= known_models[i].model_last) {
      *out_isa = known_models[i].isa;
      return true;
    }
  return false;
}

/* A made-up model name of a hypervisor. */
static bool is_generic_model(const fh_fact_text *model) {
  static const char *const names[] = {"QEMU Virtual CPU", "QEMU TCG CPU", "Common KVM processor", "Common 32-bit KVM", "kvm64", "qemu64"};
  if (model->valid != FH_VALID) return false;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    if (strstr(model->value, names[i])) return true;
  return false;
}

void fh_rule_isa_masked(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  fh_isa has = FH_ISA_AVX2;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_cpu_is_emulated(judgement->facts)) return; /* an invented processor has no real one behind it */
  if (!fh_case_saw(&c, fh_is_true(judgement->facts->where.hypervisor), judgement->facts->where.hypervisor.source, "a virtual machine"))
    return;
  bool known = known_to_have(cpu, &has), generic = !known && is_generic_model(&cpu->model);
  if ((known || generic) && fh_case_saw(&c, true, cpu->model.source, "%s", cpu->model.value) &&
      fh_case_saw(&c, cpu->vendor.valid == FH_VALID && !cpu->isa[has].advertised, "CPUID", "no %s", fh_isa_name(has)))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "this virtual machine hides %s of %s", fh_isa_name(has),
                     generic ? "the real processor behind a generic model" : "the processor");
}

/* ---- announced, enabled, refused ------------------------------------------------------------------------------------ */

/* A driver's child that ended with an illegal instruction. */
static const char *driver_that_died(fh_case *c) {
  enum { ILLEGAL_INSTRUCTION = 4 };
  const fh_facts *f = c->facts;
  if (fh_case_saw(c, f->nvidia.cuda.crashed && f->nvidia.cuda.signal == ILLEGAL_INSTRUCTION, "cuda",
                  "the child ended with signal 4 (SIGILL)"))
    return "CUDA";
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    if (fh_case_saw(c, icd->crashed && icd->signal == ILLEGAL_INSTRUCTION, icd->file, "the child ended with signal 4 (SIGILL)"))
      return icd->library;
  }
  return NULL;
}

void fh_rule_sigill(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  const char *worst = NULL;
  fh_case c = fh_case_open(judgement, cause);
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    const fh_facts_isa *set = &cpu->isa[isa];
    if (fh_case_saw(&c, set->advertised && set->enabled && set->proven.valid == FH_VALID && !set->proven.value, set->proven.source,
                    "%s: announced, enabled, and an illegal instruction", fh_isa_name((fh_isa)isa)) &&
        !worst)
      worst = fh_isa_name((fh_isa)isa);
  }
  if (fh_case_saw(&c, cpu->amx.advertised && cpu->amx.enabled && cpu->amx.proven.valid == FH_VALID && !cpu->amx.proven.value,
                  cpu->amx.proven.source, "amx: announced, enabled, granted, and an illegal instruction") &&
      !worst)
    worst = "AMX";
  const char *driver = worst ? NULL : driver_that_died(&c);
  if (!worst && !driver) return;
  fh_case_saw(&c, fh_is_true(judgement->facts->where.hypervisor), judgement->facts->where.hypervisor.source, "a virtual machine");
  if (worst)
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_PROVEN, NULL, "%s is announced and enabled, and using it is refused", worst);
  else
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "the driver %s uses instructions that this processor (%s) lacks", driver,
                     fh_isa_name(cpu->best));
}

/* ---- AMX, which must be asked for ------------------------------------------------------------------------------------- */

/* "5.15.153.1" is before 5.16; false for what cannot be read. */
static bool kernel_before(const fh_facts *f, int major, int minor) {
  int64_t have_major, have_minor;
  const char *at = f->where.kernel.value;
  return f->where.kernel.valid == FH_VALID && fh_take_i64(&at, &have_major) && *at++ == '.' && fh_take_i64(&at, &have_minor) &&
         (have_major < major || (have_major == major && have_minor < minor));
}

void fh_rule_amx_perm(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_int *request = &f->cpu.amx_request;
  fh_case c = fh_case_open(judgement, cause);
  if (request->valid != FH_VALID || !request->value ||
      !fh_case_saw(&c, f->cpu.amx.advertised && f->cpu.amx.enabled, "CPUID, XCR0", "AMX announced and enabled"))
    return;
  fh_case_saw(&c, true, request->source, "%s", fh_errno_name((int)request->value));
  if (request->value == EPERM) {
    bool filter =
        fh_case_saw(&c, f->where.seccomp.valid == FH_VALID && f->where.seccomp.value == 2, f->where.seccomp.source, "Seccomp: 2, a filter");
    fh_case_conclude(&c, FH_SEVERITY_INFO, filter ? FH_PROVEN : FH_CONSISTENT, NULL,
                     "a system call filter refuses programs the use of AMX");
  } else if (request->value == EINVAL &&
             fh_case_saw(&c, kernel_before(f, 5, 16), f->where.kernel.source, "Linux %s", f->where.kernel.value)) {
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "this kernel is too old to grant programs the use of AMX");
  } else {
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_POSSIBLE, NULL, "the system does not grant programs the use of AMX");
  }
}

/* ---- settings that keep libraries below ------------------------------------------------------------------------------- */

/* What a variable's value allows; names without a line here allow all. */
static const struct {
  const char *variable, *value;
  fh_isa most;
} caps[] = {
    {"ONEDNN_MAX_CPU_ISA", "SSE41", FH_ISA_SSE42},
    {"ONEDNN_MAX_CPU_ISA", "AVX", FH_ISA_SSE42},
    {"ONEDNN_MAX_CPU_ISA", "AVX2", FH_ISA_AVX2},
    {"ONEDNN_MAX_CPU_ISA", "AVX2_VNNI", FH_ISA_AVX2},
    {"OPENBLAS_CORETYPE", "Prescott", FH_ISA_SSE42},
    {"OPENBLAS_CORETYPE", "Core2", FH_ISA_SSE42},
    {"OPENBLAS_CORETYPE", "Nehalem", FH_ISA_SSE42},
    {"OPENBLAS_CORETYPE", "Sandybridge", FH_ISA_SSE42},
    {"OPENBLAS_CORETYPE", "Haswell", FH_ISA_AVX2},
    {"OPENBLAS_CORETYPE", "Zen", FH_ISA_AVX2},
    {"ATEN_CPU_CAPABILITY", "default", FH_ISA_SSE42},
    {"ATEN_CPU_CAPABILITY", "avx2", FH_ISA_AVX2},
    {"MKL_ENABLE_INSTRUCTIONS", "SSE4_2", FH_ISA_SSE42},
    {"MKL_ENABLE_INSTRUCTIONS", "AVX", FH_ISA_SSE42},
    {"MKL_ENABLE_INSTRUCTIONS", "AVX2", FH_ISA_AVX2},
    {"FOGHORN_ISA", "scalar", FH_ISA_SCALAR},
    {"FOGHORN_ISA", "sse42", FH_ISA_SSE42},
    {"FOGHORN_ISA", "avx2", FH_ISA_AVX2},
};

void fh_rule_isa_build_gap(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_facts_isa *best = &f->cpu.isa[f->cpu.best];
  fh_isa least = f->cpu.best;
  fh_case c = fh_case_open(judgement, cause);
  if ((f->cpu.best != FH_ISA_AVX2 && f->cpu.best != FH_ISA_AVX512) ||
      !fh_case_saw(&c, fh_is_true(best->proven), best->proven.source, "%s works", fh_isa_name(f->cpu.best)))
    return;
  for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
    const char *value = fh_facts_env(f, caps[i].variable);
    if (fh_case_saw(&c, value && strcasecmp(value, caps[i].value) == 0 && caps[i].most < f->cpu.best, caps[i].variable, "%s",
                    value ? value : "") &&
        caps[i].most < least)
      least = caps[i].most;
  }
  if (least < f->cpu.best)
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "a variable keeps libraries at %s, the processor can do %s",
                     fh_isa_name(least), fh_isa_name(f->cpu.best));
}
