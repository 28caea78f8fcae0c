/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The worker pool: it runs every job once, grows, shrinks, refuses, stops. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shard/base/check.h"

#include "server/base/workers.h"

#include "tests/unit/cmocka_all.h"

/* Jobs that wait until the test opens the gate. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned n_waiting;
    unsigned n_done;
    bool open;
};

struct gated_job {
    struct work job;
    struct gate *gate;
    unsigned n_runs;
};

static struct gate new_gate(void)
{
    return (struct gate){.mutex = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER};
}

static void run_gated(struct work *job)
{
    struct gated_job *self = (struct gated_job *)job; /* its first member */
    struct gate *gate = self->gate;

    (void)pthread_mutex_lock(&gate->mutex);
    self->n_runs++;
    gate->n_waiting++;
    (void)pthread_cond_broadcast(&gate->changed);
    while (!gate->open) {
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    gate->n_waiting--;
    gate->n_done++;
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

static void wait_waiting(struct gate *gate, unsigned n)
{
    (void)pthread_mutex_lock(&gate->mutex);
    while (gate->n_waiting < n) {
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    (void)pthread_mutex_unlock(&gate->mutex);
}

static void open_gate(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

static void test_grows_and_refuses(void **state)
{
    const struct workers_options options = {
        .n_min = 2, .n_max = 5, .queue_max = 3, .idle_ms = 10000};
    struct workers *workers = workers_new(&options);
    struct gate gate = new_gate();
    struct gated_job jobs[9] = {0};
    struct workers_state now;

    (void)state;
    assert_non_null(workers);
    for (unsigned i = 0; i < 5; i++) {
        jobs[i] = (struct gated_job){.job.run = run_gated, .gate = &gate};
        assert_true(workers_submit(workers, &jobs[i].job));
        wait_waiting(&gate, i + 1); /* each one gets a thread at once */
    }
    for (unsigned i = 5; i < 9; i++) {
        jobs[i] = (struct gated_job){.job.run = run_gated, .gate = &gate};
        assert_int_equal(workers_submit(workers, &jobs[i].job), i < 8);
    }
    workers_state(workers, &now);
    assert_int_equal(now.n_threads, 5);
    assert_int_equal(now.n_busy, 5);
    assert_int_equal(now.n_queued, 3);
    open_gate(&gate);
    workers_free(&workers); /* runs what is queued */
    assert_null(workers);
    assert_int_equal(gate.n_done, 8);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(jobs[i].n_runs, i < 8 ? 1 : 0);
    }
    workers_free(&workers);
}

static unsigned n_threads(struct workers *workers)
{
    struct workers_state now;

    workers_state(workers, &now);
    return now.n_threads;
}

static void run_here(struct work *job)
{
    (void)job;
    fail(); /* a job that was not taken */
}

/* What must run elsewhere is taken with the queue full, after what waits already, and
 * refused only once the pool stops. */
static void test_takes_what_is_handed(void **state)
{
    const struct workers_options options = {
        .n_min = 1, .n_max = 2, .queue_max = 1, .idle_ms = 10000};
    struct workers *workers = workers_new(&options);
    struct gate gate = new_gate();
    struct gated_job jobs[7] = {0};
    struct work late = {.run = run_here};
    struct workers_state now;

    (void)state;
    assert_non_null(workers);
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct gated_job){.job.run = run_gated, .gate = &gate};
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(workers_hand(workers, &jobs[i].job));
        wait_waiting(&gate, i + 1); /* the second one gets a new thread */
    }
    assert_int_equal(n_threads(workers), 2);
    assert_true(workers_submit(workers, &jobs[2].job));
    assert_false(workers_submit(workers, &jobs[3].job));
    for (unsigned i = 3; i < ARRAY_LEN(jobs); i++) {
        assert_true(workers_hand(workers, &jobs[i].job));
    }
    workers_state(workers, &now);
    assert_int_equal(now.n_queued, 5);
    assert_int_equal(gate.n_done, 0);
    open_gate(&gate);
    workers_stop(workers);
    assert_int_equal(gate.n_done, 7);
    assert_false(workers_hand(workers, &late));
    workers_free(&workers);
}

static void test_shrinks(void **state)
{
    const struct workers_options options = {
        .n_min = 1, .n_max = 8, .queue_max = 8, .idle_ms = 20};
    struct workers *workers = workers_new(&options);
    struct gate gate = new_gate();
    struct gated_job jobs[8] = {0};
    struct workers_state now;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct gated_job){.job.run = run_gated, .gate = &gate};
        assert_true(workers_submit(workers, &jobs[i].job));
    }
    wait_waiting(&gate, ARRAY_LEN(jobs));
    workers_state(workers, &now);
    assert_int_equal(now.n_threads, 8);
    open_gate(&gate);
    do {
        (void)sched_yield(); /* until all but one have ended */
        workers_state(workers, &now);
    } while (now.n_threads > 1);
    /* and the pool grows again */
    gate = new_gate();
    jobs[0] = (struct gated_job){.job.run = run_gated, .gate = &gate};
    jobs[1] = jobs[0];
    assert_true(workers_submit(workers, &jobs[0].job));
    assert_true(workers_submit(workers, &jobs[1].job));
    wait_waiting(&gate, 2);
    open_gate(&gate);
    workers_free(&workers);
}

struct counted_job {
    struct work job;
    atomic_uint *count;
};

static void run_counted(struct work *job)
{
    struct counted_job *self = (struct counted_job *)job;

    (void)atomic_fetch_add(self->count, 1);
    free(self); /* a job may free its own memory */
}

struct submitter {
    struct workers *workers;
    atomic_uint *count;
    unsigned n_taken;
};

static void *submit_many(void *arg)
{
    struct submitter *self = arg;

    for (unsigned i = 0; i < 5000; i++) {
        struct counted_job *job = calloc(1, sizeof *job);

        job->job.run = run_counted;
        job->count = self->count;
        if (workers_submit(self->workers, &job->job)) {
            self->n_taken++;
        } else {
            free(job);
        }
    }
    return NULL;
}

/* Many threads submit, even while the pool stops: every accepted job runs exactly
 * once. */
static void test_storm(void **state)
{
    const struct workers_options options = {
        .n_min = 2, .n_max = 16, .queue_max = 64, .idle_ms = 1};
    struct workers *workers = workers_new(&options);
    atomic_uint count = 0;
    struct submitter submitters[4];
    pthread_t threads[4];
    unsigned n_taken = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        submitters[i] = (struct submitter){.workers = workers, .count = &count};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &submitters[i]),
                         0);
    }
    while (atomic_load(&count) < options.queue_max) {
        (void)sched_yield();
    }
    workers_stop(workers);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        n_taken += submitters[i].n_taken;
    }
    assert_int_equal(atomic_load(&count), n_taken);
    workers_free(&workers);
    assert_true(n_taken > 0);
}

struct polite_job {
    struct work job;
    atomic_int nice;
};

static void run_polite(struct work *job)
{
    struct polite_job *self = (struct polite_job *)job; /* its first member */

    atomic_store(&self->nice, getpriority(PRIO_PROCESS, (id_t)gettid()));
}

/* Workers with the option nice run at that priority, and no other thread does. */
static void test_nice_workers_have_lower_priority(void **state)
{
    const struct workers_options options = {
        .n_min = 1, .n_max = 1, .queue_max = 1, .idle_ms = 60000, .nice = 10};
    int mine = getpriority(PRIO_PROCESS, 0);
    struct workers *workers = workers_new(&options);
    struct polite_job job = {.job = {.run = run_polite}};

    (void)state;
    assert_true(workers_submit(workers, &job.job));
    workers_stop(workers);
    assert_int_equal(atomic_load(&job.nice), mine + 10 < 19 ? mine + 10 : 19);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)gettid()), mine);
    workers_free(&workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_refuses),
        cmocka_unit_test(test_takes_what_is_handed),
        cmocka_unit_test(test_shrinks),
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_nice_workers_have_lower_priority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
