/* Fuzz target: any bytes as an archive, as the tar inside one, and as the calls of a recording. What is accepted holds only safe names, and
 * written again and read again it is the same. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "detect/snapshot_privacy.h"
#include "detect/snapshot_recording.h"
#include "tools/devprobe/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool truth) {
  if (!truth) abort();
}

/* ---- archives ----------------------------------------------------------------------------------------------------- */

static void try_archive(const void *bytes, size_t size) {
  fh_members members, again;
  fh_status status = fh_archive_unpack("input", bytes, size, &members);
  need(!status || members.count == 0);
  fh_status_free(status);
  if (members.count == 0) return;
  fh_text packed = {0};
  for (size_t i = 0; i < members.count; i++) need(fh_member_name_is_safe(members.items[i].name));
  need(!fh_archive_pack(&members, &packed) && !fh_archive_unpack("again", packed.data, packed.size, &again));
  need(again.count == members.count && again.total == members.total);
  fh_text_free(&packed);
  fh_members_free(&members);
  fh_members_free(&again);
}

/* Stored, not compressed: quick, and the fuzzer's bytes stay what they are. */
static void try_tar(const uint8_t *data, size_t size) {
  size_t room = size + size / 1000 + 1024;
  unsigned char *packed = malloc(room);
  z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned)size, .next_out = packed, .avail_out = (unsigned)room};
  need(packed && deflateInit2(&z, Z_NO_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
       deflate(&z, Z_FINISH) == Z_STREAM_END);
  try_archive(packed, z.total_out);
  deflateEnd(&z);
  free(packed);
}

/* ---- recordings ----------------------------------------------------------------------------------------------------- */

static fh_recording *read_calls(const void *calls, size_t size) {
  static const char meta[] = "{\"schema\":\"foghorn.snapshot/2\"}";
  fh_members members = {0};
  fh_recording *recording = NULL;
  need(!fh_members_add(&members, "snapshot.json", meta, sizeof meta - 1) && !fh_members_add(&members, "calls", calls, size) &&
       !fh_members_sort(&members));
  fh_status_free(fh_recording_read(&members, "input", &recording));
  return recording;
}

/* Every note is taken as it would be on replay. */
static void replay(fh_recording *take_recording) {
  fh_os *os;
  fh_os_stat st;
  fh_os_answer answer;
  char word[64], **names, *text;
  size_t count;
  int ticket;
  need(!fh_os_replay(take_recording, &os));
  for (int again = 0; again < 2; again++) {
    os->api->stat(os, "/x", true, &st);
    os->api->readlink(os, "/x", word, sizeof word);
    os->api->getenv(os, "X");
    if (os->api->list(os, "/x", &names, &count) == 0) {
      for (size_t i = 0; i < count; i++) free(names[i]);
      free(names);
    }
    int error = os->api->read(os, "/x", 10, &text, &count);
    if (error == 0 || error == EFBIG) free(text);
    if (os->api->ask_start(os, "cuda", NULL, &ticket) == 0 && os->api->ask_collect(os, ticket, &answer) == 0) fh_os_answer_free(&answer);
  }
  fh_os_destroy(os);
}

static void try_calls(const void *calls, size_t size) {
  fh_recording *recording = read_calls(calls, size);
  if (!recording) return;
  fh_text left_out = {0};
  fh_members members;
  fh_recording *again = NULL;
  fh_mask *mask = fh_mask_create("host-7", "carol");
  fh_status too_much = fh_recording_write(recording, false, NULL, &members); /* one file may stand behind many notes */
  if (too_much) {
    need(fh_status_code(too_much) == FH_INVALID_ARGUMENT);
    fh_status_free(too_much);
    fh_recording_destroy(recording);
    fh_mask_destroy(mask);
    return;
  }
  need(!fh_recording_read(&members, "again", &again) && again->count == recording->count);
  fh_recording_protect(again, &left_out);
  need(mask && fh_mask_recording(mask, again));
  for (int i = 0; i < again->count; i++) need(fh_note_is_sound(&again->notes[i]));
  replay(again);
  replay(recording);
  fh_mask_destroy(mask);
  fh_text_free(&left_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 1 << 20) return 0;
  try_archive(data, size);
  try_tar(data, size);
  try_calls(data, size);
  return 0;
}
