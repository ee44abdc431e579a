/* Up to 16 rows, one in each lane, and back. SPDX-License-Identifier: Apache-2.0
 *
 * Element e of row r lies at p[r * rs + e * es], and at block[16 * e + r]; rows that are not there are 0. Few rows are cheaper one element
 * at a time. `step` stands for 16 where the blocks of several 16 rows lie side by side. */
#ifndef FOGHORN_KERNELS_DIALECT_LANES_H_
#define FOGHORN_KERNELS_DIALECT_LANES_H_

FH_INLINE void fh_into_lanes_by(fh_f32_in p, long rs, long es, long rows, long n, fh_f32_out block, long step) {
  long e = 0;
  if (es == 1 && rows > 2)
    for (; e + 16 <= n; e += 16) fh_turn_in(p + e, rs, rows, block + e * step, step);
  for (; e < n; e++) fh_store(block, e * step, 1, fh_load_part(p + e * es, 0, rows, rs, 0.0f));
}
FH_INLINE void fh_into_lanes(fh_f32_in p, long rs, long es, long rows, long n, fh_f32_out block) {
  fh_into_lanes_by(p, rs, es, rows, n, block, 16);
}

FH_INLINE void fh_out_of_lanes(fh_f32_in block, long rows, long n, fh_f32_out p, long rs, long es) {
  long e = 0;
  if (es == 1 && rows > 2)
    for (; e + 16 <= n; e += 16) fh_turn_out(block + 16 * e, 16, rows, p + e, rs);
  for (; e < n; e++) fh_store_part(p + e * es, 0, rows, rs, fh_load(block, 16 * e, 1));
}

#endif /* FOGHORN_KERNELS_DIALECT_LANES_H_ */
