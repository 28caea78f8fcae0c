/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* /douyin/user/: register, login, logout, password, and a user's page. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/user.h"
#include "shard/viewer.h"

#include "server/api/handlers.h"
#include "server/api/text.h"
#include "server/api/views.h"
#include "server/auth/auth.h"
#include "server/auth/login_guard.h"
#include "server/base/app.h"
#include "server/config/config.h"
#include "server/media/media.h"
#include "server/media/storage.h"
#include "server/request/claim.h"
#include "server/request/request.h"

/* Success of register, login and password: the session that a shard has confirmed. */
static void reply_session(struct request *req, uint64_t user_id,
                          const struct session_grant *grant)
{
    const char *token = auth_token(req->app->auth, req, user_id, grant);

    if (token == NULL) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return;
    }
    struct json_out *out = reply_begin(req);
    json_out_integer(out, "user_id", (int64_t)user_id);
    json_out_text(out, "token", token);
    reply_end(req);
}

/* The answer when a password could not be hashed or compared at all. */
static void reply_not_hashed(struct request *req, enum password_status status)
{
    if (status == PASSWORD_BUSY) {
        reply_error(req, ERROR_BUSY, "too many logins at once");
        return;
    }
    log_write(LOG_ERROR, "password_not_hashed", "call=\"%s\"", req->call.detail);
    reply_error(req, ERROR_INTERNAL, NULL);
}

/* Until when a request waits for its turn to hash: half of the time it has left. Later
 * its hash would be useless, because no time is left for the shard; and when logins come
 * faster than they can be hashed, that would happen to all of them. */
static int64_t turn_ms(const struct request *req)
{
    return clock_mono_ms() + request_left_ms(req) / 2;
}

static enum password_status verify(struct request *req, const char *hash,
                                   const struct param *password)
{
    return password_verify(auth_password(req->app->auth), hash, password->text,
                           password->len, turn_ms(req));
}

/* End a session that was opened and must not be used. It does no harm if this fails,
 * since nobody has its id. */
static void drop_session(struct request *req, uint64_t user_id,
                         const struct session_grant *grant)
{
    enum outcome outcome = user_logout(req->app->router, &req->call, user_id, grant->id);

    auth_forget_session(req->app->auth, user_id, grant->id);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        log_write(LOG_WARN, "session_left_open", "user=%" PRIu64 " outcome=%s", user_id,
                  outcome_name(outcome));
    }
}

/* ---- Register ---- */

/* The account was made by an earlier attempt at this operation. If its hash is ours, it
 * was this request (an answer was lost and the router asked again); otherwise a client
 * uses its idempotency key again, and only the password shows that it is the same
 * client. */
static void register_again(struct request *req, const struct user_register_args *args,
                           uint64_t user_id, const struct param *password)
{
    uint64_t found_id = 0;
    const char *stored = NULL;
    struct login_guard guard;
    enum password_status status = PASSWORD_OK;
    enum outcome outcome =
        user_login(req->app->router, &req->call, args->name, &found_id, &stored);

    if (outcome != OUTCOME_OK) {
        /* The account exists; this request or another one may have made it. */
        reply_outcome(req, OUTCOME_UNKNOWN);
        return;
    }
    if (strcmp(stored, args->password_hash) != 0) {
        if (!login_guard_name(&guard, req, args->name)) {
            drop_session(req, user_id, &args->session);
            return;
        }
        status = verify(req, stored, password);
        login_guard_leave(&guard, status);
    }
    if (status == PASSWORD_OK && found_id == user_id) {
        reply_session(req, user_id, &args->session);
        return;
    }
    drop_session(req, user_id, &args->session);
    if (status == PASSWORD_OK || status == PASSWORD_WRONG) {
        reply_error(req, ERROR_KEY_REUSED, NULL);
    } else {
        reply_not_hashed(req, status);
    }
}

/* May the name be this request's, before a password is hashed for it? False: the request
 * has been answered. An account that the same op made is the same client's, or somebody
 * else has the client's idempotency key, which only the hash can tell. */
static bool is_name_free(struct request *req, const struct user_register_args *args)
{
    bool is_ours = false;
    enum outcome outcome =
        user_made_by(req->app->router, &req->call, args->name, args->op, &is_ours);

    if (outcome == OUTCOME_NOTFOUND || (outcome == OUTCOME_OK && is_ours)) {
        return true; /* it may be taken in a moment: user_register() decides */
    }
    reply_outcome(req, outcome == OUTCOME_OK ? OUTCOME_TAKEN : outcome);
    return false;
}

void h_user_register(struct request *req)
{
    const struct param *name = request_param(req, "username");
    const struct param *password = request_param(req, "password");
    struct password_params params = auth_password_params(req);
    char hash[PASSWORD_HASH_MAX + 1];
    struct user_register_args args = {.name = name->text, .password_hash = hash};
    uint64_t user_id = 0;

    const char *problem = text_problem(name->text, name->len, TEXT_ONE_LINE);
    if (problem != NULL) {
        reply_error(req, ERROR_PARAM, "username %s", problem);
        return;
    }
    if (!claim_op(req, args.op) || !is_name_free(req, &args)) {
        return;
    }
    enum password_status status =
        password_hash(auth_password(req->app->auth), &params, password->text,
                      password->len, turn_ms(req), hash);
    if (status != PASSWORD_OK) {
        reply_not_hashed(req, status);
        return;
    }
    auth_grant(req, &args.session);
    enum outcome outcome = user_register(req->app->router, &req->call, &args, &user_id);
    if (outcome == OUTCOME_OK) {
        login_guard_know(req, args.name);
        reply_session(req, user_id, &args.session);
    } else if (outcome == OUTCOME_SAME) {
        register_again(req, &args, user_id, password);
    } else {
        reply_outcome(req, outcome);
    }
}

/* ---- Login ---- */

/* Is the password that was right for HASH still right, now that the session is in the
 * shard? A password change ends all sessions; one opened after it with the old password
 * would survive. From here on any change finds this session. */
static bool confirm_password(struct request *req, uint64_t user_id, const char *hash,
                             const struct param *password,
                             const struct session_grant *grant)
{
    const char *now = NULL;
    enum password_status status = PASSWORD_OK;
    enum outcome outcome = user_secret(req->app->router, &req->call, user_id, &now);

    if (outcome != OUTCOME_OK && outcome != OUTCOME_NOTFOUND) {
        reply_outcome(req, outcome);
        return false;
    }
    if (outcome == OUTCOME_NOTFOUND) {
        status = PASSWORD_WRONG;
    } else if (strcmp(now, hash) != 0) {
        status = verify(req, now, password);
    }
    if (status == PASSWORD_OK) {
        return true;
    }
    drop_session(req, user_id, grant);
    if (status == PASSWORD_WRONG) {
        reply_error(req, ERROR_LOGIN, NULL);
    } else {
        reply_not_hashed(req, status);
    }
    return false;
}

/* Hash the password again with stronger parameters, while it is at hand. Takes at most
 * half of the time that is left; a failure does not matter, since the next login tries
 * again. */
static void rehash(struct request *req, uint64_t user_id, const char *old_hash,
                   const struct param *password)
{
    struct password_params params = auth_password_params(req);
    char hash[PASSWORD_HASH_MAX + 1];
    int64_t deadline_ms = req->call.deadline_ms;

    if (!password_needs_rehash(old_hash, &params)) {
        return;
    }
    req->call.deadline_ms = clock_mono_ms() + request_left_ms(req) / 2;
    if (password_hash(auth_password(req->app->auth), &params, password->text,
                      password->len, req->call.deadline_ms, hash) == PASSWORD_OK) {
        enum outcome outcome =
            user_rehash(req->app->router, &req->call, user_id, old_hash, hash);
        log_write(LOG_INFO, "password_rehash", "user=%" PRIu64 " outcome=%s", user_id,
                  outcome_name(outcome));
    }
    req->call.deadline_ms = deadline_ms;
}

/* Find the account and compare the password. Not PASSWORD_OK: the request has been
 * answered. An unknown user takes as long and gets the same answer as a wrong
 * password. */
static enum password_status compare_login(struct request *req,
                                          const struct param *password, uint64_t *user_id,
                                          const char **hash)
{
    struct password_params params = auth_password_params(req);
    enum password_status status;
    enum outcome outcome =
        user_login(req->app->router, &req->call, request_param(req, "username")->text,
                   user_id, hash);

    if (outcome == OUTCOME_OK) {
        status = verify(req, *hash, password);
    } else if (outcome == OUTCOME_NOTFOUND) {
        status = password_verify_dummy(auth_password(req->app->auth), &params,
                                       password->text, password->len, turn_ms(req));
    } else {
        reply_outcome(req, outcome);
        return PASSWORD_FAILED;
    }
    if (status == PASSWORD_WRONG) {
        reply_error(req, ERROR_LOGIN, NULL);
    } else if (status != PASSWORD_OK) {
        reply_not_hashed(req, status);
    }
    return status;
}

/* The same, if it may be tried now. False: the request has been answered. */
static bool check_login(struct request *req, const struct param *password,
                        uint64_t *user_id, const char **hash)
{
    struct login_guard guard;
    enum password_status status;

    if (!login_guard_name(&guard, req, request_param(req, "username")->text)) {
        return false;
    }
    status = compare_login(req, password, user_id, hash);
    login_guard_leave(&guard, status);
    return status == PASSWORD_OK;
}

void h_user_login(struct request *req)
{
    const struct param *password = request_param(req, "password");
    struct session_grant grant;
    const char *hash = NULL;
    uint64_t user_id = 0;

    if (!check_login(req, password, &user_id, &hash)) {
        return;
    }
    auth_grant(req, &grant);
    enum outcome outcome = session_open(req->app->router, &req->call, user_id, &grant);
    if (outcome != OUTCOME_OK && outcome != OUTCOME_SAME) {
        reply_outcome_of(req, outcome, ERROR_LOGIN); /* not found: erased meanwhile */
        return;
    }
    if (!confirm_password(req, user_id, hash, password, &grant)) {
        return;
    }
    rehash(req, user_id, hash, password);
    reply_session(req, user_id, &grant);
}

/* ---- Logout, password, page ---- */

/* The route does not need an open session, so a repeated logout succeeds like the
 * first. */
void h_user_logout(struct request *req)
{
    struct jwt_claims claims;
    char text[160];

    enum jwt_reason reason = auth_claims(req->app->auth, req, &claims);
    if (reason == JWT_NO_MEMORY) {
        reply_outcome(req, OUTCOME_NOMEM);
        return;
    }
    if (reason != JWT_OK) {
        reply_error(req, ERROR_UNAUTHORIZED, "%s",
                    request_param(req, "token")->present ||
                            req->headers.authorization != NULL
                        ? "the token is not valid"
                        : params_missing(&req->params, "token", text, sizeof text));
        return;
    }
    enum outcome outcome =
        user_logout(req->app->router, &req->call, claims.user_id, claims.session);
    auth_forget_session(req->app->auth, claims.user_id, claims.session);
    reply_outcome(req, outcome == OUTCOME_NOTFOUND ? OUTCOME_SAME : outcome);
}

void h_user_password(struct request *req)
{
    const struct param *old_password = request_param(req, "old_password");
    const struct param *new_password = request_param(req, "new_password");
    struct password_params params = auth_password_params(req);
    struct session_grant grant;
    struct login_guard guard;
    char hash[PASSWORD_HASH_MAX + 1];
    const char *stored = NULL;
    uint64_t user_id = req->who.user_id;
    enum outcome outcome = user_secret(req->app->router, &req->call, user_id, &stored);

    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
        return;
    }
    if (!login_guard_id(&guard, req, user_id)) {
        return;
    }
    enum password_status status = verify(req, stored, old_password);
    login_guard_leave(&guard, status);
    if (status == PASSWORD_WRONG) {
        reply_error(req, ERROR_LOGIN, "old_password is not the password");
        return;
    }
    if (status == PASSWORD_OK) {
        status = password_hash(auth_password(req->app->auth), &params, new_password->text,
                               new_password->len, turn_ms(req), hash);
    }
    if (status != PASSWORD_OK) {
        reply_not_hashed(req, status);
        return;
    }
    auth_grant(req, &grant);
    outcome = user_password(req->app->router, &req->call, user_id, stored, hash, &grant);
    auth_forget_user(req->app->auth, user_id);
    if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME) {
        reply_session(req, user_id, &grant);
    } else {
        reply_outcome(req, outcome);
    }
}

/* ---- Profile ---- */

/* A picture on its way into a profile. */
struct picture {
    char name[STORAGE_NAME_LEN + 1]; /* "": none was sent */
    const char *file;                /* what the profile will name; NULL: unchanged */
};

/* Convert and store the picture in UPLOAD, if there is one. False: the request has been
 * answered. */
static bool store_picture(struct request *req, const struct upload *upload,
                          struct picture *picture)
{
    char *jpeg = NULL;
    size_t len = 0;

    *picture = (struct picture){.file = NULL};
    if (upload == NULL) {
        return true;
    }
    const struct media_picture_source source = {.fd = upload_file(upload)->fd,
                                                .kind = upload_kind(upload),
                                                .deadline_ms = req->deadline_ms};
    enum media_status status =
        media_picture(req->app->media, app_config(req->app), &source, &jpeg, &len);
    if (status != MEDIA_OK) {
        reply_error(req, error_from_media(status), "%s", media_status_text(status));
        return false;
    }
    storage_name_make(req->who.user_id, picture->name);
    picture->file = arena_printf(&req->arena, "%s.jpg", picture->name);
    if (picture->file == NULL ||
        storage_put_picture(req->app->storage, picture->name, jpeg, len) != STORAGE_OK) {
        picture->name[0] = '\0';
        reply_error(req, ERROR_UNAVAILABLE, "the picture could not be stored");
    }
    free(jpeg);
    return picture->name[0] != '\0';
}

/* No row will ever name it. */
static void drop_picture(struct request *req, const struct picture *picture)
{
    if (picture->name[0] != '\0') {
        (void)storage_delete(req->app->storage, picture->name);
    }
}

/* Stored pictures stay when the outcome is unknown: the janitor's sweep removes those
 * that no profile names, which also removes replaced ones. */
void h_user_profile(struct request *req)
{
    struct picture avatar = {.file = NULL};
    struct picture background = {.file = NULL};
    struct user_profile_args args = {.signature = NULL};

    if (request_param(req, "signature")->present) {
        args.signature = text_accept(req, "signature", TEXT_MANY_LINES);
        if (args.signature == NULL) {
            return;
        }
    } else if (req->upload == NULL && req->second_upload == NULL) {
        reply_error(req, ERROR_PARAM,
                    "avatar, background_image and signature are all missing");
        return;
    }
    if (!store_picture(req, req->upload, &avatar)) {
        return;
    }
    if (!store_picture(req, req->second_upload, &background)) {
        drop_picture(req, &avatar);
        return;
    }
    args.avatar = avatar.file;
    args.background_image = background.file;
    enum outcome outcome =
        user_profile(req->app->router, &req->call, req->who.user_id, &args);
    if (outcome == OUTCOME_NOTFOUND || outcome == OUTCOME_BADARG) {
        drop_picture(req, &avatar);
        drop_picture(req, &background);
    }
    reply_outcome(req, outcome);
}

static void reply_page(struct request *req, const struct user_card *card, bool partial)
{
    struct json_out *out = reply_begin(req);

    view_user(out, req, "user", card);
    json_out_bool(out, "partial", partial);
    reply_end(req);
}

bool h_user_quick(struct request *req)
{
    struct app *app = req->app;
    struct user_card card;

    if (!auth_recall(app->auth, req) ||
        !user_recall(app->cache, &req->arena, request_user(req), &card) ||
        (card.id != req->who.user_id &&
         !viewer_recall_users(app->cache, &req->arena, req->who.user_id, &card, 1))) {
        return false;
    }
    reply_page(req, &card, false);
    return true;
}

void h_user_get(struct request *req)
{
    uint64_t user_id = request_user(req);
    struct user_card card = {.id = 0};
    bool partial = false;
    enum outcome outcome = user_get(req->app->router, &req->call, &user_id, 1, &card);

    if (outcome != OUTCOME_OK) {
        reply_outcome(req, outcome);
    } else if (card.id == 0) {
        reply_error(req, ERROR_NO_USER, NULL);
    } else {
        if (user_id != req->who.user_id) {
            view_mark_users(req, &card, 1, &partial);
        }
        reply_page(req, &card, partial);
    }
}
