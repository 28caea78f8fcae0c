/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* h_user.c with a shard in memory: what each endpoint answers, what that costs, and
 * who is still logged in after a race, a lost answer or a change of password. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/unit/fake_users.h"

/* The rows of the route table, so that this test needs no other handlers. */
#define TEXT_32(n)                                                                       \
    {                                                                                    \
        .name = (n), .type = PARAM_TEXT, .flags = PARAM_REQUIRED, .min = 1, .max = 32    \
    }
static const struct param_spec login_params[] = {TEXT_32("username"),
                                                 {.name = "password",
                                                  .type = PARAM_TEXT,
                                                  .flags = PARAM_REQUIRED | PARAM_SECRET,
                                                  .min = 1,
                                                  .max = 32},
                                                 {.name = NULL}};
static const struct param_spec token_params[] = {
    {.name = "token", .type = PARAM_TOKEN, .max = 2048},
    {.name = NULL}};
static const struct param_spec password_params[] = {
    {.name = "token", .type = PARAM_TOKEN, .max = 2048},
    TEXT_32("old_password"),
    TEXT_32("new_password"),
    {.name = NULL}};
static const struct param_spec user_params[] = {
    {.name = "token", .type = PARAM_TOKEN, .max = 2048},
    {.name = "user_id", .type = PARAM_ID},
    {.name = NULL}};

#define NO_SESSION "\"user_id\":0,\"token\":\"\""
static const struct route register_route = {.handler = h_user_register,
                                            .auth = AUTH_NONE,
                                            .params = login_params,
                                            .failure_json = NO_SESSION};
static const struct route login_route = {.handler = h_user_login,
                                         .auth = AUTH_NONE,
                                         .params = login_params,
                                         .failure_json = NO_SESSION};
static const struct route logout_route = {.handler = h_user_logout,
                                          .auth = AUTH_NONE,
                                          .params = token_params};
static const struct route password_route = {.handler = h_user_password,
                                            .auth = AUTH_REQUIRED,
                                            .params = password_params,
                                            .failure_json = NO_SESSION};
static const struct route user_route = {.handler = h_user_get,
                                        .auth = AUTH_REQUIRED,
                                        .params = user_params};

#define ALICE UINT64_C(8192)

/* ---- Short forms ---- */

static struct answer enter(const struct route *route, const char *name,
                           const char *password, const char *key)
{
    return ask(route, (struct field[]){{"username", name},
                                       {"password", password},
                                       {key != NULL ? "idempotency-key" : NULL, key},
                                       {NULL, NULL}});
}

static struct answer sign_up(const char *name, const char *password)
{
    return enter(&register_route, name, password, NULL);
}

static struct answer log_in(const char *name, const char *password)
{
    return enter(&login_route, name, password, NULL);
}

static struct answer change(const char *token, const char *old_password,
                            const char *new_password)
{
    return ask(&password_route, (struct field[]){{"token", token},
                                                 {"old_password", old_password},
                                                 {"new_password", new_password},
                                                 {NULL, NULL}});
}

static int log_out(const char *token)
{
    return ask_code(&logout_route, (struct field[]){{"token", token}, {NULL, NULL}});
}

/* Returns 0 if the token is accepted. */
static int page_code(const char *token)
{
    return ask_code(&user_route, (struct field[]){{"token", token}, {NULL, NULL}});
}

/* The answer has this user's id, and a token that is accepted as this user's. */
static void assert_session(const struct answer *answer, uint64_t user_id)
{
    assert_int_equal(answer->code, 0);
    assert_int_equal(json_integer_value(json_object_get(answer->body, "user_id")),
                     user_id);
    struct answer page =
        ask(&user_route,
            (struct field[]){{"token", answer_text(answer, "token")}, {NULL, NULL}});
    assert_int_equal(page.code, 0);
    assert_int_equal(page.who.user_id, user_id);
    answer_free(&page);
}

/* The answer is CODE and opens no session. */
static void assert_refused(struct answer *answer, int code)
{
    assert_int_equal(answer->code, code);
    assert_true(json_is_integer(json_object_get(answer->body, "user_id")));
    assert_int_equal(json_integer_value(json_object_get(answer->body, "user_id")), 0);
    assert_string_equal(answer_text(answer, "token"), "");
    answer_free(answer);
}

static uint64_t n_hashes(void)
{
    return password_hashes_total(auth_password(world.app.auth));
}

/* Registers "alice" with the password "secret"; returns her token (static storage). */
static const char *make_alice(void)
{
    static char token[JWT_SIGNED_MAX + 1];
    struct answer answer = sign_up("alice", "secret");

    assert_int_equal(answer.code, 0);
    (void)snprintf(token, sizeof token, "%s", answer_text(&answer, "token"));
    answer_free(&answer);
    return token;
}

/* ---- Register ---- */

static void test_register(void **state)
{
    struct answer answer = sign_up("alice", "secret");

    (void)state;
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(n_hashes(), 1);
    assert_null(strstr(fake.users[0].hash, "secret"));
    assert_memory_equal(fake.users[0].hash, "$scrypt$ln=4,r=8,p=1$", 21);
    answer = sign_up("alice", "other");
    assert_refused(&answer, 1003);
    assert_int_equal(fake_n_sessions(ALICE), 1);
}

static void test_register_names(void **state)
{
    static const struct {
        const char *name;
        int code;
    } rows[] = {
        {"\xe6\x8a\x96\xe9\x9f\xb3", 0},
        {"\xf0\x9f\x98\x80 \xc3\xa9\xe2\x80\x8d", 0}, /* emoji, blank, é, joiner */
        {"' OR 1=1; --", 0},
        {"\xc2\xa0", 0}, /* a no-break space is the first that is no control */
        {"a\x01", 1002},
        {"a\nb", 1002},
        {"a\x7f", 1002},
        {"\x1b[31m", 1002},
        {"a\xc2\x80", 1002},     /* U+0080 */
        {"a\xc2\x9f", 1002},     /* U+009F */
        {"a\xe2\x80\xa8", 1002}, /* line separator */
        {"a\xe2\x80\xae"
         "b",
         1002},                                      /* right-to-left override */
        {"a\xe2\x81\xa6", 1002},                     /* isolate */
        {"a\xff", 1002},                             /* no UTF-8 */
        {"a\xc2", 1002},                             /* cut */
        {"\xed\xa0\x80", 1002},                      /* surrogate */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1002}, /* 33 */
        {"", 1002},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t n = n_hashes();
        struct answer answer = sign_up(rows[i].name, "p");
        if (answer.code != rows[i].code) {
            fail_msg("row %zu: %d", i, answer.code);
        }
        /* An invalid name is refused before it costs anything. */
        assert_int_equal(n_hashes() - n, rows[i].code == 0);
        if (rows[i].code == 0) {
            answer_free(&answer);
        } else {
            assert_refused(&answer, 1002);
        }
    }
}

/* When a control is the very last code point, nothing after the end of the text is
 * read. */
static void test_register_longest(void **state)
{
    char name[32 * 4 + 1];
    char password[32 * 3 + 1];

    (void)state;
    for (size_t i = 0; i < 32; i++) {
        memcpy(name + 4 * i, "\xf0\x9f\x98\x80", 4);
        memcpy(password + 3 * i, "\xe5\xaf\x86", 3);
    }
    name[sizeof name - 1] = '\0';
    password[sizeof password - 1] = '\0';
    struct answer answer = sign_up(name, password);
    assert_session(&answer, ALICE);
    answer_free(&answer);
    answer = log_in(name, password);
    assert_session(&answer, ALICE);
    answer_free(&answer);
    password[sizeof password - 2] ^= 1; /* the last byte counts */
    answer = log_in(name, password);
    assert_refused(&answer, 1005);
}

static void test_register_outcomes(void **state)
{
    static const struct {
        enum outcome outcome;
        int code;
    } rows[] = {
        {OUTCOME_BUSY, 1016},     {OUTCOME_UNAVAILABLE, 1017}, {OUTCOME_UNKNOWN, 1018},
        {OUTCOME_BADARG, 1500},   {OUTCOME_INTERNAL, 1500},    {OUTCOME_NOMEM, 1017},
        {OUTCOME_MISMATCH, 1013},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake.refuse[FAKE_REGISTER] = rows[i].outcome;
        struct answer answer = sign_up("alice", "secret");
        assert_refused(&answer, rows[i].code);
    }
}

/* The answer of the shard got lost and the router repeated the call: it learns that
 * this was done before. That was this very request, so no password needs to be
 * compared. */
static void test_register_replayed_by_router(void **state)
{
    (void)state;
    fake.same[FAKE_REGISTER] = true;
    struct answer answer = sign_up("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(n_hashes(), 1);
    assert_int_equal(fake_n_sessions(ALICE), 1);
}

static void test_register_again_with_key(void **state)
{
    struct answer answer = enter(&register_route, "alice", "secret", "key-1");

    (void)state;
    assert_session(&answer, ALICE);
    answer_free(&answer);
    /* The client did not see that answer and repeats the request: the same user, but a
     * session of its own. */
    answer = enter(&register_route, "alice", "secret", "key-1");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(fake_n_sessions(ALICE), 2);
    /* Somebody else guesses the key: no session is opened. */
    answer = enter(&register_route, "alice", "guess", "key-1");
    assert_refused(&answer, 1013);
    assert_int_equal(fake_n_sessions(ALICE), 2);
    /* With another key, however often, or without one, the name is taken, which costs no
     * hash. */
    uint64_t n = n_hashes();
    for (unsigned i = 0; i < 2; i++) {
        answer = enter(&register_route, "alice", "secret", "key-2");
        assert_refused(&answer, 1003);
    }
    answer = sign_up("alice", "secret");
    assert_refused(&answer, 1003);
    assert_int_equal(n_hashes(), n);
    /* The same key with another name is another request. */
    answer = enter(&register_route, "bob", "secret", "key-1");
    assert_refused(&answer, 1013);
}

/* After a day the key is forgotten, and the name is taken. */
static void test_register_with_old_key(void **state)
{
    struct answer answer = enter(&register_route, "alice", "secret", "key-1");

    (void)state;
    assert_session(&answer, ALICE);
    answer_free(&answer);
    fake.keys[0].created_at_ms += 86400000; /* a day later the key may be claimed again */
    answer = enter(&register_route, "alice", "secret", "key-1");
    assert_refused(&answer, 1003);
    fake.keys[0].created_at_ms -= 86400000;
    answer = enter(&register_route, "alice", "secret", "key-1");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(fake_n_sessions(ALICE), 2);
}

/* After a change of password the old password opens no session, even with the key. */
static void test_register_again_after_change(void **state)
{
    struct answer answer = enter(&register_route, "alice", "secret", "key-1");
    struct answer changed = change(answer_text(&answer, "token"), "secret", "fresh");

    (void)state;
    assert_int_equal(changed.code, 0);
    answer_free(&answer);
    answer_free(&changed);
    answer = enter(&register_route, "alice", "secret", "key-1");
    assert_refused(&answer, 1013);
    answer = enter(&register_route, "alice", "fresh", "key-1");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* ---- Login ---- */

static void test_login(void **state)
{
    (void)make_alice();
    struct answer answer = log_in("alice", "secret");

    (void)state;
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(fake_n_sessions(ALICE), 2);
}

/* Neither the answer nor the cost shows whether the name or the password was wrong:
 * one scrypt, one call. */
static void test_login_tells_nothing(void **state)
{
    (void)make_alice();
    uint64_t n_before = n_hashes();
    unsigned n_asked = fake.n_calls[FAKE_LOGIN];
    struct answer wrong = log_in("alice", "Secret");
    uint64_t n_wrong = n_hashes();
    struct answer unknown = log_in("nobody", "secret");

    (void)state;
    assert_int_equal(n_wrong - n_before, 1);
    assert_int_equal(n_hashes() - n_wrong, 1);
    assert_int_equal(fake.n_calls[FAKE_LOGIN] - n_asked, 2);
    assert_int_equal(fake.n_calls[FAKE_OPEN] + fake.n_calls[FAKE_SECRET], 0);
    assert_int_equal(wrong.code, 1005);
    assert_true(json_equal(wrong.body, unknown.body));
    answer_free(&wrong);
    assert_refused(&unknown, 1005);
    assert_int_equal(fake_n_sessions(ALICE), 1);
}

static void test_login_outcomes(void **state)
{
    static const struct {
        enum fake_call which;
        enum outcome outcome;
        int code;
    } rows[] = {
        {FAKE_LOGIN, OUTCOME_UNAVAILABLE, 1017}, {FAKE_LOGIN, OUTCOME_BUSY, 1016},
        {FAKE_LOGIN, OUTCOME_TIMEOUT, 1017},     {FAKE_OPEN, OUTCOME_UNAVAILABLE, 1017},
        {FAKE_OPEN, OUTCOME_UNKNOWN, 1018},      {FAKE_OPEN, OUTCOME_NOTFOUND, 1005},
        {FAKE_SECRET, OUTCOME_BUSY, 1016},       {FAKE_SECRET, OUTCOME_NOTFOUND, 1005},
    };

    (void)state;
    (void)make_alice();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake.refuse[rows[i].which] = rows[i].outcome;
        struct answer answer = log_in("alice", "secret");
        assert_refused(&answer, rows[i].code);
        fake.refuse[rows[i].which] = OUTCOME_OK;
    }
}

static void test_login_rehash(void **state)
{
    char before[sizeof fake.users[0].hash];

    (void)state;
    (void)make_alice();
    memcpy(before, fake.users[0].hash, sizeof before);
    world.config.scrypt_ln = 5;
    /* A failure to store the new hash does not matter. */
    fake.refuse[FAKE_REHASH] = OUTCOME_UNAVAILABLE;
    struct answer answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_string_equal(fake.users[0].hash, before);
    /* The next login stores it, and the one after that has nothing to do. */
    fake.refuse[FAKE_REHASH] = OUTCOME_OK;
    answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_memory_equal(fake.users[0].hash, "$scrypt$ln=5,r=8,p=1$", 21);
    answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    assert_int_equal(fake.n_calls[FAKE_REHASH], 2);
    /* A wrong password never stores a hash. */
    world.config.scrypt_ln = 6;
    answer = log_in("alice", "wrong");
    assert_refused(&answer, 1005);
    assert_int_equal(fake.n_calls[FAKE_REHASH], 2);
}

static void store_password(const char *text)
{
    struct password_params params = {.ln = 4, .r = 8, .p = 1};

    assert_int_equal(password_hash(auth_password(world.app.auth), &params, text,
                                   strlen(text), clock_mono_ms() + 60000,
                                   fake.users[0].hash),
                     PASSWORD_OK);
}

/* After the password was compared and before the session is stored, the owner changes
 * the password, which ends all sessions. */
static void password_changes(void)
{
    store_password("fresh");
    fake_close_all(ALICE);
}

static void test_login_overtaken_by_change(void **state)
{
    (void)state;
    (void)make_alice();
    fake.during[FAKE_LOGIN] = password_changes;
    struct answer answer = log_in("alice", "secret");
    assert_refused(&answer, 1005);
    assert_int_equal(fake_n_sessions(ALICE), 0);
}

/* Another login stores the same password with other parameters: that is not a change. */
static void password_is_rehashed(void)
{
    store_password("secret");
}

static void test_login_overtaken_by_rehash(void **state)
{
    (void)state;
    (void)make_alice();
    fake.during[FAKE_LOGIN] = password_is_rehashed;
    struct answer answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* ---- Too many wrong passwords ---- */

static void limit_tries(int tries)
{
    world.config.login_tries = tries;
    world.config.login_wait_max_s = 900;
    world.peer.bytes[0] = 0x20;
    world.peer.bytes[7] = 1;
}

/* Refused before anything is asked or computed, for existing and unknown users alike
 * and whatever the password is; from another address the owner gets in. */
static void test_login_throttled(void **state)
{
    static const char *const names[] = {"alice", "nobody"};
    struct answer refused[2];

    (void)state;
    (void)make_alice();
    limit_tries(3);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (unsigned n = 0; n < 3; n++) {
            struct answer answer = log_in(names[i], "wrong");
            assert_refused(&answer, 1005);
        }
        uint64_t n_before = n_hashes();
        unsigned n_calls = fake.n_calls[FAKE_LOGIN];
        refused[i] = log_in(names[i], "secret");
        assert_int_equal(refused[i].code, 1015);
        assert_int_equal(n_hashes(), n_before);
        assert_int_equal(fake.n_calls[FAKE_LOGIN], n_calls);
    }
    assert_true(json_equal(refused[0].body, refused[1].body));
    assert_non_null(strstr(answer_text(&refused[0], "status_msg"), ": 1 s"));
    answer_free(&refused[0]);
    assert_refused(&refused[1], 1015);
    world.peer.bytes[7] = 2;
    struct answer answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* An attempt that could not be compared is not a failed login. */
static void test_unknown_login_is_not_a_failure(void **state)
{
    (void)state;
    (void)make_alice();
    limit_tries(2);
    fake.refuse[FAKE_LOGIN] = OUTCOME_UNAVAILABLE;
    for (unsigned n = 0; n < 10; n++) {
        struct answer answer = log_in("alice", "wrong");
        assert_refused(&answer, 1017);
    }
    fake.refuse[FAKE_LOGIN] = OUTCOME_OK;
    struct answer answer = log_in("alice", "wrong");
    assert_refused(&answer, 1005);
    answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* Strangers use up the account's attempts of this hour; from the address where it was
 * registered, the owner is still let in. */
static void test_login_where_registered(void **state)
{
    (void)state;
    limit_tries(0);
    world.config.login_account_max = 4;
    (void)make_alice();
    for (unsigned char from = 2; from < 4; from++) {
        world.peer.bytes[7] = from;
        struct answer answer = log_in("alice", "wrong");
        assert_refused(&answer, 1005);
    }
    struct answer answer = log_in("alice", "secret");
    assert_refused(&answer, 1015);
    world.peer.bytes[7] = 1;
    answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* Behind a proxy the client's address counts, if the proxy is trusted. */
static void test_login_behind_proxy(void **state)
{
    (void)state;
    (void)make_alice();
    limit_tries(1);
    world.peer = (struct address){{[10] = 0xff, 0xff, 127, 0, 0, 1}};
    world.forwarded_for = "203.0.113.5";
    struct answer answer = log_in("alice", "wrong");
    assert_refused(&answer, 1005);
    world.forwarded_for = "203.0.113.6";
    answer = log_in("alice", "secret");
    assert_refused(&answer, 1015);
    world.config.trusted_proxies = "127.0.0.1";
    answer = log_in("alice", "wrong");
    assert_refused(&answer, 1005);
    answer = log_in("alice", "secret");
    assert_refused(&answer, 1015);
    world.forwarded_for = "203.0.113.6, 203.0.113.7"; /* the first is the client's word */
    answer = log_in("alice", "secret");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

/* Neither an idempotency key nor a token lets anybody guess faster. */
static void test_other_doors_throttled(void **state)
{
    struct answer answer = enter(&register_route, "alice", "secret", "key-1");
    char token[JWT_SIGNED_MAX + 1];

    (void)state;
    (void)snprintf(token, sizeof token, "%s", answer_text(&answer, "token"));
    answer_free(&answer);
    limit_tries(3);
    for (unsigned n = 0; n < 3; n++) {
        answer = enter(&register_route, "alice", "guess", "key-1");
        assert_refused(&answer, 1013);
    }
    unsigned n_sessions = fake_n_sessions(ALICE);
    answer = enter(&register_route, "alice", "secret", "key-1");
    assert_refused(&answer, 1015);
    assert_int_equal(fake_n_sessions(ALICE), n_sessions);
    answer = log_in("alice", "secret");
    assert_refused(&answer, 1015);
    for (unsigned n = 0; n < 3; n++) {
        answer = change(token, "guess", "fresh");
        assert_refused(&answer, 1005);
    }
    uint64_t n_before = n_hashes();
    answer = change(token, "secret", "fresh");
    assert_refused(&answer, 1015);
    assert_int_equal(n_hashes(), n_before);
}

/* ---- Busy ---- */

static void *hash_slowly(void *arg)
{
    struct password_params params = {.ln = 15, .r = 8, .p = 16};
    char hash[PASSWORD_HASH_MAX + 1];

    assert_int_equal(password_hash(auth_password(world.app.auth), &params, "x", 1,
                                   clock_mono_ms() + 600000, hash),
                     PASSWORD_OK);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

/* Occupies the only place for hashing for about a second. */
static pthread_t take_place(atomic_bool *done)
{
    uint64_t n = n_hashes();
    pthread_t thread;

    atomic_store(done, false);
    assert_int_equal(pthread_create(&thread, NULL, hash_slowly, done), 0);
    while (n_hashes() == n) {
        sched_yield();
    }
    return thread;
}

/* While the only place is occupied and there is no queue, requests that need a hash
 * are told to try again, and others go on. */
static void test_busy(void **state)
{
    const char *token = make_alice();
    atomic_bool done;
    pthread_t thread = take_place(&done);

    (void)state;
    struct answer answers[] = {log_in("alice", "secret"), log_in("nobody", "secret"),
                               sign_up("bob", "secret"), change(token, "secret", "f")};
    int code = page_code(token);
    assert_false(atomic_load(&done)); /* otherwise the test proves nothing */
    pthread_join(thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        assert_refused(&answers[i], 1016);
    }
    assert_int_equal(code, 0);
    assert_int_equal(fake.n_calls[FAKE_REGISTER], 1); /* alice's own */
}

/* A request that waits for its turn gives up while there is still time to do
 * something: otherwise a queue that is never empty would start every hash too late. */
static void test_no_hash_starts_too_late(void **state)
{
    struct errmsg err;
    atomic_bool done;

    (void)state;
    auth_free(&world.app.auth);
    world.config.scrypt_queue_max = 1;
    world.app.auth = auth_new(&world.config, NULL, &err);
    assert_non_null(world.app.auth);
    (void)make_alice();
    pthread_t thread = take_place(&done);
    world.budget_ms = 1000;
    struct answer answer = log_in("alice", "secret");
    assert_false(atomic_load(&done)); /* otherwise the test proves nothing */
    pthread_join(thread, NULL);
    assert_true(answer.left_ms > 0);
    assert_refused(&answer, 1016);
}

/* ---- Logout ---- */

static void test_logout(void **state)
{
    const char *token = make_alice();
    struct answer second = log_in("alice", "secret");

    (void)state;
    assert_int_equal(page_code(token), 0);
    assert_int_equal(log_out(token), 0);
    /* At once, although the session was cached; and only this one. */
    assert_int_equal(page_code(token), 1001);
    assert_session(&second, ALICE);
    answer_free(&second);
    assert_int_equal(log_out(token), 0);
    assert_int_equal(fake.n_calls[FAKE_LOGOUT], 2);
}

static void test_logout_refused(void **state)
{
    const char *token = make_alice();
    char forged[JWT_SIGNED_MAX + 1];

    (void)state;
    assert_int_equal(page_code(token), 0);
    (void)snprintf(forged, sizeof forged, "%s", token);
    forged[strlen(forged) - 5] ^= 1;
    assert_int_equal(ask_code(&logout_route, NULL), 1001);
    assert_int_equal(log_out("x"), 1001);
    assert_int_equal(log_out(forged), 1001);
    assert_int_equal(fake.n_calls[FAKE_LOGOUT], 0);
    assert_int_equal(page_code(token), 0);
    /* The outcome is unknown: the answer says so, and the cached session is not
     * trusted any more. */
    fake.lose[FAKE_LOGOUT] = true;
    assert_int_equal(log_out(token), 1018);
    assert_int_equal(page_code(token), 1001);
}

/* ---- Password ---- */

static void test_password(void **state)
{
    const char *token = make_alice();
    struct answer second = log_in("alice", "secret");

    (void)state;
    assert_int_equal(page_code(token), 0);
    assert_session(&second, ALICE);
    struct answer answer = change(token, "secret", "fresh");
    assert_session(&answer, ALICE);
    answer_free(&answer);
    /* All older sessions end at once, although both were cached. */
    assert_int_equal(page_code(token), 1001);
    assert_int_equal(page_code(answer_text(&second, "token")), 1001);
    answer_free(&second);
    answer = log_in("alice", "secret");
    assert_refused(&answer, 1005);
    answer = log_in("alice", "fresh");
    assert_session(&answer, ALICE);
    answer_free(&answer);
}

static void test_password_refused(void **state)
{
    const char *token = make_alice();
    char hash[sizeof fake.users[0].hash];

    (void)state;
    memcpy(hash, fake.users[0].hash, sizeof hash);
    struct answer answer = change(token, "wrong", "fresh");
    assert_refused(&answer, 1005);
    answer = change("x", "secret", "fresh");
    assert_refused(&answer, 1001);
    answer = change(token, "secret", "");
    assert_refused(&answer, 1002);
    answer = change(token, "secret", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_refused(&answer, 1002);
    assert_int_equal(fake.n_calls[FAKE_PASSWORD], 0);
    assert_string_equal(fake.users[0].hash, hash);
    assert_int_equal(page_code(token), 0);
    /* Of two changes at once, one is refused. */
    fake.during[FAKE_SECRET] = password_is_rehashed;
    answer = change(token, "secret", "fresh");
    assert_refused(&answer, 1014);
    fake.refuse[FAKE_SECRET] = OUTCOME_UNAVAILABLE;
    answer = change(token, "secret", "fresh");
    assert_refused(&answer, 1017);
    fake.refuse[FAKE_SECRET] = OUTCOME_OK;
    /* It was done, but the answer got lost: cached sessions are not trusted any more. */
    assert_int_equal(page_code(token), 0);
    fake.lose[FAKE_PASSWORD] = true;
    answer = change(token, "secret", "fresh");
    assert_refused(&answer, 1018);
    assert_int_equal(page_code(token), 1001);
}

/* ---- User ---- */

static struct answer page(const char *token, const char *user_id)
{
    return ask(&user_route,
               (struct field[]){{"token", token}, {"user_id", user_id}, {NULL, NULL}});
}

static void test_user(void **state)
{
    const char *token = make_alice();
    char id[32];

    (void)state;
    struct answer answer = sign_up("bob", "secret");
    (void)snprintf(id, sizeof id, "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(answer.body, "user_id")));
    answer_free(&answer);
    answer = page(token, id);
    assert_int_equal(answer.code, 0);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(answer.body, "user"), "name")),
        "bob");
    answer_free(&answer);
    /* Absent and empty mean the caller. Clients may write numbers with an exponent. */
    static const char *const alices[] = {"", "8192", "8.192e3", "8.192E+03"};
    for (size_t i = 0; i < ARRAY_LEN(alices); i++) {
        answer = page(token, alices[i]);
        assert_int_equal(answer.code, 0);
        assert_int_equal(json_integer_value(
                             json_object_get(json_object_get(answer.body, "user"), "id")),
                         ALICE);
        answer_free(&answer);
    }
    static const struct {
        const char *user_id;
        int code;
    } bad[] = {
        {"99", 1004},
        {"9007199254740991", 1004},
        {"0", 1002},
        {"-1", 1002},
        {"9007199254740992", 1002},
        {"1.5", 1002},
        {"8192x", 1002},
        {"18446744073709551617", 1002},
        {"1e400", 1002},
        {"0x2000", 1002},
        {"1e3x", 1002},
        {"NaN", 1002},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        answer = page(token, bad[i].user_id);
        if (answer.code != bad[i].code) {
            fail_msg("user_id %s: %d", bad[i].user_id, answer.code);
        }
        answer_free(&answer);
    }
    fake.refuse[FAKE_GET] = OUTCOME_UNAVAILABLE;
    assert_int_equal(page_code(token), 1017);
}

/* Whether the caller follows the user is not known: the page is sent without, and says
 * so. */
static void test_user_seen_in_part(void **state)
{
    const char *token = make_alice();
    static const struct {
        const char *user_id;
        enum outcome outcome;
        unsigned n_calls;
        bool partial;
    } rows[] = {
        {"16384", OUTCOME_OK, 1, false},
        {"16384", OUTCOME_UNAVAILABLE, 1, true},
        {"16384", OUTCOME_TIMEOUT, 1, true},
        {"8192", OUTCOME_UNAVAILABLE, 0, false}, /* nobody follows himself */
    };

    (void)state;
    struct answer answer = sign_up("bob", "secret");
    answer_free(&answer);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake.n_calls[FAKE_VIEW] = 0;
        fake.refuse[FAKE_VIEW] = rows[i].outcome;
        answer = page(token, rows[i].user_id);
        assert_int_equal(answer.code, 0);
        assert_true(json_is_boolean(json_object_get(answer.body, "partial")));
        assert_int_equal(json_is_true(json_object_get(answer.body, "partial")),
                         rows[i].partial);
        assert_true(json_is_false(
            json_object_get(json_object_get(answer.body, "user"), "is_follow")));
        assert_int_equal(fake.n_calls[FAKE_VIEW], rows[i].n_calls);
        answer_free(&answer);
    }
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_register),
        IN_WORLD(test_register_names),
        IN_WORLD(test_register_longest),
        IN_WORLD(test_register_outcomes),
        IN_WORLD(test_register_replayed_by_router),
        IN_WORLD(test_register_again_with_key),
        IN_WORLD(test_register_with_old_key),
        IN_WORLD(test_register_again_after_change),
        IN_WORLD(test_login),
        IN_WORLD(test_login_tells_nothing),
        IN_WORLD(test_login_outcomes),
        IN_WORLD(test_login_rehash),
        IN_WORLD(test_login_overtaken_by_change),
        IN_WORLD(test_login_overtaken_by_rehash),
        IN_WORLD(test_login_throttled),
        IN_WORLD(test_unknown_login_is_not_a_failure),
        IN_WORLD(test_login_where_registered),
        IN_WORLD(test_login_behind_proxy),
        IN_WORLD(test_other_doors_throttled),
        IN_WORLD(test_busy),
        IN_WORLD(test_no_hash_starts_too_late),
        IN_WORLD(test_logout),
        IN_WORLD(test_logout_refused),
        IN_WORLD(test_password),
        IN_WORLD(test_password_refused),
        IN_WORLD(test_user),
        IN_WORLD(test_user_seen_in_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
