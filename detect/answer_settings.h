/* What whoever asks can change in a child that answers, beside its environment. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_ANSWER_SETTINGS_H_
#define FOGHORN_DETECT_ANSWER_SETTINGS_H_

/* A variable of the child: set, the child raises its limit of address space (ulimit -v) as far as it may. */
#define FH_ANSWER_MORE_ADDRESSES "FOGHORN_ANSWER_MORE_ADDRESSES"

#endif /* FOGHORN_DETECT_ANSWER_SETTINGS_H_ */
