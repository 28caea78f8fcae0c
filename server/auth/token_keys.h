/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The keys of the tokens: their file, and the set in force, which SIGHUP replaces.
 *
 * The file has one key per line: a name of A-Z a-z 0-9 _ - (1 to 32), blanks, 32 to 64
 * bytes in hexadecimal. Empty lines and lines that begin with # are skipped. The first
 * key signs, all verify. To rotate: add a new key as the second line on every server;
 * when all have it make it the first; remove the old one token_lifetime_s later. */
#ifndef DOUSHARD_AUTH_TOKEN_KEYS_H
#define DOUSHARD_AUTH_TOKEN_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

#include "server/auth/jwt.h"

/* Largest file, in bytes. */
#define TOKEN_KEYS_FILE_MAX 8192

struct token_keys;
struct token_key_set;

/* Read LEN bytes in the form above. False: *KEYS is untouched and ERR says
 * which line is wrong and how, never what it contains. Pure. */
bool token_keys_parse(const char *text, size_t len, struct jwt_keys *keys,
                      struct errmsg *err) MUST_CHECK;

/* Read the file PATH, which must be a regular file of ours or root's that nobody else may
 * read or write (mode 0600 or less). False: as token_keys_parse(). The caller wipes *KEYS
 * after use. */
bool token_keys_load(const char *path, struct jwt_keys *keys,
                     struct errmsg *err) MUST_CHECK;

/* A holder with the keys of PATH. NULL: ERR says why. */
struct token_keys *token_keys_new(const char *path, struct errmsg *err) MUST_CHECK;

/* No set may be in use. *HOLDER becomes NULL; NULL is allowed. */
void token_keys_free(struct token_keys **holder);

/* The keys of PATH, not in force yet; end with token_key_set_free() or
 * token_keys_replace(). NULL: ERR says why. */
struct token_key_set *token_key_set_read(const char *path, struct errmsg *err) MUST_CHECK;

/* SET is in nobody's use. *SET becomes NULL; NULL is allowed. */
void token_key_set_free(struct token_key_set **set);

/* Put SET in force; it is taken over. Thread-safe. */
void token_keys_replace(struct token_keys *holder, struct token_key_set *set_steal);

/* The set in force; it stays unchanged until token_keys_unref(), which is due on every
 * path and sets *KEYS to NULL. Thread-safe. */
const struct jwt_keys *token_keys_ref(struct token_keys *holder) MUST_CHECK;
void token_keys_unref(struct token_keys *holder, const struct jwt_keys **keys);

#endif
