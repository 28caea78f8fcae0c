/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load generator. */
#include "tests/bench/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/buf.h"

#include "tests/bench/dial.h"
#include "tests/bench/pace.h"

#define NS_PER_S         INT64_C(1000000000)
#define DRAIN_NS         (10 * NS_PER_S)
#define RETRY_NS         (NS_PER_S / 20) /* between two attempts to connect again */
#define SLEEP_NS         (NS_PER_S / 10) /* at most, so that the end is noticed */
#define PAUSE_NS         (NS_PER_S / 10) /* of a client after a refusal */
#define RECEIVE_BYTES    ((size_t)256 * 1024)
#define ANSWER_MAX_BYTES (4u << 20)
#define EVENTS_MAX       256
/* One in so many JSON answers is parsed as a whole. */
#define DEEP_EVERY 64

enum conn_state {
    CONN_DOWN,
    CONN_IDLE,
    CONN_PAUSED, /* was refused, and waits before its next request */
    CONN_BUSY    /* a request is under way */
};

struct conn {
    enum conn_state state;
    struct conn *next; /* in the queue of its state */
    int fd;
    size_t line;    /* of the script: the one under way, or the next */
    int64_t due_ns; /* of the request; paused: when to go on */
    size_t out_len, out_sent;
    char out[SCRIPT_REQUEST_MAX];
    struct buf in; /* the start of an answer that comes in pieces */
    unsigned n_answers;
};

/* First in, first out. */
struct queue {
    struct conn *first, **end; /* END: where to link the next one */
    size_t n;
};

/* One thread. While it runs it shares only the script, and each line of that belongs to
 * one connection. */
struct worker {
    const struct load_options *options;
    struct script *script;
    struct load_result *result; /* owned */
    pthread_t thread;
    int epoll;
    struct conn *conn; /* owned */
    size_t n, n_busy;
    size_t first_conn; /* index of conn[0] in the connections of all workers */
    /* Idle connections. The one that has waited longest is first, so that all are used.
     */
    struct queue idle;
    struct queue paused; /* in the order in which they go on */
    char *part;          /* owned, RECEIVE_BYTES */
    struct pace pace;
    uint64_t k; /* requests begun so far */
    int64_t measure_ns, end_ns, retry_ns;
};

static int64_t now_ns(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* The window in which NS lies; NULL: none. */
static struct window *window_at(const struct worker *worker, int64_t ns)
{
    if (ns < worker->measure_ns) {
        return NULL;
    }
    size_t i = (size_t)((ns - worker->measure_ns) / worker->options->window_ns);
    return i < worker->options->windows ? &worker->result->window[i] : NULL;
}

static void count_latency(struct worker *worker, int64_t due_ns, int64_t now)
{
    struct window *window = window_at(worker, due_ns);

    if (window != NULL) {
        hist_add(&window->latency, now - due_ns);
    }
}

/* ---- Connections ---- */

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.end = &queue->first};
}

static void queue_push(struct queue *queue, struct conn *conn)
{
    conn->next = NULL;
    *queue->end = conn;
    queue->end = &conn->next;
    queue->n++;
}

static struct conn *queue_pop(struct queue *queue)
{
    struct conn *conn = queue->first;

    queue->first = conn->next;
    queue->n--;
    if (queue->first == NULL) {
        queue_init(queue);
    }
    return conn;
}

/* Remove CONN: pop every entry and push all others again. */
static void queue_remove(struct queue *queue, const struct conn *conn)
{
    for (size_t i = queue->n; i > 0; i--) {
        struct conn *other = queue_pop(queue);
        if (other != conn) {
            queue_push(queue, other);
        }
    }
}

static void make_idle(struct worker *worker, struct conn *conn)
{
    conn->state = CONN_IDLE;
    queue_push(&worker->idle, conn);
}

static void make_paused(struct worker *worker, struct conn *conn)
{
    conn->state = CONN_PAUSED;
    conn->due_ns = now_ns() + PAUSE_NS;
    queue_push(&worker->paused, conn);
}

static void end_pauses(struct worker *worker, int64_t now)
{
    while (worker->paused.n > 0 && worker->paused.first->due_ns <= now) {
        make_idle(worker, queue_pop(&worker->paused));
    }
}

static bool open_conn(struct worker *worker, struct conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

    conn->fd = dial(worker->options->port);
    if (conn->fd < 0) {
        return false;
    }
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        close(conn->fd);
        return false;
    }
    make_idle(worker, conn);
    return true;
}

static void want_output(struct worker *worker, struct conn *conn, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0U),
                                .data.ptr = conn};

    CHECK(epoll_ctl(worker->epoll, EPOLL_CTL_MOD, conn->fd, &event) == 0);
}

static void close_conn(struct worker *worker, struct conn *conn)
{
    if (conn->state == CONN_BUSY) {
        worker->n_busy--;
    } else {
        queue_remove(conn->state == CONN_IDLE ? &worker->idle : &worker->paused, conn);
    }
    close(conn->fd);
    conn->state = CONN_DOWN;
    conn->in.len = 0;
    worker->result->reconnects++;
}

/* Close CONN. If a request is under way, it will get no answer, and its outcome is
 * unknown. */
static void lose(struct worker *worker, struct conn *conn)
{
    if (conn->state == CONN_BUSY) {
        worker->result->lost++;
        count_latency(worker, conn->due_ns, now_ns());
        script_unknown(worker->script, conn->line);
        conn->line =
            script_next(worker->script, conn->line, worker->options->connections);
    }
    close_conn(worker, conn);
}

/* Open all closed connections. If one cannot be opened, the service is down: stop, and
 * try again later. */
static void retry_conns(struct worker *worker, int64_t now)
{
    bool answered = true;

    if (now < worker->retry_ns) {
        return;
    }
    worker->retry_ns = now + RETRY_NS;
    for (size_t i = 0; i < worker->n && answered; i++) {
        answered =
            worker->conn[i].state != CONN_DOWN || open_conn(worker, &worker->conn[i]);
    }
}

/* ---- Requests ---- */

static void send_more(struct worker *worker, struct conn *conn)
{
    bool was_stuck = conn->out_sent > 0;
    ssize_t n = send(conn->fd, conn->out + conn->out_sent, conn->out_len - conn->out_sent,
                     MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        lose(worker, conn);
        return;
    }
    conn->out_sent += n > 0 ? (size_t)n : 0;
    if (was_stuck || conn->out_sent < conn->out_len) {
        want_output(worker, conn, conn->out_sent < conn->out_len);
    }
}

static void begin_request(struct worker *worker, struct conn *conn, int64_t due_ns)
{
    conn->state = CONN_BUSY;
    conn->due_ns = due_ns;
    conn->out_len = script_write(worker->script, conn->line, conn->out);
    conn->out_sent = 0;
    worker->n_busy++;
    send_more(worker, conn);
}

/* Give work to the connections that have none. */
static void begin_due(struct worker *worker, int64_t now)
{
    bool open_loop = worker->options->per_s > 0;

    while (worker->idle.n > 0) {
        int64_t due_ns = open_loop ? pace_due_ns(&worker->pace, worker->k) : now;
        if (due_ns > now || due_ns >= worker->end_ns) {
            return;
        }
        worker->k++;
        begin_request(worker, queue_pop(&worker->idle), due_ns);
    }
}

/* ---- Answers ---- */

static void note_wrong(struct load_result *result, const char *bytes, size_t len)
{
    result->wrong++;
    if (result->first_wrong[0] == '\0') {
        snprintf(result->first_wrong, sizeof result->first_wrong, "%.*s", (int)len,
                 bytes);
    }
}

static void count_right(struct worker *worker, const struct conn *conn,
                        struct window *window)
{
    bool changed = script_done(worker->script, conn->line);

    worker->result->right++;
    worker->result->changed += changed;
    if (window != NULL) {
        window->answered++;
        window->changed += changed;
    }
}

static void count_answer(struct worker *worker, struct conn *conn, enum verdict verdict,
                         const char *bytes, size_t len)
{
    int64_t now = now_ns();
    struct window *window = window_at(worker, now);

    CHECK(worker->result != NULL);
    if (window != NULL) {
        window->bytes += len;
    }
    if (verdict == ANSWER_RIGHT) {
        count_latency(worker, conn->due_ns, now);
        count_right(worker, conn, window);
    } else if (verdict == ANSWER_REFUSED) {
        script_unknown(worker->script, conn->line);
        worker->result->refused++;
        if (window != NULL) {
            window->refused++;
        }
    } else {
        script_unknown(worker->script, conn->line);
        note_wrong(worker->result, bytes, len);
    }
}

/* The answer is complete: CONN is free for the next request. */
static void finish_request(struct worker *worker, struct conn *conn, enum verdict verdict,
                           bool closes)
{
    conn->line = script_next(worker->script, conn->line, worker->options->connections);
    conn->in.len = 0;
    if (closes || verdict == ANSWER_WRONG) {
        close_conn(worker, conn);
        worker->retry_ns = 0;
    } else {
        worker->n_busy--;
        if (verdict == ANSWER_REFUSED) {
            make_paused(worker, conn);
        } else {
            make_idle(worker, conn);
        }
    }
}

/* Returns the bytes to judge: those just read, behind earlier ones if there are any. */
static const char *gather(struct worker *worker, struct conn *conn, size_t *len)
{
    if (conn->in.len == 0) {
        return worker->part;
    }
    if (!buf_add(&conn->in, worker->part, *len)) {
        return NULL;
    }
    *len = conn->in.len;
    return conn->in.data;
}

static void receive(struct worker *worker, struct conn *conn)
{
    bool closes = false;
    ssize_t n = recv(conn->fd, worker->part, RECEIVE_BYTES - 1, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0 || conn->state != CONN_BUSY) {
        lose(worker, conn);
        return;
    }
    size_t len = (size_t)n;
    worker->part[len] = '\0';
    const char *bytes = gather(worker, conn, &len);
    if (bytes == NULL) {
        lose(worker, conn);
        return;
    }
    enum verdict verdict = answer_judge(&worker->options->wanted, bytes, len,
                                        conn->n_answers % DEEP_EVERY == 0, &closes,
                                        &worker->result->refusal);
    if (verdict != ANSWER_PART) {
        conn->n_answers++;
        count_answer(worker, conn, verdict, bytes, len);
        finish_request(worker, conn, verdict, closes);
    } else if (bytes == worker->part && !buf_add(&conn->in, bytes, len)) {
        lose(worker, conn);
    }
}

/* ---- A thread ---- */

static int64_t min_ns(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The time until something is due that no event announces. */
static struct timespec sleep_time(const struct worker *worker, int64_t now)
{
    int64_t until_ns = now + SLEEP_NS;

    if (worker->options->per_s > 0 && worker->idle.n > 0) {
        until_ns = min_ns(until_ns, pace_due_ns(&worker->pace, worker->k));
    }
    if (worker->paused.n > 0) {
        until_ns = min_ns(until_ns, worker->paused.first->due_ns);
    }
    return (struct timespec){.tv_nsec = until_ns > now ? until_ns - now : 0};
}

static void wait_events(struct worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    const struct timespec patience = sleep_time(worker, now_ns());
    int n = epoll_pwait2(worker->epoll, events, EVENTS_MAX, &patience, NULL);

    for (int i = 0; i < n; i++) {
        struct conn *conn = events[i].data.ptr;
        if (conn->state == CONN_BUSY && conn->out_sent < conn->out_len) {
            send_more(worker, conn);
        } else if (conn->state != CONN_DOWN) {
            receive(worker, conn);
        }
    }
}

/* Is a request under way, or due before the end and not begun? */
static bool has_work(const struct worker *worker)
{
    return worker->n_busy > 0 || (worker->options->per_s > 0 &&
                                  pace_due_ns(&worker->pace, worker->k) < worker->end_ns);
}

/* Requests without an answer count with the time that they have waited. */
static void give_up(struct worker *worker)
{
    int64_t now = now_ns();

    for (size_t i = 0; i < worker->n; i++) {
        if (worker->conn[i].state == CONN_BUSY) {
            lose(worker, &worker->conn[i]);
        }
    }
    while (worker->options->per_s > 0 && has_work(worker)) {
        worker->result->lost++;
        count_latency(worker, pace_due_ns(&worker->pace, worker->k++), now);
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    int64_t now = now_ns();

    while (now < worker->end_ns ||
           (now < worker->end_ns + DRAIN_NS && has_work(worker))) {
        end_pauses(worker, now);
        begin_due(worker, now);
        wait_events(worker);
        now = now_ns();
        retry_conns(worker, now);
    }
    give_up(worker);
    return NULL;
}

/* ---- All of them ---- */

static bool worker_init(struct worker *worker, const struct load_options *options,
                        struct script *script, size_t i)
{
    *worker = (struct worker){.options = options, .script = script};
    worker->first_conn = options->connections * i / options->threads;
    worker->n = options->connections * (i + 1) / options->threads - worker->first_conn;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->conn = calloc(worker->n, sizeof *worker->conn);
    queue_init(&worker->idle);
    queue_init(&worker->paused);
    worker->part = malloc(RECEIVE_BYTES);
    worker->result = calloc(1, sizeof *worker->result);
    if (worker->epoll < 0 || worker->conn == NULL || worker->part == NULL ||
        worker->result == NULL) {
        return false;
    }
    for (size_t c = 0; c < worker->n; c++) {
        buf_init(&worker->conn[c].in, ANSWER_MAX_BYTES);
        worker->conn[c].line =
            script_first(script, worker->first_conn + c, options->connections);
    }
    return true;
}

static void worker_release(struct worker *worker)
{
    for (size_t c = 0; worker->conn != NULL && c < worker->n; c++) {
        buf_clear(&worker->conn[c].in);
        if (worker->conn[c].state != CONN_DOWN) {
            close(worker->conn[c].fd);
        }
    }
    if (worker->epoll >= 0) {
        close(worker->epoll);
    }
    free(worker->conn);
    free(worker->part);
    free(worker->result);
}

static bool connect_all(struct worker *worker)
{
    for (size_t c = 0; c < worker->n; c++) {
        if (!open_conn(worker, &worker->conn[c])) {
            return false;
        }
    }
    return true;
}

static void sleep_until(int64_t ns)
{
    const struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static void merge(struct load_result *into, const struct load_result *from,
                  size_t windows)
{
    for (size_t i = 0; i < windows; i++) {
        struct window *to = &into->window[i];
        const struct window *part = &from->window[i];
        hist_merge(&to->latency, &part->latency);
        to->answered += part->answered;
        to->changed += part->changed;
        to->refused += part->refused;
        to->bytes += part->bytes;
    }
    into->right += from->right;
    into->changed += from->changed;
    into->refused += from->refused;
    into->wrong += from->wrong;
    into->lost += from->lost;
    into->reconnects += from->reconnects;
    into->refusal = from->refused > 0 ? from->refusal : into->refusal;
    if (into->first_wrong[0] == '\0') {
        memcpy(into->first_wrong, from->first_wrong, sizeof into->first_wrong);
    }
}

/* Start the threads on one schedule, tick where windows begin and end, and wait for the
 * end. */
static void run_workers(struct worker *workers, const struct load_options *options,
                        load_tick_f *tick, void *context)
{
    int64_t start_ns = now_ns();
    int64_t measure_ns = start_ns + options->warm_up_ns;

    for (size_t i = 0; i < options->threads; i++) {
        struct worker *worker = &workers[i];
        worker->pace = (struct pace){start_ns, options->per_s / (double)options->threads};
        worker->measure_ns = measure_ns;
        worker->end_ns = measure_ns + (int64_t)options->windows * options->window_ns;
        CHECK(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
    }
    for (size_t i = 0; i <= options->windows; i++) {
        sleep_until(measure_ns + (int64_t)i * options->window_ns);
        tick(context, i);
    }
    for (size_t i = 0; i < options->threads; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    }
}

bool load_run(const struct load_options *options, struct script *script,
              load_tick_f *tick, void *context, struct load_result *result, char *why)
{
    struct worker workers[LOAD_THREADS_MAX];
    size_t n = 0;
    bool good = true;

    memset(result, 0, sizeof *result);
    for (; n < options->threads && good; n++) {
        good = worker_init(&workers[n], options, script, n);
        if (!good) {
            snprintf(why, LOAD_WHY_BYTES, "no memory for %zu connections",
                     options->connections);
        } else if (!connect_all(&workers[n])) {
            snprintf(why, LOAD_WHY_BYTES, "port %u of 127.0.0.1 does not answer",
                     options->port);
            good = false;
        }
    }
    if (good) {
        run_workers(workers, options, tick, context);
    }
    for (size_t i = 0; i < n; i++) {
        if (good) {
            merge(result, workers[i].result, options->windows);
        }
        worker_release(&workers[i]);
    }
    return good;
}
