/* devprobe explain: what would run for a launch, and why. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/foghorn.h>

#include "kernels/contract.h"
#include "runtime/base/json.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/kernel_name.h"
#include "tools/devprobe/screen.h"
#include "tools/devprobe/shapes.h"

/* ---- the contract as text ---------------------------------------------------------------------------------- */

static const char *role_name(fh_view_role role) { return role == FH_ROLE_IN ? "in" : role == FH_ROLE_OUT ? "out" : "in, out"; }

static void print_contract(const fh_kernel_contract *contract, const fh_view_spec *specs, fh_screen *screen) {
  fh_screen_line(screen, FH_BOLD, contract->name, "%s", contract->summary);
  if (contract->formula) fh_screen_line(screen, FH_PLAIN, "formula", "%s", contract->formula);
  for (int i = 0; i < contract->view_count; i++) {
    const fh_view_param *p = &contract->views[i];
    char shape[160] = "";
    size_t used = 0;
    for (int l = 0; l < specs[i].shape.rank && used < sizeof shape; l++)
      used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRId64, l ? "x" : "", specs[i].shape.extents[l]);
    fh_screen_line(screen, FH_PLAIN, i ? "" : "operands", "%-10s %-8s %-4s %-24s here %s", p->name, role_name(p->role),
                   fh_dtype_name(p->dtype), p->shape, shape);
  }
  for (int i = 0; i < contract->scalar_count; i++)
    fh_screen_line(screen, FH_PLAIN, i ? "" : "scalars", "%-10s default %g: %s", contract->scalars[i].name, contract->scalars[i].def,
                   contract->scalars[i].help);
  fh_screen_line(screen, FH_PLAIN, "result", "%s; within %g relative + %g: %s",
                 contract->dialect_numerics == FH_EXACT ? "the portable build is exact: the same bits everywhere" : "bounded",
                 contract->bound_rel, contract->bound_abs, contract->bound_source);
  fh_screen_blank(screen);
}

/* ---- the decision -------------------------------------------------------------------------------------------- */

static fh_status decide(const fh_cli *cli, const fh_kernel_contract *contract, const fh_view_spec *specs, bool json, char **out_text) {
  fh_context *context = NULL;
  fh_context_options options = {.devices = fh_cli_value(cli, FH_OPT_DEVICE),
                                .numerics = cli->given[FH_OPT_EXACT] ? FH_EXACT : FH_BOUNDED,
                                .allow_fake = cli->given[FH_OPT_ALLOW_FAKE] > 0};
  FH_TRY(fh_context_create(&options, &context));
  fh_param_value params[FH_MAX_PARAMS];
  for (int i = 0; i < contract->scalar_count; i++) {
    if (contract->scalars[i].type == 'i') {
      params[i].i = (int64_t)contract->scalars[i].def;
    } else {
      params[i].f = contract->scalars[i].def;
    }
  }
  const fh_kernel *kernel = NULL;
  fh_status status = fh_kernel_find(contract->name, &kernel);
  if (!status)
    status =
        fh_explain_shapes(fh_context_queue(context), kernel, specs, contract->view_count, params, contract->scalar_count, json, out_text);
  fh_context_release(context);
  return status;
}

static int explain_command(const fh_cli *cli) {
  int wrong = fh_kernel_plugins(cli);
  if (wrong) return wrong;
  const fh_kernel_image *image = fh_kernel_named(cli->operands[0]);
  if (!image) return fh_kernel_unknown(cli, cli->operands[0]);
  const fh_kernel_contract *contract = image->contract;
  fh_view_spec specs[FH_MAX_VIEWS] = {0};
  wrong = fh_shapes_choose(cli, contract, specs);
  if (wrong) return wrong;
  char *decision = NULL;
  fh_cli_progress_start("opening devices");
  fh_status status = decide(cli, contract, specs, cli->given[FH_OPT_JSON] > 0, &decision);
  fh_cli_progress_stop();
  if (status) return fh_cli_fail(cli, status);
  fh_screen screen = {.color = cli->color};
  if (!cli->given[FH_OPT_JSON]) print_contract(contract, specs, &screen);
  size_t length = strlen(decision);
  fh_text_add(&screen.text, "%s%s", decision, length && decision[length - 1] == '\n' ? "" : "\n");
  free(decision);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_DEVICE, FH_OPT_EXACT, FH_OPT_ALLOW_FAKE};

const fh_cli_command fh_command_explain = {
    .name = "explain",
    .operands = "KERNEL [SHAPE]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "What would run for a launch: candidates, verdicts, predicted costs, choice.",
    .help =
        "SHAPE  the kernel's extents in the order it prints them, joined by x: for matmul\n"
        "       (m, k, n), so 512x64x1000; or one SHAPE for each operand.\n"
        "       Left out: the largest of the kernel's own cases. Nothing is run.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = explain_command,
};
