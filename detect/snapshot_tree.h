/* The file tree of a snapshot: layers laid over each other. SPDX-License-Identifier: Apache-2.0
 *
 * A path is looked for in the newest layer first. Symbolic links, real or from side files, are followed by
 * this code and never by the kernel, so no path leaves the tree. */
#ifndef FOGHORN_DETECT_SNAPSHOT_TREE_H_
#define FOGHORN_DETECT_SNAPSHOT_TREE_H_

#include <limits.h>
#include <sys/stat.h>

#include "detect/snapshot_side.h"

enum { FH_TREE_MAX_LAYERS = 16 };

typedef struct fh_tree {
  int roots[FH_TREE_MAX_LAYERS];                   /* open directories; -1: this layer has no files */
  int count;                                       /* newest first */
  struct fh_tree_names *names[FH_TREE_MAX_LAYERS]; /* what is in each layer, from fh_tree_check; NULL: unknown */
  struct fh_tree_memory *memory;                   /* NULL: everything is looked up anew */
} fh_tree;

/* From now on what was found is remembered: for a complete tree that does not change while it is open. Without memory it is as
 * before. */
void fh_tree_remember(fh_tree *tree);
void fh_tree_forget(fh_tree *tree);

/* One name of the tree, links not followed. */
typedef struct fh_tree_node {
  fh_side side; /* all zero when there is none */
  bool has_side;
  struct stat st; /* of the real file, when has_file */
  bool has_file;
  char type; /* 'c' 'b' 'f' 'd' 'l' */
  int layer;
  char path[PATH_MAX]; /* canonical: absolute, no links, no dots */
} fh_tree_node;

/* Finds what path names. 0, ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EINVAL (not absolute). */
int fh_tree_resolve(const fh_tree *tree, const char *path, bool follow_last, fh_tree_node *out);
/* Opens the real file of a node for reading; -1 with errno. */
int fh_tree_open(const fh_tree *tree, const fh_tree_node *node);
/* Target of a link node. */
int fh_tree_target(const fh_tree *tree, const fh_tree_node *node, char *out, size_t size);
/* Names in a directory node over all layers, sorted; caller frees each and the array. */
int fh_tree_list(const fh_tree *tree, const fh_tree_node *node, char ***out_names, size_t *out_count);
/* Reads every side file below one layer: 0, or EINVAL with the name of the file and its fault in problem; ENOMEM. *out_names are the
 * names that are there; free them when the tree is closed. */
int fh_tree_check(int root, struct fh_tree_names **out_names, char *problem, size_t problem_size);
void fh_tree_names_free(struct fh_tree_names *names);

#endif /* FOGHORN_DETECT_SNAPSHOT_TREE_H_ */
