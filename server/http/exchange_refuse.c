/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Requests that the library would refuse wrongly: they are answered before it does. */
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/http/exchange_impl.h"

/* Longest target of a request. */
#define TARGET_MAX_BYTES ((size_t)16 << 10)

/* How much of a connection's memory the target must leave to the headers of the request
 * and of the answer. */
#define HEADERS_MIN_BYTES ((size_t)1400)

/* How many of the newest requests are looked at for the one that the library refuses: a
 * request that arrives in one piece is the first of them, and thousands that others have
 * half sent must not cost the thread milliseconds for each bad one. An older one gets
 * the library's own answer. */
#define HEADS_LOOKED_AT 256u

/* What libmicrohttpd keeps for each parameter of a query, rounded up. */
#define QUERY_RECORD_BYTES 64

void exchange_enter_heads(struct exchange *ex)
{
    ex->head_link = &ex->place->heads;
    ex->next_head = ex->place->heads;
    if (ex->next_head != NULL) {
        ex->next_head->head_link = &ex->next_head;
    }
    ex->place->heads = ex;
}

void exchange_leave_heads(struct exchange *ex)
{
    if (ex->head_link == NULL) {
        return;
    }
    *ex->head_link = ex->next_head;
    if (ex->next_head != NULL) {
        ex->next_head->head_link = ex->head_link;
    }
    ex->head_link = NULL;
}

/* Answer a request whose header the library is about to refuse, before it does. */
static void refuse_head(struct exchange *ex, enum error_code code, const char *why)
{
    exchange_leave_heads(ex);
    metrics_add(ex->place->app->metrics, METRIC_HTTP_FRAMING_REFUSED, 1);
    reply_error(&ex->req, code, "%s", why);
    exchange_answer_past_library(ex);
    (void)shutdown(ex->conn->watch.fd, SHUT_WR);
}

void exchange_refuse_length(struct exchange_place *place)
{
    struct exchange *ex = place->heads;
    struct exchange *next;

    for (unsigned i = 0; ex != NULL && i < HEADS_LOOKED_AT; i++, ex = next) {
        const char *value = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                                        MHD_HTTP_HEADER_CONTENT_LENGTH);
        uint64_t length;

        next = ex->next_head;
        if (value != NULL && !framing_parse_length(value, strlen(value), &length)) {
            refuse_head(ex, ERROR_BAD_REQUEST, "Content-Length is malformed");
        }
    }
}

static enum MHD_Result size_cb(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    size_t *bytes = cls;

    (void)kind;
    (void)name;
    (void)value;
    *bytes += name_len + value_len;
    return MHD_YES;
}

void exchange_refuse_header(struct exchange_place *place)
{
    struct exchange *ex = place->heads;
    struct exchange *next;

    for (unsigned i = 0; ex != NULL && i < HEADS_LOOKED_AT; i++, ex = next) {
        size_t bytes = strlen(ex->target.text);

        next = ex->next_head;
        (void)MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, size_cb,
                                          &bytes);
        if (bytes >= HTTP_CONNECTION_BYTES / 2 - HEADERS_MIN_BYTES) {
            refuse_head(ex, ERROR_TARGET_TOO_LONG, "with all headers");
        }
    }
}

bool exchange_is_target_too_long(const struct exchange *ex)
{
    size_t len = 0;
    size_t bytes = 0;

    for (const char *p = ex->target.text; *p != '\0'; p++) {
        len++;
        bytes += *p == '&' ? 1 + QUERY_RECORD_BYTES : 1;
    }
    return len > TARGET_MAX_BYTES || bytes + HEADERS_MIN_BYTES > HTTP_CONNECTION_BYTES;
}

void exchange_refuse_target(struct exchange *ex)
{
    exchange_leave_heads(ex);
    reply_error(&ex->req, ERROR_TARGET_TOO_LONG, NULL);
    exchange_answer_past_library(ex);
    (void)shutdown(ex->conn->watch.fd, SHUT_RDWR);
}
