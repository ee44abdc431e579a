/* Fingerprint of a shared object, read as a loader would. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_ELF_H_
#define FOGHORN_DETECT_ELF_H_

#include "detect/os.h"

/* Reads exactly size bytes at offset, or answers false. */
typedef bool (*fh_elf_pread)(void *user, uint64_t offset, void *out, size_t size);

/* Never trusts an offset or a size of the file; what cannot be read stays empty. A file too short for its
 * header, or without the magic, is not ELF. Only little-endian files are looked into. */
void fh_elf_parse(fh_elf_pread read, void *user, fh_os_elf *out);
/* The same of an open file. */
void fh_elf_parse_fd(int fd, fh_os_elf *out);

#endif /* FOGHORN_DETECT_ELF_H_ */
