/* Builds an OpenCL text in a child, for a compiler that may crash on it. SPDX-License-Identifier: Apache-2.0
 * The file: the platform's name, the device's place in it, the build options, a line each, and then the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/answer.h"
#include "detect/drivers/opencl_driver.h"

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64, MAX_NAME = 256, MAX_FILE = 1 << 22 };

typedef struct trial {
  char *platform, *options, *text;
  cl_uint device;
} trial;

static char *read_file(const char *path) {
  FILE *file = fopen(path, "re");
  char *bytes = file ? calloc(1, MAX_FILE) : NULL;
  if (bytes && fread(bytes, 1, MAX_FILE - 1, file) == 0) bytes[0] = 0;
  if (file) fclose(file);
  return bytes;
}

/* Cuts the next line off. */
static char *take_line(char **at) {
  char *line = *at, *end = strchr(line, '\n');
  if (!end) return NULL;
  *end = 0;
  *at = end + 1;
  return line;
}

static bool read_trial(char *bytes, trial *out) {
  char *device;
  out->platform = take_line(&bytes);
  device = out->platform ? take_line(&bytes) : NULL;
  out->options = device ? take_line(&bytes) : NULL;
  out->text = bytes;
  out->device = device ? (cl_uint)strtoul(device, NULL, 10) : 0;
  return out->options != NULL;
}

static cl_platform_id find_platform(const fh_opencl_functions *fn, const char *name) {
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_uint count = 0;
  if (fn->clGetPlatformIDs(MAX_PLATFORMS, platforms, &count) != CL_SUCCESS) return NULL;
  for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; i++) {
    char found[MAX_NAME] = "";
    if (fn->clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof found, found, NULL) == CL_SUCCESS && strcmp(found, name) == 0)
      return platforms[i];
  }
  return NULL;
}

static void build(const fh_opencl_functions *fn, const trial *t) {
  cl_device_id devices[MAX_DEVICES];
  cl_uint count = 0;
  cl_platform_id platform = find_platform(fn, t->platform);
  if (!platform || fn->clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &count) != CL_SUCCESS || t->device >= count)
    return;
  cl_device_id device = devices[t->device];
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
  cl_int error = CL_SUCCESS;
  cl_context context = fn->clCreateContext(properties, 1, &device, NULL, NULL, &error);
  const char *text = t->text;
  cl_program program = context ? fn->clCreateProgramWithSource(context, 1, &text, NULL, &error) : NULL;
  if (!program) return;
  fh_answer_calling("clBuildProgram");
  error = fn->clBuildProgram(program, 1, &device, t->options, NULL, NULL);
  fh_answer_say(json_pack("{s:s, s:i}", "call", "clBuildProgram", "code", (int)error));
  if (error != CL_SUCCESS) return;
  size_t size = 0;
  fh_answer_calling("clGetProgramInfo"); /* PoCL makes code of what it built when it is asked for the binary, or launches */
  fn->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
}

void fh_answer_opencl_build(const char *path) {
  fh_opencl_driver driver;
  trial t;
  char *bytes = read_file(path);
  fh_status status = fh_opencl_driver_load(&driver);
  if (!status && !driver.missing && bytes && read_trial(bytes, &t)) build(&driver.fn, &t);
  fh_status_free(status);
  free(bytes);
}
