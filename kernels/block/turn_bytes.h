/* Bytes that lie by lines where words of neighbours along k are wanted. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_BLOCK_TURN_BYTES_H_
#define FOGHORN_KERNELS_BLOCK_TURN_BYTES_H_

/* Four words of four bytes each, turned: byte i of word j becomes byte j of word i. */
FH_INLINE void fh_turn_bytes(uint w[4]) {
  const uint even = 0x00ff00ff, odd = 0xff00ff00;
  const uint a = (w[0] & even) | (w[1] & even) << 8, b = (w[0] & odd) >> 8 | (w[1] & odd);
  const uint c = (w[2] & even) | (w[3] & even) << 8, d = (w[2] & odd) >> 8 | (w[3] & odd);
  w[0] = (a & 0xffff) | c << 16;
  w[1] = (b & 0xffff) | d << 16;
  w[2] = a >> 16 | (c & 0xffff0000);
  w[3] = b >> 16 | (d & 0xffff0000);
}

#endif /* FOGHORN_KERNELS_BLOCK_TURN_BYTES_H_ */
