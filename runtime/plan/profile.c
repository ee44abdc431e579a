/* What was measured of this machine, kept from one process to the next. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/cache_file.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

enum { MOST_BYTES = 16 << 20, MOST_DEVICES = 64, WHY = 160 };
static const char schema[] = "foghorn.profile/1";
static const char how_to[] = "devprobe bench --calibrate measures it";

static void path_of(const fh_context *context, char *out, size_t size) {
  snprintf(out, size, "%s/profile.json", context->config.cache_dir);
}

typedef struct variant_name {
  char text[48];
} variant_name;

/* Of another device than the CPU without its number, which may be another next time: "device", "device/tiles". */
static variant_name variant_of(const fh_context *context, const fh_candidate *candidate) {
  variant_name out;
  if (context->devices[candidate->device].info.kind == FH_DEVICE_CPU)
    snprintf(out.text, sizeof out.text, "%s", candidate->name);
  else
    snprintf(out.text, sizeof out.text, "device%s%.31s", candidate->block ? "/" : "", candidate->block ? candidate->block->name : "");
  return out;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

typedef struct tally {
  int devices, times, stale_kernels;
} tally;

static void read_times(fh_candidate *candidate, json_t *times, tally *t) {
  const char *bucket;
  json_t *seconds;
  json_object_foreach(times, bucket, seconds) {
    char *end;
    long index = strtol(bucket, &end, 10);
    double value = json_number_value(seconds);
    if (*end || end == bucket || index < 0 || index >= FH_PLAN_BUCKETS || !(value > 0) || value > 1e6) continue;
    fh_candidate_calibrate(candidate, (int)index, value);
    t->times++;
  }
}

static void read_kernel(const fh_context *context, int device, fh_plan_kernel *kernel, const json_t *kernels, tally *t) {
  char hash[20];
  const json_t *told = json_object_get(kernels, kernel->image->contract->name);
  snprintf(hash, sizeof hash, "%016" PRIx64, kernel->image->hash);
  const char *measured = json_string_value(json_object_get(told, "hash"));
  if (!measured) return;
  if (strcmp(measured, hash) != 0) {
    t->stale_kernels++;
    return;
  }
  const json_t *variants = json_object_get(told, "variants");
  for (int i = 0; i < kernel->count; i++) {
    fh_candidate *candidate = &kernel->candidates[i];
    if (candidate->device == device) read_times(candidate, json_object_get(variants, variant_of(context, candidate).text), t);
  }
}

static bool same_text(const json_t *object, const char *key, const char *text) {
  const char *told = json_string_value(json_object_get(object, key));
  return told && strcmp(told, text) == 0;
}

static bool is_device(const json_t *told, const fh_device_info *info) {
  const json_t *units = json_object_get(told, "units");
  return same_text(told, "name", info->name) && same_text(told, "driver", info->driver) && json_is_integer(units) &&
         json_integer_value(units) == info->compute_units;
}

static const char *const ways[FH_WAYS] = {"to_device", "from_device"};

static void read_link(fh_plan_device *device, const json_t *told) {
  for (int way = 0; way < FH_WAYS; way++) {
    const json_t *figures = json_object_get(json_object_get(told, "link"), ways[way]);
    const double latency = json_number_value(json_object_get(figures, "latency_s"));
    const double bandwidth = json_number_value(json_object_get(figures, "bytes_per_s"));
    if (latency < 1 && bandwidth > 1e3 && bandwidth < 1e15) fh_link_calibrate(device, (fh_way)way, latency, bandwidth);
  }
}

static void read_reached(fh_plan_device *device, const json_t *told) {
  const json_t *reached = json_object_get(told, "reached");
  const double bytes = json_number_value(json_object_get(reached, "bytes_per_s"));
  const double flops = json_number_value(json_object_get(reached, "f32_flops"));
  if (bytes > 0 && bytes < 1e18) device->reached.bytes_per_s = bytes;
  if (flops > 0 && flops < 1e21) device->reached.flops = flops;
}

static void read_device(fh_context *context, int device, const json_t *told, tally *t) {
  const json_t *kernels = json_object_get(told, "kernels");
  read_link(&context->devices[device], told);
  read_reached(&context->devices[device], told);
  t->devices++;
  for (int slot = 0; slot < fh_kernel_slots(); slot++) {
    fh_plan_kernel *kernel = fh_plan_kernel_in(context, slot);
    if (kernel) read_kernel(context, device, kernel, kernels, t);
  }
}

/* The name of the first device of the profile, for a message. */
static const char *first_name(const json_t *devices) {
  const char *name = json_string_value(json_object_get(json_array_get(devices, 0), "name"));
  return name ? name : "no device";
}

static void take(fh_context *context, const char *path, const json_t *root) {
  fh_profile *profile = &context->profile;
  const json_t *devices = json_object_get(root, "devices");
  const char *made = json_string_value(json_object_get(root, "made"));
  tally t = {0};
  for (size_t i = 0; i < json_array_size(devices); i++)
    for (int d = 0; d < context->device_count; d++)
      if (context->devices[d].state == FH_STATE_OPEN && is_device(json_array_get(devices, i), &context->devices[d].info))
        read_device(context, d, json_array_get(devices, i), &t);
  if (t.devices == 0) {
    snprintf(profile->why_not, sizeof profile->why_not, "%s is of another machine (%s)", path, first_name(devices));
    fh_text_make_safe(profile->why_not);
    fh_log(FH_LOG_WARN, "the profile %s was made on another machine (%s): it is ignored\n  fix     %s", path, first_name(devices), how_to);
    return;
  }
  if (t.stale_kernels)
    fh_log(FH_LOG_WARN, "the profile %s is older than %d kernel%s of this build: their times are ignored\n  fix     %s", path,
           t.stale_kernels, t.stale_kernels == 1 ? "" : "s", how_to);
  profile->accepted = true;
  profile->times = t.times;
  snprintf(profile->made, sizeof profile->made, "%s", made ? made : "at an unknown time");
  fh_text_make_safe(profile->made);
  fh_log(FH_LOG_INFO, "profile %s of %s: %d times", path, profile->made, t.times);
}

static void reject(fh_context *context, const char *path, const char *why) {
  snprintf(context->profile.why_not, sizeof context->profile.why_not, "%s is not used: %s", path, why);
  fh_text_make_safe(context->profile.why_not); /* a parser quotes what it stumbled over */
  fh_log(FH_LOG_WARN, "the profile %s is not used: %s\n  fix     %s", path, why, how_to);
}

/* The kept profile; NULL with `why` empty: there is none. Owned by the caller. */
static json_t *load(const char *path, char why[static WHY]) {
  char *text;
  size_t size;
  const char *unread = fh_cache_file_read(path, MOST_BYTES, &text, &size);
  snprintf(why, WHY, "%s", unread ? unread : "");
  if (!text) return NULL;
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (json_is_object(root) && same_text(root, "schema", schema)) return root;
  snprintf(why, WHY, "%s", root ? "it is no profile of this version" : error.text);
  json_decref(root);
  return NULL;
}

void fh_profile_use(fh_context *context) {
  if (context->profile.looked) return;
  context->profile.looked = true;
  if (!context->config.cache_dir[0]) return;
  char path[600], why[WHY];
  path_of(context, path, sizeof path);
  json_t *root = load(path, why);
  if (root) take(context, path, root);
  if (why[0]) reject(context, path, why);
  json_decref(root);
}

void fh_profile_use_for(fh_context *context, fh_plan_kernel *kernel) {
  if (!context->profile.accepted) return;
  char path[600], why[WHY];
  path_of(context, path, sizeof path);
  json_t *root = load(path, why), *told;
  tally t = {0};
  size_t i;
  json_array_foreach(json_object_get(root, "devices"), i, told) {
    for (int d = 0; d < context->device_count; d++)
      if (context->devices[d].state == FH_STATE_OPEN && is_device(told, &context->devices[d].info))
        read_kernel(context, d, kernel, json_object_get(told, "kernels"), &t);
  }
  context->profile.times += t.times;
  json_decref(root);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static json_t *times_json(const fh_candidate *candidate) {
  json_t *times = json_object();
  for (int b = 0; candidate->calibrated && b < FH_PLAN_BUCKETS; b++) {
    char bucket[16];
    if (candidate->calibrated[b] <= 0) continue;
    snprintf(bucket, sizeof bucket, "%d", b);
    json_object_set_new(times, bucket, json_real((double)candidate->calibrated[b]));
  }
  return times;
}

static json_t *kernel_json(const fh_context *context, int device, const fh_plan_kernel *kernel) {
  char hash[20];
  snprintf(hash, sizeof hash, "%016" PRIx64, kernel->image->hash);
  json_t *variants = json_object();
  for (int i = 0; i < kernel->count; i++) {
    const fh_candidate *candidate = &kernel->candidates[i];
    if (candidate->device == device && candidate->calibrated)
      json_object_set_new(variants, variant_of(context, candidate).text, times_json(candidate));
  }
  return json_pack("{ss so}", "hash", hash, "variants", variants);
}

static bool was_measured(const fh_plan_kernel *kernel, int device) {
  bool measured = false;
  for (int i = 0; i < kernel->count; i++) measured |= kernel->candidates[i].device == device && kernel->candidates[i].calibrated;
  return measured;
}

/* What was kept of the kernels on this very device; NULL: nothing. Of `before`. */
static json_t *kept_kernels(const fh_context *context, int device, const json_t *before) {
  json_t *told;
  size_t i;
  json_array_foreach(json_object_get(before, "devices"), i, told) {
    if (is_device(told, &context->devices[device].info)) return json_object_get(told, "kernels");
  }
  return NULL;
}

/* As calibrated, now or before; empty: not. */
static json_t *link_json(const fh_plan_device *device) {
  json_t *link = json_object();
  for (int way = 0; way < FH_WAYS; way++) {
    const fh_link *l = &device->links[way];
    if (l->bandwidth.calibrated > 0)
      json_object_set_new(link, ways[way],
                          json_pack("{sf sf}", "latency_s", l->latency.calibrated, "bytes_per_s", l->bandwidth.calibrated));
  }
  return link;
}

static json_t *reached_json(const fh_reached *reached) {
  json_t *out = json_object();
  if (reached->bytes_per_s > 0) json_object_set_new(out, "bytes_per_s", json_real(reached->bytes_per_s));
  if (reached->flops > 0) json_object_set_new(out, "f32_flops", json_real(reached->flops));
  return out;
}

static void set_if_any(json_t *object, const char *key, json_t *value) {
  if (json_object_size(value)) json_object_set(object, key, value);
  json_decref(value);
}

/* Kernels that this context does not know, of a plug-in that is not here say, keep their times, and so do those that it has no times of. */
static json_t *device_json(const fh_context *context, int device, const json_t *before) {
  const fh_device_info *info = &context->devices[device].info;
  json_t *kernels = json_object(), *kept = kept_kernels(context, device, before);
  if (json_is_object(kept)) json_object_update(kernels, kept);
  for (int slot = 0; slot < fh_kernel_slots(); slot++) {
    const fh_plan_kernel *kernel = fh_plan_kernel_in(context, slot);
    if (kernel && was_measured(kernel, device))
      json_object_set_new(kernels, kernel->image->contract->name, kernel_json(context, device, kernel));
  }
  json_t *out = json_pack("{so so si so}", "name", fh_json_text(info->name), "driver", fh_json_text(info->driver), "units",
                          info->compute_units, "kernels", kernels);
  set_if_any(out, "link", link_json(&context->devices[device]));
  set_if_any(out, "reached", reached_json(&context->devices[device].reached));
  return out;
}

static bool is_here(const fh_context *context, const json_t *told) {
  bool here = false;
  for (int d = 0; d < context->device_count; d++)
    here |= context->devices[d].state == FH_STATE_OPEN && same_text(told, "name", context->devices[d].info.name);
  return here;
}

/* Devices that this context did not open, or of another machine with the same cache folder, keep their times as they are; an entry of the
 * name of a device that is open is what it was before, say with another driver. */
static void keep_others(const fh_context *context, const json_t *before, json_t *devices) {
  json_t *told;
  size_t i;
  json_array_foreach(json_object_get(before, "devices"), i, told) {
    if (json_is_object(told) && !is_here(context, told) && json_array_size(devices) < MOST_DEVICES) json_array_append(devices, told);
  }
}

static void now_text(char out[32]) {
  time_t now = time(NULL);
  struct tm utc;
  if (!gmtime_r(&now, &utc) || strftime(out, 32, "%Y-%m-%d %H:%M UTC", &utc) == 0) snprintf(out, 32, "at an unknown time");
}

fh_status fh_profile_writable(const fh_context *context) {
  char path[600];
  if (!context->config.cache_dir[0])
    return FH_STATUS(FH_UNAVAILABLE, "the profile cannot be kept: there is no cache folder\n  set FOGHORN_CACHE_DIR to a folder, or HOME");
  path_of(context, path, sizeof path);
  const char *why = fh_cache_file_writable(path);
  return why ? FH_STATUS(FH_UNAVAILABLE, "the profile %s cannot be written: %s", path, why) : FH_OK;
}

fh_status fh_profile_save(fh_context *context) {
  char path[600], why_unread[WHY];
  FH_TRY(fh_profile_writable(context));
  path_of(context, path, sizeof path);
  now_text(context->profile.made);
  json_t *before = load(path, why_unread), *devices = json_array();
  for (int d = 0; d < context->device_count; d++)
    if (context->devices[d].state == FH_STATE_OPEN) json_array_append_new(devices, device_json(context, d, before));
  keep_others(context, before, devices);
  json_decref(before);
  char *text =
      fh_json_line(json_pack("{ss ss ss so}", "schema", schema, "foghorn", FH_VERSION, "made", context->profile.made, "devices", devices));
  if (!text) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "the profile cannot be kept: no memory");
  const char *why = fh_cache_file_write(path, &(fh_cache_part){text, strlen(text)}, 1);
  free(text);
  return why ? FH_STATUS(FH_UNAVAILABLE, "the profile %s cannot be written: %s", path, why) : FH_OK;
}

/* ---- telling --------------------------------------------------------------------------------------------------- */

void fh_profile_print(const fh_context *context, char *out, size_t size) {
  const fh_profile *profile = &context->profile;
  if (profile->times > 0)
    snprintf(out, size, "calibrated %s", profile->made);
  else if (profile->why_not[0])
    snprintf(out, size, "not calibrated (%s): %s", profile->why_not, how_to);
  else
    snprintf(out, size, "not calibrated: %s", how_to);
}
