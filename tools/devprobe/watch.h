/* devprobe --watch: what changes while it looks. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_WATCH_H_
#define FOGHORN_TOOLS_DEVPROBE_WATCH_H_

#include "tools/devprobe/format.h"

/* Reports, then goes on: to stdout each change (text, or JSON one object per line, schema foghorn.watch/1), or with --output the
 * file is kept equal to the report. Ends at SIGINT or SIGTERM, or when nobody reads any more, with the status of the last report. */
int fh_watch(const fh_cli *cli, fh_format format);

/* A whole report in a format; returns the exit status (command_report.c). */
int fh_report_emit(const fh_cli *cli, fh_format format, const fh_judgement *judgement);

#endif /* FOGHORN_TOOLS_DEVPROBE_WATCH_H_ */
