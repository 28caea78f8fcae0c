/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lines that say what is right and what is wrong: "[OK]   shard1 answers". */
#ifndef DOUSHARD_SCRIPTS_SHARDCTL_CHECKS_H
#define DOUSHARD_SCRIPTS_SHARDCTL_CHECKS_H

#include <jansson.h>
#include <stdbool.h>

#include "shard/base/check.h"

enum check_verdict {
    CHECK_OK,
    CHECK_WARN, /* an operator should know it */
    CHECK_ERR,  /* something has to be done, and the line says what */
};

/* Lines are printed at once, or collected as JSON. */
struct checks {
    json_t *list; /* owned; NULL: print */
    unsigned n_errors;
};

void checks_begin(struct checks *checks, bool is_json);
void checks_end(struct checks *checks);

void checks_add(struct checks *checks, enum check_verdict verdict, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
