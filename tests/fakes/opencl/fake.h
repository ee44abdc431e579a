/* The stand-in OpenCL GPU: what its parts share. SPDX-License-Identifier: Apache-2.0
 *
 * An ICD of one platform with one GPU, which compiles texts with clang for this very processor and runs each work-item as a fibre:
 * work-groups, barriers, and values that work-items hand to each other are real. So the form of the texts that PoCL, whose sub-groups are
 * missing, cannot run is run here, bit by bit. It passes itself off as several vendors' (FOGHORN_FAKE_OPENCL): what they say of themselves
 * is theirs, what runs is not.
 *
 *   driver.c    the functions of OpenCL
 *   personas.c  as whom it passes itself off
 *   program.c   texts to code
 *   group.c     work-groups
 *   device.h    in front of each text
 */
#ifndef FOGHORN_TESTS_FAKES_OPENCL_FAKE_H_
#define FOGHORN_TESTS_FAKES_OPENCL_FAKE_H_

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- who it says it is ---- */
enum { FAKE_MOST_SIZES = 4 };

typedef struct fake_persona {
  const char *name; /* in FOGHORN_FAKE_OPENCL */
  const char *platform, *vendor, *device, *version, *extensions;
  cl_device_fp_config single;
  size_t sub_groups[FAKE_MOST_SIZES]; /* sizes, 0 behind the last */
  const char *refuses;                /* a word in the options of a build that fails */
  const char *crashes;                /* a word in a text that ends the process that compiles it */
  cl_bool unified;
} fake_persona;

const fake_persona *fake_persona_now(void);

/* ---- programs ---- */
enum { FAKE_MOST_ARGUMENTS = 96, FAKE_MOST_GROUP = 256, FAKE_TEAM = 16 };

typedef enum fake_kind { FAKE_WHOLE, FAKE_REAL, FAKE_BUFFER } fake_kind; /* of a parameter */
typedef struct fake_code fake_code;

/* Code of a text; NULL with *out_log (caller frees) when the compiler refuses. */
fake_code *fake_code_build(const char *text, const char *options, char **out_log);
fake_code *fake_code_load(const void *binary, size_t bytes);
void fake_code_free(fake_code *code);
const void *fake_code_binary(const fake_code *code, size_t *out_bytes);
/* A kernel's function and parameters; NULL: there is none of that name. */
void *fake_code_find(const fake_code *code, const char *kernel, fake_kind out_kinds[FAKE_MOST_ARGUMENTS], int *out_count);

/* ---- launches ---- */
typedef struct fake_argument {
  fake_kind kind;
  union {
    int64_t whole; /* of a buffer its address */
    float real;
  };
} fake_argument;

typedef struct fake_launch {
  void *function;
  const fake_argument *arguments;
  int argument_count;
  size_t global[3], local[3];
} fake_launch;

/* NULL, or what went wrong: words that live as long as the thread. */
const char *fake_launch_run(const fake_launch *launch);

#endif /* FOGHORN_TESTS_FAKES_OPENCL_FAKE_H_ */
