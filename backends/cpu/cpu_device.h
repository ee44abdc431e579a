/* The CPU backend's objects, shared by its files. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_CPU_DEVICE_H_
#define FOGHORN_BACKENDS_CPU_DEVICE_H_

#include "backends/backend.h"
#include "backends/cpu/cpu_machine.h"
#include "runtime/exec/pool.h"

struct fh_backend {
  fh_pool *pool;
  fh_cpu_machine machine;
  fh_device_info info;
};

struct fh_device {
  fh_backend *backend;
};

struct fh_memory {
  char *data;
  size_t bytes;
};

struct fh_executable {
  const fh_entry_image *entry;
  fh_items_fn items;     /* a dialect entry, or NULL */
  const fh_tuned *tuned; /* a tuned variant, or NULL */
};

fh_status fh_cpu_stream_open(fh_device *device, fh_stream **out_stream);
void fh_cpu_stream_close(fh_stream *stream);
fh_status fh_cpu_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point);
fh_status fh_cpu_poll(fh_stream *stream, fh_point point, bool *out_done);
fh_status fh_cpu_wait(fh_stream *stream, fh_point point, int64_t timeout_ns);

/* What a tuned entry works with: `size` threads of the pool (1: the caller alone), and scratch of that entry's size. */
fh_team fh_cpu_team(fh_pool *pool, int size, void *scratch);

#endif /* FOGHORN_BACKENDS_CPU_DEVICE_H_ */
