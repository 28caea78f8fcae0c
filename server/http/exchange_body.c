/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reading the body of a request. */
#include <microhttpd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shard/base/log.h"

#include "server/auth/auth.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/http/exchange_impl.h"

/* After this many bytes of an upload the free space is checked again; an upload without a
 * Content-Length gets room in such steps. */
#define ROOM_STEP_BYTES ((uint64_t)4 << 20)

/* ---- Room ---- */

/* Get room for the body, or check that there still is: for a known user as much as was
 * announced, else a step more than has come. */
static enum upload_status reserve(struct exchange *ex)
{
    struct app *app = ex->req.app;
    const struct upload_limits limits = upload_limits(ex->config);
    uint64_t announced =
        ex->framing.chunked ? ex->body.limit : ex->framing.content_length;
    uint64_t bytes = announced;

    if (ex->framing.chunked || ex->body.room.user_id == 0) {
        bytes = ex->body.bytes + ROOM_STEP_BYTES;
        bytes = bytes < announced ? bytes : announced;
    }
    enum upload_status status =
        uploads_reserve(app->uploads, &ex->body.room, bytes, &limits);

    if (status == UPLOAD_DISK_FULL) {
        metrics_add(app->metrics, METRIC_UPLOADS_NO_ROOM, 1);
    }
    ex->body.next_look_bytes = ex->body.bytes + ROOM_STEP_BYTES;
    return status;
}

/* Drop the files, with STATUS as the reason. */
static void drop_files(struct request *req, enum upload_status status)
{
    req->upload_status = status;
    upload_free(&req->upload);
    upload_free(&req->second_upload);
}

/* The body has grown: is there still room for it? */
static void look_at_room(struct exchange *ex)
{
    struct request *req = &ex->req;

    if (ex->body.next_look_bytes == 0 || ex->body.bytes < ex->body.next_look_bytes ||
        req->upload_status != UPLOAD_OK) {
        return;
    }
    enum upload_status status = reserve(ex);
    if (status != UPLOAD_OK) {
        drop_files(req, status);
    }
}

/* Can the request be refused by a token that has come already, without waiting for the
 * file? Other tokens (most clients send theirs after the file) are checked when the
 * request is complete. *USER_ID is the token's user, 0 when not known yet. */
static bool is_refused_early(struct exchange *ex, uint64_t *user_id)
{
    struct request *req = &ex->req;

    *user_id = 0;
    return req->route->auth == AUTH_REQUIRED &&
           auth_refuses_early(req->app->auth, req, user_id);
}

/* Answer that there is no place or no room. */
static void refuse(struct exchange *ex, enum upload_status status)
{
    reply_error(&ex->req, error_from_upload(status), "%s", upload_status_text(status));
}

/* Take a place, unless there is one already, and room for USER_ID (0: a stranger). */
static enum upload_status take_place(struct exchange *ex, uint64_t user_id)
{
    struct uploads *uploads = ex->req.app->uploads;
    struct upload_room *room = &ex->body.room;
    const struct upload_limits limits = upload_limits(ex->config);
    enum upload_status status = UPLOAD_OK;

    if (!room->has_place) {
        room->user_id = user_id;
        room->network = address_network(request_client(&ex->req));
        status = uploads_enter(uploads, room, &limits);
    } else if (user_id != 0) {
        status = uploads_identify(uploads, room, user_id, &limits);
    }
    return status == UPLOAD_OK ? reserve(ex) : status;
}

bool exchange_body_admit(struct exchange *ex)
{
    uint64_t user_id;

    if (is_refused_early(ex, &user_id)) {
        return false;
    }
    /* Whoever is not known yet takes a place only when the first file begins: the token
     * may have come by then. */
    const struct upload_limits limits = upload_limits(ex->config);
    enum upload_status status =
        user_id != 0 ? take_place(ex, user_id)
                     : uploads_reserve(ex->req.app->uploads, &ex->body.room, 0, &limits);

    if (status == UPLOAD_DISK_FULL && user_id == 0) {
        metrics_add(ex->req.app->metrics, METRIC_UPLOADS_NO_ROOM, 1);
    }
    if (status != UPLOAD_OK) {
        refuse(ex, status);
    }
    return status == UPLOAD_OK;
}

/* A file begins; a field before it may have had the token. False: the request has been
 * answered. */
static bool admit_file(struct exchange *ex)
{
    uint64_t user_id;

    if (is_refused_early(ex, &user_id)) {
        return false;
    }
    enum upload_status status = take_place(ex, user_id);

    if (status != UPLOAD_OK) {
        refuse(ex, status);
    }
    return status == UPLOAD_OK;
}

void exchange_body_identify(struct exchange *ex)
{
    struct request *req = &ex->req;
    const struct upload_limits limits = upload_limits(ex->config);

    if (ex->body.room.has_place && req->who.user_id != 0 &&
        req->upload_status == UPLOAD_OK) {
        req->upload_status = uploads_identify(req->app->uploads, &ex->body.room,
                                              req->who.user_id, &limits);
    }
}

/* ---- Files ---- */

static uint64_t file_limit(const struct config *config, const struct param_spec *spec)
{
    return (spec->flags & PARAM_PICTURE) != 0 ? config->picture_limit_bytes
                                              : config->upload_limit_bytes;
}

uint64_t exchange_body_largest(const struct exchange *ex)
{
    const struct param_spec *spec = ex->req.route->params;
    uint64_t bytes = UPLOAD_REST_BYTES;

    for (; spec != NULL && spec->name != NULL; spec++) {
        bytes += spec->type == PARAM_FILE ? file_limit(ex->config, spec) : 0;
    }
    return bytes;
}

/* Begin the file of parameter SPEC in *FILE. */
static enum upload_status open_file(struct exchange *ex, const struct param_spec *spec,
                                    struct upload **file)
{
    enum upload_status status = upload_new(ex->req.app->uploads, &ex->body.room,
                                           file_limit(ex->config, spec), file);

    if (status == UPLOAD_OK && (spec->flags & PARAM_PICTURE) != 0) {
        upload_want_picture(*file);
    }
    return status;
}

/* Take bytes of the file NAME. An error is kept until we know who asks. */
static void take_file(struct exchange *ex, const char *name, bool first, const char *data,
                      size_t len)
{
    struct request *req = &ex->req;
    size_t number = 0;
    const struct param_spec *spec = params_file(&req->params, name, &number);

    if (ex->body.is_refused) {
        return;
    }
    if (first) {
        ex->body.is_refused = !admit_file(ex);
        /* The first part that is not empty counts. */
        struct upload **file = number == 0 ? &req->upload : &req->second_upload;
        ex->body.file =
            *file == NULL && req->upload_status == UPLOAD_OK && !ex->body.is_refused
                ? file
                : NULL;
    }
    if (ex->body.file == NULL || len == 0 || req->upload_status != UPLOAD_OK) {
        return;
    }
    if (*ex->body.file == NULL) {
        req->upload_status = open_file(ex, spec, ex->body.file);
    }
    if (req->upload_status == UPLOAD_OK) {
        req->upload_status = upload_write(*ex->body.file, data, len);
    }
    if (req->upload_status != UPLOAD_OK) {
        upload_free(ex->body.file);
    }
}

/* ---- Forms ---- */

static void part_cb(void *cls, const char *name, bool first, const char *data, size_t len)
{
    struct exchange *ex = cls;

    if (params_is_file(&ex->req.params, name)) {
        take_file(ex, name, first, data, len);
    } else {
        params_add_part(&ex->req.params, name, first, data, len);
    }
}

bool exchange_is_type(const struct exchange *ex, const char *type)
{
    const char *value = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                                    MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t len = strlen(type);

    return value != NULL && strncasecmp(value, type, len) == 0 &&
           (value[len] == '\0' || strchr("; \t", value[len]) != NULL);
}

static void begin_multipart(struct exchange *ex)
{
    struct multipart *parts = arena_alloc(&ex->req.arena, sizeof *parts);
    const char *type = MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND,
                                                   MHD_HTTP_HEADER_CONTENT_TYPE);

    if (parts == NULL) {
        ex->req.params.no_memory = true;
    } else if (multipart_init(parts, type, part_cb, ex)) {
        ex->body.parts = parts;
    } else {
        ex->body.boundary_bad = (ex->req.route->flags & ROUTE_UPLOAD) != 0;
    }
}

void exchange_body_begin(struct exchange *ex)
{
    if (exchange_is_type(ex, MHD_HTTP_POST_ENCODING_FORM_URLENCODED)) {
        buf_init(&ex->body.form, UPLOAD_REST_BYTES);
    } else if (exchange_is_type(ex, MHD_HTTP_POST_ENCODING_MULTIPART_FORMDATA)) {
        begin_multipart(ex);
    }
    ex->req.params.body_unread = ex->body.parts == NULL && ex->body.form.max == 0;
}

/* ---- To disk ---- */

static enum upload_status flush_file(struct upload *file)
{
    return file != NULL ? upload_flush(file) : UPLOAD_OK;
}

static void flush_run(struct work *work)
{
    struct exchange *ex =
        (struct exchange *)((char *)work - offsetof(struct exchange, flush));
    struct request *req = &ex->req;

    log_scope(req->id);
    enum upload_status status = flush_file(req->upload);
    if (status == UPLOAD_OK) {
        status = flush_file(req->second_upload);
    }
    if (status != UPLOAD_OK) {
        drop_files(req, status);
    }
    log_scope(NULL);
    atomic_store(&ex->flushing, false);
    MHD_resume_connection(ex->connection); /* EX may be freed after this */
}

static bool is_flush_due(const struct request *req)
{
    return req->upload_status == UPLOAD_OK &&
           ((req->upload != NULL && upload_is_due(req->upload)) ||
            (req->second_upload != NULL && upload_is_due(req->second_upload)));
}

/* Have a thread that may block write what has come; no more of the body is taken
 * meanwhile. From here on the other thread owns the request. */
static void flush(struct exchange *ex)
{
    ex->flush.run = flush_run;
    atomic_store(&ex->flushing, true);
    MHD_suspend_connection(ex->connection);
    if (!workers_submit(ex->req.app->disk, &ex->flush)) {
        drop_files(&ex->req, UPLOAD_BUSY);
        atomic_store(&ex->flushing, false);
        MHD_resume_connection(ex->connection);
    }
}

bool exchange_body(struct exchange *ex, const char *data, size_t len)
{
    ex->body.bytes += len;
    if (ex->body.bytes > ex->body.limit) {
        reply_error(&ex->req, ERROR_TOO_LARGE, NULL); /* only a chunked body gets here */
        exchange_answer_past_library(ex);
        return false;
    }
    look_at_room(ex);
    if (ex->body.parts != NULL) {
        ex->body.is_broken = !multipart_add(ex->body.parts, data, len);
    } else if (ex->body.form.max > 0) {
        (void)buf_add(&ex->body.form, data, len); /* out of memory shows as `failed` */
    }
    if (ex->body.is_refused) {
        exchange_answer_past_library(ex);
        return false;
    }
    if (is_flush_due(&ex->req)) {
        flush(ex);
    }
    return true;
}

/* *FILE, if it was begun, is complete. */
static void end_file(struct exchange *ex, struct upload **file)
{
    struct request *req = &ex->req;

    if (*file == NULL || req->upload_status != UPLOAD_OK) {
        return;
    }
    req->upload_status = upload_finish(*file);
    if (req->upload_status != UPLOAD_OK) {
        upload_free(file);
    }
}

void exchange_body_finish(struct exchange *ex)
{
    end_file(ex, &ex->req.upload);
    end_file(ex, &ex->req.second_upload);
}

void exchange_body_end(struct exchange *ex)
{
    struct request *req = &ex->req;

    if (ex->body.boundary_bad ||
        (ex->body.parts != NULL && !multipart_is_complete(ex->body.parts))) {
        ex->body.is_broken = true;
    }
    if (ex->body.form.failed) {
        req->params.no_memory = true;
    } else if (ex->body.form.len > 0) {
        params_add_urlencoded(&req->params, ex->body.form.data, ex->body.form.len);
    }
    /* Checked even if something else is wrong, because the token is one of them, and
     * authentication comes first. */
    ex->params_ok = params_check(&req->params, &ex->params_error);
    if (ex->body.is_broken) {
        req->upload_status = UPLOAD_OK; /* report the broken form instead */
        ex->params_ok = false;
        (void)snprintf(ex->params_error.reason, sizeof ex->params_error.reason,
                       "the body is not a well-formed form");
    } else if (ex->key_bad) {
        ex->params_ok = false;
        (void)snprintf(ex->params_error.reason, sizeof ex->params_error.reason,
                       "Idempotency-Key is not 1 to %d visible ASCII characters",
                       REQUEST_KEY_MAX);
    }
}
