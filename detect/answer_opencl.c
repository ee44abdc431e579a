/* What one OpenCL registration answers: its library is loaded alone, without the ICD loader. SPDX-License-Identifier: Apache-2.0
 * So "-1001" becomes the name of the library that cannot be opened, and a broken vendor does not hide the others. */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/answer.h"

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 256, MAX_TEXT = 4096, DEVICE_NOT_FOUND = -1, PLATFORM_NOT_FOUND = -1001 };

typedef cl_int(CL_API_CALL *icd_platforms_fn)(cl_uint count, cl_platform_id *platforms, cl_uint *out_count);
typedef void *(CL_API_CALL *extension_fn)(const char *name);

/* Every object of an ICD begins with its table of functions. */
static const cl_icd_dispatch *dispatch_of(cl_platform_id platform) {
  const cl_icd_dispatch *table;
  memcpy(&table, platform, sizeof table);
  return table;
}

/* ISO C has no conversion from a data to a function pointer; POSIX promises that the bits are the same. */
#define AS_FUNCTION(function, pointer)             \
  do {                                             \
    void *from_ = (pointer);                       \
    memcpy(&(function), &from_, sizeof(function)); \
  } while (0)

/* ---- the library -------------------------------------------------------------------------------------- */

static bool is_icd_file(const char *name) {
  size_t size = strlen(name);
  return size > 4 && strcmp(name + size - 4, ".icd") == 0;
}

/* First line of an .icd file. */
static bool read_icd(const char *path, char *out, size_t size) {
  FILE *file = fopen(path, "re");
  bool ok = file && fgets(out, (int)size, file);
  if (file) fclose(file);
  if (ok) out[strcspn(out, "\n")] = 0;
  return ok;
}

static void say_failure(const char *call, int code, const char *error) {
  json_t *line = json_pack("{s:s}", "call", call);
  if (!line) return;
  if (code) json_object_set_new(line, "code", json_integer(code));
  if (error) json_object_set_new(line, "error", fh_json_text(error));
  fh_answer_say(line);
}

/* "libbar.so.1: cannot open shared object file: ..." names what is missing: the library itself or one that it needs. */
static void say_dlerror(const char *error) {
  say_failure("dlopen", 0, error);
  const char *colon = strstr(error, ": cannot open shared object file");
  if (!colon) return;
  char *missing = strndup(error, (size_t)(colon - error));
  if (missing) fh_answer_say(json_pack("{s:o}", "missing", fh_json_text(missing)));
  free(missing);
}

static void say_path(const char *library, void *symbol) {
  Dl_info info;
  char real[PATH_MAX];
  const char *path = symbol && dladdr(symbol, &info) && info.dli_fname ? info.dli_fname : library;
  fh_answer_say(json_pack("{s:o}", "path", fh_json_text(realpath(path, real) ? real : path)));
}

/* ---- platforms and devices --------------------------------------------------------------------------------- */

static char *device_text(const cl_icd_dispatch *cl, cl_device_id device, cl_device_info what) {
  char text[MAX_TEXT] = "";
  if (cl->clGetDeviceInfo(device, what, sizeof text - 1, text, NULL) != CL_SUCCESS) return NULL;
  return strdup(text);
}

static void set_device_text(json_t *object, const char *key, const cl_icd_dispatch *cl, cl_device_id device, cl_device_info what) {
  char *text = device_text(cl, device, what);
  if (text) json_object_set_new(object, key, fh_json_text(text));
  free(text);
}

static const char *type_name(cl_device_type type) {
  if (type & CL_DEVICE_TYPE_GPU) return "gpu";
  if (type & CL_DEVICE_TYPE_CPU) return "cpu";
  return "accelerator";
}

static void ask_device(const cl_icd_dispatch *cl, cl_device_id device, int index) {
  json_t *object = json_pack("{s:i}", "index", index);
  if (!object) return;
  set_device_text(object, "name", cl, device, CL_DEVICE_NAME);
  set_device_text(object, "vendor", cl, device, CL_DEVICE_VENDOR);
  set_device_text(object, "driver", cl, device, CL_DRIVER_VERSION);
  set_device_text(object, "version", cl, device, CL_DEVICE_VERSION);
  cl_device_type type = 0;
  cl_ulong memory = 0;
  cl_uint units = 0;
  if (cl->clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL) == CL_SUCCESS)
    json_object_set_new(object, "type", json_string(type_name(type)));
  if (cl->clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL) == CL_SUCCESS && memory <= INT64_MAX)
    json_object_set_new(object, "memory", json_integer((json_int_t)memory));
  if (cl->clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL) == CL_SUCCESS)
    json_object_set_new(object, "compute_units", json_integer(units));
  fh_answer_say(json_pack("{s:[o]}", "devices", object));
}

static void say_platform(const cl_icd_dispatch *cl, cl_platform_id platform, cl_platform_info what, const char *key) {
  char text[MAX_TEXT] = "";
  if (cl->clGetPlatformInfo(platform, what, sizeof text - 1, text, NULL) == CL_SUCCESS)
    fh_answer_say(json_pack("{s:o}", key, fh_json_text(text)));
}

/* Gives the number of devices told so far. */
static int ask_platform(cl_platform_id platform, bool first, int told) {
  const cl_icd_dispatch *cl = dispatch_of(platform);
  if (!cl || !cl->clGetPlatformInfo || !cl->clGetDeviceIDs || !cl->clGetDeviceInfo) {
    say_failure("clIcdGetPlatformIDsKHR", 0, "the platform has no table of functions");
    return told;
  }
  if (first) {
    say_platform(cl, platform, CL_PLATFORM_NAME, "platform");
    say_platform(cl, platform, CL_PLATFORM_VERSION, "platform_version");
  }
  cl_device_id devices[MAX_DEVICES];
  cl_uint count = 0;
  fh_answer_calling("clGetDeviceIDs");
  cl_int code = cl->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &count);
  if (code != CL_SUCCESS) {
    say_failure("clGetDeviceIDs", code, code == DEVICE_NOT_FOUND ? "the platform has no device" : "clGetDeviceIDs failed");
    return told;
  }
  fh_answer_calling("clGetDeviceInfo");
  for (cl_uint i = 0; i < count && i < MAX_DEVICES; i++) ask_device(cl, devices[i], told++);
  return told;
}

static void ask_library(void *handle, const char *library) {
  extension_fn extension = NULL;
  icd_platforms_fn get_platforms = NULL;
  void *symbol = dlsym(handle, "clGetExtensionFunctionAddress");
  say_path(library, symbol);
  AS_FUNCTION(extension, symbol);
  fh_answer_calling("clGetExtensionFunctionAddress");
  void *entry = extension ? extension("clIcdGetPlatformIDsKHR") : NULL;
  AS_FUNCTION(get_platforms, entry ? entry : dlsym(handle, "clIcdGetPlatformIDsKHR"));
  if (!get_platforms) {
    say_failure("clGetExtensionFunctionAddress", 0, "the library does not offer cl_khr_icd (no clIcdGetPlatformIDsKHR)");
    return;
  }
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_uint count = 0;
  fh_answer_calling("clIcdGetPlatformIDsKHR");
  cl_int code = get_platforms(MAX_PLATFORMS, platforms, &count);
  if (code != CL_SUCCESS || count == 0) {
    say_failure("clIcdGetPlatformIDsKHR", code ? code : PLATFORM_NOT_FOUND, "the library offers no platform");
    return;
  }
  int told = 0;
  for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; i++) told = ask_platform(platforms[i], i == 0, told);
}

void fh_answer_opencl(const char *icd) {
  char library[PATH_MAX];
  if (!is_icd_file(icd)) {
    snprintf(library, sizeof library, "%s", icd);
  } else if (!read_icd(icd, library, sizeof library)) {
    say_failure("open", 0, strerror(errno));
    return;
  }
  fh_answer_say(json_pack("{s:o,s:s}", "library", fh_json_text(library), "calling", "dlopen"));
  void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    const char *error = dlerror();
    say_dlerror(error ? error : "dlopen failed without a reason");
    return;
  }
  ask_library(handle, library);
}
