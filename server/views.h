/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The JSON objects of the API: what users, videos, comments
 * and messages look like to a client. */
#ifndef DOUSHARD_VIEWS_H
#define DOUSHARD_VIEWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "shard/comment.h"
#include "shard/message.h"
#include "shard/publish.h"
#include "shard/relation.h"
#include "shard/user.h"

struct request;

/* The absolute URL of PATH, which begins with '/': "http://host:8080/assets/avatar.png".
 * In the request's arena; NULL when memory is short. */
const char *view_url(struct request *req, const char *path) MUST_CHECK;

/* Set is_follow and is_favorite of what is shown as the caller sees it: one CALL, none
 * for a visitor or an empty page. If the caller's shard does not answer, they are false
 * and *PARTIAL is set. Blocks until req->call.deadline_ms. */
void view_mark_users(struct request *req, struct user_card *users, size_t n,
                     bool *partial);
void view_mark_videos(struct request *req, struct video_page *page);
void view_mark_comments(struct request *req, struct comment_page *page);

/* New objects and arrays, every field present, in the order given; the caller owns them.
 * NULL when memory is short. */

/* User */
json_t *view_user(struct request *req, const struct user_card *card) MUST_CHECK;

/* [User]; NOTES, one per user, makes them FriendUser; NULL: no notes. */
json_t *view_users(struct request *req, const struct user_card *users, size_t n,
                   const struct relation_note *notes) MUST_CHECK;

/* Video, with its author */
json_t *view_video(struct request *req, const struct video_card *card) MUST_CHECK;

/* [Video] */
json_t *view_videos(struct request *req, const struct video_page *page) MUST_CHECK;

/* Comment, with its author */
json_t *view_comment(struct request *req, const struct comment *comment) MUST_CHECK;

/* [Comment] */
json_t *view_comments(struct request *req, const struct comment_page *page) MUST_CHECK;

/* [Message] */
json_t *view_messages(const struct message_page *page) MUST_CHECK;

#endif
