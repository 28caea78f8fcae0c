/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: likes and follows, and how many of them an actor can
 * have had during a read. */
#include <inttypes.h>
#include <string.h>

#include "tests/ledger/check.h"

#define NEVER INT64_C(-1)
#define EVER  INT64_MAX

/* One edge: the requests for it, and its two halves. */
struct edge_case {
    enum ledger_kind kind;
    uint64_t actor;
    uint64_t target;
    const struct ledger_op *ops;
    size_t n_ops;
    const struct ledger_edge *forward; /* NULL: none, like the other */
    const struct ledger_edge *backward;
};

/* What is known about those operations of one edge that set one state. */
struct wishes {
    int64_t last_acked_invoked; /* NEVER: none */
    int64_t last_returned;      /* of those that may have been done; EVER: unknown */
};

static struct wishes wishes_of(const struct edge_case *edge, bool state)
{
    struct wishes wishes = {.last_acked_invoked = NEVER, .last_returned = NEVER};

    for (size_t i = 0; i < edge->n_ops; i++) {
        const struct ledger_op *op = &edge->ops[i];
        if (op->on != state || op->outcome == LEDGER_FAIL) {
            continue;
        }
        int64_t returned = op->outcome == LEDGER_OK ? op->returned_us : EVER;
        if (returned > wishes.last_returned) {
            wishes.last_returned = returned;
        }
        if (op->outcome == LEDGER_OK && op->invoked_us > wishes.last_acked_invoked) {
            wishes.last_acked_invoked = op->invoked_us;
        }
    }
    return wishes;
}

static bool target_exists(const struct ledger_case *c, const struct edge_case *edge)
{
    return edge->kind == LEDGER_LIKE ? ledger_video_of(c, edge->target) != NULL
                                     : ledger_user_of(c, edge->target) != NULL;
}

/* A deleted video refuses unlikes too and keeps its likes: nothing can be concluded
 * from them. */
static bool target_is_live(const struct ledger_case *c, const struct edge_case *edge)
{
    if (edge->kind == LEDGER_LIKE) {
        const struct ledger_video *video = ledger_video_of(c, edge->target);
        return video != NULL && video->is_live;
    }
    return ledger_user_of(c, edge->target) != NULL;
}

static void check_halves(const struct ledger_case *c, const struct edge_case *edge)
{
    const struct ledger_edge *there = edge->forward;
    const struct ledger_edge *back = edge->backward;

    if (there == NULL && back == NULL) {
        return;
    }
    if (there == NULL || back == NULL) {
        ledger_violation(c->report, INVARIANT_HALVES,
                         "%s %" PRIu64 " -> %" PRIu64 ": there is no half at the %s",
                         ledger_kind_name(edge->kind), edge->actor, edge->target,
                         there == NULL ? "actor" : "target");
    } else if (there->state != back->state || there->ver != back->ver) {
        ledger_violation(c->report, INVARIANT_HALVES,
                         "%s %" PRIu64 " -> %" PRIu64 ": actor has state %d version "
                         "%" PRIu64 ", target state %d version %" PRIu64,
                         ledger_kind_name(edge->kind), edge->actor, edge->target,
                         there->state, there->ver, back->state, back->ver);
    }
}

static void check_state(const struct ledger_case *c, const struct edge_case *edge)
{
    bool state = edge->forward != NULL && edge->forward->state;
    struct wishes wanted = wishes_of(edge, true);
    struct wishes same = state ? wanted : wishes_of(edge, false);
    struct wishes other = state ? wishes_of(edge, false) : wanted;

    if (edge->forward != NULL && wanted.last_returned == NEVER) {
        ledger_violation(c->report, INVARIANT_INVENTED,
                         "%s %" PRIu64 " -> %" PRIu64 " has a row nobody asked for",
                         ledger_kind_name(edge->kind), edge->actor, edge->target);
        return;
    }
    /* At first there was no edge: a state 0 that began before everything. */
    if (other.last_acked_invoked > same.last_returned) {
        ledger_violation(c->report, INVARIANT_LOST,
                         "%s %" PRIu64 " -> %" PRIu64 " is %d, but %d was acknowledged "
                         "later: invoked at %" PRId64 " us, after %" PRId64 " us",
                         ledger_kind_name(edge->kind), edge->actor, edge->target, state,
                         !state, other.last_acked_invoked, same.last_returned);
    }
}

static void check_edge(const struct ledger_case *c, const struct edge_case *edge)
{
    c->report->edges++;
    if (!target_exists(c, edge)) {
        if (edge->backward != NULL || (edge->forward != NULL && edge->forward->state)) {
            ledger_violation(c->report, INVARIANT_REFERENCES,
                             "%s %" PRIu64 " -> %" PRIu64 ": the target never existed",
                             ledger_kind_name(edge->kind), edge->actor, edge->target);
        }
    } else if (target_is_live(c, edge)) {
        check_halves(c, edge);
        check_state(c, edge);
    }
}

static int compare_key(const struct edge_case *edge, enum ledger_kind kind,
                       uint64_t actor, uint64_t target)
{
    int by = ledger_compare(kind, edge->kind);

    by = by != 0 ? by : ledger_compare(actor, edge->actor);
    return by != 0 ? by : ledger_compare(target, edge->target);
}

/* The next edge in the operations from *OP on and the rows from *ROW on, whichever
 * comes first. False: both are at their end. */
static bool next_edge(const struct ledger_case *c, size_t *op, size_t *row,
                      struct edge_case *edge)
{
    const struct ledger_history *history = c->history;
    const struct ledger_rows *rows = c->rows;
    bool has_op = *op < history->n && history->ops[*op].kind <= LEDGER_FOLLOW;

    if (!has_op && *row >= rows->n_edges) {
        return false;
    }
    memset(edge, 0, sizeof *edge);
    if (*row < rows->n_edges) {
        const struct ledger_edge *r = &rows->edges[*row];
        edge->kind = r->kind;
        edge->actor = r->actor;
        edge->target = r->target;
    }
    if (has_op) {
        const struct ledger_op *o = &history->ops[*op];
        if (*row >= rows->n_edges ||
            compare_key(edge, o->kind, o->actor, o->target) < 0) {
            edge->kind = o->kind;
            edge->actor = o->actor;
            edge->target = o->target;
        }
    }
    edge->ops = history->ops + *op;
    for (; *op < history->n &&
           compare_key(edge, history->ops[*op].kind, history->ops[*op].actor,
                       history->ops[*op].target) == 0;
         ++*op) {
        edge->n_ops++;
    }
    for (; *row < rows->n_edges &&
           compare_key(edge, rows->edges[*row].kind, rows->edges[*row].actor,
                       rows->edges[*row].target) == 0;
         ++*row) {
        const struct ledger_edge *r = &rows->edges[*row];
        *(r->is_backward ? &edge->backward : &edge->forward) = r;
    }
    return true;
}

void ledger_check_edges(struct ledger_case *c)
{
    struct edge_case edge;
    size_t op = 0;
    size_t row = 0;

    while (next_edge(c, &op, &row, &edge)) {
        check_edge(c, &edge);
    }
}

/* ---- What an actor can have had at some moment of a read ---- */

/* Those operations of one edge that set one state and began before the read ended. */
static struct wishes wishes_at(const struct edge_case *edge, bool state,
                               const struct ledger_op *read)
{
    struct wishes wishes = {.last_acked_invoked = NEVER, .last_returned = NEVER};

    for (size_t i = 0; i < edge->n_ops; i++) {
        const struct ledger_op *op = &edge->ops[i];
        if (op->on != state || op->invoked_us > read->returned_us) {
            continue;
        }
        /* What was refused may have existed until it was taken back. */
        int64_t returned = op->outcome == LEDGER_UNKNOWN ? EVER : op->returned_us;
        if (returned > wishes.last_returned) {
            wishes.last_returned = returned;
        }
        if (op->outcome == LEDGER_OK && op->returned_us < read->invoked_us &&
            op->invoked_us > wishes.last_acked_invoked) {
            wishes.last_acked_invoked = op->invoked_us;
        }
    }
    return wishes;
}

static void add_bounds(const struct ledger_case *c, const struct edge_case *edge,
                       const struct ledger_op *read, struct ledger_bounds *bounds)
{
    struct wishes on = wishes_at(edge, true, read);
    struct wishes off = wishes_at(edge, false, read);
    bool may_be_on = on.last_returned > off.last_acked_invoked;

    bounds->most += may_be_on;
    if (target_is_live(c, edge)) {
        bounds->least +=
            on.last_acked_invoked != NEVER && off.last_returned <= on.last_acked_invoked;
    }
}

struct ledger_bounds ledger_edge_bounds(const struct ledger_case *c,
                                        enum ledger_kind kind,
                                        const struct ledger_op *read)
{
    const struct ledger_history *history = c->history;
    struct ledger_bounds bounds = {0, 0};
    size_t i = ledger_first_op(history, kind, read->actor);

    while (i < history->n && history->ops[i].kind == kind &&
           history->ops[i].actor == read->actor) {
        struct edge_case edge = {.kind = kind,
                                 .actor = read->actor,
                                 .target = history->ops[i].target,
                                 .ops = history->ops + i};
        while (i < history->n &&
               compare_key(&edge, history->ops[i].kind, history->ops[i].actor,
                           history->ops[i].target) == 0) {
            edge.n_ops++;
            i++;
        }
        add_bounds(c, &edge, read, &bounds);
    }
    return bounds;
}
