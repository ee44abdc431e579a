/* NVIDIA's management library (NVML) as detection needs it: own declarations. SPDX-License-Identifier: Apache-2.0
 * Structures are laid out as the library fills them; their sizes are asserted, because it writes into them. */
#ifndef FOGHORN_DETECT_DRIVERS_NVML_API_H_
#define FOGHORN_DETECT_DRIVERS_NVML_API_H_

#include <assert.h>
#include <stdint.h>

typedef unsigned int fh_nvml_result; /* FH_NVML_SUCCESS, FH_NVML_ERROR_... */
typedef struct nvmlDevice_st *fh_nvml_device;

enum {
#define FH_NVML_RESULT(code, name) FH_##name = code,
#include "detect/drivers/nvml_results.def"
#undef FH_NVML_RESULT
};

enum { FH_NVML_COMPUTE_DEFAULT = 0, FH_NVML_COMPUTE_EXCLUSIVE_THREAD = 1, FH_NVML_COMPUTE_PROHIBITED = 2, FH_NVML_COMPUTE_EXCLUSIVE = 3 };
enum { FH_NVML_VIRTUALIZATION_VGPU = 2 };
enum { FH_NVML_FABRIC_NOT_SUPPORTED = 0, FH_NVML_FABRIC_NOT_STARTED = 1, FH_NVML_FABRIC_IN_PROGRESS = 2, FH_NVML_FABRIC_COMPLETED = 3 };
enum { FH_NVML_ECC_UNCORRECTED = 1, FH_NVML_ECC_VOLATILE = 0 };
enum { FH_NVML_FIELD_RECOVERY_ACTION = 230, FH_NVML_RECOVERY_NONE = 0 };

typedef struct fh_nvml_pci {
  char bus_id_legacy[16];
  unsigned int domain, bus, device, device_id, subsystem_id;
  char bus_id[32]; /* "00000000:01:00.0" */
} fh_nvml_pci;
static_assert(sizeof(fh_nvml_pci) == 68, "as NVML fills it");

typedef struct fh_nvml_licence {
  unsigned int code, state;
  char info[128], product[128];
  unsigned int enabled;
  unsigned char expiry[16];
} fh_nvml_licence;
typedef struct fh_nvml_licences {
  int supported;
  unsigned int count;
  fh_nvml_licence features[3];
} fh_nvml_licences;
static_assert(sizeof(fh_nvml_licences) == 860, "as NVML fills it");

typedef struct fh_nvml_fabric {
  unsigned char cluster[16]; /* all zero: none */
  fh_nvml_result status;
  unsigned int clique;
  unsigned char state;
} fh_nvml_fabric;
static_assert(sizeof(fh_nvml_fabric) == 28, "as NVML fills it");

typedef struct fh_nvml_conf_compute {
  unsigned int environment, feature, dev_tools;
} fh_nvml_conf_compute;
static_assert(sizeof(fh_nvml_conf_compute) == 12, "as NVML fills it");

typedef struct fh_nvml_field {
  unsigned int id, scope;
  long long timestamp, latency;
  unsigned int type;
  fh_nvml_result result;
  union {
    unsigned int number;
    unsigned long long bytes;
  } value;
} fh_nvml_field;
static_assert(sizeof(fh_nvml_field) == 40, "as NVML fills it");

/* Every function of nvml_symbols.def; any may be NULL. */
typedef struct fh_nvml_functions {
#define FH_NVML(name, params) fh_nvml_result(*name) params;
#include "detect/drivers/nvml_symbols.def"
#undef FH_NVML
} fh_nvml_functions;

/* A stand-in library (tests/fakes/nvml) exports this symbol; the real one does not. */
#define FH_NVML_FAKE_MARK "foghorn_fake_nvml"

#endif /* FOGHORN_DETECT_DRIVERS_NVML_API_H_ */
