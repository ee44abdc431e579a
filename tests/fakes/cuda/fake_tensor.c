/* Tensor maps of the stand-in driver: what the driver's documentation of cuTensorMapEncodeTiled demands, and how a map goes from there to
 * the emulator of blocks. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fake.h"

enum { MARK = 0x54414d50, MOST_BOX = 256, MOST_STEP = 8, BOUNDARY = 16, MAP_BOUNDARY = 64 };
#define MOST_EXTENT (UINT64_C(1) << 32)
#define MOST_STRIDE (UINT64_C(1) << 40)

_Static_assert(sizeof(fake_tensor_map) <= FH_CU_TENSOR_MAP_BYTES, "the stand-in keeps its own form in a tensor map");

static fh_cu_result refuse(const char *what, uint64_t found) {
  fake_complain("cuTensorMapEncodeTiled: %s is %llu", what, (unsigned long long)found);
  return FH_CUDA_ERROR_INVALID_VALUE;
}

/* The types that Foghorn uses. */
static bool type_of(fh_cu_tensor_type type, fh_dtype *out) {
  switch (type) {
    case FH_CU_TENSOR_MAP_DATA_TYPE_UINT8:
      *out = FH_U8;
      return true;
    case FH_CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
      *out = FH_F16;
      return true;
    case FH_CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      *out = FH_BF16;
      return true;
    case FH_CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      *out = FH_F32;
      return true;
    default:
      return false;
  }
}

static fh_cu_result check_dimension(int d, const fh_tensor_map *map, uint32_t step) {
  if (map->extent[d] == 0 || map->extent[d] > MOST_EXTENT) return refuse("an extent", map->extent[d]);
  if (map->box[d] == 0 || map->box[d] > MOST_BOX) return refuse("an extent of a box", map->box[d]);
  if (step == 0 || step > MOST_STEP) return refuse("a stride of elements", step);
  if (d > 0 && (map->stride[d] % BOUNDARY || map->stride[d] >= MOST_STRIDE)) return refuse("a stride", map->stride[d]);
  return FH_CUDA_SUCCESS;
}

static fh_cu_result check_map(const fh_tensor_map *map, fh_cu_ptr address, const uint32_t *steps) {
  const uint32_t line = map->box[0] * (uint32_t)map->stride[0];
  if (address % BOUNDARY) return refuse("the address, modulo 16,", address % BOUNDARY);
  for (int d = 0; d < map->rank; d++) {
    fh_cu_result code = check_dimension(d, map, steps[d]);
    if (code) return code;
  }
  if (line % BOUNDARY) return refuse("the first dimension of a box, in bytes,", line);
  if (map->swizzle && line > map->swizzle) return refuse("the first dimension of a box, in bytes, beyond the swizzle,", line);
  return FH_CUDA_SUCCESS;
}

fh_cu_result fake_tensor_encode(const fake_tensor_request *from, void *out_map) {
  static const uint32_t swizzles[] = {0, 32, 64, 128}, bytes[] = {[FH_U8] = 1, [FH_F16] = 2, [FH_BF16] = 2, [FH_F32] = 4};
  fake_tensor_map out;
  memset(&out, 0, sizeof out); /* maps are compared, holes and all */
  out.map.operand = MARK;
  out.map.rank = (int32_t)from->rank;
  if ((uintptr_t)out_map % MAP_BOUNDARY) return refuse("the address of the map, modulo 64,", (uintptr_t)out_map % MAP_BOUNDARY);
  if (from->rank < 1 || from->rank > FH_MAX_TENSOR_RANK) return refuse("the rank", from->rank);
  if (!type_of(from->type, &out.map.dtype)) return refuse("the type (not known to the stand-in)", from->type);
  if (from->swizzle >= sizeof swizzles / sizeof *swizzles) return refuse("the swizzle", from->swizzle);
  out.map.swizzle = swizzles[from->swizzle];
  out.map.stride[0] = bytes[out.map.dtype];
  for (uint32_t d = 0; d < from->rank; d++) {
    out.map.extent[d] = from->extents[d];
    out.map.box[d] = from->box[d];
    if (d > 0) out.map.stride[d] = from->strides[d - 1];
  }
  fh_cu_result code = check_map(&out.map, from->address, from->steps);
  if (code) return code;
  out.base = (const char *)(uintptr_t)from->address;
  memcpy(out_map, &out, sizeof out);
  return FH_CUDA_SUCCESS;
}

static uint64_t bytes_of(const fh_tensor_map *map) {
  uint64_t last = map->stride[0];
  for (int d = 0; d < map->rank; d++) last += (map->extent[d] - 1) * map->stride[d];
  return last;
}

bool fake_tensor_bind(fh_cu_context context, const char *entry, const void *param, fake_tensor_map *out) {
  memcpy(out, param, sizeof *out);
  if (out->map.operand != MARK) {
    fake_complain("%s: a tensor map was not made by cuTensorMapEncodeTiled", entry);
    return false;
  }
  const fh_cu_ptr address = (fh_cu_ptr)(uintptr_t)out->base;
  out->base = fake_translate(context, address, bytes_of(&out->map));
  if (!out->base)
    fake_complain("%s: a tensor of %llu bytes at 0x%llx is not in one piece of device memory", entry,
                  (unsigned long long)bytes_of(&out->map), address);
  return out->base;
}
