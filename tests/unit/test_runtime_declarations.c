/* Proves that our declarations of HSA and Level Zero agree with the vendors' headers: at compile time, so this test cannot be
 * built when they do not. SPDX-License-Identifier: Apache-2.0
 * TEST: cross=no */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "detect/drivers/runtime_api.h"

#if __has_include(<hsa/hsa_ext_amd.h>)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && !defined(LITTLEENDIAN_CPU)
#define LITTLEENDIAN_CPU /* the header knows it of x86 only */
#endif
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>
#define HAVE_HSA 1
#else
#define HAVE_HSA 0
#endif
#if __has_include(<level_zero/ze_api.h>)
#include <level_zero/ze_api.h>
#define HAVE_ZE 1
#else
#define HAVE_ZE 0
#endif

#define SAME_SIZE(a, b) _Static_assert(sizeof(a) == sizeof(b), #a " has another size")
#define SAME_PLACE(a, x, b, y) _Static_assert(offsetof(a, x) == offsetof(b, y), #x " of " #a " lies elsewhere")

#if HAVE_HSA
#define FH_RUNTIME_RESULT(code, name) _Static_assert((int)name == (code), #name " has another value");
#include "detect/drivers/hsa_results.def"
#undef FH_RUNTIME_RESULT
#define CHECK(name, value) _Static_assert((int)HSA_##name == (value), "HSA_" #name " has another value");
FH_HSA_CONSTANTS(CHECK)
#undef CHECK
SAME_SIZE(hsa_agent_t, fh_hsa_agent);
SAME_SIZE(hsa_amd_memory_pool_t, fh_hsa_pool);
SAME_SIZE(hsa_status_t, fh_hsa_status);
SAME_SIZE(hsa_agent_info_t, fh_hsa_attribute);
SAME_SIZE(hsa_queue_type32_t, uint32_t);
#endif

#if HAVE_ZE
#define FH_RUNTIME_RESULT(code, name) _Static_assert((int)name == (code), #name " has another value");
#include "detect/drivers/ze_results.def"
#undef FH_RUNTIME_RESULT
#define CHECK(name, value) _Static_assert((int)ZE_##name == (value), "ZE_" #name " has another value");
FH_ZE_CONSTANTS(CHECK)
#undef CHECK
SAME_SIZE(ze_device_properties_t, fh_ze_device_properties);
SAME_PLACE(ze_device_properties_t, vendorId, fh_ze_device_properties, vendor_id);
SAME_PLACE(ze_device_properties_t, maxMemAllocSize, fh_ze_device_properties, max_mem_alloc_size);
SAME_PLACE(ze_device_properties_t, numSlices, fh_ze_device_properties, num_slices);
SAME_PLACE(ze_device_properties_t, uuid, fh_ze_device_properties, uuid);
SAME_PLACE(ze_device_properties_t, name, fh_ze_device_properties, name);
SAME_SIZE(ze_pci_ext_properties_t, fh_ze_pci_properties);
SAME_PLACE(ze_pci_ext_properties_t, address.function, fh_ze_pci_properties, function);
SAME_SIZE(ze_context_desc_t, fh_ze_context_desc);
#endif

int main(void) {
  static const struct {
    bool here;
    const char *name;
  } headers[] = {{HAVE_HSA, "HSA"}, {HAVE_ZE, "Level Zero"}};
  int count = 0;
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    if (headers[i].here) printf("our declarations agree with the headers of %s\n", headers[i].name);
    count += headers[i].here;
  }
  if (count) return 0;
  puts("NOT RUN: neither hsa.h nor ze_api.h is on this machine (apt: libhsa-runtime-dev libze-dev)");
  return 77;
}
