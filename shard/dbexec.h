/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Prepared CALLs on connections, side by side.
 *
 * All I/O uses the non-blocking half of Connector/C and waits by wait.h: deadlines are
 * exact to the millisecond, several shards are asked at once from one thread, and on a
 * fiber that thread does something else meanwhile. */
#ifndef DOUSHARD_DBEXEC_H
#define DOUSHARD_DBEXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/wait.h"

#include "shard/dbconn.h"
#include "shard/dbresult.h"
#include "shard/outcome.h"
#include "shard/proc.h"

/* How one CALL ended, before its rows are looked at. */
enum db_status {
    DB_OK,      /* all result sets are here */
    DB_REFUSED, /* the procedure refused with a SQLSTATE of ours; nothing was changed */
    DB_AGAIN, /* deadlock, lock wait or snapshot conflict: rolled back, worth repeating */
    DB_NOT_SENT, /* the connection was lost before the CALL went out */
    DB_UNKNOWN,  /* lost, too late or interrupted after that: it may be done or not */
    DB_SICK,     /* the server cannot do it now, for anybody; rolled back */
    DB_FAILED,   /* the server reported another error; rolled back */
    DB_NOMEM,    /* the answer does not fit the arena; a write may have been done */
};

struct dbarg {
    enum { DBARG_NUMBER, DBARG_TEXT } kind;
    uint64_t number;
    const char *text;
    size_t len;
};

/* One CALL. The caller sets the first group; dbexec_run() the second. */
struct dbexec {
    struct dbconn *conn; /* NULL: skipped */
    enum proc_id proc;
    const struct dbarg *args; /* as many as the procedure has */
    struct arena *arena;      /* takes the results */

    enum db_status status;
    enum outcome refusal;     /* of DB_REFUSED */
    struct dbresult *results; /* of DB_OK: the first result set, or NULL */
    bool is_late;             /* of DB_UNKNOWN: the deadline passed before an answer */
    bool is_over;   /* of DB_UNKNOWN: the server has ended the CALL; else it may run on */
    bool is_cut;    /* of DB_UNKNOWN and DB_NOT_SENT: the connection ended under it */
    unsigned error; /* the number that the server or the library reported, 0 = none */
    char detail[160]; /* of everything else: what the server or the library said */
    int64_t took_us;  /* from the first byte sent to the end */

    struct wait_fd wait; /* of dbexec_run(), like what follows */
    int64_t begun_us;
};

static inline struct dbarg dbarg_number(uint64_t number)
{
    return (struct dbarg){.kind = DBARG_NUMBER, .number = number};
}

static inline struct dbarg dbarg_text(const char *text, size_t len)
{
    return (struct dbarg){.kind = DBARG_TEXT, .text = text, .len = len};
}

/* Run N CALLs side by side, each on its own connection, until all are done, or until
 * DEADLINE_MS. An interrupted CALL leaves its connection unclean. */
void dbexec_run(struct dbexec *execs, size_t n, int64_t deadline_ms);

#endif
