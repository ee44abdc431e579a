/* What a program is bound by, for people and as JSON. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench/engine/report.h"
#include "runtime/base/json.h"
#include "tools/devprobe/job.h"
#include "tools/devprobe/screen.h"

static const char *const words[] = {"no launch", "waiting", "rest", "compute", "memory", "launch", "unknown"};

/* ---- the first line ---------------------------------------------------------------------------------------------------- */

static void headline(fh_screen *screen, const fh_job *job, const fh_job_verdict *v) {
  static const char *const heads[] = {"NO KERNELS",   "I/O BOUND", "BOUND BY THE REST", "COMPUTE BOUND", "MEMORY BOUND",
                                      "LAUNCH BOUND", "KERNELS"};
  const char *head = heads[v->bound];
  char wall[24], waiting[24];
  fh_bench_time(job->wall, wall);
  fh_bench_time(v->waiting_part * job->wall, waiting);
  const size_t painted = strlen(head);
  const double kernels = 100 * v->kernel_part;
  switch (v->bound) {
    case FH_JOB_NO_LAUNCH:
      fh_screen_headline(screen, FH_YELLOW, painted, "%s: the program launched nothing through Foghorn in %s", head, wall);
      break;
    case FH_JOB_WAITING:
      fh_screen_headline(screen, FH_YELLOW, painted, "%s: for at least %s of %s no processor worked: files, the network or other programs",
                         head, waiting, wall);
      break;
    case FH_JOB_REST:
      fh_screen_headline(screen, FH_YELLOW, painted, "%s of the program: kernels are %.0f %% of %s", head, kernels, wall);
      break;
    case FH_JOB_COMPUTE:
    case FH_JOB_MEMORY:
      fh_screen_headline(screen, FH_GREEN, painted, "%s: kernels are %.0f %% of %s, most of it in %s", head, kernels, wall,
                         job->kernels[0].name);
      break;
    case FH_JOB_LAUNCH:
      fh_screen_headline(screen, FH_YELLOW, painted, "%s: kernels are %.0f %% of %s, and most of that is what starting them costs", head,
                         kernels, wall);
      break;
    default:
      fh_screen_headline(
          screen, FH_PLAIN, painted,
          "%s ran on a device whose launches end some time after they were made: of %s nothing is said but what was launched", head, wall);
  }
}

static const char *advice_of(fh_job_bound bound) {
  switch (bound) {
    case FH_JOB_NO_LAUNCH:
      return "was it to call Foghorn? A program that calls another library is not seen here";
    case FH_JOB_WAITING:
      return "read ahead in a thread of its own, or from something faster; no device makes this wait shorter";
    case FH_JOB_REST:
      return "see where the time between the launches goes (perf record CMD); that is what to make faster first";
    case FH_JOB_LAUNCH:
      return "put more into each launch: many small calls as one batched one, or fuse them";
    default:
      return NULL;
  }
}

/* ---- text ---------------------------------------------------------------------------------------------------------------- */

static void print_ceiling(fh_screen *screen, const fh_job_verdict *v) {
  if (v->bound == FH_JOB_NO_LAUNCH || v->bound == FH_JOB_UNKNOWN) return;
  if (!v->worth_porting)
    fh_screen_line(screen, FH_YELLOW, "verdict", "NOT WORTH PORTING: kernels that take no time at all would end it %.2f times sooner",
                   v->ceiling);
  if (isfinite(v->ceiling))
    fh_screen_line(screen, FH_PLAIN, "ceiling", "kernels that take no time: %.3g times sooner (the rest of it, %.0f %%, stays: Amdahl)",
                   v->ceiling, 100 * (1 - v->kernel_part));
  if (v->limit_gain > 1.005)
    fh_screen_line(screen, FH_PLAIN, "here", "kernels at the limit of this machine: %.3g times sooner", v->limit_gain);
  else
    fh_screen_line(screen, FH_PLAIN, "here", "kernels run at the limit of this machine, or are too few to matter: nothing is left to gain");
}

static void print_offer(fh_screen *screen, const fh_job_verdict *v, fh_job_offer offer) {
  if (offer.times <= 0 || v->bound == FH_JOB_NO_LAUNCH || v->bound == FH_JOB_UNKNOWN) return;
  const double saving = fh_job_saving(v->kernel_part, offer.times);
  fh_screen_line(screen, FH_PLAIN, "offer", "kernels %g times faster: the whole %.3g times sooner, %.0f %% of the hours saved", offer.times,
                 fh_job_speedup(v->kernel_part, offer.times), 100 * saving);
  if (offer.price > 0)
    fh_screen_line(screen, FH_PLAIN, "", "at %g an hour now: worth it where that device costs less than %.4g an hour", offer.price,
                   offer.price / (1 - saving));
}

static void print_layout(fh_screen *screen, const fh_job *job, const fh_job_kernel *k) {
  fh_job_layout layout;
  char convert[24];
  if (!fh_job_layout_advice(job, k, &layout)) return;
  fh_screen_line(
      screen, FH_YELLOW, "layout",
      "%s: elements lie apart in %lld launches: %.1f bytes of cache lines for each byte that is used. Fields as arrays of their own "
      "(fh_permute, SoA): predicted up to %.3g times faster; converting takes %s and pays from launch %.0f on the same data on",
      k->name, (long long)k->sparse_launches, layout.apart, layout.gain, fh_bench_time(layout.convert_seconds, convert), layout.break_even);
}

static void print_kernels(fh_screen *screen, const fh_job *job) {
  for (int i = 0; i < job->kernel_count; i++) {
    const fh_job_kernel *k = &job->kernels[i];
    const fh_job_bound bound = fh_job_kernel_bound(job, k);
    char seconds[24], each[24], limit[64] = "";
    if (bound != FH_JOB_UNKNOWN && k->seconds > 0)
      snprintf(limit, sizeof limit, ", %s-bound, %.0f %% of the limit", words[bound], 100 * k->limit_seconds / k->seconds);
    fh_screen_line(screen, FH_PLAIN, i ? "" : "kernels", "%s on %s: %lld launches, %s, %.0f %% of the program%s; longest %s (%s)", k->name,
                   k->device, (long long)k->launches, fh_bench_time(k->seconds, seconds), 100 * k->seconds / job->wall, limit,
                   fh_bench_time(k->longest, each), k->slowest);
  }
  for (int i = 0; i < job->kernel_count; i++) print_layout(screen, job, &job->kernels[i]);
}

static void print_ending(fh_screen *screen, const fh_job *job, const fh_job_trace *trace, const fh_job_end *end) {
  char processor[24], read[24], written[24], launch[24];
  fh_screen_line(screen, FH_PLAIN, "counted", "%s of processors, %s read from disks, %s written; a launch that does nothing: %s",
                 fh_bench_time(job->processor, processor), fh_screen_bytes(job->read_bytes, read),
                 fh_screen_bytes(job->written_bytes, written),
                 job->launch_seconds > 0 ? fh_bench_time(job->launch_seconds, launch) : "not measured");
  if (trace->unread)
    fh_screen_line(screen, FH_YELLOW, "note", "%lld lines of the trace could not be read: figures are too low", (long long)trace->unread);
  if (WIFSIGNALED(end->status))
    fh_screen_line(screen, FH_RED, "ended", "by signal %d", WTERMSIG(end->status));
  else if (WEXITSTATUS(end->status))
    fh_screen_line(screen, FH_RED, "ended", "with status %d", WEXITSTATUS(end->status));
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

static json_t *finite_or_null(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *layout_json(const fh_job *job, const fh_job_kernel *k) {
  fh_job_layout layout;
  if (!fh_job_layout_advice(job, k, &layout)) return json_null();
  return json_pack("{sf sf sf so}", "line_bytes_per_byte", layout.apart, "predicted_gain", layout.gain, "convert_s", layout.convert_seconds,
                   "break_even_launches", finite_or_null(layout.break_even));
}

static json_t *kernel_json(const fh_job *job, const fh_job_kernel *k) {
  const fh_job_bound bound = fh_job_kernel_bound(job, k);
  return json_pack("{so so sI sf sf so ss so so}", "kernel", fh_json_text(k->name), "device", fh_json_text(k->device), "launches",
                   (json_int_t)k->launches, "seconds", k->seconds, "longest_s", k->longest, "longest", fh_json_text(k->slowest), "bound_by",
                   words[bound], "of_limit",
                   bound == FH_JOB_UNKNOWN || k->seconds <= 0 ? json_null() : json_real(k->limit_seconds / k->seconds), "layout",
                   layout_json(job, k));
}

static char *json_of(const fh_job *job, const fh_job_trace *trace, const fh_job_end *end, const fh_job_verdict *v, fh_job_offer offer) {
  json_t *kernels = json_array(), *offered = json_null();
  for (int i = 0; i < job->kernel_count; i++) json_array_append_new(kernels, kernel_json(job, &job->kernels[i]));
  if (offer.times > 0) {
    const double saving = fh_job_saving(v->kernel_part, offer.times);
    offered = json_pack("{sf sf sf so}", "times", offer.times, "sooner", fh_job_speedup(v->kernel_part, offer.times), "saved", saving,
                        "break_even_price", offer.price > 0 ? finite_or_null(offer.price / (1 - saving)) : json_null());
  }
  json_t *out =
      json_pack("{ss ss sb sf sf sf so sf sI sI sf sI so so si}", "schema", "foghorn.job/1", "bound_by", words[v->bound], "worth_porting",
                v->worth_porting, "seconds", job->wall, "kernel_part", v->kernel_part, "waiting_part", v->waiting_part, "ceiling",
                finite_or_null(v->ceiling), "gain_at_limit", v->limit_gain, "read_bytes", (json_int_t)job->read_bytes, "written_bytes",
                (json_int_t)job->written_bytes, "launch_s", job->launch_seconds, "unread_lines", (json_int_t)trace->unread, "offer",
                offered, "kernels", kernels, "status", WIFSIGNALED(end->status) ? -WTERMSIG(end->status) : WEXITSTATUS(end->status));
  return fh_json_print(out);
}

char *fh_job_text(const fh_cli *cli, int fd, const fh_job *job, const fh_job_trace *trace, const fh_job_end *end, fh_job_offer offer) {
  const fh_job_verdict v = fh_job_judge(job);
  if (cli->given[FH_OPT_JSON]) {
    fh_text text = {0};
    char *json = json_of(job, trace, end, &v, offer);
    if (!json) return NULL;
    fh_text_add(&text, "%s\n", json);
    free(json);
    return fh_text_take(&text);
  }
  fh_screen screen = {.color = fh_cli_colors(cli, fd)};
  const char *advice = advice_of(v.bound);
  headline(&screen, job, &v);
  if (advice) fh_screen_line(&screen, FH_PLAIN, "fix", "%s", advice);
  print_ceiling(&screen, &v);
  print_offer(&screen, &v, offer);
  print_kernels(&screen, job);
  print_ending(&screen, job, trace, end);
  return fh_text_take(&screen.text);
}
