/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The table of errors.def, compiled. */
#include "server/error.h"

#include "shard/base/check.h"

static const struct error_info errors[ERROR__COUNT] = {
#define ERR(name, code, http, text) [ERROR_##name] = {#name, code, http, text},
#include "server/errors.def"
};

const struct error_info *error_info(enum error_code code)
{
    CHECK(code < ERROR__COUNT);
    return &errors[code];
}

enum error_code error_from_outcome(enum outcome outcome)
{
    /* No default: the compiler says when an outcome has no line in errors.def. */
    switch (outcome) {
#define ERR_OUTCOME(outcome, name)                                                       \
    case OUTCOME_##outcome:                                                              \
        return ERROR_##name;
#include "server/errors.def"
    case OUTCOME__COUNT:
        break;
    }
    return ERROR_INTERNAL;
}
