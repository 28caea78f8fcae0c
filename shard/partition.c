/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/partition.h"

#include <stdio.h>
#include <string.h>

#include "shard/base/failpoint.h"
#include "shard/base/log.h"

#include "shard/id.h"
#include "shard/move_impl.h"
#include "shard/move_query.h"

/* ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK; ER_DROP_PARTITION_NON_EXISTENT and
 * ER_SAME_NAME_PARTITION: another session has done it. */
#define LOCK_WAIT_TIMEOUT 1205
#define LOCK_DEADLOCK     1213
#define NO_SUCH_PARTITION 1507
#define SAME_PARTITION    1517

/* The pause between two tries, in which statements that waited behind the first go on. */
#define PAUSE_MS 200

#define ARENA_BYTES ((size_t)1 << 20)

/* A table that has partitions. */
struct part {
    const char *tbl;
    uint64_t epoch; /* epoch of the slot's partition; 0: it has none */
};

static const struct dbfield part_fields[] = {
    {.column = "tbl", .kind = DBFIELD_TEXT, .offset = offsetof(struct part, tbl)},
    {.column = "epoch", .kind = DBFIELD_U64, .offset = offsetof(struct part, epoch)},
};

/* The value of a slot in the list of a partition; as in 0001_tables.sql. */
static unsigned long long value_of(uint32_t slot)
{
    return (unsigned long long)(slot / SHARED_SLOTS) * slot;
}

/* Letters and underscores only. */
static bool is_table_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == len;
}

/* Run TEXT once on LINK; WHAT it does is the name of a failpoint. */
static enum move_status run_text(struct move_run *run, struct move_link *link,
                                 const char *what, const char *text)
{
    failpoint(what, "before");
    unsigned error = query_run(link, "SET SESSION lock_wait_timeout = 1");
    if (error == 0) {
        error = query_run(link, text);
    }
    failpoint(what, "after");
    if (error == 0 || error == NO_SUCH_PARTITION || error == SAME_PARTITION) {
        return MOVE_OK;
    }
    (void)run_explain(run, link, MOVE_LOST);
    return error == LOCK_WAIT_TIMEOUT || error == LOCK_DEADLOCK ? MOVE_AGAIN : MOVE_LOST;
}

/* Run TEXT until it is done, as long as the mover runs and the claim lasts. */
static enum move_status alter(struct move_run *run, struct move_link *link,
                              const char *what, const char *text)
{
    enum move_status status = run_text(run, link, what, text);

    while (status == MOVE_AGAIN) {
        run_sleep_ms(PAUSE_MS);
        status = run_tick(run);
        status = status == MOVE_OK ? run_text(run, link, what, text) : status;
    }
    if (status == MOVE_OK) {
        run->error[0] = '\0';
    }
    return status;
}

static enum move_status drop(struct move_run *run, struct move_link *link, uint32_t slot,
                             const struct part *part)
{
    char text[200];

    (void)snprintf(text, sizeof text, "ALTER TABLE `%s` DROP PARTITION s%u_e%llu",
                   part->tbl, slot, (unsigned long long)part->epoch);
    return alter(run, link, "drop_partition", text);
}

static enum move_status make(struct move_run *run, struct move_link *link, uint32_t slot,
                             uint64_t epoch, const struct part *part)
{
    char text[240];

    (void)snprintf(
        text, sizeof text,
        "ALTER TABLE `%s` ADD PARTITION (PARTITION s%u_e%llu VALUES IN (%llu))",
        part->tbl, slot, (unsigned long long)epoch, value_of(slot));
    return alter(run, link, "add_partition", text);
}

/* From now on, until it ends, only the session of LINK changes partitions of SLOT. An
 * earlier holder may only be stalled: its session is ended. */
static enum move_status hold(struct move_run *run, struct move_link *link, uint32_t slot)
{
    const struct dbarg args[] = {dbarg_number(slot), run_token(run)};
    enum move_status status = MOVE_AGAIN;
    struct arena arena;
    char tag[32];

    (void)snprintf(tag, sizeof tag, "parts%u", slot);
    arena_init(&arena, ARENA_BYTES);
    while (status == MOVE_AGAIN) {
        struct dbresult *results;
        status = run_explain(run, link,
                             link_call(link, PROC_PROMOTE_HOLD, args, &arena, &results));
        const struct dbvalue *held =
            status == MOVE_OK ? dbresult_value(results, 0, "is_held") : NULL;
        if (status == MOVE_OK && (held == NULL || held->number == 0)) {
            bool is_gone = link_kill(link, tag);
            log_write(LOG_WARN, "move_alter_ended", "shard=%s slot=%u ended=%d",
                      link->name, slot, (int)is_gone);
            status = run_tick(run);
            status = status == MOVE_OK ? MOVE_AGAIN : status;
        }
    }
    arena_release(&arena);
    return status;
}

/* Is a table of PARTS just being altered, so that its partitions are unknown? */
static bool is_one_unknown(const struct dbresult *parts)
{
    for (size_t i = 0; parts != NULL && i < parts->n_rows; i++) {
        const struct dbvalue *epoch = dbresult_value(parts, i, "epoch");
        if (epoch != NULL && epoch->is_null) {
            return true;
        }
    }
    return false;
}

/* List the tables on LINK, in ARENA, in the session that holds the partitions of SLOT: if
 * that has ended, the link would open another one for the CALL. */
static enum move_status ask_parts(struct move_run *run, struct move_link *link,
                                  uint32_t slot, struct arena *arena,
                                  struct dbresult **parts)
{
    const struct dbarg args[] = {dbarg_number(slot)};
    const uint64_t held = link->sessions;
    enum move_status status =
        run_explain(run, link, link_call(link, PROC_PROMOTE_PARTS, args, arena, parts));

    if (status == MOVE_OK && link->sessions != held) {
        (void)snprintf(run->error, sizeof run->error,
                       "%s: the session that held the partitions has ended", link->name);
        status = MOVE_LOST;
    }
    return status;
}

/* The same, waiting until all are known. */
static enum move_status list_parts(struct move_run *run, struct move_link *link,
                                   uint32_t slot, struct arena *arena,
                                   struct dbresult **parts)
{
    enum move_status status = ask_parts(run, link, slot, arena, parts);

    while (status == MOVE_OK && is_one_unknown(*parts)) {
        arena_release(arena);
        run_sleep_ms(PAUSE_MS);
        status = run_tick(run);
        status = status == MOVE_OK ? ask_parts(run, link, slot, arena, parts) : status;
    }
    return status;
}

/* Drop PART unless its epoch is above UPTO, and make one of EPOCH unless that is 0. */
static enum move_status change_part(struct move_run *run, struct move_link *link,
                                    uint32_t slot, uint64_t upto, uint64_t epoch,
                                    const struct part *part)
{
    bool is_there = part->epoch > 0 && part->epoch <= upto && part->epoch != epoch;
    enum move_status status = MOVE_OK;

    if (is_there) {
        status = drop(run, link, slot, part);
    }
    if (status == MOVE_OK && epoch > 0 && (is_there || part->epoch == 0)) {
        status = make(run, link, slot, epoch, part);
    }
    return status;
}

/* Drop the partitions up to UPTO, and make those of EPOCH unless it is 0. */
static enum move_status change(struct move_run *run, struct move_link *link,
                               uint32_t slot, uint64_t upto, uint64_t epoch)
{
    struct move_link own;
    struct arena arena;
    struct dbresult *parts = NULL;

    if (slot < SHARED_SLOTS) {
        return MOVE_OK;
    }
    /* A link of its own, because its session settings must not affect other CALLs. */
    link_init(&own, link->name, link->target, link->durability_exempt);
    arena_init(&arena, ARENA_BYTES);
    enum move_status status = hold(run, &own, slot);
    if (status == MOVE_OK) {
        status = list_parts(run, &own, slot, &arena, &parts);
    }
    for (size_t i = 0; status == MOVE_OK && parts != NULL && i < parts->n_rows; i++) {
        struct part part;
        if (!dbresult_read(parts, i, part_fields, ARRAY_LEN(part_fields), &part) ||
            !is_table_name(part.tbl)) {
            (void)snprintf(run->error, sizeof run->error,
                           "%s: promote_parts cannot be read", link->name);
            status = MOVE_REFUSED;
        } else {
            status = change_part(run, &own, slot, upto, epoch, &part);
        }
    }
    link_close(&own);
    arena_release(&arena);
    return status;
}

enum move_status partition_make(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t epoch)
{
    return change(run, link, slot, epoch, epoch);
}

enum move_status partition_drop(struct move_run *run, struct move_link *link,
                                uint32_t slot, uint64_t upto)
{
    return change(run, link, slot, upto, 0);
}
