/* CUDA launches with tensor maps and clusters, from compute capability 9.0 on. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"

fh_status fh_cuda_check_tensors(const fh_device *device, const fh_block_variant *variant) {
  if (!variant || variant->map_count == 0 || device->fn->cuTensorMapEncodeTiled) return FH_OK;
  return FH_STATUS(FH_INCOMPATIBLE,
                   "%s/%s copies by tensor maps, and this driver has no cuTensorMapEncodeTiled\n"
                   "  drivers of CUDA 12.0 and newer have it",
                   device->found->info.id, variant->name);
}

/* ---- tensor maps ------------------------------------------------------------------------------------------------------ */

static fh_cu_tensor_type type_of(fh_dtype dtype) {
  switch (dtype) {
    case FH_F32:
      return FH_CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case FH_BF16:
      return FH_CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case FH_F16:
      return FH_CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    default:
      return FH_CU_TENSOR_MAP_DATA_TYPE_UINT8; /* bytes are copied, whatever they mean */
  }
}

static fh_cu_tensor_swizzle swizzle_of(uint32_t bytes) {
  return bytes == 128  ? FH_CU_TENSOR_MAP_SWIZZLE_128B
         : bytes == 64 ? FH_CU_TENSOR_MAP_SWIZZLE_64B
         : bytes == 32 ? FH_CU_TENSOR_MAP_SWIZZLE_32B
                       : FH_CU_TENSOR_MAP_SWIZZLE_NONE;
}

static fh_status encode(const fh_device *device, const char *name, int index, const fh_tensor_map *map, fh_cu_ptr address, void *out) {
  const uint32_t each[FH_MAX_TENSOR_RANK] = {1, 1, 1, 1, 1};
  fh_cu_result code = device->fn->cuTensorMapEncodeTiled((fh_cu_tensor_map_ptr)out, type_of(map->dtype), (uint32_t)map->rank,
                                                         (void *)(uintptr_t)address, map->extent, map->stride + 1, map->box, each,
                                                         FH_CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(map->swizzle),
                                                         FH_CU_TENSOR_MAP_L2_PROMOTION_L2_256B, FH_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code == FH_CUDA_SUCCESS) return FH_OK;
  return FH_STATUS_CAUSE(
      FH_INTERNAL, "DRIVER-REFUSED",
      "%s: %s: the driver refuses tensor map %d (code %u): rank %d, address 0x%llx, extents %llu x %llu, lines %llu bytes apart, "
      "boxes of %u x %u\n"
      "  expected an address on 16 bytes and strides that are multiples of 16",
      device->found->info.id, name, index, code, map->rank, address, (unsigned long long)map->extent[0], (unsigned long long)map->extent[1],
      (unsigned long long)map->stride[1], map->box[0], map->box[1]);
}

fh_status fh_cuda_encode_maps(const fh_device *device, const fh_command *command, const fh_cu_ptr *addresses, fh_cuda_maps *out) {
  const fh_executable *executable = command->launch.executable;
  const fh_block_variant *variant = executable->variant;
  fh_tensor_map maps[FH_MAX_TENSOR_MAPS];
  out->count = variant ? variant->map_count : 0;
  if (out->count == 0) return FH_OK;
  memset(out->maps, 0, (size_t)out->count * sizeof out->maps[0]); /* whatever of them the driver writes, they can be compared */
  if (!command->launch.bound)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: a launch of variant %s needs its bound call", device->found->info.id, variant->name);
  variant->maps(command->launch.bound, maps);
  for (int i = 0; i < out->count; i++) {
    if (maps[i].operand < 0 || maps[i].operand >= executable->entry->param_count)
      return FH_STATUS(FH_INTERNAL, "%s: tensor map %d of variant %s is of operand %d, expected 0 to %d", device->found->info.id, i,
                       variant->name, maps[i].operand, executable->entry->param_count - 1);
    FH_TRY(encode(device, executable->name, i, &maps[i], addresses[maps[i].operand], out->maps[i].bytes));
  }
  return FH_OK;
}

/* ---- launches ------------------------------------------------------------------------------------------------------------ */

static fh_status launch_clusters(fh_device *device, const fh_executable *executable, const fh_block_shape *s, fh_cu_stream stream,
                                 void **params) {
  if (!device->fn->cuLaunchKernelEx)
    return FH_STATUS(FH_INCOMPATIBLE,
                     "%s: %s launches clusters of %u blocks, and this driver has no cuLaunchKernelEx\n"
                     "  drivers of CUDA 11.8 and newer have it",
                     device->found->info.id, executable->name, s->cluster);
  fh_cu_launch_attribute cluster = {.id = FH_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, .cluster = {s->cluster, 1, 1}};
  const fh_cu_launch_config config = {.grid = {s->grid[0], s->grid[1], s->grid[2]},
                                      .block = {s->threads, 1, 1},
                                      .shared_bytes = s->shared_bytes,
                                      .stream = stream,
                                      .attributes = &cluster,
                                      .attribute_count = 1};
  fh_cu_result code = device->fn->cuLaunchKernelEx((fh_cu_launch_config_ptr)(const void *)&config, executable->function, params, NULL);
  if (code == FH_CUDA_SUCCESS) return FH_OK;
  return FH_CUDA_FAIL(device, code, "cuLaunchKernelEx", "launching %s in clusters of %u blocks", executable->name, s->cluster);
}

fh_status fh_cuda_start(fh_device *device, const fh_executable *executable, const fh_block_shape *s, fh_cu_stream stream, void **params) {
  if (s->cluster > 1) return launch_clusters(device, executable, s, stream, params);
  fh_cu_result code = device->fn->cuLaunchKernel(executable->function, s->grid[0], s->grid[1], s->grid[2], s->threads, 1, 1,
                                                 s->shared_bytes, stream, params, NULL);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, "cuLaunchKernel", "launching %s", executable->name);
}
