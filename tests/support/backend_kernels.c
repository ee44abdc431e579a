/* Kernels on a device, compared with the scalar build or the oracle. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/backend_kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

extern const fh_backend_api fh_backend_cpu;

enum { SEED = 42 };

static fh_status run_scalar(const fh_kernel_image *image, const fh_case *c, fh_case_data *data) {
  fh_backend_fixture scalar;
  fh_backend_fixture_open(&fh_backend_cpu, &(fh_backend_options){.threads = 1, .isa_cap = FH_ISA_SCALAR}, 0, &scalar);
  fh_status status = fh_case_run(&scalar, image, FH_ISA_SCALAR, c, data);
  fh_backend_fixture_close(&scalar);
  return status;
}

/* ---- judging -------------------------------------------------------------------------------------------------------- */

static bool same_bits(fh_dtype dtype, const void *got, const void *want) {
  if (memcmp(got, want, fh_dtype_size(dtype)) == 0) return true;
  return dtype == FH_F32 && isnan(*(const float *)got) && isnan(*(const float *)want);
}

static bool within_bound(const fh_kernel_contract *contract, fh_dtype dtype, const void *got, const void *want) {
  if (same_bits(dtype, got, want)) return true;
  if (dtype != FH_F32) return false;
  double g = (double)*(const float *)got, w = (double)*(const float *)want;
  return fabs(g - w) <= contract->bound_rel * fabs(w) + contract->bound_abs;
}

static void note(const fh_kernel_contract *contract, const fh_case *c, int view, size_t at, const void *got, const void *want,
                 fh_kernel_score *score) {
  if (score->first[0]) return;
  if (c->views[view].dtype == FH_F32)
    snprintf(score->first, sizeof score->first, "%s: %s[%zu] is %.9g, not %.9g", c->label, contract->views[view].name, at,
             (double)*(const float *)got, (double)*(const float *)want);
  else
    snprintf(score->first, sizeof score->first, "%s: %s[%zu] is wrong", c->label, contract->views[view].name, at);
}

static bool is_right(const fh_kernel_contract *contract, const fh_case *c, const fh_case_data *got, const fh_case_data *want,
                     fh_kernel_score *score) {
  bool exact = contract->dialect_numerics == FH_EXACT;
  const char *why = !exact && contract->compare ? contract->compare(c, got->views, want->views) : NULL;
  if (why && !score->first[0]) snprintf(score->first, sizeof score->first, "%s: %s", c->label, why);
  if (!exact && contract->compare) return !why;
  for (int v = 0; v < contract->view_count; v++) {
    fh_dtype dtype = c->views[v].dtype;
    size_t size = fh_dtype_size(dtype);
    for (size_t i = 0; i < got->bytes[v] / size; i++) {
      const char *g = (const char *)got->views[v] + i * size, *w = (const char *)want->views[v] + i * size;
      if (exact ? same_bits(dtype, g, w) : within_bound(contract, dtype, g, w)) continue;
      note(contract, c, v, i, g, w, score);
      return false;
    }
  }
  return true;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

static fh_status run_both(const fh_backend_fixture *fixture, const fh_kernel_image *image, const fh_case *c, fh_case_data *got,
                          fh_case_data *want) {
  FH_TRY(fh_case_run(fixture, image, FH_ISA_SCALAR, c, got));
  if (image->contract->dialect_numerics == FH_EXACT) return run_scalar(image, c, want);
  image->contract->reference(c->views, want->views, c->scalars);
  return FH_OK;
}

fh_status fh_run_kernel_cases(const fh_backend_fixture *fixture, const fh_kernel_image *image, int most, fh_kernel_score *out_score) {
  *out_score = (fh_kernel_score){0};
  fh_status status = FH_OK;
  for (int i = 0; i < most && !status; i++) {
    fh_case c;
    fh_case_data got, want;
    memset(&c, 0, sizeof c);
    if (!image->contract->case_at(i, &c)) break;
    fh_case_data_make(image->contract, &c, SEED, &got);
    fh_case_data_make(image->contract, &c, SEED, &want);
    status = run_both(fixture, image, &c, &got, &want);
    if (!status) {
      out_score->cases++;
      out_score->wrong += !is_right(image->contract, &c, &got, &want, out_score);
    }
    fh_case_data_free(&got);
    fh_case_data_free(&want);
  }
  return status;
}
