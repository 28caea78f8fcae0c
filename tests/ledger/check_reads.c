/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: counters that were read while others changed them
 * (I6).
 *
 * A counter that changes together with the first half of a request has an upper and a
 * lower bound. One that changes with the second half, which a fault may delay for any
 * time, is at most the number of requests by the end of the read. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/ledger/check.h"

/* Something that happened to a user or video. */
struct moment {
    uint64_t key;
    int64_t at_us;
};

struct moments {
    struct moment *all; /* owned; by key and time */
    size_t n;
    size_t room;
};

/* "may": from here on it may have been done; "must": from here on it must have been
 * done. */
struct timeline {
    struct moments follow_may;   /* of the followed user: the first follow of each edge */
    struct moments favorite_may; /* of the author: the first like of each edge */
    struct moments like_may;     /* of the video: the same */
    struct moments comment_may;  /* of the video, like the others */
    struct moments comment_must;
    struct moments uncomment_may; /* for each comment, the first deletion */
    struct moments uncomment_must;
};

static void add(struct moments *moments, uint64_t key, int64_t at_us)
{
    moments->all =
        ledger_grow(moments->all, moments->n, &moments->room, sizeof *moments->all);
    moments->all[moments->n++] = (struct moment){key, at_us};
}

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a;
    const struct moment *y = b;
    int by = ledger_compare(x->key, y->key);

    return by != 0 ? by : (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

/* How many of them are smaller. */
static size_t before(const struct moments *moments, const struct moment *moment)
{
    size_t low = 0;
    size_t high = moments->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_moments(&moments->all[middle], moment) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* How many happened to KEY before AT_US. */
static int64_t count(const struct moments *moments, uint64_t key, int64_t at_us)
{
    const struct moment first = {key, INT64_MIN};
    const struct moment end = {key, at_us};

    return (int64_t)(before(moments, &end) - before(moments, &first));
}

/* ---- The timeline ---- */

static void add_edges(const struct ledger_case *c, struct timeline *line)
{
    const struct ledger_op *last = NULL;

    for (size_t i = 0; i < c->history->n; i++) {
        const struct ledger_op *op = &c->history->ops[i];
        if (op->kind > LEDGER_FOLLOW) {
            return;
        }
        /* Even what was refused may have existed until it was taken back. */
        if (!op->on || (last != NULL && last->kind == op->kind &&
                        last->actor == op->actor && last->target == op->target)) {
            continue;
        }
        last = op;
        if (op->kind == LEDGER_FOLLOW) {
            add(&line->follow_may, op->target, op->invoked_us);
            continue;
        }
        const struct ledger_video *video = ledger_video_of(c, op->target);
        add(&line->like_may, op->target, op->invoked_us);
        if (video != NULL) {
            add(&line->favorite_may, video->author, op->invoked_us);
        }
    }
}

/* Adds those deletions of one comment, beginning with this one, that count; returns
 * how many deletions of it there are. */
static size_t add_deletions(const struct ledger_case *c, size_t first,
                            struct timeline *line)
{
    const struct ledger_op *const *ops = c->by_item + first;
    int64_t may_us = INT64_MAX;
    int64_t must_us = INT64_MAX;
    size_t n = 0;

    for (; first + n < c->n_by_item && ops[n]->target == ops[0]->target &&
           ops[n]->item == ops[0]->item;
         n++) {
        if (ops[n]->outcome != LEDGER_FAIL && ops[n]->invoked_us < may_us) {
            may_us = ops[n]->invoked_us;
        }
        if (ops[n]->outcome == LEDGER_OK && ops[n]->returned_us < must_us) {
            must_us = ops[n]->returned_us;
        }
    }
    /* At the end of time, which no read reaches, they do not count. */
    add(&line->uncomment_may, ops[0]->target, may_us);
    add(&line->uncomment_must, ops[0]->target, must_us);
    return n;
}

static void add_comments(const struct ledger_case *c, struct timeline *line)
{
    for (size_t i = 0; i < c->history->n; i++) {
        const struct ledger_op *op = &c->history->ops[i];
        if (op->kind == LEDGER_COMMENT) {
            add(&line->comment_may, op->target, op->invoked_us);
        }
        if (op->kind == LEDGER_COMMENT && op->outcome == LEDGER_OK) {
            add(&line->comment_must, op->target, op->returned_us);
        }
    }
    for (size_t i = 0; i < c->n_by_item;) {
        i += add_deletions(c, i, line);
    }
}

/* ---- The reads ---- */

static void check_count(const struct ledger_case *c, const struct ledger_op *read,
                        const char *name, int64_t number, struct ledger_bounds bounds)
{
    bool is_video = read->kind == LEDGER_READ_VIDEO;

    if (number < bounds.least || number > bounds.most || number < 0) {
        ledger_violation(c->report, INVARIANT_BOUNDS,
                         "%s %" PRIu64 ": %s was read as %" PRId64
                         ", possible were %" PRId64 " to %" PRId64 " (at %" PRId64 " us)",
                         is_video ? "video" : "user",
                         is_video ? read->target : read->actor, name, number,
                         bounds.least, bounds.most, read->invoked_us);
    }
}

/* Something that may or may not have happened by the end of the read. */
static struct ledger_bounds at_most(const struct moments *moments, uint64_t key,
                                    const struct ledger_op *read)
{
    return (struct ledger_bounds){0, count(moments, key, read->returned_us + 1)};
}

static void check_user(const struct ledger_case *c, const struct timeline *line,
                       const struct ledger_op *read)
{
    check_count(c, read, "follow_count", read->counts[COUNTER_FOLLOW],
                ledger_edge_bounds(c, LEDGER_FOLLOW, read));
    check_count(c, read, "favorite_count", read->counts[COUNTER_FAVORITE],
                ledger_edge_bounds(c, LEDGER_LIKE, read));
    check_count(c, read, "follower_count", read->counts[COUNTER_FOLLOWER],
                at_most(&line->follow_may, read->actor, read));
    check_count(c, read, "total_favorited", read->counts[COUNTER_FAVORITED],
                at_most(&line->favorite_may, read->actor, read));
}

static void check_video(const struct ledger_case *c, const struct timeline *line,
                        const struct ledger_op *read)
{
    uint64_t video = read->target;
    int64_t begin_us = read->invoked_us;
    int64_t end_us = read->returned_us + 1;
    struct ledger_bounds comments = {
        .least = count(&line->comment_must, video, begin_us) -
                 count(&line->uncomment_may, video, end_us),
        .most = count(&line->comment_may, video, end_us) -
                count(&line->uncomment_must, video, begin_us),
    };

    check_count(c, read, "favorite_count", read->counts[VIDEO_COUNTER_FAVORITE],
                at_most(&line->like_may, video, read));
    check_count(c, read, "comment_count", read->counts[VIDEO_COUNTER_COMMENT], comments);
}

void ledger_check_reads(struct ledger_case *c)
{
    struct timeline line = {.follow_may = {.n = 0}};
    struct moments *const all[] = {
        &line.follow_may,   &line.favorite_may,  &line.like_may,      &line.comment_may,
        &line.comment_must, &line.uncomment_may, &line.uncomment_must};

    add_edges(c, &line);
    add_comments(c, &line);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->n > 0) {
            qsort(all[i]->all, all[i]->n, sizeof *all[i]->all, compare_moments);
        }
    }
    for (size_t i = 0; i < c->history->n; i++) {
        struct ledger_op read = c->history->ops[i];
        if (read.outcome != LEDGER_OK) {
            continue;
        }
        read.invoked_us -= c->report->stale_us;
        if (read.kind == LEDGER_READ) {
            c->report->reads++;
            check_user(c, &line, &read);
        } else if (read.kind == LEDGER_READ_VIDEO) {
            c->report->reads++;
            check_video(c, &line, &read);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        free(all[i]->all);
    }
}
