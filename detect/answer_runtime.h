/* What the children that ask HSA and Level Zero have in common. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_ANSWER_RUNTIME_H_
#define FOGHORN_DETECT_ANSWER_RUNTIME_H_

#include "detect/answer.h"
#include "detect/drivers/runtime_driver.h"

/* Tells what was loaded and which call comes next, or (status) why nothing was; takes the status. False: nothing to call. */
bool fh_runtime_say_library(fh_status take_status, const fh_runtime_driver *driver, const char *calling);
/* Tells "<prefix>_code" and "<prefix>_name". */
void fh_runtime_say_code(const char *prefix, unsigned code, const char *name);
/* Tells one device, and which call comes next; NULL: none. The device stays the caller's. */
void fh_runtime_say_device(json_t *device, const char *calling);

void fh_runtime_set_text(json_t *object, const char *key, const char *text);
void fh_runtime_set_number(json_t *object, const char *key, int64_t number);
/* "pci" as sysfs writes it. */
void fh_runtime_set_pci(json_t *object, unsigned domain, unsigned bus, unsigned device, unsigned function);

#endif /* FOGHORN_DETECT_ANSWER_RUNTIME_H_ */
