/* How bind() writes stages: their head, and operands one after the other. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_STAGE_H_
#define FOGHORN_KERNELS_STAGE_H_

#include "kernels/tables.h"

/* A call that does nothing yet. What follows the head is written stage by stage and operand by operand: clearing all 3 KiB of it takes
 * as long as a short kernel. */
static inline void fh_bound_clear(fh_bound *out) {
  out->stage_count = out->temp_count = 0;
  out->flops = out->bytes = 0;
}

/* The next stage of a bound call, without operands. */
static inline fh_stage *fh_add_stage(fh_bound *out, int entry, int64_t items, double flops_per_item) {
  fh_stage *stage = &out->stages[out->stage_count++];
  stage->entry = entry;
  stage->operand_count = 0;
  stage->items = items;
  stage->flops_per_item = flops_per_item;
  return stage;
}

static inline void fh_push(fh_stage *stage, fh_operand operand) { stage->operands[stage->operand_count++] = operand; }
static inline void fh_push_i64(fh_stage *stage, const int64_t *values, size_t count) {
  for (size_t i = 0; i < count; i++) fh_push(stage, fh_op_i64(values[i]));
}
#define FH_PUSH_I64(STAGE, ...) fh_push_i64(STAGE, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* Views [first, last] in their order, as what their roles say. */
static inline void fh_push_views(fh_stage *stage, const fh_view_param *params, int first, int last) {
  static const fh_operand_kind kinds[] = {[FH_ROLE_IN] = FH_OPERAND_IN, [FH_ROLE_OUT] = FH_OPERAND_OUT, [FH_ROLE_INOUT] = FH_OPERAND_INOUT};
  for (int i = first; i <= last; i++) fh_push(stage, fh_op_view(kinds[params[i].role], i, 0));
}
/* The strides of views [first, last]. */
static inline void fh_push_strides(fh_stage *stage, const fh_view_desc *v, int first, int last) {
  for (int i = first; i <= last; i++) fh_push_i64(stage, v[i].strides, (size_t)v[i].rank);
}

#endif /* FOGHORN_KERNELS_STAGE_H_ */
