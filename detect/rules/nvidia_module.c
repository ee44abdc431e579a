/* Rules about why NVIDIA's kernel module is not there, or does not take a card. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/rules/rules.h"

/* A card without any driver on a machine (not in a container, which does not see the machine's modules) without the module. */
static const fh_pci_device *card_without_module(const fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  if (!gpu || gpu->driver_valid != FH_ABSENT || !fh_gpu_in_question(judgement)) return NULL;
  return fh_platform_shows_module(f) && !f->where.container && fh_is_false(f->nvidia.module_loaded) ? gpu : NULL;
}

static bool saw_card(fh_case *c, const fh_pci_device *gpu) {
  return gpu && fh_case_saw(c, true, gpu->source, "%04x:%04x, an NVIDIA GPU, no driver bound", (unsigned)gpu->vendor,
                            (unsigned)gpu->device & 0xffff);
}

void fh_rule_dkms_kernel(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvidia_host *h = &f->nvidia.host;
  const fh_pci_device *gpu = card_without_module(judgement);
  fh_case c = fh_case_open(judgement, cause);
  const char *other = h->built_elsewhere ? h->built_elsewhere : "", *log = h->failed_build ? h->failed_build : "";
  if (!saw_card(&c, gpu) || !fh_is_false(h->built)) return;
  if (!fh_case_saw(&c, *other, "/lib/modules", "%s has an nvidia module", other) &&
      !fh_case_saw(&c, *log, log, "a build of the module that failed"))
    return;
  fh_case_saw(&c, true, h->built.source, "%s has none", f->where.kernel.value);
  if (*other) fh_case_saw(&c, *log, log, "a build of the module that failed");
  fh_case_saw(&c, h->headers.valid == FH_ABSENT, h->headers.source, "absent: no headers to build it with");
  fh_case_gpu(&c, *other ? FH_PROVEN : FH_CONSISTENT, "no nvidia module was built for the running kernel %s%s%s", f->where.kernel.value,
              *other ? "; there is one for " : "", other);
}

void fh_rule_secureboot(fh_judgement *judgement, const fh_cause *cause) {
  const fh_nvidia_host *h = &judgement->facts->nvidia.host;
  const fh_pci_device *gpu = card_without_module(judgement);
  fh_case c = fh_case_open(judgement, cause);
  if (!saw_card(&c, gpu) || !fh_case_saw(&c, fh_is_true(h->built), h->built.source, "the module is there, and is not loaded")) return;
  bool boot = fh_case_saw(&c, fh_is_true(h->secure_boot), h->secure_boot.source, "1: Secure Boot is on");
  bool lockdown = fh_case_saw(&c, fh_is_true(h->locked_down), h->locked_down.source, "the kernel takes signed modules only");
  /* A kernel that is not locked down takes any module, whatever the firmware checked. */
  if ((boot && !fh_is_false(h->locked_down)) || lockdown)
    fh_case_gpu(&c, FH_POSSIBLE, /* whether the module is signed, or told not to load, is not seen */
                "the nvidia module is installed and not loaded, and this machine takes modules only with a signature that it knows");
}

/* Right after the start of a machine its drivers may still be loading. */
void fh_rule_boot_race(fh_judgement *judgement, const fh_cause *cause) {
  enum { SECONDS = 180 };
  const fh_nvidia_host *h = &judgement->facts->nvidia.host;
  const fh_pci_device *gpu = card_without_module(judgement);
  fh_case c = fh_case_open(judgement, cause);
  if (fh_nvidia_explained(judgement) || !saw_card(&c, gpu)) return;
  if (fh_case_saw(&c, h->uptime.valid == FH_VALID && h->uptime.value < SECONDS, h->uptime.source, "this machine started %lld seconds ago",
                  (long long)h->uptime.value) &&
      fh_case_saw(&c, fh_is_true(h->built), h->built.source, "the nvidia module is there, and is not loaded yet"))
    fh_case_gpu(&c, FH_POSSIBLE, "the nvidia module is not loaded yet: this machine started %lld seconds ago", (long long)h->uptime.value);
}

/* ---- a module of the wrong kind -------------------------------------------------------------------------------------- */

/* First device ids of generations: NVIDIA numbers them upwards from there on. */
enum { FIRST_MAXWELL = 0x1340, FIRST_TURING = 0x1e00, FIRST_BLACKWELL = 0x2900 };
enum { LAST_FOR_KEPLER = 470, LAST_FOR_VOLTA = 580 };

static bool is_grace_hopper(int id) { return id == 0x2342 || id == 0x2345 || id == 0x2348; }

/* Why this module cannot drive this card; NULL: it can, or that is not known. */
static const char *wrong_kind(const fh_facts *f, int id) {
  if (f->nvidia.nvrm_version.valid != FH_VALID) return NULL;
  long branch = strtol(f->nvidia.nvrm_version.value, NULL, 10);
  if (id < FIRST_MAXWELL && branch > LAST_FOR_KEPLER)
    return "the card is too old for this driver: the 470 branch is the last that knows it";
  if (id < FIRST_TURING && branch > LAST_FOR_VOLTA) return "the card is too old for this driver: the 580 branch is the last that knows it";
  if (id < FIRST_TURING && fh_is_true(f->nvidia.open_module))
    return "the open kernel modules drive cards from the Turing generation on only";
  if ((id >= FIRST_BLACKWELL || is_grace_hopper(id)) && f->nvidia.open_module.valid == FH_VALID && !f->nvidia.open_module.value)
    return "this card is driven by the open kernel modules only";
  return NULL;
}

bool fh_case_saw_left_alone(fh_case *c, const fh_pci_device *gpu) {
  const fh_node *node;
  if (fh_case_saw(c, gpu->driver_valid == FH_ABSENT, gpu->source, "no driver bound")) return true;
  for (int i = 0; (node = fh_nvidia_node_next(c->facts, &i));) {
    const fh_nvidia_listed *card = fh_nvidia_card_of_node(c->facts, node->path);
    bool its = card ? strcmp(card->pci, gpu->address) == 0 : fh_nvidia_gpu_count(c->facts) == 1 && fh_nvidia_node_is_numbered(node->path);
    if (its && fh_case_saw(c, node->open_errno == EIO, node->path, "EIO: the driver could not set the card up")) return true;
  }
  return false;
}

void fh_rule_open_required(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    const char *why = fh_pci_is_nvidia_gpu(gpu) && gpu->device > 0 ? wrong_kind(f, gpu->device) : NULL;
    fh_case c = fh_case_open(judgement, cause);
    if (!why || !fh_nvidia_card_fails(judgement, gpu->address) || judgement->expects[FH_NVIDIA_GPU].level == FH_EXPECT_NONE) continue;
    fh_case_saw(&c, true, gpu->source, "%04x:%04x", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff);
    fh_case_saw(&c, true, f->nvidia.nvrm_version.source, "%s%s", f->nvidia.nvrm_version.value,
                fh_is_true(f->nvidia.open_module) ? ", open kernel module" : "");
    if (fh_case_saw_left_alone(&c, gpu)) fh_case_card(&c, gpu->address, FH_CONSISTENT, "%s: %s", gpu->address, why);
  }
}
