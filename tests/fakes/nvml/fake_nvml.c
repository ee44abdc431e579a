/* A stand-in for NVIDIA's management library. SPDX-License-Identifier: Apache-2.0
 *
 * FOGHORN_FAKE_NVML="devices=2,compute_mode=3,mig=1": the numbers that it gives, the same for each card; settings[] lists them
 * FOGHORN_FAKE_NVML_FAULTS="nvmlInit_v2=9;nvmlDeviceGetName:1=15;nvmlDeviceGetCount_v2=hang"
 *   CALL=VALUE or, for one card only, CALL:CARD=VALUE. VALUE: a code, hang (asleep), stuck (in the kernel, state D), crash,
 *   exit, sleep=SECONDS (and then goes on).
 * What cannot be read makes every call fail with NVML_ERROR_INVALID_ARGUMENT, and a line on stderr says so. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "detect/drivers/nvml_api.h"

#define EXPORT __attribute__((visibility("default")))

enum { MAX_CARDS = 16, MAX_SLICES = 7, ALL_CARDS = -1, GO_ON = -1 };

extern const int foghorn_fake_nvml;
EXPORT const int foghorn_fake_nvml = 1;

struct nvmlDevice_st {
  int index;
};
static struct nvmlDevice_st cards[MAX_CARDS], slices[MAX_SLICES];

/* ---- settings ------------------------------------------------------------------------------------------------------- */

static long devices = 1, compute_mode, persistence = 1, processes, throttle, mig, mig_pending = -1, mig_devices, ecc_uncorrected,
            remap_pending, remap_failed, retire_pending, recovery_action, virtualization, licensed = 1, fabric_state, fabric_status,
            fabric_cluster, cc_feature, cc_ready;

static const struct {
  const char *name;
  long *value;
  long most;
} settings[] = {
    {"devices", &devices, MAX_CARDS},
    {"compute_mode", &compute_mode, 3},
    {"persistence", &persistence, 1},
    {"processes", &processes, 1000},
    {"throttle", &throttle, 0xffff},
    {"mig", &mig, 1},
    {"mig_pending", &mig_pending, 1}, /* the same as mig when it is left out */
    {"mig_devices", &mig_devices, MAX_SLICES},
    {"ecc_uncorrected", &ecc_uncorrected, 1000000},
    {"remap_pending", &remap_pending, 1},
    {"remap_failed", &remap_failed, 1},
    {"retire_pending", &retire_pending, 1},
    {"recovery_action", &recovery_action, 7},
    {"virtualization", &virtualization, 4},
    {"licensed", &licensed, 1},
    {"fabric_state", &fabric_state, 3},
    {"fabric_status", &fabric_status, 999},
    {"fabric_cluster", &fabric_cluster, 1},
    {"cc_feature", &cc_feature, 1},
    {"cc_ready", &cc_ready, 1},
};

static bool read_number(const char *text, size_t size, long most, long *out) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || end == text || end != text + size || value < 0 || value > most) return false;
  *out = value;
  return true;
}

static bool read_setting(const char *text, size_t size) {
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    size_t name = strlen(settings[i].name);
    if (size > name && strncmp(text, settings[i].name, name) == 0 && text[name] == '=')
      return read_number(text + name + 1, size - name - 1, settings[i].most, settings[i].value);
  }
  return false;
}

/* False when the variable has a part that is not understood. */
static bool read_settings(void) {
  const char *at = getenv("FOGHORN_FAKE_NVML");
  while (at && *at) {
    size_t size = strcspn(at, ",");
    if (!read_setting(at, size)) {
      fprintf(stderr, "stand-in libnvidia-ml: FOGHORN_FAKE_NVML: cannot read \"%.*s\"; every call will fail\n", (int)size, at);
      return false;
    }
    at += size + (at[size] == ',');
  }
  return true;
}

/* ---- faults ----------------------------------------------------------------------------------------------------------- */

static void sleep_for(double seconds) {
  struct timespec left = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

/* As vfork does, holds the parent in state D until its child ends; the child has memory of its own. */
static void sleep_in_state_d(void) {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
    for (;;) pause();
  }
}

/* The code of a call instead of what it would do, or GO_ON. */
static int perform(const char *value, size_t size) {
  long code;
  if (strncmp(value, "hang", size) == 0)
    for (;;) sleep_for(3600);
  if (strncmp(value, "stuck", size) == 0)
    for (;;) sleep_in_state_d();
  if (strncmp(value, "crash", size) == 0) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
  }
  if (strncmp(value, "exit", size) == 0) _exit(1);
  if (strncmp(value, "sleep=", 6) == 0) {
    sleep_for(strtod(value + 6, NULL));
    return GO_ON;
  }
  if (read_number(value, size, 9999, &code)) return (int)code;
  fprintf(stderr, "stand-in libnvidia-ml: FOGHORN_FAKE_NVML_FAULTS: cannot read \"%.*s\"\n", (int)size, value);
  return FH_NVML_ERROR_INVALID_ARGUMENT;
}

/* Is this piece, "CALL=VALUE" or "CALL:CARD=VALUE", about this call? */
static bool is_about(const char *piece, size_t size, const char *call, int card) {
  size_t name = strcspn(piece, ":=");
  if (name >= size || name != strlen(call) || strncmp(piece, call, name) != 0) return false;
  return piece[name] == '=' || strtol(piece + name + 1, NULL, 10) == card;
}

static int fault_of(const char *call, int card) {
  static int well = -1;
  if (well < 0) well = read_settings();
  if (!well) return FH_NVML_ERROR_INVALID_ARGUMENT;
  const char *at = getenv("FOGHORN_FAKE_NVML_FAULTS");
  while (at && *at) {
    size_t size = strcspn(at, ";"), value = strcspn(at, "=") + 1;
    if (value < size && is_about(at, size, call, card)) return perform(at + value, size - value);
    at += size + (at[size] == ';');
  }
  return GO_ON;
}

static int index_of(fh_nvml_device card) { return card >= cards && card < cards + MAX_CARDS ? card->index : ALL_CARDS; }

#define BEGIN(card)                                   \
  do {                                                \
    int fault = fault_of(__func__, (card));           \
    if (fault != GO_ON) return (fh_nvml_result)fault; \
  } while (0)

/* A call about a card that gives one number. */
#define ONE_NUMBER(name, type, number)                         \
  EXPORT fh_nvml_result name(fh_nvml_device card, type *out) { \
    BEGIN(index_of(card));                                     \
    *out = (type)(number);                                     \
    return FH_NVML_SUCCESS;                                    \
  }

/* ---- the calls ---------------------------------------------------------------------------------------------------------- */

#define FH_NVML(name, params) EXPORT fh_nvml_result name params;
#include "detect/drivers/nvml_symbols.def"
#undef FH_NVML

static fh_nvml_result give_text(const char *text, char *out, unsigned size) {
  if (strlen(text) >= size) return FH_NVML_ERROR_INSUFFICIENT_SIZE;
  memcpy(out, text, strlen(text) + 1);
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlInit_v2(void) {
  BEGIN(ALL_CARDS);
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlSystemGetDriverVersion(char *text, unsigned size) {
  BEGIN(ALL_CARDS);
  return give_text("550.54.14", text, size);
}

EXPORT fh_nvml_result nvmlDeviceGetCount_v2(unsigned *count) {
  BEGIN(ALL_CARDS);
  *count = (unsigned)devices;
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlSystemGetConfComputeState(fh_nvml_conf_compute *state) {
  BEGIN(ALL_CARDS);
  *state = (fh_nvml_conf_compute){.environment = cc_feature ? 2 : 0, .feature = (unsigned)cc_feature};
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlSystemGetConfComputeGpusReadyState(unsigned *ready) {
  BEGIN(ALL_CARDS);
  *ready = (unsigned)cc_ready;
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetHandleByIndex_v2(unsigned index, fh_nvml_device *device) {
  BEGIN((int)index);
  if (index >= (unsigned)devices) return FH_NVML_ERROR_INVALID_ARGUMENT;
  cards[index].index = (int)index;
  *device = &cards[index];
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetName(fh_nvml_device card, char *text, unsigned size) {
  BEGIN(index_of(card));
  return give_text(virtualization == FH_NVML_VIRTUALIZATION_VGPU ? "Stand-in A10-24Q" : "Stand-in GPU", text, size);
}

EXPORT fh_nvml_result nvmlDeviceGetUUID(fh_nvml_device card, char *text, unsigned size) {
  BEGIN(index_of(card));
  char uuid[64];
  snprintf(uuid, sizeof uuid, "GPU-00000000-0000-0000-0000-%012d", card->index);
  return give_text(uuid, text, size);
}

EXPORT fh_nvml_result nvmlDeviceGetPciInfo_v3(fh_nvml_device card, fh_nvml_pci *pci) {
  BEGIN(index_of(card));
  *pci = (fh_nvml_pci){.bus = (unsigned)card->index + 1};
  snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xff);
  return FH_NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetComputeMode, unsigned, compute_mode)
ONE_NUMBER(nvmlDeviceGetPersistenceMode, unsigned, persistence)
ONE_NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttle)
ONE_NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned, mig ? MAX_SLICES : 0)
ONE_NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, unsigned, retire_pending)
ONE_NUMBER(nvmlDeviceGetVirtualizationMode, unsigned, virtualization)

EXPORT fh_nvml_result nvmlDeviceGetComputeRunningProcesses_v3(fh_nvml_device card, unsigned *count, void *list) {
  BEGIN(index_of(card));
  bool fits = list && *count >= (unsigned)processes;
  *count = (unsigned)processes;
  return fits || !processes ? FH_NVML_SUCCESS : FH_NVML_ERROR_INSUFFICIENT_SIZE;
}

EXPORT fh_nvml_result nvmlDeviceGetMigMode(fh_nvml_device card, unsigned *current, unsigned *pending) {
  BEGIN(index_of(card));
  *current = (unsigned)mig;
  *pending = (unsigned)(mig_pending < 0 ? mig : mig_pending);
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetMigDeviceHandleByIndex(fh_nvml_device card, unsigned index, fh_nvml_device *slice) {
  BEGIN(index_of(card));
  if (index >= (unsigned)mig_devices) return FH_NVML_ERROR_NOT_FOUND;
  *slice = &slices[index];
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetTotalEccErrors(fh_nvml_device card, unsigned kind, unsigned counter, unsigned long long *count) {
  BEGIN(index_of(card));
  *count = kind == FH_NVML_ECC_UNCORRECTED && counter == FH_NVML_ECC_VOLATILE ? (unsigned long long)ecc_uncorrected : 0;
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetRemappedRows(fh_nvml_device card, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                                                unsigned *failed) {
  BEGIN(index_of(card));
  *corrected = 0;
  *uncorrected = remap_pending || remap_failed;
  *pending = (unsigned)remap_pending;
  *failed = (unsigned)remap_failed;
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetFieldValues(fh_nvml_device card, int count, fh_nvml_field *fields) {
  BEGIN(index_of(card));
  for (int i = 0; i < count; i++) {
    fields[i].result = fields[i].id == FH_NVML_FIELD_RECOVERY_ACTION ? FH_NVML_SUCCESS : FH_NVML_ERROR_NOT_SUPPORTED;
    fields[i].value.bytes = 0;
    fields[i].value.number = (unsigned)recovery_action;
  }
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetGridLicensableFeatures_v4(fh_nvml_device card, fh_nvml_licences *licences) {
  BEGIN(index_of(card));
  *licences = (fh_nvml_licences){.supported = 1, .count = 1, .features = {{.code = 3, .state = (unsigned)licensed, .enabled = 1}}};
  snprintf(licences->features[0].product, sizeof licences->features[0].product, "Stand-in licence");
  return FH_NVML_SUCCESS;
}

EXPORT fh_nvml_result nvmlDeviceGetGpuFabricInfo(fh_nvml_device card, fh_nvml_fabric *fabric) {
  BEGIN(index_of(card));
  *fabric = (fh_nvml_fabric){.status = (unsigned)fabric_status, .state = (unsigned char)fabric_state};
  if (fabric_cluster) memset(fabric->cluster, 7, sizeof fabric->cluster);
  return FH_NVML_SUCCESS;
}
