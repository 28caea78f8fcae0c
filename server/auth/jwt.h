/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Access tokens: JSON Web Tokens with one fixed algorithm, HS256 (RFC 7515, 7519, 8725).
 *
 * Pure functions over buffers: no clock, no files, no state, so any thread may call them.
 * A token proves who signed it and which session it names; whether that session is still
 * open is for the caller to ask. */
#ifndef DOUSHARD_AUTH_JWT_H
#define DOUSHARD_AUTH_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#define JWT_TEXT_MAX   1024 /* bytes; a longer token is refused unread */
#define JWT_SIGNED_MAX 512  /* bytes that jwt_sign() writes at most, without the NUL */
#define JWT_SKEW_S     60   /* how far the clocks of two servers may differ */
/* Longest time from "issued" to "expires" that is signed or accepted: 10 years. */
#define JWT_LIFETIME_MAX_S INT64_C(315360000)

#define JWT_KEYS_MAX      16
#define JWT_KID_MAX       32 /* bytes of a key's name */
#define JWT_SECRET_MIN    32 /* bytes; RFC 7518 3.2: as long as the hash */
#define JWT_SECRET_MAX    64 /* bytes; more would only be hashed down */
#define JWT_MAC_BYTES     32
#define JWT_SESSION_BYTES 16

/* The keys of one generation. The first signs; every one verifies the tokens that name
 * it. Holds secrets: wipe with OPENSSL_cleanse() before the memory is used otherwise. */
struct jwt_keys {
    size_t n;
    struct jwt_key {
        char kid[JWT_KID_MAX + 1]; /* 1 or more of A-Z a-z 0-9 _ - */
        unsigned char secret[JWT_SECRET_MAX];
        size_t secret_len;
    } key[JWT_KEYS_MAX];
};

/* What a token says, beside the constants it must carry. */
struct jwt_claims {
    uint64_t user_id; /* 1 .. 2^53 - 1 */
    unsigned char session[JWT_SESSION_BYTES];
    int64_t issued_at_s;  /* since the Unix epoch */
    int64_t expires_at_s; /* since the Unix epoch; absolute end of the session */
};

/* Why a token was refused; for counters and logs, never for the client. */
enum jwt_reason {
    JWT_OK,
    JWT_TOO_LONG,
    JWT_SHAPE,     /* not three non-empty parts */
    JWT_ENCODING,  /* a part is not canonical base64url */
    JWT_JSON,      /* a part is not one JSON object, or has a member twice */
    JWT_ALGORITHM, /* alg is not exactly HS256 */
    JWT_HEADER,    /* typ is not JWT, or a member we never write (crit, jwk, jku, x5u) */
    JWT_KEY,       /* kid missing or not one of ours */
    JWT_SIGNATURE, /* the MAC does not match */
    JWT_CLAIM,     /* a claim is missing, of another type, or out of range */
    JWT_AUDIENCE,  /* iss, aud or typ is not ours: made for something else */
    JWT_EARLY,     /* issued, or valid from, in the future */
    JWT_EXPIRED,
    JWT_NO_MEMORY, /* nobody knows: it may be a good one */
    JWT__COUNT
};

/* "signature", "expired". Static text. */
const char *jwt_reason_name(enum jwt_reason reason);

/* Write a token for CLAIMS to TEXT (JWT_SIGNED_MAX + 1 bytes), issued at NOW_S;
 * claims->issued_at_s is not read. Returns its length, or 0 when there is no key, a claim
 * is out of range or the library failed. */
size_t jwt_sign(const struct jwt_keys *keys, const struct jwt_claims *claims,
                int64_t now_s, char *text) MUST_CHECK;

/* Check LEN bytes of TEXT (any bytes; NUL not needed) at time NOW_S. Only JWT_OK sets
 * *CLAIMS. Nothing of the payload is looked at before the MAC is found right. */
enum jwt_reason jwt_verify(const struct jwt_keys *keys, const char *text, size_t len,
                           int64_t now_s, struct jwt_claims *claims) MUST_CHECK;

/* HMAC-SHA256, the layer below: exposed for the test vectors of RFC 7515. False when the
 * library failed. */
bool jwt_mac(const void *secret, size_t secret_len, const void *data, size_t len,
             unsigned char mac[JWT_MAC_BYTES]) MUST_CHECK;

#endif
