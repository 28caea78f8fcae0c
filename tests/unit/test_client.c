/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which of the addresses in X-Forwarded-For is taken as the client's. */
#include <string.h>

#include "server/base/client.h"

#include "tests/unit/cmocka_all.h"

static void test_list(void **state)
{
#define WRITE "write numeric addresses, or ranges such as 10.0.0.0/8 or 2001:db8::/32"
    static const struct {
        const char *list;
        const char *why; /* how the reason begins; "": the header is good */
    } rows[] = {
        {"", ""},
        {"127.0.0.1", ""},
        {" 127.0.0.1 ,\t::1, 2001:db8::1", ""},
        {"10.0.0.0/8,2001:db8::/32 , 192.0.2.1/32", ""},
        {",", "\"\": " WRITE},
        {"127.0.0.1,", "\"\": " WRITE},
        {",127.0.0.1", "\"\": " WRITE},
        {"127.0.0.1 ::1", "\"127.0.0.1 ::1\": " WRITE},
        {"127.0.0.1:80", "\"127.0.0.1:80\": " WRITE},
        {"10.0.0.0/33, ::1", "\"10.0.0.0/33\": " WRITE},
        {"localhost", "\"localhost\": " WRITE},
        {"::1, 10.1.2.3/8", "\"10.1.2.3/8\": write 10.0.0.0/8 for that range, or "},
        {"2001:db8::1/32", "\"2001:db8::1/32\": write 2001:db8::/32 for that range"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errmsg err = {""};
        bool is_right = client_list_check(rows[i].list, &err);
        if (is_right != (rows[i].why[0] == '\0') ||
            strncmp(err.text, rows[i].why, strlen(rows[i].why)) != 0) {
            fail_msg("list \"%s\": %s", rows[i].list, err.text);
        }
    }
#undef WRITE
}

/* Only entries written by a trusted proxy count; the client may have made up all
 * before them. */
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
        {"192.0.2.1", "6.6.6.6, 203.0.113.9, 192.0.2.200", "198.51.100.7,192.0.2.0/24",
         "203.0.113.9"},
        {"192.0.3.1", "203.0.113.9", "192.0.2.0/24", "192.0.3.1"},
        {"2001:db8::5", "2001:db8:ffff::1, 2001:db9::1", "2001:db8::/32", "2001:db9::1"},
        /* All of them are proxies: the first one counts. */
        {"192.0.2.1", "192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.2"},
        /* Something that is not an address ends the search: the entry after it counts. */
        {"192.0.2.1", "", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1", "unknown", "192.0.2.1", "192.0.2.1"},
        {"192.0.2.1", "203.0.113.9,,192.0.2.2", "192.0.2.1,192.0.2.2", "192.0.2.2"},
        {"192.0.2.1", "[2001:db8::5]:55", "192.0.2.1", "2001:db8::5"},
    };
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address peer;
        assert_true(address_parse(rows[i].peer, strlen(rows[i].peer), &peer));
        struct address client = client_behind(peer, rows[i].forwarded, rows[i].proxies);
        if (strcmp(address_text(client, text), rows[i].expected) != 0) {
            fail_msg("row %zu: %s", i, text);
        }
    }
    struct address unknown = {{0}};
    struct address client = client_behind(unknown, "203.0.113.9", "::");
    assert_memory_equal(&client, &unknown, sizeof unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
