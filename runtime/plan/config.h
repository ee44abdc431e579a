/* A context's settings: options first, then FOGHORN_ variables, then defaults. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_CONFIG_H_
#define FOGHORN_PLAN_CONFIG_H_

#include <foghorn/context.h>

enum { FH_CONFIG_MAX_DEVICES = 8 };

typedef enum fh_verify { FH_VERIFY_OFF = 0, FH_VERIFY_ONCE = 1 } fh_verify;

typedef struct fh_config {
  fh_policy policy;
  fh_fallback fallback; /* never DEFAULT */
  fh_numerics numerics;
  double max_slowdown;
  int threads;
  fh_host_pool host_pool; /* run NULL: none */
  int isa_cap;            /* -1: none */
  bool allow_fake;
  bool keep_whole;                         /* no launch is split between devices */
  char devices[FH_CONFIG_MAX_DEVICES][24]; /* names asked for; count 0: whatever the policy finds */
  int device_count;
  fh_verify verify;    /* FOGHORN_VERIFY: self-tests off, or once per variant and process */
  char require[64];    /* FOGHORN_REQUIRE; "" none */
  char cache_dir[512]; /* "" none */
  char trace[512];     /* FOGHORN_TRACE file; "" none */
} fh_config;

/* INVALID_ARGUMENT names the option or variable, its value and what is allowed. */
fh_status fh_config_read(const fh_context_options *options, fh_config *out_config);

#endif /* FOGHORN_PLAN_CONFIG_H_ */
