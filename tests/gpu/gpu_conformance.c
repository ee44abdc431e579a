/* Every kernel on every device of one backend, straight through its table and without the planner.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   gpu_conformance BACKEND [--list] [--gpus] [--fake] [--cases N] [KERNEL]
 *     --list    only name the devices      --gpus     leave out CPUs behind a GPU interface
 *     --fake    accept a stand-in driver   --cases N  only the first N cases of each contract
 * Exit status: 0 all right, 1 a kernel is wrong or a device failed, 2 usage, 77 no device (the reason is printed).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "runtime/plan/conformance.h"

enum { MAX_DEVICES = 32, USAGE = 2, NOT_RUN = 77 };

typedef struct options {
  const char *backend, *kernel;
  bool list, gpus, fake;
  int cases;
} options;

typedef struct target {
  const fh_backend_api *api;
  fh_device *device;
  fh_stream *stream;
} target;

/* ---- one call on the device ----------------------------------------------------------------------------------------- */

typedef struct call_memory {
  fh_memory *views[FH_MAX_VIEWS]; /* the same one where a call works in place */
  bool owner[FH_MAX_VIEWS];
  fh_memory *temps[FH_MAX_TEMPS];
} call_memory;

static fh_status allocate(const target *t, const fh_conform_call *call, call_memory *m) {
  for (int i = 0; i < call->image->contract->view_count; i++) {
    for (int j = 0; j < i && !m->views[i]; j++)
      if (call->places[j].memory == call->places[i].memory) m->views[i] = m->views[j];
    if (m->views[i]) continue;
    FH_TRY(t->api->alloc(t->device, call->places[i].bytes, &m->views[i]));
    m->owner[i] = true;
  }
  for (int i = 0; i < call->bound->temp_count; i++) FH_TRY(t->api->alloc(t->device, call->bound->temp_bytes[i], &m->temps[i]));
  return FH_OK;
}

static void end_memory(const target *t, call_memory *m) {
  for (int i = 0; i < FH_MAX_VIEWS; i++)
    if (m->owner[i]) t->api->free(m->views[i]);
  for (int i = 0; i < FH_MAX_TEMPS; i++) t->api->free(m->temps[i]);
}

static fh_status run_and_wait(const target *t, const fh_command *commands, int count) {
  fh_point point;
  FH_TRY(t->api->submit(t->stream, commands, count, &point));
  return t->api->wait(t->stream, point, INT64_C(60000000000));
}

/* Everything goes in and everything comes back: what a kernel writes where it must not shall be seen. */
static fh_status copy_views(const target *t, const fh_conform_call *call, const call_memory *m, bool in) {
  fh_command commands[FH_MAX_VIEWS];
  int count = 0;
  for (int i = 0; i < call->image->contract->view_count; i++) {
    fh_place device = {.memory = m->views[i]}, host = {.host = call->places[i].memory};
    if (!m->owner[i]) continue;
    commands[count++] = (fh_command){.kind = FH_COMMAND_COPY,
                                     .copy = {.from = in ? host : device, .to = in ? device : host, .bytes = call->places[i].bytes}};
  }
  return run_and_wait(t, commands, count);
}

static fh_launch_operand operand_of(const fh_conform_call *call, const call_memory *m, const fh_operand *o) {
  fh_launch_operand out = {.kind = o->kind};
  if (o->kind == FH_OPERAND_I64)
    out.i = o->i;
  else if (o->kind == FH_OPERAND_F32)
    out.f = o->f;
  else if (o->kind == FH_OPERAND_TEMP)
    out.place = (fh_place){.memory = m->temps[o->index], .offset = o->offset};
  else
    out.place = (fh_place){.memory = m->views[o->index], .offset = call->places[o->index].offset + o->offset};
  return out;
}

static fh_status run_stage(const target *t, const fh_conform_call *call, const call_memory *m, const fh_stage *stage) {
  fh_launch_operand operands[FH_MAX_OPERANDS];
  fh_executable *executable = NULL;
  for (int i = 0; i < stage->operand_count; i++) operands[i] = operand_of(call, m, &stage->operands[i]);
  FH_TRY(t->api->prepare(t->device, &(fh_recipe){.image = call->image, .entry = stage->entry}, &executable));
  fh_command launch = {.kind = FH_COMMAND_LAUNCH,
                       .launch = {.executable = executable,
                                  .items = stage->items,
                                  .flops_per_item = stage->flops_per_item,
                                  .operands = operands,
                                  .operand_count = stage->operand_count,
                                  .bound = call->bound}};
  fh_status status = run_and_wait(t, &launch, 1);
  t->api->release(executable);
  return status;
}

static fh_status run_all(const target *t, const fh_conform_call *call, call_memory *m) {
  FH_TRY(allocate(t, call, m));
  FH_TRY(copy_views(t, call, m, true));
  for (int i = 0; i < call->bound->stage_count; i++) FH_TRY(run_stage(t, call, m, &call->bound->stages[i]));
  return copy_views(t, call, m, false);
}

static fh_status run_call(void *arg, const fh_conform_call *call) {
  target *t = arg;
  call_memory memory = {.views = {NULL}};
  fh_status status = run_all(t, call, &memory);
  end_memory(t, &memory);
  return status;
}

/* ---- all kernels of a device ------------------------------------------------------------------------------------------- */

static bool check_kernel(target *t, const fh_device_info *info, const fh_kernel_image *image, int cases) {
  static const char *const words[] = {"pass", "FAIL", "UNSUPPORTED"};
  fh_numerics numerics = image->contract->dialect_numerics;
  const fh_conform_variant variant = {.name = info->id,
                                      .numerics = info->exact ? numerics : FH_BOUNDED,
                                      .alignment = info->address_alignment > 1 ? info->address_alignment : 1,
                                      .run = run_call,
                                      .arg = t};
  fh_conform_report report = {0};
  fh_status status = fh_conform(image, &variant, &(fh_conform_options){.cases = cases}, &report);
  if (status) snprintf(report.text, sizeof report.text, "%s", fh_status_message(status));
  bool good = !status && report.verdict == FH_CONFORM_PASS;
  printf("%-9s %-16s %-11s %6d runs %s%s%s\n", info->id, image->contract->name, status ? "FAIL" : words[report.verdict], report.runs,
         variant.numerics == FH_EXACT ? "exact" : "within the bound", report.text[0] ? ": " : "", report.text);
  fflush(stdout);
  fh_status_free(status);
  return good;
}

static bool complain(const char *what, fh_status status) {
  printf("%-9s FAIL: %s\n", what, fh_status_message(status));
  fh_status_free(status);
  return false;
}

static bool check_device(const fh_backend_api *api, fh_backend *backend, int index, const fh_device_info *info, const options *o) {
  target t = {.api = api};
  bool good = true;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_status status = api->device_open(backend, index, &t.device);
  if (status) return complain(info->id, status);
  status = api->stream_open(t.device, &t.stream);
  if (status) good = complain(info->id, status);
  for (int i = 0; i < count && t.stream; i++)
    if (!o->kernel || strcmp(o->kernel, images[i].contract->name) == 0) good &= check_kernel(&t, info, &images[i], o->cases);
  if (t.stream) api->stream_close(t.stream);
  api->device_close(t.device);
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
      out->cases = atoi(argv[++i]);
    else if (argv[i][0] == '-')
      return false;
    else if (!out->backend)
      out->backend = argv[i];
    else if (!out->kernel)
      out->kernel = argv[i];
    else
      return false;
  }
  return out->backend && out->cases >= 0;
}

int main(int argc, char **argv) {
  options o;
  if (!read_options(argc, argv, &o)) {
    fputs("usage: gpu_conformance BACKEND [--list] [--gpus] [--fake] [--cases N] [KERNEL]\n", stderr);
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
