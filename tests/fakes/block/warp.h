/* Operations of a warp for block texts built as C: fragments as the PTX ISA numbers them (9.7.14). SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_WARP_H_
#define FOGHORN_TESTS_FAKES_BLOCK_WARP_H_

#include "tests/fakes/block/emulate.h"

/* A sum as tensor cores round it: towards zero. */
float fake_truncated(double sum);

float fake_shuffle_f(float v, int mask, fake_place place);
int fake_shuffle_i(int v, int mask, fake_place place);

void fake_load_matrices(unsigned out[4], const void *row, fake_place place);
void fake_load_matrices_turned(unsigned out[4], const void *row, fake_place place);

/* d += a b, by the types of the elements. */
void fake_product_bf16(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_product_f16(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_product_tf32(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_product_u8s8(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_product_s8s8(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_mma_f32(fake_warp_fn product, float d[4], const unsigned a[4], const unsigned b[2], fake_place place);
void fake_mma_i32(fake_warp_fn product, int d[4], const unsigned a[4], const unsigned b[2], fake_place place);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_WARP_H_ */
