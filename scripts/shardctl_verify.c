/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl verify: compare a restored shard with all others, repair what differs, and
 * admit it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

#include "shard/audit.h"
#include "shard/mend.h"
#include "shard/ops.h"
#include "shard/router.h"
#include "shard/router_scatter.h"
#include "shard/slotset.h"

#include "server/config/topology.h"

#include "scripts/shardctl_homes.h"

static const char help_text[] =
    "verify: compare both halves of everything that a shard shares with the others, "
    "repair\n"
    "what differs, and compare again; when nothing differs, admit the shard if it is\n"
    "refused. For a shard that was restored from a backup (scripts/restore-shard.sh) or "
    "has\n"
    "taken a slot with old rows (CALL slot_adopt): what differs is treated as lost on "
    "this\n"
    "shard. May run while all others serve, and may be interrupted and run again.\n"
    "\n"
    "  --shard=NAME          the shard\n"
    "  --dry-run             only say what differs; one line per difference with --json\n"
    "  --yes                 do not ask\n"
    "  --json                what was found and done as JSON objects, one per line\n"
    "\n"
    "How differences are repaired:\n"
    "\n"
    "  brought back     likes and follows that this shard has lost, restored from their\n"
    "                   second halves\n"
    "  made again       second halves that it has lost: they wait in the outbox of the\n"
    "                   first half's shard until this shard is admitted\n"
    "  given up         what other shards have of comments, likes and follows that are "
    "lost\n"
    "                   here with the comment or the user\n"
    "  deleted again    comments whose deletion was lost\n"
    "  users lost       users of whom others have messages: they are entered as erased\n"
    "  chats aligned    what either mailbox has is in both afterwards, each message "
    "once,\n"
    "                   in order\n"
    "  own slots        users who were promoted after the backup and are on another "
    "shard\n"
    "                   are found there again; their old rows, which --dry-run does not\n"
    "                   count, are removed\n"
    "\n"
    "Slots that arrived at the shard after the backup have no rows there. They stay "
    "refused\n"
    "and are named: see CALL slot_adopt in config/README.md.\n"
    "\n"
    "Exit status: 0 nothing differs (any more), and the shard is admitted if it was "
    "refused;\n"
    "1 differences; 2 misuse, or a shard could not be read.\n";

/* How often to repair and compare again at most. */
#define PASSES_MAX 5

/* Users and chats are repaired once each. */
struct pair {
    uint64_t owner, other;
};

struct pairs {
    struct pair *list; /* owned */
    size_t n, size;
};

struct run {
    const struct shardctl *ctl;
    size_t focus; /* index of the shard */
    size_t shard; /* whose rows are read */
    struct audit_place place;
    bool is_mending;
    bool is_silent;             /* differences are not printed */
    struct mend mends[OPS_MAX]; /* of one page */
    size_t n_mends;
    bool is_full; /* out of memory for one */
    struct pairs users, chats;
    struct slotset lost;             /* slots of which the shard has no rows */
    uint64_t found[MEND__COUNT + 1]; /* in this pass; the last: cannot be repaired */
    uint64_t n_rows, n_skipped;
    int64_t begin_ms, reported_ms;
};

static const char *const words[MEND__COUNT + 1] = {
    [MEND_RECOVER] = "brought back",  [MEND_AGAIN] = "made again",
    [MEND_FORGET] = "given up",       [MEND_DELETE] = "deleted again",
    [MEND_USER] = "users lost",       [MEND_CHAT] = "chats aligned",
    [MEND_NONE] = "not to be mended",
};

static const char *const keys[MEND__COUNT + 1] = {
    [MEND_RECOVER] = "brought_back", [MEND_AGAIN] = "made_again",
    [MEND_FORGET] = "given_up",      [MEND_DELETE] = "deleted_again",
    [MEND_USER] = "users_lost",      [MEND_CHAT] = "chats",
    [MEND_NONE] = "not_mended",
};

static const char *name_of(const struct run *run, size_t shard)
{
    return run->ctl->topology->servers[shard].name;
}

/* ---- What is found ---- */

/* Add OWNER, OTHER unless they are there. False: they are, or out of memory. */
static bool pairs_add(struct run *run, struct pairs *pairs, uint64_t owner,
                      uint64_t other)
{
    for (size_t i = pairs->n; i-- > 0;) {
        if (pairs->list[i].owner == owner && pairs->list[i].other == other) {
            return false;
        }
    }
    if (pairs->n == pairs->size) {
        size_t size = pairs->size == 0 ? 64 : 2 * pairs->size;
        struct pair *list = realloc(pairs->list, size * sizeof *list);
        if (list == NULL) {
            run->is_full = true;
            return false;
        }
        pairs->list = list;
        pairs->size = size;
    }
    pairs->list[pairs->n++] = (struct pair){owner, other};
    return true;
}

/* Is this the first time in this pass? */
static bool is_new(struct run *run, const struct mend *mend)
{
    if (mend->kind == MEND_USER) {
        return pairs_add(run, &run->users, mend->owner, 0);
    }
    return mend->kind != MEND_CHAT ||
           pairs_add(run, &run->chats, mend->owner, mend->other);
}

static void print_difference(const struct run *run, const struct audit_difference *d,
                             const struct mend *mend)
{
    if (run->ctl->options.is_json) {
        printf("{\"shard\":\"%s\",\"slot\":%" PRIu32
               ",\"table\":\"%s\",\"owner\":%" PRIu64 ",\"other\":%" PRIu64
               ",\"seq\":%" PRIu64 ",\"problem\":\"%s\",\"mend\":\"%s\"}\n",
               name_of(run, run->shard), d->slot, audit_part_name(d->part), d->owner,
               d->other, d->seq, d->problem, keys[mend->kind]);
    } else if (mend->kind == MEND_NONE) {
        printf("[ERR] %s slot %" PRIu32 " %s %" PRIu64 " -> %" PRIu64 " #%" PRIu64
               " : %s\n",
               name_of(run, run->shard), d->slot, audit_part_name(d->part), d->owner,
               d->other, d->seq, d->problem);
    }
}

static void note(void *context, const struct audit_difference *d)
{
    struct run *run = context;
    struct mend mend = mend_for(run->ctl->router, run->focus, d);

    if (!run->is_silent) {
        print_difference(run, d, &mend);
    }
    if (!is_new(run, &mend)) {
        return;
    }
    run->found[mend.kind]++;
    if (run->is_mending && mend.kind != MEND_NONE) {
        CHECK(run->n_mends < OPS_MAX); /* a page has no more rows than this, each reported
                                        * once */
        run->mends[run->n_mends++] = mend;
    }
}

static void report_progress(struct run *run)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - run->reported_ms >= SHARDCTL_REPORT_EVERY_MS) {
        run->reported_ms = now_ms;
        (void)fprintf(stderr, "%s %s: %" PRIu64 " rows, %.0f s\n",
                      name_of(run, run->shard), audit_part_name(run->place.part),
                      run->n_rows, (double)(now_ms - run->begin_ms) / 1000);
    }
}

/* ---- One pass over all shards ---- */

/* Make the repairs of a page, those of one kind and table together. */
static enum outcome mend_page(struct run *run, struct call *call)
{
    enum outcome outcome = OUTCOME_OK;

    for (size_t i = 0, n; i < run->n_mends && outcome == OUTCOME_OK; i += n) {
        const struct mend *first = &run->mends[i];
        for (n = 1; i + n < run->n_mends && first->kind != MEND_CHAT &&
                    first[n].kind == first->kind && first[n].part == first->part;) {
            n++;
        }
        outcome = mend_do(run->ctl->router, call, first, n);
    }
    return outcome;
}

/* Compare and repair one page, again while shards do not answer. */
static enum outcome check_page(struct run *run, struct errmsg *err)
{
    struct audit audit = {.router = run->ctl->router,
                          .found = note,
                          .context = run,
                          .has_focus = true,
                          .focus = run->focus,
                          .skip = &run->lost};
    enum outcome outcome = OUTCOME_OK;
    size_t n_rows = 0;

    for (unsigned i = 0; i < SHARDCTL_TRIES_MAX; i++) {
        struct arena arena;
        struct call call;
        struct audit_place place = run->place;
        audit.n_skipped = 0;
        run->n_mends = 0;
        arena_init(&arena, SHARDCTL_PAGE_BYTES);
        call_init(&call, &arena, clock_mono_ms() + SHARDCTL_CALL_MS);
        outcome = audit_page(&audit, &call, run->shard, &place, &n_rows);
        if (outcome == OUTCOME_OK) {
            run->place = place; /* what is not repaired is found by the next pass */
            run->n_rows += n_rows;
            run->n_skipped += audit.n_skipped;
            outcome = mend_page(run, &call);
        } else {
            run->place.page_rows = place.page_rows;
        }
        (void)errmsg_set(err, "%s: %s", outcome_name(outcome), call.detail);
        arena_release(&arena);
        if (outcome == OUTCOME_OK || run->place.part == AUDIT_PART__COUNT) {
            break;
        }
        (void)router_discover(run->ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    }
    return outcome;
}

/* One pass over everything. 0: done; else the exit status. */
static int pass(struct run *run)
{
    struct errmsg err;

    memset(run->found, 0, sizeof run->found);
    run->n_rows = run->n_skipped = 0;
    run->users.n = run->chats.n = 0;
    for (run->shard = 0; run->shard < run->ctl->topology->n_servers; run->shard++) {
        /* Counters of other shards do not matter here. */
        run->place = (struct audit_place){
            .part = run->shard == run->focus ? AUDIT_OWNERS : AUDIT_FOLLOW};
        while (run->place.part < AUDIT_PART__COUNT) {
            if (check_page(run, &err) != OUTCOME_OK) {
                return shardctl_fail(name_of(run, run->shard), err.text);
            }
            if (run->is_full) {
                return shardctl_fail("verify", "out of memory");
            }
            if (run->place.part < AUDIT_PART__COUNT) {
                report_progress(run);
            }
        }
    }
    return fflush(stdout) == 0 ? 0
                               : shardctl_fail("standard output", shardctl_error_text());
}

static uint64_t n_found(const struct run *run)
{
    uint64_t n = 0;

    for (unsigned kind = 0; kind <= MEND__COUNT; kind++) {
        n += run->found[kind];
    }
    return n;
}

/* ---- The shard itself ---- */

/* CALL a PROC_SHARD procedure there. NULL: the reason is printed on standard error. The
 * answer lives in CALL's arena. */
static const struct dbresult *ask(const struct run *run, struct call *call,
                                  enum proc_id proc, const struct dbarg *args)
{
    struct router_share *shares =
        arena_calloc(call->arena, run->ctl->topology->n_servers, sizeof *shares);

    if (shares == NULL) {
        (void)shardctl_fail("verify", "out of memory");
        return NULL;
    }
    shares[run->focus].wanted = true;
    router_scatter(run->ctl->router, call, proc, args, shares,
                   router_n_shards(run->ctl->router));
    if (shares[run->focus].outcome != OUTCOME_OK || shares[run->focus].results == NULL) {
        (void)shardctl_fail(name_of(run, run->focus), call->detail);
        return NULL;
    }
    return shares[run->focus].results;
}

/* Find the slots of which it has no rows: the other shards say that it has them, and it
 * refuses them. */
static void read_lost(struct run *run, const struct dbresult *map)
{
    for (size_t i = 0; i < map->n_rows; i++) {
        const struct dbvalue *slot = dbresult_value(map, i, "slot");
        const struct dbvalue *server = dbresult_value(map, i, "server");
        const struct dbvalue *answer = dbresult_value(map, i, "answer");
        const struct dbvalue *claim = dbresult_value(map, i, "claim_epoch");
        if (slot != NULL && server != NULL && answer != NULL && claim != NULL &&
            claim->number == 0 && strcmp(answer->text, "notready") == 0 &&
            strcmp(server->text, name_of(run, run->focus)) == 0) {
            slotset_add(&run->lost, (uint32_t)slot->number);
        }
    }
}

struct shard_is {
    bool is_refused;
    bool is_settled;
};

static bool read_shard(struct run *run, struct shard_is *is)
{
    struct own_call own;

    own_call_begin(&own, SHARDCTL_PAGE_BYTES, SHARDCTL_CALL_MS);
    const struct dbresult *status = ask(run, &own.call, PROC_SHARD_STATUS, NULL);
    const struct dbresult *map =
        status == NULL ? NULL : ask(run, &own.call, PROC_SLOT_MAP, NULL);
    const struct dbvalue *refused = dbresult_value(status, 0, "refused_at");
    const struct dbvalue *settled = dbresult_value(status, 0, "settled_at");
    bool good = map != NULL && refused != NULL && settled != NULL;
    if (good) {
        is->is_refused = refused->number != 0;
        is->is_settled = settled->number != 0;
        read_lost(run, map);
    }
    own_call_end(&own);
    return good;
}

static bool admit(struct run *run)
{
    const char *name = name_of(run, run->focus);
    const struct dbarg arg = dbarg_text(name, strlen(name));
    struct own_call own;

    own_call_begin(&own, SHARDCTL_PAGE_BYTES, SHARDCTL_CALL_MS);
    bool good = ask(run, &own.call, PROC_SHARD_ADMIT, &arg) != NULL;
    own_call_end(&own);
    return good;
}

/* ---- Output ---- */

static void print_lost(const struct run *run)
{
    uint32_t first = slotset_next(&run->lost, NULL, 0);
    unsigned n = 0;

    for (uint32_t slot = first; slot < SLOTS_MAX;
         slot = slotset_next(&run->lost, NULL, slot + 1)) {
        n++;
    }
    if (n > 0 && !run->ctl->options.is_json) {
        printf("[!] %u slots (the first: %" PRIu32
               ") arrived at %s after the backup: no rows, refused until CALL "
               "slot_adopt; %" PRIu64 " rows elsewhere are about them\n",
               n, first, name_of(run, run->focus), run->n_skipped);
    }
}

/* Print what a pass found; SAID says what happens to it. */
static void print_found(const struct run *run, const uint64_t *found, const char *said)
{
    if (run->ctl->options.is_json) {
        printf("{\"shard\":\"%s\",\"rows\":%" PRIu64 ",\"skipped\":%" PRIu64,
               name_of(run, run->focus), run->n_rows, run->n_skipped);
        for (unsigned kind = 0; kind <= MEND__COUNT; kind++) {
            printf(",\"%s\":%" PRIu64, keys[kind], found[kind]);
        }
        printf(",\"%s\":true}\n", said);
        return;
    }
    printf("%s: %" PRIu64 " rows compared, %s\n", name_of(run, run->focus), run->n_rows,
           said);
    for (unsigned kind = 0; kind <= MEND__COUNT; kind++) {
        if (found[kind] > 0) {
            printf("  %-16s  %" PRIu64 "\n", words[kind], found[kind]);
        }
    }
}

/* Ask for confirmation. */
static bool is_wanted(const struct run *run, bool is_refused)
{
    char line[16] = "";

    if (run->ctl->options.is_yes) {
        return true;
    }
    printf("mend this%s%s? [y/N] ", is_refused ? " and admit " : "",
           is_refused ? name_of(run, run->focus) : "");
    return fflush(stdout) == 0 && fgets(line, sizeof line, stdin) != NULL &&
           (line[0] == 'y' || line[0] == 'Y');
}

/* ---- The run ---- */

/* Compare only. */
static int look(struct run *run)
{
    int status = pass(run);

    if (status != 0) {
        return status;
    }
    print_found(run, run->found, "found");
    print_lost(run);
    return n_found(run) == 0 ? 0 : 1;
}

/* Repair until nothing differs; DONE counts what was done. */
static int mend(struct run *run, uint64_t done[MEND__COUNT + 1])
{
    run->is_mending = true;
    run->is_silent = true;
    for (unsigned i = 0; i < PASSES_MAX; i++) {
        int status = pass(run);
        if (status != 0) {
            return status;
        }
        for (unsigned kind = 0; kind < MEND__COUNT; kind++) {
            done[kind] += run->found[kind];
        }
        if (n_found(run) == 0) {
            return 0;
        }
        if (n_found(run) == run->found[MEND_NONE]) {
            break;
        }
    }
    run->is_mending = false; /* once more, to print what still differs */
    run->is_silent = false;
    int status = pass(run);
    done[MEND_NONE] = n_found(run);
    return status != 0 ? status : done[MEND_NONE] == 0 ? 0 : 1;
}

/* Print what was done about users with slots of their own. */
static void print_homes(const struct run *run, const struct homes *homes)
{
    if (homes->n_recovered + homes->n_removed + homes->n_cleaned == 0) {
        return;
    }
    printf(run->ctl->options.is_json
               ? "{\"homes_recovered\":%" PRIu64 ",\"homes_removed\":%" PRIu64
                 ",\"rows_removed\":%" PRIu64 "}\n"
               : "own slots: %" PRIu64 " forwarding entries brought back, %" PRIu64
                 " removed, %" PRIu64 " old rows removed\n",
           homes->n_recovered, homes->n_removed, homes->n_cleaned);
}

/* The same before anything is done. STATUS is that of the rest; returns 1 if something
 * differs here. */
static int look_at_homes(const struct run *run, int status)
{
    struct homes homes;

    if (status == 2 || !homes_look(run->ctl, run->focus, &homes)) {
        return 2;
    }
    if (homes.n_recovered + homes.n_removed == 0) {
        return status;
    }
    printf(run->ctl->options.is_json
               ? "{\"homes_missing\":%" PRIu64 ",\"homes_stale\":%" PRIu64 "}\n"
               : "own slots: %" PRIu64 " forwarding entries are missing, %" PRIu64
                 " lead to where nobody is\n",
           homes.n_recovered, homes.n_removed);
    return 1;
}

static int mend_and_admit(struct run *run, bool is_refused)
{
    uint64_t done[MEND__COUNT + 1] = {0};
    struct homes homes;

    /* On a shard that serves they are right, or a move is about to make them so.
     */
    if (is_refused) {
        if (!homes_settle(run->ctl, run->focus, &homes)) {
            return 2;
        }
        print_homes(run, &homes);
    }
    int status = mend(run, done);
    if (status == 2) {
        return status;
    }
    if (status == 0 && is_refused && !admit(run)) {
        return 2;
    }
    print_found(run, done, status == 0 && is_refused ? "admitted" : "mended");
    print_lost(run);
    if (!run->ctl->options.is_json) {
        printf(status == 0 ? "[OK] both halves of everything agree\n"
                           : "[ERR] not admitted; CALL shard_admit takes it as it is\n");
    }
    return status;
}

static int verify(struct run *run)
{
    struct shard_is is;

    if (!read_shard(run, &is)) {
        return 2;
    }
    if (run->ctl->options.is_dry_run) {
        const int status = look(run);
        return is.is_refused ? look_at_homes(run, status) : status;
    }
    if (is.is_refused && !is.is_settled) {
        return shardctl_fail(
            name_of(run, run->focus),
            "its epochs are not raised: run scripts/restore-shard.sh first");
    }
    if (!run->ctl->options.is_yes) {
        int status = look(run);
        if (status == 2 || (status == 0 && !is.is_refused)) {
            return status;
        }
        if (!is_wanted(run, is.is_refused)) {
            return 1;
        }
    }
    return mend_and_admit(run, is.is_refused);
}

static int run_verify(const struct shardctl *ctl)
{
    struct run *run = calloc(1, sizeof *run);
    int status = 2;

    if (run == NULL) {
        return shardctl_fail("verify", "out of memory");
    }
    run->ctl = ctl;
    run->begin_ms = run->reported_ms = clock_mono_ms();
    while (ctl->options.shard != NULL && run->focus < ctl->topology->n_servers &&
           strcmp(name_of(run, run->focus), ctl->options.shard) != 0) {
        run->focus++;
    }
    if (ctl->options.shard == NULL) {
        (void)shardctl_fail("verify", "--shard=NAME is missing");
    } else if (run->focus == ctl->topology->n_servers) {
        (void)shardctl_fail(ctl->options.shard, "the topology names no such shard");
    } else if (shardctl_discover(ctl, "verify")) {
        status = verify(run);
    }
    free(run->users.list);
    free(run->chats.list);
    free(run);
    return status;
}

const struct shardctl_command shardctl_verify = {
    .name = "verify",
    .operands = "",
    .options = "shard dry-run yes json",
    .help = help_text,
    .user = "doushard_admin",
    .n_operands_min = 0,
    .n_operands_max = 0,
    .has_router = true,
    .run = run_verify,
};
