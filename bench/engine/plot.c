/* The table as a picture: how near to the limit. SPDX-License-Identifier: Apache-2.0
 *
 * One panel per kernel and number of threads; in it a line per case and a dot per contender at its part of the limit, with p10 to p90 as a
 * bar. To the right is faster, the edge is what the machine can do. */
#include <stdio.h>
#include <string.h>

#include "bench/engine/report.h"

enum { LABEL_WIDTH = 190, AXIS_WIDTH = 560, RIGHT = 90, LINE = 20, HEAD = 34, PANEL_GAP = 30, TOP = 86, MOST_NAMES = 24, COLORS = 8 };
static const double most = 1.1; /* of the limit: a little past it is noise of the two measurements */

/* Distinguishable with the usual colour blindnesses, on light and on dark (Okabe and Ito 2008). */
static const char *const colors[COLORS] = {"#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b2a100", "#7f7f7f"};

typedef struct names {
  const char *list[MOST_NAMES];
  int count;
} names;

static int name_index(names *all, const char *name) {
  for (int i = 0; i < all->count; i++)
    if (strcmp(all->list[i], name) == 0) return i;
  if (all->count == MOST_NAMES) return MOST_NAMES - 1;
  all->list[all->count] = name;
  return all->count++;
}

static bool is_shown(const fh_bench_entry *e) { return e->kind != FH_ENTRY_LIMIT && e->median > 0 && e->of_limit > 0; }

static void add_safe(fh_text *out, const char *text) {
  for (; *text; text++) {
    const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '"' ? "&quot;" : NULL;
    if (entity)
      fh_text_add(out, "%s", entity);
    else
      fh_text_append(out, (unsigned char)*text < 32 ? "?" : text, 1);
  }
}

static double x_of(double part) { return LABEL_WIDTH + AXIS_WIDTH * (part > most ? most : part) / most; }

static void add_axis(fh_text *out, int top, int bottom) {
  for (int percent = 0; percent <= 100; percent += 25) {
    const double x = x_of(percent / 100.0);
    fh_text_add(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"%s\"/>", x, top, x, bottom,
                percent == 100 ? "edge" : "grid");
    fh_text_add(out, "<text x=\"%.1f\" y=\"%d\" class=\"tick\" text-anchor=\"middle\">%d %%</text>\n", x, bottom + 13, percent);
  }
}

static void add_dot(fh_text *out, const fh_bench_row *row, const fh_bench_entry *e, int color, int y) {
  const double limit = fh_bench_limit_seconds(row), x = x_of(e->of_limit);
  char time[24];
  fh_text_add(out, "<g fill=\"%s\" stroke=\"%s\"><line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", colors[color % COLORS],
              colors[color % COLORS], x_of(limit / e->p90), y, x_of(limit / e->p10), y);
  if (e->kind == FH_ENTRY_FOGHORN)
    fh_text_add(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\" rx=\"2\">", x - 5, y - 5.0);
  else
    fh_text_add(out, "<circle cx=\"%.1f\" cy=\"%d\" r=\"4\">", x, y);
  fh_text_add(out, "<title>");
  add_safe(out, e->name);
  fh_text_add(out, ": %s, %.0f %% of the limit</title></%s></g>\n", fh_bench_time(e->median, time), 100 * e->of_limit,
              e->kind == FH_ENTRY_FOGHORN ? "rect" : "circle");
}

static void add_row(fh_text *out, const fh_bench_row *row, names *all, int y) {
  char time[24];
  fh_text_add(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LABEL_WIDTH - 10, y + 4);
  add_safe(out, row->label);
  fh_text_add(out, "</text><line x1=\"%d\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"lane\"/>\n", LABEL_WIDTH, y, x_of(most), y);
  for (int i = row->entry_count - 1; i >= 0; i--) /* Foghorn last, on top */
    if (is_shown(&row->entries[i])) add_dot(out, row, &row->entries[i], name_index(all, row->entries[i].name), y);
  fh_text_add(out, "<text x=\"%d\" y=\"%d\" class=\"tick\">%s</text>\n", LABEL_WIDTH + AXIS_WIDTH + 10, y + 4,
              fh_bench_time(fh_bench_own(row)->median, time));
}

/* Rows of one kernel and number of threads, from `first`; returns how far down it went. */
static int add_panel(fh_text *out, const fh_bench_table *table, int first, names *all, int top) {
  const fh_bench_row *head = &table->rows[first];
  int y = top + HEAD;
  fh_text_add(out, "<text x=\"16\" y=\"%d\" class=\"head\">", top + 12);
  add_safe(out, head->kernel);
  fh_text_add(out, "<tspan class=\"tick\" dx=\"10\">%d thread%s</tspan></text>\n", head->threads, head->threads == 1 ? "" : "s");
  int rows = 0;
  for (int r = first; r < table->count; r++) {
    const fh_bench_row *row = &table->rows[r];
    rows += row->kernel == head->kernel && row->threads == head->threads && is_shown(fh_bench_own(row));
  }
  add_axis(out, y - LINE / 2, y + (rows - 1) * LINE + LINE / 2);
  for (int r = first; r < table->count; r++) {
    const fh_bench_row *row = &table->rows[r];
    if (row->kernel != head->kernel || row->threads != head->threads || !is_shown(fh_bench_own(row))) continue;
    add_row(out, row, all, y);
    y += LINE;
  }
  return y + PANEL_GAP;
}

static bool is_first_of_panel(const fh_bench_table *table, int r) {
  const fh_bench_row *row = &table->rows[r];
  if (!is_shown(fh_bench_own(row))) return false;
  for (int q = 0; q < r; q++)
    if (table->rows[q].kernel == row->kernel && table->rows[q].threads == row->threads && is_shown(fh_bench_own(&table->rows[q])))
      return false;
  return true;
}

static void add_legend(fh_text *out, const names *all) {
  int x = 16;
  for (int i = 0; i < all->count; i++) {
    if (i == 0)
      fh_text_add(out, "<rect x=\"%d\" y=\"56\" width=\"10\" height=\"10\" rx=\"2\" fill=\"%s\"/>", x, colors[0]);
    else
      fh_text_add(out, "<circle cx=\"%d\" cy=\"61\" r=\"4\" fill=\"%s\"/>", x + 5, colors[i % COLORS]);
    fh_text_add(out, "<text x=\"%d\" y=\"65\">", x + 15);
    add_safe(out, all->list[i]);
    fh_text_add(out, "</text>\n");
    x += 36 + 7 * (int)strlen(all->list[i]);
  }
}

void fh_bench_plot(fh_text *out, const fh_bench_table *table, const char *title) {
  fh_text body = {0};
  names all = {{"Foghorn"}, 1};
  int y = TOP;
  for (int r = 0; r < table->count; r++)
    if (is_first_of_panel(table, r)) y = add_panel(&body, table, r, &all, y);
  const int width = LABEL_WIDTH + AXIS_WIDTH + RIGHT;
  fh_text_add(out,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n"
              "<style>svg{background:#fff;color:#1a1a1a;font:12px system-ui,sans-serif}text{fill:currentColor;stroke:none}"
              ".title{font-size:17px;font-weight:600}.head{font-size:14px;font-weight:600}.tick{font-size:11px;font-weight:400;opacity:.7}"
              ".grid{stroke:currentColor;opacity:.15}.edge{stroke:currentColor;opacity:.6;stroke-dasharray:4 3}"
              ".lane{stroke:currentColor;opacity:.06}"
              "@media(prefers-color-scheme:dark){svg{background:#16181d;color:#e8e8e8}}</style>\n<text x=\"16\" y=\"28\" class=\"title\">",
              width, y, width, y);
  add_safe(out, title);
  fh_text_add(
      out,
      "</text><text x=\"16\" y=\"46\" class=\"tick\">part of what this machine can do at most; right is faster; bars from p10 to p90"
      "</text>\n");
  add_legend(out, &all);
  if (body.data) fh_text_append(out, body.data, body.size);
  fh_text_add(out, "</svg>\n");
  fh_text_free(&body);
}
