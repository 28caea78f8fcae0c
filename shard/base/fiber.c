/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Fibers: many pieces of work on few threads, each on a small stack of its own. */
#include "shard/base/fiber.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/fiber_impl.h"
#include "shard/base/log.h"
#include "shard/base/wait.h"

/* Limit of events of one epoll_wait(2); the rest comes with the next. */
#define EVENTS_MAX 128

/* Stacks that each thread has from the start, and keeps. */
#define STACKS_KEPT 8

/* Stacks not used for this long are unmapped. */
#define TRIM_MS 10000

struct fiber_thread {
    struct fibers *fibers; /* (ref) */
    pthread_t id;
    bool is_started;
    int epoll_fd;
    int event_fd; /* written to wake the loop */

    /* Of any thread. */
    _Atomic(struct work *) inbox; /* new work and woken fibers, the latest first */
    atomic_uint n_pushing;        /* threads that are in push() */
    atomic_bool is_asleep;        /* the loop sleeps, or is about to: it must be woken */
    atomic_size_t n_work;
    atomic_size_t n_stacks;

    /* Of the thread itself. */
    struct fiber_context context; /* the loop */
    struct fiber *current;        /* NULL: the loop runs */
    struct fiber *ready;
    struct fiber **ready_end;
    struct work *backlog; /* has no fiber yet */
    struct work **backlog_end;
    struct fiber *waiting;
    int64_t next_ms;    /* the nearest deadline of those, or earlier; WAIT_FOR_EVER: there
                         * is none */
    struct fiber *free; /* the last used first */
    size_t n_free;
    size_t least_free; /* since the last trim */
    int64_t trim_ms;   /* when the next trim is due */
};

struct fibers {
    struct fibers_options options;
    atomic_bool is_stopping;
    atomic_size_t n_work;
    struct fiber_thread *threads; /* owned; as in options, of which N_THREADS are made */
    unsigned n_threads;
};

static _Thread_local struct fiber_thread *this_thread;

size_t fiber_stack_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return (size_t)1 << 20;
#else
    return (size_t)128 << 10;
#endif
}

struct fiber *fiber_current(void)
{
    return this_thread == NULL ? NULL : this_thread->current;
}

bool fiber_is_here(void)
{
    return fiber_current() != NULL;
}

int fiber_epoll_fd(const struct fiber *fiber)
{
    return fiber->thread->epoll_fd;
}

/* ---- Waiting and waking, on the fiber's own thread ---- */

static void make_ready(struct fiber *fiber)
{
    struct fiber_thread *thread = fiber->thread;

    fiber->next = NULL;
    *thread->ready_end = fiber;
    thread->ready_end = &fiber->next;
}

static void begin_wait(struct fiber *fiber, int64_t deadline_ms)
{
    struct fiber_thread *thread = fiber->thread;

    fiber->deadline_ms = deadline_ms;
    fiber->later = thread->waiting;
    fiber->link = &thread->waiting;
    if (fiber->later != NULL) {
        fiber->later->link = &fiber->later;
    }
    thread->waiting = fiber;
    if (deadline_ms < thread->next_ms) {
        thread->next_ms = deadline_ms;
    }
}

static void end_wait(struct fiber *fiber, bool is_late)
{
    *fiber->link = fiber->later;
    if (fiber->later != NULL) {
        fiber->later->link = fiber->link;
    }
    fiber->link = NULL;
    fiber->is_late = is_late;
    make_ready(fiber);
}

bool fiber_block(struct fiber *fiber, int64_t deadline_ms)
{
    const char *scope = log_scope_now();

    begin_wait(fiber, deadline_ms);
    fiber_switch(&fiber->context, &fiber->thread->context);
    log_scope(scope);
    return !fiber->is_late;
}

/* ---- The inbox ---- */

static void rouse(struct fiber_thread *thread)
{
    const uint64_t one = 1;

    if (atomic_load(&thread->is_asleep) && atomic_exchange(&thread->is_asleep, false)) {
        CHECK(write(thread->event_fd, &one, sizeof one) == sizeof one);
    }
}

/* The work may already have run when the pushing thread checks whether to wake the loop;
 * release_thread() waits for that check. */
static void push(struct fiber_thread *thread, struct work *work)
{
    struct work *first = atomic_load(&thread->inbox);

    (void)atomic_fetch_add(&thread->n_pushing, 1);
    do {
        work->next = first;
    } while (!atomic_compare_exchange_weak(&thread->inbox, &first, work));
    rouse(thread);
    (void)atomic_fetch_sub(&thread->n_pushing, 1);
}

/* The function that marks an entry of the inbox as a fiber to wake, not new work. */
static void wake(struct work *waking)
{
    end_wait((struct fiber *)((char *)waking - offsetof(struct fiber, waking)),
             /* is_late= */ false);
}

void fiber_wake(struct fiber *fiber)
{
    if (fiber->thread == this_thread) {
        end_wait(fiber, /* is_late= */ false);
    } else {
        fiber->waking.run = wake;
        push(fiber->thread, &fiber->waking);
    }
}

/* Everything in the inbox, in the order of arrival. */
static struct work *take_all(struct fiber_thread *thread)
{
    struct work *list = atomic_exchange(&thread->inbox, NULL);
    struct work *in_order = NULL;

    while (list != NULL) {
        struct work *next = list->next;
        list->next = in_order;
        in_order = list;
        list = next;
    }
    return in_order;
}

static void read_inbox(struct fiber_thread *thread)
{
    struct work *next;

    if (atomic_load(&thread->inbox) == NULL) {
        return;
    }
    for (struct work *work = take_all(thread); work != NULL; work = next) {
        next = work->next;
        if (work->run == wake) {
            wake(work);
        } else {
            work->next = NULL;
            *thread->backlog_end = work;
            thread->backlog_end = &work->next;
        }
    }
}

/* ---- Fibers ---- */

/* The life of a fiber: it runs one piece of work after another. */
static void fiber_main(void)
{
    struct fiber_thread *thread = this_thread;
    struct fiber *self = thread->current;

    fiber_switched(&thread->context);
    for (;;) {
        self->work->run(self->work);
        log_scope(NULL);
        self->next = thread->free;
        thread->free = self;
        thread->n_free++;
        (void)atomic_fetch_sub(&thread->fibers->n_work, self->is_spawned ? 0 : 1);
        (void)atomic_fetch_sub(&thread->n_work, 1);
        fiber_switch(&self->context, &thread->context);
    }
}

/* Add a fiber without work. False: no memory. */
static bool add_fiber(struct fiber_thread *thread)
{
    struct fiber *fiber = calloc(1, sizeof *fiber);

    if (fiber == NULL) {
        return false;
    }
    fiber->thread = thread;
    fiber->stack_bytes = thread->fibers->options.stack_bytes;
    fiber->stack = fiber_stack_new(&fiber->stack_bytes);
    if (fiber->stack == NULL) {
        free(fiber);
        return false;
    }
    fiber_context_init(&fiber->context, fiber->stack, fiber->stack_bytes, fiber_main);
    fiber->next = thread->free;
    thread->free = fiber;
    thread->n_free++;
    (void)atomic_fetch_add(&thread->n_stacks, 1);
    return true;
}

/* Take a fiber without work. NULL: no memory for one more. */
static struct fiber *take_fiber(struct fiber_thread *thread)
{
    if (thread->n_free == 0 && !add_fiber(thread)) {
        return NULL;
    }
    struct fiber *fiber = thread->free;
    thread->free = fiber->next;
    thread->n_free--;
    if (thread->n_free < thread->least_free) {
        thread->least_free = thread->n_free;
    }
    return fiber;
}

static void fiber_free(struct fiber *fiber)
{
    (void)atomic_fetch_sub(&fiber->thread->n_stacks, 1);
    fiber_context_release(&fiber->context);
    fiber_stack_free(fiber->stack, fiber->stack_bytes);
    free(fiber);
}

/* Keep N fibers without work, those used last. */
static void keep_fibers(struct fiber_thread *thread, size_t n)
{
    struct fiber **link = &thread->free;

    for (size_t i = 0; i < n && *link != NULL; i++) {
        link = &(*link)->next;
    }
    while (*link != NULL) {
        struct fiber *fiber = *link;
        *link = fiber->next;
        thread->n_free--;
        fiber_free(fiber);
    }
}

/* Unmap stacks that were not needed since the last trim. */
static void trim(struct fiber_thread *thread, int64_t now_ms)
{
    size_t n_used = thread->n_free - thread->least_free;

    keep_fibers(thread, n_used > STACKS_KEPT ? n_used : STACKS_KEPT);
    thread->least_free = thread->n_free;
    thread->trim_ms = now_ms + TRIM_MS;
}

/* ---- The loop ---- */

/* Give fibers to work that has none. */
static void begin_work(struct fiber_thread *thread)
{
    struct fiber *fiber;

    while (thread->backlog != NULL && (fiber = take_fiber(thread)) != NULL) {
        fiber->work = thread->backlog;
        fiber->is_spawned = false;
        thread->backlog = fiber->work->next;
        if (thread->backlog == NULL) {
            thread->backlog_end = &thread->backlog;
        }
        make_ready(fiber);
    }
}

/* Run all fibers that are ready now; those that become ready meanwhile wait for the next
 * round, so that events are not kept waiting. */
static void run_ready(struct fiber_thread *thread)
{
    struct fiber *list = thread->ready;

    thread->ready = NULL;
    thread->ready_end = &thread->ready;
    while (list != NULL) {
        thread->current = list;
        list = list->next;
        fiber_switch(&thread->context, &thread->current->context);
    }
    thread->current = NULL;
}

static bool is_over(const struct fiber_thread *thread)
{
    return atomic_load(&thread->fibers->is_stopping) && atomic_load(&thread->n_work) == 0;
}

/* For how long may the loop sleep at most? -1: for ever. */
static int timeout_of(const struct fiber_thread *thread)
{
    int64_t until_ms = thread->next_ms;

    if (thread->ready != NULL || thread->backlog != NULL) {
        return thread->ready != NULL ? 0 : 1; /* a fiber may become free soon */
    }
    if (thread->n_free > STACKS_KEPT && thread->trim_ms < until_ms) {
        until_ms = thread->trim_ms;
    }
    return until_ms == WAIT_FOR_EVER ? -1 : clock_left_ms(until_ms);
}

/* The event of EVENT_FD only wakes the loop: it is edge-triggered and never read. */
static void take_event(const struct epoll_event *event)
{
    struct wait_fd *fd = event->data.ptr;

    if (fd == NULL) {
        return;
    }
    fd->is_armed = false;
    fd->revents = (short)event->events;
    if (fd->fiber->waits_fds && fd->fiber->link != NULL) {
        end_wait(fd->fiber, /* is_late= */ false);
    }
}

static void look_for_events(struct fiber_thread *thread)
{
    struct epoll_event events[EVENTS_MAX];
    int timeout_ms = timeout_of(thread);

    if (timeout_ms != 0) {
        atomic_store(&thread->is_asleep, true);
        if (atomic_load(&thread->inbox) != NULL || is_over(thread)) {
            timeout_ms = 0;
        }
    }
    int n = epoll_wait(thread->epoll_fd, events, EVENTS_MAX, timeout_ms);
    atomic_store(&thread->is_asleep, false);
    CHECK(n >= 0 || errno == EINTR);
    for (int i = 0; i < n; i++) {
        take_event(&events[i]);
    }
}

/* May the deadline end the wait of FIBER? Not if it has been posted by now: the poster
 * will wake it. */
static bool claim(const struct fiber *fiber)
{
    enum parker_state state = PARKER_WAITED;

    return fiber->parker == NULL ||
           atomic_compare_exchange_strong(&fiber->parker->state, &state, PARKER_EMPTY);
}

/* Wake the fibers whose deadline has passed. That is rare, and then concerns many at
 * once, so they are not ordered: all are checked when the nearest deadline has passed. */
static void wake_late(struct fiber_thread *thread, int64_t now_ms)
{
    struct fiber *later;

    thread->next_ms = WAIT_FOR_EVER;
    for (struct fiber *fiber = thread->waiting; fiber != NULL; fiber = later) {
        later = fiber->later;
        if (fiber->deadline_ms > now_ms) {
            thread->next_ms = clock_earlier(fiber->deadline_ms, thread->next_ms);
        } else if (claim(fiber)) {
            end_wait(fiber, /* is_late= */ true);
        }
    }
}

static void look_at_clock(struct fiber_thread *thread)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms >= thread->next_ms) {
        wake_late(thread, now_ms);
    }
    if (now_ms >= thread->trim_ms) {
        trim(thread, now_ms);
    }
}

static void *thread_main(void *arg)
{
    struct fiber_thread *thread = arg;

    this_thread = thread;
    fiber_context_of_thread(&thread->context);
    while (!is_over(thread)) {
        look_for_events(thread);
        look_at_clock(thread);
        read_inbox(thread);
        begin_work(thread);
        run_ready(thread);
    }
    return NULL;
}

/* ---- All threads ---- */

static bool add_fibers(struct fiber_thread *thread)
{
    while (thread->n_free < STACKS_KEPT) {
        if (!add_fiber(thread)) {
            return false;
        }
    }
    return true;
}

/* False: something is missing; release_thread() must be called all the same. */
static bool start_thread(struct fiber_thread *thread)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

    thread->ready_end = &thread->ready;
    thread->backlog_end = &thread->backlog;
    thread->next_ms = WAIT_FOR_EVER;
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    thread->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!add_fibers(thread) || thread->epoll_fd < 0 || thread->event_fd < 0 ||
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, thread->event_fd, &event) != 0) {
        return false;
    }
    int rc = pthread_create(&thread->id, NULL, thread_main, thread);
    if (rc != 0) {
        log_write(LOG_WARN, "fibers_not_started", "errno=%d", rc);
    }
    thread->is_started = rc == 0;
    return thread->is_started;
}

static void stop_thread(struct fiber_thread *thread)
{
    if (thread->is_started) {
        rouse(thread);
        (void)pthread_join(thread->id, NULL);
        thread->is_started = false;
    }
}

/* Called when all have stopped, because they wake each other. */
static void release_thread(struct fiber_thread *thread)
{
    keep_fibers(thread, 0);
    while (atomic_load(&thread->n_pushing) > 0) {
        (void)sched_yield();
    }
    if (thread->epoll_fd >= 0) {
        (void)close(thread->epoll_fd);
    }
    if (thread->event_fd >= 0) {
        (void)close(thread->event_fd);
    }
}

static bool start_threads(struct fibers *fibers)
{
    fibers->threads = calloc(fibers->options.n_threads, sizeof *fibers->threads);
    if (fibers->threads == NULL) {
        return false;
    }
    while (fibers->n_threads < fibers->options.n_threads) {
        struct fiber_thread *thread = &fibers->threads[fibers->n_threads++];
        thread->fibers = fibers;
        if (!start_thread(thread)) {
            return false;
        }
    }
    return true;
}

struct fibers *fibers_new(const struct fibers_options *options)
{
    struct fibers *fibers = calloc(1, sizeof *fibers);

    CHECK(options->n_threads >= 1 && options->work_max >= 1);
    if (fibers == NULL) {
        return NULL;
    }
    fibers->options = *options;
    if (fibers->options.stack_bytes == 0) {
        fibers->options.stack_bytes = fiber_stack_bytes();
    }
    if (!start_threads(fibers)) {
        fibers_free(&fibers);
    }
    return fibers;
}

void fibers_stop(struct fibers *fibers)
{
    if (fibers == NULL) {
        return;
    }
    atomic_store(&fibers->is_stopping, true);
    for (unsigned i = 0; i < fibers->n_threads; i++) {
        stop_thread(&fibers->threads[i]);
    }
}

void fibers_free(struct fibers **fibers)
{
    struct fibers *self = *fibers;

    if (self == NULL) {
        return;
    }
    *fibers = NULL;
    fibers_stop(self);
    for (unsigned i = 0; i < self->n_threads; i++) {
        release_thread(&self->threads[i]);
    }
    free(self->threads);
    free(self);
}

/* The thread with the least work. */
static struct fiber_thread *choose_thread(struct fibers *fibers)
{
    struct fiber_thread *best = &fibers->threads[0];
    size_t least = atomic_load(&best->n_work);

    for (unsigned i = 1; i < fibers->n_threads; i++) {
        size_t n = atomic_load(&fibers->threads[i].n_work);
        if (n < least) {
            least = n;
            best = &fibers->threads[i];
        }
    }
    return best;
}

/* Work is counted before checking for room and for the stop: a thread ends when it stops
 * and then finds nothing counted (Dekker's pattern).
 */
bool fibers_submit(struct fibers *fibers, struct work *work)
{
    struct fiber_thread *thread = choose_thread(fibers);
    size_t n_others = atomic_fetch_add(&fibers->n_work, 1);

    (void)atomic_fetch_add(&thread->n_work, 1);
    if (n_others >= fibers->options.work_max || atomic_load(&fibers->is_stopping)) {
        (void)atomic_fetch_sub(&fibers->n_work, 1);
        (void)atomic_fetch_sub(&thread->n_work, 1);
        if (atomic_load(&fibers->is_stopping)) {
            rouse(thread); /* it may wait for the work that was counted */
        }
        return false;
    }
    push(thread, work);
    return true;
}

bool fiber_spawn(struct work *work)
{
    struct fiber_thread *thread = this_thread;

    if (!fiber_is_here()) {
        return false;
    }
    const struct fibers_options *options = &thread->fibers->options;
    if (thread->n_free == 0 &&
        atomic_load(&thread->n_stacks) >= options->work_max / options->n_threads) {
        return false;
    }
    struct fiber *fiber = take_fiber(thread);
    if (fiber == NULL) {
        return false;
    }
    (void)atomic_fetch_add(&thread->n_work, 1);
    fiber->work = work;
    fiber->is_spawned = true;
    make_ready(fiber);
    return true;
}

void fibers_state(const struct fibers *fibers, struct fibers_state *state)
{
    *state = (struct fibers_state){.n_threads = fibers->n_threads,
                                   .n_work = atomic_load(&fibers->n_work)};
    for (unsigned i = 0; i < fibers->n_threads; i++) {
        state->n_stacks += atomic_load(&fibers->threads[i].n_stacks);
    }
}
