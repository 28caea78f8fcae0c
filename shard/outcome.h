/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How an operation on a shard can end; the list is outcome.def. */
#ifndef DOUSHARD_OUTCOME_H
#define DOUSHARD_OUTCOME_H

#include <stdbool.h>

#include "shard/base/check.h"

enum outcome {
#define OUTCOME(name, word, sqlstate, doc) OUTCOME_##name,
#include "shard/outcome.def"
#undef OUTCOME
    OUTCOME__COUNT
};

/* "OK", "NOTFOUND": for logs and tests. Static text. */
const char *outcome_name(enum outcome outcome);

/* The outcome for the word in a procedure's column `code`. False: unknown word. */
bool outcome_from_word(const char *word, enum outcome *outcome) MUST_CHECK;

/* The outcome for the SQLSTATE of a refused CALL. False: not one of ours. */
bool outcome_from_sqlstate(const char *sqlstate, enum outcome *outcome) MUST_CHECK;

#endif
