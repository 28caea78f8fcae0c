/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Copies in the memory of this process: values read from a shard or from Redis a moment
 * ago, for readers who may see them a moment old.
 *
 * A copy never hides what this process itself has written. Each write has a number, and
 * every range of keys has the number of its last write: a value read before that is not
 * kept, however late it comes. A reader takes the current number as its ticket before it
 * asks.
 *
 *   copies_get() --none--> copies_lead() --true--> ask --> copies_put(), copies_land()
 *                               \--false: another asks--> copies_wait(), copies_get()
 *
 * Memory is limited; the least recently used copy goes first. Everything is thread-safe;
 * only copies_wait() blocks.
 */
#ifndef DOUSHARD_COPIES_H
#define DOUSHARD_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"
#include "shard/base/wait.h"

struct copies;

/* What a copy is of. KIND is the caller's; all of it counts. */
struct copy_key {
    unsigned kind;
    uint64_t owner;
    uint64_t other; /* 0: none */
};

struct copy {
    uint64_t ver;     /* as the shard counts */
    const char *data; /* any bytes; NULL: only the version is known */
    size_t len;
    int64_t until_ms; /* monotonic; it is not used after that */
};

/* The one reader that asks for a key on behalf of all. The caller's memory, until
 * copies_land(). */
struct flight {
    struct copy_key key;
    struct flight *next;
    struct flight_passenger *passengers;
};

/* About BYTES_MAX bytes in all. NULL: out of memory. */
struct copies *copies_new(size_t bytes_max) MUST_CHECK;

/* No call may be running. *COPIES becomes NULL; NULL is allowed. */
void copies_free(struct copies **copies);

/* The number of the last write so far. */
uint64_t copies_ticket(const struct copies *copies);

/* The copy of KEY that has not expired, its data copied into ARENA. False: there is
 * none (or out of memory). */
bool copies_get(struct copies *copies, const struct copy_key *key, struct arena *arena,
                struct copy *copy) MUST_CHECK;

/* Keep what was read since TICKET was taken, unless this process has written meanwhile or
 * a newer one is there. DATA is copied. */
void copies_put(struct copies *copies, const struct copy_key *key,
                const struct copy *copy, uint64_t ticket);

/* This process has written COPY: it replaces older copies, and values read before this
 * will not be kept. With DATA NULL older copies are removed. */
void copies_write(struct copies *copies, const struct copy_key *key,
                  const struct copy *copy);

/* Remember the version of NEWER until it expires, so that older values are not kept, even
 * if its copy is dropped. For writes that Redis did not get; a limited number of them, in
 * addition to BYTES_MAX. */
void copies_remember(struct copies *copies, const struct copy_key *key,
                     const struct copy *newer);

/* Is it known here that KEY has a newer version than VER? */
bool copies_knows_newer(struct copies *copies, const struct copy_key *key,
                        uint64_t ver) MUST_CHECK;

/* Has this process written a key of RANGE since TICKET? */
bool copies_written_since(const struct copies *copies, size_t range, uint64_t ticket);

/* The range of KEY. */
size_t copies_range(const struct copy_key *key);

/* Be the one who asks for flight->key. False: another one is. */
bool copies_lead(struct copies *copies, struct flight *flight) MUST_CHECK;

/* FLIGHT is over, with or without a copy: those that wait for it look themselves. */
void copies_land(struct copies *copies, struct flight *flight);

/* Wait until nobody is asking for KEY. False: at DEADLINE_MS somebody still is. */
bool copies_wait(struct copies *copies, const struct copy_key *key,
                 int64_t deadline_ms) MUST_CHECK;

/* Bytes in use and copies there, of one kind. */
struct copies_state {
    size_t n;
    size_t bytes;
};
void copies_state(struct copies *copies, unsigned kind, struct copies_state *state);

/* Kinds are less than this. */
#define COPY_KINDS_MAX 16

#endif
