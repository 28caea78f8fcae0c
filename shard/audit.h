/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The auditor: checks for all owners of all shards that every counter agrees with its
 * rows, and every first half with its second.
 *
 * It reads the owners and then the eight tables of halves of each shard, page by page,
 * and asks the other party's shard for the counterpart of each row. It only reads, may
 * run under any load, and can continue from any place.
 *
 * A row that the outbox still has to deliver is not a difference. Otherwise the second
 * half must have at least the version of the first, and be equal to it at the same
 * version; a second half must have a first one that is not older. Edges to owners that
 * are gone are not reported, since their second halves need not exist. */
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

/* The parts that are checked, in this order. */
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

/* The row after which to go on; {.part = AUDIT_OWNERS} and zeroes: the beginning. */
struct audit_place {
    enum audit_part part;
    uint32_t slot;
    uint64_t owner;
    uint64_t other;
    uint64_t seq;
    uint32_t page_rows; /* rows to ask for next; 0: the limit. Set by audit_page() */
};

/* The kinds of faults. */
enum audit_fault {
    AUDIT_NONE,
    AUDIT_COUNTER,    /* a counter differs from its rows */
    AUDIT_NEVER,      /* the other party of a first half never existed */
    AUDIT_NO_SECOND,  /* the second half is missing, and nothing waits in the outbox */
    AUDIT_OLD_SECOND, /* likewise, but an older second half is there */
    AUDIT_DIFFER,     /* same version, other content */
    AUDIT_NO_FIRST,
    AUDIT_OLD_FIRST,
};

/* One difference. Texts live as long as the call of `found`. */
struct audit_difference {
    enum audit_part part;
    enum audit_fault fault;
    uint32_t slot;
    uint64_t owner;
    uint64_t other; /* 0: a counter differs */
    uint64_t seq;   /* of a message, or id of a comment; else 0 */
    const char *problem;
    uint32_t state; /* of the existing half, like ver and at_ms */
    uint64_t ver;
    int64_t at_ms;
    bool is_owner_lost; /* the owner of its counterpart is not known on that owner's
                         * shard */
};

typedef void audit_found_fn(void *context, const struct audit_difference *difference);

struct audit {
    struct router *router; /* (ref) */
    audit_found_fn *found;
    void *context;  /* of found */
    bool has_focus; /* compare only rows with a half on the shard FOCUS */
    size_t focus;
    const struct slotset *skip; /* (ref) halves whose others are in these are counted in
                                 * n_skipped, and not compared; NULL: none */
    uint64_t n_skipped;
};

/* "owners", "follow". Static text. */
const char *audit_part_name(enum audit_part part);

/* The reverse; AUDIT_PART__COUNT when WORD is not a part. */
enum audit_part audit_part_from(const char *word);

/* Check the next page of SHARD (index in the router) and move *PLACE past it; *N_ROWS is
 * the number of rows checked. *PLACE with part AUDIT_PART__COUNT: the shard is done.
 * Anything but OK: nothing was reported, *PLACE is unchanged and the page may be tried
 * again; call->detail says why. After TIMEOUT the next page is smaller, since some owners
 * have very many rows. Blocks until call->deadline_ms at the latest. */
enum outcome audit_page(struct audit *audit, struct call *call, size_t shard,
                        struct audit_place *place, size_t *n_rows) MUST_CHECK;

#endif
