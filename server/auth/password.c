/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Password hashes: scrypt behind a gate, on threads of lower priority, so that logins
 * cannot take over the machine. */
#include "server/auth/password.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/rnd.h"

#include "server/auth/base64.h"
#include "server/base/gate.h"
#include "server/base/metrics.h"
#include "server/base/workers.h"

#define SALT_BYTES     16 /* of a new hash */
#define KEY_BYTES      32 /* of a new hash */
#define SALT_BYTES_MIN 8  /* of a stored one */
#define KEY_BYTES_MIN  16
#define BYTES_MAX      64 /* of either */

#define LN_MAX 20
#define R_MAX  32
#define P_MAX  16

/* The nice value of the threads that hash. A hash needs a core for a tenth of a second or
 * longer; a feed page on the same core should not wait for that. With a higher value no
 * login would succeed on a machine where other programs compute all the time. */
#define HASH_NICE 2

struct password {
    struct gate gate;
    struct workers *workers; /* owned; one thread per hash at the same time */
    struct metrics *metrics; /* (ref) or NULL */
    atomic_uint_fast64_t hashes_total;
    unsigned char dummy_salt[SALT_BYTES]; /* for users who do not exist */
};

/* A hash taken apart. */
struct parsed {
    struct password_params params;
    unsigned char salt[BYTES_MAX];
    size_t salt_len;
    unsigned char key[BYTES_MAX];
    size_t key_len;
};

bool password_params_are_valid(const struct password_params *params)
{
    return params->ln >= 1 && params->ln <= LN_MAX && params->r >= 1 &&
           params->r <= R_MAX && params->p >= 1 && params->p <= P_MAX &&
           params->ln < 16 * params->r;
}

struct password *password_new(unsigned concurrency, unsigned queue_max,
                              struct metrics *metrics)
{
    const struct workers_options options = {.n_min = concurrency,
                                            .n_max = concurrency,
                                            .queue_max = concurrency,
                                            .idle_ms = INT_MAX,
                                            .nice = HASH_NICE};
    struct password *password = calloc(1, sizeof *password);

    if (password == NULL) {
        return NULL;
    }
    gate_init(&password->gate, concurrency, queue_max);
    password->metrics = metrics;
    rnd_bytes(password->dummy_salt, sizeof password->dummy_salt);
    password->workers = workers_new(&options);
    if (password->workers == NULL) {
        password_free(&password);
    }
    return password;
}

void password_free(struct password **password)
{
    if (*password != NULL) {
        workers_free(&(*password)->workers);
        gate_release(&(*password)->gate);
        free(*password);
        *password = NULL;
    }
}

uint64_t password_hashes_total(const struct password *password)
{
    return atomic_load_explicit(&password->hashes_total, memory_order_relaxed);
}

/* How much memory scrypt may take: its table of N blocks, the p blocks, and some spare.
 * Without this limit the library refuses everything above 32 MiB. */
static uint64_t memory_limit(const struct password_params *params)
{
    uint64_t block = UINT64_C(128) * params->r;

    return block * ((UINT64_C(1) << params->ln) + params->p + 2) + (1U << 20);
}

/* One hash being computed; on the stack of the thread that waits for it. */
struct hash {
    struct work work;
    sem_t done;
    const struct parsed *parsed;
    const char *text;
    size_t len;
    unsigned char *key;
    bool ok;
};

static void compute(struct work *work)
{
    struct hash *hash = (struct hash *)((char *)work - offsetof(struct hash, work));
    const struct parsed *parsed = hash->parsed;
    const struct password_params *params = &parsed->params;

    hash->ok = EVP_PBE_scrypt(hash->text, hash->len, parsed->salt, parsed->salt_len,
                              UINT64_C(1) << params->ln, params->r, params->p,
                              memory_limit(params), hash->key, parsed->key_len) == 1;
    (void)sem_post(&hash->done);
}

/* Have a worker compute HASH, and wait for it. */
static bool run_hash(struct password *password, struct hash *hash)
{
    CHECK(sem_init(&hash->done, 0, 0) == 0);
    hash->work.run = compute;
    bool is_taken = workers_submit(password->workers, &hash->work);
    while (is_taken && sem_wait(&hash->done) != 0) {
    }
    (void)sem_destroy(&hash->done);
    return is_taken && hash->ok;
}

/* Wait for a turn, then compute parsed->key_len bytes of KEY for TEXT. */
static enum password_status derive(struct password *password, const struct parsed *parsed,
                                   const char *text, size_t len, int64_t deadline_ms,
                                   unsigned char *key)
{
    const struct password_params *params = &parsed->params;

    /* scrypt pads a short password with zero bytes: "a" and "a\0" would be one. */
    if (len > PASSWORD_BYTES_MAX || memchr(text, '\0', len) != NULL ||
        !password_params_are_valid(params)) {
        return PASSWORD_FAILED;
    }
    if (gate_enter(&password->gate, deadline_ms) != GATE_ENTERED) {
        metrics_add(password->metrics, METRIC_PASSWORD_REFUSED, 1);
        return PASSWORD_BUSY;
    }
    atomic_fetch_add_explicit(&password->hashes_total, 1, memory_order_relaxed);
    metrics_add(password->metrics, METRIC_PASSWORD_HASHES, 1);
    struct hash hash = {.parsed = parsed, .text = text, .len = len};
    hash.key = key;
    bool ok = run_hash(password, &hash);
    gate_leave(&password->gate);
    return ok ? PASSWORD_OK : PASSWORD_FAILED;
}

/* Read NAME and a decimal number without sign or leading zero at *TEXT, followed by END.
 */
static bool parse_number(const char **text, const char *name, char end, unsigned *value)
{
    size_t name_len = strlen(name);
    unsigned n = 0;

    if (strncmp(*text, name, name_len) != 0) {
        return false;
    }
    const char *digit = *text + name_len;
    if (*digit == '0') {
        return false;
    }
    const char *first = digit;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (digit - first >= 4) {
            return false;
        }
        n = n * 10 + (unsigned)(*digit - '0');
    }
    if (digit == first || *digit != end) {
        return false;
    }
    *text = digit + 1;
    *value = n;
    return true;
}

static bool parse(const char *hash, struct parsed *parsed)
{
    struct password_params *params = &parsed->params;

    if (strlen(hash) > PASSWORD_HASH_MAX ||
        !parse_number(&hash, "$scrypt$ln=", ',', &params->ln) ||
        !parse_number(&hash, "r=", ',', &params->r) ||
        !parse_number(&hash, "p=", '$', &params->p) ||
        !password_params_are_valid(params)) {
        return false;
    }
    const char *dollar = strchr(hash, '$');
    return dollar != NULL &&
           base64_decode(BASE64_STD, hash, (size_t)(dollar - hash), parsed->salt,
                         sizeof parsed->salt, &parsed->salt_len) &&
           base64_decode(BASE64_STD, dollar + 1, strlen(dollar + 1), parsed->key,
                         sizeof parsed->key, &parsed->key_len) &&
           parsed->salt_len >= SALT_BYTES_MIN && parsed->key_len >= KEY_BYTES_MIN;
}

enum password_status password_hash(struct password *password,
                                   const struct password_params *params, const char *text,
                                   size_t len, int64_t deadline_ms, char *hash)
{
    struct parsed made = {
        .params = *params, .salt_len = SALT_BYTES, .key_len = KEY_BYTES};
    char salt[BASE64_LEN(SALT_BYTES) + 1];
    char key[BASE64_LEN(KEY_BYTES) + 1];

    rnd_bytes(made.salt, made.salt_len);
    enum password_status status =
        derive(password, &made, text, len, deadline_ms, made.key);
    if (status == PASSWORD_OK) {
        base64_encode(BASE64_STD, made.salt, made.salt_len, salt);
        base64_encode(BASE64_STD, made.key, made.key_len, key);
        int n = snprintf(hash, PASSWORD_HASH_MAX + 1, "$scrypt$ln=%u,r=%u,p=%u$%s$%s",
                         params->ln, params->r, params->p, salt, key);
        CHECK(n > 0 && n <= PASSWORD_HASH_MAX);
        OPENSSL_cleanse(key, sizeof key);
    }
    OPENSSL_cleanse(&made, sizeof made);
    return status;
}

enum password_status password_verify(struct password *password, const char *hash,
                                     const char *text, size_t len, int64_t deadline_ms)
{
    struct parsed stored = {0};
    unsigned char key[BYTES_MAX];
    enum password_status status = PASSWORD_FAILED;

    if (parse(hash, &stored)) {
        status = derive(password, &stored, text, len, deadline_ms, key);
    }
    if (status == PASSWORD_OK && CRYPTO_memcmp(key, stored.key, stored.key_len) != 0) {
        status = PASSWORD_WRONG;
    }
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(&stored, sizeof stored);
    return status;
}

enum password_status password_verify_dummy(struct password *password,
                                           const struct password_params *params,
                                           const char *text, size_t len,
                                           int64_t deadline_ms)
{
    struct parsed dummy = {
        .params = *params, .salt_len = SALT_BYTES, .key_len = KEY_BYTES};

    memcpy(dummy.salt, password->dummy_salt, SALT_BYTES);
    enum password_status status =
        derive(password, &dummy, text, len, deadline_ms, dummy.key);
    OPENSSL_cleanse(&dummy, sizeof dummy);
    return status == PASSWORD_OK ? PASSWORD_WRONG : status;
}

bool password_needs_rehash(const char *hash, const struct password_params *params)
{
    struct parsed stored = {0};
    bool is_weaker = parse(hash, &stored) &&
                     (stored.params.ln < params->ln || stored.params.r < params->r ||
                      stored.params.p < params->p || stored.salt_len < SALT_BYTES ||
                      stored.key_len < KEY_BYTES);

    OPENSSL_cleanse(&stored, sizeof stored);
    return is_weaker;
}
