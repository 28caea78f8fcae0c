/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/user/ and procedures/session/. */
#ifndef DOUSHARD_USER_H
#define DOUSHARD_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/copies.h"
#include "shard/outcome.h"

struct cache;
struct router;

#define SESSION_BYTES 16

/* A user as others see it. Texts are UTF-8, never NULL, and live in the call's arena. */
struct user_card {
    uint64_t id;
    const char *name;
    const char *avatar;           /* "" = the default picture */
    const char *background_image; /* "" = the default picture */
    const char *signature;
    int64_t follow_count;
    int64_t follower_count;
    int64_t total_favorited; /* likes received */
    int64_t work_count;
    int64_t favorite_count; /* likes given */
    bool is_follow;         /* the viewer follows this user: see shard/viewer.h */
};

/* A new session: random id and the absolute end (ms since the Unix epoch). */
struct session_grant {
    unsigned char id[SESSION_BYTES];
    int64_t expires_at_ms;
    unsigned keep_max; /* how many sessions of this user to keep, the newest */
};

struct user_register_args {
    unsigned char op[OP_BYTES];
    const char *name; /* 1 to 32 code points, UTF-8, no NUL */
    const char *password_hash;
    struct session_grant session;
};

/* All functions here: thread-safe; block until call->deadline_ms at the latest; on any
 * other outcome than those named they leave results unchanged, and call->detail says why.
 */

/* Make an account with a first session. OK and SAME set *USER_ID; else TAKEN. */
enum outcome user_register(struct router *router, struct call *call,
                           const struct user_register_args *args, uint64_t *user_id);

/* Find the account of NAME (NAME_LEN bytes). OK sets both results; else NOTFOUND. */
enum outcome user_login(struct router *router, struct call *call, const char *name,
                        uint64_t *user_id, const char **password_hash);

/* Is there an account of NAME, and was it made by user_register() with OP? OK sets
 * *IS_OURS; else NOTFOUND. */
enum outcome user_made_by(struct router *router, struct call *call, const char *name,
                          const unsigned char op[OP_BYTES], bool *is_ours);

/* The password hash of a live user. OK or NOTFOUND. */
enum outcome user_secret(struct router *router, struct call *call, uint64_t user_id,
                         const char **password_hash);

/* Replace the hash if it still is OLD_HASH, end all sessions and open one. OK, SAME,
 * CONFLICT, NOTFOUND. */
enum outcome user_password(struct router *router, struct call *call, uint64_t user_id,
                           const char *old_hash, const char *new_hash,
                           const struct session_grant *session);

/* Store the same password under newer parameters; sessions stay. OK, SAME, CONFLICT,
 * NOTFOUND. */
enum outcome user_rehash(struct router *router, struct call *call, uint64_t user_id,
                         const char *old_hash, const char *new_hash);

/* End one session. OK or SAME. */
enum outcome user_logout(struct router *router, struct call *call, uint64_t user_id,
                         const unsigned char session[SESSION_BYTES]);

/* The cards of N users, in the order of IDS; a card whose user does not exist has id 0.
 * One CALL per shard for each 256 different users. OK when every shard answered;
 * otherwise the cards of shards that did not answer have id 0, too. */
enum outcome user_get(struct router *router, struct call *call, const uint64_t *ids,
                      size_t n, struct user_card *cards);

/* The card of a user from CACHE's copies in this process: never blocks. False: not there,
 * or no such user. */
bool user_recall(struct cache *cache, struct arena *arena, uint64_t id,
                 struct user_card *card) MUST_CHECK;

/* Changes of a profile. NULL: unchanged. */
struct user_profile_args {
    const char *avatar;           /* base name of the picture; "" = the default one */
    const char *background_image; /* likewise */
    const char *signature;        /* UTF-8, at most 128 code points */
};

/* Change the profile; at least one member of ARGS must be set. OK, SAME (it was so
 * already) or NOTFOUND. */
enum outcome user_profile(struct router *router, struct call *call, uint64_t user_id,
                          const struct user_profile_args *args);

/* OK, SAME or NOTFOUND (no live user). */
enum outcome session_open(struct router *router, struct call *call, uint64_t user_id,
                          const struct session_grant *session);

/* Is the session live? OK, NOTFOUND or EXPIRED (idle for IDLE_MS, or past its end). A
 * session not seen for an hour gets its idle time prolonged. */
enum outcome session_check(struct router *router, struct call *call, uint64_t user_id,
                           const unsigned char session[SESSION_BYTES], int64_t idle_ms);

/* The same by the cache: *AGE_MS is how long ago at most the shard was asked, less than
 * CACHE_CONFIRM_MS. Only "open" is cached. */
enum outcome session_recall(struct router *router, struct call *call, uint64_t user_id,
                            const unsigned char session[SESSION_BYTES], int64_t idle_ms,
                            int64_t *age_ms);

/* The session's key in the cache; ending the session marks it. */
struct copy_key session_key(uint64_t user_id, const unsigned char session[SESSION_BYTES]);

#endif
