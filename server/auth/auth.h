/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who asks: from the token of a request to its user, through token, process cache, Redis
 * and shard.
 *
 *   token --jwt_verify()--> user, session --session cache, 5 s--> known to be open
 *                                         \--session_recall() in Redis, or on the
 *                                            user's shard
 *
 * A token proves who signed it; the session it names decides. Only "yes" is remembered.
 */
#ifndef DOUSHARD_AUTH_AUTH_H
#define DOUSHARD_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/user.h"

#include "server/auth/jwt.h"
#include "server/auth/password.h"

struct auth;
struct config;
struct errmsg;
struct metrics;
struct request;
struct throttle;
struct token_key_set;

/* Read the token keys and prepare the rest. METRICS (ref) may be NULL. NULL: *ERR says
 * what is wrong. CONFIG is not kept. */
struct auth *auth_new(const struct config *config, struct metrics *metrics,
                      struct errmsg *err) MUST_CHECK;

/* Use these keys from now on, of token_key_set_read(); they are taken over. Any thread,
 * while requests run. */
void auth_replace_keys(struct auth *auth, struct token_key_set *keys_steal);

/* AUTH must no longer be in use. *AUTH becomes NULL; NULL is allowed. */
void auth_free(struct auth **auth);

/* Find out who asks, as the route of REQ requires, and fill req->who. The parameter
 * "token" counts before the header "Authorization: Bearer".
 *
 * True: the handler may run; req->who.user_id is 0 for an anonymous caller. False: the
 * caller must be known and is not, or this cannot be found out now; the request has been
 * answered. Blocks until the request's deadline at the latest; for AUTH_OPTIONAL at most
 * half of the time that is left, because an anonymous answer must still be made. */
bool auth_identify(struct auth *auth, struct request *req) MUST_CHECK;

/* The same from this process's memory: never blocks, never answers. False: it does not
 * know, or would refuse; auth_identify() decides. */
bool auth_recall(struct auth *auth, struct request *req) MUST_CHECK;

/* Before the body of REQ has arrived: is there a parameter "token" that is malformed,
 * forged or expired? True: REQ has been answered. Else *USER_ID is the user of the token,
 * of a parameter or else of the header; 0: not known yet, because a parameter after the
 * file may still have a token. Asks no shard whether the session is open. */
bool auth_refuses_early(struct auth *auth, struct request *req,
                        uint64_t *user_id) MUST_CHECK;

/* Read the token of REQ, whether or not its session is still open: for logout, which may
 * be repeated. JWT_SHAPE when there is no token. */
enum jwt_reason auth_claims(struct auth *auth, const struct request *req,
                            struct jwt_claims *claims) MUST_CHECK;

/* A new session under the options in force: random id, absolute end, how many to keep. */
void auth_grant(const struct request *req, struct session_grant *grant);

/* The token of a session that a shard has confirmed, in the request's arena. NULL: out
 * of memory or the library failed; it has been logged. */
const char *auth_token(struct auth *auth, struct request *req, uint64_t user_id,
                       const struct session_grant *grant) MUST_CHECK;

/* Forget a session, or all of a user, at once. Call it after the CALL that ended them,
 * whatever its outcome: a session check that runs meanwhile is not remembered. */
void auth_forget_session(struct auth *auth, uint64_t user_id,
                         const unsigned char session[SESSION_BYTES]);
void auth_forget_user(struct auth *auth, uint64_t user_id);

/* The threads that hash passwords, and the parameters in force. */
struct password *auth_password(struct auth *auth);
struct password_params auth_password_params(const struct request *req);

/* The counts of wrong passwords; use them through login_guard.h. */
struct throttle *auth_throttle(struct auth *auth);

#endif
