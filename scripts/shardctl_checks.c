/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "scripts/shardctl_checks.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

static const char *const names[] = {"OK", "WARN", "ERR"};

void checks_begin(struct checks *checks, bool is_json)
{
    *checks = (struct checks){.list = is_json ? json_array() : NULL};
}

void checks_end(struct checks *checks)
{
    json_decref(checks->list);
    checks->list = NULL;
}

void checks_add(struct checks *checks, enum check_verdict verdict, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    checks->n_errors += verdict == CHECK_ERR;
    if (checks->list != NULL) {
        (void)json_array_append_new(
            checks->list,
            json_pack("{s:s, s:s}", "verdict", names[verdict], "text", text));
    } else {
        (void)printf("[%s]%*s%s\n", names[verdict], 5 - (int)strlen(names[verdict]), "",
                     text);
    }
}
