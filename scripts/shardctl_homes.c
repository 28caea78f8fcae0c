/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Forwarding entries that a restored shard has lost. If its data is older than a
 * promotion, it still has the user's rows and would serve them, besides the shard on
 * which they are now. The shards of own slots know who is in them. */
#include "scripts/shardctl_homes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"

#include "shard/id.h"
#include "shard/router.h"
#include "shard/slotset.h"

#include "server/config/topology.h"

#include "scripts/shardctl_fleet.h"

/* Owners per page, and rows removed at a time. */
#define PAGE_OWNERS 1000
#define CLEAN_ROWS  1000

#define ENTRIES_BYTES ((size_t)256 << 10)

static const char *const tables[] = {
#define MOVE_TABLE(name, n_key, has_text) #name,
#include "shard/move_tables.def"
#undef MOVE_TABLE
};

struct owner {
    uint32_t slot;
    uint64_t id, author;
    const char *op;
};

static const struct dbfield fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct owner, slot)},
    {.column = "owner_id", .kind = DBFIELD_U64, .offset = offsetof(struct owner, id)},
    {.column = "author_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct owner, author)},
    {.column = "op", .kind = DBFIELD_TEXT, .offset = offsetof(struct owner, op)},
};

struct run {
    const struct shardctl *ctl;
    size_t shard; /* the restored shard */
    size_t from;  /* the shard that is asked */
    struct homes *homes;
    uint64_t users[PAGE_OWNERS]; /* of a page: users whose rows may be on the restored
                                  * shard */
    size_t n_users;
    bool is_look; /* only count */
    uint64_t
        wanted[SLOTS_MAX]; /* with is_look: entries that lead to each own slot, of those
                            * ... */
    struct slotset heard;  /* ... that other shards have, or know to be nobody's */
};

/* The number in COLUMN of the answer of SHARD. */
static uint64_t answered(const struct fleet *fleet, size_t shard, const char *column)
{
    const struct dbvalue *value = dbresult_value(fleet->shares[shard].results, 0, column);

    return value == NULL || value->is_null ? 0 : value->number;
}

/* Remove the rows of USER from TABLE of the restored shard. */
static bool clean_table(struct run *run, uint64_t user, const char *table)
{
    const struct dbarg args[] = {dbarg_number(user), dbarg_text(table, strlen(table)),
                                 dbarg_number(CLEAN_ROWS)};
    uint64_t n = CLEAN_ROWS;
    bool good = true;

    while (good && n == CLEAN_ROWS) {
        struct fleet fleet;
        fleet_begin(&fleet, run->ctl);
        good = fleet_call(&fleet, PROC_HOME_CLEAN, args, run->shard);
        n = good ? answered(&fleet, run->shard, "row_count") : 0;
        run->homes->n_cleaned += n;
        fleet_end(&fleet);
    }
    return good;
}

/* The same for all tables; videos last, since they say what else is the user's. */
static bool clean_users(struct run *run)
{
    bool good = true;

    for (size_t i = 0; good && i < run->n_users; i++) {
        for (size_t t = 0; good && t < sizeof tables / sizeof *tables; t++) {
            good = strcmp(tables[t], "video") == 0 ||
                   clean_table(run, run->users[i], tables[t]);
        }
        good = good && clean_table(run, run->users[i], "video");
    }
    run->n_users = 0;
    return good;
}

/* Give ENTRIES to the restored shard. */
static bool recover(struct run *run, struct buf *entries)
{
    struct fleet fleet;

    buf_add(entries, "]", 1);
    if (entries->failed) {
        (void)shardctl_fail("forwarding entries", "out of memory");
        return false;
    }
    const struct dbarg arg = dbarg_text(entries->data, entries->len);
    fleet_begin(&fleet, run->ctl);
    bool good = fleet_call(&fleet, PROC_HOME_RECOVER, &arg, run->shard);
    if (good) {
        run->homes->n_recovered += answered(&fleet, run->shard, "recovered");
        run->homes->n_removed += answered(&fleet, run->shard, "removed");
    }
    fleet_end(&fleet);
    return good;
}

/* Is the slot of the owner's id on the shard? */
static bool is_of_shard(const struct run *run, const struct owner *owner)
{
    return owner->id != 0 &&
           router_slot_shard(run->ctl->router, id_slot(owner->id)) == run->shard;
}

/* Read a page of owners of one shard. False: it cannot be read. */
static bool take_page(struct run *run, const struct dbresult *rows, struct owner *last,
                      struct buf *entries)
{
    for (size_t i = 0; i < rows->n_rows; i++) {
        if (!dbresult_read(rows, i, fields, sizeof fields / sizeof *fields, last)) {
            (void)shardctl_fail(run->ctl->topology->servers[run->from].name,
                                "home_list cannot be read");
            return false;
        }
        if (run->is_look && run->from != run->shard && last->slot < SLOTS_MAX) {
            slotset_add(&run->heard, last->slot);
            run->wanted[last->slot] += is_of_shard(run, last);
            continue;
        }
        if (is_of_shard(run, last) && last->author == 0) {
            run->users[run->n_users++] = last->id;
        }
        if (run->from != run->shard && (last->id == 0 || is_of_shard(run, last))) {
            buf_addf(entries,
                     "%s{\"slot\":%" PRIu32 ",\"owner\":%" PRIu64 ",\"author\":%" PRIu64
                     ",\"op\":\"%s\"}",
                     entries->len > 1 ? "," : "", last->slot, last->id, last->author,
                     last->op);
        }
    }
    return true;
}

/* One page of the owners on run->from after LAST, which becomes the last of the page. */
static bool settle_page(struct run *run, struct owner *last, bool *is_last)
{
    const struct dbarg args[] = {dbarg_number(last->slot), dbarg_number(last->id),
                                 dbarg_number(PAGE_OWNERS)};
    struct fleet fleet;
    struct buf entries;
    bool good;

    fleet_begin(&fleet, run->ctl);
    buf_init(&entries, ENTRIES_BYTES);
    buf_add(&entries, "[", 1);
    good = fleet_call(&fleet, PROC_HOME_LIST, args, run->from);
    if (good) {
        const struct dbresult *rows = fleet.shares[run->from].results;
        *is_last = rows == NULL || rows->n_rows < PAGE_OWNERS;
        good = rows == NULL || take_page(run, rows, last, &entries);
    }
    if (good && entries.len > 1) {
        good = recover(run, &entries);
    }
    buf_clear(&entries);
    fleet_end(&fleet);
    return good && clean_users(run);
}

/* Compare with what the shard has. */
static bool compare(struct run *run)
{
    struct fleet fleet;

    fleet_begin(&fleet, run->ctl);
    bool good = fleet_call(&fleet, PROC_SLOT_EPOCHS, NULL, run->shard);
    const struct dbresult *rows = good ? fleet.shares[run->shard].results : NULL;
    for (size_t i = 0; rows != NULL && i < rows->n_rows; i++) {
        const struct dbvalue *slot = dbresult_value(rows, i, "slot");
        const struct dbvalue *there = dbresult_value(rows, i, "homes");
        if (slot == NULL || there == NULL ||
            !slotset_has(&run->heard, (uint32_t)slot->number)) {
            continue;
        }
        uint64_t *wanted = &run->wanted[slot->number];
        run->homes->n_removed += *wanted == 0 ? there->number : 0;
        *wanted -= *wanted < there->number ? *wanted : there->number;
    }
    for (uint32_t slot = 0; good && slot < SLOTS_MAX; slot++) {
        run->homes->n_recovered += run->wanted[slot];
    }
    fleet_end(&fleet);
    return good;
}

static bool settle(const struct shardctl *ctl, size_t shard, struct homes *homes,
                   bool is_look)
{
    struct run *run = calloc(1, sizeof *run);
    bool good = run != NULL;

    *homes = (struct homes){.n_recovered = 0};
    if (!good) {
        (void)shardctl_fail("forwarding entries", "out of memory");
        return false;
    }
    run->ctl = ctl;
    run->shard = shard;
    run->homes = homes;
    run->is_look = is_look;
    for (run->from = 0; good && run->from < ctl->topology->n_servers; run->from++) {
        struct owner last = {.slot = 0};
        bool is_last = is_look && run->from == shard;
        while (good && !is_last) {
            good = settle_page(run, &last, &is_last);
        }
    }
    good = good && (!is_look || compare(run));
    free(run);
    return good;
}

bool homes_look(const struct shardctl *ctl, size_t shard, struct homes *homes)
{
    return settle(ctl, shard, homes, /* is_look= */ true);
}

bool homes_settle(const struct shardctl *ctl, size_t shard, struct homes *homes)
{
    return settle(ctl, shard, homes, /* is_look= */ false);
}
