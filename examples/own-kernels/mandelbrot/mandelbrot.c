/* The contract of mandelbrot: steps of z = z^2 + c near the origin. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rows.h"

enum { RE, IM, STEPS };

static const fh_view_param params[] = {
    {"re", FH_ROLE_IN, FH_F32, "(...), rank 1 to 3", false},
    {"im", FH_ROLE_IN, FH_F32, "that of re", false},
    {"steps", FH_ROLE_OUT, FH_F32, "that of re", false},
};
static const fh_scalar_param scalars_of[] = {{"iterations", 'i', 100, "most steps tried, 0 to 2^24"}};

static fh_status mandelbrot_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  *out = (fh_bound){0};
  int64_t count = 0;
  FH_TRY(fh_check_rows("mandelbrot", params, views, STEPS, &count));
  FH_TRY(fh_check_view("mandelbrot", &params[IM], &views[IM], 1, 3));
  FH_TRY(fh_check_same_shape("mandelbrot", params, views, RE, IM));
  if (scalars[0].i < 0 || scalars[0].i > 1 << 24)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_mandelbrot: iterations is %lld, expected 0 to 2^24 (a float counts no further)",
                     (long long)scalars[0].i);
  if (count == 0) return FH_OK;

  const fh_rows rows[] = {fh_rows_of(&views[RE]), fh_rows_of(&views[IM]), fh_rows_of(&views[STEPS])};
  fh_stage *stage = fh_add_rows_stage(out, 0, &rows[RE], 8.0 * (double)scalars[0].i); /* entry 0; operations on an element */
  fh_push(stage, fh_op_view(FH_OPERAND_IN, RE, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, IM, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, STEPS, 0));
  FH_PUSH_I64(stage, rows[RE].n1, rows[RE].d, scalars[0].i);
  for (int v = RE; v <= STEPS; v++) FH_PUSH_I64(stage, rows[v].s0, rows[v].s1, rows[v].step);
  out->bytes = 12.0 * (double)count;
  return FH_OK;
}

/* In float, like the text: the map is chaotic, so a reference in double would answer another question. */
static float steps_of(float cr, float ci, int64_t iterations) {
  float zr = 0, zi = 0, steps = 0;
  for (int64_t i = 0; i < iterations; i++) {
    const float rr = zr * zr, ii = zi * zi;
    if (rr + ii <= 4.0f) steps += 1;
    zi = (zr + zr) * zi + ci;
    zr = (rr - ii) + cr;
  }
  return steps;
}

static void mandelbrot_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_rows re = fh_rows_of(&views[RE]), im = fh_rows_of(&views[IM]), steps = fh_rows_of(&views[STEPS]);
  for (int64_t row = 0; row < re.rows; row++)
    for (int64_t i = 0; i < re.d; i++)
      ((float *)data[STEPS])[fh_rows_at(&steps, row, i)] =
          steps_of(((const float *)data[RE])[fh_rows_at(&re, row, i)], ((const float *)data[IM])[fh_rows_at(&im, row, i)], scalars[0].i);
}

static bool mandelbrot_case_at(int i, fh_case *out) {
  if (!fh_rows_case(i, out)) return false; /* sets view 0, which is RE */
  out->views[IM] = out->views[STEPS] = out->views[RE];
  out->scalars[0].i = 20;
  return true;
}

const fh_kernel_contract fh_contract_mandelbrot = {
    .name = "mandelbrot",
    .version = 1,
    .summary = "steps of z = z^2 + c that stay within |z| <= 2",
    .formula = "z[0] = 0, z[n+1] = z[n]^2 + c; counts n with |z[n]| <= 2 (Mandelbrot 1980)",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("mandelbrot"),
    FH_EXACT_WITHIN(0, 0, "each operation rounds once: the result is fixed"),
    .bind = mandelbrot_bind,
    .reference = mandelbrot_reference,
    .case_at = mandelbrot_case_at,
};
