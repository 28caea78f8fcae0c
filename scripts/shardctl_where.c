/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl where: in which slot and on which shard somebody's rows are. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "shard/id.h"
#include "shard/router.h"

#include "scripts/shardctl_fleet.h"

static const char help_text[] =
    "where: show slot, shard and epoch of a user or video by id, or of a user by name.\n"
    "\n"
    "  --name                the operand is a name, even if it looks like an id\n"
    "  --json                one JSON object\n"
    "\n"
    "  139264: slot 17 of shard2 at epoch 3, owned\n"
    "  liu 139264: slot 1030 (their own) of shard1 at epoch 19, migrating\n"
    "      owned: this shard serves it; migrating: this shard serves it while another "
    "one\n"
    "      copies it. A user in a slot from 1024 up was promoted: nobody else is in "
    "that\n"
    "      slot.\n"
    "\n"
    "The slot of an id is known even if nobody has the id. Names are looked up, "
    "including\n"
    "those of erased users.\n"
    "\n"
    "    shardctl where 139264\n"
    "    shardctl where 42 --name\n"
    "\n"
    "Exit status: 0 found; 1 nobody has that name, or no shard owns the slot; 2 misuse, "
    "or\n"
    "the shard that knows does not answer.\n";

struct run {
    const struct shardctl *ctl;
    struct fleet fleet;
    const char *name; /* NULL: an id was given */
    uint64_t id;
    uint32_t slot;
    bool is_partial; /* not every slot has an owner that answers */
};

/* Look up ARG with PROC on the shard of HOME, the shared slot: which slot it is in, and
 * whose id it is. 0, or the exit status. */
static int look_up(struct run *run, enum proc_id proc, struct dbarg arg, uint32_t home)
{
    struct fleet *fleet = &run->fleet;
    const size_t shard = router_slot_shard(run->ctl->router, home);

    if (shard == router_n_shards(run->ctl->router)) {
        (void)fprintf(stderr, "shardctl: no shard is known to own slot %u\n", home);
        return run->is_partial ? 2 : 1;
    }
    if (!fleet_call(fleet, proc, &arg, shard)) {
        return 2;
    }
    const struct dbresult *row = fleet->shares[shard].results;
    const struct dbvalue *slot = dbresult_value(row, 0, "slot");
    if (slot == NULL || slot->is_null || slot->number > UINT32_MAX) {
        return shardctl_fail(run->ctl->options.operand, "the shard does not say");
    }
    run->slot = (uint32_t)slot->number;
    if (proc == PROC_USER_FIND) {
        const struct dbvalue *id = dbresult_value(row, 0, "user_id");
        const struct dbvalue *code = dbresult_value(row, 0, "code");
        run->id = id == NULL || id->is_null ? 0 : id->number;
        if (run->id == 0 && code != NULL && code->text != NULL &&
            strcmp(code->text, "notfound") != 0) {
            return shardctl_fail(run->name,
                                 "its slot is not served at the moment, ask again");
        }
        if (run->id == 0) {
            (void)shardctl_fail(run->name, "nobody has this name");
            return 1;
        }
    }
    return 0;
}

static const struct fleet_slot *find_slot(const struct fleet *fleet, uint32_t slot)
{
    for (size_t i = 0; i < fleet->n_slots; i++) {
        if (fleet->slots[i].slot == slot) {
            return &fleet->slots[i];
        }
    }
    return NULL;
}

static bool print_json(const struct run *run, const struct fleet_slot *slot)
{
    json_t *object = json_pack("{s:I, s:s?, s:I, s:b, s:s, s:I, s:s}", "id",
                               (json_int_t)run->id, "name", run->name, "slot",
                               (json_int_t)run->slot, "is_own", run->slot >= SHARED_SLOTS,
                               "shard", fleet_shard(&run->fleet, slot->shard), "epoch",
                               (json_int_t)slot->epoch, "state", slot->state);
    bool good =
        object != NULL && json_dumpf(object, stdout, 0) == 0 && putchar('\n') != EOF;

    json_decref(object);
    return good;
}

static bool print_text(const struct run *run, const struct fleet_slot *slot)
{
    return printf("%s%s%" PRIu64 ": slot %u%s of %s at epoch %" PRIu64 ", %s\n",
                  run->name == NULL ? "" : run->name, run->name == NULL ? "" : " ",
                  run->id, run->slot, run->slot >= SHARED_SLOTS ? " (their own)" : "",
                  fleet_shard(&run->fleet, slot->shard), slot->epoch, slot->state) > 0;
}

static int find(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    int status;

    run->is_partial = !shardctl_discover(run->ctl, "where");
    if (run->name != NULL) {
        const size_t len = strlen(run->name);
        status = look_up(run, PROC_USER_FIND, dbarg_text(run->name, len),
                         id_name_slot(run->name, len));
    } else {
        status = look_up(run, PROC_SLOT_WHERE, dbarg_number(run->id), id_slot(run->id));
    }
    if (status != 0) {
        return status;
    }
    if (!fleet_read(fleet)) {
        return 2;
    }
    const struct fleet_slot *slot = find_slot(fleet, run->slot);
    if (slot == NULL) {
        (void)fprintf(stderr, "shardctl: slot %u: no shard that answers owns it\n",
                      run->slot);
        return fleet->n_silent > 0 ? 2 : 1;
    }
    bool good = run->ctl->options.is_json ? print_json(run, slot) : print_text(run, slot);
    return good && fflush(stdout) == 0
               ? 0
               : shardctl_fail("standard output", shardctl_error_text());
}

static int run_where(const struct shardctl *ctl)
{
    const char *operand = ctl->options.operand;
    struct run run = {.ctl = ctl};

    run.id = ctl->options.is_name ? 0 : shardctl_read_id(operand);
    run.name = run.id == 0 ? operand : NULL;
    if (operand[0] == '\0' || strlen(operand) > 128) {
        return shardctl_fail("where", "a name has 1 to 128 bytes");
    }
    fleet_begin(&run.fleet, ctl);
    int status = find(&run);
    fleet_end(&run.fleet);
    return status;
}

const struct shardctl_command shardctl_where = {
    .name = "where",
    .operands = "ID|NAME",
    .options = "name json",
    .help = help_text,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_where,
};
