/* Answers in other forms than a screen: for monitoring, Kubernetes and continuous integration. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_FORMAT_H_
#define FOGHORN_TOOLS_DEVPROBE_FORMAT_H_

#include "detect/findings.h"
#include "tools/devprobe/cli.h"

typedef enum fh_format {
  FH_FORMAT_TEXT,       /* the screen */
  FH_FORMAT_JSON,       /* --json is short for it */
  FH_FORMAT_PROMETHEUS, /* text exposition format, for node_exporter's textfile collector */
  FH_FORMAT_NFD,        /* node-feature-discovery, local source: one label per line */
  FH_FORMAT_GITHUB,     /* workflow commands, which become annotations */
  FH_FORMAT_JUNIT,      /* XML as test reports are collected */
  FH_FORMAT_COUNT,
} fh_format;

#define FH_FORMAT_BIT(format) (1u << (format))
enum {
  FH_FORMATS_OF_RESULTS =
      FH_FORMAT_BIT(FH_FORMAT_TEXT) | FH_FORMAT_BIT(FH_FORMAT_JSON) | FH_FORMAT_BIT(FH_FORMAT_GITHUB) | FH_FORMAT_BIT(FH_FORMAT_JUNIT),
  FH_FORMATS_ALL = FH_FORMAT_BIT(FH_FORMAT_COUNT) - 1,
};

/* The format that --format or --json asks for, if it is one that the command `can` write; false after a usage error was printed. */
bool fh_cli_format(const fh_cli *cli, unsigned can, fh_format *out);

/* fh_cli_emit_text for what must be UTF-8: when it is not, other bytes than ASCII become '?'. */
int fh_format_emit(const fh_cli *cli, fh_text *text, int exit_status);

/* ---- a report as measurements and labels ------------------------------------------------------------------ */

void fh_format_prometheus(const fh_judgement *judgement, fh_text *out);
void fh_format_nfd(const fh_judgement *judgement, fh_text *out);

/* ---- results: what GitHub and JUnit are told ---------------------------------------------------------------- */

typedef enum fh_outcome { FH_RESULT_PASSED, FH_RESULT_FAILED, FH_RESULT_NOT_RUN, FH_RESULT_WARNED, FH_RESULT_NOTED } fh_outcome;

typedef struct fh_result {
  const char *group, *name; /* borrowed */
  fh_outcome outcome;
  fh_text message;
} fh_result;

typedef struct fh_results {
  fh_result *items;
  int count, capacity;
  bool failed; /* for want of memory */
} fh_results;

/* Adds a result; its message, empty, is for the caller to write (into a scratch text when memory is short: never NULL). */
fh_text *fh_results_add(fh_results *results, const char *group, const char *name, fh_outcome outcome);
void fh_results_free(fh_results *results);
/* A report: the verdict, each device, each finding. */
void fh_results_of_report(const fh_judgement *judgement, fh_results *results);
/* Writes and frees; ends with exit_status as fh_cli_emit. format: GITHUB or JUNIT. suite: "report". */
int fh_results_emit(const fh_cli *cli, fh_format format, const char *suite, fh_results *results, int exit_status);

#endif /* FOGHORN_TOOLS_DEVPROBE_FORMAT_H_ */
