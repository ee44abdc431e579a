/* What should be here. SPDX-License-Identifier: Apache-2.0
 * A missing GPU is a fault only where something expected one: the user, or an explicit request in the environment. */
#include <string.h>

#include "detect/arena.h"
#include "detect/judge.h"
#include "detect/require.h"
#include "detect/rules/rules.h"

static fh_status split_specs(fh_judgement *judgement, const char *expect) {
  size_t commas = 0;
  for (const char *at = expect; *at; at++) commas += *at == ',';
  judgement->expected = fh_arena_alloc(judgement->arena, commas + 1, sizeof(*judgement->expected));
  if (!judgement->expected) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory to judge what was detected");
  for (const char *at = expect;; at++) {
    size_t size = strcspn(at, ",");
    judgement->expected[judgement->expected_count++] = fh_arena_text_size(judgement->arena, at, size);
    at += size;
    if (!*at) return FH_OK;
  }
}

void fh_expect(fh_judgement *judgement, fh_family family, fh_expectation level, const char *source) {
  if (level > judgement->expects[family].level) judgement->expects[family] = (fh_expected){level, source};
}

void fh_expect_variable(fh_judgement *judgement, fh_family family, fh_expectation level, const char *name) {
  const char *value = fh_facts_env(judgement->facts, name);
  if (value && value[0]) fh_expect(judgement, family, level, fh_arena_format(judgement->arena, "%s=%s", name, value));
}

/* ---- NVIDIA ------------------------------------------------------------------------------------------------- */

static void expect_at(fh_judgement *judgement, fh_expectation level, const char *source) {
  fh_expect(judgement, FH_NVIDIA_GPU, level, source);
}

static void expect_variable(fh_judgement *judgement, fh_expectation level, const char *name) {
  fh_expect_variable(judgement, FH_NVIDIA_GPU, level, name);
}

/* A list that names cards, as against one that hides them. */
static bool names_cards(const char *list) { return list && list[0] && list[0] != '-' && strcmp(list, "NoDevFiles") != 0; }

static void expect_by_intent(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  if (fh_env_asks_for_gpus(f)) expect_variable(judgement, FH_EXPECT_INTENT, "NVIDIA_VISIBLE_DEVICES");
  fh_family any = fh_family_of_request(f); /* AMD's software obeys these too */
  if (names_cards(fh_facts_env(f, "CUDA_VISIBLE_DEVICES"))) fh_expect_variable(judgement, any, FH_EXPECT_INTENT, "CUDA_VISIBLE_DEVICES");
  fh_expect_variable(judgement, any, FH_EXPECT_INTENT, "SLURM_JOB_GPUS");
  fh_expect_variable(judgement, any, FH_EXPECT_INTENT, "SLURM_STEP_GPUS");
  expect_variable(judgement, FH_EXPECT_INTENT, "APPTAINER_NV");
  expect_variable(judgement, FH_EXPECT_INTENT, "SINGULARITY_NV");
  if (f->sandbox.device_files.valid == FH_VALID && f->sandbox.device_files.value > 0)
    expect_at(judgement, FH_EXPECT_INTENT, "GPUs named in /var/run/nvidia-container-devices");
  if (fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "none")) return; /* asks for the driver and says: no card */
  if (fh_slurm_without_gpu(f)) return;                        /* what the node has is not for this job */

  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  bool sandbox = f->where.container && !fh_container_by_engine(f); /* shows the machine's own /dev and files */
  bool installed = library->valid == FH_VALID && library->size > 0 && !library->stub;
  if (fh_nvidia_nodes_present(f) > 0 && !sandbox) expect_at(judgement, FH_EXPECT_INTENT, "NVIDIA device nodes in /dev");
  if (fh_driver_library_injected(f)) expect_at(judgement, FH_EXPECT_INTENT, "NVIDIA driver libraries mounted in");
  if (!f->where.container && installed && fh_nvidia_gpu_count(f) > 0)
    expect_at(judgement, FH_EXPECT_INTENT, "an NVIDIA GPU and its driver library on this machine");
}

static void expect_by_circumstance(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  if (fh_gpu_declined(f)) return;
  if (gpu) expect_at(judgement, FH_EXPECT_CIRCUMSTANTIAL, fh_arena_format(judgement->arena, "an NVIDIA GPU at %s", gpu->address));
  if (f->nvidia.nvrm_version.valid == FH_VALID) expect_at(judgement, FH_EXPECT_CIRCUMSTANTIAL, "the machine's NVIDIA driver");
  if (fh_nvidia_nodes_present(f) > 0) expect_at(judgement, FH_EXPECT_CIRCUMSTANTIAL, "NVIDIA device nodes in /dev");
  if (f->where.platform == FH_PLATFORM_JETSON) expect_at(judgement, FH_EXPECT_CIRCUMSTANTIAL, "the GPU that every Jetson has");
  if (fh_is_true(f->wsl.libcuda)) expect_at(judgement, FH_EXPECT_CIRCUMSTANTIAL, "the NVIDIA driver of Windows");
  expect_variable(judgement, FH_EXPECT_CIRCUMSTANTIAL, "CUDA_VERSION");
  expect_variable(judgement, FH_EXPECT_CIRCUMSTANTIAL, "NVIDIA_REQUIRE_CUDA");
}

/* ---- all ---------------------------------------------------------------------------------------------------- */

const fh_family_words *fh_family_in_words(fh_family family) {
  static const fh_family_words words[FH_FAMILY_COUNT] = {
      [FH_NVIDIA_GPU] = {"nvidia", "cuda", "an NVIDIA GPU"},
      [FH_AMD_GPU] = {"amd", "amd", "an AMD GPU"},
      [FH_INTEL_GPU] = {"intel", "intel", "an Intel GPU"},
      [FH_INTEL_NPU] = {"npu", "npu", "a neural processor"},
  };
  return &words[family];
}

const fh_expected *fh_judgement_expected_gpu(const fh_judgement *judgement) {
  const fh_expected *most = &judgement->expects[FH_NVIDIA_GPU];
  for (int family = 0; family < FH_FAMILY_COUNT; family++)
    if (family != FH_INTEL_NPU && judgement->expects[family].level > most->level) most = &judgement->expects[family];
  return most;
}

static fh_status expect_by_user(fh_judgement *judgement) {
  for (int i = 0; i < judgement->expected_count; i++) {
    fh_wanted wanted = FH_WANTS_NO_DEVICE;
    fh_family family = FH_FAMILY_COUNT;
    FH_TRY(fh_spec_check(judgement->expected[i], &wanted, &family));
    if (wanted == FH_WANTS_GPU) family = fh_likeliest_gpu(judgement);
    if (wanted != FH_WANTS_NO_DEVICE)
      fh_expect(judgement, family, FH_EXPECT_USER, fh_arena_format(judgement->arena, "--expect %s", judgement->expected[i]));
  }
  return FH_OK;
}

fh_status fh_judge_expectation(fh_judgement *judgement, const char *expect) {
  for (int i = 0; i < FH_FAMILY_COUNT; i++) judgement->expects[i].source = "";
  if (expect) FH_TRY(split_specs(judgement, expect));
  expect_by_intent(judgement);
  expect_by_circumstance(judgement);
  fh_expect_amd(judgement);
  fh_expect_intel(judgement);
  FH_TRY(expect_by_user(judgement));
  return FH_OK;
}

bool fh_judgement_user_expects(const fh_judgement *judgement, const char *name) {
  for (int i = 0; i < judgement->expected_count; i++)
    if (fh_spec_is(judgement->expected[i], name)) return true;
  return false;
}
