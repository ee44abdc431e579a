/* Fingerprint of a shared object. SPDX-License-Identifier: Apache-2.0 */
#include "detect/elf.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROGRAM_HEADERS = 128, MAX_DYNAMIC = 4096 };

typedef struct segment {
  uint32_t type;
  uint64_t offset, address, size;
} segment;

typedef struct image {
  fh_elf_pread read;
  void *user;
  int bits;
  segment segments[MAX_PROGRAM_HEADERS];
  int segment_count;
} image;

/* Text at a file offset, cut to fit. Read in small steps: it may be the last bytes of the file. */
static void read_text(const image *im, uint64_t offset, char *out, size_t size) {
  size_t at = 0;
  while (at + 1 < size && im->read(im->user, offset + at, out + at, 1) && out[at]) at++;
  out[at] = 0;
}

static bool read_segments(image *im, uint64_t table, unsigned entry_size, unsigned count) {
  const unsigned least = im->bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
  if (entry_size < least || count == 0) return false;
  if (count > MAX_PROGRAM_HEADERS) count = MAX_PROGRAM_HEADERS;
  for (unsigned i = 0; i < count; i++) {
    uint64_t at = table + (uint64_t)i * entry_size;
    segment *s = &im->segments[im->segment_count];
    if (im->bits == 64) {
      Elf64_Phdr ph;
      if (!im->read(im->user, at, &ph, sizeof ph)) return false;
      *s = (segment){ph.p_type, ph.p_offset, ph.p_vaddr, ph.p_filesz};
    } else {
      Elf32_Phdr ph;
      if (!im->read(im->user, at, &ph, sizeof ph)) return false;
      *s = (segment){ph.p_type, ph.p_offset, ph.p_vaddr, ph.p_filesz};
    }
    im->segment_count++;
  }
  return true;
}

static const segment *find_segment(const image *im, uint32_t type) {
  for (int i = 0; i < im->segment_count; i++)
    if (im->segments[i].type == type) return &im->segments[i];
  return NULL;
}

/* File offset of a virtual address; false when no loaded segment holds it. */
static bool to_offset(const image *im, uint64_t address, uint64_t *out) {
  for (int i = 0; i < im->segment_count; i++) {
    const segment *s = &im->segments[i];
    if (s->type != PT_LOAD || address < s->address || address - s->address >= s->size) continue;
    *out = s->offset + (address - s->address);
    return true;
  }
  return false;
}

static bool read_dynamic(const image *im, const segment *dynamic, uint64_t index, uint64_t *tag, uint64_t *value) {
  const size_t size = im->bits == 64 ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
  if (dynamic->size / size <= index) return false;
  if (im->bits == 64) {
    Elf64_Dyn entry;
    if (!im->read(im->user, dynamic->offset + index * size, &entry, sizeof entry)) return false;
    *tag = (uint64_t)entry.d_tag;
    *value = entry.d_un.d_val;
  } else {
    Elf32_Dyn entry;
    if (!im->read(im->user, dynamic->offset + index * size, &entry, sizeof entry)) return false;
    *tag = (uint64_t)(int64_t)entry.d_tag;
    *value = entry.d_un.d_val;
  }
  return *tag != DT_NULL;
}

static void read_names(const image *im, fh_os_elf *out) {
  const segment *dynamic = find_segment(im, PT_DYNAMIC);
  if (!dynamic) return;
  uint64_t tag, value, strings = 0;
  bool have_strings = false;
  for (uint64_t i = 0; i < MAX_DYNAMIC && read_dynamic(im, dynamic, i, &tag, &value); i++)
    if (tag == DT_STRTAB) have_strings = to_offset(im, value, &strings);
  if (!have_strings) return;
  for (uint64_t i = 0; i < MAX_DYNAMIC && read_dynamic(im, dynamic, i, &tag, &value); i++) {
    if (value > UINT32_MAX) continue;
    if (tag == DT_SONAME) read_text(im, strings + value, out->soname, sizeof out->soname);
    if (tag == DT_NEEDED) {
      char needed[16];
      read_text(im, strings + value, needed, sizeof needed);
      if (strcmp(needed, "libc.so.6") == 0) out->needs_glibc = true;
    }
  }
}

void fh_elf_parse(fh_elf_pread read, void *user, fh_os_elf *out) {
  *out = (fh_os_elf){0};
  unsigned char ident[EI_NIDENT];
  if (!read(user, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0) return;
  image im = {.read = read, .user = user, .bits = ident[EI_CLASS] == ELFCLASS64 ? 64 : ident[EI_CLASS] == ELFCLASS32 ? 32 : 0};
  if (!im.bits || ident[EI_DATA] != ELFDATA2LSB) return;
  uint64_t table;
  unsigned entry_size, count;
  if (im.bits == 64) {
    Elf64_Ehdr header;
    if (!read(user, 0, &header, sizeof header)) return;
    out->machine = header.e_machine;
    table = header.e_phoff, entry_size = header.e_phentsize, count = header.e_phnum;
  } else {
    Elf32_Ehdr header;
    if (!read(user, 0, &header, sizeof header)) return;
    out->machine = header.e_machine;
    table = header.e_phoff, entry_size = header.e_phentsize, count = header.e_phnum;
  }
  out->is_elf = true;
  out->bits = im.bits;
  if (!read_segments(&im, table, entry_size, count)) return;
  const segment *interp = find_segment(&im, PT_INTERP);
  if (interp && interp->size) {
    size_t room = sizeof out->interp;
    read_text(&im, interp->offset, out->interp, interp->size < room ? (size_t)interp->size : room);
  }
  read_names(&im, out);
}

typedef struct window {
  int fd;
  uint64_t start;
  size_t size;
  unsigned char bytes[4096];
} window;

/* Most reads are close to the one before: one system call serves many. */
static bool window_read(void *user, uint64_t offset, void *out, size_t size) {
  window *w = user;
  if (offset > INT64_MAX - sizeof w->bytes || size > sizeof w->bytes) return false;
  if (offset < w->start || offset + size > w->start + w->size) {
    ssize_t got = pread(w->fd, w->bytes, sizeof w->bytes, (off_t)offset);
    w->start = offset;
    w->size = got > 0 ? (size_t)got : 0;
    if (w->size < size) return false;
  }
  memcpy(out, w->bytes + (offset - w->start), size);
  return true;
}

void fh_elf_parse_fd(int fd, fh_os_elf *out) {
  window w = {.fd = fd};
  fh_elf_parse(window_read, &w, out);
}
