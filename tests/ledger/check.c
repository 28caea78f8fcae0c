/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: order, look-ups, and what can be checked without the
 * history. */
#include "tests/ledger/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

void ledger_violation(struct ledger_report *report, enum ledger_invariant invariant,
                      const char *fmt, ...)
{
    va_list args;

    report->total++;
    if (report->violations[invariant]++ >= report->most || report->out == NULL) {
        return;
    }
    va_start(args, fmt);
    (void)fprintf(report->out, "I%d: ", (int)invariant);
    (void)vfprintf(report->out, fmt, args);
    (void)fputc('\n', report->out);
    va_end(args);
}

/* ---- Order ---- */

static int compare_ops(const void *a, const void *b)
{
    const struct ledger_op *x = a;
    const struct ledger_op *y = b;
    int by = ledger_compare(x->kind, y->kind);

    by = by != 0 ? by : ledger_compare(x->actor, y->actor);
    by = by != 0 ? by : ledger_compare(x->target, y->target);
    return by != 0 ? by
                   : ledger_compare((uint64_t)x->invoked_us, (uint64_t)y->invoked_us);
}

static int compare_names(const void *a, const void *b)
{
    const struct ledger_op *x = *(const struct ledger_op *const *)a;
    const struct ledger_op *y = *(const struct ledger_op *const *)b;
    int by = ledger_compare(x->worker, y->worker);

    return by != 0 ? by : ledger_compare(x->n, y->n);
}

/* An id names a comment only together with its video. */
static int compare_items(const void *a, const void *b)
{
    const struct ledger_op *x = *(const struct ledger_op *const *)a;
    const struct ledger_op *y = *(const struct ledger_op *const *)b;
    int by = ledger_compare(x->target, y->target);

    return by != 0 ? by : ledger_compare(x->item, y->item);
}

static int compare_users(const void *a, const void *b)
{
    return ledger_compare(((const struct ledger_user *)a)->id,
                          ((const struct ledger_user *)b)->id);
}

static int compare_videos(const void *a, const void *b)
{
    return ledger_compare(((const struct ledger_video *)a)->id,
                          ((const struct ledger_video *)b)->id);
}

static int compare_edges(const void *a, const void *b)
{
    const struct ledger_edge *x = a;
    const struct ledger_edge *y = b;
    int by = ledger_compare(x->kind, y->kind);

    by = by != 0 ? by : ledger_compare(x->actor, y->actor);
    by = by != 0 ? by : ledger_compare(x->target, y->target);
    return by != 0 ? by : ledger_compare(x->is_backward, y->is_backward);
}

static int compare_comments(const void *a, const void *b)
{
    const struct ledger_comment *x = a;
    const struct ledger_comment *y = b;
    int by = ledger_compare(x->video, y->video);

    by = by != 0 ? by : ledger_compare(x->id, y->id);
    return by != 0 ? by : ledger_compare(x->is_backward, y->is_backward);
}

static int compare_messages(const void *a, const void *b)
{
    const struct ledger_message *x = a;
    const struct ledger_message *y = b;
    int by = ledger_compare(x->sender, y->sender);

    by = by != 0 ? by : ledger_compare(x->receiver, y->receiver);
    by = by != 0 ? by : ledger_compare(x->seq, y->seq);
    return by != 0 ? by : ledger_compare(x->is_backward, y->is_backward);
}

/* qsort() and bsearch() need an array even for no elements. */
static void sort(void *array, size_t n, size_t size,
                 int (*compare)(const void *, const void *))
{
    if (n > 0) {
        qsort(array, n, size, compare);
    }
}

static void put_in_order(struct ledger_case *c)
{
    struct ledger_history *history = c->history;
    struct ledger_rows *rows = c->rows;

    sort(history->ops, history->n, sizeof *history->ops, compare_ops);
    c->by_name = calloc(history->n + 1, sizeof(void *));
    c->by_item = calloc(history->n + 1, sizeof(void *));
    CHECK(c->by_name != NULL && c->by_item != NULL);
    for (size_t i = 0; i < history->n; i++) {
        c->by_name[i] = &history->ops[i];
        if (history->ops[i].kind == LEDGER_UNCOMMENT) {
            c->by_item[c->n_by_item++] = &history->ops[i];
        }
    }
    sort(c->by_name, history->n, sizeof(void *), compare_names);
    sort(c->by_item, c->n_by_item, sizeof(void *), compare_items);
    sort(rows->users, rows->n_users, sizeof *rows->users, compare_users);
    sort(rows->videos, rows->n_videos, sizeof *rows->videos, compare_videos);
    sort(rows->edges, rows->n_edges, sizeof *rows->edges, compare_edges);
    sort(rows->comments, rows->n_comments, sizeof *rows->comments, compare_comments);
    sort(rows->messages, rows->n_messages, sizeof *rows->messages, compare_messages);
}

/* ---- Look-ups ---- */

const struct ledger_user *ledger_user_of(const struct ledger_case *c, uint64_t id)
{
    const struct ledger_user key = {.id = id};

    return c->rows->n_users == 0 ? NULL
                                 : bsearch(&key, c->rows->users, c->rows->n_users,
                                           sizeof key, compare_users);
}

const struct ledger_video *ledger_video_of(const struct ledger_case *c, uint64_t id)
{
    const struct ledger_video key = {.id = id};

    return c->rows->n_videos == 0 ? NULL
                                  : bsearch(&key, c->rows->videos, c->rows->n_videos,
                                            sizeof key, compare_videos);
}

const struct ledger_op *ledger_op_named(const struct ledger_case *c, uint32_t worker,
                                        uint32_t n)
{
    const struct ledger_op key = {.worker = worker, .n = n};
    const struct ledger_op *pointer = &key;

    if (c->history->n == 0) {
        return NULL;
    }
    const struct ledger_op *const *found =
        bsearch(&pointer, c->by_name, c->history->n, sizeof(void *), compare_names);
    return found == NULL ? NULL : *found;
}

size_t ledger_first_op(const struct ledger_history *history, enum ledger_kind kind,
                       uint64_t actor)
{
    size_t low = 0;
    size_t high = history->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ledger_op *op = &history->ops[middle];
        if (op->kind < kind || (op->kind == kind && op->actor < actor)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- Counters ---- */

/* The numbers of rows of a user or a video. */
struct sums {
    int64_t users[COUNTER__COUNT];
    int64_t works;
    uint64_t edges;    /* requests about edges that may have raised edge_ver */
    int64_t favorites; /* of a video, like comments */
    int64_t comments;
};

static struct sums *user_sums(const struct ledger_case *c, struct sums *sums, uint64_t id)
{
    const struct ledger_user *user = ledger_user_of(c, id);

    return user == NULL ? &sums[c->rows->n_users] : &sums[user - c->rows->users];
}

static struct sums *video_sums(const struct ledger_case *c, struct sums *sums,
                               uint64_t id)
{
    const struct ledger_video *video = ledger_video_of(c, id);

    return video == NULL ? &sums[c->rows->n_videos] : &sums[video - c->rows->videos];
}

static void add_edges(const struct ledger_case *c, struct sums *users,
                      struct sums *videos)
{
    for (size_t i = 0; i < c->rows->n_edges; i++) {
        const struct ledger_edge *edge = &c->rows->edges[i];
        bool is_like = edge->kind == LEDGER_LIKE;
        if (!edge->state) {
            continue;
        }
        if (!edge->is_backward) {
            user_sums(c, users, edge->actor)
                ->users[is_like ? COUNTER_FAVORITE : COUNTER_FOLLOW]++;
        } else if (is_like) {
            video_sums(c, videos, edge->target)->favorites++;
        } else {
            user_sums(c, users, edge->target)->users[COUNTER_FOLLOWER]++;
        }
    }
    for (size_t i = 0; i < c->history->n; i++) {
        const struct ledger_op *op = &c->history->ops[i];
        if (op->kind == LEDGER_LIKE || op->kind == LEDGER_FOLLOW) {
            /* Once more if the target refuses it, now or later, since that is taken
             * back. */
            user_sums(c, users, op->actor)->edges += 2;
        }
        if (op->kind == LEDGER_FOLLOW) {
            user_sums(c, users, op->target)->edges++;
        }
    }
}

static void add_videos(const struct ledger_case *c, struct sums *users,
                       struct sums *videos)
{
    for (size_t i = 0; i < c->rows->n_comments; i++) {
        const struct ledger_comment *comment = &c->rows->comments[i];
        if (!comment->is_backward && comment->state) {
            video_sums(c, videos, comment->video)->comments++;
        }
    }
    for (size_t i = 0; i < c->rows->n_videos; i++) {
        const struct ledger_video *video = &c->rows->videos[i];
        if (video->is_live) {
            user_sums(c, users, video->author)->works++;
            user_sums(c, users, video->author)->users[COUNTER_FAVORITED] +=
                videos[i].favorites;
        }
    }
}

static const char *const counter_names[COUNTER__COUNT] = {
    "follow_count", "follower_count", "favorite_count", "total_favorited"};

static void compare_user(const struct ledger_case *c, const struct ledger_user *user,
                         const struct sums *sums)
{
    for (size_t i = 0; i < COUNTER__COUNT; i++) {
        if (user->counts[i] != sums->users[i]) {
            ledger_violation(c->report, INVARIANT_COUNTERS,
                             "user %" PRIu64 ": %s is %" PRId64 ", its rows are %" PRId64,
                             user->id, counter_names[i], user->counts[i], sums->users[i]);
        }
    }
    if (user->works != sums->works) {
        ledger_violation(c->report, INVARIANT_COUNTERS,
                         "user %" PRIu64 ": work_count is %" PRId64
                         ", its rows are %" PRId64,
                         user->id, user->works, sums->works);
    }
    if (user->edge_ver > sums->edges) {
        ledger_violation(c->report, INVARIANT_TWICE,
                         "user %" PRIu64 ": edge_ver is %" PRIu64 ", but only %" PRIu64
                         " requests could have raised it",
                         user->id, user->edge_ver, sums->edges);
    }
}

void ledger_check_counters(struct ledger_case *c)
{
    /* One more for a row that refers to nobody; another check reports that. */
    struct sums *users = calloc(c->rows->n_users + 1, sizeof *users);
    struct sums *videos = calloc(c->rows->n_videos + 1, sizeof *videos);

    CHECK(users != NULL && videos != NULL);
    add_edges(c, users, videos);
    add_videos(c, users, videos);
    for (size_t i = 0; i < c->rows->n_users; i++) {
        compare_user(c, &c->rows->users[i], &users[i]);
    }
    for (size_t i = 0; i < c->rows->n_videos; i++) {
        const struct ledger_video *video = &c->rows->videos[i];
        if (video->is_live && (video->favorites != videos[i].favorites ||
                               video->comments != videos[i].comments)) {
            ledger_violation(c->report, INVARIANT_COUNTERS,
                             "video %" PRIu64 ": likes %" PRId64 ", rows %" PRId64
                             "; comments %" PRId64 ", rows %" PRId64,
                             video->id, video->favorites, videos[i].favorites,
                             video->comments, videos[i].comments);
        }
    }
    free(users);
    free(videos);
}

/* ---- All of it ---- */

/* Every like raises the version of its video once, every follow those of two users;
 * see procedures/favorite/ and relation/. Skipped versions, after two deliveries in an
 * unlucky order, are not counted. */
static size_t count_changes(const struct ledger_case *c)
{
    size_t texts = 0;
    size_t sent = 0;
    uint64_t edge_vers = 0;
    uint64_t video_vers = 0;

    for (size_t i = 0; i < c->rows->n_users; i++) {
        edge_vers += c->rows->users[i].edge_ver;
    }
    for (size_t i = 0; i < c->rows->n_videos; i++) {
        video_vers += c->rows->videos[i].ver;
    }
    for (size_t i = 0; i < c->rows->n_comments; i++) {
        texts += c->rows->comments[i].is_backward ? 0 : c->rows->comments[i].ver;
    }
    for (size_t i = 0; i < c->rows->n_messages; i++) {
        sent += !c->rows->messages[i].is_backward;
    }
    uint64_t likes = video_vers > texts ? video_vers - texts : 0;
    uint64_t follows = edge_vers > likes ? (edge_vers - likes) / 2 : 0;
    return (size_t)(likes + follows) + texts + sent;
}

void ledger_check(struct ledger_history *history, struct ledger_rows *rows,
                  const struct ledger_mailboxes *mailboxes, struct ledger_report *report)
{
    struct ledger_case c = {
        .history = history, .rows = rows, .mailboxes = mailboxes, .report = report};

    put_in_order(&c);
    ledger_check_edges(&c);
    ledger_check_comments(&c);
    ledger_check_messages(&c);
    ledger_check_polls(&c);
    ledger_check_counters(&c);
    ledger_check_reads(&c);
    if (rows->outbox > 0) {
        ledger_violation(report, INVARIANT_INTENTS, "%zu rows are left in the outbox",
                         rows->outbox);
    }
    report->changes = count_changes(&c);
    free(c.by_name);
    free(c.by_item);
}
