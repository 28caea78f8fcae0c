/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Why something failed. */
#include "shard/base/errmsg.h"

#include <stdarg.h>
#include <stdio.h>

bool errmsg_set(struct errmsg *err, const char *fmt, ...)
{
    struct errmsg text;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text.text, sizeof text.text, fmt, args);
    va_end(args);
    *err = text;
    return false;
}
