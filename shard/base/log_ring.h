/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lines of many threads, written to a descriptor by one thread of its own.
 *
 * A request must not pay for a system call per line, nor wait for a slow disk or pipe. So
 * a line is copied into a ring of fixed size, and a thread writes whole lines in order, a
 * few hundred in one write. Lines that do not fit are counted, and another line says how
 * many were lost. */
#ifndef DOUSHARD_BASE_LOG_RING_H
#define DOUSHARD_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct log_ring;

/* Longest line with its line feed. */
#define LOG_RING_LINE_MAX 2048

/* Writes to LINE (LOG_RING_LINE_MAX bytes) the line that says that LOST lines were lost,
 * with its line feed; returns its length. Called by the ring's thread. */
typedef size_t (*log_ring_lost_line)(uint64_t lost, char *line);

/* A ring of BYTES, an eighth of them reserved for urgent lines, that writes to FD, which
 * stays the caller's. NULL: no memory or thread. */
struct log_ring *log_ring_new(int fd, size_t bytes, log_ring_lost_line lost) MUST_CHECK;

/* Hand over a line of LEN bytes with its line feed, at most LOG_RING_LINE_MAX. Never
 * waits for FD. URGENT: it is written at once; others a few milliseconds later, many
 * together. True: taken, or counted as lost; false: the ring is closed, and the caller
 * may write it. Thread-safe. */
bool log_ring_put(struct log_ring *ring, const char *line, size_t len, bool urgent);

/* Wait until everything handed over is written, TIMEOUT_MS at most. False: it is not.
 * Takes no lock and is safe in a signal handler, for crash handlers. */
bool log_ring_flush(struct log_ring *ring, int timeout_ms);

/* Lines lost since the start, because the ring was full or FD refused them. */
uint64_t log_ring_lost(struct log_ring *ring);

/* Take no more lines, write the remaining ones, end the thread. False: FD did not take
 * them within TIMEOUT_MS; the thread goes on trying, RING must stay valid, and this may
 * be called again. */
bool log_ring_close(struct log_ring *ring, int timeout_ms);

/* Free a ring for which log_ring_close() has returned true. *RING becomes NULL; NULL is
 * allowed. */
void log_ring_free(struct log_ring **ring);

#endif
