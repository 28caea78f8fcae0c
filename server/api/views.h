/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The JSON objects of the API: what users, videos, comments
 * and messages look like to a client. */
#ifndef DOUSHARD_API_VIEWS_H
#define DOUSHARD_API_VIEWS_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/comment.h"
#include "shard/message.h"
#include "shard/publish.h"
#include "shard/relation.h"
#include "shard/user.h"

struct json_out;
struct request;

/* Set is_follow and is_favorite for the caller: one CALL, or none for a visitor or an
 * empty page. If the caller's shard does not answer, they are false and *PARTIAL is set.
 * Blocks until req->call.deadline_ms. */
void view_mark_users(struct request *req, struct user_card *users, size_t n,
                     bool *partial);
void view_mark_videos(struct request *req, struct video_page *page);
void view_mark_comments(struct request *req, struct comment_page *page);

/* The beginning of media URLs in this answer, by base_url. In the request's arena or the
 * options; NULL: out of memory. */
const char *view_base_url(struct request *req);

/* Write objects, with every field present, and lists, under their names in the API, in
 * the order given. A single object has the NAME, which is NULL in a list. */

/* User */
void view_user(struct json_out *out, struct request *req, const char *name,
               const struct user_card *card);

/* user_list: [User]; NOTES, one per user, makes them FriendUser; NULL: no notes. */
void view_users(struct json_out *out, struct request *req, const struct user_card *users,
                size_t n, const struct relation_note *notes);

/* video_list: [Video], each with its author */
void view_videos(struct json_out *out, struct request *req,
                 const struct video_page *page);

/* Comment, with its author */
void view_comment(struct json_out *out, struct request *req, const char *name,
                  const struct comment *comment);

/* comment_list: [Comment] */
void view_comments(struct json_out *out, struct request *req,
                   const struct comment_page *page);

/* message_list: [Message] */
void view_messages(struct json_out *out, const struct message_page *page);

#endif
