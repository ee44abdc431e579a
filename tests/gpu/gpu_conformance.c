/* Every kernel on every device of one backend, straight through its table and without the planner.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   gpu_conformance BACKEND [--list] [--gpus] [--device ID] [--fake] [--cases N] [--quick] [--apart SECONDS] [KERNEL]
 *     --list    only name the devices      --gpus     leave out CPUs behind a GPU interface
 *     --fake    accept a stand-in driver   --cases N  only the first N cases of each contract
 *     --quick   ordinary data in compact and turned layouts alone
 *     --apart   in a process that is watched: what comes behind a variant that failed, crashed or took longer is done in a fresh one
 * What the driver compiled is kept in FOGHORN_CACHE_DIR, where that is set.
 * Exit status: 0 all right, 1 a kernel is wrong or a device failed, 2 usage, 77 no device (the reason is printed).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/backend_call.h"
#include "tests/support/watch.h"

enum { MAX_DEVICES = 32, USAGE = 2, NOT_RUN = 77 };

typedef struct options {
  const char *backend, *kernel, *device;
  bool list, gpus, fake;
  int apart; /* seconds; 0: in this process */
  fh_conform_options conform;
} options;

/* Where the check stands. */
typedef struct position {
  const fh_backend_api *api;
  fh_device *device;
  const fh_device_info *info;
  const fh_conform_options *conform;
  watch *watch;
} position;

/* ---- all kernels of a device ------------------------------------------------------------------------------------------- */

/* One variant: the dialect's text, or one for blocks. */
static bool check_variant(const position *p, const fh_kernel_image *image, const fh_block_variant *block) {
  static const char *const words[] = {"pass", "FAIL", "UNSUPPORTED"};
  bool exact = p->info->exact && (block ? block->numerics : image->contract->dialect_numerics) == FH_EXACT;
  fh_conform_report report = {0};
  char name[64], turn[WATCH_NAME];
  snprintf(name, sizeof name, "%s%s%s", image->contract->name, block ? "/" : "", block ? block->name : "");
  snprintf(turn, sizeof turn, "%-9s %s", p->info->id, name);
  if (!watch_begin(p->watch, turn)) return true;
  fh_status status = fh_backend_conform_block(p->api, p->device, p->info, image, block, p->conform, &report);
  if (status) snprintf(report.text, sizeof report.text, "%s", fh_status_message(status));
  bool good = !status && report.verdict == FH_CONFORM_PASS;
  printf("%-9s %-16s %-11s %6d runs %s%s%s\n", p->info->id, name, status ? "FAIL" : words[report.verdict], report.runs,
         exact ? "exact" : "within the bound", report.text[0] ? ": " : "", report.text);
  fflush(stdout);
  fh_status_free(status);
  if (!good) watch_leave(p->watch);
  return good;
}

static bool excuse(const position *p, const fh_kernel_image *image, const fh_block_variant *block, const char *why) {
  printf("%-9s %s/%s NOT RUN: %s\n", p->info->id, image->contract->name, block->name, why);
  return true;
}

/* A block text of another kind of device is no part of this one's check; one that this device is too old for, or that only CUDA has, is
 * said and not failed. */
static bool check_block(const position *p, const fh_kernel_image *image, const fh_block_variant *block) {
  const fh_device_info *info = p->info;
  if (info->blocks.threads == 0 || (info->capability == 0 && block->capability != FH_BLOCK_PORTABLE)) return true;
  const fh_block_image *text = fh_block_image_of(image, block);
  if (info->capability == 0 && !(text && text->cl_source)) return excuse(p, image, block, "its text is for CUDA alone");
  const bool runs = info->capability == 0 || (block->only ? info->capability == block->capability : info->capability >= block->capability);
  if (runs) return check_variant(p, image, block);
  char why[96];
  snprintf(why, sizeof why, "it needs %scompute capability %d.%d, this is %d.%d", block->only ? "exactly " : "", block->capability / 10,
           block->capability % 10, info->capability / 10, info->capability % 10);
  return excuse(p, image, block, why);
}

static bool check_kernel(const position *p, const fh_kernel_image *image) {
  bool good = check_variant(p, image, NULL);
  for (int b = 0; b < image->contract->block_count; b++) good &= check_block(p, image, &image->contract->blocks[b]);
  return good;
}

static bool complain(const char *what, fh_status status) {
  printf("%-9s FAIL: %s\n", what, fh_status_message(status));
  fh_status_free(status);
  return false;
}

static bool check_device(const fh_backend_api *api, fh_backend *backend, int index, const fh_device_info *info, const options *o,
                         watch *w) {
  position p = {.api = api, .info = info, .conform = &o->conform, .watch = w};
  bool good = true;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_status status = api->device_open(backend, index, &p.device);
  if (status) return complain(info->id, status);
  for (int i = 0; i < count; i++)
    if (!o->kernel || strcmp(o->kernel, images[i].contract->name) == 0) good &= check_kernel(&p, &images[i]);
  api->device_close(p.device);
  return good;
}

static const fh_backend_api *find_backend(const char *name) {
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(all[i]->name, name) == 0) return all[i];
  return NULL;
}

static bool is_wanted(const fh_device_info *device, const options *o) {
  return (!o->gpus || device->kind == FH_DEVICE_GPU) && (!o->device || strcmp(o->device, device->id) == 0);
}

static int check_devices(const fh_backend_api *api, fh_backend *backend, const options *o, watch *w) {
  fh_device_info infos[MAX_DEVICES];
  int count = api->enumerate(backend, infos, MAX_DEVICES), tried = 0, bad = 0;
  for (int i = 0; i < count && i < MAX_DEVICES; i++) {
    const fh_device_info *d = &infos[i];
    if (!is_wanted(d, o)) continue;
    tried++;
    printf("%-9s %s%s, %s%s%s, %llu MiB\n", d->id, d->fake ? "FAKE: " : "", d->name, d->driver, d->pci[0] ? ", " : "", d->pci,
           (unsigned long long)(d->memory_bytes >> 20));
    if (!o->list && !check_device(api, backend, i, d, o, w)) bad++;
  }
  if (!tried) printf("NOT RUN: %s has no %s here\n", api->name, o->device ? o->device : o->gpus ? "GPU" : "device");
  return !tried ? NOT_RUN : bad ? 1 : 0;
}

/* The whole check, in this process. */
static int check(void *arg, watch *w) {
  const options *o = arg;
  const fh_backend_api *api = find_backend(o->backend);
  const char *cache = getenv("FOGHORN_CACHE_DIR");
  fh_backend *backend = NULL;
  fh_status status =
      api->open(&(fh_backend_options){.isa_cap = -1, .allow_fake = o->fake, .cache_dir = cache && *cache ? cache : NULL}, &backend);
  if (status) {
    printf("NOT RUN: %s: %s%s%s\n", api->name, fh_status_cause(status) ? fh_status_cause(status) : "", fh_status_cause(status) ? ": " : "",
           fh_status_message(status));
    fh_status_free(status);
    return NOT_RUN;
  }
  int result = check_devices(api, backend, o, w);
  api->destroy(backend);
  return result;
}

/* ---- the command line ---------------------------------------------------------------------------------------------------- */

static bool take_name(const char *word, options *out) {
  const char **place = !out->backend ? &out->backend : &out->kernel;
  if (word[0] == '-' || *place) return false;
  *place = word;
  return true;
}

static bool take_flag(const char *word, options *out) {
  if (strcmp(word, "--list") == 0)
    out->list = true;
  else if (strcmp(word, "--gpus") == 0)
    out->gpus = true;
  else if (strcmp(word, "--fake") == 0)
    out->fake = true;
  else if (strcmp(word, "--quick") == 0)
    out->conform.quick = out->conform.forms = true;
  else
    return false;
  return true;
}

static bool take_value(const char *word, const char *value, options *out) {
  if (strcmp(word, "--cases") == 0)
    out->conform.cases = atoi(value);
  else if (strcmp(word, "--apart") == 0)
    out->apart = atoi(value);
  else if (strcmp(word, "--device") == 0)
    out->device = value;
  else
    return false;
  return true;
}

static bool read_options(int argc, char **argv, options *out) {
  *out = (options){0};
  for (int i = 1; i < argc; i++) {
    if (take_flag(argv[i], out)) continue;
    if (i + 1 < argc && take_value(argv[i], argv[i + 1], out))
      i++;
    else if (!take_name(argv[i], out))
      return false;
  }
  return out->backend && out->conform.cases >= 0 && out->apart >= 0;
}

int main(int argc, char **argv) {
  options o;
  if (!read_options(argc, argv, &o)) {
    fputs("usage: gpu_conformance BACKEND [--list] [--gpus] [--device ID] [--fake] [--cases N] [--quick] [--apart SECONDS] [KERNEL]\n",
          stderr);
    return USAGE;
  }
  if (!find_backend(o.backend)) {
    fprintf(stderr, "gpu_conformance: there is no backend \"%s\" in this build\n", o.backend);
    return USAGE;
  }
  return o.apart && !o.list ? watch_run(check, &o, o.apart) : check(&o, &(watch){.to = -1});
}
