/* Inside of fh_facts_gather: one function per group of facts. SPDX-License-Identifier: Apache-2.0
 *
 * Each reads through the table and fills its part of the facts. None fails: what cannot be read stays unknown, and
 * a want of memory is remembered by the arena. Later ones may read what earlier ones filled, in the order below. */
#ifndef FOGHORN_DETECT_GATHER_H_
#define FOGHORN_DETECT_GATHER_H_

#include "detect/arena.h"
#include "detect/facts.h"

enum { FH_MAX_QUESTIONS = 96 };

/* A question that is being answered, and who reads the answer. */
struct fh_gather;
typedef void fh_answer_reader(struct fh_gather *g, const fh_os_answer *answer, void *into);
typedef struct fh_asked {
  const char *question;
  int ticket;
  fh_answer_reader *read;
  void *into;
} fh_asked;

typedef struct fh_gather {
  fh_os *os;
  fh_facts *facts;
  fh_facts_arena *arena;
  fh_asked asked[FH_MAX_QUESTIONS]; /* since the last fh_collect */
  int asked_count;
} fh_gather;

/* Starts a question in a child; several run side by side. When it is answered `read` puts it `into` the facts; a question
 * that cannot be asked or has no recorded answer is not read, so its facts stay unknown. changes: see fh_os_api.ask_start. */
void fh_ask(fh_gather *g, const char *question, const char *const *changes, fh_answer_reader *read, void *into);
/* Waits for all that was asked. */
void fh_collect(fh_gather *g);

/* Questions by subject. The first are asked as soon as the facts that say whether to ask are there; the second ask again with
 * one thing changed, when the first answer leaves something to prove. */
void fh_ask_isa(fh_gather *g);
void fh_ask_topology(fh_gather *g);
void fh_ask_process(fh_gather *g);
void fh_process_read_again(fh_gather *g, const fh_os_answer *answer, void *into); /* without LD_PRELOAD */
void fh_ask_icds(fh_gather *g);
void fh_ask_cuda(fh_gather *g);
void fh_ask_nvml(fh_gather *g);
void fh_ask_hsa(fh_gather *g);
void fh_ask_level_zero(fh_gather *g);
/* With one thing changed, where the first answers leave something to prove; what: FH_GATHER_ bits. */
void fh_ask_again(fh_gather *g, unsigned what);
void fh_ask_opencl_again(fh_gather *g); /* part of it */
void fh_ask_sandbox(fh_gather *g);

void fh_gather_environment(fh_gather *g);
void fh_gather_mounts(fh_gather *g);
void fh_gather_identity(fh_gather *g); /* where.id, kernel, machine, loaders, /proc/self/status */
void fh_gather_cgroup(fh_gather *g);
/* with_cpuinfo: read /proc/cpuinfo too, which is long on big machines. */
void fh_gather_cpu(fh_gather *g, bool with_cpuinfo);
void fh_gather_memory(fh_gather *g);
void fh_gather_limits(fh_gather *g);   /* /proc/self/limits */
void fh_gather_cpu_view(fh_gather *g); /* how the machine's processors are shown: emulated, covered, partly */
void fh_gather_platform(fh_gather *g); /* needs all of the above */
void fh_gather_pci(fh_gather *g);
void fh_gather_libraries(fh_gather *g);
void fh_gather_node_numbers(fh_gather *g); /* /proc/devices */
void fh_gather_nodes(fh_gather *g);
void fh_gather_node(fh_gather *g, const char *path); /* one more */
void fh_gather_nvidia(fh_gather *g);
void fh_gather_nvidia_host(fh_gather *g);
void fh_gather_wsl(fh_gather *g);
void fh_gather_jetson(fh_gather *g);
void fh_gather_cloud(fh_gather *g); /* after the NVIDIA driver's facts */
void fh_gather_icd_files(fh_gather *g);
void fh_gather_programs(fh_gather *g); /* needs the answer of CUDA */
void fh_gather_sandbox(fh_gather *g);  /* needs the platform */
void fh_gather_engines(fh_gather *g);  /* needs the platform */
void fh_gather_drm(fh_gather *g);      /* needs PCI */
void fh_gather_amd(fh_gather *g);
void fh_gather_intel(fh_gather *g);

/* best = the strongest ISA that is advertised, enabled and not disproven. */
void fh_cpu_choose_best(fh_facts_cpu *cpu);

/* What answers say, put into the facts. A NULL or empty answer changes nothing. */
void fh_cuda_answer_init(fh_cuda_answer *answer);
void fh_nvml_answer_init(fh_nvml_answer *answer);
void fh_answer_read_cuda(fh_gather *g, const fh_os_answer *answer, fh_cuda_answer *out);
void fh_runtime_answer_init(fh_runtime_answer *answer);
void fh_runtime_read(fh_gather *g, const fh_os_answer *answer, void *into); /* an fh_runtime_answer */
void fh_answer_read_icd(fh_gather *g, const fh_os_answer *answer, fh_icd *out);
void fh_answer_read_isa(fh_gather *g, const fh_os_answer *answer);
void fh_answer_read_topology(fh_gather *g, const fh_os_answer *answer);
void fh_answer_read_sandbox(fh_gather *g, const fh_os_answer *answer);

/* ---- reading -------------------------------------------------------------------------------------- */

enum { FH_SMALL_FILE = 64 * 1024, FH_BIG_FILE = 8 * 1024 * 1024 };

/* The text of a file, in the arena; a longer one is cut at max. NULL: not readable, *out_errno (may be NULL) says why. */
const char *fh_read_text(fh_gather *g, const char *path, size_t max, int *out_errno);
/* The same as a fact: source is the path; a file that does not exist is ABSENT. Blanks at both ends are cut. */
fh_fact_text fh_read_fact(fh_gather *g, const char *path, size_t max);
/* A file that holds one whole number. */
fh_fact_int fh_read_int(fh_gather *g, const char *path);
/* 0 or the errno of stat; out may be NULL. */
int fh_path_stat(fh_gather *g, const char *path, bool follow, fh_os_stat *out);
bool fh_path_exists(fh_gather *g, const char *path);
/* The same as a fact: unknown when neither the file nor its absence can be seen. */
fh_fact_bool fh_path_fact(fh_gather *g, const char *path);
/* True when the beginning of a readable file, text or not, contains these characters. */
bool fh_file_has(fh_gather *g, const char *path, const char *part);
/* A kernel module that is loaded, or built in and shown; unknown where /sys shows no modules. */
fh_fact_bool fh_module_loaded(fh_gather *g, const char *name);
/* In a namespace ("/proc/self/ns/pid", "/proc/self/ns/cgroup") that is not the machine's first one. */
fh_fact_bool fh_in_namespace(fh_gather *g, const char *link);
/* Names in a directory, in the arena; NULL (and *out_errno, which may be NULL) when it cannot be listed. */
const char **fh_path_list(fh_gather *g, const char *path, int *out_count, int *out_errno);

fh_fact_int fh_fact_int_of(int64_t value, const char *source);
fh_fact_bool fh_fact_bool_of(bool value, const char *source);
fh_fact_text fh_fact_text_of(const char *value, const char *source);

/* ---- shared look-ups --------------------------------------------------------------------------------- */

/* The mount that holds a path: the deepest, the latest of equals. NULL: mounts unknown. */
const fh_mount *fh_mount_of(const fh_facts *facts, const char *path);
/* A mount whose own point is this path. */
const fh_mount *fh_mount_at(const fh_facts *facts, const char *path);
bool fh_mount_has_option(const fh_mount *mount, const char *option);
/* Finds a library as the loader would and fingerprints it. */
void fh_library_find(fh_gather *g, const char *name, fh_library *out);
/* Major of a driver in /proc/devices by name; -1: not registered, -2: unknown. */
int fh_driver_major(const fh_facts *facts, const char *driver);

/* True for a variable on the list of those that may be read. */
bool fh_environment_is_allowed(const char *name);

/* ---- parsers, which know nothing of a machine --------------------------------------------------------- */

/* Reads /proc/self/mountinfo; malformed lines are left out. */
void fh_mountinfo_parse(fh_facts_arena *arena, const char *text, fh_mount **out_mounts, int *out_count);

/* One line of /proc/self/cgroup. */
typedef struct fh_cgroup_entry {
  int hierarchy;           /* 0: cgroup v2 */
  const char *controllers; /* "cpu,cpuacct", "name=systemd", "" for v2 */
  const char *path;
} fh_cgroup_entry;
void fh_cgroup_parse(fh_facts_arena *arena, const char *text, fh_cgroup_entry **out_entries, int *out_count);
/* "200000 100000" or "max 100000": false when malformed. quota -1: none. */
bool fh_cpu_max_parse(const char *text, int64_t *out_quota, int64_t *out_period);
/* "max", a number, or one of v1's "unlimited" values: -1 for no limit. False when malformed. */
bool fh_limit_parse(const char *text, int64_t *out_limit);

/* What a processor and its operating system allow. */
typedef struct fh_isa_bits {
  bool advertised[FH_ISA_COUNT], enabled[FH_ISA_COUNT];
  bool feature[FH_FEATURE_COUNT]; /* advertised; enabled with their instruction set, fh_feature_isa() */
  bool amx_advertised, amx_enabled;
  bool hypervisor;
} fh_isa_bits;
typedef struct fh_cpuid_view {
  fh_os_cpuid leaf1, leaf7, leaf7_1, extended1; /* 0x1, 0x7.0, 0x7.1, 0x80000001 */
  uint32_t extended_max;                        /* the last leaf of 0x8000xxxx */
  uint64_t xcr0;                                /* 0 with OSXSAVE off */
  bool has_xcr0;
} fh_cpuid_view;
/* Asks the table; false: not an x86 processor. */
bool fh_cpuid_view_read(fh_os *os, fh_cpuid_view *out);
void fh_isa_from_cpuid(const fh_cpuid_view *view, fh_isa_bits *out);
/* From the auxiliary vector of an AArch64 process: AT_HWCAP and AT_HWCAP2, where the kernel has left out what it did not enable. */
void fh_isa_from_hwcap(uint64_t hwcap, uint64_t hwcap2, fh_isa_bits *out);
/* From the "flags" or "Features" of /proc/cpuinfo, where the kernel has left out what it did not enable. */
void fh_isa_from_flags(const char *flags, fh_isa_bits *out);

/* One library name that is looked for in /etc/ld.so.cache. */
typedef struct fh_ldcache_wish {
  const char *name;
  int most_level;   /* the highest folder glibc-hwcaps/x86-64-vN that this processor may use; below 2: none */
  int level;        /* out: N of the folder that the path is in; 0: of none */
  const char *path; /* out: NULL none. Points into the cache. */
} fh_ldcache_wish;
/* Looks names up in a cache of glibc for libraries of an ELF machine (62, 183). EINVAL: not such a file. */
int fh_ldcache_find(const char *cache, size_t size, int machine, fh_ldcache_wish *wishes, int count);

/* Version in the first line of /proc/driver/nvidia/version; "" none. */
const char *fh_nvrm_parse(fh_facts_arena *arena, const char *text, bool *out_open);
/* The log of Debian's package manager, paragraphs of "Start-Date:", "Commandline:", "Install:" and "Upgrade:" lines: the newest
 * change of the NVIDIA driver and of the kernel of this release that unattended-upgrades made. Left as they are when there is none. */
void fh_apt_history_parse(fh_facts_arena *arena, const char *text, const char *release, fh_package_change *out_driver,
                          fh_package_change *out_kernel);
/* The library that an .icd file names: its first line, without the newline and nothing else taken off. */
const char *fh_icd_parse(fh_facts_arena *arena, const char *text);

#endif /* FOGHORN_DETECT_GATHER_H_ */
