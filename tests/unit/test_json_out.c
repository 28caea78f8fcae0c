/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is written can be read by another parser: every character, number and nesting.
 * What cannot be written leaves nothing half written. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"
#include "shard/base/json_out.h"

#include "tests/unit/cmocka_all.h"

#define BYTES_MAX ((size_t)1 << 16)

static json_t *parsed(struct json_out *out)
{
    size_t len = 0;
    char *text = buf_detach(&out->buf, &len);

    assert_non_null(text);
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

static void test_shapes(void **state)
{
    struct json_out out;
    size_t len;

    (void)state;
    json_out_init(&out, BYTES_MAX);
    json_out_object(&out, NULL);
    json_out_array(&out, "empty");
    json_out_array_end(&out);
    json_out_array(&out, "list");
    json_out_object(&out, NULL);
    json_out_object_end(&out);
    json_out_integer(&out, NULL, 1);
    json_out_object(&out, NULL);
    json_out_bool(&out, "yes", true);
    json_out_bool(&out, "no", false);
    json_out_object_end(&out);
    json_out_array_end(&out);
    json_out_texts(&out, "joined", (const char *[]){"a", "", "\"b"}, 3);
    json_out_object_end(&out);
    char *text = buf_detach(&out.buf, &len);
    assert_string_equal(text, "{\"empty\":[],\"list\":[{},1,{\"yes\":true,\"no\":false}],"
                              "\"joined\":\"a\\\"b\"}");
    assert_int_equal(len, strlen(text));
    free(text);
}

static void test_integers(void **state)
{
    static const int64_t values[] = {
        0,         1,         -1,           9, 10, -10, INT64_C(9007199254740991),
        INT64_MAX, INT64_MIN, INT64_MIN + 1};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct json_out out;
        char wanted[32];

        json_out_init(&out, BYTES_MAX);
        json_out_integer(&out, NULL, values[i]);
        snprintf(wanted, sizeof wanted, "%" PRId64, values[i]);
        assert_string_equal(out.buf.data, wanted);
        buf_clear(&out.buf);
    }
}

/* Encodes any code point except NUL and surrogates. */
static void encode(uint32_t code, char text[5])
{
    memset(text, 0, 5);
    if (code < 0x80) {
        text[0] = (char)code;
    } else if (code < 0x800) {
        text[0] = (char)(0xC0 | code >> 6);
        text[1] = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        text[0] = (char)(0xE0 | code >> 12);
        text[1] = (char)(0x80 | (code >> 6 & 0x3F));
        text[2] = (char)(0x80 | (code & 0x3F));
    } else {
        text[0] = (char)(0xF0 | code >> 18);
        text[1] = (char)(0x80 | (code >> 12 & 0x3F));
        text[2] = (char)(0x80 | (code >> 6 & 0x3F));
        text[3] = (char)(0x80 | (code & 0x3F));
    }
}

static void test_every_character(void **state)
{
    (void)state;
    for (uint32_t code = 1; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 241) {
        char text[8] = "az";
        struct json_out out;

        if (code >= 0xD800 && code <= 0xDFFF) {
            continue;
        }
        encode(code, text + 2);
        json_out_init(&out, BYTES_MAX);
        json_out_text(&out, NULL, text);
        json_t *json = parsed(&out);
        assert_string_equal(json_string_value(json), text);
        json_decref(json);
    }
}

static void test_escapes(void **state)
{
    struct json_out out;

    (void)state;
    json_out_init(&out, BYTES_MAX);
    json_out_text(&out, NULL, "\"\\/\b\f\n\r\t\x01\x1f\x7f");
    assert_string_equal(out.buf.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    buf_clear(&out.buf);
}

/* After a failure nothing remains, whatever is written later. */
static void test_failures(void **state)
{
    static const char *const texts[] = {"\xff", "ab\xc3", "\xed\xa0\x80", NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json_out out;

        json_out_init(&out, BYTES_MAX);
        json_out_object(&out, NULL);
        json_out_text(&out, "a", texts[i]);
        json_out_integer(&out, "b", 1);
        json_out_object_end(&out);
        assert_true(out.buf.failed);
        assert_null(buf_detach(&out.buf, NULL));
    }
}

static void test_bound(void **state)
{
    struct json_out out;

    (void)state;
    static const char wanted[] = "{\"a\":\"b\\n\"}";
    for (size_t max = 0; max <= sizeof wanted; max++) {
        json_out_init(&out, max);
        json_out_object(&out, NULL);
        json_out_text(&out, "a", "b\n");
        json_out_object_end(&out);
        assert_int_equal(out.buf.failed, max < strlen(wanted));
        assert_true(out.buf.len <= max);
        buf_clear(&out.buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),          cmocka_unit_test(test_integers),
        cmocka_unit_test(test_every_character), cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_failures),        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
