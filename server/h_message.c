/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/message/: write to another user, read the messages of both. */
#include <jansson.h>

#include "shard/message.h"

#include "server/app.h"
#include "server/claim.h"
#include "server/config.h"
#include "server/handlers.h"
#include "server/request.h"
#include "server/text.h"
#include "server/views.h"

/* The option chat_poll. */
enum chat_poll { CHAT_POLL_RECEIVED, CHAT_POLL_BOTH };

/* The other party. 0: answered, it is the caller. */
static uint64_t peer_of(struct request *req)
{
    uint64_t peer_id = (uint64_t)request_param(req, "to_user_id")->integer;

    if (peer_id == req->who.user_id) {
        reply_error(req, ERROR_SELF, "a chat has two parties");
        return 0;
    }
    return peer_id;
}

void h_message_action(struct request *req)
{
    struct message_action_args args = {.user_id = req->who.user_id};

    args.peer_id = peer_of(req);
    if (args.peer_id == 0) {
        return;
    }
    args.text = text_accept(req, "content", TEXT_MANY_LINES);
    if (args.text == NULL || !claim_op(req, args.op)) {
        return;
    }
    reply_outcome(req, message_action(req->app->delivery, &req->call, &args, NULL));
}

/* What a client may ask for: everything since a time that it knows (a poll, which by
 * default leaves out what the caller sent, because clients show that themselves), the
 * newest of all, or the whole chat page by page from `cursor` on. */
static struct message_range range_of(struct request *req)
{
    const struct param *cursor = request_param(req, "cursor");
    int64_t since_ms = request_param(req, "pre_msg_time")->integer;

    if (cursor->present) {
        return (struct message_range){.after_ms = cursor->integer,
                                      .limit = request_limit(req)};
    }
    return (struct message_range){
        .after_ms = since_ms,
        .limit = request_limit(req),
        .received_only =
            since_ms > 0 && app_config(req->app)->chat_poll == CHAT_POLL_RECEIVED,
    };
}

/* Where the next page begins; the newest messages of all are always the end. */
static int64_t next_cursor(const struct message_range *range,
                           const struct message_page *page)
{
    return range->after_ms > 0 && page->n == range->limit
               ? page->messages[page->n - 1].at_ms
               : 0;
}

void h_message_chat(struct request *req)
{
    struct message_range range = range_of(req);
    struct message_page page = {.n = 0};
    uint64_t peer_id = peer_of(req);

    if (peer_id == 0) {
        return;
    }
    enum outcome outcome = message_chat(req->app->router, &req->call, req->who.user_id,
                                        peer_id, &range, &page);
    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    reply_json(req, json_pack("{s:o, s:I}", "message_list", view_messages(&page),
                              "next_cursor", (json_int_t)next_cursor(&range, &page)));
}
