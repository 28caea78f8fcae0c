/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Tokens: none passes that was not signed; one that passes gives the same claims as
 * another token of ours with these claims, and changing any byte makes it invalid.
 * Base64 and hexadecimal have one spelling for each value.
 *
 * Input: the JSON of a header, a line feed, the JSON of the claims. The target signs
 * both: otherwise nothing after the MAC check would ever be reached. */
#include <strings.h>

#include "shard/base/hex.h"

#include "server/auth/base64.h"
#include "server/auth/jwt.h"

#include "tests/fuzz/fuzz.h"

#define NOW INT64_C(1800000000)

static const struct jwt_keys KEYS = {
    .n = 2,
    .key = {{.kid = "a1", .secret = "0123456789abcdef0123456789abcdef", .secret_len = 32},
            {.kid = "b2",
             .secret = "fedcba9876543210fedcba9876543210",
             .secret_len = 32}},
};

static void check_base64(enum base64_alphabet alphabet, struct piece input)
{
    char *text = malloc(BASE64_LEN(input.len) + 1);
    char *data = malloc(input.len + 1);
    size_t n;
    size_t len = 0;

    RIGHT(text != NULL && data != NULL);
    n = base64_encode(alphabet, input.data, input.len, text);
    RIGHT(n == BASE64_LEN(input.len) && strlen(text) == n);
    RIGHT(base64_decode(alphabet, text, n, data, input.len, &len));
    RIGHT(len == input.len && memcmp(data, input.data, len) == 0);
    RIGHT(len == 0 || !base64_decode(alphabet, text, n, data, len - 1, &len));
    if (base64_decode(alphabet, input.data, input.len, data, input.len, &len)) {
        RIGHT(base64_encode(alphabet, data, len, text) == input.len);
        RIGHT(memcmp(text, input.data, input.len) == 0);
    }
    free(text);
    free(data);
}

static void check_hex(struct piece input)
{
    char *text = malloc(2 * input.len + 1);
    char *data = malloc(input.len + 1);
    char *typed = text_copy(input);

    RIGHT(text != NULL && data != NULL);
    hex_encode(input.data, input.len, text);
    RIGHT(strlen(text) == 2 * input.len);
    RIGHT(hex_decode(text, data, input.len));
    RIGHT(memcmp(data, input.data, input.len) == 0);
    if (hex_decode(typed, data, strlen(typed) / 2)) {
        hex_encode(data, strlen(typed) / 2, text);
        RIGHT(strcasecmp(text, typed) == 0);
    }
    free(text);
    free(data);
    free(typed);
}

/* HEADER.CLAIMS.MAC; the caller frees it. */
static char *sign(struct piece header, struct piece claims, size_t *len)
{
    char *text = malloc(BASE64_LEN(header.len) + BASE64_LEN(claims.len) +
                        BASE64_LEN(JWT_MAC_BYTES) + 3);
    unsigned char mac[JWT_MAC_BYTES];
    size_t n;

    RIGHT(text != NULL);
    n = base64_encode(BASE64_URL, header.data, header.len, text);
    text[n++] = '.';
    n += base64_encode(BASE64_URL, claims.data, claims.len, text + n);
    RIGHT(jwt_mac(KEYS.key[0].secret, KEYS.key[0].secret_len, text, n, mac));
    text[n++] = '.';
    *len = n + base64_encode(BASE64_URL, mac, sizeof mac, text + n);
    return text;
}

/* The token TEXT was accepted with CLAIMS. */
static void check_accepted(char *text, size_t len, const struct jwt_claims *claims,
                           uint32_t seed)
{
    char again[JWT_SIGNED_MAX + 1];
    struct jwt_claims read;
    size_t at = seed % len;
    char kept = text[at];
    size_t n;

    RIGHT(claims->user_id >= 1 && claims->user_id < UINT64_C(1) << 53);
    RIGHT(claims->issued_at_s >= 0 && claims->issued_at_s <= NOW + JWT_SKEW_S);
    RIGHT(claims->expires_at_s > NOW - JWT_SKEW_S);
    RIGHT(claims->expires_at_s > claims->issued_at_s);
    RIGHT(claims->expires_at_s - claims->issued_at_s <= JWT_LIFETIME_MAX_S);
    n = jwt_sign(&KEYS, claims, claims->issued_at_s, again);
    RIGHT(n > 0 && jwt_verify(&KEYS, again, n, NOW, &read) == JWT_OK);
    RIGHT(read.user_id == claims->user_id && read.issued_at_s == claims->issued_at_s &&
          read.expires_at_s == claims->expires_at_s &&
          memcmp(read.session, claims->session, sizeof read.session) == 0);
    text[at] = kept == 'A' ? 'B' : 'A';
    RIGHT(jwt_verify(&KEYS, text, len, NOW, &read) != JWT_OK);
    text[at] = kept;
    RIGHT(jwt_verify(&KEYS, text, at, NOW, &read) != JWT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct piece claims = {(const char *)data, len};
    char *raw = exact_copy(claims.data, len);
    struct jwt_claims read = {.user_id = 77};
    struct piece header;
    size_t n;
    char *text;

    check_base64(BASE64_URL, claims);
    check_base64(BASE64_STD, claims);
    check_hex(claims);
    RIGHT(jwt_verify(&KEYS, raw, len, NOW, &read) != JWT_OK);
    header = piece_until(&claims, '\n');
    text = sign(header, claims, &n);
    if (jwt_verify(&KEYS, text, n, NOW, &read) == JWT_OK) {
        check_accepted(text, n, &read, mixed(data, len));
    } else {
        RIGHT(read.user_id == 77); /* nothing is returned of a refused token */
    }
    free(text);
    free(raw);
    return 0;
}
