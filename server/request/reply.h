/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The answer to a request, and the only code that gives it to libmicrohttpd.
 *
 * A handler ends by calling exactly one of reply_ok(), reply_end(), reply_error(),
 * reply_outcome(), reply_raw(), reply_static(), reply_file(). They only fill struct
 * reply: any thread that owns the request may call them, they do not block, and they
 * always succeed (out of memory the answer becomes ERROR_UNAVAILABLE). */
#ifndef DOUSHARD_REQUEST_REPLY_H
#define DOUSHARD_REQUEST_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"
#include "shard/base/json_out.h"

#include "shard/outcome.h"

#include "server/request/error.h"

struct MHD_Connection;
struct MHD_Response;
struct request;

/* Limit of headers that a handler may add. */
#define REPLY_HEADERS_MAX 16

/* Bytes of an error envelope, with the route's failure_json. */
#define REPLY_ERROR_MAX 1024

enum reply_kind { REPLY_NONE, REPLY_STATIC, REPLY_HEAP, REPLY_FILE };

struct reply_header {
    const char *name;  /* static text */
    const char *value; /* in the request's arena, or static text */
};

struct reply {
    enum reply_kind kind;
    enum error_code error; /* the status of the envelope; ERROR_OK for files and raw
                            * bytes */
    unsigned http_status;
    const char *content_type; /* static text */
    const char *body;         /* (ref) REPLY_STATIC, REPLY_HEAP: the bytes */
    char *heap;               /* REPLY_HEAP: owned, malloc'ed; body points to it */
    struct json_out out;      /* owned; between reply_begin() and reply_end() */
    size_t body_len;
    int fd;          /* REPLY_FILE: owned; else -1 */
    uint64_t offset; /* REPLY_FILE: first byte */
    uint64_t length; /* REPLY_FILE: number of bytes */
    bool cacheable;  /* the handler sets Cache-Control itself */
    bool close;      /* end the connection after this answer */
    size_t n_headers;
    struct reply_header headers[REPLY_HEADERS_MAX];
    struct MHD_Response *response;    /* taken from a stock, and goes back there; else
                                       * NULL */
    char error_body[REPLY_ERROR_MAX]; /* so that an error needs no memory */
};

/* Responses of reply_static() that lack only the request's id: making one takes longer
 * than everything else that /ping does. Used by one thread. */
#define REPLY_STOCK_MAX 32
struct reply_stock {
    size_t n;
    struct {
        const char *body;              /* (ref) text that lives for ever */
        struct MHD_Response *response; /* owned */
    } ready[REPLY_STOCK_MAX];
};

/* A part of an open file, or of bytes that live for ever, as the body. */
struct reply_file {
    int fd;            /* taken over: closed after the answer; -1: bytes */
    const char *bytes; /* (ref) */
    uint64_t offset;
    uint64_t length;          /* bytes from offset on; 0 is allowed */
    unsigned http_status;     /* 200, 206 or 304 */
    const char *content_type; /* static text */
};

void reply_init(struct reply *reply);

/* Free what the reply still owns. */
void reply_release(struct reply *reply);

/* Success: "status_code":0 and "status_msg":"success". */
void reply_ok(struct request *req);

/* Success with more fields: write them, then reply_end(). If something could not be
 * written, the whole answer becomes ERROR_UNAVAILABLE. */
struct json_out *reply_begin(struct request *req);
void reply_end(struct request *req);

/* A success whose body was made before. BODY is malloc'ed and taken over; NULL means out
 * of memory. */
void reply_json(struct request *req, char *body_steal, size_t len);

/* reply_end() for a page of a list: where the next one begins, 0 at the end, and whether
 * the items of a shard are missing. */
void reply_end_page(struct request *req, uint64_t next_cursor, bool partial);

/* Refusal: the text of errors.def, then ": " and the detail unless FMT is NULL, then the
 * keys of the route's failure_json. The detail is for the client: no SQL, no paths, no
 * server names. Cut at about 300 bytes. */
void reply_error(struct request *req, enum error_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The answer to an outcome by errors.def; OK and SAME answer a plain success. */
void reply_outcome(struct request *req, enum outcome outcome);

/* The same for a call whose NOTFOUND means MISSING instead of the user. */
void reply_outcome_of(struct request *req, enum outcome outcome, enum error_code missing);

/* Bytes that are not an envelope. BODY is malloc'ed and taken over; NULL with LEN > 0
 * means out of memory. */
void reply_raw(struct request *req, unsigned http_status, const char *content_type,
               char *body_steal, size_t len);

/* As reply_raw() for text that lives for ever. */
void reply_static(struct request *req, unsigned http_status, const char *content_type,
                  const char *body);

/* A part of a file. No Cache-Control is added: the handler sets it by reply_header(). */
void reply_file(struct request *req, const struct reply_file *file);

/* Add a header, or replace the default one of this name; NAME is static, VALUE is copied.
 * May be called before or after the answer is chosen. Ignored when out of memory, when
 * the list is full, or when VALUE has a control byte. */
void reply_header(struct request *req, const char *name, const char *value);

/* The same for a VALUE that is static text; works without memory. */
void reply_header_static(struct request *req, const char *name, const char *value);

/* End the connection after this answer. */
void reply_close(struct request *req);

/* Bytes of the body, for the access line. */
uint64_t reply_bytes(const struct reply *reply);

/* Give the answer to libmicrohttpd; in the connection's own thread, whose STOCK it is. A
 * request without an answer gets ERROR_INTERNAL. False: the connection must be closed. */
bool reply_queue(struct request *req, struct reply_stock *stock,
                 struct MHD_Connection *connection) MUST_CHECK;

/* The last byte of REPLY is sent: what it took from STOCK can be used again. In the same
 * thread, before reply_release(). */
void reply_restock(struct reply *reply, struct reply_stock *stock);

/* Free what is in STOCK, which is empty then. */
void reply_stock_release(struct reply_stock *stock);

/* Write the answer, an error, directly to the socket FD, whose connection the caller then
 * ends: for the middle of a body, where libmicrohttpd takes no answer. It is lost if the
 * socket's buffer is full. */
void reply_send_now(struct request *req, int fd);

#endif
