/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/feed/: the newest videos of everybody, paged by time. */
#include "shard/base/clock.h"

#include "shard/feed.h"

#include "server/app.h"
#include "server/config.h"
#include "server/handlers.h"
#include "server/request.h"
#include "server/views.h"

/* Where the next page begins. Clients send it back as latest_time and expect it to lead
 * somewhere always: an empty page repeats the time it was asked for, and one that was
 * asked for no time says now, where the newest are. */
static int64_t next_time_ms(const struct video_page *page, int64_t before_ms)
{
    if (page->next_time_ms > 0) {
        return page->next_time_ms;
    }
    return before_ms > 0 ? before_ms : clock_wall_ms();
}

void h_feed_list(struct request *req)
{
    int64_t before_ms = request_param(req, "latest_time")->integer;
    struct video_page page = {0};
    enum outcome outcome = feed_list(req->app->router, &req->call, before_ms,
                                     (size_t)app_config(req->app)->feed_limit, &page);
    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    view_mark_videos(req, &page);
    struct json_out *out = reply_begin(req);
    view_videos(out, req, &page);
    json_out_integer(out, "next_time", next_time_ms(&page, before_ms));
    json_out_bool(out, "partial", page.partial);
    reply_end(req);
}
