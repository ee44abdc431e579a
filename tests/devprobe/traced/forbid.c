/* Runs a program that may not use some system calls: forbid seccomp|ptrace PROGRAM ARGS. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "refuse.h"

int main(int argc, char **argv) {
  if (argc < 3) return 99;
  unsigned number = strcmp(argv[1], "ptrace") == 0 ? SYS_ptrace : SYS_seccomp;
  if (!refuse(number)) return 98;
  execv(argv[2], argv + 2);
  return 97;
}
