/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The JSON objects of the API: fixed sets of fields, all always present. */
#include "server/views.h"

#include <string.h>
#include <time.h>

#include "shard/base/arena.h"
#include "shard/base/log.h"

#include "shard/viewer.h"

#include "server/app.h"
#include "server/config.h"
#include "server/http.h"
#include "server/request.h"

/* Where the routes of static_file.c serve published files and those of server/assets/. */
#define MEDIA_PATH  "/static/"
#define ASSETS_PATH "/assets/"

#define DEFAULT_AVATAR     ASSETS_PATH "avatar.png"
#define DEFAULT_BACKGROUND ASSETS_PATH "background.png"

/* Clients show this text as it is, and some take an empty one for a failure. */
#define DEFAULT_SIGNATURE "Nothing here yet."

/* The address to name to clients when base_url does not: a wildcard is no address, so the
 * loopback stands for it, and an IPv6 address needs brackets. */
static const char *listen_url(struct request *req, const struct config *config,
                              const char *path)
{
    const char *host = config->listen_host;

    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
        host = "127.0.0.1";
    }
    unsigned port = req->app->http != NULL ? http_port(req->app->http, LISTENER_PUBLIC)
                                           : (unsigned)config->listen_port;
    return arena_printf(&req->arena,
                        strchr(host, ':') != NULL ? "http://[%s]:%u%s" : "http://%s:%u%s",
                        host, port, path);
}

const char *view_url(struct request *req, const char *path)
{
    const struct config *config = app_config(req->app);

    if (config->base_url[0] == '\0') {
        return listen_url(req, config, path);
    }
    return arena_printf(&req->arena, "%s%s", config->base_url, path);
}

/* The URL of a picture that a user has stored under NAME, or of the default one. */
static const char *picture_url(struct request *req, const char *name,
                               const char *default_path)
{
    const char *path = default_path;

    if (name[0] != '\0') {
        path = arena_printf(&req->arena, MEDIA_PATH "%s", name);
    }
    return path != NULL ? view_url(req, path) : NULL;
}

json_t *view_user(struct request *req, const struct user_card *card)
{
    const char *avatar = picture_url(req, card->avatar, DEFAULT_AVATAR);
    const char *background = picture_url(req, card->background_image, DEFAULT_BACKGROUND);

    if (avatar == NULL || background == NULL) {
        return NULL;
    }
    // clang-format off
    return json_pack("{s:I, s:s, s:I, s:I, s:b, s:s, s:s, s:s, s:I, s:I, s:I}",
                     "id", (json_int_t)card->id,
                     "name", card->name,
                     "follow_count", (json_int_t)card->follow_count,
                     "follower_count", (json_int_t)card->follower_count,
                     "is_follow", (int)card->is_follow,
                     "avatar", avatar,
                     "background_image", background,
                     "signature", card->signature[0] != '\0' ? card->signature
                                                            : DEFAULT_SIGNATURE,
                     "total_favorited", (json_int_t)card->total_favorited,
                     "work_count", (json_int_t)card->work_count,
                     "favorite_count", (json_int_t)card->favorite_count);
    // clang-format on
}

/* The URL of a stored file: base name MEDIA with ENDING. */
static const char *media_url(struct request *req, const char *media, const char *ending)
{
    const char *path = arena_printf(&req->arena, MEDIA_PATH "%s%s", media, ending);

    return path != NULL ? view_url(req, path) : NULL;
}

json_t *view_video(struct request *req, const struct video_card *card)
{
    const char *play_url = media_url(req, card->media, ".mp4");
    const char *cover_url = media_url(req, card->media, ".jpg");

    if (play_url == NULL || cover_url == NULL) {
        return NULL;
    }
    // clang-format off
    return json_pack("{s:I, s:o, s:s, s:s, s:I, s:I, s:b, s:s}",
                     "id", (json_int_t)card->id,
                     "author", view_user(req, &card->author),
                     "play_url", play_url,
                     "cover_url", cover_url,
                     "favorite_count", (json_int_t)card->favorite_count,
                     "comment_count", (json_int_t)card->comment_count,
                     "is_favorite", (int)card->is_favorite,
                     "title", card->title);
    // clang-format on
}

json_t *view_videos(struct request *req, const struct video_page *page)
{
    json_t *videos = json_array();

    for (size_t i = 0; i < page->n; i++) {
        if (json_array_append_new(videos, view_video(req, &page->videos[i])) != 0) {
            json_decref(videos);
            return NULL;
        }
    }
    return videos;
}

/* A friend is a user with two more fields: the last message and its direction, which is 0
 * for a received one. */
static json_t *view_friend(struct request *req, const struct user_card *card,
                           const struct relation_note *note)
{
    json_t *user = view_user(req, card);

    if (json_object_set_new(user, "message", json_string(note->text)) != 0 ||
        json_object_set_new(user, "msgType", json_integer(note->is_sent ? 1 : 0)) != 0) {
        json_decref(user);
        return NULL;
    }
    return user;
}

json_t *view_users(struct request *req, const struct user_card *users, size_t n,
                   const struct relation_note *notes)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *user = notes != NULL ? view_friend(req, &users[i], &notes[i])
                                     : view_user(req, &users[i]);

        if (json_array_append_new(array, user) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *view_comment(struct request *req, const struct comment *comment)
{
    time_t seconds = (time_t)(comment->created_at_ms / 1000);
    struct tm day;
    char date[8] = "01-01";

    if (gmtime_r(&seconds, &day) != NULL) {
        (void)strftime(date, sizeof date, "%m-%d", &day);
    }
    // clang-format off
    return json_pack("{s:I, s:o, s:s, s:s}",
                     "id", (json_int_t)comment->id,
                     "user", view_user(req, &comment->author),
                     "content", comment->text,
                     "create_date", date);
    // clang-format on
}

json_t *view_comments(struct request *req, const struct comment_page *page)
{
    json_t *comments = json_array();

    for (size_t i = 0; i < page->n; i++) {
        if (json_array_append_new(comments, view_comment(req, &page->comments[i])) != 0) {
            json_decref(comments);
            return NULL;
        }
    }
    return comments;
}

static json_t *view_message(const struct message *message)
{
    // clang-format off
    return json_pack("{s:I, s:I, s:I, s:s, s:I}",
                     "id", (json_int_t)message->id,
                     "to_user_id", (json_int_t)message->to_user_id,
                     "from_user_id", (json_int_t)message->from_user_id,
                     "content", message->text,
                     "create_time", (json_int_t)message->at_ms);
    // clang-format on
}

json_t *view_messages(const struct message_page *page)
{
    json_t *messages = json_array();

    for (size_t i = 0; i < page->n; i++) {
        if (json_array_append_new(messages, view_message(&page->messages[i])) != 0) {
            json_decref(messages);
            return NULL;
        }
    }
    return messages;
}

/* ---- what the caller has to do with it ---- */

/* The page is good without the flags; it says that something is missing. */
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
