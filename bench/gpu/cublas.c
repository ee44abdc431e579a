/* cuBLAS as a peer. SPDX-License-Identifier: Apache-2.0
 * Its prototypes are written out from its documentation (cuBLAS library, NVIDIA); the numbers are those of cublas_api.h. */
#include "bench/gpu/cublas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/dynlib.h"

enum { OP_N = 0, DEFAULT_MATH = 0, R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, GEMM_DEFAULT = -1 };

static const char *const library_names[] = {"libcublas.so.13",
                                            "libcublas.so.12",
                                            "libcublas.so.11",
                                            "/usr/local/cuda/lib64/libcublas.so.13",
                                            "/usr/local/cuda/lib64/libcublas.so.12",
                                            "/usr/local/cuda/lib64/libcublas.so.11",
                                            NULL};

struct cublas_product {
  raw_device *device;
  fh_dynlib *library;
  void *handle;
  int (*create)(void **handle);
  int (*destroy)(void *handle);
  int (*set_stream)(void *handle, fh_cu_stream stream);
  int (*set_math_mode)(void *handle, int mode);
  int (*gemm)(void *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *a, int a_type, int lda,
              const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int compute, int algorithm);
  fh_cu_ptr a, b, c;
  int m, n, k, type, compute;
};

static const char *load(cublas_product *p) {
  fh_status status = fh_dynlib_open(library_names, &p->library);
  if (status) {
    fh_status_free(status);
    return "libcublas.so is not here";
  }
  *(void **)&p->create = fh_dynlib_symbol(p->library, "cublasCreate_v2");
  *(void **)&p->destroy = fh_dynlib_symbol(p->library, "cublasDestroy_v2");
  *(void **)&p->set_stream = fh_dynlib_symbol(p->library, "cublasSetStream_v2");
  *(void **)&p->set_math_mode = fh_dynlib_symbol(p->library, "cublasSetMathMode");
  *(void **)&p->gemm = fh_dynlib_symbol(p->library, "cublasGemmEx");
  if (!p->create || !p->destroy || !p->set_stream || !p->set_math_mode || !p->gemm) return "libcublas.so lacks a function of 11.0";
  return NULL;
}

static const char *start(cublas_product *p) {
  if (p->device->driver.fake) return "the stand-in driver runs no kernels but the library's";
  const char *why = load(p);
  if (why) return why;
  if (p->create(&p->handle) != 0) {
    p->handle = NULL;
    return "cublasCreate failed";
  }
  if (p->set_stream(p->handle, p->device->stream) != 0 || p->set_math_mode(p->handle, DEFAULT_MATH) != 0) return "cuBLAS took no stream";
  return NULL;
}

static const char *upload(cublas_product *p, const gpu_case *c) {
  const fh_cuda_functions *fn = &p->device->driver.fn;
  const size_t element = p->type == R_32F ? sizeof(float) : sizeof(float) / 2;
  const size_t a = (size_t)p->m * (size_t)p->k * element, b = (size_t)p->k * (size_t)p->n * element;
  if (fn->cuMemAlloc_v2(&p->a, a) != FH_CUDA_SUCCESS || fn->cuMemAlloc_v2(&p->b, b) != FH_CUDA_SUCCESS ||
      fn->cuMemAlloc_v2(&p->c, (size_t)p->m * (size_t)p->n * sizeof(float)) != FH_CUDA_SUCCESS)
    return "no device memory for its operands";
  if (fn->cuMemcpyHtoDAsync_v2(p->a, gpu_case_data(c, 0), a, p->device->stream) != FH_CUDA_SUCCESS ||
      fn->cuMemcpyHtoDAsync_v2(p->b, gpu_case_data(c, 1), b, p->device->stream) != FH_CUDA_SUCCESS || !raw_finish(p->device))
    return "its operands could not be copied";
  return NULL;
}

static int type_of(const char *dtype) { return strcmp(dtype, "f32") == 0 ? R_32F : strcmp(dtype, "f16") == 0 ? R_16F : R_16BF; }

cublas_product *cublas_open(raw_device *device, gpu_case *c, bool tf32, char *why, int size) {
  int64_t a[8], b[8];
  cublas_product *p = calloc(1, sizeof *p);
  const char *reason = "out of memory";
  if (p && (gpu_case_view_shape(c, 0, a) != 2 || gpu_case_view_shape(c, 1, b) != 2)) {
    reason = "a batch is not compared";
  } else if (p) {
    *p = (cublas_product){.device = device, .m = (int)a[0], .k = (int)a[1], .n = (int)b[1]};
    p->type = type_of(gpu_case_view_dtype(c, 0));
    p->compute = tf32 ? COMPUTE_32F_FAST_TF32 : COMPUTE_32F;
    reason = start(p);
    if (!reason) reason = upload(p, c);
    if (!reason && cublas_sample(p, 1) < 0) reason = "cublasGemmEx failed";
  }
  if (!reason) return p;
  snprintf(why, (size_t)size, "%s", reason);
  cublas_close(p);
  return NULL;
}

void cublas_close(cublas_product *p) {
  if (!p) return;
  const fh_cuda_functions *fn = &p->device->driver.fn;
  const fh_cu_ptr memory[] = {p->a, p->b, p->c};
  for (int i = 0; i < 3; i++)
    if (memory[i]) (void)fn->cuMemFree_v2(memory[i]);
  if (p->handle) (void)p->destroy(p->handle);
  fh_dynlib_close(p->library);
  free(p);
}

/* It has columns where these are rows: c' = b' a'. */
double cublas_sample(void *arg, long calls) {
  const cublas_product *p = arg;
  const float one = 1, zero = 0;
  const double begin = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (p->gemm(p->handle, OP_N, OP_N, p->n, p->m, p->k, &one, (const void *)(uintptr_t)p->b, p->type, p->n, (const void *)(uintptr_t)p->a,
                p->type, p->k, &zero, (void *)(uintptr_t)p->c, R_32F, p->n, p->compute, GEMM_DEFAULT) != 0)
      return -1;
  return raw_finish(p->device) ? fh_now_seconds() - begin : -1;
}

double cublas_difference(const cublas_product *p, const float *what) {
  const size_t count = (size_t)p->m * (size_t)p->n;
  float *got = malloc(count * sizeof *got);
  double off = 0, size = 0;
  if (!got || p->device->driver.fn.cuMemcpyDtoHAsync_v2(got, p->c, count * sizeof *got, p->device->stream) != FH_CUDA_SUCCESS ||
      !raw_finish(p->device)) {
    free(got);
    return -1;
  }
  for (size_t i = 0; i < count; i++) {
    off += ((double)got[i] - what[i]) * ((double)got[i] - what[i]);
    size += (double)got[i] * got[i];
  }
  free(got);
  return size > 0 ? sqrt(off / size) : sqrt(off);
}
