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
    "  [OK]   every slot has an owner that answers\n"
    "  [ERR]  the move of slot 17 waits for a mover for 40 s: start one (shardctl "
    "mover)\n"
    "      What is right and what is wrong, and what to do about it.\n"
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

static bool rests_beside(const struct move_row *a, const struct move_row *b)
{
    return is_at_rest(a) && is_at_rest(b) && strcmp(a->giver, b->giver) == 0 &&
           strcmp(a->taker, b->taker) == 0;
}

/* Moves at rest between the same shards. */
struct resting {
    struct slotset slots;
    size_t n;
    uint64_t n_rows;
    int64_t left_ms; /* until the first of them cannot come back any more */
};

/* False: another row before FIRST is of the same, and has been printed with it. */
static bool gather(const struct run *run, size_t first, struct resting *resting)
{
    const struct move_row *rows = run->moves.rows;

    *resting = (struct resting){.left_ms = INT64_MAX};
    for (size_t i = 0; i < run->moves.n; i++) {
        if (rests_beside(&rows[i], &rows[first])) {
            if (i < first) {
                return false;
            }
            const int64_t left_ms = move_eta_ms(&rows[i]);
            slotset_add(&resting->slots, rows[i].slot);
            resting->n++;
            resting->n_rows += rows[i].rows_copied;
            resting->left_ms = left_ms < resting->left_ms ? left_ms : resting->left_ms;
        }
    }
    return true;
}

/* "17,100-108", as commands take it; of many ranges, the first. */
static void print_ranges(const struct slotset *slots)
{
    unsigned n = 0;

    for (uint32_t from = 0; (from = slotset_next(slots, NULL, from)) < SLOTS_MAX;) {
        uint32_t end = from + 1;
        while (end < SLOTS_MAX && slotset_has(slots, end)) {
            end++;
        }
        if (++n > NAMED_MAX) {
            (void)printf(",..");
            return;
        }
        (void)printf("%s%" PRIu32, n == 1 ? "" : ",", from);
        if (end - from > 1) {
            (void)printf("-%" PRIu32, end - 1);
        }
        from = end;
    }
}

static void print_resting(const struct resting *resting, const struct move_row *row)
{
    char text[2][UNITS_TEXT];

    (void)printf("%zu slots %s -> %s: keeping, %s rows, can be rolled back for %s (the "
                 "first of them; `shardctl finish` ends it): ",
                 resting->n, row->giver, row->taker,
                 units_number(resting->n_rows, text[0]),
                 units_duration(resting->left_ms, text[1]));
    print_ranges(&resting->slots);
    (void)putchar('\n');
}

static void print_moves(const struct run *run)
{
    static struct resting resting;
    char line[MOVE_LINE];

    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        if (move_is_over(row) || (is_at_rest(row) && !gather(run, i, &resting))) {
            continue;
        }
        if (is_at_rest(row) && resting.n > 1) {
            print_resting(&resting, row);
        } else {
            (void)puts(move_line(row, line));
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

static void check_moves(struct run *run)
{
    const unsigned n_errors = run->checks.n_errors;
    char text[UNITS_TEXT];

    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        const int64_t waits_ms = move_waits_ms(row);
        if (waits_ms > 0 && row->last_error[0] != '\0') {
            checks_add(&run->checks, CHECK_ERR,
                       "the move of slot %" PRIu32 " has waited for a mover for %s: %s",
                       row->slot, units_duration(waits_ms, text), row->last_error);
        } else if (waits_ms > 0) {
            checks_add(&run->checks, CHECK_ERR,
                       "the move of slot %" PRIu32
                       " waits for a mover for %s: start one (shardctl mover)",
                       row->slot, units_duration(waits_ms, text));
        } else if (row->phase == PHASE_FAILED && is_newest(run, row) &&
                   row->now_ms - row->finished_at_ms < FAILED_MS) {
            checks_add(&run->checks, CHECK_ERR,
                       "the move of slot %" PRIu32 " to %s failed: %s; it stays on %s",
                       row->slot, row->taker, row->last_error, row->giver);
        } else if (!move_is_over(row) && row->last_error[0] != '\0') {
            checks_add(&run->checks, CHECK_WARN, "the move of slot %" PRIu32 ": %s",
                       row->slot, row->last_error);
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
