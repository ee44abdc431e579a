/* devprobe: which compute devices this process can really use, and why not the others. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "detect/os_live.h"
#include "runtime/base/log.h"
#include "tools/devprobe/commands.h"

/* A file to read nothing from, or to lose what is written. A container without /dev has no such thing: its root folder refuses both. */
static int open_nothing(int flags) {
  int fd = open("/dev/null", flags);
  return fd >= 0 ? fd : open("/", O_RDONLY | O_DIRECTORY);
}

/* A closed stdin, stdout or stderr would be taken by the next file that is opened: writing to it would then hit that file. */
static void keep_standard_files(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open_nothing(fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(FH_EXIT_FAILED);
}

int main(int argc, char **argv) {
  keep_standard_files();
  /* Detection asks drivers in a child: this program, with a question. */
  if (argc == 3 && strcmp(argv[1], "--answer") == 0) return fh_answer_main(argv[2]);
  signal(SIGPIPE, SIG_IGN);
  fh_status status = fh_log_configure();
  if (status) return fh_cli_fail(NULL, status);
  return fh_cli_main(&fh_program, argc, argv);
}
