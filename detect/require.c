/* SPECs of require and --expect: read, measured, compared. SPDX-License-Identifier: Apache-2.0 */
#include "detect/require.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/parse.h"
#include "runtime/base/text.h"

typedef enum spec_kind { COUNT, BYTES, VERSION, ISA } spec_kind;
typedef enum spec_op { AT_LEAST, MORE, AT_MOST, LESS, EQUAL } spec_op;

enum { VERSION_PARTS = 4 };

/* A number, or a version of up to four parts. valid false: could not be measured. */
typedef struct measure {
  bool valid;
  double part[VERSION_PARTS];
} measure;

typedef struct spec {
  const struct spec_name *name;
  spec_op op;
  measure value;
  fh_isa isa;
} spec;

/* ---- what can be measured -------------------------------------------------------------------------------- */

static measure number(double value) { return (measure){.valid = true, .part = {value}}; }
static measure fact(fh_fact_int value) { return (measure){.valid = value.valid == FH_VALID, .part = {(double)value.value}}; }

static measure major_minor(int major, int minor, bool valid) { return (measure){.valid = valid, .part = {major, minor}}; }

static measure version_parse(const char *text, const char **out_end) {
  measure version = {.valid = isdigit((unsigned char)text[0]) != 0};
  const char *at = text;
  for (int i = 0; version.valid && i < VERSION_PARTS && isdigit((unsigned char)*at); i++) {
    version.part[i] = (double)strtoull(at, NULL, 10);
    at += strspn(at, "0123456789");
    if (*at == '.' && isdigit((unsigned char)at[1])) at++;
  }
  *out_end = at;
  return version;
}

static int usable_count(const fh_judgement *j, const char *backend, bool gpus_only) {
  int count = 0;
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *device = &j->devices[i];
    if (!device->usable || device->fake || strcmp(device->backend, backend) != 0) continue;
    count += !gpus_only || (strcmp(device->kind, "gpu") == 0 && !device->posing);
  }
  return count;
}

static measure measure_cuda(const fh_judgement *j) { return number(usable_count(j, "cuda", true)); }
static measure measure_opencl(const fh_judgement *j) { return number(usable_count(j, "opencl", false)); }

static measure measure_gpu(const fh_judgement *j) { return number(fh_judgement_usable_gpus(j)); }
static measure measure_nvidia(const fh_judgement *j) { return number(fh_judgement_usable_of(j, FH_NVIDIA_GPU)); }
static measure measure_amd(const fh_judgement *j) { return number(fh_judgement_usable_of(j, FH_AMD_GPU)); }
static measure measure_intel(const fh_judgement *j) { return number(fh_judgement_usable_of(j, FH_INTEL_GPU)); }
static measure measure_npu(const fh_judgement *j) { return number(fh_judgement_usable_of(j, FH_INTEL_NPU)); }

static measure measure_memory(const fh_judgement *j) { return fact(j->facts->memory.usable); }
static measure measure_cpus(const fh_judgement *j) { return fact(j->facts->cpu.usable); }

/* The best of all usable GPUs. */
static measure measure_gpu_memory(const fh_judgement *j) {
  measure best = {0};
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *device = &j->devices[i];
    if (device->usable && !device->fake && !device->posing && strcmp(device->kind, "gpu") == 0 && (double)device->memory > best.part[0])
      best = number((double)device->memory);
  }
  return best;
}

static measure measure_capability(const fh_judgement *j) {
  int best = 0;
  for (int i = 0; i < j->device_count; i++)
    if (j->devices[i].usable && !j->devices[i].fake && j->devices[i].capability > best) best = j->devices[i].capability;
  return major_minor(best / 10, best % 10, best > 0);
}

static measure measure_driver(const fh_judgement *j) {
  const char *end;
  const fh_fact_text *version = &j->facts->nvidia.nvrm_version;
  return version->valid == FH_VALID ? version_parse(version->value, &end) : (measure){0};
}

static measure measure_cuda_version(const fh_judgement *j) {
  const fh_cuda_answer *cuda = &j->facts->nvidia.cuda;
  bool valid = cuda->valid == FH_VALID && !cuda->fake && cuda->version > 0;
  return major_minor(cuda->version / 1000, cuda->version % 1000 / 10, valid);
}

typedef struct spec_name {
  const char *name;
  spec_kind kind;
  bool bare; /* may stand alone: at least one */
  fh_wanted wanted;
  fh_family family;
  measure (*measure)(const fh_judgement *);
  const char *noun;    /* of what was found */
  const char *devices; /* findings about it: how their device starts, space separated */
  const char *causes;  /* and of these ids, in the same way */
  const char *example; /* for the message about a wrong one */
} spec_name;

#define NVIDIA FH_WANTS_FAMILY, FH_NVIDIA_GPU
#define NOTHING FH_WANTS_NO_DEVICE, FH_FAMILY_COUNT
static const spec_name names[] = {
    {"gpu", COUNT, true, FH_WANTS_GPU, FH_FAMILY_COUNT, measure_gpu, "usable GPUs", "cuda amd intel", "", "gpu"},
    {"nvidia", COUNT, true, NVIDIA, measure_nvidia, "usable NVIDIA GPUs", "cuda", "", "nvidia"},
    {"amd", COUNT, true, FH_WANTS_FAMILY, FH_AMD_GPU, measure_amd, "usable AMD GPUs", "amd", "", "amd"},
    {"intel", COUNT, true, FH_WANTS_FAMILY, FH_INTEL_GPU, measure_intel, "usable Intel GPUs", "intel", "", "intel"},
    {"npu", COUNT, true, FH_WANTS_FAMILY, FH_INTEL_NPU, measure_npu, "usable neural processors", "npu", "", "npu"},
    {"cuda", COUNT, true, NVIDIA, measure_cuda, "usable CUDA devices", "cuda", "", "cuda>=2"},
    {"opencl", COUNT, true, NOTHING, measure_opencl, "usable OpenCL devices", "opencl", "", "opencl"},
    {"memory", BYTES, false, NOTHING, measure_memory, "bytes of memory", "", "CG-MEM", "memory>=40GiB"},
    {"gpu-memory", BYTES, false, FH_WANTS_GPU, FH_FAMILY_COUNT, measure_gpu_memory, "bytes of GPU memory", "cuda amd intel", "",
     "gpu-memory>=20GiB"},
    {"driver", VERSION, false, NVIDIA, measure_driver, "NVIDIA driver", "cuda", "CU-DRIVER-TOO-OLD", "driver>=550"},
    {"cuda-version", VERSION, false, NVIDIA, measure_cuda_version, "CUDA version", "cuda", "CU-DRIVER-TOO-OLD", "cuda-version>=12.4"},
    {"capability", VERSION, false, NVIDIA, measure_capability, "compute capability", "cuda", "", "capability>=8.0"},
    {"isa", ISA, false, NOTHING, NULL, "instruction set", "", "CPU-ISA", "isa=avx2"},
    {"cpus", COUNT, false, NOTHING, measure_cpus, "usable CPUs", "", "CG-QUOTA CG-CPUSET", "cpus>=4"},
};
#undef NVIDIA
#undef NOTHING
enum { NAME_COUNT = sizeof(names) / sizeof(names[0]) };

/* ---- reading ------------------------------------------------------------------------------------------------ */

static size_t name_length(const char *text) { return strcspn(text, "<>= "); }

bool fh_spec_is(const char *text, const char *name) { return name_length(text) == strlen(name) && strncmp(text, name, strlen(name)) == 0; }

static fh_status wrong(const char *text, const char *problem) {
  fh_text examples = {0};
  for (int i = 0; i < NAME_COUNT; i++) fh_text_add(&examples, "%s%s", i ? ", " : "", names[i].example);
  fh_status status = FH_STATUS(FH_INVALID_ARGUMENT, "'%.60s' is not a condition: %s; one is, for example: %s", text, problem,
                               examples.data ? examples.data : "gpu");
  fh_text_free(&examples);
  return status;
}

static const char *op_parse(const char *at, spec_op *out_op) {
  static const struct {
    const char *text;
    spec_op op;
  } ops[] = {{">=", AT_LEAST}, {"<=", AT_MOST}, {"==", EQUAL}, {">", MORE}, {"<", LESS}, {"=", EQUAL}};
  for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
    if (strncmp(at, ops[i].text, strlen(ops[i].text)) == 0) {
      *out_op = ops[i].op;
      return at + strlen(ops[i].text);
    }
  return NULL;
}

/* "40GiB", "512MB", "1024" */
static measure bytes_parse(const char *text, const char **out_end) {
  static const struct {
    const char *unit;
    double factor;
  } units[] = {{"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
               {"kB", 1e3},     {"KB", 1e3},        {"MB", 1e6},           {"GB", 1e9},
               {"TB", 1e12},    {"B", 1.0}};
  size_t digits = strspn(text, "0123456789.");
  char *end = NULL;
  double value = strtod(text, &end);
  *out_end = text + digits;
  if (digits == 0 || end != text + digits) return (measure){0};
  for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
    if (strcmp(end, units[i].unit) == 0) {
      *out_end = end + strlen(units[i].unit);
      return number(value * units[i].factor);
    }
  return number(value);
}

static bool value_parse(const char *text, spec *out) {
  const char *end = text;
  switch (out->name->kind) {
    case ISA:
      return (out->op == EQUAL || out->op == AT_LEAST) && fh_isa_parse(text, &out->isa);
    case BYTES:
      out->value = bytes_parse(text, &end);
      break;
    case VERSION:
      out->value = version_parse(text, &end);
      break;
    case COUNT:
      end = text + strspn(text, "0123456789");
      if (end > text && end - text <= 9) out->value = number(strtod(text, NULL));
      break;
  }
  return out->value.valid && *end == 0;
}

static fh_status spec_parse(const char *text, spec *out) {
  *out = (spec){.op = AT_LEAST, .value = number(1)};
  for (int i = 0; i < NAME_COUNT; i++)
    if (fh_spec_is(text, names[i].name)) out->name = &names[i];
  if (!out->name) return wrong(text, "its name is unknown");
  const char *at = text + name_length(text);
  if (!*at) return out->name->bare ? FH_OK : wrong(text, "it needs a value");
  at = op_parse(at, &out->op);
  if (!at) return wrong(text, "after the name one of >= > = < <= is expected");
  out->value = (measure){0};
  return value_parse(at, out) ? FH_OK : wrong(text, "its value cannot be read");
}

fh_status fh_spec_check(const char *text, fh_wanted *out_wanted, fh_family *out_family) {
  spec parsed;
  FH_TRY(spec_parse(text, &parsed));
  *out_wanted = parsed.name->wanted;
  *out_family = parsed.name->family;
  return FH_OK;
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static int compare(const measure *a, const measure *b) {
  for (int i = 0; i < VERSION_PARTS; i++)
    if (a->part[i] != b->part[i]) return a->part[i] < b->part[i] ? -1 : 1;
  return 0;
}

static bool isa_usable(const fh_facts_cpu *cpu, fh_isa isa) {
  const fh_facts_isa *set = &cpu->isa[isa];
  return isa == FH_ISA_SCALAR || (set->advertised && set->enabled && !(set->proven.valid == FH_VALID && !set->proven.value));
}

static bool holds(const fh_judgement *j, const spec *s, measure *found) {
  if (s->name->kind == ISA) return isa_usable(&j->facts->cpu, s->isa);
  *found = s->name->measure(j);
  if (!found->valid) return false;
  int order = compare(found, &s->value);
  switch (s->op) {
    case AT_LEAST:
      return order >= 0;
    case MORE:
      return order > 0;
    case AT_MOST:
      return order <= 0;
    case LESS:
      return order < 0;
    case EQUAL:
      return order == 0;
  }
  return false;
}

static void describe(const fh_judgement *j, const spec *s, const measure *found, char *out, size_t size) {
  const double GiB = 1073741824.0;
  if (s->name->kind == ISA)
    snprintf(out, size, "best usable %s is %s", s->name->noun, fh_isa_name(j->facts->cpu.best));
  else if (!found->valid)
    snprintf(out, size, "%s: not known here", s->name->noun);
  else if (s->name->kind == BYTES)
    snprintf(out, size, "%.2f GiB (%.0f %s)", found->part[0] / GiB, found->part[0], s->name->noun);
  else if (s->name->kind == VERSION)
    snprintf(out, size, "%s %.0f.%.0f", s->name->noun, found->part[0], found->part[1]);
  else
    snprintf(out, size, "%.0f %s", found->part[0], s->name->noun);
}

/* Why a driver that could have told of such devices was not asked; NULL: all were. */
static const char *why_unasked(const fh_facts *f, const char *devices) {
  static const struct {
    const char *device, *question;
  } drivers[] = {{"cuda", "cuda"}, {"amd", "hsa"}, {"intel", "level-zero"}, {"npu", "level-zero"}, {"opencl", "opencl:"}};
  for (size_t d = 0; d < sizeof drivers / sizeof drivers[0]; d++)
    for (int i = 0; i < f->unasked_count && fh_word_in(devices, " ", drivers[d].device); i++)
      if (strncmp(f->unasked[i].question, drivers[d].question, strlen(drivers[d].question)) == 0) return f->unasked[i].why;
  return NULL;
}

static bool id_in(const char *prefixes, const char *id) {
  for (const char *at = prefixes; *at;) {
    size_t size = strcspn(at, " ");
    if (strncmp(id, at, size) == 0) return true;
    at += size + (at[size] == ' ');
  }
  return false;
}

static const char *cause_of(const fh_judgement *j, const spec_name *name) {
  for (int i = 0; i < j->finding_count; i++) {
    const fh_finding *finding = &j->findings[i];
    if ((finding->device && id_in(name->devices, finding->device)) || id_in(name->causes, finding->cause->id)) return finding->cause->id;
  }
  return NULL;
}

fh_status fh_judgement_require(const fh_judgement *judgement, const char *text, bool *out_met, fh_unmet *out_unmet) {
  spec parsed;
  measure found = {0};
  FH_TRY(spec_parse(text, &parsed));
  *out_met = holds(judgement, &parsed, &found);
  if (*out_met || !out_unmet) return FH_OK;
  *out_unmet = (fh_unmet){.cause = cause_of(judgement, parsed.name)};
  snprintf(out_unmet->spec, sizeof(out_unmet->spec), "%s", text);
  describe(judgement, &parsed, &found, out_unmet->found, sizeof(out_unmet->found));
  const char *why = why_unasked(judgement->facts, parsed.name->devices);
  size_t used = strlen(out_unmet->found);
  if (why) snprintf(out_unmet->found + used, sizeof(out_unmet->found) - used, "; a driver was not asked: %s", why);
  return FH_OK;
}
