/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Structured log lines on standard error: one event per line, key=value. */
#include "shard/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2000

static atomic_int current_level = LOG_INFO;
static _Thread_local const char *scope_id;

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

static void PRINTF_LIKE(3, 4) append_f(char *line, size_t *used, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    append(line, used, fmt, args);
    va_end(args);
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved_errno = errno;
    char line[LINE_MAX_BYTES];
    size_t used = 0;
    struct timespec now;
    struct tm utc;
    char when[32];
    va_list args;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    append_f(line, &used, "%s.%03ldZ %s %s", when, now.tv_nsec / 1000000,
             level_names[level], event);
    if (scope_id != NULL) {
        append_f(line, &used, " req=%s", scope_id);
    }
    append_f(line, &used, " ");
    va_start(args, fmt);
    append(line, &used, fmt, args);
    va_end(args);
    for (size_t i = 0; i < used; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c < 0x20 || c == 0x7f) {
            line[i] = '?';
        }
    }
    line[used++] = '\n';
    /* One write per line keeps lines of several threads whole; a log that cannot be
     * written must not stop the service. */
    if (write(STDERR_FILENO, line, used) < 0) {
        errno = saved_errno;
    }
    errno = saved_errno;
}
