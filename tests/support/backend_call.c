/* The conformance procedure straight through a backend's table, without the planner. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/backend_call.h"

#include <stdio.h>

#include "backends/check.h"

typedef struct target {
  const fh_backend_api *api;
  fh_device *device;
  fh_stream *stream;
  const fh_device_info *info;
  const fh_block_variant *block; /* NULL: the dialect */
  const fh_entry_image *first;   /* of the kernel: whose operands the variant takes */
} target;

typedef struct call_memory {
  fh_memory *views[FH_MAX_VIEWS]; /* the same one where a call works in place */
  bool owner[FH_MAX_VIEWS];
  fh_memory *temps[FH_MAX_TEMPS], *scratch;
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
  if (!t->block || !t->block->scratch_bytes) return FH_OK;
  const size_t bytes = t->block->scratch_bytes(call->bound, t->info->compute_units);
  return t->api->alloc(t->device, bytes ? bytes : 1, &m->scratch);
}

static void end_memory(const target *t, call_memory *m) {
  for (int i = 0; i < FH_MAX_VIEWS; i++)
    if (m->owner[i]) t->api->free(m->views[i]);
  for (int i = 0; i < FH_MAX_TEMPS; i++) t->api->free(m->temps[i]);
  t->api->free(m->scratch);
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

static fh_status run_stage(const target *t, const fh_conform_call *call, const call_memory *m, const fh_stage *stage, int step) {
  fh_launch_operand operands[FH_MAX_OPERANDS];
  fh_executable *executable = NULL;
  int count = stage->operand_count;
  for (int i = 0; i < count; i++) operands[i] = operand_of(call, m, &stage->operands[i]);
  if (m->scratch) operands[count++] = (fh_launch_operand){.kind = FH_OPERAND_TEMP, .place = {.memory = m->scratch}};
  const fh_recipe recipe = {.image = call->image, .entry = t->block ? 0 : stage->entry, .block = t->block, .step = step};
  FH_TRY(t->api->prepare(t->device, &recipe, &executable));
  fh_command launch = {.kind = FH_COMMAND_LAUNCH,
                       .launch = {.executable = executable,
                                  .items = stage->items,
                                  .flops_per_item = stage->flops_per_item,
                                  .operands = operands,
                                  .operand_count = count,
                                  .bound = call->bound}};
  fh_status status = run_and_wait(t, &launch, 1);
  t->api->release(executable);
  return status;
}

static fh_status run_all(const target *t, const fh_conform_call *call, call_memory *m) {
  FH_TRY(allocate(t, call, m));
  FH_TRY(copy_views(t, call, m, true));
  const int launches = t->block ? fh_block_steps(t->block) : call->bound->stage_count;
  for (int i = 0; i < launches; i++) FH_TRY(run_stage(t, call, m, &call->bound->stages[t->block ? 0 : i], t->block ? i : 0));
  return copy_views(t, call, m, false);
}

static fh_status run_call(void *arg, const fh_conform_call *call) {
  const target *t = arg;
  call_memory memory = {.views = {NULL}};
  fh_status status = run_all(t, call, &memory);
  end_memory(t, &memory);
  return status;
}

/* A call may begin with another entry that has the operands of the first: the planner's rule. */
static bool begins_otherwise(const target *t, const fh_stage *first) {
  bool same = first->entry == 0 || first->operand_count == t->first->param_count;
  for (int i = 0; same && i < first->operand_count && first->entry != 0; i++) {
    const fh_operand_kind formal = t->first->params[i].kind, kind = first->operands[i].kind;
    same = kind == formal || (kind == FH_OPERAND_TEMP && formal < FH_OPERAND_I64);
  }
  return !same;
}

static bool unfit(void *arg, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]) {
  const target *t = arg;
  fh_block_shape shape;
  if (!t->block) return false;
  if (begins_otherwise(t, &bound->stages[0]) || (t->block->unfit && t->block->unfit(bound))) return true;
  if (fh_block_misplaced(t->block, bound, offsets)) return true;
  bool too_much = false;
  for (int step = 0; step < fh_block_steps(t->block); step++) {
    fh_status status = fh_check_block_shape(t->info, t->block, step, bound, &shape);
    too_much |= fh_status_code(status) == FH_INCOMPATIBLE;
    fh_status_free(status);
  }
  return too_much;
}

fh_status fh_backend_conform_block(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                                   const fh_block_variant *block, const fh_conform_options *options, fh_conform_report *out_report) {
  target t = {.api = api, .device = device, .info = info, .block = block, .first = image->entries};
  char name[64];
  *out_report = (fh_conform_report){0};
  FH_TRY(api->stream_open(device, &t.stream));
  snprintf(name, sizeof name, "%s%s%s", info->id, block ? "/" : "", block ? block->name : "");
  const fh_numerics numerics = block ? block->numerics : image->contract->dialect_numerics;
  const fh_conform_variant variant = {.name = name,
                                      .numerics = info->exact ? numerics : FH_BOUNDED,
                                      .alignment = info->address_alignment > 1 ? info->address_alignment : 1,
                                      .run = run_call,
                                      .arg = &t,
                                      .unfit = unfit};
  fh_status status = fh_conform(image, &variant, options, out_report);
  api->stream_close(t.stream);
  return status;
}

fh_status fh_backend_conform(const fh_backend_api *api, fh_device *device, const fh_device_info *info, const fh_kernel_image *image,
                             const fh_conform_options *options, fh_conform_report *out_report) {
  return fh_backend_conform_block(api, device, info, image, NULL, options, out_report);
}
