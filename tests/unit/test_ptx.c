/* The PTX of every kernel: old enough for every driver, and no arithmetic that another device would round otherwise. That the vendor's
 * assembler takes it, and what it makes of it, is tests/ptx. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
  return failures != 0;
}
