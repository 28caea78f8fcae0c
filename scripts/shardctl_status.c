/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl status: the shards, the moves under way, and what is wrong. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/id.h"
#include "shard/router.h"
#include "shard/router_scatter.h"

#include "scripts/shardctl_checks.h"
#include "scripts/shardctl_moves.h"

static const char help[] =
    "status: show the shards, the moves that are under way, and what is wrong. Reads "
    "only.\n"
    "\n"
    "  --json                one JSON object\n"
    "\n"
    "  SHARD   ROLE     STATE   SLOTS  OWN  FREE     GIVES  TAKES  KEEPS\n"
    "  shard1  gives    up        511    0  91.2 GB      1      0      0\n"
    "      ROLE is serves, gives, takes, gives+takes, or empty: it has no slots, because "
    "it\n"
    "      is new or was drained. STATE is up, paused or down. OWN are slots of one "
    "heavy\n"
    "      user each. KEEPS are slots that it gave away and that can be rolled back.\n"
    "  slot 17 shard1 -> shard2: copying [######----------] 42%, ..\n"
    "      as `shardctl move --help` says. Slots that are kept for a rollback share a "
    "line,\n"
    "      with those from and to the same shards; `--json` has each.\n"
    "  12 slots shard1 -> shard2: keeping, 1,440 rows, can be rolled back for 37 min "
    "(the\n"
    "      first of them; `shardctl finish` ends it): 17,100-108,206,208\n"
    "  [OK]   every slot has one owner, which answers\n"
    "  [ERR]  the move of slot 17 waits for a mover for 40 s: start one (shardctl "
    "mover)\n"
    "      What is right and what is wrong, and what to do about it. Moves between the "
    "same\n"
    "      shards that wait for the same share a line.\n"
    "\n"
    "    watch -n1 shardctl status\n"
    "    shardctl status --json | jq '.checks[] | select(.verdict != \"OK\").text'\n"
    "\n"
    "Exit status: 0 no [ERR]; 1 there are some; 2 misuse, or no shard answers.\n";

/* A failed move is reported for a day. */
#define FAILED_MS 86400000

/* How many are named one by one; of the rest only the number. */
#define NAMED_MAX 8

struct shard_line {
    struct router_shard_state state;
    unsigned n_own;
    unsigned n_gives, n_takes, n_keeps;
    int64_t free_bytes; /* -1: unknown */
    bool is_draining;
    bool has_claims; /* it said which slots it claims */
};

struct run {
    const struct shardctl *ctl;
    struct moves moves;
    bool has_mover;
    struct shard_line *shards;
    size_t n_shards;
    unsigned n_shared[2];   /* shared slots without an owner, and with one that is down */
    uint32_t orphan;        /* one of them */
    struct slotset claimed; /* by the shard that is said to have them */
    unsigned n_unclaimed;   /* slots that this one answers, and does not claim */
    uint32_t unclaimed;     /* one of them */
    struct checks checks;
};

/* ---- Looking ---- */

static void read_claims(struct run *run, size_t shard, const struct dbresult *map)
{
    for (size_t i = 0; i < map->n_rows; i++) {
        const struct dbvalue *slot = dbresult_value(map, i, "slot");
        const struct dbvalue *claim = dbresult_value(map, i, "claim_epoch");
        if (slot != NULL && slot->number < SLOTS_MAX && claim != NULL &&
            claim->number > 0 &&
            router_slot_shard(run->ctl->router, (uint32_t)slot->number) == shard) {
            slotset_add(&run->claimed, (uint32_t)slot->number);
        }
    }
}

static void ask_claims(struct run *run)
{
    struct fleet fleet;

    fleet_begin(&fleet, run->ctl);
    fleet.is_quiet = true;
    const bool is_any = fleet_call(&fleet, PROC_SLOT_MAP, NULL, SIZE_MAX);
    for (size_t i = 0; i < run->n_shards && is_any; i++) {
        run->shards[i].has_claims = fleet.shares[i].results != NULL;
        if (run->shards[i].has_claims) {
            read_claims(run, i, fleet.shares[i].results);
        }
    }
    fleet_end(&fleet);
}

/* Does nobody claim SLOT, which SHARD is said to have? Between the two commits of a flip
 * nobody does. */
static bool is_unclaimed(const struct run *run, size_t shard, uint32_t slot)
{
    const struct move_row *row = moves_of_slot(&run->moves, slot);

    return run->shards[shard].has_claims && !slotset_has(&run->claimed, slot) &&
           (row == NULL ||
            (row->phase != PHASE_FLIPPING && row->phase != PHASE_REVERTING));
}

static void count_slots(struct run *run)
{
    static struct slotset all;
    static struct slotset disputed;

    router_all_slots(run->ctl->router, &all, &disputed);
    for (uint32_t slot = 0; (slot = slotset_next(&all, &disputed, slot)) < SLOTS_MAX;
         slot++) {
        const size_t shard = router_slot_shard(run->ctl->router, slot);
        const bool is_known = shard < run->n_shards;
        if (is_known && slot >= SHARED_SLOTS) {
            run->shards[shard].n_own++;
        }
        if (!is_known || !run->shards[shard].state.up) {
            run->n_shared[is_known]++;
            run->orphan = slot;
        } else if (is_unclaimed(run, shard, slot)) {
            run->n_unclaimed++;
            run->unclaimed = slot;
        }
    }
}

static size_t shard_named(const struct run *run, const char *name)
{
    size_t i = 0;

    while (i < run->n_shards && strcmp(run->shards[i].state.name, name) != 0) {
        i++;
    }
    return i;
}

static void count_moves(struct run *run)
{
    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        const size_t giver = shard_named(run, row->giver);
        const size_t taker = shard_named(run, row->taker);
        if (move_is_over(row) || giver == run->n_shards) {
            continue;
        }
        if (row->phase == PHASE_KEEPING) {
            run->shards[giver].n_keeps++;
        } else if (row->phase != PHASE_QUEUED) {
            run->shards[giver].n_gives++;
            if (taker < run->n_shards) {
                run->shards[taker].n_takes++;
            }
        }
    }
}

static void measure_room(struct run *run)
{
    struct fleet fleet;

    fleet_begin(&fleet, run->ctl);
    fleet.is_quiet = true;
    const bool is_any = fleet_call(&fleet, PROC_SHARD_FREE, NULL, SIZE_MAX);
    for (size_t i = 0; i < run->n_shards; i++) {
        const struct dbvalue *left =
            is_any ? dbresult_value(fleet.shares[i].results, 0, "free_bytes") : NULL;
        run->shards[i].free_bytes =
            left == NULL || left->is_null ? -1 : (int64_t)left->number;
    }
    fleet_end(&fleet);
}

static void note_drains(struct run *run)
{
    struct fleet fleet;

    fleet_begin(&fleet, run->ctl);
    fleet.is_quiet = true;
    const bool is_any = fleet_call(&fleet, PROC_SHARD_STATUS, NULL, SIZE_MAX);
    for (size_t i = 0; i < run->n_shards; i++) {
        const struct dbvalue *at =
            is_any ? dbresult_value(fleet.shares[i].results, 0, "draining_at") : NULL;
        run->shards[i].is_draining = at != NULL && at->number != 0;
    }
    fleet_end(&fleet);
}

/* False: said on standard error. */
static bool look(struct run *run)
{
    struct router *router = run->ctl->router;

    (void)router_discover(router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    run->n_shards = router_n_shards(router);
    run->shards = calloc(run->n_shards, sizeof *run->shards);
    if (run->shards == NULL) {
        (void)shardctl_fail("status", "out of memory");
        return false;
    }
    for (size_t i = 0; i < run->n_shards; i++) {
        router_shard_state(router, i, &run->shards[i].state);
    }
    if (!moves_read(&run->moves, run->ctl, /* is_quiet= */ true)) {
        for (size_t i = 0; i < run->n_shards; i++) {
            (void)shardctl_fail(run->shards[i].state.name,
                                run->shards[i].state.reason.text);
        }
        return false;
    }
    run->has_mover = moves_have_mover(&run->moves);
    measure_room(run);
    note_drains(run);
    ask_claims(run);
    count_slots(run);
    count_moves(run);
    return true;
}

/* ---- The shards ---- */

static const char *role(const struct shard_line *shard)
{
    if (shard->n_gives > 0) {
        return shard->n_takes > 0 ? "gives+takes" : "gives";
    }
    return shard->n_takes > 0             ? "takes"
           : shard->state.slots_owned > 0 ? "serves"
                                          : "empty";
}

static const char *state_name(const struct shard_line *shard)
{
    return !shard->state.up ? "down" : shard->state.paused[0] != '\0' ? "paused" : "up";
}

static void print_shards(const struct run *run)
{
    (void)printf("%-16s %-12s %-7s %6s %5s %10s %6s %6s %6s\n", "SHARD", "ROLE", "STATE",
                 "SLOTS", "OWN", "FREE", "GIVES", "TAKES", "KEEPS");
    for (size_t i = 0; i < run->n_shards; i++) {
        const struct shard_line *shard = &run->shards[i];
        char text[24] = "?";
        if (shard->free_bytes >= 0) {
            (void)fleet_bytes((double)shard->free_bytes, text);
        }
        (void)printf("%-16s %-12s %-7s %6u %5u %10s %6u %6u %6u\n", shard->state.name,
                     role(shard), state_name(shard), shard->state.slots_owned,
                     shard->n_own, text, shard->n_gives, shard->n_takes, shard->n_keeps);
    }
}

static json_t *json_of_shards(const struct run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->n_shards; i++) {
        const struct shard_line *shard = &run->shards[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:I, s:I, s:I}", "shard",
                      shard->state.name, "role", role(shard), "state", state_name(shard),
                      "reason", shard->state.reason.text, "slots",
                      (json_int_t)shard->state.slots_owned, "own_slots",
                      (json_int_t)shard->n_own, "free_bytes",
                      shard->free_bytes < 0 ? json_null()
                                            : json_integer(shard->free_bytes),
                      "gives", (json_int_t)shard->n_gives, "takes",
                      (json_int_t)shard->n_takes, "keeps", (json_int_t)shard->n_keeps));
    }
    return list;
}

/* ---- The moves ---- */

/* Nothing is to be said of it but that it can come back. */
static bool is_at_rest(const struct move_row *row)
{
    return move_is_kept(row) && strcmp(row->kind, "move") == 0 &&
           strcmp(row->wish, "go") == 0 && row->last_error[0] == '\0' &&
           move_waits_ms(row) == 0;
}

/* Nothing is to be said of it but that it has not begun, and perhaps why. */
static bool is_queued(const struct move_row *row)
{
    return row->phase == PHASE_QUEUED && strcmp(row->kind, "move") == 0 &&
           strcmp(row->wish, "go") == 0;
}

/* Do A and B go the same way, and was the same in the way of both? */
static bool is_alike(const struct move_row *a, const struct move_row *b)
{
    return strcmp(a->giver, b->giver) == 0 && strcmp(a->taker, b->taker) == 0 &&
           strcmp(a->last_error, b->last_error) == 0;
}

/* One line for both? */
static bool shares_line(const struct run *run, const struct move_row *a,
                        const struct move_row *b)
{
    (void)run;
    return is_alike(a, b) &&
           ((is_at_rest(a) && is_at_rest(b)) || (is_queued(a) && is_queued(b)));
}

/* Moves that share a line. */
struct group {
    struct slotset slots;
    size_t n;
    uint64_t n_rows;
    int64_t left_ms;  /* until the first of them cannot come back any more */
    int64_t waits_ms; /* the longest that one was without a mover */
};

/* The moves that are of one group with row FIRST, as IS_SAME says. False: one before
 * FIRST is, so the group has been printed. */
static bool gather(const struct run *run, size_t first,
                   bool (*is_same)(const struct run *run, const struct move_row *a,
                                   const struct move_row *b),
                   struct group *group)
{
    const struct move_row *rows = run->moves.rows;

    *group = (struct group){.left_ms = INT64_MAX};
    for (size_t i = 0; i < run->moves.n; i++) {
        if (is_same(run, &rows[i], &rows[first])) {
            if (i < first) {
                return false;
            }
            const int64_t left_ms = move_eta_ms(&rows[i]);
            const int64_t waits_ms = move_waits_ms(&rows[i]);
            slotset_add(&group->slots, rows[i].slot);
            group->n++;
            group->n_rows += rows[i].rows_copied;
            group->left_ms = left_ms < group->left_ms ? left_ms : group->left_ms;
            group->waits_ms = waits_ms > group->waits_ms ? waits_ms : group->waits_ms;
        }
    }
    return true;
}

/* Enough for NAMED_MAX ranges. */
#define RANGES_TEXT 128

/* "17,100-108", as commands take it; of many ranges, the first. */
static const char *ranges(const struct slotset *slots, char text[RANGES_TEXT])
{
    unsigned n = 0;
    size_t len = 0;

    text[0] = '\0';

    for (uint32_t from = 0; (from = slotset_next(slots, NULL, from)) < SLOTS_MAX;) {
        uint32_t end = from + 1;
        while (end < SLOTS_MAX && slotset_has(slots, end)) {
            end++;
        }
        if (++n > NAMED_MAX) {
            (void)snprintf(text + len, RANGES_TEXT - len, ",..");
            return text;
        }
        len += (size_t)snprintf(text + len, RANGES_TEXT - len, "%s%" PRIu32,
                                n == 1 ? "" : ",", from);
        if (end - from > 1) {
            len += (size_t)snprintf(text + len, RANGES_TEXT - len, "-%" PRIu32, end - 1);
        }
        from = end;
    }
    return text;
}

static void print_resting(const struct group *group, const struct move_row *row)
{
    char text[2][UNITS_TEXT];
    char slots[RANGES_TEXT];

    (void)printf("%zu slots %s -> %s: keeping, %s rows, can be rolled back for %s (the "
                 "first of them; `shardctl finish` ends it): %s\n",
                 group->n, row->giver, row->taker, units_number(group->n_rows, text[0]),
                 units_duration(group->left_ms, text[1]), ranges(&group->slots, slots));
}

static void print_queued(const struct group *group, const struct move_row *row)
{
    char text[UNITS_TEXT];
    char slots[RANGES_TEXT];

    (void)printf("%zu slots %s -> %s: queued, the first of them for %s", group->n,
                 row->giver, row->taker,
                 units_duration(row->now_ms - row->requested_at_ms, text));
    if (row->last_error[0] != '\0') {
        (void)printf(", last problem: %s", row->last_error);
    }
    (void)printf(": %s\n", ranges(&group->slots, slots));
}

static void print_moves(const struct run *run)
{
    static struct group group;
    char line[MOVE_LINE];

    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        const bool is_shared = is_at_rest(row) || is_queued(row);
        if (move_is_over(row) || (is_shared && !gather(run, i, shares_line, &group))) {
            continue;
        }
        if (!is_shared || group.n == 1) {
            (void)puts(move_line(row, line));
        } else if (is_at_rest(row)) {
            print_resting(&group, row);
        } else {
            print_queued(&group, row);
        }
    }
    (void)putchar('\n');
}

static json_t *json_of_moves(const struct run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->moves.n; i++) {
        (void)json_array_append_new(list, move_json(&run->moves.rows[i]));
    }
    return list;
}

/* ---- What is wrong ---- */

static void check_shards(struct run *run)
{
    unsigned n_down = 0;

    for (size_t i = 0; i < run->n_shards; i++) {
        const struct router_shard_state *state = &run->shards[i].state;
        if (run->shards[i].is_draining) {
            checks_add(&run->checks, CHECK_WARN,
                       "%s is being drained: no slot is sent to it until CALL "
                       "shard_drain(0) there",
                       state->name);
        }
        if (!state->up) {
            checks_add(&run->checks, CHECK_ERR, "%s is not in use: %s", state->name,
                       state->reason.text);
        } else if (state->paused[0] != '\0') {
            checks_add(&run->checks, CHECK_ERR,
                       "%s is paused by %s; CALL shard_resume() there ends it",
                       state->name, state->paused);
        } else if (state->n_hearsay > 0) {
            checks_add(&run->checks, CHECK_WARN,
                       "%s has heard that %s, and does not believe it (%u slots)",
                       state->name, state->hearsay, state->n_hearsay);
        }
        n_down += !state->up || state->paused[0] != '\0';
    }
    if (n_down == 0) {
        checks_add(&run->checks, CHECK_OK, "%zu of %zu shards answer", run->n_shards,
                   run->n_shards);
    }
}

static void check_slots(struct run *run)
{
    struct router_dispute disputes[NAMED_MAX];
    const unsigned n = router_disputes(run->ctl->router, 0, disputes, NAMED_MAX);

    for (unsigned i = 0; i < n && i < NAMED_MAX; i++) {
        checks_add(&run->checks, CHECK_ERR,
                   "slot %" PRIu32 ": %s and %s claim it at epoch %" PRIu64
                   ", nobody serves it: CALL slot_settle(%" PRIu32
                   ", ..) on the one that shall have it",
                   disputes[i].slot, disputes[i].servers[0], disputes[i].servers[1],
                   disputes[i].epoch, disputes[i].slot);
    }
    if (n > NAMED_MAX) {
        checks_add(&run->checks, CHECK_ERR, "%u more slots are claimed twice",
                   n - NAMED_MAX);
    }
    if (run->n_shared[0] > 0) {
        checks_add(&run->checks, CHECK_ERR,
                   "%u slots have no known owner, slot %" PRIu32 " for one",
                   run->n_shared[0], run->orphan);
    }
    if (run->n_shared[1] > 0) {
        checks_add(&run->checks, CHECK_ERR,
                   "%u slots are not served: their shard is down", run->n_shared[1]);
    }
    if (run->n_unclaimed > 0) {
        checks_add(
            &run->checks, CHECK_ERR,
            "%u slots are not served: the shard that is said to have them does not "
            "claim them (slot %" PRIu32 " on %s): CALL slot_adopt on the one whose "
            "rows shall count",
            run->n_unclaimed, run->unclaimed,
            run->shards[router_slot_shard(run->ctl->router, run->unclaimed)].state.name);
    }
    if (n + run->n_shared[0] + run->n_shared[1] + run->n_unclaimed == 0) {
        checks_add(&run->checks, CHECK_OK, "every slot has one owner, which answers");
    }
}

/* Is ROW the latest move of its slot on its shard? */
static bool is_newest(const struct run *run, const struct move_row *row)
{
    for (const struct move_row *later = row + 1; later < run->moves.rows + run->moves.n;
         later++) {
        if (later->shard == row->shard && later->slot == row->slot) {
            return false;
        }
    }
    return true;
}

/* How many there are, unless they are not WELL. Kept ones are under way no more. */
static void count_going(struct run *run, bool well)
{
    size_t n_going = 0;
    size_t n_kept = 0;
    char kept[48] = "";

    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        n_kept += move_is_kept(row);
        n_going += !move_is_over(row) && !move_is_kept(row);
    }
    if (n_kept > 0) {
        (void)snprintf(kept, sizeof kept, ", %zu can be rolled back", n_kept);
    }
    if (n_going == 0 && (well || n_kept == 0)) {
        checks_add(&run->checks, CHECK_OK, "no move is under way%s", kept);
    } else if (well) {
        checks_add(&run->checks, CHECK_OK, "%zu move%s under way%s", n_going,
                   n_going == 1 ? " is" : "s are", kept);
    }
}

/* Enough for the names of two shards and RANGES_TEXT. */
#define TROUBLE_NAME 256

/* What an operator should know of a move. */
enum trouble {
    TROUBLE_NONE,
    TROUBLE_NO_MOVER, /* nobody works on it, and nobody has said why */
    TROUBLE_FAILED,
    TROUBLE_OBSTACLE, /* its last_error says what is in the way */
};

static enum trouble trouble_of(const struct run *run, const struct move_row *row)
{
    if (move_is_over(row)) {
        return row->phase == PHASE_FAILED && is_newest(run, row) &&
                       row->now_ms - row->finished_at_ms < FAILED_MS
                   ? TROUBLE_FAILED
                   : TROUBLE_NONE;
    }
    if (row->last_error[0] != '\0') {
        return TROUBLE_OBSTACLE;
    }
    return move_waits_ms(row) > 0 && !run->has_mover ? TROUBLE_NO_MOVER : TROUBLE_NONE;
}

static bool shares_trouble(const struct run *run, const struct move_row *a,
                           const struct move_row *b)
{
    return is_alike(a, b) && trouble_of(run, a) == trouble_of(run, b);
}

/* "the move of slot 17", or "the moves of 12 slots shard1 -> shard2 (17,100-110)" */
static void name_group(const struct group *group, const struct move_row *row,
                       char name[TROUBLE_NAME])
{
    char slots[RANGES_TEXT];

    if (group->n == 1) {
        (void)snprintf(name, TROUBLE_NAME, "the move of slot %" PRIu32, row->slot);
    } else {
        (void)snprintf(name, TROUBLE_NAME, "the moves of %zu slots %s -> %s (%s)",
                       group->n, row->giver, row->taker, ranges(&group->slots, slots));
    }
}

static void add_trouble(struct run *run, const struct group *group,
                        const struct move_row *row)
{
    const bool is_one = group->n == 1;
    struct checks *checks = &run->checks;
    char name[TROUBLE_NAME];
    char text[UNITS_TEXT];

    name_group(group, row, name);
    units_duration(group->waits_ms, text);
    switch (trouble_of(run, row)) {
    case TROUBLE_NO_MOVER:
        checks_add(checks, CHECK_ERR,
                   "%s wait%s for a mover for %s: start one (shardctl "
                   "mover)",
                   name, is_one ? "s" : "", text);
        break;
    case TROUBLE_FAILED:
        checks_add(checks, CHECK_ERR, "%s to %s failed: %s; %s on %s", name, row->taker,
                   row->last_error, is_one ? "it stays" : "they stay", row->giver);
        break;
    case TROUBLE_OBSTACLE:
        if (group->waits_ms > 0 && !run->has_mover) {
            checks_add(checks, CHECK_ERR, "%s ha%s waited for a mover for %s: %s", name,
                       is_one ? "s" : "ve", text, row->last_error);
        } else {
            checks_add(checks, CHECK_WARN, "%s: %s", name, row->last_error);
        }
        break;
    case TROUBLE_NONE:
        break;
    }
}

static void check_moves(struct run *run)
{
    static struct group group;
    const unsigned n_errors = run->checks.n_errors;

    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        if (trouble_of(run, row) != TROUBLE_NONE &&
            gather(run, i, shares_trouble, &group)) {
            add_trouble(run, &group, row);
        }
    }
    count_going(run, run->checks.n_errors == n_errors);
}

/* ---- The run ---- */

static void print_json(struct run *run)
{
    json_t *object = json_pack("{s:o, s:o, s:O, s:b}", "shards", json_of_shards(run),
                               "moves", json_of_moves(run), "checks", run->checks.list,
                               "is_good", run->checks.n_errors == 0);

    if (object != NULL && json_dumpf(object, stdout, 0) == 0) {
        (void)putchar('\n');
    }
    json_decref(object);
}

static int print(struct run *run)
{
    const bool is_json = run->ctl->options.is_json;

    checks_begin(&run->checks, is_json);
    if (!is_json) {
        print_shards(run);
        (void)putchar('\n');
        print_moves(run);
    }
    check_shards(run);
    check_slots(run);
    check_moves(run);
    if (is_json) {
        print_json(run);
    }
    checks_end(&run->checks);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return shardctl_fail("standard output", shardctl_error_text());
    }
    return run->checks.n_errors > 0 ? 1 : 0;
}

static int run_status(const struct shardctl *ctl)
{
    struct run run = {.ctl = ctl};
    int status = look(&run) ? print(&run) : 2;

    moves_end(&run.moves);
    free(run.shards);
    return status;
}

const struct shardctl_command shardctl_status = {
    .name = "status",
    .operands = "",
    .options = "json",
    .help = help,
    .user = "doushard_monitor",
    .has_router = true,
    .run = run_status,
};
