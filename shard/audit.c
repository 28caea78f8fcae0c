/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The auditor: compares counters with rows, and first halves with second ones. */
#include "shard/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/id.h"
#include "shard/ops.h"
#include "shard/router.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"
#include "shard/slotset.h"

/* Limit of rows per page: their other halves are asked for in one batch. */
#define PAGE_ROWS OPS_MAX

/* After a page that took too long the next is smaller by this factor, so that two such
 * pages lead to one row; after any other it grows by one part in GROW. */
#define PAGE_SHRINK 16u
#define PAGE_GROW   8u

/* A table of halves, and the table of their counterparts. */
static const struct half_table {
    const char *name;
    enum audit_part partner;
    bool is_first; /* the half that is written first, with an outbox row */
} tables[AUDIT_PART__COUNT] = {
    [AUDIT_OWNERS] = {"owners", AUDIT_OWNERS, false},
    [AUDIT_FOLLOW] = {"follow", AUDIT_FOLLOWER, true},
    [AUDIT_FOLLOWER] = {"follower", AUDIT_FOLLOW, false},
    [AUDIT_FAVORITE] = {"favorite", AUDIT_LIKER, true},
    [AUDIT_LIKER] = {"liker", AUDIT_FAVORITE, false},
    [AUDIT_COMMENT] = {"comment", AUDIT_COMMENTED, true},
    [AUDIT_COMMENTED] = {"commented", AUDIT_COMMENT, false},
    [AUDIT_SENT] = {"sent", AUDIT_RECEIVED, true},
    [AUDIT_RECEIVED] = {"received", AUDIT_SENT, false},
};

const char *audit_part_name(enum audit_part part)
{
    return tables[part].name;
}

enum audit_part audit_part_from(const char *word)
{
    enum audit_part part = AUDIT_OWNERS;

    while (part < AUDIT_PART__COUNT && strcmp(tables[part].name, word) != 0) {
        part++;
    }
    return part;
}

/* Ask one shard. *RESULT may be NULL: no rows. */
static enum outcome ask(struct audit *audit, struct call *call, size_t shard,
                        enum proc_id proc, const struct dbarg *args,
                        const struct dbresult **result)
{
    size_t n_shards = router_n_shards(audit->router);
    struct router_share *shares = arena_calloc(call->arena, n_shards, sizeof *shares);

    if (shares == NULL) {
        return call_no_memory(call);
    }
    shares[shard].wanted = true;
    router_scatter(audit->router, call, proc, args, shares, n_shards);
    *result = shares[shard].results;
    return shares[shard].outcome;
}

/* Move on; a short page was the last one of its part. */
static void move_on(struct audit_place *place, size_t n_rows)
{
    if (n_rows < place->page_rows) {
        *place =
            (struct audit_place){.part = place->part + 1, .page_rows = place->page_rows};
    }
}

/* How many rows to ask for after OUTCOME with N of them. */
static uint32_t next_page_rows(uint32_t n, enum outcome outcome)
{
    if (outcome == OUTCOME_TIMEOUT) {
        return n > PAGE_SHRINK ? n / PAGE_SHRINK : 1;
    }
    if (outcome == OUTCOME_OK) {
        n += n / PAGE_GROW + 1;
    }
    return n < PAGE_ROWS ? n : PAGE_ROWS;
}

/* The text for each fault. */
static const char *const texts[] = {
    [AUDIT_NEVER] = "the other party never existed",
    [AUDIT_NO_SECOND] = "the second half is missing",
    [AUDIT_OLD_SECOND] = "the second half is older, and nothing waits in the outbox",
    [AUDIT_DIFFER] = "the halves have the same version and differ",
    [AUDIT_NO_FIRST] = "the first half is missing",
    [AUDIT_OLD_FIRST] = "the first half is older",
};

static void tell(struct audit *audit, struct audit_difference *difference,
                 const char *problem)
{
    difference->problem = problem;
    audit->found(audit->context, difference);
}

/* ---- Owners: their counters ---- */

struct owner_row {
    uint32_t slot;
    uint64_t user_id;
    int64_t pairs[5][2]; /* stored, counted */
    int64_t bad_videos;
};

/* The fields of a counter: stored, counted. */
#define PAIR(i, stored, counted)                                                         \
    {.column = (stored),                                                                 \
     .kind = DBFIELD_I64,                                                                \
     .offset = offsetof(struct owner_row, pairs[i][0])},                                 \
    {                                                                                    \
        .column = (counted), .kind = DBFIELD_I64,                                        \
        .offset = offsetof(struct owner_row, pairs[i][1])                                \
    }

static const struct dbfield owner_fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct owner_row, slot)},
    {.column = "user_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct owner_row, user_id)},
    PAIR(0, "follow_count", "follows"),
    PAIR(1, "follower_count", "followers"),
    PAIR(2, "favorite_count", "favorites"),
    PAIR(3, "work_count", "works"),
    PAIR(4, "total_favorited", "likes"),
    {.column = "bad_videos",
     .kind = DBFIELD_I64,
     .offset = offsetof(struct owner_row, bad_videos)},
};

static void check_owner(struct audit *audit, const struct owner_row *row)
{
    static const char *const names[] = {"follow_count", "follower_count",
                                        "favorite_count", "work_count",
                                        "total_favorited"};
    struct audit_difference difference = {.part = AUDIT_OWNERS,
                                          .fault = AUDIT_COUNTER,
                                          .slot = row->slot,
                                          .owner = row->user_id};
    char problem[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (row->pairs[i][0] != row->pairs[i][1]) {
            (void)snprintf(problem, sizeof problem,
                           "%s is %" PRId64 ", its rows are %" PRId64, names[i],
                           row->pairs[i][0], row->pairs[i][1]);
            tell(audit, &difference, problem);
        }
    }
    if (row->bad_videos != 0) {
        (void)snprintf(problem, sizeof problem,
                       "%" PRId64 " videos have counters that are not those of their "
                       "rows",
                       row->bad_videos);
        tell(audit, &difference, problem);
    }
}

static enum outcome check_owners(struct audit *audit, struct call *call, size_t shard,
                                 struct audit_place *place, size_t *n_rows)
{
    const struct dbarg args[] = {dbarg_number(place->slot), dbarg_number(place->owner),
                                 dbarg_number(place->page_rows)};
    const struct dbresult *result = NULL;
    enum outcome outcome = ask(audit, call, shard, PROC_AUDIT_OWNERS, args, &result);

    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    size_t n = result == NULL ? 0 : result->n_rows;
    struct owner_row *rows = arena_calloc(call->arena, n, sizeof *rows);
    if (rows == NULL) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        if (!dbresult_read(result, i, owner_fields, ARRAY_LEN(owner_fields), &rows[i])) {
            return proc_unreadable(call, PROC_AUDIT_OWNERS);
        }
    }
    for (size_t i = 0; i < n; i++) {
        check_owner(audit, &rows[i]);
        place->slot = rows[i].slot;
        place->owner = rows[i].user_id;
    }
    *n_rows = n;
    move_on(place, n);
    return OUTCOME_OK;
}

/* ---- Halves ---- */

/* One half; its counterpart belongs to OTHER. */
struct half_row {
    uint32_t slot;
    uint64_t owner;
    uint64_t other;
    uint64_t seq;
    uint32_t state;
    uint64_t ver;
    int64_t at_ms;
    const char *digest;
    uint32_t pending;
    uint32_t served; /* 0: do not compare it */
};

static const struct dbfield half_fields[] = {
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct half_row, slot)},
    {.column = "owner", .kind = DBFIELD_U64, .offset = offsetof(struct half_row, owner)},
    {.column = "other", .kind = DBFIELD_U64, .offset = offsetof(struct half_row, other)},
    {.column = "seq", .kind = DBFIELD_U64, .offset = offsetof(struct half_row, seq)},
    {.column = "state", .kind = DBFIELD_U32, .offset = offsetof(struct half_row, state)},
    {.column = "ver", .kind = DBFIELD_U64, .offset = offsetof(struct half_row, ver)},
    {.column = "at", .kind = DBFIELD_I64, .offset = offsetof(struct half_row, at_ms)},
    {.column = "digest",
     .kind = DBFIELD_TEXT,
     .offset = offsetof(struct half_row, digest)},
    {.column = "pending",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct half_row, pending)},
    {.column = "served",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct half_row, served)},
};

/* What the other party's shard has. */
struct partner {
    const char *owner_state; /* "live", "banned", "erased", "deleted"; NULL: there never
                              * was one */
    bool is_there;
    uint64_t state;
    uint64_t ver;
    const char *digest;
};

static bool read_partner(const struct router_answer *answer, struct partner *partner)
{
    const struct dbresult *result = answer->result;
    const struct dbvalue *owner = dbresult_value(result, answer->row, "owner_state");
    const struct dbvalue *state = dbresult_value(result, answer->row, "state");
    const struct dbvalue *ver = dbresult_value(result, answer->row, "ver");
    const struct dbvalue *digest = dbresult_value(result, answer->row, "digest");

    if (owner == NULL || state == NULL || ver == NULL || digest == NULL) {
        return false;
    }
    *partner = (struct partner){.owner_state = owner->is_null ? NULL : owner->text,
                                .is_there = !ver->is_null,
                                .state = state->number,
                                .ver = ver->number,
                                .digest = digest->text};
    return ver->is_null || (!state->is_null && digest->text != NULL);
}

/* Erased users and deleted videos no longer get second halves. */
static bool is_gone(const struct partner *partner)
{
    return strcmp(partner->owner_state, "erased") == 0 ||
           strcmp(partner->owner_state, "deleted") == 0;
}

/* The fault of a first half and its second. */
static enum audit_fault fault_of_first(const struct half_row *row,
                                       const struct partner *partner)
{
    if (row->pending != 0) {
        return AUDIT_NONE;
    }
    if (partner->owner_state == NULL) {
        return row->state == 0 ? AUDIT_NONE : AUDIT_NEVER;
    }
    if (is_gone(partner)) {
        return AUDIT_NONE;
    }
    if (!partner->is_there) {
        return row->state == 0 ? AUDIT_NONE : AUDIT_NO_SECOND;
    }
    if (partner->ver < row->ver) {
        return AUDIT_OLD_SECOND;
    }
    return partner->ver == row->ver && (partner->state != row->state ||
                                        strcmp(partner->digest, row->digest) != 0)
               ? AUDIT_DIFFER
               : AUDIT_NONE;
}

/* The same for a second half; faults found from the first half are left to that. */
static enum audit_fault fault_of_second(const struct half_row *row,
                                        const struct partner *partner)
{
    if (partner->owner_state != NULL && is_gone(partner)) {
        return AUDIT_NONE;
    }
    if (!partner->is_there) {
        return row->state == 0 ? AUDIT_NONE : AUDIT_NO_FIRST; /* the first half was
                                                               * purged */
    }
    return partner->ver < row->ver ? AUDIT_OLD_FIRST : AUDIT_NONE;
}

/* Leave out the rows of which neither half is on the shard in focus, or whose counterpart
 * is in a slot that nobody serves. */
static void leave_out(struct audit *audit, size_t shard, struct half_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct half_row *row = &rows[i];
        if (row->served != 0 && audit->has_focus && shard != audit->focus &&
            router_owner_shard(audit->router, row->other) != audit->focus) {
            row->served = 0;
        }
        if (row->served != 0 && audit->skip != NULL &&
            slotset_has(audit->skip, id_slot(row->other))) {
            row->served = 0;
            audit->n_skipped++;
        }
    }
}

/* Ask for the other halves of the served ones of N rows; ANSWERS in their order. */
static enum outcome find_partners(struct audit *audit, struct call *call,
                                  enum audit_part part, const struct half_row *rows,
                                  size_t n, struct router_answer *answers)
{
    struct ops *ops = ops_new();
    size_t n_ops = 0;

    if (ops == NULL) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].served == 0) {
            continue;
        }
        ops_add_owner(ops, rows[i].other);
        ops_text(ops, "tbl", tables[tables[part].partner].name);
        ops_number(ops, "other", (int64_t)rows[i].owner);
        ops_number(ops, "seq", (int64_t)rows[i].seq);
        n_ops++;
    }
    if (n_ops > 0) {
        router_batch(audit->router, call, PROC_AUDIT_FIND, ops, answers);
    }
    ops_free(&ops);
    for (size_t i = 0; i < n_ops; i++) {
        if (answers[i].outcome != OUTCOME_OK) {
            return answers[i].outcome;
        }
    }
    return OUTCOME_OK;
}

/* Report the fault of a row and its PARTNER, if there is one. */
static void compare_half(struct audit *audit, enum audit_part part,
                         const struct half_row *row, const struct partner *partner)
{
    enum audit_fault fault = tables[part].is_first ? fault_of_first(row, partner)
                                                   : fault_of_second(row, partner);
    struct audit_difference difference = {.part = part,
                                          .fault = fault,
                                          .slot = row->slot,
                                          .owner = row->owner,
                                          .other = row->other,
                                          .seq = row->seq,
                                          .state = row->state,
                                          .ver = row->ver,
                                          .at_ms = row->at_ms,
                                          .is_owner_lost = partner->owner_state == NULL};

    if (fault != AUDIT_NONE) {
        tell(audit, &difference, texts[fault]);
    }
}

/* Compare the served ones of N rows with their partners. False: one cannot be read, and
 * nothing was reported. */
static bool compare_halves(struct audit *audit, enum audit_part part,
                           const struct half_row *rows, size_t n,
                           const struct router_answer *answers)
{
    struct partner partner;
    size_t n_ops = 0;

    for (size_t i = 0; i < n; i++) {
        if (rows[i].served != 0 && !read_partner(&answers[n_ops++], &partner)) {
            return false;
        }
    }
    n_ops = 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].served != 0 && read_partner(&answers[n_ops++], &partner)) {
            compare_half(audit, part, &rows[i], &partner);
        }
    }
    return true;
}

static enum outcome check_halves(struct audit *audit, struct call *call, size_t shard,
                                 struct audit_place *place, size_t *n_rows)
{
    const char *name = tables[place->part].name;
    const struct dbarg args[] = {
        dbarg_text(name, strlen(name)), dbarg_number(place->slot),
        dbarg_number(place->owner),     dbarg_number(place->other),
        dbarg_number(place->seq),       dbarg_number(place->page_rows)};
    const struct dbresult *result = NULL;
    enum outcome outcome = ask(audit, call, shard, PROC_AUDIT_ROWS, args, &result);

    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    size_t n = result == NULL ? 0 : result->n_rows;
    struct half_row *rows = arena_calloc(call->arena, n, sizeof *rows);
    struct router_answer *answers = arena_calloc(call->arena, n, sizeof *answers);
    if (rows == NULL || answers == NULL || n > PAGE_ROWS) {
        return call_no_memory(call);
    }
    for (size_t i = 0; i < n; i++) {
        if (!dbresult_read(result, i, half_fields, ARRAY_LEN(half_fields), &rows[i])) {
            return proc_unreadable(call, PROC_AUDIT_ROWS);
        }
    }
    leave_out(audit, shard, rows, n);
    outcome = find_partners(audit, call, place->part, rows, n, answers);
    if (outcome != OUTCOME_OK) {
        return outcome;
    }
    if (!compare_halves(audit, place->part, rows, n, answers)) {
        return proc_unreadable(call, PROC_AUDIT_FIND);
    }
    if (n > 0) {
        const struct half_row *last = &rows[n - 1];
        place->slot = last->slot;
        place->owner = last->owner;
        place->other = last->other;
        place->seq = last->seq;
    }
    *n_rows = n;
    move_on(place, n);
    return OUTCOME_OK;
}

enum outcome audit_page(struct audit *audit, struct call *call, size_t shard,
                        struct audit_place *place, size_t *n_rows)
{
    CHECK(place->part < AUDIT_PART__COUNT && shard < router_n_shards(audit->router));
    if (place->page_rows == 0) {
        place->page_rows = PAGE_ROWS;
    }
    enum outcome outcome = place->part == AUDIT_OWNERS
                               ? check_owners(audit, call, shard, place, n_rows)
                               : check_halves(audit, call, shard, place, n_rows);
    place->page_rows = next_page_rows(place->page_rows, outcome);
    return outcome;
}
