/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A connection for one attempt: borrowing it, and what the attempt says about the
 * shard. */
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/router_impl.h"

/* A CALL without an answer that had less than this share of call_timeout_ms says nothing
 * about the shard: it had too little time. */
#define FAIR_SHARE 4

int64_t attempt_deadline(const struct router *router, const struct call *call)
{
    int64_t limit_ms = clock_mono_ms() + router->call_timeout_ms;

    return clock_earlier(limit_ms, call->deadline_ms);
}

int64_t attempt_fair_ms(const struct router *router)
{
    return router->call_timeout_ms / FAIR_SHARE;
}

static bool is_write(const struct dbexec *exec)
{
    return proc_get(exec->proc)->effect == PROC_WRITES;
}

bool shard_enter(struct shard *shard, struct call *call)
{
    if (atomic_fetch_add(&shard->n_requests, 1) < shard->router->requests_max) {
        return true;
    }
    shard_leave(shard);
    call_explain(call, "%s: too many requests wait for it", shard->name);
    return false;
}

void shard_leave(struct shard *shard)
{
    atomic_fetch_sub(&shard->n_requests, 1);
}

enum outcome shard_borrow(struct shard *shard, struct call *call, int64_t least_ms,
                          bool may_wait, struct dbexec *exec)
{
    int64_t limit_ms = attempt_deadline(shard->router, call);
    struct errmsg err;

    if (is_write(exec) && !breaker_lets(&shard->writes, &err)) {
        call_explain(call, "%s takes no writes: %s", shard->name, err.text);
        return OUTCOME_BUSY;
    }
    enum outcome got = may_wait ? dbpool_get(shard->pool, limit_ms, &exec->conn, &err)
                                : dbpool_try(shard->pool, limit_ms, &exec->conn, &err);
    if (got == OUTCOME_OK && call->deadline_ms - clock_mono_ms() < least_ms) {
        dbpool_put(shard->pool, &exec->conn, DBPOOL_UNPROVEN);
        (void)errmsg_set(&err, "no time left for another attempt");
        got = OUTCOME_TIMEOUT;
    }
    if (got != OUTCOME_OK) {
        if (got != OUTCOME_BUSY || may_wait) {
            call_explain(call, "%s: %s", shard->name, err.text);
        }
        return got;
    }
    memcpy(call->shard, shard->name, strnlen(shard->name, sizeof call->shard - 1) + 1);
    atomic_fetch_add(&shard->calls_total, 1);
    call->n_calls++;
    return OUTCOME_OK;
}

void shard_take_back(struct shard *shard, struct call *call, struct dbexec *exec)
{
    dbpool_put(shard->pool, &exec->conn, DBPOOL_UNPROVEN);
    atomic_fetch_sub(&shard->calls_total, 1);
    call->n_calls--;
}

void shard_count(struct shard *shard, size_t n)
{
    atomic_fetch_add(&shard->operations_total, n);
}

void shard_stop_writes(struct shard *shard, const char *reason)
{
    if (breaker_open(&shard->writes, reason)) {
        log_write(LOG_ERROR, "shard_read_only", "shard=%s why=\"%s\"", shard->name,
                  reason);
        minder_wake(shard);
    }
}

/* Judge the shard's writes by EXEC. */
static void judge_write(struct shard *shard, const struct dbexec *exec,
                        enum dbpool_verdict verdict)
{
    if (exec->status == DB_SICK) {
        shard_stop_writes(shard, exec->detail);
    } else if (verdict == DBPOOL_ANSWERED) {
        breaker_succeed(&shard->writes);
    } else if (verdict == DBPOOL_SILENT && breaker_fail(&shard->writes)) {
        shard_stop_writes(shard, "several writes in a row got no answer");
    }
}

/* Judge the shard by EXEC: a server that only answers that it cannot write is up for
 * readers. */
static enum dbpool_verdict verdict_on(const struct dbexec *exec, bool had_fair_time)
{
    bool is_silent =
        exec->status == DB_NOT_SENT || (exec->status == DB_UNKNOWN && !exec->is_over);

    if (exec->status == DB_SICK && !is_write(exec)) {
        return DBPOOL_SILENT;
    }
    if (!is_silent) {
        return DBPOOL_ANSWERED;
    }
    /* Connections of a healthy shard may be killed: that is not silence. */
    return had_fair_time && !exec->is_cut ? DBPOOL_SILENT : DBPOOL_UNPROVEN;
}

void shard_give_back(struct shard *shard, struct call *call, struct dbexec *exec,
                     bool had_fair_time)
{
    enum dbpool_verdict verdict = verdict_on(exec, had_fair_time);

    dbpool_put(shard->pool, &exec->conn, verdict);
    if (is_write(exec)) {
        judge_write(shard, exec, verdict);
    }
    if (exec->status != DB_OK) {
        call_explain(call, "%s: %s", shard->name, exec->detail);
        atomic_fetch_add(&shard->calls_failed_total, 1);
    }
}
