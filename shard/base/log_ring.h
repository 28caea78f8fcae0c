/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lines of many threads, written to a descriptor by one thread of its own.
 *
 * A request must not pay for a system call per line, nor wait for a disk or a pipe that
 * does not take them. So a line is copied into a bounded ring, and a thread writes what
 * has gathered, whole lines in the order in which they came, a few hundred in one write.
 * What does not fit is counted, and a line of its own says how many were lost. */
#ifndef DOUSHARD_BASE_LOG_RING_H
#define DOUSHARD_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

struct log_ring;

/* Longest line with its line feed. */
#define LOG_RING_LINE_MAX 2048

/* Makes the line that says that LOST lines are missing in LINE (LOG_RING_LINE_MAX bytes),
 * with its line feed; returns its length. Called by the ring's thread. */
typedef size_t (*log_ring_lost_line)(uint64_t lost, char *line);

/* A ring of BYTES, of which an eighth is kept for urgent lines, that writes to FD, which
 * stays the caller's. NULL when memory or threads are short. */
struct log_ring *log_ring_new(int fd, size_t bytes, log_ring_lost_line lost) MUST_CHECK;

/* Hand over a line of LEN bytes with its line feed, at most LOG_RING_LINE_MAX. Never
 * waits for FD. URGENT: it is written at once; others a few milliseconds later, many
 * together. True: it was taken or is counted as lost; false: the ring is closed, the
 * caller may write it. Thread-safe. */
bool log_ring_put(struct log_ring *ring, const char *line, size_t len, bool urgent);

/* Wait until all that was handed over is written, TIMEOUT_MS at most. False: it is not.
 * Takes no lock and is safe in a signal handler: who is about to die calls it. */
bool log_ring_flush(struct log_ring *ring, int timeout_ms);

/* Lines that were lost since the start, because there was no room or FD refused them. */
uint64_t log_ring_lost(struct log_ring *ring);

/* Take no more lines, write those there are, end the thread. False: FD did not take them
 * within TIMEOUT_MS; the thread goes on trying, RING must stay, and this may be called
 * again. */
bool log_ring_close(struct log_ring *ring, int timeout_ms);

/* Free a ring that log_ring_close() was true for. *RING becomes NULL; NULL is allowed. */
void log_ring_free(struct log_ring **ring);

#endif
