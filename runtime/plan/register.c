/* fh_kernel_register: nothing that a module says is trusted before it was looked at. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "runtime/plan/bound.h"
#include "runtime/plan/registry.h"

enum { NAME_LENGTH = 31, TRIED_CASES = 3 };

#define WRONG(...) FH_STATUS(FH_INVALID_ARGUMENT, "fh_kernel_register: " __VA_ARGS__)

/* ---- the module ------------------------------------------------------------------------------------------------ */

static fh_status check_module(const fh_kernel_module *module) {
  if (!module) return WRONG("module is NULL");
  if (module->abi != FH_KERNEL_ABI)
    return FH_STATUS(FH_INCOMPATIBLE,
                     "fh_kernel_register: module->abi is %u, expected %u\nthe kernel was compiled for another version of Foghorn\n"
                     "next step: build it again with the package of version %s",
                     module->abi, (unsigned)FH_KERNEL_ABI, fh_version());
  if (module->contract_bytes != sizeof(fh_kernel_contract) || module->image_bytes != sizeof(fh_kernel_image))
    return FH_STATUS(FH_INCOMPATIBLE,
                     "fh_kernel_register: a contract of %u bytes and an image of %u, expected %zu and %zu\nthe kernel was compiled for "
                     "another version of Foghorn\nnext step: build it again with the package of version %s",
                     module->contract_bytes, module->image_bytes, sizeof(fh_kernel_contract), sizeof(fh_kernel_image), fh_version());
  if (module->layout != FH_KERNEL_LAYOUT)
    return FH_STATUS(
        FH_INCOMPATIBLE,
        "fh_kernel_register: module->layout is %08x, expected %08x: structures or limits of the contract differ\nthe kernel was "
        "compiled for another version of Foghorn\nnext step: build it again with the package of version %s",
        module->layout, FH_KERNEL_LAYOUT, fh_version());
  if (!module->image || !module->image->contract)
    return WRONG("%s is NULL", module->image ? "the contract of module->image" : "module->image");
  return FH_OK;
}

/* ---- the contract ----------------------------------------------------------------------------------------------- */

static fh_status check_name(const char *name) {
  if (!name) return WRONG("contract->name is NULL");
  const size_t length = strnlen(name, NAME_LENGTH + 1);
  const bool word = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") >= length && length > 0 && (name[0] < '0' || name[0] > '9');
  if (word && length <= NAME_LENGTH) return FH_OK;
  return WRONG("contract->name is \"%.*s\"%s\nexpected 1 to %d of a-z, 0-9 and _, and no digit first", NAME_LENGTH, name,
               length > NAME_LENGTH ? " and more" : "", (int)NAME_LENGTH);
}

static fh_status check_view(const fh_kernel_contract *k, int i) {
  const fh_view_param *v = &k->views[i];
  if (!v->name || !v->shape) return WRONG("%s: views[%d] has no %s", k->name, i, v->name ? "shape in words" : "name");
  if (v->role < FH_ROLE_IN || v->role > FH_ROLE_INOUT)
    return WRONG("%s: views[%d] (%s): the value %d is no fh_view_role", k->name, i, v->name, (int)v->role);
  if (fh_dtype_size(v->dtype) == 0) return WRONG("%s: views[%d] (%s): the value %d is no fh_dtype", k->name, i, v->name, (int)v->dtype);
  if (k->chunks && k->chunks[i] & FH_RANK(0))
    return WRONG("%s: chunks[%d] (%s) names rank 0, expected ranks from 1 on: a scalar has no rows to cut", k->name, i, v->name);
  return FH_OK;
}

static fh_status check_views(const fh_kernel_contract *k) {
  if (k->view_count < 1 || k->view_count > FH_MAX_VIEWS || !k->views)
    return WRONG("%s: %d views, expected 1 to %d", k->name, k->views ? k->view_count : 0, (int)FH_MAX_VIEWS);
  int outputs = 0;
  for (int i = 0; i < k->view_count; i++) {
    FH_TRY(check_view(k, i));
    outputs += k->views[i].role != FH_ROLE_IN;
  }
  return outputs ? FH_OK : WRONG("%s: none of its views is an output", k->name);
}

static fh_status check_scalars(const fh_kernel_contract *k) {
  if (k->scalar_count < 0 || k->scalar_count > FH_MAX_PARAMS || (k->scalar_count > 0 && !k->scalars))
    return WRONG("%s: %d parameters%s, expected 0 to %d", k->name, k->scalar_count, k->scalars ? "" : " and no table", (int)FH_MAX_PARAMS);
  for (int i = 0; i < k->scalar_count; i++) {
    const fh_scalar_param *p = &k->scalars[i];
    if (!p->name || !p->help) return WRONG("%s: scalars[%d] has no %s", k->name, i, p->name ? "help" : "name");
    if (p->type != 'i' && p->type != 'f')
      return WRONG("%s: scalars[%d] (%s) has the type '%c', expected 'i' or 'f'", k->name, i, p->name, p->type);
  }
  return FH_OK;
}

/* Verdicts and profiles go by the name "cpu/<isa>/<name>", which has 48 bytes. */
static fh_status check_tuned_name(const fh_kernel_contract *k, int i) {
  const fh_tuned *t = &k->tuned[i];
  const size_t length = strnlen(t->name, NAME_LENGTH + 1);
  if (length < 1 || length > NAME_LENGTH)
    return WRONG("%s: the name of tuned[%d] is \"%.*s\"%s\nexpected 1 to %d characters", k->name, i, NAME_LENGTH, t->name,
                 length > NAME_LENGTH ? " and more" : "", (int)NAME_LENGTH);
  for (int other = 0; other < i; other++)
    if (k->tuned[other].isa == t->isa && strcmp(k->tuned[other].name, t->name) == 0)
      return WRONG("%s: tuned[%d] and tuned[%d] are both \"%s\" for %s\nexpected a name of its own for each", k->name, other, i, t->name,
                   fh_isa_name(t->isa));
  return FH_OK;
}

static fh_status check_tuned(const fh_kernel_contract *k, const fh_tuned *t, int i) {
  if (!t->name || !t->fn) return WRONG("%s: tuned[%d] has no %s", k->name, i, t->name ? "function" : "name");
  if ((unsigned)t->isa >= FH_ISA_COUNT || (unsigned)t->numerics > FH_EXACT)
    return WRONG("%s: tuned[%d] (%s): isa %d and numerics %d: expected an fh_isa and an fh_numerics", k->name, i, t->name, (int)t->isa,
                 (int)t->numerics);
  if (!(t->efficiency > 0 && t->efficiency <= 1))
    return WRONG("%s: tuned[%d] (%s): efficiency is %g, expected a fraction above 0, at most 1", k->name, i, t->name, t->efficiency);
  if (t->needs >> FH_FEATURE_COUNT) return WRONG("%s: tuned[%d] (%s): needs has bits that are no fh_cpu_feature", k->name, i, t->name);
  return check_tuned_name(k, i);
}

/* Shown as "<device>/<name>", where the device's id has up to 23 bytes of the 48. */
static fh_status check_block_name(const fh_kernel_contract *k, int i) {
  enum { LONGEST = 23 };
  const fh_block_variant *b = &k->blocks[i];
  const size_t length = strnlen(b->name, LONGEST + 1);
  if (length < 1 || length > LONGEST)
    return WRONG("%s: the name of blocks[%d] is \"%.*s\"%s\nexpected 1 to %d characters", k->name, i, LONGEST, b->name,
                 length > LONGEST ? " and more" : "", (int)LONGEST);
  for (int other = 0; other < i; other++)
    if (strcmp(k->blocks[other].name, b->name) == 0)
      return WRONG("%s: blocks[%d] and blocks[%d] are both \"%s\"\nexpected a name of its own for each", k->name, other, i, b->name);
  return FH_OK;
}

/* Launches behind the first one. */
static fh_status check_block_rest(const fh_kernel_contract *k, int i) {
  const fh_block_variant *b = &k->blocks[i];
  const int most = FH_MAX_BLOCK_STEPS - 1;
  if (b->rest_count < 0 || b->rest_count > most || (b->rest_count > 0 && !b->rest))
    return WRONG("%s: blocks[%d] (%s): %d launches behind the first%s, expected 0 to %d", k->name, i, b->name, b->rest_count,
                 b->rest ? "" : " and no table", most);
  for (int s = 0; s < b->rest_count; s++)
    if (!b->rest[s].entry || !b->rest[s].shape)
      return WRONG("%s: blocks[%d] (%s): rest[%d] has no %s", k->name, i, b->name, s, b->rest[s].entry ? "shape" : "entry");
  return FH_OK;
}

/* What only compute capability 9.0 has. */
static fh_status check_block_tensors(const fh_kernel_contract *k, int i) {
  const fh_block_variant *b = &k->blocks[i];
  if (b->map_count < 0 || b->map_count > FH_MAX_TENSOR_MAPS || (b->map_count > 0 && !b->maps))
    return WRONG("%s: blocks[%d] (%s): %d tensor maps%s, expected 0 to %d", k->name, i, b->name, b->map_count,
                 b->maps ? "" : " and no function that fills them", (int)FH_MAX_TENSOR_MAPS);
  if (b->map_count > 0 && b->capability < 90)
    return WRONG("%s: blocks[%d] (%s): tensor maps for capability %d, expected 90 or more", k->name, i, b->name, b->capability);
  return FH_OK;
}

static fh_status check_block(const fh_kernel_contract *k, int i) {
  const fh_block_variant *b = &k->blocks[i];
  const char *missing = !b->name ? "name" : !b->entry ? "entry" : !b->text ? "text" : !b->shape ? "shape" : NULL;
  if (missing) return WRONG("%s: blocks[%d] has no %s", k->name, i, missing);
  if (b->capability < FH_BLOCK_PORTABLE || (unsigned)b->numerics > FH_EXACT)
    return WRONG("%s: blocks[%d] (%s): capability %d and numerics %d: expected %d or more, and an fh_numerics", k->name, i, b->name,
                 b->capability, (int)b->numerics, (int)FH_BLOCK_PORTABLE);
  if (!(b->efficiency > 0 && b->efficiency <= 1))
    return WRONG("%s: blocks[%d] (%s): efficiency is %g, expected a fraction above 0, at most 1", k->name, i, b->name, b->efficiency);
  FH_TRY(check_block_rest(k, i));
  FH_TRY(check_block_tensors(k, i));
  return check_block_name(k, i);
}

static fh_status check_blocks(const fh_kernel_contract *k) {
  if (k->block_count < 0 || (k->block_count > 0 && !k->blocks))
    return WRONG("%s: %d variants for blocks and no table", k->name, k->block_count);
  if (k->block_count > 0 && k->entry_count < 1)
    return WRONG("%s: variants for blocks without a text\nexpected entries: a block's parameters are those of the first", k->name);
  for (int i = 0; i < k->block_count; i++) FH_TRY(check_block(k, i));
  return FH_OK;
}

static fh_status check_functions(const fh_kernel_contract *k) {
  const char *missing = !k->bind ? "bind" : !k->reference ? "reference" : !k->case_at ? "case_at" : NULL;
  if (missing) return WRONG("%s: contract->%s is NULL\nexpected a function: no variant is used that was not tested", k->name, missing);
  if ((unsigned)k->dialect_numerics > FH_EXACT) return WRONG("%s: the value %d is no fh_numerics", k->name, (int)k->dialect_numerics);
  if (!(k->bound_rel >= 0 && k->bound_abs >= 0) || isinf(k->bound_rel) || isinf(k->bound_abs))
    return WRONG("%s: the bound is %g of the result and %g, expected numbers from 0 on", k->name, k->bound_rel, k->bound_abs);
  if (k->inspect ? k->inspects >> k->view_count : k->inspects)
    return WRONG("%s: inspects has bits of views that %s", k->name, k->inspect ? "do not exist" : "nothing inspects: inspect is NULL");
  if (k->tuned_count < 0 || (k->tuned_count > 0 && !k->tuned)) return WRONG("%s: %d tuned variants and no table", k->name, k->tuned_count);
  for (int i = 0; i < k->tuned_count; i++) FH_TRY(check_tuned(k, &k->tuned[i], i));
  return check_blocks(k);
}

static fh_status check_contract(const fh_kernel_contract *k) {
  FH_TRY(check_name(k->name));
  FH_TRY(check_views(k));
  FH_TRY(check_scalars(k));
  return check_functions(k);
}

/* ---- the code ----------------------------------------------------------------------------------------------------- */

static fh_status check_entry(const fh_kernel_image *image, int e) {
  const fh_kernel_contract *k = image->contract;
  const fh_entry_image *entry = &image->entries[e];
  if (!entry->entry || !k->entries || !k->entries[e] || strcmp(entry->entry, k->entries[e]) != 0)
    return WRONG("%s: entry %d of its text is \"%s\", of its contract \"%s\"\nexpected the same name", k->name, e,
                 entry->entry ? entry->entry : "", k->entries && k->entries[e] ? k->entries[e] : "");
  if (entry->param_count < 1 || entry->param_count > FH_MAX_OPERANDS || !entry->params)
    return WRONG("%s: entry %s has %d parameters, expected 1 to %d", k->name, entry->entry, entry->params ? entry->param_count : 0,
                 (int)FH_MAX_OPERANDS);
  for (int p = 0; p < entry->param_count; p++)
    if (!entry->params[p].name || entry->params[p].kind < FH_OPERAND_IN || entry->params[p].kind > FH_OPERAND_F32)
      return WRONG("%s: parameter %d of entry %s: the value %d is no fh_operand_kind, or it has no name", k->name, p, entry->entry,
                   (int)entry->params[p].kind);
  for (int isa = 0; isa < FH_ISA_COUNT; isa++)
    if ((!entry->cpu[FH_ISA_SCALAR] && entry->cpu[isa]) || !entry->cpu[isa] != !image->entries[0].cpu[isa])
      return WRONG(
          "%s: entry %s is compiled for other instruction sets than the first\nexpected all entries for the same ones, scalar "
          "among them",
          k->name, entry->entry);
  return FH_OK;
}

/* Each variant for blocks has its text. */
static fh_status check_block_images(const fh_kernel_image *image) {
  const fh_kernel_contract *k = image->contract;
  if (image->block_count < 0 || (image->block_count > 0 && !image->blocks))
    return WRONG("%s: %d texts for blocks and no table", k->name, image->block_count);
  for (int b = 0; b < image->block_count; b++)
    if (!image->blocks[b].text) return WRONG("%s: text %d for blocks has no name", k->name, b);
  for (int b = 0; b < k->block_count; b++)
    if (k->blocks[b].scratch_bytes && image->entries[0].param_count == FH_MAX_OPERANDS)
      return WRONG("%s: blocks[%d] (%s) has scratch, and entry %s the %d parameters that there may be", k->name, b, k->blocks[b].name,
                   image->entries[0].entry, (int)FH_MAX_OPERANDS);
  for (int b = 0; b < k->block_count; b++)
    if (!fh_block_image_of(image, &k->blocks[b]))
      return WRONG("%s: blocks[%d] (%s): there is no text %s\nexpected the file %s.k beside %s.k", k->name, b, k->blocks[b].name,
                   k->blocks[b].text, k->blocks[b].text, k->name);
  return FH_OK;
}

static fh_status check_image(const fh_kernel_image *image) {
  const fh_kernel_contract *k = image->contract;
  if (image->entry_count == 0) {
    if (!image->cl_source && !image->ptx) return FH_OK; /* the reference runs, and what is tuned */
    return WRONG("%s: a text for devices without a table of its entries", k->name);
  }
  if (image->entry_count < 0 || image->entry_count > FH_MAX_STAGES || !image->entries || image->entry_count != k->entry_count)
    return WRONG("%s: %d entries in its code and %d in its contract\nexpected as many, 1 to %d", k->name,
                 image->entries ? image->entry_count : 0, k->entry_count, (int)FH_MAX_STAGES);
  for (int e = 0; e < image->entry_count; e++) FH_TRY(check_entry(image, e));
  return check_block_images(image);
}

/* ---- what bind() says of its own cases ------------------------------------------------------------------------------- */

static fh_status try_case(const fh_kernel_image *image, int i, const fh_case *c) {
  const fh_kernel_contract *k = image->contract;
  fh_bound bound = {0};
  fh_status status = k->bind(c->views, c->scalars, &bound);
  if (!status) status = fh_bound_check(image, &bound);
  if (!status && i == 0 && bound.stage_count == 0)
    status = FH_STATUS(FH_INVALID_ARGUMENT, "bind finds nothing to do, but the self-test runs this one");
  if (!status) return FH_OK;
  fh_status told = WRONG("%s: case %d (%.*s) of its own: %s", k->name, i, (int)sizeof c->label, c->label, fh_status_message(status));
  fh_status_free(status);
  return told;
}

static fh_status try_cases(const fh_kernel_image *image) {
  const fh_kernel_contract *k = image->contract;
  fh_case c = {0};
  for (int i = 0; i < TRIED_CASES; i++) {
    if (!k->case_at(i, &c)) return i ? FH_OK : WRONG("%s: case_at(0) has no case\nexpected one at least: the self-test's", k->name);
    for (int v = 0; v < k->view_count; v++)
      if (c.views[v].rank < 0 || c.views[v].rank > FH_MAX_RANK || fh_dtype_size(c.views[v].dtype) == 0)
        return WRONG("%s: case %d: %s has rank %d and dtype %d, expected rank 0 to %d and an fh_dtype", k->name, i, k->views[v].name,
                     (int)c.views[v].rank, (int)c.views[v].dtype, FH_MAX_RANK);
    FH_TRY(try_case(image, i, &c));
  }
  return FH_OK;
}

/* ---- the call --------------------------------------------------------------------------------------------------------- */

static fh_status make_record(const void *owner, const fh_kernel_module *module, fh_kernel_record **out_record) {
  FH_TRY(check_module(module));
  FH_TRY(check_contract(module->image->contract));
  FH_TRY(check_image(module->image));
  FH_TRY(fh_record_make(module->image, owner, out_record));
  return try_cases(fh_record_image(*out_record));
}

fh_status fh_kernels_register(const void *owner, const fh_kernel_module *const *modules, int count, const fh_kernel_image **out_images) {
  fh_kernel_record *records[FH_REGISTERED_MAX] = {0};
  fh_status status = FH_OK;
  for (int i = 0; i < count && !status; i++) status = make_record(owner, modules[i], &records[i]);
  if (status) {
    for (int i = 0; i < count; i++) fh_record_free(records[i]);
    return status;
  }
  FH_TRY(fh_registry_add(records, count));
  for (int i = 0; i < count; i++) out_images[i] = fh_record_image(records[i]);
  return FH_OK;
}

fh_status fh_kernel_register(const fh_kernel_module *module, const fh_kernel **out_kernel) {
  const fh_kernel_image *image = NULL;
  if (out_kernel) *out_kernel = NULL;
  FH_TRY(fh_kernels_register(NULL, &module, 1, &image));
  if (out_kernel) *out_kernel = fh_kernel_of(image);
  return FH_OK;
}
