/* Runs a contract's tuned entries directly, without a backend. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/tuned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/guarded.h"

bool tuned_isa_runs(fh_isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == FH_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == FH_ISA_AVX512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#endif
  return isa == FH_ISA_SCALAR;
}

typedef struct loop {
  void (*body)(void *arg, int64_t i, int worker);
  void *arg;
} loop;

static void run_pieces(void *arg, int64_t first, int64_t last, int worker) {
  const loop *l = arg;
  for (int64_t i = first; i < last; i++) l->body(l->arg, i, worker);
}

static void parallel(const fh_team *team, int64_t count, void (*body)(void *arg, int64_t i, int worker), void *arg) {
  loop l = {body, arg};
  fh_pool_run(team->impl, count, 1, run_pieces, &l);
}

static void fill_slots(const fh_stage *stage, void *const *data, fh_slot *slots) {
  for (int i = 0; i < stage->operand_count; i++) {
    const fh_operand *op = &stage->operands[i];
    if (op->kind == FH_OPERAND_I64)
      slots[i].i = op->i;
    else
      slots[i].p = (char *)data[op->index] + op->offset;
  }
}

void tuned_run(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data, fh_pool *pool) {
  fh_bound bound;
  fh_status status = contract->bind(views, NULL, &bound);
  if (status) {
    fprintf(stderr, "bind refused: %s\n", fh_status_message(status));
    abort();
  }
  if (bound.stage_count == 0) return;
  int size = fh_pool_size(pool);
  size_t bytes = variant->scratch_bytes ? (variant->scratch_bytes(&bound, size) + 63) / 64 * 64 : 0;
  guarded scratch = guarded_alloc(bytes, true);
  memset(scratch.memory, 0xff, bytes);
  fh_slot slots[FH_MAX_OPERANDS];
  fill_slots(&bound.stages[0], data, slots);
  fh_team team = {.size = size, .scratch = scratch.memory, .parallel = parallel, .impl = pool};
  variant->fn(slots, &team);
  guarded_free(&scratch);
}

size_t tuned_span(const fh_view_desc *desc, size_t *out_first) {
  size_t size = fh_dtype_size(desc->dtype), below = 0, above = 0;
  *out_first = 0;
  for (int i = 0; i < desc->rank; i++) {
    if (desc->shape[i] == 0) return 0;
    int64_t reach = (desc->shape[i] - 1) * desc->strides[i];
    if (reach < 0)
      below += (size_t)-reach;
    else
      above += (size_t)reach;
  }
  *out_first = below * size;
  return (below + above + 1) * size;
}
