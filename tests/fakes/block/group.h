/* Products of warpgroups, beside the copies that feed them. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_GROUP_H_
#define FOGHORN_TESTS_FAKES_BLOCK_GROUP_H_

#include <stdbool.h>

void fake_group_begin(char *shared, unsigned shared_bytes);
/* What products see of shared memory is what lies there now. */
void fake_group_tell(const void *p, unsigned bytes);
/* What is still under way, in words; NULL: nothing. */
const char *fake_group_end(void);

/* Does a copy that has not arrived go there? */
bool fake_async_arrives(const void *p, unsigned bytes);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_GROUP_H_ */
