/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load of the ledger test: users and videos, and tokens. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "server/auth/jwt.h"
#include "server/auth/token_keys.h"

#include "tests/ledger/load.h"

#define TOKEN_LIFETIME_S 86400

/* Takes ownership of TOKEN. */
static void add_user(struct load_world *world, uint64_t id,
                     char *token) // NOLINT(readability-non-const-parameter)
{
    world->users = ledger_grow(world->users, world->n_users, &world->users_room,
                               sizeof *world->users);
    world->users[world->n_users++] = (struct load_user){.id = id, .token = token};
}

/* SESSION may be a token already. */
static bool sign(const struct jwt_keys *keys, uint64_t id, const char *session,
                 char **token)
{
    char text[JWT_SIGNED_MAX + 1];
    int64_t now_s = clock_wall_ms() / 1000;
    struct jwt_claims claims = {.user_id = id, .expires_at_s = now_s + TOKEN_LIFETIME_S};

    if (strchr(session, '.') != NULL) {
        *token = strdup(session);
        return *token != NULL;
    }
    if (keys->n == 0 || !hex_decode(session, claims.session, sizeof claims.session)) {
        return false;
    }
    size_t len = jwt_sign(keys, &claims, now_s, text);
    *token = len == 0 ? NULL : strndup(text, len);
    return *token != NULL;
}

/* The index of the user with the id TEXT; n_users: none. */
static size_t user_of(const struct load_world *world, const char *text)
{
    uint64_t id = strtoull(text, NULL, 10);
    size_t user = 0;

    while (user < world->n_users && world->users[user].id != id) {
        user++;
    }
    return user;
}

static bool read_video(struct load_world *world, uint64_t id, const char *author)
{
    size_t user = user_of(world, author);

    world->videos = ledger_grow(world->videos, world->n_videos, &world->videos_room,
                                sizeof *world->videos);
    world->videos[world->n_videos++] = (struct load_video){.id = id, .author = user};
    return user < world->n_users;
}

static bool read_chat(struct load_world *world, const char *owner, const char *peer)
{
    const struct load_chat chat = {user_of(world, owner), user_of(world, peer)};

    world->chats = ledger_grow(world->chats, world->n_chats, &world->chats_room,
                               sizeof *world->chats);
    world->chats[world->n_chats++] = chat;
    return chat.owner < world->n_users && chat.peer < world->n_users &&
           chat.owner != chat.peer;
}

/* Parses one line. */
static bool read_line(struct load_world *world, const struct jwt_keys *keys, char *line)
{
    char *rest = line;
    const char *what = strsep(&rest, " \n");
    const char *id_text = strsep(&rest, " \n");
    const char *more = strsep(&rest, " \n");
    char *token = NULL;

    if (id_text == NULL) {
        return false;
    }
    uint64_t id = strtoull(id_text, NULL, 10);
    if (strcmp(what, "user") == 0 && more != NULL && world->n_ghost_users == 0) {
        if (!sign(keys, id, more, &token)) {
            return false;
        }
        add_user(world, id, token);
    } else if (strcmp(what, "video") == 0 && more != NULL && world->n_ghost_videos == 0) {
        return read_video(world, id, more);
    } else if (strcmp(what, "chat") == 0 && more != NULL && world->n_ghost_users == 0) {
        return read_chat(world, id_text, more);
    } else if (strcmp(what, "ghost_user") == 0) {
        add_user(world, id, NULL);
        world->n_ghost_users++;
    } else if (strcmp(what, "ghost_video") == 0) {
        world->videos = ledger_grow(world->videos, world->n_videos, &world->videos_room,
                                    sizeof *world->videos);
        world->videos[world->n_videos++] = (struct load_video){.id = id};
        world->n_ghost_videos++;
    } else {
        return false;
    }
    return true;
}

bool load_world_read(struct load_world *world, FILE *file, const char *key_file,
                     struct errmsg *err)
{
    char line[JWT_TEXT_MAX + 64];
    struct jwt_keys keys = {.n = 0};
    size_t n = 0;
    bool good = true;

    if (key_file != NULL && !token_keys_load(key_file, &keys, err)) {
        return false;
    }
    while (good && fgets(line, sizeof line, file) != NULL) {
        n++;
        good = read_line(world, &keys, line);
    }
    OPENSSL_cleanse(&keys, sizeof keys);
    if (!good) {
        return errmsg_set(err, "line %zu of the world cannot be understood", n);
    }
    if (world->n_users - world->n_ghost_users < 2) {
        return errmsg_set(err, "the world needs two users");
    }
    return true;
}

void load_world_release(struct load_world *world)
{
    for (size_t i = 0; i < world->n_users; i++) {
        free(world->users[i].token);
    }
    free(world->users);
    free(world->videos);
    free(world->chats);
    *world = (struct load_world){.n_users = 0};
}
