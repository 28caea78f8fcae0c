/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: comments and messages. Each text names the operation
 * that wrote it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/check.h"

/* The operation that wrote TEXT, if there is one of KIND between these two that was
 * not refused; otherwise NULL, and that is a violation. *SEEN counts the rows of each
 * operation. */
static const struct ledger_op *writer_of(const struct ledger_case *c, const char *text,
                                         const struct ledger_op *like, unsigned *seen)
{
    uint32_t worker = 0;
    uint32_t n = 0;
    const struct ledger_op *op =
        ledger_text_parse(text, &worker, &n) ? ledger_op_named(c, worker, n) : NULL;

    if (op == NULL || op->kind != like->kind || op->actor != like->actor ||
        op->target != like->target || op->outcome == LEDGER_FAIL) {
        ledger_violation(c->report, INVARIANT_INVENTED,
                         "%s of %" PRIu64 " to %" PRIu64
                         ": \"%s\" was asked for by nobody, or refused",
                         ledger_kind_name(like->kind), like->actor, like->target, text);
        return NULL;
    }
    if (seen[op - c->history->ops]++ > 0) {
        ledger_violation(c->report, INVARIANT_TWICE,
                         "%s of %" PRIu64 " to %" PRIu64 ": \"%s\" is there twice",
                         ledger_kind_name(like->kind), like->actor, like->target, text);
    }
    return op;
}

/* Every acknowledged operation of KIND must have been seen. While the shard of an id
 * that never existed is down, a message to that id is acknowledged, and taken back
 * later. */
static void check_seen(const struct ledger_case *c, enum ledger_kind kind,
                       const unsigned *seen)
{
    for (size_t i = 0; i < c->history->n; i++) {
        const struct ledger_op *op = &c->history->ops[i];
        bool is_to_ghost =
            kind == LEDGER_MESSAGE && ledger_user_of(c, op->target) == NULL;
        if (op->kind == kind && op->outcome == LEDGER_OK && seen[i] == 0 &&
            !is_to_ghost) {
            ledger_violation(c->report, INVARIANT_LOST,
                             "%s %" PRIu32 "-%" PRIu32 " of %" PRIu64 " to %" PRIu64
                             " was acknowledged and is not there",
                             ledger_kind_name(kind), op->worker, op->n, op->actor,
                             op->target);
        }
    }
}

static unsigned *seen_new(const struct ledger_case *c)
{
    unsigned *seen = calloc(c->history->n + 1, sizeof *seen);

    CHECK(seen != NULL);
    return seen;
}

/* ---- Comments ---- */

/* Compares the deletion OP with those of COMMENT, like ledger_compare(). */
static int compare_deletion(const struct ledger_op *op,
                            const struct ledger_comment *comment)
{
    int by = ledger_compare(op->target, comment->video);

    return by != 0 ? by : ledger_compare(op->item, comment->id);
}

/* Whether COMMENT may be gone, and whether it must be. */
static void deletions_of(const struct ledger_case *c,
                         const struct ledger_comment *comment, bool *may, bool *must)
{
    size_t low = 0;
    size_t high = c->n_by_item;

    *may = *must = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_deletion(c->by_item[middle], comment) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < c->n_by_item && compare_deletion(c->by_item[low], comment) == 0; low++) {
        *may |= c->by_item[low]->outcome != LEDGER_FAIL;
        *must |= c->by_item[low]->outcome == LEDGER_OK;
    }
}

static void check_comment(const struct ledger_case *c,
                          const struct ledger_comment *comment, unsigned *seen)
{
    const struct ledger_op like = {
        .kind = LEDGER_COMMENT, .actor = comment->author, .target = comment->video};
    const struct ledger_op *op = writer_of(c, comment->text, &like, seen);
    bool may_be_gone = false;
    bool must_be_gone = false;

    c->report->comments++;
    deletions_of(c, comment, &may_be_gone, &must_be_gone);
    if (ledger_video_of(c, comment->video) == NULL ||
        ledger_user_of(c, comment->author) == NULL) {
        ledger_violation(c->report, INVARIANT_REFERENCES,
                         "comment %" PRIu64 ": its video or author never existed",
                         comment->id);
    }
    if (op != NULL && op->outcome == LEDGER_OK && op->item != comment->id) {
        ledger_violation(c->report, INVARIANT_LOST,
                         "comment %" PRIu32 "-%" PRIu32 " was acknowledged as %" PRIu64
                         " and is %" PRIu64,
                         op->worker, op->n, op->item, comment->id);
    }
    if (comment->state && must_be_gone) {
        ledger_violation(c->report, INVARIANT_LOST,
                         "comment %" PRIu64 ": its deletion was acknowledged",
                         comment->id);
    }
    if (!comment->state && !may_be_gone) {
        ledger_violation(c->report, INVARIANT_INVENTED,
                         "comment %" PRIu64 " was deleted by nobody", comment->id);
    }
}

static void check_comment_halves(const struct ledger_case *c, size_t i)
{
    const struct ledger_rows *rows = c->rows;
    const struct ledger_comment *there = &rows->comments[i];
    const struct ledger_comment *back = i + 1 < rows->n_comments ? there + 1 : NULL;

    if (there->is_backward) {
        const struct ledger_comment *before = i > 0 ? there - 1 : NULL;
        if (before == NULL || before->video != there->video || before->id != there->id) {
            ledger_violation(c->report, INVARIANT_HALVES,
                             "comment %" PRIu64 ": only its author has it", there->id);
        }
        return;
    }
    if (back == NULL || back->video != there->video || back->id != there->id) {
        ledger_violation(c->report, INVARIANT_HALVES,
                         "comment %" PRIu64 ": its author does not have it", there->id);
    } else if (back->author != there->author || back->state != there->state ||
               back->ver != there->ver) {
        ledger_violation(c->report, INVARIANT_HALVES,
                         "comment %" PRIu64 ": video has state %d version %" PRIu64
                         ", author state %d version %" PRIu64,
                         there->id, there->state, there->ver, back->state, back->ver);
    }
}

void ledger_check_comments(struct ledger_case *c)
{
    unsigned *seen = seen_new(c);

    for (size_t i = 0; i < c->rows->n_comments; i++) {
        if (!c->rows->comments[i].is_backward) {
            check_comment(c, &c->rows->comments[i], seen);
        }
        check_comment_halves(c, i);
    }
    check_seen(c, LEDGER_COMMENT, seen);
    free(seen);
}

/* ---- Messages ---- */

/* One direction of one chat, in the order of its numbers. */
struct direction {
    const struct ledger_message *first;
    size_t n;
};

static void message_violation(const struct ledger_case *c,
                              enum ledger_invariant invariant,
                              const struct ledger_message *message, const char *what)
{
    ledger_violation(c->report, invariant,
                     "message %" PRIu64 " of %" PRIu64 " to %" PRIu64 " (%s): %s",
                     message->seq, message->sender, message->receiver, message->text,
                     what);
}

/* Both mailboxes of a direction: the same numbers, ids and texts. */
static void check_copies(const struct ledger_case *c, const struct direction *d)
{
    uint64_t seq = 0;

    for (size_t i = 0; i < d->n; i++) {
        const struct ledger_message *sent = &d->first[i];
        const struct ledger_message *copy = i + 1 < d->n ? sent + 1 : NULL;
        if (sent->is_backward) {
            message_violation(c, INVARIANT_MESSAGES, sent, "nobody sent it");
            continue;
        }
        if (sent->seq != ++seq) {
            message_violation(c, INVARIANT_MESSAGES, sent, "there is a gap before it");
            seq = sent->seq;
        }
        if (copy == NULL || !copy->is_backward || copy->seq != sent->seq) {
            message_violation(c, INVARIANT_MESSAGES, sent, "the receiver has no copy");
            continue;
        }
        if (copy->id != sent->id || strcmp(copy->text, sent->text) != 0) {
            message_violation(c, INVARIANT_MESSAGES, sent, "the copy is another");
        }
        if (!sent->state || !copy->state) {
            message_violation(c, INVARIANT_MESSAGES, sent, "it was taken back");
        }
        i++;
    }
}

/* Times grow with the numbers, in each mailbox. */
static void check_times(const struct ledger_case *c, const struct direction *d)
{
    int64_t last[2] = {INT64_MIN, INT64_MIN};

    for (size_t i = 0; i < d->n; i++) {
        const struct ledger_message *message = &d->first[i];
        if (message->at <= last[message->is_backward]) {
            message_violation(c, INVARIANT_MESSAGES, message, "its time went back");
        }
        last[message->is_backward] = message->at;
    }
}

/* A message that was acknowledged before another one was sent comes before that one. */
static void check_order(const struct ledger_case *c, const struct direction *d,
                        unsigned *seen)
{
    const struct ledger_op like = {
        .kind = LEDGER_MESSAGE, .actor = d->first->sender, .target = d->first->receiver};
    int64_t latest_invoked = INT64_MIN;

    for (size_t i = 0; i < d->n; i++) {
        if (d->first[i].is_backward) {
            continue;
        }
        const struct ledger_op *op = writer_of(c, d->first[i].text, &like, seen);
        if (op == NULL) {
            continue;
        }
        if (op->outcome == LEDGER_OK && op->returned_us < latest_invoked) {
            message_violation(c, INVARIANT_MESSAGES, &d->first[i],
                              "one that was sent later has a smaller number");
        }
        if (op->invoked_us > latest_invoked) {
            latest_invoked = op->invoked_us;
        }
    }
}

/* To an id that never existed: what was sent has been taken back. */
static void check_ghost(const struct ledger_case *c, const struct direction *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->first[i].is_backward || d->first[i].state) {
            message_violation(c, INVARIANT_REFERENCES, &d->first[i],
                              "a party never existed");
        }
    }
}

void ledger_check_messages(struct ledger_case *c)
{
    const struct ledger_rows *rows = c->rows;
    unsigned *seen = seen_new(c);

    for (size_t i = 0; i < rows->n_messages;) {
        struct direction d = {.first = &rows->messages[i], .n = 0};
        while (i < rows->n_messages && rows->messages[i].sender == d.first->sender &&
               rows->messages[i].receiver == d.first->receiver) {
            c->report->messages += !rows->messages[i].is_backward;
            d.n++;
            i++;
        }
        if (ledger_user_of(c, d.first->sender) == NULL ||
            ledger_user_of(c, d.first->receiver) == NULL) {
            check_ghost(c, &d);
            continue;
        }
        check_copies(c, &d);
        check_times(c, &d);
        check_order(c, &d, seen);
    }
    check_seen(c, LEDGER_MESSAGE, seen);
    free(seen);
}
