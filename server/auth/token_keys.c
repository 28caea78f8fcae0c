/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The keys of the tokens: a strict reader of their file, and a reference-counted set that
 * is replaced as a whole. */
#include "server/auth/token_keys.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/file.h"
#include "shard/base/hex.h"

/* One set; immutable. Freed, wiped, with its last reference. */
struct token_key_set {
    struct jwt_keys keys; /* first: a reference is a pointer to it */
    unsigned n_refs;      /* under the holder's lock; the holder itself has one */
};

struct token_keys {
    struct {
        pthread_mutex_t mutex;
        struct token_key_set *current;
    } shared;
};

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Are all bytes the same? Then it is a placeholder, not a secret. */
static bool is_placeholder(const unsigned char *secret, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (secret[i] != secret[0]) {
            return false;
        }
    }
    return true;
}

/* Read one line without its end into KEY. NULL, or what is wrong. */
static const char *parse_line(const char *line, size_t len, struct jwt_key *key)
{
    char digits[2 * JWT_SECRET_MAX + 1];
    size_t name_len = 0;

    while (name_len < len && is_name_char(line[name_len])) {
        name_len++;
    }
    if (name_len == 0 || name_len > JWT_KID_MAX) {
        return "the name of a key has 1 to 32 of A-Z a-z 0-9 _ -";
    }
    size_t at = name_len;
    while (at < len && is_blank(line[at])) {
        at++;
    }
    size_t n_digits = len - at;
    if (at == name_len || n_digits == 0) {
        return "expected a name, a blank and the key in hexadecimal";
    }
    if (n_digits % 2 != 0 || n_digits / 2 > JWT_SECRET_MAX) {
        return "a key is 32 to 64 bytes in hexadecimal";
    }
    memcpy(digits, line + at, n_digits);
    digits[n_digits] = '\0';
    bool is_hex = hex_decode(digits, key->secret, n_digits / 2);
    OPENSSL_cleanse(digits, sizeof digits);
    if (!is_hex) {
        return "a key is 32 to 64 bytes in hexadecimal";
    }
    if (n_digits / 2 < JWT_SECRET_MIN) {
        return "the key is shorter than 32 bytes";
    }
    if (is_placeholder(key->secret, n_digits / 2)) {
        return "the key is one byte repeated, not a secret";
    }
    memcpy(key->kid, line, name_len);
    key->kid[name_len] = '\0';
    key->secret_len = n_digits / 2;
    return NULL;
}

/* Add KEY. NULL, or what is wrong. */
static const char *add_key(struct jwt_keys *keys, const struct jwt_key *key)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (strcmp(keys->key[i].kid, key->kid) == 0) {
            return "this name was given to another key before";
        }
        if (keys->key[i].secret_len == key->secret_len &&
            CRYPTO_memcmp(keys->key[i].secret, key->secret, key->secret_len) == 0) {
            return "this key was there before under another name";
        }
    }
    if (keys->n == JWT_KEYS_MAX) {
        return "more than 16 keys";
    }
    keys->key[keys->n++] = *key;
    return NULL;
}

bool token_keys_parse(const char *text, size_t len, struct jwt_keys *keys,
                      struct errmsg *err)
{
    struct jwt_keys read = {.n = 0};
    struct jwt_key key = {.secret_len = 0};
    const char *problem = NULL;
    unsigned line_no = 0;

    for (size_t at = 0; at < len && problem == NULL;) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', len - at);
        size_t line_len = end != NULL ? (size_t)(end - line) : len - at;

        at += line_len + 1;
        line_no++;
        while (line_len > 0 &&
               (is_blank(line[line_len - 1]) || line[line_len - 1] == '\r')) {
            line_len--;
        }
        if (line_len == 0 || line[0] == '#') {
            continue;
        }
        problem = parse_line(line, line_len, &key);
        if (problem == NULL) {
            problem = add_key(&read, &key);
        }
    }
    if (problem != NULL) {
        (void)errmsg_set(err, "line %u: %s", line_no, problem);
    } else if (read.n == 0) {
        problem = "no key";
        (void)errmsg_set(err, "there is no key in it");
    } else {
        *keys = read;
    }
    OPENSSL_cleanse(&read, sizeof read);
    OPENSSL_cleanse(&key, sizeof key);
    return problem == NULL;
}

bool token_keys_load(const char *path, struct jwt_keys *keys, struct errmsg *err)
{
    struct file_text text;
    struct errmsg why;

    if (!file_read(path, FILE_SECRET, TOKEN_KEYS_FILE_MAX, &text, &why)) {
        return errmsg_set(err, "%s: %s", path, why.text);
    }
    bool ok = token_keys_parse(text.data, text.len, keys, &why);
    if (!ok) {
        (void)errmsg_set(err, "%s: %s", path, why.text);
    }
    file_text_release(&text);
    return ok;
}

struct token_key_set *token_key_set_read(const char *path, struct errmsg *err)
{
    struct token_key_set *set = calloc(1, sizeof *set);

    if (set == NULL) {
        (void)errmsg_set(err, "out of memory");
        return NULL;
    }
    if (!token_keys_load(path, &set->keys, err)) {
        free(set);
        return NULL;
    }
    set->n_refs = 1;
    return set;
}

static void drop_locked(struct token_key_set *set)
{
    CHECK(set->n_refs > 0);
    if (--set->n_refs == 0) {
        OPENSSL_cleanse(set, sizeof *set);
        free(set);
    }
}

void token_key_set_free(struct token_key_set **set)
{
    if (*set != NULL) {
        drop_locked(*set);
        *set = NULL;
    }
}

struct token_keys *token_keys_new(const char *path, struct errmsg *err)
{
    struct token_keys *holder = calloc(1, sizeof *holder);

    if (holder == NULL) {
        (void)errmsg_set(err, "out of memory");
        return NULL;
    }
    holder->shared.current = token_key_set_read(path, err);
    if (holder->shared.current == NULL) {
        free(holder);
        return NULL;
    }
    CHECK(pthread_mutex_init(&holder->shared.mutex, NULL) == 0);
    return holder;
}

void token_keys_free(struct token_keys **holder)
{
    if (*holder != NULL) {
        CHECK((*holder)->shared.current->n_refs == 1);
        drop_locked((*holder)->shared.current);
        pthread_mutex_destroy(&(*holder)->shared.mutex);
        free(*holder);
        *holder = NULL;
    }
}

void token_keys_replace(struct token_keys *holder, struct token_key_set *set_steal)
{
    pthread_mutex_lock(&holder->shared.mutex);
    drop_locked(holder->shared.current);
    holder->shared.current = set_steal;
    pthread_mutex_unlock(&holder->shared.mutex);
}

const struct jwt_keys *token_keys_ref(struct token_keys *holder)
{
    pthread_mutex_lock(&holder->shared.mutex);
    struct token_key_set *set = holder->shared.current;
    set->n_refs++;
    pthread_mutex_unlock(&holder->shared.mutex);
    return &set->keys;
}

void token_keys_unref(struct token_keys *holder, const struct jwt_keys **keys)
{
    /* The keys are the first member of an object that we allocated and that is not const:
     * only the caller's view of it is. */
    struct token_key_set *set = (struct token_key_set *)(uintptr_t)*keys;

    pthread_mutex_lock(&holder->shared.mutex);
    drop_locked(set);
    pthread_mutex_unlock(&holder->shared.mutex);
    *keys = NULL;
}
