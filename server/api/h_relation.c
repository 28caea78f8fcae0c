/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/relation/: follow a user or stop, list follows, followers and friends. */
#include "shard/relation.h"

#include "server/api/handlers.h"
#include "server/api/views.h"
#include "server/base/app.h"
#include "server/request/request.h"

void h_relation_action(struct request *req)
{
    uint64_t target_id = (uint64_t)request_param(req, "to_user_id")->integer;

    if (target_id == req->who.user_id) {
        reply_error(req, ERROR_SELF, "users cannot follow themselves");
        return;
    }
    reply_outcome(req, relation_action(req->app->delivery, &req->call, req->who.user_id,
                                       target_id,
                                       request_param(req, "action_type")->integer == 1));
}

/* Only the two parties of a chat may read it, not somebody who looks at another user's
 * friends. */
static void hide_notes(struct relation_page *page)
{
    for (size_t i = 0; page->notes != NULL && i < page->n; i++) {
        page->notes[i] = (struct relation_note){.text = ""};
    }
}

static void reply_list(struct request *req, enum relation_kind kind)
{
    const struct relation_query query = {
        .kind = kind,
        .user_id = request_user(req),
        .cursor = (uint64_t)request_param(req, "cursor")->integer,
        .limit = request_limit(req),
    };
    struct relation_page page = {.n = 0};
    enum outcome outcome = relation_list(req->app->router, &req->call, &query, &page);

    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    if (query.user_id != req->who.user_id) {
        hide_notes(&page);
    }
    view_mark_users(req, page.users, page.n, &page.partial);
    view_users(reply_begin(req), req, page.users, page.n, page.notes);
    reply_end_page(req, page.next_cursor, page.partial);
}

void h_relation_follow_list(struct request *req)
{
    reply_list(req, RELATION_FOLLOWS);
}

void h_relation_follower_list(struct request *req)
{
    reply_list(req, RELATION_FOLLOWERS);
}

void h_relation_friend_list(struct request *req)
{
    reply_list(req, RELATION_FRIENDS);
}
