/* oneDNN for its peers: opening, and what every call does. SPDX-License-Identifier: Apache-2.0 */
#include "bench/peers/onednn.h"

#include <stdlib.h>

enum { ENGINE_CPU = 1, STREAM_IN_ORDER = 1 };
enum { F16 = 1, BF16 = 2, F32 = 3, S32 = 4, S8 = 5, U8 = 6 };

fh_dnnl_library fh_dnnl;

static bool load(void) {
  const struct {
    void **function;
    const char *symbol;
  } wanted[] = {
#define WANTED(result, name, parameters) {(void **)&fh_dnnl.name, "dnnl_" #name},
      FH_DNNL_FUNCTIONS(WANTED)
#undef WANTED
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    if (!(*wanted[i].function = fh_peer_symbol("libdnnl.so.2", wanted[i].symbol))) return false;
  *(void **)&fh_dnnl.set_threads = fh_peer_symbol("libgomp.so.1", "omp_set_num_threads");
  return fh_dnnl.set_threads;
}

static bool start(void) {
  if (fh_dnnl.stream) return true;
  return (fh_dnnl.engine || fh_dnnl.engine_create(&fh_dnnl.engine, ENGINE_CPU, 0) == 0) &&
         fh_dnnl.stream_create(&fh_dnnl.stream, fh_dnnl.engine, STREAM_IN_ORDER) == 0;
}

const char *fh_dnnl_open(const fh_peer_call *from, bool (*build)(const fh_peer_call *from, fh_dnnl_call *call), void **out_state) {
  if (!load()) return "libdnnl.so.2 (oneDNN, version 2) with libgomp.so.1 is not here";
  fh_dnnl.set_threads(from->threads);
  if (!start()) return "it gives no engine for the CPU";
  fh_dnnl_call *call = calloc(1, sizeof *call);
  if (!call) return "no memory";
  if (!build(from, call)) {
    fh_dnnl_close(call);
    return "it refuses this case";
  }
  *out_state = call;
  return NULL;
}

void fh_dnnl_run(void *state) {
  const fh_dnnl_call *call = state;
  fh_dnnl.primitive_execute(call->primitive, fh_dnnl.stream, call->count, call->arguments);
  fh_dnnl.stream_wait(fh_dnnl.stream);
}

void fh_dnnl_close(void *state) {
  fh_dnnl_call *call = state;
  for (int i = 0; i < call->count; i++) fh_dnnl.memory_destroy(call->arguments[i].memory);
  if (call->primitive) fh_dnnl.primitive_destroy(call->primitive);
  if (call->described) fh_dnnl.primitive_desc_destroy(call->described);
  for (int i = 0; i < FH_DNNL_MOST_BUFFERS; i++) free(call->buffers[i]);
  free(call);
}

int fh_dnnl_type(fh_dtype dtype) {
  return dtype == FH_BF16 ? BF16 : dtype == FH_F16 ? F16 : dtype == FH_F32 ? F32 : dtype == FH_I32 ? S32 : dtype == FH_I8 ? S8 : U8;
}

bool fh_dnnl_layout_of(const fh_view_desc *v, fh_dnnl_layout *out) {
  return fh_dnnl.memory_desc_init_by_strides(out, v->rank, v->shape, fh_dnnl_type(v->dtype), v->strides) == 0;
}

bool fh_dnnl_describe(fh_dnnl_call *call, const fh_dnnl_operation *operation) {
  return fh_dnnl.primitive_desc_create(&call->described, operation, NULL, fh_dnnl.engine, NULL) == 0 &&
         fh_dnnl.primitive_create(&call->primitive, call->described) == 0;
}

bool fh_dnnl_add(fh_dnnl_call *call, int what, const fh_dnnl_layout *layout, void *data) {
  if (call->count == FH_DNNL_MOST_ARGUMENTS) return false;
  fh_dnnl_argument *argument = &call->arguments[call->count];
  argument->what = what;
  if (fh_dnnl.memory_create(&argument->memory, layout, fh_dnnl.engine, data) != 0) return false;
  call->count++;
  return true;
}
