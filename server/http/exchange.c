/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The way of one request from its header to its answer. */
#include "server/http/exchange.h"

#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "shard/base/buf.h"
#include "shard/base/clock.h"
#include "shard/base/fiber.h"
#include "shard/base/log.h"

#include "server/auth/auth.h"
#include "server/auth/rate.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/http/account.h"
#include "server/http/cors.h"
#include "server/http/framing.h"
#include "server/http/multipart.h"
#include "server/request/claim.h"
#include "server/request/reply.h"
#include "server/request/request.h"

/* Where a request is on its way; what the next call of on_request() means. */
enum stage { STAGE_HEAD, STAGE_BODY, STAGE_WORK, STAGE_REPLY };

/* Longest target of a request. */
#define TARGET_MAX_BYTES ((size_t)16 << 10)

/* What of a connection's memory a request's target leaves at least to its headers and to
 * those of the answer. */
#define HEADERS_MIN_BYTES ((size_t)1400)

/* What libmicrohttpd keeps for each parameter of a query, rounded up. */
#define QUERY_RECORD_BYTES 64

/* After so many bytes of an upload the disk is looked at again; an upload that did not
 * say how long it is gets room in such steps. */
#define ROOM_STEP_BYTES ((uint64_t)4 << 20)

/* One request and what libmicrohttpd needs for it; its client_context. */
struct exchange {
    struct exchange *next_head;  /* in place->heads, while in STAGE_HEAD */
    struct exchange **head_link; /* what points to this one; NULL: not in the list */
    struct work work;
    struct exchange_place *place;      /* (ref) */
    struct MHD_Connection *connection; /* (ref) */
    struct exchange_conn *conn;        /* (ref) */
    const struct config *config;       /* (ref) in force when the request began */
    enum stage stage;
    struct framing_target target; /* text in the request's arena */
    struct framing framing;
    struct multipart *parts; /* a multipart body, in the arena; else NULL */
    struct buf form;         /* an urlencoded body; its max is 0 for others */
    bool form_broken;
    struct upload **file; /* the part arriving now is the file we take there; else NULL */
    bool boundary_bad;    /* a multipart body whose parts cannot be found */
    bool refused;         /* answered in the middle of the body */
    struct upload_room room;  /* for what the body may become on disk */
    uint64_t next_look_bytes; /* of the body: look at the room again; 0: it takes none */
    bool key_bad;             /* Idempotency-Key is malformed */
    uint64_t body_bytes;
    uint64_t body_limit;
    bool params_ok;
    struct params_error params_error;
    int64_t ended_us;    /* monotonic: the last byte of the request was there */
    int64_t answered_us; /* the answer was ready; 0: never */
    struct request req;  /* last: it clears itself */
};

/* ---- the answer ------------------------------------------------------------------- */

/* Say who may read the answer, which is decided. */
static void tell_origin(struct exchange *ex)
{
    if (ex->place->listener == LISTENER_PUBLIC) {
        cors_tell(&ex->req, ex->config->cors_origins);
    }
}

/* Queue what req.reply says. */
static bool answer(struct exchange *ex)
{
    ex->stage = STAGE_REPLY;
    tell_origin(ex);
    ex->answered_us = clock_mono_us();
    if (ex->ended_us == 0) {
        ex->ended_us = ex->answered_us;
    }
    if (ex->framing.must_close || atomic_load(ex->place->closing)) {
        reply_close(&ex->req);
    }
    reaper_enter(&ex->conn->watch, PHASE_WRITE);
    return reply_queue(&ex->req, &ex->place->stock, ex->connection);
}

/* Answer before the body was read: the connection ends after that. */
static bool answer_early(struct exchange *ex)
{
    ex->framing.must_close = true;
    ex->conn->expects_more = true;
    return answer(ex);
}

/* Answer where the library takes no answer; the connection must end then. */
static void answer_past_library(struct exchange *ex)
{
    ex->stage = STAGE_REPLY;
    tell_origin(ex);
    ex->ended_us = clock_mono_us();
    ex->answered_us = ex->ended_us;
    ex->conn->expects_more = true;
    reply_send_now(&ex->req, ex->conn->watch.fd);
}

/* Say and count, once nothing more will happen to the request. */
static void account(const struct exchange *ex, const char *end)
{
    const struct route *route = ex->req.route;

    account_write(&ex->req,
                  &(struct account){.route = route != NULL
                                                 ? route_index(ex->place->routes, route)
                                                 : METRICS_NO_ROUTE,
                                    .is_answered = ex->answered_us != 0,
                                    .us = ex->answered_us - ex->ended_us,
                                    .body_bytes = ex->body_bytes,
                                    .end = end});
}

/* ---- running the handler ---------------------------------------------------------- */

/* Everything between a complete request and its answer. Blocks, unless the route is
 * ROUTE_INLINE. Who asks comes first: a stranger learns nothing else. */
static void handle(struct exchange *ex)
{
    struct request *req = &ex->req;
    const struct route *route = req->route;

    if (route->auth != AUTH_NONE && !auth_identify(req->app->auth, req)) {
        return;
    }
    if (!ex->params_ok) {
        reply_error(req, ERROR_PARAM, "%s", ex->params_error.reason);
    } else if (req->upload_status != UPLOAD_OK) {
        reply_error(req, error_from_upload(req->upload_status), "%s",
                    upload_status_text(req->upload_status));
    } else if (rate_admit(req)) {
        route->handler(req);
    }
}

static void run(struct work *work)
{
    struct exchange *ex =
        (struct exchange *)((char *)work - offsetof(struct exchange, work));
    struct request *req = &ex->req;

    log_scope(req->id);
    if (request_left_ms(req) == 0) {
        reply_error(req, ERROR_BUSY, NULL); /* it waited too long: nothing was done */
    } else {
        handle(ex);
    }
    log_scope(NULL);
    MHD_resume_connection(ex->connection); /* EX may be gone after this */
}

/* Have the request run on a fiber, or on a thread of its own. False: too many are. */
static bool submit(struct exchange *ex)
{
    struct app *app = ex->req.app;

    ex->work.run = run;
    return (ex->req.route->flags & ROUTE_THREAD) != 0
               ? workers_submit(app->workers, &ex->work)
               : fibers_submit(app->fibers, &ex->work);
}

static bool dispatch(struct exchange *ex)
{
    struct app *app = ex->req.app;

    ex->stage = STAGE_WORK;
    reaper_enter(&ex->conn->watch, PHASE_WORK);
    /* First: the worker may be done, and resume, before we return. */
    MHD_suspend_connection(ex->connection);
    if (!submit(ex)) {
        metrics_add(app->metrics, METRIC_REQUESTS_REFUSED, 1);
        reply_error(&ex->req, ERROR_BUSY, NULL);
        MHD_resume_connection(ex->connection);
    }
    return true;
}

/* ---- the body --------------------------------------------------------------------- */

/* Get room for the body, or look again whether there still is: for all that was
 * announced, else for some more than there is by now. */
static enum upload_status reserve(struct exchange *ex)
{
    struct app *app = ex->req.app;
    const struct config *config = ex->config;
    uint64_t bytes = ex->framing.content_length;
    uint64_t largest = config->upload_limit_bytes + config->body_limit_bytes;
    const struct upload_limits limits = {
        .spool_max_bytes = config->upload_spool_max_bytes > largest
                               ? config->upload_spool_max_bytes
                               : largest,
        .min_free_bytes = config->media_min_free_bytes,
    };
    if (ex->framing.chunked) {
        bytes = ex->body_bytes + ROOM_STEP_BYTES;
        bytes = bytes < ex->body_limit ? bytes : ex->body_limit;
    }
    enum upload_status status = uploads_reserve(app->uploads, &ex->room, bytes, &limits);

    if (status == UPLOAD_DISK_FULL) {
        metrics_add(app->metrics, METRIC_UPLOADS_NO_ROOM, 1);
    }
    ex->next_look_bytes = ex->body_bytes + ROOM_STEP_BYTES;
    return status;
}

/* The body has grown: is there still room for it? */
static void look_at_room(struct exchange *ex)
{
    struct request *req = &ex->req;

    if (ex->next_look_bytes == 0 || ex->body_bytes < ex->next_look_bytes ||
        req->upload_status != UPLOAD_OK) {
        return;
    }
    req->upload_status = reserve(ex);
    if (req->upload_status != UPLOAD_OK) {
        upload_free(&req->upload);
        upload_free(&req->second_upload);
    }
}

/* Begin the file of the parameter SPEC in *FILE. */
static enum upload_status open_file(struct exchange *ex, const struct param_spec *spec,
                                    struct upload **file)
{
    const struct config *config = ex->config;
    bool is_picture = (spec->flags & PARAM_PICTURE) != 0;
    enum upload_status status =
        upload_new(ex->req.app->uploads,
                   is_picture ? config->picture_limit_bytes : config->upload_limit_bytes,
                   (unsigned)config->uploads_max, file);

    if (status == UPLOAD_OK && is_picture) {
        upload_want_picture(*file);
    }
    return status;
}

/* Does a token that has come already shut the door, so that nobody need wait for the
 * file? The others, and most clients send theirs behind the file, are looked at when the
 * request is complete. */
static bool is_refused_early(struct exchange *ex, bool with_header)
{
    struct request *req = &ex->req;
    bool is_refused;

    if (req->route->auth != AUTH_REQUIRED) {
        return false;
    }
    log_scope(req->id);
    is_refused = auth_refuses_early(req->app->auth, req, with_header);
    log_scope(NULL);
    return is_refused;
}

/* Bytes of the file NAME. What is wrong with it is kept until we know who asks. */
static void take_file(struct exchange *ex, const char *name, bool first, const char *data,
                      size_t len)
{
    struct request *req = &ex->req;
    size_t number = 0;
    const struct param_spec *spec = params_file(&req->params, name, &number);

    if (ex->refused) {
        return;
    }
    if (first) {
        ex->refused = is_refused_early(ex, true);
        /* The first part that is not empty counts. */
        struct upload **file = number == 0 ? &req->upload : &req->second_upload;
        ex->file = *file == NULL && req->upload_status == UPLOAD_OK && !ex->refused
                       ? file
                       : NULL;
    }
    if (ex->file == NULL || len == 0 || req->upload_status != UPLOAD_OK) {
        return;
    }
    if (*ex->file == NULL) {
        req->upload_status = open_file(ex, spec, ex->file);
    }
    if (req->upload_status == UPLOAD_OK) {
        req->upload_status = upload_write(*ex->file, data, len);
    }
    if (req->upload_status != UPLOAD_OK) {
        upload_free(ex->file);
    }
}

static void part_cb(void *cls, const char *name, bool first, const char *data, size_t len)
{
    struct exchange *ex = cls;

    if (params_is_file(&ex->req.params, name)) {
        take_file(ex, name, first, data, len);
    } else {
        params_add_part(&ex->req.params, name, first, data, len);
    }
}

/* The next bytes of the body. What nobody wants is dropped, so that the connection can go
 * on. */
static bool on_body(struct exchange *ex, const char *data, size_t len)
{
    ex->body_bytes += len;
    if (ex->body_bytes > ex->body_limit) {
        reply_error(&ex->req, ERROR_TOO_LARGE, NULL); /* it must be a chunked one */
        answer_past_library(ex);
        return false;
    }
    look_at_room(ex);
    if (ex->parts != NULL) {
        ex->form_broken = !multipart_add(ex->parts, data, len);
    } else if (ex->form.max > 0) {
        (void)buf_add(&ex->form, data, len); /* says failed when memory is short */
    }
    if (ex->refused) {
        answer_past_library(ex);
    }
    return !ex->refused;
}

/* *FILE, if it was begun, is complete. */
static void end_file(struct exchange *ex, struct upload **file)
{
    struct request *req = &ex->req;

    if (*file == NULL || req->upload_status != UPLOAD_OK) {
        return;
    }
    req->upload_status = ex->form_broken ? UPLOAD_FAILED : upload_finish(*file);
    if (req->upload_status != UPLOAD_OK) {
        upload_free(file);
    }
}

/* The body is complete: collect what it holds, then check all of the request. */
static void end_form(struct exchange *ex)
{
    struct request *req = &ex->req;

    if (ex->boundary_bad || (ex->parts != NULL && !multipart_is_complete(ex->parts))) {
        ex->form_broken = true;
    }
    if (ex->form.failed) {
        req->params.no_memory = true;
    } else if (ex->form.len > 0) {
        params_add_urlencoded(&req->params, ex->form.data, ex->form.len);
    }
    end_file(ex, &req->upload);
    end_file(ex, &req->second_upload);
    /* Also where something else is wrong: who asks comes first, and the token is one of
     * them. */
    ex->params_ok = params_check(&req->params, &ex->params_error);
    if (ex->form_broken) {
        req->upload_status = UPLOAD_OK; /* the broken form is the reason */
        ex->params_ok = false;
        (void)snprintf(ex->params_error.reason, sizeof(ex->params_error.reason),
                       "the body is not a well-formed form");
    } else if (ex->key_bad) {
        ex->params_ok = false;
        (void)snprintf(ex->params_error.reason, sizeof(ex->params_error.reason),
                       "Idempotency-Key is not 1 to %d visible ASCII characters",
                       REQUEST_KEY_MAX);
    }
}

/* Answer in this thread, if the route says so, or all of the answer is in memory. */
static bool answered_here(struct exchange *ex)
{
    struct request *req = &ex->req;
    const struct route *route = req->route;
    bool is_answered = (route->flags & ROUTE_INLINE) != 0;

    log_scope(req->id);
    if (is_answered) {
        handle(ex);
    } else if (route->quick != NULL && ex->params_ok) {
        is_answered = route->quick(req);
    }
    log_scope(NULL);
    return is_answered;
}

/* The request is complete. */
static bool on_end(struct exchange *ex)
{
    struct request *req = &ex->req;
    int budget_ms;

    ex->ended_us = clock_mono_us();
    if (req->reply.kind != REPLY_NONE) {
        return answer(ex); /* 404 or 405, decided when the header was there */
    }
    budget_ms = req->route->budget == BUDGET_PUBLISH ? ex->config->publish_timeout_ms
                                                     : ex->config->request_timeout_ms;
    request_set_deadline(req, ex->ended_us / 1000 + budget_ms);
    end_form(ex);
    if (req->params.no_memory) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
        return answer(ex);
    }
    /* A token may be in the part of the body that cannot be read: do not ask for it. */
    if (!ex->params_ok && (req->route->auth == AUTH_NONE || ex->form_broken)) {
        reply_error(req, ERROR_PARAM, "%s", ex->params_error.reason);
        return answer(ex);
    }
    return answered_here(ex) ? answer(ex) : dispatch(ex);
}

/* ---- the header ------------------------------------------------------------------- */

/* Copies of the header fields that handlers may want; the library's go when it likes. */
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

    ex->req.peer = client_from_socket(info != NULL ? info->client_addr : NULL);

    (void)MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, field_cb, &fields);
    key_twice = fields.list[ARRAY_LEN(fields.list) - 1].twice;
    for (size_t i = 0; i < ARRAY_LEN(fields.list); i++) {
        if (fields.list[i].twice) {
            *fields.list[i].copy = NULL; /* nobody knows which one counts */
        }
    }
    ex->key_bad = key_twice || (fields.key != NULL && !claim_is_key(fields.key));
    ex->req.idempotency_key = ex->key_bad ? NULL : fields.key;
}

/* What is known of the page that asks; of every request, also one that no route is for.
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

/* Is TYPE the media type of the body, whatever its parameters are? */
static bool is_type(struct MHD_Connection *connection, const char *type)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                    MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = strlen(type);

    return value != NULL && strncasecmp(value, type, len) == 0 &&
           (value[len] == '\0' || strchr("; \t", value[len]) != NULL);
}

static void begin_multipart(struct exchange *ex)
{
    struct multipart *parts = arena_alloc(&ex->req.arena, sizeof(*parts));
    const char *type = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                                   MHD_HTTP_HEADER_CONTENT_TYPE);

    if (parts == NULL) {
        ex->req.params.no_memory = true;
    } else if (multipart_init(parts, type, part_cb, ex)) {
        ex->parts = parts;
    } else {
        ex->boundary_bad = (ex->req.route->flags & ROUTE_UPLOAD) != 0;
    }
}

/* Prepare to read the body of a request that has one. */
static void begin_body(struct exchange *ex)
{
    if (is_type(ex->connection, MHD_HTTP_POST_ENCODING_FORM_URLENCODED)) {
        buf_init(&ex->form, ex->config->body_limit_bytes);
    } else if (is_type(ex->connection, MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA)) {
        begin_multipart(ex);
    }
    ex->req.params.body_unread = ex->parts == NULL && ex->form.max == 0;
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

/* Is there room for the upload that the header announces? False: answered. */
static bool find_room(struct exchange *ex)
{
    enum upload_status status = reserve(ex);

    if (status == UPLOAD_OK) {
        return true;
    }
    reply_error(&ex->req, error_from_upload(status), "%s", upload_status_text(status));
    return false;
}

/* The header is complete. Whatever is answered here ends the connection, because the
 * library does so when it is answered at this point. */
static bool on_header(struct exchange *ex, const char *method, const char *version)
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
        return answer_early(ex);
    }
    has_body = framing->chunked || framing->content_length > 0;
    req->is_head = strcmp(method, "HEAD") == 0;
    if (!find_route(ex)) {
        if (has_body || framing->must_close) {
            return answer_early(ex);
        }
        ex->stage = STAGE_BODY;
        return true;
    }
    ex->body_limit = ex->config->body_limit_bytes;
    is_upload = has_body && (req->route->flags & ROUTE_UPLOAD) != 0 &&
                is_type(ex->connection, MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA);
    if (is_upload) {
        ex->body_limit += ex->config->upload_limit_bytes;
    }
    if (framing->content_length > ex->body_limit) {
        reply_error(req, ERROR_TOO_LARGE, NULL);
        return answer_early(ex);
    }
    take_fields(ex);
    (void)MHD_get_connection_values_n(ex->connection, MHD_GET_ARGUMENT_KIND, query_cb,
                                      ex);
    if (is_upload && (is_refused_early(ex, false) || !find_room(ex))) {
        return answer_early(ex);
    }
    if (has_body) {
        begin_body(ex);
        reaper_enter(&ex->conn->watch, PHASE_BODY);
    }
    ex->stage = STAGE_BODY;
    return true;
}

/* ---- life cycle ------------------------------------------------------------------- */

static void enter_heads(struct exchange *ex)
{
    ex->head_link = &ex->place->heads;
    ex->next_head = ex->place->heads;
    if (ex->next_head != NULL) {
        ex->next_head->head_link = &ex->next_head;
    }
    ex->place->heads = ex;
}

static void leave_heads(struct exchange *ex)
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
    leave_heads(ex);
    metrics_add(ex->place->app->metrics, METRIC_HTTP_FRAMING_REFUSED, 1);
    reply_error(&ex->req, code, "%s", why);
    answer_past_library(ex);
    (void)shutdown(ex->conn->watch.fd, SHUT_WR);
}

void exchange_refuse_length(struct exchange_place *place)
{
    struct exchange *next;

    for (struct exchange *ex = place->heads; ex != NULL; ex = next) {
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
    struct exchange *next;

    for (struct exchange *ex = place->heads; ex != NULL; ex = next) {
        size_t bytes = strlen(ex->target.text);

        next = ex->next_head;
        (void)MHD_get_connection_values_n(ex->connection, MHD_HEADER_KIND, size_cb,
                                          &bytes);
        if (bytes >= ex->config->connection_memory_bytes / 2 - HEADERS_MIN_BYTES) {
            refuse_head(ex, ERROR_TARGET_TOO_LONG, "with all headers");
        }
    }
}

/* Is this target longer than we take, or would it leave too little of the connection's
 * memory for the headers? The library keeps a record for each parameter of the query
 * beside the target; when it finds no room for either it goes on waiting, so the question
 * must be asked before. */
static bool is_target_too_long(const struct exchange *ex)
{
    size_t len = 0;
    size_t bytes = 0;

    for (const char *p = ex->target.text; *p != '\0'; p++) {
        len++;
        bytes += *p == '&' ? 1 + QUERY_RECORD_BYTES : 1;
    }
    return len > TARGET_MAX_BYTES ||
           bytes + HEADERS_MIN_BYTES > ex->config->connection_memory_bytes;
}

static void refuse_target(struct exchange *ex)
{
    leave_heads(ex);
    reply_error(&ex->req, ERROR_TARGET_TOO_LONG, NULL);
    answer_past_library(ex);
    (void)shutdown(ex->conn->watch.fd, SHUT_RDWR);
}

static void exchange_free(struct exchange *ex)
{
    leave_heads(ex);
    buf_clear(&ex->form);
    reply_restock(&ex->req.reply, &ex->place->stock);
    request_release(&ex->req);
    uploads_release(ex->place->app->uploads, &ex->room);
    free(ex);
}

struct exchange *exchange_new(struct exchange_place *place,
                              struct MHD_Connection *connection,
                              struct exchange_conn *conn, const char *target)
{
    struct exchange *ex = malloc(sizeof(*ex));

    if (ex == NULL) {
        return NULL;
    }
    memset(ex, 0, offsetof(struct exchange, req));
    ex->place = place;
    ex->connection = connection;
    ex->conn = conn;
    ex->config = app_config(place->app);
    request_init(&ex->req, place->app, clock_mono_ms());
    ex->target.at = target;
    ex->target.text = arena_strndup(&ex->req.arena, target, strlen(target));
    if (ex->target.text == NULL) {
        exchange_free(ex);
        return NULL;
    }
    enter_heads(ex);
    conn->expects_more = false;
    reaper_enter(&conn->watch, PHASE_HEAD);
    if (is_target_too_long(ex)) {
        refuse_target(ex);
    }
    return ex;
}

bool exchange_step(struct exchange *ex, const char *method, const char *version,
                   const char *data, size_t len)
{
    switch (ex->stage) {
    case STAGE_HEAD:
        leave_heads(ex);
        return on_header(ex, method, version);
    case STAGE_BODY:
        return len > 0 ? on_body(ex, data, len) : on_end(ex);
    case STAGE_WORK: /* resumed */
        return answer(ex);
    case STAGE_REPLY:
        break;
    }
    return true;
}

void exchange_end(struct exchange **ex, const char *end, bool refused)
{
    struct exchange *self = *ex;

    *ex = NULL;
    if (refused && self->stage != STAGE_REPLY) {
        self->conn->expects_more = true;
    }
    account(self, end);
    reaper_enter(&self->conn->watch, PHASE_IDLE);
    exchange_free(self);
}
