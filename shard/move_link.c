/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/move_link.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/failpoint.h"

#include "shard/dbconn.h"

#define CONNECT_MS   3000
#define CALLS_MAX    4
#define KILL_WAIT_MS 2000

void link_init(struct move_link *link, const char *name,
               const struct dbconn_target *target, bool durability_exempt)
{
    *link = (struct move_link){
        .name = name, .target = target, .durability_exempt = durability_exempt};
}

void link_close(struct move_link *link)
{
    dbconn_close(&link->conn);
}

struct dbarg link_text(const char *text)
{
    return dbarg_text(text, strlen(text));
}

bool link_open(struct move_link *link)
{
    struct dbconn_hello hello = {.error = 0};
    struct errmsg err;

    if (link->conn != NULL && dbconn_is_alive(link->conn)) {
        return true;
    }
    dbconn_close(&link->conn);
    link->conn = dbconn_open(link->target, clock_mono_ms() + CONNECT_MS, &hello, &err);
    if (link->conn == NULL) {
        (void)snprintf(link->why, sizeof link->why, "%.199s", err.text);
        return false;
    }
    link->sessions++;
    if (strcmp(hello.server, link->name) != 0) {
        (void)snprintf(link->why, sizeof link->why, "it calls itself %s", hello.server);
        dbconn_close(&link->conn);
    } else if (!hello.is_durable && !link->durability_exempt) {
        (void)snprintf(link->why, sizeof link->why, "it may lose acknowledged writes");
        dbconn_close(&link->conn);
    }
    return link->conn != NULL;
}

bool link_kill(struct move_link *link, const char *tag)
{
    struct move_link other;
    struct dbexec exec = {.proc = PROC_CONN_KILL};
    const struct dbarg args[] = {link_text(tag), dbarg_number(KILL_WAIT_MS)};
    struct arena arena;

    link_init(&other, link->name, link->target, link->durability_exempt);
    if (!link_open(&other)) {
        return false;
    }
    arena_init(&arena, 65536);
    exec.conn = other.conn;
    exec.args = args;
    exec.arena = &arena;
    dbexec_run(&exec, 1, clock_mono_ms() + (int64_t)2 * KILL_WAIT_MS);
    const struct dbvalue *gone =
        exec.status == DB_OK ? dbresult_value(exec.results, 0, "gone") : NULL;
    bool is_gone = gone != NULL && gone->number == 1;
    arena_release(&arena);
    link_close(&other);
    return is_gone;
}

/* No answer came in time or the connection was lost: what has not been committed when
 * this is over never will be. */
static enum move_status end_session(struct link_call *call, const struct dbexec *exec)
{
    char tag[DBCONN_TAG_SIZE];

    (void)snprintf(tag, sizeof tag, "%s", dbconn_tag(call->link->conn));
    link_close(call->link);
    if (call->holder != NULL) {
        link_close(call->holder);
    }
    return exec->is_late && link_kill(call->link, tag) ? MOVE_AGAIN : MOVE_LOST;
}

static enum move_status status_of(struct link_call *call, const struct dbexec *exec)
{
    switch (exec->status) {
    case DB_OK:
        return MOVE_OK;
    case DB_AGAIN:
        return MOVE_AGAIN;
    case DB_REFUSED:
        return exec->refusal == OUTCOME_FENCED ? MOVE_FENCED : MOVE_REFUSED;
    case DB_UNKNOWN:
        return end_session(call, exec);
    case DB_NOT_SENT: /* late: it was being prepared */
        return exec->is_late ? MOVE_AGAIN : MOVE_LOST;
    case DB_SICK:
    case DB_NOMEM:
        return MOVE_LOST;
    case DB_FAILED:
        break;
    }
    return MOVE_REFUSED;
}

/* What one CALL brought back. */
static void digest(struct link_call *call, const struct dbexec *exec)
{
    struct move_link *link = call->link;

    call->results = exec->results;
    if (exec->status != DB_OK) {
        (void)snprintf(link->why, sizeof link->why, "%s", exec->detail);
    }
    call->status = status_of(call, exec);
    /* A flip stays open between its CALLs. */
    if (call->status != MOVE_OK && link->conn != NULL && !dbconn_is_clean(link->conn)) {
        link_close(link);
    }
}

static void reach(const struct link_call *call, const char *when)
{
    if (!call->is_rehearsal) {
        failpoint(proc_get(call->proc)->routine, when);
    }
}

/* Run those of CALLS that have the same limit as the first one. */
static void run_open(struct link_call *calls, struct dbexec *execs, size_t n)
{
    int limit_ms = 0;

    for (size_t i = 0; i < n; i++) {
        if (execs[i].conn != NULL) {
            reach(&calls[i], "before");
            limit_ms = calls[i].limit_ms;
        }
    }
    dbexec_run(execs, n, clock_mono_ms() + limit_ms);
    for (size_t i = 0; i < n; i++) {
        if (execs[i].conn != NULL) {
            reach(&calls[i], "after");
            digest(&calls[i], &execs[i]);
        }
    }
}

enum move_status link_run(struct link_call *calls, size_t n)
{
    struct dbexec execs[CALLS_MAX];
    enum move_status status = MOVE_OK;

    CHECK(n <= CALLS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct link_call *call = &calls[i];
        execs[i] =
            (struct dbexec){.proc = call->proc, .args = call->args, .arena = call->arena};
        call->status = MOVE_OK;
        call->results = NULL;
        if (call->link == NULL) {
            continue;
        }
        if (!link_open(call->link)) {
            call->status = MOVE_LOST;
        } else {
            execs[i].conn = call->link->conn;
        }
    }
    run_open(calls, execs, n);
    for (size_t i = n; i-- > 0;) {
        status = calls[i].status == MOVE_OK ? status : calls[i].status;
    }
    return status;
}

enum move_status link_call(struct move_link *link, enum proc_id proc,
                           const struct dbarg *args, struct arena *arena,
                           struct dbresult **results)
{
    struct link_call call = {
        .link = link, .proc = proc, .arena = arena, .limit_ms = LINK_CALL_MS};

    for (unsigned i = 0; i < proc_get(proc)->n_args; i++) {
        call.args[i] = args[i];
    }
    enum move_status status = link_run(&call, 1);
    *results = call.results;
    return status;
}
