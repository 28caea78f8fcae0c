/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Does a shard have the routines that this program needs? */
#ifndef DOUSHARD_ROUTINES_H
#define DOUSHARD_ROUTINES_H

#include <stdbool.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "shard/dbresult.h"

/* Does LIST, the answer of routine_list(), have every routine that this program calls, in
 * a version that serves it? After an interrupted migration it may have them without their
 * helpers: MUST_BE_COMPLETE refuses that. False: ERR says what is missing. */
bool routines_serve(const struct dbresult *list, bool must_be_complete,
                    struct errmsg *err) MUST_CHECK;

#endif
