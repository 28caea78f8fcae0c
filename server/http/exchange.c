/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The life of an exchange, and how it is answered. */
#include "server/http/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/http/account.h"
#include "server/http/cors.h"
#include "server/http/exchange_impl.h"

/* ---- The answer ---- */

/* Add to the finished answer who may read it. */
static void tell_origin(struct exchange *ex)
{
    if (ex->place->listener == LISTENER_PUBLIC) {
        cors_tell(&ex->req, ex->config->cors_origins);
    }
}

bool exchange_answer(struct exchange *ex)
{
    ex->stage = STAGE_REPLY;
    tell_origin(ex);
    ex->answered_us = clock_mono_us();
    if (ex->ended_us == 0) {
        ex->ended_us = ex->answered_us;
    }
    if (ex->framing.must_close || atomic_load(ex->place->closing)) {
        reply_close(&ex->req);
    }
    reaper_enter(&ex->conn->watch, PHASE_WRITE);
    return reply_queue(&ex->req, &ex->place->stock, ex->connection);
}

bool exchange_answer_early(struct exchange *ex)
{
    ex->framing.must_close = true;
    ex->conn->expects_more = true;
    return exchange_answer(ex);
}

void exchange_answer_past_library(struct exchange *ex)
{
    ex->stage = STAGE_REPLY;
    tell_origin(ex);
    ex->ended_us = clock_mono_us();
    ex->answered_us = ex->ended_us;
    ex->conn->expects_more = true;
    reply_send_now(&ex->req, ex->conn->watch.fd);
}

/* Log and count the request, once nothing more will happen to it. */
static void account(const struct exchange *ex, const char *end)
{
    const struct route *route = ex->req.route;

    account_write(&ex->req,
                  &(struct account){.route = route != NULL
                                                 ? route_index(ex->place->routes, route)
                                                 : METRICS_NO_ROUTE,
                                    .is_answered = ex->answered_us != 0,
                                    .us = ex->answered_us - ex->ended_us,
                                    .body_bytes = ex->body.bytes,
                                    .end = end});
}

/* ---- Life ---- */

static void exchange_free(struct exchange *ex)
{
    exchange_leave_heads(ex);
    buf_clear(&ex->body.form);
    reply_restock(&ex->req.reply, &ex->place->stock);
    request_release(&ex->req);
    uploads_release(ex->place->app->uploads, &ex->body.room);
    free(ex);
}

struct exchange *exchange_new(struct exchange_place *place,
                              struct MHD_Connection *connection,
                              struct exchange_conn *conn, const char *target)
{
    struct exchange *ex = malloc(sizeof *ex);

    if (ex == NULL) {
        return NULL;
    }
    memset(ex, 0, offsetof(struct exchange, req));
    ex->place = place;
    ex->connection = connection;
    ex->conn = conn;
    ex->config = app_config(place->app);
    request_init(&ex->req, place->app, clock_mono_ms());
    ex->target.at = target;
    ex->target.text = arena_strndup(&ex->req.arena, target, strlen(target));
    if (ex->target.text == NULL) {
        exchange_free(ex);
        return NULL;
    }
    exchange_enter_heads(ex);
    conn->expects_more = false;
    reaper_enter(&conn->watch, PHASE_HEAD);
    if (exchange_is_target_too_long(ex)) {
        exchange_refuse_target(ex);
    }
    return ex;
}

/* Handle the library's call, whose meaning depends on the stage. */
static bool step(struct exchange *ex, const char *method, const char *version,
                 const char *data, size_t len)
{
    switch (ex->stage) {
    case STAGE_HEAD:
        exchange_leave_heads(ex);
        return exchange_header(ex, method, version);
    case STAGE_BODY:
        return len > 0 ? exchange_body(ex, data, len) : exchange_work(ex);
    case STAGE_WORK: /* resumed */
        return exchange_answer(ex);
    case STAGE_REPLY:
        break;
    }
    return true;
}

bool exchange_step(struct exchange *ex, const char *method, const char *version,
                   const char *data, size_t *len)
{
    size_t n = *len;

    if (n > 0 && atomic_load(&ex->flushing)) {
        return true; /* the library calls again when the connection is resumed */
    }
    *len = 0;
    log_scope(ex->req.id);
    bool go_on = step(ex, method, version, data, n);
    log_scope(NULL);
    return go_on;
}

void exchange_end(struct exchange **ex, const char *end, bool refused)
{
    struct exchange *self = *ex;

    *ex = NULL;
    if (refused && self->stage != STAGE_REPLY) {
        self->conn->expects_more = true;
    }
    account(self, end);
    reaper_enter(&self->conn->watch, PHASE_IDLE);
    exchange_free(self);
}
