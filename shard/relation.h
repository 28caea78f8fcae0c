/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/relation/: follows, followers, friends. */
#ifndef DOUSHARD_RELATION_H
#define DOUSHARD_RELATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/outcome.h"
#include "shard/user.h"

struct delivery;
struct router;

/* USER_ID follows TARGET_ID (another user; the caller checks that), or stops following.
 * OK; SAME (it was so already); NOTFOUND (no such user). On TIMEOUT the outcome is
 * unknown; it is safe to repeat. */
enum outcome relation_action(struct delivery *delivery, struct call *call,
                             uint64_t user_id, uint64_t target_id, bool follows);

enum relation_kind {
    RELATION_FOLLOWS,   /* whom the user follows */
    RELATION_FOLLOWERS, /* who follows the user */
    RELATION_FRIENDS    /* both */
};

/* The last message between the user and a friend. */
struct relation_note {
    const char *text; /* "" = they never wrote to each other */
    bool is_sent;     /* sent by the user; else received */
};

/* Everything lives in the call's arena. */
struct relation_page {
    struct user_card *users;
    struct relation_note *notes; /* of RELATION_FRIENDS: one per user; else NULL */
    size_t n;
    uint64_t next_cursor; /* 0 at the end */
    bool partial;         /* a shard did not answer: its users are left out */
};

/* Which page of which list. */
struct relation_query {
    enum relation_kind kind;
    uint64_t user_id; /* whose list */
    uint64_t cursor;  /* next_cursor of the page before; 0 = from the newest */
    size_t limit;     /* 1 to 1000 */
};

/* Read a page, newest first (friends in the order in which the user followed them). Users
 * that are gone are left out, and friends are searched among 8000 follows at most, so a
 * page may be shorter than the limit, or empty, without being the last: only a
 * next_cursor of 0 is the end. One CALL (for friends, one per 2000 follows, until the
 * page is full), and one per shard for the cards. OK or NOTFOUND (no such user). */
enum outcome relation_list(struct router *router, struct call *call,
                           const struct relation_query *query,
                           struct relation_page *page);

#endif
