/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Access tokens: signing and strict verification of HS256 JSON Web Tokens. */
#include "server/auth/jwt.h"

#include <inttypes.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/hex.h"

#include "server/auth/base64.h"
#include "server/base/json_in.h"

/* The constants that tie a token to this service and to this use (RFC 8725 3.8 to 3.12).
 */
#define ISSUER   "doushard"
#define AUDIENCE "doushard-api"
#define TYPE     "access"

#define USER_ID_MAX (UINT64_C(1) << 53) /* exclusive: ids are exact in a double */

struct part {
    const char *text;
    size_t len;
};

static const char *const REASONS[JWT__COUNT] = {
    [JWT_OK] = "ok",
    [JWT_TOO_LONG] = "too_long",
    [JWT_SHAPE] = "shape",
    [JWT_ENCODING] = "encoding",
    [JWT_JSON] = "json",
    [JWT_ALGORITHM] = "algorithm",
    [JWT_HEADER] = "header",
    [JWT_KEY] = "key",
    [JWT_SIGNATURE] = "signature",
    [JWT_CLAIM] = "claim",
    [JWT_AUDIENCE] = "audience",
    [JWT_EARLY] = "early",
    [JWT_EXPIRED] = "expired",
    [JWT_NO_MEMORY] = "no_memory",
};

const char *jwt_reason_name(enum jwt_reason reason)
{
    CHECK((unsigned)reason < JWT__COUNT);
    return REASONS[reason];
}

bool jwt_mac(const void *secret, size_t secret_len, const void *data, size_t len,
             unsigned char mac[JWT_MAC_BYTES])
{
    unsigned mac_len = 0;

    CHECK(secret_len <= INT32_MAX);
    return HMAC(EVP_sha256(), secret, (int)secret_len, data, len, mac, &mac_len) !=
               NULL &&
           mac_len == JWT_MAC_BYTES;
}

size_t jwt_sign(const struct jwt_keys *keys, const struct jwt_claims *claims,
                int64_t now_s, char *text)
{
    char json[256];
    char sid[2 * JWT_SESSION_BYTES + 1];
    unsigned char mac[JWT_MAC_BYTES];

    if (keys->n == 0 || claims->user_id == 0 || claims->user_id >= USER_ID_MAX ||
        now_s < 0 || claims->expires_at_s <= now_s ||
        claims->expires_at_s - now_s > JWT_LIFETIME_MAX_S) {
        return 0;
    }
    /* Nothing in these texts needs escaping: names of keys are checked when loaded. */
    int n =
        snprintf(json, sizeof json, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
                 keys->key[0].kid);
    CHECK(n > 0 && (size_t)n < sizeof json);
    size_t len = base64_encode(BASE64_URL, json, (size_t)n, text);
    text[len++] = '.';

    hex_encode(claims->session, sizeof claims->session, sid);
    n = snprintf(json, sizeof json,
                 "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\",\"typ\":\"" TYPE "\","
                 "\"sub\":\"%" PRIu64 "\",\"sid\":\"%s\",\"iat\":%" PRId64
                 ",\"exp\":%" PRId64 "}",
                 claims->user_id, sid, now_s, claims->expires_at_s);
    CHECK(n > 0 && (size_t)n < sizeof json);
    len += base64_encode(BASE64_URL, json, (size_t)n, text + len);

    if (!jwt_mac(keys->key[0].secret, keys->key[0].secret_len, text, len, mac)) {
        return 0;
    }
    text[len++] = '.';
    len += base64_encode(BASE64_URL, mac, sizeof mac, text + len);
    CHECK(len <= JWT_SIGNED_MAX);
    return len;
}

/* Split at exactly two dots into three parts that are not empty. */
static bool split(const char *text, size_t len, struct part parts[3])
{
    for (size_t i = 0; i < 3; i++) {
        const char *dot = memchr(text, '.', len);
        size_t n = dot != NULL ? (size_t)(dot - text) : len;
        if (n == 0 || (dot != NULL) != (i < 2)) {
            return false;
        }
        parts[i] = (struct part){text, n};
        if (i < 2) {
            text += n + 1;
            len -= n + 1;
        }
    }
    return true;
}

/* Decode a part that must be one JSON object without doubled members. */
static enum jwt_reason load_object(const struct part *part, json_t **object)
{
    unsigned char bytes[JWT_TEXT_MAX];
    size_t len;

    if (!base64_decode(BASE64_URL, part->text, part->len, bytes, sizeof bytes, &len)) {
        return JWT_ENCODING;
    }
    if (!json_in((const char *)bytes, len, JSON_REJECT_DUPLICATES, object)) {
        return JWT_NO_MEMORY;
    }
    if (!json_is_object(*object)) {
        json_decref(*object);
        *object = NULL;
        return JWT_JSON;
    }
    return JWT_OK;
}

/* True when OBJECT has NAME as exactly this string. */
static bool has_text(const json_t *object, const char *name, const char *wanted)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) && json_string_length(value) == strlen(wanted) &&
           strcmp(json_string_value(value), wanted) == 0;
}

static const struct jwt_key *find_key(const struct jwt_keys *keys, const json_t *header)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (has_text(header, "kid", keys->key[i].kid)) {
            return &keys->key[i];
        }
    }
    return NULL;
}

/* The header chooses one of our keys and nothing else: it does not choose the algorithm,
 * and keys that it contains or points at are refused. */
static enum jwt_reason check_header(const struct jwt_keys *keys, const struct part *part,
                                    const struct jwt_key **key)
{
    json_t *header = NULL;
    enum jwt_reason reason = load_object(part, &header);

    if (reason != JWT_OK) {
        return reason;
    }
    if (!has_text(header, "alg", "HS256")) {
        reason = JWT_ALGORITHM;
        goto out;
    }
    size_t n_known = 1 + (json_object_get(header, "kid") != NULL);
    if (json_object_get(header, "typ") != NULL) {
        n_known++;
        if (!has_text(header, "typ", "JWT")) {
            reason = JWT_HEADER;
            goto out;
        }
    }
    if (json_object_size(header) != n_known) {
        reason = JWT_HEADER;
        goto out;
    }
    *key = find_key(keys, header);
    reason = *key != NULL ? JWT_OK : JWT_KEY;
out:
    json_decref(header);
    return reason;
}

static enum jwt_reason check_signature(const struct jwt_key *key, const char *text,
                                       const struct part *signature)
{
    unsigned char theirs[JWT_MAC_BYTES];
    unsigned char ours[JWT_MAC_BYTES];
    size_t len;

    if (!base64_decode(BASE64_URL, signature->text, signature->len, theirs, sizeof theirs,
                       &len)) {
        return JWT_ENCODING;
    }
    /* The MAC covers everything up to the second dot. */
    if (!jwt_mac(key->secret, key->secret_len, text, (size_t)(signature->text - 1 - text),
                 ours)) {
        return JWT_NO_MEMORY;
    }
    if (len != sizeof theirs || CRYPTO_memcmp(ours, theirs, sizeof ours) != 0) {
        return JWT_SIGNATURE;
    }
    return JWT_OK;
}

/* A decimal user id as we write it: no sign, no leading zero. */
static bool read_subject(const json_t *payload, uint64_t *user_id)
{
    const json_t *value = json_object_get(payload, "sub");
    const char *text = json_string_value(value);
    uint64_t id = 0;

    if (text == NULL || text[0] == '0' || json_string_length(value) == 0 ||
        json_string_length(value) > 16) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        id = id * 10 + (uint64_t)(*text - '0');
    }
    *user_id = id;
    return id < USER_ID_MAX;
}

static bool read_session(const json_t *payload, unsigned char session[JWT_SESSION_BYTES])
{
    const json_t *value = json_object_get(payload, "sid");
    char again[2 * JWT_SESSION_BYTES + 1];

    if (!json_is_string(value) ||
        !hex_decode(json_string_value(value), session, JWT_SESSION_BYTES)) {
        return false;
    }
    hex_encode(session, JWT_SESSION_BYTES, again);
    return strcmp(again, json_string_value(value)) == 0;
}

/* A time that is a JSON integer and not negative. */
static bool read_time(const json_t *payload, const char *name, int64_t *time_s)
{
    const json_t *value = json_object_get(payload, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *time_s = json_integer_value(value);
    return true;
}

/* Is TIME_S (not negative) further ahead than clocks may differ? Subtracts only where
 * that cannot overflow. */
static bool is_future(int64_t time_s, int64_t now_s)
{
    return time_s > JWT_SKEW_S && time_s - JWT_SKEW_S > now_s;
}

static enum jwt_reason read_claims(const json_t *payload, int64_t now_s,
                                   struct jwt_claims *claims)
{
    int64_t not_before_s = 0;

    if (!json_is_string(json_object_get(payload, "iss")) ||
        !json_is_string(json_object_get(payload, "aud")) ||
        !json_is_string(json_object_get(payload, "typ"))) {
        return JWT_CLAIM;
    }
    if (!has_text(payload, "iss", ISSUER) || !has_text(payload, "aud", AUDIENCE) ||
        !has_text(payload, "typ", TYPE)) {
        return JWT_AUDIENCE;
    }
    if (!read_subject(payload, &claims->user_id) ||
        !read_session(payload, claims->session) ||
        !read_time(payload, "iat", &claims->issued_at_s) ||
        !read_time(payload, "exp", &claims->expires_at_s) ||
        (json_object_get(payload, "nbf") != NULL &&
         !read_time(payload, "nbf", &not_before_s))) {
        return JWT_CLAIM;
    }
    /* Neither time is negative, so the difference cannot overflow. */
    int64_t lifetime_s = claims->expires_at_s - claims->issued_at_s;
    if (lifetime_s <= 0 || lifetime_s > JWT_LIFETIME_MAX_S) {
        return JWT_CLAIM;
    }
    if (is_future(claims->issued_at_s, now_s) || is_future(not_before_s, now_s)) {
        return JWT_EARLY;
    }
    if (now_s > JWT_SKEW_S && claims->expires_at_s <= now_s - JWT_SKEW_S) {
        return JWT_EXPIRED;
    }
    return JWT_OK;
}

enum jwt_reason jwt_verify(const struct jwt_keys *keys, const char *text, size_t len,
                           int64_t now_s, struct jwt_claims *claims)
{
    struct part parts[3];
    const struct jwt_key *key = NULL;
    struct jwt_claims read = {0};
    json_t *payload = NULL;

    if (len > JWT_TEXT_MAX) {
        return JWT_TOO_LONG;
    }
    if (!split(text, len, parts)) {
        return JWT_SHAPE;
    }
    enum jwt_reason reason = check_header(keys, &parts[0], &key);
    if (reason == JWT_OK) {
        reason = check_signature(key, text, &parts[2]);
    }
    if (reason == JWT_OK) {
        reason = load_object(&parts[1], &payload);
    }
    if (reason == JWT_OK) {
        reason = read_claims(payload, now_s, &read);
    }
    if (reason == JWT_OK) {
        *claims = read;
    }
    json_decref(payload);
    return reason;
}
