/* The devprobe that the static one has load drivers: one for glibc that can run here. SPDX-License-Identifier: Apache-2.0
 *
 * Vendors' libraries are built for glibc and loaded by its loader; a static program has none. What cannot be asked is said with the
 * reason, and the static program answers by itself what takes no driver. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/elf.h"
#include "detect/os_live.h"

#if defined(__x86_64__)
enum { OUR_MACHINE = 62 };
static const char loader[] = "/lib64/ld-linux-x86-64.so.2";
#elif defined(__aarch64__)
enum { OUR_MACHINE = 183 };
static const char loader[] = "/lib/ld-linux-aarch64.so.1";
#else
#error "the static devprobe is made for x86-64 and AArch64"
#endif

/* Has this program load drivers, if it can; else says why it cannot. False too where there is no such file, with nothing said; and
 * a static one that nobody named may be this very program. */
static bool take(fh_helper *out, const char *path, bool named) {
  fh_os_elf elf = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return false;
  if (fd >= 0) fh_elf_parse_fd(fd, &elf);
  if (fd >= 0) close(fd);
  char *why = out->no_drivers;
  const size_t size = sizeof out->no_drivers;
  if (access(path, X_OK) != 0) {
    snprintf(why, size, "%s cannot be run: %s", path, strerror(errno));
  } else if (elf.is_elf && elf.machine != OUR_MACHINE) {
    snprintf(why, size, "%s is built for another processor", path);
  } else if (elf.is_elf && !elf.interp[0]) {
    if (named) snprintf(why, size, "%s is a static program too: it cannot load drivers", path);
  } else if (elf.is_elf && access(elf.interp, X_OK) != 0) {
    snprintf(why, size, "no glibc in this image: %s needs %s", path, elf.interp);
  } else if ((size_t)snprintf(out->path, sizeof out->path, "%s", path) < sizeof out->path) {
    why[0] = 0;
    return true;
  }
  return false;
}

static bool take_in(fh_helper *out, const char *folder, size_t size) {
  char path[PATH_MAX];
  const char *slash = size && folder[size - 1] == '/' ? "" : "/";
  return size && folder[0] == '/' && (size_t)snprintf(path, sizeof path, "%.*s%sdevprobe", (int)size, folder, slash) < sizeof path &&
         take(out, path, false);
}

/* The folder of this program, and the bin folder of the tree that it lies in. */
static bool take_beside(fh_helper *out, const char *self) {
  char place[PATH_MAX + 8];
  const char *slash = strrchr(self, '/');
  if (!slash) return false;
  size_t size = slash == self ? 1 : (size_t)(slash - self);
  if (take_in(out, self, size)) return true;
  int length = snprintf(place, sizeof place, "%.*s/../bin", (int)size, self);
  return length > 0 && (size_t)length < sizeof place && take_in(out, place, (size_t)length);
}

static bool take_on_path(fh_helper *out) {
  const char *list = getenv("PATH");
  for (const char *item = list ? list : ""; *item;) {
    size_t size = strcspn(item, ":");
    if (take_in(out, item, size)) return true;
    item += size + (item[size] == ':');
  }
  return false;
}

void fh_helper_find(fh_helper *out) {
  char self[PATH_MAX] = "";
  const char *named = secure_getenv("FOGHORN_PROBE");
  out->no_drivers[0] = 0;
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) self[0] = 0; /* no /proc: known by nothing but our name */
  if (named && *named && take(out, named, true)) return;
  if (take_beside(out, self) || take_on_path(out)) return;
  snprintf(out->path, sizeof out->path, "%s", self); /* answers what takes no driver; without a path it is forked */
  if (out->no_drivers[0]) return;
  snprintf(out->no_drivers, sizeof out->no_drivers, "%s",
           access(loader, F_OK) != 0
               ? "no glibc in this image, so drivers cannot be loaded"
               : "the static devprobe cannot load drivers, and no other devprobe is named by FOGHORN_PROBE, beside it "
                 "or on PATH");
}
