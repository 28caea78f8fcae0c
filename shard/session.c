/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/session/ that check a login. */
#include <string.h>

#include "shard/base/hex.h"
#include "shard/base/log.h"

#include "shard/router_call.h"
#include "shard/user.h"

/* Move the end of the idle time; a failure only means that it is tried again later. */
static void touch(struct router *router, struct call *call, uint64_t user_id,
                  const unsigned char session[SESSION_BYTES])
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return;
    }
    ops_add_owner(ops, user_id);
    ops_hex(ops, "session", session, SESSION_BYTES);
    router_batch(router, call, PROC_SESSION_TOUCH, ops, &answer);
    ops_free(&ops);
    if (answer.outcome != OUTCOME_OK) {
        log_write(answer.outcome == OUTCOME_BUSY ? LOG_DEBUG : LOG_WARN, "session_touch",
                  "outcome=%s why=\"%s\"", outcome_name(answer.outcome), call->detail);
    }
}

enum outcome session_check(struct router *router, struct call *call, uint64_t user_id,
                           const unsigned char session[SESSION_BYTES], int64_t idle_ms)
{
    char hex[2 * SESSION_BYTES + 1];
    struct router_answer answer;
    unsigned calls_before = call->n_calls;

    hex_encode(session, SESSION_BYTES, hex);
    const struct dbarg args[] = {dbarg_number(user_id), dbarg_text(hex, strlen(hex)),
                                 dbarg_number((uint64_t)idle_ms)};
    router_owner(router, call, PROC_SESSION_CHECK,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome == OUTCOME_OK) {
        const struct dbvalue *due = dbresult_value(answer.result, answer.row, "touch");
        if (due != NULL && due->number == 1) {
            touch(router, call, user_id, session);
        }
    }
    /* Sessions are counted apart, so that a request's own CALLs can be told from them. */
    call->n_session_calls += call->n_calls - calls_before;
    call->n_calls = calls_before;
    return answer.outcome;
}
