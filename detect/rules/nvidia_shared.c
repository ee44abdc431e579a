/* Rules about cards that several share: slices (MIG), virtual GPUs, the service MPS. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/drivers/nvml_api.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

enum { DEVICE_UNAVAILABLE = 46, NO_DEVICE = 100, NOT_LICENSED = 102, NOT_SUPPORTED = 801, FIRST_OF_MPS = 805, LAST_OF_MPS = 809 };

/* ---- slices --------------------------------------------------------------------------------------------------------------- */

static int slices_of_all(const fh_facts *f) {
  int count = 0;
  for (int i = 0; i < f->nvidia.nvml.card_count; i++)
    if (f->nvidia.nvml.cards[i].mig_devices > 0) count += f->nvidia.nvml.cards[i].mig_devices;
  return count;
}

static bool shows_none(const fh_cuda_answer *cuda) {
  return cuda->valid == FH_VALID && (cuda->init_code == NO_DEVICE || cuda->count_code == NO_DEVICE || cuda->count == 0);
}

void fh_rule_mig_no_instance(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvml_card *empty = NULL;
  fh_case c = fh_case_open(judgement, cause);
  for (int i = 0; i < f->nvidia.nvml.card_count; i++) {
    const fh_nvml_card *card = &f->nvidia.nvml.cards[i];
    if (!fh_case_saw(&c, card->mig_current == 1 && card->mig_devices == 0, "NVML", "card %d: MIG is on, no slice is made", card->index))
      continue;
    fh_case_saw(&c, card->mig_pending == 0, "NVML", "card %d: MIG is off after the next reset", card->index);
    if (!empty) empty = card;
  }
  if (!empty || slices_of_all(f) > 0 || !fh_gpu_in_question(judgement) || !shows_none(&f->nvidia.cuda)) return;
  fh_case_saw(&c, true, "CUDA driver", "no device");
  fh_case_gpu(&c, FH_CONSISTENT, "card %d is switched to slices (MIG), and no slice was made", empty->index);
}

/* CUDA shows one slice to a process, however many there are. */
void fh_rule_mig_one(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  int slices = slices_of_all(f), shown = 0;
  fh_case c = fh_case_open(judgement, cause);
  for (int i = 0; i < cuda->device_count; i++) shown += cuda->devices[i].usable && strncmp(cuda->devices[i].uuid, "MIG-", 4) == 0;
  if (cuda->count < 1 || slices <= shown || cuda->device_count == 0 || !cuda->devices[0].usable) return;
  if (fh_case_saw(&c, true, "NVML", "%d slices (MIG)", slices) &&
      fh_case_saw(&c, true, "CUDA driver", "%d devices, %d of them slices", cuda->count, shown))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "%d of %d slices (MIG) are hidden: CUDA shows a process %s", slices - shown,
                     slices, shown ? "one slice" : "whole cards or one slice");
}

/* NULL: the node of a capability opens, or nothing is known of it; else what is wrong with it. */
static const char *refusal(const fh_facts *f, fh_judgement *judgement, int minor, const char **out_path) {
  const char *path = fh_arena_format(judgement->arena, "/dev/nvidia-caps/nvidia-cap%d", minor);
  const fh_node *node = minor >= 0 ? fh_facts_node(f, path) : NULL;
  *out_path = path;
  if (!node || node->valid == FH_UNKNOWN_FACT || (node->valid == FH_VALID && node->open_errno == 0)) return NULL;
  return node->valid == FH_ABSENT ? "ENOENT" : fh_errno_words(node->open_errno);
}

static bool saw_refused(fh_case *c, const fh_nvidia_slice *slice) {
  const char *path;
  const char *why = refusal(c->facts, c->judgement, slice->instance_minor, &path);
  if (!why) why = refusal(c->facts, c->judgement, slice->slice_minor, &path);
  return why && fh_case_saw(c, true, path, "%s; %s needs it", why, slice->path);
}

void fh_rule_mig_caps(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  int refused = 0;
  if (!fh_gpu_in_question(judgement) || fh_nvidia_explained(judgement) || f->nvidia.slice_count == 0 || f->nvidia.cuda.valid != FH_VALID)
    return;
  for (int i = 0; i < f->nvidia.slice_count; i++) refused += saw_refused(&c, &f->nvidia.slices[i]);
  if (refused < f->nvidia.slice_count) return; /* one slice is reachable, or not known not to be */
  fh_case_saw(&c, fh_cuda_code(f) > 0, "CUDA driver", "error %d", fh_cuda_code(f));
  fh_case_gpu(&c, FH_CONSISTENT, "%d slices (MIG) are set up, and the nodes that lead to them cannot be opened: %s", refused,
              c.evidence[0].source);
}

/* ---- virtual GPUs ------------------------------------------------------------------------------------------------------------ */

static const fh_nvml_card *unlicensed_card(const fh_facts *f) {
  for (int i = 0; i < f->nvidia.nvml.card_count; i++) {
    const fh_nvml_card *card = &f->nvidia.nvml.cards[i];
    if (card->virtualization == FH_NVML_VIRTUALIZATION_VGPU && card->licensed == 0) return card;
  }
  return NULL;
}

static bool all_nodes_open(const fh_facts *f) {
  const fh_node *node;
  int seen = 0;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i)); seen++)
    if (!node->is_char || node->open_errno) return false;
  return seen > 0;
}

/* The management library says "Unknown Error", and not because a node is refused. */
static bool library_knows_not(const fh_facts *f) {
  const fh_nvml_answer *nvml = &f->nvidia.nvml;
  bool said = nvml->init_code == FH_NVML_ERROR_UNKNOWN;
  for (int i = 0; i < nvml->card_count; i++) said = said || nvml->cards[i].handle_code == FH_NVML_ERROR_UNKNOWN;
  return said && all_nodes_open(f);
}

void fh_rule_vgpu_licence(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvml_card *card = unlicensed_card(f);
  int code = fh_cuda_code(f);
  fh_case c = fh_case_open(judgement, cause);
  bool question = fh_gpu_in_question(judgement);
  fh_case_saw(&c, card != NULL, "NVML", "card %d: a virtual GPU, licence status: unlicensed", card ? card->index : 0);
  bool refused = fh_case_saw(&c, code == DEVICE_UNAVAILABLE || code == NOT_LICENSED, "CUDA driver", "error %d", code);
  if (question && (code == NOT_LICENSED || (card && refused))) {
    fh_case_gpu(&c, FH_CONSISTENT, "the virtual GPU has no licence, and refuses to compute");
  } else if (card && !question) {
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL,
                     "card %d is a virtual GPU without a licence: it works, and is slowed down", card->index);
  } else if (question && !fh_nvidia_explained(judgement) && fh_nvidia_is_virtual(f) && library_knows_not(f)) {
    fh_case_saw(&c, true, "NVML", "999 NVML_ERROR_UNKNOWN, though every node opens");
    fh_case_gpu(&c, FH_POSSIBLE, "the virtual GPU may have no licence: NVIDIA's library says 'Unknown Error' and no node is refused");
  }
}

void fh_rule_vgpu_um(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && f->where.platform != FH_PLATFORM_JETSON &&
      fh_case_saw(&c, fh_cuda_code(f) == NOT_SUPPORTED, "CUDA driver", "801 CUDA_ERROR_NOT_SUPPORTED") &&
      fh_case_saw(&c, fh_nvidia_is_virtual(f), "NVML, /proc/driver/nvidia/gpus", "a virtual GPU"))
    fh_case_gpu(&c, FH_CONSISTENT, "this virtual GPU is made without unified memory, which CUDA needs");
}

/* ---- MPS --------------------------------------------------------------------------------------------------------------------- */

void fh_rule_mps(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_int *owner = &f->nvidia.host.mps_owner;
  int code = fh_cuda_code(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) ||
      !fh_case_saw(&c, code >= FIRST_OF_MPS && code <= LAST_OF_MPS, "CUDA driver", "%d %s", code, f->nvidia.cuda.init_name))
    return;
  fh_case_saw(&c, owner->valid == FH_VALID, owner->source, "present, of user %lld", (long long)owner->value);
  fh_case_saw(&c, owner->valid == FH_VALID && f->where.id_valid && owner->value != f->where.id.uid, "this process", "user %u",
              f->where.id.uid);
  fh_confidence sure =
      fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_WITHOUT_MPS), "without the service (CUDA_MPS_PIPE_DIRECTORY=/nonexistent)", FH_CONSISTENT);
  fh_case_gpu(&c, sure, "CUDA is to go through the sharing service MPS, and cannot reach it (error %d)", code);
}
