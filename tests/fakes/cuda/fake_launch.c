/* The exported functions of the stand-in CUDA driver that launch, and what launches pass. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fake_call.h"

/* Whole warps in one dimension: what the kernels are written for. */
static bool is_launch(const fh_cu_launch_config *c) {
  const bool grid =
      c->grid[0] && c->grid[0] <= INT32_MAX && c->grid[1] && c->grid[1] <= UINT16_MAX && c->grid[2] && c->grid[2] <= UINT16_MAX;
  return grid && c->block[0] && c->block[0] % 32 == 0 && c->block[0] <= 1024 && c->block[1] == 1 && c->block[2] == 1;
}

static fh_cu_result launch(fh_cu_context context, const fake_call *call, const fh_cu_launch_config *c, fh_cu_function handle,
                           void **params) {
  const fake_function *function = fake_object_find(handle, FAKE_FUNCTION, context);
  fake_stream *stream = fake_object_find(c->stream, FAKE_STREAM, context);
  if (!function || !stream) return FH_CUDA_ERROR_INVALID_HANDLE;
  fake_command command = {.act = call->late};
  const fh_block_shape shape = {.grid = {c->grid[0], c->grid[1], c->grid[2]}, .threads = c->block[0], .shared_bytes = c->shared_bytes};
  if (fake_stream_capture(stream)) return fake_graph_add(fake_stream_capture(stream), function, &shape, params);
  fh_cu_result code = fake_function_bind(context, function, &shape, params, &command);
  return code ? code : fake_stream_queue(stream, &command);
}

fh_cu_result cuLaunchKernel(fh_cu_function handle, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x,
                            unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, fh_cu_stream stream, void **params,
                            void **extra) {
  BEGIN(cuLaunchKernel);
  const fh_cu_launch_config config = {
      .grid = {grid_x, grid_y, grid_z}, .block = {block_x, block_y, block_z}, .shared_bytes = shared_bytes, .stream = stream};
  FAIL_IF(!is_launch(&config) || extra, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(launch(context, &call, &config, handle, params));
}

/* A cluster divides the grid, of 8 blocks at most, and only from compute capability 9.0 on. The emulator runs its blocks one by one. */
static bool is_cluster(const fh_cu_launch_config *c) {
  const fh_cu_launch_attribute *a = c->attributes;
  if (c->attribute_count == 0) return true;
  if (c->attribute_count > 1 || !a || a->id != FH_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) return false;
  const unsigned *cluster = a->cluster, blocks = cluster[0] * cluster[1] * cluster[2];
  if (fake_get_settings()->capability < 90 || blocks < 1 || blocks > 8) return false;
  return c->grid[0] % cluster[0] == 0 && c->grid[1] % cluster[1] == 0 && c->grid[2] % cluster[2] == 0;
}

fh_cu_result cuLaunchKernelEx(fh_cu_launch_config_ptr opaque, fh_cu_function handle, void **params, void **extra) {
  BEGIN(cuLaunchKernelEx);
  fh_cu_launch_config config;
  FAIL_IF(!opaque || extra, FH_CUDA_ERROR_INVALID_VALUE);
  memcpy(&config, opaque, sizeof config);
  FAIL_IF(!is_launch(&config) || !is_cluster(&config), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(launch(context, &call, &config, handle, params));
}

fh_cu_result cuTensorMapEncodeTiled(fh_cu_tensor_map_ptr map, fh_cu_tensor_type type, uint32_t rank, void *address, const uint64_t *extents,
                                    const uint64_t *strides, const uint32_t *box, const uint32_t *element_strides,
                                    fh_cu_tensor_interleave interleave, fh_cu_tensor_swizzle swizzle, fh_cu_tensor_promotion promotion,
                                    fh_cu_tensor_fill fill) {
  BEGIN(cuTensorMapEncodeTiled);
  FAIL_IF(!map || !extents || (!strides && rank > 1) || !box || !element_strides, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(interleave != FH_CU_TENSOR_MAP_INTERLEAVE_NONE || promotion > FH_CU_TENSOR_MAP_L2_PROMOTION_L2_256B ||
              fill != FH_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || fake_get_settings()->capability < 90,
          FH_CUDA_ERROR_INVALID_VALUE);
  const fake_tensor_request request = {.type = type,
                                       .rank = rank,
                                       .address = (fh_cu_ptr)(uintptr_t)address,
                                       .extents = extents,
                                       .strides = strides,
                                       .box = box,
                                       .steps = element_strides,
                                       .swizzle = swizzle};
  NEED_CONTEXT;
  FINISH(fake_tensor_encode(&request, map));
}
