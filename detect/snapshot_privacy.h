/* What of a recording is nobody else's business. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_SNAPSHOT_PRIVACY_H_
#define FOGHORN_DETECT_SNAPSHOT_PRIVACY_H_

#include "detect/snapshot_recording.h"

/* Takes out of a recording what a bug report must not hold: variables that are not on detection's list, kernel options, mount
 * options, servers and names of builders that say nothing about devices, files that hold identities, whatever looks like a secret.
 * What becomes of a file that is left out is "not recorded", so unknown. Adds a line to out_left for each kind of thing that was
 * left out. Want of memory is remembered by recording->arena. */
void fh_recording_protect(fh_recording *recording, fh_text *out_left);

/* Overwrites what looks like a secret with x, in place; returns how many. */
int fh_secrets_blank(char *bytes, size_t size);

/* ---- masking ------------------------------------------------------------------------------------------- */

/* Replaces UUIDs, ids of containers and the like, IP addresses, user names and the host name, each thing by the same mask
 * everywhere and each mask as long as the thing, so that nothing else moves. */
typedef struct fh_mask fh_mask;

/* host and user: names of the machine and its user where known; NULL. NULL without memory. */
fh_mask *fh_mask_create(const char *host, const char *user);
void fh_mask_destroy(fh_mask *mask);
/* Looks for things to mask. What is to be masked alike must all be learned before any of it is masked. False: no memory. */
bool fh_mask_learn(fh_mask *mask, const char *bytes, size_t size);
void fh_mask_apply(fh_mask *mask, char *bytes, size_t size);
/* Learns a whole recording, then masks it. */
bool fh_mask_recording(fh_mask *mask, fh_recording *recording);
/* "2 UUIDs, 1 user name"; "nothing". */
void fh_mask_describe(const fh_mask *mask, fh_text *out);

#endif /* FOGHORN_DETECT_SNAPSHOT_PRIVACY_H_ */
