/* What NVIDIA's Jetson modules show of their integrated GPU. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* Jetson Linux by the kernel that it ships: "5.15.148-tegra" is release 36. */
static const struct {
  const char *kernel;
  int release;
} kernels[] = {{"4.9.", 32}, {"5.10.", 35}, {"5.15.", 36}, {"6.8.", 38}};

static fh_fact_int release_of_kernel(const fh_facts *f) {
  const fh_fact_text *kernel = &f->where.kernel;
  if (kernel->valid == FH_VALID && strstr(kernel->value, "-tegra"))
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
      if (strncmp(kernel->value, kernels[i].kernel, strlen(kernels[i].kernel)) == 0)
        return fh_fact_int_of(kernels[i].release, kernel->source);
  return (fh_fact_int){0, FH_UNKNOWN_FACT, kernel->source};
}

static bool is_release(long number) { return number >= 21 && number <= 99; }

/* "# R35 (release), REVISION: 4.1, GCID: ..." */
static fh_fact_int release_of_file(fh_gather *g) {
  static const char path[] = "/etc/nv_tegra_release";
  const char *text = fh_read_text(g, path, FH_SMALL_FILE, NULL), *mark = text ? strstr(text, "# R") : NULL;
  long number = mark ? strtol(mark + 3, NULL, 10) : 0;
  return is_release(number) ? fh_fact_int_of(number, path) : (fh_fact_int){0, FH_UNKNOWN_FACT, path};
}

/* "35.4.1", "r36.2.0" of NVIDIA's images. */
static fh_fact_int release_of_variable(const fh_facts *f) {
  static const char name[] = "L4T_VERSION";
  const char *value = fh_facts_env(f, name);
  long number = value ? strtol(value + (*value == 'r' || *value == 'R'), NULL, 10) : 0;
  return is_release(number) ? fh_fact_int_of(number, name) : (fh_fact_int){0, FH_UNKNOWN_FACT, name};
}

/* The driver asks there which chip this is. */
static fh_fact_bool find_soc(fh_gather *g) {
  static const char path[] = "/sys/devices/soc0";
  int count, error;
  fh_path_list(g, path, &count, &error);
  if (error == 0) return fh_fact_bool_of(true, path);
  /* refused is as good as absent to a driver: what matters is that it is told nothing */
  return error == ENOENT || error == EACCES || error == EPERM ? fh_fact_bool_of(false, path) : (fh_fact_bool){false, FH_UNKNOWN_FACT, path};
}

void fh_gather_jetson(fh_gather *g) {
  fh_facts_jetson *jetson = &g->facts->jetson;
  if (g->facts->where.platform != FH_PLATFORM_JETSON) return;
  jetson->host_release = release_of_kernel(g->facts);
  jetson->image_release = release_of_variable(g->facts); /* of the image, where it says so; the file may be the host's */
  if (jetson->image_release.valid != FH_VALID) jetson->image_release = release_of_file(g);
  jetson->soc = find_soc(g);
  fh_library_find(g, "libnvrm_gpu.so", &jetson->nvrm);
}
