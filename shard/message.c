/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/message/: chats, one mailbox per party. */
#include "shard/message.h"

#include <string.h>

#include "shard/delivery.h"
#include "shard/id.h"
#include "shard/listing.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* What the first half answered. */
struct first_half {
    uint64_t message_id;
    uint64_t seq;
    uint64_t prev;
    uint32_t pending; /* 1: the second half is still to be made */
    const char
        *text; /* what the sender's mailbox has: a replay may be worded otherwise */
};

static const struct dbfield first_half_fields[] = {
    {.column = "message_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct first_half, message_id)},
    {.column = "seq", .kind = DBFIELD_U64, .offset = offsetof(struct first_half, seq)},
    {.column = "prev", .kind = DBFIELD_U64, .offset = offsetof(struct first_half, prev)},
    {.column = "pending",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct first_half, pending)},
};

/* Make the second half if it is still to be made. */
static enum outcome finish(struct delivery *delivery, struct call *call,
                           const struct message_action_args *args,
                           const struct first_half *first)
{
    struct half half = {.kind = HALF_MESSAGE,
                        .actor_id = args->user_id,
                        .target_id = args->peer_id,
                        .seq = first->seq,
                        .ver = 1,
                        .state = 1,
                        .message_id = first->message_id,
                        .prev_id = first->prev,
                        .text = first->text};

    memcpy(half.op, args->op, sizeof half.op);
    return first->pending == 0 ? OUTCOME_OK : delivery_make(delivery, call, &half);
}

enum outcome message_action(struct delivery *delivery, struct call *call,
                            const struct message_action_args *args, uint64_t *message_id)
{
    struct router_answer answer;
    struct first_half first;
    struct ops *ops = ops_new();

    CHECK(args->user_id != args->peer_id);
    if (ops == NULL) {
        call_explain(call, "out of memory");
        return OUTCOME_NOMEM;
    }
    ops_add_owner(ops, args->user_id);
    ops_number(ops, "peer", (int64_t)args->peer_id);
    ops_hex(ops, "op", args->op, sizeof args->op);
    ops_text(ops, "text", args->text);
    router_batch(delivery_router(delivery), call, PROC_MESSAGE_ACTION, ops, &answer);
    ops_free(&ops);
    if (answer.outcome != OUTCOME_OK && answer.outcome != OUTCOME_SAME) {
        return answer.outcome;
    }
    const struct dbvalue *stored = dbresult_value(answer.result, answer.row, "text");
    if (stored == NULL || !dbresult_read(answer.result, answer.row, first_half_fields,
                                         ARRAY_LEN(first_half_fields), &first)) {
        return proc_unreadable(call, PROC_MESSAGE_ACTION);
    }
    first.text = stored->text != NULL ? stored->text : args->text;
    enum outcome finished = finish(delivery, call, args, &first);
    if (finished != OUTCOME_OK) {
        return finished;
    }
    if (message_id != NULL) {
        *message_id = first.message_id;
    }
    return answer.outcome;
}

/* --- Reading a mailbox
 * -------------------------------------------------------------------- */

/* What is asked for. */
struct chat {
    uint64_t user_id; /* whose mailbox */
    uint64_t peer_id;
    const struct message_range *range;
};

struct mail {
    uint64_t id;
    uint32_t sent;
    const char *text;
    int64_t at_ms;
};

static const struct dbfield mail_fields[] = {
    {.column = "message_id", .kind = DBFIELD_U64, .offset = offsetof(struct mail, id)},
    {.column = "sent", .kind = DBFIELD_U32, .offset = offsetof(struct mail, sent)},
    {.column = "text", .kind = DBFIELD_TEXT, .offset = offsetof(struct mail, text)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct mail, at_ms)},
};

/* The messages of ROWS; a row without a message id says that there are none. ROWS hold
 * one more than the page when there is more, at the end where it goes on. False: they
 * cannot be read. */
static bool read_mailbox(const struct dbresult *rows, const struct chat *chat,
                         struct message_page *page)
{
    const struct message_range *range = chat->range;
    size_t n_rows = rows->n_rows < range->limit ? rows->n_rows : range->limit;
    size_t first = range->backwards ? rows->n_rows - n_rows : 0;
    struct mail mail;

    for (size_t row = first; row < first + n_rows; row++) {
        const struct dbvalue *id = dbresult_value(rows, row, "message_id");
        if (id == NULL) {
            return false;
        }
        if (id->is_null) {
            continue;
        }
        if (!dbresult_read(rows, row, mail_fields, ARRAY_LEN(mail_fields), &mail)) {
            return false;
        }
        page->messages[page->n++] = (struct message){
            .id = mail.id,
            .from_user_id = mail.sent == 1 ? chat->user_id : chat->peer_id,
            .to_user_id = mail.sent == 1 ? chat->peer_id : chat->user_id,
            .text = mail.text,
            .at_ms = mail.at_ms};
    }
    if (page->n > 0 && listing_has_more(rows->n_rows, range->limit)) {
        page->next_ms = page->messages[range->backwards ? 0 : page->n - 1].at_ms;
    }
    return true;
}

/* OK or NOTFOUND: is there such a user? */
static enum outcome find_peer(struct router *router, struct call *call, uint64_t peer_id)
{
    struct user_card card = {.id = 0};
    enum outcome outcome = user_get(router, call, &peer_id, 1, &card);

    return outcome == OUTCOME_OK && card.id == 0 ? OUTCOME_NOTFOUND : outcome;
}

enum outcome message_chat(struct router *router, struct call *call, uint64_t user_id,
                          uint64_t peer_id, const struct message_range *range,
                          struct message_page *page)
{
    const struct dbarg args[] = {dbarg_number(user_id),
                                 dbarg_number(peer_id),
                                 dbarg_number((uint64_t)range->from_ms),
                                 dbarg_number(range->backwards),
                                 dbarg_number(listing_ask(range->limit)),
                                 dbarg_number(range->received_only)};
    const struct chat chat = {.user_id = user_id, .peer_id = peer_id, .range = range};
    struct router_answer answer;
    struct message_page read = {.n = 0};

    CHECK(range->from_ms >= 0);
    router_owner(router, call, PROC_MESSAGE_CHAT,
                 (struct router_subject){.owner = user_id}, args, &answer);
    if (answer.outcome != OUTCOME_OK) {
        return answer.outcome;
    }
    read.messages =
        arena_calloc(call->arena, answer.result->n_rows, sizeof *read.messages);
    if (read.messages == NULL) {
        call_explain(call, "out of memory");
        return OUTCOME_NOMEM;
    }
    const struct dbvalue *has_chat = dbresult_value(answer.result, 0, "has_chat");
    if (has_chat == NULL || !read_mailbox(answer.result, &chat, &read)) {
        return proc_unreadable(call, PROC_MESSAGE_CHAT);
    }
    /* A message that was refused leaves a chat behind, too. */
    if (has_chat->number == 0 || (read.n == 0 && range->from_ms == 0)) {
        enum outcome outcome = find_peer(router, call, peer_id);
        if (outcome != OUTCOME_OK) {
            return outcome;
        }
    }
    *page = read;
    return OUTCOME_OK;
}
