/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/favorite/: like a video or take that back, list the videos that a user likes.
 */
#include "shard/favorite.h"

#include "server/api/handlers.h"
#include "server/api/views.h"
#include "server/base/app.h"
#include "server/request/request.h"

void h_favorite_action(struct request *req)
{
    enum outcome outcome =
        favorite_action(req->app->delivery, &req->call, req->who.user_id,
                        (uint64_t)request_param(req, "video_id")->integer,
                        request_param(req, "action_type")->integer == 1);

    reply_outcome_of(req, outcome, ERROR_NO_VIDEO);
}

void h_favorite_list(struct request *req)
{
    struct video_page page = {.n = 0};
    enum outcome outcome = favorite_list(req->app->router, &req->call, request_user(req),
                                         (uint64_t)request_param(req, "cursor")->integer,
                                         request_limit(req), &page);

    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    view_mark_videos(req, &page);
    view_videos(reply_begin(req), req, &page);
    reply_end_page(req, page.next_cursor, page.partial);
}
