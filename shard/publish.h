/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/publish/ and procedures/video/. */
#ifndef DOUSHARD_PUBLISH_H
#define DOUSHARD_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"
#include "shard/user.h"

struct router;

/* Longest base name of a stored video, without the final NUL. */
#define MEDIA_NAME_MAX 64

/* A video as lists show it. Texts live in the call's arena. */
struct video_card {
    uint64_t id;
    struct user_card author;
    const char *title;
    const char *media; /* base name of the stored files */
    int64_t favorite_count;
    int64_t comment_count;
    int64_t published_at_ms; /* since the Unix epoch; unique within a slot */
    bool is_favorite;        /* the viewer likes it: see shard/viewer.h */
};

struct publish_action_args {
    unsigned char op[OP_BYTES];
    uint64_t author_id;
    const char *title; /* 1 to 128 code points */
    const char *media; /* base name of the files, which exist already */
    unsigned char sha256[32];
    int64_t size_bytes;
    int32_t duration_ms;
    int32_t width;
    int32_t height;
};

/* List a stored video. OK, or SAME for a replay: title and files are those of the first
 * time, and *MEDIA is the name stored then (in the call's arena). Else MISMATCH (the op
 * was used for another file), NOTFOUND (no such author). */
enum outcome publish_action(struct router *router, struct call *call,
                            const struct publish_action_args *args, uint64_t *video_id,
                            const char **media);

struct video_page {
    struct video_card *videos; /* in the call's arena */
    size_t n;
    uint64_t next_cursor; /* publish_list, favorite_list: 0 at the end */
    int64_t next_time_ms; /* feed_list: 0 when there are no older videos */
    bool partial;         /* a shard did not answer: its videos are left out */
};

/* Up to LIMIT live videos of one user below CURSOR (a video id; 0 = from the newest),
 * newest first. OK or NOTFOUND (no such user). */
enum outcome publish_list(struct router *router, struct call *call, uint64_t user_id,
                          uint64_t cursor, size_t limit, struct video_page *page);

/* The cards of N videos with their authors, in the order of IDS; a card whose video is
 * not live has id 0. One CALL per shard for each 256 videos. OK when every shard
 * answered; otherwise the cards of shards that did not answer have id 0, too. */
enum outcome video_get(struct router *router, struct call *call, const uint64_t *ids,
                       size_t n, struct video_card *cards);

/* Take a video of USER_ID out of every list; its files go by a job. OK, SAME, NOTFOUND or
 * FORBIDDEN. */
enum outcome publish_delete(struct router *router, struct call *call, uint64_t user_id,
                            uint64_t video_id);

#endif
