/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside a connection: shared by dbconn.c, dbexec.c, dbread.c and move_query.c only, and
 * the one place that knows <mysql.h>.
 *
 * Every operation of the library comes in two halves: x_start() begins it, x_cont() goes
 * on with it after what it waits for has happened. Both answer what to wait for
 * (MYSQL_WAIT_* flags), 0 when the operation is done. */
#ifndef DOUSHARD_DBCONN_IMPL_H
#define DOUSHARD_DBCONN_IMPL_H

#include <errmsg.h>
#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "shard/dbconn.h"
#include "shard/dbresult.h"
#include "shard/proc.h"

enum phase {
    PHASE_IDLE,    /* nothing under way */
    PHASE_PREPARE, /* the statement is being prepared */
    PHASE_EXECUTE, /* the CALL is on its way: from here on its outcome can be unknown */
    PHASE_STORE,   /* a result set is being read */
    PHASE_NEXT,    /* asking for the following result set */
};

struct dbconn {
    MYSQL *mysql;                       /* owned */
    const struct dbconn_target *target; /* (ref) where it was opened to */
    MYSQL_STMT *stmt[PROC__COUNT];      /* owned; prepared at first use */
    char tag[DBCONN_TAG_SIZE];
    enum phase phase;
    int wait;       /* MYSQL_WAIT_* flags of the operation under way, 0 = it is done */
    int ret;        /* what the operation returned */
    bool is_broken; /* a protocol error or a lost connection: only good for closing */
};

/* For poll(2): what the library waits for. */
short dbconn_poll_events(int wait);

/* After it: which of what the library waits for has happened. */
int dbconn_happened(short revents, int wait);

/* A whole result set is in the library's memory: copy it into ARENA, behind *RESULTS.
 * False: it does not fit, or has more columns than any routine answers. */
bool dbread_append(MYSQL_STMT *stmt, struct arena *arena,
                   struct dbresult **results) MUST_CHECK;

#endif
