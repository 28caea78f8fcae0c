/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The work behind user_erase(): undo what an erased user wrote and did. */
#ifndef DOUSHARD_ERASE_H
#define DOUSHARD_ERASE_H

#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"

struct delivery;

/* How far the erasure of a user has come. Begins as {0}; a new one starts at the first
 * row again, and does not find rows already undone. */
struct erase_progress {
    uint64_t peer_id;    /* messages after this peer */
    int64_t at_ms;       /* and this time */
    uint64_t video_id;   /* comments after this video */
    uint64_t comment_id; /* and this comment */
    uint64_t n_undone;   /* rows so far */
};

/* Undo as much of an erased user's videos, edges, comments and messages as can be undone
 * before call->deadline_ms, from where PROGRESS stands. OK: nothing is left. BUSY:
 * something is, perhaps only second halves under way; call again. Else NOTFOUND (no
 * erased user), or why the user's shard gives no answer. */
enum outcome erase_user(struct delivery *delivery, struct call *call, uint64_t user_id,
                        struct erase_progress *progress);

#endif
