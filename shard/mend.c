/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Repairs differences between halves after one shard was restored from a backup. */
#include "shard/mend.h"

#include "shard/ops.h"
#include "shard/proc.h"
#include "shard/repair.h"
#include "shard/router.h"
#include "shard/router_call.h"

/* ---- Choosing the repair ---- */

/* The repair for a first half without its second. */
static enum mend_kind for_first(const struct audit_difference *d)
{
    return d->fault == AUDIT_NEVER || d->fault == AUDIT_NO_SECOND ||
                   d->fault == AUDIT_OLD_SECOND
               ? MEND_AGAIN
               : MEND_NONE;
}

/* The repair for a second half without its first, which IS_LOST when it was on the
 * restored shard. */
static enum mend_kind for_second(const struct audit_difference *d, bool is_lost)
{
    if (d->part == AUDIT_COMMENTED) {
        return d->fault == AUDIT_NO_FIRST ? MEND_FORGET
               : is_lost                  ? MEND_DELETE
                                          : MEND_NONE;
    }
    if (is_lost && !d->is_owner_lost) {
        return MEND_RECOVER;
    }
    return d->fault == AUDIT_NO_FIRST ? MEND_FORGET : MEND_NONE;
}

struct mend mend_for(struct router *router, size_t restored,
                     const struct audit_difference *difference)
{
    const struct audit_difference *d = difference;
    bool is_lost = router_owner_shard(router, d->other) == restored;
    struct mend mend = {.kind = MEND_NONE,
                        .part = d->part,
                        .owner = d->owner,
                        .other = d->other,
                        .seq = d->seq,
                        .state = d->state,
                        .ver = d->ver,
                        .at_ms = d->at_ms};

    switch (d->part) {
    case AUDIT_FOLLOW:
    case AUDIT_FAVORITE:
    case AUDIT_COMMENT:
        mend.kind = for_first(d);
        break;
    case AUDIT_FOLLOWER:
    case AUDIT_LIKER:
    case AUDIT_COMMENTED:
        mend.kind = for_second(d, is_lost);
        break;
    case AUDIT_SENT:
    case AUDIT_RECEIVED:
        mend.kind = !d->is_owner_lost ? MEND_CHAT : is_lost ? MEND_USER : MEND_NONE;
        if (mend.kind == MEND_USER || d->part == AUDIT_RECEIVED) {
            mend.owner = d->other;
            mend.other = d->owner;
        }
        break;
    default: /* counters: by user_repair() */
        break;
    }
    return mend;
}

/* ---- Doing the repair ---- */

static const char *kind_of(enum audit_part part)
{
    return part == AUDIT_FOLLOW || part == AUDIT_FOLLOWER  ? "follow"
           : part == AUDIT_FAVORITE || part == AUDIT_LIKER ? "favorite"
                                                           : "comment";
}

static void add_again(struct ops *ops, const struct mend *mend)
{
    ops_add_owner(ops, mend->owner);
    ops_text(ops, "kind", kind_of(mend->part));
    ops_number(ops, "target", (int64_t)mend->other);
    ops_number(ops, "seq", (int64_t)mend->seq);
    ops_number(ops, "ver", (int64_t)mend->ver);
}

static void add_recover(struct ops *ops, const struct mend *mend)
{
    ops_add_owner(ops, mend->other);
    ops_text(ops, "kind", kind_of(mend->part));
    ops_number(ops, "target", (int64_t)mend->owner);
    ops_number(ops, "state", mend->state);
    ops_number(ops, "ver", (int64_t)mend->ver);
    ops_number(ops, "at", mend->at_ms);
}

/* As the relay would deliver it if the first half had been undone. */
static void add_forget(struct ops *ops, const struct mend *mend)
{
    ops_add_owner(ops, mend->owner);
    if (mend->part == AUDIT_COMMENTED) {
        ops_number(ops, "video", (int64_t)mend->other);
        ops_number(ops, "comment_id", (int64_t)mend->seq);
    } else {
        ops_number(ops, "actor", (int64_t)mend->other);
    }
    ops_number(ops, "state", 0);
    ops_number(ops, "ver", (int64_t)mend->ver + 1);
    ops_number(ops, "at", mend->at_ms);
}

static void add_delete(struct ops *ops, const struct mend *mend)
{
    ops_add_owner(ops, mend->other);
    ops_number(ops, "user", (int64_t)mend->owner);
    ops_number(ops, "comment_id", (int64_t)mend->seq);
}

static void add_user(struct ops *ops, const struct mend *mend)
{
    ops_add_owner(ops, mend->owner);
}

static enum proc_id proc_for(const struct mend *mend)
{
    static const enum proc_id procs[] = {[MEND_RECOVER] = PROC_EDGE_RECOVER,
                                         [MEND_AGAIN] = PROC_OUTBOX_AGAIN,
                                         [MEND_DELETE] = PROC_COMMENT_DELETE,
                                         [MEND_USER] = PROC_USER_LOST};

    if (mend->kind != MEND_FORGET) {
        return procs[mend->kind];
    }
    return mend->part == AUDIT_FOLLOWER ? PROC_RELATION_DELIVER
           : mend->part == AUDIT_LIKER  ? PROC_FAVORITE_DELIVER
                                        : PROC_COMMENT_DELIVER;
}

enum outcome mend_do(struct router *router, struct call *call, const struct mend *mends,
                     size_t n)
{
    static void (*const add[])(struct ops * ops, const struct mend *mend) = {
        [MEND_RECOVER] = add_recover, [MEND_AGAIN] = add_again,
        [MEND_FORGET] = add_forget,   [MEND_DELETE] = add_delete,
        [MEND_USER] = add_user,
    };
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    enum outcome outcome = OUTCOME_OK;

    CHECK(n > 0 && n <= OPS_MAX && mends->kind < MEND__COUNT);
    if (mends->kind == MEND_CHAT) {
        return repair_chat(router, call, mends->owner, mends->other);
    }
    struct ops *ops = ops_new();
    if (answers == NULL || ops == NULL) {
        ops_free(&ops);
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        add[mends->kind](ops, &mends[i]);
    }
    router_batch(router, call, proc_for(mends), ops, answers);
    ops_free(&ops);
    for (size_t i = 0; i < n && outcome == OUTCOME_OK; i++) {
        /* Not found: it was erased meanwhile, which ends it, too. */
        if (answers[i].outcome != OUTCOME_SAME &&
            answers[i].outcome != OUTCOME_NOTFOUND) {
            outcome = answers[i].outcome;
        }
    }
    return outcome;
}
