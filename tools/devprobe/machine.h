/* The machine as devprobe sees it: facts and their judgement. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_MACHINE_H_
#define FOGHORN_TOOLS_DEVPROBE_MACHINE_H_

#include "detect/findings.h"
#include "tools/devprobe/cli.h"
#include "tools/devprobe/screen.h"

typedef struct fh_machine {
  fh_os *os;
  fh_facts *facts;
  fh_judgement *judgement;
} fh_machine;

/* Looks at this machine or the one that --from names, within --timeout. Exit status: FH_EXIT_OK, or after an error was
 * printed the one to end with. */
int fh_machine_open(const fh_cli *cli, fh_machine *out_machine);
/* The same with other expectations (NULL: none), and with --wait: looks again, each time anew, until `content` says that this is
 * what was waited for or the time is over, and gives the last look. content NULL: nothing expected is wrong. Its status ends
 * the wait. */
typedef fh_status fh_machine_content(const fh_machine *machine, void *user, bool *out_content);
int fh_machine_open_when(const fh_cli *cli, const char *expect, fh_machine_content *content, void *user, fh_machine *out_machine);
/* One look; `what` as for fh_facts_gather. */
fh_status fh_machine_look(const fh_cli *cli, const char *expect, double timeout_s, unsigned what, fh_machine *out_machine);
bool fh_machine_timeout(const fh_cli *cli, double *out_s); /* --timeout or its default; false after a usage error */
void fh_machine_close(fh_machine *machine);

enum { FH_MACHINE_MAX_DEVICES = 16 };

/* Devices as contexts name them: those to try, and why the others are not. */
typedef struct fh_device_list {
  char ids[FH_MACHINE_MAX_DEVICES][24];
  int count;
  char skipped[FH_MACHINE_MAX_DEVICES][320]; /* "cuda:0: NV-UVM-MISSING: ..." */
  int skipped_count;
} fh_device_list;

/* Every device that detection found usable, CPUs behind a GPU interface too; a stand-in only when it is allowed. */
void fh_machine_devices(const fh_judgement *judgement, bool allow_fake, fh_device_list *out_list);

/* The report as one screen. */
void fh_machine_print(const fh_judgement *judgement, bool verbose, fh_screen *screen);
/* The remedies of a cause without a finding, as the catalogue words them: "docker: ..." lines. */
void fh_machine_print_cause(const fh_cause *cause, fh_screen *screen);

/* "proven", "consistent", "possible" */
const char *fh_confidence_name(fh_confidence confidence);

#endif /* FOGHORN_TOOLS_DEVPROBE_MACHINE_H_ */
