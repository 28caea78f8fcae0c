/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The JSON objects of the API: what a user and a video look like to a client. */
#ifndef DOUSHARD_VIEWS_H
#define DOUSHARD_VIEWS_H

#include <jansson.h>
#include <stdbool.h>

#include "shard/base/check.h"

#include "shard/publish.h"
#include "shard/user.h"

struct request;

/* What the caller has to do with the thing that is shown. NULL where this is asked for
 * means: nothing. */
struct view_flags {
    bool is_follow;   /* the caller follows this user, or the author of this video */
    bool is_favorite; /* the caller likes this video */
};

/* The absolute URL of PATH, which begins with '/': "http://host:8080/assets/avatar.png".
 * In the request's arena; NULL when memory is short. */
const char *view_url(struct request *req, const char *path) MUST_CHECK;

/* A new object User, every field present; the caller owns it. NULL when memory is short.
 * FLAGS may be NULL. */
json_t *view_user(struct request *req, const struct user_card *card,
                  const struct view_flags *flags) MUST_CHECK;

/* A new object Video with its author; as view_user(). */
json_t *view_video(struct request *req, const struct video_card *card,
                   const struct view_flags *flags) MUST_CHECK;

/* A new array of the videos of PAGE, in its order; as view_user(). */
json_t *view_videos(struct request *req, const struct video_page *page) MUST_CHECK;

#endif
