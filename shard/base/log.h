/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Structured log lines on standard error: one event per line, key=value.
 *
 * Without log_start() each line is written at once, by its own write(2). After it lines
 * are handed to a thread that writes them (log_ring.h): ERROR and WARN without delay,
 * others within a few milliseconds. Nothing is lost when the process ends by log_stop(),
 * abort(), a failed CHECK or a crash signal; SIGKILL loses those last milliseconds. */
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

/* The ID of this thread's scope; NULL: none. For switching to other work in between. */
const char *log_scope_now(void);

/* Write lines by a thread from now on; if none can be started, as before. Call once, with
 * the signals blocked that the program waits for. */
void log_start(void);

/* Write the remaining lines, for two seconds at most, and later ones as before
 * log_start(), without which this may also be called. */
void log_stop(void);

/* Wait until all lines are written, TIMEOUT_MS at most; for a process that ends in some
 * other way. Safe in a signal handler. */
void log_flush(int timeout_ms);

/* How many lines were lost since the start, because the ring was full. */
uint64_t log_lost(void);

/* Write "time level event req=.. KEY=VALUE...". FMT yields the key=value pairs; values
 * that come from outside belong in double quotes: control bytes are replaced by '?' so
 * that nobody can forge a line. At most 2000 bytes, the rest is cut. Thread-safe; after
 * log_start() it never waits for the reader of the log; errno is kept. Never pass tokens,
 * passwords or bodies. */
void log_write(enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same for a TEXT that is ready, for lines that are written often. */
void log_write_text(enum log_level level, const char *event, const char *text);

#endif
