/* A stand-in for Level Zero's loader, which says so, and does as FOGHORN_FAKE_ZE tells. SPDX-License-Identifier: Apache-2.0
 * It obeys ZE_AFFINITY_MASK as the real one does: without a device that the mask names it cannot be initialised. */
#include <stdio.h>
#include <string.h>

#include "detect/drivers/runtime_api.h"
#include "tests/fakes/runtime/fake_act.h"

#define EXPORT __attribute__((visibility("default")))
#define FH_RUNTIME(type, name, params) EXPORT type name params;
#include "detect/drivers/ze_symbols.def"
#undef FH_RUNTIME

extern EXPORT const int foghorn_fake_level_zero;
const int foghorn_fake_level_zero = 1;

static const char variable[] = "FOGHORN_FAKE_ZE";
enum { MAX_DEVICES = 512 };
static char handles[MAX_DEVICES]; /* the address of one is a device */

static int count_gpus(void) {
  int all = fake_number(variable, "devices", 1);
  return fake_visible("ZE_AFFINITY_MASK", all, all);
}

static int count_all(void) { return count_gpus() + fake_number(variable, "npus", 0); }

static int index_of(fh_ze_device device) { return (int)((char *)(void *)device - handles); }

fh_ze_result zeInit(uint32_t flags) {
  (void)flags;
  unsigned told = fake_act(variable, "init");
  return told ? told : count_all() ? FH_ZE_RESULT_SUCCESS : FH_ZE_RESULT_ERROR_UNINITIALIZED;
}

fh_ze_result zeDriverGet(uint32_t *count, fh_ze_driver *drivers) {
  if (drivers && *count) drivers[0] = (fh_ze_driver)(void *)handles;
  *count = 1;
  return FH_ZE_RESULT_SUCCESS;
}

fh_ze_result zeDeviceGet(fh_ze_driver driver, uint32_t *count, fh_ze_device *devices) {
  (void)driver;
  unsigned told = fake_act(variable, "list");
  if (told) return told;
  uint32_t all = (uint32_t)count_all();
  for (uint32_t i = 0; devices && i < all && i < *count; i++) devices[i] = (fh_ze_device)(void *)&handles[i];
  *count = all;
  return FH_ZE_RESULT_SUCCESS;
}

fh_ze_result zeDeviceGetProperties(fh_ze_device device, fh_ze_device_properties *properties) {
  int npu = index_of(device) >= count_gpus();
  properties->type = npu ? FH_ZE_DEVICE_TYPE_VPU : FH_ZE_DEVICE_TYPE_GPU;
  properties->vendor_id = 0x8086;
  properties->num_slices = properties->num_subslices_per_slice = 4;
  properties->num_eus_per_subslice = 16;
  memset(properties->uuid, index_of(device), sizeof properties->uuid);
  snprintf(properties->name, sizeof properties->name, "stand-in Intel %s", npu ? "NPU" : "GPU");
  return FH_ZE_RESULT_SUCCESS;
}

fh_ze_result zeDevicePciGetPropertiesExt(fh_ze_device device, fh_ze_pci_properties *properties) {
  properties->domain = 0;
  properties->bus = (uint32_t)(0x50 + index_of(device));
  properties->device = properties->function = 0;
  return FH_ZE_RESULT_SUCCESS;
}

fh_ze_result zeContextCreate(fh_ze_driver driver, const fh_ze_context_desc *desc, fh_ze_context *context) {
  (void)driver, (void)desc;
  *context = (fh_ze_context)(void *)handles;
  return fake_act(variable, "open");
}

fh_ze_result zeContextDestroy(fh_ze_context context) { return context ? FH_ZE_RESULT_SUCCESS : FH_ZE_RESULT_ERROR_INVALID_NULL_HANDLE; }
