/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The table of errors.def, compiled. */
#include "server/request/error.h"

#include "shard/base/check.h"

static const struct error_info errors[ERROR__COUNT] = {
#define ERR(name, code, http, text) [ERROR_##name] = {#name, code, http, text},
#include "server/request/errors.def"
};

const struct error_info *error_info(enum error_code code)
{
    CHECK(code < ERROR__COUNT);
    return &errors[code];
}

static const enum error_code by_outcome[OUTCOME__COUNT] = {
#define ERR_OUTCOME(outcome, name) [OUTCOME_##outcome] = ERROR_##name,
#include "server/request/errors.def"
};

/* Every outcome has its line. */
enum {
#define ERR_OUTCOME(outcome, name) HAS_##outcome,
#include "server/request/errors.def"
    N_LINES
};
_Static_assert((int)N_LINES == (int)OUTCOME__COUNT,
               "errors.def lacks an outcome of outcome.def");

enum error_code error_from_outcome(enum outcome outcome)
{
    CHECK(outcome < OUTCOME__COUNT);
    return by_outcome[outcome];
}
