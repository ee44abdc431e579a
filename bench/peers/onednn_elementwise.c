/* oneDNN as a peer of the functions of each element: its eltwise primitive. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bench/peers/onednn.h"

/* dnnl_eltwise_..., the one that is meant by a kernel's name. */
static int algorithm_of(const char *kernel) {
  static const struct {
    const char *kernel;
    int algorithm;
  } table[] = {{"tanh", 0x2f}, {"sigmoid", 0xaf}, {"exp", 0xbf}, {"gelu_tanh", 0xcf}, {"silu", 0xdf}, {"log", 0xef}, {"gelu", 0x30}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strcmp(kernel, table[i].kernel) == 0) return table[i].algorithm;
  return 0;
}

static bool build(const fh_peer_call *from, fh_dnnl_call *call) {
  fh_dnnl_layout layout;
  fh_dnnl_operation operation;
  return fh_dnnl_layout_of(&from->c->views[0], &layout) &&
         fh_dnnl.eltwise_forward_desc_init(&operation, FH_DNNL_FORWARD_INFERENCE, algorithm_of(from->contract->name), &layout, 1.0f,
                                           0.0f) == 0 &&
         fh_dnnl_describe(call, &operation) && fh_dnnl_add(call, FH_DNNL_SRC, &layout, from->data[0]) &&
         fh_dnnl_add(call, FH_DNNL_DST, &layout, from->data[1]);
}

static const char *open_call(const fh_peer_call *from, void **out_state) {
  const fh_view_desc *v = from->c->views;
  for (int32_t i = 0; i < v->rank; i++)
    if (v[0].strides[i] != v[1].strides[i]) return "it takes one layout for both";
  return fh_dnnl_open(from, build, out_state);
}

#define ROW(kernel) {"oneDNN", kernel, "libdnnl2", open_call, fh_dnnl_run, fh_dnnl_close, 1e-3}
const fh_peer fh_peers_onednn_elementwise[] = {
    ROW("exp"), ROW("log"), ROW("tanh"), ROW("sigmoid"), ROW("silu"), ROW("gelu"), ROW("gelu_tanh"), FH_PEER_END,
};
