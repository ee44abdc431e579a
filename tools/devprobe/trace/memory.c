/* Strings in the memory of a traced program. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { FIRST_READ = 128, PAGE = 4096 }; /* most paths are short */

/* Word by word, where reading another process's memory at once is forbidden or unknown. */
static ssize_t peek(pid_t tid, uint64_t address, char *out, size_t size) {
  size_t done = 0;
  while (done < size) {
    uint64_t aligned = (address + done) & ~(uint64_t)(sizeof(long) - 1);
    size_t skip = (size_t)(address + done - aligned);
    errno = 0;
    long word = ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)aligned, NULL);  // NOLINT(performance-no-int-to-ptr)
    if (errno) return done ? (ssize_t)done : -1;
    size_t part = sizeof word - skip < size - done ? sizeof word - skip : size - done;
    memcpy(out + done, (const char *)&word + skip, part);
    done += part;
  }
  return (ssize_t)done;
}

static ssize_t read_memory(pid_t tid, uint64_t address, char *out, size_t size) {
  struct iovec here = {out, size};
  struct iovec there = {(void *)(uintptr_t)address, size};  // NOLINT(performance-no-int-to-ptr)
  ssize_t got = process_vm_readv(tid, &here, 1, &there, 1, 0);
  if (got < 0 && (errno == ENOSYS || errno == EPERM)) got = peek(tid, address, out, size);
  return got;
}

bool fh_trace_read_string(pid_t tid, uint64_t address, char *out, size_t size) {
  size_t done = 0, step = FIRST_READ;
  while (done < size) {
    size_t to_page_end = PAGE - (size_t)((address + done) % PAGE); /* the next page may not be there */
    size_t part = step < to_page_end ? step : to_page_end;
    if (part > size - done) part = size - done;
    ssize_t got = read_memory(tid, address + done, out + done, part);
    if (got <= 0) return false;
    if (memchr(out + done, 0, (size_t)got)) return true;
    done += (size_t)got;
    step = PAGE;
  }
  return false;
}
