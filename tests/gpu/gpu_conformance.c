/* Every kernel on every device of one backend, straight through its table and without the planner.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   gpu_conformance BACKEND [--list] [--gpus] [--fake] [--cases N] [--quick] [KERNEL]
 *     --list    only name the devices      --gpus     leave out CPUs behind a GPU interface
 *     --fake    accept a stand-in driver   --cases N  only the first N cases of each contract
 *     --quick   ordinary data in compact and turned layouts alone
 * Exit status: 0 all right, 1 a kernel is wrong or a device failed, 2 usage, 77 no device (the reason is printed).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/backend_call.h"

enum { MAX_DEVICES = 32, USAGE = 2, NOT_RUN = 77 };

typedef struct options {
  const char *backend, *kernel;
  bool list, gpus, fake;
  fh_conform_options conform;
} options;

/* ---- all kernels of a device ------------------------------------------------------------------------------------------- */

/* One variant: the dialect's text, or one for blocks. */
static bool check_variant(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                          const fh_block_variant *block, const fh_conform_options *conform) {
  static const char *const words[] = {"pass", "FAIL", "UNSUPPORTED"};
  bool exact = info->exact && (block ? block->numerics : image->contract->dialect_numerics) == FH_EXACT;
  fh_conform_report report = {0};
  char name[64];
  snprintf(name, sizeof name, "%s%s%s", image->contract->name, block ? "/" : "", block ? block->name : "");
  fh_status status = fh_backend_conform_block(api, device, info, image, block, conform, &report);
  if (status) snprintf(report.text, sizeof report.text, "%s", fh_status_message(status));
  bool good = !status && report.verdict == FH_CONFORM_PASS;
  printf("%-9s %-16s %-11s %6d runs %s%s%s\n", info->id, name, status ? "FAIL" : words[report.verdict], report.runs,
         exact ? "exact" : "within the bound", report.text[0] ? ": " : "", report.text);
  fflush(stdout);
  fh_status_free(status);
  return good;
}

/* A block text of another kind of device is no part of this one's check; one that this device is too old for is said and not failed. */
static bool check_block(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                        const fh_block_variant *block, const fh_conform_options *conform) {
  if (info->blocks.threads == 0 || (info->capability == 0 && block->capability != FH_BLOCK_PORTABLE)) return true;
  const bool runs = info->capability == 0 || (block->only ? info->capability == block->capability : info->capability >= block->capability);
  if (runs) return check_variant(api, device, info, image, block, conform);
  printf("%-9s %s/%s NOT RUN: it needs %scompute capability %d.%d, this is %d.%d\n", info->id, image->contract->name, block->name,
         block->only ? "exactly " : "", block->capability / 10, block->capability % 10, info->capability / 10, info->capability % 10);
  return true;
}

static bool check_kernel(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                         const fh_conform_options *conform) {
  bool good = check_variant(api, device, info, image, NULL, conform);
  for (int b = 0; b < image->contract->block_count; b++)
    good &= check_block(api, device, info, image, &image->contract->blocks[b], conform);
  return good;
}

static bool complain(const char *what, fh_status status) {
  printf("%-9s FAIL: %s\n", what, fh_status_message(status));
  fh_status_free(status);
  return false;
}

static bool check_device(const fh_backend_api *api, fh_backend *backend, int index, const fh_device_info *info, const options *o) {
  fh_device *device = NULL;
  bool good = true;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_status status = api->device_open(backend, index, &device);
  if (status) return complain(info->id, status);
  for (int i = 0; i < count; i++)
    if (!o->kernel || strcmp(o->kernel, images[i].contract->name) == 0) good &= check_kernel(api, device, info, &images[i], &o->conform);
  api->device_close(device);
  return good;
}

static const fh_backend_api *find_backend(const char *name) {
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(all[i]->name, name) == 0) return all[i];
  return NULL;
}

static int check_devices(const fh_backend_api *api, fh_backend *backend, const options *o) {
  fh_device_info infos[MAX_DEVICES];
  int count = api->enumerate(backend, infos, MAX_DEVICES), tried = 0, bad = 0;
  for (int i = 0; i < count && i < MAX_DEVICES; i++) {
    const fh_device_info *d = &infos[i];
    if (o->gpus && d->kind != FH_DEVICE_GPU) continue;
    tried++;
    printf("%-9s %s%s, %s%s%s, %llu MiB\n", d->id, d->fake ? "FAKE: " : "", d->name, d->driver, d->pci[0] ? ", " : "", d->pci,
           (unsigned long long)(d->memory_bytes >> 20));
    if (!o->list && !check_device(api, backend, i, d, o)) bad++;
  }
  if (!tried) printf("NOT RUN: %s has no %s here\n", api->name, o->gpus ? "GPU" : "device");
  return !tried ? NOT_RUN : bad ? 1 : 0;
}

static bool take_name(const char *word, options *out) {
  const char **place = !out->backend ? &out->backend : &out->kernel;
  if (word[0] == '-' || *place) return false;
  *place = word;
  return true;
}

static bool read_options(int argc, char **argv, options *out) {
  *out = (options){0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--list") == 0)
      out->list = true;
    else if (strcmp(argv[i], "--gpus") == 0)
      out->gpus = true;
    else if (strcmp(argv[i], "--fake") == 0)
      out->fake = true;
    else if (strcmp(argv[i], "--cases") == 0 && i + 1 < argc)
      out->conform.cases = atoi(argv[++i]);
    else if (strcmp(argv[i], "--quick") == 0)
      out->conform.quick = out->conform.forms = true;
    else if (!take_name(argv[i], out))
      return false;
  }
  return out->backend && out->conform.cases >= 0;
}

int main(int argc, char **argv) {
  options o;
  if (!read_options(argc, argv, &o)) {
    fputs("usage: gpu_conformance BACKEND [--list] [--gpus] [--fake] [--cases N] [--quick] [KERNEL]\n", stderr);
    return USAGE;
  }
  const fh_backend_api *api = find_backend(o.backend);
  if (!api) {
    fprintf(stderr, "gpu_conformance: there is no backend \"%s\" in this build\n", o.backend);
    return USAGE;
  }
  fh_backend *backend = NULL;
  fh_status status = api->open(&(fh_backend_options){.isa_cap = -1, .allow_fake = o.fake}, &backend);
  if (status) {
    printf("NOT RUN: %s: %s%s%s\n", api->name, fh_status_cause(status) ? fh_status_cause(status) : "", fh_status_cause(status) ? ": " : "",
           fh_status_message(status));
    fh_status_free(status);
    return NOT_RUN;
  }
  int result = check_devices(api, backend, &o);
  api->destroy(backend);
  return result;
}
