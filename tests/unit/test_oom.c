/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Memory runs out at every allocation in turn: each function fails cleanly, reports
 * it, and leaks nothing (which the build with sanitizers detects).
 *
 * The Makefile links this program so that malloc() and the like in our objects are
 * replaced by functions here; libraries keep their own. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/arena.h"
#include "shard/base/buf.h"
#include "shard/base/clock.h"
#include "shard/base/fiber.h"

#include "shard/dbpool.h"
#include "shard/ops.h"
#include "shard/plan.h"
#include "shard/router_call.h"

#include "server/auth/jwt.h"
#include "server/base/json_in.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/config/topology.h"

#include "tests/unit/cmocka_all.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static long countdown = -1; /* allocations until one fails; negative: none does */
static bool goes_on;        /* all later ones fail too */
static bool has_failed;

static bool must_fail(void)
{
    if (countdown < 0) {
        return false;
    }
    if (countdown > 0) {
        countdown--;
        return false;
    }
    has_failed = true;
    if (!goes_on) {
        countdown = -1;
    }
    return true;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}

/* Calls WORK with allocation 0, 1, 2, ... failing, once only that one and once all
 * later ones too, until WORK no longer gets that far. WORK returns whether it
 * succeeded. Returns the number of allocations it makes. */
static unsigned fail_each(bool (*work)(void))
{
    unsigned n = 0;

    for (int mode = 0; mode < 2; mode++) {
        n = 0;
        do {
            has_failed = false;
            goes_on = mode == 1;
            countdown = (long)n++;
            bool ok = work();
            countdown = -1;
            assert_int_equal(ok, !has_failed);
        } while (has_failed);
    }
    return n - 1;
}

static char conf_path[64];
static char topology_path[64];

static void write_text(char *path, const char *text)
{
    snprintf(path, 64, "/tmp/test_oom.XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    write_text(conf_path, "listen_port = 1;\nbase_url = \"http://a\";\n");
    write_text(topology_path, "servers = ( { name = \"a\"; socket = \"/a\"; },\n"
                              "{ name = \"b\"; host = \"::1\"; port = 5; } );\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(conf_path);
    unlink(topology_path);
    return 0;
}

static bool load_config(void)
{
    char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t) "--config",
                    conf_path};
    char *env[] = {(char *)(uintptr_t) "DOUSHARD_DB_NAME=x", NULL};
    struct config_args args;
    struct errmsg err = {""};

    assert_true(config_args(&args, 3, argv, env, &err));
    struct config *config = config_load(&args, &err);
    assert_int_equal(config == NULL, strstr(err.text, "out of memory") != NULL);
    bool ok = config != NULL;
    config_free(&config);
    return ok;
}

static bool read_topology(void)
{
    struct topology topology;
    struct errmsg err = {""};
    bool ok = topology_read(&topology, topology_path, &err);

    assert_int_equal(!ok, strstr(err.text, "out of memory") != NULL);
    topology_release(&topology);
    return ok;
}

static bool count_and_render(void)
{
    static const struct metrics_route routes[] = {{"GET", "/a/"}};
    struct metrics *metrics = metrics_new(routes, 1);
    struct metrics_sample sample = {.n_shards = 0};
    struct buf out;
    bool ok = metrics != NULL;

    buf_init(&out, (size_t)1 << 20);
    if (ok) {
        metrics_request_done(metrics, 0, 200, 0, 5);
        ok = metrics_render(metrics, &sample, &out);
    }
    buf_clear(&out);
    metrics_free(&metrics);
    return ok;
}

static bool use_arena(void)
{
    struct arena arena;
    bool ok = true;

    arena_init(&arena, (size_t)1 << 20);
    for (int i = 0; ok && i < 5; i++) {
        ok = arena_alloc(&arena, 30000) != NULL && arena_printf(&arena, "%d", i) != NULL;
    }
    arena_release(&arena);
    return ok;
}

static bool start_fibers(void)
{
    const struct fibers_options options = {.n_threads = 2, .work_max = 4};
    struct fibers *fibers = fibers_new(&options);
    bool ok = fibers != NULL;

    fibers_free(&fibers);
    return ok;
}

static void test_config(void **state)
{
    (void)state;
    assert_true(fail_each(load_config) >= 20);
}

static void test_topology(void **state)
{
    (void)state;
    assert_true(fail_each(read_topology) >= 10);
}

static void test_metrics(void **state)
{
    (void)state;
    assert_true(fail_each(count_and_render) >= 5);
}

static void test_arena(void **state)
{
    (void)state;
    assert_true(fail_each(use_arena) >= 2);
}

static void test_fibers(void **state)
{
    (void)state;
    assert_true(fail_each(start_fibers) >= 4);
}

static bool make_plan(void)
{
    const struct plan_shard shards[] = {{.name = "a", .weight = 1},
                                        {.name = "b", .weight = 1}};
    const struct plan_slot slots[] = {
        {.number = 1, .bytes = 9, .moving_to = PLAN_NOWHERE},
        {.number = 2, .bytes = 9, .moving_to = PLAN_NOWHERE}};
    const struct plan_input input = {.shards = shards,
                                     .n_shards = 2,
                                     .slots = slots,
                                     .n_slots = 2,
                                     .threshold = PLAN_THRESHOLD};
    struct plan plan;
    const char *problem = plan_make(&plan, &input);

    assert_true(problem == NULL ? plan.n_moves == 1
                                : strcmp(problem, "memory is short") == 0);
    if (problem == NULL) {
        const enum plan_step steps[] = {PLAN_WAITS};
        size_t next[1];
        if (plan_next(&input, &plan, steps, 1, next) == 0) {
            problem = "nothing starts when memory is short";
        }
    }
    plan_release(&plan);
    return problem == NULL;
}

static void test_plan(void **state)
{
    (void)state;
    assert_true(fail_each(make_plan) >= 10);
}

/* A CALL that could not be stored in the cache is answered all the same, and nobody is
 * asked again. */
static void test_lost_operation(void **state)
{
    struct arena arena;
    struct call call = {.arena = &arena};
    struct router_answer answer = {.outcome = OUTCOME_OK};
    struct ops *ops = ops_new();

    (void)state;
    assert_non_null(ops);
    arena_init(&arena, (size_t)1 << 20);
    countdown = 0;
    goes_on = false;
    ops_add(ops, 5, 7);
    assert_int_equal(countdown, -1); /* one allocation has failed */
    ops_number(ops, "a", 1);
    assert_int_equal(ops_count(ops), 1);
    assert_int_equal(router_one(NULL, &call, PROC_USER_REGISTER, ops, &answer),
                     OUTCOME_NOMEM);
    arena_release(&arena);
}

static const struct jwt_keys keys = {
    .n = 1,
    .key = {{.kid = "a", .secret = "0123456789abcdef0123456789abcdef", .secret_len = 32}},
};

/* A valid token is never called invalid, nor taken for another user's. */
static bool verify_token(void)
{
    static const struct jwt_claims wanted = {.user_id = 9007199254740991,
                                             .expires_at_s = 2000};
    struct jwt_claims claims = {.user_id = 0};
    char text[JWT_SIGNED_MAX + 1];
    size_t len = jwt_sign(&keys, &wanted, 1000, text);
    enum jwt_reason reason = jwt_verify(&keys, text, len, 1000, &claims);

    assert_int_equal(reason, has_failed ? JWT_NO_MEMORY : JWT_OK);
    assert_true(claims.user_id == (has_failed ? 0 : wanted.user_id));
    return reason == JWT_OK;
}

static void test_token(void **state)
{
    (void)state;
    assert_true(fail_each(verify_token) >= 20);
}

/* A text is returned unchanged, or not at all for lack of memory, whichever character
 * makes the reader's buffer grow. */
static bool read_json(void)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    bool ok = true;

    for (int len = 10; ok && len <= 40; len++) {
        char text[160];
        int n = snprintf(text, sizeof text, "{\"%.*s\": [\"%.*s\", 1%0*d]}", len, letters,
                         len, letters, len - 1, 0);
        json_t *json = NULL;
        ok = json_in(text, (size_t)n, JSON_DECODE_INT_AS_REAL, &json);
        const json_t *list = json_object_iter_value(json_object_iter(json));
        assert_int_equal(json_array_size(list), ok ? 2 : 0);
        assert_int_equal(json_string_length(json_array_get(list, 0)), ok ? len : 0);
        assert_true(!ok || json_real_value(json_array_get(list, 1)) >= 1e9);
        json_decref(json);
    }
    return ok;
}

static void test_json(void **state)
{
    json_t *json = NULL;

    (void)state;
    assert_true(fail_each(read_json) >= 300);
    assert_true(json_in("{\"a\"", 4, 0, &json));
    assert_null(json);
}

static bool admit_all(void *context, const struct dbconn_hello *hello, struct errmsg *err)
{
    (void)context, (void)hello, (void)err;
    return true;
}

/* Running out of memory for a connection does not count against the shard. */
static void test_connection(void **state)
{
    static const struct dbconn_target target = {.host = "127.0.0.1"};
    const struct dbpool_options options = {
        .target = &target, .size = 1, .connect_timeout_ms = 1, .admit = admit_all};
    struct dbpool *pool = dbpool_new(&options);
    struct dbpool_state now;
    struct dbconn *conn = NULL;
    struct errmsg err;

    (void)state;
    assert_non_null(pool);
    dbpool_set_up(pool);
    for (int i = 0; i < 10; i++) {
        countdown = 0;
        goes_on = false;
        assert_int_equal(dbpool_get(pool, clock_mono_ms() + 10000, &conn, &err),
                         OUTCOME_BUSY);
        assert_int_equal(countdown, -1); /* it has failed */
        assert_string_equal(err.text, "out of memory");
    }
    dbpool_state(pool, &now);
    assert_true(now.is_up);
    assert_int_equal(now.open, 0);
    dbpool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),         cmocka_unit_test(test_topology),
        cmocka_unit_test(test_metrics),        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_fibers),         cmocka_unit_test(test_plan),
        cmocka_unit_test(test_token),          cmocka_unit_test(test_json),
        cmocka_unit_test(test_lost_operation), cmocka_unit_test(test_connection),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
