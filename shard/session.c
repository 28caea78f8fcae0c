/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/session/ that check a login. */
#include "shard/base/le64.h"
#include "shard/base/log.h"

#include "shard/cache.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* One operation about a session. NULL: no memory. */
static struct ops *about(uint64_t user_id, const unsigned char session[SESSION_BYTES])
{
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, user_id);
        ops_hex(ops, "session", session, SESSION_BYTES);
    }
    return ops;
}

/* Prolong the idle time; after a failure it is tried again later. */
static void touch(struct router *router, struct call *call, uint64_t user_id,
                  const unsigned char session[SESSION_BYTES])
{
    struct router_answer answer;
    enum outcome outcome =
        router_one(router, call, PROC_SESSION_TOUCH, about(user_id, session), &answer);

    if (outcome != OUTCOME_OK) {
        log_write(outcome == OUTCOME_BUSY ? LOG_DEBUG : LOG_WARN, "session_touch",
                  "outcome=%s why=\"%s\"", outcome_name(outcome), call->detail);
    }
}

enum outcome session_check(struct router *router, struct call *call, uint64_t user_id,
                           const unsigned char session[SESSION_BYTES], int64_t idle_ms)
{
    struct router_answer answer;
    unsigned calls_before = call->n_calls;
    struct ops *ops = about(user_id, session);

    if (ops != NULL) {
        ops_number(ops, "idle_ms", idle_ms);
    }
    enum outcome outcome = router_one(router, call, PROC_SESSION_GET, ops, &answer);
    if (outcome == OUTCOME_OK) {
        const struct dbvalue *due = dbresult_value(answer.result, answer.row, "touch");
        if (due != NULL && due->number == 1) {
            touch(router, call, user_id, session);
        }
    }
    /* Counted separately from the request's own CALLs. */
    call->n_session_calls += call->n_calls - calls_before;
    call->n_calls = calls_before;
    return outcome;
}

/* ---- Through the cache ---- */

/* The first half of the id is enough: it is random, and among one user's sessions. */
struct copy_key session_key(uint64_t user_id, const unsigned char session[SESSION_BYTES])
{
    return (struct copy_key){.kind = CACHE_SESSION,
                             .owner = user_id,
                             .other = le64_read((const char *)session) | 1};
}

/* A question about one session. */
struct question {
    struct router *router;
    struct call *call;
    uint64_t user_id;
    const unsigned char *session;
    int64_t idle_ms;
};

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    static const char is_open[] = "open";
    const struct question *q = context;
    enum outcome outcome =
        session_check(q->router, q->call, q->user_id, q->session, q->idle_ms);

    CHECK(n == 1);
    if (outcome == OUTCOME_OK) {
        items[0]->data = is_open;
        items[0]->len = sizeof is_open - 1;
    }
    return outcome;
}

enum outcome session_recall(struct router *router, struct call *call, uint64_t user_id,
                            const unsigned char session[SESSION_BYTES], int64_t idle_ms,
                            int64_t *age_ms)
{
    struct question question = {.router = router,
                                .call = call,
                                .user_id = user_id,
                                .session = session,
                                .idle_ms = idle_ms};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &question};
    struct cache_item item = {.key = session_key(user_id, session)};

    *age_ms = 0;
    if (!cache_is_shared(router_cache(router))) {
        return session_check(router, call, user_id, session, idle_ms);
    }
    enum outcome outcome = cache_read(&reader, &item, 1);
    *age_ms = item.age_ms;
    return outcome;
}
