/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Copies in the memory of this process: what was read from a shard or from Redis a moment
 * ago, for those who may see it as it was then.
 *
 * What this process itself writes is never hidden by a copy. Each write has a number, and
 * every range of keys knows the last one that struck it: what was read before that is not
 * kept, however late it comes. A reader takes the number before it asks, its ticket.
 *
 *   copies_get() --none--> copies_lead() --true--> ask --> copies_put(), copies_land()
 *                               \--false: another asks--> copies_wait(), copies_get()
 *
 * Memory is bounded; what was not used for longest goes first. Everything is thread-safe;
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
    const char *data; /* any bytes; NULL: nothing but the version is known */
    size_t len;
    int64_t until_ms; /* monotonic; it is not given out after that */
};

/* One who asks for a key on behalf of all. The caller's memory, until copies_land(). */
struct flight {
    struct copy_key key;
    struct flight *next;
    struct flight_passenger *passengers;
};

/* About BYTES_MAX bytes in all. NULL: memory is short. */
struct copies *copies_new(size_t bytes_max) MUST_CHECK;

/* Nobody may be in it. *COPIES becomes NULL; NULL is allowed. */
void copies_free(struct copies **copies);

/* The number of the last write so far. */
uint64_t copies_ticket(const struct copies *copies);

/* The copy of KEY whose time is not over, its data copied into ARENA. False: there is
 * none (or memory is short). */
bool copies_get(struct copies *copies, const struct copy_key *key, struct arena *arena,
                struct copy *copy) MUST_CHECK;

/* Keep what was read since TICKET was taken, unless this process has written meanwhile or
 * a newer one is there. DATA is copied. */
void copies_put(struct copies *copies, const struct copy_key *key,
                const struct copy *copy, uint64_t ticket);

/* This process has written what now is COPY: older ones are replaced, and what others
 * read before this is kept away. With DATA NULL older ones are removed. */
void copies_write(struct copies *copies, const struct copy_key *key,
                  const struct copy *copy);

/* Remember the version of NEWER until its time is over, whatever becomes of copies: what
 * is older is not kept. For who has told others in vain; a bounded number of them, beside
 * BYTES_MAX. */
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

/* FLIGHT is over, with a copy put or without: those who wait for it look themselves. */
void copies_land(struct copies *copies, struct flight *flight);

/* Wait until nobody asks for KEY. False: at DEADLINE_MS somebody does. */
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
