/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Sessions that a shard has confirmed a moment ago: a bounded table of "yes" answers.
 *
 * It is set-associative: a user's sessions share one small set of entries, and a full set
 * gives up the entry that ends first. So memory is taken once, and all sessions of a user
 * are found in one place. Absent never means "closed": the caller asks the shard.
 *
 * A check that began before a session was dropped must not remember it afterwards: each
 * look hands out a ticket, each drop makes the older tickets of its stripe useless. */
#ifndef DOUSHARD_AUTH_SESSION_CACHE_H
#define DOUSHARD_AUTH_SESSION_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/user.h"

struct session_cache;

/* What a look that found nothing leaves for the answer of the shard. */
struct session_ticket {
    uint64_t generation;
    bool is_wary; /* all sessions of some users were ended a moment ago: only the shard
                   * knows of all of them */
};

/* How long a moment is: longer than anybody else believes a session. */
#define SESSION_WARY_MS 6000

/* At most ENTRIES_MAX sessions; 0 remembers nothing. NULL: no memory. The functions below
 * are thread-safe and never block for long. */
struct session_cache *session_cache_new(size_t entries_max) MUST_CHECK;

/* *CACHE becomes NULL; NULL is allowed. */
void session_cache_free(struct session_cache **cache);

/* Is the session known to be open at NOW_MS (monotonic)? False sets *TICKET; take it
 * before the shard is asked. */
bool session_cache_has(struct session_cache *cache, uint64_t user_id,
                       const unsigned char session[SESSION_BYTES], int64_t now_ms,
                       struct session_ticket *ticket) MUST_CHECK;

/* Remember until UNTIL_MS, which must count from before the shard was asked, unless
 * something was dropped since TICKET. True when it was remembered. */
bool session_cache_put(struct session_cache *cache, uint64_t user_id,
                       const unsigned char session[SESSION_BYTES], int64_t until_ms,
                       const struct session_ticket *ticket);

/* Forget one session, or all of a user, and every check that is under way for them. */
void session_cache_drop(struct session_cache *cache, uint64_t user_id,
                        const unsigned char session[SESSION_BYTES]);
void session_cache_drop_user(struct session_cache *cache, uint64_t user_id);

#endif
