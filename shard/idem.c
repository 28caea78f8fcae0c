/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/idem/: keys that clients give to requests. */
#include "shard/idem.h"

#include "shard/id.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"

enum outcome idem_claim(struct router *router, struct call *call,
                        const unsigned char op[OP_BYTES],
                        const unsigned char body[IDEM_BODY_BYTES], int64_t *created_at_ms)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops == NULL) {
        return call_no_memory(call);
    }
    ops_add(ops, id_name_slot((const char *)op, OP_BYTES), 0);
    ops_hex(ops, "op", op, OP_BYTES);
    ops_hex(ops, "body", body, IDEM_BODY_BYTES);
    router_batch(router, call, PROC_IDEM_CLAIM, ops, &answer);
    ops_free(&ops);
    if (answer.outcome == OUTCOME_OK || answer.outcome == OUTCOME_SAME) {
        const struct dbvalue *created =
            dbresult_value(answer.result, answer.row, "created_at");
        if (created == NULL || created->is_null) {
            call_explain(call, "idem_claim answered what cannot be read");
            return OUTCOME_INTERNAL;
        }
        *created_at_ms = (int64_t)created->number;
    }
    return answer.outcome;
}
