/* What the CUDA driver answers, call by call. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "detect/answer.h"
#include "detect/drivers/cuda_driver.h"
#include "runtime/base/clock.h"

enum { TEXT_SIZE = 256, MAX_DEVICES = 256 };

static void set_text(json_t *object, const char *key, const char *text) { json_object_set_new(object, key, fh_json_text(text)); }
static void set_number(json_t *object, const char *key, int64_t number) { json_object_set_new(object, key, json_integer(number)); }

/* An old driver may lack a function: that is a code too. */
#define CALL(fn, name, ...) ((fn)->name ? (int)(fn)->name(__VA_ARGS__) : (int)FH_CUDA_ERROR_NOT_FOUND)

static void set_uuid(json_t *object, const fh_cuda_functions *fn, fh_cu_device device, const char *name) {
  unsigned char u[FH_CU_UUID_BYTES];
  int code = fn->cuDeviceGetUuid_v2 ? CALL(fn, cuDeviceGetUuid_v2, (fh_cu_uuid)(void *)u, device)
                                    : CALL(fn, cuDeviceGetUuid, (fh_cu_uuid)(void *)u, device);
  if (code != 0) return;
  char text[64];
  snprintf(text, sizeof text, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
           strstr(name, " MIG ") ? "MIG" : "GPU", u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
           u[14], u[15]);
  set_text(object, "uuid", text);
}

static void set_pci(json_t *object, const fh_cuda_functions *fn, fh_cu_device device) {
  char text[TEXT_SIZE] = "";
  if (CALL(fn, cuDeviceGetPCIBusId, text, (int)sizeof text, device) != 0) return;
  text[sizeof text - 1] = 0;
  for (char *c = text; *c; c++) *c = (char)tolower((unsigned char)*c); /* as sysfs writes it */
  set_text(object, "pci", text);
}

static void set_attributes(json_t *object, const fh_cuda_functions *fn, fh_cu_device device) {
  int major = 0, minor = 0, processors = 0;
  size_t bytes = 0;
  if (CALL(fn, cuDeviceGetAttribute, &major, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) == 0 &&
      CALL(fn, cuDeviceGetAttribute, &minor, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) == 0)
    set_number(object, "capability", 10 * major + minor);
  if (CALL(fn, cuDeviceGetAttribute, &processors, FH_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device) == 0)
    set_number(object, "multiprocessors", processors);
  if (CALL(fn, cuDeviceTotalMem_v2, &bytes, device) == 0) set_number(object, "memory_total", (int64_t)bytes);
}

/* Tells one device, in two lines: the second, with "calling", when its context is tried. */
static void say_device(json_t *device, const char *calling) {
  json_t *line = json_pack("{s:[O]}", "devices", device);
  if (line && calling) set_text(line, "calling", calling);
  fh_answer_say(line);
}

/* Usable is what makes a context: init and count succeed on many a broken machine. */
static void try_context(json_t *object, const fh_cuda_functions *fn, fh_cu_device device) {
  fh_cu_context context = NULL;
  int code = CALL(fn, cuDevicePrimaryCtxRetain, &context, device);
  set_number(object, "context_code", code);
  set_text(object, "context_name", fh_cuda_result_name(code));
  if (code != 0) return;
  size_t free_bytes = 0, total_bytes = 0;
  if (CALL(fn, cuCtxPushCurrent_v2, context) == 0) {
    if (CALL(fn, cuMemGetInfo_v2, &free_bytes, &total_bytes) == 0) set_number(object, "memory_free", (int64_t)free_bytes);
    CALL(fn, cuCtxPopCurrent_v2, &context);
  }
  CALL(fn, cuDevicePrimaryCtxRelease_v2, device);
}

static void ask_device(const fh_cuda_functions *fn, int index) {
  json_t *object = json_object();
  fh_cu_device device = 0;
  if (!object) return;
  set_number(object, "index", index);
  int code = CALL(fn, cuDeviceGet, &device, index);
  if (code != 0) {
    set_number(object, "context_code", code);
    set_text(object, "context_name", fh_cuda_result_name(code));
    say_device(object, NULL);
    json_decref(object);
    return;
  }
  char name[TEXT_SIZE] = "";
  if (CALL(fn, cuDeviceGetName, name, (int)sizeof name, device) == 0) {
    name[sizeof name - 1] = 0;
    set_text(object, "name", name);
  }
  set_uuid(object, fn, device, name);
  set_pci(object, fn, device);
  set_attributes(object, fn, device);
  say_device(object, "cuDevicePrimaryCtxRetain");
  try_context(object, fn, device);
  say_device(object, NULL);
  json_decref(object);
}

static void say_library(const fh_cuda_driver *driver) {
  json_t *line =
      json_pack("{s:o,s:b,s:s}", "dlerrors", fh_answer_lines(fh_dynlib_errors(driver->library)), "fake", driver->fake, "calling", "cuInit");
  if (!line) return;
  const char *path = fh_dynlib_path(driver->library);
  set_text(line, "library", *path ? path : fh_dynlib_name(driver->library));
  if (driver->missing) set_text(line, "missing_symbol", driver->missing);
  fh_answer_say(line);
}

static void say_code(const char *prefix, int code, const char *calling) {
  char code_key[32], name_key[32];
  snprintf(code_key, sizeof code_key, "%s_code", prefix);
  snprintf(name_key, sizeof name_key, "%s_name", prefix);
  json_t *line = json_pack("{s:i,s:s}", code_key, code, name_key, fh_cuda_result_name(code));
  if (line && calling) set_text(line, "calling", calling);
  fh_answer_say(line);
}

void fh_answer_cuda(const char *none) {
  (void)none;
  fh_cuda_driver driver;
  fh_answer_calling("dlopen");
  fh_status status = fh_cuda_driver_load(&driver);
  if (status) {
    fh_answer_say(json_pack("{s:o}", "dlerrors", fh_answer_lines(fh_status_message(status))));
    fh_status_free(status);
    return;
  }
  const fh_cuda_functions *fn = &driver.fn;
  say_library(&driver);
  int64_t start = fh_now_ns();
  int code = CALL(fn, cuInit, 0);
  fh_answer_say(json_pack("{s:I}", "init_ns", (json_int_t)(fh_now_ns() - start)));
  say_code("init", code, "cuDriverGetVersion");
  int version = 0, count = 0;
  if (CALL(fn, cuDriverGetVersion, &version) == 0) fh_answer_say(json_pack("{s:i}", "version", version));
  if (code != 0) return;
  fh_answer_calling("cuDeviceGetCount");
  code = CALL(fn, cuDeviceGetCount, &count);
  say_code("count", code, NULL);
  if (code != 0) return;
  fh_answer_say(json_pack("{s:i}", "count", count));
  for (int i = 0; i < count && i < MAX_DEVICES; i++) {
    fh_answer_calling("cuDeviceGet");
    ask_device(fn, i);
  }
}
