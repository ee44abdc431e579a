/* What a peer is: somebody else's code for one of our kernels, in this process. SPDX-License-Identifier: Apache-2.0
 *
 * A file bench/peers/<peer>_<family>.c defines `const fh_peer fh_peers_<peer>_<family>[]`, ended by a row without a name; the build finds
 * it. Libraries are opened with fh_peer_symbol, never linked. bench/README.md follows one from beginning to end.
 */
#ifndef FOGHORN_BENCH_PEERS_PEER_H_
#define FOGHORN_BENCH_PEERS_PEER_H_

#include "kernels/contract.h"

/* One case to run: the very data that Foghorn gets. */
typedef struct fh_peer_call {
  const fh_kernel_contract *contract;
  const fh_case *c;      /* shapes, strides (in elements) and scalars */
  const fh_bound *bound; /* operations and bytes */
  void *const *data;     /* per view its element 0,0,...; inputs are not to be written, outputs are this peer's own */
  int threads;           /* that the peer may use */
} fh_peer_call;

typedef struct fh_peer {
  const char *name;    /* "OpenBLAS" */
  const char *kernel;  /* the contract it competes with */
  const char *package; /* Debian package that brings it */
  /* NULL: ready, and *out_state is for the two below. Else why it cannot do this case (static text). The call lives until close. */
  const char *(*open)(const fh_peer_call *call, void **out_state);
  /* One whole call, as a user of the library would make it once everything is set up. */
  void (*run)(void *state);
  void (*close)(void *state); /* NULL: nothing to do */
  /* Largest |peer - Foghorn| allowed, relative to the root mean square of the output; 0: 1e-4. For integers: the part that may differ. */
  double tolerance;
} fh_peer;

/* The peers of this build, by file; each list ends with a row without a name, the list of lists with NULL. */
extern const fh_peer *const fh_peer_lists[];

/* A function of a library that is loaded once and stays; NULL: there is no such library or function here. */
void *fh_peer_symbol(const char *library, const char *symbol);

#define FH_PEER_END {.name = NULL}

#endif /* FOGHORN_BENCH_PEERS_PEER_H_ */
