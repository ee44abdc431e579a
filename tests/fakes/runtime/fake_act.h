/* What a stand-in for a vendor's runtime is told to do. SPDX-License-Identifier: Apache-2.0
 *
 * A variable (FOGHORN_FAKE_HSA, FOGHORN_FAKE_ZE) holds words KEY=VALUE, parted by commas:
 *   devices=N, npus=N      how many devices there are (default 1 and 0)
 *   init=V, list=V, open=V what the call does that starts the runtime, lists devices, makes a queue or context. V is a code
 *                          (decimal or 0x...), crash, exit, hang, stuck (in the kernel, state D) or sleep:SECONDS
 * A word that cannot be read ends the process with a message: a test must not pass because of a slip. */
#ifndef FOGHORN_TESTS_FAKES_RUNTIME_FAKE_ACT_H_
#define FOGHORN_TESTS_FAKES_RUNTIME_FAKE_ACT_H_

/* The number after "KEY=", or otherwise when the variable does not name it. */
int fake_number(const char *variable, const char *key, int otherwise);
/* Does what "KEY=V" says; gives the code that the call ends with, 0 when nothing is said. */
unsigned fake_act(const char *variable, const char *key);
/* How many of `count` devices a list of indexes leaves, as the vendors read it: up to the first that is not there or is no
 * number; all of them when the variable is unset. */
int fake_visible(const char *filter, int count, int if_empty);

#endif /* FOGHORN_TESTS_FAKES_RUNTIME_FAKE_ACT_H_ */
