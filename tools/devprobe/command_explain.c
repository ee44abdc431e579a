/* devprobe explain: what would run for a launch, and why. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/foghorn.h>

#include "kernels/contract.h"
#include "runtime/base/json.h"
#include "runtime/plan/crossover.h"
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

static void default_params(const fh_kernel_contract *contract, fh_param_value params[FH_MAX_PARAMS]) {
  for (int i = 0; i < contract->scalar_count; i++) {
    if (contract->scalars[i].type == 'i') {
      params[i].i = (int64_t)contract->scalars[i].def;
    } else {
      params[i].f = contract->scalars[i].def;
    }
  }
}

static fh_status decide_in(fh_context *context, const fh_kernel_contract *contract, const fh_view_spec *specs, bool json, char **out_text) {
  fh_param_value params[FH_MAX_PARAMS];
  default_params(contract, params);
  const fh_kernel *kernel = NULL;
  FH_TRY(fh_kernel_find(contract->name, &kernel));
  return fh_explain_shapes(fh_context_queue(context), kernel, specs, contract->view_count, params, contract->scalar_count, json, out_text);
}

/* The decision as it is; and as it would be, of the same context. */
typedef struct decisions {
  char *is, *would_be; /* would_be NULL: nothing is assumed */
} decisions;

static fh_status decide(const fh_cli *cli, const fh_kernel_contract *contract, const fh_view_spec *specs, decisions *out) {
  fh_context *context = NULL;
  const bool json = cli->given[FH_OPT_JSON] > 0;
  const char *assumed = fh_cli_value(cli, FH_OPT_ASSUME);
  fh_context_options options = {.devices = fh_cli_value(cli, FH_OPT_DEVICE),
                                .numerics = cli->given[FH_OPT_EXACT] ? FH_EXACT : FH_BOUNDED,
                                .allow_fake = cli->given[FH_OPT_ALLOW_FAKE] > 0};
  FH_TRY(fh_context_create(&options, &context));
  fh_status status = decide_in(context, contract, specs, json, &out->is);
  if (!status && assumed) status = fh_assume(context, assumed);
  if (!status && assumed) status = decide_in(context, contract, specs, json, &out->would_be);
  fh_context_release(context);
  return status;
}

static const char *newline_after(const char *text) {
  const size_t length = strlen(text);
  return length && text[length - 1] == '\n' ? "" : "\n";
}

static void add_text(const fh_cli *cli, const decisions *d, fh_text *text) {
  fh_text_add(text, "%s%s", d->is, newline_after(d->is));
  if (d->would_be) fh_text_add(text, "\nassuming %s:\n%s%s", fh_cli_value(cli, FH_OPT_ASSUME), d->would_be, newline_after(d->would_be));
}

/* One document: what is, and below it what would be. */
static void add_json(const fh_cli *cli, const decisions *d, fh_text *text) {
  if (!d->would_be) {
    add_text(cli, d, text);
    return;
  }
  json_t *is = json_loads(d->is, 0, NULL);
  json_object_set_new(is, "assuming",
                      json_pack("{ss so}", "what", fh_cli_value(cli, FH_OPT_ASSUME), "decision", json_loads(d->would_be, 0, NULL)));
  char *both = fh_json_print(is);
  fh_text_add(text, "%s%s", both ? both : "", both ? newline_after(both) : "");
  free(both);
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
  decisions d = {0};
  fh_cli_progress_start("opening devices");
  fh_status status = decide(cli, contract, specs, &d);
  fh_cli_progress_stop();
  fh_screen screen = {.color = cli->color};
  if (!status && cli->given[FH_OPT_JSON]) {
    add_json(cli, &d, &screen.text);
  } else if (!status) {
    print_contract(contract, specs, &screen);
    add_text(cli, &d, &screen.text);
  }
  free(d.is);
  free(d.would_be);
  if (fh_status_code(status) == FH_INVALID_ARGUMENT && cli->given[FH_OPT_ASSUME]) {
    const int wrong_usage = fh_cli_usage(cli, "--assume: %s", fh_status_message(status));
    fh_status_free(status);
    return wrong_usage;
  }
  if (status) return fh_cli_fail(cli, status);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_DEVICE, FH_OPT_EXACT, FH_OPT_ASSUME, FH_OPT_ALLOW_FAKE};

const fh_cli_command fh_command_explain = {
    .name = "explain",
    .operands = "KERNEL [SHAPE]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "What would run for a launch: candidates, verdicts, predicted costs, choice.",
    .help =
        "SHAPE  the kernel's extents in the order it prints them, joined by x: for matmul\n"
        "       (m, k, n), so 512x64x1000; or one SHAPE for each operand.\n"
        "       Left out: the largest of the kernel's own cases. Nothing is run.\n"
        "Where several devices may be used it says from how many rows on which one is\n"
        "chosen. --assume adds the decision as it would be with another link.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = explain_command,
};
