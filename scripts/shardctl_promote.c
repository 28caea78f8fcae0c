/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl promote, demote: a heavy user gets a slot of their own, or comes back from it.
 * They only write requests; movers do it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/id.h"
#include "shard/router.h"

#include "server/config/topology.h"

#include "scripts/shardctl_moves.h"

#define COMMON                                                                           \
    "  --name                USER is a name, even if it is a number\n"                   \
    "  --detach              only ask for it, and do not wait\n"                         \
    "  --dry-run             say what would be done; change nothing\n"                   \
    "  --yes                 do not ask\n"                                               \
    "  --json                one JSON object per line\n"                                 \
    "\n"                                                                                 \
    "USER is an id or a name. A mover (shardctl mover) does it; a line a second shows\n" \
    "how far it is. Ctrl-C only ends the waiting. `shardctl cancel SLOT`, with the\n"    \
    "slot that these lines name, calls it off.\n"                                        \
    "\n"                                                                                 \
    "Exit status: 0 done (--detach: asked for; --dry-run: could be); 1 not done, or "    \
    "not\n"                                                                              \
    "yet; 2 misuse, or a shard did not answer.\n"

static const char promote_help[] =
    "promote: give a heavy user a slot of their own while they are served: separate\n"
    "tables on the same shard, which `shardctl move` can move to another one. Ids stay\n"
    "valid.\n"
    "\n" COMMON;

static const char demote_help[] =
    "demote: bring a user who was promoted back to the slot of their id, while they are\n"
    "served. Their own slot must be on the same shard: `shardctl move` it there first.\n"
    "\n" COMMON;

struct run {
    const struct shardctl *ctl;
    bool is_promotion;
    struct fleet fleet;
    uint64_t user_id;
    size_t shard;    /* of the slot of their id */
    uint32_t at;     /* the slot that they have now */
    bool is_partial; /* not every slot has an owner that answers */
};

/* The number in COLUMN of the shard's last answer; 0: there is none. */
static uint64_t answered(const struct run *run, const char *column)
{
    const struct dbvalue *value =
        dbresult_value(run->fleet.shares[run->shard].results, 0, column);

    return value == NULL || value->is_null ? 0 : value->number;
}

/* CALL PROC with ARG on the shard of SLOT. 0, or the exit status. */
static int ask(struct run *run, enum proc_id proc, struct dbarg arg, uint32_t slot)
{
    run->shard = router_slot_shard(run->ctl->router, slot);
    if (run->shard == router_n_shards(run->ctl->router)) {
        (void)fprintf(stderr, "shardctl: no shard is known to own slot %u\n", slot);
        return run->is_partial ? 2 : 1;
    }
    return fleet_ask(&run->fleet, proc, &arg, run->shard);
}

/* Find the user and their shard. 0, or the exit status. */
static int find_user(struct run *run)
{
    const char *operand = run->ctl->options.operand;
    const size_t len = strlen(operand);

    run->user_id = run->ctl->options.is_name ? 0 : shardctl_read_id(operand);
    if (run->user_id == 0) {
        int status = ask(run, PROC_USER_FIND, dbarg_text(operand, len),
                         id_name_slot(operand, len));
        if (status != 0) {
            return status;
        }
        run->user_id = answered(run, "user_id");
    }
    if (run->user_id == 0) {
        (void)shardctl_fail(operand, "nobody has this name");
        return 1;
    }
    int status =
        ask(run, PROC_SLOT_WHERE, dbarg_number(run->user_id), id_slot(run->user_id));
    run->at = status == 0 ? (uint32_t)answered(run, "slot") : 0;
    return status;
}

/* Print what will be done. False: there is nothing to do. */
static bool announce(const struct run *run)
{
    const char *shard = run->ctl->topology->servers[run->shard].name;
    const bool is_own = run->at >= SHARED_SLOTS;
    char text[160];
    struct follow follow = {.ctl = run->ctl};

    if (is_own == run->is_promotion) {
        (void)snprintf(text, sizeof text, "user %" PRIu64 " has slot %u: nothing to do",
                       run->user_id, run->at);
    } else {
        (void)snprintf(text, sizeof text, "user %" PRIu64 " of %s: slot %u -> %s",
                       run->user_id, shard, run->at,
                       run->is_promotion ? "one of their own" : "that of their id");
    }
    follow_say(&follow, "plan", text);
    return is_own != run->is_promotion;
}

static int send_and_follow(struct run *run)
{
    const char *shard = run->ctl->topology->servers[run->shard].name;
    struct follow follow;
    int status = ask(run, run->is_promotion ? PROC_PROMOTE_REQUEST : PROC_DEMOTE_REQUEST,
                     dbarg_number(run->user_id), id_slot(run->user_id));

    if (status != 0) {
        return status;
    }
    follow_begin(&follow, run->ctl);
    if (run->ctl->options.is_detached) {
        follow_say(&follow, "asked",
                   "it is asked for; `shardctl watch` shows how it goes");
    } else if (follow_add(&follow, shard, answered(run, "move_id"),
                          (uint32_t)answered(run, "slot"))) {
        status = follow_all(&follow);
    } else {
        status = 2;
    }
    follow_end(&follow);
    return status;
}

static int change(struct run *run)
{
    char question[96];
    int status = find_user(run);

    if (status != 0 || !announce(run) || run->ctl->options.is_dry_run) {
        return status;
    }
    (void)snprintf(question, sizeof question, "%s user %" PRIu64 "?",
                   run->is_promotion ? "Promote" : "Demote", run->user_id);
    status = units_confirm(run->ctl, question);
    return status == 0 ? send_and_follow(run) : status;
}

static int run_change(const struct shardctl *ctl, bool is_promotion)
{
    struct run run = {.ctl = ctl, .is_promotion = is_promotion};
    const size_t len = strlen(ctl->options.operand);

    if (len == 0 || len > 128) {
        return shardctl_fail("USER", "a name has 1 to 128 bytes");
    }
    /* Slots whose shards do not answer are reported; the user may not be in one of
     * them. */
    run.is_partial = !shardctl_discover(ctl, is_promotion ? "promote" : "demote");
    fleet_begin(&run.fleet, ctl);
    int status = change(&run);
    fleet_end(&run.fleet);
    return status;
}

static int run_promote(const struct shardctl *ctl)
{
    return run_change(ctl, /* is_promotion= */ true);
}

static int run_demote(const struct shardctl *ctl)
{
    return run_change(ctl, /* is_promotion= */ false);
}

#define OPTIONS "name detach dry-run yes json"

const struct shardctl_command shardctl_promote = {
    .name = "promote",
    .operands = "USER",
    .options = OPTIONS,
    .help = promote_help,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_promote,
};

const struct shardctl_command shardctl_demote = {
    .name = "demote",
    .operands = "USER",
    .options = OPTIONS,
    .help = demote_help,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_demote,
};
