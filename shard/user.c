/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Callers of the procedures in procedures/user/. */
#include "shard/user.h"

#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"

#include "shard/cache.h"
#include "shard/id.h"
#include "shard/router_call.h"

static void add_session(struct ops *ops, const struct session_grant *session)
{
    ops_hex(ops, "session", session->id, sizeof session->id);
    ops_number(ops, "expires_at", session->expires_at_ms);
    ops_number(ops, "max", session->keep_max);
}

enum outcome user_register(struct router *router, struct call *call,
                           const struct user_register_args *args, uint64_t *user_id)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add(ops, id_name_slot(args->name, strlen(args->name)), 0);
        ops_hex(ops, "op", args->op, sizeof args->op);
        ops_text(ops, "name", args->name);
        ops_text(ops, "hash", args->password_hash);
        add_session(ops, &args->session);
    }
    enum outcome outcome = router_one(router, call, PROC_USER_REGISTER, ops, &answer);
    if (outcome == OUTCOME_OK || outcome == OUTCOME_SAME) {
        const struct dbvalue *id = dbresult_value(answer.result, answer.row, "user_id");
        if (id == NULL || !id_is_valid(id->number)) {
            return proc_unreadable(call, PROC_USER_REGISTER);
        }
        *user_id = id->number;
    }
    return outcome;
}

/* The id and the password hash in the first row of ANSWER. */
static enum outcome read_secret(struct call *call, const struct router_answer *answer,
                                uint64_t *user_id, const char **password_hash)
{
    const struct dbvalue *id = dbresult_value(answer->result, answer->row, "user_id");
    const struct dbvalue *hash =
        dbresult_value(answer->result, answer->row, "password_hash");

    if (id == NULL || !id_is_valid(id->number) || hash == NULL || hash->text == NULL) {
        return proc_unreadable(call, PROC_USER_SECRET);
    }
    *user_id = id->number;
    *password_hash = hash->text;
    return OUTCOME_OK;
}

/* The account of NAME; MOVED: the name is here, but its user was promoted. */
static void find_name(struct router *router, struct call *call, const char *name,
                      struct router_answer *answer)
{
    size_t len = strlen(name);
    const struct dbarg args[] = {dbarg_text(name, len)};

    router_owner(router, call, PROC_USER_LOGIN,
                 (struct router_subject){.slot = id_name_slot(name, len)}, args, answer);
}

enum outcome user_made_by(struct router *router, struct call *call, const char *name,
                          const unsigned char op[OP_BYTES], bool *is_ours)
{
    struct router_answer answer;
    unsigned char found[OP_BYTES];

    find_name(router, call, name, &answer);
    if (answer.outcome != OUTCOME_OK && answer.outcome != OUTCOME_MOVED) {
        return answer.outcome;
    }
    const struct dbvalue *value = dbresult_value(answer.result, answer.row, "op");
    if (value == NULL || value->text == NULL ||
        !hex_decode(value->text, found, sizeof found)) {
        return proc_unreadable(call, PROC_USER_LOGIN);
    }
    *is_ours = memcmp(found, op, sizeof found) == 0;
    return OUTCOME_OK;
}

enum outcome user_login(struct router *router, struct call *call, const char *name,
                        uint64_t *user_id, const char **password_hash)
{
    struct router_answer answer;

    find_name(router, call, name, &answer);
    if (answer.outcome == OUTCOME_MOVED) {
        const struct dbvalue *id = dbresult_value(answer.result, answer.row, "user_id");
        if (id == NULL || !id_is_valid(id->number)) {
            return proc_unreadable(call, PROC_USER_LOGIN);
        }
        *user_id = id->number;
        return user_secret(router, call, id->number, password_hash);
    }
    return answer.outcome == OUTCOME_OK
               ? read_secret(call, &answer, user_id, password_hash)
               : answer.outcome;
}

enum outcome user_secret(struct router *router, struct call *call, uint64_t user_id,
                         const char **password_hash)
{
    const struct dbarg args[] = {dbarg_number(user_id)};
    struct router_answer answer;
    uint64_t same_id;

    router_owner(router, call, PROC_USER_SECRET,
                 (struct router_subject){.owner = user_id}, args, &answer);
    return answer.outcome == OUTCOME_OK
               ? read_secret(call, &answer, &same_id, password_hash)
               : answer.outcome;
}

/* One operation that replaces OLD_HASH by NEW_HASH. */
static struct ops *replace_hash(uint64_t user_id, const char *old_hash,
                                const char *new_hash)
{
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, user_id);
        ops_text(ops, "old_hash", old_hash);
        ops_text(ops, "new_hash", new_hash);
    }
    return ops;
}

enum outcome user_password(struct router *router, struct call *call, uint64_t user_id,
                           const char *old_hash, const char *new_hash,
                           const struct session_grant *session)
{
    struct router_answer answer;
    struct ops *ops = replace_hash(user_id, old_hash, new_hash);

    if (ops != NULL) {
        add_session(ops, session);
    }
    return router_one(router, call, PROC_USER_PASSWORD, ops, &answer);
}

enum outcome user_rehash(struct router *router, struct call *call, uint64_t user_id,
                         const char *old_hash, const char *new_hash)
{
    struct router_answer answer;

    return router_one(router, call, PROC_USER_REHASH,
                      replace_hash(user_id, old_hash, new_hash), &answer);
}

enum outcome user_logout(struct router *router, struct call *call, uint64_t user_id,
                         const unsigned char session[SESSION_BYTES])
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, user_id);
        ops_hex(ops, "session", session, SESSION_BYTES);
    }
    enum outcome outcome = router_one(router, call, PROC_USER_LOGOUT, ops, &answer);
    const struct cache_change ended = {.key = session_key(user_id, session)};
    if (router_cache(router) != NULL) {
        cache_write(router_cache(router), &ended, 1, clock_mono_ms() + CACHE_WRITE_MS);
    }
    return outcome;
}

enum outcome user_profile(struct router *router, struct call *call, uint64_t user_id,
                          const struct user_profile_args *args)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, user_id);
        if (args->avatar != NULL) {
            ops_text(ops, "avatar", args->avatar);
        }
        if (args->background_image != NULL) {
            ops_text(ops, "background_image", args->background_image);
        }
        if (args->signature != NULL) {
            ops_text(ops, "signature", args->signature);
        }
    }
    return router_one(router, call, PROC_USER_PROFILE, ops, &answer);
}

enum outcome session_open(struct router *router, struct call *call, uint64_t user_id,
                          const struct session_grant *session)
{
    struct router_answer answer;
    struct ops *ops = ops_new();

    if (ops != NULL) {
        ops_add_owner(ops, user_id);
        add_session(ops, session);
    }
    return router_one(router, call, PROC_SESSION_OPEN, ops, &answer);
}
