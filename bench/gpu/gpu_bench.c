/* A GPU measured against its own limits and against the driver alone; and what a check found, written down.
 * SPDX-License-Identifier: Apache-2.0
 *
 *   gpu_bench measure --out FILE [--device cuda:0] [--opencl opencl:0] [--fake] [--seconds N] [--case-seconds N]
 *   gpu_bench report FOLDER --dir RESULTS [--fake]       report.c
 *   gpu_bench cold raw|foghorn [--device cuda:0] [--fake]   one start, for measure
 * --fake accepts the stand-in driver and cuts every extent to what it can do: figures of it mean nothing and say so.
 * Exit status: 0 done, 1 a failure, 2 usage, 77 there is no such device (the reason is printed).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <foghorn/foghorn.h>

#include "bench/gpu/report.h"
#include "bench/gpu/rows.h"
#include "runtime/base/clock.h"

enum { USAGE = 2, NOT_RUN = 77, FAKE_EXTENT = 48, SILENT_SECONDS = 60, SILENT_SECONDS_FAKE = 300 };

static int usage(void) {
  fputs(
      "usage: gpu_bench measure --out FILE [--device cuda:0] [--opencl opencl:0] [--fake] [--seconds N] [--case-seconds N]\n"
      "       gpu_bench report FOLDER --dir RESULTS [--fake]\n"
      "       gpu_bench cold raw|foghorn [--device cuda:0] [--fake]\n",
      stderr);
  return USAGE;
}

static int say_not_run(const char *why) {
  printf("NOT RUN: %s\n", why);
  return NOT_RUN;
}

/* What processes before this one have measured, or none of it. */
static json_t *open_document(const gpu_options *options) {
  char date[32];
  const time_t now = time(NULL);
  json_t *before = options->watch->first > 0 ? json_load_file(options->out, 0, NULL) : NULL;
  if (before) return before;
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  return json_pack("{ss ss ss sb ss s[] s[]}", "schema", "foghorn.gpu-measurement/1", "version", fh_version(), "date", date, "fake",
                   options->fake, "device", options->device, "limits", "rows");
}

static void measure_driver(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options) {
  fprintf(stderr, "limits\n");
  rows_limits(document, raw, options);
  rows_launch(document, raw, session, options);
  rows_launch_opencl(document, options);
  rows_copies(document, raw, session, options);
  (void)figures_write(document, options->out);
}

static void measure_starts(json_t *document, const gpu_options *options) {
  fprintf(stderr, "starts\n");
  rows_cold(document, options);
  (void)figures_write(document, options->out);
}

/* In the order of worth: a run that is cut short has what comes first. */
static int measure_on(raw_device *raw, gpu_session *session, const gpu_options *options) {
  json_t *document = open_document(options);
  if (watch_begin(options->watch, "limits, launches and copies")) measure_driver(document, raw, session, options);
  if (watch_begin(options->watch, "starts")) measure_starts(document, options);
  rows_kernels(document, raw, session, options);
  rows_evenness(document, raw, session, options);
  const bool written = figures_write(document, options->out);
  printf("%zu rows, %zu limits%s\n", json_array_size(json_object_get(document, "rows")),
         json_array_size(json_object_get(document, "limits")), options->fake ? " of the stand-in driver: no GPU was measured" : "");
  json_decref(document);
  return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int measure_here(void *arg, watch *w) {
  gpu_options *options = arg;
  raw_device raw;
  char why[240];
  options->watch = w;
  const char *no_device = raw_open(raw_ordinal_of(options->device), options->fake, &raw);
  if (no_device) return say_not_run(no_device);
  gpu_session *session = gpu_session_open(options->device, options->fake, why, (int)sizeof why);
  const int result = session ? measure_on(&raw, session, options) : say_not_run(why);
  gpu_session_close(session);
  raw_close(&raw);
  return result;
}

/* A row that takes the device along, or never ends, does not take the rows behind it. */
static int measure(gpu_options *options) {
  if (!options->out) return usage();
  options->most_extent = options->fake ? FAKE_EXTENT : 0;
  options->start = fh_now_seconds();
  return watch_run(measure_here, options, options->fake ? SILENT_SECONDS_FAKE : SILENT_SECONDS);
}

static const struct option long_options[] = {{"out", required_argument, NULL, 'o'},     {"device", required_argument, NULL, 'd'},
                                             {"opencl", required_argument, NULL, 'c'},  {"fake", no_argument, NULL, 'f'},
                                             {"seconds", required_argument, NULL, 's'}, {"case-seconds", required_argument, NULL, 'k'},
                                             {"dir", required_argument, NULL, 'r'},     {NULL, 0, NULL, 0}};

static bool read_options(int argc, char **argv, gpu_options *o, const char **out_dir) {
  for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
    switch (option) {
      case 'o':
        o->out = optarg;
        break;
      case 'd':
        o->device = optarg;
        break;
      case 'c':
        o->opencl = optarg;
        break;
      case 'f':
        o->fake = true;
        break;
      case 's':
        o->total_seconds = strtod(optarg, NULL);
        break;
      case 'k':
        o->case_seconds = strtod(optarg, NULL);
        break;
      case 'r':
        *out_dir = optarg;
        break;
      default:
        return false;
    }
  }
  return o->total_seconds > 0 && o->case_seconds > 0;
}

int main(int argc, char **argv) {
  gpu_options options = {.device = "cuda:0", .total_seconds = 120, .case_seconds = 1.5, .self = "/proc/self/exe"};
  const char *dir = NULL;
  if (!read_options(argc, argv, &options, &dir)) return usage();
  const char *command = optind < argc ? argv[optind] : "", *operand = optind + 1 < argc ? argv[optind + 1] : NULL;
  if (strcmp(command, "measure") == 0 && !operand) return measure(&options);
  if (strcmp(command, "report") == 0 && operand && dir) return report_write(operand, dir, options.fake);
  if (strcmp(command, "cold") == 0 && operand) return cold_run(operand, options.device, options.fake);
  return usage();
}
