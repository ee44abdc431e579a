/* Peers that live in Python: one process per script, asked line by line (bench/peers/serve.py). SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_ENGINE_PYTHON_PEER_H_
#define FOGHORN_BENCH_ENGINE_PYTHON_PEER_H_

#include "bench/engine/workload.h"

enum { FH_SCRIPT_PEERS = 32 };

typedef struct fh_script_peer {
  char name[48], kernel[48], version[48];
  double tolerance;
} fh_script_peer;

typedef struct fh_script {
  char name[64]; /* of the file */
  int threads;
  int pid, to, from;          /* pid 0: it does not run */
  bool (*stop)(void *unused); /* true: nobody waits for answers any more; NULL: never */
  char *pending;              /* read and not yet asked for */
  size_t pending_bytes;
  char folder[64]; /* of the operands' files */
  fh_script_peer peers[FH_SCRIPT_PEERS];
  int peer_count;
  char why[240]; /* why it does not run; "" it does */
} fh_script;

/* Does the script know the kernel? Its text has the name in quotes then; nothing is run. */
bool fh_script_mentions(const char *path, const char *kernel);
/* Starts a script and asks for its peers. A failure is no error: it stands in `why`. */
void fh_script_start(const char *python, const char *path, int threads, bool (*stop)(void *unused), fh_script *out_script);
void fh_script_end(fh_script *script);

/* The case becomes the script's. False with the reason in `text`. */
bool fh_script_open(fh_script *script, int peer, const fh_workload *workload, int threads, char *text, size_t size);
/* Runs once; the outputs land in `operands`. */
bool fh_script_save(fh_script *script, int peer, const fh_workload *workload, const fh_operands *operands, char *text, size_t size);
/* Seconds of `calls` calls; negative: it failed. */
double fh_script_time(fh_script *script, int peer, long calls);
/* The script forgets its cases and what they hold. */
void fh_script_close(fh_script *script);

#endif /* FOGHORN_BENCH_ENGINE_PYTHON_PEER_H_ */
