/* The CPU backend: one device, kernels compiled ahead for each ISA. SPDX-License-Identifier: Apache-2.0 */
#include "backends/cpu/cpu_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "runtime/base/host_memory.h"

/* ---- the device ---------------------------------------------------------------------------------------- */

/* Priors until measurements replace them. Guesses: a core reads about 12 GB/s when all do, a socket has
 * a few hundred; a loop starts in about half a microsecond. */
static void guess_performance(fh_device_info *info, const fh_cpu_machine *machine, int threads) {
  const double core_bandwidth = 12e9, memory_bandwidth = 200e9, start_s = 0.5e-6;
  info->peak_flops = fh_cpu_peak_flops(machine) * threads;
  info->peak_bytes_per_s = core_bandwidth * threads < memory_bandwidth ? core_bandwidth * threads : memory_bandwidth;
  info->link_bytes_per_s = info->peak_bytes_per_s;
  info->launch_s = start_s;
}

static void describe(fh_backend *cpu) {
  fh_device_info *info = &cpu->info;
  int threads = fh_pool_size(cpu->pool);
  *info = (fh_device_info){.kind = FH_DEVICE_CPU, .host_memory = true, .exact = true, .address_alignment = 1, .compute_units = threads};
  snprintf(info->id, sizeof info->id, "cpu");
  snprintf(info->name, sizeof info->name, "%s", cpu->machine.model);
  snprintf(info->driver, sizeof info->driver, "foghorn %s %s", FH_VERSION, fh_isa_name(cpu->machine.best));
  info->memory_bytes = cpu->machine.memory_bytes;
  guess_performance(info, &cpu->machine, threads);
}

static void cpu_destroy(fh_backend *cpu) {
  if (!cpu) return;
  fh_pool_unshare(cpu->pool);
  free(cpu);
}

static fh_status open_into(fh_backend *cpu, const fh_backend_options *options) {
  FH_TRY(fh_cpu_machine_read(options->facts, &cpu->machine));
  FH_TRY(fh_cpu_machine_cap(&cpu->machine, options->isa_cap));
  if (options->threads < 0 || options->threads > FH_POOL_MAX_THREADS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "cpu: threads is %d; expected 0 (one per usable CPU, here %d) to %d", options->threads,
                     cpu->machine.usable_cpus, FH_POOL_MAX_THREADS);
  int threads = options->threads ? options->threads : cpu->machine.usable_cpus;
  if (options->host_pool && options->host_pool->run)
    FH_TRY(fh_pool_on_host(options->host_pool, &cpu->pool));
  else
    FH_TRY(fh_pool_shared(threads < FH_POOL_MAX_THREADS ? threads : FH_POOL_MAX_THREADS, &cpu->pool));
  describe(cpu);
  return FH_OK;
}

static fh_status cpu_open(const fh_backend_options *options, fh_backend **out_backend) {
  *out_backend = NULL;
  fh_backend *cpu = calloc(1, sizeof *cpu);
  if (!cpu) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory to open the backend");
  fh_status status = open_into(cpu, options);
  if (status) {
    cpu_destroy(cpu);
    return status;
  }
  *out_backend = cpu;
  return FH_OK;
}

static int cpu_enumerate(const fh_backend *cpu, fh_device_info *out_infos, int capacity) {
  if (capacity > 0) out_infos[0] = cpu->info;
  return 1;
}

static fh_status cpu_device_open(fh_backend *cpu, int index, fh_device **out_device) {
  *out_device = NULL;
  FH_TRY(fh_check_device_index("cpu", index, 1));
  fh_device *device = calloc(1, sizeof *device);
  if (!device) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory to open the device");
  device->backend = cpu;
  *out_device = device;
  return FH_OK;
}

static void cpu_device_close(fh_device *device) { free(device); }

static fh_status cpu_query_free_memory(fh_device *device, uint64_t *out_bytes) {
  (void)device;
  return fh_cpu_free_memory(out_bytes);
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static fh_status cpu_alloc(fh_device *device, size_t bytes, fh_memory **out_memory) {
  (void)device;
  *out_memory = NULL;
  fh_memory *memory = calloc(1, sizeof *memory);
  if (memory) memory->data = fh_host_alloc(bytes);
  if (!memory || !memory->data) {
    free(memory);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory for %zu bytes", bytes);
  }
  memory->bytes = bytes;
  *out_memory = memory;
  return FH_OK;
}

static void cpu_free(fh_memory *memory) {
  if (!memory) return;
  free(memory->data);
  free(memory);
}

static void *cpu_map(fh_memory *memory) { return memory->data; }

/* ---- kernels --------------------------------------------------------------------------------------------- */

static fh_status check_isa(const fh_cpu_machine *machine, const char *kernel, fh_isa isa) {
  if ((unsigned)isa >= FH_ISA_COUNT) return FH_STATUS(FH_INVALID_ARGUMENT, "cpu: %s: %d is not an instruction set", kernel, (int)isa);
  if (!machine->why_not[isa]) return FH_OK;
  return FH_STATUS(FH_INCOMPATIBLE, "cpu: %s: %s is not usable: %s", kernel, fh_isa_name(isa), machine->why_not[isa]);
}

static fh_status pick(const fh_recipe *recipe, fh_executable *out) {
  out->entry = &recipe->image->entries[recipe->entry];
  out->tuned = recipe->tuned;
  out->items = recipe->tuned ? NULL : out->entry->cpu[recipe->isa];
  if (out->items || (out->tuned && out->tuned->fn)) return FH_OK;
  return FH_STATUS(FH_UNAVAILABLE, "cpu: this build has no %s code for entry %s of kernel %s", fh_isa_name(recipe->isa), out->entry->entry,
                   recipe->image->contract->name);
}

static fh_status cpu_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable) {
  *out_executable = NULL;
  FH_TRY(fh_check_recipe(recipe));
  if (recipe->block) return FH_STATUS(FH_INCOMPATIBLE, "cpu: variant %s is for blocks of a device's threads", recipe->block->name);
  fh_isa isa = recipe->tuned ? recipe->tuned->isa : recipe->isa;
  FH_TRY(check_isa(&device->backend->machine, recipe->image->contract->name, isa));
  fh_executable picked = {0};
  FH_TRY(pick(recipe, &picked));
  fh_executable *executable = malloc(sizeof *executable);
  if (!executable) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory to prepare %s", recipe->image->contract->name);
  *executable = picked;
  *out_executable = executable;
  return FH_OK;
}

static void cpu_release(fh_executable *executable) { free(executable); }

const fh_backend_api fh_backend_cpu = {
    .destroy = cpu_destroy,
    .name = "cpu",
    .abi = FH_BACKEND_ABI,
    .open = cpu_open,
    .enumerate = cpu_enumerate,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    .query_free_memory = cpu_query_free_memory,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .map = cpu_map,
    .prepare = cpu_prepare,
    .release = cpu_release,
    .stream_open = fh_cpu_stream_open,
    .stream_close = fh_cpu_stream_close,
    .submit = fh_cpu_submit,
    .poll = fh_cpu_poll,
    .wait = fh_cpu_wait,
};
