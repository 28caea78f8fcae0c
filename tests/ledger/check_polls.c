/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger test: what polling clients received (I8). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/check.h"

/* One mailbox, and what its owner received of the peer's messages. */
struct polled {
    const struct ledger_mailbox *mailbox;
    const struct ledger_given **received; /* owned; by id */
    bool *has_row;                        /* owned; for each of them */
    size_t n;
};

static void violation(const struct ledger_case *c, const struct ledger_mailbox *mailbox,
                      const struct ledger_given *given, const char *what)
{
    ledger_violation(c->report, INVARIANT_MESSAGES,
                     "message %" PRIu64 " of %" PRIu64 " to %" PRIu64 " (%s) at %" PRId64
                     ", given to %" PRIu64 " who had polled %" PRIu64 " since %" PRId64
                     ": %s",
                     given->id, given->sender, given->receiver, given->text, given->at,
                     given->viewer, mailbox->peer, given->since_ms, what);
}

/* The request that wrote it, or NULL. */
static const struct ledger_op *writer_of(const struct ledger_case *c,
                                         const struct ledger_given *given)
{
    uint32_t worker = 0;
    uint32_t n = 0;

    return ledger_text_parse(given->text, &worker, &n) ? ledger_op_named(c, worker, n)
                                                       : NULL;
}

/* ---- The answers ---- */

/* Only what the peer has sent, except in an answer to a client that has nothing yet. */
static void check_parties(const struct ledger_case *c,
                          const struct ledger_mailbox *mailbox,
                          const struct ledger_given *given)
{
    bool is_received =
        given->sender == mailbox->peer && given->receiver == mailbox->owner;
    bool is_sent = given->sender == mailbox->owner && given->receiver == mailbox->peer;

    if (!is_received && !is_sent) {
        violation(c, mailbox, given, "it is of another chat");
    } else if (is_sent && given->since_ms > 0) {
        violation(c, mailbox, given, "who polls has sent it");
    }
}

/* An answer may name the stranger as a party; the text says who the real parties were. */
static void check_stranger(const struct ledger_case *c,
                           const struct ledger_mailbox *mailbox,
                           const struct ledger_given *given)
{
    const struct ledger_op *op = writer_of(c, given);

    if ((given->sender != given->viewer && given->receiver != given->viewer) ||
        op == NULL || op->actor != given->sender || op->target != given->receiver) {
        violation(c, mailbox, given, "a stranger has seen it");
    }
}

/* Each answer by itself and compared with the one before: it must be newer than what
 * was known. */
static void check_answers(const struct ledger_case *c,
                          const struct ledger_mailbox *mailbox)
{
    int64_t last = INT64_MIN;

    for (size_t i = 0; i < mailbox->n_given; i++) {
        const struct ledger_given *given = &mailbox->given[i];
        if (given->viewer != mailbox->owner) {
            check_stranger(c, mailbox, given);
            continue;
        }
        check_parties(c, mailbox, given);
        if (given->at <= last || given->at <= given->since_ms) {
            violation(c, mailbox, given, "it came after one that is not older");
        }
        last = given->at > last ? given->at : last;
    }
}

/* ---- All answers together ---- */

static int compare_given(const void *a, const void *b)
{
    const struct ledger_given *x = *(const struct ledger_given *const *)a;
    const struct ledger_given *y = *(const struct ledger_given *const *)b;

    return ledger_compare(x->id, y->id);
}

static struct polled polled_new(const struct ledger_mailbox *mailbox)
{
    struct polled polled = {.mailbox = mailbox,
                            .received = calloc(mailbox->n_given + 1, sizeof(void *)),
                            .has_row =
                                calloc(mailbox->n_given + 1, sizeof *polled.has_row)};

    CHECK(polled.received != NULL && polled.has_row != NULL);
    for (size_t i = 0; i < mailbox->n_given; i++) {
        const struct ledger_given *given = &mailbox->given[i];
        if (given->viewer == mailbox->owner && given->sender == mailbox->peer) {
            polled.received[polled.n++] = given;
        }
    }
    qsort(polled.received, polled.n, sizeof(void *), compare_given);
    return polled;
}

static void polled_free(struct polled *polled)
{
    free(polled->received);
    free(polled->has_row);
}

/* A row of the mailbox must have been received, unchanged. */
static void check_row(const struct ledger_case *c, const struct polled *polled,
                      const struct ledger_message *row)
{
    const struct ledger_given key = {.id = row->id};
    const struct ledger_given *pointer = &key;
    const struct ledger_given **found = NULL;

    if (polled->n > 0) {
        found =
            bsearch(&pointer, polled->received, polled->n, sizeof(void *), compare_given);
    }
    if (found == NULL) {
        ledger_violation(
            c->report, INVARIANT_MESSAGES,
            "message %" PRIu64 " of %" PRIu64 " to %" PRIu64 " (%s) at %" PRId64
            ", id %" PRIu64 ": who polled was never given it",
            row->seq, row->sender, row->receiver, row->text, row->at, row->id);
        return;
    }
    while (found > polled->received && (*(found - 1))->id == row->id) {
        found--;
    }
    polled->has_row[found - polled->received] = true;
    if ((*found)->at != row->at || strcmp((*found)->text, row->text) != 0) {
        violation(c, polled->mailbox, *found, "its row has another time or text");
    }
}

/* The first row that PEER has sent to OWNER. */
static size_t first_row(const struct ledger_rows *rows, uint64_t peer, uint64_t owner)
{
    size_t low = 0;
    size_t high = rows->n_messages;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ledger_message *row = &rows->messages[middle];
        if (row->sender < peer || (row->sender == peer && row->receiver < owner)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What was received and the rows are the same, each once. */
static void check_rows(const struct ledger_case *c, const struct polled *polled)
{
    const struct ledger_rows *rows = c->rows;
    uint64_t peer = polled->mailbox->peer;
    uint64_t owner = polled->mailbox->owner;
    const struct ledger_message *sent = NULL;

    for (size_t i = first_row(rows, peer, owner);
         i < rows->n_messages && rows->messages[i].sender == peer &&
         rows->messages[i].receiver == owner;
         i++) {
        const struct ledger_message *row = &rows->messages[i];
        if (!row->is_backward) {
            sent = row;
        } else if (row->state) {
            check_row(c, polled, row);
            c->report->late += sent != NULL && sent->seq == row->seq &&
                               row->at - sent->at > LEDGER_LATE_MS;
        }
    }
    for (size_t i = 0; i < polled->n; i++) {
        const struct ledger_given *given = polled->received[i];
        if (i > 0 && polled->received[i - 1]->id == given->id) {
            violation(c, polled->mailbox, given, "it was given twice");
        } else if (!polled->has_row[i]) {
            violation(c, polled->mailbox, given, "there is no such row");
        }
    }
}

/* What was acknowledged to the peer was received by the owner. */
static void check_acknowledged(const struct ledger_case *c, const struct polled *polled,
                               bool *is_given)
{
    const struct ledger_history *history = c->history;
    uint64_t peer = polled->mailbox->peer;

    for (size_t i = 0; i < polled->n; i++) {
        const struct ledger_op *op = writer_of(c, polled->received[i]);
        if (op != NULL) {
            is_given[op - history->ops] = true;
        }
    }
    for (size_t i = ledger_first_op(history, LEDGER_MESSAGE, peer);
         i < history->n && history->ops[i].kind == LEDGER_MESSAGE &&
         history->ops[i].actor == peer;
         i++) {
        const struct ledger_op *op = &history->ops[i];
        if (op->target == polled->mailbox->owner && op->outcome == LEDGER_OK &&
            !is_given[i]) {
            ledger_violation(c->report, INVARIANT_MESSAGES,
                             "message %" PRIu32 "-%" PRIu32 " of %" PRIu64 " to %" PRIu64
                             " was acknowledged, and who polled was never given it",
                             op->worker, op->n, op->actor, op->target);
        }
    }
}

void ledger_check_polls(struct ledger_case *c)
{
    bool *is_given = calloc(c->history->n + 1, sizeof *is_given);

    CHECK(is_given != NULL);
    for (size_t i = 0; i < c->mailboxes->n; i++) {
        struct polled polled = polled_new(&c->mailboxes->all[i]);
        c->report->given += polled.n;
        check_answers(c, polled.mailbox);
        check_rows(c, &polled);
        check_acknowledged(c, &polled, is_given);
        polled_free(&polled);
    }
    free(is_given);
}
