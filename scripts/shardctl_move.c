/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl move: move slots to another shard. It only writes requests; movers make the
 * moves.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/router.h"

#include "server/config/topology.h"

#include "scripts/shardctl_request.h"

static const char help[] =
    "move: move slots to another shard while they are served, and show how it goes.\n"
    "\n"
    "  --to=SHARD            the shard that is to have them\n"
    "  --keep=TIME           how long a slot can be rolled back after it has moved, "
    "with\n"
    "                        everything written meanwhile (1h; 0 to 7d)\n"
    "  --rate=ROWS/s         copy, compare and remove at most so many rows a second (as "
    "many\n"
    "                        as the load of both shards allows)\n"
    "  --detach              only ask for the moves, do not wait\n"
    "  --dry-run             say what would be done; change nothing\n"
    "  --yes                 do not ask\n"
    "  --json                one JSON object per line: what will be done, then each "
    "move\n"
    "                        once a second\n"
    "\n"
    "Slots are numbers and ranges: 17,19,100-120. Each is asked for on the shard that "
    "has\n"
    "it (CALL move_request()); a mover (shardctl mover) makes the moves, one after the\n"
    "other. Then, once a second:\n"
    "\n"
    "  slot 17 shard1 -> shard2: copying [######----------] 42%, 12,345 of 29,000 rows,\n"
    "  3.1 MB, 50,123 rows/s, backlog 12, ETA 0.3 s\n"
    "      Percent and ETA are those of the phase: copying, then verifying. Backlog is "
    "the\n"
    "      number of writes since that are still to be carried over.\n"
    "  slot 17 shard1 -> shard2: keeping, 29,000 rows, writes paused for 4.2 ms, can be\n"
    "  rolled back for 59 min\n"
    "      It has moved, and this command ends. `shardctl rollback 17` brings it back,\n"
    "      `shardctl finish 17` frees its space on shard1.\n"
    "\n"
    "If anything fails before a slot has moved, it stays where it is and is served "
    "there.\n"
    "Ctrl-C ends the waiting, not the moves. It is safe to ask again: moves that are "
    "under\n"
    "way are waited for, slots that are there are left alone.\n"
    "\n"
    "    shardctl move 17 --to=shard2 --dry-run\n"
    "    shardctl move 512-575 --to=shard3 --rate=5000/s --yes\n"
    "\n"
    "Exit status: 0 the slots are there (--detach: asked for; --dry-run: could be); 1 "
    "not\n"
    "all are, or not yet; 2 misuse, or a shard did not answer. In SQL: "
    "config/README.md.\n";

struct run {
    const struct shardctl *ctl;
    struct request_terms terms;
    size_t taker;
    struct slotset slots;
    struct request *requests;
    size_t n;
    size_t n_wanted; /* that are not there */
    struct checks checks;
    struct moves moves;
};

/* ---- What is wanted ---- */

static bool find_taker(struct run *run)
{
    const struct topology *topology = run->ctl->topology;
    const char *name = run->ctl->options.to;

    if (name == NULL) {
        (void)shardctl_fail("move", "--to=SHARD is missing");
        return false;
    }
    while (run->taker < topology->n_servers &&
           strcmp(topology->servers[run->taker].name, name) != 0) {
        run->taker++;
    }
    if (run->taker == topology->n_servers) {
        (void)shardctl_fail(name, "the topology names no such shard");
        return false;
    }
    return true;
}

static bool list_slots(struct run *run)
{
    for (uint32_t slot = 0; (slot = slotset_next(&run->slots, NULL, slot)) < SLOTS_MAX;
         slot++) {
        run->n++;
    }
    run->requests = calloc(run->n + 1, sizeof *run->requests);
    if (run->requests == NULL) {
        (void)shardctl_fail("slots", "out of memory");
        return false;
    }
    size_t i = 0;
    for (uint32_t slot = 0; (slot = slotset_next(&run->slots, NULL, slot)) < SLOTS_MAX;
         slot++) {
        run->requests[i++].slot = slot;
    }
    return true;
}

/* ---- Checks ---- */

/* Explain why no shard is known to have SLOT. */
static void explain_owner(struct run *run, uint32_t slot)
{
    struct router_dispute dispute = {.slot = SLOTS_MAX};

    if (router_disputes(run->ctl->router, slot, &dispute, 1) > 0 &&
        dispute.slot == slot) {
        checks_add(&run->checks, CHECK_ERR,
                   "slot %" PRIu32 ": %s and %s claim it at epoch %" PRIu64
                   ": CALL slot_settle on the one that shall have it",
                   slot, dispute.servers[0], dispute.servers[1], dispute.epoch);
    } else {
        checks_add(&run->checks, CHECK_ERR,
                   "slot %" PRIu32 ": no shard that answers has it", slot);
    }
}

/* A move of the slot is under way: is it the one asked for? */
static void check_move(struct run *run, struct request *request,
                       const struct move_row *row)
{
    char line[MOVE_LINE];

    if (row->shard == request->giver && !request->is_there &&
        strcmp(row->taker, run->ctl->options.to) == 0) {
        request->move_id = row->move_id;
        checks_add(&run->checks, CHECK_OK, "it moves there already: %s",
                   move_line(row, line));
    } else if (!request->is_there) {
        checks_add(&run->checks, CHECK_ERR,
                   "another move of it is under way (shardctl finish, cancel): %s",
                   move_line(row, line));
    }
}

static void check_slot(struct run *run, struct request *request)
{
    struct router *router = run->ctl->router;
    const struct move_row *row = moves_of_slot(&run->moves, request->slot);

    request->taker = run->taker;
    request->giver = router_slot_shard(router, request->slot);
    if (request->giver == router_n_shards(router)) {
        request->giver = run->taker;
        request->is_there = true;
        explain_owner(run, request->slot);
        return;
    }
    request->is_there = request->giver == run->taker;
    if (request->is_there) {
        checks_add(&run->checks, CHECK_OK, "slot %" PRIu32 " is on %s already",
                   request->slot, run->ctl->options.to);
    }
    if (row != NULL) {
        check_move(run, request, row);
    }
    run->n_wanted += !request->is_there;
}

/* Report shards that are not in use, and why: their slots cannot be moved. */
static void check_router(struct run *run)
{
    struct router_shard_state state;

    for (size_t i = 0; i < router_n_shards(run->ctl->router); i++) {
        router_shard_state(run->ctl->router, i, &state);
        if (!state.up) {
            checks_add(&run->checks, i == run->taker ? CHECK_ERR : CHECK_WARN,
                       "%s is not in use: %s", state.name, state.reason.text);
        }
    }
}

/* False: said on standard error. */
static bool check(struct run *run)
{
    check_router(run);
    for (size_t i = 0; i < run->n; i++) {
        check_slot(run, &run->requests[i]);
    }
    if (run->n_wanted == 0) {
        return true;
    }
    if (run->checks.n_errors == 0 && !request_sizes(run->ctl, run->requests, run->n)) {
        return false;
    }
    request_check_shards(run->ctl, run->requests, run->n, &run->checks);
    return true;
}

/* ---- Output before the moves ---- */

static void print_json(struct run *run)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->n; i++) {
        (void)json_array_append_new(list, request_json(run->ctl, &run->requests[i]));
    }
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:o, s:O, s:b}", "to", run->ctl->options.to, "keep_ms",
        (json_int_t)run->terms.keep_ms, "rows_per_s", (json_int_t)run->terms.rows_per_s,
        "slots", list, "checks", run->checks.list, "is_good", run->checks.n_errors == 0);
    if (object != NULL && json_dumpf(object, stdout, 0) == 0) {
        (void)putchar('\n');
    }
    json_decref(object);
}

static void print_text(const struct run *run)
{
    char text[2][UNITS_TEXT];

    for (size_t i = 0; i < run->n; i++) {
        const struct request *request = &run->requests[i];
        if (!request->is_there && request->move_id == 0) {
            (void)printf("slot %-5" PRIu32 " %s -> %s  about %s rows, %s\n",
                         request->slot, run->ctl->topology->servers[request->giver].name,
                         run->ctl->options.to, units_number(request->rows, text[0]),
                         fleet_bytes((double)request->bytes, text[1]));
        }
    }
}

/* ---- The run ---- */

static int confirm(const struct run *run)
{
    char question[160];
    char text[UNITS_TEXT];

    (void)snprintf(question, sizeof question,
                   "Move %zu slot%s to %s, with a way back for %s?", run->n_wanted,
                   run->n_wanted == 1 ? "" : "s", run->ctl->options.to,
                   units_duration(run->terms.keep_ms, text));
    return units_confirm(run->ctl, question);
}

/* Ask for all moves, and add them to FOLLOW. 0, or the exit status. */
static int send(struct run *run, struct follow *follow)
{
    int status = 0;

    for (size_t i = 0; i < run->n; i++) {
        struct request *request = &run->requests[i];
        if (request->is_there) {
            continue;
        }
        if (request->move_id == 0 && !request_send(run->ctl, &run->terms, request)) {
            status = 1;
        } else if (!follow_add(follow, run->ctl->topology->servers[request->giver].name,
                               request->move_id, request->slot)) {
            return 2;
        }
    }
    return status;
}

static int send_and_follow(struct run *run)
{
    struct follow follow;
    char text[160];

    follow_begin(&follow, run->ctl);
    int status = send(run, &follow);
    if (run->ctl->options.is_detached) {
        (void)snprintf(text, sizeof text,
                       "%zu move%s asked for; `shardctl watch` shows how %s", follow.n,
                       follow.n == 1 ? " is" : "s are",
                       follow.n == 1 ? "it goes" : "they go");
        follow_say(&follow, "asked", text);
    } else if (status != 2) {
        const int end = follow_all(&follow);
        status = status == 0 ? end : status;
    }
    follow_end(&follow);
    return status;
}

static int move(struct run *run)
{
    if (!check(run)) {
        return 2;
    }
    if (run->ctl->options.is_json) {
        print_json(run);
    } else if (run->checks.n_errors == 0) {
        print_text(run);
    }
    (void)fflush(stdout);
    if (run->checks.n_errors > 0) {
        return 1;
    }
    if (run->ctl->options.is_dry_run || run->n_wanted == 0) {
        return 0;
    }
    int status = confirm(run);
    return status == 0 ? send_and_follow(run) : status;
}

static int run_move(const struct shardctl *ctl)
{
    static struct run run;

    run.ctl = ctl;
    if (!request_terms_read(&run.terms, ctl) || !find_taker(&run) ||
        !units_read_slots(ctl->options.operand, &run.slots) || !list_slots(&run)) {
        return 2;
    }
    (void)router_discover(ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    checks_begin(&run.checks, ctl->options.is_json);
    int status = moves_read(&run.moves, ctl, /* is_quiet= */ true) ? move(&run) : 2;
    moves_end(&run.moves);
    checks_end(&run.checks);
    free(run.requests);
    return status;
}

const struct shardctl_command shardctl_move = {
    .name = "move",
    .operands = "SLOT[,SLOT..|A-B]",
    .options = "to keep rate detach dry-run yes json",
    .help = help,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .must_be_durable = true,
    .run = run_move,
};
