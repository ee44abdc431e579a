/* devprobe bench --calibrate: measures this machine, so that the planner chooses by what is and not by a guess.
 * SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/calibrate.h"

#include <stdio.h>

#include "runtime/plan/profile.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/interrupt.h"

static const double usual_seconds = 45;

static void progress(void *unused, const char *kernel, double gone) {
  (void)unused;
  fh_cli_progress_update("measuring %s: %.0f %% of the time", kernel, 100 * gone);
}

static fh_status calibrate(const fh_cli *cli, double seconds, fh_context *context, fh_calibration *out) {
  fh_calibration_options options = {
      .kernel = cli->operand_count ? cli->operands[0] : NULL, .seconds = seconds, .progress = progress, .stop = fh_interrupt_stop};
  FH_TRY(fh_profile_writable(context)); /* before it has taken its time */
  FH_TRY(fh_calibrate(context, &options, out));
  return fh_profile_save(context);
}

static int tell(const fh_cli *cli, const fh_context *context, const fh_calibration *done) {
  int status = fh_interrupted() ? FH_EXIT_INTERRUPTED : FH_EXIT_OK;
  char path[600];
  snprintf(path, sizeof path, "%s/profile.json", context->config.cache_dir);
  if (cli->given[FH_OPT_QUIET]) return status;
  if (cli->given[FH_OPT_JSON])
    return fh_cli_emit_json(cli,
                            json_pack("{ss so si si si si si sb}", "schema", "foghorn.calibration/1", "profile", fh_json_text(path),
                                      "kernels", done->kernels, "sizes", done->sizes, "times", done->times, "links", done->links,
                                      "left_out", done->left_out, "interrupted", fh_interrupted()),
                            status);
  fh_text text = {0};
  fh_text_add(&text, "calibrated: %d variants' times of %d sizes of %d kernels, kept in %s\n", done->times, done->sizes, done->kernels,
              path);
  if (done->links) fh_text_add(&text, "the links of %d device%s were measured, both ways\n", done->links, done->links == 1 ? "" : "s");
  if (done->left_out)
    fh_text_add(&text, "%d larger sizes were left out: %s\n", done->left_out,
                fh_interrupted() ? "interrupted" : "the time was up; --within SECONDS gives more");
  return fh_cli_emit_text(cli, &text, status);
}

/* The options of bench that mean nothing here: to take them and do nothing would be to promise what is not done. */
static const fh_cli_option others[] = {FH_OPT_THREADS, FH_OPT_ROUNDS, FH_OPT_VARIANTS, FH_OPT_EXACT, FH_OPT_NO_PEERS, FH_OPT_PEERS,
                                       FH_OPT_PYTHON,  FH_OPT_SAVE,   FH_OPT_COMPARE,  FH_OPT_PLOT,  FH_OPT_INJECT};

int fh_calibrate_machine(const fh_cli *cli) {
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    if (cli->given[others[i]]) return fh_cli_usage(cli, "--%s does not go with --calibrate", fh_cli_option_name(others[i]));
  if (cli->operand_count > 1) return fh_cli_usage(cli, "--calibrate takes a kernel at most, found '%s' too", cli->operands[1]);
  double seconds = usual_seconds;
  if (!fh_cli_seconds(cli, FH_OPT_WITHIN, &seconds)) return FH_EXIT_USAGE;
  fh_context *context = NULL;
  fh_calibration done = {0};
  const char *device = fh_cli_value(cli, FH_OPT_DEVICE);
  fh_context_options options = {.devices = device, .allow_fake = cli->given[FH_OPT_ALLOW_FAKE] > 0};
  fh_interrupt begun;
  fh_interrupt_begin(&begun);
  fh_cli_progress_start("opening devices");
  fh_status status = fh_context_create(&options, &context);
  if (!status) status = calibrate(cli, seconds, context, &done);
  fh_cli_progress_stop();
  fh_interrupt_end(&begun);
  int exit_status = status ? fh_cli_fail(cli, status) : tell(cli, context, &done);
  if (context) fh_context_release(context);
  return exit_status;
}
