/* The Foghorn dialect, the part that is the same text on every backend. SPDX-License-Identifier: Apache-2.0
 *
 * A kernel is one C99 text that three compilers read: C (prelude_c.h, once per instruction set), OpenCL C 1.2 (prelude_cl.h, on GPUs
 * prelude_cl_lanes.h) and clang's OpenCL front end for PTX (prelude_ptx.h). It works on one item at a time, with 16 lanes:
 *
 *   fh_vf, fh_vi, fh_vm     16 floats, 16 ints, 16 truth values. In C a few vector registers, in OpenCL a float16; in PTX, and in
 *                           OpenCL's work-items on GPUs, one value in each of 16 threads (lanes_in_threads.h).
 *   float, int, long        uniform: the same for all lanes. Operators work on these; `long` has 64 bits everywhere.
 *   fh_f32_in, fh_f32_out   pointers to elements in memory; likewise fh_i32_in, fh_i32_out, fh_i64_in, fh_u8_in, fh_u8_out (bytes of either
 *                           sign), fh_u16_in, fh_u16_out (bf16 and f16). Only as arguments of the primitives below. Any byte
 *                           alignment is legal on the CPU.
 *
 * Rules that make a text exact, bit for bit, on every backend:
 *   - Each operation rounds once, to nearest even. Nothing is fused but what says fh_fma, and that is fused everywhere: SSE4.2 and
 *     plain C have no instruction for it and compute the same bits in about 20, so a text uses it where it gains accuracy or speed.
 *   - Denormals are kept. NaN is kept; its payload is not defined. fh_min and fh_max return the second operand when the
 *     operands are equal or one is a NaN, on every backend: fh_max(lo, x) and fh_min(hi, x) keep a NaN in x.
 *   - Reductions over lanes add in the order of the tree 8, 4, 2, 1.
 *   - No libc: functions of a real argument come from maths.h.
 * Rules that make it legal on all:
 *   - An item never writes what another reads or writes. It reads back only what the same lane wrote: element e of a row
 *     belongs to lane e mod 16 when every loop starts at 0 and steps by multiples of 16.
 *   - Control flow depends on uniform values only.
 *
 * A function is FH_INLINE, or FH_OUTLINE where it is rare and large (the strided form of a row): in C it then leaves the registers of the
 * usual form alone. FH_LARGE is inline where fh_fma is an instruction.
 *
 * Primitives (each prelude):
 *   fh_splat(f) fh_splat_i(i) fh_lane_below(n)            16 equal lanes; the lanes below n
 *   fh_add fh_sub fh_mul fh_div fh_sqrt fh_min fh_max fh_abs fh_neg          fh_vf
 *   fh_fma(a, b, c)                                       a b + c, rounded once
 *   fh_lt fh_le fh_gt fh_ge fh_eq -> fh_vm, fh_select(m, a, b) fh_select_i   m ? a : b
 *   fh_and_m fh_or_m fh_not_m                             fh_vm
 *   fh_any(m)                         true if a lane may be: for a longer way that few lanes need. It gives the others what the
 *                                     short way gives, for on a device each lane may ask for itself
 *   fh_add_i fh_sub_i fh_mul_i fh_and_i fh_or_i fh_shl_i(v, n) fh_sar_i(v, n)   fh_vi, wrapping; n uniform
 *   fh_as_i fh_as_f fh_to_f                               bits, bits, conversion of int to float
 *   fh_load(p, i, s)                  lanes from elements i..i+15 of a row with stride s (in elements)
 *   fh_load_part(p, i, n, s, fill)    the same below element n, `fill` above; nothing past n is touched
 *   fh_store(p, i, s, v) fh_store_part(p, i, n, s, v)
 *   fh_load_TYPE(p, i, s) fh_load_TYPE_part(p, i, n, s, fill) fh_store_TYPE(p, i, s, v) fh_store_TYPE_part(p, i, n, s, v)
 *                                     TYPE i32, u16, u8, i8: fh_vi, of which a store keeps the low bits (i8: fh_store_u8)
 *                                     TYPE bf16, f16: fh_vf; widening is exact, narrowing rounds to nearest even
 *   fh_store_stream(p, i, v)          past the caches, for results that fit none: stride 1, p + i on a 64-byte boundary, in an
 *                                     entry of FH_ENTRY_STREAMING
 *   fh_stream_head(p)                 elements of p before such a boundary; -1: there is none, or nothing is gained here
 *   fh_load_u8x3(p, i, &a, &b, &c)    48 bytes p[3 i ..]: three interleaved channels -> fh_vi
 *   fh_turn_in(p, s, rows, out, step)      16 elements of each of `rows` rows (at most 16) that begin s apart:
 *                                     out[e step + row] = p[row s + e], and 0 for the rows that are not there
 *   fh_turn_in_by(p, s, rows, by, bs, out, step)  the same times by[e bs]
 *   fh_turn_out(in, step, rows, p, s) the way back: p[row s + e] = in[e step + row]
 *   fh_gather(p, v, n, s, fill)       lane by lane element v of a row of n with stride s; `fill` where v is not in [0, n)
 *   fh_count_at(p, v, n, tables)      p[(l mod tables) n + v] += 1 for each lane l with v in [0, n); tables: 1, 2, 4, 8 or 16. Lanes
 *                                     may name the same place. Read the counts back only in a later stage
 *   fh_lanes_meet()                   what any lane wrote before it, every lane of the item may read, write and count at after it
 *   fh_trunc_i(v)                     towards zero, for |v| < 2^31
 *   fh_sum_of(v) fh_max_of(v) fh_min_of(v)                uniform results
 *   fh_first(m)                                           the lowest lane of m, 16 when it has none: uniform
 *   fh_get(p, i) fh_put(p, i, f) fh_get_i32 fh_put_i32 fh_get_i64 fh_get_u8 fh_get_i8 fh_get_bf16    one uniform element; only the first
 * lane puts fh_get_put(p, i) fh_get_put_i32   one uniform element that fh_put of this very item wrote fh_increment(p, i) p[i] += 1 once per
 * item; read the count back only in a later stage fh_add_u fh_mul_u fh_sqrt_u(f) fh_fma_u fh_min_u fh_max_u FH_INFINITY FH_NAN  uniform
 *
 * An entry: its parameters once, as a macro; then the body for one item, whose number is fh_item. Scratch (TEMP) for the use of one
 * item alone is indexed by fh_desk: items with the same fh_desk never run at the same time, and it is below the number of items.
 * On the CPU that is the first item of the share that a thread works off, so that its scratch stays in its cache.
 *   #define softmax_PARAMS(P) P(IN, x) P(OUT, y) P(I64, d)
 *   FH_ENTRY(softmax) { ... }
 * Kinds: IN, OUT, INOUT, TEMP (float), IN_U8, OUT_U8, IN_U16, OUT_U16, IN_I32, IN_I64, OUT_I32, TEMP_I32, I64, F32.
 */

/* ---- parameters ---- */
#define FH_TYPE_IN fh_f32_in
#define FH_TYPE_OUT fh_f32_out
#define FH_TYPE_INOUT fh_f32_out
#define FH_TYPE_TEMP fh_f32_out
#define FH_TYPE_IN_U8 fh_u8_in
#define FH_TYPE_OUT_U8 fh_u8_out
#define FH_TYPE_IN_U16 fh_u16_in
#define FH_TYPE_OUT_U16 fh_u16_out
#define FH_TYPE_IN_I32 fh_i32_in
#define FH_TYPE_IN_I64 fh_i64_in
#define FH_TYPE_OUT_I32 fh_i32_out
#define FH_TYPE_TEMP_I32 fh_i32_out
#define FH_TYPE_I64 long
#define FH_TYPE_F32 float

#define FH_ITEM_PARAM(kind, name) , FH_TYPE_##kind name FH_UNUSED
#define FH_ITEM_ARGUMENT(kind, name) , name

/* ---- places ----
 * Offset of row `row` in outer dimensions (any, n1) with strides s0, s1. */
FH_INLINE long fh_row_offset(long row, long n1, long s0, long s1) { return row < n1 ? row * s1 : row / n1 * s0 + row % n1 * s1; }

/* ---- narrow types ----
 * bf16 is the upper half of an f32. */
FH_INLINE fh_vi fh_sign_i8(fh_vi v) { return fh_sar_i(fh_shl_i(v, 24), 24); }
FH_INLINE fh_vf fh_widen_bf16(fh_vi v) { return fh_as_f(fh_shl_i(v, 16)); }
FH_INLINE fh_vi fh_low16(fh_vi v) { return fh_and_i(v, fh_splat_i(0xffff)); }

/* Half a unit less one, and one more where the last bit kept is set: nearest even. A NaN must not become an infinity. */
FH_INLINE fh_vi fh_narrow_bf16(fh_vf x) {
  const fh_vi bits = fh_as_i(x), odd = fh_and_i(fh_sar_i(bits, 16), fh_splat_i(1));
  const fh_vi rounded = fh_add_i(fh_add_i(bits, fh_splat_i(0x7fff)), odd);
  return fh_low16(fh_sar_i(fh_select_i(fh_eq(x, x), rounded, fh_or_i(bits, fh_splat_i(0x400000))), 16));
}

/* The bits in their f32 places, times 2^112 for the other bias, is exact and right for denormals too; infinity and NaN have the
 * highest exponent in both types. */
FH_INLINE fh_vf fh_widen_f16(fh_vi v) {
  const fh_vi magnitude = fh_shl_i(fh_and_i(v, fh_splat_i(0x7fff)), 13), sign = fh_shl_i(fh_and_i(v, fh_splat_i(0x8000)), 16);
  const fh_vf scaled = fh_mul(fh_as_f(magnitude), fh_splat(0x1p112f));
  const fh_vi special = fh_or_i(magnitude, fh_splat_i(0x7f800000));
  return fh_as_f(fh_or_i(fh_select_i(fh_lt(scaled, fh_splat(65536.0f)), fh_as_i(scaled), special), sign));
}

/* Normal results: as for bf16, with the bias moved. Denormal ones: adding 0.5, whose last bit weighs 2^-24, rounds. */
FH_INLINE fh_vi fh_narrow_f16(fh_vf x) {
  const fh_vf a = fh_abs(x);
  const fh_vi bits = fh_as_i(a), odd = fh_and_i(fh_sar_i(bits, 13), fh_splat_i(1));
  const fh_vi normal = fh_sar_i(fh_add_i(fh_add_i(bits, fh_splat_i(0xfff - (112 << 23))), odd), 13);
  const fh_vi denormal = fh_sub_i(fh_as_i(fh_add(a, fh_splat(0.5f))), fh_splat_i(0x3f000000));
  const fh_vi finite = fh_select_i(fh_lt(a, fh_splat(0x1p-14f)), denormal, normal);
  const fh_vi special = fh_select_i(fh_eq(x, x), fh_splat_i(0x7c00), fh_splat_i(0x7e00));
  return fh_or_i(fh_select_i(fh_lt(a, fh_splat(65520.0f)), finite, special), fh_and_i(fh_sar_i(fh_as_i(x), 16), fh_splat_i(0x8000)));
}

FH_INLINE fh_vi fh_load_i8(fh_u8_in p, long i, long s) { return fh_sign_i8(fh_load_u8(p, i, s)); }
FH_INLINE fh_vi fh_load_i8_part(fh_u8_in p, long i, long n, long s, int fill) { return fh_sign_i8(fh_load_u8_part(p, i, n, s, fill)); }
#define FH_DEFINE_16BIT(TYPE)                                                                                           \
  FH_INLINE fh_vf fh_load_##TYPE(fh_u16_in p, long i, long s) { return fh_widen_##TYPE(fh_load_u16(p, i, s)); }         \
  FH_INLINE fh_vf fh_load_##TYPE##_part(fh_u16_in p, long i, long n, long s, float fill) {                              \
    return fh_select(fh_lane_below(n - i), fh_widen_##TYPE(fh_load_u16_part(p, i, n, s, 0)), fh_splat(fill));           \
  }                                                                                                                     \
  FH_INLINE void fh_store_##TYPE(fh_u16_out p, long i, long s, fh_vf v) { fh_store_u16(p, i, s, fh_narrow_##TYPE(v)); } \
  FH_INLINE void fh_store_##TYPE##_part(fh_u16_out p, long i, long n, long s, fh_vf v) {                                \
    fh_store_u16_part(p, i, n, s, fh_narrow_##TYPE(v));                                                                 \
  }
FH_DEFINE_16BIT(bf16)
FH_DEFINE_16BIT(f16)

/* ---- several accumulators into one ---- */
FH_INLINE fh_vf fh_add4(fh_vf a, fh_vf b, fh_vf c, fh_vf d) { return fh_add(fh_add(a, b), fh_add(c, d)); }
FH_INLINE fh_vf fh_max4(fh_vf a, fh_vf b, fh_vf c, fh_vf d) { return fh_max(fh_max(a, b), fh_max(c, d)); }

/* ---- two rows of d elements ---- */
FH_INLINE fh_vf fh_add_square(fh_vf sum, fh_vf a, fh_vf b) {
  const fh_vf difference = fh_sub(a, b);
  return fh_add(sum, fh_mul(difference, difference));
}
/* The sum of (x - y)^2, and that of x y. */
FH_INLINE float fh_row_squares(fh_f32_in x, long xs, fh_f32_in y, long ys, long d) {
  fh_vf sum = fh_splat(0.0f);
  long i = 0;
  for (; i + 16 <= d; i += 16) sum = fh_add_square(sum, fh_load(x, i, xs), fh_load(y, i, ys));
  if (i < d) sum = fh_add_square(sum, fh_load_part(x, i, d, xs, 0.0f), fh_load_part(y, i, d, ys, 0.0f));
  return fh_sum_of(sum);
}
FH_INLINE float fh_row_dot(fh_f32_in x, long xs, fh_f32_in y, long ys, long d) {
  fh_vf sum = fh_splat(0.0f);
  long i = 0;
  for (; i + 16 <= d; i += 16) sum = fh_add(sum, fh_mul(fh_load(x, i, xs), fh_load(y, i, ys)));
  if (i < d) sum = fh_add(sum, fh_mul(fh_load_part(x, i, d, xs, 0.0f), fh_load_part(y, i, d, ys, 0.0f)));
  return fh_sum_of(sum);
}

/* ---- exp ----
 * Adding 1.5 * 2^23 rounds to an integer and leaves it, plus the exponent bias, in the low bits. maths.h has the whole exp and more. */
#define FH_EXP_MAGIC 12583039.0f /* 1.5 * 2^23 + 127 */

/* exp(x) for x <= 0, cheaper: 2^n 2^f, n = round(x / ln 2), 2^f = 1 + f q(f) with q a minimax polynomial of degree 4 for |f| <= 1/2,
 * relative error 2^-23.4. f is off by 0.22 u |x| / ln 2, what the float for 1 / ln 2 is off: together within (4 + |x| / 4) u, u = 2^-24.
 * exp(0) is 1; results below 2^-125.9 are 0; a NaN stays. */
FH_INLINE fh_vf fh_exp_negative(fh_vf x) {
  const fh_vf log2e = fh_splat(0x1.715476p+0f), magic = fh_splat(FH_EXP_MAGIC);
  const fh_vf t = fh_fma(x, log2e, magic);
  const fh_vf f = fh_fma(x, log2e, fh_sub(magic, t));
  fh_vf p = fh_fma(fh_splat(0x1.5bba14p-10f), f, fh_splat(0x1.3cea88p-7f));
  p = fh_fma(p, f, fh_splat(0x1.c6b752p-5f));
  p = fh_fma(p, f, fh_splat(0x1.ebf9bcp-3f));
  p = fh_fma(p, f, fh_splat(0x1.62e42ap-1f));
  p = fh_mul(fh_fma(p, f, fh_splat(1.0f)), fh_as_f(fh_shl_i(fh_as_i(t), 23)));
  return fh_select(fh_lt(x, fh_splat(-87.3f)), fh_splat(0.0f), p);
}

/* ---- the kernel's own text ---- */
