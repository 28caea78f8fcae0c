/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Durable jobs and purging, with shards that the test plays. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/erase.h"
#include "shard/purge.h"

#include "server/config/config.h"
#include "server/media/janitor.h"
#include "server/media/storage.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define JOBS_MAX 40

/* What the shards store, and what they were asked; guarded by the lock. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char names[JOBS_MAX][STORAGE_NAME_LEN + 1];
    struct job jobs[JOBS_MAX];
    bool claimed[JOBS_MAX];
    unsigned n_jobs;
    unsigned n_done;
    unsigned n_retried;
    int64_t last_retry_ms;
    bool last_progress;
    char last_error[64];
    enum outcome claim_outcome;
    unsigned n_erase_calls;
    unsigned erase_busy; /* number of calls that leave something */
    unsigned erase_rows; /* rows deleted by each */
    enum outcome erase_outcome;
    unsigned purge_steps; /* due on shard 1 */
    unsigned n_purged;    /* steps done there */
    unsigned n_purge_failed;
    enum outcome repair_outcome;
} shards = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct scratch scratch;
static struct storage *storage;
static int upload_fd;

static enum outcome fake_claim(struct router *router, struct call *call, size_t shard,
                               size_t limit, int64_t lease_ms, struct job_list *list)
{
    (void)router;
    assert_true(lease_ms > 0);
    assert_true(call->deadline_ms > clock_mono_ms());
    list->n = 0;
    list->jobs = arena_calloc(call->arena, limit, sizeof *list->jobs);
    assert_non_null(list->jobs);
    (void)pthread_mutex_lock(&shards.lock);
    enum outcome outcome = shard == 0 ? OUTCOME_UNAVAILABLE : shards.claim_outcome;
    for (unsigned i = 0; i < shards.n_jobs && list->n < limit; i++) {
        if (outcome == OUTCOME_OK && !shards.claimed[i]) {
            shards.claimed[i] = true;
            list->jobs[list->n++] = shards.jobs[i];
        }
    }
    (void)pthread_mutex_unlock(&shards.lock);
    return outcome;
}

static enum outcome fake_finish(struct router *router, struct call *call,
                                const struct job *job, const struct job_report *report)
{
    (void)router;
    (void)call;
    (void)job;
    (void)pthread_mutex_lock(&shards.lock);
    if (report->done) {
        shards.n_done++;
    } else {
        shards.n_retried++;
        shards.last_retry_ms = report->retry_ms;
        shards.last_progress = report->progress;
        (void)snprintf(shards.last_error, sizeof shards.last_error, "%s", report->error);
    }
    (void)pthread_cond_broadcast(&shards.changed);
    (void)pthread_mutex_unlock(&shards.lock);
    return OUTCOME_OK;
}

static enum outcome fake_erase(struct delivery *delivery, struct call *call,
                               uint64_t user_id, struct erase_progress *progress)
{
    (void)delivery;
    assert_true(progress->n_undone == (uint64_t)shards.n_erase_calls * shards.erase_rows);
    progress->n_undone += shards.erase_rows;
    assert_true(call->deadline_ms > clock_mono_ms());
    assert_int_equal(user_id, 1);
    (void)pthread_mutex_lock(&shards.lock);
    enum outcome outcome =
        shards.n_erase_calls++ < shards.erase_busy ? OUTCOME_BUSY : shards.erase_outcome;
    (void)pthread_mutex_unlock(&shards.lock);
    return outcome;
}

/* Shard 0 does not answer; on shard 1 some steps are due, each of which deletes 7
 * rows. */
static enum outcome fake_purge(struct router *router, struct call *call, size_t shard,
                               size_t limit, struct purge_report *report)
{
    (void)router;
    assert_true(call->deadline_ms > clock_mono_ms());
    assert_int_equal(limit, PURGE_ROWS_MAX);
    (void)pthread_mutex_lock(&shards.lock);
    if (shard == 0) {
        shards.n_purge_failed++;
    } else {
        bool is_due = shards.n_purged < shards.purge_steps;
        shards.n_purged += is_due;
        *report = (struct purge_report){
            .kind = is_due ? "liker" : "",
            .removed = is_due ? 7 : 0,
            .wait_ms = shards.n_purged < shards.purge_steps ? 0 : 3600000};
    }
    (void)pthread_cond_broadcast(&shards.changed);
    (void)pthread_mutex_unlock(&shards.lock);
    return shard == 0 ? OUTCOME_UNAVAILABLE : OUTCOME_OK;
}

static enum outcome fake_repair(struct router *router, struct call *call,
                                uint64_t user_id, uint64_t peer_id)
{
    (void)router;
    (void)call;
    (void)user_id;
    (void)peer_id;
    (void)pthread_mutex_lock(&shards.lock);
    enum outcome outcome = shards.repair_outcome;
    (void)pthread_mutex_unlock(&shards.lock);
    return outcome;
}

static size_t fake_n_shards(const struct router *router)
{
    (void)router;
    return 3;
}

/* The third shard was removed: it must not be asked anything. */
static bool fake_has_shard(const struct router *router, size_t shard)
{
    (void)router;
    return shard < 2;
}

static const struct janitor_shards fakes = {.n_shards = fake_n_shards,
                                            .has_shard = fake_has_shard,
                                            .claim = fake_claim,
                                            .finish = fake_finish,
                                            .erase = fake_erase,
                                            .purge = fake_purge,
                                            .repair = fake_repair};

/* The janitor does nothing unless the test wakes it. */
static const struct janitor_options quiet = {.job_poll_ms = 3600000};

static int setup(void **state)
{
    char path[SCRATCH_PATH_MAX + 8];
    (void)state;
    scratch_make(&scratch);
    (void)snprintf(path, sizeof path, "%s/media", scratch.path);
    storage = storage_new(path);
    upload_fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    shards.n_jobs = shards.n_done = shards.n_retried = 0;
    shards.claim_outcome = OUTCOME_OK;
    memset(shards.claimed, 0, sizeof shards.claimed);
    return storage == NULL;
}

static int teardown(void **state)
{
    (void)state;
    storage_free(&storage);
    (void)close(upload_fd);
    scratch_remove(&scratch);
    return 0;
}

static void put(uint64_t author_id, char name[STORAGE_NAME_LEN + 1])
{
    struct tempfile temp;
    storage_name_make(author_id, name);
    assert_int_equal(tempfile_open(&temp, upload_fd), 0);
    assert_int_equal(storage_put(storage, name, &temp, "picture", 7), STORAGE_OK);
    tempfile_close(&temp);
}

static void add_job(const char *kind, const char *payload, unsigned attempts)
{
    (void)pthread_mutex_lock(&shards.lock);
    assert_true(shards.n_jobs < JOBS_MAX);
    shards.jobs[shards.n_jobs++] = (struct job){.kind = kind,
                                                .owner_id = 1,
                                                .target_id = 2,
                                                .payload = payload,
                                                .attempts = attempts};
    (void)pthread_mutex_unlock(&shards.lock);
}

/* Waits until *COUNTER is N; fails after a minute. */
static void await_count(const unsigned *counter, unsigned n)
{
    struct timespec until = clock_timespec(clock_mono_ms() + 60000);
    int rc = 0;
    (void)pthread_mutex_lock(&shards.lock);
    while (*counter != n && rc == 0) {
        rc = pthread_cond_clockwait(&shards.changed, &shards.lock, CLOCK_MONOTONIC,
                                    &until);
    }
    unsigned found = *counter;
    (void)pthread_mutex_unlock(&shards.lock);
    assert_int_equal(found, n);
}

static struct janitor *start(const struct janitor_options *options)
{
    struct janitor *janitor = janitor_new(storage, &fakes, options);
    assert_non_null(janitor);
    return janitor;
}

/* More jobs than are claimed at once; one shard is down all the time. */
static void test_jobs(void **state)
{
    (void)state;
    struct janitor_state counts;
    for (unsigned i = 0; i < JOBS_MAX; i++) {
        put(i, shards.names[i]);
        add_job("media_delete", shards.names[i], 1);
    }
    struct janitor *janitor = start(&quiet);
    await_count(&shards.n_done, JOBS_MAX);
    janitor_free(&janitor);
    assert_null(janitor);
    assert_int_equal(scratch_count_files(&scratch), 0);
    janitor = start(&quiet);
    janitor_state(janitor, &counts);
    assert_int_equal(counts.jobs_done, 0);
    janitor_free(&janitor);
}

/* A few steps in every round, on a shard that answers and on one that does not; jobs
 * are done in between. */
static void test_purge(void **state)
{
    (void)state;
    struct janitor_options often = quiet;
    struct janitor_state counts;
    often.job_poll_ms = 1;
    (void)pthread_mutex_lock(&shards.lock);
    shards.purge_steps = 50;
    shards.n_purged = shards.n_purge_failed = 0;
    (void)pthread_mutex_unlock(&shards.lock);
    struct janitor *janitor = start(&quiet);
    await_count(&shards.n_purged, 8);
    put(3, shards.names[0]);
    add_job("media_delete", shards.names[0], 1);
    janitor_configure(janitor, &often);
    janitor_poke(janitor);
    await_count(&shards.n_done, 1);
    await_count(&shards.n_purged, 50);
    janitor_poke(janitor); /* it would not look again for a long time */
    do {
        janitor_state(janitor, &counts);
    } while (counts.rows_purged < UINT64_C(350));
    janitor_free(&janitor);
    assert_int_equal(counts.rows_purged, UINT64_C(350));
    assert_int_equal(shards.n_purged, 50);
    /* after a failure the shard is left alone for a while */
    assert_int_equal(shards.n_purge_failed, 1);
    shards.purge_steps = 0;
}

/* Called again while something is left; what remains after that is left to the next
 * attempt. */
static void test_erase(void **state)
{
    (void)state;
    (void)pthread_mutex_lock(&shards.lock);
    shards.n_erase_calls = 0;
    shards.erase_busy = 3;
    shards.erase_outcome = OUTCOME_OK;
    (void)pthread_mutex_unlock(&shards.lock);
    add_job("user_erase", "", 1);
    struct janitor *janitor = start(&quiet);
    await_count(&shards.n_done, 1);
    assert_int_equal(shards.n_erase_calls, 4);
    shards.erase_outcome = OUTCOME_UNAVAILABLE;
    shards.n_erase_calls = 0;
    add_job("user_erase", "", 1);
    janitor_poke(janitor);
    await_count(&shards.n_retried, 1);
    assert_string_equal(shards.last_error, "something is left");
    assert_false(shards.last_progress);
    shards.n_erase_calls = 0;
    shards.erase_rows = 5; /* it made progress, so the attempt did not fail */
    add_job("user_erase", "", 1);
    janitor_poke(janitor);
    await_count(&shards.n_retried, 2);
    assert_true(shards.last_progress);
    shards.erase_rows = 0;
    janitor_free(&janitor);
}

static void test_repair(void **state)
{
    (void)state;
    shards.repair_outcome = OUTCOME_TIMEOUT;
    add_job("chat_repair", "", 1);
    struct janitor *janitor = start(&quiet);
    await_count(&shards.n_retried, 1);
    assert_string_equal(shards.last_error, "the mailboxes do not fit yet");
    shards.repair_outcome = OUTCOME_OK;
    add_job("chat_repair", "", 2);
    janitor_poke(janitor);
    await_count(&shards.n_done, 1);
    janitor_free(&janitor);
}

static void test_poke(void **state)
{
    (void)state;
    struct janitor *janitor = start(&quiet);
    put(7, shards.names[0]);
    add_job("media_delete", shards.names[0], 1);
    janitor_poke(janitor);
    await_count(&shards.n_done, 1);
    /* it is not a failure if the files are already gone */
    add_job("media_delete", shards.names[0], 1);
    janitor_poke(janitor);
    await_count(&shards.n_done, 2);
    janitor_free(&janitor);
    assert_int_equal(scratch_count_files(&scratch), 0);
    janitor_poke(NULL);
}

static void test_bad_jobs(void **state)
{
    (void)state;
    struct janitor *janitor = start(&quiet);
    add_job("media_delete", "../../etc/passwd", 1);
    janitor_poke(janitor);
    await_count(&shards.n_retried, 1);
    assert_int_equal(shards.last_retry_ms, 1000);
    assert_string_equal(shards.last_error, "the payload is not a base name");
    add_job("sing", "", 4);
    janitor_poke(janitor);
    await_count(&shards.n_retried, 2);
    assert_int_equal(shards.last_retry_ms, 8000);
    add_job("sing", "", 1000000);
    janitor_poke(janitor);
    await_count(&shards.n_retried, 3);
    assert_int_equal(shards.last_retry_ms, 3600000);
    janitor_free(&janitor);
    assert_int_equal(shards.n_done, 0);
}

static void test_options(void **state)
{
    (void)state;
    struct config config = {.job_poll_ms = 2000};
    assert_int_equal(janitor_options(&config).job_poll_ms, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_erase, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_poke, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_jobs, setup, teardown),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
