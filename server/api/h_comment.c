/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/comment/: comment on a video, delete a comment, list them. */
#include "shard/cache.h"
#include "shard/comment.h"

#include "server/api/handlers.h"
#include "server/api/page.h"
#include "server/api/text.h"
#include "server/api/views.h"
#include "server/base/app.h"
#include "server/request/claim.h"
#include "server/request/request.h"

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

/* The caller's card beside its new comment. The comment is committed: if the caller's
 * shard does not answer, showing only the author's id is better than having the client
 * post it again. */
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
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        reply_outcome_of(req, outcome, ERROR_NO_VIDEO);
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
    reply_outcome_of(req, outcome, ERROR_NO_COMMENT);
}

void h_comment_action(struct request *req)
{
    if (request_param(req, "action_type")->integer == 1) {
        post(req);
    } else {
        delete_one(req);
    }
}

/* ---- The list ---- */

static uint64_t video_of(const struct request *req)
{
    return (uint64_t)request_param(req, "video_id")->integer;
}

static struct page_name first_page(const struct request *req, uint64_t ver)
{
    return (struct page_name){.key = {.kind = CACHE_COMMENTS,
                                      .owner = video_of(req),
                                      .other = request_limit(req)},
                              .ver = ver};
}

/* Answer with PAGE and, for a known caller, the flags of the authors. False: the flags
 * cannot be found out. */
static bool reply_page(struct request *req, const struct page *page)
{
    struct user_card *users = arena_calloc(&req->arena, page->n, sizeof *users);
    struct page_flags *flags = arena_calloc(&req->arena, page->n, sizeof *flags);
    bool partial = users == NULL || flags == NULL;

    for (size_t i = 0; !partial && i < page->n; i++) {
        users[i].id = page->items[i].user_id;
    }
    if (!partial && req->who.user_id != 0) {
        view_mark_users(req, users, page->n, &partial);
    }
    for (size_t i = 0; !partial && i < page->n; i++) {
        flags[i].is_follow = users[i].is_follow;
    }
    if (!partial) {
        page_reply(req, page, flags);
    }
    return !partial;
}

/* Answer with the page that is ready, if Redis says that it is current. Only Redis knows
 * what other servers have acknowledged a moment ago. */
static bool list_ready(struct request *req)
{
    uint64_t ver;

    if (request_param(req, "cursor")->integer != 0 ||
        !comment_list_version(req->app->router, &req->call, video_of(req), &ver)) {
        return false;
    }
    struct page_name name = first_page(req, ver);
    const struct page *page = pages_peek(req->app->pages, req, &name);
    bool is_answered = page != NULL && reply_page(req, page);
    page_put(page);
    return is_answered;
}

static void reply_list(struct request *req, const struct comment_page *page)
{
    view_comments(reply_begin(req), req, page);
    reply_end_page(req, page->next_cursor, page->partial);
}

/* Build the page for everybody and keep it, then answer with it. False: it cannot be
 * kept. */
static bool list_for_all(struct request *req, const struct comment_page *shown,
                         const struct cache_since *since)
{
    struct page_name name = first_page(req, shown->ver);
    struct page_item *items = arena_calloc(&req->arena, shown->n, sizeof *items);

    if (items == NULL || shown->ver == 0 || shown->partial ||
        !cache_is_local(req->app->cache)) {
        return false;
    }
    for (size_t i = 0; i < shown->n; i++) {
        items[i] = (struct page_item){.user_id = shown->comments[i].author.id};
    }
    reply_list(req, shown);
    const struct page *page = pages_keep(req->app->pages, req, &name, since,
                                         &(struct page){.items = items, .n = shown->n});
    bool is_answered = page != NULL && reply_page(req, page);
    page_put(page);
    return is_answered;
}

void h_comment_list(struct request *req)
{
    struct comment_page page = {.n = 0};

    if (list_ready(req)) {
        return;
    }
    struct cache_since since = cache_since(req->app->cache);
    enum outcome outcome = comment_list(req->app->router, &req->call, video_of(req),
                                        (uint64_t)request_param(req, "cursor")->integer,
                                        request_limit(req), &page);
    if (outcome != OUTCOME_OK) {
        reply_outcome_of(req, outcome, ERROR_NO_VIDEO);
    } else if (!list_for_all(req, &page, &since)) {
        view_mark_comments(req, &page);
        reply_list(req, &page);
    }
}
