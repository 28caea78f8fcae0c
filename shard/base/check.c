/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What happens when an assertion fails. */
#include "shard/base/check.h"

#include <stdlib.h>

#include "shard/base/log.h"

_Noreturn void check_failed(const char *file, int line, const char *condition)
{
    log_write(LOG_ERROR, "check_failed", "file=%s line=%d condition=\"%s\"", file, line,
              condition);
    log_flush(1000);
    abort();
}
