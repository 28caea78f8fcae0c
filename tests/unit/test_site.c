/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which clients are sent a compressed file, and which files make has built into the
 * program. */
#include <string.h>

#include "shard/base/check.h"

#include "server/api/site.h"

#include "tests/unit/cmocka_all.h"

static const struct {
    const char *accept_encoding;
    bool takes_gzip;
} cases[] = {
    {NULL, false},
    {"", false},
    {"gzip", true},
    {"GZip", true},
    {"x-gzip", true},
    {"gzip, deflate, br, zstd", true},
    {"br,gzip", true},
    {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
    {" gzip ", true},
    {",, gzip", true},
    {"deflate\t,\tgzip", true},
    {"br", false},
    {"identity", false},
    {"gzipped", false},
    {"gzi", false},
    {"not-gzip", false},
    {"br gzip", false},
    /* quality values */
    {"gzip;q=1", true},
    {"gzip;q=0.001", true},
    {"gzip ; Q=0.5", true},
    {"gzip;q=0", false},
    {"gzip;q=0.", false},
    {"gzip;q=0.000", false},
    {"gzip; q=0 , br", false},
    {"gzip;q=", false},
    {"gzip;q=x", false},
    {"gzip;", true},
    {"gzip;level=9", true},
    {"gzip;level=9;q=0", false},
    {"gzip;q=0;level=9", false},
    /* encodings that are not named */
    {"*", true},
    {"*;q=0.5", true},
    {"*;q=0", false},
    {"*, gzip;q=0", false},
    {"gzip;q=0, *", false},
    {"*;q=0, gzip", true},
    {"br, *;q=0", false},
    {"**", false},
};

static void test_takes_gzip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (site_takes_gzip(cases[i].accept_encoding) != cases[i].takes_gzip) {
            fail_msg("case %zu: \"%s\"", i, cases[i].accept_encoding);
        }
    }
}

static void test_table(void **state)
{
    (void)state;
    size_t n;
    const struct site_file *table = site_table(&n);

    assert_true(n > 1);
    for (size_t i = 0; i < n; i++) {
        const struct site_file *file = &table[i];

        assert_int_equal(file->url[0], '/');
        assert_true(i == 0 || strcmp(table[i - 1].url, file->url) < 0);
        assert_int_equal(file->plain.bytes[file->plain.size], '\0');
        if (file->gzip.bytes != NULL) {
            assert_memory_equal(file->gzip.bytes, "\x1f\x8b", 2);
            assert_true(file->gzip.size < file->plain.size);
            assert_string_not_equal(file->gzip.etag, file->plain.etag);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_gzip),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
