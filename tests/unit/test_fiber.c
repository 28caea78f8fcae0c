/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Fibers run every piece of work once, and everything that can be waited for ends the
 * wait, on fibers and on threads.
 *
 * The Makefile links this program so that our objects call the functions below for the
 * time and for memory of stacks. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"
#include "shard/base/wait.h"

#include "tests/unit/cmocka_all.h"

static atomic_int_fast64_t skipped_ms; /* how far the clock is ahead */
static atomic_bool no_memory;          /* mmap() fails */

int64_t __real_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void);
void *__real_mmap(void *at, size_t bytes, int how, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int how, int flags, int fd, off_t offset);

int64_t __wrap_clock_mono_ms(void)
{
    return __real_clock_mono_ms() + atomic_load(&skipped_ms);
}

// NOLINTNEXTLINE(readability-function-size): these are its parameters
void *__wrap_mmap(void *at, size_t bytes, int how, int flags, int fd, off_t offset)
{
    if (atomic_load(&no_memory)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, bytes, how, flags, fd, offset);
}

/* The headers may call it by this name. */
void *__wrap_mmap64(void *at, size_t bytes, int how, int flags, int fd, off_t offset)
    __attribute__((alias("__wrap_mmap")));

static struct fibers *new_fibers(unsigned n_threads, size_t work_max)
{
    const struct fibers_options options = {.n_threads = n_threads, .work_max = work_max};
    struct fibers *fibers = fibers_new(&options);

    assert_non_null(fibers);
    return fibers;
}

/* ---- A check that runs on a fiber and returns whether it passed ---- */

struct errand {
    struct work work;
    bool (*what)(void);
    bool went_well;
    sem_t done;
};

static void run_errand(struct work *work)
{
    struct errand *errand = (struct errand *)work; /* its first member */

    errand->went_well = errand->what();
    (void)sem_post(&errand->done);
}

static bool on_fiber(struct fibers *fibers, bool (*what)(void))
{
    struct errand errand = {.work = {.run = run_errand}, .what = what};

    assert_int_equal(sem_init(&errand.done, 0, 0), 0);
    assert_true(fibers_submit(fibers, &errand.work));
    assert_int_equal(sem_wait(&errand.done), 0);
    (void)sem_destroy(&errand.done);
    return errand.went_well;
}

/* Runs it on this thread, which runs no fibers, and on a fiber. */
static void both_ways(bool (*what)(void))
{
    struct fibers *fibers = new_fibers(1, 4);

    assert_true(what());
    assert_true(on_fiber(fibers, what));
    fibers_free(&fibers);
}

/* ---- File descriptors ---- */

/* Waits until an event arrives; false: the deadline passed first. */
static bool wait_until(struct wait_fd *fds, int64_t deadline_ms)
{
    while (wait_fds(fds, deadline_ms)) {
        for (const struct wait_fd *w = fds; w != NULL; w = w->next) {
            if (w->revents != 0) {
                return true;
            }
        }
    }
    return false;
}

static bool readable_at_once(void)
{
    int ends[2];
    struct wait_fd fd = {.events = POLLIN};
    bool good = pipe(ends) == 0 && write(ends[1], "x", 1) == 1;

    fd.fd = ends[0];
    good = good && wait_until(&fd, WAIT_FOR_EVER) && fd.revents == POLLIN;
    /* Also with a deadline in the past. */
    good = good && wait_until(&fd, clock_mono_ms() - 5) && fd.revents == POLLIN;
    (void)close(ends[1]);
    char byte;
    good = good && read(ends[0], &byte, 1) == 1 && wait_until(&fd, WAIT_FOR_EVER) &&
           (fd.revents & POLLHUP) != 0;
    (void)close(ends[0]);
    return good;
}

static bool nothing_to_read(void)
{
    int ends[2];
    bool good = pipe(ends) == 0;
    struct wait_fd fd = {.fd = ends[0], .events = POLLIN};
    int64_t until_ms = clock_mono_ms() + 20;

    good = good && !wait_until(&fd, until_ms) && clock_mono_ms() >= until_ms &&
           fd.revents == 0;
    good = good && !wait_until(&fd, clock_mono_ms() - 5);
    wait_fds_end(&fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return good;
}

static bool not_for_epoll(void)
{
    struct wait_fd fd = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .events = POLLIN};
    bool good = wait_until(&fd, WAIT_FOR_EVER) && fd.revents == POLLIN;

    (void)close(fd.fd);
    good = good && wait_until(&fd, WAIT_FOR_EVER) && fd.revents == POLLNVAL;
    wait_fds_end(&fd);
    return good;
}

/* The descriptor without an event stays armed for the next call. Afterwards other
 * pipes get the same descriptor numbers. */
static bool one_of_two(void)
{
    bool good = true;

    for (int i = 0; i < 3 && good; i++) {
        int a[2] = {-1, -1};
        int b[2] = {-1, -1};
        good = pipe(a) == 0 && pipe(b) == 0;
        struct wait_fd second = {.fd = b[0], .events = POLLIN};
        struct wait_fd first = {.fd = a[0], .events = POLLIN, .next = &second};
        good = good && write(b[1], "x", 1) == 1 && wait_until(&first, WAIT_FOR_EVER) &&
               second.revents == POLLIN && first.revents == 0;
        second.events = POLLPRI; /* this event never arrives */
        good = good && write(a[1], "x", 1) == 1 && wait_until(&first, WAIT_FOR_EVER) &&
               first.revents == POLLIN && second.revents == 0;
        wait_fds_end(&first);
        (void)close(a[0]);
        (void)close(a[1]);
        (void)close(b[0]);
        (void)close(b[1]);
    }
    return good;
}

static void test_fds(void **state)
{
    (void)state;
    both_ways(readable_at_once);
    both_ways(nothing_to_read);
    both_ways(not_for_epoll);
    both_ways(one_of_two);
}

/* ---- The clock and parkers ---- */

static bool sleep_well(void)
{
    int64_t until_ms = clock_mono_ms() + 5;

    wait_ms(5);
    wait_ms(0);
    return clock_mono_ms() >= until_ms;
}

static bool post_before_wait(void)
{
    struct parker parker;
    bool good = true;

    parker_init(&parker);
    for (int i = 0; i < 3; i++) {
        parker_post(&parker);
        good = good && parker_wait(&parker, clock_mono_ms() - 5);
    }
    parker_release(&parker);
    return good;
}

static bool no_news(void)
{
    struct parker parker;
    int64_t until_ms = clock_mono_ms() + 10;

    parker_init(&parker);
    bool good = !parker_wait(&parker, until_ms) && clock_mono_ms() >= until_ms &&
                !parker_wait(&parker, until_ms);
    parker_post(&parker); /* it is still usable */
    good = good && parker_wait(&parker, WAIT_FOR_EVER);
    parker_release(&parker);
    return good;
}

static void *post_it(void *parker)
{
    parker_post(parker);
    return NULL;
}

static bool news_from_thread(void)
{
    struct parker parker;
    pthread_t id;

    parker_init(&parker);
    if (pthread_create(&id, NULL, post_it, &parker) != 0) {
        return false;
    }
    bool good = parker_wait(&parker, WAIT_FOR_EVER);
    (void)pthread_join(id, NULL);
    parker_release(&parker);
    return good;
}

static void test_news(void **state)
{
    (void)state;
    both_ways(sleep_well);
    both_ways(post_before_wait);
    both_ways(no_news);
    both_ways(news_from_thread);
}

/* ---- Posts that race with deadlines ---- */

#define N_BOXES 12
#define ROUNDS  1500

/* Waits for posts again and again; whoever takes its parker out posts to it. */
struct box {
    struct work work;
    struct post_office *office; /* (ref) */
    _Atomic(struct parker *) parker;
    unsigned n_received;
};

struct post_office {
    struct box boxes[N_BOXES];
    struct work postman;
    atomic_uint n_open; /* boxes that have not finished */
    atomic_uint n_posted;
};

static void receive(struct work *work)
{
    struct box *box = (struct box *)work; /* its first member */

    for (int i = 0; i < ROUNDS; i++) {
        struct parker parker;
        parker_init(&parker);
        atomic_store(&box->parker, &parker);
        bool is_told = parker_wait(&parker, clock_mono_ms() + i % 3);
        if (!is_told && atomic_exchange(&box->parker, NULL) == NULL) {
            is_told = parker_wait(&parker, WAIT_FOR_EVER); /* the post is on its way */
        }
        box->n_received += is_told;
        parker_release(&parker);
    }
    (void)atomic_fetch_sub(&box->office->n_open, 1);
}

static void carry(struct work *work)
{
    struct post_office *office =
        (struct post_office *)((char *)work - offsetof(struct post_office, postman));

    while (atomic_load(&office->n_open) > 0) {
        for (int i = 0; i < N_BOXES; i++) {
            struct parker *parker = atomic_exchange(&office->boxes[i].parker, NULL);
            if (parker != NULL) {
                (void)atomic_fetch_add(&office->n_posted, 1);
                parker_post(parker);
            }
        }
        wait_ms(0);
    }
}

static void *receive_on_thread(void *box)
{
    receive(box);
    return NULL;
}

static void *carry_on_thread(void *postman)
{
    carry(postman);
    return NULL;
}

/* Every post is received, whether threads or fibers wait and post. The thread
 * sanitizer checks that nobody touches a parker after its release. */
static void test_races(void **state)
{
    struct post_office *office = calloc(1, sizeof *office);
    struct fibers *fibers = new_fibers(2, N_BOXES + 1);
    pthread_t ids[2];
    unsigned n_received = 0;

    (void)state;
    assert_non_null(office);
    atomic_store(&office->n_open, N_BOXES);
    for (int i = 0; i < N_BOXES; i++) {
        office->boxes[i].office = office;
        office->boxes[i].work.run = receive;
    }
    office->postman.run = carry;
    for (int i = 1; i < N_BOXES; i++) {
        assert_true(fibers_submit(fibers, &office->boxes[i].work));
    }
    assert_true(fibers_submit(fibers, &office->postman));
    assert_int_equal(pthread_create(&ids[0], NULL, receive_on_thread, office->boxes), 0);
    assert_int_equal(pthread_create(&ids[1], NULL, carry_on_thread, &office->postman), 0);
    (void)pthread_join(ids[0], NULL);
    (void)pthread_join(ids[1], NULL);
    fibers_free(&fibers);
    for (int i = 0; i < N_BOXES; i++) {
        n_received += office->boxes[i].n_received;
    }
    assert_int_equal(n_received, atomic_load(&office->n_posted));
    assert_true(n_received > 0);
    free(office);
}

/* ---- Many at a time ---- */

/* Work that waits until the test opens the gate, and checks that its stack is
 * unchanged. */
struct crowd {
    atomic_uint n_begun, n_done, n_broken;
    atomic_bool is_open;
};

struct guest {
    struct work work;
    struct crowd *crowd; /* (ref) */
};

static void visit(struct work *work)
{
    struct guest *guest = (struct guest *)work; /* its first member */
    pthread_t thread = pthread_self();
    volatile double fraction = 1.0 / (double)(uintptr_t)guest;
    char name[64];
    char left[2000];

    (void)snprintf(name, sizeof name, "%p", (void *)guest);
    log_scope(name);
    memset(left, name[5], sizeof left);
    (void)atomic_fetch_add(&guest->crowd->n_begun, 1);
    while (!atomic_load(&guest->crowd->is_open)) {
        wait_ms(1);
    }
    bool good = pthread_equal(thread, pthread_self()) && log_scope_now() == name &&
                fraction == 1.0 / (double)(uintptr_t)guest;
    for (size_t i = 0; i < sizeof left; i++) {
        good = good && left[i] == name[5];
    }
    (void)atomic_fetch_add(&guest->crowd->n_broken, !good);
    (void)atomic_fetch_add(&guest->crowd->n_done, 1);
}

static void wait_for(atomic_uint *n, unsigned wanted)
{
    while (atomic_load(n) < wanted) {
        (void)sched_yield();
    }
}

static struct guest *invite(struct fibers *fibers, struct crowd *crowd, unsigned n)
{
    struct guest *guests = calloc(n, sizeof *guests);

    assert_non_null(guests);
    for (unsigned i = 0; i < n; i++) {
        guests[i] = (struct guest){.work = {.run = visit}, .crowd = crowd};
        assert_true(fibers_submit(fibers, &guests[i].work));
    }
    return guests;
}

static bool nothing(void)
{
    return fiber_stack_bytes() > 0;
}

static void test_crowd(void **state)
{
    struct fibers *fibers = new_fibers(2, 300);
    struct crowd crowd = {.is_open = false};
    struct guest *guests = invite(fibers, &crowd, 300);
    struct guest one_more = {.work = {.run = visit}, .crowd = &crowd};
    struct fibers_state now;

    (void)state;
    wait_for(&crowd.n_begun, 300);
    assert_false(fibers_submit(fibers, &one_more.work));
    fibers_state(fibers, &now);
    assert_int_equal(now.n_threads, 2);
    assert_int_equal(now.n_work, 300);
    assert_int_equal(now.n_stacks, 300);
    atomic_store(&crowd.is_open, true);
    fibers_free(&fibers); /* returns when all work is done */
    assert_null(fibers);
    assert_int_equal(atomic_load(&crowd.n_done), 300);
    assert_int_equal(atomic_load(&crowd.n_broken), 0);
    free(guests);
    fibers_free(&fibers); /* NULL is allowed: does nothing */
}

struct counted {
    struct work work;
    atomic_uint *n_run;
};

static void count(struct work *work)
{
    struct counted *self = (struct counted *)work; /* its first member */

    (void)atomic_fetch_add(self->n_run, 1);
    free(self);
}

struct submitter {
    struct fibers *fibers;
    atomic_bool *is_over;
    atomic_uint *n_run;
    unsigned n_taken;
};

static void *submit_until_over(void *arg)
{
    struct submitter *self = arg;

    while (!atomic_load(self->is_over)) {
        struct counted *counted = calloc(1, sizeof *counted);
        *counted = (struct counted){.work.run = count, .n_run = self->n_run};
        if (fibers_submit(self->fibers, &counted->work)) {
            self->n_taken++;
        } else {
            free(counted);
        }
    }
    return NULL;
}

/* Work that is submitted during a stop is refused or done: none is forgotten. */
static void test_stop(void **state)
{
    struct fibers *fibers = new_fibers(2, 64);
    atomic_bool is_over = false;
    atomic_uint n_run = 0;
    struct submitter submitters[2];
    pthread_t threads[2];
    unsigned n_taken = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        submitters[i] =
            (struct submitter){.fibers = fibers, .is_over = &is_over, .n_run = &n_run};
        assert_int_equal(
            pthread_create(&threads[i], NULL, submit_until_over, &submitters[i]), 0);
    }
    wait_for(&n_run, 1000);
    fibers_stop(fibers);
    atomic_store(&is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        n_taken += submitters[i].n_taken;
    }
    assert_int_equal(atomic_load(&n_run), n_taken);
    fibers_free(&fibers);
}

#define CHILDREN 50

/* The children of a fiber: all run on its thread. */
struct family {
    pthread_t thread;
    struct parker done;
    unsigned n_left;
    unsigned n_astray; /* ran on another thread */
};

struct child {
    struct work work;
    struct family *family;
};

static struct family family;

static void grow_up(struct work *work)
{
    struct family *ours = ((struct child *)work)->family; /* its first member */

    wait_ms(1);
    ours->n_astray += !fiber_is_here() || !pthread_equal(pthread_self(), ours->thread);
    ours->n_left--;
    if (ours->n_left == 0) {
        parker_post(&ours->done);
    }
}

static bool raise_family(void)
{
    struct child children[CHILDREN];
    unsigned n_spawned = 0;

    family = (struct family){.thread = pthread_self()};
    parker_init(&family.done);
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = (struct child){.work.run = grow_up, .family = &family};
        bool is_spawned = fiber_spawn(&children[i].work);
        family.n_left += is_spawned;
        n_spawned += is_spawned;
    }
    /* no child began before this fiber waits */
    bool is_first = family.n_left == n_spawned;
    bool is_posted = parker_wait(&family.done, WAIT_FOR_EVER);
    parker_release(&family.done);
    /* There are half as many stacks as pieces of work, and this fiber has one. */
    return is_first && is_posted && n_spawned == 9 && family.n_left == 0 &&
           family.n_astray == 0;
}

/* A fiber spawns others beside itself, which do not count as submitted work. */
static void test_spawn(void **state)
{
    struct fibers *fibers = new_fibers(2, 20);
    struct work work = {.run = grow_up};
    struct fibers_state now;

    (void)state;
    assert_false(fiber_is_here());
    assert_false(fiber_spawn(&work));
    assert_true(on_fiber(fibers, raise_family));
    fibers_stop(fibers);
    fibers_state(fibers, &now);
    assert_int_equal(now.n_work, 0);
    fibers_free(&fibers);
}

/* Stacks unused for ten seconds are freed, except for a few. */
static void test_trim(void **state)
{
    struct fibers *fibers = new_fibers(1, 100);
    struct crowd crowd = {.is_open = false};
    struct guest *guests = invite(fibers, &crowd, 100);
    struct fibers_state now;

    (void)state;
    wait_for(&crowd.n_begun, 100);
    atomic_store(&crowd.is_open, true);
    wait_for(&crowd.n_done, 100);
    for (int i = 0; i < 2; i++) {
        (void)atomic_fetch_add(&skipped_ms, 10001);
        fibers_state(fibers, &now);
        assert_int_equal(now.n_stacks, 100);
        assert_true(on_fiber(fibers, nothing));
    }
    fibers_state(fibers, &now);
    assert_int_equal(now.n_stacks, 8);
    fibers_free(&fibers);
    free(guests);
}

/* Without memory for more stacks, work waits for the existing ones. */
static void test_no_memory(void **state)
{
    const struct fibers_options options = {.n_threads = 1, .work_max = 20};
    struct crowd crowd = {.is_open = false};

    (void)state;
    atomic_store(&no_memory, true);
    assert_null(fibers_new(&options));
    atomic_store(&no_memory, false);
    struct fibers *fibers = new_fibers(1, 20);
    atomic_store(&no_memory, true);
    struct guest *guests = invite(fibers, &crowd, 20);
    wait_for(&crowd.n_begun, 8);
    assert_int_equal(atomic_load(&crowd.n_begun), 8);
    atomic_store(&crowd.is_open, true);
    wait_for(&crowd.n_done, 20);
    atomic_store(&no_memory, false);
    fibers_free(&fibers);
    free(guests);
}

static void test_no_fds(void **state)
{
    const struct fibers_options options = {.n_threads = 4, .work_max = 1};
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    (void)close(next);
    const struct rlimit tight = {.rlim_cur = (rlim_t)next + 3,
                                 .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    struct fibers *fibers = fibers_new(&options);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(fibers);
}

/* ---- A stack that overflows ---- */

// NOLINTNEXTLINE(misc-no-recursion): that is the point
static int go_deeper(const volatile char *above, int depth)
{
    volatile char room[4096];

    room[0] = above[0];
    return depth == 0 ? 0 : go_deeper(room, depth - 1) + room[0];
}

static bool use_most(void)
{
    volatile char top[1] = {1};

    return go_deeper(top, (int)(fiber_stack_bytes() / 4096 / 2)) > 0;
}

static bool overflow(void)
{
    volatile char top[1] = {1};

    return go_deeper(top, (int)(fiber_stack_bytes() / 4096) * 2) > 0;
}

static void test_overflow(void **state)
{
    struct fibers *fibers = new_fibers(1, 1);
    int status = 0;

    (void)state;
    assert_true(on_fiber(fibers, use_most));
    fibers_free(&fibers);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)close(STDERR_FILENO); /* where a sanitizer would report it */
        fibers = new_fibers(1, 1);
        (void)on_fiber(fibers, overflow);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_not_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fds),    cmocka_unit_test(test_news),
        cmocka_unit_test(test_races),  cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_trim),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_fds), cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_stop),   cmocka_unit_test(test_spawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
