/* The order in which a pool's workers take CPUs. SPDX-License-Identifier: Apache-2.0
 *
 * Worker i of a loop always gets the same part of it. Where memory has several nodes, CPUs of one node therefore have to follow each
 * other: the pages that a worker is the first to write come to lie at its node, a later loop over the same data finds them there, and a
 * worker that is done helps its neighbours, who are of its node, first. */
#ifndef FOGHORN_EXEC_CPU_ORDER_H_
#define FOGHORN_EXEC_CPU_ORDER_H_

#define FH_MEMORY_NODES "/sys/devices/system/node"

/* Sorts `cpus` by their memory nodes, and leaves the order within a node. `nodes` is a folder like FH_MEMORY_NODES; CPUs that no node
 * there names come last. Nothing changes where there is one node, or the folder cannot be read. (hwloc knows the same, but takes
 * milliseconds to load; opening a context takes one.) */
void fh_cpus_by_node(int *cpus, int count, const char *nodes);

#endif /* FOGHORN_EXEC_CPU_ORDER_H_ */
