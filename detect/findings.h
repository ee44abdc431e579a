/* Causes, findings, devices and the verdict: facts judged. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_FINDINGS_H_
#define FOGHORN_DETECT_FINDINGS_H_

#include "detect/facts.h"

typedef enum fh_severity { FH_SEVERITY_INFO = 0, FH_SEVERITY_WARNING = 1, FH_SEVERITY_ERROR = 2 } fh_severity;
typedef enum fh_confidence { FH_POSSIBLE = 0, FH_CONSISTENT = 1, FH_PROVEN = 2 } fh_confidence;

typedef enum fh_cause_group {
  FH_GROUP_CPU,
  FH_GROUP_CGROUP,
  FH_GROUP_CONTAINER,
  FH_GROUP_NVIDIA,
  FH_GROUP_CUDA,
  FH_GROUP_OPENCL,
  FH_GROUP_AMD,
  FH_GROUP_INTEL,
  FH_GROUP_PLATFORM,
  FH_GROUP_RUN_TIME,
} fh_cause_group;

/* The order of evaluation: what comes first explains more. */
typedef enum fh_cause_stage {
  FH_STAGE_HARDWARE,    /* is the hardware here, and does its kernel driver run and answer */
  FH_STAGE_GRANT,       /* was it given to this container, job or service */
  FH_STAGE_NODE,        /* can its device nodes be opened */
  FH_STAGE_LIBRARY,     /* does the loader find the right libraries */
  FH_STAGE_ENVIRONMENT, /* do variables hide it */
  FH_STAGE_ANSWER,      /* what the driver says when asked */
  FH_STAGE_DEVICE,      /* single devices, counts against hardware and request */
  FH_STAGE_UNKNOWN,     /* nothing above explains it */
  FH_STAGE_OPENCL,      /* a way to devices of its own */
  FH_STAGE_BUDGET,      /* processors, memory, limits */
  FH_STAGE_PROGRAM,     /* the software on top */
  FH_STAGE_RUN_TIME,    /* named when it happens */
} fh_cause_stage;

struct fh_judgement;

/* One entry of detect/causes/. */
typedef struct fh_cause {
  const char *id; /* "CR-NO-GPU-REQUESTED" */
  fh_cause_group group;
  fh_cause_stage stage;
  const char *title;       /* the plain sentence of the first line */
  const char *meaning;     /* what happened, for a person who knows nothing of GPUs */
  const char *evidence;    /* where devprobe looks, and what it sees there when this is the cause */
  const char *look_alikes; /* ids and how they differ */
  const char *remedy;      /* variants, one per line: "docker: docker run --gpus all ..." */
  const char *references;
  void (*rule)(struct fh_judgement *judgement, const struct fh_cause *cause); /* NULL: named at run time only */
} fh_cause;

/* All causes in order of evaluation (detect/causes/). */
const fh_cause *fh_causes(int *out_count);
const fh_cause *fh_cause_find(const char *id); /* NULL: unknown id */

enum { FH_MAX_EVIDENCE = 12, FH_MAX_REMEDIES = 6, FH_MAX_NEXT = 6 };

/* One line of a cause's remedy, without its keys. */
typedef struct fh_remedy {
  const char *text; /* `size` characters; not terminated */
  int size;
  bool on_host; /* to be done on the machine underneath */
} fh_remedy;

/* Those that fit a platform, best first; returns how many. */
int fh_cause_remedies(const fh_cause *cause, fh_platform platform, bool container, fh_remedy out[FH_MAX_REMEDIES]);

typedef struct fh_evidence {
  const char *source, *value;
} fh_evidence;

typedef struct fh_finding {
  const fh_cause *cause;
  fh_severity severity;
  fh_confidence confidence;
  const char *device;  /* id of the device it rejects; NULL: none */
  const char *summary; /* one line with this machine's numbers */
  fh_evidence evidence[FH_MAX_EVIDENCE];
  int evidence_count;
  const char *remedies[FH_MAX_REMEDIES]; /* those that fit this platform, best first */
  int remedy_count;
  const char *next[FH_MAX_NEXT]; /* what would narrow it down, when the cause is not known */
  int next_count;
} fh_finding;

/* Devices that somebody may expect. FH_FAMILY_COUNT: none of these. */
typedef enum fh_family { FH_NVIDIA_GPU, FH_AMD_GPU, FH_INTEL_GPU, FH_INTEL_NPU, FH_FAMILY_COUNT } fh_family;

typedef struct fh_family_words {
  const char *spec;   /* of require and --expect: "amd" */
  const char *device; /* with this the ids of its devices begin: "cuda" */
  const char *noun;   /* "an AMD GPU" */
} fh_family_words;
const fh_family_words *fh_family_in_words(fh_family family);

/* Bytes per second; 0: not measured. */
typedef struct fh_measured_link {
  double to_device, from_device;
} fh_measured_link;

/* What the device's memory and a kernel of floats reached, a second; 0: not measured. */
typedef struct fh_measured_limits {
  double bytes, flops;
} fh_measured_limits;

/* A compute device, usable or rejected. */
typedef struct fh_found_device {
  const char *id;      /* "cpu:0", "cuda:0", "amd:0", "opencl:0" */
  const char *kind;    /* "cpu", "gpu", "accelerator" */
  const char *backend; /* "cpu", "opencl", "cuda", "rocm", "level-zero" */
  fh_family family;
  const char *name;
  const char *detail; /* "avx512, 2 of 64 CPUs": for the screen */
  bool usable;
  bool fake;
  bool posing;              /* a CPU behind a GPU interface: not a GPU */
  bool seen_only;           /* on the bus, and never listed by its runtime */
  const char *cause;        /* id; NULL when usable */
  fh_confidence confidence; /* of the cause */
  int64_t memory;           /* bytes; -1 unknown */
  int capability, driver_version;
  const char *uuid, *pci;
  fh_pci_link link;               /* all 0: not told */
  fh_measured_link measured_link; /* these two are filled by who has measurements */
  fh_measured_limits measured_limits;
} fh_found_device;

/* What was expected to be here, from the user or the environment. Higher is stronger. */
typedef enum fh_expectation { FH_EXPECT_NONE = 0, FH_EXPECT_CIRCUMSTANTIAL = 1, FH_EXPECT_INTENT = 2, FH_EXPECT_USER = 3 } fh_expectation;

typedef struct fh_expected {
  fh_expectation level;
  const char *source; /* "NVIDIA_VISIBLE_DEVICES=all"; "" when nothing is expected */
} fh_expected;

typedef struct fh_judgement {
  const fh_facts *facts;
  fh_expected expects[FH_FAMILY_COUNT];
  const char **expected; /* the SPECs of --expect, one each */
  int expected_count;
  fh_finding *findings; /* after judging: primary first, then by severity and order of evaluation */
  int finding_count, finding_capacity;
  fh_found_device *devices;
  int device_count;
  bool wrong;           /* something expected is unusable: exit status 1 */
  const char *verdict;  /* "OK", "NOT USABLE", "LIMITED": first word of the screen */
  const char *headline; /* the sentence behind it */
  struct fh_facts_arena *arena;
} fh_judgement;

/* Judges facts. expect: the --expect specification ("gpu", "cuda>=2", ...) or NULL; a wrong one fails with
 * INVALID_ARGUMENT. The judgement borrows the facts. */
fh_status fh_judge(const fh_facts *facts, const char *expect, fh_judgement **out_judgement);
void fh_judgement_destroy(fh_judgement *judgement);

/* For rules: adds a finding (NULL when memory is short: rules may ignore that and return). */
fh_finding *fh_finding_add(fh_judgement *judgement, const fh_cause *cause, fh_severity severity, fh_confidence confidence,
                           const char *summary_format, ...) FH_PRINTF(5, 6);
/* Adds evidence to a finding (NULL is allowed); past FH_MAX_EVIDENCE it is left out. */
void fh_finding_saw(fh_judgement *judgement, fh_finding *finding, const char *source, const char *value_format, ...) FH_PRINTF(4, 5);

/* True when --expect names this SPEC ("opencl"), with or without a value. */
bool fh_judgement_user_expects(const fh_judgement *judgement, const char *name);
/* The GPU that is expected most, of any maker. */
const fh_expected *fh_judgement_expected_gpu(const fh_judgement *judgement);
/* GPUs that can be used. One that is seen through two interfaces counts once: within a family the interfaces are not added up. */
int fh_judgement_usable_gpus(const fh_judgement *judgement);
/* The same of one family, a GPU or not. */
int fh_judgement_usable_of(const fh_judgement *judgement, fh_family family);
/* First finding that is at least a warning, or NULL when nothing is wrong. */
const fh_finding *fh_judgement_primary(const fh_judgement *judgement);

/* One condition of require and --expect. */
typedef struct fh_unmet {
  char spec[64];
  char found[320];
  const char *cause; /* id or NULL */
} fh_unmet;
/* Checks one SPEC ("gpu", "cuda>=2", "opencl", "memory>=40GiB", "gpu-memory>=20GiB", "driver>=550", "cuda-version>=12.4",
 * "capability>=8.0", "isa=avx2", "cpus>=4"). Give the SPECs to fh_judge too: what nobody expects is not looked into.
 * *out_met false fills *out_unmet. INVALID_ARGUMENT for a SPEC that cannot be read. */
fh_status fh_judgement_require(const fh_judgement *judgement, const char *spec, bool *out_met, fh_unmet *out_unmet);

/* The whole as JSON, schema foghorn.devprobe/1; caller frees. */
fh_status fh_judgement_json(const fh_judgement *judgement, char **out_json);

#endif /* FOGHORN_DETECT_FINDINGS_H_ */
