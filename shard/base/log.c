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

#include "shard/base/line.h"
#include "shard/base/log_ring.h"

/* Room for some 4,000 access lines. */
#define RING_BYTES ((size_t)1 << 20)

/* How long the end of the process waits for the reader of the log. */
#define STOP_MS  2000
#define CRASH_MS 500

/* "2026-11-21T17:21:43" */
#define TIME_BYTES 20

static atomic_int current_level = LOG_INFO;
static _Thread_local const char *scope_id;

/* Set once; stays after it is closed, because any thread may be about to use it. */
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

const char *log_scope_now(void)
{
    return scope_id;
}

/* Append formatted text. */
static void PRINTF_LIKE(2, 0) append(struct line *line, const char *fmt, va_list args)
{
    size_t room = LINE_BYTES - line->used;
    int n = vsnprintf(line->text + line->used, room, fmt, args);

    if (n > 0) {
        line->used += (size_t)n < room ? (size_t)n : room - 1;
    }
}

/* The date and the time of day; the text is made once per second and thread. */
static void append_time(struct line *line)
{
    static _Thread_local time_t made_for;
    static _Thread_local char made[TIME_BYTES];
    struct timespec now;
    struct tm utc;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (made_for != now.tv_sec || made[0] == '\0') {
        (void)gmtime_r(&now.tv_sec, &utc);
        (void)strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%S", &utc);
        made_for = now.tv_sec;
    }
    line_text(line, made);
    line_text(line, ".");
    line_number(line, (uint64_t)now.tv_nsec / 1000000, 3);
    line_text(line, "Z ");
}

static void begin_line(struct line *line, enum log_level level, const char *event)
{
    line->used = 0;
    append_time(line);
    line_text(line, level_names[level]);
    line_text(line, " ");
    line_text(line, event);
    if (scope_id != NULL) {
        line_text(line, " req=");
        line_text(line, scope_id);
    }
    line_text(line, " ");
}

/* Prevent forged lines: control bytes become '?'. The line feed takes the place of the
 * NUL.
 */
static void end_line(struct line *line)
{
    for (size_t i = 0; i < line->used; i++) {
        unsigned char c = (unsigned char)line->text[i];

        if (c < 0x20 || c == 0x7f) {
            line->text[i] = '?';
        }
    }
    line->text[line->used++] = '\n';
}

/* Hand a finished line to the thread, or write it. */
static void send_line(enum log_level level, struct line *line)
{
    struct log_ring *through = atomic_load_explicit(&ring, memory_order_acquire);
    ssize_t n;

    end_line(line);
    if (through == NULL ||
        !log_ring_put(through, line->text, line->used, level <= LOG_WARN)) {
        /* One write per line keeps lines of several threads whole; a log that cannot be
         * written must not stop the service. */
        n = write(STDERR_FILENO, line->text, line->used);
        (void)n;
    }
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    int saved_errno = errno;
    struct line line;
    va_list args;

    if (!log_enabled(level)) {
        return;
    }
    begin_line(&line, level, event);
    va_start(args, fmt);
    append(&line, fmt, args);
    va_end(args);
    send_line(level, &line);
    errno = saved_errno;
}

void log_write_text(enum log_level level, const char *event, const char *text)
{
    int saved_errno = errno;
    struct line line;

    if (!log_enabled(level)) {
        return;
    }
    begin_line(&line, level, event);
    line_text(&line, text);
    send_line(level, &line);
    errno = saved_errno;
}

/* ---- The thread that writes ---- */

static size_t lost_line(uint64_t lost, char *out)
{
    struct line line;

    begin_line(&line, LOG_WARN, "log_lines_lost");
    line_text(&line, "lines=");
    line_number(&line, lost, 1);
    end_line(&line);
    memcpy(out, line.text, line.used);
    return line.used;
}

/* The process is about to crash: let the thread write the last lines. */
static void on_crash(int number)
{
    log_flush(CRASH_MS);
    (void)raise(number); /* takes its default action when this handler has returned */
}

/* Handle crashes, unless something else, such as a sanitizer, does. */
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
