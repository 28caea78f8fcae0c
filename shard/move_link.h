/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A mover's connection to one shard, and CALLs on several of them side by side.
 *
 * Nothing is repeated here: whoever gets no answer gives the whole attempt up, and the
 * next one finds out from the fences how far things are. Every CALL is a failpoint
 * (shard/base/failpoint.h): ROUTINE:before and ROUTINE:after. */
#ifndef DOUSHARD_MOVE_LINK_H
#define DOUSHARD_MOVE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "shard/dbexec.h"
#include "shard/dbresult.h"
#include "shard/proc.h"

/* How a CALL of a mover ended. */
enum move_status {
    MOVE_OK,
    MOVE_AGAIN,   /* nothing was done; the same is worth repeating */
    MOVE_FENCED,  /* another mover has taken over, or the slot is not as it should be */
    MOVE_REFUSED, /* nothing was done; the shard says why */
    MOVE_LOST,    /* no answer: it may be done or not */
};

/* One connection to one shard, opened when it is needed. One thread at a time. */
struct move_link {
    const char *name;                   /* (ref) of the shard */
    const struct dbconn_target *target; /* (ref) */
    bool durability_exempt;             /* it may lose acknowledged writes */
    struct dbconn *conn;                /* owned; NULL: none at present */
    uint64_t sessions;                  /* opened so far */
    char why[200];                      /* what went wrong last */
};

/* One CALL. The caller sets the first group, link_run() the second. */
struct link_call {
    struct move_link *link; /* NULL: skipped */
    enum proc_id proc;
    struct dbarg args[PROC_ARGS_MAX];
    struct arena *arena; /* takes the results */
    int limit_ms; /* then the connection is ended, and the server's session with it */
    bool is_rehearsal;        /* its slot does not exist: no failpoint */
    struct move_link *holder; /* (ref) of locks that others wait for: when the CALL is
                                 late it is closed first, since ending a session takes
                                 its time; NULL: none */

    enum move_status status;
    struct dbresult *results;
};

/* What a CALL may take: less than a lease, so that a mover keeps its claim while it waits
 * for an answer. */
#define LINK_CALL_MS 8000

/* A slot, or a move, that there is not. */
#define LINK_NO_SLOT UINT32_MAX

void link_init(struct move_link *link, const char *name,
               const struct dbconn_target *target, bool durability_exempt);

/* Connect, if there is no connection that works, to the shard that is meant. False:
 * LINK->why says why. link_run() does it, too. */
bool link_open(struct move_link *link) MUST_CHECK;

/* Close the connection: an open transaction is rolled back. */
void link_close(struct move_link *link);

/* Run N CALLs side by side, at most 4, each on a link of its own. The first that is not
 * OK is the answer, and link->why of it says more. A CALL that did not end in time has
 * ended for certain when this returns, unless it is LOST. */
enum move_status link_run(struct link_call *calls, size_t n) MUST_CHECK;

/* Run one, with LINK_CALL_MS; its rows go to *RESULTS in ARENA. */
enum move_status link_call(struct move_link *link, enum proc_id proc,
                           const struct dbarg *args, struct arena *arena,
                           struct dbresult **results) MUST_CHECK;

/* End the session at LINK's shard that is called TAG, its own or the token of a flip, and
 * wait until it has ended. False: it may go on. */
bool link_kill(struct move_link *link, const char *tag);

/* An argument that is a text with a NUL. */
struct dbarg link_text(const char *text);

#endif
