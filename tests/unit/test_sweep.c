/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Deleting files that no row refers to, with shards that the test plays. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/ops.h"

#include "server/config/config.h"
#include "server/media/storage.h"
#include "server/media/sweep.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define AUTHORS   32
#define ASKED_MAX 1000
#define SHARDS    3

/* What the shards answer, and what they were asked; guarded by the lock. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool lease_got;
    enum outcome lease_outcome;
    unsigned n_leases; /* times that the lease was asked for */
    int64_t last_lease_ms;
    /* answers to the first and second question about a name */
    enum outcome first[AUTHORS], later[AUTHORS];
    unsigned n_finds;
    size_t n_page[ASKED_MAX]; /* number of names in each question */
    char asked[ASKED_MAX][STORAGE_NAME_LEN + 1];
    unsigned n_asked;
    long find_takes_ms;
} shards = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct scratch scratch;
static struct storage *storage;

static size_t fake_shard_of(struct router *router, uint64_t owner_id)
{
    (void)router;
    return owner_id % SHARDS;
}

static enum outcome fake_lease(struct router *router, struct call *call,
                               const char *holder, int64_t lease_ms, bool *got)
{
    (void)router;
    assert_true(call->deadline_ms > clock_mono_ms());
    assert_int_equal(strlen(holder), 32);
    (void)pthread_mutex_lock(&shards.lock);
    shards.n_leases++;
    shards.last_lease_ms = lease_ms;
    *got = shards.lease_got && lease_ms > 0;
    enum outcome outcome = shards.lease_outcome;
    (void)pthread_cond_broadcast(&shards.changed);
    (void)pthread_mutex_unlock(&shards.lock);
    return outcome;
}

static unsigned times_asked(const char *name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < shards.n_asked; i++) {
        n += strcmp(shards.asked[i], name) == 0;
    }
    return n;
}

static void fake_find(struct router *router, struct call *call,
                      struct media_query *queries, size_t n)
{
    (void)router;
    assert_true(call->deadline_ms > clock_mono_ms());
    assert_in_range(n, 1, OPS_MAX);
    const struct timespec takes = {.tv_nsec = shards.find_takes_ms * 1000000};
    (void)nanosleep(&takes, NULL); /* a slow shard */
    (void)pthread_mutex_lock(&shards.lock);
    for (size_t i = 0; i < n; i++) {
        uint64_t author_id = 0;
        assert_true(
            storage_name_parse(queries[i].name, strlen(queries[i].name), &author_id));
        assert_true(author_id == queries[i].author_id && author_id < AUTHORS);
        bool is_first = times_asked(queries[i].name) == 0;
        queries[i].outcome = is_first ? shards.first[author_id] : shards.later[author_id];
        assert_true(shards.n_asked < ASKED_MAX);
        memcpy(shards.asked[shards.n_asked++], queries[i].name, STORAGE_NAME_LEN + 1);
        /* a first question goes to one shard */
        assert_true(!is_first || author_id % SHARDS == queries[0].author_id % SHARDS);
    }
    shards.n_page[shards.n_finds++] = n;
    (void)pthread_cond_broadcast(&shards.changed);
    (void)pthread_mutex_unlock(&shards.lock);
}

static const struct sweep_shards fakes = {.shard_of = fake_shard_of,
                                          .lease = fake_lease,
                                          .find = fake_find};

/* One search at full speed. */
static const struct sweep_options once = {.orphan_age_s = 0,
                                          .every_ms = 3600000,
                                          .lease_ms = 60000,
                                          .doubt_ms = 0,
                                          .rests = 0};

static void answer(uint64_t author_id, enum outcome first, enum outcome later)
{
    shards.first[author_id] = first;
    shards.later[author_id] = later;
}

static int setup(void **state)
{
    char path[SCRATCH_PATH_MAX + 8];
    (void)state;
    scratch_make(&scratch);
    (void)snprintf(path, sizeof path, "%s/media", scratch.path);
    storage = storage_new(path);
    shards.n_leases = shards.n_finds = shards.n_asked = 0;
    shards.find_takes_ms = 0;
    shards.lease_got = true;
    shards.lease_outcome = OUTCOME_OK;
    for (uint64_t i = 0; i < AUTHORS; i++) {
        answer(i, OUTCOME_OK, OUTCOME_OK);
    }
    return storage == NULL;
}

static int teardown(void **state)
{
    (void)state;
    storage_free(&storage);
    scratch_remove(&scratch);
    return 0;
}

/* Stores the files of a video of AUTHOR_ID, or a picture. */
static void plant(uint64_t author_id, bool is_video)
{
    char name[STORAGE_NAME_LEN + 1];
    char path[SCRATCH_PATH_MAX + 80];
    storage_name_make(author_id, name);
    for (int levels = 1; levels <= 2; levels++) {
        (void)snprintf(path, sizeof path, "%s/media/%.2s%s%.*s", scratch.path, name + 14,
                       levels == 2 ? "/" : "", levels == 2 ? 2 : 0, name + 16);
        (void)mkdir(path, 0700);
    }
    for (int part = is_video ? 0 : 1; part < 2; part++) {
        (void)snprintf(path, sizeof path, "%s/media/%.2s/%.2s/%s%s", scratch.path,
                       name + 14, name + 16, name, part == 0 ? ".mp4" : ".jpg");
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
    }
}

/* Waits until *COUNTER is at least N; fails after a minute. */
static void await_count(const unsigned *counter, unsigned n)
{
    struct timespec until = clock_timespec(clock_mono_ms() + 60000);
    int rc = 0;
    (void)pthread_mutex_lock(&shards.lock);
    while (*counter < n && rc == 0) {
        rc = pthread_cond_clockwait(&shards.changed, &shards.lock, CLOCK_MONOTONIC,
                                    &until);
    }
    assert_true(*counter >= n);
    (void)pthread_mutex_unlock(&shards.lock);
}

static struct sweep *start(const struct sweep_options *options)
{
    struct sweep *sweep = sweep_new(storage, &fakes, options);
    assert_non_null(sweep);
    return sweep;
}

/* Runs until N searches are done; returns the counts. */
static struct sweep_state sweep_times(const struct sweep_options *options, uint64_t n)
{
    struct sweep_state counts = {.sweeps = 0};
    struct sweep *sweep = start(options);
    int64_t until_ms = clock_mono_ms() + 60000;
    while (counts.sweeps < n && clock_mono_ms() < until_ms) {
        const struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL); /* nobody signals the end of a search */
        sweep_state(sweep, &counts);
    }
    sweep_free(&sweep);
    assert_null(sweep);
    assert_true(counts.sweeps >= n);
    return counts;
}

/* Each name is asked about once, together with others of its shard, as many as fit. */
static void test_pages(void **state)
{
    (void)state;
    enum { MANY = 600, FEW = 5 };
    for (unsigned i = 0; i < MANY + FEW; i++) {
        plant(i < MANY ? 3 : 4, /* is_video= */ i % 4 != 0);
    }
    unsigned n_files = scratch_count_files(&scratch);
    const struct sweep_state counts = sweep_times(&once, 1);
    assert_int_equal(shards.n_asked, MANY + FEW);
    for (unsigned i = 0; i < shards.n_asked; i++) {
        assert_int_equal(times_asked(shards.asked[i]), 1);
    }
    assert_int_equal(shards.n_finds, 4);
    assert_int_equal(shards.n_page[0], OPS_MAX);
    assert_int_equal(shards.n_page[1], OPS_MAX);
    assert_int_equal(shards.n_page[2] + shards.n_page[3], MANY + FEW - 2 * OPS_MAX);
    assert_int_equal(counts.files, n_files);
    assert_int_equal(counts.pages, 4);
    assert_int_equal(counts.removed + counts.unsure, 0);
    assert_int_equal(scratch_count_files(&scratch), n_files);
}

/* Nothing is deleted in case of doubt, whichever question it is about. */
static void test_removes_only_what_nobody_names(void **state)
{
    (void)state;
    static const enum outcome unsure[] = {
        OUTCOME_UNAVAILABLE, OUTCOME_TIMEOUT,  OUTCOME_BUSY,  OUTCOME_MOVED,
        OUTCOME_NOTREADY,    OUTCOME_INTERNAL, OUTCOME_NOMEM, OUTCOME_BADARG};
    uint64_t author = 1;
    for (size_t i = 0; i < ARRAY_LEN(unsure); i++) {
        answer(author, unsure[i], OUTCOME_NOTFOUND);
        plant(author++, /* is_video= */ true);
        answer(author, OUTCOME_NOTFOUND, unsure[i]);
        plant(author++, /* is_video= */ true);
    }
    answer(author, OUTCOME_NOTFOUND, OUTCOME_OK); /* the row exists by now */
    plant(author++, /* is_video= */ true);
    plant(author++, /* is_video= */ true);
    plant(0, /* is_video= */ true); /* no server made this name: nobody is asked */
    answer(0, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    unsigned n_kept = scratch_count_files(&scratch);
    answer(author, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    plant(author, /* is_video= */ true);
    plant(author, /* is_video= */ false);
    const struct sweep_state counts = sweep_times(&once, 1);
    assert_int_equal(scratch_count_files(&scratch), n_kept);
    assert_int_equal(counts.removed, 2);
    assert_int_equal(counts.unsure, 2 * ARRAY_LEN(unsure));
    assert_int_equal(shards.n_asked, author + 1 + ARRAY_LEN(unsure) + 3);
}

/* More files without a row than fit one page of second questions. */
static void test_removes_many(void **state)
{
    (void)state;
    enum { MANY = OPS_MAX + 40 };
    answer(1, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    for (unsigned i = 0; i < MANY; i++) {
        plant(1, /* is_video= */ false);
    }
    assert_int_equal(sweep_times(&once, 1).removed, MANY);
    assert_int_equal(scratch_count_files(&scratch), 0);
}

static void test_young_files_stay(void **state)
{
    (void)state;
    struct sweep_options options = once;
    options.orphan_age_s = 3600;
    answer(1, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    plant(1, /* is_video= */ true);
    assert_int_equal(sweep_times(&options, 1).removed, 0);
    assert_int_equal(scratch_count_files(&scratch), 2);
    assert_int_equal(shards.n_asked, 1);
}

/* A server without the lease asks nothing, and goes on trying to get it. */
static void test_lease_of_another(void **state)
{
    (void)state;
    struct sweep_options options = once;
    struct sweep_state counts;
    options.lease_ms = 30;
    plant(1, /* is_video= */ true);
    shards.lease_got = false;
    struct sweep *sweep = start(&options);
    await_count(&shards.n_leases, 60); /* enough time for a search */
    sweep_state(sweep, &counts);
    assert_false(counts.is_holder);
    assert_int_equal(shards.n_asked, 0);
    (void)pthread_mutex_lock(&shards.lock);
    shards.lease_got = true;
    (void)pthread_mutex_unlock(&shards.lock);
    await_count(&shards.n_asked, 1);
    sweep_free(&sweep);
    assert_int_equal(shards.last_lease_ms, 0); /* given back */
}

static void test_no_lease_without_an_answer(void **state)
{
    (void)state;
    struct sweep_options options = once;
    options.lease_ms = 30;
    plant(1, /* is_video= */ true);
    shards.lease_outcome = OUTCOME_UNAVAILABLE;
    struct sweep *sweep = start(&options);
    await_count(&shards.n_leases, 60);
    sweep_free(&sweep);
    assert_int_equal(shards.n_asked, 0);
}

/* The lease ends between the two questions: another server has it, or no shard answers
 * for as long as it lasts. */
static void lose_lease(bool got, enum outcome outcome)
{
    struct sweep_options options = once;
    struct sweep_state counts;
    options.lease_ms = 30;
    options.doubt_ms = 3600000;
    answer(1, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    struct sweep *sweep = start(&options);
    do {
        sweep_state(sweep, &counts);
    } while (!counts.is_holder || counts.pages == 0);
    (void)pthread_mutex_lock(&shards.lock);
    shards.lease_got = got;
    shards.lease_outcome = outcome;
    (void)pthread_mutex_unlock(&shards.lock);
    do {
        sweep_state(sweep, &counts);
    } while (counts.is_holder);
    sweep_free(&sweep);
    assert_int_equal(counts.sweeps + counts.removed, 0);
    assert_int_equal(shards.n_asked, 1);
    assert_int_equal(scratch_count_files(&scratch), 2);
}

static void test_lease_is_lost(void **state)
{
    (void)state;
    plant(1, /* is_video= */ true);
    lose_lease(/* got= */ false, OUTCOME_OK);
    shards.n_asked = shards.n_leases = 0;
    shards.lease_outcome = OUTCOME_OK;
    shards.lease_got = true;
    lose_lease(/* got= */ true, OUTCOME_UNAVAILABLE);
}

/* After each page comes a pause nine times as long as the page took. */
static void test_takes_a_tenth_of_the_time(void **state)
{
    (void)state;
    struct sweep_options options = once;
    options.rests = 9;
    shards.find_takes_ms = 20;
    plant(1, /* is_video= */ true);
    plant(2, /* is_video= */ true);
    assert_true(sweep_times(&options, 1).last_ms >= 2L * 20 * 10 - 2);
}

/* It can be stopped at once between the two questions. */
static void test_stops(void **state)
{
    (void)state;
    struct sweep_options options = once;
    options.doubt_ms = 3600000;
    answer(1, OUTCOME_NOTFOUND, OUTCOME_NOTFOUND);
    plant(1, /* is_video= */ true);
    struct sweep *sweep = start(&options);
    await_count(&shards.n_asked, 1);
    sweep_free(&sweep);
    sweep_free(&sweep);
    assert_int_equal(shards.n_asked, 1);
    assert_int_equal(scratch_count_files(&scratch), 2);
}

static void test_options(void **state)
{
    (void)state;
    struct config config = {.orphan_age_s = 3600, .publish_timeout_ms = 60000};
    assert_int_equal(sweep_options(&config).orphan_age_s, 3600);
    /* never younger than the longest request */
    config.orphan_age_s = 60;
    assert_int_equal(sweep_options(&config).orphan_age_s, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removes_only_what_nobody_names, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_removes_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_young_files_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_lease_without_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_a_tenth_of_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops, setup, teardown),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
