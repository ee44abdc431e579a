/* The question to NVIDIA's management library, and its answer as facts. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer_object.h"
#include "detect/drivers/nvml_api.h"

void fh_nvml_answer_init(fh_nvml_answer *answer) {
  *answer = (fh_nvml_answer){.child = fh_driver_answer_none,
                             .init_name = "",
                             .driver = "",
                             .init_code = -1,
                             .count_code = -1,
                             .count = -1,
                             .cc_feature = -1,
                             .cc_ready = -1};
}

/* A code that any call about this card gave. */
static bool any_call_said(const json_t *object, int code) {
  const char *call;
  json_t *said;
  json_object_foreach(json_object_get(object, "failed"), call, said) {
    if (json_is_integer(said) && json_integer_value(said) == code) return true;
  }
  return fh_answer_int(object, "handle_code", -1) == code;
}

static void read_card(fh_gather *g, const json_t *object, void *into) {
  fh_nvml_card *out = into;
  *out = (fh_nvml_card){
      .name = fh_answer_text(g, object, "name"),
      .uuid = fh_answer_text(g, object, "uuid"),
      .pci = fh_answer_text(g, object, "pci"),
      .product = fh_answer_text(g, object, "product"),
      .index = fh_answer_int(object, "index", -1),
      .handle_code = fh_answer_int(object, "handle_code", -1),
      .compute_mode = fh_answer_int(object, "compute_mode", -1),
      .persistence = fh_answer_int(object, "persistence", -1),
      .processes = fh_answer_int(object, "processes", -1),
      .throttle = fh_answer_number(object, "throttle", -1),
      .mig_current = fh_answer_int(object, "mig_current", -1),
      .mig_pending = fh_answer_int(object, "mig_pending", -1),
      .mig_devices = fh_answer_int(object, "mig_devices", -1),
      .ecc_uncorrected = fh_answer_number(object, "ecc_uncorrected", -1),
      .remap_pending = fh_answer_int(object, "remap_pending", -1),
      .remap_failed = fh_answer_int(object, "remap_failed", -1),
      .retire_pending = fh_answer_int(object, "retire_pending", -1),
      .recovery_action = fh_answer_int(object, "recovery_action", -1),
      .virtualization = fh_answer_int(object, "virtualization", -1),
      .licensed = fh_answer_int(object, "licensed", -1),
      .fabric_state = fh_answer_int(object, "fabric_state", -1),
      .fabric_status = fh_answer_int(object, "fabric_status", -1),
      .fabric_cluster = json_is_true(json_object_get(object, "fabric_cluster")),
      .lost = any_call_said(object, FH_NVML_ERROR_GPU_IS_LOST),
      .reset_required = any_call_said(object, FH_NVML_ERROR_RESET_REQUIRED),
  };
}

static void read_nvml(fh_gather *g, const fh_os_answer *answer, void *into) {
  fh_nvml_answer *out = into;
  json_t *object = fh_answer_object(answer->json);
  fh_driver_answer_read(g, answer, object, &out->child);
  out->init_code = fh_answer_int(object, "init_code", -1);
  out->init_name = fh_answer_text(g, object, "init_name");
  out->driver = fh_answer_text(g, object, "driver");
  out->count_code = fh_answer_int(object, "count_code", -1);
  out->count = fh_answer_int(object, "count", -1);
  out->cc_feature = fh_answer_int(object, "cc_feature", -1);
  out->cc_ready = fh_answer_int(object, "cc_ready", -1);
  out->cards = fh_answer_devices(g, object, sizeof *out->cards, read_card, &out->card_count);
  json_decref(object);
}

/* Only where something of it is: its library, or a node to reach a card through. */
void fh_ask_nvml(fh_gather *g) {
  static const char *const nodes[] = {"/dev/nvidiactl", "/dev/dxg"};
  fh_nvml_answer *answer = &g->facts->nvidia.nvml;
  const fh_library *library = fh_facts_library(g->facts, "libnvidia-ml.so.1");
  bool here = library->valid == FH_VALID;
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) here = here || fh_path_exists(g, nodes[i]);
  if (here) {
    fh_ask(g, "nvml", NULL, read_nvml, answer);
  } else if (library->valid == FH_ABSENT) {
    answer->valid = FH_ABSENT;
    answer->dlerrors = fh_arena_format(g->arena, "libnvidia-ml.so.1: not found in %d places", library->searched_count);
  }
}
