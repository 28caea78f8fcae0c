/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ending a session whose answer was lost, so that what it did or did not do is final. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/dbexec.h"
#include "shard/router_impl.h"

/* How long a killed attempt may take to roll back and end. */
#define KILL_WAIT_MS 1000

bool shard_kill(struct shard *shard, const char *tag, int64_t deadline_ms)
{
    struct arena arena;
    struct dbconn_hello hello;
    struct dbpool_state state;
    char why[160];
    int64_t limit_ms = clock_mono_ms() + shard->router->connect_timeout_ms;
    bool gone = false;

    dbpool_get_state(shard->pool, &state);
    if (!state.is_up) {
        return false;
    }
    struct dbconn *conn =
        dbconn_open(&shard->target, limit_ms < deadline_ms ? limit_ms : deadline_ms,
                    &hello, why, sizeof why);
    if (conn == NULL || !minder_admit(shard, &hello, why, sizeof why)) {
        dbconn_close(&conn); /* another server's word would prove nothing */
        return false;
    }
    const struct dbarg args[] = {dbarg_text(tag, strlen(tag)),
                                 dbarg_number(KILL_WAIT_MS)};
    arena_init(&arena, 65536);
    struct dbexec exec = {
        .conn = conn, .proc = PROC_CONN_KILL, .args = args, .arena = &arena};
    dbexec_run(&exec, 1, deadline_ms);
    if (exec.status == DB_OK) {
        const struct dbvalue *value = dbresult_value(exec.results, 0, "gone");
        gone = value != NULL && value->number == 1;
    }
    arena_release(&arena);
    dbconn_close(&conn);
    return gone;
}
