/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The procedures that this program calls; the list is procs.def. */
#ifndef DOUSHARD_PROC_H
#define DOUSHARD_PROC_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

#include "shard/call.h"
#include "shard/outcome.h"

/* The version of the tables that this program knows. */
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
    unsigned version;
};

/* Static storage. */
const struct proc *proc_get(enum proc_id id);

/* ID answered what this program cannot read: says so in call->detail. Always INTERNAL. */
enum outcome proc_unreadable(struct call *call, enum proc_id id);

#endif
