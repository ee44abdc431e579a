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
      set_cache(line, "l1d", topology, HWLOC_OBJ_L1CACHE);
      set_cache(line, "l2", topology, HWLOC_OBJ_L2CACHE);
      set_cache(line, "l3", topology, HWLOC_OBJ_L3CACHE);
    }
    fh_answer_say(line);
  }
  hwloc_topology_destroy(topology);
}
