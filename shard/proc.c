/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The procedures that this program calls; the list is procs.def. */
#include "shard/proc.h"

#define MARKS_0 ""
#define MARKS_1 "?"
#define MARKS_2 "?,?"
#define MARKS_3 "?,?,?"
#define MARKS_4 "?,?,?,?"
#define MARKS_5 "?,?,?,?,?"
#define MARKS_6 "?,?,?,?,?,?"
#define MARKS_7 "?,?,?,?,?,?,?"
#define MARKS_8 "?,?,?,?,?,?,?,?"

static const struct proc procs[PROC__COUNT] = {
#define PROC(id, name, args_kind, count, does, known)                                    \
    [PROC_##id] = {.routine = (name),                                                    \
                   .sql = "CALL " name "(" MARKS_##count ")",                            \
                   .kind = PROC_##args_kind,                                             \
                   .effect = PROC_##does,                                                \
                   .n_args = (count),                                                    \
                   .version = (known)},
#include "shard/procs.def"
#undef PROC
};

const struct proc *proc_get(enum proc_id id)
{
    CHECK((unsigned)id < PROC__COUNT);
    return &procs[id];
}

bool proc_is_served(const char *name, struct proc_version theirs, uint32_t ours,
                    struct errmsg *err)
{
    if (theirs.version == 0) {
        return errmsg_set(err, "it has no %s: run migrate there first", name);
    }
    if (theirs.version < ours) {
        return errmsg_set(
            err, "its %s has version %u, this program needs %u: run migrate there first",
            name, theirs.version, ours);
    }
    if (theirs.serves > ours) {
        return errmsg_set(err,
                          "its %s serves programs from version %u on, this one knows "
                          "%u: upgrade this program",
                          name, theirs.serves, ours);
    }
    return true;
}

enum outcome proc_unanswered(enum proc_id id)
{
    return proc_get(id)->effect == PROC_WRITES ? OUTCOME_UNKNOWN : OUTCOME_TIMEOUT;
}

enum outcome proc_unreadable(struct call *call, enum proc_id id)
{
    call_explain(call, "%s answered columns that cannot be read", proc_get(id)->routine);
    return proc_get(id)->effect == PROC_WRITES ? OUTCOME_UNKNOWN : OUTCOME_INTERNAL;
}
