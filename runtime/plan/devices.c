/* Which devices a context has: opened, or rejected with the cause. SPDX-License-Identifier: Apache-2.0
 *
 * Driver libraries are loaded into this process only after a child has shown that they work: for this process, or CUDA's for one before
 * it that was not long ago (detect/os_proven.h). OpenCL, which may load a whole compiler, is touched only when it is asked for by name or
 * when hardware is here that only it can drive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/findings.h"
#include "detect/os_proven.h"
#include "runtime/base/log.h"
#include "runtime/plan/plan.h"

static const int64_t PROBE_TIMEOUT_NS = 10LL * 1000 * 1000 * 1000;

static bool asked_word(const fh_config *config, const char *word) {
  for (int i = 0; i < config->device_count; i++)
    if (strncmp(config->devices[i], word, strlen(word)) == 0) return true;
  return false;
}

static bool only_cpu(const fh_config *config) {
  if (config->policy == FH_CPU_ONLY) return true;
  for (int i = 0; i < config->device_count; i++)
    if (strcmp(config->devices[i], "cpu") != 0) return false;
  return config->device_count > 0;
}

static bool is_gpu(const fh_plan_device *d) { return d->info.kind == FH_DEVICE_GPU || d->info.kind == FH_DEVICE_ACCELERATOR; }

static bool matches(const fh_plan_device *d, const char *name) {
  size_t length = strlen(name);
  if (strcmp(name, "gpu") == 0) return is_gpu(d);
  return strcmp(d->info.id, name) == 0 || (strncmp(d->info.id, name, length) == 0 && d->info.id[length] == ':');
}

/* Place in the list of devices; -1: not in it. */
static int listed(const fh_config *config, const fh_plan_device *d) {
  for (int i = 0; i < config->device_count; i++)
    if (matches(d, config->devices[i])) return i;
  return -1;
}

static bool allowed(const fh_config *config, const fh_plan_device *d) {
  if (config->device_count > 0) return listed(config, d) >= 0;
  switch (config->policy) {
    case FH_CPU_ONLY:
      return d->info.kind == FH_DEVICE_CPU;
    case FH_REQUIRE_GPU:
      return is_gpu(d);
    case FH_PREFER_GPU:
      break;
  }
  return is_gpu(d) || d->info.kind == FH_DEVICE_CPU;
}

static void admit(const fh_config *config, fh_plan_device *d) {
  d->allowed = allowed(config, d);
  d->rank = config->device_count > 0 && d->allowed ? listed(config, d) : 0;
}

static fh_plan_device *device_add(fh_context *context) {
  if (context->device_count == FH_PLAN_MAX_DEVICES) {
    fh_log(FH_LOG_WARN, "more than %d devices: the rest is left out", FH_PLAN_MAX_DEVICES);
    return NULL;
  }
  return &context->devices[context->device_count];
}

/* ---- opened --------------------------------------------------------------------------------------------------- */

static const fh_backend_api *backend_named(const char *name) {
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(all[i]->name, name) == 0) return all[i];
  return NULL;
}

static void device_reject(const fh_context *context, fh_plan_device *d, const char *cause, const char *reason) {
  d->state = FH_STATE_REJECTED;
  snprintf(d->cause, sizeof d->cause, "%s", cause ? cause : "UNKNOWN");
  snprintf(d->reason, sizeof d->reason, "%.*s", (int)strcspn(reason, "\n"), reason);
  fh_fault_fix(context, d->cause, d->fix, sizeof d->fix);
}

static fh_status backend_open(fh_context *context, const char *name, const fh_facts *facts) {
  const fh_backend_api *api = backend_named(name);
  if (!api) return FH_STATUS(FH_UNIMPLEMENTED, "this build has no %s backend", name);
  const fh_config *config = &context->config;
  fh_backend_options options = {.threads = config->threads,
                                .host_pool = &config->host_pool,
                                .isa_cap = config->isa_cap,
                                .facts = facts,
                                .allow_fake = config->allow_fake,
                                .cache_dir = config->cache_dir[0] ? config->cache_dir : NULL};
  fh_backend *backend = NULL;
  FH_TRY(api->open(&options, &backend));
  context->apis[context->backend_count] = api;
  context->backends[context->backend_count++] = backend;

  fh_device_info infos[FH_PLAN_MAX_DEVICES];
  int count = api->enumerate(backend, infos, FH_PLAN_MAX_DEVICES);
  for (int i = 0; i < count && i < FH_PLAN_MAX_DEVICES; i++) {
    fh_plan_device *d = device_add(context);
    if (!d) return FH_OK;
    *d = (fh_plan_device){.info = infos[i], .api = api, .state = FH_STATE_OPEN};
    admit(config, d);
    context->device_count++;
    if (!d->allowed) continue; /* listed, not opened: opening takes device memory */
    fh_status status = api->device_open(backend, i, &d->device);
    if (status) device_reject(context, d, fh_status_cause(status), fh_status_message(status));
    fh_status_free(status);
  }
  return FH_OK;
}

/* ---- rejected -------------------------------------------------------------------------------------------------- */

/* A GPU that is here but cannot be used stays in the list, with a guess of what it could do, so that the
 * cost of not having it can be told. */
static void rejected_add(fh_context *context, const char *id, const char *name, const char *cause, const char *reason, const char *fix) {
  for (int i = 0; i < context->device_count; i++)
    if (strcmp(context->devices[i].info.id, id) == 0) return;
  fh_plan_device *d = device_add(context);
  if (!d) return;
  *d = (fh_plan_device){.info = {.kind = FH_DEVICE_GPU,
                                 .exact = true,
                                 .peak_flops = 10e12,
                                 .peak_bytes_per_s = 500e9,
                                 .link_bytes_per_s = 12e9,
                                 .launch_s = 10e-6}};
  snprintf(d->info.id, sizeof d->info.id, "%s", id);
  snprintf(d->info.name, sizeof d->info.name, "%s", name ? name : id);
  device_reject(context, d, cause, reason);
  if (fix) snprintf(d->fix, sizeof d->fix, "%s", fix);
  admit(&context->config, d);
  context->device_count++;
}

static const fh_finding *finding_of(const fh_judgement *judgement, const char *cause) {
  for (int i = 0; cause && i < judgement->finding_count; i++)
    if (strcmp(judgement->findings[i].cause->id, cause) == 0) return &judgement->findings[i];
  return NULL;
}

static void rejected_from(fh_context *context, const fh_judgement *judgement, const char *backend) {
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *found = &judgement->devices[i];
    if (found->usable || strcmp(found->backend, backend) != 0) continue;
    const fh_finding *finding = finding_of(judgement, found->cause);
    rejected_add(context, found->id, found->name, found->cause, finding ? finding->summary : "it cannot be used",
                 finding && finding->remedy_count ? finding->remedies[0] : NULL);
  }
}

/* ---- deciding what to open -------------------------------------------------------------------------------------- */

/* The CUDA driver is asked in a child before it is loaded here, or was, so "not present" is then a proven no. Others are tried. */
static bool detection_judges(const char *backend) { return strcmp(backend, "cuda") == 0; }

static bool isa_is_usable(const fh_facts_isa *isa) {
  bool disproven = isa->proven.valid == FH_VALID && !isa->proven.value;
  return isa->advertised && isa->enabled && !disproven;
}

static void isa_from(fh_context *context, const fh_facts *facts) {
  for (int i = 0; i < FH_ISA_COUNT; i++) context->isa_usable[i] = i == FH_ISA_SCALAR || isa_is_usable(&facts->cpu.isa[i]);
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    if (isa_is_usable(&facts->cpu.feature[i])) context->features |= FH_NEEDS(i);
}

/* Opens a backend when it is named, or when it is worth it and the list leaves it free; what cannot be had is listed with its cause. */
static void accelerator_open(fh_context *context, const fh_backend_api *api, const fh_facts *facts, const fh_judgement *judgement) {
  const fh_config *config = &context->config;
  bool named = asked_word(config, api->name);
  bool candidate = named || config->device_count == 0 || asked_word(config, "gpu");
  if (!candidate) return;
  bool present = api->present && api->present(facts);
  if (present || (named && !detection_judges(api->name))) {
    fh_status status = backend_open(context, api->name, facts);
    if (status) {
      char id[24];
      snprintf(id, sizeof id, "%s:0", api->name);
      rejected_add(context, id, NULL, fh_status_cause(status), fh_status_message(status), NULL);
    }
    fh_status_free(status);
  }
  rejected_from(context, judgement, api->name); /* one of several may be bad */
}

static fh_status check_require(const fh_context *context, const fh_judgement *judgement) {
  if (!context->config.require[0]) return FH_OK;
  bool met = false;
  fh_unmet unmet = {0};
  FH_TRY(fh_judgement_require(judgement, context->config.require, &met, &unmet));
  if (met) return FH_OK;
  return FH_STATUS_CAUSE(FH_UNAVAILABLE, unmet.cause, "FOGHORN_REQUIRE=%s is not met: found %s\nnext step: devprobe", unmet.spec,
                         unmet.found);
}

static fh_status accelerators_open(fh_context *context, const fh_facts *facts) {
  const fh_config *config = &context->config;
  fh_judgement *judgement = NULL;
  FH_TRY(fh_judge(facts, config->policy == FH_REQUIRE_GPU || asked_word(config, "gpu") ? "gpu" : NULL, &judgement));
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(all[i]->name, "cpu") != 0) accelerator_open(context, all[i], facts, judgement);
  fh_status status = check_require(context, judgement);
  fh_judgement_destroy(judgement);
  return status;
}

/* ---- an explicit list is obeyed or refused ------------------------------------------------------------------------ */

static fh_status check_name(const fh_context *context, const char *name) {
  const fh_plan_device *rejected = NULL;
  char known[256] = "";
  for (int i = 0; i < context->device_count; i++) {
    const fh_plan_device *d = &context->devices[i];
    if (matches(d, name) && d->state == FH_STATE_OPEN) return FH_OK;
    if (matches(d, name)) rejected = d;
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", d->info.id);
  }
  if (rejected)
    return FH_STATUS_CAUSE(
        FH_UNAVAILABLE, rejected->cause,
        "the device \"%s\" was asked for and cannot be used\ncause     %s: %s\nfix       %s\nnext step devprobe cause %s", name,
        rejected->cause, rejected->reason, rejected->fix, rejected->cause);
  return FH_STATUS(FH_NOT_FOUND,
                   "the device \"%s\" was asked for, but there is none here\ndevices of this process: %s\nnext step: run devprobe", name,
                   known);
}

static fh_status check_policy(const fh_context *context) {
  for (int i = 0; i < context->config.device_count; i++) FH_TRY(check_name(context, context->config.devices[i]));
  if (context->config.policy == FH_REQUIRE_GPU && context->config.device_count == 0) FH_TRY(check_name(context, "gpu"));
  return FH_OK;
}

/* ---- all together ---------------------------------------------------------------------------------------------------- */

/* Looks at the machine once, as far as the devices that may be used make it worth. */
static fh_status look(fh_os *os, const fh_config *config, bool cpu_alone, fh_facts **out_facts) {
  bool cuda = config->device_count == 0 || asked_word(config, "cuda") || asked_word(config, "gpu");
  return cpu_alone ? fh_facts_gather_cpu(os, out_facts) : fh_facts_gather(os, FH_GATHER_STATIC | (cuda ? FH_GATHER_CUDA : 0), out_facts);
}

/* Tells how many devices CUDA's driver was shown to have. */
static fh_status find_by(fh_context *context, fh_os *os, bool cpu_alone, int *out_shown) {
  fh_facts *facts = NULL;
  FH_TRY(look(os, &context->config, cpu_alone, &facts));
  *out_shown = facts->nvidia.cuda.device_count;
  context->platform = facts->where.platform;
  context->contained = facts->where.container;
  isa_from(context, facts);
  fh_status status = cpu_alone ? FH_OK : accelerators_open(context, facts);
  if (!status) status = backend_open(context, "cpu", facts); /* always: self-tests and recovery need it, even where no launch may use it */
  fh_facts_destroy(facts);
  return status;
}

/* Some device of CUDA was opened, none failed, and those that the driver was shown to have are all here. */
static bool cuda_works(const fh_context *context, int shown) {
  bool works = false, fails = false;
  int found = 0;
  for (int i = 0; i < context->device_count; i++) {
    const fh_plan_device *d = &context->devices[i];
    if (strncmp(d->info.id, "cuda:", 5) != 0) continue;
    works |= d->device != NULL;
    fails |= d->state != FH_STATE_OPEN;
    found++;
  }
  return works && !fails && (found == shown || context->device_count == FH_PLAN_MAX_DEVICES);
}

/* By what is kept of a driver that worked, where that is wanted: who requires something wants it shown. */
static fh_os *with_proof(const fh_context *context, bool cpu_alone, fh_os *live) {
  const fh_config *config = &context->config;
  return cpu_alone || config->require[0] || !config->cache_dir[0] ? NULL : fh_os_proven(live, config->cache_dir);
}

/* Tells whether the driver was taken for what it is no more: a child then tells why. */
static fh_status find_by_proof(fh_context *context, fh_os *proven, bool *out_again) {
  int shown = 0;
  fh_status status = find_by(context, proven, false, &shown);
  const bool works = !status && cuda_works(context, shown);
  *out_again = !works && fh_os_proven_used(proven);
  if (works) fh_os_proven_keep(proven);
  if (!*out_again) return status;
  fh_status_free(status);
  fh_devices_close(context);
  return FH_OK;
}

fh_status fh_devices_find(fh_context *context) {
  bool cpu_alone = only_cpu(&context->config) && !context->config.require[0], again = true;
  int shown;
  fh_os *os = NULL;
  FH_TRY(fh_os_live(NULL, PROBE_TIMEOUT_NS, &os));
  fh_os *proven = with_proof(context, cpu_alone, os);
  fh_status status = proven ? find_by_proof(context, proven, &again) : FH_OK;
  if (again) status = find_by(context, os, cpu_alone, &shown);
  fh_os_destroy(proven ? proven : os);
  return status ? status : check_policy(context);
}

void fh_devices_close(fh_context *context) {
  for (int i = 0; i < context->device_count; i++)
    if (context->devices[i].device) context->devices[i].api->device_close(context->devices[i].device);
  context->device_count = 0;
  for (int i = 0; i < context->backend_count; i++) context->apis[i]->destroy(context->backends[i]);
  context->backend_count = 0;
}

int fh_device_named(const fh_context *context, const char *name) {
  for (int i = 0; i < context->device_count; i++)
    if (strcmp(context->devices[i].info.id, name) == 0) return i;
  return -1;
}
