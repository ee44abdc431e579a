/* A judgement as JSON, schema foghorn.devprobe/1 (docs/devprobe.schema.json). SPDX-License-Identifier: Apache-2.0
 * What is not known is null, never zero. */
#include "detect/findings.h"
#include "detect/judge.h"
#include "runtime/base/json.h"

/* Puts a value that may be NULL for want of memory; the first such failure is kept. */
static void put(json_t *object, const char *key, json_t *take_value, bool *failed) {
  if (json_object_set_new(object, key, take_value) != 0) *failed = true;
}

static void append(json_t *array, json_t *take_value, bool *failed) {
  if (json_array_append_new(array, take_value) != 0) *failed = true;
}

static json_t *integer_or_null(bool known, int64_t value) { return known ? json_integer(value) : json_null(); }
static json_t *fact_integer(fh_fact_int fact) { return integer_or_null(fact.valid == FH_VALID, fact.value); }
static json_t *fact_text(fh_fact_text fact) { return fh_json_text(fact.valid == FH_VALID ? fact.value : NULL); }
static json_t *fact_boolean(fh_fact_bool fact) { return fact.valid == FH_VALID ? json_boolean(fact.value) : json_null(); }
static json_t *text_or_null(const char *text) { return fh_json_text(text && text[0] ? text : NULL); }

static const char *confidence_name(fh_confidence confidence) {
  static const char *const names[] = {"possible", "consistent", "proven"};
  return names[confidence];
}

static const char *severity_name(fh_severity severity) {
  static const char *const names[] = {"info", "warning", "error"};
  return names[severity];
}

static json_t *platform_json(const fh_facts *f, bool *failed) {
  json_t *platform = json_object();
  put(platform, "kind", json_string(fh_platform_key(f->where.platform)), failed);
  put(platform, "name", fh_json_text(f->where.platform_name), failed);
  put(platform, "source", fh_json_text(f->where.platform_source), failed);
  put(platform, "container", json_boolean(f->where.container), failed);
  put(platform, "hypervisor", fact_boolean(f->where.hypervisor), failed);
  put(platform, "kernel", fact_text(f->where.kernel), failed);
  put(platform, "machine", fact_text(f->where.machine), failed);
  return platform;
}

static json_t *one_isa_json(const char *name, const fh_facts_isa *set, bool *failed) {
  json_t *one = json_object();
  put(one, "name", json_string(name), failed);
  put(one, "advertised", json_true(), failed);
  put(one, "enabled", json_boolean(set->enabled), failed);
  put(one, "proven", fact_boolean(set->proven), failed);
  return one;
}

static json_t *isa_json(const fh_facts_cpu *cpu, bool *failed) {
  json_t *sets = json_array();
  for (int i = FH_ISA_SCALAR + 1; i < FH_ISA_COUNT; i++)
    if (cpu->isa[i].advertised) append(sets, one_isa_json(fh_isa_name((fh_isa)i), &cpu->isa[i], failed), failed);
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    if (cpu->feature[i].advertised) append(sets, one_isa_json(fh_cpu_feature_name((fh_cpu_feature)i), &cpu->feature[i], failed), failed);
  if (!cpu->amx.advertised) return sets;
  json_t *amx = one_isa_json("amx", &cpu->amx, failed); /* the only one that a program must ask for */
  put(amx, "permitted", cpu->amx_request.valid == FH_VALID ? json_boolean(cpu->amx_request.value == 0) : json_null(), failed);
  append(sets, amx, failed);
  return sets;
}

static const char *cgroup_name(fh_cgroup_mode mode) {
  switch (mode) {
    case FH_CGROUP_V1:
      return "v1";
    case FH_CGROUP_V2:
      return "v2";
    case FH_CGROUP_HYBRID:
      return "hybrid";
    case FH_CGROUP_NONE:
      break;
  }
  return "none";
}

static json_t *cpu_json(const fh_facts *f, bool *failed) {
  const fh_facts_cpu *facts = &f->cpu;
  json_t *cpu = json_object();
  put(cpu, "model", fact_text(facts->model), failed);
  put(cpu, "isa", json_string(fh_isa_name(facts->best)), failed);
  put(cpu, "isas", isa_json(facts, failed), failed);
  put(cpu, "usable", fact_integer(facts->usable), failed);
  put(cpu, "online", fact_integer(facts->online), failed);
  put(cpu, "affinity", fact_text(facts->affinity), failed);
  put(cpu, "cpuset", fact_text(facts->cpuset), failed);
  put(cpu, "quota", fact_integer(facts->quota_cpus), failed);
  put(cpu, "quota_level", facts->quota_cpus.valid == FH_VALID ? text_or_null(facts->quota_level) : json_null(), failed);
  put(cpu, "packages", fact_integer(facts->packages), failed);
  put(cpu, "cores", fact_integer(facts->cores), failed);
  put(cpu, "numa_nodes", fact_integer(facts->numa_nodes), failed);
  put(cpu, "cgroup", json_string(cgroup_name(f->cgroup.mode)), failed);
  return cpu;
}

static json_t *memory_json(const fh_facts_memory *facts, bool *failed) {
  json_t *memory = json_object();
  put(memory, "total_bytes", fact_integer(facts->total), failed);
  put(memory, "available_bytes", fact_integer(facts->available), failed);
  put(memory, "limit_bytes", fact_integer(facts->limit), failed);
  put(memory, "limit_level", facts->limit.valid == FH_VALID ? text_or_null(facts->limit_level) : json_null(), failed);
  put(memory, "usable_bytes", fact_integer(facts->usable), failed);
  return memory;
}

static json_t *link_json(const fh_pci_link *link, bool *failed) {
  if (!link->generation && !link->most_generation && !link->width && !link->most_width) return json_null();
  json_t *object = json_object();
  put(object, "generation", integer_or_null(link->generation > 0, link->generation), failed);
  put(object, "width", integer_or_null(link->width > 0, link->width), failed);
  put(object, "max_generation", integer_or_null(link->most_generation > 0, link->most_generation), failed);
  put(object, "max_width", integer_or_null(link->most_width > 0, link->most_width), failed);
  return object;
}

static json_t *measured_link_json(const fh_measured_link *link) {
  return json_pack("{sf sf}", "to_device_bytes_per_s", link->to_device, "from_device_bytes_per_s", link->from_device);
}

static json_t *measured_limits_json(const fh_measured_limits *limits) {
  json_t *object = json_object();
  if (limits->bytes > 0) json_object_set_new(object, "memory_bytes_per_s", json_real(limits->bytes));
  if (limits->flops > 0) json_object_set_new(object, "f32_flops_per_s", json_real(limits->flops));
  return object;
}

static json_t *device_json(const fh_found_device *found, bool *failed) {
  json_t *device = json_object();
  put(device, "id", fh_json_text(found->id), failed);
  put(device, "kind", fh_json_text(found->kind), failed);
  put(device, "backend", fh_json_text(found->backend), failed);
  put(device, "name", fh_json_text(found->name), failed);
  put(device, "usable", json_boolean(found->usable), failed);
  put(device, "cause", fh_json_text(found->cause), failed);
  put(device, "confidence", found->cause ? json_string(confidence_name(found->confidence)) : json_null(), failed);
  put(device, "detail", fh_json_text(found->detail), failed);
  put(device, "fake", json_boolean(found->fake), failed);
  put(device, "posing", json_boolean(found->posing), failed);
  put(device, "memory_bytes", integer_or_null(found->memory >= 0, found->memory), failed);
  put(device, "capability", integer_or_null(found->capability > 0, found->capability), failed);
  put(device, "driver_version", integer_or_null(found->driver_version > 0, found->driver_version), failed);
  put(device, "uuid", text_or_null(found->uuid), failed);
  put(device, "pci", text_or_null(found->pci), failed);
  put(device, "link", link_json(&found->link, failed), failed);
  const bool measured = found->measured_link.to_device > 0 && found->measured_link.from_device > 0;
  if (measured) put(device, "measured_link", measured_link_json(&found->measured_link), failed);
  if (found->measured_limits.bytes > 0 || found->measured_limits.flops > 0)
    put(device, "measured_limits", measured_limits_json(&found->measured_limits), failed);
  return device;
}

static json_t *finding_json(const fh_finding *found, bool *failed) {
  json_t *finding = json_object(), *evidence = json_array(), *remedy = json_array(), *next = json_array();
  for (int i = 0; i < found->evidence_count; i++) {
    json_t *one = json_object();
    put(one, "source", fh_json_text(found->evidence[i].source), failed);
    put(one, "value", fh_json_text(found->evidence[i].value), failed);
    append(evidence, one, failed);
  }
  for (int i = 0; i < found->remedy_count; i++) append(remedy, fh_json_text(found->remedies[i]), failed);
  for (int i = 0; i < found->next_count; i++) append(next, fh_json_text(found->next[i]), failed);
  put(finding, "id", json_string(found->cause->id), failed);
  put(finding, "severity", json_string(severity_name(found->severity)), failed);
  put(finding, "confidence", json_string(confidence_name(found->confidence)), failed);
  put(finding, "device", fh_json_text(found->device), failed);
  put(finding, "summary", fh_json_text(found->summary), failed);
  put(finding, "evidence", evidence, failed);
  put(finding, "remedy", remedy, failed);
  put(finding, "next", next, failed);
  return finding;
}

static json_t *expected_json(const fh_judgement *judgement, bool *failed) {
  static const char *const levels[] = {"none", "circumstantial", "intent", "user"};
  json_t *expected = json_object(), *specs = json_array();
  for (int i = 0; i < judgement->expected_count; i++) append(specs, fh_json_text(judgement->expected[i]), failed);
  const fh_expected *gpu = fh_judgement_expected_gpu(judgement);
  put(expected, "gpu", json_string(levels[gpu->level]), failed);
  put(expected, "source", text_or_null(gpu->source), failed);
  for (int i = 0; i < FH_FAMILY_COUNT; i++)
    put(expected, fh_family_in_words((fh_family)i)->spec, json_string(levels[judgement->expects[i].level]), failed);
  put(expected, "specs", specs, failed);
  return expected;
}

static json_t *unasked_json(const fh_facts *f, bool *failed) {
  json_t *unasked = json_array();
  for (int i = 0; i < f->unasked_count; i++) {
    json_t *one = json_object();
    put(one, "question", fh_json_text(f->unasked[i].question), failed);
    put(one, "why", fh_json_text(f->unasked[i].why), failed);
    append(unasked, one, failed);
  }
  return unasked;
}

fh_status fh_judgement_json(const fh_judgement *judgement, char **out_json) {
  bool failed = false;
  json_t *root = json_object(), *devices = json_array(), *findings = json_array();
  for (int i = 0; i < judgement->device_count; i++) append(devices, device_json(&judgement->devices[i], &failed), &failed);
  for (int i = 0; i < judgement->finding_count; i++) append(findings, finding_json(&judgement->findings[i], &failed), &failed);
  put(root, "schema", json_string("foghorn.devprobe/1"), &failed);
  put(root, "verdict", json_string(judgement->verdict), &failed);
  put(root, "headline", fh_json_text(judgement->headline), &failed);
  put(root, "wrong", json_boolean(judgement->wrong), &failed);
  put(root, "expected", expected_json(judgement, &failed), &failed);
  put(root, "platform", platform_json(judgement->facts, &failed), &failed);
  put(root, "cpu", cpu_json(judgement->facts, &failed), &failed);
  put(root, "memory", memory_json(&judgement->facts->memory, &failed), &failed);
  put(root, "devices", devices, &failed);
  put(root, "findings", findings, &failed);
  put(root, "unasked", unasked_json(judgement->facts, &failed), &failed);
  *out_json = NULL;
  if (failed)
    json_decref(root);
  else
    *out_json = fh_json_print(root);
  return *out_json ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory to write the report as JSON");
}
