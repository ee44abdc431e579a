/* Plug-ins: shared libraries whose kernels are registered together. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/registry.h"

static const char symbol[] = "foghorn_plugin";

struct fh_plugin {
  void *library;
  int count;
  const fh_kernel_image *images[FH_REGISTERED_MAX];
  char file[];
};

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static const char *loader_words(void) {
  const char *words = dlerror();
  return words ? words : "the loader does not say why";
}

static fh_status find_table(void *library, const char *file, const fh_plugin_table **out_table) {
  const fh_plugin_table *table = dlsym(library, symbol);
  if (!table)
    return FH_STATUS(
        FH_INCOMPATIBLE,
        "fh_plugin_open: %s exports no %s\nexpected a plug-in of Foghorn\nnext step: build it with foghorn_add_plugin() of the "
        "CMake package",
        file, symbol);
  if (table->abi != FH_KERNEL_ABI)
    return FH_STATUS(FH_INCOMPATIBLE,
                     "fh_plugin_open: %s was built for version %u of the kernel interface, expected %u\nnext step: build it again with the "
                     "package of version %s",
                     file, table->abi, (unsigned)FH_KERNEL_ABI, fh_version());
  if (table->count < 1 || table->count > FH_REGISTERED_MAX || !table->modules)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_plugin_open: %s has %d kernels, expected 1 to %d", file, table->modules ? table->count : 0,
                     (int)FH_REGISTERED_MAX);
  *out_table = table;
  return FH_OK;
}

static fh_status register_all(fh_plugin *plugin, const char *file) {
  const fh_plugin_table *table = NULL;
  FH_TRY(find_table(plugin->library, file, &table));
  fh_status status = fh_kernels_register(plugin, table->modules, table->count, plugin->images);
  if (status) return fh_status_annotate(status, "in the plug-in %s", file);
  plugin->count = table->count;
  return FH_OK;
}

static void unload(fh_plugin *plugin) {
  if (plugin->library) (void)dlclose(plugin->library);
  free(plugin);
}

fh_status fh_plugin_open(const char *file, fh_plugin **out_plugin) {
  if (!out_plugin) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_plugin_open: out_plugin is NULL\nexpected where the plug-in's handle goes");
  *out_plugin = NULL;
  if (!file || !*file) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_plugin_open: file is %s", file ? "empty" : "NULL");
  const size_t length = strlen(file);
  fh_plugin *plugin = calloc(1, sizeof *plugin + length + 1);
  if (!plugin) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_plugin_open: %s: no memory", file);
  memcpy(plugin->file, file, length + 1);
  plugin->library = dlopen(file, RTLD_NOW | RTLD_LOCAL); /* what is missing is missed here, not in a launch */
  fh_status status = plugin->library ? register_all(plugin, file)
                                     : FH_STATUS(FH_NOT_FOUND, "fh_plugin_open: %s cannot be loaded: %s", file, loader_words());
  if (status) {
    unload(plugin);
    return status;
  }
  *out_plugin = plugin;
  return FH_OK;
}

fh_status fh_plugin_close(fh_plugin *plugin) {
  if (!plugin) return FH_OK;
  FH_TRY(fh_registry_remove("fh_plugin_close", plugin->images, plugin->count));
  unload(plugin);
  return FH_OK;
}

/* ---- those of the environment --------------------------------------------------------------------------------------- */

static pthread_mutex_t listed_lock = PTHREAD_MUTEX_INITIALIZER;
static fh_plugin *listed[FH_REGISTERED_MAX]; /* until the process ends */
static int listed_count;
static bool listed_all;

/* `kept` plug-ins are open since a list that failed. */
static fh_status open_one(const char *file, int kept) {
  for (int i = 0; i < kept; i++)
    if (strcmp(listed[i]->file, file) == 0) return FH_OK;
  if (listed_count == FH_REGISTERED_MAX) return FH_STATUS(FH_INVALID_ARGUMENT, "more than %d files", (int)FH_REGISTERED_MAX);
  FH_TRY(fh_plugin_open(file, &listed[listed_count]));
  listed_count++;
  return FH_OK;
}

/* One that a context of another thread uses by now stays, and the next try goes on from there. */
static void close_listed(void) {
  fh_status status = FH_OK;
  while (!status && listed_count > 0) {
    status = fh_plugin_close(listed[listed_count - 1]);
    listed_count -= !status;
  }
  fh_status_free(status);
}

static fh_status open_listed(const char *list) {
  char *names = strdup(list), *rest = NULL;
  if (!names) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "FOGHORN_PLUGINS: no memory");
  const int kept = listed_count;
  fh_status status = FH_OK;
  for (char *name = strtok_r(names, ":", &rest); name && !status; name = strtok_r(NULL, ":", &rest)) status = open_one(name, kept);
  if (!status && listed_count == 0) status = FH_STATUS(FH_INVALID_ARGUMENT, "no file is named");
  if (status) close_listed();
  listed_all = !status;
  free(names);
  return status ? fh_status_annotate(status, "FOGHORN_PLUGINS=%s\nexpected plug-ins, separated by colons", list) : FH_OK;
}

fh_status fh_plugins_listed(void) {
  const char *list = secure_getenv("FOGHORN_PLUGINS");
  if (!list) return FH_OK;
  pthread_mutex_lock(&listed_lock);
  fh_status status = listed_all ? FH_OK : open_listed(list);
  pthread_mutex_unlock(&listed_lock);
  return status;
}
