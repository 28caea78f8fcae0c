/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Structured log lines on standard error: one event per line, key=value.
 *
 * A program that says no more writes each line at once, by a write(2) of its own. After
 * log_start() lines are handed to a thread that writes them (log_ring.h): those of ERROR
 * and WARN without delay, the others within a few milliseconds. Nothing is lost when the
 * process ends by log_stop(), abort(), a failed CHECK or a signal that tells of a bug;
 * SIGKILL takes those last milliseconds along. */
#ifndef DOUSHARD_BASE_LOG_H
#define DOUSHARD_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"

/* ERROR: someone must act. WARN: someone should look. INFO: life cycle and one access
 * line per request. DEBUG: everything else. */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above LEVEL are dropped. May be called at any time (SIGHUP), by any thread. */
void log_set_level(enum log_level level);

/* Parse "error", "warn", "info" or "debug". False: NAME is none of them, *LEVEL is
 * untouched. */
bool log_level_parse(const char *name, enum log_level *level) MUST_CHECK;

/* True when a line of LEVEL would be written; for lines that are costly to prepare. */
bool log_enabled(enum log_level level);

/* Tag every line that this thread writes from now on with "req=ID"; NULL ends it. ID is
 * borrowed and must outlive the scope. */
void log_scope(const char *id);

/* The ID of the scope this thread is in; NULL: none. For who goes on with another piece
 * of work in between. */
const char *log_scope_now(void);

/* Write lines by a thread from now on; when there is none to be had, as before. Call
 * once, with the signals blocked that the program waits for. */
void log_start(void);

/* Write what is there, for two seconds at most, and then as before log_start(). May be
 * called without it. */
void log_stop(void);

/* Wait until all lines are written, TIMEOUT_MS at most: before the process ends in some
 * other way. Safe in a signal handler. */
void log_flush(int timeout_ms);

/* How many lines could not be written since the start, for lack of room in the ring. */
uint64_t log_lost(void);

/* Write "time level event req=.. KEY=VALUE...". FMT yields the key=value pairs; values
 * that come from outside belong in double quotes: control bytes are replaced by '?' so
 * that nobody can forge a line. At most 2000 bytes, the rest is cut. Thread-safe; after
 * log_start() it never waits for whoever reads the log; errno is kept. Never pass tokens,
 * passwords or bodies. */
void log_write(enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same for a TEXT that is ready, for lines that are written often. */
void log_write_text(enum log_level level, const char *event, const char *text);

#endif
