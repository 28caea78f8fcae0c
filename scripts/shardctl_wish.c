/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl pause, resume, cancel, rollback, finish, throttle: control moves that are
 * under way. Each only writes a wish beside the request; the mover does it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/router.h"

#include "scripts/shardctl_moves.h"

#define COMMON                                                                           \
    "  --dry-run             say what would be done; change nothing\n"                   \
    "  --yes                 do not ask\n"                                               \
    "  --json                one JSON object per move\n"                                 \
    "\n"                                                                                 \
    "Slots are numbers and ranges (17,19,100-120), or `all` with a move under\n"         \
    "way. The shard that was asked for the move is found by asking all. `shardctl\n"     \
    "watch` shows how they go on.\n"                                                     \
    "\n"                                                                                 \
    "Exit status: 0 written; 1 not for all, with the reasons; 2 misuse, or a shard\n"    \
    "does not answer (the others were told).\n"

static const char pause_help[] = "pause: pause moves at their next step. The slot is "
                                 "served as before; writes to it are\n"
                                 "still carried over. A slot that has moved can be "
                                 "rolled back as long as its move is\n"
                                 "paused. `shardctl resume` ends it.\n"
                                 "\n" COMMON;

static const char resume_help[] = "resume: let paused moves go on.\n"
                                  "\n" COMMON;

static const char cancel_help[] =
    "cancel: call moves off before the slot has moved: it stays where it is, and the "
    "copy\n"
    "is removed. Once it has moved, use `shardctl rollback`.\n"
    "\n" COMMON;

static const char rollback_help[] =
    "rollback: bring slots back that have moved, with everything written since, with a\n"
    "pause of a few milliseconds; works while a move is `keeping` (--keep of `shardctl\n"
    "move`).\n"
    "\n" COMMON;

static const char finish_help[] =
    "finish: end the time in which slots can be rolled back: the rows that they left "
    "behind\n"
    "are removed. Otherwise that happens when the time is over.\n"
    "\n" COMMON;

static const char throttle_help[] =
    "throttle: bound how many rows a second moves copy, compare and remove. RATE "
    "is\n"
    "for example 5000/s; none: as many as the load of both shards allows.\n"
    "\n" COMMON;

struct run {
    const struct shardctl *ctl;
    const char *wish;    /* argument of move_wish; NULL: move_throttle */
    uint32_t rows_per_s; /* of that */
    bool is_all;
    struct slotset slots;
    struct moves moves;
    size_t n_found;
};

static bool read_operands(struct run *run)
{
    const struct shardctl_options *options = &run->ctl->options;

    if (run->wish == NULL && !units_read_rate(options->operands[1], &run->rows_per_s)) {
        (void)shardctl_fail(options->operands[1],
                            "no rate: rows a second, as 5000/s, or none");
        return false;
    }
    run->is_all = strcmp(options->operand, "all") == 0;
    return run->is_all || units_read_slots(options->operand, &run->slots);
}

static bool is_meant(const struct run *run, const struct move_row *row)
{
    return !move_is_over(row) && (run->is_all || slotset_has(&run->slots, row->slot));
}

static void print(const struct run *run, const struct move_row *row, const char *done)
{
    char line[MOVE_LINE];

    if (run->ctl->options.is_json) {
        json_t *object = move_json(row);
        if (object != NULL &&
            json_object_set_new(object, "written", json_string(done)) == 0 &&
            json_dumpf(object, stdout, 0) == 0) {
            (void)putchar('\n');
        }
        json_decref(object);
    } else {
        (void)printf("%s: %s\n", done, move_line(row, line));
    }
}

/* Ask for confirmation, for all chosen moves. */
static int confirm(const struct run *run)
{
    char question[128];
    char line[MOVE_LINE];

    if (run->ctl->options.is_yes) {
        return 0;
    }
    for (size_t i = 0; i < run->moves.n; i++) {
        if (is_meant(run, &run->moves.rows[i])) {
            (void)fprintf(stderr, "%s\n", move_line(&run->moves.rows[i], line));
        }
    }
    (void)snprintf(question, sizeof question, "%s %zu move%s?",
                   run->wish == NULL ? "throttle" : run->wish, run->n_found,
                   run->n_found == 1 ? "" : "s");
    return units_confirm(run->ctl, question);
}

/* CALL it on the shard of ROW. 0, or the exit status: said on standard error. */
static int write_wish(const struct run *run, const struct move_row *row)
{
    const struct dbarg wish[] = {dbarg_number(row->slot),
                                 run->wish == NULL
                                     ? dbarg_number(run->rows_per_s)
                                     : dbarg_text(run->wish, strlen(run->wish))};
    struct fleet fleet;

    fleet_begin(&fleet, run->ctl);
    const int status =
        fleet_ask(&fleet, run->wish == NULL ? PROC_MOVE_THROTTLE : PROC_MOVE_WISH, wish,
                  row->shard);
    fleet_end(&fleet);
    return status;
}

/* Name the slots without a move under way. 0, or the exit status; shards that do not
 * answer were named when the moves were read. */
static int check_slots(struct run *run)
{
    const bool is_partial = run->moves.fleet.n_silent > 0;
    const char *where = is_partial ? " on the shards that answer" : "";
    int status = run->is_all && is_partial ? 2 : 0;

    for (uint32_t slot = 0; (slot = slotset_next(&run->slots, NULL, slot)) < SLOTS_MAX;
         slot++) {
        if (moves_of_slot(&run->moves, slot) == NULL) {
            (void)fprintf(stderr,
                          "shardctl: slot %" PRIu32 ": no move of it is under way%s\n",
                          slot, where);
            status = is_partial ? 2 : 1;
        }
    }
    for (size_t i = 0; i < run->moves.n; i++) {
        run->n_found += is_meant(run, &run->moves.rows[i]);
    }
    if (run->is_all && run->n_found == 0) {
        (void)fprintf(stderr, "shardctl: no move is under way%s\n", where);
    }
    return status;
}

static int write_wishes(struct run *run)
{
    const bool is_dry = run->ctl->options.is_dry_run;
    int status = check_slots(run);

    if (run->n_found == 0) {
        return status;
    }
    const int asked = is_dry ? 0 : confirm(run);
    if (asked != 0) {
        return asked;
    }
    for (size_t i = 0; i < run->moves.n; i++) {
        const struct move_row *row = &run->moves.rows[i];
        if (!is_meant(run, row)) {
            continue;
        }
        const int told = is_dry ? 0 : write_wish(run, row);
        if (told == 0) {
            print(run, row, is_dry ? "would write" : "written");
        }
        status = told > status ? told : status;
    }
    return fflush(stdout) == 0 ? status
                               : shardctl_fail("standard output", shardctl_error_text());
}

static int run_wish(const struct shardctl *ctl, const char *wish)
{
    static struct run run;

    run.ctl = ctl;
    run.wish = wish;
    if (!read_operands(&run)) {
        return 2;
    }
    (void)router_discover(ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    int status =
        moves_read(&run.moves, ctl, /* is_quiet= */ false) ? write_wishes(&run) : 2;
    moves_end(&run.moves);
    return status;
}

#define WISH_COMMAND(command, word)                                                      \
    static int run_##command(const struct shardctl *ctl)                                 \
    {                                                                                    \
        return run_wish(ctl, word);                                                      \
    }                                                                                    \
    const struct shardctl_command shardctl_##command = {                                 \
        .name = #command,                                                                \
        .operands = "SLOT[,SLOT..|A-B]|all",                                             \
        .options = "dry-run yes json",                                                   \
        .help = command##_help,                                                          \
        .user = "doushard_admin",                                                        \
        .n_operands_min = 1,                                                             \
        .n_operands_max = 1,                                                             \
        .has_router = true,                                                              \
        .run = run_##command,                                                            \
    }

WISH_COMMAND(pause, "pause");
WISH_COMMAND(resume, "go");
WISH_COMMAND(cancel, "cancel");
WISH_COMMAND(rollback, "rollback");
WISH_COMMAND(finish, "finish");

static int run_throttle(const struct shardctl *ctl)
{
    return run_wish(ctl, NULL);
}

const struct shardctl_command shardctl_throttle = {
    .name = "throttle",
    .operands = "SLOT[,SLOT..|A-B]|all RATE",
    .options = "dry-run yes json",
    .help = throttle_help,
    .user = "doushard_admin",
    .n_operands_min = 2,
    .n_operands_max = 2,
    .has_router = true,
    .run = run_throttle,
};
