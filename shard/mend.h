/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Bringing both halves together again after one shard was restored from a backup.
 *
 * The restored shard is older than the others. What they have of it was acknowledged:
 * first halves of likes and follows that it has lost are brought back from the second
 * ones, second halves that it has lost are made again by the relay of who has the first.
 * What only it had (users, videos, comments) is gone, and what others have about that
 * comes to the end that it has when somebody is erased. Messages are aligned by
 * shard/repair.h. Everything may be done twice. */
#ifndef DOUSHARD_MEND_H
#define DOUSHARD_MEND_H

#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "shard/audit.h"
#include "shard/call.h"
#include "shard/outcome.h"

struct router;

enum mend_kind {
    MEND_RECOVER, /* a first half is brought back from its second one */
    MEND_AGAIN,   /* a second half is to be made again */
    MEND_FORGET,  /* a second half of what is lost becomes a tombstone */
    MEND_DELETE,  /* a comment is deleted again */
    MEND_USER,    /* a lost user, of whom others have messages, is entered as erased */
    MEND_CHAT,    /* two mailboxes are aligned, in one direction */
    MEND__COUNT,
    MEND_NONE = MEND__COUNT /* nothing that is known helps */
};

/* One of them. Of MEND_USER, owner; of MEND_CHAT, owner sent to other. */
struct mend {
    enum mend_kind kind;
    enum audit_part part; /* where the difference was found */
    uint64_t owner;
    uint64_t other;
    uint64_t seq;
    uint32_t state;
    uint64_t ver;
    int64_t at_ms;
};

/* What helps against DIFFERENCE, when RESTORED is the shard that is older. */
struct mend mend_for(struct router *router, size_t restored,
                     const struct audit_difference *difference);

/* Do N mends of one kind (at most OPS_MAX; of MEND_CHAT one), no two alike. Not OK: not
 * all is done, call->detail says why. Blocks until call->deadline_ms at the latest. */
enum outcome mend_do(struct router *router, struct call *call, const struct mend *mends,
                     size_t n) MUST_CHECK;

#endif
