/* OpenBLAS as a peer of reductions over all of an array. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "bench/peers/peer.h"

static const char library[] = "libopenblas.so.0";

typedef float one_fn(int n, const float *x, int incx);
typedef float two_fn(int n, const float *x, int incx, const float *y, int incy);

typedef struct vectors {
  one_fn *one;
  two_fn *two;
  int n, incx, incy;
  const float *x, *y;
  float *result;
} vectors;

static void run(void *state) {
  const vectors *v = state;
  *v->result = v->one ? v->one(v->n, v->x, v->incx) : v->two(v->n, v->x, v->incx, v->y, v->incy);
}

/* The function is of one or of two vectors; the result is the last view. */
static const char *open_with(const fh_peer_call *call, const char *function, bool two, void **out_state) {
  const fh_view_desc *x = &call->c->views[0], *y = &call->c->views[two];
  if (x->rank != 1) return "it has vectors only";
  if (x->strides[0] < 1 || y->strides[0] < 1 || x->shape[0] > INT32_MAX) return "it takes no such vector";
  void *symbol = fh_peer_symbol(library, function);
  void (*set_threads)(int);
  *(void **)&set_threads = fh_peer_symbol(library, "openblas_set_num_threads");
  if (!symbol || !set_threads) return "libopenblas.so.0 is not here";
  set_threads(call->threads);
  vectors *v = calloc(1, sizeof *v);
  if (!v) return "no memory";
  *v = (vectors){.n = (int)x->shape[0], .incx = (int)x->strides[0], .incy = (int)y->strides[0]};
  *(void **)(two ? (void *)&v->two : (void *)&v->one) = symbol;
  v->x = call->data[0];
  v->y = call->data[two];
  v->result = call->data[two ? 2 : 1];
  *out_state = v;
  return NULL;
}

/* By the parameter `op` of reduce. */
static const char *reduce_open(const fh_peer_call *call, void **out_state) {
  switch (call->c->scalars[0].i) {
    case 2:
      return open_with(call, "cblas_snrm2", false, out_state);
    case 3:
      return open_with(call, "cblas_sasum", false, out_state);
    default:
      return "it has the norms only";
  }
}

static const char *dot_open(const fh_peer_call *call, void **out_state) { return open_with(call, "cblas_sdot", true, out_state); }

const fh_peer fh_peers_openblas_rows[] = {
    {"OpenBLAS", "reduce", "libopenblas0-pthread", reduce_open, run, free, 0},
    {"OpenBLAS", "dot", "libopenblas0-pthread", dot_open, run, free, 1e-3},
    FH_PEER_END,
};
