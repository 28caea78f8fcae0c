/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Following moves until they are over: a line a second for each. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/base/clock.h"

#include "scripts/shardctl_moves.h"

/* How often the moves are read, and how often a line is printed. */
#define LOOK_EVERY_MS 200
#define LINE_EVERY_MS 1000

/* A signal is noticed within this time. */
#define PAUSE_MS 50

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

void follow_begin(struct follow *follow, const struct shardctl *ctl)
{
    const struct sigaction action = {.sa_handler = on_signal};

    *follow = (struct follow){.ctl = ctl};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN); // NOLINT(cert-err33-c)
}

void follow_end(struct follow *follow)
{
    free(follow->items);
    follow->items = NULL;
}

bool follow_add(struct follow *follow, const char *shard, uint64_t move_id, uint32_t slot)
{
    struct followed *items =
        realloc(follow->items, (follow->n + 1) * sizeof *follow->items);

    if (items == NULL) {
        (void)shardctl_fail("moves", "out of memory");
        return false;
    }
    items[follow->n] = (struct followed){.move_id = move_id, .slot = slot};
    (void)snprintf(items[follow->n].shard, sizeof items->shard, "%s", shard);
    follow->items = items;
    follow->n++;
    follow->n_left++;
    return true;
}

static struct followed *find(const struct follow *follow, const char *shard,
                             uint64_t move_id)
{
    for (size_t i = 0; i < follow->n; i++) {
        if (follow->items[i].move_id == move_id &&
            strcmp(follow->items[i].shard, shard) == 0) {
            return &follow->items[i];
        }
    }
    return NULL;
}

/* ---- What is printed ---- */

static void print_json(json_t *object)
{
    if (object != NULL && json_dumpf(object, stdout, 0) == 0) {
        (void)putchar('\n');
    }
    json_decref(object);
}

static void print_row(const struct follow *follow, const struct move_row *row)
{
    char line[MOVE_LINE];

    if (follow->ctl->options.is_json) {
        print_json(move_json(row));
    } else {
        (void)puts(move_line(row, line));
    }
}

void follow_say(const struct follow *follow, const char *name, const char *text)
{
    if (follow->ctl->options.is_json) {
        print_json(json_pack("{s:s}", name, text));
    } else {
        (void)puts(text);
    }
    (void)fflush(stdout);
}

/* ---- A look ---- */

/* Did ROW, which is over, end as asked for? */
static bool is_good_end(const struct follow *follow, const struct move_row *row)
{
    const bool is_called_off =
        strcmp(row->wish, "cancel") == 0 || strcmp(row->wish, "rollback") == 0;

    return row->phase == PHASE_DONE || row->phase == PHASE_KEEPING ||
           (row->phase == PHASE_UNDONE && is_called_off && follow->is_watch);
}

static void note_row(struct follow *follow, struct followed *item,
                     const struct move_row *row)
{
    item->is_over = move_is_over(row) || move_is_kept(row);
    if (item->is_over) {
        follow->n_left--;
        item->is_failed = !is_good_end(follow, row);
        follow->n_failed += item->is_failed;
    }
}

/* ---- What is in the way ---- */

/* Why the move of ROW has not begun or does not go on; NULL: nothing is known to be in
 * its way. */
static const char *obstacle_of(const struct move_row *row, bool has_mover)
{
    const int64_t waits_ms = move_waits_ms(row);

    if (row->last_error[0] != '\0' && (row->phase == PHASE_QUEUED || waits_ms > 0)) {
        return row->last_error;
    }
    return waits_ms > 0 && !has_mover
               ? "no mover takes it; is one running? See `shardctl mover --help`"
               : NULL;
}

static bool is_told(const struct follow *follow, const char *obstacle)
{
    for (size_t i = 0; i < follow->n; i++) {
        if (strcmp(follow->items[i].obstacle, obstacle) == 0) {
            return true;
        }
    }
    return false;
}

/* Note what is in the way of ITEM. True: nothing else had it in its way until now. */
static bool note_obstacle(struct follow *follow, struct followed *item,
                          const struct move_row *row, bool has_mover)
{
    const char *obstacle = obstacle_of(row, has_mover);
    char text[sizeof item->obstacle];

    if (obstacle == NULL) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%s", obstacle);
    const bool is_new = !is_told(follow, text);
    memcpy(item->obstacle, text, sizeof text);
    return is_new;
}

/* Print one line for ITEM and all others that the same is in the way of. */
static void print_obstacle(const struct follow *follow, const struct followed *item)
{
    size_t n = 0;
    char others[48] = "";

    for (size_t i = 0; i < follow->n; i++) {
        n += strcmp(follow->items[i].obstacle, item->obstacle) == 0;
    }
    if (n > 1) {
        (void)snprintf(others, sizeof others, " and %zu more", n - 1);
    }
    (void)fprintf(stderr, "shardctl: slot %u%s: %s\n", item->slot, others,
                  item->obstacle);
}

/* A line for each obstacle that was not there before, not for each move. */
static void print_obstacles(struct follow *follow, const struct moves *moves)
{
    const bool has_mover = moves_have_mover(moves);
    size_t n_new = 0;

    for (size_t i = 0; i < moves->n; i++) {
        const struct move_row *row = &moves->rows[i];
        struct followed *item =
            find(follow, fleet_shard(&moves->fleet, row->shard), row->move_id);
        if (item != NULL && !item->is_over) {
            item->is_first = note_obstacle(follow, item, row, has_mover);
            n_new += item->is_first;
        }
    }
    for (size_t i = 0; n_new > 0 && i < follow->n; i++) {
        if (follow->items[i].is_first) {
            follow->items[i].is_first = false;
            print_obstacle(follow, &follow->items[i]);
        }
    }
}

/* Print its line, if it is due. */
static void print_due(const struct follow *follow, struct followed *item,
                      const struct move_row *row)
{
    const int64_t now_ms = clock_mono_ms();

    if (item->is_over || now_ms >= item->due_ms) {
        /* Reading takes a little time; lines stay a second apart. */
        item->due_ms = item->due_ms + LINE_EVERY_MS > now_ms
                           ? item->due_ms + LINE_EVERY_MS
                           : now_ms + LINE_EVERY_MS;
        print_row(follow, row);
    }
}

/* A request that is no longer found ended long ago: move_status keeps the last 50. */
static void note_lost(struct follow *follow, const struct moves *moves)
{
    for (size_t i = 0; i < follow->n; i++) {
        struct followed *item = &follow->items[i];
        bool is_found = item->is_over;
        for (size_t k = 0; k < moves->n && !is_found; k++) {
            is_found = moves->rows[k].move_id == item->move_id &&
                       strcmp(fleet_shard(&moves->fleet, moves->rows[k].shard),
                              item->shard) == 0;
        }
        if (!is_found && moves->fleet.n_silent == 0) {
            (void)fprintf(stderr,
                          "shardctl: slot %u: its move is over; `shardctl status` says "
                          "where the slot is\n",
                          item->slot);
            item->is_over = true;
            follow->n_left--;
        }
    }
}

static void look(struct follow *follow)
{
    struct moves moves;
    const bool is_read = moves_read(&moves, follow->ctl, follow->is_silent);

    for (size_t i = 0; is_read && i < moves.n; i++) {
        const struct move_row *row = &moves.rows[i];
        struct followed *item =
            find(follow, fleet_shard(&moves.fleet, row->shard), row->move_id);
        if (item != NULL && !item->is_over) {
            note_row(follow, item, row);
            print_due(follow, item, row);
        }
    }
    if (is_read) {
        print_obstacles(follow, &moves);
        note_lost(follow, &moves);
    }
    follow->is_silent = !is_read || moves.fleet.n_silent > 0; /* print it once */
    moves_end(&moves);
}

/* False: a signal came. */
static bool sleep_ms(int64_t ms)
{
    const int64_t until_ms = clock_mono_ms() + ms;
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};

    while (is_stopped == 0 && clock_mono_ms() < until_ms) {
        nanosleep(&pause, NULL);
    }
    return is_stopped == 0;
}

bool follow_step(struct follow *follow)
{
    if (is_stopped != 0) {
        return false;
    }
    look(follow);
    if (fflush(stdout) != 0) {
        return false;
    }
    return follow->n_left == 0 || sleep_ms(LOOK_EVERY_MS);
}

int follow_end_status(const struct follow *follow)
{
    if (follow->n_left > 0) {
        (void)fprintf(stderr,
                      "shardctl: nobody waits any more; %zu %s on without. `shardctl "
                      "watch` shows it, `shardctl cancel SLOT` calls it off\n",
                      follow->n_left, follow->n_left == 1 ? "move goes" : "moves go");
        return 1;
    }
    return follow->n_failed > 0 ? 1 : 0;
}

int follow_all(struct follow *follow)
{
    bool good = true;

    while (follow->n_left > 0 && good) {
        good = follow_step(follow);
    }
    return follow_end_status(follow);
}
