/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl audit: the auditor of shard/audit.h over all shards, with a checkpoint. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/audit.h"
#include "shard/id.h"
#include "shard/router.h"

#include "server/config/topology.h"

#include "scripts/shardctl.h"

static const char help_text[] =
    "audit: compare every counter with its rows, and both halves of every like, follow,\n"
    "comment and message, over all owners of all shards. Reads only; may run while the\n"
    "service does. One line on standard output per difference, progress on standard "
    "error.\n"
    "\n"
    "  --shard=NAME          check only the owners of this shard; their other halves "
    "are\n"
    "                        looked for on all shards\n"
    "  --checkpoint=FILE     keep the progress there; if FILE exists, go on from there.\n"
    "                        Removed at the end\n"
    "  --json                differences as JSON objects, one per line\n"
    "\n"
    "What a line means:\n"
    "\n"
    "  shard1 slot 17 owners 139264 - : follow_count is 3, its rows are 2\n"
    "      A counter of this user is wrong. CALL user_audit(id) shows more, CALL\n"
    "      user_repair(id) corrects it; both as doushard_admin on this shard.\n"
    "  shard1 slot 17 follow 139264 -> 147456 : the second half is missing\n"
    "      The row is on shard1; its counterpart in the slot of 147456 is missing or\n"
    "      different, and nothing waits in the outbox. Owner and other of follow, "
    "follower,\n"
    "      favorite, sent and received are its user and the other party; of liker and\n"
    "      comment, the video and the user; of commented, the user and the video.\n"
    "\n"
    "Halves that wait in the outbox are not differences: CALL outbox_status() counts "
    "them,\n"
    "parked ones included.\n"
    "\n"
    "Exit status: 0 no difference; 1 differences; 2 misuse, or a shard could not be "
    "read:\n"
    "with --checkpoint the same command goes on where it stopped.\n";

/* One run of the auditor. */
struct run {
    const struct shardctl *ctl;
    size_t shard; /* index in the topology */
    struct audit_place place;
    uint64_t n_rows;
    uint64_t n_differences;
    int64_t begin_ms;
    int64_t reported_ms;
    double begun_at; /* the share done by an earlier run */
};

/* ---- The checkpoint ---- */

/* Replace the file atomically by one line. */
static bool checkpoint_write(const struct run *run)
{
    char name[4096];
    const struct audit_place *place = &run->place;

    if (run->ctl->options.checkpoint == NULL) {
        return true;
    }
    if (snprintf(name, sizeof name, "%s.new", run->ctl->options.checkpoint) >=
        (int)sizeof name) {
        return false;
    }
    FILE *file = fopen(name, "w");
    if (file == NULL) {
        return false;
    }
    bool good = fprintf(file,
                        "doushard-audit 1 %s %s %" PRIu32 " %" PRIu64 " %" PRIu64
                        " %" PRIu64 " rows %" PRIu64 " differences %" PRIu64 "\n",
                        run->ctl->topology->servers[run->shard].name,
                        audit_part_name(place->part), place->slot, place->owner,
                        place->other, place->seq, run->n_rows, run->n_differences) > 0;
    good = fclose(file) == 0 && good;
    return good && rename(name, run->ctl->options.checkpoint) == 0;
}

static size_t shard_named(const struct topology *topology, const char *name)
{
    size_t i = 0;

    while (i < topology->n_servers && strcmp(topology->servers[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Go on from the checkpoint, if there is one. False: it is invalid. */
static bool checkpoint_read(struct run *run)
{
    char shard[32];
    char part[32];
    struct audit_place *place = &run->place;
    FILE *file = run->ctl->options.checkpoint == NULL
                     ? NULL
                     : fopen(run->ctl->options.checkpoint, "r");

    if (file == NULL) {
        return run->ctl->options.checkpoint == NULL || errno == ENOENT;
    }
    // NOLINTNEXTLINE(cert-err34-c): a number too large only begins somewhere else
    int n = fscanf(file,
                   "doushard-audit 1 %31s %31s %" SCNu32 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " rows %" SCNu64 " differences %" SCNu64,
                   shard, part, &place->slot, &place->owner, &place->other, &place->seq,
                   &run->n_rows, &run->n_differences);
    (void)fclose(file);
    if (n != 8) {
        return false;
    }
    place->part = audit_part_from(part);
    run->shard = shard_named(run->ctl->topology, shard);
    return place->part < AUDIT_PART__COUNT &&
           run->shard < run->ctl->topology->n_servers &&
           (run->ctl->options.shard == NULL ||
            strcmp(run->ctl->options.shard, shard) == 0);
}

/* ---- What is printed ---- */

static void print_difference(void *context, const struct audit_difference *d)
{
    struct run *run = context;
    const char *shard = run->ctl->topology->servers[run->shard].name;
    char other[24] = "-";

    run->n_differences++;
    if (run->ctl->options.is_json) {
        printf("{\"shard\":\"%s\",\"slot\":%" PRIu32
               ",\"table\":\"%s\",\"owner\":%" PRIu64 ",\"other\":%" PRIu64
               ",\"seq\":%" PRIu64 ",\"problem\":\"%s\"}\n",
               shard, d->slot, audit_part_name(d->part), d->owner, d->other, d->seq,
               d->problem);
        return;
    }
    if (d->other == 0) {
        printf("%s slot %" PRIu32 " %s %" PRIu64 " - : %s\n", shard, d->slot,
               audit_part_name(d->part), d->owner, d->problem);
        return;
    }
    if (d->seq != 0) {
        (void)snprintf(other, sizeof other, " #%" PRIu64, d->seq);
    }
    printf("%s slot %" PRIu32 " %s %" PRIu64 " -> %" PRIu64 "%s : %s\n", shard, d->slot,
           audit_part_name(d->part), d->owner, d->other, d->seq != 0 ? other : "",
           d->problem);
}

/* How much is done, 0 to 1, as if all slots, and all parts, were equally full. */
static double share_done(const struct run *run)
{
    double slot = (double)run->place.slot / SHARED_SLOTS;
    double part = (double)run->place.part + (slot < 1 ? slot : 1);
    double n =
        run->ctl->options.shard != NULL ? 1 : (double)run->ctl->topology->n_servers;
    double shard = run->ctl->options.shard != NULL ? 0 : (double)run->shard;

    return (shard + part / AUDIT_PART__COUNT) / n;
}

static void report_progress(struct run *run)
{
    int64_t now_ms = clock_mono_ms();
    double done = share_done(run);
    double new_done = done - run->begun_at;

    if (now_ms - run->reported_ms < SHARDCTL_REPORT_EVERY_MS) {
        return;
    }
    run->reported_ms = now_ms;
    double passed_s = (double)(now_ms - run->begin_ms) / 1000;
    double left_s = new_done > 0.001 ? passed_s * (1 - done) / new_done : 0;
    (void)fprintf(stderr,
                  "%5.1f %%  %s %s  %" PRIu64 " rows, %" PRIu64
                  " differences, %.0f s, about %.0f s left\n",
                  100 * done, run->ctl->topology->servers[run->shard].name,
                  audit_part_name(run->place.part), run->n_rows, run->n_differences,
                  passed_s, left_s);
}

/* ---- The run ---- */

/* Check one page, again while shards do not answer. */
static enum outcome check_page(struct run *run, struct errmsg *err)
{
    struct audit audit = {
        .router = run->ctl->router, .found = print_difference, .context = run};
    enum outcome outcome = OUTCOME_OK;
    size_t n_rows = 0;

    for (unsigned i = 0; i < SHARDCTL_TRIES_MAX; i++) {
        struct arena arena;
        struct call call;
        arena_init(&arena, SHARDCTL_PAGE_BYTES);
        call_init(&call, &arena, clock_mono_ms() + SHARDCTL_CALL_MS);
        outcome = audit_page(&audit, &call, run->shard, &run->place, &n_rows);
        (void)errmsg_set(err, "%s: %s", outcome_name(outcome), call.detail);
        arena_release(&arena);
        if (outcome == OUTCOME_OK) {
            run->n_rows += n_rows;
            return outcome;
        }
        (void)router_discover(run->ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    }
    return outcome;
}

/* Check the shard from run->place on. 0: done; else the exit status. */
static int check_shard(struct run *run)
{
    struct errmsg err;

    while (run->place.part < AUDIT_PART__COUNT) {
        if (check_page(run, &err) != OUTCOME_OK) {
            return shardctl_fail(run->ctl->topology->servers[run->shard].name, err.text);
        }
        if (fflush(stdout) != 0) {
            return shardctl_fail("standard output", shardctl_error_text());
        }
        if (run->place.part == AUDIT_PART__COUNT) {
            break;
        }
        report_progress(run);
        if (!checkpoint_write(run)) {
            return shardctl_fail(run->ctl->options.checkpoint, shardctl_error_text());
        }
    }
    return 0;
}

static int check_all(struct run *run)
{
    size_t end =
        run->ctl->options.shard != NULL ? run->shard + 1 : run->ctl->topology->n_servers;
    int status = 0;

    run->begin_ms = run->reported_ms = clock_mono_ms();
    run->begun_at = share_done(run);
    while (status == 0 && run->shard < end) {
        status = check_shard(run);
        if (status == 0) {
            run->place = (struct audit_place){.part = AUDIT_OWNERS};
            run->shard++;
        }
    }
    if (status != 0) {
        return status;
    }
    if (run->ctl->options.checkpoint != NULL) {
        (void)unlink(run->ctl->options.checkpoint);
    }
    (void)fprintf(stderr, "%" PRIu64 " rows checked, %" PRIu64 " differences\n",
                  run->n_rows, run->n_differences);
    return run->n_differences == 0 ? 0 : 1;
}

static int run_audit(const struct shardctl *ctl)
{
    struct run run = {.ctl = ctl};

    if (ctl->options.shard != NULL) {
        run.shard = shard_named(ctl->topology, ctl->options.shard);
        if (run.shard == ctl->topology->n_servers) {
            return shardctl_fail(ctl->options.shard, "the topology names no such shard");
        }
    }
    if (!checkpoint_read(&run)) {
        return shardctl_fail(ctl->options.checkpoint,
                             "this is not a checkpoint of this audit");
    }
    return shardctl_discover(ctl, "audit") ? check_all(&run) : 2;
}

const struct shardctl_command shardctl_audit = {
    .name = "audit",
    .operands = "",
    .options = "shard checkpoint json",
    .help = help_text,
    .user = "doushard_monitor",
    .n_operands_min = 0,
    .n_operands_max = 0,
    .has_router = true,
    .run = run_audit,
};
