/* Shapes worth measuring on a GPU: working sets past every cache for what memory bounds, the sizes of the targets for the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "bench/gpu/case.h"

#define ELEMENTS "33554432 33554432" /* 128 MiB each */
#define ROWS "32768x1024 32768x1024"

static const gpu_case_spec specs[] = {
    /* What the targets are about first: a run that is cut short has them. */
    {"matmul", "4096x4096 4096x4096 4096x4096", "", "matmul_f32"},
    {"matmul_bf16", "4096x4096 4096x4096 4096x4096", "", "matmul_bf16"},
    {"matmul_f16", "4096x4096 4096x4096 4096x4096", "", "matmul_f16"},
    {"matmul_tf32", "4096x4096 4096x4096 4096x4096", "", "matmul_tf32"},
    {"attention", "4x16x2048x64 4x16x2048x64 4x16x2048x64 4x16x2048x64", "0 0.125", "attention"},
    {"kmeans_step", "60000x784 10x784 60000 60000 10x784 10", "", "kmeans"},
    {"topk", "1024x128 100000x128 1024x10 1024x10", "", "topk"},
    {"axpy", ELEMENTS, "", "memory"},
    {"softmax", ROWS, "", "memory"},
    {"reduce", "32768x1024 32768", "", "memory"},
    {"matmul", "1024x1024 1024x1024 1024x1024", "", "matmul_f32"},
    {"matmul", "2048x2048 2048x2048 2048x2048", "", "matmul_f32"},
    {"kmeans_step", "60000x784 256x784 60000 60000 256x784 256", "", "kmeans"},
    {"kmeans_step", "1000000x128 1024x128 1000000 1000000 1024x128 1024", "", "kmeans"},
    {"layer_norm", "32768x1024 1024 1024 32768x1024", "", "memory"},
    {"exp", ELEMENTS, "", "memory"},
    {"gelu", ELEMENTS, "", "memory"},
    {"matmul", "8192x8192 8192x8192 8192x8192", "", "matmul_f32"},
    {"matmul_bf16", "8192x8192 8192x8192 8192x8192", "", "matmul_bf16"},
    /* Few rows, few tiles and long k, and a layer with its activation. */
    {"matmul", "1x8192 8192x8192 1x8192", "", ""},
    {"matmul_f16", "8x8192 8192x8192 8x8192", "", ""},
    {"matmul", "128x16384 16384x128 128x128", "", ""},
    {"matmul_fused", "4096x1024 1024x4096 4096 4096x4096", "2", ""},
    {"attention", "1x32x4096x128 1x8x4096x128 1x8x4096x128 1x32x4096x128", "1 0.08838834764831845", "attention"},
    {"topk", "32x128 1000000x128 32x100 32x100", "", "topk"},
    {"rms_norm", "32768x1024 1024 32768x1024", "", "memory"},
    {"variance", "32768x1024 32768", "", "memory"},
    {"arg_extreme", "32768x1024 32768", "", "memory"},
    {"dot", "32768x1024 32768x1024 32768", "", "memory"},
    {"silu", ELEMENTS, "", "memory"},
    {"tanh", ELEMENTS, "", "memory"},
    {"log", ELEMENTS, "", "memory"},
};

const gpu_case_spec *gpu_case_at(int index) { return index >= 0 && index < (int)(sizeof specs / sizeof *specs) ? &specs[index] : NULL; }
