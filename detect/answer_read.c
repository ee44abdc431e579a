/* What a child answered, put into facts. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/answer_object.h"
#include "detect/parse.h"

static void read_cuda_device(fh_gather *g, const json_t *object, void *into) {
  fh_cuda_device *d = into;
  d->name = fh_answer_text(g, object, "name");
  d->uuid = fh_answer_text(g, object, "uuid");
  d->pci = fh_answer_text(g, object, "pci");
  d->capability = fh_answer_int(object, "capability", 0);
  d->memory_total = fh_answer_number(object, "memory_total", -1);
  d->memory_free = fh_answer_number(object, "memory_free", -1);
  d->multiprocessors = fh_answer_int(object, "multiprocessors", 0);
  d->context_code = fh_answer_int(object, "context_code", -1);
  d->usable = d->context_code == 0;
}

void fh_answer_read_cuda(fh_gather *g, const fh_os_answer *answer, fh_cuda_answer *out) {
  json_t *object = fh_answer_object(answer->json);
  fh_driver_answer_read(g, answer, object, &out->child);
  out->init_code = fh_answer_int(object, "init_code", -1);
  out->init_name = fh_answer_text(g, object, "init_name");
  out->init_ns = fh_answer_number(object, "init_ns", 0);
  out->count_code = fh_answer_int(object, "count_code", -1);
  out->count = fh_answer_int(object, "count", -1);
  out->version = fh_answer_int(object, "version", -1);
  out->devices = fh_answer_devices(g, object, sizeof *out->devices, read_cuda_device, &out->device_count);
  json_decref(object);
}

static void read_cl_device(fh_gather *g, const json_t *object, void *into) {
  fh_cl_device *d = into;
  d->name = fh_answer_text(g, object, "name");
  d->vendor = fh_answer_text(g, object, "vendor");
  d->driver = fh_answer_text(g, object, "driver");
  d->version = fh_answer_text(g, object, "version");
  d->type = fh_answer_text(g, object, "type");
  d->memory = fh_answer_number(object, "memory", -1);
  d->compute_units = fh_answer_int(object, "compute_units", 0);
}

void fh_answer_read_icd(fh_gather *g, const fh_os_answer *answer, fh_icd *out) {
  json_t *object = fh_answer_object(answer->json);
  fh_answer_ending e = fh_answer_ending_of(answer, object);
  out->crashed = e.crashed, out->exited = e.exited, out->hung = e.hung, out->slow = e.slow;
  out->signal = answer->signal;
  if (json_object_size(object) > 0 || e.crashed || e.exited || e.hung || e.slow) out->asked = FH_VALID;
  const char *error = fh_answer_text(g, object, "error");
  if (*error) out->error = error;
  out->missing = fh_answer_text(g, object, "missing");
  out->code = fh_answer_int(object, "code", 0);
  out->platform = fh_answer_text(g, object, "platform");
  out->platform_version = fh_answer_text(g, object, "platform_version");
  if (json_is_string(json_object_get(object, "path"))) out->lib_valid = FH_VALID; /* the loader found it */
  out->devices = fh_answer_devices(g, object, sizeof *out->devices, read_cl_device, &out->device_count);
  json_decref(object);
}

static void read_proof(const json_t *object, const char *key, fh_facts_isa *isa) {
  const json_t *value = json_object_get(object, key);
  if (json_is_boolean(value)) isa->proven = fh_fact_bool_of(json_is_true(value), "trial instruction in a child");
}

void fh_answer_read_isa(fh_gather *g, const fh_os_answer *answer) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  json_t *object = fh_answer_object(answer->json);
  for (int i = FH_ISA_SCALAR; i < FH_ISA_COUNT; i++) read_proof(object, fh_isa_name((fh_isa)i), &cpu->isa[i]);
  for (int i = 0; i < FH_FEATURE_COUNT; i++) read_proof(object, fh_cpu_feature_name((fh_cpu_feature)i), &cpu->feature[i]);
  read_proof(object, "amx", &cpu->amx);
  const char *request = json_string_value(json_object_get(object, "amx_request"));
  int error = !request ? -1 : strcmp(request, "ok") == 0 ? 0 : fh_errno_parse(request);
  if (error >= 0) cpu->amx_request = fh_fact_int_of(error, "arch_prctl(ARCH_REQ_XCOMP_PERM)");
  json_decref(object);
  fh_cpu_choose_best(cpu);
}

void fh_answer_read_topology(fh_gather *g, const fh_os_answer *answer) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  struct {
    const char *key;
    fh_fact_int *fact;
  } numbers[] = {
      {"packages", &cpu->packages},
      {"cores", &cpu->cores},
      {"numa_nodes", &cpu->numa_nodes},
      {"l1d", &cpu->l1d_bytes},
      {"l2", &cpu->l2_bytes},
      {"l3", &cpu->l3_bytes},
      {"cores_allowed", &cpu->cores_allowed},
      {"fast_cores_allowed", &cpu->fast_cores_allowed},
      {"core_kinds", &cpu->core_kinds},
  };
  json_t *object = fh_answer_object(answer->json);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    int64_t value = fh_answer_number(object, numbers[i].key, -1);
    if (value > 0) *numbers[i].fact = fh_fact_int_of(value, "hwloc");
  }
  json_decref(object);
}

/* An attempt that ended the child is told by the signal: a filter may kill instead of refusing. */
void fh_answer_read_sandbox(fh_gather *g, const fh_os_answer *answer) {
  fh_facts_sandbox *sandbox = &g->facts->sandbox;
  struct {
    const char *call;
    fh_trial *trial;
  } trials[] = {{"memfd_create", &sandbox->memfd}, {"comm", &sandbox->comm}, {"exec_map", &sandbox->exec_map}, {"ioctl", &sandbox->ioctl}};
  json_t *object = fh_answer_object(answer->json);
  const char *calling = json_string_value(json_object_get(object, "calling"));
  bool killed = fh_answer_ending_of(answer, object).crashed;
  for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
    int64_t value = fh_answer_number(object, trials[i].call, -1);
    if (killed && calling && strcmp(calling, trials[i].call) == 0)
      value = -(int64_t)answer->signal;
    else if (value < 0 || value > INT16_MAX)
      continue;
    *trials[i].trial = fh_fact_int_of(value, "tried in a child");
  }
  json_decref(object);
}
