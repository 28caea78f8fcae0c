/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The auditor: does every counter agree with its rows, and every first half with its
 * second, over all owners of all shards?
 *
 * It goes page by page through the owners and then the eight tables of halves of each
 * shard, and asks the other party's shard for the other half of each row. It reads only,
 * may run beside any load, and can go on from any place where it was.
 *
 * A row that the outbox still has to deliver is no difference. Otherwise the second half
 * must have at least the version of the first, and at the same version be equal to it; a
 * second half must have a first one that is not older. Nothing is said of edges to
 * owners that are gone, whose second halves need not be there. */
#ifndef DOUSHARD_AUDIT_H
#define DOUSHARD_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/outcome.h"

struct router;
struct slotset;

/* What is gone through, in this order. */
enum audit_part {
    AUDIT_OWNERS,
    AUDIT_FOLLOW, /* from here on: tables of halves */
    AUDIT_FOLLOWER,
    AUDIT_FAVORITE,
    AUDIT_LIKER,
    AUDIT_COMMENT,
    AUDIT_COMMENTED,
    AUDIT_SENT,
    AUDIT_RECEIVED,
    AUDIT_PART__COUNT
};

/* After which row to go on; {.part = AUDIT_OWNERS} and zeroes: at the beginning. */
struct audit_place {
    enum audit_part part;
    uint32_t slot;
    uint64_t owner;
    uint64_t other;
    uint64_t seq;
    uint32_t page_rows; /* to ask for next; 0: as many as may be. Set by audit_page() */
};

/* What is wrong. */
enum audit_fault {
    AUDIT_NONE,
    AUDIT_COUNTER,    /* a counter is not that of its rows */
    AUDIT_NEVER,      /* the other party of a first half never existed */
    AUDIT_NO_SECOND,  /* it is missing, and nothing waits in the outbox */
    AUDIT_OLD_SECOND, /* likewise, but an older one is there */
    AUDIT_DIFFER,     /* same version, other content */
    AUDIT_NO_FIRST,
    AUDIT_OLD_FIRST,
};

/* One difference. Texts live as long as the function that is told of it. */
struct audit_difference {
    enum audit_part part;
    enum audit_fault fault;
    uint32_t slot;
    uint64_t owner;
    uint64_t other; /* 0: the difference is one of counters */
    uint64_t seq;   /* of a message, or id of a comment; else 0 */
    const char *problem;
    uint32_t state; /* of the half that is there, like ver and at_ms */
    uint64_t ver;
    int64_t at_ms;
    bool is_owner_lost; /* its other half's owner is not known on his shard */
};

typedef void audit_found_fn(void *context, const struct audit_difference *difference);

struct audit {
    struct router *router; /* (ref) */
    audit_found_fn *found;
    void *context;  /* of found */
    bool has_focus; /* only what has a half on the shard FOCUS is compared */
    size_t focus;
    const struct slotset *skip; /* (ref) halves whose others are in these are counted in
                                 * n_skipped, and not compared; NULL: none */
    uint64_t n_skipped;
};

/* "owners", "follow". Static text. */
const char *audit_part_name(enum audit_part part);

/* The reverse; AUDIT_PART__COUNT when WORD is none. */
enum audit_part audit_part_from(const char *word);

/* Check the next page of SHARD (index in the router) and move *PLACE behind it;
 * *N_ROWS is how many rows were checked. *PLACE with part AUDIT_PART__COUNT: the shard is
 * done. Anything but OK: nothing was told, *PLACE is where it was and the page may be
 * tried again; call->detail says why. After TIMEOUT, since some owners have very many
 * rows, the next page is a smaller one. Blocks until call->deadline_ms at the latest. */
enum outcome audit_page(struct audit *audit, struct call *call, size_t shard,
                        struct audit_place *place, size_t *n_rows) MUST_CHECK;

#endif
