/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One request on its way through libmicrohttpd: header, body, handler, answer.
 *
 *   HEAD --header complete--> BODY --last byte--> WORK --handler done--> REPLY
 *     \--refused: answered, then the connection ends----------------------^
 *
 * Everything here is called by the connection's own thread; only the handler runs on a
 * fiber or, where the route says so, on a worker, while the connection is suspended. */
#ifndef DOUSHARD_HTTP_EXCHANGE_H
#define DOUSHARD_HTTP_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "server/http/reaper.h"
#include "server/request/reply.h"
#include "server/request/route.h"

/* Buffer of one connection: bounds the request line and all headers together, and is
 * zeroed after each request. */
#define HTTP_CONNECTION_BYTES ((size_t)17920)

struct MHD_Connection;
struct app;
struct exchange;

/* Where requests come in: one thread of the library. */
struct exchange_place {
    struct app *app;                  /* (ref) */
    const struct route_table *routes; /* (ref) */
    enum route_listener listener;     /* which routes there are */
    const atomic_bool *closing;       /* (ref) every answer ends its connection */
    struct exchange *heads;   /* requests whose header is not complete; that thread's */
    struct reply_stock stock; /* that thread's; the owner releases it */
};

/* What lives as long as a connection. */
struct exchange_conn {
    struct reaper_conn watch;
    bool expects_more; /* we end it while the client may still be sending */
    bool refused;      /* one too many: it was answered when it came */
};

/* A request whose request line is there; TARGET is the raw text in the library's buffer.
 * PLACE and CONN are borrowed. NULL: no memory. */
struct exchange *exchange_new(struct exchange_place *place,
                              struct MHD_Connection *connection,
                              struct exchange_conn *conn, const char *target) MUST_CHECK;

/* The library's next call: the header is complete, *LEN more bytes of the body are there,
 * or (0) all of it, or the connection was resumed. *LEN becomes what was not taken, to be
 * offered again. False: close the connection. */
bool exchange_step(struct exchange *ex, const char *method, const char *version,
                   const char *data, size_t *len) MUST_CHECK;

/* The library is about to refuse a Content-Length that it cannot read, of one of the
 * requests in PLACE. It would send the head of its answer twice, so we answer that
 * request and end the connection for writing before it does. */
void exchange_refuse_length(struct exchange_place *place);

/* The library finds no memory for the header of one of the requests in PLACE, and would
 * send the head of its answer twice: as above. It does not say which one it is; those
 * that have filled half of their memory are refused. */
void exchange_refuse_header(struct exchange_place *place);

/* The request is over, END says how ("done", "left"...), REFUSED that the library
 * answered it and closes. Writes the access line and frees; *EX becomes NULL. */
void exchange_end(struct exchange **ex, const char *end, bool refused);

#endif
