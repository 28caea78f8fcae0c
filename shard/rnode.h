/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One node of a Redis Cluster: its connection, and the queue of unanswered commands.
 *
 * Redis answers in order, so any number of requests can share one connection: commands
 * queue, and each answer belongs to the oldest. When a connection ends, or is silent for
 * timeout_ms, all its commands are lost, and whether they were carried out is unknown.
 *
 *   state        what goes on                            ends with
 *   DOWN         a pause, longer after each failure      its end: it connects
 *   RESOLVING    the host's name is looked up            an address, or a failure
 *   CONNECTING   TCP, TLS, AUTH                          UP, or a failure
 *   UP           commands and replies                    a failure
 *
 * Threads: one, that of rcluster.c. */
#ifndef DOUSHARD_RNODE_H
#define DOUSHARD_RNODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/rwire.h"

/* "[", an IPv6 address or a name, "]:" and a port. */
#define RNODE_HOST_MAX 256

/* Most bytes that wait to be sent to one node. */
#define RNODE_OUT_BYTES_MAX ((size_t)64 << 20)

struct ssl_ctx_st;
struct rnode;

enum rnode_state { RNODE_DOWN, RNODE_RESOLVING, RNODE_CONNECTING, RNODE_UP };

struct rnode_options {
    const char *user;       /* (ref) "": the default user */
    const char *password;   /* (ref) "": no AUTH */
    struct ssl_ctx_st *tls; /* (ref) NULL: no TLS */
    int timeout_ms;         /* to connect, and for the next byte of an answer */
    int pause_max_ms;       /* longest pause before it connects again */

    /* The answer to TAG, now owned by the callee. NULL: lost, see rnode_why(). */
    void (*on_reply)(void *context, struct rnode *node, void *tag, struct rreply *reply);
    void *context; /* (ref) */
};

/* NULL: out of memory, or HOST is too long. It begins DOWN, and is due at once. */
struct rnode *rnode_new(const char *host, unsigned port,
                        const struct rnode_options *options) MUST_CHECK;

/* All commands are lost first. *NODE becomes NULL; NULL is allowed. */
void rnode_free(struct rnode **node);

const char *rnode_host(const struct rnode *node);
unsigned rnode_port(const struct rnode *node);
enum rnode_state rnode_state(const struct rnode *node);

/* How the last connection ended; "": none did yet. */
const char *rnode_why(const struct rnode *node);

/* Questions that are not answered yet. */
size_t rnode_n_waiting(const struct rnode *node);

/* Queue a command of LEN BYTES; on_reply() will be called, unless TAG is NULL. False: the
 * node is down, or the queue is full. Nothing is sent before rnode_run(). */
bool rnode_send(struct rnode *node, const char *bytes, size_t len, void *tag) MUST_CHECK;

/* Go on as far as possible without waiting. HAPPENED: events of its connection as in
 * poll(2); 0: none. */
void rnode_run(struct rnode *node, short happened);

/* What to wait for before the next rnode_run(): *EVENTS (poll(2)) of the file descriptor
 * returned (-1 and 0 if none), and until when, by the monotonic clock. */
int rnode_wants(const struct rnode *node, short *events, int64_t *due_ms);

#endif
