/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One request on its way through libmicrohttpd: header, body, handler, answer.
 *
 *   HEAD --header complete--> BODY --last byte--> WORK --handler done--> REPLY
 *     \--refused: answered, then the connection ends----------------------^
 *
 * Everything here runs in the connection's own thread; only the handler runs on a fiber
 * or, if the route says so, on a worker, while the connection is suspended. */
#ifndef DOUSHARD_HTTP_EXCHANGE_H
#define DOUSHARD_HTTP_EXCHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "server/http/reaper.h"
#include "server/request/reply.h"
#include "server/request/route.h"

/* Buffer of one connection: limits the request line and all headers together. The library
 * zeroes it after each request. */
#define HTTP_CONNECTION_BYTES ((size_t)17920)

struct MHD_Connection;
struct app;
struct exchange;

/* What one thread of the library, which receives requests, shares among them. */
struct exchange_place {
    struct app *app;                  /* (ref) */
    const struct route_table *routes; /* (ref) */
    enum route_listener listener;     /* whose routes it serves */
    const atomic_bool *closing;       /* (ref) when set, every answer ends its
                                       * connection */
    struct exchange *heads;   /* requests whose header is not complete; that thread's */
    struct reply_stock stock; /* used by that thread; the owner releases it */
};

/* State that lives as long as a connection. */
struct exchange_conn {
    struct reaper_conn watch;
    bool expects_more; /* we end it while the client may still be sending */
    bool refused;      /* beyond the limit: it was answered when it came */
};

/* Begin a request whose request line has arrived; TARGET is the raw text in the library's
 * buffer. PLACE and CONN are borrowed. NULL: no memory. */
struct exchange *exchange_new(struct exchange_place *place,
                              struct MHD_Connection *connection,
                              struct exchange_conn *conn, const char *target) MUST_CHECK;

/* The library's next call: the header is complete, or *LEN more bytes of the body are
 * there (0: the body is complete), or the connection was resumed. *LEN becomes the number
 * of bytes not taken, which are offered again. False: close the connection. */
bool exchange_step(struct exchange *ex, const char *method, const char *version,
                   const char *data, size_t *len) MUST_CHECK;

/* The library is about to refuse a Content-Length that it cannot read, of one of the
 * requests in PLACE; it is looked for among the newest few hundred. It would send the
 * head of its answer twice, so we answer that request and end the connection for writing
 * before it does. */
void exchange_refuse_length(struct exchange_place *place);

/* The library has no memory for the header of one of the requests in PLACE, and would
 * send the head of its answer twice: as above. It does not say which request it is; those
 * of the newest that have filled half of their memory are refused. */
void exchange_refuse_header(struct exchange_place *place);

/* The request is over, END says how ("done", "left"...), REFUSED that the library
 * answered it and closes. Writes the access line and frees; *EX becomes NULL. */
void exchange_end(struct exchange **ex, const char *end, bool refused);

#endif
