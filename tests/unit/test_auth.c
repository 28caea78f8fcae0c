/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* auth.c and session_cache.c: who is let in, what is cached, and that a logout removes
 * everything cached. */
#include <string.h>

#include "server/auth/session_cache.h"
#include "server/auth/token_keys.h"

#include "tests/unit/fake_users.h"

#define USER UINT64_C(8192)

static const struct param_spec token_params[] = {
    {.name = "token", .type = PARAM_TOKEN, .max = 2048},
    {.name = NULL},
};

/* Routes without a handler: these tests only check who is let in. */
static const struct route required = {.method = "GET",
                                      .path = "/r/",
                                      .auth = AUTH_REQUIRED,
                                      .params = token_params};
static const struct route optional = {.method = "GET",
                                      .path = "/o/",
                                      .auth = AUTH_OPTIONAL,
                                      .params = token_params};
static const struct route open_to_all = {.method = "GET",
                                         .path = "/n/",
                                         .auth = AUTH_NONE,
                                         .params = token_params};

/* The request is let in as USER, or answered with CODE. */
static bool is_known(const struct answer *answer)
{
    return answer->code == -1 && answer->who.user_id == USER &&
           strlen(answer->who.session) == 32;
}

static bool is_anonymous(const struct answer *answer)
{
    return answer->code == -1 && answer->who.user_id == 0 &&
           answer->who.session[0] == '\0';
}

static bool known_with(const struct route *route, const char *token)
{
    struct answer answer = ask(route, (struct field[]){{"token", token}, {NULL, NULL}});
    bool known = is_known(&answer);

    answer_free(&answer);
    return known;
}

/* ---- auth_identify() ---- */

static void test_no_token(void **state)
{
    (void)state;
    struct answer answer = ask(&required, NULL);
    assert_int_equal(answer.code, 1001);
    assert_non_null(strstr(answer_text(&answer, "status_msg"), "token"));
    answer_free(&answer);
    answer = ask(&required, (struct field[]){{"token", ""}, {NULL, NULL}});
    assert_int_equal(answer.code, 1001);
    answer_free(&answer);
    answer = ask(&optional, NULL);
    assert_true(is_anonymous(&answer));
    answer = ask(&open_to_all, NULL);
    assert_true(is_anonymous(&answer));
    assert_int_equal(fake.n_calls[FAKE_CHECK], 0);
}

static void test_good_token(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    assert_true(known_with(&required, token));
    assert_true(known_with(&optional, token));
    /* One question to the shard; the second answer came from the cache. */
    assert_int_equal(fake.n_calls[FAKE_CHECK], 1);
    /* A route that does not need to know the caller ignores the token. */
    struct answer answer =
        ask(&open_to_all, (struct field[]){{"token", token}, {NULL, NULL}});
    assert_true(is_anonymous(&answer));
}

static void test_header(void **state)
{
    const char *token = world_token(USER);
    char bearer[JWT_SIGNED_MAX + 20];
    static const struct {
        const char *before;
        bool known;
    } rows[] = {
        {"Bearer ", true}, {"bearer ", true}, {"BEARER   ", true}, {"Basic ", false},
        {"Bearer", false}, {"", false},       {"Bearer x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(bearer, sizeof bearer, "%s%s", rows[i].before, token);
        struct answer answer =
            ask(&required, (struct field[]){{"authorization", bearer}, {NULL, NULL}});
        assert_int_equal(is_known(&answer), rows[i].known);
        assert_int_equal(answer.code, rows[i].known ? -1 : 1001);
        answer_free(&answer);
    }
    /* The parameter wins over the header, even if the parameter is bad. */
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", token);
    assert_int_equal(ask_code(&required, (struct field[]){{"authorization", bearer},
                                                          {"token", "x.y.z"},
                                                          {NULL, NULL}}),
                     1001);
    struct answer answer = ask(
        &required,
        (struct field[]){{"authorization", "Bearer x"}, {"token", token}, {NULL, NULL}});
    assert_true(is_known(&answer));
}

/* A forged token is refused without asking any shard. */
static void test_forged_token(void **state)
{
    char token[JWT_SIGNED_MAX + 1];
    static const char *const others[] = {"x", "a.b.c", "\xe4\xbd\xa0", " ", "null"};

    (void)state;
    (void)snprintf(token, sizeof token, "%s", world_token(USER));
    token[strlen(token) - 10] ^= 1;
    assert_false(known_with(&required, token));
    assert_int_equal(
        ask_code(&required, (struct field[]){{"token", token}, {NULL, NULL}}), 1001);
    struct answer answer =
        ask(&optional, (struct field[]){{"token", token}, {NULL, NULL}});
    assert_true(is_anonymous(&answer));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct field fields[] = {{"token", others[i]}, {NULL, NULL}};
        assert_int_equal(ask_code(&required, fields), 1001);
        answer = ask(&optional, fields);
        assert_true(is_anonymous(&answer));
    }
    assert_int_equal(fake.n_calls[FAKE_CHECK], 0);
}

/* For each answer of the shard, what the caller gets: only a "yes" lets anybody in. */
static void test_shard_says(void **state)
{
    static const struct {
        enum outcome outcome;
        int code;
    } rows[] = {
        {OUTCOME_NOTFOUND, 1001},    {OUTCOME_EXPIRED, 1001},  {OUTCOME_BUSY, 1016},
        {OUTCOME_UNAVAILABLE, 1017}, {OUTCOME_TIMEOUT, 1017},  {OUTCOME_NOTREADY, 1016},
        {OUTCOME_MOVED, 1016},       {OUTCOME_INTERNAL, 1500}, {OUTCOME_NOMEM, 1017},
    };
    const char *token = world_token(USER);
    const struct field fields[] = {{"token", token}, {NULL, NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake.refuse[FAKE_CHECK] = rows[i].outcome;
        assert_int_equal(ask_code(&required, fields), rows[i].code);
        struct answer answer = ask(&optional, fields);
        assert_true(is_anonymous(&answer));
    }
    /* None of the refusals was cached. */
    fake.refuse[FAKE_CHECK] = OUTCOME_OK;
    assert_true(known_with(&required, token));
    assert_int_equal(fake.n_calls[FAKE_CHECK], 2 * ARRAY_LEN(rows) + 1);
}

/* If finding out an optional caller takes too long, time remains to answer without
 * one. */
static void test_optional_leaves_time(void **state)
{
    const char *token = world_token(USER);
    const struct field fields[] = {{"token", token}, {NULL, NULL}};

    (void)state;
    fake.refuse[FAKE_CHECK] = OUTCOME_TIMEOUT;
    (void)ask_code(&optional, fields);
    assert_true(fake.check_left_ms > 0 && fake.check_left_ms <= 5000);
    (void)ask_code(&required, fields);
    assert_true(fake.check_left_ms > 5000);
}

static void test_no_cache(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    world.config.session_cache_time_ms = 0;
    assert_true(known_with(&required, token));
    assert_true(known_with(&required, token));
    assert_int_equal(fake.n_calls[FAKE_CHECK], 2);
}

/* ---- What is removed from the cache ---- */

static struct fake_session *only_session(void)
{
    for (size_t i = 0; i < FAKE_SESSIONS; i++) {
        if (fake.sessions[i].user_id != 0) {
            return &fake.sessions[i];
        }
    }
    fail_msg("no session");
    return NULL;
}

static void log_out(void)
{
    struct fake_session *session = only_session();

    session->user_id = 0;
    auth_forget_session(world.app.auth, USER, session->id);
}

static void test_forget_session(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    assert_true(known_with(&required, token));
    log_out();
    assert_false(known_with(&required, token));
}

/* The shard says yes, but before its answer arrives somebody logs out. The answer
 * holds for the request that asked, and must not be cached for the next. */
static void test_check_overtaken_by_logout(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    fake.during[FAKE_CHECK] = log_out;
    assert_true(known_with(&required, token));
    assert_false(known_with(&required, token));
    assert_int_equal(fake.n_calls[FAKE_CHECK], 2);
}

static void change_password(void)
{
    only_session()->user_id = 0;
    auth_forget_user(world.app.auth, USER);
}

static void test_check_overtaken_by_password(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    fake.during[FAKE_CHECK] = change_password;
    assert_true(known_with(&required, token));
    assert_false(known_with(&required, token));
}

/* ---- Options ---- */

/* The keys of the file are in force from now on. */
static void replace_keys(void)
{
    struct errmsg err;
    struct token_key_set *keys = token_key_set_read(world.config.token_keys_file, &err);

    assert_non_null(keys);
    auth_replace_keys(world.app.auth, keys);
}

static void test_replace_keys(void **state)
{
    const char *token = world_token(USER);

    (void)state;
    world.config.session_cache_time_ms = 0;
    /* A new first key; the old one still verifies. */
    world_write_keys("k2 00" FAKE_KEY "\nk1 " FAKE_KEY "\n");
    replace_keys();
    assert_true(known_with(&required, token));
    /* Without the old key, nothing that it signed is valid. */
    world_write_keys("k2 00" FAKE_KEY "\n");
    replace_keys();
    assert_false(known_with(&required, token));
}

static void test_new_refuses(void **state)
{
    struct config config = world.config;
    struct errmsg err;

    (void)state;
    config.token_keys_file = "/nonexistent/keys";
    assert_null(auth_new(&config, NULL, &err));
    assert_non_null(strstr(err.text, "/nonexistent/keys"));
}

/* ---- The session cache ---- */

static const unsigned char S1[SESSION_BYTES] = {1};
static const unsigned char S2[SESSION_BYTES] = {2};

static void test_cache_basics(void **state)
{
    struct session_cache *cache = session_cache_new(64);
    struct session_ticket ticket;

    (void)state;
    assert_non_null(cache);
    assert_false(session_cache_has(cache, USER, S1, 100, &ticket));
    assert_true(session_cache_put(cache, USER, S1, 200, &ticket));
    assert_true(session_cache_has(cache, USER, S1, 199, &ticket));
    assert_false(session_cache_has(cache, USER, S1, 200, &ticket));
    assert_false(session_cache_has(cache, USER, S2, 100, &ticket));
    assert_false(session_cache_has(cache, USER + 1, S1, 100, &ticket));

    assert_true(session_cache_put(cache, USER, S2, 200, &ticket));
    session_cache_drop(cache, USER, S1);
    assert_false(session_cache_has(cache, USER, S1, 100, &ticket));
    assert_true(session_cache_has(cache, USER, S2, 100, &ticket));
    session_cache_drop_user(cache, USER);
    assert_false(session_cache_has(cache, USER, S2, 100, &ticket));
    session_cache_free(&cache);
    assert_null(cache);
}

static void test_cache_tickets(void **state)
{
    struct session_cache *cache = session_cache_new(64);
    struct session_ticket ticket;
    struct session_ticket later;

    (void)state;
    assert_false(session_cache_has(cache, USER, S1, 0, &ticket));
    session_cache_drop(cache, USER, S1);
    assert_false(session_cache_put(cache, USER, S1, 200, &ticket));
    assert_false(session_cache_has(cache, USER, S1, 0, &later));
    assert_true(session_cache_put(cache, USER, S1, 200, &later));
    /* The old ticket stays invalid. */
    assert_false(session_cache_put(cache, USER, S2, 200, &ticket));
    assert_false(session_cache_has(cache, USER, S2, 0, &later));
    session_cache_free(&cache);
}

/* Never more entries than the limit; the newest session of a user stays. */
static void test_cache_bound(void **state)
{
    static const size_t sizes[] = {1, 3, 8, 9, 100};
    struct session_ticket ticket;
    unsigned char session[SESSION_BYTES] = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct session_cache *cache = session_cache_new(sizes[i]);
        size_t n = 0;
        for (uint64_t user = 1; user <= 1000; user++) {
            assert_false(session_cache_has(cache, user, S1, 0, &ticket));
            session_cache_put(cache, user, S1, 100 + (int64_t)user, &ticket);
            assert_true(session_cache_has(cache, user, S1, 0, &ticket));
        }
        for (uint64_t user = 1; user <= 1000; user++) {
            n += session_cache_has(cache, user, S1, 0, &ticket);
        }
        assert_true(n >= 1 && n <= sizes[i]);
        session_cache_free(&cache);
    }
    struct session_cache *cache = session_cache_new(8);
    for (unsigned char k = 1; k <= 9; k++) {
        session[0] = k;
        assert_false(session_cache_has(cache, USER, session, 0, &ticket));
        session_cache_put(cache, USER, session, 100 + k, &ticket);
    }
    for (unsigned char k = 1; k <= 9; k++) {
        session[0] = k;
        assert_int_equal(session_cache_has(cache, USER, session, 0, &ticket), k > 1);
    }
    session_cache_free(&cache);
}

static void test_cache_of_size_zero(void **state)
{
    struct session_cache *cache = session_cache_new(0);
    struct session_ticket ticket;

    (void)state;
    assert_false(session_cache_has(cache, USER, S1, 0, &ticket));
    assert_false(session_cache_put(cache, USER, S1, 100, &ticket));
    assert_false(session_cache_has(cache, USER, S1, 0, &ticket));
    session_cache_drop(cache, USER, S1);
    session_cache_drop_user(cache, USER);
    session_cache_free(&cache);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_no_token),
        IN_WORLD(test_good_token),
        IN_WORLD(test_header),
        IN_WORLD(test_forged_token),
        IN_WORLD(test_shard_says),
        IN_WORLD(test_optional_leaves_time),
        IN_WORLD(test_no_cache),
        IN_WORLD(test_forget_session),
        IN_WORLD(test_check_overtaken_by_logout),
        IN_WORLD(test_check_overtaken_by_password),
        IN_WORLD(test_replace_keys),
        IN_WORLD(test_new_refuses),
        cmocka_unit_test(test_cache_basics),
        cmocka_unit_test(test_cache_tickets),
        cmocka_unit_test(test_cache_bound),
        cmocka_unit_test(test_cache_of_size_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
