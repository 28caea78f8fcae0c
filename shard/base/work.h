/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One piece of work, run by a thread (server/base/workers.h) or by a fiber. */
#ifndef DOUSHARD_BASE_WORK_H
#define DOUSHARD_BASE_WORK_H

/* Embedded in the object it works on, so that submitting allocates nothing. Owned by the
 * caller until RUN is called with it; RUN may free it. */
struct work {
    void (*run)(struct work *work);
    struct work *next; /* (ref) for the use of who runs it */
};

#endif
