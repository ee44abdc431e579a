/* Loading AMD's HSA runtime and Level Zero. SPDX-License-Identifier: Apache-2.0 */
#include "detect/drivers/runtime_driver.h"

#include <string.h>

/* A function of a library, and where its address goes. */
typedef struct symbol {
  const char *name;
  void *slot;
} symbol;

static fh_status load(const char *const *names, const char *mark, const symbol *symbols, size_t count, fh_runtime_driver *out) {
  *out = (fh_runtime_driver){0};
  FH_TRY(fh_dynlib_open(names, &out->library));
  out->fake = fh_dynlib_symbol(out->library, mark) != NULL;
  for (size_t i = 0; i < count; i++) {
    void *address = fh_dynlib_symbol(out->library, symbols[i].name);
    memcpy(symbols[i].slot, &address, sizeof address); /* ISO C has no such conversion; POSIX promises that the bits are the same */
    if (!address && !out->missing) out->missing = symbols[i].name;
  }
  return FH_OK;
}

#define FH_RUNTIME(type, name, params) {#name, &out_functions->name},

fh_status fh_hsa_driver_load(fh_runtime_driver *out_driver, fh_hsa_functions *out_functions) {
  static const char *const names[] = {"libhsa-runtime64.so.1", "/opt/rocm/lib/libhsa-runtime64.so.1", NULL};
  const symbol symbols[] = {
#include "detect/drivers/hsa_symbols.def"
  };
  return load(names, FH_HSA_FAKE_MARK, symbols, sizeof symbols / sizeof symbols[0], out_driver);
}

fh_status fh_ze_driver_load(fh_runtime_driver *out_driver, fh_ze_functions *out_functions) {
  static const char *const names[] = {"libze_loader.so.1", NULL};
  const symbol symbols[] = {
#include "detect/drivers/ze_symbols.def"
  };
  return load(names, FH_ZE_FAKE_MARK, symbols, sizeof symbols / sizeof symbols[0], out_driver);
}

#undef FH_RUNTIME
#define FH_RUNTIME_RESULT(code, name) \
  case code:                          \
    return #name;

const char *fh_hsa_result_name(unsigned code) {
  switch (code) {
#include "detect/drivers/hsa_results.def"
    default:
      return "?";
  }
}

const char *fh_ze_result_name(unsigned code) {
  switch (code) {
#include "detect/drivers/ze_results.def"
    default:
      return "?";
  }
}
