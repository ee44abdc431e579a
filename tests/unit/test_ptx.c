/* The PTX of every kernel: old enough for every driver, no arithmetic that another device would round otherwise, and taken by the
 * vendor's assembler. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=300 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/contract.h"

enum { MAX_PTX_VERSION = 60, NOT_RUN = 77 };

static int failures;

static void fail(const char *kernel, const char *what, const char *line) {
  printf("FAILED %s: %s: %.100s\n", kernel, what, line);
  failures++;
}

/* ---- the text ------------------------------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The dot-separated parts of an instruction's name contain this one. */
static bool has_part(const char *instruction, const char *part) {
  size_t n = strlen(part);
  for (const char *p = strchr(instruction, '.'); p; p = strchr(p + 1, '.'))
    if (strncmp(p + 1, part, n) == 0 && (p[n + 1] == '.' || p[n + 1] == 0)) return true;
  return false;
}

static bool is_f32(const char *instruction) { return has_part(instruction, "f32") || has_part(instruction, "f64"); }

/* What makes a result depend on the device: contraction, flushing, approximation, rounding that is not stated. NULL: nothing. */
static const char *inexact(const char *instruction, bool fma_is_asked_for) {
  if (has_part(instruction, "ftz")) return "flushes denormals";
  if (has_part(instruction, "approx") || has_part(instruction, "full")) return "is approximate";
  if (begins(instruction, "mad.") && is_f32(instruction)) return "is a multiply-add";
  if (begins(instruction, "fma.") && is_f32(instruction) && !fma_is_asked_for) return "is fused though the text asks for none";
  bool rounds = begins(instruction, "add.") || begins(instruction, "sub.") || begins(instruction, "mul.") || begins(instruction, "div.") ||
                begins(instruction, "sqrt.") || begins(instruction, "fma.");
  if (rounds && is_f32(instruction) && !has_part(instruction, "rn")) return "may be contracted: its rounding is not stated";
  return NULL;
}

static void check_line(const char *kernel, const char *line, bool fma_is_asked_for) {
  char word[64];
  int major, minor;
  while (isspace((unsigned char)*line)) line++;
  if (sscanf(line, ".version %d.%d", &major, &minor) == 2 && 10 * major + minor > MAX_PTX_VERSION) fail(kernel, "the PTX is too new", line);
  if (begins(line, ".target") && !begins(line, ".target sm_60")) fail(kernel, "the target is not sm_60", line);
  if (*line == '@') line = line + strcspn(line, " \t"), line += strspn(line, " \t"); /* a predicate */
  if (sscanf(line, "%63[a-z0-9_.]", word) != 1) return;
  const char *why = inexact(word, fma_is_asked_for);
  if (why) fail(kernel, why, line);
}

static void check_text(const fh_kernel_image *image) {
  const char *own = strstr(image->cl_source, "/* ---- the kernel's own text ---- */"); /* behind the prelude */
  if (!own) {
    fail(image->contract->name, "the text lacks the line behind the prelude", "");
    return;
  }
  static const char *const fused[] = {"fh_fma", "fh_exp"};
  bool fma = false;
  for (size_t i = 0; i < sizeof fused / sizeof *fused; i++) fma = fma || strstr(own, fused[i]);
  for (const char *line = image->ptx; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    char copy[256];
    size_t n = strcspn(line, "\n");
    snprintf(copy, sizeof copy, "%.*s", (int)(n < sizeof copy ? n : sizeof copy - 1), line);
    check_line(image->contract->name, copy, fma);
  }
}

/* The check must be able to fail. */
static void check_the_check(void) {
  static const struct {
    const char *word;
    bool fma, bad;
  } cases[] = {{"add.rn.f32", false, false},   {"add.f32", false, true},         {"fma.rn.f32", false, true},
               {"fma.rn.f32", true, false},    {"mad.f32", true, true},          {"mul.rn.ftz.f32", false, true},
               {"div.full.f32", false, true},  {"sqrt.approx.f32", false, true}, {"mad.lo.s64", false, false},
               {"mul.wide.u32", false, false}, {"ex2.approx.f32", false, true},  {"ld.param.f32", false, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if ((inexact(cases[i].word, cases[i].fma) != NULL) != cases[i].bad) fail("the check itself", "judges wrongly", cases[i].word);
}

/* ---- the assembler ---------------------------------------------------------------------------------------------------- */

static const char *find_ptxas(void) {
  static const char *const places[] = {"/usr/local/cuda/bin/ptxas", "/usr/bin/ptxas", "/usr/lib/nvidia-cuda-toolkit/bin/ptxas"};
  const char *named = getenv("PTXAS");
  if (named && access(named, X_OK) == 0) return named;
  if (system("command -v ptxas >/dev/null 2>&1") == 0) return "ptxas";
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (access(places[i], X_OK) == 0) return places[i];
  return NULL;
}

static bool write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  if (!file) return false;
  bool good = fputs(text, file) >= 0;
  return fclose(file) == 0 && good;
}

typedef struct assembled {
  bool unsupported; /* this ptxas no longer knows the architecture */
  bool good;
  int registers, spill_bytes;
  char error[160];
} assembled;

static void read_output(FILE *pipe, assembled *out) {
  char line[512];
  while (fgets(line, sizeof line, pipe)) {
    const char *used = strstr(line, "Used "), *spill = strstr(line, " bytes spill stores");
    int value;
    if (strstr(line, "is not defined for option")) out->unsupported = true;
    if (used && sscanf(used, "Used %d registers", &value) == 1 && value > out->registers) out->registers = value;
    if (spill) {
      while (spill > line && isdigit((unsigned char)spill[-1])) spill--;
      out->spill_bytes += atoi(spill);
    }
    if (strstr(line, "error") || strstr(line, "fatal")) snprintf(out->error, sizeof out->error, "%.*s", (int)strcspn(line, "\n"), line);
  }
}

static assembled assemble(const char *ptxas, const char *file, const char *arch) {
  char command[512];
  assembled out = {0};
  snprintf(command, sizeof command, "'%s' -arch=%s -v -o /dev/null '%s' 2>&1", ptxas, arch, file);
  FILE *pipe = popen(command, "r");
  if (!pipe) return out;
  read_output(pipe, &out);
  int status = pclose(pipe);
  out.good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return out;
}

static void assemble_kernel(const char *ptxas, const char *folder, const fh_kernel_image *image) {
  static const char *const archs[] = {"sm_60", "sm_75", "sm_80", "sm_90", "sm_100"};
  char file[128];
  snprintf(file, sizeof file, "%s/kernel.ptx", folder);
  if (!write_file(file, image->ptx)) fail(image->contract->name, "cannot write", file);
  for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
    assembled result = assemble(ptxas, file, archs[i]);
    if (result.unsupported)
      printf("%-16s %-7s not known to this ptxas\n", image->contract->name, archs[i]);
    else if (!result.good)
      fail(image->contract->name, archs[i], result.error);
    else
      printf("%-16s %-7s %3d registers, %d bytes spilled\n", image->contract->name, archs[i], result.registers, result.spill_bytes);
  }
  unlink(file);
}

int main(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  check_the_check();
  for (int i = 0; i < count; i++) {
    if (images[i].ptx) continue;
    printf("NOT RUN: %s: %s\n", images[i].contract->name, images[i].ptx_missing);
    return failures ? 1 : NOT_RUN;
  }
  for (int i = 0; i < count; i++) check_text(&images[i]);
  printf("%d kernels: PTX %d.%d at most, no contraction, no approximation: %s\n", count, MAX_PTX_VERSION / 10, MAX_PTX_VERSION % 10,
         failures ? "FAILED" : "ok");
  const char *ptxas = find_ptxas();
  if (!ptxas) {
    puts("NOT RUN: the PTX was read but not assembled: no ptxas here (apt: nvidia-cuda-toolkit, or set PTXAS)");
    return failures ? 1 : NOT_RUN;
  }
  char folder[] = "/tmp/foghorn-ptx-XXXXXX";
  if (!mkdtemp(folder)) fail("all", "no folder for the assembler", folder);
  for (int i = 0; i < count; i++) assemble_kernel(ptxas, folder, &images[i]);
  rmdir(folder);
  return failures != 0;
}
