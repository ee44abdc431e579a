/* What every backend must do, whatever its device. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_BACKEND_SUITE_H_
#define FOGHORN_TESTS_BACKEND_SUITE_H_

#include "backends/backend.h"
#include "tests/support/expect.h"

/* A backend with one of its devices opened. */
typedef struct fh_backend_fixture {
  const fh_backend_api *api;
  fh_backend *backend;
  fh_device *device;
  fh_device_info info;
  int device_count;
} fh_backend_fixture;

void fh_backend_fixture_open(const fh_backend_api *api, const fh_backend_options *options, int index, fh_backend_fixture *out);
void fh_backend_fixture_close(fh_backend_fixture *fixture);

/* Devices, memory, copies, fills, points, streams and their failures. Asserts through cmocka. */
void fh_backend_suite(const fh_backend_fixture *fixture);

/* Submits commands and waits for them. */
fh_status fh_backend_run(const fh_backend_api *api, fh_stream *stream, const fh_command *commands, int count);

#endif /* FOGHORN_TESTS_BACKEND_SUITE_H_ */
