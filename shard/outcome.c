/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How an operation on a shard can end; the list is outcome.def. */
#include "shard/outcome.h"

#include <string.h>

static const struct {
    const char *name;
    const char *word;
    const char *sqlstate;
} outcomes[OUTCOME__COUNT] = {
#define OUTCOME(id, column_word, state, doc)                                             \
    [OUTCOME_##id] = {.name = #id, .word = (column_word), .sqlstate = (state)},
#include "shard/outcome.def"
#undef OUTCOME
};

const char *outcome_name(enum outcome outcome)
{
    CHECK((unsigned)outcome < OUTCOME__COUNT);
    return outcomes[outcome].name;
}

bool outcome_from_word(const char *word, enum outcome *outcome)
{
    for (unsigned i = 0; word[0] != '\0' && i < OUTCOME__COUNT; i++) {
        if (strcmp(outcomes[i].word, word) == 0) {
            *outcome = (enum outcome)i;
            return true;
        }
    }
    return false;
}

bool outcome_from_sqlstate(const char *sqlstate, enum outcome *outcome)
{
    for (unsigned i = 0; sqlstate[0] != '\0' && i < OUTCOME__COUNT; i++) {
        if (strcmp(outcomes[i].sqlstate, sqlstate) == 0) {
            *outcome = (enum outcome)i;
            return true;
        }
    }
    return false;
}
