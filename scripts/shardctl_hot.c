/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl hot: the slots and owners that cost most recently, over all shards. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/id.h"

#include "server/config/topology.h"

#include "scripts/shardctl_fleet.h"

static const char help_text[] =
    "hot: list the slots, users and videos that cost most recently.\n"
    "\n"
    "  --limit=N             how many of each (10)\n"
    "  --json                one JSON object\n"
    "\n"
    "  SHARD   SLOT  OPS/S   BUSY        SHARE  ROWS   SIZE\n"
    "  shard2  1030  412.0   388.2 ms/s   22 %  12007  2.4 MB\n"
    "      BUSY is the time that CALLs for the slot took, as servers see it, including\n"
    "      waits for locks and disk: 1000 ms/s keep one connection busy. SHARE is the "
    "share\n"
    "      of all slots. Slots from 1024 up belong to one user each.\n"
    "  SHARD   SLOT  WHO            USER    OPS/S  BUSY\n"
    "  shard1  17    video 147456   139264  201.5  97.0 ms/s\n"
    "      USER is the author of the video. Servers know the owners that cost them "
    "most,\n"
    "      and a shard remembers 1000 of them.\n"
    "\n"
    "Rates halve ten minutes after their cause ends. Servers report every load_report\n"
    "(10 s); feed pages, which read all slots, are not counted.\n"
    "\n"
    "    shardctl hot --limit=3\n"
    "    shardctl where 139264\n"
    "\n"
    "Exit status: 0 all shards answered; 1 some did not, and their slots are missing; 2\n"
    "misuse, or none did.\n";

#define LIMIT_MAX 1000

struct owner {
    uint32_t slot;
    uint64_t id;
    const char *kind;
    uint64_t user; /* 0: unknown */
    uint64_t operations_per_min;
    uint64_t busy_us_per_min;
    size_t shard;
};

struct run {
    const struct shardctl *ctl;
    struct fleet fleet;
    size_t limit;
    double busy_us; /* of all slots, per minute */
    struct owner *owners;
    size_t n_owners;
    size_t n_slots; /* of the fleet's slots, that are shown */
    bool is_partial;
};

/* ---- Reading ---- */

static const struct dbfield fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct owner, slot)},
    {.column = "owner_id", .kind = DBFIELD_U64, .offset = offsetof(struct owner, id)},
    {.column = "kind", .kind = DBFIELD_TEXT, .offset = offsetof(struct owner, kind)},
    {.column = "operations_per_min",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct owner, operations_per_min)},
    {.column = "busy_us_per_min",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct owner, busy_us_per_min)},
};

static int dearest_slot(const void *a_, const void *b_)
{
    const struct fleet_slot *a = a_;
    const struct fleet_slot *b = b_;

    if (a->busy_us_per_min != b->busy_us_per_min) {
        return a->busy_us_per_min > b->busy_us_per_min ? -1 : 1;
    }
    return (a->slot > b->slot) - (a->slot < b->slot);
}

static int dearest_owner(const void *a_, const void *b_)
{
    const struct owner *a = a_;
    const struct owner *b = b_;

    if (a->busy_us_per_min != b->busy_us_per_min) {
        return a->busy_us_per_min > b->busy_us_per_min ? -1 : 1;
    }
    return (a->id > b->id) - (a->id < b->id);
}

static bool take_owners(struct run *run, size_t shard)
{
    const struct dbresult *rows = run->fleet.shares[shard].results;

    for (size_t i = 0; rows != NULL && i < rows->n_rows; i++) {
        struct owner *owner = &run->owners[run->n_owners++];
        if (!dbresult_read(rows, i, fields, ARRAY_LEN(fields), owner)) {
            (void)shardctl_fail(fleet_shard(&run->fleet, shard),
                                "load_owners answered what cannot be read");
            return false;
        }
        const struct dbvalue *user = dbresult_value(rows, i, "user_id");
        owner->user = user == NULL || user->is_null ? 0 : user->number;
        owner->shard = shard;
    }
    return true;
}

static bool read_owners(struct run *run)
{
    const size_t n_shards = run->ctl->topology->n_servers;
    const struct dbarg arg = dbarg_number(run->limit);

    if (!fleet_call(&run->fleet, PROC_LOAD_OWNERS, &arg, SIZE_MAX)) {
        return false;
    }
    run->is_partial = run->is_partial || run->fleet.n_silent > 0;
    run->owners =
        arena_calloc(&run->fleet.arena, n_shards * run->limit, sizeof *run->owners);
    if (run->owners == NULL) {
        (void)shardctl_fail("owners", "out of memory");
        return false;
    }
    for (size_t i = 0; i < n_shards; i++) {
        if (!take_owners(run, i)) {
            return false;
        }
    }
    qsort(run->owners, run->n_owners, sizeof *run->owners, dearest_owner);
    run->n_owners = run->n_owners < run->limit ? run->n_owners : run->limit;
    return true;
}

static bool read_slots(struct run *run)
{
    struct fleet *fleet = &run->fleet;

    if (!fleet_read(fleet)) {
        return false;
    }
    run->is_partial = run->is_partial || fleet->n_silent > 0;
    qsort(fleet->slots, fleet->n_slots, sizeof *fleet->slots, dearest_slot);
    for (size_t i = 0; i < fleet->n_slots; i++) {
        run->busy_us += (double)fleet->slots[i].busy_us_per_min;
    }
    while (run->n_slots < run->limit && run->n_slots < fleet->n_slots &&
           fleet->slots[run->n_slots].operations_per_min > 0) {
        run->n_slots++;
    }
    return true;
}

/* ---- As text ---- */

static double per_second(uint64_t per_min)
{
    return (double)per_min / 60;
}

static double busy_ms(uint64_t us_per_min)
{
    return (double)us_per_min / 60000;
}

static void print_text(const struct run *run)
{
    if (run->n_slots == 0) {
        printf("Nothing was asked for of late, or no server has reported yet.\n");
        return;
    }
    printf("%-16s %5s %10s %14s %7s %12s %9s\n", "SHARD", "SLOT", "OPS/S", "BUSY",
           "SHARE", "ROWS", "SIZE");
    for (size_t i = 0; i < run->n_slots; i++) {
        const struct fleet_slot *slot = &run->fleet.slots[i];
        char rows[24] = "-";
        char size[24] = "-";
        if (slot->measured_at_ms != 0) {
            (void)snprintf(rows, sizeof rows, "%" PRIu64, slot->rows);
            (void)fleet_bytes((double)slot->bytes, size);
        }
        printf("%-16s %5u %10.1f %9.1f ms/s %5.0f %% %12s %9s\n",
               fleet_shard(&run->fleet, slot->shard), slot->slot,
               per_second(slot->operations_per_min), busy_ms(slot->busy_us_per_min),
               run->busy_us > 0 ? 100 * (double)slot->busy_us_per_min / run->busy_us : 0,
               rows, size);
    }
    printf("\n%-16s %5s %24s %16s %10s %14s\n", "SHARD", "SLOT", "WHO", "USER", "OPS/S",
           "BUSY");
    for (size_t i = 0; i < run->n_owners; i++) {
        const struct owner *owner = &run->owners[i];
        char user[24] = "-";
        if (owner->user != 0) {
            (void)snprintf(user, sizeof user, "%" PRIu64, owner->user);
        }
        printf("%-16s %5u %7s %16" PRIu64 " %16s %10.1f %9.1f ms/s\n",
               fleet_shard(&run->fleet, owner->shard), owner->slot, owner->kind,
               owner->id, user, per_second(owner->operations_per_min),
               busy_ms(owner->busy_us_per_min));
    }
}

/* ---- As JSON ---- */

static json_t *json_of_slots(const struct run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->n_slots; i++) {
        const struct fleet_slot *slot = &run->fleet.slots[i];
        const bool is_known = slot->measured_at_ms != 0;
        (void)json_array_append_new(
            list,
            json_pack(
                "{s:s, s:I, s:f, s:f, s:o, s:o}", "shard",
                fleet_shard(&run->fleet, slot->shard), "slot", (json_int_t)slot->slot,
                "operations_per_s", per_second(slot->operations_per_min), "busy_ms_per_s",
                busy_ms(slot->busy_us_per_min), "rows",
                is_known ? json_integer((json_int_t)slot->rows) : json_null(), "bytes",
                is_known ? json_integer((json_int_t)slot->bytes) : json_null()));
    }
    return list;
}

static json_t *json_of_owners(const struct run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->n_owners; i++) {
        const struct owner *owner = &run->owners[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:I, s:s, s:I, s:o, s:f, s:f}", "shard",
                            fleet_shard(&run->fleet, owner->shard), "slot",
                            (json_int_t)owner->slot, "kind", owner->kind, "owner_id",
                            (json_int_t)owner->id, "user_id",
                            owner->user != 0 ? json_integer((json_int_t)owner->user)
                                             : json_null(),
                            "operations_per_s", per_second(owner->operations_per_min),
                            "busy_ms_per_s", busy_ms(owner->busy_us_per_min)));
    }
    return list;
}

static bool print_json(const struct run *run)
{
    json_t *object = json_pack("{s:b, s:f, s:o, s:o}", "partial", run->is_partial,
                               "busy_ms_per_s", run->busy_us / 60000, "slots",
                               json_of_slots(run), "owners", json_of_owners(run));
    bool good = object != NULL &&
                json_dumpf(object, stdout, JSON_REAL_PRECISION(6)) == 0 &&
                putchar('\n') != EOF;

    json_decref(object);
    return good;
}

/* ---- The run ---- */

static int show(struct run *run)
{
    bool good = true;

    run->is_partial = !shardctl_discover(run->ctl, "hot");
    if (!read_slots(run) || !read_owners(run)) {
        return 2;
    }
    if (run->ctl->options.is_json) {
        good = print_json(run);
    } else {
        print_text(run);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0 || !good) {
        return shardctl_fail("standard output", shardctl_error_text());
    }
    return run->is_partial ? 1 : 0;
}

static int run_hot(const struct shardctl *ctl)
{
    struct run run = {.ctl = ctl};

    run.limit = (size_t)shardctl_read_number(ctl->options.limit, LIMIT_MAX, 10);
    if (run.limit == 0) {
        return shardctl_fail("--limit", "1 to 1000");
    }
    fleet_begin(&run.fleet, ctl);
    int status = show(&run);
    fleet_end(&run.fleet);
    return status;
}

const struct shardctl_command shardctl_hot = {
    .name = "hot",
    .operands = "",
    .options = "limit json",
    .help = help_text,
    .user = "doushard_monitor",
    .has_router = true,
    .run = run_hot,
};
