/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ending a session whose answer was lost, so that its outcome is final. */
#include <string.h>

#include "shard/base/clock.h"

#include "shard/dbexec.h"
#include "shard/router_impl.h"

/* How long a killed attempt may take to roll back and end. */
#define KILL_WAIT_MS 1000

/* How often to try if the connection for the kill is ended. */
#define KILLS_MAX 5

/* How it went. */
enum kill_end { KILL_GONE, KILL_NOT_GONE, KILL_CUT };

/* Kill the session TAG by CONN, and wait until it has ended. */
static enum kill_end run_kill(struct dbconn *conn, const char *tag, int64_t deadline_ms)
{
    const struct dbarg args[] = {dbarg_text(tag, strlen(tag)),
                                 dbarg_number(KILL_WAIT_MS)};
    struct arena arena;
    enum kill_end end = KILL_NOT_GONE;

    arena_init(&arena, 65536);
    struct dbexec exec = {
        .conn = conn, .proc = PROC_CONN_KILL, .args = args, .arena = &arena};
    dbexec_run(&exec, 1, deadline_ms);
    if (exec.status == DB_OK) {
        const struct dbvalue *value = dbresult_value(exec.results, 0, "gone");
        end = value != NULL && value->number == 1 ? KILL_GONE : KILL_NOT_GONE;
    } else if (exec.is_cut) {
        end = KILL_CUT;
    }
    arena_release(&arena);
    return end;
}

static enum kill_end try_kill(struct shard *shard, const struct shard_session *session,
                              int64_t deadline_ms)
{
    struct dbconn_hello hello = {.error = 0};
    struct errmsg err;
    int64_t limit_ms = clock_mono_ms() + shard->router->connect_timeout_ms;
    struct dbconn *conn =
        dbconn_open(session->target, clock_earlier(limit_ms, deadline_ms), &hello, &err);

    if (conn == NULL) {
        return dbconn_was_cut(&hello) ? KILL_CUT : KILL_NOT_GONE;
    }
    enum kill_end end = KILL_NOT_GONE;
    if (minder_admit(shard, &hello, &err)) { /* otherwise it may be another server */
        end = run_kill(conn, session->tag, deadline_ms);
    }
    dbconn_close(&conn);
    return end;
}

bool shard_kill(struct shard *shard, const struct shard_session *session,
                int64_t deadline_ms)
{
    int64_t limit_ms = clock_mono_ms() + SHARD_KILL_MS;
    struct dbpool_state state;
    enum kill_end end = KILL_CUT;

    dbpool_state(shard->pool, &state);
    for (unsigned i = 0; i < KILLS_MAX && state.is_up && end == KILL_CUT; i++) {
        end = try_kill(shard, session, clock_earlier(limit_ms, deadline_ms));
    }
    return end == KILL_GONE;
}
