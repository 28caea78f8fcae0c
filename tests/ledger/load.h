/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load of the ledger test: many clients that send random requests and record the
 * answers. */
#ifndef DOUSHARD_TESTS_LEDGER_LOAD_H
#define DOUSHARD_TESTS_LEDGER_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "tests/ledger/history.h"
#include "tests/ledger/progress.h"

#define LOAD_SERVERS_MAX 8

struct load_user {
    uint64_t id;
    char *token; /* owned */
};

struct load_video {
    uint64_t id;
    uint64_t author; /* index of the user */
};

/* A chat with much traffic, whose OWNER polls. */
struct load_chat {
    size_t owner; /* indexes of users */
    size_t peer;
};

/* The users and videos that the clients know. The last ones are ghosts: ids that never
 * existed. */
struct load_world {
    struct load_user *users; /* owned, like the others */
    struct load_video *videos;
    size_t n_users, n_videos;
    size_t n_ghost_users, n_ghost_videos;
    struct load_chat *chats;
    size_t n_chats;
    size_t users_room, videos_room, chats_room;
};

/* How often something is done, in shares of their sum. */
struct load_mix {
    unsigned of[LEDGER_KIND__COUNT];
};

struct load_options {
    uint16_t ports[LOAD_SERVERS_MAX];
    size_t n_servers;
    unsigned clients;
    unsigned seconds;
    const atomic_bool *stop;   /* (ref) ends it earlier */
    int timeout_ms;            /* of one request */
    uint64_t seed;             /* 64 bits from which everything random follows */
    size_t hot_users;          /* the first so many of the users .. */
    size_t hot_videos;         /* .. and of the videos .. */
    unsigned hot_percent;      /* .. are chosen so often; else any of them */
    size_t pollers;            /* the first so many of the chats are polled */
    unsigned stranger_percent; /* of deleted comments, so many by somebody else */
    unsigned pause_ms;         /* of a client between two requests */
    unsigned repeat_ms;        /* so long an unknown answer is repeated; 0: never */
    struct progress *progress; /* (ref) is told of each request; NULL: nobody */
    struct load_mix mix;
};

/* Read FILE: "user ID SESSION", "video ID AUTHOR", "chat OWNER PEER", "ghost_user ID",
 * "ghost_video ID" in this order, and make tokens with the keys of KEY_FILE; a SESSION
 * may also be a token, and when all are, KEY_FILE NULL. False: ERR says what is wrong. */
bool load_world_read(struct load_world *world, FILE *file, const char *key_file,
                     struct errmsg *err) MUST_CHECK;
void load_world_release(struct load_world *world);

/* Run the clients; append what they did to HISTORY. *NOT_SENT counts requests for which
 * no server could be reached. */
void load_run(const struct load_world *world, const struct load_options *options,
              struct ledger_history *history, size_t *not_sent);

#endif
