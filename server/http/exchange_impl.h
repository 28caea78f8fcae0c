/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The inside of an exchange, for the files exchange*.c only:
 *
 *   exchange.c         its life, and the answer
 *   exchange_refuse.c  answers requests before the library refuses them
 *   exchange_header.c  reading the header: framing, route, fields, query
 *   exchange_body.c    reading the body: parameters and files, and room for them
 *   exchange_work.c    the handler: here, on a fiber or on a worker */
#ifndef DOUSHARD_HTTP_EXCHANGE_IMPL_H
#define DOUSHARD_HTTP_EXCHANGE_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"
#include "shard/base/work.h"

#include "server/http/exchange.h"
#include "server/http/framing.h"
#include "server/http/multipart.h"
#include "server/media/upload.h"
#include "server/request/request.h"

/* The stage of a request; decides what the library's next call means. */
enum stage { STAGE_HEAD, STAGE_BODY, STAGE_WORK, STAGE_REPLY };

struct exchange_body {
    struct multipart *parts;  /* a multipart body, in the arena; else NULL */
    struct buf form;          /* an urlencoded body; its max is 0 for others */
    struct upload **file;     /* where the file goes whose part is arriving; else NULL */
    struct upload_room room;  /* room for its files on disk */
    uint64_t next_look_bytes; /* position in the body at which to check the room again; 0:
                               * it needs none */
    uint64_t bytes;           /* that came */
    uint64_t limit;
    bool boundary_bad; /* a multipart body without a usable boundary */
    bool is_broken;    /* not a well-formed form */
    bool is_refused;   /* answered in the middle of it */
};

/* One request and what libmicrohttpd needs for it; its client_context. */
struct exchange {
    struct exchange *next_head;  /* in place->heads, while in STAGE_HEAD */
    struct exchange **head_link; /* the pointer to this one; NULL: not in the list */
    struct work work;
    struct exchange_place *place;      /* (ref) */
    struct MHD_Connection *connection; /* (ref) */
    struct exchange_conn *conn;        /* (ref) */
    const struct config *config;       /* (ref) in force when the request began */
    enum stage stage;
    struct framing_target target; /* text in the request's arena */
    struct framing framing;
    struct exchange_body body;
    struct work flush;    /* job that writes gathered bytes of files to disk */
    atomic_bool flushing; /* that job is running */
    bool key_bad;         /* Idempotency-Key is malformed */
    bool params_ok;
    struct params_error params_error;
    int64_t ended_us;    /* monotonic: when the last byte of the request had come */
    int64_t answered_us; /* when the answer was ready; 0: never */
    struct request req;  /* last, because it is large and cleared by its own functions */
};

/* All are called in the connection's thread; those that return a bool return it as
 * exchange_step() does, unless said otherwise. */

/* ---- exchange.c ---- */

/* Queue the answer in req.reply. */
bool exchange_answer(struct exchange *ex) MUST_CHECK;

/* Answer before the body was read; the connection ends afterwards. */
bool exchange_answer_early(struct exchange *ex) MUST_CHECK;

/* Answer at a point where the library takes no answer; the connection must end then. */
void exchange_answer_past_library(struct exchange *ex);

/* ---- exchange_refuse.c ---- */

/* Enter or leave the list of requests whose header is not complete. Leaving twice does no
 * harm. */
void exchange_enter_heads(struct exchange *ex);
void exchange_leave_heads(struct exchange *ex);

/* Is the target longer than we take, or would it leave too little of the connection's
 * memory for the headers? The library keeps a record for each parameter of the query
 * beside the target; when it has no room for them it waits for ever, so this must be
 * checked before. */
bool exchange_is_target_too_long(const struct exchange *ex);

/* Answer so, and end the connection. */
void exchange_refuse_target(struct exchange *ex);

/* ---- exchange_header.c ---- */

/* The header is complete. Any answer here ends the connection, because the library does
 * so at this point. */
bool exchange_header(struct exchange *ex, const char *method,
                     const char *version) MUST_CHECK;

/* ---- exchange_body.c ---- */

/* Is TYPE the media type of the body, ignoring its parameters? */
bool exchange_is_type(const struct exchange *ex, const char *type);

/* May the upload that the header announces be sent? False: the request has been answered,
 * because the token is bad, or there is no place or no room. */
bool exchange_body_admit(struct exchange *ex) MUST_CHECK;

/* The caller is known, perhaps by a token after the file: the upload, if any, counts for
 * them from now on, or its status says that they have too many. Runs in the handler's
 * thread.
 */
void exchange_body_identify(struct exchange *ex);

/* Limit of the body of the request's route, if files may be in it. */
uint64_t exchange_body_largest(const struct exchange *ex);

/* Prepare to read a body. */
void exchange_body_begin(struct exchange *ex);

/* The next bytes of the body. Unwanted bytes are dropped, so that the connection can go
 * on. */
bool exchange_body(struct exchange *ex, const char *data, size_t len) MUST_CHECK;

/* The body is complete: collect its parameters, then check the whole request. */
void exchange_body_end(struct exchange *ex);

/* Its files are: write the rest of them. Blocks; in the handler's thread. */
void exchange_body_finish(struct exchange *ex);

/* ---- exchange_work.c ---- */

/* The request is complete: have it handled, or refuse it. */
bool exchange_work(struct exchange *ex) MUST_CHECK;

#endif
