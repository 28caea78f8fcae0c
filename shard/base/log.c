/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Structured log lines on standard error: one event per line, key=value. */
#include "shard/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/log_ring.h"

#define LINE_MAX_BYTES 2000

/* Room for some 4,000 access lines. */
#define RING_BYTES ((size_t)1 << 20)

/* How long the end of the process waits for whoever reads the log. */
#define STOP_MS  2000
#define CRASH_MS 500

/* "2026-11-21T17:21:43" */
#define TIME_BYTES 20

static atomic_int current_level = LOG_INFO;
static _Thread_local const char *scope_id;

/* Set once; stays when it is closed, because any thread may be about to use it. */
static _Atomic(struct log_ring *) ring;

static const char *const level_names[] = {[LOG_ERROR] = "error",
                                          [LOG_WARN] = "warn",
                                          [LOG_INFO] = "info",
                                          [LOG_DEBUG] = "debug"};

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_scope(const char *id)
{
    scope_id = id;
}

/* Append to LINE at *USED; the result always leaves room for the line feed. */
static void PRINTF_LIKE(3, 0)
    append(char *line, size_t *used, const char *fmt, va_list args)
{
    size_t room = LINE_MAX_BYTES - 1 - *used;
    int n = vsnprintf(line + *used, room, fmt, args);

    if (n > 0) {
        *used += (size_t)n < room ? (size_t)n : room - 1;
    }
}

static void append_text(char *line, size_t *used, const char *text)
{
    size_t room = LINE_MAX_BYTES - 1 - *used;
    size_t len = strnlen(text, room);

    memcpy(line + *used, text, len);
    *used += len;
}

/* The date and the time of day, made once per second and thread. */
static void append_time(char *line, size_t *used)
{
    static _Thread_local time_t made_for;
    static _Thread_local char made[TIME_BYTES];
    struct timespec now;
    struct tm utc;
    long ms;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (made_for != now.tv_sec || made[0] == '\0') {
        (void)gmtime_r(&now.tv_sec, &utc);
        (void)strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%S", &utc);
        made_for = now.tv_sec;
    }
    ms = now.tv_nsec / 1000000;
    const char fraction[] = {'.',
                             (char)('0' + ms / 100),
                             (char)('0' + ms / 10 % 10),
                             (char)('0' + ms % 10),
                             'Z',
                             ' ',
                             '\0'};
    append_text(line, used, made);
    append_text(line, used, fraction);
}

static void begin_line(char *line, size_t *used, enum log_level level, const char *event)
{
    append_time(line, used);
    append_text(line, used, level_names[level]);
    append_text(line, used, " ");
    append_text(line, used, event);
    if (scope_id != NULL) {
        append_text(line, used, " req=");
        append_text(line, used, scope_id);
    }
    append_text(line, used, " ");
}

/* Nobody forges a line: control bytes become '?'. */
static void end_line(char *line, size_t *used)
{
    for (size_t i = 0; i < *used; i++) {
        unsigned char c = (unsigned char)line[i];

        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
    line[(*used)++] = '\n';
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_ring *through = atomic_load_explicit(&ring, memory_order_acquire);
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    size_t used = 0;
    va_list args;

    if (!log_enabled(level)) {
        return;
    }
    begin_line(line, &used, level, event);
    va_start(args, fmt);
    append(line, &used, fmt, args);
    va_end(args);
    end_line(line, &used);
    if (through == NULL || !log_ring_put(through, line, used, level <= LOG_WARN)) {
        /* One write per line keeps lines of several threads whole; a log that cannot be
         * written must not stop the service. */
        if (write(STDERR_FILENO, line, used) < 0) {
            errno = saved_errno;
        }
    }
    errno = saved_errno;
}

/* ---- the thread that writes ----------------------------------------------------------
 */

static size_t lost_line(uint64_t lost, char *line)
{
    char text[64];
    size_t used = 0;

    (void)snprintf(text, sizeof text, "lines=%llu", (unsigned long long)lost);
    begin_line(line, &used, LOG_WARN, "log_lines_lost");
    append_text(line, &used, text);
    end_line(line, &used);
    return used;
}

/* The process is about to end by a bug: let the thread write the last lines. */
static void on_crash(int number)
{
    log_flush(CRASH_MS);
    (void)raise(number); /* its default action, when this handler has returned */
}

/* Where nobody else, as a sanitizer, wants to know. */
static void watch_crashes(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    struct sigaction old;

    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
            (void)sigaction(numbers[i], &action, NULL);
        }
    }
}

void log_start(void)
{
    struct log_ring *made = log_ring_new(STDERR_FILENO, RING_BYTES, lost_line);

    if (made != NULL) {
        atomic_store_explicit(&ring, made, memory_order_release);
        watch_crashes();
    }
}

void log_stop(void)
{
    struct log_ring *through = atomic_load_explicit(&ring, memory_order_acquire);

    if (through != NULL) {
        (void)log_ring_close(through, STOP_MS);
    }
}

void log_flush(int timeout_ms)
{
    struct log_ring *through = atomic_load_explicit(&ring, memory_order_acquire);

    if (through != NULL) {
        (void)log_ring_flush(through, timeout_ms);
    }
}

uint64_t log_lost(void)
{
    struct log_ring *through = atomic_load_explicit(&ring, memory_order_acquire);

    return through != NULL ? log_ring_lost(through) : 0;
}
