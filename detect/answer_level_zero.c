/* What Level Zero answers, call by call. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "detect/answer_runtime.h"

enum { MAX_DRIVERS = 16, MAX_DEVICES = 256 };

#define CALL(fn, name, ...) ((fn)->name ? (fn)->name(__VA_ARGS__) : (fh_ze_result)FH_ZE_RESULT_ERROR_UNSUPPORTED_FEATURE)

/* The loader keeps to itself why it took no driver: each is tried alone, for the words of the dynamic linker. */
static void say_driver_errors(void) {
  static const char *const names[][2] = {{"libze_intel_gpu.so.1", NULL}, {"libze_intel_npu.so.1", NULL}, {"libze_intel_vpu.so.1", NULL}};
  json_t *errors = json_array();
  fh_answer_calling("dlopen");
  for (size_t i = 0; errors && i < sizeof names / sizeof names[0]; i++) {
    fh_dynlib *library = NULL;
    fh_status status = fh_dynlib_open(names[i], &library);
    if (status) json_array_append_new(errors, fh_json_text(fh_status_message(status)));
    fh_status_free(status);
    fh_dynlib_close(library);
  }
  fh_answer_say(json_pack("{s:o,s:n}", "driver_errors", errors, "calling"));
}

static const char *type_name(unsigned type) {
  return type == FH_ZE_DEVICE_TYPE_GPU ? "gpu" : type == FH_ZE_DEVICE_TYPE_VPU ? "npu" : "accelerator";
}

static void set_uuid(json_t *object, const uint8_t *uuid) {
  char text[2 * FH_ZE_UUID_BYTES + 1];
  for (int i = 0; i < FH_ZE_UUID_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", uuid[i]);
  fh_runtime_set_text(object, "uuid", text);
}

static void set_properties(json_t *object, const fh_ze_functions *fn, fh_ze_device device) {
  fh_ze_device_properties p = {.stype = FH_ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES};
  fh_ze_pci_properties pci = {.stype = FH_ZE_STRUCTURE_TYPE_PCI_EXT_PROPERTIES};
  if (CALL(fn, zeDeviceGetProperties, device, &p) == FH_ZE_RESULT_SUCCESS) {
    p.name[sizeof p.name - 1] = 0;
    fh_runtime_set_text(object, "name", p.name);
    fh_runtime_set_text(object, "type", type_name(p.type));
    fh_runtime_set_number(object, "compute_units", (int64_t)p.num_slices * p.num_subslices_per_slice * p.num_eus_per_subslice);
    set_uuid(object, p.uuid);
  }
  if (CALL(fn, zeDevicePciGetPropertiesExt, device, &pci) == FH_ZE_RESULT_SUCCESS)
    fh_runtime_set_pci(object, pci.domain, pci.bus, pci.device, pci.function);
}

/* A context shows that a driver really reaches its devices. */
static fh_ze_result try_context(const fh_ze_functions *fn, fh_ze_driver driver) {
  const fh_ze_context_desc desc = {.stype = FH_ZE_STRUCTURE_TYPE_CONTEXT_DESC};
  fh_ze_context context = NULL;
  fh_answer_calling("zeContextCreate");
  fh_ze_result code = CALL(fn, zeContextCreate, driver, &desc, &context);
  if (code == FH_ZE_RESULT_SUCCESS) CALL(fn, zeContextDestroy, context);
  return code;
}

static fh_ze_result ask_driver(const fh_ze_functions *fn, fh_ze_driver driver, int *index) {
  fh_ze_device devices[MAX_DEVICES];
  uint32_t count = 0;
  fh_answer_calling("zeDeviceGet");
  fh_ze_result code = CALL(fn, zeDeviceGet, driver, &count, NULL);
  if (count > MAX_DEVICES) count = MAX_DEVICES;
  if (code == FH_ZE_RESULT_SUCCESS && count) code = CALL(fn, zeDeviceGet, driver, &count, devices);
  if (code != FH_ZE_RESULT_SUCCESS || !count) return code;
  fh_ze_result open_code = try_context(fn, driver);
  for (uint32_t i = 0; i < count && *index < MAX_DEVICES; i++) {
    json_t *object = json_pack("{s:i,s:I}", "index", (*index)++, "open_code", (json_int_t)open_code);
    if (!object) return code;
    fh_answer_calling("zeDeviceGetProperties");
    set_properties(object, fn, devices[i]);
    fh_runtime_say_device(object, NULL);
    json_decref(object);
  }
  return code;
}

static fh_ze_result ask_drivers(const fh_ze_functions *fn) {
  fh_ze_driver drivers[MAX_DRIVERS];
  uint32_t count = 0;
  int index = 0;
  fh_answer_calling("zeDriverGet");
  fh_ze_result code = CALL(fn, zeDriverGet, &count, NULL), failure = FH_ZE_RESULT_SUCCESS;
  if (count > MAX_DRIVERS) count = MAX_DRIVERS;
  if (code == FH_ZE_RESULT_SUCCESS && count) code = CALL(fn, zeDriverGet, &count, drivers);
  if (code != FH_ZE_RESULT_SUCCESS) return code;
  fh_answer_say(json_pack("{s:i}", "drivers", (int)count));
  for (uint32_t i = 0; i < count; i++) {
    code = ask_driver(fn, drivers[i], &index);
    if (code != FH_ZE_RESULT_SUCCESS) failure = code;
  }
  return failure;
}

void fh_answer_level_zero(const char *none) {
  (void)none;
  fh_runtime_driver driver;
  fh_ze_functions fn;
  fh_answer_calling("dlopen");
  if (!fh_runtime_say_library(fh_ze_driver_load(&driver, &fn), &driver, "zeInit")) return;
  fh_ze_result code = CALL(&fn, zeInit, 0);
  fh_runtime_say_code("init", code, fh_ze_result_name(code));
  if (code == FH_ZE_RESULT_SUCCESS) {
    code = ask_drivers(&fn);
    fh_runtime_say_code("list", code, fh_ze_result_name(code));
  } else {
    say_driver_errors();
  }
}
