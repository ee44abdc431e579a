/* A trial instruction for each instruction set that the processor advertises. SPDX-License-Identifier: Apache-2.0
 * Virtual machines are known to advertise what they do not run: only running it is proof. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/answer.h"
#include "detect/gather.h"
#include "detect/parse.h"

static sigjmp_buf before_trial;

static void on_illegal(int signal_number) { siglongjmp(before_trial, signal_number); }

static void say_trial(const char *name, void (*trial)(void)) {
  struct sigaction action = {.sa_handler = on_illegal}, old_ill, old_segv;
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, &old_ill);
  sigaction(SIGSEGV, &action, &old_segv); /* some hypervisors answer with a general protection fault */
  volatile bool works = false;
  if (sigsetjmp(before_trial, 1) == 0) {
    trial();
    works = true;
  }
  sigaction(SIGILL, &old_ill, NULL);
  sigaction(SIGSEGV, &old_segv, NULL);
  fh_answer_say(json_pack("{s:b}", name, works ? 1 : 0));
}

#if defined(__x86_64__) || defined(__aarch64__)
/* Of what is advertised, what has a trial. */
static void say_trials(const fh_isa_bits *bits, void (*const isas[FH_ISA_COUNT])(void), void (*const features[FH_FEATURE_COUNT])(void)) {
  for (int i = 0; i < FH_ISA_COUNT; i++)
    if (bits->advertised[i] && isas[i]) say_trial(fh_isa_name((fh_isa)i), isas[i]);
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    if (bits->feature[i] && features[i]) say_trial(fh_cpu_feature_name((fh_cpu_feature)i), features[i]);
}
#endif

#if defined(__x86_64__)

static void try_sse42(void) {
  unsigned crc = 0;
  __asm__ volatile("crc32l %1, %0\n\tpopcntl %0, %0" : "+r"(crc) : "r"(1u));
}

static void try_avx2(void) {
  unsigned bits = 0;
  __asm__ volatile(
      "vpaddd %%ymm0, %%ymm0, %%ymm0\n\t"
      "vfmadd231ps %%ymm0, %%ymm0, %%ymm0\n\t"
      "vcvtph2ps %%xmm0, %%ymm0\n\t"
      "andnl %0, %0, %0\n\t"
      "lzcntl %0, %0\n\t"
      "vzeroupper"
      : "+r"(bits)::"xmm0");
}

static void try_avx512(void) {
  __asm__ volatile(
      "vpaddd %%zmm0, %%zmm0, %%zmm0\n\t"  /* F */
      "vpaddb %%zmm0, %%zmm0, %%zmm0\n\t"  /* BW */
      "vpconflictd %%zmm0, %%zmm1\n\t"     /* CD */
      "vpmullq %%zmm0, %%zmm0, %%zmm0\n\t" /* DQ */
      "vpmullq %%xmm0, %%xmm0, %%xmm0\n\t" /* VL */
      "vzeroupper" ::
          : "xmm0", "xmm1");
}

static void try_avx512_vnni(void) { __asm__ volatile("vpdpbusd %%zmm0, %%zmm0, %%zmm0\n\tvzeroupper" ::: "xmm0"); }
static void try_avx512_bf16(void) { __asm__ volatile("vdpbf16ps %%zmm0, %%zmm0, %%zmm0\n\tvzeroupper" ::: "xmm0"); }

/* TILERELEASE, by its bytes: older assemblers do not know it. Needs the permission of this process first. */
static void try_amx(void) { __asm__ volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0xc0"); }

/* The permission is this process's own, so asking here leaves everybody else as they were. False: not granted, and why is told. */
static bool amx_permitted(void) {
  enum { ARCH_REQUEST_XCOMP_PERMISSION = 0x1023, TILE_DATA = 18 };
  bool granted = syscall(SYS_arch_prctl, ARCH_REQUEST_XCOMP_PERMISSION, TILE_DATA) == 0;
  fh_answer_say(json_pack("{s:s}", "amx_request", granted ? "ok" : fh_errno_name(errno)));
  return granted;
}

static void (*const isa_trials[FH_ISA_COUNT])(void) = {[FH_ISA_SSE42] = try_sse42, [FH_ISA_AVX2] = try_avx2, [FH_ISA_AVX512] = try_avx512};
static void (*const feature_trials[FH_FEATURE_COUNT])(void) = {
    [FH_FEATURE_AVX512_VNNI] = try_avx512_vnni, [FH_FEATURE_AVX512_BF16] = try_avx512_bf16};

void fh_answer_isa(const char *none) {
  (void)none;
  fh_os *os;
  fh_status status = fh_os_live(NULL, 0, &os);
  if (status) {
    fh_status_free(status);
    return;
  }
  fh_cpuid_view view;
  fh_isa_bits bits = {0};
  if (fh_cpuid_view_read(os, &view)) fh_isa_from_cpuid(&view, &bits);
  say_trials(&bits, isa_trials, feature_trials);
  if (bits.amx_advertised && amx_permitted()) say_trial("amx", try_amx);
  fh_os_destroy(os);
}

#elif defined(__aarch64__)

static void try_neon(void) { __asm__ volatile("add v0.4s, v0.4s, v0.4s\n\tfmla v0.4s, v0.4s, v0.4s" ::: "v0"); }
/* By their words: this file is compiled for processors without them. */
static void try_dotprod(void) { __asm__ volatile(".inst 0x4e809400" ::: "v0"); } /* sdot v0.4s, v0.16b, v0.16b */
static void try_i8mm(void) { __asm__ volatile(".inst 0x4e809c00" ::: "v0"); }    /* usdot v0.4s, v0.16b, v0.16b */
static void try_bf16(void) { __asm__ volatile(".inst 0x6e40fc00" ::: "v0"); }    /* bfdot v0.4s, v0.8h, v0.8h */

static void (*const isa_trials[FH_ISA_COUNT])(void) = {[FH_ISA_NEON] = try_neon};
static void (*const feature_trials[FH_FEATURE_COUNT])(void) = {
    [FH_FEATURE_NEON_DOTPROD] = try_dotprod, [FH_FEATURE_NEON_I8MM] = try_i8mm, [FH_FEATURE_NEON_BF16] = try_bf16};

void fh_answer_isa(const char *none) {
  (void)none;
  fh_isa_bits bits;
  fh_isa_from_hwcap(getauxval(AT_HWCAP), getauxval(AT_HWCAP2), &bits);
  say_trials(&bits, isa_trials, feature_trials);
}

#else

void fh_answer_isa(const char *none) { (void)none; }

#endif
