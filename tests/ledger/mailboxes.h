/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the polling clients of the ledger test got: every message of every answer.
 */
#ifndef DOUSHARD_TESTS_LEDGER_MAILBOXES_H
#define DOUSHARD_TESTS_LEDGER_MAILBOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shard/base/check.h"

/* One message in the answer to one poll. */
struct ledger_given {
    uint64_t viewer;  /* whose token it was */
    int64_t since_ms; /* pre_msg_time of the poll */
    uint64_t id;
    uint64_t sender;
    uint64_t receiver;
    int64_t at; /* create_time */
    char text[32];
};

/* One chat as seen by one of its parties, who polls it. */
struct ledger_mailbox {
    uint64_t owner; /* who polls */
    uint64_t peer;
    uint64_t stranger; /* who has tried to see it, after the last poll; 0: not yet */
    size_t polls;      /* that were answered */
    size_t failures;   /* those that were not */
    struct ledger_given *given; /* owned; in the order in which they came */
    size_t n_given;
    size_t room;
};

struct ledger_mailboxes {
    struct ledger_mailbox *all; /* owned */
    size_t n;
    size_t room;
};

/* Append one that nobody has polled yet; it is valid until the next one is. */
struct ledger_mailbox *ledger_mailboxes_add(struct ledger_mailboxes *mailboxes,
                                            uint64_t owner, uint64_t peer);
void ledger_mailboxes_release(struct ledger_mailboxes *mailboxes);

/* Append a copy. A text that no client wrote is written down as "?". */
void ledger_mailbox_give(struct ledger_mailbox *mailbox,
                         const struct ledger_given *given);

/* One line per mailbox and per message in it. False: the file cannot be written. */
bool ledger_mailboxes_write(const struct ledger_mailboxes *mailboxes,
                            FILE *file) MUST_CHECK;

/* Append what FILE holds. False: line *LINE cannot be understood. */
bool ledger_mailboxes_read(struct ledger_mailboxes *mailboxes, FILE *file,
                           size_t *line) MUST_CHECK;

#endif
