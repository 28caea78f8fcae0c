/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The procedures that this program calls; the list is procs.def. */
#ifndef DOUSHARD_PROC_H
#define DOUSHARD_PROC_H

#include <stdbool.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "shard/call.h"
#include "shard/outcome.h"

/* The version of the tables that this program was written for. */
#define SCHEMA_VERSION 1

/* Most arguments of one procedure. */
#define PROC_ARGS_MAX 8

enum proc_id {
#define PROC(id, routine, kind, n_args, effect, version) PROC_##id,
#include "shard/procs.def"
#undef PROC
    PROC__COUNT
};

enum proc_kind { PROC_BATCH, PROC_OWNER, PROC_SHARD };
enum proc_effect { PROC_READS, PROC_WRITES };

struct proc {
    const char *routine;
    const char *sql; /* "CALL routine(?, ?)": all access to data is such a text */
    enum proc_kind kind;
    enum proc_effect effect;
    unsigned n_args;
    unsigned version; /* of the routine that this program was written for */
};

/* Static storage. */
const struct proc *proc_get(enum proc_id id);

/* The version of one of a shard's routines, or of its tables: it has `version` and works
 * for programs written for any version from `serves` on. Both 0: it does not exist. */
struct proc_version {
    uint32_t version;
    uint32_t serves;
};

/* Does THEIRS of NAME work for this program, which was written for version OURS? If not,
 * ERR says which of the two to upgrade. */
bool proc_is_served(const char *name, struct proc_version theirs, uint32_t ours,
                    struct errmsg *err) MUST_CHECK;

/* The outcome when ID was not answered: UNKNOWN for a write, TIMEOUT for a read. */
enum outcome proc_unanswered(enum proc_id id);

/* This program cannot read the answer of ID: says so in call->detail. UNKNOWN for a
 * write, INTERNAL for a read. */
enum outcome proc_unreadable(struct call *call, enum proc_id id);

#endif
