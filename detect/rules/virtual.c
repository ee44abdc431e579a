/* Rules about sandboxes that are small machines of their own. SPDX-License-Identifier: Apache-2.0
 * What shows NVIDIA's kernel module elsewhere is missing here even when all is well. */
#include <string.h>

#include "detect/rules/rules.h"

bool fh_machine_of_its_own(const fh_facts *f) {
  return f->where.platform == FH_PLATFORM_KATA || (f->where.container && fh_is_true(f->sandbox.docker_desktop));
}

/* All of PCI was read, and no GPU of NVIDIA is there. */
static bool saw_no_gpu(fh_case *c) {
  const fh_facts_pci *pci = &c->facts->pci;
  bool whole = pci->valid != FH_UNKNOWN_FACT && pci->unread == 0 && fh_is_false(pci->masked);
  return fh_case_saw(c, whole && fh_nvidia_gpu_count(c->facts) == 0, "/sys/bus/pci/devices", "%d devices, no NVIDIA GPU among them",
                     pci->all_count);
}

static bool saw_platform(fh_case *c, fh_platform platform) {
  const fh_facts_where *where = &c->facts->where;
  return fh_case_saw(c, where->platform == platform, where->platform_source, "%s", where->platform_name);
}

/* ---- gVisor ------------------------------------------------------------------------------------------------------ */

void fh_rule_gvisor_no_nvproxy(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && saw_platform(&c, FH_PLATFORM_GVISOR) &&
      fh_case_saw(&c, fh_nvidia_nodes_absent(f), "/dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia0", "ENOENT") &&
      fh_case_saw(&c, fh_is_false(f->nvidia.module_loaded), "/proc/devices", "no nvidia: gVisor passes no call to NVIDIA's driver"))
    fh_case_gpu(&c, FH_CONSISTENT, "gVisor runs this container without nvproxy, the part that lets the GPU's driver through");
}

static bool all_nodes_open(const fh_facts *f) {
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    if (!node->is_char || node->open_errno) return false;
  return fh_nvidia_numbered_present(f) > 0;
}

void fh_rule_gvisor_driver(fh_judgement *judgement, const fh_cause *cause) {
  enum { NOT_INITIALIZED = 3, NO_DEVICE = 100, UNKNOWN_ERROR = 999 };
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  int code = fh_cuda_code(f);
  bool typical = code == NOT_INITIALIZED || code == NO_DEVICE || code == UNKNOWN_ERROR;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !saw_platform(&c, FH_PLATFORM_GVISOR) ||
      !fh_case_saw(&c, all_nodes_open(f), "/dev/nvidia*", "all open"))
    return;
  if (!fh_case_saw(&c, code != 0, "CUDA driver", "error %d", code) &&
      !fh_case_saw(&c, cuda->crashed, "CUDA driver", "the asking process died of signal %d", cuda->signal))
    return;
  bool other = fh_facts_env(f, "CUDA_VISIBLE_DEVICES") || !fh_driver_library_injected(f);
  fh_case_gpu(&c, typical && !other ? FH_CONSISTENT : FH_POSSIBLE,
              "the GPU's device files open in gVisor, and the driver still fails: a request that this gVisor does not know");
}

/* ---- Kata ------------------------------------------------------------------------------------------------------------ */

void fh_rule_kata_vm(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !saw_platform(&c, FH_PLATFORM_KATA)) return;
  fh_case_saw(&c, fh_is_true(f->sandbox.firecracker), f->sandbox.firecracker.source, "Firecracker, which passes no GPU on");
  if (saw_no_gpu(&c) && fh_nvidia_nodes_absent(f)) {
    fh_case_gpu(&c, FH_CONSISTENT, "this pod is a virtual machine of its own, and no GPU was passed into it");
  } else if (fh_case_saw(&c, gpu != NULL, gpu ? gpu->source : "", "an NVIDIA GPU%s",
                         gpu && gpu->driver_valid == FH_ABSENT ? ", no driver bound" : "")) {
    if (fh_case_saw(&c, fh_is_false(f->nvidia.module_loaded), "/proc/devices", "no nvidia: the guest's kernel has no driver loaded"))
      fh_case_gpu(&c, FH_CONSISTENT, "the GPU was passed into this pod's virtual machine, whose kernel has no NVIDIA driver");
    else if (fh_is_true(f->nvidia.module_loaded) && fh_case_saw(&c, fh_nvidia_nodes_absent(f), "/dev/nvidia*", "none"))
      fh_case_gpu(&c, FH_CONSISTENT, "the GPU works in this pod's virtual machine, and was not passed on into the container");
  }
}

/* ---- the wrong daemon ---------------------------------------------------------------------------------------------------- */

static void warn_of_snap(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_facts_engines *engines = &f->engines;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "NVIDIA's driver runs on this machine") &&
      fh_case_saw(&c, fh_is_true(engines->docker_snap), engines->docker_snap.source, "Docker is a snap, shut off from the host's files") &&
      fh_case_saw(&c, fh_is_true(engines->toolkit), engines->toolkit.source, "NVIDIA's container toolkit is installed beside it"))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "Docker of this machine is a snap, which does not see NVIDIA's container toolkit");
}

void fh_rule_wrong_daemon(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && f->where.container &&
      fh_case_saw(&c, fh_is_true(f->sandbox.docker_desktop), f->sandbox.docker_desktop.source, "%s: the virtual machine of Docker Desktop",
                  f->where.kernel.value) &&
      saw_no_gpu(&c) && fh_case_saw(&c, fh_is_false(f->nvidia.module_loaded), "/proc/devices", "no nvidia") && fh_nvidia_nodes_absent(f))
    fh_case_gpu(&c, FH_CONSISTENT, "Docker Desktop runs containers in a virtual machine, and that machine has no NVIDIA GPU");
  else if (!f->where.container)
    warn_of_snap(judgement, cause);
}
