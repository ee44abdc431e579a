/* Rules about 802 and what joins GPUs: NVSwitch, confidential computing, IMEX. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/drivers/nvml_api.h"
#include "detect/rules/rules.h"

enum { NOT_INITIALIZED = 3, SYSTEM_NOT_READY = 802 };

static bool saw_not_ready(fh_case *c) {
  return fh_gpu_in_question(c->judgement) &&
         fh_case_saw(c, fh_cuda_code(c->facts) == SYSTEM_NOT_READY, "CUDA driver", "802 CUDA_ERROR_SYSTEM_NOT_READY");
}

static bool saw_switch(fh_case *c) {
  const fh_facts *f = c->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *device = &f->pci.devices[i];
    if (device->is_nvswitch)
      return fh_case_saw(c, true, device->source, "%04x:%04x, an NVSwitch", (unsigned)device->vendor, (unsigned)device->device & 0xffff);
  }
  return fh_case_saw(c, fh_facts_node(f, "/dev/nvidia-nvswitchctl")->valid == FH_VALID, "/dev/nvidia-nvswitchctl", "present");
}

/* The card says that joining the fabric has not come to its end. */
static bool saw_fabric_unfinished(fh_case *c) {
  const fh_nvml_answer *nvml = &c->facts->nvidia.nvml;
  for (int i = 0; i < nvml->card_count; i++) {
    int state = nvml->cards[i].fabric_state;
    if (state == FH_NVML_FABRIC_NOT_STARTED || state == FH_NVML_FABRIC_IN_PROGRESS)
      return fh_case_saw(c, true, "NVML", "card %d: fabric state: %s", nvml->cards[i].index,
                         state == FH_NVML_FABRIC_IN_PROGRESS ? "in progress" : "not started");
  }
  return false;
}

void fh_rule_cc_not_ready(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvml_answer *nvml = &f->nvidia.nvml;
  fh_case c = fh_case_open(judgement, cause), look = fh_case_open(judgement, cause);
  if (!saw_not_ready(&c)) return;
  bool told =
      fh_case_saw(&c, nvml->cc_feature == 1 && nvml->cc_ready == 0, "NVML", "confidential computing is on, and the GPUs are not set ready");
  bool guest =
      fh_case_saw(&c, fh_is_true(f->nvidia.host.confidential), f->nvidia.host.confidential.source, "a confidential virtual machine");
  bool may_be = guest && nvml->cc_ready != 1 && nvml->cc_feature != 0 && !saw_switch(&look);
  if (told || may_be)
    fh_case_gpu(&c, told ? FH_CONSISTENT : FH_POSSIBLE, "this confidential virtual machine has not set its GPU ready for work");
}

static bool manager_differs(const fh_facts *f) {
  const fh_fact_text *manager = &f->nvidia.host.fabric_manager, *driver = &f->nvidia.nvrm_version;
  return manager->valid == FH_VALID && driver->valid == FH_VALID && strcmp(manager->value, driver->value) != 0;
}

void fh_rule_fm_version(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_text *manager = &f->nvidia.host.fabric_manager, *driver = &f->nvidia.nvrm_version;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_nvidia_explained(judgement) && saw_not_ready(&c) && saw_switch(&c) && manager_differs(f) &&
      fh_case_saw(&c, true, manager->source, "Fabric Manager %s", manager->value) &&
      fh_case_saw(&c, true, driver->source, "driver %s", driver->value))
    fh_case_gpu(&c, FH_CONSISTENT, "the Fabric Manager is version %s, the driver is %s: it refuses to serve another version",
                manager->value, driver->value);
}

void fh_rule_fabric_802(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_text *manager = &f->nvidia.host.fabric_manager;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_nvidia_explained(judgement) || !saw_not_ready(&c)) return;
  bool switches = saw_switch(&c), unfinished = saw_fabric_unfinished(&c);
  fh_case_saw(&c, switches && manager->valid == FH_ABSENT, manager->source, "no package nvidia-fabricmanager");
  if (switches)
    fh_case_gpu(&c, FH_CONSISTENT, "CUDA says 802 (system not ready) on a machine with NVSwitch: the Fabric Manager has not set it up");
  else if (unfinished)
    fh_case_gpu(
        &c, FH_CONSISTENT,
        "CUDA says 802 (system not ready): this GPU has not joined its NVLink fabric, whose switches are managed outside of this machine");
}

/* ---- between machines ------------------------------------------------------------------------------------------------------ */

static bool is_in_cluster(const fh_facts *f) {
  for (int i = 0; i < f->nvidia.nvml.card_count; i++)
    if (f->nvidia.nvml.cards[i].fabric_cluster && f->nvidia.nvml.cards[i].fabric_state == FH_NVML_FABRIC_COMPLETED) return true;
  return false;
}

void fh_rule_imex(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_int *channels = &f->nvidia.host.imex_channels;
  const char *asked = fh_facts_env(f, "NVIDIA_IMEX_CHANNELS");
  fh_case c = fh_case_open(judgement, cause);
  bool none = channels->valid == FH_ABSENT || (channels->valid == FH_VALID && channels->value == 0);
  if (!none || !fh_case_saw(&c, strstr(f->nodes.proc_devices.value, "nvidia-caps-imex-channels") != NULL, "/proc/devices",
                            "nvidia-caps-imex-channels"))
    return;
  fh_case_saw(&c, true, channels->source, "no channel");
  bool wanted = fh_case_saw(&c, asked && asked[0], "NVIDIA_IMEX_CHANNELS", "%s", asked ? asked : "");
  bool cluster = fh_case_saw(&c, is_in_cluster(f), "NVML", "the GPUs are joined with those of other machines");
  if (wanted || cluster)
    fh_case_conclude(&c, wanted ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "GPUs here cannot share memory with those of other machines: no IMEX channel is in /dev");
}

/* ---- memory shared with the kernel -------------------------------------------------------------------------------------------- */

void fh_rule_hmm_init3(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_bool *off = &f->nvidia.host.hmm_disabled;
  int code = fh_cuda_code(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || fh_nvidia_explained(judgement) || off->valid == FH_ABSENT || fh_is_true(*off)) return;
  bool first =
      fh_case_saw(&c, f->nvidia.cuda.init_code == NOT_INITIALIZED, "cuInit", "3 CUDA_ERROR_NOT_INITIALIZED, in a process of its own");
  bool sibling = fh_case_saw(&c, code == SYSTEM_NOT_READY && f->pci.valid == FH_VALID, "CUDA driver",
                             "802, without NVSwitch or confidential computing");
  bool on = fh_case_saw(&c, off->valid == FH_VALID, off->source, "N");
  fh_case_saw(&c, fh_is_true(f->nvidia.open_module), f->nvidia.open_module.source, "open kernel module");
  if (first || (sibling && on))
    fh_case_gpu(&c, first && on ? FH_CONSISTENT : FH_POSSIBLE,
                "CUDA cannot start (error %d), as with a fault between kernel and driver in sharing memory (HMM)%s", code,
                on ? ", which is on here" : "");
}
