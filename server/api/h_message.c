/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/message/: write to another user, read the messages of both. */
#include "shard/message.h"

#include "server/api/handlers.h"
#include "server/api/text.h"
#include "server/api/views.h"
#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/claim.h"
#include "server/request/request.h"

/* The option chat_poll. */
enum chat_poll { CHAT_POLL_RECEIVED, CHAT_POLL_BOTH };

/* The other party. 0: it is the caller; the request has been answered. */
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

/* A cursor is a time in ms, times 4, plus the way to go on from there: the low bits are
 * never 0, so no cursor is 0, and 1 is the beginning of a chat. */
enum chat_way {
    CHAT_ON = 1,       /* newer messages */
    CHAT_RECEIVED = 2, /* newer ones that the caller received */
    CHAT_BACK = 3,     /* older ones */
};

#define CURSOR_WAYS 4

static int64_t next_cursor(const struct message_range *range,
                           const struct message_page *page)
{
    enum chat_way way = range->backwards       ? CHAT_BACK
                        : range->received_only ? CHAT_RECEIVED
                                               : CHAT_ON;

    return page->next_ms != 0 ? page->next_ms * CURSOR_WAYS + way : 0;
}

/* What the client asks for: the page of a cursor; else messages since a time that it
 * knows (a poll, by default without what the caller sent, because clients show that
 * themselves); else the newest, going back from there. False: the cursor is not ours; the
 * request has been answered. */
static bool read_range(struct request *req, struct message_range *range)
{
    int64_t cursor = request_param(req, "cursor")->integer;
    int64_t since_ms = request_param(req, "pre_msg_time")->integer;
    bool received = app_config(req->app)->chat_poll == CHAT_POLL_RECEIVED;
    int64_t way = since_ms == 0 ? CHAT_BACK : received ? CHAT_RECEIVED : CHAT_ON;

    if (cursor != 0) {
        since_ms = cursor / CURSOR_WAYS;
        way = cursor % CURSOR_WAYS;
    }
    if (way == 0) {
        reply_error(req, ERROR_PARAM, "cursor is not a next_cursor of a chat");
        return false;
    }
    *range = (struct message_range){.from_ms = since_ms,
                                    .backwards = way == CHAT_BACK,
                                    .limit = request_limit(req),
                                    .received_only = way == CHAT_RECEIVED};
    return true;
}

void h_message_chat(struct request *req)
{
    struct message_range range;
    struct message_page page = {.n = 0};
    uint64_t peer_id = peer_of(req);

    if (peer_id == 0 || !read_range(req, &range)) {
        return;
    }
    enum outcome outcome = message_chat(req->app->router, &req->call, req->who.user_id,
                                        peer_id, &range, &page);
    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    struct json_out *out = reply_begin(req);
    view_messages(out, &page);
    json_out_integer(out, "next_cursor", next_cursor(&range, &page));
    reply_end(req);
}
