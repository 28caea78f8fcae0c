/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The listeners: accept, parse, run the handler, answer; limits and shutdown.
 *
 *   connection's thread          fiber or worker             connection's thread
 *   header -> body -> suspend -> identify, handler -> resume -> answer -> completion
 *
 * The connection's thread checks how the request is framed (framing.h), finds its route,
 * collects parameters and streams a file to disk (upload.h). It never waits for a shard.
 */
#ifndef DOUSHARD_HTTP_HTTP_H
#define DOUSHARD_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "server/request/route.h"

struct app;
struct http;

/* Open both listening sockets (options listen_* and admin_*) for ROUTES, without
 * accepting yet. The other parts of APP may still be missing. NULL: an address is bad or
 * taken; the log says which. */
struct http *http_new(struct app *app, const struct route_table *routes) MUST_CHECK;

/* The port of the listener; a free one if the option is 0. */
unsigned http_port(const struct http *http, enum route_listener listener);

/* Begin to serve. All parts of APP that handlers use, and app->http, must be set. False:
 * no threads or memory; the log says which. */
bool http_start(struct http *http) MUST_CHECK;

/* Accept no more public connections, end the idle ones after half a second, and tell the
 * others to close with their next answer. The operator's listener goes on. Call once;
 * does not block. */
void http_quiesce(struct http *http);

/* Wait after http_quiesce() until all public connections are closed, until DEADLINE_MS
 * (monotonic) at most. Returns how many requests are unanswered; if there are any, the
 * process should end without http_free(), as in a crash: unanswered writes may be
 * repeated safely. */
unsigned http_drain(struct http *http, int64_t deadline_ms) MUST_CHECK;

/* Stop everything and free. No handler may be running: after a http_drain() that returned
 * 0, or without http_start(). *HTTP becomes NULL; NULL is allowed. */
void http_free(struct http **http);

#endif
