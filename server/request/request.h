/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One HTTP request: its caller, parameters, deadline and answer.
 *
 * A request belongs to one thread at a time: the connection's thread while it arrives and
 * while it is answered, that of its fiber, or a worker, while the handler runs. */
#ifndef DOUSHARD_REQUEST_REQUEST_H
#define DOUSHARD_REQUEST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/address.h"
#include "shard/base/arena.h"

#include "shard/call.h"

#include "server/media/upload.h"
#include "server/request/params.h"
#include "server/request/reply.h"

struct app;
struct route;

/* Memory of one request; more is refused with ERROR_UNAVAILABLE. */
#define REQUEST_ARENA_BYTES ((size_t)8 << 20)

/* Longest Idempotency-Key. */
#define REQUEST_KEY_MAX 128

/* Who asks. auth_identify() fills it. */
struct auth_identity {
    uint64_t user_id; /* 0: anonymous */
    char session[33]; /* hex; "" when anonymous */
};

/* Headers that handlers may need; in the arena, NULL when absent (or sent twice). */
struct request_headers {
    const char *authorization;
    const char *range;
    const char *if_range;
    const char *if_none_match;
    const char *accept_encoding;
    const char *forwarded_for; /* X-Forwarded-For; when sent twice the last, a proxy's */
    const char *origin;        /* NULL also when cors_origins is empty */
    bool is_preflight;         /* a browser asks what a page of this origin may send */
};

struct request {
    struct app *app;           /* (ref) */
    const struct route *route; /* (ref in the route table); NULL before it is known */
    struct arena arena;        /* freed when the answer is sent; handlers never free */
    char id[17];               /* 16 hex digits, in the log and in X-Request-Id */
    struct address peer;       /* the connected peer; client.h finds the client */
    bool is_head;              /* HEAD: answer as for GET, the body is not sent */
    const char *path_rest;     /* ROUTE_PREFIX: decoded path after the prefix; else "" */
    int64_t deadline_ms;       /* monotonic; counts from the end of the body */
    struct params params;
    struct request_headers headers;
    /* 1..128 visible ASCII, in the arena; NULL when absent */
    const char *idempotency_key;
    const char *base_url; /* base URL of this answer; NULL: not asked for yet */
    /* A finished file: owned, freed at the end unless a handler has taken it and set
     * NULL; NULL when none came. */
    struct upload *upload;
    struct upload *second_upload; /* the same, of the second file that the route takes */
    /* Not OK: the request is refused once the caller is known, the handler never runs. */
    enum upload_status upload_status;
    struct auth_identity who;
    struct call call;   /* for shard/; its arena and deadline are this request's */
    struct reply reply; /* last, because not all of it is cleared for each request */
};

/* A request with a new random id that began at START_MS; no route, no deadline yet. */
void request_init(struct request *req, struct app *app, int64_t start_ms);

/* Free everything the request owns. */
void request_release(struct request *req);

/* Set the route and prepare its parameters. */
void request_set_route(struct request *req, const struct route *route,
                       const char *path_rest);

/* Set the deadline of the handler and its calls. */
void request_set_deadline(struct request *req, int64_t deadline_ms);

/* The client's address: the connected peer, or the one that a trusted proxy reports. */
struct address request_client(const struct request *req);

/* Milliseconds left, 0 when the deadline has passed. */
int64_t request_left_ms(const struct request *req);

/* An operation id for the one write of this request. With an Idempotency-Key it is made
 * from the key and the caller's id (so call it after auth_identify()), the same on every
 * call, and claim.c makes the op from it; without one it is random: call it once. */
void request_op(const struct request *req, unsigned char op[OP_BYTES]);

/* The parameter "limit" of a list, or list_limit when it is absent or larger. */
size_t request_limit(const struct request *req);

/* The parameter "user_id", or the caller when it is absent; 0: there is neither. */
uint64_t request_user(const struct request *req);

/* A checked parameter: params_get(&req->params, NAME). */
const struct param *request_param(const struct request *req, const char *name);

#endif
