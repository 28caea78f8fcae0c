/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Building answers, and queueing them. */
#include "server/request/reply.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/buf.h"
#include "shard/base/json_out.h"

#include "server/base/app.h"
#include "server/request/reply_file.h"
#include "server/request/request.h"
#include "server/request/route.h"

/* A longer envelope than this is a bug: every list has a limit of rows. */
#define ENVELOPE_BYTES_MAX ((size_t)4 << 20)

/* Detail of a refusal, before escaping. */
#define DETAIL_BYTES_MAX 300

static const char envelope_type[] = "application/json; charset=utf-8";

void reply_init(struct reply *reply)
{
    memset(reply, 0, offsetof(struct reply, error_body));
    reply->error_body[0] = '\0';
    reply->fd = -1;
}

/* Forget the body, keep the headers. */
static void drop_body(struct reply *reply)
{
    buf_clear(&reply->out.buf);
    if (reply->kind == REPLY_HEAP) {
        free(reply->heap);
    }
    if (reply->fd >= 0) {
        (void)close(reply->fd);
    }
    reply->heap = NULL;
    reply->fd = -1;
    reply->kind = REPLY_NONE;
    reply->body = NULL;
    reply->body_len = 0;
    reply->cacheable = false;
}

void reply_release(struct reply *reply)
{
    drop_body(reply);
}

/* Append TEXT as the inside of a JSON string while there is room for END more bytes.
 * Anything but printable ASCII becomes '?': details are our own English texts. */
static void add_escaped(char *out, size_t *len, size_t size, const char *text)
{
    for (; *text != '\0' && *len + 2 < size; text++) {
        char c = *text >= ' ' && *text <= '~' ? *text : '?';

        if (c == '"' || c == '\\') {
            out[(*len)++] = '\\';
        }
        out[(*len)++] = c;
    }
    out[*len] = '\0';
}

/* Set an envelope with only KEYS, if any. */
static void set_envelope(struct reply *reply, enum error_code code, const char *detail,
                         const char *keys)
{
    const struct error_info *info = error_info(code);
    size_t tail = 4 + (keys != NULL ? strlen(keys) : 0);
    size_t size = sizeof reply->error_body - tail;
    int begin;
    size_t len;

    CHECK(tail < sizeof reply->error_body / 2);
    drop_body(reply);
    begin = snprintf(reply->error_body, size, "{\"status_code\":%d,\"status_msg\":\"%s%s",
                     info->code, info->text, detail[0] != '\0' ? ": " : "");
    CHECK(begin > 0 && (size_t)begin < size);
    len = (size_t)begin;
    add_escaped(reply->error_body, &len, size, detail);
    (void)snprintf(reply->error_body + len, sizeof reply->error_body - len, "\"%s%s}",
                   keys != NULL ? "," : "", keys != NULL ? keys : "");
    reply->kind = REPLY_STATIC;
    reply->error = code;
    reply->http_status = info->http;
    reply->content_type = envelope_type;
    reply->body = reply->error_body;
    reply->body_len = strlen(reply->error_body);
}

static void set_error(struct request *req, enum error_code code, const char *detail)
{
    set_envelope(&req->reply, code, detail,
                 req->route != NULL ? req->route->failure_json : NULL);
}

void reply_error(struct request *req, enum error_code code, const char *fmt, ...)
{
    char detail[DETAIL_BYTES_MAX] = "";
    va_list args;

    if (fmt != NULL) {
        va_start(args, fmt);
        (void)vsnprintf(detail, sizeof detail, fmt, args);
        va_end(args);
    }
    set_error(req, code, detail);
}

void reply_ok(struct request *req)
{
    set_envelope(&req->reply, ERROR_OK, "", NULL);
}

struct json_out *reply_begin(struct request *req)
{
    struct json_out *out = &req->reply.out;
    const struct error_info *info = error_info(ERROR_OK);

    drop_body(&req->reply);
    json_out_init(out, ENVELOPE_BYTES_MAX);
    json_out_object(out, NULL);
    json_out_integer(out, "status_code", info->code);
    json_out_text(out, "status_msg", info->text);
    return out;
}

void reply_end(struct request *req)
{
    struct json_out *out = &req->reply.out;
    size_t len = 0;

    json_out_object_end(out);
    char *body = buf_detach(&out->buf, &len);
    if (body == NULL) {
        set_error(req, ERROR_UNAVAILABLE, "out of memory");
        return;
    }
    reply_json(req, body, len);
}

void reply_json(struct request *req, char *body_steal, size_t len)
{
    reply_raw(req, error_info(ERROR_OK)->http, envelope_type, body_steal, len);
}

void reply_end_page(struct request *req, uint64_t next_cursor, bool partial)
{
    json_out_integer(&req->reply.out, "next_cursor", (int64_t)next_cursor);
    json_out_bool(&req->reply.out, "partial", partial);
    reply_end(req);
}

static void reply_code(struct request *req, enum error_code code)
{
    if (code == ERROR_OK) {
        reply_ok(req);
        return;
    }
    set_error(req, code, "");
}

void reply_outcome(struct request *req, enum outcome outcome)
{
    reply_code(req, error_from_outcome(outcome));
}

void reply_outcome_of(struct request *req, enum outcome outcome, enum error_code missing)
{
    reply_code(req, outcome == OUTCOME_NOTFOUND ? missing : error_from_outcome(outcome));
}

void reply_raw(struct request *req, unsigned http_status, const char *content_type,
               char *body_steal, size_t len)
{
    struct reply *reply = &req->reply;

    drop_body(reply);
    if (body_steal == NULL && len > 0) {
        set_error(req, ERROR_UNAVAILABLE, "out of memory");
        return;
    }
    reply->kind = REPLY_HEAP;
    reply->error = ERROR_OK;
    reply->http_status = http_status;
    reply->content_type = content_type;
    reply->heap = body_steal;
    reply->body = body_steal;
    reply->body_len = len;
}

void reply_static(struct request *req, unsigned http_status, const char *content_type,
                  const char *body)
{
    struct reply *reply = &req->reply;

    drop_body(reply);
    reply->kind = REPLY_STATIC;
    reply->error = ERROR_OK;
    reply->http_status = http_status;
    reply->content_type = content_type;
    reply->body = body;
    reply->body_len = strlen(body);
}

void reply_file(struct request *req, const struct reply_file *file)
{
    struct reply *reply = &req->reply;

    drop_body(reply);
    reply->error = ERROR_OK;
    reply->http_status = file->http_status;
    reply->content_type = file->content_type;
    reply->cacheable = true;
    if (file->fd < 0) {
        reply->kind = REPLY_STATIC;
        reply->body = file->bytes + file->offset;
        reply->body_len = file->length;
        return;
    }
    reply->kind = REPLY_FILE;
    reply->fd = file->fd;
    reply->offset = file->offset;
    reply->length = file->length;
}

static bool is_header_value(const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c < ' ' && c != '\t') || c == 0x7F) {
            return false;
        }
    }
    return true;
}

void reply_header(struct request *req, const char *name, const char *value)
{
    char *copy = NULL;

    if (req->reply.n_headers < REPLY_HEADERS_MAX && is_header_value(value)) {
        copy = arena_strndup(&req->arena, value, strlen(value));
    }
    if (copy != NULL) {
        reply_header_static(req, name, copy);
    }
}

void reply_header_static(struct request *req, const char *name, const char *value)
{
    struct reply *reply = &req->reply;

    CHECK(reply->n_headers < REPLY_HEADERS_MAX);
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers].value = value;
    reply->n_headers++;
}

void reply_close(struct request *req)
{
    req->reply.close = true;
}

uint64_t reply_bytes(const struct reply *reply)
{
    return reply->kind == REPLY_FILE ? reply->length : reply->body_len;
}

/* Make the body, whose memory or descriptor then belongs to the response. */
static struct MHD_Response *make_response(struct request *req,
                                          struct MHD_Connection *connection)
{
    struct reply *reply = &req->reply;
    struct MHD_Response *response;
    struct MHD_IoVec part;

    if (reply->kind == REPLY_FILE && reply->length > 0) {
        response = reply_file_response(&(struct file_part){.fd = reply->fd,
                                                           .offset = reply->offset,
                                                           .length = reply->length},
                                       connection, req->app->disk);
        if (response != NULL) {
            reply->fd = -1;
        }
        return response;
    }
    if (reply->kind == REPLY_HEAP && reply->heap != NULL) {
        response = MHD_create_response_from_buffer(reply->body_len, reply->heap,
                                                   MHD_RESPMEM_MUST_FREE);
        if (response != NULL) {
            reply->heap = NULL;
            reply->body = NULL;
        }
        return response;
    }
    if (reply->kind != REPLY_STATIC || reply->body_len == 0) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    /* Borrowed: it lives until the request is released, after the last byte was sent. */
    part.iov_base = reply->body;
    part.iov_len = reply->body_len;
    return MHD_create_response_from_iovec(&part, 1, NULL, NULL);
}

/* Headers of every answer, unless its handler replaces them. */
static const struct reply_header fixed_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
};

static bool has_header(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_headers; i++) {
        if (strcmp(reply->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_headers(const struct reply *reply, struct MHD_Response *response)
{
    bool ok = true;

    for (size_t i = 0; ok && i < ARRAY_LEN(fixed_headers); i++) {
        ok = has_header(reply, fixed_headers[i].name) ||
             MHD_add_response_header(response, fixed_headers[i].name,
                                     fixed_headers[i].value) == MHD_YES;
    }
    if (ok && reply->content_type != NULL) {
        ok = MHD_add_response_header(response, "Content-Type", reply->content_type) ==
             MHD_YES;
    }
    if (ok && !reply->cacheable) {
        ok = MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES;
    }
    for (size_t i = 0; ok && i < reply->n_headers; i++) {
        ok = MHD_add_response_header(response, reply->headers[i].name,
                                     reply->headers[i].value) == MHD_YES;
    }
    if (ok && reply->close) {
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    }
    return ok;
}

static const char id_header[] = "X-Request-Id";

static bool add_id(const struct request *req, struct MHD_Response *response)
{
    return MHD_add_response_header(response, id_header, req->id) == MHD_YES;
}

/* Take the response with this BODY out of STOCK; NULL: there is none. */
static struct MHD_Response *take_ready(struct reply_stock *stock, const char *body)
{
    for (size_t i = 0; i < stock->n; i++) {
        if (stock->ready[i].body == body) {
            struct MHD_Response *response = stock->ready[i].response;

            stock->ready[i] = stock->ready[--stock->n];
            return response;
        }
    }
    return NULL;
}

/* Can this response be used again for other requests? */
static bool is_common(const struct reply *reply)
{
    return reply->kind == REPLY_STATIC && reply->body != reply->error_body &&
           reply->body_len > 0 && reply->n_headers == 0 && !reply->close;
}

/* The response with all its headers. NULL: out of memory. */
static struct MHD_Response *dress_response(struct request *req, struct reply_stock *stock,
                                           struct MHD_Connection *connection)
{
    struct reply *reply = &req->reply;
    bool common = is_common(reply);
    struct MHD_Response *response = common ? take_ready(stock, reply->body) : NULL;
    bool ok = true;

    if (response == NULL) {
        response = make_response(req, connection);
        ok = response != NULL && add_headers(reply, response);
    }
    if (ok && add_id(req, response)) {
        reply->response = common ? response : NULL;
        return response;
    }
    if (response != NULL) {
        MHD_destroy_response(response);
    }
    return NULL;
}

bool reply_queue(struct request *req, struct reply_stock *stock,
                 struct MHD_Connection *connection)
{
    struct reply *reply = &req->reply;
    struct MHD_Response *response;
    bool ok;

    if (reply->kind == REPLY_NONE) {
        set_error(req, ERROR_INTERNAL, "");
    }
    response = dress_response(req, stock, connection);
    if (response == NULL) {
        return false;
    }
    ok = MHD_queue_response(connection, reply->http_status, response) == MHD_YES;
    if (reply->response == NULL) {
        MHD_destroy_response(response);
    }
    return ok;
}

/* Undo add_id(). */
static bool remove_id(struct MHD_Response *response)
{
    const char *id = MHD_get_response_header(response, id_header);

    return id != NULL && MHD_del_response_header(response, id_header, id) == MHD_YES;
}

void reply_restock(struct reply *reply, struct reply_stock *stock)
{
    struct MHD_Response *response = reply->response;

    if (response == NULL) {
        return;
    }
    reply->response = NULL;
    if (stock->n == REPLY_STOCK_MAX || !remove_id(response)) {
        MHD_destroy_response(response);
        return;
    }
    stock->ready[stock->n].body = reply->body;
    stock->ready[stock->n].response = response;
    stock->n++;
}

void reply_stock_release(struct reply_stock *stock)
{
    while (stock->n > 0) {
        MHD_destroy_response(stock->ready[--stock->n].response);
    }
}

void reply_send_now(struct request *req, int fd)
{
    const struct reply *reply = &req->reply;
    const struct error_info *info = error_info(reply->error);
    struct buf buf;

    buf_init(&buf, sizeof reply->error_body * 2);
    buf_addf(&buf,
             "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: %s\r\n"
             "Content-Length: %zu\r\nCache-Control: no-store\r\nX-Request-Id: %s\r\n",
             info->http, info->http == 200 ? "OK" : "Refused", reply->content_type,
             reply->body_len, req->id);
    for (size_t i = 0; i < ARRAY_LEN(fixed_headers); i++) {
        buf_addf(&buf, "%s: %s\r\n", fixed_headers[i].name, fixed_headers[i].value);
    }
    for (size_t i = 0; i < reply->n_headers; i++) {
        buf_addf(&buf, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
    }
    buf_add(&buf, "\r\n", 2);
    buf_add(&buf, reply->body, reply->body_len);
    if (!buf.failed) {
        (void)send(fd, buf.data, buf.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    buf_clear(&buf);
}
