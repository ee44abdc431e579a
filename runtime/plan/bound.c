/* Is what a contract's bind() filled what its text takes? SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/bound.h"

static const char *kind_name(fh_operand_kind kind) {
  static const char *const names[] = {"nothing", "IN", "OUT", "INOUT", "TEMP", "I64", "F32"};
  return kind >= FH_OPERAND_IN && kind <= FH_OPERAND_F32 ? names[kind] : "no kind of operand";
}

/* What its text calls operand o; without text nothing does. */
static const char *name_of(const fh_entry_image *entry, int o) { return entry->params ? entry->params[o].name : "of no text"; }

static fh_status check_index(const fh_kernel_contract *contract, const fh_bound *bound, const fh_entry_image *entry, int o,
                             const fh_operand *operand) {
  const bool temp = operand->kind == FH_OPERAND_TEMP, view = operand->kind < FH_OPERAND_TEMP;
  const int32_t count = temp ? bound->temp_count : contract->view_count;
  if ((temp || view) && (operand->index < 0 || operand->index >= count))
    return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills operand %d (%s) of %s with %s %d, there are %d", o, name_of(entry, o), entry->entry,
                     temp ? "scratch" : "view", operand->index, count);
  if (view && operand->kind != FH_OPERAND_IN && contract->views[operand->index].role == FH_ROLE_IN)
    return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills operand %d (%s) of %s, which is written, with %s, an input of the contract", o,
                     name_of(entry, o), entry->entry, contract->views[operand->index].name);
  return FH_OK;
}

static fh_status check_operands(const fh_kernel_contract *contract, const fh_bound *bound, const fh_stage *stage,
                                const fh_entry_image *entry) {
  if (stage->operand_count != entry->param_count || entry->param_count > FH_MAX_OPERANDS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills %d operands of %s, its text has %d parameters", stage->operand_count, entry->entry,
                     entry->param_count);
  for (int o = 0; o < entry->param_count; o++) {
    const fh_operand *operand = &stage->operands[o];
    const fh_operand_kind formal = entry->params[o].kind;
    if (operand->kind != formal && !(operand->kind == FH_OPERAND_TEMP && formal < FH_OPERAND_I64))
      return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills operand %d (%s) of %s with %s, its text says %s", o, entry->params[o].name,
                       entry->entry, kind_name(operand->kind), kind_name(formal));
    FH_TRY(check_index(contract, bound, entry, o, operand));
  }
  return FH_OK;
}

/* Without a text nothing declares operands, and bind() may fill others for another rank: tuned functions take them as they are. */
static fh_status check_undeclared(const fh_kernel_contract *contract, const fh_bound *bound, const fh_stage *stage,
                                  const fh_entry_image *entry) {
  if (stage->operand_count < 0 || stage->operand_count > FH_MAX_OPERANDS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills %d operands, at most %d", stage->operand_count, (int)FH_MAX_OPERANDS);
  for (int o = 0; o < stage->operand_count; o++) {
    const fh_operand *operand = &stage->operands[o];
    if (operand->kind < FH_OPERAND_IN || operand->kind > FH_OPERAND_F32)
      return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills operand %d with the value %d, which is no fh_operand_kind", o, (int)operand->kind);
    FH_TRY(check_index(contract, bound, entry, o, operand));
  }
  return FH_OK;
}

/* The reference alone takes no operands. */
static fh_status check_stage(const fh_kernel_contract *contract, const fh_bound *bound, const fh_stage *stage,
                             const fh_entry_image *entry) {
  if (entry->params) return check_operands(contract, bound, stage, entry);
  return contract->tuned_count ? check_undeclared(contract, bound, stage, entry) : FH_OK;
}

/* The stages that something is run by: tuned functions and the reference do the whole of the kernel with the operands of the first. */
static int stages_of(const fh_kernel_image *image, const fh_bound *bound) {
  const bool text = image->cl_source || image->ptx || image->entries[0].cpu[FH_ISA_SCALAR];
  return text || bound->stage_count < 1 ? bound->stage_count : 1;
}

fh_status fh_bound_check(const fh_kernel_image *image, const fh_bound *bound) {
  if (bound->stage_count < 0 || bound->stage_count > FH_MAX_STAGES || bound->temp_count < 0 || bound->temp_count > FH_MAX_TEMPS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills %d stages and %d pieces of scratch, at most %d and %d", bound->stage_count,
                     bound->temp_count, FH_MAX_STAGES, FH_MAX_TEMPS);
  for (int s = 0; s < stages_of(image, bound); s++) {
    const fh_stage *stage = &bound->stages[s];
    if (stage->entry < 0 || stage->entry >= image->entry_count)
      return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills stage %d for entry %d, there are %d", s, stage->entry, image->entry_count);
    if (stage->items < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "bind fills stage %d with %lld items", s, (long long)stage->items);
    FH_TRY(check_stage(image->contract, bound, stage, &image->entries[stage->entry]));
  }
  return FH_OK;
}
