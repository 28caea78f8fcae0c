/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The inside of an exchange, for the files exchange*.c only:
 *
 *   exchange.c         its life, and the answer
 *   exchange_refuse.c  what the library would refuse is answered before
 *   exchange_header.c  what the header says: framing, route, fields, query
 *   exchange_body.c    what the body brings: parameters and files, and room for them
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

/* Where a request is on its way; what the library's next call means. */
enum stage { STAGE_HEAD, STAGE_BODY, STAGE_WORK, STAGE_REPLY };

struct exchange_body {
    struct multipart *parts; /* a multipart body, in the arena; else NULL */
    struct buf form;         /* an urlencoded body; its max is 0 for others */
    struct upload **file; /* the part arriving now is the file we take there; else NULL */
    struct upload_room room;  /* for what it may become on disk */
    uint64_t next_look_bytes; /* of the body: look at the room again; 0: it takes none */
    uint64_t bytes;           /* that came */
    uint64_t limit;
    bool boundary_bad; /* a multipart body whose parts cannot be found */
    bool is_broken;    /* no well-formed form */
    bool is_refused;   /* answered in the middle of it */
};

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
    struct exchange_body body;
    struct work flush;    /* what came of files goes to disk, while nothing more comes */
    atomic_bool flushing; /* it does */
    bool key_bad;         /* Idempotency-Key is malformed */
    bool params_ok;
    struct params_error params_error;
    int64_t ended_us;    /* monotonic: the last byte of the request was there */
    int64_t answered_us; /* the answer was ready; 0: never */
    struct request req;  /* last: it clears itself */
};

/* All are called in the connection's thread, and those that return a bool answer as
 * exchange_step() where nothing else is said. */

/* ---- Exchange.c ---- */

/* Queue what req.reply says. */
bool exchange_answer(struct exchange *ex) MUST_CHECK;

/* Answer before the body was read: the connection ends after that. */
bool exchange_answer_early(struct exchange *ex) MUST_CHECK;

/* Answer where the library takes no answer; the connection must end then. */
void exchange_answer_past_library(struct exchange *ex);

/* ---- Exchange_refuse.c ---- */

/* The list of requests whose header is not complete. Leaving it twice is once. */
void exchange_enter_heads(struct exchange *ex);
void exchange_leave_heads(struct exchange *ex);

/* Is the target longer than we take, or would it leave too little of the connection's
 * memory for the headers? The library keeps a record for each parameter of the query
 * beside the target; when it finds no room for either it goes on waiting, so the question
 * must be asked before. */
bool exchange_is_target_too_long(const struct exchange *ex);

/* Answer that, and end the connection. */
void exchange_refuse_target(struct exchange *ex);

/* ---- Exchange_header.c ---- */

/* The header is complete. Whatever is answered here ends the connection, because the
 * library does so when it is answered at this point. */
bool exchange_header(struct exchange *ex, const char *method,
                     const char *version) MUST_CHECK;

/* ---- Exchange_body.c ---- */

/* Is TYPE the media type of the body, whatever its parameters are? */
bool exchange_is_type(const struct exchange *ex, const char *type);

/* May the upload come that the header announces? False: answered, because the token is
 * bad, or there is no place or no room. */
bool exchange_body_admit(struct exchange *ex) MUST_CHECK;

/* The caller is known, by a token behind the file perhaps: the upload, if there is one,
 * counts for them, or its status says that they have too many. In the handler's thread.
 */
void exchange_body_identify(struct exchange *ex);

/* The most bytes that a body of the request's route may have when files may be in it. */
uint64_t exchange_body_largest(const struct exchange *ex);

/* Prepare to read a body. */
void exchange_body_begin(struct exchange *ex);

/* The next bytes of the body. What nobody wants is dropped, so that the connection can go
 * on. */
bool exchange_body(struct exchange *ex, const char *data, size_t len) MUST_CHECK;

/* The body is complete: collect what it holds, then check all of the request. */
void exchange_body_end(struct exchange *ex);

/* Its files are: write the rest of them. Blocks; in the handler's thread. */
void exchange_body_finish(struct exchange *ex);

/* ---- Exchange_work.c ---- */

/* The request is complete: have it handled, or refuse it. */
bool exchange_work(struct exchange *ex) MUST_CHECK;

#endif
