/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rows of all shards when the load is over, as printed by SQL. */
#ifndef DOUSHARD_TESTS_LEDGER_ROWS_H
#define DOUSHARD_TESTS_LEDGER_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shard/base/check.h"

#include "tests/ledger/history.h"

struct ledger_user {
    uint64_t id;
    int64_t counts[COUNTER__COUNT];
    int64_t works;
    uint64_t edge_ver;
};

struct ledger_video {
    uint64_t id;
    uint64_t author;
    bool is_live;
    int64_t favorites;
    int64_t comments;
    uint64_t ver;
};

/* One half of an edge, named by the whole edge. */
struct ledger_edge {
    enum ledger_kind kind; /* LIKE or FOLLOW */
    uint64_t actor;
    uint64_t target;
    bool is_backward; /* the half at the target */
    bool state;
    uint64_t ver;
};

struct ledger_comment {
    uint64_t video;
    uint64_t id;
    uint64_t author;
    bool is_backward; /* the half at the author; it has no text */
    bool state;
    uint64_t ver;
    char text[32];
};

struct ledger_message {
    uint64_t sender;
    uint64_t receiver;
    bool is_backward; /* the copy of the receiver */
    uint64_t seq;
    uint64_t id;
    int64_t at;
    bool state;
    char text[32];
};

/* Arrays are owned; ledger_rows_release() frees them. */
struct ledger_rows {
    struct ledger_user *users;
    struct ledger_video *videos;
    struct ledger_edge *edges;
    struct ledger_comment *comments;
    struct ledger_message *messages;
    size_t n_users, n_videos, n_edges, n_comments, n_messages;
    size_t users_room, videos_room, edges_room, comments_room, messages_room;
    size_t outbox; /* rows of it */
};

/* Append what FILE holds: one row per line, columns separated by tabs, the first is the
 * name of the table, as rows.sql selects them. False: line *LINE cannot be understood. */
bool ledger_rows_read(struct ledger_rows *rows, FILE *file, size_t *line) MUST_CHECK;

void ledger_rows_release(struct ledger_rows *rows);

#endif
