/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/publish/: upload a video, list a user's videos, delete one. */
#include <string.h>
#include <sys/stat.h>

#include "shard/base/log.h"

#include "shard/publish.h"

#include "server/api/handlers.h"
#include "server/api/text.h"
#include "server/api/views.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/media/janitor.h"
#include "server/media/media.h"
#include "server/media/storage.h"
#include "server/request/claim.h"
#include "server/request/request.h"

/* ---- Publish/action ---- */

static bool reply_media(struct request *req, enum media_status status)
{
    metrics_add(req->app->metrics, METRIC_MEDIA_PROBES_FAILED, 1);
    reply_error(req, error_from_media(status), "%s", media_status_text(status));
    return false;
}

/* The film has tags about its maker: go on with a copy without them. False: the request
 * has been answered. */
static bool strip_upload(struct request *req)
{
    const struct config *config = app_config(req->app);
    const struct upload_limits limits = upload_limits(config);
    struct media_copy copy = {.fd = upload_file(req->upload)->fd,
                              .size_bytes = upload_size_bytes(req->upload),
                              .deadline_ms = req->deadline_ms};
    struct tempfile file;
    enum upload_status made =
        upload_copy(req->upload, media_copy_max_bytes(copy.size_bytes), &limits, &file);

    if (made != UPLOAD_OK) {
        reply_error(req, error_from_upload(made), "%s", upload_status_text(made));
        return false;
    }
    metrics_add(req->app->metrics, METRIC_MEDIA_STRIPPED, 1);
    copy.copy_fd = file.fd;
    /* The jail has write access until here, and none from here on. */
    enum media_status status = fchmod(copy.fd, S_IRUSR) == 0
                                   ? media_strip(req->app->media, config, &copy)
                                   : MEDIA_FAILED;
    if (status == MEDIA_OK && upload_copied(req->upload, &file) != UPLOAD_OK) {
        status = MEDIA_FAILED;
    }
    tempfile_close(&file);
    return status == MEDIA_OK || reply_media(req, status);
}

/* Examine the upload and store it with its cover under NAME. False: answered. */
static bool store_upload(struct request *req, const char *name, struct media_facts *facts)
{
    struct metrics *metrics = req->app->metrics;
    metrics_add(metrics, METRIC_UPLOAD_BYTES, (int64_t)upload_size_bytes(req->upload));
    metrics_add(metrics, METRIC_MEDIA_PROBES, 1);
    enum media_status examined =
        media_examine(req->app->media, app_config(req->app), upload_file(req->upload)->fd,
                      upload_size_bytes(req->upload), req->deadline_ms, facts);
    if (examined != MEDIA_OK) {
        return reply_media(req, examined);
    }
    if (facts->is_tagged && !strip_upload(req)) {
        return false;
    }
    enum storage_status stored =
        storage_put(req->app->storage, name, upload_file(req->upload), facts->cover,
                    facts->cover_len);
    if (stored != STORAGE_OK) {
        reply_error(req, ERROR_UNAVAILABLE, "%s",
                    stored == STORAGE_FULL ? "no room for the file at the moment"
                                           : "the file could not be stored");
        return false;
    }
    return true;
}

/* True when no row names the files, now or later: the shard refused, or was never asked.
 * Otherwise they are left to the janitor, which asks again when they are old. */
static bool is_refused(enum outcome outcome, bool was_asked)
{
    switch (outcome) {
    case OUTCOME_NOTFOUND:
    case OUTCOME_MISMATCH:
    case OUTCOME_FORBIDDEN:
    case OUTCOME_BADARG:
        return true;
    default:
        return !was_asked;
    }
}

/* List the stored video under NAME. ARGS has title and op, the rest is filled in. */
static enum outcome publish(struct request *req, const char *name,
                            const struct media_facts *facts,
                            struct publish_action_args *args)
{
    uint64_t video_id = 0;
    const char *kept = NULL;
    unsigned n_calls = req->call.n_calls;
    args->author_id = req->who.user_id;
    args->media = name;
    args->size_bytes = (int64_t)upload_size_bytes(req->upload);
    args->duration_ms = facts->duration_ms;
    args->width = facts->width;
    args->height = facts->height;
    memcpy(args->sha256, upload_sha256(req->upload), sizeof args->sha256);
    enum outcome outcome =
        publish_action(req->app->router, &req->call, args, &video_id, &kept);
    bool has_row = outcome == OUTCOME_OK || outcome == OUTCOME_SAME;
    /* A repeated request keeps the files of the first one. */
    bool is_spare = has_row ? strcmp(kept, name) != 0
                            : is_refused(outcome, req->call.n_calls != n_calls);
    if (is_spare) {
        (void)storage_delete(req->app->storage, name);
    } else if (!has_row) {
        log_write(LOG_WARN, "publish_unknown", "media=%s outcome=%s detail=\"%s\"", name,
                  outcome_name(outcome), req->call.detail);
    }
    return outcome;
}

void h_publish_action(struct request *req)
{
    char reason[128];
    char name[STORAGE_NAME_LEN + 1];
    struct media_facts facts = {0};
    struct publish_action_args args = {.author_id = req->who.user_id};
    if (req->upload == NULL) {
        reply_error(req, ERROR_PARAM, "%s",
                    params_missing(&req->params, "data", reason, sizeof reason));
        return;
    }
    args.title = text_accept(req, "title", TEXT_ONE_LINE);
    if (args.title == NULL || !claim_op(req, args.op)) {
        return;
    }
    storage_name_make(req->who.user_id, name);
    if (store_upload(req, name, &facts)) {
        reply_outcome(req, publish(req, name, &facts, &args));
    }
    metrics_add(req->app->metrics,
                req->reply.error == ERROR_OK ? METRIC_UPLOADS : METRIC_UPLOADS_REFUSED,
                1);
    media_facts_release(&facts);
}

/* ---- Publish/list ---- */

void h_publish_list(struct request *req)
{
    uint64_t user_id = request_user(req);
    struct video_page page = {.n = 0};
    if (user_id == 0) {
        reply_error(req, ERROR_PARAM, "user_id is missing and nobody is logged in");
        return;
    }
    enum outcome outcome = publish_list(req->app->router, &req->call, user_id,
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

/* ---- Publish/delete ---- */

void h_publish_delete(struct request *req)
{
    enum outcome outcome =
        publish_delete(req->app->router, &req->call, req->who.user_id,
                       (uint64_t)request_param(req, "video_id")->integer);
    if (outcome == OUTCOME_OK) {
        janitor_poke(req->app->janitor);
    }
    reply_outcome_of(req, outcome, ERROR_NO_VIDEO);
}
