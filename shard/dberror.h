/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the error numbers of database servers mean for the CALL and for the server; the
 * list is dberror.def. */
#ifndef DOUSHARD_DBERROR_H
#define DOUSHARD_DBERROR_H

#include "shard/base/check.h"

enum dberror_class {
    DBERROR_OPERATION, /* rolled back: an error of the operation itself */
    DBERROR_AGAIN,     /* rolled back by conflict: repeat it */
    DBERROR_SICK,      /* rolled back: the server cannot do it for anybody */
    DBERROR_CROWDED,   /* rolled back, or no connection made: too many of us */
    DBERROR_UNKNOWN,   /* the session is over; what was sent may be done */
    DBERROR_CUT,       /* the same, and it says nothing about the server */
};

enum dberror_class dberror_class(unsigned number);

#endif
