/* What a device can do at most: reading, and multiply-adds in registers. Compiled to PTX like the kernels. SPDX-License-Identifier: Apache-2.0
 *
 * Both end in a store that no data takes and that no compiler can know of. */

/* Four vectors of 16 bytes in flight for each thread: `vectors` of them in all. */
__kernel void limit_read(__global const float4 *from, long vectors, __global float *to) {
  const long threads = (long)__nvvm_read_ptx_sreg_nctaid_x() * __nvvm_read_ptx_sreg_ntid_x();
  const long first = (long)__nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() + __nvvm_read_ptx_sreg_tid_x();
  float4 a = 0, b = 0, c = 0, d = 0;
  long i = first;
  for (; i + 3 * threads < vectors; i += 4 * threads) {
    a += from[i];
    b += from[i + threads];
    c += from[i + 2 * threads];
    d += from[i + 3 * threads];
  }
  for (; i < vectors; i += threads) a += from[i];
  const float4 sum = (a + b) + (c + d);
  if (sum.x + sum.y + sum.z + sum.w == -1.2345e30f) to[0] = sum.x;
}

/* Sixteen independent chains, so that no addition waits for the one before it: 32 * turns operations of each thread. */
__kernel void limit_fma(long turns, float x, float y, __global float *to) {
  float s[16];
#pragma unroll
  for (int i = 0; i < 16; i++) s[i] = x + i;
#pragma unroll 8
  for (long t = 0; t < turns; t++) {
#pragma unroll
    for (int i = 0; i < 16; i++) s[i] = __builtin_fmaf(s[i], x, y);
  }
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 16; i++) sum += s[i];
  if (sum == -1.2345e30f) to[0] = sum;
}
