/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the clients of the ledger test did and were told: one record per answer, but only
 * one for a write of a text, however often it is repeated. The answers to polls are in
 * mailboxes.h. */
#ifndef DOUSHARD_TESTS_LEDGER_HISTORY_H
#define DOUSHARD_TESTS_LEDGER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shard/base/check.h"

enum ledger_kind {
    LEDGER_LIKE,       /* actor: user; target: video; on: like, else unlike */
    LEDGER_FOLLOW,     /* actor, target: users; on: follow, else unfollow */
    LEDGER_COMMENT,    /* actor: author; target: video; item: id that was answered */
    LEDGER_UNCOMMENT,  /* actor: who asks; target: video; item: id of the comment */
    LEDGER_MESSAGE,    /* actor: sender; target: receiver */
    LEDGER_UNPUBLISH,  /* actor: author; target: video */
    LEDGER_READ,       /* actor: user whose counters were read */
    LEDGER_READ_VIDEO, /* actor: author; target: video whose counters were read */
    LEDGER_KIND__COUNT
};

/* FAIL only if it proves that nothing was or will be changed: a refusal of the service.
 * Everything else that is not "ok" may have been done, or may still be. */
enum ledger_outcome { LEDGER_OK, LEDGER_FAIL, LEDGER_UNKNOWN, LEDGER_OUTCOME__COUNT };

/* Counters of a user, in the order of a read. */
enum ledger_counter {
    COUNTER_FOLLOW,    /* users who are followed by this one */
    COUNTER_FOLLOWER,  /* users who follow this one */
    COUNTER_FAVORITE,  /* likes given */
    COUNTER_FAVORITED, /* likes received */
    COUNTER__COUNT
};

/* Those of a video, likewise. */
enum ledger_video_counter { VIDEO_COUNTER_FAVORITE, VIDEO_COUNTER_COMMENT };

/* (worker, n) names an operation; the text of a comment or message is made of it. */
struct ledger_op {
    uint32_t worker;
    uint32_t n;
    enum ledger_kind kind;
    uint64_t actor;
    uint64_t target; /* 0: none */
    uint64_t item;   /* 0: none */
    bool on;
    uint32_t repeats;   /* of an unknown answer, with the same key, up to this answer */
    int64_t invoked_us; /* monotonic; of the first of them */
    int64_t returned_us;
    enum ledger_outcome outcome;
    int code;        /* status_code of the answer; -1: there was none */
    uint32_t server; /* which of the servers was asked */
    int64_t counts[COUNTER__COUNT];
};

struct ledger_history {
    struct ledger_op *ops; /* owned */
    size_t n;
    size_t room;
};

/* "like", "message". Static text. */
const char *ledger_kind_name(enum ledger_kind kind);

/* What a status_code of the service proves. */
enum ledger_outcome ledger_outcome_of(int status_code);

/* The text of the comment or message that operation N of WORKER writes; SIZE >= 32. */
void ledger_text(char *text, size_t size, uint32_t worker, uint32_t n);

/* The reverse. False: it is not such a text. */
bool ledger_text_parse(const char *text, uint32_t *worker, uint32_t *n) MUST_CHECK;

/* Append a copy. Lack of memory ends the program: a test has nothing better to do. */
void ledger_history_add(struct ledger_history *history, const struct ledger_op *op);
void ledger_history_release(struct ledger_history *history);

/* One line per operation. False: the file cannot be written. */
bool ledger_history_write(const struct ledger_history *history, FILE *file) MUST_CHECK;

/* Append what FILE holds. False: line *LINE cannot be understood. */
bool ledger_history_read(struct ledger_history *history, FILE *file,
                         size_t *line) MUST_CHECK;

/* N decimal numbers from *TEXT on, which is then what follows them. False: they are not
 * there. */
bool ledger_read_numbers(const char **text, int64_t *numbers, size_t n) MUST_CHECK;

/* NMEMB more elements of SIZE bytes for an array of N with ROOM; never NULL. */
void *ledger_grow(void *array, size_t n, size_t *room, size_t size);

#endif
