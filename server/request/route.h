/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Routes: which requests each is for, what it requires, which function answers; and the
 * lookup of a path in the table. */
#ifndef DOUSHARD_REQUEST_ROUTE_H
#define DOUSHARD_REQUEST_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "shard/base/check.h"

#include "server/request/params.h"

struct request;

typedef void (*route_handler)(struct request *req);

/* Answer at once, in the connection's thread, by what is in memory: true. Never blocks.
 * False: nothing is answered, and the handler is to run. */
typedef bool (*route_quick)(struct request *req);

/* What a request counts as for the rate limits. RATE_NONE is not counted. */
enum rate_action {
    RATE_NONE,
#define RATE(name, text, subject, option, period) RATE_##name,
#include "server/request/rate.def"
    RATE__COUNT
};

enum route_auth {
    AUTH_NONE,     /* a token is not looked at */
    AUTH_OPTIONAL, /* a bad or missing token means anonymous */
    AUTH_REQUIRED, /* a bad or missing token is refused before the handler runs */
};

/* Which option is the time budget of the handler. */
enum route_budget { BUDGET_REQUEST, BUDGET_PUBLISH };

/* Takes the files of its parameters; the body may be as long as their limits together. */
#define ROUTE_UPLOAD 1u
/* On the operator's listener, and only there. */
#define ROUTE_ADMIN 2u
/* Runs in the connection's thread, so it must not block; works however busy other threads
 * are. */
#define ROUTE_INLINE 4u
/* Matches every path with this beginning; the rest is req->path_rest. */
#define ROUTE_PREFIX 8u
/* Computes for long (passwords): runs on a thread of its own. */
#define ROUTE_THREAD 16u
/* Blocks on files and processes: runs on a thread of the pool that a hanging disk may
 * block. All others run on fibers (shard/base/fiber.h) and wait only for shards. */
#define ROUTE_FILES 32u

struct route {
    const char *method; /* "GET" answers HEAD too */
    const char *path;   /* ends with '/'; the same path without it matches too */
    route_handler handler;
    route_quick quick; /* tried before it, with checked parameters; NULL: none */
    enum route_auth auth;
    enum route_budget budget;
    unsigned flags;
    enum rate_action rate;           /* what it counts as for rate limits */
    const struct param_spec *params; /* NULL: none; else ends with a name of NULL */
    const char *failure_json; /* keys added to every refusal: "\"token\":\"\"", or NULL */
    const char *doc;          /* one line */
};

/* Static text; the table lives as long as the process. */
struct route_table {
    const struct route *rows;
    size_t n;
};

enum route_listener { LISTENER_PUBLIC, LISTENER_ADMIN };

enum route_result {
    ROUTE_FOUND,
    ROUTE_NO_PATH,        /* 404 */
    ROUTE_NO_METHOD,      /* 405 */
    ROUTE_NO_SUCH_METHOD, /* 501: an unknown method, or one that we never serve */
};

struct route_match {
    const struct route *route; /* ROUTE_FOUND; for ROUTE_NO_METHOD a row of this path */
    const char *rest;          /* after the prefix; points into the path; "" else */
    char allow[64];            /* ROUTE_NO_METHOD: value of the header Allow */
};

/* Look up a decoded path. Pure. PATH has no query. */
enum route_result route_find(const struct route_table *table,
                             enum route_listener listener, const char *method,
                             const char *path, struct route_match *match);

/* The index of ROUTE in TABLE, whose row it is. */
size_t route_index(const struct route_table *table, const struct route *route);

/* Print TABLE for `doushard --routes`. */
void route_print(const struct route_table *table, FILE *out);

#endif
