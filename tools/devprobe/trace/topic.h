/* Which paths are about a GPU, and what they are in plain words. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_TOPIC_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_TOPIC_H_

#include <stdbool.h>

typedef enum fh_trace_family {
  FH_TRACE_FAMILY_NVIDIA,
  FH_TRACE_FAMILY_AMD,
  FH_TRACE_FAMILY_INTEL,
  FH_TRACE_FAMILY_DRM, /* the kernel's common interface to GPUs: AMD, Intel and others */
  FH_TRACE_FAMILY_OPENCL,
  FH_TRACE_FAMILY_VULKAN,
  FH_TRACE_FAMILY_COUNT,
} fh_trace_family;

typedef enum fh_trace_sort {
  FH_SORT_LOADER,       /* a library that loads the drivers of several makers */
  FH_SORT_DRIVER,       /* a driver's library */
  FH_SORT_SUPPORT,      /* a library that computes on a GPU, of a toolkit or framework */
  FH_SORT_NODE,         /* a device node without which the GPU cannot be used */
  FH_SORT_EXTRA_NODE,   /* one that most programs do without */
  FH_SORT_REGISTRATION, /* a file that names a driver's library */
  FH_SORT_KERNEL,       /* what the kernel tells of a driver, in /proc and /sys */
  FH_SORT_TOOL,         /* a program that is asked about GPUs */
} fh_trace_sort;

typedef struct fh_trace_topic {
  fh_trace_sort sort;
  fh_trace_family family;
  const char *pattern;
  const char *what; /* "the library of NVIDIA's driver" */
} fh_trace_topic;

/* NULL: the path is none of ours. A library or tool is known by its file name, everything else by the whole path. */
const fh_trace_topic *fh_trace_topic_of(const char *path);
/* A library is looked for by name in many places: its name; of everything else the path. */
const char *fh_trace_subject(const fh_trace_topic *topic, const char *path);
bool fh_trace_is_library(const fh_trace_topic *topic);
bool fh_trace_is_node(const fh_trace_topic *topic);

/* A library in a folder for newer processors: a loader tries those before each folder proper. */
bool fh_trace_is_variant(const char *path);

/* "nvidia": for JSON. */
const char *fh_trace_family_name(fh_trace_family family);
const char *fh_trace_sort_name(fh_trace_sort sort);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_TOPIC_H_ */
