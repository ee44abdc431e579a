/* Rules about the processor. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

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

static bool known_to_have(const fh_facts_cpu *cpu, fh_isa *out_isa) {
  if (cpu->vendor.valid != FH_VALID || cpu->family.valid != FH_VALID || cpu->model_number.valid != FH_VALID) return false;
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
  if (!fh_case_saw(&c, fh_is_true(judgement->facts->where.hypervisor), judgement->facts->where.hypervisor.source, "a virtual machine"))
    return;
  bool known = known_to_have(cpu, &has), generic = !known && is_generic_model(&cpu->model);
  if ((known || generic) && fh_case_saw(&c, true, cpu->model.source, "%s", cpu->model.value) &&
      fh_case_saw(&c, cpu->vendor.valid == FH_VALID && !cpu->isa[has].advertised, "CPUID", "no %s", fh_isa_name(has)))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "this virtual machine hides %s of %s", fh_isa_name(has),
                     generic ? "the real processor behind a generic model" : "the processor");
}
