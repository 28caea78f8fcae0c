/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Inside a connection: shared by dbconn.c, dbexec.c, dbread.c and move_query.c only, and
 * the one place that knows <mysql.h>.
 *
 * Every operation of the library has two parts: x_start() begins it, and x_cont() goes on
 * when what it waits for has happened. Both return what to wait for (MYSQL_WAIT_* flags),
 * or 0 when the operation is done. */
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
    bool is_broken; /* a protocol error or a lost connection: it can only be closed */
};

/* For poll(2): what the library waits for. */
short dbconn_poll_events(int wait);

/* After poll(2): which of those events have happened. */
int dbconn_happened(short revents, int wait);

/* A whole result set is in the library's memory: copy it into ARENA and append it to
 * *RESULTS. False: it does not fit, or has more columns than any routine answers. */
bool dbread_append(MYSQL_STMT *stmt, struct arena *arena,
                   struct dbresult **results) MUST_CHECK;

#endif
