/* Rules about single cards: off the bus, not set up, out of address space, waiting for a reset, taken. SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/drivers/nvml_api.h"
#include "detect/rules/rules.h"

/* ---- off the bus ------------------------------------------------------------------------------------------------------- */

/* Where a card is that the management library cannot name any more: it counts cards in the order of their addresses. */
static const char *address_of(const fh_facts *f, const fh_nvml_card *card) {
  if (*card->pci) return card->pci;
  bool in_step = f->nvidia.nvml.count == f->nvidia.listed_count && card->index >= 0 && card->index < f->nvidia.listed_count;
  return in_step ? f->nvidia.listed[card->index].pci : "";
}

static bool saw_lost_by_library(fh_case *c, const fh_pci_device *gpu) {
  const fh_nvml_answer *nvml = &c->facts->nvidia.nvml;
  for (int i = 0; i < nvml->card_count; i++)
    if (nvml->cards[i].lost && strcmp(address_of(c->facts, &nvml->cards[i]), gpu->address) == 0)
      return fh_case_saw(c, true, "NVML", "card %d: 15 NVML_ERROR_GPU_IS_LOST", nvml->cards[i].index);
  return false;
}

static bool is_bound_to_nvidia(const fh_pci_device *gpu) {
  return gpu->driver_valid == FH_VALID && gpu->driver && strcmp(gpu->driver, "nvidia") == 0;
}

void fh_rule_off_bus(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!fh_pci_is_nvidia_gpu(gpu) || !fh_nvidia_card_fails(judgement, gpu->address)) continue;
    bool lost = saw_lost_by_library(&c, gpu);
    bool silent = fh_case_saw(&c, is_bound_to_nvidia(gpu) && gpu->responds.valid == FH_VALID && !gpu->responds.value, gpu->responds.source,
                              "all ones: nothing answers at this address");
    if (lost || silent) fh_case_card(&c, gpu->address, FH_PROVEN, "%s has fallen off the PCI bus", gpu->address);
  }
}

/* ---- between two drivers ------------------------------------------------------------------------------------------------ */

/* The card of a node is bound to no driver now. */
static bool is_unbound(const fh_facts *f, const fh_node *node) {
  const fh_nvidia_listed *card = fh_nvidia_card_of_node(f, node->path);
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    if (fh_pci_is_nvidia_gpu(gpu) && gpu->driver_valid == FH_ABSENT && (!card || strcmp(card->pci, gpu->address) == 0)) return true;
  }
  return false;
}

void fh_rule_unbinding(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  const fh_node *node;
  bool unbound = false;
  if (fh_nvidia_explained(judgement) || !fh_gpu_in_question(judgement) || fh_is_false(f->nvidia.module_loaded)) return;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) {
    bool numbered = node->is_char && fh_nvidia_node_is_numbered(node->path);
    bool removed = fh_case_saw(&c, numbered && node->open_errno == ENODEV, node->path, "ENODEV: the card is being taken away");
    bool busy = fh_case_saw(&c, numbered && node->open_errno == EBUSY, node->path, "EBUSY: the card is being moved or reset");
    unbound = unbound || ((removed || busy) && is_unbound(f, node));
  }
  if (!c.evidence_count) return;
  const char *first = c.evidence[0].source;
  fh_case_saw(&c, unbound, "/sys/bus/pci/devices", "a card is bound to no driver now");
  fh_case_gpu(&c, unbound ? FH_CONSISTENT : FH_POSSIBLE, "%s: the card is just being taken from the driver, or given back to it", first);
}

/* ---- not set up ----------------------------------------------------------------------------------------------------------- */

void fh_rule_bar_space(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    fh_case c = fh_case_open(judgement, cause);
    bool held = gpu->driver && !is_bound_to_nvidia(gpu);
    if (!fh_pci_is_nvidia_gpu(gpu) || held || !fh_nvidia_card_fails(judgement, gpu->address)) continue;
    if (fh_case_saw(&c, gpu->window.valid == FH_VALID && !gpu->window.value, gpu->window.source, "a memory region without address"))
      fh_case_card(&c, gpu->address, fh_case_saw_left_alone(&c, gpu) && fh_is_true(f->nvidia.module_loaded) ? FH_PROVEN : FH_POSSIBLE,
                   "%s got no address range for its memory", gpu->address);
  }
}

/* All is known that would tell the other reasons for EIO: a region without address, a driver of the wrong kind. */
static bool others_ruled_out(const fh_facts *f) {
  bool known =
      f->nvidia.nvrm_version.valid == FH_VALID && f->nvidia.open_module.valid == FH_VALID && fh_nvidia_gpu_count(f) > 0 && !f->pci.unread;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    if (fh_pci_is_nvidia_gpu(gpu)) known = known && gpu->device > 0 && gpu->window.valid == FH_VALID;
  }
  return known;
}

void fh_rule_rminit_fail(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvidia_host *h = &f->nvidia.host;
  fh_case c = fh_case_open(judgement, cause);
  const fh_node *node;
  const char *pci = "";
  int failed = 0, numbered = 0;
  if (fh_nvidia_explained(judgement)) return;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) {
    numbered += fh_nvidia_node_is_numbered(node->path);
    if (!fh_nvidia_node_is_numbered(node->path) ||
        !fh_case_saw(&c, node->is_char && node->open_errno == EIO, node->path, "EIO: the driver could not set the card up"))
      continue;
    const fh_nvidia_listed *card = fh_nvidia_card_of_node(f, node->path);
    if (failed++ == 0 && card) pci = card->pci;
  }
  if (!failed) return;
  bool no_firmware = fh_case_saw(&c, failed == numbered && h->firmware.valid == FH_ABSENT, h->firmware.source, "no firmware (gsp_*) here");
  fh_case_card(&c, failed == 1 ? pci : "", others_ruled_out(f) ? FH_CONSISTENT : FH_POSSIBLE,
               "the driver cannot set up %d of %d cards (%s)%s", failed, numbered, c.evidence[0].source,
               no_firmware ? "; the firmware for its version is missing" : "");
}

/* ---- one of many ------------------------------------------------------------------------------------------------------------- */

static bool works(const fh_cuda_answer *answer) {
  for (int i = 0; i < answer->device_count; i++)
    if (answer->devices[i].usable) return true;
  return false;
}

void fh_rule_one_bad_gpu(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_nvidia *n = &judgement->facts->nvidia;
  fh_case c = fh_case_open(judgement, cause);
  const char *bad = NULL;
  int failing = 0, working = 0;
  if (!fh_gpu_in_question(judgement)) return;
  fh_case_saw(&c, fh_cuda_code(judgement->facts) != 0, "CUDA, all cards", "error %d", fh_cuda_code(judgement->facts));
  for (int i = 0; i < n->alone_count; i++) {
    const fh_cuda_alone *one = &n->alone[i];
    if (one->answer.valid != FH_VALID) return; /* not every card was asked: which is bad is not known */
    working += works(&one->answer);
    if (works(&one->answer)) continue;
    if (failing++ == 0) bad = one->pci;
    fh_case_saw(&c, true, one->pci, "asked alone: it fails%s", one->answer.crashed ? " and crashes" : "");
  }
  if (!failing || !working || !fh_case_saw(&c, true, "the others", "asked alone, %d cards work", working)) return;
  fh_case_gpu(&c, FH_PROVEN, "%s%s keeps CUDA from starting on all cards; the other %d work without it", bad,
              failing > 1 ? fh_arena_format(judgement->arena, " and %d more", failing - 1) : "", working);
}

/* ---- waiting for a reset --------------------------------------------------------------------------------------------------------- */

enum { ECC_UNCORRECTABLE = 214, DEVICE_UNAVAILABLE = 46, INVALID_DEVICE = 101 };

/* What CUDA said of a card: its own code, else that of all. */
static int code_at(const fh_facts *f, const char *pci) {
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  for (int i = 0; i < cuda->device_count; i++)
    if (*pci && cuda->devices[i].pci && strcasecmp(cuda->devices[i].pci, pci) == 0) return cuda->devices[i].context_code;
  return fh_cuda_code(f);
}

static bool saw_reset_due(fh_case *c, const fh_nvml_card *card) {
  int before = c->evidence_count;
  fh_case_saw(c, card->reset_required, "NVML", "card %d: 16 NVML_ERROR_RESET_REQUIRED", card->index);
  fh_case_saw(c, card->recovery_action > FH_NVML_RECOVERY_NONE, "NVML", "card %d: recovery action %d", card->index, card->recovery_action);
  fh_case_saw(c, card->remap_pending > 0, "NVML", "card %d: rows of memory wait to be replaced", card->index);
  fh_case_saw(c, card->retire_pending > 0, "NVML", "card %d: pages of memory wait to be retired", card->index);
  return c->evidence_count > before;
}

static void judge_reset(fh_judgement *judgement, const fh_cause *cause, const fh_nvml_card *card) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  int code = code_at(f, card->pci);
  bool due = saw_reset_due(&c, card), taken = card->compute_mode > FH_NVML_COMPUTE_DEFAULT;
  bool says_so = fh_case_saw(&c, code == ECC_UNCORRECTABLE, "CUDA driver", "214 CUDA_ERROR_ECC_UNCORRECTABLE");
  if (!due && !says_so) return;
  fh_case_saw(&c, card->ecc_uncorrected > 0, "NVML", "card %d: %lld errors of memory that could not be corrected", card->index,
              (long long)card->ecc_uncorrected);
  fh_case_saw(&c, code == DEVICE_UNAVAILABLE, "CUDA driver", "46 CUDA_ERROR_DEVICE_UNAVAILABLE");
  if (!fh_nvidia_card_fails(judgement, *card->pci ? card->pci : "")) {
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "card %d works, and waits for a reset that sets bad memory aside",
                     card->index);
  } else if (code > 0 && (!taken || card->reset_required || says_so)) {
    bool fits = says_so || code == DEVICE_UNAVAILABLE || card->reset_required;
    fh_case_card(&c, card->pci,
                 card->reset_required ? FH_PROVEN
                 : fits               ? FH_CONSISTENT
                                      : FH_POSSIBLE,
                 "card %d must be reset before it computes again", card->index);
  }
}

void fh_rule_ecc_reset(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->nvidia.nvml.card_count; i++) judge_reset(judgement, cause, &f->nvidia.nvml.cards[i]);
  fh_case c = fh_case_open(judgement, cause);
  if (f->nvidia.nvml.card_count == 0 && fh_gpu_in_question(judgement) &&
      fh_case_saw(&c, fh_cuda_code(f) == ECC_UNCORRECTABLE, "CUDA driver", "214 CUDA_ERROR_ECC_UNCORRECTABLE"))
    fh_case_gpu(&c, FH_CONSISTENT, "the memory of the card had an error that could not be corrected");
}

/* ---- taken, or forbidden ------------------------------------------------------------------------------------------------------------ */

void fh_rule_exclusive_mode(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->nvidia.nvml.card_count; i++) {
    const fh_nvml_card *card = &f->nvidia.nvml.cards[i];
    fh_case c = fh_case_open(judgement, cause);
    int code = code_at(f, card->pci);
    bool prohibited = card->compute_mode == FH_NVML_COMPUTE_PROHIBITED;
    bool exclusive = card->compute_mode == FH_NVML_COMPUTE_EXCLUSIVE || card->compute_mode == FH_NVML_COMPUTE_EXCLUSIVE_THREAD;
    if ((!prohibited && !exclusive) || card->reset_required || !fh_nvidia_card_fails(judgement, card->pci)) continue;
    if (!fh_case_saw(&c, code == DEVICE_UNAVAILABLE || code == INVALID_DEVICE, "CUDA driver", "making a context: error %d", code)) continue;
    fh_case_saw(&c, true, "NVML", "card %d: compute mode %s", card->index, prohibited ? "prohibited" : "exclusive");
    fh_case_saw(&c, exclusive && card->processes >= 0, "NVML", "card %d: %d processes of which this one may know", card->index,
                card->processes);
    fh_case_card(&c, card->pci, prohibited ? FH_PROVEN : FH_CONSISTENT,
                 prohibited ? "card %d is set to compute mode 'prohibited': nobody may compute on it"
                            : "card %d is set to compute mode 'exclusive', and another process has it",
                 card->index);
  }
}

/* ---- slow to start --------------------------------------------------------------------------------------------------------------------
 */

void fh_rule_persistence(fh_judgement *judgement, const fh_cause *cause) {
  static const int64_t long_start_ns = 5000000000;
  const fh_facts_nvidia *n = &judgement->facts->nvidia;
  fh_case c = fh_case_open(judgement, cause);
  int off = 0;
  for (int i = 0; i < n->nvml.card_count; i++) off += n->nvml.cards[i].persistence == 0;
  if (!fh_case_saw(&c, off > 0, "NVML", "persistence mode is off on %d of %d cards", off, n->nvml.card_count)) return;
  if (fh_case_saw(&c, n->cuda.init_code == 0 && n->cuda.init_ns >= long_start_ns, "cuInit", "%.1f seconds", (double)n->cuda.init_ns / 1e9))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "starting the driver took %.1f seconds: while no program uses the cards they are switched off and on again",
                     (double)n->cuda.init_ns / 1e9);
  else if (fh_gpu_in_question(judgement) && fh_case_saw(&c, n->cuda.slow, "CUDA driver", "no answer in time, and not stuck in the kernel"))
    fh_case_gpu(&c, FH_POSSIBLE, "the driver may only be slow to start: persistence mode is off");
}
