/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Addresses of clients, and which of those in X-Forwarded-For count. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "server/base/client.h"

#include "tests/unit/cmocka_all.h"

/* The text of an address that was read from TEXT; static storage. */
static const char *read_as(const char *text)
{
    static char out[CLIENT_TEXT_BYTES];
    struct client_address address;

    return client_parse(text, strlen(text), &address) ? client_text(address, out) : "no";
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
    char text[CLIENT_TEXT_BYTES];

    (void)state;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
    assert_string_equal(client_text(client_from_socket((struct sockaddr *)&v4), text),
                        "192.0.2.1");
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr), 1);
    assert_string_equal(client_text(client_from_socket((struct sockaddr *)&v6), text),
                        "2001:db8::7");
    assert_string_equal(client_text(client_from_socket(&local), text), "-");
    assert_string_equal(client_text(client_from_socket(NULL), text), "-");
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
    char text[CLIENT_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_address address;
        assert_true(client_parse(rows[i].address, strlen(rows[i].address), &address));
        assert_string_equal(client_text(client_network(address), text), rows[i].network);
    }
}

static void test_list(void **state)
{
    static const struct {
        const char *list;
        bool valid;
    } rows[] = {
        {"", true},
        {"127.0.0.1", true},
        {" 127.0.0.1 ,\t::1, 2001:db8::1", true},
        {",", false},
        {"127.0.0.1,", false},
        {",127.0.0.1", false},
        {"127.0.0.1 ::1", false},
        {"10.0.0.0/8", false},
        {"localhost", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (client_list_is_valid(rows[i].list) != rows[i].valid) {
            fail_msg("list \"%s\"", rows[i].list);
        }
    }
}

/* Only what a named proxy has written counts; what stands before that is the client's. */
static void test_behind(void **state)
{
    static const struct {
        const char *peer;
        const char *forwarded;
        const char *proxies;
        const char *expected;
    } rows[] = {
        {"192.0.2.1", NULL, "", "192.0.2.1"},
        {"192.0.2.1", "203.0.113.9", "", "192.0.2.1"},
        {"192.0.2.1", "203.0.113.9", "192.0.2.2", "192.0.2.1"},
        {"192.0.2.1", "203.0.113.9", "192.0.2.1", "203.0.113.9"},
        {"::ffff:192.0.2.1", "203.0.113.9", " 192.0.2.1 ", "203.0.113.9"},
        {"192.0.2.1", "6.6.6.6, 203.0.113.9", "192.0.2.1", "203.0.113.9"},
        {"192.0.2.1", "192.0.2.1, 203.0.113.9", "192.0.2.1", "203.0.113.9"},
        {"192.0.2.1", "6.6.6.6, 203.0.113.9, 192.0.2.2", "192.0.2.1,192.0.2.2",
         "203.0.113.9"},
        {"192.0.2.1", "203.0.113.9 ,192.0.2.2\t", "192.0.2.1,192.0.2.2", "203.0.113.9"},
        /* All the way are proxies: the one who spoke first. */
        {"192.0.2.1", "192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.2"},
        /* What is no address is nobody: the last one that was. */
        {"192.0.2.1", "", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1", "unknown", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1", "203.0.113.9,,192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.2"},
        {"192.0.2.1", "[2001:db8::5]:55", "192.0.2.1", "2001:db8::5"},
    };
    char text[CLIENT_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct client_address peer;
        assert_true(client_parse(rows[i].peer, strlen(rows[i].peer), &peer));
        struct client_address client =
            client_behind(peer, rows[i].forwarded, rows[i].proxies);
        if (strcmp(client_text(client, text), rows[i].expected) != 0) {
            fail_msg("row %zu: %s", i, text);
        }
    }
    struct client_address unknown = {{0}};
    struct client_address client = client_behind(unknown, "203.0.113.9", "::");
    assert_memory_equal(&client, &unknown, sizeof unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),   cmocka_unit_test(test_socket),
        cmocka_unit_test(test_network), cmocka_unit_test(test_list),
        cmocka_unit_test(test_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
