/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Packs the pending tasks of an errand into one parcel per shard. */
#include <string.h>

#include "shard/base/clock.h"

#include "shard/router_errand.h"

/* Why no server can be asked for PLACE; NULL: its server can. */
static const char *why_nobody(const struct router *router, struct slot_place place)
{
    return place.epoch == 0    ? "no shard that answered owns it"
           : place.is_disputed ? "two shards claim it"
           : place.is_empty    ? "its owner has left it"
           : !shard_is_there(router, place.server)
               ? "its shard is not in the topology file"
               : NULL;
}

/* Tell where the target of task I is, if it is on the same shard and neither slot is
 * known to keep operations waiting: the procedure checks this itself, and makes only one
 * half if that is not so. */
static void place_target(struct errand *e, size_t i, int64_t now_ms)
{
    struct slotmap *map = e->router->map;
    const struct task *task = &e->tasks[i];
    uint64_t target = ops_get_target(e->ops, i);

    if (target == 0) {
        return;
    }
    uint32_t slot = slotmap_home(map, target);
    struct slot_place place = slotmap_get(map, slot);
    bool is_there = why_nobody(e->router, place) == NULL &&
                    place.server == task->server &&
                    !slotmap_is_restless(map, slot, now_ms) &&
                    !slotmap_is_restless(map, task->slot, now_ms);
    ops_place_target(e->ops, i, slot, is_there ? place.epoch : 0);
}

/* Find the shard of every pending task. */
static void place_tasks(struct errand *e)
{
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < e->n_tasks; i++) {
        struct task *task = &e->tasks[i];
        if (!task->is_pending) {
            continue;
        }
        task->slot = task->subject.owner != 0 && task->subject.slot == UINT32_MAX
                         ? slotmap_home(e->router->map, task->subject.owner)
                         : task->subject.slot;
        struct slot_place place = slotmap_get(e->router->map, task->slot);
        task->epoch = place.epoch;
        task->server = place.server;
        const char *why = why_nobody(e->router, place);
        if (why != NULL) {
            call_explain(e->call, "slot %u: %s", task->slot, why);
            errand_give_up(e, i, OUTCOME_UNAVAILABLE);
        } else if (place.server >= e->n_shards) {
            e->only_notready = false;
        } else if (e->ops != NULL) {
            ops_place(e->ops, i, task->slot, task->epoch);
            place_target(e, i, now_ms);
        }
    }
}

/* Pack the pending tasks of SERVER; nothing when there are none. */
static void pack_server(struct errand *e, unsigned server)
{
    struct parcel *parcel = &e->parcels[e->n_parcels];

    parcel->n = 0;
    parcel->shard = shard_at(e->router, server);
    for (size_t i = 0; i < e->n_tasks; i++) {
        if (e->tasks[i].is_pending && e->tasks[i].server == server) {
            parcel->index[parcel->n++] = i;
        }
    }
    e->n_parcels += parcel->n > 0;
}

bool errand_write(struct errand *e, struct parcel *parcel)
{
    if (e->ops == NULL) {
        const struct task *task = &e->tasks[parcel->index[0]];
        parcel->args[0] = dbarg_number(task->slot);
        parcel->args[1] = dbarg_number(task->epoch);
        for (unsigned i = 2; i < proc_get(e->proc)->n_args; i++) {
            parcel->args[i] = e->rest[i - 2];
        }
        return true;
    }
    size_t len = 0;
    struct ops_ref *refs = arena_calloc(e->call->arena, parcel->n, sizeof *refs);
    if (refs == NULL) {
        return false;
    }
    for (size_t i = 0; i < parcel->n; i++) {
        refs[i] = (struct ops_ref){.ops = e->ops, .i = parcel->index[i]};
    }
    ops_sort(refs, parcel->n);
    for (size_t i = 0; i < parcel->n; i++) {
        parcel->index[i] = refs[i].i;
    }
    const char *json = ops_render(refs, parcel->n, e->call->arena, &len);
    parcel->args[0] = dbarg_text(json, len);
    return json != NULL;
}

void errand_pack(struct errand *e)
{
    e->n_parcels = 0;
    place_tasks(e);
    for (unsigned server = 0; server < e->n_shards; server++) {
        pack_server(e, server);
    }
}
