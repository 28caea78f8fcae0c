/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/comment/: comment on a video, delete a comment, list them. */
#include "shard/comment.h"

#include "server/app.h"
#include "server/claim.h"
#include "server/handlers.h"
#include "server/request.h"
#include "server/text.h"
#include "server/views.h"

/* Refuse a parameter that this action_type cannot do without. True: it is there. */
static bool has_param(struct request *req, const char *name)
{
    char reason[128];

    if (request_param(req, name)->present) {
        return true;
    }
    reply_error(req, ERROR_PARAM, "%s",
                params_missing(&req->params, name, reason, sizeof reason));
    return false;
}

/* The caller's card beside its new comment. The comment is committed: without an answer
 * of the caller's shard it is better to show who wrote it by the id alone than to let the
 * client post it again. */
static void fill_author(struct request *req, struct comment *comment)
{
    uint64_t user_id = req->who.user_id;
    struct user_card card = {.id = 0};

    if (user_get(req->app->router, &req->call, &user_id, 1, &card) == OUTCOME_OK &&
        card.id != 0) {
        comment->author = card;
        return;
    }
    comment->author = (struct user_card){.id = user_id,
                                         .name = "?",
                                         .avatar = "",
                                         .background_image = "",
                                         .signature = ""};
}

static void post(struct request *req)
{
    struct comment_action_args args = {
        .video_id = (uint64_t)request_param(req, "video_id")->integer,
        .user_id = req->who.user_id,
    };
    struct comment comment = {.id = 0};

    if (!has_param(req, "comment_text")) {
        return;
    }
    args.text = text_accept(req, "comment_text", TEXT_MANY_LINES);
    if (args.text == NULL || !claim_op(req, args.op)) {
        return;
    }
    enum outcome outcome =
        comment_action(req->app->delivery, &req->call, &args, &comment);
    if (outcome == OUTCOME_NOTFOUND) {
        reply_error(req, ERROR_NO_VIDEO, NULL);
        return;
    }
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        reply_outcome(req, outcome);
        return;
    }
    fill_author(req, &comment);
    view_comment(reply_begin(req), req, "comment", &comment);
    reply_end(req);
}

static void delete_one(struct request *req)
{
    if (!has_param(req, "comment_id")) {
        return;
    }
    enum outcome outcome = comment_delete(
        req->app->delivery, &req->call, (uint64_t)request_param(req, "video_id")->integer,
        req->who.user_id, (uint64_t)request_param(req, "comment_id")->integer);
    if (outcome == OUTCOME_NOTFOUND) {
        reply_error(req, ERROR_NO_COMMENT, NULL);
        return;
    }
    reply_outcome(req, outcome);
}

void h_comment_action(struct request *req)
{
    if (request_param(req, "action_type")->integer == 1) {
        post(req);
    } else {
        delete_one(req);
    }
}

void h_comment_list(struct request *req)
{
    struct comment_page page = {.n = 0};
    enum outcome outcome = comment_list(
        req->app->router, &req->call, (uint64_t)request_param(req, "video_id")->integer,
        (uint64_t)request_param(req, "cursor")->integer, request_limit(req), &page);

    if (outcome == OUTCOME_NOTFOUND) {
        reply_error(req, ERROR_NO_VIDEO, NULL);
        return;
    }
    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    view_mark_comments(req, &page);
    view_comments(reply_begin(req), req, &page);
    reply_end_page(req, page.next_cursor, page.partial);
}
