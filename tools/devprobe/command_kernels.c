/* devprobe kernels: the kernels of this build and their contracts, as the registry has them. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/plan/registry.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/kernel_name.h"
#include "tools/devprobe/screen.h"

enum { NAME_WIDTH = 20 };

static const char *numerics_name(fh_numerics numerics) { return numerics == FH_EXACT ? "exact" : "bounded"; }

static const char *role_name(const fh_view_param *view) {
  switch (view->role) {
    case FH_ROLE_IN:
      return view->may_alias_output ? "in, or the output itself" : "in";
    case FH_ROLE_OUT:
      return "out";
    case FH_ROLE_INOUT:
      return "in and out";
  }
  return "?";
}

/* ---- the list ----------------------------------------------------------------------------------------------- */

static int emit_list(const fh_cli *cli) {
  fh_screen screen = {.color = cli->color};
  for (int i = 0; i < fh_kernel_count(); i++) {
    const fh_kernel_contract *contract = fh_kernel_numbered(i)->contract;
    fh_screen_item(&screen, FH_BOLD, NAME_WIDTH, contract->name, "%s (%s)", contract->summary, numerics_name(contract->dialect_numerics));
  }
  fh_screen_blank(&screen);
  fh_screen_headline(&screen, FH_PLAIN, 0, "%d kernels; devprobe kernels NAME tells one in full.", fh_kernel_count());
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

/* ---- one in full ------------------------------------------------------------------------------------------------ */

static void print_variants(const fh_kernel_image *image, fh_screen *screen) {
  const fh_kernel_contract *contract = image->contract;
  if (fh_image_has_text(image))
    fh_screen_line(screen, FH_DIM, "variants", "%s: the text, for every instruction set, OpenCL%s",
                   numerics_name(contract->dialect_numerics), image->ptx ? " and CUDA" : "; not for CUDA in this build");
  else
    fh_screen_line(screen, FH_DIM, "variants", "the reference: there is no text%s", image->cl_source ? " for the CPU" : "");
  for (int i = 0; i < contract->tuned_count; i++) {
    const fh_tuned *tuned = &contract->tuned[i];
    fh_screen_line(screen, FH_DIM, "", "%s: cpu/%s/%s", numerics_name(tuned->numerics), fh_isa_name(tuned->isa), tuned->name);
  }
}

/* Where a variant for blocks runs. */
static void print_blocks(const fh_kernel_image *image, fh_screen *screen) {
  const fh_kernel_contract *contract = image->contract;
  for (int i = 0; i < contract->block_count; i++) {
    const fh_block_variant *block = &contract->blocks[i];
    const fh_block_image *text = fh_block_image_of(image, block);
    fh_screen_line(screen, FH_DIM, "", "%s: cuda/%s, for compute capability %d.%d%s%s", numerics_name(block->numerics), block->name,
                   block->capability / 10, block->capability % 10, block->only ? " alone" : " and later",
                   block->capability == FH_BLOCK_PORTABLE && text && text->cl_source ? ", and OpenCL" : "");
  }
}

static int emit_one(const fh_cli *cli, const fh_kernel_image *image) {
  const fh_kernel_contract *contract = image->contract;
  fh_screen screen = {.color = cli->color};
  fh_screen_headline(&screen, FH_BOLD, strlen(contract->name), "%s: %s", contract->name, contract->summary);
  fh_screen_blank(&screen);
  fh_screen_line(&screen, FH_DIM, "formula", "%s", contract->formula);
  for (int i = 0; i < contract->view_count; i++) {
    const fh_view_param *view = &contract->views[i];
    fh_screen_line(&screen, FH_BOLD, view->name, "%s %s: %s", fh_dtype_name(view->dtype), view->shape, role_name(view));
  }
  for (int i = 0; i < contract->scalar_count; i++) {
    const fh_scalar_param *scalar = &contract->scalars[i];
    fh_screen_line(&screen, FH_BOLD, scalar->name, "%s, default %g: %s", scalar->type == 'i' ? "integer" : "number", scalar->def,
                   scalar->help);
  }
  fh_screen_line(&screen, FH_DIM, "numerics", "%s; against double precision |error| <= %g |result| + %g: %s",
                 contract->dialect_numerics == FH_EXACT ? "the same bits from every variant that is called exact" : "bounded",
                 contract->bound_rel, contract->bound_abs, contract->bound_source);
  print_variants(image, &screen);
  print_blocks(image, &screen);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

/* ---- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *views_json(const fh_kernel_contract *contract) {
  static const char *const roles[] = {[FH_ROLE_IN] = "in", [FH_ROLE_OUT] = "out", [FH_ROLE_INOUT] = "inout"};
  json_t *list = json_array();
  for (int i = 0; i < contract->view_count; i++) {
    const fh_view_param *view = &contract->views[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", view->name, "role", roles[view->role], "dtype",
                                          fh_dtype_name(view->dtype), "shape", view->shape, "may_alias_output", view->may_alias_output));
  }
  return list;
}

static json_t *scalars_json(const fh_kernel_contract *contract) {
  json_t *list = json_array();
  for (int i = 0; i < contract->scalar_count; i++) {
    const fh_scalar_param *scalar = &contract->scalars[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:s}", "name", scalar->name, "type", scalar->type == 'i' ? "integer" : "number",
                                          "default", scalar->def, "help", scalar->help));
  }
  return list;
}

static json_t *tuned_json(const fh_kernel_contract *contract) {
  json_t *list = json_array();
  for (int i = 0; i < contract->tuned_count; i++) {
    const fh_tuned *tuned = &contract->tuned[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", tuned->name, "isa", fh_isa_name(tuned->isa), "numerics",
                                          numerics_name(tuned->numerics)));
  }
  return list;
}

static json_t *blocks_json(const fh_kernel_contract *contract) {
  json_t *list = json_array();
  for (int i = 0; i < contract->block_count; i++) {
    const fh_block_variant *block = &contract->blocks[i];
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:i, s:b, s:b}", "name", block->name, "numerics", numerics_name(block->numerics), "capability",
                        block->capability, "only", block->only, "opencl", block->capability == FH_BLOCK_PORTABLE));
  }
  return list;
}

static json_t *kernel_json(const fh_kernel_image *image) {
  const fh_kernel_contract *contract = image->contract;
  json_t *object = json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", contract->name, "version", contract->version, "summary",
                             contract->summary, "formula", contract->formula, "numerics", numerics_name(contract->dialect_numerics));
  json_object_set_new(
      object, "bound",
      json_pack("{s:f, s:f, s:s}", "relative", contract->bound_rel, "absolute", contract->bound_abs, "source", contract->bound_source));
  json_object_set_new(object, "views", views_json(contract));
  json_object_set_new(object, "scalars", scalars_json(contract));
  json_object_set_new(object, "tuned", tuned_json(contract));
  json_object_set_new(object, "blocks", blocks_json(contract));
  json_object_set_new(object, "cuda", json_boolean(image->ptx != NULL));
  return object;
}

static int emit_json(const fh_cli *cli, const fh_kernel_image *one) {
  json_t *list = json_array();
  for (int i = 0; i < fh_kernel_count(); i++)
    if (!one || one == fh_kernel_numbered(i)) json_array_append_new(list, kernel_json(fh_kernel_numbered(i)));
  return fh_cli_emit_json(cli, json_pack("{s:s, s:o}", "schema", "foghorn.kernels/1", "kernels", list), FH_EXIT_OK);
}

/* ---- the command --------------------------------------------------------------------------------------------------- */

static int kernels_command(const fh_cli *cli) {
  const int wrong = fh_kernel_plugins(cli);
  if (wrong) return wrong;
  const fh_kernel_image *one = cli->operand_count ? fh_kernel_named(cli->operands[0]) : NULL;
  if (cli->operand_count && !one) return fh_kernel_unknown(cli, cli->operands[0]);
  if (cli->given[FH_OPT_JSON]) return emit_json(cli, one);
  return one ? emit_one(cli, one) : emit_list(cli);
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_COLOR};

const fh_cli_command fh_command_kernels = {
    .name = "kernels",
    .operands = "[KERNEL]",
    .operands_min = 0,
    .operands_max = 1,
    .summary = "The kernels of this build; one in full: operands, formula, error bound, variants.",
    .help = "",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = kernels_command,
};
