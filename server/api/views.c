/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The JSON objects of the API: fixed sets of fields, all always present. */
#include "server/api/views.h"

#include <string.h>
#include <time.h>

#include "shard/base/arena.h"
#include "shard/base/json_out.h"
#include "shard/base/log.h"

#include "shard/viewer.h"

#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/request.h"

/* Where published files are served, and default pictures. */
#define MEDIA_PATH  "/static/"
#define ASSETS_PATH "/assets/"

#define DEFAULT_AVATAR     ASSETS_PATH "avatar.png"
#define DEFAULT_BACKGROUND ASSETS_PATH "background.png"

/* Clients show this text, and some treat an empty one as a failure. */
#define DEFAULT_SIGNATURE "Nothing here yet."

/* The base URL for clients when base_url is not set: loopback instead of a wildcard, and
 * brackets around an IPv6 address. */
static const char *listen_url(struct request *req, const struct config *config)
{
    const char *host = config->listen_host;

    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        host = "127.0.0.1";
    }
    unsigned port = req->app->port != 0 ? req->app->port : (unsigned)config->listen_port;
    return arena_printf(&req->arena,
                        strchr(host, ':') != NULL ? "http://[%s]:%u" : "http://%s:%u",
                        host, port);
}

const char *view_base_url(struct request *req)
{
    if (req->base_url == NULL) {
        const char *url = app_config(req->app)->base_url;

        req->base_url = url[0] != '\0' ? url : listen_url(req, app_config(req->app));
    }
    return req->base_url;
}

/* The field NAME: the URL of a published file, STEM with ENDING. */
static void media_url(struct json_out *out, struct request *req, const char *name,
                      const char *stem, const char *ending)
{
    json_out_texts(out, name,
                   (const char *[]){view_base_url(req), MEDIA_PATH, stem, ending}, 4);
}

/* The field NAME: the URL of a picture that a user has stored, or of the default one. */
static void picture_url(struct json_out *out, struct request *req, const char *name,
                        const char *picture, const char *default_path)
{
    if (picture[0] != '\0') {
        media_url(out, req, name, picture, "");
    } else {
        json_out_texts(out, name, (const char *[]){view_base_url(req), default_path}, 2);
    }
}

static void user_fields(struct json_out *out, struct request *req,
                        const struct user_card *card)
{
    const char *signature =
        card->signature[0] != '\0' ? card->signature : DEFAULT_SIGNATURE;

    json_out_integer(out, "id", (int64_t)card->id);
    json_out_text(out, "name", card->name);
    json_out_integer(out, "follow_count", card->follow_count);
    json_out_integer(out, "follower_count", card->follower_count);
    json_out_bool(out, "is_follow", card->is_follow);
    picture_url(out, req, "avatar", card->avatar, DEFAULT_AVATAR);
    picture_url(out, req, "background_image", card->background_image, DEFAULT_BACKGROUND);
    json_out_text(out, "signature", signature);
    json_out_integer(out, "total_favorited", card->total_favorited);
    json_out_integer(out, "work_count", card->work_count);
    json_out_integer(out, "favorite_count", card->favorite_count);
}

void view_user(struct json_out *out, struct request *req, const char *name,
               const struct user_card *card)
{
    json_out_object(out, name);
    user_fields(out, req, card);
    json_out_object_end(out);
}

static void view_video(struct json_out *out, struct request *req,
                       const struct video_card *card)
{
    json_out_object(out, NULL);
    json_out_integer(out, "id", (int64_t)card->id);
    view_user(out, req, "author", &card->author);
    media_url(out, req, "play_url", card->media, ".mp4");
    media_url(out, req, "cover_url", card->media, ".jpg");
    json_out_integer(out, "favorite_count", card->favorite_count);
    json_out_integer(out, "comment_count", card->comment_count);
    json_out_bool(out, "is_favorite", card->is_favorite);
    json_out_text(out, "title", card->title);
    json_out_object_end(out);
}

void view_videos(struct json_out *out, struct request *req, const struct video_page *page)
{
    json_out_array(out, "video_list");
    for (size_t i = 0; i < page->n; i++) {
        view_video(out, req, &page->videos[i]);
    }
    json_out_array_end(out);
}

/* The fields that only a friend has: the last message and its direction, 0 for a received
 * one. */
static void note_fields(struct json_out *out, const struct relation_note *note)
{
    json_out_text(out, "message", note->text);
    json_out_integer(out, "msgType", note->is_sent ? 1 : 0);
}

void view_users(struct json_out *out, struct request *req, const struct user_card *users,
                size_t n, const struct relation_note *notes)
{
    json_out_array(out, "user_list");
    for (size_t i = 0; i < n; i++) {
        json_out_object(out, NULL);
        user_fields(out, req, &users[i]);
        if (notes != NULL) {
            note_fields(out, &notes[i]);
        }
        json_out_object_end(out);
    }
    json_out_array_end(out);
}

void view_comment(struct json_out *out, struct request *req, const char *name,
                  const struct comment *comment)
{
    time_t seconds = (time_t)(comment->created_at_ms / 1000);
    struct tm day;
    char date[8] = "01-01";

    if (gmtime_r(&seconds, &day) != NULL) {
        (void)strftime(date, sizeof date, "%m-%d", &day);
    }
    json_out_object(out, name);
    json_out_integer(out, "id", (int64_t)comment->id);
    view_user(out, req, "user", &comment->author);
    json_out_text(out, "content", comment->text);
    json_out_text(out, "create_date", date);
    json_out_object_end(out);
}

void view_comments(struct json_out *out, struct request *req,
                   const struct comment_page *page)
{
    json_out_array(out, "comment_list");
    for (size_t i = 0; i < page->n; i++) {
        view_comment(out, req, NULL, &page->comments[i]);
    }
    json_out_array_end(out);
}

static void view_message(struct json_out *out, const struct message *message)
{
    json_out_object(out, NULL);
    json_out_integer(out, "id", (int64_t)message->id);
    json_out_integer(out, "to_user_id", (int64_t)message->to_user_id);
    json_out_integer(out, "from_user_id", (int64_t)message->from_user_id);
    json_out_text(out, "content", message->text);
    json_out_integer(out, "create_time", message->at_ms);
    json_out_object_end(out);
}

void view_messages(struct json_out *out, const struct message_page *page)
{
    json_out_array(out, "message_list");
    for (size_t i = 0; i < page->n; i++) {
        view_message(out, &page->messages[i]);
    }
    json_out_array_end(out);
}

/* ---- The caller's flags ---- */

/* The page can be sent without the flags; it says that something is missing. */
static void note_marks(struct request *req, enum outcome outcome, bool *partial)
{
    if (outcome != OUTCOME_OK) {
        log_write(LOG_WARN, "viewer_unknown", "outcome=%s detail=\"%s\"",
                  outcome_name(outcome), req->call.detail);
        *partial = true;
    }
}

void view_mark_users(struct request *req, struct user_card *users, size_t n,
                     bool *partial)
{
    note_marks(
        req, viewer_mark_users(req->app->router, &req->call, req->who.user_id, users, n),
        partial);
}

void view_mark_videos(struct request *req, struct video_page *page)
{
    note_marks(req,
               viewer_mark_videos(req->app->router, &req->call, req->who.user_id,
                                  page->videos, page->n),
               &page->partial);
}

void view_mark_comments(struct request *req, struct comment_page *page)
{
    note_marks(req,
               viewer_mark_comments(req->app->router, &req->call, req->who.user_id,
                                    page->comments, page->n),
               &page->partial);
}
