/* Shapes of a kernel's operands as words of a command line. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/shapes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_EXTENTS = FH_MAX_VIEWS * FH_MAX_RANK, NAME_SIZE = 16 };

/* ---- shapes --------------------------------------------------------------------------------------------- */

/* The names in a contract's shapes, in the order in which they first appear: (m, k) (k, n) gives m, k, n. */
typedef struct symbols {
  char names[MAX_EXTENTS][NAME_SIZE];
  int64_t values[MAX_EXTENTS];
  int count;
} symbols;

static int symbol_index(symbols *s, const char *name, size_t length, bool add) {
  for (int i = 0; i < s->count; i++)
    if (strlen(s->names[i]) == length && memcmp(s->names[i], name, length) == 0) return i;
  if (!add || s->count == MAX_EXTENTS || length >= NAME_SIZE) return -1;
  memcpy(s->names[s->count], name, length);
  s->names[s->count][length] = 0;
  return s->count++;
}

/* Walks the first "(a, b)" of a shape in words. Each name is looked up (or added) and its value put into the extents. Rank,
 * or -1 when the words are not of that kind. */
static int walk_shape(const char *words, symbols *s, bool add, int64_t *extents) {
  if (*words != '(') return -1;
  int rank = 0;
  for (const char *at = words + 1;;) {
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_') length++;
    int index = length && !isdigit((unsigned char)*at) ? symbol_index(s, at, length, add) : -1;
    if (index < 0 || rank == FH_MAX_RANK) return -1;
    extents[rank++] = s->values[index];
    at += length;
    if (*at == ')') return rank;
    if (*at != ',') return -1;
    at += 1 + (at[1] == ' ');
  }
}

/* "that of x": the shape of another operand. */
static int same_as(const fh_kernel_contract *contract, const char *words) {
  static const char prefix[] = "that of ";
  if (strncmp(words, prefix, sizeof prefix - 1) != 0) return -1;
  for (int i = 0; i < contract->view_count; i++)
    if (strcmp(contract->views[i].name, words + sizeof prefix - 1) == 0) return i;
  return -1;
}

/* False when the contract's shapes are not plain names, so that one SHAPE cannot stand for all. */
static bool collect_symbols(const fh_kernel_contract *contract, symbols *s) {
  int64_t unused[FH_MAX_RANK];
  for (int i = 0; i < contract->view_count; i++) {
    const char *words = contract->views[i].shape;
    if (same_as(contract, words) < 0 && walk_shape(words, s, true, unused) < 0) return false;
  }
  return true;
}

/* "512x64x1000": at most `capacity` extents. -1: it cannot be read. */
static int parse_extents(const char *text, int64_t *extents, int capacity) {
  int count = 0;
  for (;;) {
    char *end;
    if (!isdigit((unsigned char)*text) || count == capacity) return -1;
    unsigned long long value = strtoull(text, &end, 10);
    if (value > INT64_C(1) << 40) return -1;
    extents[count++] = (int64_t)value;
    if (!*end) return count;
    if (*end != 'x' && *end != 'X') return -1;
    text = end + 1;
  }
}

static void names_of(const symbols *s, char *out, size_t size) {
  size_t used = 0;
  for (int i = 0; i < s->count && used < size; i++) used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "x" : "", s->names[i]);
}

/* One SHAPE for all operands: an extent per name. */
static int shapes_by_name(const fh_cli *cli, const fh_kernel_contract *contract, const char *text, fh_view_spec *specs) {
  symbols s = {.count = 0};
  if (!collect_symbols(contract, &s))
    return fh_cli_usage(cli, "%s: expected one SHAPE for each of its %d operands", contract->name, contract->view_count);
  char names[256] = "";
  names_of(&s, names, sizeof names);
  int count = parse_extents(text, s.values, MAX_EXTENTS);
  if (count != s.count) return fh_cli_usage(cli, "%s: expected %d numbers joined by x: %s", text, s.count, names);
  for (int i = 0; i < contract->view_count; i++) {
    int other = same_as(contract, contract->views[i].shape);
    int rank = other >= 0 ? 0 : walk_shape(contract->views[i].shape, &s, false, specs[i].shape.extents);
    if (other >= 0) {
      specs[i].shape = specs[other].shape;
    } else {
      specs[i].shape.rank = rank;
    }
  }
  return FH_EXIT_OK;
}

static int shapes_by_operand(const fh_cli *cli, const fh_kernel_contract *contract, fh_view_spec *specs) {
  for (int i = 0; i < contract->view_count; i++) {
    const char *text = cli->operands[1 + i];
    specs[i].shape.rank = parse_extents(text, specs[i].shape.extents, FH_MAX_RANK);
    if (specs[i].shape.rank < 0)
      return fh_cli_usage(cli, "%s: expected the shape of %s, %s, as numbers joined by x", text, contract->views[i].name,
                          contract->views[i].shape);
  }
  return FH_EXIT_OK;
}

static void shapes_of_largest_case(const fh_kernel_contract *contract, fh_view_spec *specs) {
  fh_case c = {0}, largest = {0};
  double most = -1;
  for (int i = 0; contract->case_at(i, &c); i++) {
    fh_bound bound;
    fh_status status = contract->bind(c.views, c.scalars, &bound);
    if (!status && bound.flops + bound.bytes > most) {
      most = bound.flops + bound.bytes;
      largest = c;
    }
    fh_status_free(status);
  }
  for (int i = 0; i < contract->view_count; i++) {
    specs[i].shape.rank = largest.views[i].rank;
    memcpy(specs[i].shape.extents, largest.views[i].shape, sizeof specs[i].shape.extents);
  }
}

int fh_shapes_choose(const fh_cli *cli, const fh_kernel_contract *contract, fh_view_spec *specs) {
  int given = cli->operand_count - 1;
  for (int i = 0; i < contract->view_count; i++) specs[i].dtype = contract->views[i].dtype;
  if (given == 0) {
    shapes_of_largest_case(contract, specs);
    return FH_EXIT_OK;
  }
  if (given == contract->view_count && given > 1) return shapes_by_operand(cli, contract, specs);
  if (given == 1) return shapes_by_name(cli, contract, cli->operands[1], specs);
  return fh_cli_usage(cli, "%d shapes: expected one, or one for each of the %d operands of %s", given, contract->view_count,
                      contract->name);
}
