/* An answer of a child as one JSON object. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer_object.h"

#include <string.h>

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

json_t *fh_answer_object(const char *text) {
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

const char *fh_answer_text(fh_gather *g, const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  return value ? fh_arena_text(g->arena, value) : "";
}

int64_t fh_answer_number(const json_t *object, const char *key, int64_t otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

int fh_answer_int(const json_t *object, const char *key, int otherwise) {
  int64_t value = fh_answer_number(object, key, otherwise);
  return value >= INT32_MIN && value <= INT32_MAX ? (int)value : otherwise;
}

void *fh_answer_devices(fh_gather *g, const json_t *object, size_t size, fh_answer_read_device *read, int *out_count) {
  const json_t *devices = json_object_get(object, "devices");
  size_t told = json_array_size(devices), count = told < MAX_DEVICES ? told : MAX_DEVICES;
  char *all = count ? fh_arena_alloc(g->arena, count, size) : NULL;
  *out_count = all ? (int)count : 0;
  for (size_t i = 0; all && i < count; i++) read(g, json_array_get(devices, i), all + i * size);
  return all;
}

fh_answer_ending fh_answer_ending_of(const fh_os_answer *answer, const json_t *object) {
  bool done = json_is_true(json_object_get(object, "done"));
  fh_answer_ending e = {0};
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

const char *fh_answer_text_lines(fh_gather *g, const json_t *array) {
  const char *all = "";
  size_t i;
  const json_t *line;
  json_array_foreach(array, i, line) {
    const char *text = json_string_value(line);
    if (text) all = fh_arena_format(g->arena, "%s%s%s", all, *all ? "\n" : "", text);
  }
  return all;
}

const fh_driver_answer fh_driver_answer_none = {.wchan = "", .dlerrors = "", .library = ""};

void fh_driver_answer_read(fh_gather *g, const fh_os_answer *answer, const json_t *object, fh_driver_answer *out) {
  fh_answer_ending e = fh_answer_ending_of(answer, object);
  out->crashed = e.crashed, out->exited = e.exited, out->hung = e.hung, out->slow = e.slow;
  out->signal = answer->signal;
  out->wchan = fh_arena_text(g->arena, answer->wchan);
  out->dlerrors = fh_answer_text_lines(g, json_object_get(object, "dlerrors"));
  out->library = fh_answer_text(g, object, "library");
  out->fake = json_is_true(json_object_get(object, "fake"));
  if (*out->library || e.crashed || e.exited || e.hung || e.slow)
    out->valid = FH_VALID;
  else if (*out->dlerrors)
    out->valid = FH_ABSENT;
}
