/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A client of a Redis Cluster, for many threads at once.
 *
 * One thread has all connections, one to each known master, and the table of slots.
 * Requests hand it batches of commands and wait; commands to one node at the same time go
 * in one write, and their answers come together. None of its state is shared, so the
 * inbox has the only lock.
 *
 *   caller                       the thread of the cluster
 *   rbatch_add() ..
 *   rcluster_run()  --inbox-->   each command to the node of its slot     -> rnode.h
 *     waits                      MOVED: the table is patched, and the command goes there
 *                                ASK: there, this once; TRYAGAIN: again in a moment
 *   rbatch_status() <--done---   when the last one is answered, or failed
 *
 * After a wrong entry the table is read again (CLUSTER SLOTS, from any node), at most
 * once in REFRESH_PAUSE_MS; a command is redirected 5 times at most. Nothing here waits
 * for a node that is down: its commands fail at once, and connecting is tried again in
 * the background.
 *
 * Source: Redis Cluster specification, redis.io/docs/reference/cluster-spec.
 */
#ifndef DOUSHARD_RCLUSTER_H
#define DOUSHARD_RCLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/rwire.h"

/* Limit of nodes: masters, and those in the options. */
#define RNODES_MAX 250

/* Limit of commands under way in all; more are refused. */
#define RCOMMANDS_MAX 16384

struct errmsg;
struct rcluster;
struct rbatch;

/* How a command ended. */
enum rstatus {
    RSTATUS_OPEN,        /* not ended by the deadline: its effect is unknown */
    RSTATUS_OK,          /* it has a reply */
    RSTATUS_REFUSED,     /* its reply is an error: WRONGTYPE, NOPERM, a script's own .. */
    RSTATUS_UNAVAILABLE, /* no node could take it: it was not done */
    RSTATUS_LOST,        /* its connection ended: its effect is unknown */
};

struct rcluster_node {
    const char *host; /* a name, or an address */
    unsigned port;    /* 1 to 65535 */
};

struct rcluster_options {
    const struct rcluster_node *nodes; /* to ask first; one of them that is up is
                                        * enough */
    size_t n_nodes;                    /* 1 to RNODES_MAX / 2 */
    const char *user;                  /* "": the default user */
    const char *password;              /* "": none is asked for */
    const char *tls_ca;                /* file of certificates (PEM); "": no TLS */
    int timeout_ms;                    /* a node that is silent for this long is down */
};

struct rcluster_state {
    unsigned n_nodes;
    unsigned n_up;
    unsigned slots_served; /* by masters that are up */
    uint64_t commands_total;
    uint64_t moved_total;
    uint64_t asked_total;
    uint64_t tryagain_total;
    uint64_t unavailable_total;
    uint64_t lost_total;
    uint64_t refreshes_total;
    uint64_t refreshes_failed_total;
};

/* A script that Redis runs as one command; it is sent to nodes that do not have it yet.
 * Static, like its text. */
struct rscript {
    const char *text;
    char sha1[41]; /* of the text, in hexadecimal; rscript_init() sets it */
};

void rscript_init(struct rscript *script);

/* Copies the options and starts the thread. NULL, and ERR says why; nodes
 * that do not answer are no reason. */
struct rcluster *rcluster_new(const struct rcluster_options *options,
                              struct errmsg *err) MUST_CHECK;

/* Commands under way become UNAVAILABLE or LOST. No thread may be in rcluster_run().
 * *CLUSTER becomes NULL; NULL is allowed. */
void rcluster_free(struct rcluster **cluster);

/* Thread-safe. */
void rcluster_state(struct rcluster *cluster, struct rcluster_state *state);

/* ---- Commands ---- */

/* Room for up to N_MAX commands. NULL: out of memory. One thread's or fiber's own. */
struct rbatch *rbatch_new(size_t n_max) MUST_CHECK;

/* May be called while commands of it are under way: their replies are dropped. *BATCH
 * becomes NULL; NULL is allowed. */
void rbatch_free(struct rbatch **batch);

/* Add a command of ARGC arguments, of LENS bytes each (NULL: they are texts), on KEY,
 * which is one of them or has the same hash tag. It is copied. False: out of memory. */
bool rbatch_add(struct rbatch *batch, const char *key, int argc, const char **argv,
                const size_t *lens);

/* Add a call of SCRIPT with KEY as its only key and ARGC arguments. */
bool rbatch_add_script(struct rbatch *batch, const struct rscript *script,
                       const char *key, int argc, const char **argv, const size_t *lens);

/* Run the batch, once. Returns when all commands have ended, or at DEADLINE_MS
 * (monotonic), while those under way go on. May be called by many threads and fibers at a
 * time. */
void rcluster_run(struct rcluster *cluster, struct rbatch *batch, int64_t deadline_ms);

/* How command I, counted from 0, ended. */
enum rstatus rbatch_status(const struct rbatch *batch, size_t i);

/* Its reply, which is the batch's; NULL unless OK or REFUSED. */
const struct rreply *rbatch_reply(const struct rbatch *batch, size_t i);

#endif
