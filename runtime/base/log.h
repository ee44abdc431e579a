/* Log records. SPDX-License-Identifier: Apache-2.0
 *
 * A record is a level and one or more whole lines; each line goes out with the prefix "foghorn: ".
 * FOGHORN_LOG=error|warn|info|debug sets the level (default warn); a wrong value is an error of
 * fh_log_configure, never a default. Thread-safe. Not for hot paths.
 */
#ifndef FOGHORN_BASE_LOG_H_
#define FOGHORN_BASE_LOG_H_

#include <foghorn/context.h>
#include <foghorn/status.h>

enum { FH_LOG_ERROR = 0, FH_LOG_WARN = 1, FH_LOG_INFO = 2, FH_LOG_DEBUG = 3 };

/* Reads FOGHORN_LOG. INVALID_ARGUMENT names the value and those allowed. */
fh_status fh_log_configure(void);
bool fh_log_enabled(int level);
void fh_log(int level, const char *format, ...) FH_PRINTF(2, 3);

#endif /* FOGHORN_BASE_LOG_H_ */
