/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/comment/. */
#ifndef DOUSHARD_COMMENT_H
#define DOUSHARD_COMMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/outcome.h"
#include "shard/user.h"

struct delivery;
struct router;

/* Texts live in the call's arena. */
struct comment {
    uint64_t id; /* unique within its video */
    struct user_card author;
    const char *text;
    int64_t created_at_ms; /* since the Unix epoch */
};

struct comment_action_args {
    unsigned char op[OP_BYTES];
    uint64_t video_id;
    uint64_t user_id;
    const char *text; /* UTF-8, not empty */
};

/* Post a comment. OK and SAME (a replay: text is the stored one, whatever ARGS says) set
 * comment->id, created_at_ms, text and author.id; the caller fills in the rest of the
 * author's card (user_get()). Else MISMATCH (the op was used by another user), NOTFOUND
 * (no live video, or the user is gone). */
enum outcome comment_action(struct delivery *delivery, struct call *call,
                            const struct comment_action_args *args,
                            struct comment *comment);

/* Delete a comment; USER_ID is its author or the video's. OK, SAME (it was deleted),
 * NOTFOUND or FORBIDDEN. */
enum outcome comment_delete(struct delivery *delivery, struct call *call,
                            uint64_t video_id, uint64_t user_id, uint64_t comment_id);

struct comment_page {
    struct comment *comments; /* in the call's arena */
    size_t n;
    uint64_t next_cursor; /* 0 at the end */
    bool partial;         /* a shard did not answer: its users' comments are left out */
    uint64_t ver; /* of the list, as comment_list_version() has it; 0: not known */
};

/* Up to LIMIT (1 to 1000) comments of a video below CURSOR (a comment id; 0 = from the
 * newest), newest first, without those whose author is gone: only a next_cursor of 0 is
 * the end. One CALL, and one per shard for the authors. OK or NOTFOUND (no live
 * video). */
enum outcome comment_list(struct router *router, struct call *call, uint64_t video_id,
                          uint64_t cursor, size_t limit, struct comment_page *page);

/* The version in Redis of the first page of VIDEO_ID, for any limit; false: there is none
 * that could be shown now. */
bool comment_list_version(struct router *router, struct call *call, uint64_t video_id,
                          uint64_t *ver) MUST_CHECK;

#endif
