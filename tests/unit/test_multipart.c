/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The multipart parser: every body gives the same result, however it is cut into
 * pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"
#include "shard/base/check.h"

#include "server/http/multipart.h"

#include "tests/unit/cmocka_all.h"

/* Writes "name=data;" for every part. */
static void collect(void *cls, const char *name, bool first, const char *data, size_t len)
{
    struct buf *out = cls;

    if (first) {
        (void)buf_addf(out, "%s%s=", out->len > 0 ? ";" : "", name);
    }
    (void)buf_add(out, data, len);
}

enum end { COMPLETE, CUT, BROKEN };

/* Parses BODY in pieces of STEP bytes into OUT. */
static enum end parse(const char *type, const char *body, size_t len, size_t step,
                      struct buf *out)
{
    struct multipart multipart;

    assert_true(multipart_init(&multipart, type, collect, out));
    for (size_t pos = 0; pos < len; pos += step) {
        size_t n = len - pos < step ? len - pos : step;
        char *piece = malloc(n); /* so that the sanitizer sees reads outside it */
        bool ok;

        memcpy(piece, body + pos, n);
        ok = multipart_add(&multipart, piece, n);
        free(piece);
        if (!ok) {
            assert_false(multipart_add(&multipart, "x", 1));
            return BROKEN;
        }
    }
    return multipart_is_complete(&multipart) ? COMPLETE : CUT;
}

#define B          "multipart/form-data; boundary=b"
#define PART(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define END        "\r\n--b--\r\n"

static void test_bodies(void **state)
{
    static const struct {
        const char *body;
        enum end end;
        const char *parts;
    } cases[] = {
        {PART("a") "1" END, COMPLETE, "a=1"},
        {PART("a") "1\r\n" PART("b") "2" END, COMPLETE, "a=1;b=2"},
        {PART("a") END, COMPLETE, "a="},
        {"preamble\r\n" PART("a") "1" END "epilogue", COMPLETE, "a=1"},
        {"\r\n" PART("a") "1" END, COMPLETE, "a=1"},
        {"--b--", COMPLETE, ""},
        {"--b \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--", COMPLETE,
         "a=1"},
        {PART("a") "\r\n--" END, COMPLETE, "a=\r\n--"},
        {PART("a") "\r\r\n-\r\n--\r\n-b" END, COMPLETE, "a=\r\r\n-\r\n--\r\n-b"},
        {PART("a") "--b" END, COMPLETE, "a=--b"},
        {PART("a") "\n--b--" END, COMPLETE, "a=\n--b--"},
        {PART("a") "\r" END, COMPLETE, "a=\r"},
        {"--b\r\ncontent-disposition:form-data;filename=\"x;y\\\"\";name=\"a\"\r\n"
         "Content-Type: video/mp4\r\n\r\n1" END,
         COMPLETE, "a=1"},
        {"--b\r\nX: y\r\nContent-Disposition: form-data; NAME=a; filename=f\r\n\r\n1" END,
         COMPLETE, "a=1"},
        {"--b\r\nContent-Disposition: form-data; name=\"q\\\"\\\\\"\r\n\r\n1" END,
         COMPLETE, "q\"\\=1"},
        /* parts that belong to no field */
        {"--b\r\n\r\n1\r\n" PART("a") "2" END, COMPLETE, "a=2"},
        {"--b\r\nContent-Disposition: form-data\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nContent-Disposition: form-data; xname=\"a\"\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nContent-Disposition: form-data; name; x\r\n\r\n1" END, COMPLETE, ""},
        {"--b\r\nXContent-Disposition: form-data; name=a\r\n\r\n1" END, COMPLETE, ""},
        /* incomplete */
        {"", CUT, ""},
        {"--b", CUT, ""},
        {"--b-", CUT, ""},
        {"--c--", CUT, ""},
        {"username=a&password=b", CUT, ""},
        {PART("a") "1", CUT, "a=1"},
        {PART("a") "1\r\n--b", CUT, "a=1"},
        {PART("a") "1\r\n--b\r\n", CUT, "a=1"},
        {"--b\r\nContent-Disposition: form-data; name=a\r\n", CUT, ""},
        /* malformed */
        {"--bx", BROKEN, ""},
        {"--b-x", BROKEN, ""},
        {"--b\rx", BROKEN, ""},
        {"--b\n", BROKEN, ""},
        {"--b -", BROKEN, ""},
        {"--b\r\nX: y\nZ: z\r\n\r\n1" END, BROKEN, ""},
        {"--b\r\n\n", BROKEN, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].body);

        for (size_t step = 1; step <= len + 1; step++) {
            struct buf out;

            buf_init(&out, 10000);
            assert_int_equal(parse(B, cases[i].body, len, step, &out), cases[i].end);
            assert_string_equal(out.data != NULL ? out.data : "", cases[i].parts);
            buf_clear(&out);
        }
    }
}

static void test_binary(void **state)
{
    static const char body[] = PART("data") "\0\xff\r\0\r\n\0--b" END;
    static const char parts[] = "data=\0\xff\r\0\r\n\0--b";

    (void)state;
    for (size_t step = 1; step < sizeof body; step++) {
        struct buf out;

        buf_init(&out, 10000);
        assert_int_equal(parse(B, body, sizeof body - 1, step, &out), COMPLETE);
        assert_int_equal(out.len, sizeof parts - 1);
        assert_memory_equal(out.data, parts, sizeof parts - 1);
        buf_clear(&out);
    }
    {
        struct buf out;

        buf_init(&out, 10000); /* NUL in a part's header */
        assert_int_equal(parse(B, "--b\r\nX: \0\r\n", 11, 100, &out), BROKEN);
        buf_clear(&out);
    }
}

static void test_boundary(void **state)
{
    static const struct {
        const char *type;
        const char *boundary; /* NULL: none */
    } cases[] = {
        {"multipart/form-data; boundary=xyz", "xyz"},
        {"multipart/form-data;boundary=xyz", "xyz"},
        {"multipart/form-data; charset=utf-8; Boundary=\"x yz\"; a=b", "x yz"},
        {"multipart/form-data; boundary=xyz; charset=UTF-8", "xyz"},
        {"multipart/form-data; boundary=xyz \t", "xyz"},
        {"multipart/form-data; a=\"boundary=no\"; boundary=yes", "yes"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"", NULL},
        {"multipart/form-data; boundary=\"xyz", NULL},
        {"multipart/form-data; xboundary=xyz", NULL},
        {";;;;", NULL},
        {"", NULL},
    };
    struct multipart multipart;
    char type[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool good = multipart_init(&multipart, cases[i].type, collect, NULL);

        assert_int_equal(good, cases[i].boundary != NULL);
        if (good) {
            assert_string_equal(multipart.delimiter + 4, cases[i].boundary);
        }
    }
    (void)snprintf(type, sizeof type, "x; boundary=%0200d", 1);
    assert_true(multipart_init(&multipart, type, collect, NULL));
    (void)snprintf(type, sizeof type, "x; boundary=%0201d", 1);
    assert_false(multipart_init(&multipart, type, collect, NULL));
}

static void test_limits(void **state)
{
    char body[MULTIPART_HEAD_MAX + 200];
    struct buf out;
    int len;

    (void)state;
    buf_init(&out, 10000);
    len =
        snprintf(body, sizeof body,
                 "--b\r\nContent-Disposition: form-data; name=\"%064d\"\r\n\r\n1" END, 1);
    assert_int_equal(parse(B, body, (size_t)len, 1000, &out), COMPLETE);
    assert_int_equal(out.len, 64 + 2);
    buf_clear(&out);
    len =
        snprintf(body, sizeof body,
                 "--b\r\nContent-Disposition: form-data; name=\"%065d\"\r\n\r\n1" END, 1);
    assert_int_equal(parse(B, body, (size_t)len, 1000, &out), COMPLETE);
    assert_int_equal(out.len, 0);
    buf_clear(&out);
    len =
        snprintf(body, sizeof body, "--b\r\nX: %0*d\r\n\r\n1" END, MULTIPART_HEAD_MAX, 1);
    assert_int_equal(parse(B, body, (size_t)len, 1000, &out), BROKEN);
    buf_clear(&out);
}

/* Random bodies of the bytes that matter: no crash, and the same result when they
 * arrive in pieces. */
static void test_random(void **state)
{
    static const char *const words[] = {
        "\r",      "\n",
        "--",      "-",
        "b",       "\r\n--b",
        "\r\n",    "a",
        ": ",      "; ",
        "=",       "\"",
        "\\",      "Content-Disposition: form-data; name=a",
        "\r\n\r\n"};
    uint32_t seed = 12345;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char body[512] = "--b\r\n";
        struct buf whole;
        struct buf cut;
        size_t len = strlen(body);
        enum end end;

        for (int i = 0; i < 12; i++) {
            seed = seed * 1664525U + 1013904223U;
            len += (size_t)snprintf(body + len, sizeof body - len, "%s",
                                    words[(seed >> 16) % ARRAY_LEN(words)]);
        }
        buf_init(&whole, 10000);
        buf_init(&cut, 10000);
        end = parse(B, body, len, len, &whole);
        assert_int_equal(parse(B, body, len, 1 + (seed >> 20) % 7, &cut), end);
        assert_int_equal(cut.len, whole.len);
        assert_int_equal(whole.len > 0 ? memcmp(cut.data, whole.data, whole.len) : 0, 0);
        buf_clear(&whole);
        buf_clear(&cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),   cmocka_unit_test(test_binary),
        cmocka_unit_test(test_boundary), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
