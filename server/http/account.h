/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is logged and counted when a request is over: its access line, and the metrics. */
#ifndef DOUSHARD_HTTP_ACCOUNT_H
#define DOUSHARD_HTTP_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

/* Facts that struct request does not have. */
struct account {
    size_t route; /* its row of the table; METRICS_NO_ROUTE: it has none */
    bool is_answered;
    int64_t us;          /* from its last byte to the answer; not used without one */
    uint64_t body_bytes; /* received */
    const char *end;     /* how it ended: "done", "left" .. */
};

/* Call it once, when nothing more will happen to REQ. */
void account_write(const struct request *req, const struct account *account);

#endif
