/* OpenCL registrations: the .icd files, by the rules of the Khronos loader and of ocl-icd. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "detect/gather.h"
#include "detect/parse.h"

static const char default_dir[] = "/etc/OpenCL/vendors";
enum { MAX_ICDS = 64 };

const char *fh_icd_parse(fh_facts_arena *arena, const char *text) {
  const char *line = "";
  size_t size = 0;
  if (!fh_line_next(&text, &line, &size)) return "";
  return fh_arena_text_size(arena, line, size);
}

static bool ends_with(const char *text, const char *end) {
  size_t size = strlen(text), end_size = strlen(end);
  return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static fh_icd *add_icd(fh_gather *g, const char *file, const char *library) {
  fh_facts_opencl *cl = &g->facts->opencl;
  if (cl->count >= MAX_ICDS) return NULL;
  fh_icd *icd = fh_arena_push(g->arena, &cl->icds, &cl->count, sizeof *icd);
  if (!icd) return NULL;
  *icd = (fh_icd){.file = file, .library = library, .error = "", .missing = "", .platform = "", .platform_version = ""};
  if (!*library) return icd;
  fh_library found;
  fh_library_find(g, library, &found);
  icd->lib_valid = found.valid;
  return icd;
}

static void read_file(fh_gather *g, const char *file) {
  int error;
  const char *text = fh_read_text(g, file, FH_SMALL_FILE, &error);
  fh_icd *icd = add_icd(g, file, text ? fh_icd_parse(g->arena, text) : "");
  if (!icd) return;
  if (!text) icd->error = fh_arena_format(g->arena, "%s: %s", file, fh_errno_name(error));
  if (text && !*icd->library) icd->error = fh_arena_format(g->arena, "%s names no library", file);
}

static int read_dir(fh_gather *g, const char *dir) {
  int count, error;
  const char **names = fh_path_list(g, dir, &count, &error);
  for (int i = 0; i < count && g->facts->opencl.count < MAX_ICDS; i++)
    if (ends_with(names[i], ".icd")) read_file(g, fh_arena_format(g->arena, "%s/%s", dir, names[i]));
  return error;
}

static bool is_directory(fh_gather *g, const char *path) {
  fh_os_stat st;
  return fh_path_stat(g, path, true, &st) == 0 && S_ISDIR(st.mode);
}

static const char *non_empty(const fh_facts *f, const char *name) {
  const char *value = fh_facts_env(f, name);
  return value && *value ? value : NULL;
}

void fh_gather_icd_files(fh_gather *g) {
  fh_facts_opencl *cl = &g->facts->opencl;
  const char *variable = "OCL_ICD_VENDORS", *override = non_empty(g->facts, variable);
  if (!override) override = non_empty(g->facts, variable = "OPENCL_VENDOR_PATH");
  if (override) cl->vendors_override = fh_fact_text_of(override, variable);
  const char *place = override ? override : default_dir;
  cl->vendors_dir = fh_fact_text_of(place, override ? variable : "default");
  cl->vendors_valid = FH_VALID;
  if (!override || is_directory(g, place)) {
    int error = read_dir(g, place);
    if (error) cl->vendors_valid = error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT;
  } else if (ends_with(place, ".icd")) { /* ocl-icd: one file, or one library by name */
    if (fh_path_exists(g, place)) {
      read_file(g, place);
    } else {
      cl->vendors_valid = FH_ABSENT;
    }
  } else if (strchr(place, '/') && !fh_path_exists(g, place)) {
    cl->vendors_valid = FH_ABSENT;
  } else {
    add_icd(g, place, place);
  }
}

/* Case does not matter: "libRusticlOpenCL.so.1", "rusticl". */
static bool contains(const char *text, const char *word) {
  size_t size = strlen(word);
  for (; *text; text++)
    if (strncasecmp(text, word, size) == 0) return true;
  return false;
}

bool fh_icd_is(const fh_icd *icd, const char *kind) {
  bool pocl = strcmp(kind, "pocl") == 0 && contains(icd->platform, "Portable Computing Language");
  return pocl || contains(icd->library, kind) || contains(icd->platform, kind);
}

bool fh_cl_is_software(const fh_cl_device *device) {
  static const char *const names[] = {"llvmpipe", "softpipe", "swrast", "lavapipe", "swiftshader", "oclgrind"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (contains(device->name, names[i])) return true;
  return false;
}
