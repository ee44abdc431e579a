/* oneDNN as a peer of softmax and layer normalisation. SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/onednn.h"

enum { USE_SCALE = 8, USE_SHIFT = 16 };

static bool build_softmax(const fh_peer_call *from, fh_dnnl_call *call) {
  fh_dnnl_layout data;
  fh_dnnl_operation operation;
  const fh_view_desc *x = &from->c->views[0];
  return fh_dnnl_layout_of(x, &data) && fh_dnnl.softmax_forward_desc_init(&operation, FH_DNNL_FORWARD_INFERENCE, &data, x->rank - 1) == 0 &&
         fh_dnnl_describe(call, &operation) && fh_dnnl_add(call, FH_DNNL_SRC, &data, from->data[0]) &&
         fh_dnnl_add(call, FH_DNNL_DST, &data, from->data[1]);
}

static bool build_layer_norm(const fh_peer_call *from, fh_dnnl_call *call) {
  fh_dnnl_layout data, scale;
  fh_dnnl_operation operation;
  return fh_dnnl_layout_of(&from->c->views[0], &data) && fh_dnnl_layout_of(&from->c->views[1], &scale) &&
         fh_dnnl.layer_normalization_forward_desc_init(&operation, FH_DNNL_FORWARD_INFERENCE, &data, NULL, (float)from->c->scalars[0].f,
                                                       USE_SCALE | USE_SHIFT) == 0 &&
         fh_dnnl_describe(call, &operation) && fh_dnnl_add(call, FH_DNNL_SRC, &data, from->data[0]) &&
         fh_dnnl_add(call, FH_DNNL_SCALE, &scale, from->data[1]) && fh_dnnl_add(call, FH_DNNL_SHIFT, &scale, from->data[2]) &&
         fh_dnnl_add(call, FH_DNNL_DST, &data, from->data[3]);
}

static const char *open_softmax(const fh_peer_call *from, void **out_state) { return fh_dnnl_open(from, build_softmax, out_state); }
static const char *open_layer_norm(const fh_peer_call *from, void **out_state) { return fh_dnnl_open(from, build_layer_norm, out_state); }

const fh_peer fh_peers_onednn_rows[] = {
    {"oneDNN", "softmax", "libdnnl2", open_softmax, fh_dnnl_run, fh_dnnl_close, 0},
    {"oneDNN", "layer_norm", "libdnnl2", open_layer_norm, fh_dnnl_run, fh_dnnl_close, 0},
    FH_PEER_END,
};
