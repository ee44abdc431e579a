/* What rules are written with. SPDX-License-Identifier: Apache-2.0
 *
 * A rule is one chain: each link tests a fact and, in the same call, says what was seen, so the test and its
 * reason cannot drift apart. The first link that does not hold ends the rule.
 *
 *   void fh_rule_node_nodev(fh_judgement *judgement, const fh_cause *cause) {
 *     fh_case c = fh_case_open(judgement, cause);
 *     if (fh_case_saw(&c, node->nodev, node->path, "lies on a nodev mount")) fh_case_gpu(&c, FH_PROVEN, "...");
 *   }
 *
 * Unknown is not zero: a link about something that is not there asks for FH_ABSENT, never for "not valid".
 */
#ifndef FOGHORN_DETECT_RULES_H_
#define FOGHORN_DETECT_RULES_H_

#include "detect/findings.h"

#define FH_CAUSE_AT_RUN_TIME(id, title, meaning, evidence, look_alikes, remedy, references)
#define FH_CAUSE(id, stage, title, meaning, evidence, look_alikes, remedy, references, rule) void rule(fh_judgement *, const fh_cause *);
#include "detect/causes/all.def"
#undef FH_CAUSE
#undef FH_CAUSE_AT_RUN_TIME

/* A rule at work: the evidence so far. */
typedef struct fh_case {
  fh_judgement *judgement;
  const fh_facts *facts;
  const fh_cause *cause;
  fh_evidence evidence[FH_MAX_EVIDENCE];
  int evidence_count;
  const char *next[FH_MAX_NEXT];
  int next_count;
} fh_case;

fh_case fh_case_open(fh_judgement *judgement, const fh_cause *cause);
/* Returns test; when it holds, keeps source and value as evidence. source NULL or "": nothing is kept. The arguments are evaluated
 * in any case, so what may be NULL is asked before. */
bool fh_case_saw(fh_case *c, bool test, const char *source, const char *format, ...) FH_PRINTF(4, 5);
/* Ends a case with a finding. device: the one it makes unusable; NULL: none. */
void fh_case_conclude(fh_case *c, fh_severity severity, fh_confidence confidence, const char *device, const char *summary, ...)
    FH_PRINTF(5, 6);
/* The same for a cause that makes the devices of a family unusable: severity by what is expected, device by what was seen. */
void fh_case_device(fh_case *c, fh_family family, fh_confidence confidence, const char *summary, ...) FH_PRINTF(4, 5);
/* That of the NVIDIA GPU. */
void fh_case_gpu(fh_case *c, fh_confidence confidence, const char *summary, ...) FH_PRINTF(3, 4);
/* Somebody chose that the GPU is not for this process: a note, unless somebody else asks for it. */
void fh_case_gpu_by_choice(fh_case *c, fh_confidence confidence, const char *summary, ...) FH_PRINTF(3, 4);

/* For a cause of one NVIDIA card, by its address on PCI ("" not known): an error only when no other card can be used either. */
void fh_case_card(fh_case *c, const char *pci, fh_confidence confidence, const char *summary, ...) FH_PRINTF(4, 5);

/* For what is left unexplained: a step that would narrow it down. */
void fh_case_next(fh_case *c, bool test, const char *step, ...) FH_PRINTF(3, 4);

/* ---- counterfactuals (detect/again.c) -------------------------------------------------------------- */

/* What came of asking again with one thing changed. */
typedef enum fh_flip {
  FH_FLIP_NOT_ASKED = 0, /* or no answer came: nothing is known */
  FH_FLIP_SAME,          /* the thing is not to blame */
  FH_FLIP_FLIPPED,       /* the thing is to blame */
} fh_flip;

/* The devices of CUDA that are hidden or fail appear when the thing is changed. */
fh_flip fh_cuda_flip(const fh_facts *facts, fh_cuda_again which);
/* The confidence that a flip earns, and its evidence: PROVEN when it flipped, `otherwise` when nobody asked, POSSIBLE when it
 * stayed. change: in words, "without CUDA_VISIBLE_DEVICES". */
fh_confidence fh_case_flip(fh_case *c, fh_flip flip, const char *change, fh_confidence otherwise);

/* ---- facts as rules ask for them --------------------------------------------------------------------- */

static inline bool fh_is_true(fh_fact_bool fact) { return fact.valid == FH_VALID && fact.value; }
/* Known not to be so; an unknown fact is neither true nor false. */
static inline bool fh_is_false(fh_fact_bool fact) { return fact.valid == FH_ABSENT || (fact.valid == FH_VALID && !fact.value); }

bool fh_env_is(const fh_facts *facts, const char *name, const char *value);
/* A NVIDIA_VISIBLE_DEVICES that asks for cards: "all" or a list; not void, none or empty. */
bool fh_env_asks_for_gpus(const fh_facts *facts);
/* It says void or none, and that was obeyed: no card came in. What the machine or the image has is then no reason to expect one. */
bool fh_gpu_declined(const fh_facts *facts);

/* Software imitates the processor. */
bool fh_cpu_is_emulated(const fh_facts *facts);
/* CPUs that programs see: the smaller of affinity and cpuset; 0: unknown. */
int64_t fh_cpus_shown(const fh_facts *facts);
bool fh_has_capability(const fh_facts *facts, int bit);

/* GPUs of NVIDIA on PCI. */
bool fh_pci_is_nvidia_gpu(const fh_pci_device *device);
int fh_nvidia_gpu_count(const fh_facts *facts);
/* Another driver than NVIDIA's has the card. */
bool fh_nvidia_is_held(const fh_pci_device *device);
int fh_nvidia_held_count(const fh_facts *facts);
const fh_pci_device *fh_nvidia_gpu_first(const fh_facts *facts); /* NULL: none seen */

/* Nodes that CUDA needs: /dev/nvidiactl, /dev/nvidia-uvm and the numbered ones. */
bool fh_nvidia_node_is_numbered(const char *path);
bool fh_nvidia_node_is_needed(const char *path);
/* Walks the needed nodes that exist: start with *index 0; NULL at the end. */
const fh_node *fh_nvidia_node_next(const fh_facts *facts, int *index);
int fh_nvidia_nodes_present(const fh_facts *facts);
int fh_nvidia_numbered_present(const fh_facts *facts);
/* True when nvidiactl, nvidia-uvm and the numbered ones were looked for and none exists. */
bool fh_nvidia_nodes_absent(const fh_facts *facts);

/* The card is bound to no driver, or its driver could not set it up. */
bool fh_case_saw_left_alone(fh_case *c, const fh_pci_device *gpu);
/* The card that a numbered node belongs to, and the card behind an address; NULL: not told. */
const fh_nvidia_listed *fh_nvidia_card_of_node(const fh_facts *facts, const char *path);
const fh_nvml_card *fh_nvml_card_at(const fh_facts *facts, const char *pci);
/* "NVIDIA A10-24Q", "GRID T4-8C": a share of a card, by its name. */
bool fh_nvidia_is_virtual(const fh_facts *facts);
/* An earlier rule has said why the NVIDIA GPU cannot be used. */
bool fh_nvidia_explained(const fh_judgement *judgement);
/* No device of ours at this address works. */
bool fh_nvidia_card_fails(const fh_judgement *judgement, const char *pci);

/* GPUs on which a real driver (not a stand-in) made a context. */
int fh_cuda_usable_count(const fh_facts *facts);
/* A GPU is expected and none is proven usable: the question that GPU rules answer. */
bool fh_gpu_in_question(const fh_judgement *judgement);
/* First CUresult that is not success: of init, then of count, then of a context; 0: none seen. */
int fh_cuda_code(const fh_facts *facts);
/* What NVIDIA's container toolkit left in this container; NULL: nothing. */
const char *fh_toolkit_mark(const fh_facts *facts);
/* A driver library was mounted in. */
bool fh_driver_library_injected(const fh_facts *facts);
/* A container of an engine that passes GPUs on request (not a sandbox over the machine's own files). */
bool fh_container_by_engine(const fh_facts *facts);
/* The libcuda that the driver's child really loaded is another file than the loader's search leads to. */
bool fh_cuda_loaded_another(const fh_facts *facts);
/* A libcuda in a folder of its own that a platform's installer uses (GKE's /usr/local/nvidia, NixOS's /run/opengl-driver) while
 * the loader finds none; NULL: none. */
const char *fh_libcuda_aside(const fh_facts *facts);
/* The same in an image that has only musl, whose loader could not use it: in any place, a toolkit's stubs left out. NULL: none. */
const char *fh_libcuda_unseen_by_musl(const fh_facts *facts);
/* NixOS's link to libcuda, passed in without the driver that it leads to; NULL: none. */
const char *fh_libcuda_nix_link(const fh_facts *facts);
/* What leaves a process with fewer GPUs than the machine has: a variable or the container; NULL: nothing. */
const char *fh_choice_limited_by(const fh_facts *facts);
/* The platform shows NVIDIA's kernel module when it is loaded (gVisor, WSL and Jetson do not). */
bool fh_platform_shows_module(const fh_facts *facts);

/* ---- containers and sandboxes ------------------------------------------------------------------------ */

/* Keeps the value of a variable that is set. */
bool fh_case_saw_variable(fh_case *c, const char *name);
/* The machine has a GPU with a running driver, as far as can be seen from here. *out_confidence falls to POSSIBLE
 * when the PCI list is covered or unreadable and nothing else tells. */
bool fh_case_host_has_gpu(fh_case *c, fh_confidence *out_confidence);
/* Neither a device node nor a driver library came into this container. */
bool fh_case_nothing_injected(fh_case *c);
/* Keeps the nodes that only a device filter can have refused (EPERM), all of them or the numbered ones; gives their number. */
int fh_case_refused_nodes(fh_case *c);
int fh_case_refused_cards(fh_case *c);
/* For want of facts something else than a device filter may have refused them. */
bool fh_may_be_no_filter(const fh_facts *facts);
/* An image build, or a container in a container: why nothing was passed in is told by causes of their own. */
bool fh_passed_over(const fh_facts *facts);
/* Said by a variable; names of volumes only suggest it. */
bool fh_started_by_compose(const fh_facts *facts);
/* NVIDIA's toolkit acted on a list of GPUs and no card came in. */
bool fh_named_gpus_missing(const fh_facts *facts);
/* A Slurm job that has no GPU by what Slurm says. */
bool fh_slurm_without_gpu(const fh_facts *facts);
/* The machine seen here is a virtual one made for the container: its hardware and kernel are not the host's. */
bool fh_machine_of_its_own(const fh_facts *facts);
/* A sandbox that chooses which device nodes it shows. */
bool fh_sandbox_withholds_nodes(const fh_facts *facts);
/* Where the machine's driver libraries are not to be expected: flatpak, snap and Kata have others, or none. */
bool fh_sandbox_brings_libraries(const fh_facts *facts);

/* ---- AMD and Intel (detect/rules/vendor_sight.c) ----------------------------------------------------- */

enum { FH_VENDOR_AMD = 0x1002, FH_VENDOR_INTEL = 0x8086 };

/* Devices of a family are expected and none is proven usable. */
bool fh_family_in_question(const fh_judgement *judgement, fh_family family);
/* Walks the devices of a family on PCI, without such as are set aside for virtual machines: start with *index 0; NULL at the end. */
const fh_pci_device *fh_pci_next(const fh_facts *facts, fh_family family, int *index);
/* Walks the nodes of /dev/dri that belong to a vendor's GPUs, there or not: start with *index 0; NULL at the end. */
const fh_node *fh_render_next(const fh_facts *facts, int vendor, int *index);
/* How many of them can be opened. */
int fh_renders_open(const fh_facts *facts, int vendor);
/* Devices of a type that a runtime made a queue or context on; a stand-in's do not count. */
int fh_runtime_usable(const fh_runtime_answer *answer, const char *type);
/* All that it lists. */
int fh_runtime_listed(const fh_runtime_answer *answer, const char *type);
/* What asking again without a filter brought: more devices of a type, or not. */
fh_flip fh_runtime_flip(const fh_runtime_answer *first, const fh_runtime_answer *again, const char *type);
/* A kernel of WSL, in a container too. */
bool fh_kernel_is_wsl(const fh_facts *facts);
/* GPUs in the KFD's topology, such as a device filter hides too. */
int fh_kfd_gpus(const fh_facts *facts);
/* ROCm's libraries, on the loader's path or where ROCm is installed; NULL: none. */
const char *fh_rocm_library(const fh_facts *facts);
/* Intel's own driver of Level Zero or OpenCL for GPUs, and that of its NPU; NULL: none. */
const fh_library *fh_intel_gpu_driver(const fh_facts *facts);
const fh_library *fh_intel_npu_driver(const fh_facts *facts);
/* Intel's GPU shows itself through OpenCL. */
bool fh_intel_opencl_works(const fh_facts *facts);
/* The owner group of a node has no number in this user namespace. */
bool fh_group_is_unmapped(const fh_facts *facts, const fh_node *node);
/* What stands in a variable such as ROCR_VISIBLE_DEVICES: it names devices, as against hiding them. */
bool fh_names_devices(const char *list);

#endif /* FOGHORN_DETECT_RULES_H_ */
