/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Only well-formed UTF-8 is accepted; compared with a simple decoder over all code
 * points. */
#include <stdbool.h>
#include <string.h>

#include "shard/base/check.h"
#include "shard/base/utf8.h"

#include "tests/unit/cmocka_all.h"

static void test_table(void **state)
{
    static const struct {
        const char *text;
        ssize_t count;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\xc2\x80", 1},
        {"\xdf\xbf", 1},
        {"\xe0\xa0\x80", 1},
        {"\xed\x9f\xbf", 1},
        {"\xee\x80\x80", 1},
        {"\xf0\x90\x80\x80", 1},
        {"\xf4\x8f\xbf\xbf", 1},
        {"a\xe4\xb8\xad\xe6\x96\x87z", 4},
        {"\x80", -1},             /* a tail alone */
        {"\xc0\x80", -1},         /* overlong NUL */
        {"\xc1\xbf", -1},         /* overlong ASCII */
        {"\xe0\x9f\xbf", -1},     /* overlong */
        {"\xf0\x8f\xbf\xbf", -1}, /* overlong */
        {"\xed\xa0\x80", -1},     /* first surrogate */
        {"\xed\xbf\xbf", -1},     /* last surrogate */
        {"\xf4\x90\x80\x80", -1}, /* U+110000 */
        {"\xf5\x80\x80\x80", -1},
        {"\xff", -1},
        {"\xfe", -1},
        {"\xc2", -1}, /* cut off */
        {"\xe4\xb8", -1},
        {"\xf0\x9f\x98", -1},
        {"\xc2z", -1}, /* no tail */
        {"\xe4\xb8z", -1},
        {"\xe4z\x80", -1},
        {"\xf0\x9f\x98z", -1},
        {"ok\xff", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(utf8_count(cases[i].text, strlen(cases[i].text)),
                         cases[i].count);
    }
    assert_int_equal(utf8_count("a\0b", 3), 3);
    assert_int_equal(utf8_count(NULL, 0), 0);
}

static size_t encode(unsigned cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

static void test_all_code_points(void **state)
{
    char text[4];

    (void)state;
    for (unsigned cp = 0; cp < 0x120000; cp++) {
        bool valid = cp < 0x110000 && (cp < 0xD800 || cp > 0xDFFF);
        size_t len = encode(cp, text);

        assert_int_equal(utf8_count(text, len), valid ? 1 : -1);
        if (len > 1) {
            assert_int_equal(utf8_count(text, len - 1), -1);
        }
    }
}

/* Of the 65536 pairs of bytes exactly 1920 are one code point of two bytes, and 128 *
 * 128 are two ASCII characters. */
static void test_all_pairs(void **state)
{
    int n_one = 0;
    int n_two = 0;

    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        const char text[2] = {(char)(i >> 8), (char)(i & 0xFF)};
        ssize_t count = utf8_count(text, 2);

        n_one += count == 1 ? 1 : 0;
        n_two += count == 2 ? 1 : 0;
    }
    assert_int_equal(n_one, 1920);
    assert_int_equal(n_two, 128 * 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_all_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
