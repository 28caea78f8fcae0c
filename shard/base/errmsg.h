/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Why something failed, as a text that operators read. */
#ifndef DOUSHARD_BASE_ERRMSG_H
#define DOUSHARD_BASE_ERRMSG_H

#include <stdbool.h>

#include "shard/base/check.h"

/* Functions that fail set it, and may leave anything in it when they do not. */
struct errmsg {
    char text[512];
};

/* Say what is wrong, cut where there is no room; what is printed may be in *ERR. Always
 * returns false. */
bool errmsg_set(struct errmsg *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
