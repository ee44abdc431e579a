/* CUDA launches: arguments by the calling convention, shapes within the device's limits. SPDX-License-Identifier: Apache-2.0 */
#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"

fh_status fh_cuda_address_of(fh_stream *stream, const char *what, const fh_place *place, size_t bytes, fh_cu_ptr *out_address) {
  fh_memory *memory = place->memory;
  const char *id = stream->device->found->info.id;
  if (!memory) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s is not in device memory", id, what);
  if (memory->device != stream->device)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s lies on %s", id, what, memory->device->found->info.id);
  FH_TRY(fh_check_range(what, place->offset, bytes, memory->bytes));
  *out_address = memory->block.address + (fh_cu_ptr)place->offset;
  return fh_cuda_use(stream, memory);
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static void add_i64(fh_cuda_arguments *list, int64_t value) {
  list->values[list->count].i = value;
  list->pointers[list->count] = &list->values[list->count].i;
  list->count++;
}

static void add_address(fh_cuda_arguments *list, fh_cu_ptr value) {
  list->values[list->count].p = value;
  list->pointers[list->count] = &list->values[list->count].p;
  list->count++;
}

/* The rest of the value's 64 bits is zero, so that lists can be compared. */
static void add_f32(fh_cuda_arguments *list, float value) {
  list->values[list->count].i = 0;
  list->values[list->count].f = value;
  list->pointers[list->count] = &list->values[list->count].f;
  list->count++;
}

/* An empty view may have no memory: its pointer is NULL and not followed. */
static fh_status add_pointer(fh_stream *stream, const char *name, const fh_place *place, int64_t items, fh_cuda_arguments *list) {
  fh_cu_ptr address = 0;
  if (place->memory || items > 0) FH_TRY(fh_cuda_address_of(stream, name, place, 0, &address));
  add_address(list, place->memory ? place->memory->block.address : 0);
  add_i64(list, place->offset);
  return FH_OK;
}

static fh_status add_operands(fh_stream *stream, const fh_command *command, fh_cuda_arguments *list) {
  const fh_entry_image *entry = command->launch.executable->entry;
  const int count = command->launch.operand_count;
  FH_TRY(fh_check_device_operands(entry, command->launch.executable->variant, command->launch.operands, count));
  add_i64(list, command->launch.items);
  for (int i = 0; i < count; i++) {
    const fh_launch_operand *operand = &command->launch.operands[i];
    if (operand->kind == FH_OPERAND_I64)
      add_i64(list, operand->i);
    else if (operand->kind == FH_OPERAND_F32)
      add_f32(list, operand->f);
    else
      FH_TRY(add_pointer(stream, fh_operand_name(entry, i), &operand->place, command->launch.items, list));
  }
  return FH_OK;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------- */

/* Items in a grid-stride loop: any grid is right. */
static fh_block_shape stride_shape(const fh_executable *executable, int64_t items) {
  int64_t per_block = executable->block / FH_CUDA_LANES;
  int64_t blocks = (items - 1) / per_block + 1;
  const uint32_t grid = blocks < executable->max_grid ? (uint32_t)blocks : executable->max_grid;
  return (fh_block_shape){{grid, 1, 1}, executable->block, 0};
}

/* Dynamic shared memory above the usual limit is asked for when a launch first wants it, and all that there is: the limit is the
 * function's, which several executables may share, and costs nothing. */
static fh_status need_shared(fh_device *device, fh_executable *executable, uint32_t bytes) {
  if (bytes <= atomic_load(&executable->shared_given)) return FH_OK;
  const uint32_t most = device->found->info.blocks.shared_bytes;
  if (executable->shared_static > most || bytes > most - executable->shared_static)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES",
                           "%s: %s needs %u bytes of shared memory for a block and declares %u itself, the device gives %u",
                           device->found->info.id, executable->name, bytes, executable->shared_static, most);
  fh_cu_result code = device->fn->cuFuncSetAttribute(executable->function, FH_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                     (int)(most - executable->shared_static));
  if (code != FH_CUDA_SUCCESS)
    return FH_CUDA_FAIL(device, code, "cuFuncSetAttribute", "asking for %u bytes of shared memory for a block of %s", bytes,
                        executable->name);
  atomic_store(&executable->shared_given, most - executable->shared_static);
  return FH_OK;
}

static fh_status find_shape(fh_device *device, const fh_command *command, fh_block_shape *out) {
  fh_executable *executable = command->launch.executable;
  if (!executable->variant) {
    *out = stride_shape(executable, command->launch.items);
    return FH_OK;
  }
  FH_TRY(fh_check_block_shape(&device->found->info, executable->variant, executable->step, command->launch.bound, out));
  if (out->threads > executable->block)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES", "%s: %s needs %u threads of a block, its registers allow %u",
                           device->found->info.id, executable->name, out->threads, executable->block);
  return need_shared(device, executable, out->shared_bytes);
}

/* ---- tensor maps ----------------------------------------------------------------------------------------------------- */

static fh_cu_ptr address_in(const fh_place *place) { return place->memory ? place->memory->block.address + (fh_cu_ptr)place->offset : 0; }

/* Behind the arguments. */
static fh_status add_maps(fh_device *device, const fh_command *command, fh_cuda_launch *launch) {
  fh_cu_ptr addresses[FH_MAX_OPERANDS] = {0};
  for (int i = 0; i < command->launch.operand_count; i++)
    if (fh_operand_is_pointer(command->launch.operands[i].kind)) addresses[i] = address_in(&command->launch.operands[i].place);
  FH_TRY(fh_cuda_encode_maps(device, command, addresses, &launch->maps));
  for (int i = 0; i < launch->maps.count; i++) launch->arguments.pointers[launch->arguments.count + i] = launch->maps.maps[i].bytes;
  return FH_OK;
}

/* ---- launches ------------------------------------------------------------------------------------------------------ */

fh_status fh_cuda_describe_launch(fh_stream *stream, const fh_command *command, fh_cuda_launch *out_launch) {
  const fh_executable *executable = command->launch.executable;
  fh_device *device = stream->device;
  const char *id = device->found->info.id;
  out_launch->executable = executable;
  out_launch->bound = command->launch.bound;
  out_launch->shape = (fh_block_shape){0};
  out_launch->arguments.count = 0;
  out_launch->maps.count = 0;
  if (!executable) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: a launch without an executable", id);
  stream->latest = executable->name;
  if (executable->device != device) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s was prepared for another device", id, executable->name);
  FH_TRY(add_operands(stream, command, &out_launch->arguments));
  if (command->launch.items <= 0) return FH_OK;
  FH_TRY(find_shape(device, command, &out_launch->shape));
  const bool has_maps = executable->variant && executable->variant->map_count > 0;
  return has_maps ? add_maps(device, command, out_launch) : FH_OK;
}

fh_status fh_cuda_queue_launch(fh_stream *stream, fh_cuda_launch *launch) {
  const fh_executable *executable = launch->executable;
  const fh_block_shape *s = &launch->shape;
  if (s->threads == 0) return FH_OK;
  stream->latest = executable->name;
  if (executable->product) return fh_cuda_queue_product(stream, launch);
  return fh_cuda_start(stream->device, executable, s, stream->handle, launch->arguments.pointers);
}
