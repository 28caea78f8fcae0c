/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Asking shards rather than owners: one CALL to several of them, once. */
#include "shard/router_scatter.h"

#include "shard/base/clock.h"

#include "shard/router_impl.h"

/* Enough for the slot maps of all wanted shards. */
#define MAPS_BYTES ((size_t)256 << 20)

static enum outcome share_outcome(const struct dbexec *exec)
{
    switch (exec->status) {
    case DB_OK:
        return OUTCOME_OK;
    case DB_REFUSED:
        return exec->refusal;
    case DB_AGAIN:
        return OUTCOME_BUSY;
    case DB_NOT_SENT:
    case DB_SICK:
        return OUTCOME_UNAVAILABLE;
    case DB_UNKNOWN:
        return proc_unanswered(exec->proc);
    case DB_NOMEM:
        return proc_get(exec->proc)->effect == PROC_WRITES ? OUTCOME_UNKNOWN
                                                           : OUTCOME_NOMEM;
    case DB_FAILED:
        break;
    }
    return OUTCOME_INTERNAL;
}

/* One PROC_SHARD call to several shards. */
struct scatter {
    struct router *router;
    struct call *call;
    struct router_share *shares;
    size_t n;
    struct dbexec *execs;
    bool *is_in; /* per shard: this is among its requests */
};

static bool scatter_get(struct scatter *s, size_t i, bool may_wait)
{
    s->shares[i].outcome = shard_borrow(shard_at(s->router, i), s->call,
                                        /* least_ms= */ 0, may_wait, &s->execs[i]);
    return s->shares[i].outcome == OUTCOME_OK;
}

/* Run the CALLs that have a connection, give it back and take the results. */
static void scatter_run(struct scatter *s)
{
    struct router *router = s->router;
    bool is_fair = s->call->deadline_ms - clock_mono_ms() >= attempt_fair_ms(router);

    dbexec_run(s->execs, s->n, attempt_deadline(router, s->call));
    for (size_t i = 0; i < s->n; i++) {
        struct dbexec *exec = &s->execs[i];
        if (exec->conn != NULL) {
            shard_give_back(shard_at(router, i), s->call, exec, is_fair);
            s->shares[i].outcome = share_outcome(exec);
            s->shares[i].results = exec->status == DB_OK ? exec->results : NULL;
        }
    }
}

void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares, size_t n)
{
    struct scatter s = {.router = router, .call = call, .shares = shares, .n = n};

    CHECK(proc_get(proc)->kind == PROC_SHARD);
    s.execs = arena_calloc(call->arena, n, sizeof *s.execs);
    s.is_in = arena_calloc(call->arena, n, sizeof *s.is_in);
    for (size_t i = 0; i < n; i++) {
        shares[i].outcome = OUTCOME_NOMEM;
        shares[i].results = NULL;
    }
    if (s.execs == NULL || s.is_in == NULL) {
        call_explain(call, "out of memory");
        return;
    }
    /* As in the retry loop: first the free connections, then one by one those that must
     * be waited for.
     */
    for (size_t i = 0; i < n; i++) {
        s.execs[i] = (struct dbexec){.proc = proc, .args = args, .arena = call->arena};
        s.is_in[i] = shares[i].wanted && shard_enter(shard_at(router, i), call);
        shares[i].outcome = shares[i].wanted ? OUTCOME_BUSY : OUTCOME_NOMEM;
        if (s.is_in[i]) {
            scatter_get(&s, i, /* may_wait= */ false);
        }
    }
    scatter_run(&s);
    for (size_t i = 0; i < n; i++) {
        if (s.is_in[i] && shares[i].outcome == OUTCOME_BUSY &&
            shares[i].results == NULL && scatter_get(&s, i, /* may_wait= */ true)) {
            scatter_run(&s);
        }
        if (s.is_in[i]) {
            shard_leave(shard_at(router, i));
        }
    }
}

bool router_covers(struct router *router, size_t shard, uint64_t gen,
                   struct slotset *slots)
{
    return coverage_add(router->coverage, shard, gen, slots);
}

void router_read_maps(struct router *router, struct call *call,
                      struct router_share *shares, size_t n)
{
    struct own_call own;

    own_call_begin(&own, MAPS_BYTES, call->deadline_ms - clock_mono_ms());
    router_scatter(router, &own.call, PROC_SLOT_MAP, NULL, shares, n);
    call->n_calls += own.call.n_calls;
    for (size_t i = 0; i < n; i++) {
        if (shares[i].results != NULL &&
            !coverage_learn(router->coverage, i, shares[i].results)) {
            shares[i].outcome = proc_unreadable(call, PROC_SLOT_MAP);
        }
        shares[i].results = NULL;
    }
    own_call_end(&own);
}

void router_all_slots(struct router *router, struct slotset *slots,
                      struct slotset *disputed)
{
    *disputed = (struct slotset){.words = {0}};
    slotmap_all(router->map, slots);
    for (uint32_t slot = 0; (slot = slotset_next(slots, NULL, slot)) < SLOTS_MAX;
         slot++) {
        if (slotmap_get(router->map, slot).is_disputed) {
            slotset_add(disputed, slot);
        }
    }
}
