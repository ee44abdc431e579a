/* What a child answered, put into facts. SPDX-License-Identifier: Apache-2.0
 *
 * An answer is one JSON object after another; later ones add to earlier ones, so that a child that crashes has
 * still said how far it came. Types are checked: a wrong one is an unknown fact. */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "runtime/base/json.h"

enum { MAX_DEVICES = 256 };

/* Adds the devices of `more`, by their index. */
static void merge_devices(json_t *into, json_t *more) {
  size_t i, k;
  json_t *device, *have;
  json_array_foreach(more, i, device) {
    json_t *index = json_object_get(device, "index"), *same = NULL;
    json_array_foreach(into, k, have) {
      if (json_is_integer(index) && json_equal(json_object_get(have, "index"), index)) same = have;
    }
    if (same) {
      json_object_update(same, device);
    } else if (json_array_size(into) < MAX_DEVICES) {
      json_array_append(into, device);
    }
  }
}

static void merge(json_t *into, json_t *more) {
  json_t *devices = json_object_get(into, "devices"), *more_devices = json_object_get(more, "devices");
  if (json_is_array(devices) && json_is_array(more_devices)) {
    merge_devices(devices, more_devices);
    json_object_del(more, "devices");
  }
  json_object_update(into, more);
}

/* The whole answer as one object (never NULL but without memory); a text cut off in the middle ends at the last whole object. */
static json_t *read_answer(const char *text) {
  json_t *whole = json_object();
  size_t size = text ? strlen(text) : 0, at = 0;
  while (whole && at < size) {
    json_error_t where;
    json_t *part = json_loadb(text + at, size - at, JSON_DISABLE_EOF_CHECK, &where);
    if (!json_is_object(part) || where.position <= 0) {
      json_decref(part);
      break;
    }
    merge(whole, part);
    json_decref(part);
    at += (size_t)where.position;
    at += strspn(text + at, " \t\r\n");
  }
  return whole;
}

static const char *text_of(fh_gather *g, const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  return value ? fh_arena_text(g->arena, value) : "";
}

static int64_t number_of(const json_t *object, const char *key, int64_t otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static int int_of(const json_t *object, const char *key, int otherwise) {
  int64_t value = number_of(object, key, otherwise);
  return value >= INT32_MIN && value <= INT32_MAX ? (int)value : otherwise;
}

static const json_t *devices_of(const json_t *object, int *out_count) {
  const json_t *devices = json_object_get(object, "devices");
  size_t count = json_array_size(devices);
  *out_count = (int)(count < MAX_DEVICES ? count : MAX_DEVICES);
  return devices;
}

/* How the child ended. */
typedef struct ending {
  bool crashed, exited, hung, slow;
} ending;

static ending ending_of(const fh_os_answer *answer, const json_t *object) {
  bool done = json_is_true(json_object_get(object, "done"));
  ending e = {0};
  if (answer->timed_out) {
    e.hung = answer->state == 'D';
    e.slow = !e.hung;
  } else if (answer->signal) {
    e.crashed = true;
  } else if (!done && answer->exit_code >= 0) {
    e.exited = json_is_string(json_object_get(object, "calling")); /* inside the driver, which ended the program */
  }
  return e;
}

static const char *lines_of(fh_gather *g, const json_t *array) {
  const char *all = "";
  size_t i;
  const json_t *line;
  json_array_foreach(array, i, line) {
    const char *text = json_string_value(line);
    if (text) all = fh_arena_format(g->arena, "%s%s%s", all, *all ? "\n" : "", text);
  }
  return all;
}

static void read_cuda_device(fh_gather *g, const json_t *object, fh_cuda_device *d) {
  d->name = text_of(g, object, "name");
  d->uuid = text_of(g, object, "uuid");
  d->pci = text_of(g, object, "pci");
  d->capability = int_of(object, "capability", 0);
  d->memory_total = number_of(object, "memory_total", -1);
  d->memory_free = number_of(object, "memory_free", -1);
  d->multiprocessors = int_of(object, "multiprocessors", 0);
  d->context_code = int_of(object, "context_code", -1);
  d->usable = d->context_code == 0;
}

void fh_answer_read_cuda(fh_gather *g, const fh_os_answer *answer, fh_cuda_answer *out) {
  json_t *object = read_answer(answer->json);
  ending e = ending_of(answer, object);
  out->crashed = e.crashed, out->exited = e.exited, out->hung = e.hung, out->slow = e.slow;
  out->signal = answer->signal;
  out->wchan = fh_arena_text(g->arena, answer->wchan);
  out->dlerrors = lines_of(g, json_object_get(object, "dlerrors"));
  out->library = text_of(g, object, "library");
  out->fake = json_is_true(json_object_get(object, "fake"));
  out->init_code = int_of(object, "init_code", -1);
  out->init_name = text_of(g, object, "init_name");
  out->init_ns = number_of(object, "init_ns", 0);
  out->count_code = int_of(object, "count_code", -1);
  out->count = int_of(object, "count", -1);
  out->version = int_of(object, "version", -1);
  const json_t *devices = devices_of(object, &out->device_count);
  out->devices = out->device_count ? fh_arena_alloc(g->arena, (size_t)out->device_count, sizeof *out->devices) : NULL;
  if (!out->devices) out->device_count = 0;
  for (int i = 0; i < out->device_count; i++) read_cuda_device(g, json_array_get(devices, (size_t)i), &out->devices[i]);
  bool ended_badly = e.crashed || e.exited || e.hung || e.slow;
  if (*out->library || ended_badly) {
    out->valid = FH_VALID;
  } else if (*out->dlerrors) {
    out->valid = FH_ABSENT;
  }
  json_decref(object);
}

static void read_cl_device(fh_gather *g, const json_t *object, fh_cl_device *d) {
  d->name = text_of(g, object, "name");
  d->vendor = text_of(g, object, "vendor");
  d->driver = text_of(g, object, "driver");
  d->version = text_of(g, object, "version");
  d->type = text_of(g, object, "type");
  d->memory = number_of(object, "memory", -1);
  d->compute_units = int_of(object, "compute_units", 0);
}

void fh_answer_read_icd(fh_gather *g, const fh_os_answer *answer, fh_icd *out) {
  json_t *object = read_answer(answer->json);
  ending e = ending_of(answer, object);
  out->crashed = e.crashed, out->exited = e.exited, out->hung = e.hung, out->slow = e.slow;
  out->signal = answer->signal;
  if (json_object_size(object) > 0 || e.crashed || e.exited || e.hung || e.slow) out->asked = FH_VALID;
  const char *error = text_of(g, object, "error");
  if (*error) out->error = error;
  out->missing = text_of(g, object, "missing");
  out->code = int_of(object, "code", 0);
  out->platform = text_of(g, object, "platform");
  out->platform_version = text_of(g, object, "platform_version");
  if (json_is_string(json_object_get(object, "path"))) out->lib_valid = FH_VALID; /* the loader found it */
  const json_t *devices = devices_of(object, &out->device_count);
  out->devices = out->device_count ? fh_arena_alloc(g->arena, (size_t)out->device_count, sizeof *out->devices) : NULL;
  if (!out->devices) out->device_count = 0;
  for (int i = 0; i < out->device_count; i++) read_cl_device(g, json_array_get(devices, (size_t)i), &out->devices[i]);
  json_decref(object);
}

static void read_proof(const json_t *object, const char *key, fh_facts_isa *isa) {
  const json_t *value = json_object_get(object, key);
  if (json_is_boolean(value)) isa->proven = fh_fact_bool_of(json_is_true(value), "trial instruction in a child");
}

void fh_answer_read_isa(fh_gather *g, const fh_os_answer *answer) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  json_t *object = read_answer(answer->json);
  for (int i = FH_ISA_SCALAR; i < FH_ISA_COUNT; i++) read_proof(object, fh_isa_name((fh_isa)i), &cpu->isa[i]);
  read_proof(object, "amx", &cpu->amx);
  json_decref(object);
  fh_cpu_choose_best(cpu);
}

void fh_answer_read_topology(fh_gather *g, const fh_os_answer *answer) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  struct {
    const char *key;
    fh_fact_int *fact;
  } numbers[] = {
      {"packages", &cpu->packages}, {"cores", &cpu->cores}, {"numa_nodes", &cpu->numa_nodes},
      {"l1d", &cpu->l1d_bytes},     {"l2", &cpu->l2_bytes}, {"l3", &cpu->l3_bytes},
  };
  json_t *object = read_answer(answer->json);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    int64_t value = number_of(object, numbers[i].key, -1);
    if (value > 0) *numbers[i].fact = fh_fact_int_of(value, "hwloc");
  }
  json_decref(object);
}
