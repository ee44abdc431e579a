/* AMD's compute driver (amdgpu and its KFD), and what of ROCm is installed. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

static const char topology[] = "/sys/class/kfd/kfd/topology/nodes";
enum { MAX_KFD_NODES = 256 };

/* ---- the KFD's topology ----------------------------------------------------------------------------------- */

static int64_t property(const char *text, const char *key, int64_t otherwise) {
  size_t size;
  const char *value = fh_key_value(text, key, ' ', &size);
  int64_t number;
  return value && fh_take_i64(&value, &number) ? number : otherwise;
}

/* location_id is bus, device and function as PCI packs them. */
static const char *pci_address(fh_gather *g, const char *properties) {
  int64_t location = property(properties, "location_id", -1), domain = property(properties, "domain", 0);
  if (location < 0 || location > 0xffff || domain < 0 || domain > 0xffffffff) return "";
  return fh_arena_format(g->arena, "%04x:%02x:%02x.%x", (unsigned)domain, (unsigned)location >> 8, (unsigned)location >> 3 & 0x1f,
                         (unsigned)location & 7);
}

static int small(int64_t number, int otherwise) { return number >= 0 && number <= INT32_MAX ? (int)number : otherwise; }

static void read_kfd_node(fh_gather *g, const char *name) {
  fh_facts_amd *amd = &g->facts->amd;
  fh_kfd_node *node = fh_arena_push(g->arena, &amd->kfd, &amd->kfd_count, sizeof *node);
  if (!node) return;
  node->path = fh_arena_format(g->arena, "%s/%s", topology, name);
  const char *properties = fh_read_text(g, fh_arena_format(g->arena, "%s/properties", node->path), FH_SMALL_FILE, &node->properties_errno);
  node->simd_count = node->render_minor = -1;
  node->pci = "";
  if (!properties) return;
  node->simd_count = small(property(properties, "simd_count", -1), -1);
  node->gfx = small(property(properties, "gfx_target_version", 0), 0);
  int minor = small(property(properties, "drm_render_minor", -1), -1);
  node->render_minor = minor > 0 ? minor : -1; /* 0: none, as CPUs have */
  if (node->simd_count > 0) node->pci = pci_address(g, properties);
}

static void read_topology(fh_gather *g) {
  int count, error;
  const char **names = fh_path_list(g, topology, &count, &error);
  g->facts->amd.topology = !error ? FH_VALID : error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT;
  for (int i = 0; i < count && i < MAX_KFD_NODES; i++) read_kfd_node(g, names[i]);
}

/* ---- what is installed ------------------------------------------------------------------------------------- */

static bool have_gfx(const fh_facts_amd *amd, const char *name) {
  for (int i = 0; i < amd->blas_gfx_count; i++)
    if (strcmp(amd->blas_gfx[i], name) == 0) return true;
  return false;
}

/* "gfx1100" of "TensileLibrary_lazy_gfx1100.dat". */
static void add_gfx(fh_gather *g, const char *file) {
  fh_facts_amd *amd = &g->facts->amd;
  const char *at = strstr(file, "gfx");
  size_t size = at ? 3 + strspn(at + 3, "0123456789abcdef") : 0;
  if (size < 6 || amd->blas_gfx_count == FH_MAX_GFX_NAMES) return;
  const char *name = fh_arena_text_size(g->arena, at, size);
  if (!have_gfx(amd, name)) amd->blas_gfx[amd->blas_gfx_count++] = name;
}

/* The models that rocBLAS has kernels for: what a framework can run on. */
static void read_blas(fh_gather *g) {
  static const char *const folders[] = {"/opt/rocm/lib/rocblas/library", "/usr/lib64/rocblas/library",
                                        "/usr/lib/x86_64-linux-gnu/rocblas/library"};
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    int count, error;
    const char **names = fh_path_list(g, folders[i], &count, &error);
    if (error) continue;
    g->facts->amd.blas_dir = folders[i];
    for (int k = 0; k < count; k++)
      if (strncmp(names[k], "TensileLibrary_lazy_", 20) == 0) add_gfx(g, names[k]);
    return;
  }
}

static const char *hsa_in_rocm(fh_gather *g) {
  static const char *const paths[] = {"/opt/rocm/lib/libhsa-runtime64.so.1", "/opt/rocm/hsa/lib/libhsa-runtime64.so.1"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
    if (fh_path_exists(g, paths[i])) return paths[i];
  return "";
}

static bool has_gpu(const fh_facts_amd *amd) {
  for (int i = 0; i < amd->kfd_count; i++)
    if (amd->kfd[i].simd_count > 0) return true;
  return false;
}

void fh_gather_amd(fh_gather *g) {
  fh_facts_amd *amd = &g->facts->amd;
  amd->module = fh_module_loaded(g, "amdgpu");
  amd->module_version = fh_read_fact(g, "/sys/module/amdgpu/version", 64);
  read_topology(g);
  amd->rocm_version = fh_read_fact(g, "/opt/rocm/.info/version", 64);
  amd->hsa_in_rocm = hsa_in_rocm(g);
  if (has_gpu(amd)) read_blas(g);
  amd->whole_dev = fh_path_fact(g, "/dev/mem");
  if (!fh_path_exists(g, "/dev/dxg")) return;
  amd->dxcore = fh_path_fact(g, "/usr/lib/wsl/lib/libdxcore.so");
  amd->rocdxg = fh_path_fact(g, "/opt/rocm/lib/librocdxg.so");
}
