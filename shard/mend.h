/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Repairs differences between halves after one shard was restored from a backup.
 *
 * The restored shard is older than the others. What they have from it was acknowledged:
 * first halves of likes and follows that it has lost are restored from the second ones,
 * and second halves that it has lost are made again by the relay of the first half's
 * shard. What only it had (users, videos, comments) is gone, and other shards treat it
 * like something erased. Messages are aligned by shard/repair.h. Everything may be done
 * twice. */
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
    MEND_RECOVER, /* restore a first half from its second one */
    MEND_AGAIN,   /* make a second half again */
    MEND_FORGET,  /* make a second half of something lost a tombstone */
    MEND_DELETE,  /* delete a comment again */
    MEND_USER,    /* enter a lost user, of whom others have messages, as erased */
    MEND_CHAT,    /* align two mailboxes, in one direction */
    MEND__COUNT,
    MEND_NONE = MEND__COUNT /* no known repair */
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

/* The repair for DIFFERENCE when RESTORED is the older shard. */
struct mend mend_for(struct router *router, size_t restored,
                     const struct audit_difference *difference);

/* Do N repairs of one kind (at most OPS_MAX; of MEND_CHAT one), no two the same. Not OK:
 * not all are done, call->detail says why. Blocks until call->deadline_ms at the
 * latest. */
enum outcome mend_do(struct router *router, struct call *call, const struct mend *mends,
                     size_t n) MUST_CHECK;

#endif
