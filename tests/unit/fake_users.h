/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A shard of users in memory, in place of shard/user.c and shard/session.c. It can
 * refuse a call, and run a function of the test in the middle of one. Also sends
 * requests to handlers without HTTP.
 *
 * Include it in one file of a test program: it defines the functions of shard/user.h. */
#ifndef DOUSHARD_TESTS_FAKE_USERS_H
#define DOUSHARD_TESTS_FAKE_USERS_H

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/idem.h"
#include "shard/user.h"
#include "shard/viewer.h"

#include "server/api/handlers.h"
#include "server/auth/auth.h"
#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/request.h"
#include "server/request/route.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define FAKE_USERS    4
#define FAKE_SESSIONS 16
#define FAKE_KEYS     16

enum fake_call {
    FAKE_REGISTER,
    FAKE_NAME,
    FAKE_LOGIN,
    FAKE_SECRET,
    FAKE_PASSWORD,
    FAKE_REHASH,
    FAKE_LOGOUT,
    FAKE_GET,
    FAKE_OPEN,
    FAKE_CHECK,
    FAKE_CLAIM,
    FAKE_PROFILE,
    FAKE_VIEW,
    FAKE__COUNT
};

struct fake_user {
    uint64_t id; /* 0: free */
    char name[140];
    char hash[PASSWORD_HASH_MAX + 1];
    unsigned char op[OP_BYTES];
};

struct fake_session {
    uint64_t user_id; /* 0: free */
    unsigned char id[SESSION_BYTES];
};

struct fake_key {
    bool used;
    unsigned char op[OP_BYTES];
    unsigned char body[IDEM_BODY_BYTES];
    int64_t created_at_ms;
};

/* The state of the shard, and how the test wants calls to end. */
static struct {
    struct fake_user users[FAKE_USERS];
    struct fake_session sessions[FAKE_SESSIONS];
    struct fake_key keys[FAKE_KEYS];
    unsigned n_calls[FAKE__COUNT];
    enum outcome refuse[FAKE__COUNT]; /* not OK: the call does nothing and returns this */
    bool lose[FAKE__COUNT];           /* the call is done, but returns TIMEOUT */
    bool same[FAKE__COUNT];           /* the call is done, but returns SAME */
    void (*during[FAKE__COUNT])(void); /* called once, before the call returns */
    int64_t check_left_ms;             /* time that the last session_check() had */
    const char *user_texts;            /* signature and pictures of every card */
} fake;

/* Counts the call; true when it is to be done. */
static bool fake_begin(enum fake_call which, enum outcome *outcome)
{
    fake.n_calls[which]++;
    *outcome = fake.refuse[which];
    return *outcome == OUTCOME_OK;
}

static enum outcome fake_end(enum fake_call which, enum outcome outcome)
{
    void (*hook)(void) = fake.during[which];

    fake.during[which] = NULL;
    if (hook != NULL) {
        hook();
    }
    if (fake.lose[which]) {
        return OUTCOME_UNKNOWN;
    }
    return fake.same[which] && outcome == OUTCOME_OK ? OUTCOME_SAME : outcome;
}

static struct fake_user *fake_user(uint64_t id)
{
    for (size_t i = 0; i < FAKE_USERS; i++) {
        if (id != 0 && fake.users[i].id == id) {
            return &fake.users[i];
        }
    }
    return NULL;
}

static struct fake_user *fake_named(const char *name)
{
    for (size_t i = 0; i < FAKE_USERS; i++) {
        if (fake.users[i].id != 0 && strcmp(fake.users[i].name, name) == 0) {
            return &fake.users[i];
        }
    }
    return NULL;
}

static struct fake_session *fake_session(uint64_t user_id, const unsigned char *id)
{
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        if (fake.sessions[i].user_id == user_id &&
            memcmp(fake.sessions[i].id, id, SESSION_BYTES) == 0) {
            return &fake.sessions[i];
        }
    }
    return NULL;
}

static inline unsigned fake_n_sessions(uint64_t user_id)
{
    unsigned n = 0;

    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        n += fake.sessions[i].user_id == user_id;
    }
    return n;
}

static void fake_close_all(uint64_t user_id)
{
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        if (fake.sessions[i].user_id == user_id) {
            fake.sessions[i].user_id = 0;
        }
    }
}

static void fake_open(uint64_t user_id, const struct session_grant *grant)
{
    assert_true(grant->keep_max > 0);
    assert_true(grant->expires_at_ms > clock_wall_ms());
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        if (fake.sessions[i].user_id == 0) {
            fake.sessions[i].user_id = user_id;
            memcpy(fake.sessions[i].id, grant->id, SESSION_BYTES);
            return;
        }
    }
    fail_msg("too many sessions for the fake");
}

enum outcome user_register(struct router *router, struct call *call,
                           const struct user_register_args *args, uint64_t *user_id)
{
    enum outcome outcome;
    struct fake_user *user = fake_named(args->name);

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_REGISTER, &outcome)) {
        return outcome;
    }
    if (user != NULL && memcmp(user->op, args->op, OP_BYTES) != 0) {
        return fake_end(FAKE_REGISTER, OUTCOME_TAKEN);
    }
    outcome = user != NULL ? OUTCOME_SAME : OUTCOME_OK;
    for (size_t i = 0; user == NULL && i < FAKE_USERS; i++) {
        if (fake.users[i].id == 0) {
            user = &fake.users[i];
            user->id = 8192 * (i + 1);
            (void)snprintf(user->name, sizeof user->name, "%s", args->name);
            (void)snprintf(user->hash, sizeof user->hash, "%s", args->password_hash);
            memcpy(user->op, args->op, OP_BYTES);
        }
    }
    assert_non_null(user);
    fake_open(user->id, &args->session);
    *user_id = user->id;
    return fake_end(FAKE_REGISTER, outcome);
}

static enum outcome fake_hash(struct call *call, enum fake_call which,
                              const struct fake_user *user, const char **hash)
{
    if (user == NULL) {
        return fake_end(which, OUTCOME_NOTFOUND);
    }
    *hash = arena_strndup(call->arena, user->hash, strlen(user->hash));
    assert_non_null(*hash);
    return fake_end(which, OUTCOME_OK);
}

enum outcome user_login(struct router *router, struct call *call, const char *name,
                        uint64_t *user_id, const char **password_hash)
{
    enum outcome outcome;
    const struct fake_user *user = fake_named(name);

    (void)router;
    if (!fake_begin(FAKE_LOGIN, &outcome)) {
        return outcome;
    }
    *user_id = user != NULL ? user->id : *user_id;
    return fake_hash(call, FAKE_LOGIN, user, password_hash);
}

enum outcome user_made_by(struct router *router, struct call *call, const char *name,
                          const unsigned char op[OP_BYTES], bool *is_ours)
{
    enum outcome outcome;
    const struct fake_user *user = fake_named(name);

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_NAME, &outcome)) {
        return outcome;
    }
    *is_ours = user != NULL && memcmp(user->op, op, OP_BYTES) == 0;
    return fake_end(FAKE_NAME, user != NULL ? OUTCOME_OK : OUTCOME_NOTFOUND);
}

enum outcome user_secret(struct router *router, struct call *call, uint64_t user_id,
                         const char **password_hash)
{
    enum outcome outcome;

    (void)router;
    if (!fake_begin(FAKE_SECRET, &outcome)) {
        return outcome;
    }
    return fake_hash(call, FAKE_SECRET, fake_user(user_id), password_hash);
}

static enum outcome fake_swap(enum fake_call which, uint64_t user_id,
                              const char *old_hash, const char *new_hash)
{
    struct fake_user *user = fake_user(user_id);

    if (user == NULL) {
        return OUTCOME_NOTFOUND;
    }
    if (strcmp(user->hash, old_hash) != 0) {
        return OUTCOME_CONFLICT;
    }
    (void)snprintf(user->hash, sizeof user->hash, "%s", new_hash);
    return which == FAKE_REHASH ? fake_end(which, OUTCOME_OK) : OUTCOME_OK;
}

enum outcome user_password(struct router *router, struct call *call, uint64_t user_id,
                           const char *old_hash, const char *new_hash,
                           const struct session_grant *session)
{
    enum outcome outcome;

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_PASSWORD, &outcome)) {
        return outcome;
    }
    outcome = fake_swap(FAKE_PASSWORD, user_id, old_hash, new_hash);
    if (outcome == OUTCOME_OK) {
        fake_close_all(user_id);
        fake_open(user_id, session);
    }
    return fake_end(FAKE_PASSWORD, outcome);
}

enum outcome user_rehash(struct router *router, struct call *call, uint64_t user_id,
                         const char *old_hash, const char *new_hash)
{
    enum outcome outcome;

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_REHASH, &outcome)) {
        return outcome;
    }
    return fake_swap(FAKE_REHASH, user_id, old_hash, new_hash);
}

enum outcome user_logout(struct router *router, struct call *call, uint64_t user_id,
                         const unsigned char session[SESSION_BYTES])
{
    enum outcome outcome;
    struct fake_session *found = fake_session(user_id, session);

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_LOGOUT, &outcome)) {
        return outcome;
    }
    if (found != NULL) {
        found->user_id = 0;
    }
    return fake_end(FAKE_LOGOUT, found != NULL ? OUTCOME_OK : OUTCOME_SAME);
}

enum outcome user_get(struct router *router, struct call *call, const uint64_t *ids,
                      size_t n, struct user_card *cards)
{
    const char *texts = fake.user_texts != NULL ? fake.user_texts : "";
    enum outcome outcome;

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_GET, &outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < n; i++) {
        const struct fake_user *user = fake_user(ids[i]);
        cards[i] = (struct user_card){.id = 0};
        if (user != NULL) {
            cards[i] = (struct user_card){.id = user->id,
                                          .name = user->name,
                                          .avatar = texts,
                                          .background_image = texts,
                                          .signature = texts};
        }
    }
    return fake_end(FAKE_GET, OUTCOME_OK);
}

/* Nothing is cached. */
enum outcome session_recall(struct router *router, struct call *call, uint64_t user_id,
                            const unsigned char session[SESSION_BYTES], int64_t idle_ms,
                            int64_t *age_ms)
{
    *age_ms = 0;
    return session_check(router, call, user_id, session, idle_ms);
}

bool user_recall(struct cache *cache, struct arena *arena, uint64_t id,
                 struct user_card *card)
{
    (void)cache;
    (void)arena;
    (void)id;
    (void)card;
    return false;
}

bool viewer_recall_videos(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                          struct video_card *videos, size_t n)
{
    (void)cache;
    (void)arena;
    (void)viewer_id;
    (void)videos;
    (void)n;
    return false;
}

bool viewer_recall_users(struct cache *cache, struct arena *arena, uint64_t viewer_id,
                         struct user_card *users, size_t n)
{
    (void)cache;
    (void)arena;
    (void)viewer_id;
    (void)users;
    (void)n;
    return false;
}

enum outcome session_open(struct router *router, struct call *call, uint64_t user_id,
                          const struct session_grant *session)
{
    enum outcome outcome;

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_OPEN, &outcome)) {
        return outcome;
    }
    if (fake_user(user_id) == NULL) {
        return fake_end(FAKE_OPEN, OUTCOME_NOTFOUND);
    }
    fake_open(user_id, session);
    return fake_end(FAKE_OPEN, OUTCOME_OK);
}

enum outcome idem_claim(struct router *router, struct call *call,
                        const unsigned char op[OP_BYTES],
                        const unsigned char body[IDEM_BODY_BYTES], int64_t *created_at_ms)
{
    enum outcome outcome = OUTCOME_OK;

    (void)router;
    (void)call;
    if (!fake_begin(FAKE_CLAIM, &outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < FAKE_KEYS; i++) {
        struct fake_key *key = &fake.keys[i];
        if (!key->used) {
            *key = (struct fake_key){.used = true, .created_at_ms = clock_wall_ms()};
            memcpy(key->op, op, OP_BYTES);
            memcpy(key->body, body, IDEM_BODY_BYTES);
            *created_at_ms = key->created_at_ms;
            return fake_end(FAKE_CLAIM, OUTCOME_OK);
        }
        *created_at_ms = key->created_at_ms;
        if (memcmp(key->op, op, OP_BYTES) == 0) {
            bool is_same = memcmp(key->body, body, IDEM_BODY_BYTES) == 0;
            return fake_end(FAKE_CLAIM, is_same ? OUTCOME_SAME : OUTCOME_MISMATCH);
        }
    }
    fail_msg("more keys than the fake remembers");
    return OUTCOME_INTERNAL;
}

/* Nobody follows or likes anything here. */
enum outcome viewer_mark_users(struct router *router, struct call *call,
                               uint64_t viewer_id, struct user_card *users, size_t n)
{
    enum outcome outcome = OUTCOME_OK;

    (void)router;
    (void)call;
    (void)viewer_id;
    if (!fake_begin(FAKE_VIEW, &outcome)) {
        return outcome;
    }
    for (size_t i = 0; i < n; i++) {
        users[i].is_follow = false;
    }
    return fake_end(FAKE_VIEW, OUTCOME_OK);
}

enum outcome viewer_mark_videos(struct router *router, struct call *call,
                                uint64_t viewer_id, struct video_card *videos, size_t n)
{
    (void)router;
    (void)call;
    (void)viewer_id;
    for (size_t i = 0; i < n; i++) {
        videos[i].is_favorite = false;
    }
    return OUTCOME_OK;
}

enum outcome viewer_mark_comments(struct router *router, struct call *call,
                                  uint64_t viewer_id, struct comment *comments, size_t n)
{
    (void)router;
    (void)call;
    (void)viewer_id;
    for (size_t i = 0; i < n; i++) {
        comments[i].author.is_follow = false;
    }
    return OUTCOME_OK;
}

enum outcome user_profile(struct router *router, struct call *call, uint64_t user_id,
                          const struct user_profile_args *args)
{
    enum outcome outcome = OUTCOME_OK;

    (void)router;
    (void)call;
    (void)user_id;
    (void)args;
    return fake_begin(FAKE_PROFILE, &outcome) ? fake_end(FAKE_PROFILE, OUTCOME_OK)
                                              : outcome;
}

enum outcome session_check(struct router *router, struct call *call, uint64_t user_id,
                           const unsigned char session[SESSION_BYTES], int64_t idle_ms)
{
    enum outcome outcome;

    (void)router;
    assert_true(idle_ms > 0);
    fake.check_left_ms = call->deadline_ms - clock_mono_ms();
    if (!fake_begin(FAKE_CHECK, &outcome)) {
        return outcome;
    }
    outcome = fake_session(user_id, session) != NULL ? OUTCOME_OK : OUTCOME_NOTFOUND;
    return fake_end(FAKE_CHECK, outcome);
}

/* ---- A process with one auth, and requests to it ---- */

#define FAKE_KEY "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"

static struct {
    struct scratch scratch;
    char keys_file[SCRATCH_PATH_MAX + 16];
    struct config config;
    struct app app;
    int64_t budget_ms;         /* of every request */
    struct address peer;       /* of every request */
    const char *forwarded_for; /* of every request; NULL: no such header */
} world;

static void world_write_keys(const char *text)
{
    int fd = open(world.keys_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int world_begin(void **state)
{
    struct errmsg err;

    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(&world, 0, sizeof world);
    scratch_make(&world.scratch);
    (void)snprintf(world.keys_file, sizeof world.keys_file, "%s/keys",
                   world.scratch.path);
    world_write_keys("k1 " FAKE_KEY "\n");
    world.config.token_keys_file = world.keys_file;
    world.config.token_lifetime_s = 3600;
    world.config.session_idle_s = 600;
    world.config.session_cache_time_ms = 5000;
    world.config.session_cache_max = 1024;
    world.config.sessions_per_user = 32;
    world.config.scrypt_ln = 4;
    world.config.scrypt_p = 1;
    world.config.scrypt_concurrency = 1;
    world.config.scrypt_queue_max = 0;
    world.config.trusted_proxies = "";
    world.config.base_url = "https://v.example.org";
    world.config.listen_host = "0.0.0.0";
    world.config.listen_port = 8080;
    world.budget_ms = 10000;
    world.app.config = &world.config;
    world.app.auth = auth_new(&world.config, NULL, &err);
    assert_non_null(world.app.auth);
    return 0;
}

static int world_end(void **state)
{
    (void)state;
    auth_free(&world.app.auth);
    scratch_remove(&world.scratch);
    return 0;
}

/* The answer to a request. */
struct answer {
    json_t *body;    /* owned; NULL when nothing was replied */
    int code;        /* status_code; -1 when nothing was replied */
    int64_t left_ms; /* of the budget */
    struct auth_identity who;
};

/* One parameter of a request; the name "authorization" or "idempotency-key" is a header.
 * A list ends with a name of NULL. */
struct field {
    const char *name;
    const char *value;
};

/* Send a request by ROUTE through auth_identify() and its handler. */
static struct answer ask(const struct route *route, const struct field *fields)
{
    struct answer answer = {.code = -1};
    struct params_error error;
    struct request req;
    int64_t now_ms = clock_mono_ms();

    struct route named = *route; /* a path is part of what an idempotency key covers */
    if (named.path == NULL) {
        named.path = "/test/";
    }
    request_init(&req, &world.app, now_ms);
    req.peer = world.peer;
    req.headers.forwarded_for = world.forwarded_for;
    request_set_route(&req, &named, "");
    request_set_deadline(&req, now_ms + world.budget_ms);
    for (; fields != NULL && fields->name != NULL; fields++) {
        if (strcmp(fields->name, "authorization") == 0) {
            req.headers.authorization = fields->value;
        } else if (strcmp(fields->name, "idempotency-key") == 0) {
            req.idempotency_key = fields->value;
        } else {
            params_add_query(&req.params, fields->name, strlen(fields->name),
                             fields->value, strlen(fields->value));
        }
    }
    if (!params_check(&req.params, &error)) {
        reply_error(&req, ERROR_PARAM, "%s", error.reason);
    } else if (auth_identify(world.app.auth, &req) && route->handler != NULL) {
        assert_int_equal(req.reply.kind, REPLY_NONE);
        route->handler(&req);
    }
    if (req.reply.kind != REPLY_NONE) {
        answer.body =
            json_loadb(req.reply.body, req.reply.body_len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(answer.body);
        answer.code =
            (int)json_integer_value(json_object_get(answer.body, "status_code"));
        const char *msg = json_string_value(json_object_get(answer.body, "status_msg"));
        assert_true(msg != NULL && msg[0] != '\0');
    }
    /* Code that shortens the deadline for a part of its work must restore it. */
    assert_int_equal(req.call.deadline_ms, req.deadline_ms);
    answer.who = req.who;
    answer.left_ms = request_left_ms(&req);
    request_release(&req);
    return answer;
}

static void answer_free(struct answer *answer)
{
    json_decref(answer->body);
    answer->body = NULL;
}

static const char *answer_text(const struct answer *answer, const char *key)
{
    const char *text = json_string_value(json_object_get(answer->body, key));

    assert_non_null(text);
    return text;
}

/* Like ask(), but returns the code only. */
static inline int ask_code(const struct route *route, const struct field *fields)
{
    struct answer answer = ask(route, fields);
    int code = answer.code;

    answer_free(&answer);
    return code;
}

/* Puts a user with an open session into the shard; returns the token (static storage). */
static inline const char *world_token(uint64_t user_id)
{
    static char token[JWT_SIGNED_MAX + 1];
    struct session_grant grant;
    struct request req;

    fake.users[0] = (struct fake_user){.id = user_id, .name = "alice"};
    request_init(&req, &world.app, clock_mono_ms());
    auth_grant(&req, &grant);
    fake_open(user_id, &grant);
    const char *text = auth_token(world.app.auth, &req, user_id, &grant);
    assert_non_null(text);
    (void)snprintf(token, sizeof token, "%s", text);
    request_release(&req);
    return token;
}

#endif
