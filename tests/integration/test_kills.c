/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The promise of conn_kill: after gone = 1 the session commits nothing more. Sessions
 * are killed at random moments of a write; what is stored then must not change later.
 *
 * TEST_KILLS: how many. The other variables are those of live.h. */
#include <pthread.h>
#include <time.h>

#include "shard/dbconn.h"
#include "shard/dbexec.h"
#include "shard/ops.h"

#include "tests/integration/live.h"

/* The kill follows the CALL after at most this time: before, inside and after its
 * transaction. */
#define MOMENT_US_MAX 4000

static struct live live;
static struct router *router;
static uint64_t fence_epoch;

/* A user whose registration was killed. */
struct victim {
    char name[32];
    bool is_there; /* when its session was gone */
};

/* A CALL in a thread of its own, which ends when its session is killed. */
struct writer {
    struct arena arena;
    struct dbarg args[1];
    struct dbexec exec;
    pthread_t thread;
};

static struct dbconn *connect_shard(void)
{
    const struct dbconn_target target = {.host = live.hosts[0],
                                         .port = live.ports[0],
                                         .socket = "",
                                         .user = "doushard_app",
                                         .password = live.password,
                                         .db_name = "doushard",
                                         .tls_ca = ""};
    struct dbconn_hello hello;
    struct errmsg err = {.text = ""};
    struct dbconn *conn = dbconn_open(&target, clock_mono_ms() + 10000, &hello, &err);

    assert_string_equal(err.text, "");
    assert_non_null(conn);
    return conn;
}

static void *write_user(void *context)
{
    struct writer *writer = context;

    dbexec_run(&writer->exec, 1, clock_mono_ms() + 60000);
    return NULL;
}

/* The operation that registers NAME, as user_register() would send it. */
static void writer_start(struct writer *writer, const char *name)
{
    unsigned char id[OP_BYTES];
    struct ops *ops = ops_new();
    size_t len = 0;

    arena_init(&writer->arena, 1u << 20);
    rnd_bytes(id, sizeof id);
    ops_add(ops, id_name_slot(name, strlen(name)), 0);
    ops_hex(ops, "op", id, sizeof id);
    ops_text(ops, "name", name);
    ops_text(ops, "hash", "$test$");
    ops_hex(ops, "session", id, sizeof id);
    ops_number(ops, "expires_at", clock_wall_ms() + 3600000);
    ops_number(ops, "max", 8);
    ops_place(ops, 0, id_name_slot(name, strlen(name)), fence_epoch);
    const struct ops_ref ref = {.ops = ops, .i = 0};
    const char *json = ops_render(&ref, 1, &writer->arena, &len);
    assert_non_null(json);
    ops_free(&ops);
    writer->args[0] = dbarg_text(json, len);
    writer->exec = (struct dbexec){.conn = connect_shard(),
                                   .proc = PROC_USER_REGISTER,
                                   .args = writer->args,
                                   .arena = &writer->arena};
    assert_int_equal(pthread_create(&writer->thread, NULL, write_user, writer), 0);
}

static void writer_end(struct writer *writer)
{
    pthread_join(writer->thread, NULL);
    dbconn_close(&writer->exec.conn);
    arena_release(&writer->arena);
}

static bool kill_session(struct dbconn *killer, const char *tag)
{
    const struct dbarg args[] = {dbarg_text(tag, strlen(tag)), dbarg_number(30000)};
    struct arena arena;
    struct dbexec exec = {
        .conn = killer, .proc = PROC_CONN_KILL, .args = args, .arena = &arena};

    arena_init(&arena, 65536);
    dbexec_run(&exec, 1, clock_mono_ms() + 60000);
    assert_string_equal(exec.detail, "");
    const struct dbvalue *gone = dbresult_value(exec.results, 0, "gone");
    bool is_gone = gone != NULL && gone->number == 1;
    arena_release(&arena);
    return is_gone;
}

static bool is_registered(const char *name)
{
    const char *hash = NULL;
    uint64_t id = 0;
    struct work work;

    work_begin(&work, 10000);
    enum outcome outcome = user_login(router, &work.call, name, &id, &hash);
    work_end(&work);
    assert_true(outcome == OUTCOME_OK || outcome == OUTCOME_NOTFOUND);
    return outcome == OUTCOME_OK;
}

static void strike(struct victim *victim, struct dbconn *killer)
{
    struct writer writer;
    struct timespec moment = {.tv_nsec = (long)rnd_below(MOMENT_US_MAX) * 1000};
    char tag[DBCONN_TAG_SIZE];

    snprintf(victim->name, sizeof victim->name, "k%08x%08x", rnd_below(UINT32_MAX),
             rnd_below(UINT32_MAX));
    writer_start(&writer, victim->name);
    memcpy(tag, dbconn_tag(writer.exec.conn), sizeof tag);
    nanosleep(&moment, NULL);
    assert_true(kill_session(killer, tag));
    victim->is_there = is_registered(victim->name);
    writer_end(&writer);
    /* A "done" that arrived before the kill must be true. */
    assert_true(victim->is_there || writer.exec.status != DB_OK);
}

static void test_gone_is_final(void **state)
{
    (void)state;
    size_t n = strtoul(live_env("TEST_KILLS"), NULL, 10);
    struct victim *victims = calloc(n, sizeof *victims);
    struct dbconn *killer = connect_shard();
    size_t n_there = 0, n_late = 0;

    assert_non_null(victims);
    for (size_t i = 0; i < n; i++) {
        strike(&victims[i], killer);
        n_there += victims[i].is_there;
    }
    dbconn_close(&killer);
    for (size_t i = 0; i < n; i++) {
        n_late += is_registered(victims[i].name) != victims[i].is_there;
    }
    free(victims);
    fprintf(stderr, "%zu killed, %zu of them after their commit, %zu committed later\n",
            n, n_there, n_late);
    assert_int_equal(n_late, 0);
    /* some were killed before, some after the commit */
    assert_in_range(n_there, 1, n - 1);
}

static int setup(void **state)
{
    (void)state;
    if (!live_init(&live)) {
        return -1;
    }
    router = live_router(&live, 4);
    fence_epoch = (uint64_t)root_number(0, "SELECT MAX(epoch) FROM slot_fence");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    router_free(&router);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gone_is_final)};

    if (!dbconn_library_init()) {
        return 2;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
