/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The thread that ends slow connections. */
#include "server/http/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"

/* Limits of the interval between two checks. */
#define LOOK_MS_MIN 20
#define LOOK_MS_MAX 500

/* While draining, a connection that has been idle this long is ended. Others are told to
 * close with their next answer, which no client treats as an error. */
#define DRAIN_IDLE_MS 500

/* How long at most a closed connection is read from, and how many at a time. */
#define LINGER_MS  2000
#define LINGER_MAX 512

/* TCP_CLOSE_WAIT of <netinet/tcp.h>, which has an older struct tcp_info. */
#define STATE_CLOSE_WAIT 8

/* state = when << 24 | number << 4 | phase */
#define STATE_PHASE_BITS  4
#define STATE_NUMBER_BITS 20

/* How many connections are checked before others may begin and end again. */
#define BATCH_MAX 64

struct lingerer {
    int fd; /* owned */
    int64_t until_ms;
};

struct lingerers {
    size_t n;
    struct lingerer list[LINGER_MAX];
};

struct reaper {
    struct app *app;
    pthread_t thread;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t wake;
        pthread_cond_t looked; /* a batch was checked */
        struct reaper_conn *head;
        struct reaper_conn *next; /* next to check in this round; NULL: none */
        bool draining;
        bool hurry; /* check now */
        bool stopping;
        struct lingerers newcomers; /* not taken over yet */
        size_t n_lingering;         /* including those that the thread has */
    } shared;
    /* Only the thread's: it polls, reads and closes without the mutex, which every
     * connection needs when it begins and ends. */
    struct lingerers lingering;
    bool draining; /* as in shared, when the round began */
};

static enum reaper_phase state_phase(uint64_t state)
{
    return (enum reaper_phase)(state & ((1u << STATE_PHASE_BITS) - 1));
}

static uint64_t state_number(uint64_t state)
{
    return state >> STATE_PHASE_BITS & ((UINT64_C(1) << STATE_NUMBER_BITS) - 1);
}

static int64_t state_since_ms(uint64_t state)
{
    return (int64_t)(state >> (STATE_PHASE_BITS + STATE_NUMBER_BITS));
}

void reaper_enter(struct reaper_conn *conn, enum reaper_phase phase)
{
    uint64_t old = atomic_load_explicit(&conn->state, memory_order_relaxed);
    uint64_t number = state_number(old) + 1;
    uint64_t mask = (UINT64_C(1) << STATE_NUMBER_BITS) - 1;
    uint64_t since = (uint64_t)clock_mono_ms() << (STATE_PHASE_BITS + STATE_NUMBER_BITS);

    atomic_store_explicit(&conn->state,
                          since | (number & mask) << STATE_PHASE_BITS | (uint64_t)phase,
                          memory_order_relaxed);
}

/* What the kernel says about a connection. */
struct look {
    bool known;
    uint64_t bytes; /* total received, or (PHASE_WRITE) acknowledged by the peer */
    bool peer_left; /* the peer has closed its side, and everything it sent was read */
};

static struct look look_at(int fd, enum reaper_phase phase)
{
    struct look look = {.known = false};
    struct tcp_info info;
    socklen_t len = sizeof info;
    int unread = 0;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t)) {
        return look;
    }
    look.known = true;
    look.bytes = phase == PHASE_WRITE ? info.tcpi_bytes_acked : info.tcpi_bytes_received;
    look.peer_left = info.tcpi_state == STATE_CLOSE_WAIT &&
                     ioctl(fd, FIONREAD, &unread) == 0 && unread == 0;
    return look;
}

static void shut(struct reaper *reaper, struct reaper_conn *conn, const char *why)
{
    static const char *const names[] = {[PHASE_IDLE] = "idle",
                                        [PHASE_HEAD] = "head",
                                        [PHASE_BODY] = "body",
                                        [PHASE_WORK] = "work",
                                        [PHASE_WRITE] = "write"};

    (void)shutdown(conn->fd, SHUT_RDWR);
    conn->shut = true;
    metrics_add(reaper->app->metrics, METRIC_HTTP_REAPED, 1);
    log_write(LOG_DEBUG, "connection_reaped", "phase=%s reason=%s",
              names[state_phase(conn->seen_state)], why);
}

/* A connection without a request: has one begun, and is it late? */
static void look_idle(struct reaper *reaper, struct reaper_conn *conn,
                      const struct look *look, int64_t now_ms)
{
    const struct config *config = app_config(reaper->app);

    if (!conn->head_began && look->known && look->bytes > conn->window_bytes) {
        conn->head_began = true;
        conn->window_ms = now_ms;
    }
    if (conn->head_began) {
        if (now_ms - conn->window_ms >= config->header_timeout_ms) {
            shut(reaper, conn, "slow");
        }
    } else if (reaper->draining &&
               now_ms - state_since_ms(conn->seen_state) >= DRAIN_IDLE_MS) {
        shut(reaper, conn, "drain");
    } else if (now_ms - state_since_ms(conn->seen_state) >= config->idle_timeout_ms) {
        shut(reaper, conn, "timeout");
    }
}

/* A body or an answer: has enough moved in the window that ends now? */
static void look_rate(struct reaper *reaper, struct reaper_conn *conn,
                      const struct look *look, int64_t now_ms)
{
    const struct config *config = app_config(reaper->app);
    int64_t window_ms = now_ms - conn->window_ms;
    uint64_t wanted;

    if (window_ms < config->stall_timeout_ms || !look->known) {
        return;
    }
    wanted = (uint64_t)config->min_rate_bytes * (uint64_t)window_ms / 1000;
    if (look->bytes - conn->window_bytes < wanted) {
        shut(reaper, conn, "slow");
        return;
    }
    conn->window_ms = now_ms;
    conn->window_bytes = look->bytes;
}

/* A body has a deadline besides its rate: the rate alone would let one of 256 MiB take
 * days. */
static void look_body(struct reaper *reaper, struct reaper_conn *conn,
                      const struct look *look, int64_t now_ms)
{
    int64_t since_ms = state_since_ms(conn->seen_state);

    if (now_ms - since_ms >= app_config(reaper->app)->body_timeout_ms) {
        shut(reaper, conn, "timeout");
    } else {
        look_rate(reaper, conn, look, now_ms);
    }
}

/* The connection has changed its phase since the last check. */
static void begin_phase(struct reaper_conn *conn, uint64_t state, const struct look *look)
{
    enum reaper_phase phase = state_phase(state);
    bool first = state_number(state) == 1; /* the first is that of reaper_add() */

    conn->seen_state = state;
    if (phase != PHASE_HEAD || !conn->head_began) { /* otherwise the same header goes
                                                     * on */
        conn->window_ms = state_since_ms(state);
    }
    conn->head_began = false;
    conn->peer_left = false;
    /* All bytes of a new connection belong to its first request. */
    conn->window_bytes = first || !look->known ? 0 : look->bytes;
}

/* True when the client left in the middle of a request and the library has not noticed.
 * Checked twice in a row, because the last bytes read may just be on their way to a
 * handler. */
static bool is_deserted(struct reaper_conn *conn, const struct look *look)
{
    bool deserted = conn->peer_left && look->peer_left;

    conn->peer_left = look->peer_left;
    return deserted;
}

static void judge(struct reaper *reaper, struct reaper_conn *conn, int64_t now_ms)
{
    uint64_t state = atomic_load_explicit(&conn->state, memory_order_relaxed);
    enum reaper_phase phase = state_phase(state);
    struct look look;

    if (phase == PHASE_WORK) {
        return;
    }
    look = look_at(conn->fd, phase);
    if (state != conn->seen_state) {
        begin_phase(conn, state, &look);
    }
    if (phase == PHASE_WRITE) {
        look_rate(reaper, conn, &look, now_ms);
        return;
    }
    if (is_deserted(conn, &look)) {
        shut(reaper, conn, "left");
    } else if (phase == PHASE_IDLE) {
        look_idle(reaper, conn, &look, now_ms);
    } else if (phase == PHASE_BODY) {
        look_body(reaper, conn, &look, now_ms);
    } else if (now_ms - conn->window_ms >= app_config(reaper->app)->header_timeout_ms) {
        shut(reaper, conn, "slow");
    }
}

/* Read and drop what came. False: the peer has closed, or it took too long. */
static bool keep_lingering(const struct lingerer *linger, int64_t now_ms)
{
    char sink[16384];
    ssize_t n;
    int rounds = 64; /* one sender must not keep the thread busy */

    do {
        n = recv(linger->fd, sink, sizeof sink, MSG_DONTWAIT);
    } while (n > 0 && --rounds > 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        return false;
    }
    return now_ms < linger->until_ms;
}

static void look_lingering(struct lingerers *lingering, int64_t now_ms)
{
    size_t i = 0;

    while (i < lingering->n) {
        struct lingerer *linger = &lingering->list[i];

        if (keep_lingering(linger, now_ms)) {
            i++;
            continue;
        }
        /* The library may still have a refused connection open. */
        (void)shutdown(linger->fd, SHUT_RDWR);
        (void)close(linger->fd);
        *linger = lingering->list[--lingering->n];
    }
}

/* Take over newcomers, and check all with the mutex unlocked. */
static void linger_locked(struct reaper *reaper, int64_t now_ms)
{
    struct lingerers *mine = &reaper->lingering;
    struct lingerers *newcomers = &reaper->shared.newcomers;

    memcpy(mine->list + mine->n, newcomers->list,
           newcomers->n * sizeof newcomers->list[0]);
    mine->n += newcomers->n;
    newcomers->n = 0;
    if (mine->n == 0) {
        return;
    }
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
    look_lingering(mine, now_ms);
    (void)pthread_mutex_lock(&reaper->shared.mutex);
    reaper->shared.n_lingering = mine->n + newcomers->n;
}

/* A quarter of the shortest timeout, within bounds. */
static int look_ms(const struct config *config)
{
    int ms = LOOK_MS_MAX * 4;

    ms = config->idle_timeout_ms < ms ? config->idle_timeout_ms : ms;
    ms = config->header_timeout_ms < ms ? config->header_timeout_ms : ms;
    ms = config->stall_timeout_ms < ms ? config->stall_timeout_ms : ms;
    ms = config->body_timeout_ms < ms ? config->body_timeout_ms : ms;
    ms /= 4;
    return ms < LOOK_MS_MIN ? LOOK_MS_MIN : ms;
}

/* Take the next connections of the round; they must stay valid until the whole batch is
 * checked. */
static size_t take_batch_locked(struct reaper *reaper, struct reaper_conn **batch)
{
    size_t n = 0;

    while (reaper->shared.next != NULL && n < BATCH_MAX) {
        struct reaper_conn *conn = reaper->shared.next;

        reaper->shared.next = conn->next;
        if (!conn->shut) {
            conn->is_looked_at = true;
            batch[n++] = conn;
        }
    }
    return n;
}

/* One round, with the mutex unlocked while the kernel is asked. */
static void look_all_locked(struct reaper *reaper, int64_t now_ms)
{
    struct reaper_conn *batch[BATCH_MAX];
    size_t n;

    reaper->draining = reaper->shared.draining;
    reaper->shared.next = reaper->shared.head;
    while ((n = take_batch_locked(reaper, batch)) > 0) {
        (void)pthread_mutex_unlock(&reaper->shared.mutex);
        for (size_t i = 0; i < n; i++) {
            judge(reaper, batch[i], now_ms);
        }
        (void)pthread_mutex_lock(&reaper->shared.mutex);
        for (size_t i = 0; i < n; i++) {
            batch[i]->is_looked_at = false;
        }
        (void)pthread_cond_broadcast(&reaper->shared.looked);
    }
}

static void *reaper_main(void *arg)
{
    struct reaper *reaper = arg;
    int64_t look_at_ms = 0;
    int64_t wake_at_ms;
    struct timespec until;

    (void)pthread_mutex_lock(&reaper->shared.mutex);
    while (!reaper->shared.stopping) {
        const struct config *config = app_config(reaper->app);
        int64_t now_ms = clock_mono_ms();

        if (now_ms >= look_at_ms || reaper->shared.hurry) {
            reaper->shared.hurry = false;
            look_all_locked(reaper, now_ms);
            look_at_ms =
                now_ms + (reaper->shared.draining ? LOOK_MS_MIN : look_ms(config));
        }
        linger_locked(reaper, now_ms);
        if (reaper->shared.hurry || reaper->shared.stopping ||
            reaper->shared.newcomers.n > 0) {
            continue; /* it was signalled while no thread waited */
        }
        wake_at_ms = look_at_ms;
        if (reaper->lingering.n > 0 && now_ms + LOOK_MS_MIN < wake_at_ms) {
            wake_at_ms = now_ms + LOOK_MS_MIN;
        }
        until = clock_timespec(wake_at_ms);
        (void)pthread_cond_clockwait(&reaper->shared.wake, &reaper->shared.mutex,
                                     CLOCK_MONOTONIC, &until);
    }
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
    return NULL;
}

struct reaper *reaper_new(struct app *app)
{
    struct reaper *reaper = calloc(1, sizeof *reaper);

    if (reaper == NULL) {
        return NULL;
    }
    reaper->app = app;
    (void)pthread_mutex_init(&reaper->shared.mutex, NULL);
    (void)pthread_cond_init(&reaper->shared.wake, NULL);
    (void)pthread_cond_init(&reaper->shared.looked, NULL);
    if (pthread_create(&reaper->thread, NULL, reaper_main, reaper) != 0) {
        (void)pthread_cond_destroy(&reaper->shared.looked);
        (void)pthread_cond_destroy(&reaper->shared.wake);
        (void)pthread_mutex_destroy(&reaper->shared.mutex);
        free(reaper);
        return NULL;
    }
    return reaper;
}

static void close_all(struct lingerers *lingering)
{
    while (lingering->n > 0) {
        (void)close(lingering->list[--lingering->n].fd);
    }
}

void reaper_free(struct reaper **reaper)
{
    struct reaper *self = *reaper;

    if (self == NULL) {
        return;
    }
    *reaper = NULL;
    (void)pthread_mutex_lock(&self->shared.mutex);
    self->shared.stopping = true;
    (void)pthread_cond_signal(&self->shared.wake);
    (void)pthread_mutex_unlock(&self->shared.mutex);
    (void)pthread_join(self->thread, NULL);
    CHECK(self->shared.head == NULL);
    close_all(&self->lingering);
    close_all(&self->shared.newcomers);
    (void)pthread_cond_destroy(&self->shared.looked);
    (void)pthread_cond_destroy(&self->shared.wake);
    (void)pthread_mutex_destroy(&self->shared.mutex);
    free(self);
}

void reaper_add(struct reaper *reaper, struct reaper_conn *conn, int fd)
{
    memset(conn, 0, sizeof *conn);
    conn->fd = fd;
    reaper_enter(conn, PHASE_IDLE);
    (void)pthread_mutex_lock(&reaper->shared.mutex);
    conn->next = reaper->shared.head;
    if (conn->next != NULL) {
        conn->next->prev = conn;
    }
    reaper->shared.head = conn;
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
}

void reaper_remove(struct reaper *reaper, struct reaper_conn *conn)
{
    (void)pthread_mutex_lock(&reaper->shared.mutex);
    while (conn->is_looked_at) {
        (void)pthread_cond_wait(&reaper->shared.looked, &reaper->shared.mutex);
    }
    if (reaper->shared.next == conn) {
        reaper->shared.next = conn->next;
    }
    if (conn->prev != NULL) {
        conn->prev->next = conn->next;
    } else {
        reaper->shared.head = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
}

bool reaper_linger(struct reaper *reaper, int fd)
{
    struct lingerers *newcomers = &reaper->shared.newcomers;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    bool taken;

    if (copy < 0) {
        return false;
    }
    (void)pthread_mutex_lock(&reaper->shared.mutex);
    taken = reaper->shared.n_lingering < LINGER_MAX && !reaper->shared.stopping;
    if (taken) {
        newcomers->list[newcomers->n++] =
            (struct lingerer){.fd = copy, .until_ms = clock_mono_ms() + LINGER_MS};
        reaper->shared.n_lingering++;
        (void)pthread_cond_signal(&reaper->shared.wake);
    }
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
    if (taken) {
        (void)shutdown(fd, SHUT_WR); /* the copy may have been closed by now */
    } else {
        (void)close(copy);
    }
    return taken;
}

void reaper_drain(struct reaper *reaper)
{
    (void)pthread_mutex_lock(&reaper->shared.mutex);
    reaper->shared.draining = true;
    reaper->shared.hurry = true;
    (void)pthread_cond_signal(&reaper->shared.wake);
    (void)pthread_mutex_unlock(&reaper->shared.mutex);
}
