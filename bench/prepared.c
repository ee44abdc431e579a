/* A tuned CPU variant ready to run again and again. SPDX-License-Identifier: Apache-2.0 */
#include "bench/prepared.h"

#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/cpu_device.h"
#include "runtime/base/host_memory.h"
#include "tests/support/isa.h"

const fh_tuned *prepared_variant(const fh_kernel_contract *contract, fh_isa isa) {
  for (int i = 0; i < contract->tuned_count; i++) {
    bool runs = contract->tuned[i].isa == isa && fh_isa_runs(isa);
    for (int f = 0; f < FH_FEATURE_COUNT; f++)
      runs = runs && (!(contract->tuned[i].needs & FH_NEEDS(f)) || fh_feature_runs((fh_cpu_feature)f));
    if (runs) return &contract->tuned[i];
  }
  return NULL;
}

prepared prepared_create(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data,
                         fh_pool *pool) {
  fh_bound bound;
  fh_status status = contract->bind(views, NULL, &bound);
  if (status || bound.stage_count != 1) {
    fprintf(stderr, "bench: %s\n", status ? fh_status_message(status) : "an empty shape has nothing to measure");
    exit(EXIT_FAILURE);
  }
  prepared call = {.variant = variant, .flops = bound.flops};
  for (int i = 0; i < bound.stages[0].operand_count; i++) {
    const fh_operand *op = &bound.stages[0].operands[i];
    if (op->kind == FH_OPERAND_I64)
      call.slots[i].i = op->i;
    else
      call.slots[i].p = (char *)data[op->index] + op->offset;
  }
  int size = fh_pool_size(pool);
  size_t bytes = variant->scratch_bytes ? variant->scratch_bytes(&bound, size) : 0;
  call.team = fh_cpu_team(pool, size, NULL);
  if (bytes && !(call.team.scratch = fh_host_alloc(bytes))) {
    fprintf(stderr, "bench: no memory for %zu bytes of scratch\n", bytes);
    exit(EXIT_FAILURE);
  }
  return call;
}

void prepared_run(void *prepared_call) {
  const prepared *call = prepared_call;
  call->variant->fn(call->slots, &call->team);
}

void prepared_destroy(prepared *call) {
  free(call->team.scratch);
  *call = (prepared){0};
}
