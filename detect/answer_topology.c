/* Packages, cores, caches and NUMA nodes, from hwloc. SPDX-License-Identifier: Apache-2.0
 * In a child, as hwloc reads hundreds of files, and its plug-ins load vendor libraries where they are installed. */
#include <hwloc.h>
#include <stdlib.h>

#include "detect/answer.h"

/* No plug-in is loaded; those built in that ask a vendor or look at buses are left out. */
static void keep_to_the_cpu(hwloc_topology_t topology) {
  static const char *const unwanted[] = {"opencl", "cuda", "nvml", "rsmi", "levelzero", "gl", "pci", "linuxio"};
  for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
    hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, unwanted[i]);
  hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
}

static void set_count(json_t *line, const char *key, hwloc_topology_t topology, hwloc_obj_type_t type) {
  int count = hwloc_get_nbobjs_by_type(topology, type);
  if (count > 0) json_object_set_new(line, key, json_integer(count));
}

/* Of the cache nearest to the first CPU. */
static void set_cache(json_t *line, const char *key, hwloc_topology_t topology, hwloc_obj_type_t type) {
  hwloc_obj_t cache = hwloc_get_obj_by_type(topology, type, 0);
  if (cache && cache->attr && cache->attr->cache.size) json_object_set_new(line, key, json_integer((json_int_t)cache->attr->cache.size));
}

static int cores_in(hwloc_topology_t topology, hwloc_const_bitmap_t cpus) {
  int count = 0;
  for (hwloc_obj_t core = NULL; (core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core));)
    count += hwloc_bitmap_intersects(core->cpuset, cpus);
  return count;
}

/* Kinds are sorted by speed, the fastest last. */
static void set_kinds(json_t *line, hwloc_topology_t topology, hwloc_bitmap_t allowed) {
  int kinds = hwloc_cpukinds_get_nr(topology, 0);
  hwloc_bitmap_t fast = kinds > 1 ? hwloc_bitmap_alloc() : NULL;
  if (!fast) return;
  if (hwloc_cpukinds_get_info(topology, (unsigned)kinds - 1, fast, NULL, NULL, NULL, 0) == 0 &&
      hwloc_bitmap_and(fast, fast, allowed) == 0) {
    json_object_set_new(line, "core_kinds", json_integer(kinds));
    json_object_set_new(line, "fast_cores_allowed", json_integer(cores_in(topology, fast)));
  }
  hwloc_bitmap_free(fast);
}

/* Cores of the CPUs that this process may run on; several CPUs may be threads of one. */
static void set_allowed(json_t *line, hwloc_topology_t topology) {
  hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
  if (!allowed) return;
  if (hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) == 0) {
    int cores = cores_in(topology, allowed);
    if (cores > 0) json_object_set_new(line, "cores_allowed", json_integer(cores));
    set_kinds(line, topology, allowed);
  }
  hwloc_bitmap_free(allowed);
}

void fh_answer_topology(const char *none) {
  (void)none;
  setenv("HWLOC_PLUGINS_PATH", "", 1);
  unsetenv("HWLOC_COMPONENTS");
  setenv("HWLOC_HIDE_ERRORS", "2", 0);
  hwloc_topology_t topology;
  fh_answer_calling("hwloc_topology_init");
  if (hwloc_topology_init(&topology) != 0) return;
  keep_to_the_cpu(topology);
  fh_answer_calling("hwloc_topology_load");
  if (hwloc_topology_load(topology) == 0) {
    json_t *line = json_object();
    if (line) {
      set_count(line, "packages", topology, HWLOC_OBJ_PACKAGE);
      set_count(line, "cores", topology, HWLOC_OBJ_CORE);
      set_count(line, "pus", topology, HWLOC_OBJ_PU);
      set_count(line, "numa_nodes", topology, HWLOC_OBJ_NUMANODE);
      set_allowed(line, topology);
      set_cache(line, "l1d", topology, HWLOC_OBJ_L1CACHE);
      set_cache(line, "l2", topology, HWLOC_OBJ_L2CACHE);
      set_cache(line, "l3", topology, HWLOC_OBJ_L3CACHE);
    }
    fh_answer_say(line);
  }
  hwloc_topology_destroy(topology);
}
