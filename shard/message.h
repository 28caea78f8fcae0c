/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/message/: chats, one mailbox per party. */
#ifndef DOUSHARD_MESSAGE_H
#define DOUSHARD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/call.h"
#include "shard/copies.h"
#include "shard/outcome.h"

struct delivery;
struct router;

struct message_action_args {
    unsigned char op[OP_BYTES];
    uint64_t user_id; /* who writes */
    uint64_t peer_id; /* another user; the caller checks that */
    const char *text; /* UTF-8, not empty */
};

/* Send a message. OK and SAME (a replay: the stored text stays) set *MESSAGE_ID
 * (unique per sender); MESSAGE_ID may be NULL. Else MISMATCH (the op was used for another
 * peer), NOTFOUND (no such peer, or the user is gone). */
enum outcome message_action(struct delivery *delivery, struct call *call,
                            const struct message_action_args *args, uint64_t *message_id);

/* A message as one party sees it. */
struct message {
    uint64_t id;
    uint64_t from_user_id;
    uint64_t to_user_id;
    const char *text; /* in the call's arena */
    int64_t at_ms;    /* since the Unix epoch; increases strictly in each mailbox */
};

struct message_page {
    struct message *messages; /* in the call's arena; oldest first, either way */
    size_t n;
    int64_t next_ms; /* from_ms of the next page of the same range; 0 at the end */
};

/* Which messages of a chat. */
struct message_range {
    int64_t from_ms;    /* where to begin; 0: at the first message, or the last one */
    bool backwards;     /* the newest messages older than from_ms; else the oldest newer
                         * ones */
    size_t limit;       /* 1 to 1000 */
    bool received_only; /* without those that the user sent */
};

/* The messages between USER_ID and PEER_ID in the mailbox of USER_ID. OK, also when there
 * are none; NOTFOUND: no such peer (asked only when there is nothing to show), or the
 * user is gone. A client that asks again with the time of the newest message it got
 * misses nothing.
 */
enum outcome message_chat(struct router *router, struct call *call, uint64_t user_id,
                          uint64_t peer_id, const struct message_range *range,
                          struct message_page *page);

/* The key in the cache of the chat with PEER_ID in the mailbox of USER_ID; it has no
 * version: a change marks it. */
struct copy_key message_key(uint64_t user_id, uint64_t peer_id);

#endif
