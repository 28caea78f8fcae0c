/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Sessions that a shard has confirmed a moment ago: a bounded table of "yes" answers.
 *
 * It is set-associative: a user's sessions share one small set of entries, and a full set
 * gives up the entry that ends first. So memory is allocated once, and all sessions of a
 * user are in one place. Absent never means "closed": the caller asks the shard.
 *
 * A check that began before a session was dropped must not remember it afterwards: each
 * lookup issues a ticket, each drop invalidates the older tickets of its stripe. */
#ifndef DOUSHARD_AUTH_SESSION_CACHE_H
#define DOUSHARD_AUTH_SESSION_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/user.h"

struct session_cache;

/* What a lookup that found nothing keeps for the shard's answer. */
struct session_ticket {
    uint64_t generation;
    bool is_wary; /* all sessions of some user were ended a moment ago: only the shard may
                   * be asked */
};

/* How long that moment is: longer than any other server believes a session. */
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
