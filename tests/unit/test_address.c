/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Addresses as text and as the system stores them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "shard/base/address.h"

#include "tests/unit/cmocka_all.h"

/* The text of the address read from TEXT; static storage. */
static const char *read_as(const char *text)
{
    static char out[ADDRESS_TEXT_BYTES];
    struct address address;

    return address_parse(text, strlen(text), &address) ? address_text(address, out)
                                                       : "no";
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:8080", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"}, /* one address, however it comes */
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"", "no"},
        {"unknown", "no"},
        {"_hidden", "no"},
        {"192.0.2.1.5", "no"},
        {"192.0.2.256", "no"},
        {"[2001:db8::1", "no"},
        {"[]", "no"},
        {":", "no"},
        {"192.0.2.1 ", "no"},
        {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", "no"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(read_as(rows[i].text), rows[i].expected);
    }
}

static void test_socket(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(5)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr local = {.sa_family = AF_UNIX};
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
    assert_string_equal(address_text(address_from_socket((struct sockaddr *)&v4), text),
                        "192.0.2.1");
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr), 1);
    assert_string_equal(address_text(address_from_socket((struct sockaddr *)&v6), text),
                        "2001:db8::7");
    assert_string_equal(address_text(address_from_socket(&local), text), "-");
    assert_string_equal(address_text(address_from_socket(NULL), text), "-");
}

/* From text to socket address and back, with the port. */
static void test_to_socket(void **state)
{
    static const char *const good[] = {"192.0.2.1", "2001:db8::7", "0.0.0.0", "::"};
    static const char *const bad[] = {"", "localhost", "[::1]", "192.0.2.1:80", "::1 "};
    struct sockaddr_storage to;
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(address_is_numeric(good[i]));
        assert_true(address_to_socket(good[i], 65535, &to) > 0);
        assert_int_equal(address_port(&to), 65535);
        if (strcmp(good[i], "::") != 0) { /* which looks unknown */
            assert_string_equal(
                address_text(address_from_socket((struct sockaddr *)&to), text), good[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(address_is_numeric(bad[i]));
        assert_int_equal(address_to_socket(bad[i], 80, &to), 0);
    }
}

static void test_network(void **state)
{
    static const struct {
        const char *address;
        const char *network;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
        {"2001:db8:1:2::", "2001:db8:1:2::"},
    };
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address;
        assert_true(address_parse(rows[i].address, strlen(rows[i].address), &address));
        assert_string_equal(address_text(address_network(address), text),
                            rows[i].network);
    }
}

static struct address_range range_of(const char *text)
{
    struct address_range range;

    if (!address_range_parse(text, strlen(text), &range)) {
        fail_msg("range \"%s\"", text);
    }
    return range;
}

static void test_range_text(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: not an address */
    } rows[] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.3/9", "10.0.0.0/9"},
        {"10.255.2.3/9", "10.128.0.0/9"},
        {"192.0.2.255/31", "192.0.2.254/31"},
        {"192.0.2.1", "192.0.2.1/32"},
        {"192.0.2.1/0", "0.0.0.0/0"},
        {"::ffff:10.1.2.3/104", "10.0.0.0/8"},
        {"::ffff:10.1.2.3", "10.1.2.3/32"},
        {"::ffff:10.1.2.3/64", "::/64"},
        {"2001:db8::1", "2001:db8::1/128"},
        {"2001:db8:ffff::/33", "2001:db8:8000::/33"},
        {"2001:db8::ff/121", "2001:db8::80/121"},
        {"::1/0", "::/0"},
        {"10.0.0.0/33", NULL},
        {"10.0.0.0/128", NULL},
        {"::/129", NULL},
        {"10.0.0.0/", NULL},
        {"10.0.0.0/08", NULL},
        {"10.0.0.0/-1", NULL},
        {"10.0.0.0/8 ", NULL},
        {"10.0.0.0/8/8", NULL},
        {"10.0.0.0/255.0.0.0", NULL},
        {"10.0.0.0/4294967304", NULL},
        {"10/8", NULL},
        {"/8", NULL},
        {"[2001:db8::]/32", NULL},
        {"192.0.2.1:80", NULL},
        {"proxy", NULL},
        {"", NULL},
    };
    struct address_range range;
    char text[ADDRESS_RANGE_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_one = address_range_parse(rows[i].text, strlen(rows[i].text), &range);
        if (is_one != (rows[i].expected != NULL) ||
            (is_one && strcmp(address_range_text(&range, text), rows[i].expected) != 0)) {
            fail_msg("range \"%s\"", rows[i].text);
        }
    }
}

static void test_range_has(void **state)
{
    static const struct {
        const char *range;
        const char *in;  /* the last one */
        const char *out; /* the next one */
    } rows[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.0.0.0/7", "11.255.255.255", "12.0.0.0"},
        {"172.16.0.0/12", "172.31.255.255", "172.32.0.0"},
        {"192.0.2.128/25", "192.0.2.255", "192.0.3.0"},
        {"192.0.2.6/31", "192.0.2.7", "192.0.2.8"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.8"},
        {"192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7"},
        {"::ffff:10.0.0.0/104", "10.255.255.255", "11.0.0.0"},
        {"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
        {"0.0.0.0/1", "127.255.255.255", "128.0.0.0"},
        {"::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "192.0.2.7"},
        {"::ffff:10.0.0.0/64", "::1", "10.0.0.1"},
        {"2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
        {"2001:db8::/29", "2001:dbf::1", "2001:dc0::"},
        {"2001:db8::/127", "2001:db8::1", "2001:db8::2"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct address_range range = range_of(rows[i].range);
        const struct address in = range_of(rows[i].in).address;
        const struct address out = range_of(rows[i].out).address;
        if (!address_range_has(&range, &in) || address_range_has(&range, &out)) {
            fail_msg("range \"%s\"", rows[i].range);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_text), cmocka_unit_test(test_range_has),
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_socket),
        cmocka_unit_test(test_to_socket),  cmocka_unit_test(test_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
