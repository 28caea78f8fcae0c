/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl watch: the moves that are under way, a line a second for each. */
#include <stdio.h>

#include "shard/base/clock.h"

#include "shard/router.h"

#include "scripts/shardctl_moves.h"

static const char help[] =
    "watch: show one line a second for each move that is under way, until it is over or\n"
    "only kept for a rollback. `shardctl move --help` says what the lines mean; moves "
    "asked\n"
    "for after the start are not followed.\n"
    "\n"
    "  --json                one JSON object per line\n"
    "\n"
    "    shardctl watch\n"
    "    shardctl watch 17,100-120\n"
    "\n"
    "Exit status: 0 all ended as they should; 1 one failed, or Ctrl-C; 2 misuse, or no\n"
    "shard answers.\n";

/* Follow the moves under way, only of SLOTS unless that is NULL. 0, or the exit
 * status. */
static int add_moves(struct follow *follow, const struct slotset *slots)
{
    struct moves moves;
    bool good = moves_read(&moves, follow->ctl, /* is_quiet= */ false);

    for (size_t i = 0; good && i < moves.n; i++) {
        const struct move_row *row = &moves.rows[i];
        if (!move_is_over(row) && (slots == NULL || slotset_has(slots, row->slot))) {
            good = follow_add(follow, fleet_shard(&moves.fleet, row->shard), row->move_id,
                              row->slot);
        }
    }
    moves_end(&moves);
    return good ? 0 : 2;
}

static int run_watch(const struct shardctl *ctl)
{
    static struct slotset slots;
    struct follow follow;

    if (ctl->options.operand != NULL && !units_read_slots(ctl->options.operand, &slots)) {
        return 2;
    }
    (void)router_discover(ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    follow_begin(&follow, ctl);
    follow.is_watch = true;
    int status = add_moves(&follow, ctl->options.operand == NULL ? NULL : &slots);
    if (status == 0 && follow.n == 0) {
        follow_say(&follow, "idle", "no move is under way");
    }
    status = status == 0 ? follow_all(&follow) : status;
    follow_end(&follow);
    return status;
}

const struct shardctl_command shardctl_watch = {
    .name = "watch",
    .operands = "[SLOT[,SLOT..|A-B]]",
    .options = "json",
    .help = help,
    .user = "doushard_monitor",
    .n_operands_max = 1,
    .has_router = true,
    .run = run_watch,
};
