/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Asking all shards about their slots. */
#include "scripts/shardctl_fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/base/clock.h"

#include "shard/router.h"

#include "server/config/topology.h"

/* Enough for the slots of all shards, several times over. */
#define FLEET_BYTES ((size_t)512 << 20)

/* One step of load_measure. */
#define MEASURE_ROWS  1000000
#define MEASURE_SLOTS 64

/* Pause before asking a shard again that rests after counting a large slot. */
#define REST_MS 50

void fleet_begin(struct fleet *fleet, const struct shardctl *ctl)
{
    *fleet = (struct fleet){.ctl = ctl};
    arena_init(&fleet->arena, FLEET_BYTES);
    call_init(&fleet->call, &fleet->arena, 0);
}

void fleet_end(struct fleet *fleet)
{
    arena_release(&fleet->arena);
}

const char *fleet_shard(const struct fleet *fleet, size_t shard)
{
    return fleet->ctl->topology->servers[shard].name;
}

/* The call's own message, if it is about this shard. */
const char *fleet_why(const struct fleet *fleet, size_t shard)
{
    const char *name = fleet_shard(fleet, shard);
    const char *detail = fleet->call.detail;
    const size_t len = strlen(name);
    const bool is_meant = strncmp(detail, name, len) == 0 && detail[len] == ':';

    return is_meant ? detail + len + 1 + strspn(detail + len + 1, " ")
                    : outcome_name(fleet->shares[shard].outcome);
}

bool fleet_call(struct fleet *fleet, enum proc_id proc, const struct dbarg *args,
                size_t only)
{
    const size_t n = fleet->ctl->topology->n_servers;
    bool is_any = false;

    fleet->shares = arena_calloc(&fleet->arena, n, sizeof *fleet->shares);
    fleet->n_silent = 0;
    if (fleet->shares == NULL) {
        (void)shardctl_fail("answers", "out of memory");
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        fleet->shares[i].wanted = only == SIZE_MAX || only == i;
    }
    fleet->call.detail[0] = '\0';
    fleet->call.deadline_ms = clock_mono_ms() + SHARDCTL_CALL_MS;
    router_scatter(fleet->ctl->router, &fleet->call, proc, args, fleet->shares, n);
    for (size_t i = 0; i < n; i++) {
        const struct router_share *share = &fleet->shares[i];
        if (share->wanted && share->outcome != OUTCOME_OK) {
            fleet->n_silent++;
            if (!fleet->is_quiet) {
                (void)shardctl_fail(fleet_shard(fleet, i), fleet_why(fleet, i));
            }
        }
        is_any = is_any || share->outcome == OUTCOME_OK;
    }
    return is_any;
}

int fleet_ask(struct fleet *fleet, enum proc_id proc, const struct dbarg *args,
              size_t shard)
{
    if (fleet_call(fleet, proc, args, shard)) {
        return 0;
    }
    if (fleet->shares == NULL) {
        return 2;
    }
    const enum outcome outcome = fleet->shares[shard].outcome;

    return outcome == OUTCOME_BUSY || outcome == OUTCOME_FENCED ||
                   outcome == OUTCOME_BADARG
               ? 1
               : 2;
}

/* ---- Slots ---- */

static const struct dbfield fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct fleet_slot, slot)},
    {.column = "epoch",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct fleet_slot, epoch)},
    {.column = "state",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct fleet_slot, state)},
    {.column = "operations_per_min",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct fleet_slot, operations_per_min)},
    {.column = "busy_us_per_min",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct fleet_slot, busy_us_per_min)},
    {.column = "measured_at",
     .kind = DBFIELD_I64,
     .offset = offsetof(struct fleet_slot, measured_at_ms)},
};

/* A number, 0 for NULL. */
static uint64_t number_at(const struct dbresult *rows, size_t i, const char *column)
{
    const struct dbvalue *value = dbresult_value(rows, i, column);

    return value == NULL || value->is_null ? 0 : value->number;
}

static bool take_slots(struct fleet *fleet, size_t shard, const struct dbresult *rows)
{
    for (size_t i = 0; rows != NULL && i < rows->n_rows; i++) {
        struct fleet_slot *slot = &fleet->slots[fleet->n_slots++];
        if (!dbresult_read(rows, i, fields, ARRAY_LEN(fields), slot)) {
            (void)shardctl_fail(fleet_shard(fleet, shard),
                                "load_status answered what cannot be read");
            return false;
        }
        slot->rows = number_at(rows, i, "size_rows");
        slot->bytes = number_at(rows, i, "size_bytes");
        slot->shard = shard;
        fleet->n_unmeasured += slot->measured_at_ms == 0;
    }
    return true;
}

static int by_number(const void *a_, const void *b_)
{
    const struct fleet_slot *a = a_;
    const struct fleet_slot *b = b_;

    return (a->slot > b->slot) - (a->slot < b->slot);
}

/* Does every slot have one owner? */
static bool check_owners(const struct fleet *fleet)
{
    for (size_t i = 1; i < fleet->n_slots; i++) {
        if (fleet->slots[i].slot == fleet->slots[i - 1].slot) {
            (void)fprintf(stderr,
                          "shardctl: slot %u: %s and %s say that they own it; if this "
                          "persists, see slot_settle\n"
                          "in config/README.md\n",
                          fleet->slots[i].slot,
                          fleet_shard(fleet, fleet->slots[i - 1].shard),
                          fleet_shard(fleet, fleet->slots[i].shard));
            return false;
        }
    }
    return true;
}

bool fleet_read(struct fleet *fleet)
{
    const size_t n_shards = fleet->ctl->topology->n_servers;
    size_t n = 0;

    if (!fleet_call(fleet, PROC_LOAD_STATUS, NULL, SIZE_MAX)) {
        return false;
    }
    for (size_t i = 0; i < n_shards; i++) {
        const struct dbresult *rows = fleet->shares[i].results;
        n += rows == NULL ? 0 : rows->n_rows;
    }
    fleet->slots = arena_calloc(&fleet->arena, n + 1, sizeof *fleet->slots);
    fleet->n_slots = fleet->n_unmeasured = 0;
    if (fleet->slots == NULL) {
        (void)shardctl_fail("slots", "out of memory");
        return false;
    }
    for (size_t i = 0; i < n_shards; i++) {
        if (!take_slots(fleet, i, fleet->shares[i].results)) {
            return false;
        }
    }
    qsort(fleet->slots, fleet->n_slots, sizeof *fleet->slots, by_number);
    return check_owners(fleet);
}

bool fleet_measure(struct fleet *fleet, int64_t until_ms)
{
    const struct dbarg args[] = {dbarg_number(MEASURE_ROWS), dbarg_number(MEASURE_SLOTS)};
    uint64_t n_left = fleet->n_unmeasured;
    bool is_resting = false;

    if (n_left == 0) {
        return true;
    }
    while (n_left > 0 && clock_mono_ms() < until_ms) {
        if (is_resting) {
            (void)nanosleep(&(struct timespec){.tv_nsec = REST_MS * 1000000L}, NULL);
        }
        if (!fleet_call(fleet, PROC_LOAD_MEASURE, args, SIZE_MAX)) {
            break;
        }
        n_left = 0;
        is_resting = true;
        for (size_t i = 0; i < fleet->ctl->topology->n_servers; i++) {
            const struct dbresult *row = fleet->shares[i].results;
            n_left += number_at(row, 0, "unmeasured");
            is_resting = is_resting && number_at(row, 0, "measured") == 0;
        }
    }
    return fleet_read(fleet);
}

const char *fleet_bytes(double bytes, char text[24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;

    while (bytes >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1000;
        unit++;
    }
    (void)snprintf(text, 24, unit == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s", bytes,
                   units[unit]);
    return text;
}
