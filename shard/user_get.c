/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The cards of users: from the cache, else by the procedure user_get. */
#include "shard/parts.h"
#include "shard/router_call.h"
#include "shard/user.h"

/* A card has two parts, which are adjacent items. */
#define PARTS 2

static enum outcome load(void *context, struct cache_item **items, size_t n)
{
    return parts_load(context, items, n);
}

/* Fill in CARD from its PARTS; its id is 0 when there is no such user. */
static bool show(const struct cache_item *items, struct user_card *card)
{
    *card = (struct user_card){.id = 0};
    for (size_t i = 0; i < PARTS; i++) {
        if (items[i].data == NULL || items[i].len == 0) {
            *card = (struct user_card){.id = 0};
            return true;
        }
        if (!part_show((enum cache_kind)items[i].key.kind, items[i].data, items[i].len,
                       card)) {
            return false;
        }
    }
    return true;
}

/* At most OPS_MAX users, all different. */
static enum outcome get_some(struct router *router, struct call *call,
                             const uint64_t *ids, size_t n, struct user_card *cards)
{
    struct parts_query query = {.router = router, .call = call, .proc = PROC_USER_GET};
    const struct cache_reader reader = {
        .router = router, .call = call, .load = load, .context = &query};
    struct cache_item *items = arena_calloc(call->arena, PARTS * n, sizeof *items);

    if (items == NULL) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        items[PARTS * i].key = (struct copy_key){.kind = CACHE_USER, .owner = ids[i]};
        items[PARTS * i + 1].key =
            (struct copy_key){.kind = CACHE_INBOUND, .owner = ids[i]};
    }
    enum outcome outcome = cache_read(&reader, items, PARTS * n);
    for (size_t i = 0; i < n; i++) {
        if (!show(&items[PARTS * i], &cards[i])) {
            return proc_unreadable(call, PROC_USER_GET);
        }
    }
    return outcome;
}

/* Put the different ones of the N IDS into UNIQUE, and the place of each into PLACE. */
static size_t find_unique(const uint64_t *ids, size_t n, uint64_t *unique, size_t *place)
{
    size_t n_unique = 0;

    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < n_unique && unique[j] != ids[i]) {
            j++;
        }
        if (j == n_unique) {
            unique[n_unique++] = ids[i];
        }
        place[i] = j;
    }
    return n_unique;
}

enum outcome user_get(struct router *router, struct call *call, const uint64_t *ids,
                      size_t n, struct user_card *cards)
{
    uint64_t *unique = arena_calloc(call->arena, n, sizeof *unique);
    size_t *place = arena_calloc(call->arena, n, sizeof *place);
    struct user_card *found = arena_calloc(call->arena, n, sizeof *found);
    enum outcome outcome = OUTCOME_OK;

    if (unique == NULL || place == NULL || found == NULL) {
        return call_no_memory(call);
    }
    size_t n_unique = find_unique(ids, n, unique, place);
    for (size_t done = 0; done < n_unique; done += OPS_MAX) {
        size_t left = n_unique - done;
        enum outcome got = get_some(router, call, unique + done,
                                    left < OPS_MAX ? left : OPS_MAX, found + done);
        outcome = got == OUTCOME_OK ? outcome : got;
    }
    for (size_t i = 0; i < n; i++) {
        cards[i] = found[place[i]];
    }
    return outcome;
}

bool user_recall(struct cache *cache, struct arena *arena, uint64_t id,
                 struct user_card *card)
{
    struct cache_item items[PARTS] = {{.key = {.kind = CACHE_USER, .owner = id}},
                                      {.key = {.kind = CACHE_INBOUND, .owner = id}}};

    return cache_peek(cache, arena, &items[0]) && cache_peek(cache, arena, &items[1]) &&
           show(items, card) && card->id != 0;
}
