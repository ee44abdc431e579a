/* Memory between forbidden pages. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/guarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

guarded guarded_alloc(size_t bytes, bool at_end) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
  guarded block = {.mapped = inner + 2 * page};
  block.mapping = mmap(NULL, block.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block.mapping == MAP_FAILED || (inner && mprotect((char *)block.mapping + page, inner, PROT_READ | PROT_WRITE) != 0)) {
    perror("guarded_alloc");
    exit(EXIT_FAILURE);
  }
  block.memory = (char *)block.mapping + page + (at_end ? inner - bytes : 0);
  return block;
}

void guarded_free(guarded *block) {
  if (block->mapping) munmap(block->mapping, block->mapped);
  *block = (guarded){0};
}
