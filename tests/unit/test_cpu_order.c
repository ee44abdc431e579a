/* The order in which workers take CPUs, with nodes made of files. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/exec/cpu_order.h"

static char folder[64];

static void path_of(char *out, size_t size, const char *node, const char *file) { snprintf(out, size, "%s/%s%s", folder, node, file); }

static void make_node(const char *node, const char *cpulist) {
  char path[128];
  path_of(path, sizeof path, node, "");
  assert_int_equal(mkdir(path, 0700), 0);
  path_of(path, sizeof path, node, "/cpulist");
  FILE *file = fopen(path, "we");
  assert_non_null(file);
  fputs(cpulist, file);
  fclose(file);
}

static void remove_node(const char *node) {
  char path[128];
  path_of(path, sizeof path, node, "/cpulist");
  unlink(path);
  path_of(path, sizeof path, node, "");
  rmdir(path);
}

static int make_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/foghorn-nodes-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  static const char *const nodes[] = {"node0", "node1", "node2", "node10", "nodex"};
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) remove_node(nodes[i]);
  return rmdir(folder);
}

static void expect(const int *cpus, const int *order, int count) {
  int sorted[16];
  memcpy(sorted, cpus, (size_t)count * sizeof *cpus);
  fh_cpus_by_node(sorted, count, folder);
  assert_memory_equal(sorted, order, (size_t)count * sizeof *order);
}

/* Neighbouring numbers on different nodes, as many machines count. */
static void nodes_follow_each_other(void **state) {
  (void)state;
  make_node("node0", "0,2,4-5\n");
  make_node("node1", "1,3,6-7\n");
  expect((const int[]){0, 1, 2, 3, 4, 5, 6, 7}, (const int[]){0, 2, 4, 5, 1, 3, 6, 7}, 8);
  expect((const int[]){1, 2, 7}, (const int[]){2, 1, 7}, 3);
}

/* By number, not by name; a node without CPUs (memory alone) and what is no node say nothing. */
static void by_number(void **state) {
  (void)state;
  make_node("node10", "0-1\n");
  make_node("node2", "2-3\n");
  make_node("node1", "\n");
  make_node("nodex", "0-3\n");
  expect((const int[]){0, 1, 2, 3}, (const int[]){2, 3, 0, 1}, 4);
}

static void one_node_changes_nothing(void **state) {
  (void)state;
  make_node("node0", "1,3\n");
  expect((const int[]){0, 1, 2, 3}, (const int[]){0, 1, 2, 3}, 4);
}

static void what_is_not_named_comes_last(void **state) {
  (void)state;
  make_node("node0", "4\n");
  make_node("node1", "2\n");
  expect((const int[]){0, 1, 2, 3, 4}, (const int[]){4, 2, 0, 1, 3}, 5);
}

static void broken_lists_do_no_harm(void **state) {
  (void)state;
  make_node("node0", "2,99999999999999999999-3,0\n");
  make_node("node1", "1-,-4,x");
  make_node("node2", "");
  expect((const int[]){0, 1, 2}, (const int[]){2, 0, 1}, 3);
}

static void no_folder(void **state) {
  (void)state;
  int cpus[] = {1, 0};
  fh_cpus_by_node(cpus, 2, "/nonexistent");
  assert_int_equal(cpus[0], 1);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(nodes_follow_each_other),  IN_FOLDER(by_number),
      IN_FOLDER(one_node_changes_nothing), IN_FOLDER(what_is_not_named_comes_last),
      IN_FOLDER(broken_lists_do_no_harm),  cmocka_unit_test(no_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
