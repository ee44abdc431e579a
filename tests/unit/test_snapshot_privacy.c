/* Secrets and identities do not leave the machine: planted in everything that is read, and looked for in the bytes of the snapshot.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/snapshot_privacy.h"

static void must(fh_status status) {
  if (status) fail_msg("%s", fh_status_message(status));
}

/* ---- recordings made by hand -------------------------------------------------------------------------------------- */

static void add(fh_recording *r, fh_call call, const char *key, const char *bytes, size_t size, const char *result) {
  fh_note *note = fh_arena_push(r->arena, &r->notes, &r->count, sizeof *note);
  assert_non_null(note);
  *note = (fh_note){.call = call, .order = r->count, .key = key, .result = result ? result : "", .bytes = bytes, .size = size};
}

static void add_variable(fh_recording *r, const char *name, const char *value) { add(r, FH_CALL_ENV, name, value, strlen(value), NULL); }

/* All of a snapshot in one string: names and bytes. */
static char *all_of(fh_recording *take_recording, size_t *out_size) {
  fh_members members;
  fh_text all = {0};
  fh_recording_sort(take_recording);
  must(fh_recording_write(take_recording, false, NULL, &members));
  fh_recording_destroy(take_recording);
  for (size_t i = 0; i < members.count; i++) {
    fh_text_add(&all, "%s\n", members.items[i].name);
    fh_text_append(&all, members.items[i].bytes, members.items[i].size);
  }
  fh_members_free(&members);
  *out_size = all.size;
  return fh_text_take(&all);
}

static bool holds(const char *bytes, size_t size, const char *part) { return memmem(bytes, size, part, strlen(part)) != NULL; }

/* ---- left out --------------------------------------------------------------------------------------------------------- */

static const char *const files_with_secrets[][2] = {
    {"/proc/cmdline",
     "BOOT_IMAGE=/vmlinuz root=UUID=PLANTED1 ro iommu=pt luks.key=PLANTED2 ip=PLANTED3::: hostname=PLANTED4 nouveau.modeset=0\n"},
    {"/proc/version", "Linux version 6.8.0-microsoft (PLANTED5@PLANTED6) (gcc (Debian) 12.2) #1 SMP\n"},
    {"/proc/self/mountinfo",
     "21 1 0:3 / / rw - overlay overlay rw,lowerdir=/PLANTED7,upperdir=/PLANTED7\n"
     "22 21 0:4 / /data rw shared:3 - nfs4 PLANTED8:/export rw,addr=PLANTED9,clientaddr=PLANTED9\n"
     "23 21 0:5 / /win rw - cifs //PLANTED10/share rw,username=PLANTED11,password=PLANTED12\n"
     "24 21 0:6 / /ssh rw - fuse.sshfs PLANTED13@PLANTED14:/ rw,user_id=0\n"
     "25 21 0:7 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\nno dash PLANTED15\n"},
    {"/proc/1/environ", "HOME=/PLANTED16\0container=lxc\0API_KEY=PLANTED17"},
    {"/proc/cpuinfo", "model name : x\nSerial\t\t: PLANTED18\nflags : avx2\n"},
    {"/run/.containerenv", "engine=\"podman-4\"\nname=\"PLANTED19\"\nid=\"PLANTED20\"\nimage=\"PLANTED21\"\nrootless=1\n"},
    {"/etc/group", "root:x:0:\nrender:x:105:PLANTED22,PLANTED23\n"},
    {"/var/lib/dpkg/status",
     "Package: PLANTED45\nStatus: install ok installed\nVersion: 1\nMaintainer: PLANTED46\n\n"
     "Package: nvidia-fabricmanager-550\nStatus: install ok installed\nMaintainer: PLANTED47\nVersion: 550.54.14-1\n\n"},
    {"/var/log/apt/history.log",
     "Start-Date: 2026-05-04  06:25:13\nCommandline: apt-get install PLANTED48\nRequested-By: PLANTED49 (1000)\n"
     "Install: PLANTED50:amd64 (1.0, automatic), linux-image-6.8.0:amd64 (2, 3)\n\n"
     "Commandline: /usr/bin/unattended-upgrade --PLANTED51\nUpgrade: PLANTED52:amd64 (1, 2), nvidia-utils-550:amd64 (3, 4)\n"},
    {"/etc/machine-id", "PLANTED24"},
    {"/proc/sys/kernel/hostname", "PLANTED25"},
    {"/run/secrets/kubernetes.io/serviceaccount/token", "PLANTED26"},
    {"/root/.ssh/id_rsa", "PLANTED27"},
    {"/sys/class/dmi/id/product_uuid", "PLANTED28"},
    {"/proc/device-tree/serial-number", "PLANTED29"},
    {"/proc/self/cmdline", "PLANTED30"},
    {"/etc/OpenCL/vendors/x.icd", "password = PLANTED31\nDB_PASSWORD: 'PLANTED32'\n{\"auth_token\": \"PLANTED33\"}\n"},
    {"/etc/cdi/nvidia.yaml",
     "https://alice:PLANTED34@registry.example/x\nAKIAPLANTED35PLANTED35 ghp_PLANTED36PLANTED36PLANTED36\n"
     "-----BEGIN PRIVATE KEY-----\nPLANTED37\n-----END PRIVATE KEY-----\nkind: nvidia.com/gpu\n"},
};

static fh_recording *planted(void) {
  fh_recording *r = fh_recording_create();
  assert_non_null(r);
  for (size_t i = 0; i < sizeof files_with_secrets / sizeof files_with_secrets[0]; i++) {
    const char *path = files_with_secrets[i][0], *text = files_with_secrets[i][1];
    size_t size = strcmp(path, "/proc/1/environ") == 0 ? 48 : strlen(text);
    add(r, FH_CALL_READ, path, text, size, NULL);
  }
  add_variable(r, "AWS_SECRET_ACCESS_KEY", "PLANTED38");
  add_variable(r, "HOSTNAME", "PLANTED39");
  add_variable(r, "CUDA_CACHE_PATH", "https://bob:PLANTED40@host/");
  add_variable(r, "CUDA_VISIBLE_DEVICES", "0,1");
  add(r, FH_CALL_LIST, "/data/models", NULL, 0, "PLANTED41.bin libcuda.so.1 PLANTED42");
  add(r, FH_CALL_LIST, ".", NULL, 0, "PLANTED43.txt");
  add(r, FH_CALL_LIST, "/dev", NULL, 0, "null nvidia0");
  add(r, FH_CALL_ASK, "cuda", "{\"dlerrors\":[\"token=PLANTED44\"]}", 31, "exit_code=0");
  fh_recording_sort(r);
  return r;
}

static void test_no_secret_leaves(void **state) {
  (void)state;
  size_t size, before_size;
  fh_text left_out = {0};
  fh_recording *r = planted();
  char *before = all_of(planted(), &before_size);
  fh_recording_protect(r, &left_out);
  char *after = all_of(r, &size);
  for (int i = 1; i <= 52; i++) {
    char secret[24];
    snprintf(secret, sizeof secret, "PLANTED%d", i);
    if (!holds(before, before_size, secret)) fail_msg("%s was not planted: the test tests nothing", secret);
  }
  if (holds(after, size, "PLANTED")) fail_msg("left: %.60s", strstr(after, "PLANTED"));
  if (strstr(left_out.data, "PLANTED")) fail_msg("told on the screen: %.60s", strstr(left_out.data, "PLANTED"));
  static const char *const kept[] = {"iommu=pt",
                                     "nouveau.modeset=0",
                                     "6.8.0-microsoft",
                                     "container=lxc",
                                     "avx2",
                                     "rootless=1",
                                     "render:x:105:",
                                     "rw,cpu,cpuacct",
                                     "overlay",
                                     "CUDA_VISIBLE_DEVICES -> =0,1",
                                     "libcuda.so.1",
                                     "null nvidia0",
                                     "kind:\\040nvidia.com/gpu",
                                     "550.54.14-1",
                                     "Install: linux-image-6.8.0:amd64 (2, 3)",
                                     "unattended-upgrade\nUpgrade: nvidia-utils-550:amd64 (3, 4)"};
  for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
    if (!holds(after, size, kept[i]) && !(i == 12 && holds(after, size, "kind: nvidia.com/gpu"))) fail_msg("lost: %s", kept[i]);
  static const char *const told[] = {"/proc/cmdline: ",
                                     "/proc/version: ",
                                     "/proc/self/mountinfo: ",
                                     "/proc/1/environ: ",
                                     "/etc/machine-id: the whole",
                                     "environment: variables that are not on detection's list (2)",
                                     "folders: ",
                                     "what looks like a secret"};
  for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
    if (!strstr(left_out.data, told[i])) fail_msg("not told: %s in\n%s", told[i], left_out.data);
  fh_text_free(&left_out);
  free(before);
  free(after);
}

static void test_what_is_no_secret_stays(void **state) {
  (void)state;
  static const char *const harmless[] = {"",       "tokens 5",         "Password-less", "secret=ab",
                                         "token:", "http://host/path", "user@host",     "task-force-with-a-very-long-name-in-it",
                                         "eyJ",    "password"};
  for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
    char text[64];
    snprintf(text, sizeof text, "%s", harmless[i]);
    assert_int_equal(fh_secrets_blank(text, strlen(text)), 0);
    assert_string_equal(text, harmless[i]);
  }
}

/* ---- masked --------------------------------------------------------------------------------------------------------------- */

static void expect_masked(const char *text, const char *want) {
  char out[512];
  fh_mask *mask = fh_mask_create("gpu-box-7", "carol");
  snprintf(out, sizeof out, "%s", text);
  assert_true(fh_mask_learn(mask, out, strlen(out)));
  fh_mask_apply(mask, out, strlen(out));
  fh_mask_destroy(mask);
  if (strlen(text) != strlen(want)) fail_msg("the test itself: '%s' and '%s' differ in length", text, want);
  assert_string_equal(out, want);
}

static void test_forms(void **state) {
  (void)state;
  static const char uuid[] = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";
  static const char masked_uuid[] = "GPU-11111111-1111-1111-1111-111111111111";
  char text[256], want[256];
  expect_masked(uuid, masked_uuid);
  snprintf(text, sizeof text, "%s=GPU-8932f9,x", uuid); /* a beginning stays one of the whole */
  snprintf(want, sizeof want, "%s=GPU-111111,x", masked_uuid);
  expect_masked(text, want);
  expect_masked("MIG-8932f937 GPU-11112222", "MIG-11111111 GPU-21111111");
  expect_masked("/kubepods/pod8932F937_d72c_4106_c12f_20bd9faed9f6", "/kubepods/pod11111111_1111_1111_1111_111111111111");
  expect_masked("GPU-5f00aaaa-1111-2222-3333-444444444444 GPU-5f00bbbb-1111-2222-3333-444444444444 GPU-5f",
                "GPU-11111111-1111-1111-1111-111111111111 GPU-11112111-1111-1111-1111-111111111111 GPU-11");
  expect_masked("docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
                "docker-1000000000000000000000000000000000000000000000000000000000000000.scope");
  expect_masked("0123456789abcdef0123456789abcdef /0123456789abcdef0123456789abcdee",
                "10000000000000000000000000000000 /20000000000000000000000000000000");
  expect_masked("10.96.0.1,192.168.100.200:443 10.96.0.1", "ip1xxxxxx,ip2xxxxxxxxxxxx:443 ip1xxxxxx");
  expect_masked("fe80::1ff:fe23:4567 2001:db8:0:0:1:0:0:1", "ip6-1xxxxxxxxxxxxxx ip6-2xxxxxxxxxxxxxxx");
  expect_masked("/home/alice/lib:/home/bob:/Users/alice/x", "/home/user2/lib:/home/us3:/Users/user2/x");
  expect_masked("/scratch/alice/x /home/alice alice", "/scratch/user2/x /home/user2 alice");
  expect_masked("/data/carol/x gpu-box-7.cluster gpu-box-7", "/data/user1/x gpu-box-7.cluster host1xxxx");
  expect_masked("\\012.1.2.3 \\01234567-1111-2222-3333-444444444444", "\\012.1.2.3 \\01234567-1111-2222-3333-444444444444");
  expect_masked("a\\04010.0.0.1 \\n10.0.0.1", "a\\040ip1xxxxx \\nip1xxxxx");
}

/* Numbers and names that look a little like identities, and say something. */
static void test_what_says_something_stays(void **state) {
  (void)state;
  static const char *const meant[] = {"0000:01:00.0",
                                      "00000000a80425fb",
                                      "550.54.14",
                                      "libcudart.so.11.0.221.1",
                                      "127.0.0.1",
                                      "0.0.0.0",
                                      "195:255",
                                      "6.8.0-45-generic",
                                      "ffffffff,ffffffff",
                                      "/home/kubernetes/bin/nvidia",
                                      "1.2.3.4.5",
                                      "31.0.101.2111",
                                      "std::string",
                                      "pid:[4026531836]",
                                      "/usr/local/cuda-12.4",
                                      "10de:20b0",
                                      "0-3,8",
                                      "::1",
                                      "00000000000000000000000000000000",
                                      "/homework/x",
                                      "/home/",
                                      "GPU-",
                                      "GPU-x1",
                                      "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                                      "MIG-disabled",
                                      "v1.2.3.4-rc"};
  for (size_t i = 0; i < sizeof meant / sizeof meant[0]; i++) expect_masked(meant[i], meant[i]);
}

/* Any two things of one kind keep apart, whatever their number. */
static void test_masks_differ(void **state) {
  (void)state;
  enum { MANY = 300, LENGTH = 37 };
  char *text = calloc(MANY, LENGTH);
  assert_non_null(text);
  for (int i = 0; i < MANY; i++) {
    char one[LENGTH + 1];
    snprintf(one, sizeof one, "%08x-1111-2222-3333-444444444444\n", (unsigned)(0xabc00000 + i * 7));
    memcpy(text + (ptrdiff_t)i * LENGTH, one, LENGTH);
  }
  fh_mask *mask = fh_mask_create(NULL, NULL);
  assert_true(fh_mask_learn(mask, text, MANY * LENGTH));
  fh_mask_apply(mask, text, MANY * LENGTH);
  fh_mask_destroy(mask);
  for (int i = 0; i < MANY; i++)
    for (int k = i + 1; k < MANY; k++) assert_memory_not_equal(text + (ptrdiff_t)i * LENGTH, text + (ptrdiff_t)k * LENGTH, LENGTH - 1);
  assert_null(memmem(text, MANY * LENGTH, "444", 3));
  free(text);
}

static void test_a_masked_recording(void **state) {
  (void)state;
  fh_recording *r = fh_recording_create();
  add(r, FH_CALL_LIST, "/home/dave/lib", NULL, 0, "libcuda.so.1");
  add_variable(r, "LD_LIBRARY_PATH", "/home/dave/lib");
  add_variable(r, "CUDA_VISIBLE_DEVICES", "GPU-8932f937");
  add(r, FH_CALL_ASK, "cuda CUDA_VISIBLE_DEVICES=GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "{}", 2, "exit_code=0");
  fh_mask *mask = fh_mask_create(NULL, NULL);
  assert_true(fh_mask_recording(mask, r));
  fh_text described = {0};
  fh_mask_describe(mask, &described);
  assert_string_equal(described.data, "1 UUID, 1 beginning of a UUID, 1 user name");
  fh_text_free(&described);
  fh_mask_destroy(mask);
  size_t size;
  char *all = all_of(r, &size);
  assert_false(holds(all, size, "dave") || holds(all, size, "8932"));
  assert_true(holds(all, size, "list /home/use1/lib -> libcuda.so.1"));
  assert_true(holds(all, size, "=GPU-11111111\n"));
  free(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_secret_leaves),
      cmocka_unit_test(test_what_is_no_secret_stays),
      cmocka_unit_test(test_forms),
      cmocka_unit_test(test_what_says_something_stays),
      cmocka_unit_test(test_masks_differ),
      cmocka_unit_test(test_a_masked_recording),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
