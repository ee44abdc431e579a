/* The stand-in cuBLASLt, on the stand-in CUDA driver: its memory is reached by the driver's copies. SPDX-License-Identifier: Apache-2.0
 * Stricter than the library: sizes, types and layouts must agree, pointers keep the alignment that the algorithm was asked for, and the
 * workspace is written. Sums are taken from the end, so that no bits are right by chance.
 *
 * FOGHORN_FAKE_CUBLASLT="create=1;heuristic=15;matmul@2=13"   NAME@N=STATUS: from the N-th call on, else from the first */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cublaslt.h"

#define EXPORTED __attribute__((visibility("default")))
#define FH_CUBLASLT(name, params) EXPORTED fh_cublas_status name params;
#include "backends/cuda/cublaslt_symbols.def"
#undef FH_CUBLASLT

extern const char foghorn_fake_cublaslt[];
EXPORTED const char foghorn_fake_cublaslt[] = "a stand-in for tests";

struct cublasLtContext {
  int alive;
};
struct fh_lt_desc_opaque {
  int compute, scale_type;
  int32_t left, right; /* operations */
};
struct fh_lt_layout_opaque {
  int type;
  uint64_t rows, columns;
  int64_t pitch, sheet;
  int32_t batch;
};
struct fh_lt_preference_opaque {
  uint64_t workspace_bytes;
  uint32_t boundaries[4]; /* of a, b, c, d */
};

enum { ALGORITHM = 4711 };

/* The status that the environment asks for; SUCCESS: none. */
static fh_cublas_status scripted(const char *call, int number) {
  const char *at = getenv("FOGHORN_FAKE_CUBLASLT");
  const size_t length = strlen(call);
  while (at && *at) {
    const char *rest = at + length;
    if (strncmp(at, call, length) == 0 && (*rest == '=' || *rest == '@')) {
      char *end = NULL;
      const long first = *rest == '@' ? strtol(rest + 1, &end, 10) : 1;
      const char *equals = strchr(rest, '=');
      if (equals && number >= first) return (fh_cublas_status)strtol(equals + 1, NULL, 10);
    }
    at = strchr(at, ';');
    if (at) at++;
  }
  return FH_CUBLAS_STATUS_SUCCESS;
}

#define TRY(call)                                        \
  do {                                                   \
    const fh_cublas_status code_ = (call);               \
    if (code_ != FH_CUBLAS_STATUS_SUCCESS) return code_; \
  } while (0)
#define NEED(condition) \
  if (!(condition)) return FH_CUBLAS_STATUS_INVALID_VALUE
#define SCRIPTED(call) \
  static int calls_;   \
  TRY(scripted(call, __atomic_add_fetch(&calls_, 1, __ATOMIC_RELAXED)))

/* ---- descriptions ---------------------------------------------------------------------------------------------------- */

fh_cublas_status cublasLtCreate(fh_lt_handle *handle) {
  SCRIPTED("create");
  *handle = calloc(1, sizeof **handle);
  if (!*handle) return FH_CUBLAS_STATUS_ALLOC_FAILED;
  (*handle)->alive = ALGORITHM;
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtDestroy(fh_lt_handle handle) {
  NEED(handle && handle->alive == ALGORITHM);
  handle->alive = 0;
  free(handle);
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatmulDescCreate(fh_lt_desc *desc, int compute, int scale_type) {
  *desc = calloc(1, sizeof **desc);
  if (!*desc) return FH_CUBLAS_STATUS_ALLOC_FAILED;
  (*desc)->compute = compute;
  (*desc)->scale_type = scale_type;
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatmulDescDestroy(fh_lt_desc desc) {
  free(desc);
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatmulDescSetAttribute(fh_lt_desc desc, int attribute, const void *value, size_t bytes) {
  NEED(bytes == sizeof(int32_t) && (attribute == FH_CUBLASLT_MATMUL_DESC_TRANSA || attribute == FH_CUBLASLT_MATMUL_DESC_TRANSB));
  memcpy(attribute == FH_CUBLASLT_MATMUL_DESC_TRANSA ? &desc->left : &desc->right, value, bytes);
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatrixLayoutCreate(fh_lt_layout *layout, int type, uint64_t rows, uint64_t columns, int64_t pitch) {
  *layout = calloc(1, sizeof **layout);
  if (!*layout) return FH_CUBLAS_STATUS_ALLOC_FAILED;
  **layout = (struct fh_lt_layout_opaque){.type = type, .rows = rows, .columns = columns, .pitch = pitch, .batch = 1};
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatrixLayoutDestroy(fh_lt_layout layout) {
  free(layout);
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatrixLayoutSetAttribute(fh_lt_layout layout, int attribute, const void *value, size_t bytes) {
  const bool batch = attribute == FH_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT;
  NEED(batch || attribute == FH_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
  NEED(bytes == (batch ? sizeof layout->batch : sizeof layout->sheet));
  memcpy(batch ? (void *)&layout->batch : (void *)&layout->sheet, value, bytes);
  return FH_CUBLAS_STATUS_SUCCESS;
}

fh_cublas_status cublasLtMatmulPreferenceCreate(fh_lt_preference *preference) {
  *preference = calloc(1, sizeof **preference);
  if (!*preference) return FH_CUBLAS_STATUS_ALLOC_FAILED;
  for (int i = 0; i < 4; i++) (*preference)->boundaries[i] = 256;
  return FH_CUBLAS_STATUS_SUCCESS;
}

#ifndef FAKE_OLD
fh_cublas_status cublasLtMatmulPreferenceDestroy(fh_lt_preference preference) {
  free(preference);
  return FH_CUBLAS_STATUS_SUCCESS;
}
#endif

fh_cublas_status cublasLtMatmulPreferenceSetAttribute(fh_lt_preference preference, int attribute, const void *value, size_t bytes) {
  const int which = attribute - FH_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
  const bool workspace = attribute == FH_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  NEED(workspace || (which >= 0 && which < 4));
  NEED(bytes == (workspace ? sizeof preference->workspace_bytes : sizeof preference->boundaries[0]));
  memcpy(workspace ? (void *)&preference->workspace_bytes : (void *)&preference->boundaries[which], value, bytes);
  return FH_CUBLAS_STATUS_SUCCESS;
}

/* ---- what is computed ---------------------------------------------------------------------------------------------------- */

static bool is_layout(fh_lt_layout l, uint64_t rows, uint64_t columns, int32_t batch) {
  return l->rows == rows && l->columns == columns && l->pitch >= (int64_t)rows && rows > 0 && columns > 0 && l->batch == batch;
}

static bool agrees(fh_lt_desc desc, fh_lt_layout left, fh_lt_layout right, fh_lt_layout out) {
  const uint64_t m = out->rows, n = out->columns, k = desc->left ? left->rows : left->columns;
  const bool half = left->type == FH_CUDA_R_16F || left->type == FH_CUDA_R_16BF;
  const bool typed =
      (half ? desc->compute == FH_CUBLAS_COMPUTE_32F : left->type == FH_CUDA_R_32F && desc->compute == FH_CUBLAS_COMPUTE_32F_PEDANTIC) &&
      right->type == left->type && out->type == FH_CUDA_R_32F && desc->scale_type == FH_CUDA_R_32F;
  return typed && is_layout(left, desc->left ? k : m, desc->left ? m : k, out->batch) &&
         is_layout(right, desc->right ? n : k, desc->right ? k : n, out->batch) && is_layout(out, m, n, out->batch);
}

fh_cublas_status cublasLtMatmulAlgoGetHeuristic(fh_lt_handle handle, fh_lt_desc desc, fh_lt_layout a, fh_lt_layout b, fh_lt_layout c,
                                                fh_lt_layout d, fh_lt_preference preference, int room, fh_lt_heuristic *out,
                                                int *out_count) {
  SCRIPTED("heuristic");
  NEED(handle->alive == ALGORITHM && c == d && room >= 1 && agrees(desc, a, b, d));
  *out = (fh_lt_heuristic){.algorithm.data = {ALGORITHM, preference->workspace_bytes}, .workspace_bytes = preference->workspace_bytes};
  for (int i = 0; i < 4; i++) out->algorithm.data[2 + i] = preference->boundaries[i];
  *out_count = 1;
  return FH_CUBLAS_STATUS_SUCCESS;
}

static struct driver {
  fh_cu_result (*from_device)(void *to, fh_cu_ptr from, size_t bytes, fh_cu_stream stream);
  fh_cu_result (*to_device)(fh_cu_ptr to, const void *from, size_t bytes, fh_cu_stream stream);
  fh_cu_result (*set)(fh_cu_ptr to, unsigned char value, size_t bytes, fh_cu_stream stream);
  fh_cu_result (*wait)(fh_cu_stream stream);
} driver;

/* The driver is loaded already: by whoever gave the stream. */
static bool find_driver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!library) return false;
  *(void **)&driver.from_device = dlsym(library, "cuMemcpyDtoHAsync_v2");
  *(void **)&driver.to_device = dlsym(library, "cuMemcpyHtoDAsync_v2");
  *(void **)&driver.set = dlsym(library, "cuMemsetD8Async");
  *(void **)&driver.wait = dlsym(library, "cuStreamSynchronize");
  return driver.from_device && driver.to_device && driver.set && driver.wait;
}

/* A matrix of the device on the host. */
typedef struct copy {
  fh_lt_layout layout;
  fh_cu_ptr address;
  bool turned;
  size_t bytes;
  void *data;
} copy;

static size_t size_of(int type) { return type == FH_CUDA_R_32F ? 4 : 2; }

static bool bring(copy *c, fh_cu_stream stream) {
  const fh_lt_layout l = c->layout;
  const int64_t last = l->sheet * (l->batch - 1) + l->pitch * ((int64_t)l->columns - 1) + (int64_t)l->rows;
  c->bytes = (size_t)last * size_of(l->type);
  c->data = malloc(c->bytes);
  return c->data && driver.from_device(c->data, c->address, c->bytes, stream) == FH_CUDA_SUCCESS && driver.wait(stream) == FH_CUDA_SUCCESS;
}

static float from_f16(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = bits >> 15 ? -1.0F : 1.0F;
  if (exponent == 31) return fraction ? (float)__builtin_nan("") : sign * __builtin_inff();
  return sign * (exponent ? __builtin_ldexpf((float)(1024 + fraction), exponent - 25) : __builtin_ldexpf((float)fraction, -24));
}

static float at(const copy *c, int32_t batch, uint64_t row, uint64_t column) {
  const uint64_t i = c->turned ? column : row, j = c->turned ? row : column;
  const int64_t index = batch * c->layout->sheet + (int64_t)j * c->layout->pitch + (int64_t)i;
  if (c->layout->type == FH_CUDA_R_32F) return ((const float *)c->data)[index];
  const uint16_t bits = ((const uint16_t *)c->data)[index];
  if (c->layout->type == FH_CUDA_R_16F) return from_f16(bits);
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static void compute(const copy *left, const copy *right, const copy *out) {
  const fh_lt_layout l = out->layout;
  const uint64_t steps = left->turned ? left->layout->rows : left->layout->columns;
  for (int32_t s = 0; s < l->batch; s++)
    for (uint64_t j = 0; j < l->columns; j++)
      for (uint64_t i = 0; i < l->rows; i++) {
        float sum = 0;
        for (uint64_t k = steps; k > 0; k--) sum += at(left, s, i, k - 1) * at(right, s, k - 1, j);
        ((float *)out->data)[s * l->sheet + (int64_t)j * l->pitch + (int64_t)i] = sum;
      }
}

static fh_cublas_status run(copy *left, copy *right, copy *out, fh_cu_stream stream) {
  if (!bring(left, stream) || !bring(right, stream) || !bring(out, stream)) return FH_CUBLAS_STATUS_EXECUTION_FAILED;
  compute(left, right, out);
  const bool back = driver.to_device(out->address, out->data, out->bytes, stream) == FH_CUDA_SUCCESS;
  return back && driver.wait(stream) == FH_CUDA_SUCCESS ? FH_CUBLAS_STATUS_SUCCESS : FH_CUBLAS_STATUS_EXECUTION_FAILED;
}

static bool keeps_promises(const fh_lt_algorithm *algorithm, const copy *const of[4], fh_cu_ptr workspace, size_t bytes) {
  bool kept = algorithm->data[0] == ALGORITHM && bytes >= algorithm->data[1] && workspace % 256 == 0;
  for (int i = 0; i < 4; i++) kept = kept && algorithm->data[2 + i] && of[i]->address % algorithm->data[2 + i] == 0;
  return kept;
}

fh_cublas_status cublasLtMatmul(fh_lt_handle handle, fh_lt_desc desc, const void *alpha, const void *a, fh_lt_layout a_layout,
                                const void *b, fh_lt_layout b_layout, const void *beta, const void *c, fh_lt_layout c_layout, void *d,
                                fh_lt_layout d_layout, const fh_lt_algorithm *algorithm, void *workspace, size_t workspace_bytes,
                                fh_cu_stream stream) {
  SCRIPTED("matmul");
  copy left = {.layout = a_layout, .address = (fh_cu_ptr)(uintptr_t)a, .turned = desc->left == FH_CUBLAS_OP_T};
  copy right = {.layout = b_layout, .address = (fh_cu_ptr)(uintptr_t)b, .turned = desc->right == FH_CUBLAS_OP_T};
  copy out = {.layout = d_layout, .address = (fh_cu_ptr)(uintptr_t)d};
  const fh_cu_ptr room = (fh_cu_ptr)(uintptr_t)workspace;
  NEED(handle->alive == ALGORITHM && c == d && c_layout == d_layout && agrees(desc, a_layout, b_layout, d_layout));
  NEED(*(const float *)alpha == 1 && *(const float *)beta == 0);
  NEED(keeps_promises(algorithm, (const copy *const[]){&left, &right, &out, &out}, room, workspace_bytes));
  if (!find_driver() || driver.set(room, 0xA5, workspace_bytes, stream) != FH_CUDA_SUCCESS) return FH_CUBLAS_STATUS_EXECUTION_FAILED;
  const fh_cublas_status code = run(&left, &right, &out, stream);
  free(left.data);
  free(right.data);
  free(out.data);
  return code;
}
