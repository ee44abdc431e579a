/* Snapshots as archives: gzipped tar. SPDX-License-Identifier: Apache-2.0
 *
 * Only devprobe knows archives; the library reads directories. So whoever links libfoghorn needs no libarchive, and devprobe
 * itself loads it only to read: an archive can be written in a container that has nothing but devprobe. */
#ifndef FOGHORN_TOOLS_DEVPROBE_ARCHIVE_H_
#define FOGHORN_TOOLS_DEVPROBE_ARCHIVE_H_

#include "detect/os.h"
#include "detect/snapshot_members.h"
#include "runtime/base/text.h"

/* What an archive may be, packed and unpacked. */
enum { FH_ARCHIVE_MAX_BYTES = 64 << 20, FH_ARCHIVE_MAX_TAR_BYTES = 96 << 20 };

/* The members in a folder "snapshot", sorted, without times and owners: the same members give the same bytes. */
fh_status fh_archive_pack(const fh_members *members, fh_text *out_bytes);
/* Unpacks into memory, never onto a disk. The archive may be hostile: links, devices, names that lead out of it or are there
 * twice, and more bytes than a snapshot has are refused. name: of the archive, for errors. */
fh_status fh_archive_unpack(const char *name, const void *bytes, size_t size, fh_members *out_members);

/* The table over a recorded machine: a directory, an archive, or "-" for an archive on standard input. */
fh_status fh_snapshot_open(const char *path, fh_os **out_os);

#endif /* FOGHORN_TOOLS_DEVPROBE_ARCHIVE_H_ */
