/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is logged and counted when a request is over. */
#include "server/http/account.h"

#include "shard/base/line.h"
#include "shard/base/log.h"

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/request/request.h"
#include "server/request/route.h"

/* " NAME=" and a number. */
static void add_number(struct line *line, const char *name, uint64_t number)
{
    line_text(line, name);
    line_number(line, number, 1);
}

/* The time from the last byte of the request to its answer: "1.234". */
static void add_ms(struct line *line, int64_t us)
{
    add_number(line, " ms=", (uint64_t)us / 1000);
    line_text(line, ".");
    line_number(line, (uint64_t)us % 1000, 3);
}

/* The access line of a request with all its figures. CODE is that of the body, US how
 * long it took. */
static void log_access(const struct request *req, const struct account *account, int code,
                       int64_t us)
{
    bool is_answered = account->is_answered;
    struct line line;

    line.used = 0;
    line_text(&line, "route=");
    line_text(&line, req->route != NULL ? req->route->path : "-");
    add_number(&line, " status=", is_answered ? req->reply.http_status : 0);
    if (is_answered) {
        add_number(&line, " code=", (uint64_t)code);
    } else {
        line_text(&line, " code=-1");
    }
    add_ms(&line, us);
    line_text(&line, " shard=");
    line_text(&line, req->call.shard[0] != '\0' ? req->call.shard : "-");
    add_number(&line, " calls=", req->call.n_calls);
    add_number(&line, " session_calls=", req->call.n_session_calls);
    add_number(&line, " bytes_in=", account->body_bytes);
    add_number(&line, " bytes=", is_answered ? reply_bytes(&req->reply) : 0);
    line_text(&line, " end=");
    line_text(&line, account->end);
    if ((!is_answered || code != 0) && req->call.detail[0] != '\0') {
        line_text(&line, " why=\"");
        line_text(&line, req->call.detail);
        line_text(&line, "\"");
    }
    log_scope(req->id);
    log_write_text(LOG_INFO, "access", line_end(&line));
    log_scope(NULL);
}

void account_write(const struct request *req, const struct account *account)
{
    int64_t us = account->is_answered ? account->us : 0;
    int code = account->is_answered ? error_info(req->reply.error)->code : 0;

    if (log_enabled(LOG_INFO) && app_config(req->app)->access_log != 0) {
        log_access(req, account, code, us);
    }
    if (account->is_answered) {
        metrics_request_done(req->app->metrics, account->route,
                             (int)req->reply.http_status, code, us);
    }
}
