/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What an error number of a database server says about the CALL and about the server; the
 * list is dberror.def. */
#ifndef DOUSHARD_DBERROR_H
#define DOUSHARD_DBERROR_H

#include "shard/base/check.h"

enum dberror_class {
    DBERROR_OPERATION, /* rolled back: something is wrong with what was asked */
    DBERROR_AGAIN,     /* rolled back by chance: repeat it */
    DBERROR_SICK,      /* rolled back: the server cannot, whoever asks */
    DBERROR_CROWDED,   /* rolled back, or no connection made: too many of us */
    DBERROR_UNKNOWN,   /* the session is over; what was sent may be done */
    DBERROR_CUT,       /* the same, and it says nothing about the server */
};

enum dberror_class dberror_class(unsigned number);

#endif
