/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* jwt.c, base64.c and token_keys.c: test vectors of the RFCs, a corpus of bad tokens,
 * bad key files. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/hex.h"

#include "server/auth/base64.h"
#include "server/auth/jwt.h"
#include "server/auth/token_keys.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define NOW INT64_C(1800000000)

#define K1 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define K2 "f0e0d0c0b0a090807060504030201000ffeeddccbbaa99887766554433221100"

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"a1\"}"
#define ISS    "\"iss\":\"doushard\","
#define AUD    "\"aud\":\"doushard-api\","
#define TYP    "\"typ\":\"access\","
#define SUB    "\"sub\":\"9007199254740991\","
#define SID    "\"sid\":\"00112233445566778899aabbccddeeff\","
#define IAT    "\"iat\":1800000000,"
#define EXP    "\"exp\":1800003600"
#define CLAIMS "{" ISS AUD TYP SUB SID IAT EXP "}"

static struct jwt_keys two_keys(void)
{
    static const char text[] = "a1 " K1 "\n"
                               "b2 " K2 "\n";
    struct jwt_keys keys;
    struct errmsg err;

    assert_true(token_keys_parse(text, sizeof text - 1, &keys, &err));
    return keys;
}

/* A token of any two texts, with a valid signature by the first key. The caller frees
 * it. */
static char *forge(const char *header, const char *payload, size_t payload_len)
{
    struct jwt_keys keys = two_keys();
    unsigned char mac[JWT_MAC_BYTES];
    size_t size = BASE64_LEN(strlen(header)) + BASE64_LEN(payload_len) + 64;
    char *text = malloc(size);

    assert_non_null(text);
    size_t len = base64_encode(BASE64_URL, header, strlen(header), text);
    text[len++] = '.';
    len += base64_encode(BASE64_URL, payload, payload_len, text + len);
    assert_true(jwt_mac(keys.key[0].secret, keys.key[0].secret_len, text, len, mac));
    text[len++] = '.';
    base64_encode(BASE64_URL, mac, sizeof mac, text + len);
    return text;
}

/* Verifies a copy in a block of exactly the token's size, so that a read past its end
 * is detected. */
static enum jwt_reason verify(const char *text, size_t len, int64_t now_s,
                              struct jwt_claims *claims)
{
    struct jwt_keys keys = two_keys();
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    enum jwt_reason reason = jwt_verify(&keys, copy, len, now_s, claims);
    free(copy);
    return reason;
}

static enum jwt_reason verify_forged(const char *header, const char *payload,
                                     int64_t now_s)
{
    struct jwt_claims claims;
    char *token = forge(header, payload, strlen(payload));
    enum jwt_reason reason = verify(token, strlen(token), now_s, &claims);

    free(token);
    return reason;
}

static void expect(const char *what, enum jwt_reason got, enum jwt_reason wanted)
{
    if (got != wanted) {
        fail_msg("%s: %s, expected %s", what, jwt_reason_name(got),
                 jwt_reason_name(wanted));
    }
}

/* ---- Base64 ---- */

static void test_base64_vectors(void **state)
{
    static const struct {
        const char *data;
        const char *text;
    } rows[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
    };
    char text[32];
    char data[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].data);
        assert_int_equal(base64_encode(BASE64_STD, rows[i].data, n, text), BASE64_LEN(n));
        assert_string_equal(text, rows[i].text);
        assert_true(base64_decode(BASE64_STD, text, strlen(text), data, n, &len));
        assert_int_equal(len, n);
        assert_memory_equal(data, rows[i].data, n);
    }
    base64_encode(BASE64_URL, "\xfb\xff\xfe", 3, text);
    assert_string_equal(text, "-__-");
    base64_encode(BASE64_STD, "\xfb\xff\xfe", 3, text);
    assert_string_equal(text, "+//+");
    assert_true(base64_decode(BASE64_URL, "-__-", 4, data, sizeof data, &len));
    assert_memory_equal(data, "\xfb\xff\xfe", 3);
}

static void test_base64_refuses(void **state)
{
    static const char *const bad[] = {
        "A",    "AAAAA", "AB",    "AAB", "Zg==", "Zg=",        "Zm8=", " Zg",
        "Zg\n", "Z g",   "Zm9v.", "+w",  "/w",   "Zm\xc3\xb8", "*AAA"};
    char data[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (base64_decode(BASE64_URL, bad[i], strlen(bad[i]), data, sizeof data, &len)) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    /* A NUL inside, and one byte more than there is room for. */
    assert_false(base64_decode(BASE64_URL, "Zm\0v", 4, data, sizeof data, &len));
    assert_false(base64_decode(BASE64_URL, "Zm9v", 4, data, 2, &len));
}

/* Every text of up to three characters is either refused or encodes back to itself: no
 * value has two spellings. */
static void test_base64_is_canonical(void **state)
{
    static const char set[] = "AaBQgwZz09-_+/= .";
    char text[4] = {0};
    char again[8];
    char data[4];
    size_t len;
    unsigned n_good = 0;

    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        for (size_t i = 0; i < 4913 /* 17^3 */; i++) {
            size_t rest = i;
            for (size_t k = 0; k < n; k++, rest /= 17) {
                text[k] = set[rest % 17];
            }
            if (base64_decode(BASE64_URL, text, n, data, sizeof data, &len)) {
                base64_encode(BASE64_URL, data, len, again);
                assert_int_equal(strlen(again), n);
                assert_memory_equal(again, text, n);
                n_good++;
            }
        }
    }
    assert_true(n_good > 0);
}

/* ---- MAC and good tokens ---- */

/* RFC 7515, appendix A.1. */
static void test_mac_vector(void **state)
{
    static const char input[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    static const char secret[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"
                                 "aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    unsigned char key[64];
    unsigned char mac[JWT_MAC_BYTES];
    char text[BASE64_LEN(JWT_MAC_BYTES) + 1];
    size_t len;

    (void)state;
    assert_true(
        base64_decode(BASE64_URL, secret, sizeof secret - 1, key, sizeof key, &len));
    assert_int_equal(len, 64);
    assert_true(jwt_mac(key, len, input, sizeof input - 1, mac));
    base64_encode(BASE64_URL, mac, sizeof mac, text);
    assert_string_equal(text, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

static void test_round_trip(void **state)
{
    struct jwt_keys keys = two_keys();
    struct jwt_claims in = {.user_id = (UINT64_C(1) << 53) - 1,
                            .expires_at_s = NOW + 3600};
    struct jwt_claims out;
    char text[JWT_SIGNED_MAX + 1];

    (void)state;
    memcpy(in.session, "0123456789abcdef", sizeof in.session);
    size_t len = jwt_sign(&keys, &in, NOW, text);
    assert_int_equal(len, strlen(text));
    expect("own", verify(text, len, NOW, &out), JWT_OK);
    assert_int_equal(out.user_id, in.user_id);
    assert_memory_equal(out.session, in.session, sizeof in.session);
    assert_int_equal(out.issued_at_s, NOW);
    assert_int_equal(out.expires_at_s, NOW + 3600);
    /* Nothing is returned if the token is refused. */
    struct jwt_claims untouched = {.user_id = 77};
    expect("late", verify(text, len, NOW + 999999, &untouched), JWT_EXPIRED);
    assert_int_equal(untouched.user_id, 77);
}

static void test_sign_refuses(void **state)
{
    struct jwt_keys keys = two_keys();
    struct jwt_keys none = {.n = 0};
    struct jwt_claims good = {.user_id = 1, .expires_at_s = NOW + 1};
    struct jwt_claims bad;
    char text[JWT_SIGNED_MAX + 1];

    (void)state;
    assert_true(jwt_sign(&keys, &good, NOW, text) > 0);
    assert_int_equal(jwt_sign(&none, &good, NOW, text), 0);
    bad = good;
    bad.user_id = 0;
    assert_int_equal(jwt_sign(&keys, &bad, NOW, text), 0);
    bad.user_id = UINT64_C(1) << 53;
    assert_int_equal(jwt_sign(&keys, &bad, NOW, text), 0);
    bad = good;
    bad.expires_at_s = NOW;
    assert_int_equal(jwt_sign(&keys, &bad, NOW, text), 0);
    bad.expires_at_s = INT64_MAX;
    assert_int_equal(jwt_sign(&keys, &bad, NOW, text), 0);
    assert_int_equal(jwt_sign(&keys, &good, -1, text), 0);
}

/* The longest possible key name still fits the buffers. */
static void test_longest_token(void **state)
{
    struct jwt_keys keys = two_keys();
    struct jwt_claims in = {.user_id = (UINT64_C(1) << 53) - 1,
                            .expires_at_s = INT64_C(253402300799)};
    struct jwt_claims out;
    char text[JWT_SIGNED_MAX + 1];

    (void)state;
    memset(keys.key[0].kid, 'k', JWT_KID_MAX);
    keys.key[0].kid[JWT_KID_MAX] = '\0';
    size_t len = jwt_sign(&keys, &in, INT64_C(253402300798), text);
    assert_true(len > 0 && len <= JWT_SIGNED_MAX);
    expect("longest", jwt_verify(&keys, text, len, INT64_C(253402300798), &out), JWT_OK);
}

static void test_rotation(void **state)
{
    struct jwt_keys keys = two_keys();
    struct jwt_keys swapped = {.n = 2, .key = {keys.key[1], keys.key[0]}};
    struct jwt_keys removed = {.n = 1, .key = {keys.key[1]}};
    struct jwt_claims in = {.user_id = 5, .expires_at_s = NOW + 60};
    struct jwt_claims out;
    char before[JWT_SIGNED_MAX + 1];
    char after[JWT_SIGNED_MAX + 1];

    (void)state;
    size_t n_before = jwt_sign(&keys, &in, NOW, before);
    size_t n_after = jwt_sign(&swapped, &in, NOW, after);
    assert_string_not_equal(before, after);
    expect("old key", jwt_verify(&swapped, before, n_before, NOW, &out), JWT_OK);
    expect("second key", jwt_verify(&keys, after, n_after, NOW, &out), JWT_OK);
    expect("removed", jwt_verify(&removed, before, n_before, NOW, &out), JWT_KEY);
    /* The name of a known key, but a signature by another secret. */
    memcpy(removed.key[0].kid, "a1", 3);
    expect("renamed", jwt_verify(&removed, before, n_before, NOW, &out), JWT_SIGNATURE);
}

/* Changing any single character, or cutting anything off, makes the token invalid. */
static void test_every_change_is_seen(void **state)
{
    struct jwt_claims claims;
    char *token = forge(HEADER, CLAIMS, strlen(CLAIMS));
    size_t len = strlen(token);

    (void)state;
    expect("untouched", verify(token, len, NOW, &claims), JWT_OK);
    for (size_t i = 0; i < len; i++) {
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        if (verify(token, len, NOW, &claims) == JWT_OK) {
            fail_msg("character %zu does not count", i);
        }
        token[i] = '\0';
        assert_int_not_equal(verify(token, len, NOW, &claims), JWT_OK);
        token[i] = kept;
        assert_int_not_equal(verify(token, i, NOW, &claims), JWT_OK);
    }
    free(token);
}

/* ---- The corpus: wrong tokens with valid signatures ---- */

static void test_bad_headers(void **state)
{
    static const struct {
        const char *header;
        enum jwt_reason reason;
    } rows[] = {
        {HEADER, JWT_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\"}", JWT_OK},
        {"{\"alg\":\"none\",\"typ\":\"JWT\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"None\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"NoNe\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"hs256\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256 \",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS2567\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS384\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"HS512\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"RS256\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"ES256\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":null,\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":[\"HS256\"],\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"alg\":256,\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"ALG\":\"HS256\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{\"typ\":\"JWT\",\"kid\":\"a1\"}", JWT_ALGORITHM},
        {"{}", JWT_ALGORITHM},
        {"{\"alg\":\"HS256\",\"alg\":\"none\",\"kid\":\"a1\"}", JWT_JSON},
        {"{\"alg\":\"none\",\"alg\":\"HS256\",\"kid\":\"a1\"}", JWT_JSON},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"k\\u0069d\":\"b2\"}", JWT_JSON},
        {"[\"HS256\"]", JWT_JSON},
        {"\"HS256\"", JWT_JSON},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\"", JWT_JSON},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\"}{}", JWT_JSON},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\\u0000\"}", JWT_JSON},
        {"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", JWT_JSON},
        {"{\"alg\":\"HS256\"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"\"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":null}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":1}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"c3\"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"A1\"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"a1 \"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", JWT_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"a1' UNION SELECT 'x\"}", JWT_KEY},
        /* The name of our other key, whose secret did not sign this. */
        {"{\"alg\":\"HS256\",\"kid\":\"b2\"}", JWT_SIGNATURE},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"crit\":[\"exp\"]}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"crit\":[]}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"b64\":false,\"crit\":[\"b64\"]}",
         JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
         JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"jku\":\"http://127.0.0.1/k\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"x5u\":\"http://127.0.0.1/k\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"x5c\":[\"AAAA\"]}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"zip\":\"DEF\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"cty\":\"JWT\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"typ\":\"JWE\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"typ\":\"jwt\"}", JWT_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"a1\",\"typ\":7}", JWT_HEADER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        expect(rows[i].header, verify_forged(rows[i].header, CLAIMS, NOW),
               rows[i].reason);
    }
}

#define REST ISS AUD TYP SUB SID
static const struct {
    const char *payload;
    enum jwt_reason reason;
} BAD_PAYLOADS[] = {
    {CLAIMS, JWT_OK},
    {"{" REST IAT EXP ",\"role\":\"admin\"}", JWT_OK},
    {"{" REST IAT EXP ",\"nbf\":1800000060}", JWT_OK},
    {"", JWT_SHAPE},
    {"{}", JWT_CLAIM},
    {"[]", JWT_JSON},
    {"null", JWT_JSON},
    {"{" REST IAT EXP "} ,", JWT_JSON},
    {"{" REST IAT EXP "," EXP "}", JWT_JSON},
    {"{\"sub\":\"1\"," REST IAT EXP "}", JWT_JSON},
    {"{" REST IAT EXP ",\"s\\u0075b\":\"1\"}", JWT_JSON},
    {"{" AUD TYP SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS TYP SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP SUB IAT EXP "}", JWT_CLAIM},
    {"{" REST EXP "}", JWT_CLAIM},
    {"{" REST "\"iat\":1800000000}", JWT_CLAIM},
    {"{\"iss\":\"Doushard\"," AUD TYP SUB SID IAT EXP "}", JWT_AUDIENCE},
    {"{\"iss\":[\"doushard\"]," AUD TYP SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS "\"aud\":\"other-api\"," TYP SUB SID IAT EXP "}", JWT_AUDIENCE},
    {"{" ISS "\"aud\":\"doushard-api2\"," TYP SUB SID IAT EXP "}", JWT_AUDIENCE},
    {"{" ISS "\"aud\":[\"doushard-api\"]," TYP SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD "\"typ\":\"refresh\"," SUB SID IAT EXP "}", JWT_AUDIENCE},
    {"{" ISS AUD "\"typ\":\"\"," SUB SID IAT EXP "}", JWT_AUDIENCE},
    {"{" ISS AUD "\"typ\":true," SUB SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":1," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"0\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"-1\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"+1\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"01\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\" 1\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"1e3\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"1\\u0000\"," SID IAT EXP "}", JWT_JSON},
    {"{" ISS AUD TYP "\"sub\":\"9007199254740992\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP "\"sub\":\"18446744073709551617\"," SID IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":\"\"," IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":7," IAT EXP "}", JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":\"00112233445566778899aabbccddeef\"," IAT EXP "}",
     JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":\"00112233445566778899aabbccddeeff00\"," IAT EXP "}",
     JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":\"00112233445566778899AABBCCDDEEFF\"," IAT EXP "}",
     JWT_CLAIM},
    {"{" ISS AUD TYP SUB "\"sid\":\"0011223344556677889gaabbccddeeff\"," IAT EXP "}",
     JWT_CLAIM},
    {"{" REST IAT "\"exp\":9223372036854775807}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":9223372036854775808}", JWT_JSON},
    {"{" REST IAT "\"exp\":-9223372036854775808}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":-1}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":0}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":\"1800003600\"}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":1800003600.0}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":1.8000036e9}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":1e400}", JWT_JSON},
    {"{" REST IAT "\"exp\":NaN}", JWT_JSON},
    {"{" REST IAT "\"exp\":null}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":true}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":[1800003600]}", JWT_CLAIM},
    {"{" REST IAT "\"exp\":1800000000}", JWT_CLAIM}, /* ends as it begins */
    {"{" REST IAT "\"exp\":2115360001}", JWT_CLAIM}, /* longer than 10 years */
    {"{" REST "\"iat\":\"1800000000\"," EXP "}", JWT_CLAIM},
    {"{" REST "\"iat\":-1," EXP "}", JWT_CLAIM},
    {"{" REST "\"iat\":1800000000.5," EXP "}", JWT_CLAIM},
    {"{" REST "\"iat\":9223372036854775807," EXP "}", JWT_CLAIM},
    {"{" REST "\"iat\":1800000061," EXP "}", JWT_EARLY},
    {"{" REST IAT EXP ",\"nbf\":1800000061}", JWT_EARLY},
    {"{" REST IAT EXP ",\"nbf\":9223372036854775807}", JWT_EARLY},
    {"{" REST IAT EXP ",\"nbf\":\"0\"}", JWT_CLAIM},
};
#undef REST

static void test_bad_payloads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD_PAYLOADS); i++) {
        expect(BAD_PAYLOADS[i].payload,
               verify_forged(HEADER, BAD_PAYLOADS[i].payload, NOW),
               BAD_PAYLOADS[i].reason);
    }
}

static void test_bad_shapes(void **state)
{
    struct jwt_claims claims;
    char *good = forge(HEADER, CLAIMS, strlen(CLAIMS));
    char *dot1 = strchr(good, '.');
    char *dot2 = strrchr(good, '.');
    char text[JWT_TEXT_MAX + 200];
    size_t unsigned_len = (size_t)(dot2 - good);

    (void)state;
#define EXPECT_TEXT(what, reason)                                                        \
    expect(what, verify(text, strlen(text), NOW, &claims), reason)
    text[0] = '\0';
    EXPECT_TEXT("empty", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "..");
    EXPECT_TEXT("two dots", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%.*s.", (int)unsigned_len, good);
    EXPECT_TEXT("signature removed", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%.*s", (int)unsigned_len, good);
    EXPECT_TEXT("signature and dot removed", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%s.", good);
    EXPECT_TEXT("dot after it", JWT_SHAPE);
    (void)snprintf(text, sizeof text, ".%s", good);
    EXPECT_TEXT("dot before it", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%s.%s", good, dot2 + 1);
    EXPECT_TEXT("four parts", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%.*s.%s", (int)(dot1 - good), good, dot2);
    EXPECT_TEXT("payload removed", JWT_SHAPE);
    (void)snprintf(text, sizeof text, "%s=", good);
    EXPECT_TEXT("padded", JWT_ENCODING);
    (void)snprintf(text, sizeof text, "%s\n", good);
    EXPECT_TEXT("line end", JWT_ENCODING);
    (void)snprintf(text, sizeof text, " %s", good);
    EXPECT_TEXT("blank before it", JWT_ENCODING);
    (void)snprintf(text, sizeof text, "%.*s.AAAA", (int)unsigned_len, good);
    EXPECT_TEXT("short signature", JWT_SIGNATURE);
    (void)snprintf(text, sizeof text, "%sAAAA", good);
    EXPECT_TEXT("long signature", JWT_ENCODING);
    (void)snprintf(text, sizeof text, "%.*s.%043d", (int)unsigned_len, good, 0);
    text[strlen(text) - 1] = 'A';
    EXPECT_TEXT("other signature", JWT_SIGNATURE);
    (void)snprintf(text, sizeof text, "%s", good);
    /* The last character has two unused bits: another spelling of the same MAC. */
    text[strlen(text) - 1]++;
    EXPECT_TEXT("signature not canonical", JWT_ENCODING);
    memset(text, 'A', sizeof text);
    expect("too long", verify(text, JWT_TEXT_MAX + 1, NOW, &claims), JWT_TOO_LONG);
    expect("as long as allowed", verify(text, JWT_TEXT_MAX, NOW, &claims), JWT_SHAPE);
#undef EXPECT_TEXT
    free(good);
}

/* 1 KiB of brackets must not make the JSON parser recurse deeply. */
static void test_nesting(void **state)
{
    char header[600];

    (void)state;
    memset(header, '[', sizeof header - 1);
    header[sizeof header - 1] = '\0';
    expect("nested", verify_forged(header, "{}", NOW), JWT_JSON);
}

static void test_time_bounds(void **state)
{
    static const struct {
        int64_t now_s;
        enum jwt_reason reason;
    } rows[] = {
        {NOW, JWT_OK},
        {NOW - 60, JWT_OK},
        {NOW - 61, JWT_EARLY},
        {NOW + 3600, JWT_OK},
        {NOW + 3659, JWT_OK},
        {NOW + 3660, JWT_EXPIRED},
        {INT64_MAX, JWT_EXPIRED},
        {0, JWT_EARLY},
        {-1, JWT_EARLY},
        {INT64_MIN, JWT_EARLY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char what[40];
        (void)snprintf(what, sizeof what, "now %" PRId64, rows[i].now_s);
        expect(what, verify_forged(HEADER, CLAIMS, rows[i].now_s), rows[i].reason);
    }
}

/* ---- The key file ---- */

static void test_keys_parse(void **state)
{
    static const struct {
        const char *text;
        const char *why; /* a part of the message; NULL: the file is good */
        size_t n;
    } rows[] = {
        {"a " K1, NULL, 1},
        {"a " K1 "\n", NULL, 1},
        {"# old\n\n  \na \t " K1 " \r\nb-2_X\t" K2 K2 "\n", NULL, 2},
        {"", "no key", 0},
        {"# nothing\n", "no key", 0},
        {"a\n", "line 1", 0},
        {"a " K1 "\nb\n", "line 2", 0},
        {"a.b " K1, "line 1", 0},
        {" a " K1, "line 1", 0},
        {"abcdefghijklmnopqrstuvwxyz0123456 " K1, "1 to 32", 0},
        {"a " K1 " " K2, "hexadecimal", 0},
        {"a 0x" K1, "hexadecimal", 0},
        {"a " K1 "0", "hexadecimal", 0},
        {"a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e", "shorter",
         0},
        {"a " K1 K1 K1, "32 to 64", 0},
        {"a " K1 "\na " K2, "line 2: this name", 0},
        {"a " K1 "\nb " K1, "line 2: this key", 0},
        {"a 4141414141414141414141414141414141414141414141414141414141414141", "repeated",
         0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jwt_keys keys = {.n = 99};
        struct errmsg err = {""};
        bool ok = token_keys_parse(rows[i].text, strlen(rows[i].text), &keys, &err);
        if (rows[i].why == NULL) {
            assert_true(ok);
            assert_int_equal(keys.n, rows[i].n);
            continue;
        }
        assert_false(ok);
        assert_int_equal(keys.n, 99);
        if (strstr(err.text, rows[i].why) == NULL) {
            fail_msg("row %zu: %s", i, err.text);
        }
        /* No message repeats a text that may be a secret. */
        assert_null(strstr(err.text, "0203"));
    }
}

static void test_keys_count(void **state)
{
    char text[TOKEN_KEYS_FILE_MAX];
    struct jwt_keys keys;
    struct errmsg err;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i <= JWT_KEYS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "k%u %064x\n", i, i + 1);
        assert_int_equal(token_keys_parse(text, len, &keys, &err), i < JWT_KEYS_MAX);
    }
    assert_string_equal(keys.key[JWT_KEYS_MAX - 1].kid, "k15");
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void test_keys_file(void **state)
{
    struct scratch dir;
    char path[SCRATCH_PATH_MAX + 8];
    struct errmsg err;
    struct jwt_keys loaded;
    static const mode_t open_modes[] = {0640, 0604, 0660, 0644, 0601, 0610};

    (void)state;
    scratch_make(&dir);
    (void)snprintf(path, sizeof path, "%s/keys", dir.path);
    assert_false(token_keys_load(path, &loaded, &err));
    assert_non_null(strstr(err.text, "No such file"));

    write_file(path, "a " K1 "\n", 0600);
    assert_true(token_keys_load(path, &loaded, &err));
    for (size_t i = 0; i < ARRAY_LEN(open_modes); i++) {
        assert_int_equal(chmod(path, open_modes[i]), 0);
        assert_false(token_keys_load(path, &loaded, &err));
        assert_non_null(strstr(err.text, "chmod 600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_true(token_keys_load(path, &loaded, &err));

    assert_false(token_keys_load(dir.path, &loaded, &err));
    assert_non_null(strstr(err.text, "regular"));

    char big[TOKEN_KEYS_FILE_MAX + 100];
    memset(big, '#', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    write_file(path, big, 0600);
    assert_false(token_keys_load(path, &loaded, &err));
    assert_non_null(strstr(err.text, "larger than 8192 bytes"));
    unlink(path);
    /* A FIFO must not make the program hang at startup. */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(token_keys_load(path, &loaded, &err));
    scratch_remove(&dir);
}

static void test_keys_reload(void **state)
{
    struct scratch dir;
    char path[SCRATCH_PATH_MAX + 8];
    struct errmsg err;

    (void)state;
    scratch_make(&dir);
    (void)snprintf(path, sizeof path, "%s/keys", dir.path);
    write_file(path, "broken\n", 0600);
    assert_null(token_keys_new(path, &err));
    write_file(path, "a " K1 "\n", 0600);
    struct token_keys *holder = token_keys_new(path, &err);
    assert_non_null(holder);

    const struct jwt_keys *old = token_keys_ref(holder);
    write_file(path, "b " K2 "\na " K1 "\n", 0600);
    struct token_key_set *set = token_key_set_read(path, &err);
    assert_non_null(set);
    token_keys_replace(holder, set);
    const struct jwt_keys *fresh = token_keys_ref(holder);
    assert_string_equal(old->key[0].kid, "a"); /* still whole for who uses it */
    assert_int_equal(old->n, 1);
    assert_string_equal(fresh->key[0].kid, "b");
    assert_int_equal(fresh->n, 2);
    token_keys_unref(holder, &old);
    assert_null(old);

    write_file(path, "b " K2 "\nb " K1 "\n", 0600);
    assert_null(token_key_set_read(path, &err));
    assert_non_null(strstr(err.text, "line 2"));
    set = NULL;
    token_key_set_free(&set);
    const struct jwt_keys *kept = token_keys_ref(holder);
    assert_ptr_equal(kept, fresh);
    token_keys_unref(holder, &kept);
    token_keys_unref(holder, &fresh);
    token_keys_free(&holder);
    assert_null(holder);
    scratch_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refuses),
        cmocka_unit_test(test_base64_is_canonical),
        cmocka_unit_test(test_mac_vector),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sign_refuses),
        cmocka_unit_test(test_longest_token),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_every_change_is_seen),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_payloads),
        cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_time_bounds),
        cmocka_unit_test(test_keys_parse),
        cmocka_unit_test(test_keys_count),
        cmocka_unit_test(test_keys_file),
        cmocka_unit_test(test_keys_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
