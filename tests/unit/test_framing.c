/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Judging the framing of a request by what the library leaves in its buffer. */
#include <stdlib.h>
#include <string.h>

#include "shard/base/arena.h"

#include "server/http/framing.h"

#include "tests/unit/cmocka_all.h"

/* Ends a line as libmicrohttpd 0.9.75 does: both bytes of CR LF, or a bare LF, become
 * NUL. Returns where the next line begins. */
static char *cut_line(char *line, const char *end)
{
    char *at = line;

    while (at < end && *at != '\n') {
        at++;
    }
    assert_true(at < end);
    if (at > line && at[-1] == '\r') {
        at[-1] = '\0';
    }
    *at = '\0';
    return at + 1;
}

/* Parses a header in place like that library, but without folded lines, and judges it. */
static void judge(struct framing *framing, char *buf, size_t len, char *target_text)
{
    struct framing_target target;
    char *end = buf + len;
    char *line = buf;
    char *next = cut_line(line, end);
    char *version;

    target.at = strchr(line, ' ');
    assert_non_null(target.at);
    buf[target.at - buf] = '\0';
    target.at++;
    while (*target.at == ' ') {
        target.at++;
    }
    version = strrchr(target.at, ' ');
    assert_non_null(version);
    *version++ = '\0';
    (void)strncpy(target_text, target.at, 255);
    target.text = target_text;
    framing_begin(framing, line, &target, version);
    for (line = next; line[0] != '\r' && line[0] != '\n' && line[0] != '\0';
         line = next) {
        char *colon;
        char *value;

        next = cut_line(line, end);
        colon = strchr(line, ':');
        assert_non_null(colon);
        *colon = '\0';
        value = colon + 1;
        while (*value == ' ' || *value == '\t') {
            value++;
        }
        framing_header(framing, line, strlen(line), value, strlen(value));
    }
    next = cut_line(line, end);
    framing_end(framing, (size_t)(next - buf));
}

#define L "GET /a?b HTTP/1.1\r\n"
#define H "Host: x\r\n"

static void test_headers(void **state)
{
    static const struct {
        const char *bytes;
        size_t len; /* 0: strlen */
        enum framing_verdict verdict;
        const char *reason; /* a part of it */
        bool must_close;
    } cases[] = {
        {L H "\r\n", 0, FRAMING_OK, NULL, false},
        {L "Host:x\r\nA:\r\nB: \t c \r\n\r\n", 0, FRAMING_OK, NULL, false},
        {"GET / HTTP/1.0\r\n\r\n", 0, FRAMING_OK, NULL, false},
        {L H "Content-Length: 5\r\n\r\n", 0, FRAMING_OK, NULL, false},
        {L H "transfer-encoding: CHUNKED\r\n\r\n", 0, FRAMING_OK, NULL, true},
        {"GET /a?b c HTTP/1.1\r\n" H "\r\n", 0, FRAMING_OK, NULL, true},
        {"GET /a b HTTP/1.1\r\n" H "\r\n", 0, FRAMING_BAD, "space", true},
        {"GET  /a HTTP/1.1\r\n" H "\r\n", 0, FRAMING_BAD, "request line", true},
        {"G(T /a HTTP/1.1\r\n" H "\r\n", 0, FRAMING_BAD, "method", true},
        {"GET /a\x01 HTTP/1.1\r\n" H "\r\n", 0, FRAMING_BAD, "target", true},
        {L "\r\n", 0, FRAMING_BAD, "no Host", true},
        {L H H "\r\n", 0, FRAMING_BAD, "several Host", true},
        {L "Host: a b\r\n\r\n", 0, FRAMING_BAD, "Host", true},
        {L H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, FRAMING_BAD, "several",
         true},
        {L H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, FRAMING_BAD,
         "together", true},
        {L H "Content-Length: -5\r\n\r\n", 0, FRAMING_BAD, "malformed", true},
        {L H "Content-Length:\r\n\r\n", 0, FRAMING_BAD, "malformed", true},
        {L H "Transfer-Encoding: gzip\r\n\r\n", 0, FRAMING_UNSUPPORTED, "chunked", true},
        {L H "Transfer-Encoding: chunked \r\n\r\n", 0, FRAMING_UNSUPPORTED, "chunked",
         true},
        {L H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
         FRAMING_BAD, "several", true},
        {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, FRAMING_BAD,
         "HTTP/1.0", true},
        {L H "A : b\r\n\r\n", 0, FRAMING_BAD, "name", true},
        {L H ": b\r\n\r\n", 0, FRAMING_BAD, "name", true},
        {L H "A: b\rc\r\n\r\n", 0, FRAMING_BAD, "control", true},
        {L H "A: b\x7f\r\n\r\n", 0, FRAMING_BAD, "control", true},
        {L H "A: b\nB: c\r\n\r\n", 0, FRAMING_BAD, "CR LF", true},
        {L H "A:  b\nB: c\r\n\r\n", 0, FRAMING_BAD, "CR LF", true},
        {L H "A: b\n\r\n", 0, FRAMING_BAD, "CR LF", true},
        {L H "\n", 0, FRAMING_BAD, "CR LF", true},
        {"GET /a HTTP/1.1\n" H "\r\n", 0, FRAMING_BAD, "CR LF", true},
        {"GET /a HTTP/1.1\nHost: x\n\n", 0, FRAMING_BAD, "CR LF", true},
        {L "Host: x\n\0G\n", sizeof(L "Host: x\n\0G\n") - 1, FRAMING_BAD, "CR LF", true},
        {L H "A: b\0\r\n\r\n", sizeof(L H "A: b\0\r\n\r\n") - 1, FRAMING_BAD, "NUL",
         true},
        {L H "A: b\0c\r\n\r\n", sizeof(L H "A: b\0c\r\n\r\n") - 1, FRAMING_BAD, "NUL",
         true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = cases[i].len != 0 ? cases[i].len : strlen(cases[i].bytes);
        char *buf = malloc(len);
        char target[256] = "";
        struct framing framing;

        memcpy(buf, cases[i].bytes, len);
        judge(&framing, buf, len, target);
        assert_int_equal(framing.verdict, cases[i].verdict);
        assert_int_equal(framing.must_close, cases[i].must_close);
        if (cases[i].reason != NULL) {
            assert_non_null(strstr(framing.reason, cases[i].reason));
        } else {
            assert_null(framing.reason);
        }
        free(buf);
    }
}

static void test_length(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t length;
    } cases[] = {
        {"0", true, 0},
        {"5", true, 5},
        {"0005", true, 5},
        {"9007199254740991", true, UINT64_C(9007199254740991)},
        {"9007199254740992", false, 0},
        {"18446744073709551615", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"1 ", false, 0},
        {"1,1", false, 0},
        {"0x1", false, 0},
        {"1\xff", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t length;
        bool good = framing_parse_length(cases[i].text, strlen(cases[i].text), &length);

        assert_int_equal(good, cases[i].good);
        if (good) {
            assert_int_equal(length, cases[i].length);
        }
    }
}

static void test_path(void **state)
{
    static const struct {
        const char *target;
        const char *path; /* NULL: refused */
    } cases[] = {
        {"/", "/"},
        {"/a/b?c=d", "/a/b"},
        {"/a%20b", "/a b"},
        {"/%61%2F", "/a/"},
        {"/a%zz%4", "/a%zz%4"},
        {"/a%2561", "/a%61"}, /* decoded once */
        {"/a+b", "/a+b"},
        {"http://h/a?b", "/a"},
        {"HTTPS://h:1/a", "/a"},
        {"http://h", "/"},
        {"http://h?x", "/"},
        {"/%00", NULL},
        {"/a%0d%0ab", NULL},
        {"/%7f", NULL},
        {"a", NULL},
        {"*", NULL},
        {"?a", NULL},
        {"ftp://h/a", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct framing framing = {.target = cases[i].target};
        struct arena arena;
        const char *reason;
        const char *path;

        arena_init(&arena, 1 << 16);
        path = framing_path(&framing, &arena, &reason);
        if (cases[i].path == NULL) {
            assert_null(path);
            assert_non_null(reason);
        } else {
            assert_string_equal(path, cases[i].path);
        }
        arena_release(&arena);
    }
}

static void test_path_no_memory(void **state)
{
    struct framing framing = {.target = "/a"};
    struct arena arena;
    const char *reason = "?";

    (void)state;
    arena_init(&arena, 0);
    assert_null(framing_path(&framing, &arena, &reason));
    assert_null(reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_path_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
