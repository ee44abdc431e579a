/* What NVIDIA's management library answers, call by call. SPDX-License-Identifier: Apache-2.0
 *
 * It tells what CUDA keeps to itself: the compute mode, a reset that is due, a card off the bus, MIG, licences, the state of the
 * fabric. A call that is refused is told with its code: a code of one card can be the whole story. */
#include <stdio.h>
#include <string.h>

#include "detect/answer.h"
#include "detect/drivers/nvml_driver.h"

enum { TEXT_SIZE = 256, MAX_DEVICES = 256 };

static void set_text(json_t *object, const char *key, const char *text) { json_object_set_new(object, key, fh_json_text(text)); }
static void set_number(json_t *object, const char *key, int64_t number) { json_object_set_new(object, key, json_integer(number)); }

/* An older library lacks functions: that is a code too. */
#define CALL(fn, name, ...) ((fn)->name ? (int)(fn)->name(__VA_ARGS__) : (int)FH_NVML_ERROR_FUNCTION_NOT_FOUND)
/* Announces a call and makes it. */
#define ANNOUNCED(fn, name, ...) (fh_answer_calling(#name), CALL(fn, name, __VA_ARGS__))

/* One card while it is asked. */
typedef struct card {
  const fh_nvml_functions *fn;
  fh_nvml_device handle;
  json_t *told; /* goes out as a line */
} card;

/* True for success. Another code is noted, save that a card or a library of this kind has no such thing. */
static bool is_told(const card *c, const char *call, int code) {
  if (code == FH_NVML_SUCCESS) return true;
  if (code == FH_NVML_ERROR_NOT_SUPPORTED || code == FH_NVML_ERROR_FUNCTION_NOT_FOUND) return false;
  json_t *failed = json_object_get(c->told, "failed");
  if (!failed && (failed = json_object())) json_object_set_new(c->told, "failed", failed);
  set_number(failed, call, code);
  return false;
}

/* Asks about a card; evaluates to whether there is an answer. */
#define TOLD(c, name, ...) is_told((c), #name, ANNOUNCED((c)->fn, name, (c)->handle, __VA_ARGS__))

static void ask_names(const card *c) {
  char name[TEXT_SIZE] = "", uuid[TEXT_SIZE] = "", address[TEXT_SIZE];
  fh_nvml_pci pci = {0};
  if (TOLD(c, nvmlDeviceGetName, name, sizeof name - 1)) set_text(c->told, "name", name);
  if (TOLD(c, nvmlDeviceGetUUID, uuid, sizeof uuid - 1)) set_text(c->told, "uuid", uuid);
  if (!TOLD(c, nvmlDeviceGetPciInfo_v3, &pci)) return;
  snprintf(address, sizeof address, "%04x:%02x:%02x.0", pci.domain, pci.bus, pci.device); /* as sysfs writes it */
  set_text(c->told, "pci", address);
}

static void ask_modes(const card *c) {
  unsigned mode = 0, count = 0;
  unsigned long long reasons = 0;
  if (TOLD(c, nvmlDeviceGetComputeMode, &mode)) set_number(c->told, "compute_mode", mode);
  if (TOLD(c, nvmlDeviceGetPersistenceMode, &mode)) set_number(c->told, "persistence", mode);
  if (TOLD(c, nvmlDeviceGetCurrentClocksThrottleReasons, &reasons)) set_number(c->told, "throttle", (int64_t)reasons);
  /* Without room for the list it says how long that would be. */
  int code = ANNOUNCED(c->fn, nvmlDeviceGetComputeRunningProcesses_v3, c->handle, &count, NULL);
  if (code == FH_NVML_ERROR_INSUFFICIENT_SIZE || is_told(c, "nvmlDeviceGetComputeRunningProcesses_v3", code))
    set_number(c->told, "processes", count);
}

/* Slices are numbered with gaps: each place is tried. */
static void ask_slices(const card *c) {
  enum { MOST_SLICES = 64 };
  unsigned current = 0, pending = 0, places = 0;
  int slices = 0;
  if (!TOLD(c, nvmlDeviceGetMigMode, &current, &pending)) return;
  set_number(c->told, "mig_current", current);
  set_number(c->told, "mig_pending", pending);
  if (!current || !TOLD(c, nvmlDeviceGetMaxMigDeviceCount, &places)) return;
  for (unsigned i = 0; i < places && i < MOST_SLICES; i++) {
    fh_nvml_device slice = NULL;
    slices += ANNOUNCED(c->fn, nvmlDeviceGetMigDeviceHandleByIndex, c->handle, i, &slice) == FH_NVML_SUCCESS;
  }
  set_number(c->told, "mig_devices", slices);
}

static void ask_memory_errors(const card *c) {
  unsigned long long errors = 0;
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (TOLD(c, nvmlDeviceGetTotalEccErrors, FH_NVML_ECC_UNCORRECTED, FH_NVML_ECC_VOLATILE, &errors))
    set_number(c->told, "ecc_uncorrected", (int64_t)errors);
  if (TOLD(c, nvmlDeviceGetRemappedRows, &corrected, &uncorrected, &pending, &failed)) {
    set_number(c->told, "remap_pending", pending);
    set_number(c->told, "remap_failed", failed);
  }
  if (TOLD(c, nvmlDeviceGetRetiredPagesPendingStatus, &pending)) set_number(c->told, "retire_pending", pending);
  fh_nvml_field field = {.id = FH_NVML_FIELD_RECOVERY_ACTION};
  if (TOLD(c, nvmlDeviceGetFieldValues, 1, &field) && field.result == FH_NVML_SUCCESS)
    set_number(c->told, "recovery_action", field.value.number);
}

static void ask_virtual(const card *c) {
  unsigned mode = 0;
  if (!TOLD(c, nvmlDeviceGetVirtualizationMode, &mode)) return;
  set_number(c->told, "virtualization", mode);
  fh_nvml_licences licences = {0};
  if (mode != FH_NVML_VIRTUALIZATION_VGPU || !TOLD(c, nvmlDeviceGetGridLicensableFeatures_v4, &licences)) return;
  if (!licences.supported) return;
  bool licensed = false;
  unsigned most = sizeof licences.features / sizeof licences.features[0];
  for (unsigned i = 0; i < licences.count && i < most; i++) {
    licences.features[i].product[sizeof licences.features[i].product - 1] = 0;
    if (licences.features[i].state) set_text(c->told, "product", licences.features[i].product);
    licensed = licensed || licences.features[i].state;
  }
  set_number(c->told, "licensed", licensed);
}

static void ask_fabric(const card *c) {
  static const unsigned char none[16] = {0};
  fh_nvml_fabric fabric = {0};
  if (!TOLD(c, nvmlDeviceGetGpuFabricInfo, &fabric)) return;
  set_number(c->told, "fabric_state", fabric.state);
  if (fabric.state == FH_NVML_FABRIC_COMPLETED) set_number(c->told, "fabric_status", fabric.status);
  json_object_set_new(c->told, "fabric_cluster", json_boolean(memcmp(fabric.cluster, none, sizeof none) != 0));
}

static void say_card(const card *c) { fh_answer_say(json_pack("{s:[O]}", "devices", c->told)); }

static void ask_card(const fh_nvml_functions *fn, unsigned index) {
  static void (*const parts[])(const card *) = {ask_names, ask_modes, ask_slices, ask_memory_errors, ask_virtual, ask_fabric};
  card c = {.fn = fn, .told = json_object()};
  if (!c.told) return;
  set_number(c.told, "index", index);
  int code = ANNOUNCED(fn, nvmlDeviceGetHandleByIndex_v2, index, &c.handle);
  set_number(c.told, "handle_code", code);
  say_card(&c);
  for (size_t i = 0; code == FH_NVML_SUCCESS && i < sizeof parts / sizeof parts[0]; i++) parts[i](&c);
  if (code == FH_NVML_SUCCESS) say_card(&c);
  json_decref(c.told);
}

static void ask_system(const fh_nvml_functions *fn) {
  char driver[TEXT_SIZE] = "";
  fh_nvml_conf_compute state = {0};
  unsigned ready = 0;
  json_t *line = json_object();
  if (!line) return;
  if (ANNOUNCED(fn, nvmlSystemGetDriverVersion, driver, sizeof driver - 1) == FH_NVML_SUCCESS) set_text(line, "driver", driver);
  if (ANNOUNCED(fn, nvmlSystemGetConfComputeState, &state) == FH_NVML_SUCCESS) {
    set_number(line, "cc_feature", state.feature);
    if (state.feature && ANNOUNCED(fn, nvmlSystemGetConfComputeGpusReadyState, &ready) == FH_NVML_SUCCESS)
      set_number(line, "cc_ready", ready);
  }
  fh_answer_say(line);
}

static void say_library(const fh_nvml_driver *driver) {
  const char *path = fh_dynlib_path(driver->library);
  json_t *line = json_pack("{s:o,s:b,s:s}", "dlerrors", fh_answer_lines(fh_dynlib_errors(driver->library)), "fake", driver->fake, "calling",
                           "nvmlInit_v2");
  if (line) set_text(line, "library", *path ? path : fh_dynlib_name(driver->library));
  fh_answer_say(line);
}

void fh_answer_nvml(const char *none) {
  (void)none;
  fh_nvml_driver driver;
  fh_answer_calling("dlopen");
  fh_status status = fh_nvml_driver_load(&driver);
  if (status) {
    fh_answer_say(json_pack("{s:o}", "dlerrors", fh_answer_lines(fh_status_message(status))));
    fh_status_free(status);
    return;
  }
  say_library(&driver);
  int code = driver.fn.nvmlInit_v2 ? (int)driver.fn.nvmlInit_v2() : (int)FH_NVML_ERROR_FUNCTION_NOT_FOUND;
  fh_answer_say(json_pack("{s:i,s:s}", "init_code", code, "init_name", fh_nvml_result_name(code)));
  if (code != FH_NVML_SUCCESS) return;
  ask_system(&driver.fn);
  unsigned count = 0;
  code = ANNOUNCED(&driver.fn, nvmlDeviceGetCount_v2, &count);
  json_t *line = json_pack("{s:i}", "count_code", code);
  if (line && code == FH_NVML_SUCCESS) set_number(line, "count", count);
  fh_answer_say(line);
  for (unsigned i = 0; code == FH_NVML_SUCCESS && i < count && i < MAX_DEVICES; i++) ask_card(&driver.fn, i);
}
