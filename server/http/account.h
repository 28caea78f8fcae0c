/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is said of a request when it is over: its access line, and the metrics. */
#ifndef DOUSHARD_HTTP_ACCOUNT_H
#define DOUSHARD_HTTP_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

/* What the request itself does not know. */
struct account {
    size_t route; /* its row of the table; METRICS_NO_ROUTE: it has none */
    bool is_answered;
    int64_t us;          /* from its last byte to the answer; not used without one */
    uint64_t body_bytes; /* that came */
    const char *end;     /* how it ended: "done", "left" .. */
};

/* Once nothing more will happen to REQ. */
void account_write(const struct request *req, const struct account *account);

#endif
