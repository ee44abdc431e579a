/* Results for continuous integration: GitHub's workflow commands, JUnit's XML. SPDX-License-Identifier: Apache-2.0
 *
 * GitHub: https://docs.github.com/actions/reference/workflow-commands-for-github-actions. JUnit: the form that Jenkins, GitLab and
 * others collect; what was not run is "skipped" with its reason, so that it is never taken for passed. */
#include <stdlib.h>
#include <string.h>

#include "tools/devprobe/format.h"
#include "tools/devprobe/machine.h"

fh_text *fh_results_add(fh_results *r, const char *group, const char *name, fh_outcome outcome) {
  static fh_text nowhere = {.failed = true}; /* swallows what is written into it */
  if (r->count == r->capacity) {
    int capacity = r->capacity ? 2 * r->capacity : 16;
    fh_result *items = realloc(r->items, (size_t)capacity * sizeof *items);
    if (!items) {
      r->failed = true;
      return &nowhere;
    }
    r->items = items;
    r->capacity = capacity;
  }
  r->items[r->count] = (fh_result){.group = group, .name = name, .outcome = outcome};
  return &r->items[r->count++].message;
}

void fh_results_free(fh_results *r) {
  for (int i = 0; i < r->count; i++) fh_text_free(&r->items[i].message);
  free(r->items);
  *r = (fh_results){0};
}

/* ---- a report --------------------------------------------------------------------------------------------------- */

static void add_device(const fh_found_device *d, fh_results *r) {
  if (d->usable) {
    fh_text *text = fh_results_add(r, "device", d->id, FH_RESULT_PASSED);
    fh_text_add(text, "%s%s%s%s", d->fake ? "FAKE: " : "", d->name ? d->name : "", d->detail && *d->detail ? ", " : "",
                d->detail ? d->detail : "");
  } else {
    fh_text_add(fh_results_add(r, "device", d->id, FH_RESULT_NOT_RUN), "%s: cannot be used: %s", d->name ? d->name : "",
                d->cause ? d->cause : "unknown cause");
  }
}

static void add_finding(const fh_finding *f, fh_results *r) {
  static const fh_outcome outcomes[] = {FH_RESULT_NOTED, FH_RESULT_WARNED, FH_RESULT_FAILED};
  fh_text *text = fh_results_add(r, "finding", f->cause->id, outcomes[f->severity]);
  fh_text_add(text, "%s (%s): %s", f->cause->title, fh_confidence_name(f->confidence), f->summary);
  for (int i = 0; i < f->evidence_count; i++) fh_text_add(text, "\nsaw %s: %s", f->evidence[i].source, f->evidence[i].value);
  for (int i = 0; i < f->remedy_count; i++) fh_text_add(text, "\n%s %s", i ? "or:" : "fix:", f->remedies[i]);
}

void fh_results_of_report(const fh_judgement *j, fh_results *r) {
  fh_text *verdict = fh_results_add(r, "report", "verdict", j->wrong ? FH_RESULT_FAILED : FH_RESULT_PASSED);
  fh_text_add(verdict, "%s: %s", j->verdict, j->headline ? j->headline : "");
  for (int i = 0; i < j->device_count; i++) add_device(&j->devices[i], r);
  for (int i = 0; i < j->finding_count; i++) add_finding(&j->findings[i], r);
}

/* ---- GitHub ------------------------------------------------------------------------------------------------------- */

/* A newline would end the command; in a property a colon or comma too. */
static void github_text(fh_text *out, const char *text, bool property) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '%' || *c == '\r' || *c == '\n' || (property && (*c == ':' || *c == ',')))
      fh_text_add(out, "%%%02X", *c);
    else
      fh_text_add(out, "%c", *c < 0x20 || *c == 0x7f ? '?' : *c);
  }
}

static void print_github(const fh_results *r, fh_text *out) {
  static const char *const commands[] = {
      [FH_RESULT_FAILED] = "error", [FH_RESULT_NOT_RUN] = "notice", [FH_RESULT_WARNED] = "warning", [FH_RESULT_NOTED] = "notice"};
  for (int i = 0; i < r->count; i++) {
    const fh_result *one = &r->items[i];
    const char *message = one->message.data ? one->message.data : "";
    if (one->outcome == FH_RESULT_PASSED) {
      fh_text_add(out, "%s %s: ", one->group, one->name);
      github_text(out, message, false); /* a line of a machine's text must not be a command of its own */
    } else {
      fh_text_add(out, "::%s title=devprobe%%3A ", commands[one->outcome]);
      if (one->outcome == FH_RESULT_NOT_RUN) fh_text_add(out, "NOT RUN ");
      github_text(out, one->name, true);
      fh_text_add(out, "::");
      github_text(out, message, false);
    }
    fh_text_add(out, "\n");
  }
}

/* ---- JUnit -------------------------------------------------------------------------------------------------------- */

/* The five characters of XML; those that XML 1.0 cannot hold become '?'. */
static void xml_text(fh_text *out, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    switch (*c) {
      case '&':
        fh_text_add(out, "&amp;");
        break;
      case '<':
        fh_text_add(out, "&lt;");
        break;
      case '>':
        fh_text_add(out, "&gt;");
        break;
      case '"':
        fh_text_add(out, "&quot;");
        break;
      case '\n':
        fh_text_add(out, "&#10;");
        break;
      default:
        fh_text_add(out, "%c", *c < 0x20 || *c == 0x7f ? '?' : *c);
    }
  }
}

static int count_of(const fh_results *r, fh_outcome outcome) {
  int count = 0;
  for (int i = 0; i < r->count; i++) count += r->items[i].outcome == outcome;
  return count;
}

static void print_case(const char *suite, const fh_result *one, fh_text *out) {
  static const char *const elements[] = {[FH_RESULT_PASSED] = "system-out",
                                         [FH_RESULT_FAILED] = "failure",
                                         [FH_RESULT_NOT_RUN] = "skipped",
                                         [FH_RESULT_WARNED] = "system-out",
                                         [FH_RESULT_NOTED] = "system-out"};
  const char *element = elements[one->outcome], *message = one->message.data ? one->message.data : "";
  bool attribute = one->outcome == FH_RESULT_FAILED || one->outcome == FH_RESULT_NOT_RUN;
  fh_text_add(out, "    <testcase classname=\"devprobe.%s.%s\" name=\"", suite, one->group);
  xml_text(out, one->name);
  fh_text_add(out, "\">\n      <%s%s", element, attribute ? " message=\"" : ">");
  if (one->outcome == FH_RESULT_WARNED) fh_text_add(out, "warning: ");
  xml_text(out, message);
  fh_text_add(out, attribute ? "\"/>\n    </testcase>\n" : "</%s>\n    </testcase>\n", element);
}

static void print_junit(const char *suite, const fh_results *r, fh_text *out) {
  fh_text_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
  fh_text_add(out, "  <testsuite name=\"devprobe %s\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\">\n", suite, r->count,
              count_of(r, FH_RESULT_FAILED), count_of(r, FH_RESULT_NOT_RUN));
  for (int i = 0; i < r->count; i++) print_case(suite, &r->items[i], out);
  fh_text_add(out, "  </testsuite>\n</testsuites>\n");
}

int fh_results_emit(const fh_cli *cli, fh_format format, const char *suite, fh_results *results, int exit_status) {
  fh_text text = {.failed = results->failed};
  for (int i = 0; i < results->count; i++) text.failed |= results->items[i].message.failed;
  if (format == FH_FORMAT_GITHUB)
    print_github(results, &text);
  else
    print_junit(suite, results, &text);
  fh_results_free(results);
  return fh_format_emit(cli, &text, exit_status);
}
