/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Runs the handler of a complete request: in this thread, on a fiber or on a worker. */
#include <microhttpd.h>
#include <stddef.h>

#include "shard/base/clock.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"

#include "server/auth/auth.h"
#include "server/auth/rate.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/http/exchange_impl.h"
#include "server/request/error.h"

/* Everything between a complete request and its answer. Blocks, unless the route is
 * ROUTE_INLINE. Authentication comes first: a stranger learns nothing else. */
static void handle(struct exchange *ex)
{
    struct request *req = &ex->req;
    const struct route *route = req->route;

    if (route->auth != AUTH_NONE && !auth_identify(req->app->auth, req)) {
        return;
    }
    exchange_body_identify(ex);
    if (ex->params_ok) {
        exchange_body_finish(ex);
    }
    if (!ex->params_ok) {
        reply_error(req, ERROR_PARAM, "%s", ex->params_error.reason);
    } else if (req->upload_status != UPLOAD_OK) {
        reply_error(req, error_from_upload(req->upload_status), "%s",
                    upload_status_text(req->upload_status));
    } else if (rate_admit(req)) {
        route->handler(req);
    }
}

static void run(struct work *work)
{
    struct exchange *ex =
        (struct exchange *)((char *)work - offsetof(struct exchange, work));
    struct request *req = &ex->req;

    log_scope(req->id);
    if (request_left_ms(req) == 0) {
        reply_error(req, ERROR_BUSY, NULL); /* it waited too long: nothing was done */
    } else {
        handle(ex);
    }
    log_scope(NULL);
    MHD_resume_connection(ex->connection); /* EX may be freed after this */
}

/* Have the request run on a fiber, or on a thread of its own. False: too many are
 * running. */
static bool submit(struct exchange *ex)
{
    struct app *app = ex->req.app;

    unsigned flags = ex->req.route->flags;

    ex->work.run = run;
    if ((flags & ROUTE_FILES) != 0) {
        return workers_submit(app->disk, &ex->work);
    }
    return (flags & ROUTE_THREAD) != 0 ? workers_submit(app->workers, &ex->work)
                                       : fibers_submit(app->fibers, &ex->work);
}

static bool dispatch(struct exchange *ex)
{
    struct app *app = ex->req.app;

    ex->stage = STAGE_WORK;
    reaper_enter(&ex->conn->watch, PHASE_WORK);
    /* First: the worker may be done, and resume, before we return. */
    MHD_suspend_connection(ex->connection);
    if (!submit(ex)) {
        metrics_add(app->metrics, METRIC_REQUESTS_REFUSED, 1);
        reply_error(&ex->req, ERROR_BUSY, NULL);
        MHD_resume_connection(ex->connection);
    }
    return true;
}

/* Answer in this thread, if the route says so or the whole answer is in memory. */
static bool answered_here(struct exchange *ex)
{
    struct request *req = &ex->req;
    const struct route *route = req->route;

    if ((route->flags & ROUTE_INLINE) != 0) {
        handle(ex);
        return true;
    }
    return route->quick != NULL && ex->params_ok && route->quick(req);
}

bool exchange_work(struct exchange *ex)
{
    struct request *req = &ex->req;
    int budget_ms;

    ex->ended_us = clock_mono_us();
    if (req->reply.kind != REPLY_NONE) {
        return exchange_answer(ex); /* 404 or 405, decided with the header */
    }
    budget_ms = req->route->budget == BUDGET_PUBLISH ? ex->config->publish_timeout_ms
                                                     : ex->config->request_timeout_ms;
    request_set_deadline(req, ex->ended_us / 1000 + budget_ms);
    exchange_body_end(ex);
    if (req->params.no_memory) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return exchange_answer(ex);
    }
    /* The token may be in the part of the body that cannot be read: do not require it. */
    if (!ex->params_ok && (req->route->auth == AUTH_NONE || ex->body.is_broken)) {
        reply_error(req, ERROR_PARAM, "%s", ex->params_error.reason);
        return exchange_answer(ex);
    }
    return answered_here(ex) ? exchange_answer(ex) : dispatch(ex);
}
