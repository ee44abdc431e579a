/* Fuzz target: any bytes as a data file. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "algorithms/dataset/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fh_dataset dataset = {0};
  fh_status status = fh_dataset_parse(data, size, "fuzz", 1 << 24, &dataset);
  if (!status && (dataset.n < 1 || dataset.d < 1 || !dataset.data)) abort();
  fh_status_free(status);
  fh_dataset_free(&dataset);
  return 0;
}
