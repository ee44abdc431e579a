/* Which format is asked for. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/format.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"

static const char *const names[FH_FORMAT_COUNT] = {
    [FH_FORMAT_TEXT] = "text", [FH_FORMAT_JSON] = "json",     [FH_FORMAT_PROMETHEUS] = "prometheus",
    [FH_FORMAT_NFD] = "nfd",   [FH_FORMAT_GITHUB] = "github", [FH_FORMAT_JUNIT] = "junit",
};

static bool find(const char *name, unsigned can, fh_format *out) {
  for (int i = 0; i < FH_FORMAT_COUNT; i++) {
    if (!(can & FH_FORMAT_BIT(i)) || strcmp(names[i], name) != 0) continue;
    *out = (fh_format)i;
    return true;
  }
  return false;
}

static void usage(const fh_cli *cli, unsigned can, const char *name) {
  fh_text list = {0};
  for (int i = 0; i < FH_FORMAT_COUNT; i++)
    if (can & FH_FORMAT_BIT(i)) fh_text_add(&list, " %s", names[i]);
  char *known = fh_text_take(&list);
  fh_cli_usage(cli, "--format %s: expected one of:%s", name, known ? known : "");
  free(known);
}

bool fh_cli_format(const fh_cli *cli, unsigned can, fh_format *out) {
  const char *name = fh_cli_value(cli, FH_OPT_FORMAT);
  *out = cli->given[FH_OPT_JSON] ? FH_FORMAT_JSON : FH_FORMAT_TEXT;
  if (!name) return true;
  if (!find(name, can, out)) {
    usage(cli, can, name);
    return false;
  }
  if (!cli->given[FH_OPT_JSON] || *out == FH_FORMAT_JSON) return true;
  fh_cli_usage(cli, "--json and --format %s exclude each other", name);
  return false;
}

int fh_format_emit(const fh_cli *cli, fh_text *text, int exit_status) {
  json_t *good = text->data ? json_string(text->data) : NULL; /* NULL too when it is not UTF-8 */
  for (size_t i = 0; text->data && i < text->size && !good; i++)
    if ((unsigned char)text->data[i] >= 0x80) text->data[i] = '?';
  json_decref(good);
  return fh_cli_emit_text(cli, text, exit_status);
}
