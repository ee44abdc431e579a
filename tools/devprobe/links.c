/* What was measured of this machine's devices and the links to them, from the profile that `devprobe bench --calibrate` keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cache_file.h"
#include "runtime/base/json.h"

enum { MOST_BYTES = 16 << 20 };

/* NULL: there is none that can be read; who plans by it says why. Owned by the caller. */
static json_t *load(void) {
  char folder[512], path[600], *text = NULL;
  size_t size;
  if (!fh_cache_folder(folder, sizeof folder)) return NULL;
  snprintf(path, sizeof path, "%s/profile.json", folder);
  if (fh_cache_file_read(path, MOST_BYTES, &text, &size) || !text) return NULL;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
  free(text);
  return root;
}

static double rate_of(const json_t *device, const char *way) {
  const double rate = json_number_value(json_object_get(json_object_get(json_object_get(device, "link"), way), "bytes_per_s"));
  return rate > 0 && rate < 1e15 ? rate : 0;
}

static double figure_of(const json_t *device, const char *key) {
  const double figure = json_number_value(json_object_get(json_object_get(device, "reached"), key));
  return figure > 0 && figure < 1e21 ? figure : 0;
}

static void tell(const json_t *measured, fh_found_device *device) {
  const char *name = json_string_value(json_object_get(measured, "name"));
  if (!device->usable || !name || !device->name || strcmp(name, device->name) != 0) return;
  device->measured_link = (fh_measured_link){rate_of(measured, "to_device"), rate_of(measured, "from_device")};
  device->measured_limits = (fh_measured_limits){figure_of(measured, "bytes_per_s"), figure_of(measured, "f32_flops")};
}

void fh_links_tell(fh_judgement *judgement) {
  json_t *root = load(), *measured;
  size_t i;
  json_array_foreach(json_object_get(root, "devices"), i, measured) {
    for (int d = 0; d < judgement->device_count; d++) tell(measured, &judgement->devices[d]);
  }
  json_decref(root);
}
