/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Declared parameters: a route lists what it takes, the handler gets checked values.
 *
 * Values come from the query, an urlencoded body or the fields of a multipart body; the
 * first non-empty one wins, the query before the body. An empty value is an absent one,
 * unknown names are ignored. */
#ifndef DOUSHARD_REQUEST_PARAMS_H
#define DOUSHARD_REQUEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

/* Numbers at and above this are not exact in an IEEE double and are refused. */
#define PARAM_INTEGER_LIMIT (INT64_C(1) << 53)

/* Most parameters of one route. */
#define PARAMS_MAX 8

enum param_type {
    PARAM_ID,    /* an integer 1 .. 2^53-1; min and max are not used */
    PARAM_INT,   /* an integer min .. max; also in exponent form, if exact below 2^53 */
    PARAM_TIME,  /* a point in time -> ms since the Unix epoch: from 10^11 on it is taken
                  * as  ms, below as s; garbage, 0 and negative are 0, never an error */
    PARAM_TEXT,  /* UTF-8 without NUL, min .. max code points */
    PARAM_TOKEN, /* visible ASCII up to max bytes. Never an error here: anything else
                  * counts as present with the text "", which auth.c refuses */
    PARAM_FILE, /* a part of a multipart body, streamed to server/media/upload.h; no value
                 * here
                 */
};

/* The request is refused when the parameter is absent. Has no effect on PARAM_TOKEN and
 * PARAM_FILE, which auth.c and the handler refuse, see params_missing(). */
#define PARAM_REQUIRED 1u

/* A password: no digest of it is kept either. */
#define PARAM_SECRET 2u

/* A PARAM_FILE that must be a picture of at most picture_limit bytes. */
#define PARAM_PICTURE 4u

/* One parameter that a route takes. A list of them ends with a name of NULL. */
struct param_spec {
    const char *name;
    enum param_type type;
    unsigned flags;
    int64_t min; /* PARAM_INT: smallest value; PARAM_TEXT: fewest code points */
    int64_t
        max; /* PARAM_INT: largest; PARAM_TEXT: most code points; PARAM_TOKEN: bytes */
};

/* One checked value. */
struct param {
    bool present;     /* false: absent or empty; the rest is 0 and "" then */
    int64_t integer;  /* PARAM_ID, PARAM_INT, PARAM_TIME */
    const char *text; /* as it was sent, never NULL; ends with a NUL (in the arena) */
    size_t len;       /* bytes of text */
};

enum param_source { PARAM_NOWHERE, PARAM_QUERY, PARAM_BODY };

/* A value while it arrives. */
struct param_raw {
    char *data; /* in the arena; NUL-terminated */
    size_t len;
    enum param_source source;
    bool open;     /* the body field that is arriving is used */
    bool overlong; /* it has more bytes than any valid value */
};

/* The parameters of one request. One thread at a time uses it. */
struct params {
    struct arena *arena;            /* (ref) values live here */
    const struct param_spec *specs; /* (ref in the route table) */
    size_t n;
    struct param_raw raw[PARAMS_MAX];
    struct param values[PARAMS_MAX];
    bool no_memory;   /* the arena could not hold a value */
    bool body_unread; /* the body was not a form, and was dropped */
};

/* What params_check() refused. */
struct params_error {
    const char *name; /* the parameter (ref in the route table) */
    char reason[96];  /* "user_id is negative": starts with the name */
};

/* SPECS may be NULL: no parameters. At most PARAMS_MAX of them. */
void params_init(struct params *params, struct arena *arena,
                 const struct param_spec *specs);

/* True when a parameter of this name is declared with TYPE PARAM_FILE. */
bool params_is_file(const struct params *params, const char *name);

/* The declared file NAME, and in *NUMBER which of the route's files it is, from 0; NULL:
 * there is no such file. */
const struct param_spec *params_file(const struct params *params, const char *name,
                                     size_t *number);

/* A value of the query. NAME and VALUE are not terminated and may hold any bytes. */
void params_add_query(struct params *params, const char *name, size_t name_len,
                      const char *value, size_t value_len);

/* All fields of an urlencoded body of LEN bytes, which is decoded in place. */
void params_add_urlencoded(struct params *params, char *body, size_t len);

/* The next LEN bytes of a field of a multipart body; FIRST says that the field begins. */
void params_add_part(struct params *params, const char *name, bool first,
                     const char *data, size_t len);

/* The PARAM_TOKEN NAME before everything has arrived, as params_check() will see it;
 * NULL: it has not come yet. Call it between two fields of a body, never within one.
 */
const char *params_peek_token(const struct params *params, const char *name);

/* Check all values once everything has arrived. False: *ERROR says which parameter is bad
 * and why; the text may be shown to the client. */
bool params_check(struct params *params, struct params_error *error) MUST_CHECK;

/* The checked value of a declared parameter; asking for another name is a bug and ends
 * the process. Never NULL. */
const struct param *params_get(const struct params *params, const char *name);

/* "NAME is missing", with a hint when the body was not a form: the detail of a refusal.
 * BUF has SIZE bytes; returns BUF. */
const char *params_missing(const struct params *params, const char *name, char *buf,
                           size_t size);

/* Read a number by the rule for ids and counts: decimal digits with an optional '-', or a
 * decimal/exponent number whose exact value is an integer; below 2^53 in magnitude. TEXT
 * has LEN bytes. NULL and *VALUE, or what is wrong with it ("is not a number"). */
const char *param_parse_integer(const char *text, size_t len, int64_t *value);

/* PARAM_TIME's rule. Never fails. */
int64_t param_parse_time_ms(const char *text, size_t len);

#endif
