/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a load sends: a file of request lines, and the state of each.
 *
 *   GET /ping
 *   POST /douyin/favorite/action/?token=..&video_id=..&action_type=%
 *
 * A line with % is a switch: it is sent with 1 (like, follow) when it is off, with 2
 * (unlike) when it is on, so that every request changes a row. Only connection C of N
 * sends the lines C, C + N, C + 2 N .., so that two requests of one switch are never
 * under way at the same time, and their order is known. */
#ifndef DOUSHARD_TESTS_BENCH_SCRIPT_H
#define DOUSHARD_TESTS_BENCH_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

/* Bytes of the longest line, and of the request made from it, with the NUL. */
#define SCRIPT_LINE_MAX    1024
#define SCRIPT_REQUEST_MAX (SCRIPT_LINE_MAX + 128)

enum switch_state {
    SWITCH_OFF,
    SWITCH_ON,
    SWITCH_UNKNOWN, /* the last request got no answer, or one that leaves it open */
    SWITCH__COUNT
};

struct script {
    char *text; /* owned; lines end with NUL */
    size_t n;
    size_t first; /* the line that connection 0 sends first */
    struct line {
        const char *text; /* into TEXT above */
        size_t percent;   /* where the % is; SIZE_MAX: not a switch */
        uint8_t state; /* enum switch_state; only the connection of the line changes it */
    } * line;
};

/* Read PATH. False: WHY (WHY_BYTES) says what is wrong. */
bool script_load(struct script *script, const char *path, char *why,
                 size_t why_bytes) MUST_CHECK;
void script_release(struct script *script);

/* Read the states that a run with the same lines has saved, and the line to go on with.
 * If there is no file, all switches stay off. False: it belongs to another script, or
 * cannot be read. */
bool script_load_states(struct script *script, const char *path) MUST_CHECK;

/* Save the states for the next run, and NEXT as the line to go on with. */
bool script_save_states(const struct script *script, const char *path,
                        size_t next) MUST_CHECK;

/* The line that connection C of N sends first, and the one after LINE. */
size_t script_first(const struct script *script, size_t c, size_t n);
size_t script_next(const struct script *script, size_t line, size_t n);

/* How many switches are in STATE. */
size_t script_count(const struct script *script, enum switch_state state);

/* Write the request of LINE to OUT (SCRIPT_REQUEST_MAX bytes); returns its length. */
size_t script_write(const struct script *script, size_t line, char *out);

/* Note that the request of LINE was done. True: it has changed a row. A line that is not
 * a switch is taken to change one. */
bool script_done(struct script *script, size_t line);

/* Note that the request of LINE got no answer, or one that leaves its outcome open. */
void script_unknown(struct script *script, size_t line);

#endif
