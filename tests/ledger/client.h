/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A small HTTP/1.1 client: one kept connection, one request at a time, a deadline, and a
 * reliable statement of what became of the request. */
#ifndef DOUSHARD_TESTS_LEDGER_CLIENT_H
#define DOUSHARD_TESTS_LEDGER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

struct ledger_client {
    uint16_t port; /* on 127.0.0.1 */
    int fd;        /* -1: not connected */
    struct buf in; /* bytes received and not read yet */
};

enum client_status {
    CLIENT_ANSWERED,
    CLIENT_NOT_SENT, /* no connection: the service has not got the request */
    CLIENT_SILENT    /* sent, but no complete answer */
};

void ledger_client_init(struct ledger_client *client, uint16_t port);
void ledger_client_release(struct ledger_client *client);

/* A request without a body. */
struct client_request {
    const char *method; /* (ref), like the others */
    const char *target;
    const char *key; /* Idempotency-Key; NULL: none */
};

/* Send REQUEST and wait for the answer until DEADLINE_MS (monotonic). ANSWERED sets *BODY
 * (NUL-terminated, valid until the next request) and *HTTP_STATUS. After anything else
 * the connection is closed. */
enum client_status ledger_client_ask(struct ledger_client *client,
                                     const struct client_request *request,
                                     int64_t deadline_ms, const char **body,
                                     int *http_status);

#endif
