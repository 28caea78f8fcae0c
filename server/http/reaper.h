/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Deadlines of connections, phase by phase, and closing without losing the last answer.
 *
 * libmicrohttpd's own timeout starts again with every byte, so a client that sends one
 * byte now and then holds a connection for ever. Here one thread checks all connections
 * several times a second and shuts down those that
 *   - do not begin a request within idle_timeout,
 *   - do not complete its header within header_timeout of the first byte,
 *   - do not complete its body within body_timeout,
 *   - send the body or read the answer slower than min_rate over stall_timeout, by what
 *     the kernel has received and what the peer has acknowledged (TCP_INFO),
 *   - belong to a client that has left in the middle of a request, which the library
 *     misses when the last bytes and the end come together.
 * While a handler runs, only its own deadline
 * counts. shutdown(2) wakes libmicrohttpd, which closes.
 *
 * A connection that the server ends while the client may still be sending is not simply
 * closed, because the kernel would answer the unread bytes with a reset, which can
 * destroy the answer on its way. It lingers: incoming bytes are read and dropped for a
 * while.
 */
#ifndef DOUSHARD_HTTP_REAPER_H
#define DOUSHARD_HTTP_REAPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

struct app;
struct reaper;

enum reaper_phase {
    PHASE_IDLE,  /* between requests, or before the first */
    PHASE_HEAD,  /* the request line is here, the header is not */
    PHASE_BODY,  /* the body is arriving */
    PHASE_WORK,  /* a handler runs: no deadline here */
    PHASE_WRITE, /* the answer is being sent */
};

/* One connection; embedded in the caller's. */
struct reaper_conn {
    struct reaper_conn *next; /* under the reaper's mutex */
    struct reaper_conn *prev;
    bool is_looked_at; /* it is being checked and must stay valid */
    int fd;
    /* Written by the connection's thread: phase, a number that changes with each change
     * of phase, and when it began. */
    _Atomic uint64_t state;
    /* The reaper's own view. */
    uint64_t seen_state;   /* state at the last look */
    int64_t window_ms;     /* when the window of the rate, or the header, began */
    uint64_t window_bytes; /* bytes received or acknowledged at that time */
    bool head_began;       /* PHASE_IDLE: bytes came */
    bool peer_left;        /* the last check found that nothing more can come */
    bool shut;             /* shut down already */
};

/* Start the thread. APP's options are read at every check. NULL when memory or threads
 * are short. */
struct reaper *reaper_new(struct app *app) MUST_CHECK;

/* No connection may still be watched. Lingering ones are closed. *REAPER becomes NULL;
 * NULL is allowed. */
void reaper_free(struct reaper **reaper);

/* Watch a connection, which is idle; FD stays the caller's. Thread-safe. */
void reaper_add(struct reaper *reaper, struct reaper_conn *conn, int fd);

/* Stop watching, before FD is closed. Waits while the connection is being checked, for
 * some system calls. Thread-safe. */
void reaper_remove(struct reaper *reaper, struct reaper_conn *conn);

/* The connection enters a phase. Called by the connection's own thread; takes no lock. */
void reaper_enter(struct reaper_conn *conn, enum reaper_phase phase);

/* We are about to close the connection while the client may still send: let a copy of FD
 * linger. Thread-safe. False: too many linger already, nothing happened. */
bool reaper_linger(struct reaper *reaper, int fd);

/* From now on a connection is ended after half a second without a request. Thread-safe.
 */
void reaper_drain(struct reaper *reaper);

#endif
