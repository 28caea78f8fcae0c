/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Slots of keys, replies cut anywhere, and the errors of a Redis Cluster. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"

#include "shard/rmap.h"
#include "shard/rslot.h"
#include "shard/rwire.h"

#include "tests/unit/cmocka_all.h"

/* As CLUSTER KEYSLOT of Redis 7.0 answers. */
static void test_slots(void **state)
{
    static const struct {
        const char *key;
        uint16_t slot;
    } rows[] = {
        {"", 0},
        {"123456789", 12739},
        {"a", 15495},
        {"{a}", 15495},
        {"x{a}y", 15495},
        {"{a}{b}", 15495},
        {"b{a", 0},
        {"foo{}{bar}", 8363},
        {"foo{{bar}}zap", 4015},
        {"foo{bar}{zap}", 5061},
        {"foo", 12182},
        {"bar", 5061},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].slot != 0 || rows[i].key[0] == '\0') {
            assert_int_equal(rslot_of(rows[i].key, strlen(rows[i].key)), rows[i].slot);
        }
    }
    assert_int_not_equal(rslot_of("b{a", 3), rslot_of("a", 1));
    assert_int_equal(rslot_of("\0{a}", 4), 15495);
}

/* Reads the replies that are complete by now; N replies came before. Returns how many
 * there are in all. */
static size_t check_replies(struct rreader *reader, const enum rreply_kind *kinds,
                            size_t n)
{
    struct rreply *reply;

    while (rreader_next(reader, &reply) && reply != NULL) {
        assert_int_equal(reply->kind, kinds[n]);
        if (n == 5) {
            assert_int_equal(reply->len, 3);
            assert_memory_equal(reply->text, "a\0b", 4);
        }
        if (n == 6) {
            assert_int_equal(reply->elements[1]->elements[0]->text[0], 'x');
        }
        rreply_free(&reply);
        n++;
    }
    return n;
}

/* Wherever the stream is cut, the replies are the same. */
static void test_replies(void **state)
{
    static const char wire[] = "+OK\r\n-ERR no\r\n:-5\r\n$-1\r\n$0\r\n\r\n$3\r\na\0b\r\n"
                               "*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n*-1\r\n*0\r\n";
    static const enum rreply_kind kinds[] = {RREPLY_STATUS, RREPLY_ERROR, RREPLY_INTEGER,
                                             RREPLY_NIL,    RREPLY_TEXT,  RREPLY_TEXT,
                                             RREPLY_ARRAY,  RREPLY_NIL,   RREPLY_ARRAY};

    (void)state;
    for (size_t cut = 1; cut < sizeof wire; cut++) {
        struct rreader *reader = rreader_new();
        size_t n = 0;

        assert_non_null(reader);
        for (size_t at = 0; at < sizeof wire - 1; at += cut) {
            size_t rest = sizeof wire - 1 - at;
            assert_true(rreader_feed(reader, wire + at, rest < cut ? rest : cut));
            n = check_replies(reader, kinds, n);
        }
        assert_int_equal(n, ARRAY_LEN(kinds));
        rreader_free(&reader);
    }
}

/* An incomplete reply is freed (the sanitizer checks). */
static void test_unfinished(void **state)
{
    static const char *const wires[] = {"*2\r\n*3\r\n$1\r\nx\r\n", "*2\r\n:1\r\nx",
                                        "*100001\r\n", "$99", "*2\r\n$1\r\nxy\r\n:x\r\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wires); i++) {
        struct rreader *reader = rreader_new();
        struct rreply *reply;

        assert_true(rreader_feed(reader, wires[i], strlen(wires[i])));
        (void)!rreader_next(reader, &reply);
        assert_null(reply);
        rreader_free(&reader);
    }
}

static void test_errors(void **state)
{
    static const struct {
        char text[40];
        enum rerror error;
        uint16_t slot;
        const char *host;
        unsigned port;
    } rows[] = {
        {"MOVED 3999 127.0.0.1:6381", RERROR_MOVED, 3999, "127.0.0.1", 6381},
        {"MOVED 0 :6381", RERROR_MOVED, 0, "asked", 6381},
        {"ASK 16383 ::1:7000", RERROR_ASK, 16383, "::1", 7000},
        {"ASK 1 a-name.example:1", RERROR_ASK, 1, "a-name.example", 1},
        {"MOVED 16384 a:1", RERROR_DOWN, 0, NULL, 0},
        {"MOVED 1 a:65536", RERROR_DOWN, 0, NULL, 0},
        {"MOVED 1 a:0", RERROR_DOWN, 0, NULL, 0},
        {"MOVED 1 ?:1", RERROR_DOWN, 0, NULL, 0},
        {"MOVED 1 a", RERROR_DOWN, 0, NULL, 0},
        {"MOVED", RERROR_DOWN, 0, NULL, 0},
        {"MOVEDX 1 a:1", RERROR_OTHER, 0, NULL, 0},
        {"TRYAGAIN x", RERROR_TRYAGAIN, 0, NULL, 0},
        {"CLUSTERDOWN", RERROR_DOWN, 0, NULL, 0},
        {"LOADING x", RERROR_DOWN, 0, NULL, 0},
        {"MASTERDOWN x", RERROR_DOWN, 0, NULL, 0},
        {"NOSCRIPT x", RERROR_NOSCRIPT, 0, NULL, 0},
        {"WRONGTYPE x", RERROR_OTHER, 0, NULL, 0},
        {"", RERROR_OTHER, 0, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[sizeof rows[i].text];
        const struct rreply reply = {
            .kind = RREPLY_ERROR, .text = text, .len = strlen(rows[i].text)};
        struct rendpoint there = {.host = ""};
        uint16_t slot = 0;

        memcpy(text, rows[i].text, sizeof text);
        assert_int_equal(rmap_error(&reply, "asked", &slot, &there), rows[i].error);
        if (rows[i].host != NULL) {
            assert_int_equal(slot, rows[i].slot);
            assert_string_equal(there.host, rows[i].host);
            assert_int_equal(there.port, rows[i].port);
        }
    }
}

/* Answers to CLUSTER SLOTS by the node "asked". */
static void test_tables(void **state)
{
    static const struct {
        const char *wire;
        const char *err; /* NULL: the table is taken */
        size_t n;        /* ranges of it */
        const char *host;
        unsigned port; /* both of the last range */
    } rows[] = {
        {"*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\na\r\n:1\r\n", NULL, 1, "a", 1},
        {"*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$-1\r\n:1\r\n", NULL, 1, "asked", 1},
        {"*2\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\n?\r\n:1\r\n"
         "*3\r\n:10\r\n:16383\r\n*2\r\n$1\r\nb\r\n:2\r\n",
         NULL, 1, "b", 2},
        {"*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$1\r\n?\r\n:1\r\n", "no master has an address", 0,
         NULL, 0},
        {"*1\r\n*3\r\n:9\r\n:0\r\n*2\r\n$1\r\na\r\n:1\r\n",
         "entry 0 of CLUSTER SLOTS cannot be read", 0, NULL, 0},
        {"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
         "entry 0 of CLUSTER SLOTS cannot be read", 0, NULL, 0},
        {"*0\r\n", "no slots", 0, NULL, 0},
        {"-ERR off\r\n", "ERR off", 0, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rreader *reader = rreader_new();
        struct rreply *reply;
        struct rrange *ranges;
        struct errmsg err;
        size_t n;

        assert_true(rreader_feed(reader, rows[i].wire, strlen(rows[i].wire)));
        assert_true(rreader_next(reader, &reply));
        bool is_taken = rmap_read(reply, "asked", &ranges, &n, &err);
        assert_int_equal(is_taken, rows[i].err == NULL);
        if (is_taken) {
            assert_int_equal(n, rows[i].n);
            assert_string_equal(ranges[n - 1].master.host, rows[i].host);
            assert_int_equal(ranges[n - 1].master.port, rows[i].port);
        } else {
            assert_string_equal(err.text, rows[i].err);
            assert_null(ranges);
        }
        free(ranges);
        rreply_free(&reply);
        rreader_free(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),      cmocka_unit_test(test_replies),
        cmocka_unit_test(test_unfinished), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
