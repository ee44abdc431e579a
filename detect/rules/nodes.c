/* Rules about device nodes: what opening one says. SPDX-License-Identifier: Apache-2.0
 * The kernel checks in the order nodev mount, permission bits, device cgroup, security module, driver; so EACCES comes
 * before EPERM, and EPERM says nothing about the driver. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

void fh_rule_node_not_chardev(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(judgement->facts, &i));)
    fh_case_saw(&c, !node->is_char, node->path, "not a device: %s of %lld bytes", S_ISDIR(node->st.mode) ? "a folder" : "a file",
                (long long)node->st.size);
  if (c.evidence_count) fh_case_gpu(&c, FH_PROVEN, "%s is not a device node", c.evidence[0].source);
}

static bool has_stale_major(const fh_node *node) {
  return node->valid == FH_VALID && node->is_char && node->expected_major >= 0 && node->st.rdev_major != (unsigned)node->expected_major;
}

void fh_rule_uvm_stale_major(fh_judgement *judgement, const fh_cause *cause) {
  const fh_node *uvm = fh_facts_node(judgement->facts, "/dev/nvidia-uvm");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) &&
      fh_case_saw(&c, has_stale_major(uvm), uvm->path, "device number %u:%u%s%s", uvm->st.rdev_major, uvm->st.rdev_minor,
                  uvm->open_errno ? ", opening it: " : "", uvm->open_errno ? fh_errno_words(uvm->open_errno) : "") &&
      fh_case_saw(&c, true, "/proc/devices", "%d nvidia-uvm", uvm->expected_major))
    fh_case_gpu(&c, FH_PROVEN, "/dev/nvidia-uvm has device number %u, the kernel's is %d since the last boot", uvm->st.rdev_major,
                uvm->expected_major);
}

/* ---- EPERM: the device cgroup ------------------------------------------------------------------------------- */

static bool refused_by_filter(const fh_node *node) { return node->is_char && node->open_errno == EPERM && !has_stale_major(node); }

static bool any_node(const char *path) {
  (void)path;
  return true;
}

static int saw_refused(fh_case *c, bool (*wanted)(const char *path)) {
  const fh_node *node;
  int refused = 0;
  for (int i = 0; (node = fh_nvidia_node_next(c->facts, &i));)
    refused += fh_case_saw(c, wanted(node->path) && refused_by_filter(node), node->path, "EPERM, mode %04o, device number %u:%u",
                           (unsigned)(node->st.mode & 07777), node->st.rdev_major, node->st.rdev_minor);
  return refused;
}

static int count_open(const fh_facts *f) {
  const fh_node *node;
  int open = 0;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) open += node->is_char && node->open_errno == 0;
  return open;
}

/* The driver itself refuses an excluded GPU: with another one open, the filter is not to blame. */
static bool excluded(const fh_facts *f) { return fh_is_true(f->nvidia.gpu_excluded) && count_open(f) > 0; }

int fh_case_refused_nodes(fh_case *c) { return excluded(c->facts) ? 0 : saw_refused(c, any_node); }
int fh_case_refused_cards(fh_case *c) { return excluded(c->facts) ? 0 : saw_refused(c, fh_nvidia_node_is_numbered); }

/* LXC: the fixed numbers are allowed, that of nvidia-uvm, which changes over boots, is not. */
static bool only_uvm_refused(const fh_facts *f) {
  const fh_node *uvm = fh_facts_node(f, "/dev/nvidia-uvm"), *control = fh_facts_node(f, "/dev/nvidiactl");
  return f->where.platform == FH_PLATFORM_LXC && uvm->valid == FH_VALID && refused_by_filter(uvm) && control->valid == FH_VALID &&
         control->open_errno != EPERM;
}

/* An engine without root may not change device filters, so the one that refuses belongs to what is around it. */
static bool in_rootless_engine(const fh_facts *f) {
  return f->where.platform != FH_PLATFORM_LXC && fh_container_by_engine(f) && fh_is_true(f->where.user_namespace) &&
         fh_is_true(f->sandbox.rootless);
}

/* Who else told the filter of this process what to allow; each has a cause of its own. */
static bool has_owner_of_its_own(const fh_facts *f) {
  return f->where.platform == FH_PLATFORM_SYSTEMD_SERVICE || f->where.platform == FH_PLATFORM_SNAP || fh_slurm_without_gpu(f) ||
         in_rootless_engine(f) || only_uvm_refused(f);
}

/* A line of a v1 devices.list about NVIDIA's number 195 whose rights have no 'r' or 'w': what a reload leaves behind. */
static bool rules_shrunk(const fh_facts *f) {
  if (f->cgroup.device_rules.valid != FH_VALID) return false;
  bool shrunk = false;
  for (const char *line = f->cgroup.device_rules.value; *line;) {
    size_t size = strcspn(line, "\n");
    const char *rights = memrchr(line, ' ', size);
    if (strncmp(line, "a ", 2) == 0) return false;
    if (strncmp(line, "c 195:", 6) == 0 && rights) {
      if (memchr(rights, 'r', (size_t)(line + size - rights))) return false;
      shrunk = true;
    }
    line += size + (line[size] == '\n');
  }
  return shrunk;
}

/* It worked when the container started: the engine set it up with the GPU. Adds what tells so. */
static bool worked_once(fh_case *c) {
  const fh_facts *f = c->facts;
  const char *mark = fh_toolkit_mark(f);
  const fh_node *control = fh_facts_node(f, "/dev/nvidiactl");
  if (count_open(f) > 0 || control->valid != FH_VALID || control->open_errno != EPERM) return false; /* not all of them */
  if (f->where.platform == FH_PLATFORM_LXC || has_owner_of_its_own(f)) return false;
  return fh_case_saw(c, rules_shrunk(f), f->cgroup.device_rules.source, "the rule for 195 has shrunk: it may be made, not read") ||
         fh_case_saw(c, mark != NULL, mark, "put here by NVIDIA's container toolkit, which also allows the devices at start");
}

void fh_rule_cgroup_lost(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_refused_nodes(&c) > 0 && worked_once(&c))
    fh_case_gpu(&c, FH_CONSISTENT, "every NVIDIA device node is refused (EPERM), though this container was set up with the GPU");
}

bool fh_may_be_no_filter(const fh_facts *f) {
  const fh_node *uvm = fh_facts_node(f, "/dev/nvidia-uvm"), *control = fh_facts_node(f, "/dev/nvidiactl");
  bool maybe_stale = uvm->open_errno == EPERM && uvm->expected_major == -2;
  bool maybe_excluded = control->open_errno != EPERM && uvm->open_errno != EPERM && f->nvidia.gpu_excluded.valid == FH_UNKNOWN_FACT;
  return maybe_stale || maybe_excluded || f->where.user_namespace.valid == FH_UNKNOWN_FACT;
}

/* No engine allowed the devices: how they came here instead, or NULL when that cannot be told. */
static const char *brought_by(const fh_facts *f) {
  const fh_node *control = fh_facts_node(f, "/dev/nvidiactl");
  if (fh_toolkit_mark(f)) return NULL;
  if (f->where.platform == FH_PLATFORM_LXC) return "an LXC container needs an allow rule for each device number";
  if (control->valid == FH_VALID && control->own_mount) return "bind-mounted by hand: no sign of NVIDIA's container toolkit";
  return count_open(f) ? "some of the devices are allowed, these are not" : NULL;
}

void fh_rule_cgroup_never(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || has_owner_of_its_own(f) || fh_case_refused_nodes(&c) == 0) return;
  fh_case seen = c;
  if (worked_once(&seen)) return;
  const char *how = brought_by(f);
  if (fh_case_saw(&c, how != NULL, f->where.platform_source, "%s", how ? how : ""))
    fh_case_gpu(&c, fh_may_be_no_filter(f) ? FH_POSSIBLE : FH_CONSISTENT,
                "%s is refused (EPERM) by the device filter, which was never told to allow it", c.evidence[0].source);
  else
    fh_case_gpu(&c, FH_POSSIBLE, "%s is refused (EPERM) by the device filter; likely it was never allowed", c.evidence[0].source);
}

/* ---- EACCES: mount flags, then permission bits ----------------------------------------------------------------- */

void fh_rule_node_nodev(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(judgement->facts, &i));)
    fh_case_saw(&c, node->is_char && node->nodev && node->open_errno == EACCES, node->path, "EACCES; mounted nodev at %s",
                node->mount ? node->mount->point : "?");
  if (c.evidence_count) fh_case_gpu(&c, FH_PROVEN, "%s lies on a mount with the option nodev, which forbids devices", c.evidence[0].source);
}

/* An owner or group that this user namespace has no number for. */
static bool owner_is_unmapped(const fh_node *node) {
  enum { OVERFLOW_ID = 65534 };
  return node->st.uid == OVERFLOW_ID || node->st.gid == OVERFLOW_ID;
}

static bool refused_by_bits(const fh_node *node) { return node->is_char && node->open_errno == EACCES && !node->dac_allows; }

/* Permission bits refuse because ids are lost on the way into the user namespace. */
static bool lost_in_translation(const fh_facts *f) {
  const fh_node *node;
  if (!fh_is_true(f->where.user_namespace)) return false;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    if (refused_by_bits(node) && owner_is_unmapped(node)) return true;
  return false;
}

/* Keeps the nodes whose bits refuse, and who asks; the first of them or NULL. */
static const char *saw_refused_by_bits(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_node *node;
  if (!f->where.id_valid) return NULL;
  int before = c->evidence_count;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    fh_case_saw(c, refused_by_bits(node), node->path, "EACCES; mode %04o, owner %u:%u", (unsigned)(node->st.mode & 07777),
                (unsigned)node->st.uid, (unsigned)node->st.gid);
  const char *first = c->evidence_count > before ? c->evidence[before].source : NULL;
  fh_case_saw(c, first != NULL, "this process", "uid %u, gid %u, %d more groups", f->where.id.uid, f->where.id.gid, f->where.id.gid_count);
  return first;
}

void fh_rule_node_dac(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || lost_in_translation(f)) return;
  const char *first = saw_refused_by_bits(&c);
  if (!first) return;
  bool known = f->where.user_namespace.valid != FH_UNKNOWN_FACT;
  fh_case_gpu(&c, known ? FH_CONSISTENT : FH_POSSIBLE, "user %u may not open %s: its permission bits do not allow it", f->where.id.uid,
              first);
}

/* ---- user namespaces ------------------------------------------------------------------------------------------------ */

void fh_rule_rootless(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || f->where.platform == FH_PLATFORM_LXC ||
      !fh_case_saw(&c, fh_is_true(f->where.user_namespace), f->where.user_namespace.source,
                   "a user namespace: not all ids of the machine exist here"))
    return;
  fh_case bits = c;
  const char *first = lost_in_translation(f) ? saw_refused_by_bits(&bits) : NULL;
  if (first)
    fh_case_gpu(&bits, FH_CONSISTENT, "%s belongs to an id that does not exist in this user namespace (65534), so its group cannot help",
                first);
  else if (in_rootless_engine(f) && !fh_slurm_without_gpu(f) && fh_case_refused_nodes(&c) > 0)
    fh_case_gpu(&c, fh_may_be_no_filter(f) ? FH_POSSIBLE : FH_CONSISTENT,
                "%s is refused (EPERM) by a device filter around this rootless container, which its engine may not change",
                c.evidence[1].source);
}

void fh_rule_lxc_proxmox(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) ||
      !fh_case_saw(&c, f->where.platform == FH_PLATFORM_LXC, f->where.platform_source, "%s", f->where.platform_name))
    return;
  const fh_node *uvm = fh_facts_node(f, "/dev/nvidia-uvm");
  const char *first = lost_in_translation(f) ? saw_refused_by_bits(&c) : NULL;
  if (first)
    fh_case_gpu(&c, FH_CONSISTENT,
                "%s belongs to an id outside of this unprivileged LXC container (65534), and its mode lets no stranger in", first);
  else if (fh_case_saw(&c, only_uvm_refused(f), uvm->path, "EPERM, device number %u:%u", uvm->st.rdev_major, uvm->st.rdev_minor) &&
           fh_case_saw(&c, true, "/dev/nvidiactl", "not refused: number 195 is allowed"))
    fh_case_gpu(&c, uvm->expected_major < 0 ? FH_POSSIBLE : FH_CONSISTENT,
                "the LXC container may not open /dev/nvidia-uvm: no rule allows its present number %u", uvm->st.rdev_major);
}

/* ---- ENOENT: part of the set ------------------------------------------------------------------------------------- */

void fh_rule_device_partial(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  bool control = fh_facts_node(f, "/dev/nvidiactl")->valid == FH_ABSENT;
  bool numbered = fh_facts_node(f, "/dev/nvidia0")->valid == FH_ABSENT && fh_nvidia_numbered_present(f) == 0;
  bool uvm = fh_facts_node(f, "/dev/nvidia-uvm")->valid == FH_ABSENT;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !fh_container_by_engine(f) || fh_nvidia_nodes_present(f) == 0) return;
  if (!control && (!numbered || fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "none"))) return; /* at most nvidia-uvm: another cause */
  if (!control && fh_named_gpus_missing(f)) return;
  fh_case_saw(&c, control, "/dev/nvidiactl", "ENOENT");
  fh_case_saw(&c, numbered, "/dev/nvidia0", "ENOENT, and no other card");
  fh_case_saw(&c, uvm, "/dev/nvidia-uvm", "ENOENT");
  int missing = c.evidence_count;
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) fh_case_saw(&c, true, node->path, "present");
  if (missing == 1)
    fh_case_gpu(&c, FH_CONSISTENT, "%s is not in this container, other GPU device nodes are", c.evidence[0].source);
  else
    fh_case_gpu(&c, FH_CONSISTENT, "%s and %d more of the GPU's device nodes are not in this container", c.evidence[0].source, missing - 1);
}
