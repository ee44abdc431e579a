/* What this machine tells of why NVIDIA's driver is as it is. SPDX-License-Identifier: Apache-2.0
 *
 * The kernel log is left alone: where it may be read at all it belongs to the whole machine, and what it says of a card (Xid)
 * the management library tells too. The files about modules are read only where the module is missing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MOST_KERNELS = 32, MOST_VERSIONS = 16 };

/* ---- a module that was built, and for which kernel ---------------------------------------------------------------- */

/* A line of modules.dep is about this file: "updates/dkms/nvidia.ko.zst:". */
static bool lists_nvidia(const char *text) {
  static const char name[] = "nvidia.ko";
  for (const char *at = text; (at = strstr(at, name)); at += sizeof name - 1) {
    char before = at == text ? '/' : at[-1], after = at[sizeof name - 1];
    if (before == '/' && (after == ':' || after == '.')) return true;
  }
  return false;
}

static fh_fact_bool built_for(fh_gather *g, const char *release) {
  const char *file = fh_arena_format(g->arena, "/lib/modules/%s/modules.dep", release);
  int error;
  const char *text = fh_read_text(g, file, FH_BIG_FILE, &error);
  if (text && error != EFBIG) return fh_fact_bool_of(lists_nvidia(text), file);
  return (fh_fact_bool){false, error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, file};
}

static const char *another_kernel(fh_gather *g, const char *running) {
  int count, looked_at = 0;
  const char **names = fh_path_list(g, "/lib/modules", &count, NULL);
  for (int i = count - 1; i >= 0 && looked_at < MOST_KERNELS; i--) { /* sorted: likely newest first */
    if (strcmp(names[i], running) == 0) continue;
    looked_at++;
    if (built_for(g, names[i]).value) return names[i];
  }
  return NULL;
}

/* DKMS keeps the log of a build that failed where the next one would be made. */
static const char *failed_build(fh_gather *g) {
  static const char dir[] = "/var/lib/dkms/nvidia";
  int count;
  const char **names = fh_path_list(g, dir, &count, NULL);
  for (int i = 0; i < count && i < MOST_VERSIONS; i++) {
    const char *log = fh_arena_format(g->arena, "%s/%s/build/make.log", dir, names[i]);
    if (fh_path_exists(g, log)) return log;
  }
  return NULL;
}

static void read_built(fh_gather *g, fh_nvidia_host *h) {
  const fh_facts *f = g->facts;
  if (f->where.container || f->where.kernel.valid != FH_VALID || f->nvidia.module_loaded.valid != FH_VALID || f->nvidia.module_loaded.value)
    return;
  const char *release = f->where.kernel.value;
  h->built = built_for(g, release);
  if (h->built.valid == FH_UNKNOWN_FACT || h->built.value) return;
  h->built_elsewhere = another_kernel(g, release);
  h->failed_build = failed_build(g);
  const char *headers = fh_arena_format(g->arena, "/lib/modules/%s/build", release);
  int error = fh_path_stat(g, headers, true, NULL);
  h->headers = (fh_fact_bool){!error, !error ? FH_VALID : error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, headers};
}

/* ---- who may load it ------------------------------------------------------------------------------------------------ */

/* An EFI variable: four bytes of attributes, then the value. */
static fh_fact_bool secure_boot(fh_gather *g) {
  static const char file[] = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
  enum { VALUE = 4, SIZE = 5 };
  char *bytes = NULL;
  size_t size = 0;
  int error = g->os->api->read(g->os, file, 64, &bytes, &size);
  fh_fact_bool fact = {false, error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, file};
  if (!error && size == SIZE) fact = fh_fact_bool_of(bytes[VALUE] == 1, file);
  if (!error || error == EFBIG) free(bytes);
  return fact;
}

/* "none [integrity] confidentiality": the one in brackets holds. */
static fh_fact_bool locked_down(fh_gather *g) {
  fh_fact_text text = fh_read_fact(g, "/sys/kernel/security/lockdown", 256);
  if (text.valid != FH_VALID) return (fh_fact_bool){false, text.valid, text.source};
  return fh_fact_bool_of(strchr(text.value, '[') && !strstr(text.value, "[none]"), text.source);
}

/* ---- the running driver ----------------------------------------------------------------------------------------------- */

/* A parameter of a module: Y or N. */
static fh_fact_bool read_flag(fh_gather *g, const char *file) {
  fh_fact_text text = fh_read_fact(g, file, 16);
  bool yes = strcmp(text.value, "Y") == 0 || strcmp(text.value, "1") == 0,
       no = strcmp(text.value, "N") == 0 || strcmp(text.value, "0") == 0;
  return text.valid == FH_VALID && (yes || no) ? fh_fact_bool_of(yes, file)
                                               : (fh_fact_bool){false, text.valid == FH_ABSENT ? FH_ABSENT : FH_UNKNOWN_FACT, file};
}

/* The program that the card's own processor runs is a file of the driver package, of exactly its version. */
static fh_fact_bool firmware(fh_gather *g) {
  const fh_facts *f = g->facts;
  if (f->where.container || f->nvidia.nvrm_version.valid != FH_VALID) return (fh_fact_bool){false, FH_UNKNOWN_FACT, ""};
  const char *dir = fh_arena_format(g->arena, "/lib/firmware/nvidia/%s", f->nvidia.nvrm_version.value);
  int count, error;
  const char **names = fh_path_list(g, dir, &count, &error);
  if (error && error != ENOENT) return (fh_fact_bool){false, FH_UNKNOWN_FACT, dir};
  for (int i = 0; i < count; i++)
    if (strncmp(names[i], "gsp", 3) == 0) return fh_fact_bool_of(true, dir);
  return (fh_fact_bool){false, FH_ABSENT, dir};
}

/* ---- the fabric --------------------------------------------------------------------------------------------------------- */

/* "Version: 550.54.14-1" of the installed package whose name begins so. */
static const char *package_version(fh_gather *g, const char *status, const char *prefix) {
  for (const char *at = status, *next; (at = strstr(at, prefix)); at = next) {
    next = at + 1;
    if (at != status && at[-1] != '\n') continue;
    const char *end = strstr(at, "\n\n");
    size_t size = end ? (size_t)(end - at) : strlen(at);
    const char *entry = fh_arena_text_size(g->arena, at, size);
    next = at + size; /* no part of the file is copied twice, whatever it holds */
    const char *state = fh_key_value(entry, "Status", ':', &size);
    if (!state || size < 9 || memcmp(state + size - 9, "installed", 9) != 0 ||
        (size > 13 && memcmp(state + size - 13, "not-installed", 13) == 0))
      continue;
    const char *version = fh_key_value(entry, "Version", ':', &size);
    if (version) return fh_arena_text_size(g->arena, version, strcspn(version, "-\n"));
  }
  return NULL;
}

static fh_fact_text fabric_manager(fh_gather *g) {
  static const char file[] = "/var/lib/dpkg/status";
  int error;
  const char *text = fh_read_text(g, file, FH_BIG_FILE, &error);
  if (!text || error == EFBIG) return (fh_fact_text){"", FH_UNKNOWN_FACT, file}; /* no dpkg: another kind of system */
  const char *version = package_version(g, text, "Package: nvidia-fabricmanager");
  return version ? fh_fact_text_of(version, file) : (fh_fact_text){"", FH_ABSENT, file};
}

static bool has_switch(const fh_facts *f) {
  for (int i = 0; i < f->pci.count; i++)
    if (f->pci.devices[i].is_nvswitch) return true;
  return false;
}

/* ---- the machine ---------------------------------------------------------------------------------------------------------- */

/* A virtual machine whose memory the host cannot read. */
static fh_fact_bool confidential(fh_gather *g) {
  static const char *const nodes[] = {"/dev/tdx_guest", "/dev/sev-guest"};
  const fh_facts *f = g->facts;
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    if (fh_path_exists(g, nodes[i])) return fh_fact_bool_of(true, nodes[i]);
  if (f->cpu.flags.valid != FH_VALID) return (fh_fact_bool){false, FH_UNKNOWN_FACT, ""};
  return fh_fact_bool_of(fh_word_in(f->cpu.flags.value, " ", "tdx_guest"), f->cpu.flags.source);
}

/* Nodes through which GPUs of several machines share memory. */
static fh_fact_int imex_channels(fh_gather *g) {
  static const char dir[] = "/dev/nvidia-caps-imex-channels";
  int count, error;
  fh_path_list(g, dir, &count, &error);
  return (fh_fact_int){count, !error ? FH_VALID : error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, dir};
}

/* The pipe through which a program reaches the service that shares GPUs (MPS). */
static fh_fact_int mps_owner(fh_gather *g) {
  const char *dir = fh_facts_env(g->facts, "CUDA_MPS_PIPE_DIRECTORY");
  const char *pipe = fh_arena_format(g->arena, "%s/control", dir && *dir ? dir : "/tmp/nvidia-mps");
  fh_os_stat st;
  int error = fh_path_stat(g, pipe, true, &st);
  return (fh_fact_int){error ? 0 : (int64_t)st.uid, !error ? FH_VALID : error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, pipe};
}

static fh_fact_int uptime(fh_gather *g) {
  fh_fact_text text = fh_read_fact(g, "/proc/uptime", 256);
  const char *at = text.value;
  fh_fact_int seconds = {0, FH_UNKNOWN_FACT, text.source};
  if (text.valid == FH_VALID && fh_take_i64(&at, &seconds.value) && seconds.value >= 0) seconds.valid = FH_VALID;
  return seconds;
}

static bool anything_of_nvidia(const fh_facts *f) {
  for (int i = 0; i < f->pci.count; i++)
    if (f->pci.devices[i].vendor == 0x10de) return true;
  return f->nvidia.module_loaded.valid == FH_VALID && f->nvidia.module_loaded.value;
}

void fh_gather_nvidia_host(fh_gather *g) {
  fh_nvidia_host *h = &g->facts->nvidia.host;
  h->fabric_manager = (fh_fact_text){"", FH_UNKNOWN_FACT, ""};
  if (!anything_of_nvidia(g->facts)) return;
  read_built(g, h);
  h->secure_boot = secure_boot(g);
  h->locked_down = locked_down(g);
  h->hmm_disabled = read_flag(g, "/sys/module/nvidia_uvm/parameters/uvm_disable_hmm");
  h->suspends = fh_read_int(g, "/sys/power/suspend_stats/success");
  h->firmware = firmware(g);
  h->confidential = confidential(g);
  h->uptime = uptime(g);
  h->imex_channels = imex_channels(g);
  h->mps_owner = mps_owner(g);
  if (has_switch(g->facts) && !g->facts->where.container) h->fabric_manager = fabric_manager(g);
}
