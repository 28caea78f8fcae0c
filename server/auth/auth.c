/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who asks: token, process cache, Redis, shard. Refuses when none of them can tell. */
#include "server/auth/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shard/base/arena.h"
#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/cache.h"

#include "server/auth/session_cache.h"
#include "server/auth/throttle.h"
#include "server/auth/token_keys.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/request/request.h"
#include "server/request/route.h"

struct auth {
    struct token_keys *keys;        /* owned */
    struct password *password;      /* owned */
    struct session_cache *sessions; /* owned */
    struct throttle *throttle;      /* owned */
};

/* The result of checking a token and its session. */
enum verdict {
    VERDICT_KNOWN,
    VERDICT_NO_TOKEN,
    VERDICT_REFUSED, /* forged, expired, or its session is closed */
    VERDICT_UNKNOWN  /* no shard could say */
};

/* Block size of new hashes, the usual one: ln and p are enough to set the cost. With the
 * largest ln one hash takes 1 GiB. */
#define SCRYPT_R 8

static struct password_params params_of(const struct config *config)
{
    return (struct password_params){.ln = (unsigned)config->scrypt_ln,
                                    .r = SCRYPT_R,
                                    .p = (unsigned)config->scrypt_p};
}

struct auth *auth_new(const struct config *config, struct metrics *metrics,
                      struct errmsg *err)
{
    struct auth *auth = calloc(1, sizeof *auth);

    if (auth != NULL) {
        auth->password = password_new(config_hashes(config),
                                      (unsigned)config->scrypt_queue_max, metrics);
        auth->sessions = session_cache_new((size_t)config->session_cache_max);
        auth->throttle = throttle_new();
    }
    if (auth == NULL || auth->password == NULL || auth->sessions == NULL ||
        auth->throttle == NULL) {
        (void)config_fail(err, NULL, 0, "out of memory");
        auth_free(&auth);
        return NULL;
    }
    auth->keys = token_keys_new(config->token_keys_file, err);
    if (auth->keys == NULL) {
        auth_free(&auth);
    }
    return auth;
}

void auth_replace_keys(struct auth *auth, struct token_key_set *keys_steal)
{
    token_keys_replace(auth->keys, keys_steal);
}

void auth_free(struct auth **auth)
{
    if (*auth != NULL) {
        token_keys_free(&(*auth)->keys);
        password_free(&(*auth)->password);
        session_cache_free(&(*auth)->sessions);
        throttle_free(&(*auth)->throttle);
        free(*auth);
        *auth = NULL;
    }
}

/* The token in the header, or NULL. */
static const char *find_bearer(const struct request *req)
{
    static const char scheme[] = "Bearer ";
    const char *header = req->headers.authorization;

    if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
        return NULL;
    }
    header += sizeof scheme - 1;
    return header + strspn(header, " ");
}

/* The token that counts, or NULL when the request has none. */
static const char *find_token(const struct request *req)
{
    const struct param *param = request_param(req, "token");

    return param->present ? param->text : find_bearer(req);
}

static enum jwt_reason verify(struct auth *auth, const char *token,
                              struct jwt_claims *claims)
{
    const struct jwt_keys *keys = token_keys_ref(auth->keys);
    enum jwt_reason reason =
        jwt_verify(keys, token, strlen(token), clock_wall_ms() / 1000, claims);

    token_keys_unref(auth->keys, &keys);
    return reason;
}

/* The same for a token that is used for access: failures are counted. */
static enum jwt_reason admit(struct auth *auth, const struct request *req,
                             const char *token, struct jwt_claims *claims)
{
    enum jwt_reason reason = verify(auth, token, claims);

    if (reason != JWT_OK && reason != JWT_NO_MEMORY) {
        metrics_add(req->app->metrics, METRIC_TOKENS_REFUSED, 1);
        log_write(LOG_INFO, "token_refused", "reason=%s", jwt_reason_name(reason));
    }
    return reason;
}

/* Ask Redis or the shard whether the session is open, and remember a yes. NOW_MS and
 * TICKET are of the lookup in the cache that found nothing. */
static enum outcome ask_shard(struct auth *auth, struct request *req,
                              const struct jwt_claims *claims,
                              const struct session_ticket *ticket, int64_t now_ms)
{
    const struct config *config = app_config(req->app);
    int64_t deadline_ms = req->call.deadline_ms;

    metrics_add(req->app->metrics, METRIC_SESSION_CHECKS, 1);
    if (req->route->auth == AUTH_OPTIONAL) {
        req->call.deadline_ms = now_ms + request_left_ms(req) / 2;
    }
    int64_t age_ms = 0;
    int64_t idle_ms = (int64_t)config->session_idle_s * 1000;
    /* Redis keeps sessions longer than session_cache_time may allow, and is not told when
     * all sessions of a user end.
     */
    enum outcome outcome =
        config->session_cache_time_ms < CACHE_CONFIRM_MS || ticket->is_wary
            ? session_check(req->app->router, &req->call, claims->user_id,
                            claims->session, idle_ms)
            : session_recall(req->app->router, &req->call, claims->user_id,
                             claims->session, idle_ms, &age_ms);
    req->call.deadline_ms = deadline_ms;
    if (outcome == OUTCOME_OK) {
        /* Counted from before the question, so the answer is not older than it seems. */
        session_cache_put(auth->sessions, claims->user_id, claims->session,
                          now_ms + config->session_cache_time_ms - age_ms, ticket);
    }
    return outcome;
}

/* Is the session of valid CLAIMS open? *OUTCOME says more about VERDICT_UNKNOWN. */
static enum verdict check_session(struct auth *auth, struct request *req,
                                  const struct jwt_claims *claims, enum outcome *outcome)
{
    struct session_ticket ticket;
    int64_t now_ms = clock_mono_ms();

    if (session_cache_has(auth->sessions, claims->user_id, claims->session, now_ms,
                          &ticket)) {
        metrics_add(req->app->metrics, METRIC_SESSION_CACHE_HITS, 1);
        return VERDICT_KNOWN;
    }
    *outcome = ask_shard(auth, req, claims, &ticket, now_ms);
    switch (*outcome) {
    case OUTCOME_OK:
        return VERDICT_KNOWN;
    case OUTCOME_NOTFOUND:
    case OUTCOME_EXPIRED:
        log_write(LOG_INFO, "session_refused", "user=%llu outcome=%s",
                  (unsigned long long)claims->user_id, outcome_name(*outcome));
        return VERDICT_REFUSED;
    default:
        log_write(LOG_WARN, "session_unknown", "user=%llu outcome=%s detail=\"%s\"",
                  (unsigned long long)claims->user_id, outcome_name(*outcome),
                  req->call.detail);
        return VERDICT_UNKNOWN;
    }
}

static enum verdict find_caller(struct auth *auth, struct request *req,
                                struct jwt_claims *claims, enum outcome *outcome)
{
    const char *token = find_token(req);

    if (token == NULL) {
        return VERDICT_NO_TOKEN;
    }
    switch (admit(auth, req, token, claims)) {
    case JWT_OK:
        return check_session(auth, req, claims, outcome);
    case JWT_NO_MEMORY:
        *outcome = OUTCOME_NOMEM;
        return VERDICT_UNKNOWN;
    default:
        return VERDICT_REFUSED;
    }
}

static void refuse(struct request *req, enum verdict verdict, enum outcome outcome)
{
    char text[160];

    switch (verdict) {
    case VERDICT_NO_TOKEN:
        reply_error(req, ERROR_UNAUTHORIZED, "%s",
                    params_missing(&req->params, "token", text, sizeof text));
        break;
    case VERDICT_UNKNOWN:
        reply_error(req, error_from_outcome(outcome), NULL);
        break;
    default:
        /* The exact reason would only help to forge tokens. */
        reply_error(req, ERROR_UNAUTHORIZED,
                    "the token is not valid or no longer valid, log in again");
        break;
    }
}

bool auth_identify(struct auth *auth, struct request *req)
{
    struct jwt_claims claims;
    enum outcome outcome = OUTCOME_OK;

    req->who = (struct auth_identity){.user_id = 0};
    if (req->route->auth == AUTH_NONE) {
        return true;
    }
    enum verdict verdict = find_caller(auth, req, &claims, &outcome);
    if (verdict == VERDICT_KNOWN) {
        req->who.user_id = claims.user_id;
        hex_encode(claims.session, sizeof claims.session, req->who.session);
        return true;
    }
    if (req->route->auth == AUTH_OPTIONAL) {
        return true;
    }
    refuse(req, verdict, outcome);
    return false;
}

bool auth_recall(struct auth *auth, struct request *req)
{
    struct session_ticket ticket;
    struct jwt_claims claims;
    const char *token = find_token(req);

    req->who = (struct auth_identity){.user_id = 0};
    if (token == NULL) {
        return req->route->auth == AUTH_OPTIONAL;
    }
    if (verify(auth, token, &claims) != JWT_OK ||
        !session_cache_has(auth->sessions, claims.user_id, claims.session,
                           clock_mono_ms(), &ticket)) {
        return false;
    }
    metrics_add(req->app->metrics, METRIC_SESSION_CACHE_HITS, 1);
    req->who.user_id = claims.user_id;
    hex_encode(claims.session, sizeof claims.session, req->who.session);
    return true;
}

bool auth_refuses_early(struct auth *auth, struct request *req, uint64_t *user_id)
{
    const char *param = params_peek_token(&req->params, "token");
    const char *token = param != NULL ? param : find_bearer(req);
    struct jwt_claims claims;

    *user_id = 0;
    if (token != NULL && verify(auth, token, &claims) == JWT_OK) {
        *user_id = claims.user_id;
        return false;
    }
    enum jwt_reason reason = param != NULL ? admit(auth, req, param, &claims) : JWT_OK;
    if (reason == JWT_OK || reason == JWT_NO_MEMORY) {
        return false;
    }
    refuse(req, VERDICT_REFUSED, OUTCOME_OK);
    return true;
}

enum jwt_reason auth_claims(struct auth *auth, const struct request *req,
                            struct jwt_claims *claims)
{
    const char *token = find_token(req);

    return token != NULL ? verify(auth, token, claims) : JWT_SHAPE;
}

void auth_grant(const struct request *req, struct session_grant *grant)
{
    const struct config *config = app_config(req->app);

    rnd_bytes(grant->id, sizeof grant->id);
    grant->expires_at_ms = clock_wall_ms() + (int64_t)config->token_lifetime_s * 1000;
    grant->keep_max = (unsigned)config->sessions_per_user;
}

const char *auth_token(struct auth *auth, struct request *req, uint64_t user_id,
                       const struct session_grant *grant)
{
    struct jwt_claims claims = {.user_id = user_id,
                                .expires_at_s = grant->expires_at_ms / 1000};
    char text[JWT_SIGNED_MAX + 1];

    memcpy(claims.session, grant->id, sizeof claims.session);
    const struct jwt_keys *keys = token_keys_ref(auth->keys);
    size_t len = jwt_sign(keys, &claims, clock_wall_ms() / 1000, text);
    token_keys_unref(auth->keys, &keys);
    if (len == 0) {
        log_write(LOG_ERROR, "token_not_signed", "user=%llu",
                  (unsigned long long)user_id);
        return NULL;
    }
    return arena_strndup(&req->arena, text, len);
}

void auth_forget_session(struct auth *auth, uint64_t user_id,
                         const unsigned char session[SESSION_BYTES])
{
    session_cache_drop(auth->sessions, user_id, session);
}

void auth_forget_user(struct auth *auth, uint64_t user_id)
{
    session_cache_drop_user(auth->sessions, user_id);
}

struct password *auth_password(struct auth *auth)
{
    return auth->password;
}

struct throttle *auth_throttle(struct auth *auth)
{
    return auth->throttle;
}

struct password_params auth_password_params(const struct request *req)
{
    return params_of(app_config(req->app));
}
