/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a load sends: a file of request lines, and which of them were done last.
 *
 *   GET /ping
 *   POST /douyin/favorite/action/?token=..&video_id=..&action_type=%
 *
 * A line with % is a switch: it is sent with 1 (like, follow) when it is off, with 2
 * (unlike) when it is on, so that every request changes a row. Connection C of N sends
 * the lines C, C + N, C + 2 N .. and no other connection does, so that the requests of a
 * switch are never under way at the same time and their order is known. */
#ifndef DOUSHARD_TESTS_BENCH_SCRIPT_H
#define DOUSHARD_TESTS_BENCH_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

/* Bytes of the longest line, and of the request made of it with the NUL. */
#define SCRIPT_LINE_MAX    1024
#define SCRIPT_REQUEST_MAX (SCRIPT_LINE_MAX + 128)

enum switch_state {
    SWITCH_OFF,
    SWITCH_ON,
    SWITCH_UNKNOWN, /* the last request had no answer, or one that does not say */
    SWITCH__COUNT
};

struct script {
    char *text; /* owned; lines end with NUL */
    size_t n;
    size_t first; /* the line that is sent first, by connection 0 */
    struct line {
        const char *text; /* into the above */
        size_t percent;   /* where the % is; SIZE_MAX: the line is no switch */
        uint8_t state; /* enum switch_state; only the connection of the line changes it */
    } * line;
};

/* Read PATH. False: WHY (WHY_BYTES) says what is wrong. */
bool script_load(struct script *script, const char *path, char *why,
                 size_t why_bytes) MUST_CHECK;
void script_release(struct script *script);

/* The states of an earlier run with the same lines, and with which one to go on; a file
 * that does not exist leaves them off. False: it is of another script, or cannot be read.
 */
bool script_load_states(struct script *script, const char *path) MUST_CHECK;

/* For the next run: the states, and NEXT as the line to go on with. */
bool script_save_states(const struct script *script, const char *path,
                        size_t next) MUST_CHECK;

/* The line that connection C of N sends first, and the one after LINE. */
size_t script_first(const struct script *script, size_t c, size_t n);
size_t script_next(const struct script *script, size_t line, size_t n);

/* How many switches are in STATE. */
size_t script_count(const struct script *script, enum switch_state state);

/* Write the request of LINE to OUT (SCRIPT_REQUEST_MAX bytes); returns its length. */
size_t script_write(const struct script *script, size_t line, char *out);

/* The request of LINE was answered with "done": true when that has changed a row. A line
 * that is no switch changes one as far as anybody can tell. */
bool script_done(struct script *script, size_t line);

/* It was not answered, or not in a way that says what became of it. */
void script_unknown(struct script *script, size_t line);

#endif
