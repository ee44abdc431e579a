/* A report for Prometheus and for node-feature-discovery. SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus: text exposition format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). What is not known is
 * left out, for a sample cannot say "unknown". Labels: values as Kubernetes allows them, at most 63 letters, digits, '-', '_', '.',
 * a letter or digit at both ends (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/). */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "tools/devprobe/format.h"
#include "tools/devprobe/machine.h"

/* ---- Prometheus ------------------------------------------------------------------------------------------------------- */

static void metric(fh_text *out, const char *name, const char *help) {
  fh_text_add(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* {name="value", with what would end the value early escaped; control characters of a machine's texts become '?'. */
static void label(fh_text *out, const char *before, const char *name, const char *value) {
  fh_text_add(out, "%s%s=\"", before, name);
  for (const char *c = value ? value : ""; *c; c++) {
    if (*c == '\\' || *c == '"')
      fh_text_add(out, "\\%c", *c);
    else
      fh_text_add(out, "%c", (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
  }
  fh_text_add(out, "\"");
}

static void number(fh_text *out, const char *name, const char *help, bool known, int64_t value) {
  if (!known) return;
  metric(out, name, help);
  fh_text_add(out, "%s %" PRId64 "\n", name, value);
}

static void fact(fh_text *out, const char *name, const char *help, fh_fact_int value) {
  number(out, name, help, value.valid == FH_VALID, value.value);
}

static void prometheus_devices(const fh_judgement *j, fh_text *out) {
  metric(out, "foghorn_device_usable", "1 when this process can use the device; cause says why not.");
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    label(out, "foghorn_device_usable{", "id", d->id);
    label(out, ",", "kind", d->kind);
    label(out, ",", "backend", d->backend);
    label(out, ",", "name", d->name);
    label(out, ",", "uuid", d->uuid);
    label(out, ",", "pci", d->pci);
    label(out, ",", "cause", d->cause);
    label(out, ",", "fake", d->fake ? "yes" : "no");
    fh_text_add(out, "} %d\n", d->usable);
  }
  bool any = false;
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    if (d->memory < 0) continue;
    if (!any) metric(out, "foghorn_device_memory_bytes", "Memory of the device; of the CPU, what this process may still take.");
    any = true;
    label(out, "foghorn_device_memory_bytes{", "id", d->id);
    fh_text_add(out, "} %" PRId64 "\n", d->memory);
  }
}

static void prometheus_findings(const fh_judgement *j, fh_text *out) {
  static const char *const severities[] = {"info", "warning", "error"};
  if (!j->finding_count) return;
  metric(out, "foghorn_finding", "1 for each cause that was found.");
  for (int i = 0; i < j->finding_count; i++) {
    const fh_finding *f = &j->findings[i];
    bool again = false; /* the same cause for two devices of one kind is one series */
    for (int k = 0; k < i && !again; k++)
      again = j->findings[k].cause == f->cause &&
              (j->findings[k].device == f->device || (f->device && j->findings[k].device && strcmp(j->findings[k].device, f->device) == 0));
    if (again) continue;
    label(out, "foghorn_finding{", "id", f->cause->id);
    label(out, ",", "severity", severities[f->severity]);
    label(out, ",", "confidence", fh_confidence_name(f->confidence));
    label(out, ",", "device", f->device);
    fh_text_add(out, "} 1\n");
  }
}

void fh_format_prometheus(const fh_judgement *j, fh_text *out) {
  const fh_facts *facts = j->facts;
  number(out, "foghorn_wrong", "1 when something that is expected here cannot be used.", true, j->wrong);
  metric(out, "foghorn_verdict", "The verdict of devprobe.");
  label(out, "foghorn_verdict{", "verdict", j->verdict);
  fh_text_add(out, "} 1\n");
  prometheus_devices(j, out);
  prometheus_findings(j, out);
  fact(out, "foghorn_cpus_usable", "CPUs that affinity, cpuset and quota leave to this process.", facts->cpu.usable);
  fact(out, "foghorn_cpus_online", "CPUs of the machine.", facts->cpu.online);
  fact(out, "foghorn_cpu_throttled_periods", "Periods in which the quota of this control group stopped it.", facts->cpu.throttled);
  fact(out, "foghorn_memory_usable_bytes", "Memory that this process may still take.", facts->memory.usable);
  fact(out, "foghorn_memory_limit_bytes", "The least memory limit of the control groups above this process.", facts->memory.limit);
}

/* ---- node-feature-discovery -------------------------------------------------------------------------------------------------- */

enum { LABEL_MAX = 63 };

static void feature(fh_text *out, const char *name, const char *value) {
  char clean[LABEL_MAX + 1];
  size_t size = 0;
  for (const char *c = value; *c && size < LABEL_MAX; c++) {
    bool letter = isalnum((unsigned char)*c) && (unsigned char)*c < 0x80;
    if (!letter && size == 0) continue; /* must begin with one */
    clean[size++] = letter || *c == '-' || *c == '.' ? *c : '_';
  }
  while (size && !isalnum((unsigned char)clean[size - 1])) size--;
  clean[size] = 0;
  fh_text_add(out, "foghorn-%s=%s\n", name, clean);
}

static void feature_number(fh_text *out, const char *name, int64_t value) { fh_text_add(out, "foghorn-%s=%" PRId64 "\n", name, value); }

/* Real GPUs: of one backend, or of any, each counted where it was found. */
static int usable_gpus(const fh_judgement *j, const char *backend) {
  int count = 0;
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    count += d->usable && !d->fake && !d->posing && strcmp(d->kind, "gpu") == 0 && strcmp(d->backend, backend) == 0;
  }
  return count;
}

/* The least of all usable ones: what a pod can rely on whichever it gets. */
static void nfd_cuda(const fh_judgement *j, fh_text *out) {
  const fh_found_device *least = NULL;
  int64_t memory = INT64_MAX;
  for (int i = 0; i < j->device_count; i++) {
    const fh_found_device *d = &j->devices[i];
    if (!d->usable || d->fake || strcmp(d->backend, "cuda") != 0) continue;
    if (!least || d->capability < least->capability) least = d;
    if (d->memory >= 0 && d->memory < memory) memory = d->memory;
  }
  if (!least) return;
  fh_text_add(out, "foghorn-cuda.capability=%d.%d\n", least->capability / 10, least->capability % 10);
  feature(out, "cuda.name", least->name);
  if (memory != INT64_MAX) feature_number(out, "cuda.memory-gib", memory >> 30);
  if (j->facts->nvidia.nvrm_version.valid == FH_VALID) feature(out, "cuda.driver", j->facts->nvidia.nvrm_version.value);
}

void fh_format_nfd(const fh_judgement *j, fh_text *out) {
  const fh_finding *primary = fh_judgement_primary(j);
  fh_text_add(out, "# made by devprobe; put into /etc/kubernetes/node-feature-discovery/features.d/\n");
  feature(out, "verdict", j->verdict);
  if (primary) feature(out, "cause", primary->cause->id);
  for (int i = 0; i < j->device_count; i++) { /* one line per backend: at its first device */
    const fh_found_device *d = &j->devices[i];
    bool first = strcmp(d->kind, "gpu") == 0;
    for (int k = 0; k < i && first; k++) first = strcmp(j->devices[k].backend, d->backend) != 0 || strcmp(j->devices[k].kind, "gpu") != 0;
    if (!first) continue;
    fh_text_add(out, "foghorn-%s.gpus=%d\n", d->backend, usable_gpus(j, d->backend));
  }
  nfd_cuda(j, out);
  feature(out, "cpu.isa", fh_isa_name(j->facts->cpu.best));
  if (j->facts->cpu.usable.valid == FH_VALID) feature_number(out, "cpu.usable", j->facts->cpu.usable.value);
}
