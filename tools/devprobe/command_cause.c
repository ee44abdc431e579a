/* devprobe cause: the catalogue, or one cause in full. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/json.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/machine.h"

static const char *cause_id_at(int i) {
  int count;
  return fh_causes(&count)[i].id;
}

/* Ids are written in capitals, but nobody should have to type them so. */
static const fh_cause *find(const char *id) {
  int count;
  const fh_cause *causes = fh_causes(&count);
  for (int i = 0; i < count; i++)
    if (strcasecmp(causes[i].id, id) == 0) return &causes[i];
  return NULL;
}

static const struct {
  const char *name, *title; /* in JSON; above the list */
} groups[] = {
    [FH_GROUP_CPU] = {"cpu", "Processors and instruction sets"},
    [FH_GROUP_CGROUP] = {"cgroup", "Control groups and limits"},
    [FH_GROUP_CONTAINER] = {"container", "Containers and sandboxes"},
    [FH_GROUP_NVIDIA] = {"nvidia", "NVIDIA: hardware, kernel driver, fabric"},
    [FH_GROUP_CUDA] = {"cuda", "CUDA: libraries, variables, programs"},
    [FH_GROUP_OPENCL] = {"opencl", "OpenCL"},
    [FH_GROUP_AMD] = {"amd", "AMD: ROCm and HIP"},
    [FH_GROUP_INTEL] = {"intel", "Intel: Level Zero, OpenCL, NPU"},
    [FH_GROUP_PLATFORM] = {"platform", "WSL, Jetson, clouds"},
    [FH_GROUP_RUN_TIME] = {"run_time", "Named by a running program, not by a report"},
};
enum { ID_WIDTH = 25, GROUP_COUNT = sizeof groups / sizeof groups[0] };

static json_t *cause_json(const fh_cause *cause) {
  json_t *object = json_object();
  json_object_set_new(object, "id", fh_json_text(cause->id));
  json_object_set_new(object, "group", json_string(groups[cause->group].name));
  json_object_set_new(object, "at_run_time", json_boolean(cause->rule == NULL)); /* no report looks for it */
  json_object_set_new(object, "title", fh_json_text(cause->title));
  json_object_set_new(object, "meaning", fh_json_text(cause->meaning));
  json_object_set_new(object, "evidence", fh_json_text(cause->evidence));
  json_object_set_new(object, "look_alikes", fh_json_text(cause->look_alikes));
  json_object_set_new(object, "remedy", fh_json_text(cause->remedy));
  json_object_set_new(object, "references", fh_json_text(cause->references));
  return object;
}

static int emit_json(const fh_cli *cli, const fh_cause *causes, int count) {
  json_t *list = json_array();
  for (int i = 0; i < count; i++) json_array_append_new(list, cause_json(&causes[i]));
  json_t *root = json_object();
  json_object_set_new(root, "schema", json_string("foghorn.causes/1"));
  json_object_set_new(root, "causes", list);
  return fh_cli_emit_json(cli, root, FH_EXIT_OK);
}

/* By group; within a group in order of evaluation. */
static int emit_list(const fh_cli *cli, const fh_cause *causes, int count) {
  fh_screen screen = {.color = cli->color};
  for (int group = 0; group < GROUP_COUNT; group++) {
    if (group) fh_screen_blank(&screen);
    fh_screen_headline(&screen, FH_DIM, strlen(groups[group].title), "%s", groups[group].title);
    for (int i = 0; i < count; i++)
      if (causes[i].group == (fh_cause_group)group) fh_screen_item(&screen, FH_BOLD, ID_WIDTH, causes[i].id, "%s", causes[i].title);
  }
  fh_screen_blank(&screen);
  fh_screen_headline(&screen, FH_PLAIN, 0, "%d causes; devprobe cause ID tells one in full.", count);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

static int unknown_id(const fh_cli *cli, const char *id) {
  int count;
  fh_causes(&count);
  const char *near = fh_cli_nearest(id, cause_id_at, count);
  return fh_cli_usage(cli, "%s: no such cause%s%s; 'devprobe cause' lists all", id, near ? "; did you mean " : "", near ? near : "");
}

static int cause_command(const fh_cli *cli) {
  int count;
  const fh_cause *causes = fh_causes(&count);
  if (cli->operand_count) {
    causes = find(cli->operands[0]);
    if (!causes) return unknown_id(cli, cli->operands[0]);
    count = 1;
  }
  if (cli->given[FH_OPT_JSON]) return emit_json(cli, causes, count);
  if (!cli->operand_count) return emit_list(cli, causes, count);
  fh_screen screen = {.color = cli->color};
  fh_machine_print_cause(causes, &screen);
  return fh_cli_emit_text(cli, &screen.text, FH_EXIT_OK);
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_COLOR};

const fh_cli_command fh_command_cause = {
    .name = "cause",
    .operands = "[ID]",
    .operands_min = 0,
    .operands_max = 1,
    .summary = "The catalogue of causes; one in full: meaning, look-alikes, fix.",
    .help = "",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = cause_command,
};
