/* A context's settings. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "runtime/base/cache_file.h"
#include "runtime/base/log.h"

extern char **environ;

typedef struct choice {
  const char *name;
  int value;
} choice;

static fh_status choose(const char *variable, const choice *choices, int *out_value) {
  const char *text = getenv(variable);
  if (!text) return FH_OK;
  char names[128] = "";
  for (int i = 0; choices[i].name; i++) {
    if (strcmp(text, choices[i].name) == 0) {
      *out_value = choices[i].value;
      return FH_OK;
    }
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", choices[i].name);
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s=%s: expected one of: %s", variable, text, names);
}

/* Of a variable that a backend reads: what is wrong is refused here, and is not taken for a device that fails. */
static fh_status check_choice(const char *variable, const choice *choices) {
  const char *text = getenv(variable);
  int unused = 0;
  return text && *text ? choose(variable, choices, &unused) : FH_OK;
}

/* "cpu", "gpu", or a backend of this build, alone or with ":N". */
static bool device_name_ok(const char *name) {
  if (strcmp(name, "gpu") == 0) return true;
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++) {
    size_t length = strlen(all[i]->name);
    if (strncmp(name, all[i]->name, length) != 0) continue;
    if (!name[length]) return true;
    if (name[length] != ':' || strcmp(all[i]->name, "cpu") == 0) continue;
    size_t digits = strspn(name + length + 1, "0123456789");
    if (digits >= 1 && digits <= 3 && !name[length + 1 + digits]) return true;
  }
  return false;
}

static void known_names(char *out, size_t size) {
  int count, n = snprintf(out, size, "gpu");
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count && n > 0 && (size_t)n < size; i++)
    n += snprintf(out + n, size - (size_t)n, strcmp(all[i]->name, "cpu") == 0 ? ", %s" : ", %s[:N]", all[i]->name);
}

static fh_status read_devices(const char *where, const char *list, fh_config *config) {
  for (const char *start = list; *start;) {
    size_t length = strcspn(start, ",");
    char name[24];
    snprintf(name, sizeof name, "%.*s", (int)length, start);
    if (length >= sizeof name || !device_name_ok(name)) {
      char known[256];
      known_names(known, sizeof known);
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s=%s: \"%.*s\" is no device name\nexpected names separated by commas: %s", where, list,
                       (int)length, start, known);
    }
    if (config->device_count == FH_CONFIG_MAX_DEVICES)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s=%s: more than %d names", where, list, FH_CONFIG_MAX_DEVICES);
    memcpy(config->devices[config->device_count++], name, length + 1);
    start += length;
    if (*start == ',' && !*++start) return FH_STATUS(FH_INVALID_ARGUMENT, "%s=%s: a name is missing after the last comma", where, list);
  }
  if (config->device_count == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s is empty\nexpected names such as cpu or cuda:0; leave it out to let the planner choose",
                     where);
  return FH_OK;
}

static fh_status read_isa(const char *where, const char *name, fh_config *config) {
  fh_isa isa;
  if (!fh_isa_parse(name, &isa)) return FH_STATUS(FH_INVALID_ARGUMENT, "%s=%s: expected scalar, sse42, avx2, avx512 or neon", where, name);
  config->isa_cap = (int)isa;
  return FH_OK;
}

/* A misspelt variable must not be a silent default. */
static void warn_unknown_variables(void) {
  static const char *const known[] = {"FOGHORN_DEVICES", "FOGHORN_ISA",     "FOGHORN_FALLBACK",     "FOGHORN_REQUIRE",
                                      "FOGHORN_LOG",     "FOGHORN_TRACE",   "FOGHORN_VERIFY",       "FOGHORN_CACHE_DIR",
                                      "FOGHORN_PROBE",   "FOGHORN_PLUGINS", "FOGHORN_OPENCL_LANES", "FOGHORN_SPLIT"};
  for (char **entry = environ; *entry; entry++) {
    if (strncmp(*entry, "FOGHORN_", 8) != 0 || strncmp(*entry, "FOGHORN_FAKE_", 13) == 0 || strncmp(*entry, "FOGHORN_TEST_", 13) == 0)
      continue;
    size_t length = strcspn(*entry, "=");
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      found |= strlen(known[i]) == length && strncmp(*entry, known[i], length) == 0;
    if (!found) fh_log(FH_LOG_WARN, "the variable %.*s means nothing to Foghorn: is it misspelt?", (int)length, *entry);
  }
}

static fh_status check_options(const fh_context_options *o) {
  if ((unsigned)o->policy > FH_REQUIRE_GPU)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_context_create: policy: the value %d is no fh_policy", (int)o->policy);
  if ((unsigned)o->fallback > FH_FALLBACK_ERROR)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_context_create: fallback: the value %d is no fh_fallback", (int)o->fallback);
  if ((unsigned)o->numerics > FH_EXACT)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_context_create: numerics: the value %d is no fh_numerics", (int)o->numerics);
  if (!(o->max_slowdown == 0 || o->max_slowdown >= 1))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_context_create: max_slowdown: expected 0 (no limit) or a factor >= 1, found %g",
                     o->max_slowdown);
  if (o->threads < 0 || o->threads > 4096)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_context_create: threads: expected 0 (as many as usable CPUs) to 4096, found %d", o->threads);
  if (o->host_pool && o->threads)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_context_create: threads is %d beside a host_pool\n  its own threads says how many: leave threads 0", o->threads);
  if (o->host_pool && (!o->host_pool->run || o->host_pool->threads < 1 || o->host_pool->threads > 1024))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_context_create: host_pool: run is %s and threads is %d; expected a function, and 1 to 1024 threads",
                     o->host_pool->run ? "set" : "NULL", o->host_pool->threads);
  return FH_OK;
}

fh_status fh_config_read(const fh_context_options *options, fh_config *out_config) {
  static const choice fallbacks[] = {{"allow", FH_FALLBACK_ALLOW}, {"warn", FH_FALLBACK_WARN}, {"error", FH_FALLBACK_ERROR}, {0}};
  static const choice verifies[] = {{"off", FH_VERIFY_OFF}, {"once", FH_VERIFY_ONCE}, {0}};
  static const choice splits[] = {{"auto", 0}, {"off", 1}, {0}};
  static const choice lanes[] = {{"vectors", 0}, {"work-items", 1}, {0}};
  static const fh_context_options none;
  const fh_context_options *o = options ? options : &none;
  *out_config = (fh_config){.isa_cap = -1};
  FH_TRY(fh_log_configure());
  FH_TRY(check_options(o));
  warn_unknown_variables();

  out_config->policy = o->policy;
  out_config->numerics = o->numerics;
  out_config->max_slowdown = o->max_slowdown;
  out_config->threads = o->threads;
  if (o->host_pool) {
    out_config->host_pool = *o->host_pool;
    out_config->threads = o->host_pool->threads;
  }
  out_config->allow_fake = o->allow_fake;

  int fallback = FH_FALLBACK_WARN, verify = FH_VERIFY_ONCE, whole = 0;
  FH_TRY(choose("FOGHORN_FALLBACK", fallbacks, &fallback));
  out_config->fallback = o->fallback != FH_FALLBACK_DEFAULT ? o->fallback : (fh_fallback)fallback;
  FH_TRY(choose("FOGHORN_VERIFY", verifies, &verify));
  FH_TRY(choose("FOGHORN_SPLIT", splits, &whole));
  FH_TRY(check_choice("FOGHORN_OPENCL_LANES", lanes));
  out_config->verify = (fh_verify)verify;
  out_config->keep_whole = o->keep_whole || whole;

  const char *isa = getenv("FOGHORN_ISA");
  if (o->isa) {
    FH_TRY(read_isa("fh_context_create: isa", o->isa, out_config));
  } else if (isa) {
    FH_TRY(read_isa("FOGHORN_ISA", isa, out_config));
  }
  const char *devices = getenv("FOGHORN_DEVICES");
  if (o->devices) {
    FH_TRY(read_devices("fh_context_create: devices", o->devices, out_config));
  } else if (devices) {
    FH_TRY(read_devices("FOGHORN_DEVICES", devices, out_config));
  }
  const char *require = getenv("FOGHORN_REQUIRE");
  if (require && strlen(require) >= sizeof out_config->require)
    return FH_STATUS(FH_INVALID_ARGUMENT, "FOGHORN_REQUIRE=%s: longer than %zu characters", require, sizeof out_config->require - 1);
  snprintf(out_config->require, sizeof out_config->require, "%s", require ? require : "");
  const char *trace = getenv("FOGHORN_TRACE");
  if (trace && strlen(trace) >= sizeof out_config->trace)
    return FH_STATUS(FH_INVALID_ARGUMENT, "FOGHORN_TRACE: the path is longer than %zu characters", sizeof out_config->trace - 1);
  snprintf(out_config->trace, sizeof out_config->trace, "%s", trace ? trace : "");
  fh_cache_folder(out_config->cache_dir, sizeof out_config->cache_dir);
  return FH_OK;
}
