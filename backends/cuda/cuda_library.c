/* cuBLASLt found and loaded, when something is about to use it and not before. SPDX-License-Identifier: Apache-2.0
 * A program that has the library loaded already (a framework, say) gets that one: the loader goes by its name. */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

/* The newest first, each where the loader looks and in the toolkit's folder. */
enum { NEWEST = 13, OLDEST = 11, PLACES = 2 };
static const char *const names[] = {"libcublasLt.so.13",
                                    "/usr/local/cuda/lib64/libcublasLt.so.13",
                                    "libcublasLt.so.12",
                                    "/usr/local/cuda/lib64/libcublasLt.so.12",
                                    "libcublasLt.so.11",
                                    "/usr/local/cuda/lib64/libcublasLt.so.11",
                                    NULL};

/* One for a newer driver would load, and then fail. */
static const char *const *names_for(const fh_cuda_driver *driver) {
  int version = 0;
  if (driver->fn.cuDriverGetVersion(&version) != FH_CUDA_SUCCESS) version = 0;
  const int major = version / 1000;
  return names + PLACES * (major >= NEWEST ? 0 : NEWEST - (major > OLDEST ? major : OLDEST));
}

/* ISO C has no conversion from a data to a function pointer; POSIX promises that the bits are the same. */
static bool find_functions(fh_cuda_library *library) {
  bool all = true;
#define FH_CUBLASLT(name, params)                                \
  {                                                              \
    void *symbol = fh_dynlib_symbol(library->file, #name);       \
    memcpy(&library->fn.name, &symbol, sizeof library->fn.name); \
    all = all && symbol;                                         \
  }
#include "backends/cuda/cublaslt_symbols.def"
#undef FH_CUBLASLT
  return all;
}

/* With the library's lock held. */
static const char *load_library(fh_backend *backend, fh_cuda_library *library) {
  const bool fake = backend->driver.fake;
  fh_status status = fh_dynlib_open(names_for(&backend->driver), &library->file);
  if (status) {
    fh_log(FH_LOG_INFO, "cuBLASLt is not used:\n%s", fh_status_message(status));
    fh_status_free(status);
    return "libcublasLt.so is not here, or not for this driver: install cuBLAS, or put its folder in LD_LIBRARY_PATH";
  }
  if (!fake != !fh_dynlib_symbol(library->file, FH_CUBLASLT_FAKE_MARK))
    return fake ? "libcublasLt.so is a real one, and the driver a stand-in for tests" : "libcublasLt.so is a stand-in for tests";
  if (!find_functions(library)) return "libcublasLt.so lacks a function of 11.0";
  fh_log(FH_LOG_INFO, "products may run by %s", fh_dynlib_path(library->file));
  return NULL;
}

const char *fh_cuda_lacks_library(fh_device *device, bool load) {
  fh_cuda_library *library = &device->backend->library;
  if (!atomic_load(&library->looked)) {
    if (!load || !fh_cuda_same_process(device->backend)) return NULL;
    pthread_mutex_lock(&library->lock);
    if (!atomic_load(&library->looked)) library->lacking = load_library(device->backend, library);
    atomic_store(&library->looked, true);
    pthread_mutex_unlock(&library->lock);
  }
  return library->lacking;
}

void fh_cuda_library_close(fh_cuda_library *library) {
  fh_dynlib_close(library->file);
  pthread_mutex_destroy(&library->lock);
}
