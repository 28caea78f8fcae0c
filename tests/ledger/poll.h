/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The polling clients of the ledger test: each polls one mailbox for new messages, and
 * keeps what it got. */
#ifndef DOUSHARD_TESTS_LEDGER_POLL_H
#define DOUSHARD_TESTS_LEDGER_POLL_H

#include <stdbool.h>

#include "shard/base/check.h"

#include "tests/ledger/load.h"
#include "tests/ledger/mailboxes.h"

struct pollers;

/* Begin to poll the first OPTIONS->pollers chats of WORLD, each on a thread of its own.
 * Both arguments must outlive the result. */
struct pollers *pollers_start(const struct load_world *world,
                              const struct load_options *options);

/* Stop, append what they were given to MAILBOXES, and free them. */
void pollers_stop(struct pollers **pollers, struct ledger_mailboxes *mailboxes);

/* Poll the mailboxes, which are those of the first chats of WORLD, to their end, and try
 * to see each with a stranger's token. False: a service that is well would have answered.
 */
bool pollers_finish(const struct load_world *world, const struct load_options *options,
                    struct ledger_mailboxes *mailboxes) MUST_CHECK;

#endif
