/* OpenBLAS and BLIS as peers of the products, by their C interface. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "bench/peers/peer.h"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef struct blas {
  const char *library, *set_threads, *absent;
} blas;

typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);

typedef struct product {
  sgemm_fn *sgemm;
  int trans[2], ld[3], m, n, k;
  const float *a, *b;
  float *c;
} product;

/* Row-major or column-major with a leading dimension; false for any other strides. */
static bool layout_of(const fh_view_desc *v, int *out_trans, int *out_ld) {
  int64_t rows = v->shape[0], cols = v->shape[1], rs = v->strides[0], cs = v->strides[1];
  bool plain = (cs == 1 || cols <= 1) && (rs >= cols || rows <= 1);
  if (!plain && (rs != 1 || cs < rows)) return false;
  int64_t ld = plain ? (rows > 1 ? rs : cols) : cs;
  *out_trans = plain ? NO_TRANS : TRANS;
  *out_ld = (int)(ld > 1 ? ld : 1);
  return ld < INT32_MAX;
}

static void matmul_run(void *state) {
  const product *p = state;
  p->sgemm(ROW_MAJOR, p->trans[0], p->trans[1], p->m, p->n, p->k, 1.0f, p->a, p->ld[0], p->b, p->ld[1], 0.0f, p->c, p->ld[2]);
}

static const char *matmul_open(const blas *from, const fh_peer_call *call, void **out_state) {
  const fh_view_desc *v = call->c->views;
  product p = {0};
  int trans_c;
  if (v[0].rank != 2) return "it has no batched product";
  if (!layout_of(&v[0], &p.trans[0], &p.ld[0]) || !layout_of(&v[1], &p.trans[1], &p.ld[1]) || !layout_of(&v[2], &trans_c, &p.ld[2]) ||
      trans_c != NO_TRANS)
    return "it takes no such strides";
  void (*set_threads)(int64_t); /* an int of OpenBLAS lies in the same register */
  *(void **)&p.sgemm = fh_peer_symbol(from->library, "cblas_sgemm");
  *(void **)&set_threads = fh_peer_symbol(from->library, from->set_threads);
  if (!p.sgemm || !set_threads) return from->absent;
  set_threads(call->threads);
  p.m = (int)v[2].shape[0];
  p.n = (int)v[2].shape[1];
  p.k = (int)v[0].shape[1];
  p.a = call->data[0];
  p.b = call->data[1];
  p.c = call->data[2];
  product *state = malloc(sizeof *state);
  if (!state) return "no memory";
  *state = p;
  *out_state = state;
  return NULL;
}

static const char *openblas_open(const fh_peer_call *call, void **out_state) {
  static const blas openblas = {"libopenblas.so.0", "openblas_set_num_threads", "libopenblas.so.0 is not here"};
  return matmul_open(&openblas, call, out_state);
}

static const char *blis_open(const fh_peer_call *call, void **out_state) {
  static const blas blis = {"libblis.so.4", "bli_thread_set_num_threads", "libblis.so.4 is not here"};
  return matmul_open(&blis, call, out_state);
}

const fh_peer fh_peers_blas_products[] = {
    {"OpenBLAS", "matmul", "libopenblas0-pthread", openblas_open, matmul_run, free, 0},
    {"BLIS", "matmul", "libblis4-pthread", blis_open, matmul_run, free, 0},
    FH_PEER_END,
};
