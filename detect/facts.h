/* What detection saw. SPDX-License-Identifier: Apache-2.0
 *
 * Unknown is not zero: every fact carries its validity and its source. Strings and arrays belong to
 * the fh_facts that holds them and live as long as it.
 */
#ifndef FOGHORN_DETECT_FACTS_H_
#define FOGHORN_DETECT_FACTS_H_

#include "detect/os.h"

typedef enum fh_validity {
  FH_UNKNOWN_FACT = 0, /* not asked, or it could not be read */
  FH_VALID = 1,        /* read; value holds */
  FH_ABSENT = 2,       /* asked, and there is no such thing */
} fh_validity;

typedef struct fh_fact_int {
  int64_t value;
  fh_validity valid;
  const char *source; /* file, register or call; "" never read */
} fh_fact_int;

typedef struct fh_fact_text {
  const char *value; /* never NULL */
  fh_validity valid;
  const char *source;
} fh_fact_text;

typedef struct fh_fact_bool {
  bool value;
  fh_validity valid;
  const char *source;
} fh_fact_bool;

/* ---- where ------------------------------------------------------------------------------------- */

typedef enum fh_platform {
  FH_PLATFORM_BARE = 0,
  FH_PLATFORM_VM,
  FH_PLATFORM_DOCKER,
  FH_PLATFORM_PODMAN,
  FH_PLATFORM_KUBERNETES,
  FH_PLATFORM_OCI, /* a container, engine unknown */
  FH_PLATFORM_LXC,
  FH_PLATFORM_APPTAINER,
  FH_PLATFORM_FLATPAK,
  FH_PLATFORM_SNAP,
  FH_PLATFORM_SYSTEMD_SERVICE,
  FH_PLATFORM_GVISOR,
  FH_PLATFORM_KATA,
  FH_PLATFORM_WSL,
  FH_PLATFORM_JETSON,
  FH_PLATFORM_NSPAWN,
  FH_PLATFORM_BUBBLEWRAP,
} fh_platform;

typedef struct fh_facts_where {
  fh_platform platform;
  const char *platform_name;   /* "Docker container" */
  const char *platform_source; /* which mark said so */
  bool platform_unsure;        /* a mark that would decide otherwise could not be read */
  bool container;              /* any kind of container or sandbox */
  fh_fact_text kernel;         /* uname -r */
  fh_fact_text machine;        /* uname -m */
  fh_fact_bool hypervisor;
  fh_fact_bool user_namespace; /* uid_map is not the whole range */
  fh_fact_int seccomp;         /* 0, 1, 2 of /proc/self/status */
  fh_fact_bool no_new_privs;
  fh_fact_bool musl;    /* only musl's loader is here */
  fh_fact_bool glibc;   /* glibc's loader is here */
  fh_fact_bool gcompat; /* in its place stands gcompat, which gives musl some of glibc's functions */
  fh_os_identity id;
  bool id_valid;
  fh_fact_text gid_map;     /* /proc/self/gid_map */
  fh_fact_int overflow_gid; /* what a group without a number here is shown as */
} fh_facts_where;

/* ---- mounts --------------------------------------------------------------------------------------- */

typedef struct fh_mount {
  const char *root, *point, *options, *fstype, *source, *super_options;
} fh_mount;

/* ---- cpu ------------------------------------------------------------------------------------------ */

/* One instruction set: a device that is advertised but not enabled crashes programs. */
typedef struct fh_facts_isa {
  bool advertised;     /* CPUID or hwcaps say so */
  bool enabled;        /* and the OS saves its registers (XCR0) */
  fh_fact_bool proven; /* and a trial instruction ran (valid only after a trial) */
} fh_facts_isa;

/* The instruction set whose registers an extension uses: where that is not enabled, the extension is not either. */
fh_isa fh_feature_isa(fh_cpu_feature feature);

enum { FH_FACTS_MAX_CGROUP_LEVELS = 32 };

typedef struct fh_cgroup_level {
  const char *path;             /* directory read */
  int64_t quota_us;             /* -1: none */
  int64_t period_us;            /* 0: unknown */
  int64_t memory_limit;         /* bytes; -1: none */
  int64_t memory_used;          /* -1: unknown */
  int64_t memory_inactive_file; /* reclaimable page cache; -1: unknown */
  int64_t pids_max;             /* -1: none */
  int64_t pids_current;         /* tasks in it and below; -1: unknown */
} fh_cgroup_level;

typedef struct fh_facts_cpu {
  fh_fact_text vendor, model; /* CPUID text; /proc/cpuinfo on others */
  fh_fact_int family, model_number;
  fh_fact_text flags; /* of /proc/cpuinfo, space separated */
  fh_facts_isa isa[FH_ISA_COUNT];
  fh_facts_isa feature[FH_FEATURE_COUNT];
  fh_facts_isa amx;
  uint64_t xcr0;
  fh_validity xcr0_valid;
  fh_isa best;           /* usable = advertised, enabled, not disproven by a trial */
  fh_fact_int online;    /* CPUs of the machine */
  fh_fact_text affinity; /* list of allowed CPUs, "0-3" */
  fh_fact_int affinity_count;
  fh_fact_text cpuset; /* effective cpuset list */
  fh_fact_int cpuset_count;
  fh_fact_int quota_cpus;                  /* ceil(quota / period), least over all ancestors; ABSENT: no quota */
  const char *quota_level;                 /* the cgroup directory that sets it; NULL */
  bool quota_from_ancestor;                /* not our own cgroup */
  fh_fact_bool ancestors_hidden;           /* a cgroup namespace hides the levels above */
  fh_fact_int throttled;                   /* nr_throttled of our cgroup */
  fh_fact_int usable;                      /* min(affinity, cpuset, quota), >= 1 */
  fh_fact_int packages, cores, numa_nodes; /* hwloc */
  fh_fact_int l1d_bytes, l2_bytes, l3_bytes;
  fh_fact_text kernel_cmdline;
  fh_fact_text cpuinfo_dialect;   /* "x86" or "arm": whose fields /proc/cpuinfo has */
  fh_fact_text hypervisor_vendor; /* CPUID 40000000: "KVMKVMKVM", "TCGTCGTCGTCG"; ABSENT: says nothing */
  fh_fact_int amx_request;        /* errno of asking for AMX in a child; 0: granted */
  fh_fact_int cpuinfo_cpus;       /* entries of /proc/cpuinfo; counted only where something lies over it */
  fh_fact_bool topology_shown;    /* /sys tells sockets and cores; ABSENT: its CPU folder is not there at all */
  fh_fact_int cores_allowed;      /* hwloc: cores of the CPUs that this process may use */
  fh_fact_int fast_cores_allowed; /* of these, of the fastest kind */
  fh_fact_int core_kinds;         /* 2: fast and efficient ones */
  fh_fact_int nodes_online;       /* NUMA nodes of the machine, as /sys tells */
} fh_facts_cpu;

/* ---- what this process may do ---------------------------------------------------------------------- */

typedef struct fh_facts_process {
  /* Trials in a child: 0 or an errno. */
  fh_fact_int thread;                              /* pthread_create */
  fh_fact_int clone3;                              /* without arguments: EINVAL from a kernel that knows it */
  fh_fact_int get_mempolicy, set_mempolicy, mbind; /* in a form that changes nothing */
  fh_fact_int lock_over_limit;                     /* locking one page more than the soft limit */
  fh_fact_bool flushes_denormals;                  /* tiny numbers are made zero, and nobody asked for it */
  fh_fact_bool flushes_without_preload;            /* and so without LD_PRELOAD */
} fh_facts_process;

typedef enum fh_cgroup_mode { FH_CGROUP_NONE = 0, FH_CGROUP_V1, FH_CGROUP_V2, FH_CGROUP_HYBRID } fh_cgroup_mode;

typedef struct fh_facts_cgroup {
  fh_cgroup_mode mode;
  fh_fact_text self;          /* /proc/self/cgroup */
  const char *cpu_controller; /* "v1", "v2" or NULL: which hierarchy has the controller */
  const char *memory_controller;
  const char *cpuset_controller;
  fh_cgroup_level levels[FH_FACTS_MAX_CGROUP_LEVELS]; /* our own first, then its ancestors; cpu and memory merged by depth */
  int level_count;
  fh_fact_text device_rules; /* v1: devices.list of our cgroup; UNKNOWN on v2, whose filter is a program */
} fh_facts_cgroup;

typedef struct fh_facts_memory {
  fh_fact_int total;     /* MemTotal, bytes */
  fh_fact_int available; /* MemAvailable */
  fh_fact_int limit;     /* least limit over all ancestors; ABSENT: none */
  const char *limit_level;
  fh_fact_int used;   /* of the cgroup, page cache that can be reclaimed not counted */
  fh_fact_int usable; /* what this process may still take */
} fh_facts_memory;

/* ---- hardware and kernel driver ------------------------------------------------------------------- */

/* The link to a card, as trained now and as the card could have it at most. An idle card may slow its link down. */
typedef struct fh_pci_link {
  int generation, width, most_generation, most_width; /* 0: not told */
} fh_pci_link;

typedef struct fh_pci_device {
  const char *address;        /* "0000:01:00.0" */
  int vendor, device, class_; /* class_ 24 bits */
  const char *driver;         /* basename of the driver link; NULL: none bound, or unknown */
  fh_validity driver_valid;
  bool is_gpu;      /* display class 0x03 (or 0x12 accelerator) */
  bool is_nvswitch; /* 10de, class 0x0680 */
  fh_pci_link link; /* of GPUs */
  /* Of NVIDIA's GPUs. */
  fh_fact_bool window;   /* the second memory region, through which the card's memory is seen, has an address */
  fh_fact_bool responds; /* its configuration space does not read as all ones */
  const char *source;
} fh_pci_device;

typedef struct fh_facts_pci {
  fh_pci_device *devices; /* GPUs and NVSwitches only */
  int count;
  int all_count; /* PCI functions seen at all */
  int unread;    /* of these, such that may be a GPU and do not tell */
  fh_validity valid;
  fh_fact_bool masked; /* a tmpfs or the like covers /sys/bus/pci/devices */
} fh_facts_pci;

/* One device node: stat, the errno of open, numbers against /proc/devices, mount flags. */
typedef struct fh_node {
  const char *path;
  fh_validity valid; /* ABSENT: ENOENT */
  int stat_errno;
  fh_os_stat st;
  bool is_char;
  int open_errno;     /* 0: opened */
  int expected_major; /* /proc/devices; -1: no such driver registered; -2: unknown */
  bool dac_allows;    /* computed from uid, groups, mode, capabilities */
  const fh_mount *mount;
  bool nodev;     /* the mount that holds it forbids devices */
  bool own_mount; /* bind-mounted by itself */
} fh_node;

typedef struct fh_facts_nodes {
  fh_node *nodes; /* every node asked for, present or not */
  int count;
  fh_fact_text proc_devices;
} fh_facts_nodes;

/* ---- libraries ------------------------------------------------------------------------------------- */

typedef struct fh_library {
  const char *name;      /* "libcuda.so.1" as asked */
  fh_validity valid;     /* ABSENT: not found in any place */
  const char *path;      /* first match of the loader's search */
  const char *real_path; /* links followed */
  int64_t size;
  fh_os_elf elf;
  bool own_mount; /* the file is a mount of its own: injected by a runtime */
  bool stub;      /* a toolkit's link-time stub */
  bool compat;    /* a forward-compatibility library */
  bool wsl;
  const char *version;  /* suffix of the real name: "550.54.14"; "" none */
  const char *searched; /* places tried, ':' separated */
  int searched_count;
} fh_library;

typedef struct fh_facts_libraries {
  fh_library *libs; /* libcuda.so.1, libnvidia-ml.so.1, libOpenCL.so.1 and so on */
  int count;
  const char **elsewhere; /* other files named libcuda.so*: "path" */
  int elsewhere_count;
  const char *dangling; /* one of that name that is a link to nothing; NULL: none seen */
} fh_facts_libraries;

/* ---- environment ----------------------------------------------------------------------------------- */

/* Limits of this process, /proc/self/limits. ABSENT: unlimited. */
typedef struct fh_facts_limits {
  fh_fact_int address_space, address_space_hard; /* bytes: ulimit -v */
  fh_fact_int tasks;                             /* of this user: ulimit -u */
  fh_fact_int locked_memory;                     /* bytes: ulimit -l */
} fh_facts_limits;

typedef struct fh_env_var {
  const char *name;
  const char *value; /* NULL: unset; "" set to nothing */
} fh_env_var;

typedef struct fh_facts_environment {
  fh_env_var *vars; /* the allow-listed ones, set or not */
  int count;
} fh_facts_environment;

/* ---- NVIDIA ------------------------------------------------------------------------------------------ */

typedef struct fh_cuda_device {
  const char *name, *uuid, *pci;
  int capability;
  int64_t memory_total, memory_free; /* -1 unknown */
  int multiprocessors;
  int context_code; /* CUresult of creating a context */
  bool usable;
} fh_cuda_device;

/* How a child that asked a driver's library ended, and which library it loaded: the same of every driver. A macro, so that the rules
 * may say cuda->crashed and one function reads and prepares it for all. */
#define FH_DRIVER_ANSWER_FIELDS                                                          \
  fh_validity valid; /* VALID: the child answered; ABSENT: no library could be loaded */ \
  bool crashed;      /* `signal` ended it */                                             \
  bool exited;       /* the driver called exit */                                        \
  bool hung;         /* killed at the time limit in state D */                           \
  bool slow;         /* killed at the limit, still running */                            \
  int signal;                                                                            \
  const char *wchan;    /* where in the kernel it hung; "" not told */                   \
  const char *dlerrors; /* one line per place tried */                                   \
  const char *library;  /* path really loaded */                                         \
  bool fake;            /* a stand-in that says so */
typedef struct fh_driver_answer {
  FH_DRIVER_ANSWER_FIELDS
} fh_driver_answer;
/* The members themselves, and all of them as one: answer.crashed is answer.child.crashed. */
#define FH_DRIVER_ANSWER      \
  union {                     \
    fh_driver_answer child;   \
    struct {                  \
      FH_DRIVER_ANSWER_FIELDS \
    };                        \
  }

/* One child's answer about the CUDA driver. */
typedef struct fh_cuda_answer {
  FH_DRIVER_ANSWER;
  int init_code, count_code, count, version; /* -1: not reached; version 12040 */
  const char *init_name;                     /* "CUDA_ERROR_UNKNOWN" */
  int64_t init_ns;
  fh_cuda_device *devices;
  int device_count;
} fh_cuda_answer;

/* The CUDA driver is asked again with one thing changed, where the first answer leaves something to prove (detect/again.c). */
typedef enum fh_cuda_again {
  FH_CUDA_UNFILTERED = 0, /* without CUDA_VISIBLE_DEVICES */
  FH_CUDA_OTHER_LIBRARY,  /* LD_LIBRARY_PATH leads to another libcuda first */
  FH_CUDA_HIDDEN,         /* every GPU hidden by CUDA_VISIBLE_DEVICES, where it crashed on WSL */
  FH_CUDA_MORE_ADDRESSES, /* the limit of address space raised as far as this process may */
  FH_CUDA_WITHOUT_MPS,    /* CUDA_MPS_PIPE_DIRECTORY leads nowhere */
  FH_CUDA_AGAIN_COUNT
} fh_cuda_again;

/* One GPU as the kernel driver lists it. */
typedef struct fh_nvidia_listed {
  const char *pci, *uuid; /* uuid "": not told */
  const char *model;      /* "NVIDIA A10-24Q" */
  int minor;              /* its node is /dev/nvidia<minor>; -1: not told */
  bool excluded;
} fh_nvidia_listed;

/* A slice of a card that is set up: what a program needs to use it is two nodes in /dev/nvidia-caps. */
typedef struct fh_nvidia_slice {
  const char *path;                /* in /proc/driver/nvidia/capabilities */
  int instance_minor, slice_minor; /* -1: not told */
} fh_nvidia_slice;

/* What this machine tells of why the driver is as it is; all unknown where nothing of NVIDIA is. */
typedef struct fh_nvidia_host {
  fh_fact_bool built;          /* a module for the running kernel; only looked for outside of containers, where none is loaded */
  const char *built_elsewhere; /* another kernel that has one; NULL: none */
  const char *failed_build;    /* log of a build by DKMS; NULL: none */
  fh_fact_bool headers;        /* of the running kernel */
  fh_fact_bool secure_boot, locked_down;
  fh_fact_bool hmm_disabled;   /* module parameter uvm_disable_hmm */
  fh_fact_int suspends;        /* how often this machine slept since it was started */
  fh_fact_bool firmware;       /* of the running driver's version */
  fh_fact_bool confidential;   /* a confidential virtual machine */
  fh_fact_int uptime;          /* seconds */
  fh_fact_text fabric_manager; /* version; only looked for where there are NVSwitches */
  fh_fact_int imex_channels;   /* nodes of them; ABSENT: no folder */
  fh_fact_int mps_owner;       /* user whose MPS control pipe is here; its source is the pipe */
} fh_nvidia_host;

/* The CUDA driver asked about one GPU, the others hidden. */
typedef struct fh_cuda_alone {
  const char *pci, *uuid;
  fh_cuda_answer answer;
} fh_cuda_alone;

/* One card as NVIDIA's management library sees it; -1: not told. */
typedef struct fh_nvml_card {
  const char *name, *uuid, *pci; /* "" not told */
  const char *product;           /* of the vGPU licence in use */
  int index, handle_code;
  int compute_mode; /* 0 default, 1 and 3 exclusive, 2 prohibited */
  int persistence, processes;
  int64_t throttle; /* bits */
  int mig_current, mig_pending, mig_devices;
  int64_t ecc_uncorrected; /* since the driver started */
  int remap_pending, remap_failed, retire_pending, recovery_action;
  int virtualization; /* 2: a vGPU */
  int licensed;       /* of a vGPU */
  int fabric_state;   /* 1 not started, 2 in progress, 3 completed with fabric_status */
  int fabric_status;
  bool fabric_cluster;       /* joined with GPUs of other machines */
  bool lost, reset_required; /* some call about it said so */
} fh_nvml_card;

/* The management library's answer. That it works proves nothing of CUDA. */
typedef struct fh_nvml_answer {
  FH_DRIVER_ANSWER;
  int init_code, count_code, count; /* -1: not reached */
  const char *init_name;
  const char *driver;       /* version that the kernel module tells it */
  int cc_feature, cc_ready; /* confidential computing; -1: not told */
  fh_nvml_card *cards;
  int card_count;
} fh_nvml_answer;

typedef struct fh_facts_nvidia {
  fh_fact_text nvrm_version; /* /proc/driver/nvidia/version: "550.54.14" */
  fh_fact_bool open_module;
  fh_fact_bool module_loaded;  /* /sys/module/nvidia or NVRM or 195 in /proc/devices */
  fh_fact_bool uvm_registered; /* nvidia-uvm in /proc/devices */
  fh_fact_int uvm_major;
  fh_fact_int gpus_listed;   /* /proc/driver/nvidia/gpus */
  fh_fact_bool gpu_excluded; /* any "GPU Excluded: Yes" */
  int nodes_present;         /* numbered nodes that exist */
  int nodes_open;            /* and open */
  fh_nvidia_listed *listed;  /* the GPUs of /proc/driver/nvidia/gpus */
  int listed_count;
  fh_cuda_answer cuda;                            /* as the environment is */
  fh_cuda_answer cuda_again[FH_CUDA_AGAIN_COUNT]; /* with one thing changed; each valid only when it was asked */
  fh_cuda_alone *alone;                           /* each GPU asked alone, when all together fail */
  int alone_count;
  fh_nvml_answer nvml;
  fh_nvidia_host host;
  fh_nvidia_slice *slices;
  int slice_count;
} fh_facts_nvidia;

/* ---- AMD and Intel --------------------------------------------------------------------------------------- */

/* A render node of the kernel, as /sys/class/drm lists it; its file in /dev may be missing. */
typedef struct fh_render_node {
  const char *path; /* "/dev/dri/renderD128" */
  const char *pci;  /* address; "" unknown */
  int vendor;       /* PCI id; -1 unknown */
} fh_render_node;

typedef struct fh_facts_drm {
  fh_render_node *renders;
  int count;
  fh_validity valid;         /* of the list in /sys/class/drm */
  fh_validity by_path;       /* the folder /dev/dri/by-path */
  int links, dangling;       /* its links to render nodes, and how many of them lead nowhere */
  const char *dangling_link; /* the first such: "/dev/dri/by-path/pci-0000:00:02.0-render -> ../renderD129"; "" none */
} fh_facts_drm;

/* One device of a vendor's runtime. */
typedef struct fh_runtime_device {
  const char *name, *uuid, *pci, *model; /* model: "gfx1103" of AMD's; "" none */
  const char *type;                      /* "gpu", "npu", "cpu" */
  int64_t memory;                        /* bytes; -1 unknown */
  int compute_units;
  int64_t open_code; /* of making a queue or context; -1 not reached */
  bool usable;       /* a queue or context was made */
} fh_runtime_device;

/* One child's answer about a vendor's runtime: HSA or Level Zero. */
typedef struct fh_runtime_answer {
  FH_DRIVER_ANSWER;
  const char *calling; /* begun and not ended; "" none */
  const char *missing_symbol;
  int64_t init_code, list_code; /* list_code: of asking for the devices; -1 not reached */
  const char *init_name, *list_name;
  int drivers;               /* Level Zero: vendors' drivers that it found; -1 unknown */
  const char *driver_errors; /* what dlopen says of these, one per line; "" none */
  const char *refused;       /* system calls that a filter refused, blank separated; "" none */
  fh_runtime_device *devices;
  int device_count;
} fh_runtime_answer;

/* One node of the KFD's topology: a CPU, or a GPU that can compute. */
typedef struct fh_kfd_node {
  const char *path;     /* /sys/class/kfd/kfd/topology/nodes/1 */
  int properties_errno; /* EPERM: a GPU whose render node the device cgroup refuses */
  int simd_count;       /* more than 0: a GPU; -1 unknown */
  int gfx;              /* gfx_target_version: 110003; 0 none */
  int render_minor;     /* -1 unknown */
  const char *pci;      /* "" unknown */
} fh_kfd_node;

enum { FH_MAX_GFX_NAMES = 64 };

typedef struct fh_facts_amd {
  fh_fact_bool module;         /* /sys/module/amdgpu */
  fh_fact_text module_version; /* only out-of-tree drivers have one */
  fh_validity topology;        /* of the list of nodes; ABSENT: this kernel has no KFD */
  fh_kfd_node *kfd;
  int kfd_count;
  fh_fact_text rocm_version; /* /opt/rocm/.info/version */
  const char *hsa_in_rocm;   /* libhsa-runtime64 where ROCm is installed; "" none */
  const char *blas_dir;      /* rocBLAS's kernels; "" none found */
  const char *blas_gfx[FH_MAX_GFX_NAMES];
  int blas_gfx_count;
  fh_fact_bool dxcore, rocdxg; /* WSL: libdxcore.so and librocdxg.so */
  fh_fact_bool whole_dev;      /* /dev has the machine's other devices too: a privileged container, or none */
  fh_runtime_answer hsa;
  fh_runtime_answer hsa_unfiltered; /* without ROCR_VISIBLE_DEVICES; valid only when it was asked */
} fh_facts_amd;

typedef struct fh_intel_bar {
  const char *pci;
  int64_t bytes; /* of the window to its memory (BAR 2); -1 unknown */
} fh_intel_bar;

typedef struct fh_facts_intel {
  fh_fact_bool i915, xe, npu_module; /* in /sys/module */
  fh_fact_bool npu_firmware;         /* /lib/firmware/intel/vpu */
  fh_intel_bar *bars;                /* of each discrete GPU */
  int bar_count;
  fh_runtime_answer level_zero;
  fh_runtime_answer level_zero_unmasked; /* without ZE_AFFINITY_MASK; valid only when it was asked */
} fh_facts_intel;

/* ---- WSL, Jetson, clouds ---------------------------------------------------------------------------- */

/* Looked at only on these platforms; elsewhere all of it is unknown. */
typedef struct fh_facts_wsl {
  fh_fact_bool version_one; /* WSL 1: no real kernel, no devices */
  fh_fact_bool libcuda;     /* what Windows' NVIDIA driver puts into /usr/lib/wsl/lib */
  fh_fact_bool dxcore;      /* libdxcore.so, there or where the loader looks */
  fh_fact_bool store;       /* a libcuda of Windows' driver store in /usr/lib/wsl/drivers */
} fh_facts_wsl;

typedef struct fh_facts_jetson {
  fh_fact_int host_release;  /* major of Jetson Linux that the kernel belongs to; UNKNOWN: not one of NVIDIA's kernels */
  fh_fact_int image_release; /* and that the files here were made for */
  fh_fact_bool soc;          /* /sys tells of the chip, as the driver needs */
  fh_library nvrm;           /* libnvrm_gpu.so, which libcuda needs there */
} fh_facts_jetson;

/* A package that was changed without anybody asking, as the package manager's log tells. */
typedef struct fh_package_change {
  const char *when, *package, *from, *to; /* from "": newly installed; when NULL: none */
  const char *source;
} fh_package_change;

typedef struct fh_facts_cloud {
  fh_fact_text vendor;             /* of the virtual machine, as its firmware says: "Amazon EC2" */
  fh_fact_text product;            /* "g6f.large" */
  fh_fact_bool grid_daemon;        /* the licence daemon of NVIDIA's driver for virtual GPUs is installed */
  fh_package_change driver_change; /* newest automatic change of the NVIDIA driver; looked for only where it could matter */
  fh_package_change kernel_change; /* and of the running kernel */
} fh_facts_cloud;

/* ---- software on top -------------------------------------------------------------------------------------- */

typedef enum fh_build { FH_BUILD_UNKNOWN = 0, FH_BUILD_CPU, FH_BUILD_CUDA, FH_BUILD_OTHER } fh_build;

/* A framework among the packages of a Python. */
typedef struct fh_framework {
  const char *name;     /* "PyTorch" */
  const char *folder;   /* the packages it lies among */
  const char *evidence; /* file or folder that tells */
  const char *version;
  const char *cuda; /* version of CUDA it is built with; "" none, or not told */
  fh_build build;
} fh_framework;

/* Looked at only where a GPU works. */
typedef struct fh_facts_programs {
  fh_framework *frameworks;
  int count;
  fh_validity cudnn; /* ABSENT: nowhere to be found */
} fh_facts_programs;

/* ---- OpenCL -------------------------------------------------------------------------------------------- */

typedef struct fh_cl_device {
  const char *name, *vendor, *driver, *version;
  const char *type; /* "cpu", "gpu", "accelerator" */
  int64_t memory;
  int compute_units;
} fh_cl_device;

typedef struct fh_icd {
  const char *file;      /* /etc/OpenCL/vendors/pocl.icd */
  const char *library;   /* what it names */
  fh_validity lib_valid; /* found on disk (or by the loader) */
  fh_validity asked;     /* VALID: the child answered */
  bool crashed, exited, hung, slow;
  int signal;
  const char *error;    /* dlerror or call that failed; "" none */
  const char *missing;  /* library that the dlerror says is missing; "" none */
  int code;             /* CL code of the failing call; 0 none */
  const char *platform; /* name */
  const char *platform_version;
  fh_cl_device *devices;
  int device_count;
  struct fh_icd *again;     /* asked with a setting of its own changed; NULL: nothing to prove */
  const char *again_change; /* "POCL_DEVICES", "RUSTICL_ENABLE=iris" */
} fh_icd;

/* What a program sees through one OpenCL loader. */
typedef struct fh_cl_loader {
  fh_validity valid;      /* VALID: the child answered */
  bool broke, late;       /* the child crashed or was ended; it did not come back in time */
  const char *library;    /* path of it; "" unknown */
  const char *error;      /* of dlopen; "" none */
  int code;               /* of clGetPlatformIDs */
  int platforms, devices; /* -1: not reached */
} fh_cl_loader;

typedef struct fh_facts_opencl {
  fh_fact_text vendors_dir;
  fh_validity vendors_valid; /* ABSENT: no such directory */
  fh_icd *icds;
  int count;
  fh_fact_text vendors_override; /* OCL_ICD_VENDORS */
  /* Asked only where there is something to prove. */
  fh_cl_loader loader;           /* as programs find it */
  fh_cl_loader loader_unsteered; /* without the variables that name drivers */
  fh_cl_loader loader_system;    /* the distribution's */
  const char *system_loader;     /* the distribution's loader, when programs find another; NULL: none */
} fh_facts_opencl;

/* ---- what could not be asked ---------------------------------------------------------------------------- */

/* A question that no child could be asked; what it would have told is unknown. */
typedef struct fh_unasked {
  const char *question; /* "cuda", "opencl:/etc/OpenCL/vendors/pocl.icd" */
  const char *why;
} fh_unasked;

/* ---- sandboxes and engines ------------------------------------------------------------------------------ */

/* One thing that a child tried: 0 it may, an errno, or minus the signal that the attempt was ended with. */
typedef fh_fact_int fh_trial;

typedef struct fh_facts_sandbox {
  fh_fact_text label;             /* /proc/self/attr/current: a SELinux context or an AppArmor profile */
  fh_fact_bool selinux_enforcing; /* false: it only reports */
  fh_fact_text flatpak;           /* /.flatpak-info */
  fh_fact_bool firecracker;       /* a Firecracker micro virtual machine */
  fh_fact_bool docker_desktop;    /* the virtual machine of Docker Desktop */
  fh_fact_bool rootless;          /* the user namespace maps a single user's own id, as engines without root do */
  fh_fact_bool nested;            /* an engine's container inside another engine's */
  fh_fact_bool inner_engine;      /* an engine of its own runs inside this container */
  fh_fact_bool building;          /* a step of an image build */
  fh_fact_int device_files;       /* GPUs named in /var/run/nvidia-container-devices; ABSENT: no such folder */
  fh_trial memfd, comm, exec_map, ioctl;
} fh_facts_sandbox;

/* Engines of this machine and what they need for GPUs. Only looked at outside of containers. */
typedef struct fh_facts_engines {
  fh_fact_bool docker, docker_snap, podman;
  fh_fact_bool toolkit;     /* NVIDIA's container toolkit */
  fh_fact_bool cdi;         /* a CDI file for NVIDIA's GPUs; its source is the file */
  fh_fact_text cdi_version; /* of the driver library that it names */
} fh_facts_engines;

/* ---- all of it --------------------------------------------------------------------------------------- */

typedef struct fh_facts {
  struct fh_facts_arena *arena;
  fh_facts_where where;
  fh_mount *mounts;
  int mount_count;
  fh_validity mounts_valid;
  fh_facts_cgroup cgroup;
  fh_facts_cpu cpu;
  fh_facts_process process;
  fh_facts_memory memory;
  fh_facts_pci pci;
  fh_facts_nodes nodes;
  fh_facts_libraries libraries;
  fh_facts_environment environment;
  fh_facts_limits limits;
  fh_facts_nvidia nvidia;
  fh_facts_wsl wsl;
  fh_facts_jetson jetson;
  fh_facts_cloud cloud;
  fh_facts_programs programs;
  fh_facts_opencl opencl;
  fh_facts_sandbox sandbox;
  fh_facts_engines engines;
  fh_unasked *unasked;
  int unasked_count;
  fh_facts_drm drm;
  fh_facts_amd amd;
  fh_facts_intel intel;
} fh_facts;

enum {
  FH_GATHER_STATIC = 1, /* files only */
  FH_GATHER_CUDA = 2,   /* ask the CUDA driver in a child (when anything of it is here) */
  FH_GATHER_OPENCL = 4, /* ask each ICD in a child */
  FH_GATHER_TRIALS = 8, /* ISA trial and topology */
  FH_GATHER_HSA = 16,   /* ask AMD's runtime, when anything of it is here */
  FH_GATHER_ZE = 32,    /* ask Level Zero, when anything of Intel's is here */
  FH_GATHER_ALL = 63,
};

/* Gathers facts. Only memory or a broken table fails; everything else is a fact. */
fh_status fh_facts_gather(fh_os *os, unsigned what, fh_facts **out_facts);
void fh_facts_destroy(fh_facts *facts);

/* Look-ups, by exact name or path; never NULL: an unknown one is a static fact with UNKNOWN validity. */
const fh_node *fh_facts_node(const fh_facts *facts, const char *path);
/* A device whose name is that of a renderer or compiler for the processor, whatever its type says. */
bool fh_cl_is_software(const fh_cl_device *device);
/* The driver is of this kind ("pocl", "rusticl"), by its library or its platform's name. */
bool fh_icd_is(const fh_icd *icd, const char *kind);
const fh_library *fh_facts_library(const fh_facts *facts, const char *name);
/* Why this question could not be asked; NULL: it was, or there was no reason to. */
const char *fh_facts_unasked(const fh_facts *facts, const char *question);
/* The variables that are ever looked at: what is not in this list may be a secret. */
const char *const *fh_allowed_variables(int *out_count);
/* NULL: unset (or not allow-listed). */
const char *fh_facts_env(const fh_facts *facts, const char *name);

/* Only the CPU part, a millisecond or so, no child: what the runtime needs to open. */
fh_status fh_facts_gather_cpu(fh_os *os, fh_facts **out_facts);

#endif /* FOGHORN_DETECT_FACTS_H_ */
