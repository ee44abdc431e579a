/* Products by cuBLASLt in the place of launches. SPDX-License-Identifier: Apache-2.0
 * What the library is told and the algorithm that it chose are kept for the calls that come most recently. Its workspace is the variant's
 * scratch, so that it allocates nothing when it runs. Such calls stay out of graphs: the documentation does not promise that every
 * algorithm of every version may be captured. */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "backends/library.h"

enum { KEPT = 32, ADVISED_BOUNDARY = 256, POINTERS = FH_LIBRARY_POINTERS, NUMBERS = FH_LIBRARY_NUMBERS };

/* What an algorithm is chosen for, in words without gaps between them: compared byte by byte. */
typedef struct question {
  const fh_kernel_contract *kernel;
  int64_t numbers[NUMBERS];     /* that the kernel's entry takes: extents and strides */
  int64_t boundaries[POINTERS]; /* on which a, b and c begin */
} question;

typedef struct known {
  question of;
  fh_library_product product;
  size_t workspace_bytes;
  fh_lt_desc desc;
  fh_lt_layout left, right, out;
  fh_lt_heuristic answer;
} known;

struct fh_cuda_products {
  pthread_mutex_t lock; /* for all that follows, and while the library is called */
  fh_lt_handle handle;
  known kept[KEPT];
  int count, next;
};

/* ---- failures ------------------------------------------------------------------------------------------------------- */

static const char *status_name(fh_cublas_status code) {
  switch (code) {
#define NAME(name, value)       \
  case FH_CUBLAS_STATUS_##name: \
    return "CUBLAS_STATUS_" #name;
    FH_CUBLAS_STATUSES(NAME)
#undef NAME
  }
  return "CUBLAS_STATUS_?";
}

/* What went wrong while it ran may be the device's fault, and the driver then says so. With the context current. */
static fh_status fail(fh_device *device, fh_cublas_status code, const char *call) {
  const char *id = device->found->info.id, *name = status_name(code);
  if (code == FH_CUBLAS_STATUS_ALLOC_FAILED)
    return FH_STATUS_CAUSE(FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY", "%s: %s failed with %s", id, call, name);
  if (code == FH_CUBLAS_STATUS_EXECUTION_FAILED || code == FH_CUBLAS_STATUS_INTERNAL_ERROR || code == FH_CUBLAS_STATUS_MAPPING_ERROR) {
    size_t unused = 0, total = 0;
    const fh_cu_result result = device->fn->cuMemGetInfo_v2(&unused, &total); /* any call tells, and this one never blocks */
    if (result != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, result, call, "multiplying by cuBLASLt (%s)", name);
    return FH_STATUS_CAUSE(FH_INTERNAL, "DRIVER-REFUSED", "%s: %s failed with %s (%d)\nnext: another variant is used", id, call, name,
                           (int)code);
  }
  return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "DRIVER-REFUSED", "%s: %s refused the product with %s (%d)\nnext: another variant is used", id,
                         call, name, (int)code);
}

/* ---- what the library is told ---------------------------------------------------------------------------------------- */

static int type_of(fh_dtype dtype) { return dtype == FH_F32 ? FH_CUDA_R_32F : dtype == FH_F16 ? FH_CUDA_R_16F : FH_CUDA_R_16BF; }

/* The first failure of several calls. */
#define TRY(call)                                        \
  do {                                                   \
    const fh_cublas_status code_ = call;                 \
    if (code_ != FH_CUBLAS_STATUS_SUCCESS) return code_; \
  } while (0)

static fh_cublas_status make_layout(const fh_cublaslt_functions *fn, const fh_library_matrix *m, int type, int64_t batch,
                                    fh_lt_layout *out) {
  const int32_t count = (int32_t)batch;
  TRY(fn->cublasLtMatrixLayoutCreate(out, type, (uint64_t)m->rows, (uint64_t)m->columns, m->pitch));
  if (batch == 1) return FH_CUBLAS_STATUS_SUCCESS;
  TRY(fn->cublasLtMatrixLayoutSetAttribute(*out, FH_CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
  TRY(fn->cublasLtMatrixLayoutSetAttribute(*out, FH_CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &m->sheet, sizeof m->sheet));
  return FH_CUBLAS_STATUS_SUCCESS;
}

/* PEDANTIC: no TF32 or other short cut in products of f32, whatever the environment asks of the library. */
static fh_cublas_status describe(const fh_cublaslt_functions *fn, known *k) {
  const fh_library_product *p = &k->product;
  const int type = type_of(p->dtype);
  const int32_t left = p->left.turned ? FH_CUBLAS_OP_T : FH_CUBLAS_OP_N, right = p->right.turned ? FH_CUBLAS_OP_T : FH_CUBLAS_OP_N;
  TRY(fn->cublasLtMatmulDescCreate(&k->desc, p->dtype == FH_F32 ? FH_CUBLAS_COMPUTE_32F_PEDANTIC : FH_CUBLAS_COMPUTE_32F, FH_CUDA_R_32F));
  TRY(fn->cublasLtMatmulDescSetAttribute(k->desc, FH_CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left));
  TRY(fn->cublasLtMatmulDescSetAttribute(k->desc, FH_CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right));
  TRY(make_layout(fn, &p->left, type, p->batch, &k->left));
  TRY(make_layout(fn, &p->right, type, p->batch, &k->right));
  TRY(make_layout(fn, &p->out, FH_CUDA_R_32F, p->batch, &k->out));
  return FH_CUBLAS_STATUS_SUCCESS;
}

static fh_cublas_status set_preference(const fh_cublaslt_functions *fn, const known *k, fh_lt_preference preference) {
  static const int which[] = {FH_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, FH_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                              FH_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, FH_CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  const fh_library_product *p = &k->product;
  const int operands[] = {p->left_operand, p->right_operand, p->out_operand, p->out_operand}; /* c, which counts for nothing, is d */
  const uint64_t workspace = k->workspace_bytes;
  TRY(fn->cublasLtMatmulPreferenceSetAttribute(preference, FH_CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
  for (int i = 0; i < 4; i++) {
    const uint32_t boundary = (uint32_t)k->of.boundaries[operands[i]];
    TRY(fn->cublasLtMatmulPreferenceSetAttribute(preference, which[i], &boundary, sizeof boundary));
  }
  return FH_CUBLAS_STATUS_SUCCESS;
}

static fh_cublas_status ask_with(const fh_cublaslt_functions *fn, fh_lt_handle handle, known *k, fh_lt_preference preference) {
  int count = 0;
  TRY(fn->cublasLtMatmulAlgoGetHeuristic(handle, k->desc, k->left, k->right, k->out, k->out, preference, 1, &k->answer, &count));
  return count < 1 ? FH_CUBLAS_STATUS_NOT_SUPPORTED : k->answer.state;
}

static fh_cublas_status ask(const fh_cublaslt_functions *fn, fh_lt_handle handle, known *k) {
  fh_lt_preference preference = NULL;
  TRY(fn->cublasLtMatmulPreferenceCreate(&preference));
  fh_cublas_status code = set_preference(fn, k, preference);
  if (code == FH_CUBLAS_STATUS_SUCCESS) code = ask_with(fn, handle, k, preference);
  (void)fn->cublasLtMatmulPreferenceDestroy(preference);
  return code;
}
#undef TRY

/* ---- what is kept ------------------------------------------------------------------------------------------------------ */

static void forget(const fh_cublaslt_functions *fn, known *k) {
  if (k->desc) (void)fn->cublasLtMatmulDescDestroy(k->desc);
  if (k->left) (void)fn->cublasLtMatrixLayoutDestroy(k->left);
  if (k->right) (void)fn->cublasLtMatrixLayoutDestroy(k->right);
  if (k->out) (void)fn->cublasLtMatrixLayoutDestroy(k->out);
  memset(k, 0, sizeof *k);
}

static const known *find(const fh_cuda_products *products, const question *q) {
  for (int i = 0; i < products->count; i++)
    if (memcmp(&products->kept[i].of, q, sizeof *q) == 0) return &products->kept[i];
  return NULL;
}

/* In the place of the oldest. *out_call: what failed. With the lock held. */
static fh_cublas_status learn(fh_device *device, const question *q, const fh_cuda_launch *launch, const known **out,
                              const char **out_call) {
  const fh_cublaslt_functions *fn = &device->backend->library.fn;
  fh_cuda_products *products = device->products;
  known *k = &products->kept[products->next];
  forget(fn, k);
  k->workspace_bytes = launch->executable->variant->scratch_bytes(launch->bound, device->found->info.compute_units);
  *out_call = "a matrix layout";
  if (fh_library_product_of(q->kernel, launch->bound, &k->product)) return FH_CUBLAS_STATUS_NOT_SUPPORTED; /* it is asked before */
  *out_call = "cublasLtMatrixLayoutCreate";
  memcpy(&k->of, q, sizeof *q);
  fh_cublas_status code = describe(fn, k);
  if (code == FH_CUBLAS_STATUS_SUCCESS) {
    *out_call = "cublasLtMatmulAlgoGetHeuristic";
    code = ask(fn, products->handle, k);
  }
  if (code != FH_CUBLAS_STATUS_SUCCESS) {
    forget(fn, k);
    return code;
  }
  products->next = (products->next + 1) % KEPT;
  if (products->count < KEPT) products->count++;
  *out = k;
  return code;
}

/* ---- prepare --------------------------------------------------------------------------------------------------------------- */

/* With the device's lock held and the context current, which the handle belongs to. */
static fh_status open_products(fh_device *device) {
  if (device->products) return FH_OK;
  fh_cuda_products *products = calloc(1, sizeof *products);
  if (!products) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for products of %s", device->found->info.id);
  const fh_cublas_status code = device->backend->library.fn.cublasLtCreate(&products->handle);
  if (code != FH_CUBLAS_STATUS_SUCCESS) {
    free(products);
    return fail(device, code, "cublasLtCreate");
  }
  pthread_mutex_init(&products->lock, NULL);
  device->products = products;
  return FH_OK;
}

fh_status fh_cuda_prepare_product(fh_device *device, const fh_recipe *recipe, fh_executable *executable) {
  const char *lacking = fh_cuda_lacks_library(device, true);
  if (lacking) return FH_STATUS(FH_INCOMPATIBLE, "%s/%s: %s", device->found->info.id, recipe->block->name, lacking);
  executable->product = recipe->image->contract;
  executable->block = 1; /* the shape that stands for the call: 1 thread */
  pthread_mutex_lock(&device->lock);
  fh_status status = open_products(device);
  pthread_mutex_unlock(&device->lock);
  return status;
}

void fh_cuda_products_close(fh_device *device, bool entered) {
  fh_cuda_products *products = device->products;
  if (!products) return;
  const fh_cublaslt_functions *fn = &device->backend->library.fn;
  for (int i = 0; i < KEPT; i++) forget(fn, &products->kept[i]); /* host memory */
  if (entered) (void)fn->cublasLtDestroy(products->handle);
  pthread_mutex_destroy(&products->lock);
  free(products);
  device->products = NULL;
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------- */

/* Of pointer operand `index`: each takes two arguments, behind the number of items. */
static fh_cu_ptr address_of(const fh_cuda_arguments *list, int index) {
  return list->values[1 + 2 * index].p + (fh_cu_ptr)list->values[2 + 2 * index].i;
}

/* The largest power of two that divides it, up to what the library can use. */
static uint32_t boundary_of(fh_cu_ptr address) {
  uint32_t boundary = ADVISED_BOUNDARY;
  while (address % boundary) boundary /= 2;
  return boundary;
}

static question question_of(const fh_cuda_launch *launch) {
  const fh_cuda_arguments *list = &launch->arguments;
  const int first = 1 + 2 * POINTERS, count = list->count - first - 2; /* scratch comes last */
  question q = {.kernel = launch->executable->product};
  for (int i = 0; i < POINTERS; i++) q.boundaries[i] = boundary_of(address_of(list, i));
  for (int i = 0; i < count && i < NUMBERS; i++) q.numbers[i] = list->values[first + i].i;
  return q;
}

/* With the lock held. */
static fh_cublas_status multiply(fh_stream *stream, const fh_cuda_launch *launch, const char **out_call) {
  static const float one = 1, zero = 0;
  fh_device *device = stream->device;
  const fh_cuda_arguments *list = &launch->arguments;
  const question q = question_of(launch);
  const known *k = find(device->products, &q);
  if (!k) {
    const fh_cublas_status code = learn(device, &q, launch, &k, out_call);
    if (code != FH_CUBLAS_STATUS_SUCCESS) return code;
  }
  const void *left = (const void *)(uintptr_t)address_of(list, k->product.left_operand);
  const void *right = (const void *)(uintptr_t)address_of(list, k->product.right_operand);
  void *out = (void *)(uintptr_t)address_of(list, k->product.out_operand);
  void *scratch = (void *)(uintptr_t)(list->values[list->count - 2].p + (fh_cu_ptr)list->values[list->count - 1].i);
  *out_call = "cublasLtMatmul";
  return device->backend->library.fn.cublasLtMatmul(device->products->handle, k->desc, &one, left, k->left, right, k->right, &zero, out,
                                                    k->out, out, k->out, &k->answer.algorithm, scratch, k->workspace_bytes, stream->handle);
}

fh_status fh_cuda_queue_product(fh_stream *stream, const fh_cuda_launch *launch) {
  fh_cuda_products *products = stream->device->products;
  const char *call = "";
  pthread_mutex_lock(&products->lock);
  const fh_cublas_status code = multiply(stream, launch, &call);
  pthread_mutex_unlock(&products->lock);
  return code == FH_CUBLAS_STATUS_SUCCESS ? FH_OK : fail(stream->device, code, call);
}
