/* matmul's tuned entry with an epilogue made of the text's own functions, so that the bits are the text's.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Include with FH_DIALECT_ISA, FH_FUSED_ENTRY and FH_FUSED_PRODUCT defined. */
#ifndef FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_EPILOGUE_H_
#define FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_EPILOGUE_H_

#include "kernels/dialect/prelude_c.h"

#include "kernels/dialect/maths.h"

#include "kernels/dialect/activation.h"
#include "kernels/matmul_fused/matmul_fused.h"

/* A line of elements, steps apart in c and d.. */
FH_INLINE void finish_line(fh_f32_out c, long cs, fh_f32_in d, long ds, long n, long activation) {
  long j = 0;
  for (; j + FH_LANES <= n; j += FH_LANES) fh_store(c, j, cs, fh_activate(fh_add(fh_load(c, j, cs), fh_load(d, j, ds)), activation));
  if (j < n) fh_store_part(c, j, n, cs, fh_activate(fh_add(fh_load_part(c, j, n, cs, 0.0f), fh_load_part(d, j, n, ds, 0.0f)), activation));
}

static void finish_part(const fh_slot *s, int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols) {
  const fh_slot *sc = s + FH_MATMUL_C_STRIDES, *sd = s + FH_MATMUL_D_STRIDES;
  const long m = s[FH_MATMUL_M].i, cs = sc[2].i, ds = sd[2].i;
  for (int64_t r = row; r < row + rows; r++) {
    const long sheet = batch + r / m, i = r % m;
    fh_f32_out c = (fh_f32_out)s[FH_MATMUL_C].p + sheet * sc[0].i + i * sc[1].i + col * cs;
    fh_f32_in d = (fh_f32_in)s[FH_MATMUL_D].cp + sheet * sd[0].i + i * sd[1].i + col * ds;
    if (cs == 1 && ds == 1)
      finish_line(c, 1, d, 1, cols, s[FH_MATMUL_ACTIVATION].i);
    else
      finish_line(c, cs, d, ds, cols, s[FH_MATMUL_ACTIVATION].i);
  }
}

void FH_FUSED_ENTRY(const fh_slot *slots, const fh_team *team) {
  const fh_matmul_epilogue epilogue = {finish_part, slots};
  FH_FUSED_PRODUCT(slots, team, &epilogue);
}

#endif /* FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_EPILOGUE_H_ */
