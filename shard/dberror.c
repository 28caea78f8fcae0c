/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the error numbers of database servers mean for the CALL and for the server. */
#include "shard/dberror.h"

#include <stddef.h>

static const struct {
    unsigned first, last;
    enum dberror_class class;
} errors[] = {
#define DBERROR(first, last, class, why) {first, last, DBERROR_##class},
#include "shard/dberror.def"
#undef DBERROR
};

enum dberror_class dberror_class(unsigned number)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (number >= errors[i].first && number <= errors[i].last) {
            return errors[i].class;
        }
    }
    return DBERROR_OPERATION;
}
