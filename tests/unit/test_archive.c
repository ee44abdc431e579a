/* Archives that somebody made to do harm: each is refused with a reason, and nothing is written anywhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "detect/snapshot_recording.h"
#include "runtime/base/clock.h"
#include "tests/support/folder.h"
#include "tools/devprobe/archive.h"

enum { BLOCK = 512, NOT_HERE = 77 };

static void must(fh_status status) {
  if (status) fail_msg("%s", fh_status_message(status));
}

/* ---- making archives ------------------------------------------------------------------------------------------------- */

static void finish_header(char header[BLOCK]) {
  unsigned sum = 0;
  memset(header + 148, ' ', 8);
  for (int i = 0; i < BLOCK; i++) sum += (unsigned char)header[i];
  snprintf(header + 148, 8, "%06o", sum);
}

/* A header as a hostile tool would write it: any type, any size, any link. */
static void add_header(fh_text *tar, const char *name, char type, const char *size, const char *link) {
  char header[BLOCK] = {0};
  snprintf(header, 100, "%s", name);
  memcpy(header + 100, "0000644", 8);
  memcpy(header + 108, "0000000", 8);
  memcpy(header + 116, "0000000", 8);
  memcpy(header + 124, size, strnlen(size, 12));
  memcpy(header + 136, "00000000000", 12);
  header[156] = type;
  snprintf(header + 157, 100, "%s", link);
  memcpy(header + 257, "ustar\00000", 8);
  finish_header(header);
  fh_text_append(tar, header, BLOCK);
}

static void add_zeros(fh_text *tar, size_t size) {
  static const char zeros[BLOCK];
  for (; size; size -= size < BLOCK ? size : BLOCK) fh_text_append(tar, zeros, size < BLOCK ? size : BLOCK);
}

static void add_file(fh_text *tar, const char *name, const char *text) {
  char size[24];
  snprintf(size, sizeof size, "%011zo", strlen(text));
  add_header(tar, name, '0', size, "");
  fh_text_append(tar, text, strlen(text));
  add_zeros(tar, (BLOCK - strlen(text) % BLOCK) % BLOCK);
}

static void add_end(fh_text *tar) { add_zeros(tar, (size_t)2 * BLOCK); }

static void gzip(fh_text *out, const void *bytes, size_t size) {
  static unsigned char packed[1 << 16];
  z_stream z = {.next_in = (unsigned char *)bytes, .avail_in = (unsigned)size};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  for (int result = Z_OK; result == Z_OK;) {
    z.next_out = packed;
    z.avail_out = sizeof packed;
    result = deflate(&z, Z_FINISH);
    fh_text_append(out, (char *)packed, sizeof packed - z.avail_out);
  }
  deflateEnd(&z);
}

static const char meta[] = "{\"schema\":\"foghorn.snapshot/2\"}";

/* ---- judging ------------------------------------------------------------------------------------------------------------- */

static void expect_refused(const void *bytes, size_t size, const char *why) {
  fh_members members;
  double start = fh_now_seconds();
  fh_status status = fh_archive_unpack("box.tar.gz", bytes, size, &members);
  if (!status) fail_msg("accepted, expected '%s'", why);
  if (strncmp(fh_status_message(status), "box.tar.gz: ", 12) != 0) fail_msg("does not name the archive: %s", fh_status_message(status));
  if (!strstr(fh_status_message(status), why)) fail_msg("'%s' does not say '%s'", fh_status_message(status), why);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  assert_int_equal(members.count, 0);
  assert_true(fh_now_seconds() - start < 10);
  fh_status_free(status);
}

/* Takes the tar. */
static void expect_tar_refused(fh_text *tar, const char *why) {
  fh_text packed = {0};
  gzip(&packed, tar->data, tar->size);
  fh_text_free(tar);
  expect_refused(packed.data, packed.size, why);
  fh_text_free(&packed);
}

static void expect_entry_refused(const char *name, char type, const char *size, const char *link, const char *why) {
  fh_text tar = {0};
  add_file(&tar, "snapshot/snapshot.json", meta);
  add_header(&tar, name, type, size, link);
  add_zeros(&tar, BLOCK);
  add_end(&tar);
  expect_tar_refused(&tar, why);
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

static void test_entries(void **state) {
  (void)state;
  expect_entry_refused("snapshot/x", '2', "00000000000", "/etc/passwd", "is a link");
  expect_entry_refused("snapshot/x", '1', "00000000000", "snapshot/snapshot.json", "is a link");
  expect_entry_refused("snapshot/x", '1', "00000000000", "/etc/shadow", "is a link");
  expect_entry_refused("snapshot/x", '3', "00000000000", "", "is a device");
  expect_entry_refused("snapshot/x", '4', "00000000000", "", "is a device");
  expect_entry_refused("snapshot/x", '6', "00000000000", "", "is a device");
  expect_entry_refused("snapshot/../../etc/cron.d/x", '0', "00000000001", "", "cannot be the name");
  expect_entry_refused("../x", '0', "00000000001", "", "outside the folder");
  expect_entry_refused("/etc/cron.d/x", '0', "00000000001", "", "outside the folder");
  expect_entry_refused("snapshot//x", '0', "00000000001", "", "cannot be the name");
  expect_entry_refused("snapshot/a\nb", '0', "00000000001", "", "cannot be the name");
  expect_entry_refused("elsewhere/x", '0', "00000000001", "", "outside the folder");
  expect_entry_refused("snapshot/snapshot.json", '0', "00000000001", "", "is there twice");
  expect_entry_refused("snapshot/snapshot.json/x", '0', "00000000001", "", "is a file, and a folder");
  expect_entry_refused("snapshot/x", '0', "77777777777", "", "larger than a file");
  expect_entry_refused("snapshot/x", '0', "\x80\1\1\1\xff\xff\xff\xff\xff\xff\xff\xff", "", "box.tar.gz");
  expect_entry_refused("snapshot/x", '0', "00000004000", "", "cut off");
}

static void test_a_long_name(void **state) {
  (void)state;
  char name[100] = "snapshot/";
  memset(name + 9, 'n', sizeof name - 10);
  expect_entry_refused(name, '0', "00000000001", "", "cannot be the name");
  fh_text tar = {0};
  char size[24], *text = calloc(1, 70000);
  assert_non_null(text);
  add_file(&tar, "snapshot/snapshot.json", meta);
  memset(text, 'n', 70000 - 1); /* a GNU header that brings a longer one */
  snprintf(size, sizeof size, "%011o", 70000U);
  add_header(&tar, "././@LongLink", 'L', size, "");
  fh_text_append(&tar, text, 70000);
  add_zeros(&tar, BLOCK - 70000 % BLOCK);
  add_file(&tar, "x", "");
  add_end(&tar);
  free(text);
  expect_tar_refused(&tar, "box.tar.gz");
}

static void test_sparse_files(void **state) {
  (void)state;
  fh_text tar = {0};
  static const char pax[] =
      "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n29 GNU.sparse.name=snapshot/x\n33 GNU.sparse.realsize=99999999999\n";
  char size[24];
  add_file(&tar, "snapshot/snapshot.json", meta);
  snprintf(size, sizeof size, "%011zo", sizeof pax - 1);
  add_header(&tar, "snapshot/pax", 'x', size, "");
  fh_text_append(&tar, pax, sizeof pax - 1);
  add_zeros(&tar, BLOCK - (sizeof pax - 1) % BLOCK);
  add_file(&tar, "snapshot/x", "1\n0\n512\n");
  add_end(&tar);
  expect_tar_refused(&tar, "box.tar.gz");
}

static void test_too_many_files(void **state) {
  (void)state;
  fh_text tar = {0};
  char name[64];
  for (int i = 0; i <= FH_MEMBERS_MAX; i++) {
    snprintf(name, sizeof name, "snapshot/more/%d", i);
    add_file(&tar, name, "");
  }
  add_end(&tar);
  expect_tar_refused(&tar, "is too much");
  for (int i = 0; i <= 2 * FH_MEMBERS_MAX; i++) {
    snprintf(name, sizeof name, "snapshot/more/%d/", i);
    add_header(&tar, name, '5', "00000000000", "");
  }
  add_end(&tar);
  expect_tar_refused(&tar, "more files and folders");
}

static void test_bombs(void **state) {
  (void)state;
  enum { ZEROS = 200 << 20, CHUNK = 1 << 20 };
  fh_text bomb = {0}, twice = {0};
  static const unsigned char zeros[CHUNK];
  static unsigned char packed[1 << 16];
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  for (int done = 0, result = Z_OK; result == Z_OK || result == Z_BUF_ERROR;) {
    if (z.avail_in == 0 && done < ZEROS) {
      z.next_in = (unsigned char *)zeros;
      z.avail_in = CHUNK;
      done += CHUNK;
    }
    z.next_out = packed;
    z.avail_out = sizeof packed;
    result = deflate(&z, done < ZEROS ? Z_NO_FLUSH : Z_FINISH);
    fh_text_append(&bomb, (char *)packed, sizeof packed - z.avail_out);
  }
  deflateEnd(&z);
  expect_refused(bomb.data, bomb.size, "more than the 96 MiB");
  gzip(&twice, bomb.data, bomb.size); /* gzip in gzip is not undone */
  expect_refused(twice.data, twice.size, "not a tar archive");
  fh_text_free(&bomb);
  fh_text_free(&twice);
}

/* A healthy archive as this program writes it. */
static void healthy(fh_text *out) {
  fh_members members = {0};
  must(fh_members_add(&members, "snapshot.json", meta, strlen(meta)));
  must(fh_members_add(&members, "calls", "read /x -> @fs/x\n", 17));
  must(fh_members_add(&members, "fs/x", "a\0b", 3));
  must(fh_members_sort(&members));
  must(fh_archive_pack(&members, out));
  fh_members_free(&members);
}

static void test_damaged_gzip(void **state) {
  (void)state;
  fh_text good = {0};
  healthy(&good);
  for (size_t size = 0; size < good.size; size++) expect_refused(good.data, size, size < 2 ? "not a gzipped tar" : "box.tar.gz");
  for (size_t i = good.size - 8; i < good.size; i++) { /* the check sum and the length */
    good.data[i] ^= 0x40;
    expect_refused(good.data, good.size, "damaged");
    good.data[i] ^= 0x40;
  }
  fh_text_append(&good, "more", 4);
  expect_refused(good.data, good.size, "something stands behind");
  fh_text_free(&good);
  expect_refused("PK\3\4zip", 7, "not a gzipped tar");
  expect_refused("", 0, "not a gzipped tar");
}

static void test_other_formats(void **state) {
  (void)state;
  static const char cpio[] =
      "07070100000000000081a4000000000000000000000001000000000000000100000000000000000000000000000000000000020000000061\0\0";
  static const char zip[] = "PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0a";
  static const char shell[] = "#!/bin/sh\nrm -rf /\n";
  fh_text packed = {0};
  gzip(&packed, cpio, sizeof cpio);
  expect_refused(packed.data, packed.size, "not a tar archive");
  packed.size = 0;
  gzip(&packed, zip, sizeof zip);
  expect_refused(packed.data, packed.size, "not a tar archive");
  packed.size = 0;
  gzip(&packed, shell, sizeof shell);
  expect_refused(packed.data, packed.size, "not a tar archive");
  packed.size = 0;
  gzip(&packed, "", 0);
  expect_refused(packed.data, packed.size, "not a tar archive");
  fh_text_free(&packed);
}

static void test_flipped_bits(void **state) {
  (void)state;
  fh_text tar = {0};
  add_file(&tar, "snapshot/snapshot.json", meta);
  add_file(&tar, "snapshot/calls", "read /x -> =y\n");
  add_end(&tar);
  for (size_t bit = 0; bit < (size_t)8 * 2048; bit++) { /* every bit of headers and contents; no crash, and no other name gets in */
    fh_text packed = {0};
    fh_members members;
    tar.data[bit / 8] = (char)(tar.data[bit / 8] ^ (1 << bit % 8));
    gzip(&packed, tar.data, tar.size);
    fh_status status = fh_archive_unpack("box.tar.gz", packed.data, packed.size, &members);
    for (size_t i = 0; i < members.count; i++) assert_true(fh_member_name_is_safe(members.items[i].name));
    fh_status_free(status);
    fh_members_free(&members);
    fh_text_free(&packed);
    tar.data[bit / 8] = (char)(tar.data[bit / 8] ^ (1 << bit % 8));
  }
  fh_text_free(&tar);
}

/* As `tar czf` packs a folder again: entries for folders, "./" before the names, or another folder around it. */
static void test_repacked(void **state) {
  (void)state;
  static const char *const prefixes[] = {"./", "", "box/", "./snapshot/"};
  for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
    fh_text tar = {0}, packed = {0};
    fh_members members;
    char name[64];
    if (*prefixes[i]) add_header(&tar, prefixes[i], '5', "00000000000", "");
    snprintf(name, sizeof name, "%sfs/proc/version", prefixes[i]);
    add_file(&tar, name, "text");
    snprintf(name, sizeof name, "%ssnapshot.json", prefixes[i]);
    add_file(&tar, name, meta);
    add_end(&tar);
    gzip(&packed, tar.data, tar.size);
    must(fh_archive_unpack("box.tar.gz", packed.data, packed.size, &members));
    assert_int_equal(members.count, 2);
    assert_string_equal(fh_members_find(&members, "fs/proc/version")->bytes, "text");
    assert_non_null(fh_members_find(&members, "snapshot.json"));
    fh_members_free(&members);
    fh_text_free(&tar);
    fh_text_free(&packed);
  }
}

static void test_same_members_same_bytes(void **state) {
  (void)state;
  fh_text a = {0}, b = {0};
  fh_members members;
  healthy(&a);
  healthy(&b);
  assert_int_equal(a.size, b.size);
  assert_memory_equal(a.data, b.data, a.size);
  must(fh_archive_unpack("box.tar.gz", a.data, a.size, &members));
  assert_int_equal(members.count, 3);
  assert_memory_equal(fh_members_find(&members, "fs/x")->bytes, "a\0b", 4);
  fh_members_free(&members);
  fh_text_free(&a);
  fh_text_free(&b);
}

static void test_files(void **state) {
  (void)state;
  folder f;
  fh_os *os;
  folder_make(&f);
  fh_text good = {0};
  healthy(&good);
  folder_put_bytes(&f, "box.tar.gz", good.data, good.size);
  must(fh_snapshot_open(folder_at(&f, "box.tar.gz"), &os));
  char *text;
  size_t size;
  assert_int_equal(os->api->read(os, "/x", 10, &text, &size), 0);
  assert_int_equal(size, 3);
  free(text);
  fh_os_destroy(os);
  assert_int_equal(mkfifo(folder_at(&f, "pipe"), 0600), 0);
  static const char *const wrong[][2] = {
      {"pipe", "neither a snapshot directory nor an archive"}, {"gone", "No such file"}, {"text", "not a gzipped tar"}, {"huge", "64 MiB"}};
  folder_put(&f, "text", "text");
  folder_put(&f, "huge", "");
  assert_int_equal(truncate(folder_at(&f, "huge"), (off_t)FH_ARCHIVE_MAX_BYTES + 1), 0);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    fh_status status = fh_snapshot_open(folder_at(&f, wrong[i][0]), &os);
    if (!status || !strstr(fh_status_message(status), wrong[i][1]))
      fail_msg("%s: %s", wrong[i][0], status ? fh_status_message(status) : "accepted");
    fh_status_free(status);
  }
  fh_text_free(&good);
  folder_remove(&f);
}

int main(void) {
  fh_text good = {0};
  fh_members members;
  healthy(&good);
  fh_status status = fh_archive_unpack("box.tar.gz", good.data, good.size, &members);
  fh_text_free(&good);
  fh_code code = fh_status_code(status);
  if (code == FH_UNAVAILABLE || code == FH_UNIMPLEMENTED) {
    printf("NOT RUN: %s\n", fh_status_message(status));
    return NOT_HERE;
  }
  fh_status_free(status);
  fh_members_free(&members);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_entries),       cmocka_unit_test(test_a_long_name),
      cmocka_unit_test(test_sparse_files),  cmocka_unit_test(test_too_many_files),
      cmocka_unit_test(test_bombs),         cmocka_unit_test(test_damaged_gzip),
      cmocka_unit_test(test_other_formats), cmocka_unit_test(test_flipped_bits),
      cmocka_unit_test(test_repacked),      cmocka_unit_test(test_same_members_same_bytes),
      cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
