/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl balance and drain: carry out a plan. Moves are asked for when their turn
 * comes, never more at once than --parallel allows. If this ends early, the moves asked
 * for until then go on; each of them improves the balance. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripts/shardctl_planner.h"
#include "scripts/shardctl_request.h"

#define TERMS                                                                            \
    "  --parallel=N          so many moves at a time that one shard gives or takes "     \
    "(1);\n"                                                                             \
    "                        movers have a limit of their own (--per-shard)\n"           \
    "  --detach              only ask for all moves, and do not wait: movers make "      \
    "them, "                                                                             \
    "as\n"                                                                               \
    "                        many at a time as their --per-shard says; not with "        \
    "--parallel\n"                                                                       \
    "                        or --capacity\n"                                            \
    "  --keep=TIME, --rate=ROWS/s   of each move, as `shardctl move --help` says\n"      \
    "  --dry-run             print the plan; change nothing\n"                           \
    "  --yes                 do not ask\n"                                               \
    "  --json                one JSON object per line: the plan, then each move once "   \
    "a\n"                                                                                \
    "                        second\n"

static const char balance_help[] =
    "balance: even out the shards: print the plan of `shardctl plan`, ask, and make its\n"
    "moves in order, with a line a second for each.\n"
    "\n"
    "  --by=WHAT, --threshold=PERCENT, --floor=N, --weights=NAME=W,..,\n"
    "  --capacity=NAME=BYTES,.., --drain=NAME,.., --limit=N   as `shardctl plan --help` "
    "says\n" TERMS "\n"
    "Each single move improves the balance: ending this at any time, by Ctrl-C for "
    "example,\n"
    "does no harm. Moves that were asked for go on; to go on with the rest, run it "
    "again.\n"
    "\n"
    "    shardctl balance --by=load --dry-run\n"
    "    shardctl balance --parallel=2 --rate=5000/s --yes\n"
    "\n"
    "Exit status: 0 all moves are made, or nothing needed to be done; 1 not all are "
    "made; 2\n"
    "misuse, or a shard did not answer.\n";

static const char drain_help[] =
    "drain: move everything away from a shard, to where there is most room for it, with "
    "a\n"
    "line a second for each move.\n"
    "\n"
    "  --by=WHAT, --threshold=PERCENT, --floor=N, --weights=NAME=W,..,\n"
    "  --capacity=NAME=BYTES,.., --limit=N   as `shardctl plan --help` says; with a "
    "threshold the others "
    "are\n"
    "                        evened out, too\n" TERMS "\n"
    "It may be run again at any time, and goes on with what is left. From the first run "
    "on\n"
    "no plan sends slots to it, until CALL shard_drain(0) there. When its slots have "
    "moved,\n"
    "the old rows stay until the slots can no longer be rolled back (--keep, `shardctl\n"
    "finish all`). When `shardctl status` shows it as empty and KEEPS is 0, take it out "
    "of\n"
    "topology.conf; scripts/drain-shard.sh does all of that with you.\n"
    "\n"
    "    shardctl drain shard3 --keep=0 --parallel=2\n"
    "\n"
    "Exit status: 0 nothing is left on it; 1 something is; 2 misuse, or a shard did not\n"
    "answer.\n";

#define PARALLEL_MAX 64

struct run {
    const struct shardctl *ctl;
    struct planner planner;
    struct request_terms terms;
    unsigned parallel;
    struct request *requests; /* one per move of the plan */
    enum plan_step *steps;
    size_t *next;
    struct follow follow;
};

/* ---- Before ---- */

static bool list_requests(struct run *run)
{
    const struct plan *plan = &run->planner.plan;

    run->requests = calloc(plan->n_moves + 1, sizeof *run->requests);
    run->steps = calloc(plan->n_moves + 1, sizeof *run->steps);
    run->next = calloc(plan->n_moves + 1, sizeof *run->next);
    if (run->requests == NULL || run->steps == NULL || run->next == NULL) {
        (void)shardctl_fail("moves", "out of memory");
        return false;
    }
    for (size_t i = 0; i < plan->n_moves; i++) {
        const struct plan_move *move = &plan->moves[i];
        const struct plan_slot *slot = &run->planner.slots[move->slot];
        run->requests[i] = (struct request){.slot = slot->number,
                                            .giver = move->giver,
                                            .taker = move->taker,
                                            .rows = slot->rows,
                                            .bytes = slot->bytes};
        run->steps[i] = PLAN_WAITS;
    }
    return true;
}

static int check(const struct run *run)
{
    struct checks checks;

    checks_begin(&checks, run->ctl->options.is_json);
    request_check_shards(run->ctl, run->requests, run->planner.plan.n_moves, &checks);
    if (checks.list != NULL && json_dumpf(checks.list, stdout, 0) == 0) {
        (void)putchar('\n');
    }
    (void)fflush(stdout);
    checks_end(&checks);
    return checks.n_errors > 0 ? 1 : 0;
}

static int confirm(const struct run *run)
{
    const struct plan *plan = &run->planner.plan;
    char question[128];
    char text[24];

    (void)snprintf(question, sizeof question, "Make %zu move%s, %s?", plan->n_moves,
                   plan->n_moves == 1 ? "" : "s", fleet_bytes(plan->bytes_moved, text));
    return units_confirm(run->ctl, question);
}

/* From now on no plan sends slots to shards that are drained. False: the reason is
 * printed. */
static bool mark_draining(const struct run *run)
{
    const struct dbarg on = dbarg_number(1);
    struct fleet fleet;
    bool good = true;

    fleet_begin(&fleet, run->ctl);
    for (size_t i = 0; good && i < run->planner.input.n_shards; i++) {
        if (run->planner.shards[i].is_draining) {
            good = fleet_call(&fleet, PROC_SHARD_DRAIN, &on, i);
        }
    }
    fleet_end(&fleet);
    return good;
}

/* ---- Carrying it out ---- */

static void start(struct run *run, size_t i)
{
    struct request *request = &run->requests[i];
    const char *giver = run->planner.shards[request->giver].name;

    run->steps[i] =
        request_send(run->ctl, &run->terms, request) &&
                follow_add(&run->follow, giver, request->move_id, request->slot)
            ? PLAN_RUNS
            : PLAN_GIVEN_UP;
}

/* Note the moves that are over by now. */
static void note_ends(struct run *run)
{
    for (size_t i = 0; i < run->planner.plan.n_moves; i++) {
        const struct request *request = &run->requests[i];
        if (run->steps[i] != PLAN_RUNS) {
            continue;
        }
        for (size_t k = 0; k < run->follow.n; k++) {
            const struct followed *item = &run->follow.items[k];
            if (item->is_over && item->slot == request->slot &&
                item->move_id == request->move_id) {
                run->steps[i] = item->is_failed ? PLAN_GIVEN_UP : PLAN_DONE;
            }
        }
    }
}

static size_t count(const struct run *run, enum plan_step step)
{
    size_t n = 0;

    for (size_t i = 0; i < run->planner.plan.n_moves; i++) {
        n += run->steps[i] == step;
    }
    return n;
}

/* Ask for all moves, in order, and wait for none: movers take them from there. */
static int leave_to_movers(struct run *run)
{
    const size_t n_all = run->planner.plan.n_moves;
    size_t n = 0;
    char text[160];

    while (n < n_all && request_send(run->ctl, &run->terms, &run->requests[n])) {
        n++;
    }
    (void)snprintf(text, sizeof text,
                   "%zu of %zu moves are asked for; `shardctl watch` shows how they go",
                   n, n_all);
    follow_say(&run->follow, "asked", text);
    return n == n_all ? 0 : 1;
}

static int carry_out(struct run *run)
{
    const struct planner *planner = &run->planner;
    char text[160];
    bool good = true;

    follow_begin(&run->follow, run->ctl);
    if (run->ctl->options.is_detached) {
        int status = leave_to_movers(run);
        follow_end(&run->follow);
        return status;
    }
    while (good) {
        const size_t n = plan_next(&planner->input, &planner->plan, run->steps,
                                   run->parallel, run->next);
        for (size_t i = 0; i < n; i++) {
            start(run, run->next[i]);
        }
        if (run->follow.n_left == 0 && n == 0) {
            break;
        }
        good = follow_step(&run->follow);
        note_ends(run);
    }
    const size_t n_done = count(run, PLAN_DONE);
    (void)snprintf(
        text, sizeof text, "%zu of %zu moves are made%s", n_done, planner->plan.n_moves,
        n_done == planner->plan.n_moves ? ""
                                        : "; run it again to go on with what is left");
    follow_say(&run->follow, "end", text);
    int status = follow_end_status(&run->follow);
    follow_end(&run->follow);
    return n_done == planner->plan.n_moves ? status : 1;
}

/* Carry out the plan. */
static int act(struct run *run)
{
    const struct plan *plan = &run->planner.plan;
    const int unfinished = plan->n_undrained > 0 ? 1 : 0;

    if (!planner_print(&run->planner)) {
        return shardctl_fail("standard output", shardctl_error_text());
    }
    if (plan->n_moves == 0) {
        return run->ctl->options.is_dry_run || mark_draining(run) ? unfinished : 2;
    }
    if (!list_requests(run)) {
        return 2;
    }
    int status = check(run);
    if (status != 0 || run->ctl->options.is_dry_run) {
        return status;
    }
    status = confirm(run);
    if (status == 0 && !mark_draining(run)) {
        return 2;
    }
    status = status == 0 ? carry_out(run) : status;
    return status == 0 ? unfinished : status;
}

static int run_planned(const struct shardctl *ctl, const char *drained, double threshold)
{
    struct run run = {.ctl = ctl};

    if (ctl->options.is_detached &&
        (ctl->options.parallel != NULL || ctl->options.capacity != NULL)) {
        return shardctl_fail("--detach", "nothing would hold moves back until their "
                                         "turn: not with --parallel or --capacity");
    }
    run.parallel = (unsigned)shardctl_read_number(ctl->options.parallel, PARALLEL_MAX, 1);
    if (run.parallel == 0) {
        return shardctl_fail("--parallel", "1 to 64 moves");
    }
    if (!request_terms_read(&run.terms, ctl)) {
        return 2;
    }
    int status = planner_make(&run.planner, ctl, drained, threshold) ? act(&run) : 2;
    planner_end(&run.planner);
    free(run.requests);
    free(run.steps);
    free(run.next);
    return status;
}

static int run_balance(const struct shardctl *ctl)
{
    return run_planned(ctl, NULL, PLAN_THRESHOLD);
}

static int run_drain(const struct shardctl *ctl)
{
    return run_planned(ctl, ctl->options.operand, PLANNER_ANY_SHARE);
}

const struct shardctl_command shardctl_balance = {
    .name = "balance",
    .operands = "",
    .options = "by threshold floor weights capacity drain limit parallel detach keep "
               "rate dry-run yes json",
    .help = balance_help,
    .user = "doushard_admin",
    .has_router = true,
    .must_be_durable = true,
    .run = run_balance,
};

const struct shardctl_command shardctl_drain = {
    .name = "drain",
    .operands = "SHARD",
    .options = "by threshold floor weights capacity limit parallel detach keep rate "
               "dry-run yes json",
    .help = drain_help,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .must_be_durable = true,
    .run = run_drain,
};
