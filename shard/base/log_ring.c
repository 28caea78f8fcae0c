/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lines of many threads, written to a descriptor by one thread of its own. */
#include "shard/base/log_ring.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/file.h"

/* How long lines that are not urgent wait for others. */
#define GATHER_MS 5

/* Limit of one write; to a pipe at most what it takes atomically, so that other writers
 * cannot split a line. */
#define CHUNK_BYTES ((size_t)64 << 10)

enum doing {
    DOING_WAIT,   /* nothing to write: any line wakes the thread */
    DOING_GATHER, /* an urgent line or many lines wake it */
    DOING_WRITE,
};

struct log_ring {
    int fd;
    size_t size;
    size_t chunk;
    log_ring_lost_line lost_line;
    pthread_t thread;
    /* Bytes from tail on that are not written yet. Changed under the mutex; read without
     * it by crash handlers.
     */
    atomic_size_t used;
    _Atomic uint64_t lost;
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t wake; /* of the thread */
        pthread_cond_t done; /* the thread has ended */
        size_t tail;
        enum doing doing;
        bool hurry; /* there is an urgent line */
        bool closed;
        bool ended;
    } shared;
    uint64_t lost_told;         /* the thread's own */
    char chunk_bytes[64 << 10]; /* the thread's own: lines being written */
    char bytes[];
};

/* ---- Handing over ---- */

static void copy_in_locked(struct log_ring *ring, size_t used, const char *line,
                           size_t len)
{
    size_t head = (ring->shared.tail + used) % ring->size;
    size_t first = ring->size - head < len ? ring->size - head : len;

    memcpy(ring->bytes + head, line, first);
    memcpy(ring->bytes, line + first, len - first);
    atomic_store_explicit(&ring->used, used + len, memory_order_release);
}

/* Must the thread be woken for what is there now? */
static bool must_wake_locked(struct log_ring *ring)
{
    bool wake = ring->shared.doing == DOING_WAIT ||
                (ring->shared.doing == DOING_GATHER &&
                 (ring->shared.hurry || atomic_load(&ring->used) > ring->size / 2));

    if (wake) {
        ring->shared.doing = DOING_WRITE; /* once is enough */
    }
    return wake;
}

bool log_ring_put(struct log_ring *ring, const char *line, size_t len, bool urgent)
{
    size_t reserve = urgent ? 0 : ring->size / 8;
    bool wake = false;
    bool closed;
    size_t used;

    (void)pthread_mutex_lock(&ring->shared.mutex);
    closed = ring->shared.closed;
    used = atomic_load_explicit(&ring->used, memory_order_relaxed);
    if (!closed && ring->size - used >= len + reserve) {
        copy_in_locked(ring, used, line, len);
        ring->shared.hurry = ring->shared.hurry || urgent;
        wake = must_wake_locked(ring);
    } else if (!closed) {
        (void)atomic_fetch_add(&ring->lost, 1);
    }
    (void)pthread_mutex_unlock(&ring->shared.mutex);
    if (wake) {
        (void)pthread_cond_signal(&ring->shared.wake);
    }
    return !closed;
}

bool log_ring_flush(struct log_ring *ring, int timeout_ms)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; atomic_load_explicit(&ring->used, memory_order_acquire) > 0; i++) {
        if (i >= timeout_ms) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

uint64_t log_ring_lost(struct log_ring *ring)
{
    return atomic_load(&ring->lost);
}

/* ---- The thread ---- */

static uint64_t count_lines(const char *data, size_t len)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        n += data[i] == '\n';
    }
    return n;
}

/* Copy out the next write: whole lines, of which one always fits. */
static size_t copy_out_locked(struct log_ring *ring)
{
    size_t used = atomic_load_explicit(&ring->used, memory_order_relaxed);
    size_t len = used < ring->chunk ? used : ring->chunk;
    size_t tail = ring->shared.tail;
    size_t first = ring->size - tail < len ? ring->size - tail : len;

    memcpy(ring->chunk_bytes, ring->bytes + tail, first);
    memcpy(ring->chunk_bytes + first, ring->bytes, len - first);
    while (ring->chunk_bytes[len - 1] != '\n') {
        len--;
    }
    return len;
}

/* Write how many lines were lost since this was written last. */
static void tell_lost(struct log_ring *ring)
{
    uint64_t lost = atomic_load(&ring->lost);
    char line[LOG_RING_LINE_MAX];
    size_t len;

    if (lost == ring->lost_told) {
        return;
    }
    len = ring->lost_line(lost - ring->lost_told, line);
    if (file_write(ring->fd, line, len) == 0) {
        ring->lost_told = lost;
    }
}

/* Write the next lines, with the mutex unlocked. They count as used until they are
 * written, so that log_ring_flush() waits for them. */
static void write_locked(struct log_ring *ring)
{
    size_t len = copy_out_locked(ring);

    (void)pthread_mutex_unlock(&ring->shared.mutex);
    if (file_write(ring->fd, ring->chunk_bytes, len) == 0) {
        tell_lost(ring);
    } else {
        (void)atomic_fetch_add(&ring->lost, count_lines(ring->chunk_bytes, len));
    }
    (void)pthread_mutex_lock(&ring->shared.mutex);
    ring->shared.tail = (ring->shared.tail + len) % ring->size;
    (void)atomic_fetch_sub(&ring->used, len);
}

/* Wait for lines, and for some more of them. */
static void wait_locked(struct log_ring *ring)
{
    struct timespec until;
    int rc = 0;

    while (atomic_load(&ring->used) == 0 && !ring->shared.closed) {
        ring->shared.doing = DOING_WAIT;
        (void)pthread_cond_wait(&ring->shared.wake, &ring->shared.mutex);
    }
    until = clock_timespec(clock_mono_ms() + GATHER_MS);
    ring->shared.doing = DOING_GATHER;
    while (!ring->shared.hurry && !ring->shared.closed && rc != ETIMEDOUT &&
           ring->shared.doing == DOING_GATHER) {
        rc = pthread_cond_clockwait(&ring->shared.wake, &ring->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    ring->shared.doing = DOING_WRITE;
    ring->shared.hurry = false;
}

static void *ring_main(void *arg)
{
    struct log_ring *ring = arg;

    (void)pthread_mutex_lock(&ring->shared.mutex);
    while (!ring->shared.closed || atomic_load(&ring->used) > 0) {
        wait_locked(ring);
        while (atomic_load(&ring->used) > 0) {
            write_locked(ring);
        }
    }
    ring->shared.ended = true;
    (void)pthread_cond_signal(&ring->shared.done);
    (void)pthread_mutex_unlock(&ring->shared.mutex);
    tell_lost(ring);
    return NULL;
}

/* ---- Life cycle ---- */

struct log_ring *log_ring_new(int fd, size_t bytes, log_ring_lost_line lost)
{
    struct log_ring *ring = malloc(sizeof *ring + bytes);
    struct stat info;

    CHECK(bytes >= (size_t)4 * LOG_RING_LINE_MAX);
    if (ring == NULL) {
        return NULL;
    }
    memset(ring, 0, offsetof(struct log_ring, chunk_bytes));
    ring->fd = fd;
    ring->size = bytes;
    ring->chunk =
        fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode) ? PIPE_BUF : CHUNK_BYTES;
    ring->lost_line = lost;
    (void)pthread_mutex_init(&ring->shared.mutex, NULL);
    (void)pthread_cond_init(&ring->shared.wake, NULL);
    (void)pthread_cond_init(&ring->shared.done, NULL);
    if (pthread_create(&ring->thread, NULL, ring_main, ring) != 0) {
        ring->shared.ended = true;
        log_ring_free(&ring);
    }
    return ring;
}

bool log_ring_close(struct log_ring *ring, int timeout_ms)
{
    struct timespec until = clock_timespec(clock_mono_ms() + timeout_ms);
    int rc = 0;
    bool ended;

    (void)pthread_mutex_lock(&ring->shared.mutex);
    ring->shared.closed = true;
    (void)pthread_cond_signal(&ring->shared.wake);
    while (!ring->shared.ended && rc != ETIMEDOUT) {
        rc = pthread_cond_clockwait(&ring->shared.done, &ring->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    ended = ring->shared.ended;
    (void)pthread_mutex_unlock(&ring->shared.mutex);
    if (ended) {
        (void)pthread_join(ring->thread, NULL);
    }
    return ended;
}

void log_ring_free(struct log_ring **ring)
{
    struct log_ring *self = *ring;

    if (self == NULL) {
        return;
    }
    CHECK(self->shared.ended);
    *ring = NULL;
    (void)pthread_cond_destroy(&self->shared.done);
    (void)pthread_cond_destroy(&self->shared.wake);
    (void)pthread_mutex_destroy(&self->shared.mutex);
    free(self);
}
