/* What the children that ask HSA and Level Zero have in common. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer_runtime.h"

#include <stdio.h>

void fh_runtime_set_text(json_t *object, const char *key, const char *text) { json_object_set_new(object, key, fh_json_text(text)); }
void fh_runtime_set_number(json_t *object, const char *key, int64_t number) { json_object_set_new(object, key, json_integer(number)); }

void fh_runtime_set_pci(json_t *object, unsigned domain, unsigned bus, unsigned device, unsigned function) {
  char text[32];
  snprintf(text, sizeof text, "%04x:%02x:%02x.%x", domain, bus & 0xff, device & 0x1f, function & 7);
  fh_runtime_set_text(object, "pci", text);
}

bool fh_runtime_say_library(fh_status take_status, const fh_runtime_driver *driver, const char *calling) {
  if (take_status) {
    fh_answer_say(json_pack("{s:o}", "dlerrors", fh_answer_lines(fh_status_message(take_status))));
    fh_status_free(take_status);
    return false;
  }
  const char *path = fh_dynlib_path(driver->library);
  json_t *line =
      json_pack("{s:o,s:b,s:s}", "dlerrors", fh_answer_lines(fh_dynlib_errors(driver->library)), "fake", driver->fake, "calling", calling);
  if (line) {
    fh_runtime_set_text(line, "library", *path ? path : fh_dynlib_name(driver->library));
    if (driver->missing) fh_runtime_set_text(line, "missing_symbol", driver->missing);
  }
  fh_answer_say(line);
  return true;
}

void fh_runtime_say_code(const char *prefix, unsigned code, const char *name) {
  char code_key[32], name_key[32];
  snprintf(code_key, sizeof code_key, "%s_code", prefix);
  snprintf(name_key, sizeof name_key, "%s_name", prefix);
  fh_answer_say(json_pack("{s:I,s:s,s:n}", code_key, (json_int_t)code, name_key, name, "calling"));
}

void fh_runtime_say_device(json_t *device, const char *calling) {
  json_t *line = json_pack("{s:[O]}", "devices", device);
  if (line && calling) fh_runtime_set_text(line, "calling", calling);
  fh_answer_say(line);
}
