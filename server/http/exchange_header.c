/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reading the header of a request. */
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/http/cors.h"
#include "server/http/exchange_impl.h"
#include "server/request/claim.h"

/* Copies of the header fields that handlers may need, because the library's may vanish at
 * any time. */
struct field {
    const char *name;
    const char **copy;
    bool last_counts;
    bool twice;
};

struct fields {
    struct exchange *ex;
    struct field list[7];
    const char *key; /* Idempotency-Key */
};

static enum MHD_Result field_cb(void *cls, enum MHD_ValueKind kind, const char *name,
                                size_t name_len, const char *value, size_t value_len)
{
    struct fields *fields = cls;

    (void)kind;
    for (size_t i = 0; i < ARRAY_LEN(fields->list); i++) {
        struct field *field = &fields->list[i];

        if (strlen(field->name) != name_len ||
            strncasecmp(field->name, name, name_len) != 0) {
            continue;
        }
        if (*field->copy != NULL && !field->last_counts) {
            field->twice = true;
            continue;
        }
        while (value_len > 0 &&
               (value[value_len - 1] == ' ' || value[value_len - 1] == '\t')) {
            value_len--;
        }
        *field->copy =
            arena_strndup(&fields->ex->req.arena, value != NULL ? value : "", value_len);
        if (*field->copy == NULL) {
            fields->ex->req.params.no_memory = true;
        }
    }
    return MHD_YES;
}

static void take_fields(struct exchange *ex)
{
    struct request_headers *headers = &ex->req.headers;
    struct fields fields = {
        .ex = ex,
        .list = {{.name = "Authorization", .copy = &headers->authorization},
                 {.name = "Range", .copy = &headers->range},
                 {.name = "If-Range", .copy = &headers->if_range},
                 {.name = "If-None-Match", .copy = &headers->if_none_match},
                 {.name = "Accept-Encoding", .copy = &headers->accept_encoding},
                 {.name = "X-Forwarded-For",
                  .copy = &headers->forwarded_for,
                  .last_counts = true},
                 {.name = "Idempotency-Key", .copy = &fields.key}},
    };
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool key_twice;

    ex->req.peer = address_from_socket(info != NULL ? info->client_addr : NULL);

    (void)MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, field_cb, &fields);
    key_twice = fields.list[ARRAY_LEN(fields.list) - 1].twice;
    for (size_t i = 0; i < ARRAY_LEN(fields.list); i++) {
        if (fields.list[i].twice) {
            *fields.list[i].copy = NULL; /* two of them: it is unclear which one counts */
        }
    }
    ex->key_bad = key_twice || (fields.key != NULL && !claim_is_key(fields.key));
    ex->req.idempotency_key = ex->key_bad ? NULL : fields.key;
}

/* Note the origin of the page that asks, also for requests without a route.
 */
static void take_origin(struct exchange *ex, const char *method)
{
    struct request_headers *headers = &ex->req.headers;
    const char *origin = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_ORIGIN);

    if (origin == NULL || ex->config->cors_origins[0] == '\0' ||
        ex->place->listener != LISTENER_PUBLIC) {
        return;
    }
    headers->origin = arena_strndup(&ex->req.arena, origin, strlen(origin));
    headers->is_preflight =
        strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0 &&
        MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                    "Access-Control-Request-Method") != NULL;
}

static enum MHD_Result query_cb(void *cls, enum MHD_ValueKind kind, const char *name,
                                size_t name_len, const char *value, size_t value_len)
{
    struct exchange *ex = cls;

    (void)kind;
    if (name != NULL && value != NULL) {
        params_add_query(&ex->req.params, name, name_len, value, value_len);
    }
    return MHD_YES;
}

/* Find the route. False: the answer is decided. */
static bool find_route(struct exchange *ex)
{
    struct request *req = &ex->req;
    struct route_match match;
    const char *reason;
    const char *path = framing_path(&ex->framing, &req->arena, &reason);

    if (path == NULL) {
        ex->framing.must_close = true;
        reply_error(req, reason != NULL ? ERROR_BAD_REQUEST : ERROR_UNAVAILABLE, "%s",
                    reason != NULL ? reason : "out of memory");
        return false;
    }
    switch (route_find(ex->place->routes, ex->place->listener, ex->framing.method, path,
                       &match)) {
    case ROUTE_FOUND:
        request_set_route(req, match.route, match.rest);
        return true;
    case ROUTE_NO_PATH:
        reply_error(req, ERROR_NO_ROUTE, NULL);
        return false;
    case ROUTE_NO_METHOD:
        req->route = match.route;
        if (cors_preflight(req, ex->config->cors_origins, match.allow)) {
            return false;
        }
        reply_error(req, ERROR_NO_METHOD, "use %s", match.allow);
        reply_header(req, "Allow", match.allow);
        return false;
    case ROUTE_NO_SUCH_METHOD:
        break;
    }
    ex->framing.must_close = true;
    reply_error(req, ERROR_NOT_IMPLEMENTED, "this method is unknown here");
    return false;
}

bool exchange_header(struct exchange *ex, const char *method, const char *version)
{
    struct request *req = &ex->req;
    struct framing *framing = &ex->framing;
    bool has_body;
    bool is_upload;

    take_origin(ex, method);
    framing_check(framing, ex->connection, method, &ex->target, version);
    if (framing->verdict != FRAMING_OK) {
        metrics_add(req->app->metrics, METRIC_HTTP_FRAMING_REFUSED, 1);
        reply_error(req,
                    framing->verdict == FRAMING_UNSUPPORTED ? ERROR_NOT_IMPLEMENTED
                                                            : ERROR_BAD_REQUEST,
                    "%s", framing->reason);
        return exchange_answer_early(ex);
    }
    has_body = framing->chunked || framing->content_length > 0;
    req->is_head = strcmp(method, "HEAD") == 0;
    if (!find_route(ex)) {
        if (has_body || framing->must_close) {
            return exchange_answer_early(ex);
        }
        ex->stage = STAGE_BODY;
        return true;
    }
    ex->body.limit = UPLOAD_REST_BYTES;
    is_upload = has_body && (req->route->flags & ROUTE_UPLOAD) != 0 &&
                exchange_is_type(ex, MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA);
    if (is_upload) {
        ex->body.limit = exchange_body_largest(ex);
    }
    if (framing->content_length > ex->body.limit) {
        reply_error(req, ERROR_TOO_LARGE, NULL);
        return exchange_answer_early(ex);
    }
    take_fields(ex);
    (void)MHD_get_connection_values_n(ex->connection, MHD_GET_ARGUMENT_KIND, query_cb,
                                      ex);
    if (is_upload && !exchange_body_admit(ex)) {
        return exchange_answer_early(ex);
    }
    if (has_body) {
        exchange_body_begin(ex);
        reaper_enter(&ex->conn->watch, PHASE_BODY);
    }
    ex->stage = STAGE_BODY;
    return true;
}
